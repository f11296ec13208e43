//! What must always be true of consoles, checked by what they were given, what they send and what is really on.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_drill::{ABORT_TEST_GOOD_MS, Call, Drill, Effect, Entry, HoldStage, Outcome, Phase, Verdict};
use firedrill_ward::Key;
use firedrill_wire::{InjectionId, InjectionState as S};

use crate::books::Seen;
use crate::console::Console;
use crate::plans;
use crate::report::Rule;
use crate::world::World;

/// Silence of the source that must have stopped a drill, in microseconds: freshness, the bad samples in a row,
/// and the drill's own ticks.
const BLIND_US: u64 = (plans::EVERY_MS * (2 + plans::AFTER as u64) + 900) * 1_000;
/// The contact that a start needs is at most so old, in microseconds; the drill's own bound and a tick.
const CONTACT_US: u64 = 3_500_000;

/// A start follows a sample of the source that is no older, in microseconds: two of its intervals and what a drill
/// allows for the way, with the lateness of this source's samples.
const SEEN_US: u64 = (plans::EVERY_MS * 2 + 200 + 2 * 20) * 1_000;

/// One console, as an onlooker knows it.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    /// When the newest sample with a value was taken, and how many bad ones came in a row while a fault was on.
    newest_us: u64,
    bad_in_row: u32,
    on_since_us: Option<u64>,
    /// Each injection as it was last shown.
    shown: Vec<Option<S>>,
    /// The drill has asked for an abort.
    told_abort: bool,
    /// When the abort path to an agent was last exercised, and when it last answered a heartbeat.
    pub tested: BTreeMap<usize, u64>,
    pub beaten: BTreeMap<usize, u64>,
    held: BTreeSet<usize>,
    /// The drill was held, and since when somebody has gone on.
    was_held: bool,
    pub resumed_us: Option<u64>,
    card: bool,
    verdict: bool,
}

impl Sight {
    /// A sample with a value was taken at the source and given to the console.
    pub fn sampled(&mut self, now: u64, bad: bool, drill: &Drill) {
        self.newest_us = now;
        let counts = bad && drill.phase() == Phase::Inject && drill.fault_is_on();
        self.bad_in_row = if counts { self.bad_in_row + 1 } else { 0 };
    }

    /// The effects of one step, before they are carried out: `ending` is what the drill says of itself.
    pub fn effects(&mut self, now: u64, effects: &[Effect], ending: bool) -> Seen {
        let mut others = false;
        for effect in effects {
            match effect {
                Effect::Abort { .. } => {
                    if others {
                        return Err((
                            Rule::AbortNeedsNothing,
                            "an abort stands behind another effect of its step".to_owned(),
                        ));
                    }
                    self.told_abort = true;
                    continue;
                }
                Effect::HoldAbortLine { agents } => self.held.extend(agents),
                Effect::WriteAbortCard => self.card = true,
                Effect::Record {
                    entry: Entry::Verdict { .. },
                    durable: true,
                } => self.verdict = true,
                Effect::End { .. } if !self.verdict => {
                    return Err((
                        Rule::Explained,
                        "a drill ends and its verdict is not on disk".to_owned(),
                    ));
                }
                Effect::Call { agent, call } => self.call(now, *agent, call, ending)?,
                _ => {}
            }
            others = true;
        }
        Ok(())
    }

    fn call(&self, now: u64, agent: usize, call: &Call, ending: bool) -> Seen {
        let starts = matches!(call, Call::Open(_) | Call::Start(..) | Call::Change(..));
        if (self.told_abort && matches!(call, Call::Renew(_))) || (starts && (self.told_abort || ending)) {
            return Err((
                Rule::AbortWins,
                "an opening, a start, a change or a renewal follows the drill's end".to_owned(),
            ));
        }
        if !matches!(call, Call::Open(_)) {
            return Ok(());
        }
        let good = self
            .tested
            .get(&agent)
            .is_some_and(|at| now - at <= (ABORT_TEST_GOOD_MS + 1_000) * 1_000);
        let missing = if !good {
            "a good test of the abort path"
        } else if !self.held.contains(&agent) {
            "an abort line"
        } else if !self.card {
            "the abort card"
        } else {
            return Ok(());
        };
        Err((
            Rule::AbortNeedsNothing,
            format!("agent {agent} is opened without {missing}"),
        ))
    }

    fn silent_us(&self, now: u64, agent: usize) -> u64 {
        now - self.beaten.get(&agent).copied().unwrap_or(0)
    }

    /// A start goes out only with the abort line alive to every agent of the drill, and while the source is seen.
    pub fn starts(&self, now: u64, drill: &Drill) -> Seen {
        let blind_us = now - self.newest_us;
        if blind_us > SEEN_US {
            let words = format!(
                "a start is sent and the newest sample is {} ms old",
                blind_us / 1_000
            );
            return Err((Rule::NoDataIsBadData, words));
        }
        // A clock that drifts measures a little less.
        let baseline_us = drill.experiment().map_or(0, |it| it.baseline_ms * 999);
        if self.was_held && self.resumed_us.is_none_or(|at| now - at < baseline_us) {
            let words = "a start follows a hold without a new baseline".to_owned();
            return Err((Rule::HeldIsOff, words));
        }
        let lost = needed(drill).find(|agent| self.silent_us(now, *agent) > CONTACT_US);
        lost.map_or(Ok(()), |agent| {
            Err((
                Rule::AbortNeedsNothing,
                format!("a start is sent while the abort line to agent {agent} is silent"),
            ))
        })
    }

    /// With each tick of a console that runs: a drill that flies blind, sees what it must stop for, or has lost an
    /// agent, ends.
    pub fn ticks(&mut self, now: u64, drill: &Drill) -> Seen {
        let injects = drill.phase() == Phase::Inject && !drill.is_ending();
        let lease_us = drill.experiment().map_or(0, |it| it.lease_ms * 1_000);
        if injects
            && let Some(agent) = needed(drill).find(|it| self.silent_us(now, *it) > lease_us + 1_500_000)
        {
            return Err((
                Rule::AbortNeedsNothing,
                format!(
                    "the abort line to agent {agent} is silent for longer than a lease and the drill goes on"
                ),
            ));
        }
        if !injects || !drill.fault_is_on() {
            self.on_since_us = None;
            self.bad_in_row = 0;
            return Ok(());
        }
        let since = *self.on_since_us.get_or_insert(now);
        let blind_us = now.saturating_sub(self.newest_us.max(since));
        let words = if blind_us > BLIND_US {
            format!(
                "the newest sample is {} ms old and the drill goes on",
                blind_us / 1_000
            )
        } else if self.bad_in_row > plans::AFTER + 1 {
            format!("{} samples outside `stop` and the drill goes on", self.bad_in_row)
        } else {
            return Ok(());
        };
        Err((Rule::NoDataIsBadData, words))
    }

    /// Whether the drill was just read back as held.
    fn holds(&mut self, drill: &Drill) -> bool {
        let held = drill.hold().is_some_and(|it| it.stage == HoldStage::Held);
        let begins = held && (!self.was_held || self.resumed_us.is_some());
        if held {
            self.was_held = true;
            self.resumed_us = None;
        }
        begins
    }

    /// What a console shows of an injection never goes back.
    fn forward(&mut self, drill: &Drill) -> Result<(), String> {
        let injections = drill.injections();
        self.shown.resize(injections.len(), None);
        for (shown, injection) in self.shown.iter_mut().zip(injections) {
            let before = std::mem::replace(shown, injection.state);
            if before != injection.state && rank(before) >= rank(injection.state) {
                return Err(format!(
                    "{} is shown as {:?} after {before:?}",
                    injection.id, injection.state
                ));
            }
        }
        Ok(())
    }
}

fn needed(drill: &Drill) -> impl Iterator<Item = usize> + '_ {
    let all = drill.agents().iter().enumerate();
    all.filter(|(_, it)| it.needed).map(|(index, _)| index)
}

impl World {
    /// After every event: what a console shows as off is off, and nothing shown goes back.
    pub(crate) fn check_shown(&mut self) -> Result<(), String> {
        for place in 0..self.consoles.len() {
            self.check_shown_off(&self.consoles[place])?;
            let console = &mut self.consoles[place];
            console.sight.forward(&console.drill)?;
        }
        Ok(())
    }

    /// While a drill is held, or takes its new baseline, nothing of it is on.
    pub(crate) fn check_held(&mut self) -> Result<(), String> {
        for place in 0..self.consoles.len() {
            let console = &mut self.consoles[place];
            let Some(hold) = console.drill.hold() else {
                continue;
            };
            if hold.stage == HoldStage::Reverting {
                continue;
            }
            self.counts.holds += u64::from(console.sight.holds(&console.drill));
            let console = &self.consoles[place];
            for (agent, status) in console.drill.agents().iter().enumerate() {
                let Some(opened) = &status.opened else { continue };
                let done = |id: &InjectionId| {
                    let all = console.drill.injections();
                    all.iter().any(|it| it.id == *id && it.state == Some(S::Done))
                };
                let on = self.agents[agent].on.keys();
                let mut ours = on.filter(|key| key.epoch == opened.epoch && !done(&key.id));
                if let Some(key) = ours.next() {
                    return Err(format!("{} is on agent {agent} while its drill is held", key.id));
                }
            }
        }
        Ok(())
    }

    fn check_shown_off(&self, console: &Console) -> Result<(), String> {
        for injection in console.drill.injections() {
            if !injection.is_off() || injection.state == Some(S::Done) {
                continue;
            }
            let agent = &self.agents[injection.agent];
            if agent.is_idle() {
                continue;
            }
            let Some(opened) = &console.drill.agents()[injection.agent].opened else {
                continue;
            };
            let key = Key {
                epoch: opened.epoch,
                id: injection.id.clone(),
            };
            if agent.on.contains_key(&key) || agent.applies(&key) {
                return Err(format!(
                    "{} is shown as {:?} and is on, or about to be, on agent {}",
                    key.id, injection.state, injection.agent
                ));
            }
        }
        Ok(())
    }

    /// A verdict names all that may be on, and why it was found.
    pub(crate) fn check_verdict(&mut self, life: u32, verdict: &Verdict) {
        let empty = |it: &firedrill_drill::Reason| it.rule.is_empty() || it.words.is_empty();
        if verdict.reasons.is_empty() || verdict.reasons.iter().any(empty) {
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
        let Some(console) = self.consoles.iter().find(|it| it.life == life) else {
            return;
        };
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
