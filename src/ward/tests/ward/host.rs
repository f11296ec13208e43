//! A host that runs effects in any order, hangs, fails and forgets, and knows what is really on.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_ward::{AskId, Effect, Event, Key, Reply};
use firedrill_wire::{AbortLine, Evidence, Problem, ProblemKind};

/// What the host was asked and has not answered.
#[derive(Clone, Debug)]
pub enum Job {
    Save(firedrill_ward::SaveId, Box<firedrill_ward::Durable>),
    Apply(Key),
    Adjust(Key),
    Revert(Key, u32),
    Prove(Key, u32),
}

/// How a job ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Fine,
    Fails,
    FailsHalfWay,
}

#[derive(Default)]
pub struct Host {
    pub jobs: Vec<Job>,
    /// The faults that are really on.
    pub on: BTreeSet<Key>,
    pub on_disk: firedrill_ward::Durable,
    pub answered: BTreeMap<AskId, u32>,
    pub ended_streams: BTreeSet<AskId>,
    pub opened: Vec<firedrill_wire::Opened>,
    pub refused: Vec<AskId>,
    pub applied: Vec<Key>,
}

impl Host {
    /// Takes in the effects of one step; returns what was asked to become stronger in it.
    pub fn take_in(&mut self, effects: Vec<Effect>) -> Vec<Key> {
        let mut stronger = Vec::new();
        for effect in effects {
            match effect {
                Effect::Save { save, durable } => self.jobs.push(Job::Save(save, durable)),
                Effect::Apply { key, .. } => {
                    stronger.push(key.clone());
                    self.jobs.push(Job::Apply(key));
                }
                Effect::Adjust { key, .. } => {
                    stronger.push(key.clone());
                    self.jobs.push(Job::Adjust(key));
                }
                Effect::Revert { key, attempt, .. } => self.jobs.push(Job::Revert(key, attempt)),
                Effect::Prove { key, attempt, .. } => self.jobs.push(Job::Prove(key, attempt)),
                Effect::Reply { ask, reply } => {
                    *self.answered.entry(ask).or_default() += 1;
                    match reply {
                        Reply::Opened(opened) => self.opened.push(opened),
                        Reply::Refused(_) => self.refused.push(ask),
                        _ => {}
                    }
                }
                Effect::AbortLine { ask, line } => {
                    assert!(!self.ended_streams.contains(&ask), "a line after the end");
                    if matches!(line, AbortLine::End { .. }) {
                        self.ended_streams.insert(ask);
                    }
                }
                Effect::HangUp { ask } => assert!(self.ended_streams.insert(ask), "hung up twice"),
                Effect::Emit(_) | Effect::Audit { .. } | Effect::Stopped { .. } => {}
            }
        }
        stronger
    }

    /// Ends one job. Its effect on the target happens now, not when it was asked for. Saves end in order.
    pub fn end(&mut self, nth: usize, outcome: Outcome) -> Option<Event> {
        if self.jobs.is_empty() {
            return None;
        }
        let mut nth = nth % self.jobs.len();
        if matches!(self.jobs[nth], Job::Save(..)) {
            nth = self
                .jobs
                .iter()
                .position(|job| matches!(job, Job::Save(..)))
                .unwrap_or(nth);
        }
        let fine = outcome == Outcome::Fine;
        let problem = Problem::new(ProblemKind::NotPossible, "it failed", "", "");
        let evidence = Evidence::default();
        Some(match self.jobs.remove(nth) {
            Job::Save(save, durable) => {
                if fine {
                    self.on_disk = *durable;
                }
                Event::Saved { save, durable: fine }
            }
            Job::Apply(key) => {
                if outcome == Outcome::Fails {
                    return Some(Event::ApplyFailed {
                        key,
                        problem,
                        half_applied: false,
                    });
                }
                self.on.insert(key.clone());
                self.applied.push(key.clone());
                if fine {
                    Event::Applied { key, evidence }
                } else {
                    Event::ApplyFailed {
                        key,
                        problem,
                        half_applied: true,
                    }
                }
            }
            Job::Adjust(key) => {
                // Whatever came of it, the fault may be on again.
                self.on.insert(key.clone());
                Event::Adjusted {
                    key,
                    result: if fine { Ok(evidence) } else { Err(problem) },
                }
            }
            Job::Revert(key, attempt) => {
                if fine {
                    self.on.remove(&key);
                }
                let clean = !self.on.contains(&key);
                Event::ReadBack {
                    key,
                    attempt,
                    clean,
                    evidence,
                    by_hand: None,
                }
            }
            Job::Prove(key, attempt) => {
                let clean = fine && !self.on.contains(&key);
                Event::Proved {
                    key,
                    attempt,
                    clean,
                    evidence,
                }
            }
        })
    }
}
