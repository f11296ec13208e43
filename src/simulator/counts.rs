//! What happened in schedules, by kind.

use crate::report::Report;

/// What happened in a schedule.
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
    /// Agents whose process hung, with the rest of their host at work.
    pub hangs: u64,
    /// Of those, agents that their keeper ended.
    pub keeper_kills: u64,
    /// Keepers that died or hung.
    pub keeper_crashes: u64,
    /// Undo records that keepers ran.
    pub keeper_undid: u64,
    /// Hosts or consoles that stood still for a while.
    pub freezes: u64,
    /// Clocks that jumped.
    pub clock_jumps: u64,
    /// Networks that were cut for a while.
    pub partitions: u64,
    /// Messages lost.
    pub drops: u64,
    /// Messages that came twice.
    pub duplicates: u64,
    /// Messages that overtook an earlier one.
    pub reorders: u64,
    /// Messages of the past that came again under another secret, life or name.
    pub forgeries: u64,
    /// Journals and state files cut off in the middle of a write.
    pub torn: u64,
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
    /// Changes of strength that were made.
    pub changes: u64,
    /// Changes that were refused as older than what was made, late, foreign or dead.
    pub changes_refused: u64,
    /// Times that a person at a console turned a fault down.
    pub turned_down: u64,
    /// And up.
    pub turned_up: u64,
    /// Drills held, with everything read back as off.
    pub holds: u64,
    /// Drills that went on after it.
    pub resumed: u64,
    /// Faults that really went.
    pub reverted: u64,
    /// Read-backs that found the fault still there.
    pub unclean: u64,
    /// Verdicts: held, broken, inconclusive, aborted.
    pub verdicts: [u64; 4],
}

impl Counts {
    /// Each kind with its name.
    pub fn named(&self) -> [(&'static str, u64); 36] {
        [
            ("events", self.events),
            ("simulated ms", self.simulated_ms),
            ("console crashes", self.console_crashes),
            ("agent crashes", self.agent_crashes),
            ("at effect boundaries", self.at_effect_boundaries),
            ("restarts", self.restarts),
            ("hangs", self.hangs),
            ("killed by keepers", self.keeper_kills),
            ("keeper crashes", self.keeper_crashes),
            ("undone by keepers", self.keeper_undid),
            ("freezes", self.freezes),
            ("clock jumps", self.clock_jumps),
            ("partitions", self.partitions),
            ("drops", self.drops),
            ("duplicates", self.duplicates),
            ("reorders", self.reorders),
            ("forgeries", self.forgeries),
            ("torn", self.torn),
            ("disk full", self.disk_full),
            ("lapses", self.lapses),
            ("latches", self.latches),
            ("releases", self.releases),
            ("aborts", self.aborts),
            ("applied", self.applied),
            ("changes", self.changes),
            ("changes refused", self.changes_refused),
            ("turned down", self.turned_down),
            ("turned up", self.turned_up),
            ("holds", self.holds),
            ("resumed", self.resumed),
            ("reverted", self.reverted),
            ("unclean", self.unclean),
            ("held", self.verdicts[0]),
            ("broken", self.verdicts[1]),
            ("inconclusive", self.verdicts[2]),
            ("aborted", self.verdicts[3]),
        ]
    }
}

/// What happened in many schedules.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Events of each schedule.
    events: Vec<u32>,
    /// By kind: how often in all, and in how many schedules at all.
    kinds: Vec<(&'static str, u64, u64)>,
}

impl Tally {
    /// Adds one schedule.
    pub fn add(&mut self, report: &Report) {
        self.events
            .push(u32::try_from(report.counts.events).unwrap_or(u32::MAX));
        let named = report.counts.named();
        self.kinds.resize(named.len(), ("", 0, 0));
        for (kind, (name, count)) in self.kinds.iter_mut().zip(named) {
            *kind = (name, kind.1 + count, kind.2 + u64::from(count > 0));
        }
    }

    /// Adds another's schedules.
    pub fn merge(&mut self, other: Self) {
        self.events.extend(other.events);
        self.kinds
            .resize(self.kinds.len().max(other.kinds.len()), ("", 0, 0));
        for (mine, theirs) in self.kinds.iter_mut().zip(other.kinds) {
            *mine = (theirs.0, mine.1 + theirs.1, mine.2 + theirs.2);
        }
    }

    /// How many schedules.
    pub fn schedules(&self) -> u64 {
        self.events.len() as u64
    }

    /// The median of the events in a schedule.
    pub fn median_events(&self) -> u32 {
        let mut events = self.events.clone();
        events.sort_unstable();
        events.get(events.len() / 2).copied().unwrap_or(0)
    }

    /// In how many of 100 schedules something of this kind happened at all.
    pub fn share(&self, kind: &str) -> f64 {
        let found = self.kinds.iter().find(|(name, ..)| *name == kind);
        found.map_or(0.0, |(_, _, schedules)| {
            100.0 * *schedules as f64 / self.schedules().max(1) as f64
        })
    }

    /// A line for each kind: how often, and in what share of the schedules.
    pub fn lines(&self) -> Vec<String> {
        let each = self.kinds.iter().map(|(name, count, _)| {
            format!(
                "{name:<22} {count:>12}   in {:>5.1} % of the schedules",
                self.share(name)
            )
        });
        each.collect()
    }
}
