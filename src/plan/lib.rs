//! The plan: one TOML file that says what a system is, how well it must do, and what is tried on it.
//!
//! Types ([`model`]), reading with every mistake at once, and edits that keep the author's comments. Pure
//! data: no I/O, no clock. Uses only `catalogue` (which faults there are).

pub mod model;

pub use model::*;
