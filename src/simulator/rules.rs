//! What must always be true, checked against what is really on.
//!
//! The rules keep books of their own, from the messages alone: they ask neither the ward nor the drill
//! whether an epoch is dead.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_drill::{Drill, Outcome, Phase, Verdict};
use firedrill_ward::{Event, Key, Reply};
use firedrill_wire::{AbortLine, DrillId, Epoch, InjectionState as S, Tick};

use crate::plans;
use crate::report::Rule;
use crate::world::World;

/// Silence of the source that must have stopped a drill, in microseconds: freshness, the bad samples in a row,
/// and the drill's own ticks.
const BLIND_US: u64 = (plans::EVERY_MS * (2 + plans::AFTER as u64) + 700) * 1_000;
/// Between an end and what follows from it.
const SLACK_MS: u64 = 50;

/// One agent, as an onlooker on its network and at its host knows it.
#[derive(Debug, Default)]
struct Book {
    /// Epochs that were answered to openings.
    given: BTreeMap<Epoch, DrillId>,
    /// When the lease of each ends.
    deadlines: BTreeMap<Epoch, Tick>,
    dead_up_to: Epoch,
    closed: BTreeSet<Epoch>,
    /// Drills named in an abort, and whether the agent said that it is on disk.
    dead_drills: BTreeMap<DrillId, bool>,
    aborts: BTreeSet<String>,
    latched: bool,
    latch_durable: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Rules {
    books: Vec<Book>,
    /// When the newest sample with a value was taken, and how many bad ones came in a row while a fault was on.
    newest_us: u64,
    bad_in_row: u32,
    on_since_us: Option<u64>,
    /// Each injection as the console last showed it.
    shown: Vec<Option<S>>,
}

impl Rules {
    pub fn new(agents: usize) -> Self {
        Self {
            books: (0..agents).map(|_| Book::default()).collect(),
            ..Self::default()
        }
    }

    pub fn console_begins(&mut self) {
        self.newest_us = 0;
        self.bad_in_row = 0;
        self.on_since_us = None;
        self.shown.clear();
    }

    /// A request reaches a living agent.
    pub fn agent_hears(&mut self, agent: usize, event: &Event) {
        let book = &mut self.books[agent];
        match event {
            Event::Abort { request, .. } => {
                let fresh = request
                    .abort
                    .as_ref()
                    .is_none_or(|id| book.aborts.insert(id.clone()));
                if let Some(drill) = &request.drill {
                    book.dead_drills.entry(drill.clone()).or_insert(false);
                }
                if fresh && (request.latch || request.drill.is_none()) {
                    book.dead_up_to = book.newest();
                }
                if fresh && request.latch {
                    book.latched = true;
                    book.latch_durable = false;
                }
            }
            Event::Close { epoch, .. } if book.given.contains_key(epoch) => {
                book.closed.insert(*epoch);
            }
            Event::Release { .. } => book.latch_durable = false,
            _ => {}
        }
    }

    /// An agent answers.
    pub fn agent_says(&mut self, agent: usize, reply: &Reply) -> Result<(), String> {
        let book = &mut self.books[agent];
        match reply {
            Reply::Opened(opened) => {
                let newest = book.newest();
                if opened.epoch != newest || book.dead_up_to >= newest || book.closed.contains(&newest) {
                    return Err(format!(
                        "epoch {} is answered and is dead, the newest is {newest}",
                        opened.epoch
                    ));
                }
                book.deadlines.insert(opened.epoch, opened.deadline);
            }
            Reply::Renewed(renewed) => {
                let newest = book.newest();
                let deadline = book.deadlines.entry(newest).or_default();
                *deadline = renewed.deadline.max(*deadline);
            }
            Reply::Released(_) => book.latched = false,
            _ => {}
        }
        Ok(())
    }

    /// An agent gives out an epoch.
    pub fn agent_opened(&mut self, agent: usize, drill: &DrillId, epoch: Epoch) -> Result<(), String> {
        let book = &mut self.books[agent];
        let newest = book.newest();
        if epoch <= newest {
            return Err(format!("epoch {epoch} is given out after epoch {newest}"));
        }
        if let Some((former, _)) = book.given.iter().find(|(_, known)| *known == drill) {
            return Err(format!(
                "{drill} had epoch {former} here and is opened again as epoch {epoch}"
            ));
        }
        book.given.insert(epoch, drill.clone());
        if book.dead_drills.contains_key(drill) {
            return Err(format!("{drill} was opened after it was aborted"));
        }
        if book.latched {
            return Err(format!("{drill} was opened under the latch"));
        }
        Ok(())
    }

    pub fn agent_streams(&mut self, agent: usize, line: &AbortLine) {
        let book = &mut self.books[agent];
        if let AbortLine::Received {
            durable: true, latch, ..
        } = line
        {
            book.latch_durable |= latch.is_some() && book.latched;
            book.dead_drills.values_mut().for_each(|durable| *durable = true);
        }
    }

    /// An agent's process ends: its epochs are dead, and what was not on disk may be forgotten.
    pub fn died(&mut self, agent: usize) {
        let book = &mut self.books[agent];
        book.dead_up_to = book.newest();
        book.dead_drills.retain(|_, durable| *durable);
    }

    /// Whether `key` may come on now.
    pub fn may_apply(&self, agent: usize, key: &Key, tick: Tick) -> Result<(), String> {
        let book = &self.books[agent];
        let epoch = key.epoch;
        let drill = book.given.get(&epoch);
        let lapsed = book
            .deadlines
            .get(&epoch)
            .is_some_and(|deadline| *deadline < tick);
        let why = if drill.is_none() {
            "its epoch was never given out"
        } else if epoch <= book.dead_up_to {
            "its epoch was aborted, or the agent restarted since"
        } else if book.closed.contains(&epoch) {
            "its epoch was closed"
        } else if drill.is_some_and(|drill| book.dead_drills.contains_key(drill)) {
            "its drill was aborted"
        } else if book.latched {
            "the agent is latched"
        } else if lapsed {
            "its lease has lapsed"
        } else {
            return Ok(());
        };
        Err(format!(
            "{} of epoch {epoch} starts on agent {agent} although {why}",
            key.id
        ))
    }

    /// A sample with a value was taken at the source and given to the console.
    pub fn sampled(&mut self, now: u64, bad: bool, drill: &Drill) {
        self.newest_us = now;
        let counts = bad && drill.phase() == Phase::Inject && drill.fault_is_on();
        self.bad_in_row = if counts { self.bad_in_row + 1 } else { 0 };
    }
}

impl Book {
    fn newest(&self) -> Epoch {
        self.given.keys().next_back().copied().unwrap_or_default()
    }
}

impl World {
    /// After every event: what is on is known, meant and timely; what is shown as off is off.
    pub(crate) fn check(&mut self) {
        for index in 0..self.agents.len() {
            if let Err((rule, words)) = self.check_agent(index) {
                return self.broken(rule, words);
            }
        }
        if let Err(words) = self.check_shown().and_then(|()| self.check_forward()) {
            self.broken(Rule::ShownMeansRead, words);
        }
    }

    /// What a console shows of an injection never goes back.
    fn check_forward(&mut self) -> Result<(), String> {
        let Some(console) = &self.console else {
            return Ok(());
        };
        let shown = &mut self.rules.shown;
        for (index, injection) in console.drill.injections().iter().enumerate() {
            if index >= shown.len() {
                shown.push(injection.state);
            }
            let before = std::mem::replace(&mut shown[index], injection.state);
            if before != injection.state && rank(before) >= rank(injection.state) {
                return Err(format!(
                    "{} is shown as {:?} after {before:?}",
                    injection.id, injection.state
                ));
            }
        }
        Ok(())
    }

    fn check_agent(&self, index: usize) -> Result<(), (Rule, String)> {
        let agent = &self.agents[index];
        if agent.on.is_empty() || self.now <= agent.frozen_until + SLACK_MS * 1_000 {
            return Ok(());
        }
        let Some(ward) = &agent.ward else { return Ok(()) };
        let tick = agent.tick(self.now);
        for (key, on) in &agent.on {
            let name = format!("{} of epoch {} on agent {index}", key.id, key.epoch);
            let Some(view) = ward.injection(&key.id, tick) else {
                return Err((
                    Rule::EveryInjectionEnds,
                    format!("{name} is on and its agent does not know it"),
                ));
            };
            if view.state.is_off() {
                return Err((
                    Rule::ShownMeansRead,
                    format!("{name} is on and its agent says {:?}", view.state),
                ));
            }
            if view.state != S::Active {
                continue;
            }
            if let Err(words) =
                self.rules
                    .may_apply(index, key, Tick(tick.0.saturating_sub(SLACK_MS * 1_000)))
            {
                return Err((Rule::AbortWins, format!("{name} stays on: {words}")));
            }
            if on.ends.plus_ms(SLACK_MS) < tick {
                return Err((
                    Rule::EveryInjectionEnds,
                    format!("{name} is on after its own end"),
                ));
            }
        }
        Ok(())
    }

    fn check_shown(&self) -> Result<(), String> {
        let Some(console) = &self.console else {
            return Ok(());
        };
        for injection in console.drill.injections() {
            if !injection.is_off() || injection.state == Some(S::Done) {
                continue;
            }
            let status = &console.drill.agents()[injection.agent];
            let Some(opened) = &status.opened else { continue };
            let key = Key {
                epoch: opened.epoch,
                id: injection.id.clone(),
            };
            let agent = &self.agents[injection.agent];
            if agent.on.contains_key(&key) || agent.applies(&key) {
                return Err(format!(
                    "{} is shown as {:?} and is on, or about to be, on agent {}",
                    key.id, injection.state, injection.agent
                ));
            }
        }
        Ok(())
    }

    /// With each tick of a console that runs: a drill that flies blind, or sees what it must stop for, ends.
    pub(crate) fn check_samples(&mut self) {
        let now = self.now;
        let Some(console) = &self.console else { return };
        let drill = &console.drill;
        let on = drill.phase() == Phase::Inject && drill.fault_is_on() && !drill.is_ending();
        let since = *self.rules.on_since_us.get_or_insert(now);
        if !on {
            self.rules.on_since_us = None;
            self.rules.bad_in_row = 0;
            return;
        }
        let judged_from_us = self.rules.newest_us.max(since);
        let blind_us = now.saturating_sub(judged_from_us);
        let bad = self.rules.bad_in_row;
        if blind_us > BLIND_US {
            let words = format!(
                "the newest sample is {} ms old and the drill goes on",
                blind_us / 1_000
            );
            self.broken(Rule::NoDataIsBadData, words);
        } else if bad > plans::AFTER + 1 {
            self.broken(
                Rule::NoDataIsBadData,
                format!("{bad} samples outside `stop` and the drill goes on"),
            );
        }
    }

    /// A verdict names all that may be on, and why it was found.
    pub(crate) fn check_verdict(&mut self, verdict: &Verdict) {
        if verdict.reasons.is_empty()
            || verdict
                .reasons
                .iter()
                .any(|it| it.rule.is_empty() || it.words.is_empty())
        {
            self.broken(
                Rule::Explained,
                format!("a verdict without its reasons: {verdict:?}"),
            );
        }
        if verdict.outcome == Outcome::Held && !verdict.unconfirmed.is_empty() {
            self.broken(
                Rule::ShownMeansRead,
                "held, with something unconfirmed".to_owned(),
            );
        }
        let Some(console) = &self.console else { return };
        let ids: BTreeSet<_> = console.drill.injections().iter().map(|it| &it.id).collect();
        let on = self
            .agents
            .iter()
            .flat_map(|agent| agent.on.keys())
            .map(|key| &key.id);
        let untold = on
            .filter(|id| ids.contains(id) && !verdict.unconfirmed.contains(id))
            .min()
            .cloned();
        if let Some(id) = untold {
            self.broken(
                Rule::ShownMeansRead,
                format!("{id} is on and the verdict does not say so"),
            );
        }
    }

    /// A new life has what the old one said was on disk.
    pub(crate) fn check_recovered(&mut self, index: usize) {
        let book = &mut self.rules.books[index];
        let latch = self.agents[index]
            .ward
            .as_ref()
            .is_some_and(|ward| ward.latch().is_some());
        let lost = book.latched && book.latch_durable && !latch;
        book.latched = latch;
        if lost {
            self.broken(
                Rule::Durable,
                format!("agent {index} has lost the latch that it said was on disk"),
            );
        }
    }
}

/// How far a state is on its way.
fn rank(state: Option<S>) -> u8 {
    match state {
        None => 0,
        Some(S::Starting) => 1,
        Some(S::Active) => 2,
        Some(S::Reverting) => 3,
        Some(S::Unconfirmed) => 4,
        Some(S::Reverted | S::Refused | S::Failed | S::Done) => 5,
    }
}
