//! Changes of the agenda: edits of the file that keep its comments, and on the day events.

use firedrill_plan::edit::{self, EditError, remove, set};
use serde::{Deserialize, Serialize};

use crate::GameDay;

/// A change of the agenda.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// The drill comes at this place, counted from 0; those between move by one.
    Move {
        /// The row's id.
        drill: String,
        /// Its new place.
        to: usize,
    },
    /// The drill's box is longer or shorter.
    Box {
        /// The row's id.
        drill: String,
        /// Its new length in milliseconds.
        box_ms: u64,
    },
    /// The drill is not run.
    Skip {
        /// The row's id.
        drill: String,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// It is run after all.
    Unskip {
        /// The row's id.
        drill: String,
    },
}

/// Why a change cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// No drill of the agenda has that id.
    NoSuchDrill(String),
    /// The text is not what it was.
    Edit(EditError),
}

impl std::fmt::Display for ChangeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoSuchDrill(id) => write!(f, "no drill of the agenda is called \"{id}\""),
            Self::Edit(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ChangeError {}

impl Change {
    /// The row's id.
    pub fn drill(&self) -> &str {
        match self {
            Self::Move { drill, .. }
            | Self::Box { drill, .. }
            | Self::Skip { drill, .. }
            | Self::Unskip { drill } => drill,
        }
    }
}

/// The text of `gameday.toml` with a change made; comments, order and spacing stay.
pub fn apply(text: &str, day: &GameDay, change: &Change) -> Result<String, ChangeError> {
    let drill = change.drill();
    let (at, _) = day
        .row(drill)
        .ok_or_else(|| ChangeError::NoSuchDrill(drill.to_owned()))?;
    let place = at.to_string();
    let key = |key: &'static str| ["drill", place.as_str(), key];
    let edited = match change {
        Change::Move { to, .. } => edit::move_entry(
            text,
            &["drill"],
            at,
            (*to).min(day.drills.len().saturating_sub(1)),
        ),
        Change::Box { box_ms, .. } => set(text, &key("box"), duration(*box_ms)),
        Change::Skip { .. } => set(text, &key("skip"), true),
        Change::Unskip { .. } => remove(text, &key("skip")),
    };
    edited.map_err(ChangeError::Edit)
}

/// As short as the file's durations can be written.
pub(crate) fn duration(ms: u64) -> String {
    match ms {
        _ if ms > 0 && ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms > 0 && ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}
