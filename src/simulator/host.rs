//! A host: its disk, the faults that are really on it, and how long everything takes.
//!
//! Faults are held in one of two ways, as the agent's are: most hang on the agent's process and go when it dies;
//! `process.pause` stands for those that outlive it, and are there until somebody runs their undo record.

use firedrill_ward::{Durable, Event, Key, SaveId};
use firedrill_wire::{Evidence, Problem, ProblemKind, Scope, Tick, Undo};
use serde_json::Value;

use crate::report::Sabotage;
use crate::world::{Happening, World};

/// How a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    Fine,
    Full,
    Hangs,
}

/// What the host is doing.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    Save(SaveId, Box<Durable>),
    Apply(Key, On),
    /// A change of what was on when it was asked for, to these parameters.
    Adjust(Key, On, Value),
    Revert(Key, u32),
    Prove(Key, u32),
}

/// A fault that is really on. Its undo record is on disk as long as it is.
#[derive(Clone, Debug)]
pub(crate) struct On {
    /// When it must have ended at the latest, by the agent's clock.
    pub ends: Tick,
    /// What of the host it holds.
    pub claims: Vec<String>,
    /// How strong it is.
    pub parameters: Value,
    /// It happens once and is not on afterwards.
    pub one_shot: bool,
    /// It is there until its record is run, also when its agent is dead.
    pub outlives: bool,
    pub ends_in_ms: u64,
}

impl On {
    pub fn new(fault: &str, scope: &Scope, parameters: Value, ends_in_ms: u64) -> Self {
        Self {
            ends: Tick(0),
            claims: claims_of(fault, scope),
            parameters,
            one_shot: undo(fault) == Undo::None,
            outlives: needs_keeper(fault),
            ends_in_ms,
        }
    }
}

/// What of the host a fault holds.
pub(crate) fn claims_of(fault: &str, scope: &Scope) -> Vec<String> {
    match (fault, &scope.route, &scope.process) {
        ("cpu.burn", ..) => vec!["cpu".to_owned()],
        (_, Some(route), _) => vec![format!("route:{route}")],
        (_, _, Some(process)) => vec![format!("process:{process}")],
        _ => Vec::new(),
    }
}

pub(crate) fn undo(fault: &str) -> Undo {
    if fault == "tcp.cut" {
        Undo::None
    } else {
        Undo::ProcessHeld
    }
}

/// Whether nothing but the agent ends it.
pub(crate) fn needs_keeper(fault: &str) -> bool {
    fault == "process.pause"
}

fn impossible(title: &str) -> Problem {
    Problem::new(ProblemKind::NotPossible, title, "simulated", "none")
}

impl World {
    /// How long the host takes: most often moments, now and then longer than it may.
    pub(crate) fn job_us(&mut self) -> u64 {
        let hangs = self.random.chance(self.trouble.hang);
        if hangs {
            self.random.between(1_000_000, 9_000_000)
        } else {
            self.random.between(100, 8_000)
        }
    }

    /// A revert waits for whom the fault delays.
    pub(crate) fn revert_us(&mut self) -> u64 {
        let waits = self.random.chance(1_500);
        self.job_us()
            + if waits {
                self.random.between(5_000, 400_000)
            } else {
                0
            }
    }

    pub(crate) fn begin(&mut self, index: usize, job: Job, us: u64) {
        let agent = &mut self.agents[index];
        agent.next_job += 1;
        agent.jobs.insert(agent.next_job, job);
        let happening = Happening::Job {
            agent: index,
            life: agent.life,
            job: agent.next_job,
        };
        self.push(self.now + us, happening);
    }

    /// Writes end in the order they began.
    pub(crate) fn save(&mut self, index: usize, save: SaveId, durable: Box<Durable>) {
        let us = match self.agents[index].disk_state {
            Disk::Fine => self.random.between(100, 12_000),
            Disk::Full => 200,
            Disk::Hangs => self.random.between(2_000_000, 9_000_000),
        };
        let agent = &mut self.agents[index];
        agent.saved_until = agent.saved_until.max(self.now + us);
        let us = agent.saved_until - self.now;
        self.begin(index, Job::Save(save, durable), us);
    }

    pub(crate) fn agent_job(&mut self, index: usize, job: u64) {
        let now = self.now;
        let fails = self.random.chance(self.trouble.fail);
        let half = self.random.chance(5_000);
        let lies = self.options.sabotage;
        let agent = &mut self.agents[index];
        let Some(job) = agent.jobs.remove(&job) else {
            return;
        };
        let evidence = Evidence {
            words: "seen".to_owned(),
            ..Evidence::default()
        };
        let event = match job {
            Job::Save(save, durable) => {
                let full = agent.disk_state == Disk::Full;
                self.counts.disk_full += u64::from(full);
                if !full && lies != Some(Sabotage::ForgetDisk) {
                    agent.disk = *durable;
                }
                Event::Saved { save, durable: !full }
            }
            // The undo record is written before the fault, and the keeper answers before that.
            Job::Apply(key, _) if agent.disk_state == Disk::Full || !agent.keeper.answers() => {
                let why = "no undo record, or nobody to run it";
                Event::ApplyFailed {
                    key,
                    problem: impossible(why),
                    half_applied: false,
                }
            }
            Job::Apply(key, mut on) => {
                if !fails || half {
                    self.counts.applied += 1;
                    if !on.one_shot {
                        on.ends = agent.tick(now).plus_ms(on.ends_in_ms);
                        agent.on.insert(key.clone(), on);
                    }
                }
                if fails {
                    let problem = impossible("it failed");
                    Event::ApplyFailed {
                        key,
                        problem,
                        half_applied: half,
                    }
                } else {
                    Event::Applied { key, evidence }
                }
            }
            Job::Adjust(key, on, parameters) => {
                if !fails || half {
                    self.counts.changes += 1;
                    agent.on.insert(key.clone(), On { parameters, ..on });
                }
                let result = if fails {
                    Err(impossible("it failed"))
                } else {
                    Ok(evidence)
                };
                Event::Adjusted { key, result }
            }
            Job::Revert(key, attempt) => {
                let stuck = now < agent.stuck_until;
                if lies != Some(Sabotage::ClaimReadBack) && !stuck && agent.on.remove(&key).is_some() {
                    self.counts.reverted += 1;
                }
                let clean = lies == Some(Sabotage::ClaimReadBack) || !agent.on.contains_key(&key);
                self.counts.unclean += u64::from(!clean);
                Event::ReadBack {
                    key,
                    attempt,
                    clean,
                    evidence,
                    by_hand: None,
                }
            }
            Job::Prove(key, attempt) => {
                let clean = !agent.on.contains_key(&key) || lies == Some(Sabotage::ClaimReadBack);
                if clean {
                    agent.proved.insert(key.id.clone());
                }
                Event::Proved {
                    key,
                    attempt,
                    clean,
                    evidence,
                }
            }
        };
        self.agent_event(index, event);
    }
}
