//! A journal at any of its moments, in any order: the drill is stepped on from the nearest state before the moment,
//! not from its beginning.

use firedrill_drill::{At, Drill, Entry, ReplayError, Setup, Stamped};
use firedrill_scene::{Scene, SceneBuilder};

use crate::{clocks, window};

/// States that are kept. Their series share what is stored; what each costs is mostly its log.
const KEPT: usize = 64;
/// Fewer entries than this between two states are stepped through faster than a frame is drawn.
const LEAST: usize = 200;

/// A drill that can be looked at as it was at any moment.
pub struct Replay {
    entries: Vec<Stamped>,
    /// The latest time up to each entry: a journal from elsewhere may have its times in any order.
    times_us: Vec<u64>,
    /// States in order, the first one before anything had happened.
    kept: Vec<State>,
    /// What was looked at last: from there on it is the shortest way.
    last: State,
}

/// A drill after some of its entries.
#[derive(Clone)]
struct State {
    drill: Drill,
    builder: SceneBuilder,
    /// When the last of those entries was.
    at: At,
    /// The entry that comes next.
    next: usize,
}

impl State {
    fn made(first: &Stamped) -> Result<Self, ReplayError> {
        let setup = Setup::from_made(&first.entry)?;
        let mut builder = SceneBuilder::new(&setup);
        let (drill, _) = Drill::new(setup, first.at);
        builder.feed(&drill, first.at, None);
        Ok(Self {
            drill,
            builder,
            at: first.at,
            next: 1,
        })
    }

    /// Takes every entry before `end`.
    fn go_on(&mut self, entries: &[Stamped], end: usize) {
        for stamped in entries.get(self.next..end).unwrap_or_default() {
            if let Entry::Event { event } = &stamped.entry {
                self.drill.step(stamped.at, event.clone());
                self.builder.feed(&self.drill, stamped.at, Some(event));
            }
            self.at = stamped.at;
            self.next += 1;
        }
    }
}

/// A drill that goes on while its journal is read: each entry is taken once, and the window is that of the newest.
pub struct Following(State);

impl Following {
    /// From the journal's first entry.
    pub fn new(first: &Stamped) -> Result<Self, ReplayError> {
        State::made(first).map(Self)
    }

    /// Takes the next entry.
    pub fn take(&mut self, entry: &Stamped) {
        self.0.next = 0;
        self.0.go_on(std::slice::from_ref(entry), 1);
    }

    /// The drill as it is now.
    pub fn drill(&self) -> &Drill {
        &self.0.drill
    }

    /// When the newest entry was.
    pub fn at(&self) -> At {
        self.0.at
    }

    /// The window as it is now; the same as [`scene_at`](crate::scene_at) of what was taken.
    pub fn scene(&self) -> Scene {
        let scene = self.0.builder.scene(&self.0.drill, self.0.at);
        window(&self.0.drill, scene)
    }
}

impl Replay {
    /// Steps through a journal's entries once, and keeps states on the way.
    pub fn new(entries: Vec<Stamped>) -> Result<Self, ReplayError> {
        let mut last = State::made(entries.first().ok_or(ReplayError::NotMade)?)?;
        let mut kept = vec![last.clone()];
        let apart = entries.len().div_ceil(KEPT).max(LEAST);
        for end in (apart..entries.len()).step_by(apart) {
            last.go_on(&entries, end);
            kept.push(last.clone());
        }
        last.go_on(&entries, entries.len());
        let times_us = entries
            .iter()
            .scan(0, |latest, entry| {
                *latest = entry.at.mono_us.max(*latest);
                Some(*latest)
            })
            .collect();
        Ok(Self {
            entries,
            times_us,
            kept,
            last,
        })
    }

    /// The last moment that the journal knows, microseconds since the drill was made.
    pub fn end_us(&self) -> u64 {
        self.times_us.last().copied().unwrap_or(0)
    }

    /// The window as it was at `until_us`; the same as [`scene_at`](crate::scene_at).
    pub fn at(&mut self, until_us: u64) -> Scene {
        let end = self.times_us.partition_point(|us| *us <= until_us).max(1);
        let near = self.kept.iter().rev().find(|state| state.next <= end);
        if let Some(near) = near
            && (self.last.next > end || self.last.next < near.next)
        {
            self.last = near.clone();
        }
        self.last.go_on(&self.entries, end);
        let now = clocks(self.last.at, until_us, self.end_us());
        let scene = self.last.builder.scene(&self.last.drill, now);
        window(&self.last.drill, scene)
    }
}
