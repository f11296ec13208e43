//! The game day that is open, and those before it.

use std::{collections::BTreeMap, path::PathBuf};

use firedrill_gameday::{Change, Clock, Finding, GameDay, Needs, Prediction, State};

/// A game day's folder as it stands.
#[derive(Clone, Debug)]
pub struct GameDayScene {
    /// The folder.
    pub folder: PathBuf,
    /// What `gameday.toml` says; `None`: it has mistakes.
    pub day: Option<GameDay>,
    /// Mistakes and warnings, each with line and column.
    pub mistakes: Vec<String>,
    /// How it stands; empty without a day. Predictions in it are not shown before their reveal.
    pub state: State,
    /// What each row of the file needs.
    pub needs: Vec<Needs>,
    /// The SLIs of each row, name and unit, by the row's id: what a prediction chooses from.
    pub slis: BTreeMap<String, Vec<(String, String)>>,
}

impl GameDayScene {
    /// What a row needs by its plan.
    pub fn needs_of(&self, id: &str) -> Option<Needs> {
        let (at, _) = self.day.as_ref()?.row(id)?;
        self.needs.get(at).copied()
    }
}

/// A game day that was opened before, as the welcome screen shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentGameDay {
    /// Its folder.
    pub folder: PathBuf,
    /// What it is called; the folder's name where it cannot be read.
    pub title: String,
    /// When it begins, wall milliseconds; `None`: it cannot be read.
    pub start_ms: Option<i64>,
    /// Findings that are open.
    pub open: usize,
    /// Those of them whose date is over: symptom, owner, date.
    pub overdue: Vec<(String, String, String)>,
}

/// What a person may ask of a game day.
#[derive(Clone, Debug, PartialEq)]
pub enum GameDayAsk {
    /// Choose a folder with the system's dialog, then open it.
    OpenDialog,
    /// Open this folder.
    Open(PathBuf),
    /// Close it.
    Close,
    /// Change the agenda: in the file before the start, as an event after it.
    Change(Change),
    /// Tick something of the preparation, or take the tick back.
    Check {
        /// Its name.
        check: String,
        /// It is so.
        done: bool,
    },
    /// Somebody says go or no-go.
    Go {
        /// The person.
        name: String,
        /// Go.
        go: bool,
        /// What they added.
        words: String,
    },
    /// Start the day.
    Start,
    /// Begin the drill of this row.
    Begin(String),
    /// Seal a prediction of this row; its nonce is made.
    Predict {
        /// The row.
        drill: String,
        /// What is said.
        prediction: Prediction,
    },
    /// Show the predictions of this row.
    Reveal(String),
    /// People did something, now or then.
    Clock {
        /// What.
        clock: Clock,
        /// The row; `None`: the one that is on.
        drill: Option<String>,
        /// When, as a time of day; empty: now.
        when: String,
        /// Whose it is; `None`: of who is at the console.
        who: Option<String>,
    },
    /// A line in another's name: `ana: noticed 14:03`.
    Enter {
        /// The line.
        line: String,
        /// The row; `None`: the one that is on, or was last.
        drill: Option<String>,
    },
    /// Somebody said or saw something: the game day's note, and the drill's.
    Remark {
        /// Who; `None`: who is at the console.
        who: Option<String>,
        /// What.
        words: String,
    },
    /// A clock does not count.
    Strike {
        /// The clock's id.
        id: String,
        /// Why.
        why: String,
    },
    /// Keep a finding.
    Finding {
        /// Of an earlier one, its id.
        id: Option<String>,
        /// As it is now.
        finding: Finding,
    },
    /// A finding is dealt with.
    CloseFinding {
        /// Its id.
        id: String,
        /// How.
        words: String,
    },
    /// It is not.
    ReopenFinding(String),
    /// Answer a question about the exercise.
    Answer {
        /// Which, from 0.
        question: usize,
        /// Who.
        who: String,
        /// The answer.
        words: String,
    },
    /// There is a real incident: whatever is on is aborted, and the agenda is stopped.
    RealIncident,
    /// The agenda goes on.
    Resume(String),
    /// The day is over.
    End,
    /// Write the invitation and show it.
    Invite,
    /// Write the report and show it.
    Report,
}
