//! Reverting, aborting, releasing, shutting down: everything that stops.

use std::collections::BTreeMap;
use std::sync::Arc;

use firedrill_wire::{
    AbortLine, AbortRequest, DrillId, Epoch, EventKind, Evidence, InjectionId, InjectionState, LatchView,
    Problem, ProblemKind, ReleaseRequest, Released, Tick,
};

use crate::injection::{Injection, Work};
use crate::starting::unknown;
use crate::{AskId, Effect, Key, PastAbort, Reply, SaveId, Ward, checks};

/// A close that waits for read-backs.
#[derive(Debug)]
pub(crate) struct Closer {
    pub ask: AskId,
    pub epoch: Epoch,
    pub journal: Option<String>,
}

/// A release on its way to the disk; until then the latch holds.
#[derive(Debug)]
pub(crate) struct Releasing {
    ask: AskId,
    save: SaveId,
    pub until: Tick,
    words: String,
}

/// One abort's answer, line by line.
#[derive(Debug)]
pub(crate) struct Stream {
    ask: AskId,
    /// What it reverts and has not yet told of.
    awaited: BTreeMap<Key, Awaited>,
    injections: Vec<InjectionId>,
    disk: Disk,
    /// The latch in the snapshot that is waited for: a newer one may not be on disk yet.
    latch: Option<LatchView>,
    clean: bool,
}

/// What an abort's answer waits for, of one injection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    ReadBack,
    Proof,
}

/// Where the line `received` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    Waits { save: SaveId, until: Tick },
    Knows { durable: bool },
    Told,
}

impl Stream {
    pub fn awaits_disk_until(&self) -> Option<Tick> {
        match self.disk {
            Disk::Waits { until, .. } => Some(until),
            Disk::Knows { .. } | Disk::Told => None,
        }
    }

    pub fn on_saved(&mut self, durable: bool) {
        self.disk = Disk::Knows { durable };
    }
}

/// Which injections and epochs an abort hits.
struct Reach {
    drill: Option<DrillId>,
    up_to: Epoch,
}

impl Reach {
    fn hits(&self, drill: &DrillId, epoch: Epoch) -> bool {
        epoch <= self.up_to && self.drill.as_ref().is_none_or(|named| named == drill)
    }
}

impl Ward {
    /// Kills the open epoch in memory before anything else, then takes back what it has started.
    pub(crate) fn kill_epoch(&mut self, why: &str, words: &str) {
        let Some(open) = self.open.take() else { return };
        let epoch = open.fence.epoch;
        self.bury(open.fence.drill.clone());
        for (key, injection) in &mut self.injections {
            if key.epoch == epoch {
                injection.condemn(why, words, &mut self.cx);
            }
        }
        if let Some((_, asks)) = open.opening {
            for ask in asks {
                self.reply(ask, Reply::Refused(checks::dead_drill(&open.fence.drill)));
            }
            return;
        }
        self.cx.audit(format!(
            "epoch {epoch} of drill {} is dead: {words}",
            open.fence.drill
        ));
        let kind = EventKind::Ended {
            drill: open.fence.drill,
            epoch,
            why: why.to_owned(),
        };
        self.cx.out.push(Effect::Emit(kind));
    }

    /// The holder of some injections is gone: they are taken back like any other, so that "reverted" is read here
    /// too and never guessed.
    pub(crate) fn on_lost(&mut self, claim: &str, why: &str) {
        self.cx
            .audit(format!("what holds {claim} injections is lost: {why}"));
        for injection in self.injections.values_mut() {
            if injection.holds_claims() && injection.record.claims.iter().any(|it| it.starts_with(claim)) {
                injection.condemn("lost", why, &mut self.cx);
            }
        }
    }

    pub(crate) fn on_revert(&mut self, ask: AskId, id: &InjectionId) {
        let open = self
            .open
            .as_ref()
            .filter(|open| open.opening.is_none())
            .map(|open| open.fence.epoch);
        let found = self.find(id);
        let in_open = found.as_ref().is_some_and(|key| Some(key.epoch) == open);
        self.cx
            .audit(format!("revert of {} was asked for", checks::clip(id.as_str())));
        if let Some(open) = self
            .open
            .as_mut()
            .filter(|open| !in_open && open.opening.is_none())
            && checks::is_name(id.as_str())
            && open.tombstones.len() < self.cx.limits.tombstones
        {
            open.tombstones.insert(id.clone());
        }
        let Some(key) = found else {
            return self.reply(ask, Reply::Refused(unknown(id)));
        };
        self.recall(|it| it.epoch == key.epoch && it.id == key.id);
        let most = self.cx.limits.asks;
        let Some(injection) = self.injections.get_mut(&key) else {
            return;
        };
        injection.condemn("revert", "a revert came", &mut self.cx);
        if injection.reverters.len() < most {
            injection.reverters.push(ask);
        } else {
            self.reply(
                ask,
                Reply::Refused(checks::too_many("reverts of one injection", most)),
            );
        }
    }

    pub(crate) fn answer_reverters(&mut self) {
        let done: Vec<Key> = self
            .injections
            .iter()
            .filter(|(_, it)| !it.reverters.is_empty() && it.settled())
            .map(|(key, _)| key.clone())
            .collect();
        for key in done {
            let asks = self
                .injections
                .get_mut(&key)
                .map(|it| std::mem::take(&mut it.reverters));
            for ask in asks.unwrap_or_default() {
                self.reply_view(ask, &key);
            }
        }
    }

    pub(crate) fn on_abort(&mut self, ask: AskId, request: AbortRequest) {
        let AbortRequest {
            abort,
            drill,
            latch,
            reason,
            who,
        } = request;
        let abort = abort.filter(|id| checks::is_name(id));
        let past = abort
            .as_ref()
            .and_then(|id| self.aborts.iter().find(|past| past.id == *id))
            .cloned();
        let latches = latch && past.as_ref().is_none_or(|past| !past.latched);
        let reach = Reach {
            drill: drill.clone().filter(|_| !latch),
            up_to: past
                .as_ref()
                .filter(|_| !latches)
                .map_or(self.epoch, |past| past.up_to),
        };
        let reason = checks::clip(reason.as_deref().unwrap_or("no reason was given"));
        let who = checks::clip(who.as_deref().unwrap_or("somebody"));

        // An earlier answer may have been lost on its way: all that the drill ever had on is told again.
        let of_open = self.open.as_ref().map(|open| &open.fence.drill) == drill.as_ref();
        if let Some(named) = drill.as_ref().filter(|_| !of_open) {
            self.recall(|it| it.drill == *named);
        }
        // First of all the epoch dies; then what is on is taken back; the disk and the words come after.
        let words = format!("aborted by {who}: {reason}");
        if self
            .open
            .as_ref()
            .is_some_and(|open| reach.hits(&open.fence.drill, open.fence.epoch))
        {
            self.kill_epoch("abort", &words);
        }
        for (key, injection) in &mut self.injections {
            if reach.hits(&injection.record.drill, key.epoch) {
                injection.condemn("abort", &words, &mut self.cx);
                if injection.suspect && injection.work == Work::Idle {
                    injection.prove(&mut self.cx);
                }
            }
        }
        if let Some(drill) = drill.clone().filter(|drill| checks::is_name(drill.as_str())) {
            self.bury(drill);
        }
        if latches {
            self.set_latch(reason, who);
        }
        self.remember_abort(abort, latch, &reach);
        self.cx.audit(format!(
            "abort: {words}{}",
            if latches { ", latched" } else { "" }
        ));
        self.open_stream(ask, &reach, drill.as_ref());
    }

    fn set_latch(&mut self, reason: String, who: String) {
        if let Some(Releasing { ask, .. }) = self.releasing.take() {
            let problem = other_latch("a newer abort has latched again", self.latch_number + 1);
            self.reply(ask, Reply::Refused(problem));
        }
        self.latch_number += 1;
        let latch = LatchView {
            number: self.latch_number,
            reason,
            who,
            since: self.cx.now,
        };
        self.latch = Some(latch.clone());
        self.cx
            .out
            .push(Effect::Emit(EventKind::Latch { latch: Some(latch) }));
    }

    fn remember_abort(&mut self, abort: Option<String>, latched: bool, reach: &Reach) {
        let Some(id) = abort else { return };
        // Snapshots on their way to the disk share it.
        let aborts = Arc::make_mut(&mut self.aborts);
        if let Some(past) = aborts.iter_mut().find(|past| past.id == id) {
            past.latched |= latched;
            past.up_to = past.up_to.max(reach.up_to);
            return;
        }
        while aborts.len() >= self.cx.limits.aborts {
            aborts.pop_front();
        }
        aborts.push_back(PastAbort {
            id,
            up_to: reach.up_to,
            latched,
        });
    }

    /// The answer names everything in reach that is not off, or off and not proved; and of the drill that is
    /// named all that was ever on, because an earlier answer may have been lost on its way.
    fn open_stream(&mut self, ask: AskId, reach: &Reach, named: Option<&DrillId>) {
        if self.streams.len() >= self.cx.limits.asks {
            // The oldest caller has most likely gone; the newest must be served.
            let oldest = self.streams.remove(0);
            self.cx.out.push(Effect::HangUp { ask: oldest.ask });
        }
        let awaited: BTreeMap<Key, Awaited> = self
            .injections
            .iter()
            .filter(|(key, it)| reach.hits(&it.record.drill, key.epoch))
            .filter_map(|(key, it)| {
                let awaited = awaits(it, named == Some(&it.record.drill))?;
                Some((key.clone(), awaited))
            })
            .collect();
        let injections = awaited.keys().map(|key| key.id.clone()).collect();
        let until = self.cx.now.plus_ms(self.cx.limits.operation_ms);
        let disk = Disk::Waits {
            save: self.save(),
            until,
        };
        self.streams.push(Stream {
            ask,
            awaited,
            injections,
            disk,
            latch: self.latch.clone(),
            clean: true,
        });
    }

    /// Whether an abort's answer still has to tell of it.
    pub(crate) fn is_awaited(&self, key: &Key) -> bool {
        self.streams.iter().any(|stream| stream.awaited.contains_key(key))
    }

    /// Writes the lines that have become true in this step.
    pub(crate) fn run_streams(&mut self) {
        let mut streams = std::mem::take(&mut self.streams);
        let stamp = self.stamp();
        streams.retain_mut(|stream| {
            let ask = stream.ask;
            let mut lines = Vec::new();
            if let Disk::Knows { durable } = stream.disk {
                stream.disk = Disk::Told;
                lines.push(AbortLine::Received {
                    stamp: stamp.clone(),
                    durable,
                    latch: stream.latch.clone(),
                    injections: stream.injections.clone(),
                });
            }
            stream.follow(&self.injections, stamp.tick, &mut lines);
            let complete = stream.disk == Disk::Told && stream.awaited.is_empty();
            if complete {
                lines.push(AbortLine::End {
                    clean: stream.clean,
                    tick: stamp.tick,
                });
            }
            self.cx
                .out
                .extend(lines.into_iter().map(|line| Effect::AbortLine { ask, line }));
            !complete
        });
        self.streams = streams;
    }

    pub(crate) fn on_saved(&mut self, save: SaveId, durable: bool) {
        if save == self.last_save && !durable {
            self.save_again_at = Some(self.cx.now.plus_ms(1_000));
        }
        self.opening_saved(save, durable);
        self.starts_saved(save, durable);
        for stream in &mut self.streams {
            if matches!(stream.disk, Disk::Waits { save: waits_for, .. } if waits_for == save) {
                stream.on_saved(durable);
            }
        }
        if self
            .releasing
            .as_ref()
            .is_some_and(|releasing| releasing.save == save)
        {
            if durable {
                self.released();
            } else {
                self.release_failed();
            }
        }
    }

    pub(crate) fn on_release(&mut self, ask: AskId, request: &ReleaseRequest) {
        let who = checks::clip(&request.who);
        if let Err(problem) = self.may_release(request) {
            return self.refuse(ask, &format!("release latch {}", request.latch), &who, problem);
        }
        if self.latch.is_none() {
            // The answer to this very release was lost.
            return self.reply(
                ask,
                Reply::Released(Released {
                    stamp: self.stamp(),
                    latch: request.latch,
                }),
            );
        }
        let save = self.save();
        let until = self.cx.now.plus_ms(self.cx.limits.disk_ms);
        let words = format!(
            "{who} releases latch {}: {}",
            request.latch,
            checks::clip(&request.reason)
        );
        self.releasing = Some(Releasing {
            ask,
            save,
            until,
            words,
        });
    }

    fn may_release(&self, request: &ReleaseRequest) -> Result<(), Problem> {
        if request.reason.trim().is_empty() || request.who.trim().is_empty() {
            return Err(Problem::new(
                ProblemKind::Parameters,
                "a release needs a reason and a name",
                "reason or who is empty",
                "say who releases, and why it is safe to start again",
            ));
        }
        // Only the newest number can have been released, so naming it again is a repeat.
        if request.latch != self.latch_number || self.latch_number == 0 {
            return Err(other_latch(
                &format!("the release names latch {}", request.latch),
                self.latch_number,
            ));
        }
        if self.releasing.is_some() {
            return Err(other_latch("a release of it is under way", self.latch_number));
        }
        Ok(())
    }

    fn released(&mut self) {
        let Some(Releasing { ask, words, .. }) = self.releasing.take() else {
            return;
        };
        self.latch = None;
        self.cx.audit(words);
        self.cx.out.push(Effect::Emit(EventKind::Latch { latch: None }));
        let released = Released {
            stamp: self.stamp(),
            latch: self.latch_number,
        };
        self.reply(ask, Reply::Released(released));
    }

    /// The disk does not take the release: the latch holds, and the next snapshot says so.
    pub(crate) fn release_failed(&mut self) {
        let Some(Releasing { ask, .. }) = self.releasing.take() else {
            return;
        };
        self.cx.unsaved = true;
        self.reply(ask, Reply::Refused(checks::disk("the release")));
    }

    pub(crate) fn on_shutdown(&mut self) {
        if self.shut_down.is_some() {
            return;
        }
        self.shut_down = Some(false);
        self.cx.audit("shutdown: everything is reverted".to_owned());
        self.kill_epoch("shutdown", "the agent is stopping");
        for injection in self.injections.values_mut() {
            injection.condemn("shutdown", "the agent is stopping", &mut self.cx);
        }
    }

    pub(crate) fn end_shutdown(&mut self) {
        if self.shut_down == Some(false) && self.injections.values().all(Injection::settled) {
            self.shut_down = Some(true);
            let clean = self.injections.values().all(|it| !it.holds_claims());
            self.cx.out.push(Effect::Stopped { clean });
        }
    }
}

/// What an abort that has just condemned `injection` waits for.
fn awaits(injection: &Injection, named: bool) -> Option<Awaited> {
    match injection.state() {
        state if !state.is_off() => Some(Awaited::ReadBack),
        InjectionState::Reverted | InjectionState::Done if named => Some(Awaited::ReadBack),
        _ if injection.suspect => Some(Awaited::Proof),
        _ => None,
    }
}

impl Stream {
    fn follow(&mut self, injections: &BTreeMap<Key, Injection>, tick: Tick, lines: &mut Vec<AbortLine>) {
        let Self { awaited, clean, .. } = self;
        let first = lines.len();
        awaited.retain(|key, stage| {
            let Some(it) = injections.get(key) else {
                return false;
            };
            if *stage == Awaited::ReadBack {
                if !it.settled() {
                    return true;
                }
                lines.push(AbortLine::Reverted {
                    injection: key.id.clone(),
                    state: it.state(),
                    tick,
                    evidence: it.record.evidence.clone(),
                    by_hand: (it.state() != InjectionState::Reverted).then(|| it.record.by_hand.clone()),
                    left: None,
                });
                *clean &= it.state().is_off() && !it.lingering;
                if it.state() != InjectionState::Reverted {
                    return false;
                }
                *stage = Awaited::Proof;
            }
            if matches!(it.work, Work::Proving { .. }) {
                return true;
            }
            if it.proof_abandoned {
                // What took the resource since has to be proved in its stead.
                return false;
            }
            let proof = it.record.proved.as_ref();
            *clean &= proof.is_some();
            let evidence = proof.map_or_else(
                || Evidence {
                    words: "not proved".to_owned(),
                    ..Evidence::default()
                },
                |proof| proof.evidence.clone(),
            );
            lines.push(AbortLine::Proved {
                injection: key.id.clone(),
                clean: proof.is_some(),
                tick,
                evidence,
                left: None,
            });
            false
        });
        self.count_left(&mut lines[first..]);
    }

    /// Says in each new line how many are still to come.
    fn count_left(&self, lines: &mut [AbortLine]) {
        let awaited = self.awaited.values();
        let read_backs = awaited.filter(|stage| **stage == Awaited::ReadBack).count() as u32;
        for line in lines {
            match line {
                AbortLine::Reverted { left, .. } => *left = Some(read_backs),
                AbortLine::Proved { left, .. } => *left = Some(self.awaited.len() as u32),
                AbortLine::Received { .. } | AbortLine::End { .. } => {}
            }
        }
    }
}

fn other_latch(detail: &str, newest: u64) -> Problem {
    Problem::new(
        ProblemKind::Held,
        "not the latch that holds",
        format!("{detail}; the newest latch here is {newest}"),
        "read GET /v1/agent, and release the latch it shows",
    )
}
