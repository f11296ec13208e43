//! People and misfortunes: what happens to a world besides its own traffic.

use firedrill_ward::Reply;
use firedrill_wire::{
    AbortRequest, CloseRequest, DrillId, Fence, InjectionId, OpenRequest, ReleaseRequest, Scope, StartRequest,
};

use crate::host::Disk;
use crate::lives::Death;
use crate::messages::{Body, From};
use crate::report::{Rule, Sabotage};
use crate::schedule::Schedule;
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
    /// Its keeper dies with it.
    AgentCrashKeeper(usize),
    /// Its whole host stands still.
    AgentFreeze(usize),
    /// It alone does.
    AgentHangs(usize),
    KeeperCrash(usize),
    KeeperHangs(usize),
    DiskFull(usize),
    DiskHangs(usize),
    DiskFine(usize),
    Stuck(usize),
    /// Also long after all other trouble is over.
    StuckLong(usize),
    Cut(usize),
    SourceSilent,
    SourceBad,
    PersonAborts,
    PersonFinishes,
    CardAborts,
    Release(usize),
    /// A message of long ago comes once more, as it was or forged.
    Replay,
    /// Somebody at a terminal reverts the newest injection, or the next one before it is there.
    PersonReverts,
    /// A whole network is cut.
    CutAll,
}

/// As many misfortunes as are drawn at most.
pub(crate) const FATES: usize = 10;

impl World {
    /// Between none and many, at times of their own.
    pub(crate) fn draw_misfortunes(&mut self, schedule: &Schedule) {
        use Misfortune as M;
        let most = schedule.healed_us * 6 / 10;
        let many = self.random.between(0, 7) as usize;
        for number in 0..FATES {
            let agent = self.random.below(self.agents.len());
            let mut misfortune = match self.random.below(38) {
                0 | 1 => M::ConsoleCrash,
                2 => M::ConsoleFreeze,
                3 => M::WallClock,
                4 => M::JournalFull,
                5 | 6 => M::AgentCrash(agent),
                7 => M::AgentCrashKeeper(agent),
                8 => M::AgentReboot(agent),
                9 => M::AgentFreeze(agent),
                10 | 11 => M::AgentHangs(agent),
                12 | 13 => M::KeeperCrash(agent),
                14 => M::KeeperHangs(agent),
                15 | 16 => M::DiskFull(agent),
                17 | 18 => M::DiskHangs(agent),
                19 => M::Stuck(agent),
                20 if agent == 0 => M::StuckLong(agent),
                20 | 21 => M::Cut(agent),
                22 => M::CutAll,
                23 | 24 => M::SourceSilent,
                25 | 26 => M::SourceBad,
                27..=29 => M::PersonAborts,
                30 | 31 => M::PersonFinishes,
                32 | 33 => M::CardAborts,
                34 | 35 => M::PersonReverts,
                _ => M::Replay,
            };
            let mut at = self.random.between(0, most);
            if number >= FATES - 3 {
                // Something old always comes back.
                misfortune = M::Replay;
                at = self.random.between(2_000_000, 13_000_000);
            }
            if schedule.has_fate(number) && (number < many || number >= FATES - 3) {
                self.consoles_die |= misfortune == M::ConsoleCrash;
                self.push(at, Happening::Misfortune(misfortune));
            }
        }
    }

    /// One of the consoles that live.
    fn somebody(&mut self) -> Option<u32> {
        let many = self.consoles.len();
        (many > 0).then(|| self.consoles[self.random.below(many)].life)
    }

    pub(crate) fn befall(&mut self, misfortune: Misfortune) {
        use Misfortune as M;
        self.trace(|_| format!("misfortune: {misfortune:?}"));
        let now = self.now;
        let life = self.somebody().unwrap_or(0);
        match misfortune {
            M::ConsoleCrash => self.console_crash(life),
            M::ConsoleFreeze => {
                self.counts.freezes += 1;
                let until = now + self.random.between(300_000, 6_000_000);
                if let Some(console) = self.console(life) {
                    console.frozen_until = console.frozen_until.max(until);
                }
            }
            M::WallClock => self.wall_jumps(life),
            M::JournalFull => {
                if let Some(console) = self.console(life) {
                    console.paper.full = true;
                }
            }
            M::AgentCrash(agent) => self.agent_dies(agent, Death::Alone),
            M::AgentCrashKeeper(agent) => self.agent_dies(agent, Death::WithKeeper),
            M::AgentReboot(agent) => {
                self.counts.clock_jumps += 1;
                self.agent_dies(agent, Death::WithHost);
            }
            M::AgentFreeze(agent) => self.agent_freezes(agent),
            M::AgentHangs(agent) => self.agent_hangs(agent),
            M::KeeperCrash(agent) => self.keeper_fails(agent, false),
            M::KeeperHangs(agent) => self.keeper_fails(agent, true),
            M::StuckLong(agent) => {
                self.agents[agent].stuck_until = crate::world::HEALED_US + 45_000_000;
            }
            M::DiskFull(agent) => self.disk_trouble(agent, Disk::Full),
            M::DiskHangs(agent) => self.disk_trouble(agent, Disk::Hangs),
            M::DiskFine(agent) => self.agents[agent].disk_state = Disk::Fine,
            M::Stuck(agent) => {
                self.agents[agent].stuck_until = now + self.random.between(500_000, 20_000_000);
            }
            M::Cut(agent) => {
                self.counts.partitions += 1;
                self.ways[agent].cut_until = now + self.random.between(300_000, 9_000_000);
            }
            M::CutAll => {
                self.counts.partitions += 1;
                let until = now + self.random.between(300_000, 6_000_000);
                self.ways.iter_mut().for_each(|way| way.cut_until = until);
            }
            M::SourceSilent => self.source.silent_until = now + self.random.between(500_000, 8_000_000),
            M::SourceBad => self.source.bad_until = now + self.random.between(300_000, 6_000_000),
            M::PersonAborts => self.person_presses(life),
            M::PersonFinishes => {
                let command = firedrill_drill::Command::Finish;
                let event = Box::new(firedrill_drill::Event::Command { command });
                self.push(now, Happening::Event { life, event });
            }
            M::CardAborts => self.card_aborts(),
            M::Release(agent) => self.person_releases(agent),
            M::Replay => self.replay_message(),
            M::PersonReverts => self.person_reverts(life),
        }
    }

    /// Some of what befalls a world hurts most in the moment of a start, which it would seldom meet by chance.
    pub(crate) fn trouble_at_start(&mut self, agent: usize) {
        use Misfortune as M;
        if !self.random.chance(self.trouble.timely) {
            return;
        }
        let misfortune = match self.random.below(8) {
            0 | 1 => M::DiskHangs(agent),
            2 => M::AgentFreeze(agent),
            3 => M::AgentHangs(agent),
            4 => M::KeeperCrash(agent),
            5 | 6 => M::Cut(agent),
            _ => M::SourceSilent,
        };
        self.befall(misfortune);
    }

    fn disk_trouble(&mut self, agent: usize, disk: Disk) {
        self.agents[agent].disk_state = disk;
        let until = self.now + self.random.between(500_000, 6_000_000);
        self.push(until, Happening::Misfortune(Misfortune::DiskFine(agent)));
    }

    /// `firedrill abort` from another machine, with the card written at arming; the person tries three times.
    fn card_aborts(&mut self) {
        if self.cards.is_empty() {
            return;
        }
        let drill = self.cards[self.random.below(self.cards.len())].clone();
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
        let (agent, mut body) = self.old[self.random.below(self.old.len())].clone();
        self.counts.duplicates += 1;
        if self.random.chance(4_000) {
            self.forge(&mut body);
        }
        self.send(agent, From::Call(0), body);
    }

    /// A second window on one journal, a caller from a former life, another body under a used name.
    pub(crate) fn forge(&mut self, body: &mut Body) {
        let how = self.random.below(4);
        let agents = &self.agents;
        let (fence, start) = match body {
            Body::Renew(request) => (&mut request.fence, None),
            Body::Patch(_, request) => {
                if how == 2 {
                    request.parameters = serde_json::Value::from(true);
                }
                (&mut request.fence, None)
            }
            Body::Start(id, request) => {
                let StartRequest {
                    fence, ends_in_ms, ..
                } = &mut **request;
                (fence, Some((id, ends_in_ms)))
            }
            _ => return,
        };
        self.counts.forgeries += 1;
        match (how, start) {
            (0, _) => fence.holder.0.push('x'),
            (1, _) => fence.instance = agents[0].instance(),
            (2, Some((_, ends_in_ms))) => *ends_in_ms += 1_000,
            (_, Some((id, _))) => {
                id.0.push_str("-again");
                fence.holder.0.push('x');
            }
            _ => fence.epoch.0 += 1,
        }
    }

    /// `curl -X DELETE`, for what is there or is about to come.
    fn person_reverts(&mut self, life: u32) {
        let Some(console) = self.console(life) else { return };
        let many = console.drill.injections().len();
        let id = console.id.clone();
        let last = console.drill.injections().last().map_or(0, |it| it.agent);
        let ahead = self.random.below(2);
        let agent = if ahead == 0 {
            last
        } else {
            self.random.below(self.agents.len())
        };
        let body = Body::Revert(InjectionId(format!("{id}-{}", many + ahead)));
        self.send(agent, From::Person, body);
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
            if agent.stuck_until < crate::world::HEALED_US + 40_000_000 {
                // Not as if it had never been: a keeper that has just tried tries again a moment later.
                agent.stuck_until = agent.stuck_until.min(self.now);
            }
        }
    }

    /// At the very end: nothing is on, and an agent can be used again; which one is chance, they are alike.
    pub(crate) fn check_end(&mut self) {
        // Whoever is still frozen thaws first, and what is stuck comes loose.
        let last = self
            .agents
            .iter()
            .map(|agent| agent.frozen_until.max(agent.stuck_until));
        self.settle(last.max().unwrap_or(0).saturating_sub(self.now));
        let tried = self.random.below(self.agents.len());
        for index in 0..self.agents.len() {
            let mut end = self.check_off_for_good(index);
            if index == tried {
                end = end.and_then(|()| self.try_agent(index));
            }
            if let Err((rule, words)) = end {
                return self.broken(rule, words);
            }
        }
    }

    fn check_off_for_good(&self, index: usize) -> Result<(), (Rule, String)> {
        if let Some(key) = self.agents[index].on.keys().next() {
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
            let words = format!("{} is {:?} for ever on agent {index}", view.id, view.state);
            return Err((Rule::ComesToAnEnd, words));
        }
        Ok(())
    }

    fn try_agent(&mut self, index: usize) -> Result<(), (Rule, String)> {
        let end = |words: String| (Rule::ComesToAnEnd, words);
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
