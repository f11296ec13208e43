//! What must always be true of agents, checked against what is really on.

use firedrill_ward::{Key, Reply, Ward};
use firedrill_wire::{AbortLine, Epoch, EventKind, InjectionState as S, InjectionView, Tick};
use serde_json::Value;

use crate::agent::{AbortAsked, Agent};
use crate::books::Seen;
use crate::host::claims_of;
use crate::report::Rule;
use crate::world::World;

/// Between an end and what follows from it.
const SLACK_MS: u64 = 50;
/// After its agent's death nothing is on for longer, in simulated microseconds.
const AFTER_DEATH_US: u64 = 1_000_000;
/// Nor after its end while its agent hangs: the keeper's patience, and what it needs.
const WHILE_HUNG_MS: u64 = 2_000 + 500;

impl World {
    /// After every event: what is on is known, meant and timely; what is shown as off is off.
    pub(crate) fn check(&mut self) {
        for index in 0..self.agents.len() {
            if let Err((rule, words)) = self.check_agent(index) {
                return self.broken(rule, format!("agent {index}: {words}"));
            }
        }
        if let Err(words) = self.check_shown() {
            self.broken(Rule::ShownMeansRead, words);
        }
        if let Err(words) = self.check_held() {
            self.broken(Rule::HeldIsOff, words);
        }
    }

    fn check_agent(&self, index: usize) -> Seen {
        let agent = &self.agents[index];
        if agent.on.is_empty() {
            return Ok(());
        }
        let Some(ward) = &agent.ward else {
            return self.check_dead(agent);
        };
        if self.now <= agent.frozen_until + SLACK_MS * 1_000 {
            return self.check_hung(agent, ward);
        }
        let tick = agent.tick(self.now);
        for (key, on) in &agent.on {
            let name = || format!("{} of epoch {}", key.id, key.epoch);
            let Some(state) = ward.state_of(key) else {
                return Err((
                    Rule::EveryInjectionEnds,
                    format!("{} is on and its agent does not know it", name()),
                ));
            };
            if state.is_off() {
                return Err((
                    Rule::ShownMeansRead,
                    format!("{} is on and its agent says {state:?}", name()),
                ));
            }
            if state != S::Active {
                continue;
            }
            let before = Tick(tick.0.saturating_sub(SLACK_MS * 1_000));
            if on.outlives && agent.book.unkept {
                return Err((
                    Rule::EveryInjectionEnds,
                    format!(
                        "{} stays on although nobody would end it if its agent hung",
                        name()
                    ),
                ));
            }
            if let Err(why) = agent.book.alive(key.epoch, before) {
                return Err((Rule::AbortWins, format!("{} stays on although {why}", name())));
            }
            if on.ends.plus_ms(SLACK_MS) < tick {
                return Err((
                    Rule::EveryInjectionEnds,
                    format!("{} is on after its own end", name()),
                ));
            }
        }
        Ok(())
    }

    /// The keeper runs what a dead agent has left, at once.
    fn check_dead(&self, agent: &Agent) -> Seen {
        let since_us = agent.died_us.unwrap_or(0);
        let since_us = since_us.max(agent.stuck_until).max(agent.frozen_until);
        // A keeper that tries again waits a moment.
        let late = self.now > since_us + AFTER_DEATH_US + SLACK_MS * 1_000;
        match agent.on.keys().next() {
            Some(key) if late && agent.keeper.answers() => Err((
                Rule::EveryInjectionEnds,
                format!(
                    "{} is on {} ms after its agent has died",
                    key.id,
                    (self.now - since_us) / 1_000
                ),
            )),
            _ => Ok(()),
        }
    }

    /// The keeper ends an agent that hangs, and with it what should have ended.
    fn check_hung(&self, agent: &Agent, ward: &Ward) -> Seen {
        if !agent.hangs || !agent.keeper.answers() || self.now < agent.frozen_until.min(agent.stuck_until) {
            return Ok(());
        }
        let tick = agent.tick(self.now);
        for (key, on) in &agent.on {
            let lease = agent.book.deadline_of(key.epoch).unwrap_or(on.ends);
            let late = on.ends.min(lease).plus_ms(WHILE_HUNG_MS) < tick;
            if late && ward.state_of(key) == Some(S::Active) {
                return Err((
                    Rule::EveryInjectionEnds,
                    format!(
                        "{} is on long after its end or lease, and its agent hangs",
                        key.id
                    ),
                ));
            }
        }
        Ok(())
    }

    /// At the effect that changes it: rightly asked for, newer than what was made before, and of what is on and not
    /// being taken back.
    pub(crate) fn check_adjust(&mut self, index: usize, key: &Key, parameters: &Value) -> Seen {
        let tick = self.agents[index].tick(self.now);
        self.agents[index].book.may_change(key, parameters, tick)?;
        let agent = &self.agents[index];
        let state = agent.ward.as_ref().and_then(|ward| ward.state_of(key));
        if state == Some(S::Active) && agent.on.contains_key(key) {
            return Ok(());
        }
        Err((Rule::AbortWins, format!("{} is changed and is {state:?}", key.id)))
    }

    /// What an agent tells of an injection.
    pub(crate) fn check_told(&self, index: usize, kind: &EventKind) -> Seen {
        match kind {
            EventKind::Injection { injection } => self.check_view(index, injection),
            _ => Ok(()),
        }
    }

    /// At the effect that puts it on: rightly asked for, its undo record on disk, nobody else's resource, and not
    /// while the agent still undoes a former life.
    pub(crate) fn check_apply(&mut self, index: usize, key: &Key) -> Seen {
        let tick = self.agents[index].tick(self.now);
        self.agents[index].book.may_apply(key, tick)?;
        let agent = &self.agents[index];
        let Some(ward) = &agent.ward else { return Ok(()) };
        let Some(view) = ward.injection(&key.id, tick) else {
            return Ok(());
        };
        let on_disk = agent
            .disk
            .records
            .iter()
            .any(|it| it.id == key.id && it.epoch == key.epoch);
        if !on_disk {
            return Err((
                Rule::Durable,
                format!("{} is put on before its undo record is on disk", key.id),
            ));
        }
        if agent.book.unkept {
            return Err((
                Rule::EveryInjectionEnds,
                format!(
                    "{} is put on although nobody would end it if its agent hung",
                    key.id
                ),
            ));
        }
        let claims = claims_of(view.fault.as_str(), &view.scope);
        let other = agent
            .on
            .iter()
            .map(|(other, on)| (other, &on.claims))
            .chain(agent.applying());
        for (other, theirs) in other {
            if other != key && theirs.iter().any(|claim| claims.contains(claim)) {
                return Err((
                    Rule::OneClaim,
                    format!("{} takes what {} still holds", key.id, other.id),
                ));
            }
        }
        let instance = agent.instance();
        let former = ward
            .injections(tick)
            .into_iter()
            .find(|it| it.started_by != instance && it.state == S::Reverting);
        if let Some(former) = former {
            return Err((
                Rule::EveryInjectionEnds,
                format!(
                    "{} starts while {} of a former life is being undone",
                    key.id, former.id
                ),
            ));
        }
        Ok(())
    }

    /// An answer says that something is off only if it is.
    pub(crate) fn check_reply(&self, index: usize, reply: &Reply) -> Seen {
        match reply {
            Reply::Injection(view) => self.check_view(index, view),
            Reply::Closed(closed) => {
                for view in &closed.injections {
                    self.check_view(index, view)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn check_view(&self, index: usize, view: &InjectionView) -> Seen {
        let key = Key {
            epoch: view.epoch,
            id: view.id.clone(),
        };
        self.check_off(index, &key, view.state)?;
        let on = self.agents[index].on.get(&key);
        match on.filter(|on| view.state == S::Active && on.parameters != view.parameters) {
            None => Ok(()),
            Some(on) => Err((
                Rule::ShownMeansRead,
                format!(
                    "{} is shown with {} and is on with {}",
                    key.id, view.parameters, on.parameters
                ),
            )),
        }
    }

    fn check_off(&self, index: usize, key: &Key, state: S) -> Seen {
        let agent = &self.agents[index];
        if state.is_off() && state != S::Done && (agent.on.contains_key(key) || agent.applies(key)) {
            return Err((
                Rule::ShownMeansRead,
                format!("{} is answered as {state:?} and is on, or about to be", key.id),
            ));
        }
        Ok(())
    }

    /// A line of an abort's answer is true.
    pub(crate) fn check_line(&self, index: usize, asked: &AbortAsked, line: &AbortLine) -> Seen {
        let agent = &self.agents[index];
        match line {
            AbortLine::Reverted { injection, state, .. } => {
                let all = agent.on.keys().filter(|key| key.id == *injection);
                for key in all.filter(|key| key.epoch <= asked.up_to) {
                    self.check_off(index, key, *state)?;
                }
                Ok(())
            }
            AbortLine::Proved {
                injection,
                clean: true,
                ..
            } if !agent.proved.contains(injection) => Err((
                Rule::ShownMeansRead,
                format!("{injection} is called proved and nobody has looked"),
            )),
            AbortLine::End { clean: true, .. } => {
                let left = agent.on.keys().chain(agent.applying().map(|(key, _)| key));
                let hit = |epoch: Epoch| {
                    asked.everything
                        || asked.drill.is_some() && agent.book.drill_of(epoch) == asked.drill.as_ref()
                };
                let left = left
                    .filter(|key| key.epoch <= asked.up_to && hit(key.epoch))
                    .min();
                left.map_or(Ok(()), |key| {
                    Err((
                        Rule::ShownMeansRead,
                        format!("an abort ends as clean and {} is on", key.id),
                    ))
                })
            }
            _ => Ok(()),
        }
    }
}
