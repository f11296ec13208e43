//! The ward through its public face: hazards by name, and rules that hold in every order of events.

mod bench;
mod hazards;
mod host;
mod rules;
mod stops;
