//! What an onlooker on an agent's network and at its host knows: books kept from the messages alone. They ask neither
//! the ward nor the drill whether an epoch is dead.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_ward::{Event, Key, Reply};
use firedrill_wire::{
    AbortLine, AbortRequest, DrillId, Epoch, EventKind, Fence, HolderSecret, InjectionId, Instance,
    LatchView, OpenRequest, PatchRequest, RenewRequest, StartRequest, Tick,
};
use serde_json::Value;

use crate::agent::AbortAsked;
use crate::report::Rule;

/// What was seen, if it breaks a rule.
pub(crate) type Seen = Result<(), (Rule, String)>;

/// An epoch that was given out.
#[derive(Debug)]
struct Given {
    drill: DrillId,
    lease_ms: u64,
    /// By the ticks that its renewals echo, not by the agent's word.
    deadline: Tick,
    holder: Option<HolderSecret>,
}

/// Whether an agent must still know of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    /// It is in the process that heard it, as so many-eth abort, or on disk since.
    Heard(u64),
    /// The process that heard it died before it was said to be on disk.
    Lost,
}

/// One agent, as an onlooker knows it.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Leases that openings asked for.
    leases: BTreeMap<DrillId, u64>,
    given: BTreeMap<Epoch, Given>,
    dead_up_to: Epoch,
    closed: BTreeSet<Epoch>,
    /// Drills named in an abort, and by the how many-eth first.
    dead_drills: BTreeMap<DrillId, u64>,
    /// Aborts heard, and up to which of them the agent has said that they are on disk.
    heard_aborts: u64,
    durable_aborts: u64,
    /// Aborts heard, and what became of the agent's knowledge of them.
    aborts: BTreeMap<String, Memory>,
    latched: bool,
    latch_durable: bool,
    latch_number: u64,
    /// The highest number in force that somebody released.
    lifted_number: u64,
    /// The highest number that was said to be on disk.
    durable_number: u64,
    /// Aborts heard that may latch and have not.
    latches_due: u32,
    /// Latch numbers that somebody released.
    releases: BTreeSet<u64>,
    /// Starts that were right when they came, and until when they may begin.
    right: BTreeMap<Key, Tick>,
    /// Reverts that came before their start.
    tombstones: BTreeSet<Key>,
    /// What came on.
    applied: BTreeSet<Key>,
    /// Changes that were right when they came, by what they asked for: injection, revision, until when.
    changes: BTreeMap<String, Vec<(Key, u64, Tick)>>,
    /// The highest revision that was made of each.
    revisions: BTreeMap<Key, u64>,
    /// It was told that nobody watches over it.
    pub unkept: bool,
    /// The request that the agent is hearing: an abort that may kill what is open; a close of which epoch.
    abort_may_kill: bool,
    closing: Option<Epoch>,
}

impl Book {
    /// A request reaches a living agent.
    pub fn hears(&mut self, event: &Event, tick: Tick, instance: &Instance) {
        self.abort_may_kill = false;
        self.closing = None;
        match event {
            Event::Open { request, .. } => self.hears_open(request),
            Event::Renew { request, .. } => self.hears_renew(request, tick, instance),
            Event::Start { id, request, .. } => self.hears_start(id, request, tick, instance),
            Event::Patch { id, request, .. } => self.hears_change(id, request, tick, instance),
            Event::Unkept { .. } => self.unkept = true,
            Event::Kept => self.unkept = false,
            Event::Revert { id, .. } => {
                let key = self.key(id);
                if self.alive(key.epoch, tick).is_ok() && !self.right.contains_key(&key) {
                    self.tombstones.insert(key);
                }
            }
            Event::Abort { request, .. } => self.hears_abort(request),
            Event::Close { epoch, .. } if self.given.contains_key(epoch) => {
                self.closed.insert(*epoch);
                self.closing = Some(*epoch);
            }
            Event::Release { request, .. } => {
                if request.latch == self.latch_number {
                    // From now on it may be gone from the disk, whatever older snapshots had of it.
                    self.latch_durable = false;
                    self.lifted_number = request.latch;
                }
                self.releases.insert(request.latch);
            }
            _ => {}
        }
    }

    fn hears_open(&mut self, request: &OpenRequest) {
        self.leases
            .entry(request.drill.clone())
            .or_insert(request.lease_ms);
    }

    /// The number that the next abort heard will have.
    pub fn next_abort(&self) -> u64 {
        self.heard_aborts + 1
    }

    /// Whether this abort was obeyed before, as the agent has said.
    pub fn knows(&self, request: &AbortRequest) -> bool {
        let id = request.abort.as_ref();
        id.is_some_and(|id| self.aborts.contains_key(id))
    }

    fn hears_abort(&mut self, request: &AbortRequest) {
        let id = request.abort.clone().unwrap_or_default();
        self.heard_aborts += 1;
        let number = self.heard_aborts;
        let certain = self.aborts.get(&id).copied();
        let fresh = certain.is_none() || request.abort.is_none();
        let durable = matches!(certain, Some(Memory::Heard(number)) if number <= self.durable_aborts);
        let known = durable && request.abort.is_some();
        if !matches!(certain, Some(Memory::Heard(_))) || request.abort.is_none() {
            self.aborts.insert(id, Memory::Heard(number));
        }
        let newest = self.newest();
        let names_open = match &request.drill {
            None => true,
            Some(drill) => self.given.get(&newest).is_some_and(|it| it.drill == *drill),
        };
        self.abort_may_kill = !known && (request.latch || names_open);
        if let Some(drill) = &request.drill {
            self.dead_drills.entry(drill.clone()).or_insert(number);
        }
        if fresh && (request.latch || request.drill.is_none()) {
            self.dead_up_to = newest;
        }
        if fresh && request.latch {
            self.latched = true;
            self.latch_durable = false;
        }
        self.latches_due += u32::from(request.latch && !known);
    }

    /// Whether a call shows what the open epoch was given.
    fn holds(&self, fence: &Fence, tick: Tick, instance: &Instance) -> bool {
        let given = self.given.get(&fence.epoch);
        given.is_some_and(|it| it.drill == fence.drill && it.holder.as_ref() == Some(&fence.holder))
            && fence.instance == *instance
            && self.alive(fence.epoch, tick).is_ok()
    }

    fn hears_renew(&mut self, request: &RenewRequest, tick: Tick, instance: &Instance) {
        if request.seen <= tick
            && self.holds(&request.fence, tick, instance)
            && let Some(given) = self.given.get_mut(&request.fence.epoch)
        {
            given.deadline = given.deadline.max(request.seen.plus_ms(given.lease_ms));
        }
    }

    fn hears_start(&mut self, id: &InjectionId, request: &StartRequest, tick: Tick, instance: &Instance) {
        let key = Key {
            epoch: request.fence.epoch,
            id: id.clone(),
        };
        let right = self.holds(&request.fence, tick, instance)
            && tick <= request.not_after
            && !self.tombstones.contains(&key);
        if right {
            self.right.entry(key).or_insert(request.not_after);
        }
    }

    fn hears_change(&mut self, id: &InjectionId, request: &PatchRequest, tick: Tick, instance: &Instance) {
        let key = Key {
            epoch: request.fence.epoch,
            id: id.clone(),
        };
        if self.holds(&request.fence, tick, instance) && tick <= request.not_after {
            let change = (key, request.revision, request.not_after);
            let asked = self.changes.entry(request.parameters.to_string()).or_default();
            asked.push(change);
        }
    }

    /// Whether `key` may be changed to `parameters` now: it was rightly asked for, in time, and is no older than what
    /// was made before.
    pub fn may_change(&mut self, key: &Key, parameters: &Value, tick: Tick) -> Seen {
        let changes = |why: &str| {
            Err((
                Rule::AbortWins,
                format!("{} of epoch {} is changed although {why}", key.id, key.epoch),
            ))
        };
        if let Err(why) = self.alive(key.epoch, tick) {
            return changes(why);
        }
        let asked = self.changes.get(&parameters.to_string()).into_iter().flatten();
        // The same strength may have been asked for more than once.
        let asked: Vec<_> = asked.filter(|(of, ..)| of == key).collect();
        if asked.is_empty() {
            return changes("nobody rightly asked for it");
        }
        let in_time = |it: &&&(Key, u64, Tick)| tick <= it.2;
        let before = self.revisions.get(key).copied().unwrap_or(0);
        let revisions = asked.iter().filter(in_time).map(|(_, revision, _)| *revision);
        match revisions.clone().filter(|it| *it > before).min() {
            Some(revision) => {
                self.revisions.insert(key.clone(), revision);
                Ok(())
            }
            None if revisions.count() == 0 => changes("it is too late for it"),
            None => changes("a newer change was made before"),
        }
    }

    /// When the lease of an epoch lapses.
    pub fn deadline_of(&self, epoch: Epoch) -> Option<Tick> {
        self.given.get(&epoch).map(|it| it.deadline)
    }

    /// An agent answers.
    pub fn says(&mut self, reply: &Reply) -> Seen {
        match reply {
            Reply::Opened(opened) => {
                let newest = self.newest();
                if opened.epoch != newest || self.dead_up_to >= newest || self.closed.contains(&newest) {
                    return Err((
                        Rule::Durable,
                        format!(
                            "epoch {} is answered and is dead, the newest is {newest}",
                            opened.epoch
                        ),
                    ));
                }
                let given = self.given.get_mut(&newest);
                if given.is_some_and(|it| *it.holder.get_or_insert(opened.holder.clone()) != opened.holder) {
                    return Err((
                        Rule::AbortWins,
                        format!("epoch {newest} is given out to two holders"),
                    ));
                }
                self.no_longer_than(newest, opened.deadline)
            }
            Reply::Renewed(renewed) => self.no_longer_than(self.newest(), renewed.deadline),
            Reply::Released(_) => {
                self.latched = false;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn no_longer_than(&self, epoch: Epoch, deadline: Tick) -> Seen {
        let right = self.given.get(&epoch).map_or(Tick(0), |it| it.deadline);
        if deadline <= right {
            return Ok(());
        }
        Err((
            Rule::EveryInjectionEnds,
            format!(
                "the lease of epoch {epoch} lasts {} ms longer than the tick that was echoed allows",
                deadline.ms_since(right)
            ),
        ))
    }

    /// An agent tells what happened.
    pub fn tells(&mut self, kind: &EventKind, tick: Tick, epoch_on_disk: Epoch) -> Seen {
        match kind {
            EventKind::Opened { drill, epoch } => self.opened(drill, *epoch, tick, epoch_on_disk),
            EventKind::Ended { epoch, why, .. } => self.ended(*epoch, why, tick),
            EventKind::Latch { latch: Some(latch) } => self.latches(latch),
            EventKind::Latch { latch: None } if !self.releases.contains(&self.latch_number) => Err((
                Rule::AbortWins,
                format!("latch {} is lifted and nobody released it", self.latch_number),
            )),
            _ => Ok(()),
        }
    }

    fn opened(&mut self, drill: &DrillId, epoch: Epoch, tick: Tick, on_disk: Epoch) -> Seen {
        let newest = self.newest();
        let held = self.alive(newest, tick).is_ok();
        let former = self.given.iter().find(|(_, known)| known.drill == *drill);
        let why = if epoch <= newest {
            Some(format!("after epoch {newest}"))
        } else if on_disk < epoch {
            Some(format!("before it is on disk, which has {on_disk}"))
        } else if let Some((former, _)) = former {
            Some(format!("although the drill had epoch {former} here"))
        } else if held {
            Some(format!("while epoch {newest} holds the agent"))
        } else {
            None
        };
        let lease_ms = self.leases.get(drill).copied().unwrap_or(0);
        self.given.insert(
            epoch,
            Given {
                drill: drill.clone(),
                lease_ms,
                deadline: tick.plus_ms(lease_ms),
                holder: None,
            },
        );
        if let Some(why) = why {
            return Err((
                Rule::Durable,
                format!("epoch {epoch} is given out to {drill} {why}"),
            ));
        }
        if self.dead_drills.contains_key(drill) {
            return Err((
                Rule::AbortWins,
                format!("{drill} was opened after it was aborted"),
            ));
        }
        if self.latched {
            return Err((Rule::AbortWins, format!("{drill} was opened under the latch")));
        }
        Ok(())
    }

    fn ended(&self, epoch: Epoch, why: &str, tick: Tick) -> Seen {
        let for_cause = match why {
            "lease" => self.given.get(&epoch).is_some_and(|it| it.deadline <= tick),
            "close" => self.closing == Some(epoch),
            "abort" => self.abort_may_kill,
            _ => true,
        };
        if for_cause {
            return Ok(());
        }
        Err((
            Rule::OnlyForCause,
            format!("epoch {epoch} was ended by {why:?} without a cause"),
        ))
    }

    fn latches(&mut self, latch: &LatchView) -> Seen {
        if self.latches_due == 0 {
            return Err((
                Rule::OnlyForCause,
                format!("latch {} is set by an abort that is known", latch.number),
            ));
        }
        self.latches_due -= 1;
        if latch.number <= self.durable_number {
            return Err((
                Rule::Durable,
                format!(
                    "latch number {} is used again after {}",
                    latch.number, self.durable_number
                ),
            ));
        }
        self.latch_number = latch.number;
        Ok(())
    }

    /// A line of an abort's answer.
    pub fn streams(&mut self, asked: &AbortAsked, line: &AbortLine) {
        if let AbortLine::Received {
            durable: true, latch, ..
        } = line
        {
            if let Some(latch) = latch {
                let newest = latch.number == self.latch_number && latch.number > self.lifted_number;
                self.latch_durable |= self.latched && newest;
                self.durable_number = self.durable_number.max(latch.number);
            }
            // Snapshots reach the disk in their order: what was heard before is on it too.
            self.durable_aborts = self.durable_aborts.max(asked.number);
        }
    }

    /// An agent's process ends: its epochs are dead, and what was not on disk may be forgotten.
    pub fn died(&mut self) {
        self.dead_up_to = self.newest();
        let durable = self.durable_aborts;
        self.dead_drills.retain(|_, number| *number <= durable);
        let on_disk = |it: Memory| matches!(it, Memory::Heard(number) if number <= durable);
        for memory in self.aborts.values_mut().filter(|it| !on_disk(**it)) {
            *memory = Memory::Lost;
        }
        self.latches_due = 0;
    }

    /// A new life has what the old one said was on disk.
    pub fn recovered(&mut self, latch: Option<&LatchView>) -> Seen {
        let lost = self.latched && self.latch_durable && latch.is_none();
        self.latched = latch.is_some();
        if let Some(latch) = latch {
            self.latch_number = latch.number;
        }
        if lost {
            return Err((
                Rule::Durable,
                "the latch that was said to be on disk is lost".to_owned(),
            ));
        }
        Ok(())
    }

    /// Whether `key` may come on now: it was rightly asked for, in time, once.
    pub fn may_apply(&mut self, key: &Key, tick: Tick) -> Seen {
        let starts = |why: &str| {
            Err((
                Rule::AbortWins,
                format!("{} of epoch {} starts although {why}", key.id, key.epoch),
            ))
        };
        if let Err(why) = self.alive(key.epoch, tick) {
            return starts(why);
        }
        let Some(not_after) = self.right.get(key) else {
            return starts("nobody rightly asked for it, or it was reverted before");
        };
        if tick > *not_after {
            return starts("it is too late for it");
        }
        if !self.applied.insert(key.clone()) {
            return starts("it was started before");
        }
        Ok(())
    }

    /// Whether an epoch is alive; why not.
    pub fn alive(&self, epoch: Epoch, tick: Tick) -> Result<(), &'static str> {
        let Some(given) = self.given.get(&epoch) else {
            return Err("its epoch was never given out");
        };
        let why = if epoch <= self.dead_up_to {
            "its epoch was aborted, or the agent restarted since"
        } else if self.closed.contains(&epoch) {
            "its epoch was closed"
        } else if self.dead_drills.contains_key(&given.drill) {
            "its drill was aborted"
        } else if self.latched {
            "the agent is latched"
        } else if given.deadline < tick {
            "its lease has lapsed"
        } else {
            return Ok(());
        };
        Err(why)
    }

    /// The drill that has an epoch.
    pub fn drill_of(&self, epoch: Epoch) -> Option<&DrillId> {
        self.given.get(&epoch).map(|it| &it.drill)
    }

    /// The newest epoch given out.
    pub fn newest(&self) -> Epoch {
        self.given.keys().next_back().copied().unwrap_or_default()
    }

    fn key(&self, id: &InjectionId) -> Key {
        Key {
            epoch: self.newest(),
            id: id.clone(),
        }
    }
}
