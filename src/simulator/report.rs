//! What is asked of a schedule, and what came of it.

use std::fmt;

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
    pub const ALL: [Self; 9] = [
        Self::ForgetFence,
        Self::ForgetDeadlines,
        Self::ClaimReadBack,
        Self::ForgetDisk,
        Self::ForgetRecords,
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
    /// 2: abort wins.
    AbortWins,
    /// 4: journal first.
    JournalFirst,
    /// 5: no data is bad data.
    NoDataIsBadData,
    /// 6: shown means read.
    ShownMeansRead,
    /// 8: every judgement is explained; and a replay of the journal gives the drill that ran.
    Explained,
    /// An epoch or a latch that was said to be on disk is there in the next life.
    Durable,
    /// After all trouble is over a drill comes to its verdict and agents can be used again.
    ComesToAnEnd,
}

/// What happened in a schedule, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events in all.
    pub events: u64,
    /// Simulated time in milliseconds.
    pub simulated_ms: u64,
    /// Consoles that died.
    pub console_crashes: u64,
    /// Agents that died.
    pub agent_crashes: u64,
    /// Of both, those that died between two effects of one step.
    pub at_effect_boundaries: u64,
    /// Agents that came back.
    pub restarts: u64,
    /// Hosts or consoles that stood still for a while.
    pub freezes: u64,
    /// Clocks that jumped.
    pub clock_jumps: u64,
    /// Messages lost.
    pub drops: u64,
    /// Messages that came twice.
    pub duplicates: u64,
    /// Messages that overtook an earlier one.
    pub reorders: u64,
    /// Writes that a full disk refused, on agents and under journals.
    pub disk_full: u64,
    /// Leases that lapsed with their drill.
    pub lapses: u64,
    /// Latches set.
    pub latches: u64,
    /// Latches released.
    pub releases: u64,
    /// Aborts ordered by people or drills.
    pub aborts: u64,
    /// Faults that really came on.
    pub applied: u64,
    /// Faults that really went.
    pub reverted: u64,
    /// Read-backs that found the fault still there.
    pub unclean: u64,
    /// Verdicts: held, broken, inconclusive, aborted.
    pub verdicts: [u64; 4],
}

impl Counts {
    /// Adds another schedule's.
    pub fn add(&mut self, other: &Self) {
        let Self {
            events,
            simulated_ms,
            console_crashes,
            agent_crashes,
            at_effect_boundaries,
            restarts,
            freezes,
            clock_jumps,
            drops,
            duplicates,
            reorders,
            disk_full,
            lapses,
            latches,
            releases,
            aborts,
            applied,
            reverted,
            unclean,
            verdicts,
        } = other;
        self.events += events;
        self.simulated_ms += simulated_ms;
        self.console_crashes += console_crashes;
        self.agent_crashes += agent_crashes;
        self.at_effect_boundaries += at_effect_boundaries;
        self.restarts += restarts;
        self.freezes += freezes;
        self.clock_jumps += clock_jumps;
        self.drops += drops;
        self.duplicates += duplicates;
        self.reorders += reorders;
        self.disk_full += disk_full;
        self.lapses += lapses;
        self.latches += latches;
        self.releases += releases;
        self.aborts += aborts;
        self.applied += applied;
        self.reverted += reverted;
        self.unclean += unclean;
        for (mine, theirs) in self.verdicts.iter_mut().zip(verdicts) {
            *mine += theirs;
        }
    }
}

/// A schedule that broke no rule.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// What happened in it.
    pub counts: Counts,
}

/// A rule that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The schedule's seed.
    pub seed: u64,
    /// Which.
    pub rule: Rule,
    /// What was seen.
    pub words: String,
    /// Everything that happened before, one line each.
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        write!(f, "seed {}: {:?}: {}", self.seed, self.rule, self.words)
    }
}

impl std::error::Error for Violation {}
