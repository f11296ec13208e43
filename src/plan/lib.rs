//! The plan: one TOML file that says what a system is, how well it must do, and what is tried on it.
//!
//! Types ([`model`]), reading with every mistake at once ([`check`], [`parse`]), edits that keep the author's
//! comments ([`edit`]), and the file format's JSON Schema ([`schema`]). Pure data: no I/O, no clock. Uses only
//! `catalogue` (which faults there are).

mod diagnostic;
pub mod edit;
mod form;
mod guardrails;
mod hours;
mod keys;
pub mod model;
mod read;
mod read_experiment;
mod read_guardrails;
mod read_sli;
mod schema;
mod selector;
mod table;

pub use diagnostic::{Diagnostic, Severity};
pub use guardrails::*;
pub use hours::{Hours, time_zone};
pub use model::*;
pub use read::{Checked, MAX_BYTES, check, parse};
pub use read_sli::SAMPLES_A_WINDOW;
pub use schema::schema;
pub use selector::anchored;

/// What other files of a folder with plans are read with: the same walk, the same kind of mistakes.
pub mod reader {
    pub use crate::{
        diagnostic::did_you_mean,
        form::{Key, Kind, may, must},
        read::url,
        schema::schema_of,
        table::{Field, Limits, Reader, Table, document, each, join, unique},
    };
    pub use toml::de::DeTable;
}
