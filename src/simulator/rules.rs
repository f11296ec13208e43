//! What must always be true of agents, checked against what is really on.

use firedrill_ward::{Key, Reply};
use firedrill_wire::{AbortLine, Epoch, InjectionState as S, InjectionView, Tick};

use crate::agent::{AbortAsked, claims_of};
use crate::books::Seen;
use crate::report::Rule;
use crate::world::World;

/// Between an end and what follows from it.
const SLACK_MS: u64 = 50;

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
    }

    fn check_agent(&self, index: usize) -> Seen {
        let agent = &self.agents[index];
        if agent.on.is_empty() || self.now <= agent.frozen_until + SLACK_MS * 1_000 {
            return Ok(());
        }
        let Some(ward) = &agent.ward else { return Ok(()) };
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
        let claims = claims_of(view.fault.as_str(), view.scope.route.as_deref());
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
        self.check_off(index, &key, view.state)
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
