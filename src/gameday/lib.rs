//! A game day: a folder with `gameday.toml` (agenda, preparation, people), plans, journals, and what happened.
//!
//! [`check`] reads `gameday.toml` with every mistake at once, the plans it names included; [`Change`] edits it and
//! keeps its comments. What happens on the day are [`Record`]s, appended and never changed; [`State`] is the pure
//! fold over them, [`schedule`] the day as it stands, and invitation, findings and report are texts made from these.
//!
//! Pure: no I/O, no clock, no randomness; times and nonces are given. Uses `plan` (its reader, its edits) and
//! `drill` (what a drill can find).

mod change;
mod entry;
mod event;
mod findings;
mod fold;
mod ics;
mod invite;
mod keys;
mod model;
mod people;
mod read;
mod record;
mod report;
mod score;
mod template;
mod timeline;
mod times;
mod words;

pub use change::{Change, ChangeError, apply};
pub use entry::{Entered, Entry, Known, MAX_ENTRY, entry, everybody};
pub use event::*;
pub use findings::{csv, due_first, findings_markdown};
pub use firedrill_drill::REAL_INCIDENT;
pub use fold::*;
pub use ics::ics;
pub use invite::{Audience, invitation};
pub use model::*;
pub use people::Names;
pub use read::{Checked, MAX_BYTES, MAX_DRILLS, check, schema};
pub use record::{Lines, MAX_EVENT_BYTES, MAX_LOG_BYTES, line, lines};
pub use report::report;
pub use score::{Part, Score, score};
pub use template::{New, from_plans};
pub use timeline::{Moment, What, timeline};
pub use times::{Fit, Needs, Schedule, Slot, Standing, needs, schedule};
pub use words::{clock, day_and_clock, length, parse_clock, today, tomorrow};

/// The file's name in the folder.
pub const FILE: &str = "gameday.toml";
/// What happened, a record a line, in the folder.
pub const EVENTS: &str = "events.jsonl";
/// Where the drills' journals are, in the folder.
pub const JOURNALS: &str = "journals";
/// Where reports are written, in the folder.
pub const REPORTS: &str = "reports";
/// Where plans are put by `firedrill gameday new`, in the folder.
pub const PLANS: &str = "plans";
/// Where the journals of preflights of the day before are, in the folder.
pub const PREFLIGHTS: &str = "preflights";
