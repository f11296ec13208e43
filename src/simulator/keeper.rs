//! The keeper of an agent: a process of its own on the same host, with the shipped judgement of when an agent hangs
//! ([`Vigil`]). It runs the undo records when the agent dies, and is watched by the agent in turn.

use firedrill_ward::{Event, Vigil};

use crate::lives::Death;
use crate::report::{Rule, Sabotage};
use crate::world::{Happening, World};

/// What a keeper needs to be gone after its agent and to run the records, in simulated microseconds.
const RUNS_US: u64 = 40_000;

/// How a keeper is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// There is none.
    #[default]
    Gone,
    /// It watches, or runs records.
    Works,
    /// It is there and does nothing.
    Hangs,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Keeper {
    pub life: u32,
    pub state: State,
    pub vigil: Vigil,
    /// Of an agent that hangs: whether it is seen to be stopped.
    pub sees_it_stopped: bool,
}

impl Keeper {
    pub fn answers(&self) -> bool {
        self.state == State::Works
    }

    pub fn ends(&mut self) {
        self.state = State::Gone;
    }
}

impl World {
    /// The agent starts one; it is there a little later.
    pub(crate) fn start_keeper(&mut self, index: usize) {
        let us = self.random.between(500, 30_000);
        let life = self.agents[index].life;
        self.push(self.now + us, Happening::KeeperUp { agent: index, life });
    }

    /// It takes over once nothing of a former life is left; before that the agent tries to undo it again.
    pub(crate) fn keeper_up(&mut self, index: usize) {
        let agent = &self.agents[index];
        let life = agent.life;
        if agent.ward.is_none() || agent.keeper.state != State::Gone {
            return;
        }
        if !self.clear_former(index) {
            let us = self.random.between(50_000, 800_000);
            return self.push(self.now + us, Happening::KeeperUp { agent: index, life });
        }
        let agent = &mut self.agents[index];
        agent.keeper = Keeper {
            life: agent.keeper.life + 1,
            state: State::Works,
            ..Keeper::default()
        };
        self.trace(|_| format!("agent {index} has a keeper"));
        self.agent_event(index, Event::Kept);
    }

    /// Undoes what lives of the past have left; whether nothing is.
    pub(crate) fn clear_former(&mut self, index: usize) -> bool {
        let agent = &mut self.agents[index];
        if agent.ward.is_none() {
            // The former life's keeper has had its time.
            agent.keeper.ends();
        }
        let stuck = self.now < agent.stuck_until || self.options.sabotage == Some(Sabotage::ForgetRecords);
        let newest = agent.former;
        let many = agent.on.len();
        agent.on.retain(|key, _| stuck || key.epoch > newest);
        self.counts.reverted += (many - agent.on.len()) as u64;
        agent.on.keys().all(|key| key.epoch > newest)
    }

    /// It dies or hangs; the agent finds out soon.
    pub(crate) fn keeper_fails(&mut self, index: usize, hangs: bool) {
        let us = if hangs {
            self.random.between(2_000_000, 2_500_000)
        } else {
            self.random.between(100, 5_000)
        };
        let keeper = &mut self.agents[index].keeper;
        if !keeper.answers() {
            return;
        }
        keeper.state = if hangs { State::Hangs } else { State::Gone };
        self.counts.keeper_crashes += 1;
        let life = keeper.life;
        self.push(self.now + us, Happening::KeeperMissed { agent: index, life });
    }

    /// The agent has found out, and starts another.
    pub(crate) fn keeper_missed(&mut self, index: usize, life: u32) {
        let agent = &mut self.agents[index];
        if agent.ward.is_none() || agent.keeper.life != life {
            return;
        }
        agent.keeper.ends();
        let why = "it has ended".to_owned();
        self.agent_event(index, Event::Unkept { why });
        if self.agents[index].ward.is_some() {
            self.start_keeper(index);
        }
    }

    /// It looks whether its agent has spoken in time, and ends one that has not.
    pub(crate) fn keeper_looks(&mut self, index: usize, life: u32) {
        let now = self.now;
        let agent = &self.agents[index];
        let (keeper, tick) = (&agent.keeper, agent.tick(now));
        if agent.ward.is_none() || keeper.life != life || !keeper.answers() {
            return;
        }
        if agent.frozen_until > now && !agent.hangs {
            return self.push(agent.frozen_until, Happening::KeeperLooks { agent: index, life });
        }
        if keeper.vigil.overdue(tick, agent.hangs && keeper.sees_it_stopped) {
            self.counts.keeper_kills += 1;
            self.trace(|_| format!("agent {index} hangs; its keeper ends it"));
            self.agent_dies(index, Death::Alone);
        }
    }

    /// Before each step of an agent that runs: nothing gave its keeper cause to end it.
    pub(crate) fn keeper_has_no_cause(&mut self, index: usize) {
        let agent = &self.agents[index];
        // One that has just thawed has not had its chance to speak.
        let runs = self.now > agent.frozen_until + 5_000;
        if runs && agent.keeper.answers() && agent.keeper.vigil.overdue(agent.tick(self.now), false) {
            let words =
                format!("agent {index} runs, and its keeper would end it: it has not spoken when it said");
            self.broken(Rule::OnlyForCause, words);
        }
    }

    /// The agent is dead: the records are run.
    pub(crate) fn keeper_sees_the_end(&mut self, index: usize) {
        let us = self.random.between(100, RUNS_US);
        let keeper = &self.agents[index].keeper;
        if keeper.answers() && self.options.sabotage != Some(Sabotage::ForgetKeeper) {
            let life = keeper.life;
            self.push(self.now + us, Happening::KeeperRuns { agent: index, life });
        }
    }

    pub(crate) fn keeper_runs(&mut self, index: usize, life: u32) {
        let now = self.now;
        let agent = &mut self.agents[index];
        if agent.ward.is_some() || agent.keeper.life != life || !agent.keeper.answers() {
            return;
        }
        if agent.frozen_until.max(agent.stuck_until) > now {
            // It tries again until nothing is left.
            let again = agent.frozen_until.max(now + 1_000_000);
            return self.push(again, Happening::KeeperRuns { agent: index, life });
        }
        if self.options.sabotage == Some(Sabotage::ForgetRecords) {
            return;
        }
        let many = agent.on.len() as u64;
        agent.on.clear();
        agent.keeper.ends();
        self.counts.reverted += many;
        self.counts.keeper_undid += many;
        self.trace(|_| format!("the keeper of agent {index} has run {many} records"));
    }
}
