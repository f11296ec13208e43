//! What happens on the day, as `events.jsonl` keeps it.

use firedrill_drill::Outcome;
use firedrill_plan::{Range, reader::url};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::Change;

/// A line of `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When it was written, wall milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Who did it.
    pub by: String,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// Something that happened. Ids are given by who writes; one that is known already changes nothing, so that a line
/// that comes twice (two copies of the folder, merged) counts once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The day has started.
    Started,
    /// The agenda was changed.
    Changed(Change),
    /// Something of the preparation is so, or is not so after all.
    Checked {
        /// Its name.
        check: String,
        /// It is so.
        done: bool,
    },
    /// Somebody said go or no-go.
    Went {
        /// The person.
        name: String,
        /// Go.
        go: bool,
        /// Why not, or whatever they added.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        words: Option<String>,
    },
    /// A drill of the agenda began.
    DrillBegan {
        /// The row's id.
        drill: String,
        /// The drill's own id: its journal is `journals/ID.jsonl`.
        run: String,
        /// It is a rehearsal: not to be told before its reveal.
        #[serde(default)]
        sealed: bool,
    },
    /// It is over.
    DrillEnded {
        /// The row's id.
        drill: String,
        /// The drill's own id.
        run: String,
        /// What was found.
        found: Found,
    },
    /// Somebody predicted what a drill will find.
    Predicted {
        /// The row's id.
        drill: String,
        /// What they said, with the nonce of its seal.
        prediction: Prediction,
        /// The seal, hex: a hash over the nonce and the prediction, shown when it is made.
        seal: String,
    },
    /// What a drill was, and the predictions of it, may be seen.
    Revealed {
        /// The row's id.
        drill: String,
    },
    /// People did something.
    Clock {
        /// Unique in the file.
        id: String,
        /// The row's id.
        drill: String,
        /// What they did.
        clock: Clock,
        /// When, wall milliseconds; earlier than the record where it was dated back.
        when_ms: i64,
        /// Whose it is, where somebody else wrote it down.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        who: Option<String>,
    },
    /// Somebody said or saw something.
    Note {
        /// Unique in the file.
        id: String,
        /// The row's id, where a drill was on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        drill: Option<String>,
        /// When, wall milliseconds.
        when_ms: i64,
        /// Who, where somebody else wrote it down.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        who: Option<String>,
        /// What.
        words: String,
    },
    /// A clock was wrong: it does not count. What it said stays.
    Struck {
        /// The clock's id.
        id: String,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// A finding, new or as it is now: the last one of an id counts.
    Finding {
        /// Unique in the file; stays when it is carried over to another game day.
        id: String,
        /// What it is.
        finding: Finding,
    },
    /// A finding is dealt with.
    Closed {
        /// The finding's id.
        id: String,
        /// How.
        words: String,
    },
    /// It is not, after all.
    Reopened {
        /// The finding's id.
        id: String,
    },
    /// Somebody answered one of [`QUESTIONS`].
    Answered {
        /// Which, from 0.
        question: usize,
        /// The answer.
        words: String,
    },
    /// The rest of the agenda is off.
    Stopped {
        /// Why: [`crate::REAL_INCIDENT`] or another reason.
        reason: String,
    },
    /// It goes on after all.
    Resumed {
        /// Why it is safe again.
        reason: String,
    },
    /// The day is over.
    Ended,
}

/// What is asked about the exercise itself, at the end.
pub const QUESTIONS: [&str; 3] = [
    "What did we learn about how we work together?",
    "What about this exercise was unsafe, unclear or a waste of time?",
    "What do we do differently at the next game day?",
];

/// What a drill found, as far as predictions and the report need it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The verdict.
    pub outcome: Outcome,
    /// Its reasons; the first decided.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// When the first fault was active, wall milliseconds; `None`: none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault_ms: Option<i64>,
    /// When the last fault was read back as off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off_ms: Option<i64>,
    /// Every SLI while a fault was on.
    #[serde(default)]
    pub slis: Vec<SliFound>,
}

impl Found {
    /// The SLI that left its tolerance first; `None`: none did.
    pub fn first_out(&self) -> Option<&SliFound> {
        self.slis
            .iter()
            .filter(|sli| sli.out_ms.is_some())
            .min_by_key(|sli| sli.out_ms)
    }
}

/// An SLI while a fault was on. Values are in the base unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SliFound {
    /// Its name.
    pub name: String,
    /// How it is shown.
    pub unit: String,
    /// The steady state.
    pub band: Range,
    /// When it left its tolerance, wall milliseconds; `None`: it stayed inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_ms: Option<i64>,
    /// The value farthest outside its band, or nearest to its edge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<f64>,
}

/// What somebody expects of a drill, said before its first fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Who.
    pub who: String,
    /// The hypothesis holds.
    pub holds: bool,
    /// The SLI that leaves its tolerance first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// The worst value of that SLI, in the base unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<f64>,
    /// Milliseconds from the fault's begin until people notice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice_ms: Option<u64>,
    /// In a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub words: String,
    /// Random, so that a seal cannot be guessed.
    pub nonce: String,
}

impl Prediction {
    /// Its seal, hex.
    pub fn seal(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}

/// What people do in an incident, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// Somebody noticed.
    Noticed,
    /// Somebody was paged.
    Paged,
    /// The page was acknowledged.
    Acknowledged,
    /// Somebody said the right hypothesis.
    Hypothesis,
    /// It hurts no longer.
    Mitigated,
    /// All is as before.
    Recovered,
}

impl Clock {
    /// Every one, in the order of an incident.
    pub const ALL: [Self; 6] = [
        Self::Noticed,
        Self::Paged,
        Self::Acknowledged,
        Self::Hypothesis,
        Self::Mitigated,
        Self::Recovered,
    ];

    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Noticed => "noticed",
            Self::Paged => "paged",
            Self::Acknowledged => "acknowledged",
            Self::Hypothesis => "right hypothesis",
            Self::Mitigated => "mitigated",
            Self::Recovered => "recovered",
        }
    }
}

/// Something to be done about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Finding {
    /// What was seen; never empty.
    pub symptom: String,
    /// Why it is so.
    pub cause: String,
    /// What it costs.
    pub impact: String,
    /// Where to see it: from and until, wall milliseconds.
    pub evidence_ms: Option<(i64, i64)>,
    /// Who takes care of it.
    pub owner: String,
    /// By when: `2026-12-24`; empty: no date.
    pub due: String,
    /// The ticket's link.
    pub ticket: String,
    /// The drill that found it, the row's id, where one did.
    pub drill: Option<String>,
    /// The game day it was found at, where it is carried over from another.
    pub from: Option<String>,
}

impl Finding {
    /// The due date; `None`: there is none, or it is no date.
    pub fn due_on(&self) -> Option<Date> {
        self.due.parse().ok()
    }

    /// What is wrong with it, before it is kept.
    pub fn mistake(&self) -> Option<&'static str> {
        if self.symptom.trim().is_empty() {
            return Some("a finding needs a symptom: what was seen");
        }
        if !self.due.is_empty() && self.due_on().is_none() {
            return Some("the due date is written like 2026-12-24");
        }
        let ticket = &self.ticket;
        if !ticket.is_empty() && url(ticket).is_err() {
            return Some("the ticket is a link that begins with https:// or http://");
        }
        None
    }
}
