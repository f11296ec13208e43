//! What is asked of a schedule, and what came of it.

use std::fmt;

use crate::counts::Counts;
use crate::schedule::Schedule;

/// How a schedule is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// A promise to break, to see whether it is noticed.
    pub sabotage: Option<Sabotage>,
}

/// One promise broken by a wrapper around the parts that ship.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// An agent carries out starts that its ward refuses as fenced or latched.
    ForgetFence,
    /// An agent never tells its ward that time has passed.
    ForgetDeadlines,
    /// An agent says that it has read a fault back as gone without looking.
    ClaimReadBack,
    /// An agent's disk says that it has written, and has not.
    ForgetDisk,
    /// An agent's faults outlive it, and it comes back without its undo records.
    ForgetRecords,
    /// A keeper does nothing when its agent dies.
    ForgetKeeper,
    /// A console sends a start before its intent is on disk.
    IntentLater,
    /// A console sends a start again after an abort.
    SendAfterAbort,
    /// A console gives its drill the last good sample again and again when the source is silent.
    RepeatSamples,
    /// A console takes `reverting` for `reverted`.
    BelieveReverting,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::ForgetFence,
        Self::ForgetDeadlines,
        Self::ClaimReadBack,
        Self::ForgetDisk,
        Self::ForgetRecords,
        Self::ForgetKeeper,
        Self::IntentLater,
        Self::SendAfterAbort,
        Self::RepeatSamples,
        Self::BelieveReverting,
    ];
}

/// The rules that are checked after every event; numbers as in the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// 1: every injection ends.
    EveryInjectionEnds,
    /// 2: abort wins; and whatever else is dead, late, foreign or under a latch starts nothing.
    AbortWins,
    /// 3: abort needs nothing: it goes out first, its path was exercised and its card written before anything is
    /// opened, and nothing goes on without it.
    AbortNeedsNothing,
    /// 4: journal first.
    JournalFirst,
    /// 5: no data is bad data.
    NoDataIsBadData,
    /// 6: shown means read.
    ShownMeansRead,
    /// Held means that nothing is on, and that nothing is again before a new baseline.
    HeldIsOff,
    /// 8: every judgement is explained; and a replay of the journal gives the drill that ran.
    Explained,
    /// An epoch, a latch, an undo record that was said to be on disk is there in the next life.
    Durable,
    /// Nobody is fenced out, latched or killed without a cause.
    OnlyForCause,
    /// One claim a resource.
    OneClaim,
    /// After all trouble is over a drill comes to its verdict and agents can be used again.
    ComesToAnEnd,
}

/// A schedule that broke no rule.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was run.
    pub schedule: Schedule,
    /// What happened in it.
    pub counts: Counts,
}

/// A rule that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The schedule it was broken in.
    pub schedule: Schedule,
    /// Which.
    pub rule: Rule,
    /// What was seen.
    pub words: String,
    /// How many events it took.
    pub events: u64,
    /// Everything that happened before, one line each.
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        let Self {
            schedule,
            rule,
            words,
            events,
            ..
        } = self;
        write!(
            f,
            "{rule:?} broken after {events} events: {words}\nschedule: {schedule}"
        )
    }
}

impl std::error::Error for Violation {}
