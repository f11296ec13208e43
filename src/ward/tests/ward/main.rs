//! The ward through its public face: hazards by name, and rules that hold in every order of events.

mod aborts;
mod bench;
mod courses;
mod hazards;
mod host;
mod keeping;
mod openings;
mod rules;
mod starts;
mod stops;
