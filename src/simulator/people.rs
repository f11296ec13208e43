//! People and misfortunes: what happens to a world besides its own traffic.

use firedrill_ward::Reply;
use firedrill_wire::{
    AbortRequest, CloseRequest, DrillId, Fence, InjectionId, OpenRequest, ReleaseRequest, Scope, StartRequest,
};

use crate::agent::Disk;
use crate::messages::{Body, From};
use crate::report::{Rule, Sabotage};
use crate::world::{Happening, World};

/// What befalls a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfortune {
    ConsoleCrash,
    ConsoleFreeze,
    WallClock,
    JournalFull,
    AgentCrash(usize),
    AgentReboot(usize),
    AgentFreeze(usize),
    DiskFull(usize),
    DiskHangs(usize),
    DiskFine(usize),
    Stuck(usize),
    Cut(usize),
    SourceSilent,
    SourceBad,
    PersonAborts,
    PersonFinishes,
    CardAborts,
    Release(usize),
    /// A message of long ago comes once more.
    Replay,
}

impl World {
    /// Between none and many, at times of their own.
    pub(crate) fn draw_misfortunes(&mut self) {
        use Misfortune as M;
        let many = self.random.between(0, 5);
        for _ in 0..many {
            let agent = self.random.below(self.agents.len());
            let misfortune = match self.random.below(24) {
                0 | 1 => M::ConsoleCrash,
                2 => M::ConsoleFreeze,
                3 => M::WallClock,
                4 => M::JournalFull,
                5 => M::AgentCrash(agent),
                6 => M::AgentReboot(agent),
                7 => M::AgentFreeze(agent),
                8 => M::DiskFull(agent),
                9 => M::DiskHangs(agent),
                10 => M::Stuck(agent),
                11 | 12 => M::Cut(agent),
                13 => M::SourceSilent,
                14 => M::SourceBad,
                15 | 16 => M::PersonAborts,
                20 | 21 => M::SourceSilent,
                22 => M::SourceBad,
                17 => M::PersonFinishes,
                18 => M::CardAborts,
                _ => M::Replay,
            };
            let at = self.random.between(0, 9_000_000);
            self.push(at, Happening::Misfortune(misfortune));
        }
        // Something old always comes back.
        for _ in 0..3 {
            let at = self.random.between(2_000_000, 18_000_000);
            self.push(at, Happening::Misfortune(M::Replay));
        }
    }

    pub(crate) fn befall(&mut self, misfortune: Misfortune) {
        use Misfortune as M;
        self.trace(|_| format!("misfortune: {misfortune:?}"));
        let now = self.now;
        match misfortune {
            M::ConsoleCrash => self.console_crash(),
            M::ConsoleFreeze => {
                self.counts.freezes += 1;
                let until = now + self.random.between(300_000, 6_000_000);
                if let Some(console) = self.console.as_mut() {
                    console.frozen_until = console.frozen_until.max(until);
                }
            }
            M::WallClock => self.wall_jumps(),
            M::JournalFull => {
                if let Some(console) = self.console.as_mut() {
                    console.paper.full = true;
                }
            }
            M::AgentCrash(agent) => self.agent_crash(agent, false),
            M::AgentReboot(agent) => {
                self.counts.clock_jumps += 1;
                self.agent_crash(agent, true);
            }
            M::AgentFreeze(agent) => {
                self.counts.freezes += 1;
                let until = now + self.random.between(300_000, 8_000_000);
                let frozen = &mut self.agents[agent].frozen_until;
                *frozen = until.max(*frozen);
            }
            M::DiskFull(agent) => self.disk_trouble(agent, Disk::Full),
            M::DiskHangs(agent) => self.disk_trouble(agent, Disk::Hangs),
            M::DiskFine(agent) => self.agents[agent].disk_state = Disk::Fine,
            M::Stuck(agent) => {
                self.agents[agent].stuck_until = now + self.random.between(500_000, 20_000_000);
            }
            M::Cut(agent) => self.ways[agent].cut_until = now + self.random.between(300_000, 9_000_000),
            M::SourceSilent => self.source.silent_until = now + self.random.between(500_000, 8_000_000),
            M::SourceBad => self.source.bad_until = now + self.random.between(300_000, 6_000_000),
            M::PersonAborts => self.person_presses(),
            M::PersonFinishes => {
                let command = firedrill_drill::Command::Finish;
                let life = self.console_life;
                let event = Box::new(firedrill_drill::Event::Command { command });
                self.push(now, Happening::Event { life, event });
            }
            M::CardAborts => self.card_aborts(),
            M::Release(agent) => self.person_releases(agent),
            M::Replay => self.replay_message(),
        }
    }

    fn disk_trouble(&mut self, agent: usize, disk: Disk) {
        self.agents[agent].disk_state = disk;
        let until = self.now + self.random.between(500_000, 6_000_000);
        self.push(until, Happening::Misfortune(Misfortune::DiskFine(agent)));
    }

    /// `firedrill abort` from another machine, with the card written at arming; the person tries three times.
    fn card_aborts(&mut self) {
        let Some(drill) = self.card.clone() else { return };
        self.counts.aborts += 1;
        let id = self.random.next();
        for agent in 0..self.agents.len() {
            for _ in 0..3 {
                let request = AbortRequest {
                    abort: Some(format!("card-{id}")),
                    drill: Some(drill.clone()),
                    latch: true,
                    reason: Some("from another terminal".to_owned()),
                    who: Some("bob".to_owned()),
                };
                self.remember(agent, &Body::Abort(request.clone()));
                self.send(agent, From::Card, Body::Abort(request));
            }
            let later = self.now + self.random.between(500_000, 5_000_000);
            self.push(later, Happening::Misfortune(Misfortune::Release(agent)));
        }
    }

    fn person_releases(&mut self, agent: usize) {
        let ward = self.agents[agent].ward.as_ref();
        let Some(latch) = ward.and_then(|ward| ward.latch()).map(|latch| latch.number) else {
            return;
        };
        let body = Body::Release(ReleaseRequest {
            latch,
            reason: "checked".to_owned(),
            who: "bob".to_owned(),
        });
        self.remember(agent, &body);
        self.send(agent, From::Person, body);
    }

    /// Keeps a message to send it again much later.
    pub(crate) fn remember(&mut self, agent: usize, body: &Body) {
        if self.old.len() < 64 {
            self.old.push((agent, body.clone()));
        } else {
            let place = self.random.below(64);
            self.old[place] = (agent, body.clone());
        }
    }

    fn replay_message(&mut self) {
        if self.old.is_empty() {
            return;
        }
        let (agent, body) = self.old[self.random.below(self.old.len())].clone();
        self.counts.duplicates += 1;
        self.send(agent, From::Call(0), body);
    }

    /// All trouble is over, but for who is still frozen: whatever is wrong long after this does not mend itself.
    pub(crate) fn heal(&mut self) {
        self.trace(|_| "all trouble is over".to_owned());
        self.healed = true;
        self.weather = crate::messages::Weather::default();
        self.trouble = crate::world::Trouble::default();
        self.source = crate::world::Source::default();
        for way in &mut self.ways {
            way.cut_until = 0;
        }
        for agent in &mut self.agents {
            agent.disk_state = Disk::Fine;
            agent.stuck_until = 0;
        }
    }

    /// At the very end: nothing is on, and every agent can be used again.
    pub(crate) fn check_end(&mut self) {
        for index in 0..self.agents.len() {
            if let Err((rule, words)) = self.try_agent(index) {
                return self.broken(rule, words);
            }
        }
    }

    fn try_agent(&mut self, index: usize) -> Result<(), (Rule, String)> {
        let end = |words: String| (Rule::ComesToAnEnd, words);
        let on = self.agents[index].on.keys().next().cloned();
        if let Some(key) = on {
            let words = format!(
                "{} is still on agent {index}, long after all trouble is over",
                key.id
            );
            return Err((Rule::EveryInjectionEnds, words));
        }
        let tick = self.agents[index].tick(self.now);
        let views = self.agents[index]
            .ward
            .as_ref()
            .map(|ward| ward.injections(tick))
            .unwrap_or_default();
        if let Some(view) = views.iter().find(|view| !view.state.is_off()) {
            return Err(end(format!(
                "{} is {:?} for ever on agent {index}",
                view.id, view.state
            )));
        }
        if self.agents[index]
            .ward
            .as_ref()
            .is_some_and(|ward| ward.latch().is_some())
        {
            self.person_releases(index);
            self.settle(1_000_000);
        }
        let drill = DrillId(format!("after-{index}"));
        let request = OpenRequest {
            drill: drill.clone(),
            nonce: "after".to_owned(),
            experiment: "after".to_owned(),
            console: "after".to_owned(),
            who: "bob".to_owned(),
            lease_ms: 60_000,
        };
        let Some(Reply::Opened(opened)) = self.person_asks(index, Body::Open(request)) else {
            return Err(end(format!(
                "agent {index} cannot be opened again: {:?}",
                self.said
            )));
        };
        let fence = Fence {
            drill,
            epoch: opened.epoch,
            instance: opened.stamp.instance.clone(),
            holder: opened.holder,
        };
        let start = StartRequest {
            fence,
            fault: "http.latency".into(),
            parameters: serde_json::Value::Null,
            scope: Scope {
                route: Some("r1".to_owned()),
                ..Scope::default()
            },
            ends_in_ms: 1_000,
            ramp_ms: 0,
            not_after: opened.stamp.tick.plus_ms(3_000),
        };
        let id = InjectionId(format!("after-{index}-1"));
        let Some(Reply::Injection(_)) = self.person_asks(index, Body::Start(id, Box::new(start))) else {
            return Err(end(format!("agent {index} cannot start again: {:?}", self.said)));
        };
        match self.person_asks(index, Body::Close(opened.epoch, CloseRequest::default())) {
            Some(Reply::Closed(closed)) if closed.injections.iter().all(|view| view.state.is_off()) => Ok(()),
            other => Err(end(format!("agent {index} does not close: {other:?}"))),
        }
    }

    fn person_asks(&mut self, index: usize, body: Body) -> Option<Reply> {
        if self.options.sabotage == Some(Sabotage::ForgetDeadlines) {
            return None;
        }
        self.said = None;
        self.send(index, From::Person, body);
        self.settle(1_000_000);
        self.said.clone()
    }
}
