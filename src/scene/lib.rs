//! What the window shows and may ask for: plain data, between `conductor` (which publishes a [`Scene`]) and
//! `console` (which draws it and sends [`Ask`]s). The same scene is built from a journal for `firedrill render`
//! and for Review's replay.
//!
//! Whoever else than the person at the console sees a scene, or words from it, gets what a sealed drill leaves of it:
//! [`Scene::told`], and for everything else [`Redaction::pass`]. Nothing else goes out.
//!
//! A scene is a value: cheap to clone (`Arc`s inside), never locked, never changed after it is published.
//! Uses `catalogue`, `plan`, `drill`, `gameday`, `series` and `wire`.

mod ask;
mod builder;
mod builder_bells;
mod builder_hold;
mod builder_lever;
mod builder_log;
mod builder_words;
mod drill;
mod fleet;
mod gameday;
mod ours;
mod past;
mod replay;
mod review;
mod safety;
mod share;
mod told;

pub use ask::*;
pub use builder::{SceneBuilder, ours};
pub use drill::*;
pub use firedrill_drill::{EXERCISE, Outgoing, Redact, Redaction, Seal};
pub use fleet::*;
pub use gameday::*;
pub use ours::*;
pub use past::*;
pub use replay::*;
pub use review::*;
pub use safety::*;
pub use share::*;
pub use told::{Told, Viewer};

use std::{path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

/// Everything on screen.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// Wall clock as it was published, milliseconds since 1970 UTC. Views add the time since then themselves.
    pub wall_ms: i64,
    /// The plan that is open.
    pub plan: Option<Arc<PlanScene>>,
    /// The drill that runs, or the last one until another begins.
    pub drill: Option<Arc<DrillScene>>,
    /// Every agent of the plan.
    pub fleet: Arc<Vec<AgentScene>>,
    /// "Is this us?"
    pub ours: Ours,
    /// What the ABORT button is doing.
    pub abort: AbortScene,
    /// Drills of this account that were armed and never ended: a crashed console's, or another console's.
    pub open: Arc<Vec<OpenDrillScene>>,
    /// The tour of the demo.
    pub tour: Option<Arc<TourScene>>,
    /// Finished drills, newest first.
    pub reviews: Arc<Vec<Arc<Review>>>,
    /// The finished drill that is replayed.
    pub replay: Option<Arc<ReplayScene>>,
    /// What went wrong or was done, newest last; at most 50.
    pub messages: Arc<Vec<Message>>,
    /// Plans to start from.
    pub recent: Arc<Vec<PathBuf>>,
    /// What sources were asked to remember of indicators, newest last.
    pub pasts: Arc<Vec<PastScene>>,
    /// The game day that is open.
    pub gameday: Option<Arc<GameDayScene>>,
    /// Game days that were opened before: those with overdue findings first, then the newest.
    pub gamedays: Arc<Vec<RecentGameDay>>,
    /// What is shared with others.
    pub share: Option<Arc<ShareScene>>,
    /// This console only follows another one: nothing can be asked of it but what a watcher may.
    pub watch: Option<Arc<WatchScene>>,
}

/// The open plan's file. Its text is edited by the view; this is what was read or saved last.
#[derive(Clone, Debug, Default)]
pub struct PlanScene {
    /// Where it is; `None`: never saved (a template, the demo's).
    pub path: Option<PathBuf>,
    /// Grows with every load and save, so that an editor knows when to take the text anew.
    pub revision: u64,
    /// The text as on disk.
    pub text: String,
    /// The file on disk is newer than what was read: a save asks first.
    pub newer_on_disk: bool,
}

/// The ABORT button.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AbortScene {
    /// Something could be stopped now: the button is armed, else calm.
    pub armed: bool,
    /// While it works and after, until somebody closes the panel: when it was pressed, wall milliseconds.
    pub pressed_ms: Option<i64>,
    /// A row an agent.
    pub rows: Vec<AbortRow>,
    /// How many of the rows are proved clean.
    pub proved: usize,
    /// Every answer has ended.
    pub finished: bool,
    /// Why it was pressed.
    pub reason: String,
    /// Who pressed.
    pub who: String,
    /// It latches: an agent without a latch has not heard of it.
    pub latches: bool,
}

/// An abort on one agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AbortRow {
    /// The agent.
    pub agent: String,
    /// How far it is.
    pub stage: AbortStage,
    /// Microseconds from the press to this stage, or so far.
    pub took_us: u64,
    /// When each stage was reached, microseconds from the press.
    pub reached: AbortTimes,
    /// What was seen, or what to do by hand.
    pub words: String,
    /// Latched with this number.
    pub latch: Option<u64>,
}

/// When an abort came how far on one agent, microseconds from the press; `None`: not yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbortTimes {
    /// It was sent for the first time.
    pub requested_us: Option<u64>,
    /// Its epochs were dead.
    pub received_us: Option<u64>,
    /// Every injection was read back as gone.
    pub reverted_us: Option<u64>,
    /// And seen gone by a second mechanism.
    pub proved_us: Option<u64>,
}

/// How far an abort is on one agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AbortStage {
    /// Sent, no answer yet.
    Requested,
    /// Its epochs are dead, nothing new starts.
    Received,
    /// Every injection is read back as gone.
    Reverted,
    /// And seen gone by a second mechanism.
    Proved,
    /// No answer, or a read-back that did not show it gone.
    Unconfirmed,
}

/// A message to the person at the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Unique in this process.
    pub id: u64,
    /// Wall milliseconds.
    pub wall_ms: i64,
    /// How bad.
    pub level: Level,
    /// What happened, where, and what to do about it.
    pub words: String,
}

/// How bad a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For information.
    Info,
    /// Something is degraded.
    Warning,
    /// Something failed.
    Error,
}

/// The tour of the demo: what runs on this computer and what comes next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TourScene {
    /// What is on this computer, a sentence each.
    pub words: Vec<String>,
    /// What is happening now, in one sentence.
    pub now: String,
    /// Which build of the order system runs: `fragile` or `hardened`.
    pub build: String,
    /// The fix can be run now.
    pub offers_fix: bool,
    /// Both builds have a verdict: the comparison, a row each measure.
    pub comparison: Vec<ComparisonRow>,
}

/// One measure of two drills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparisonRow {
    /// What is compared.
    pub measure: String,
    /// In the first drill.
    pub before: String,
    /// In the second.
    pub after: String,
}
