//! The types of `gameday.toml`. Times are milliseconds, wall times since 1970 UTC.

use firedrill_plan::time_zone;
use jiff::tz::TimeZone;

/// A game day as planned.
#[derive(Clone, Debug, PartialEq)]
pub struct GameDay {
    /// For calendars.
    pub id: String,
    /// What it is called.
    pub title: String,
    /// What is to be learned.
    pub goal: Option<String>,
    /// When it begins.
    pub start: Start,
    /// How long it takes at the most.
    pub for_ms: u64,
    /// Where people meet.
    pub place: Option<String>,
    /// The link of the call.
    pub call: Option<String>,
    /// What may be hit, in words.
    pub segment: Option<String>,
    /// From one drill's end to the next one's begin.
    pub between_ms: u64,
    /// Who takes part.
    pub people: People,
    /// The agenda.
    pub drills: Vec<Row>,
    /// The preparation.
    pub checks: Vec<Check>,
    /// Who says go.
    pub goes: Vec<Go>,
}

/// A moment in a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The moment.
    pub wall_ms: i64,
    /// The zone's name, of the built-in database.
    pub zone: String,
}

impl Start {
    /// The zone; UTC where its name is not known.
    pub fn time_zone(&self) -> TimeZone {
        time_zone(&self.zone).unwrap_or(TimeZone::UTC)
    }
}

/// One drill of the agenda.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What events call it; unique.
    pub id: String,
    /// The plan's file, relative to the folder.
    pub plan: String,
    /// The experiment in that plan.
    pub experiment: String,
    /// The time box.
    pub box_ms: u64,
    /// Not run.
    pub skip: bool,
    /// Sealed until its reveal.
    pub rehearsal: bool,
    /// It begins at a drawn moment.
    pub surprise: Option<Lot>,
}

/// When a surprise may begin, milliseconds after the start is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lot {
    /// Not before.
    pub earliest_ms: u64,
    /// Not after.
    pub latest_ms: u64,
    /// The facilitator does not want to know the moment either.
    pub blind: bool,
}

/// Something of the preparation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What must be so; unique.
    pub name: String,
    /// How one sees that it is.
    pub how: Option<String>,
}

/// Somebody who says go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Go {
    /// The person; unique.
    pub name: String,
    /// What they answer for.
    pub about: Option<String>,
}

/// Who takes part, by role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    /// Every role that somebody has, with its people in the order of the file.
    pub roles: Vec<(Role, Vec<String>)>,
    /// Who agreed to stand in reports by name.
    pub named: Vec<String>,
}

/// A role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Leads the room.
    Facilitator,
    /// Drives the console.
    Operator,
    /// Watches.
    Observer,
    /// Is rehearsed.
    Responder,
    /// Sees what it is good for.
    Stakeholder,
    /// Is on call for real.
    OnCall,
}

impl Role {
    /// Every one with its key in the file.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Facilitator, "facilitator"),
        (Self::Operator, "operator"),
        (Self::Observer, "observers"),
        (Self::Responder, "responders"),
        (Self::Stakeholder, "stakeholders"),
        (Self::OnCall, "on_call"),
    ];

    /// In words: `observer`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Facilitator => "facilitator",
            Self::Operator => "operator",
            Self::Observer => "observer",
            Self::Responder => "responder",
            Self::Stakeholder => "stakeholder",
            Self::OnCall => "person on call",
        }
    }

    /// Of several: `observers`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Facilitator => "facilitators",
            Self::Operator => "operators",
            Self::Observer => "observers",
            Self::Responder => "responders",
            Self::Stakeholder => "stakeholders",
            Self::OnCall => "people on call",
        }
    }
}

impl GameDay {
    /// When it ends at the latest, wall milliseconds.
    pub fn ends_ms(&self) -> i64 {
        self.start.wall_ms.saturating_add_unsigned(self.for_ms)
    }

    /// The row of that id, with its place in the file.
    pub fn row(&self, id: &str) -> Option<(usize, &Row)> {
        self.drills.iter().enumerate().find(|(_, row)| row.id == id)
    }
}
