//! Lives of an agent: it begins on what is on its disk, dies, hangs, stands still with its host.

use firedrill_ward::{Durable, Event, Limits, Ward};
use firedrill_wire::Instance;

use crate::agent::Asker;
use crate::host::{Disk, Job};
use crate::messages::Answer;
use crate::report::Sabotage;
use crate::world::{Happening, World};

/// What dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// The agent's process.
    Alone,
    /// And its keeper, in the same moment.
    WithKeeper,
    /// The host, with all that runs on it.
    WithHost,
}

impl World {
    /// A life begins, on what is on the disk. What a former one left is undone before anything else.
    pub(crate) fn agent_up(&mut self, index: usize) {
        let (now, sabotage) = (self.now, self.options.sabotage);
        self.clear_former(index);
        let agent = &mut self.agents[index];
        agent.life += 1;
        agent.died_us = None;
        agent.instance = Instance(format!("{}-life-{}", agent.name, agent.life));
        self.counts.restarts += u64::from(agent.life > 1);
        let mut durable = agent.disk.clone();
        if sabotage == Some(Sabotage::ForgetRecords) {
            durable.records.clear();
        }
        let (ward, effects) = Ward::recover(
            durable,
            agent.instance(),
            agent.name.clone(),
            Limits::default(),
            agent.tick(now),
        );
        agent.ward = Some(ward);
        agent.due = None;
        self.trace(|world| format!("agent {index} is up, life {}", world.agents[index].life));
        let agent = &mut self.agents[index];
        let latch = agent.ward.as_ref().and_then(Ward::latch);
        if let Err((rule, words)) = agent.book.recovered(latch) {
            self.broken(rule, format!("agent {index}: {words}"));
        }
        let life = self.agents[index].life;
        self.agent_effects(index, effects);
        // It may have died in the middle of that.
        if self.agents[index].ward.is_some() && self.agents[index].life == life {
            let why = "it has not been started yet".to_owned();
            self.agent_event(index, Event::Unkept { why });
            self.start_keeper(index);
        }
    }

    /// The process dies: what hung on it is gone, and so is all that was not on disk.
    pub(crate) fn agent_dies(&mut self, index: usize, death: Death) {
        if self.agents[index].ward.is_none() {
            return;
        }
        self.counts.agent_crashes += 1;
        self.trace(|_| format!("agent {index} dies: {death:?}"));
        let down_us = self.random.between(50_000, 2_500_000);
        self.writes_land(index);
        let now = self.now;
        let agent = &mut self.agents[index];
        agent.ward = None;
        agent.died_us = Some(now);
        agent.starts.clear();
        agent.saved_until = 0;
        if agent.hangs {
            (agent.hangs, agent.frozen_until) = (false, 0);
        }
        if self.options.sabotage != Some(Sabotage::ForgetRecords) {
            let many = agent.on.len();
            let host_is_gone = death == Death::WithHost;
            agent.on.retain(|_, on| on.outlives && !host_is_gone);
            self.counts.reverted += (many - agent.on.len()) as u64;
        }
        if death == Death::WithHost {
            agent.booted = i64::try_from(now).unwrap_or(i64::MAX);
        }
        let askers: Vec<Asker> = std::mem::take(&mut agent.asks).into_values().collect();
        for asker in askers {
            self.send_back(index, asker.from, Answer::Torn);
        }
        let agent = &mut self.agents[index];
        agent.former = agent.book.newest();
        agent.book.died();
        self.push(now + down_us, Happening::AgentUp { agent: index });
        if death == Death::Alone {
            self.keeper_sees_the_end(index);
        } else {
            self.agents[index].keeper.ends();
        }
    }

    /// Of the writes under way when a process dies some are whole on the disk, and nobody was told.
    fn writes_land(&mut self, index: usize) {
        let agent = &mut self.agents[index];
        let writes: Vec<Box<Durable>> = std::mem::take(&mut agent.jobs)
            .into_values()
            .filter_map(|job| match job {
                Job::Save(_, durable) => Some(durable),
                _ => None,
            })
            .collect();
        if writes.is_empty() || agent.disk_state != Disk::Fine {
            return;
        }
        self.counts.torn += 1;
        let landed = self.random.below(writes.len() + 1);
        if let Some(durable) = writes.into_iter().take(landed).next_back()
            && self.options.sabotage != Some(Sabotage::ForgetDisk)
        {
            self.agents[index].disk = *durable;
        }
    }

    /// The whole host stands still, and its keeper too: whoever runs first when it goes on may end the other.
    pub(crate) fn agent_freezes(&mut self, index: usize) {
        self.counts.freezes += 1;
        let until = self.now + self.random.between(300_000, 8_000_000);
        let first = self.random.between(0, 1) * 2_000;
        let agent = &mut self.agents[index];
        agent.frozen_until = until.max(agent.frozen_until);
        agent.hangs = false;
        let (due, life) = (agent.frozen_until + first, agent.keeper.life);
        self.push(due, Happening::KeeperLooks { agent: index, life });
    }

    /// The agent's process alone makes no step any more: stopped, or stuck in itself.
    pub(crate) fn agent_hangs(&mut self, index: usize) {
        let until = self.now + self.random.between(1_000_000, 12_000_000);
        let stopped = self.random.chance(5_000);
        let agent = &mut self.agents[index];
        if agent.frozen_until > self.now || agent.ward.is_none() {
            return;
        }
        self.counts.hangs += 1;
        (agent.frozen_until, agent.hangs) = (until, true);
        agent.keeper.sees_it_stopped = stopped;
        if let Some(at) = agent.keeper.vigil.overdue_at(stopped) {
            let (due, life) = (agent.when(at), agent.keeper.life);
            self.push(due, Happening::KeeperLooks { agent: index, life });
        }
    }
}
