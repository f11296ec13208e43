//! One injection in memory: its record, who waits for it, and what the host is doing about it.
//!
//! The host does at most one thing for an injection at a time, so a revert never overtakes the start it
//! takes back. The exception is a host that hangs: then the revert is tried all the same, but the
//! injection stays `unconfirmed` until the hanging call has returned and another revert came back clean.

use std::sync::Arc;

use firedrill_wire::{
    Evidence, InjectionState, InjectionView, PatchRequest, Problem, ProblemKind, Proof, Stamp, StartRequest,
    Tick, Undo,
};

use crate::{AskId, Effect, Key, Limits, SaveId, UndoRecord};

/// What one step works with: the time, the bounds, and what it wants done.
#[derive(Debug)]
pub(crate) struct Cx {
    pub now: Tick,
    pub limits: Limits,
    pub out: Vec<Effect>,
    /// Something that belongs on disk has changed in this step.
    pub unsaved: bool,
}

impl Cx {
    pub fn audit(&mut self, words: String) {
        self.out.push(Effect::Audit { words });
    }
}

/// What the host is doing for an injection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Idle,
    /// The undo record is on its way to the disk; nothing is applied before.
    Saving(SaveId),
    Applying {
        until: Tick,
    },
    Adjusting {
        until: Tick,
    },
    Reverting {
        until: Tick,
    },
    Proving {
        until: Tick,
    },
}

#[derive(Debug)]
pub(crate) struct Injection {
    /// Shared with the snapshots that are on their way to the disk: a snapshot copies nothing.
    pub record: Arc<UndoRecord>,
    /// The start that made it; `None` for one of a former life.
    pub request: Option<StartRequest>,
    pub work: Work,
    /// A start or change that the host never answered; it may still take effect.
    pub lingering: bool,
    /// It must go: why. Set once, when a revert is decided.
    pub condemned: bool,
    /// The refusal that every repeat of the start gets. Only where nothing is on: a console takes a refusal
    /// for "it never began".
    pub answer: Option<Problem>,
    /// A start that was half applied becomes `failed`, not `reverted`.
    pub failing: Option<Problem>,
    /// Who waits for the start.
    pub starters: Vec<AskId>,
    /// Who waits for the read-back.
    pub reverters: Vec<AskId>,
    /// Who waits for the change, and the change last accepted.
    pub changers: Vec<AskId>,
    pub change: Option<PatchRequest>,
    /// Number of the last revert or proof asked for; results of others are stale.
    pub attempt: u32,
    /// Fruitless reverts or proofs in a row, and when to try again.
    pub fruitless: u32,
    pub retry_at: Option<Tick>,
    /// Reverted, but another mechanism still sees it.
    pub suspect: bool,
    /// Reverted, but something new took its resource before another mechanism could look.
    pub proof_abandoned: bool,
    /// Tell the event stream at the end of this step.
    pub changed: bool,
}

impl Injection {
    pub fn new(record: UndoRecord, request: Option<StartRequest>, work: Work) -> Self {
        Self {
            record: Arc::new(record),
            request,
            work,
            lingering: false,
            condemned: false,
            answer: None,
            failing: None,
            starters: Vec::new(),
            reverters: Vec::new(),
            changers: Vec::new(),
            change: None,
            attempt: 0,
            fruitless: 0,
            retry_at: None,
            suspect: false,
            proof_abandoned: false,
            changed: true,
        }
    }

    /// The record, to change it.
    pub fn edit(&mut self) -> &mut UndoRecord {
        Arc::make_mut(&mut self.record)
    }

    pub fn key(&self) -> Key {
        Key {
            epoch: self.record.epoch,
            id: self.record.id.clone(),
        }
    }

    pub fn is(&self, key: &Key) -> bool {
        self.record.epoch == key.epoch && self.record.id == key.id
    }

    pub fn state(&self) -> InjectionState {
        self.record.state
    }

    /// The only way a state changes. A move backwards is a defect of the ward; it is not made.
    pub fn enter(&mut self, state: InjectionState, cx: &mut Cx) {
        use InjectionState as S;
        let legal = match self.record.state {
            S::Starting => state != S::Starting,
            S::Active => state == S::Reverting,
            S::Reverting => matches!(state, S::Reverted | S::Unconfirmed | S::Failed),
            S::Unconfirmed => state == S::Reverted,
            S::Reverted | S::Refused | S::Failed | S::Done => false,
        };
        debug_assert!(legal, "{:?} -> {state:?}", self.record.state);
        if legal {
            self.edit().state = state;
            self.edit().changed = cx.now;
            self.changed = true;
            cx.unsaved |= state.is_off() || state == S::Unconfirmed;
        }
    }

    /// Off or given up for now: whoever waits for the read-back can be told.
    pub fn settled(&self) -> bool {
        match self.state() {
            InjectionState::Unconfirmed => !matches!(self.work, Work::Reverting { .. }),
            state => state.is_off(),
        }
    }

    /// Whether its resources are still its own.
    pub fn holds_claims(&self) -> bool {
        !self.state().is_off() || self.lingering || self.suspect
    }

    /// Whether nothing about it is pending, so that its result may be forgotten.
    pub fn is_history(&self) -> bool {
        !self.holds_claims()
            && self.work == Work::Idle
            && self.starters.is_empty()
            && self.reverters.is_empty()
            && self.changers.is_empty()
            && !self.changed
    }

    pub fn one_shot(&self) -> bool {
        self.record.undo == Undo::None
    }

    /// It must go. `why` is the reason shown (`end`, `revert`, `abort`, `lease`, …); `words` tell those
    /// whose start or change this cuts off.
    pub fn condemn(&mut self, why: &str, words: &str, cx: &mut Cx) {
        use InjectionState as S;
        let cut_off = |what: &str| {
            Problem::new(
                ProblemKind::Fenced,
                format!("the {what} was cut off"),
                words,
                "read the injection's state; start nothing more under this epoch if it is dead",
            )
        };
        match self.state() {
            S::Starting => {
                self.condemned = true;
                self.edit().reason = Some(why.to_owned());
                if matches!(self.work, Work::Saving(_)) {
                    self.work = Work::Idle;
                    self.answer = Some(cut_off("start"));
                    self.enter(S::Refused, cx);
                } else if !self.one_shot() {
                    self.enter(S::Reverting, cx);
                }
            }
            S::Active => {
                self.condemned = true;
                self.edit().reason = Some(why.to_owned());
                self.enter(S::Reverting, cx);
                self.refuse_changers(&cut_off("change"), cx);
                if self.work == Work::Idle {
                    self.revert(cx);
                }
            }
            S::Unconfirmed if !matches!(self.work, Work::Reverting { .. }) => self.revert(cx),
            S::Unconfirmed | S::Reverting | S::Reverted | S::Refused | S::Failed | S::Done => {}
        }
    }

    /// Asks the host for a revert, whatever else it is doing.
    pub fn revert(&mut self, cx: &mut Cx) {
        self.attempt += 1;
        self.retry_at = None;
        self.work = Work::Reverting {
            until: cx.now.plus_ms(cx.limits.operation_ms),
        };
        cx.out.push(Effect::Revert {
            key: self.key(),
            attempt: self.attempt,
            fault: self.record.fault.clone(),
            scope: self.record.scope.clone(),
        });
    }

    /// Asks the host for a look with another mechanism.
    pub fn prove(&mut self, cx: &mut Cx) {
        self.proof_abandoned = false;
        self.attempt += 1;
        self.retry_at = None;
        self.work = Work::Proving {
            until: cx.now.plus_ms(cx.limits.operation_ms),
        };
        cx.out.push(Effect::Prove {
            key: self.key(),
            attempt: self.attempt,
            fault: self.record.fault.clone(),
            scope: self.record.scope.clone(),
        });
    }

    /// The undo record is on disk: on with it.
    pub fn apply(&mut self, cx: &mut Cx) {
        let Some(request) = &self.request else { return };
        let (ends_in_ms, ramp_ms) = (request.ends_in_ms, request.ramp_ms);
        self.work = Work::Applying {
            until: cx.now.plus_ms(cx.limits.operation_ms),
        };
        cx.out.push(Effect::Apply {
            key: self.key(),
            fault: self.record.fault.clone(),
            parameters: self.record.parameters.clone(),
            scope: self.record.scope.clone(),
            ends_in_ms,
            ramp_ms,
        });
    }

    /// Never began: the disk or the clock was in the way.
    pub fn refuse(&mut self, problem: Problem, cx: &mut Cx) {
        self.work = Work::Idle;
        self.edit().reason = Some(problem.to_string());
        self.answer = Some(problem);
        self.enter(InjectionState::Refused, cx);
    }

    pub fn applied(&mut self, evidence: Evidence, cx: &mut Cx) {
        if self.lingering {
            return self.returned(cx);
        }
        if !matches!(self.work, Work::Applying { .. }) {
            return;
        }
        self.work = Work::Idle;
        self.edit().evidence = evidence;
        if self.one_shot() {
            self.enter(InjectionState::Done, cx);
        } else if self.condemned {
            self.revert(cx);
        } else {
            let ends_in_ms = self.request.as_ref().map_or(0, |request| request.ends_in_ms);
            self.edit().active_since = Some(cx.now);
            self.edit().ends_at = cx.now.plus_ms(ends_in_ms);
            self.enter(InjectionState::Active, cx);
        }
    }

    pub fn apply_failed(&mut self, problem: Problem, half_applied: bool, cx: &mut Cx) {
        if self.lingering {
            return self.returned(cx);
        }
        if !matches!(self.work, Work::Applying { .. }) {
            return;
        }
        self.work = Work::Idle;
        self.edit().reason = Some(problem.to_string());
        if !half_applied {
            self.answer = Some(problem);
            self.enter(InjectionState::Failed, cx);
        } else if self.one_shot() {
            self.enter(InjectionState::Done, cx);
        } else {
            // Whoever asked for the start hears of it after the read-back.
            self.failing = Some(problem);
            if !self.condemned {
                self.condemned = true;
                self.enter(InjectionState::Reverting, cx);
            }
            self.revert(cx);
        }
    }

    pub fn adjusted(&mut self, result: Result<Evidence, Problem>, cx: &mut Cx) {
        if self.lingering {
            return self.returned(cx);
        }
        match (&self.work, &result) {
            (Work::Adjusting { .. }, _) => self.work = Work::Idle,
            (Work::Idle, Err(_)) if self.state() == InjectionState::Active => {}
            _ => return,
        }
        match result {
            Ok(evidence) => {
                self.edit().evidence = evidence;
                if let Some(change) = &self.change {
                    let record = Arc::make_mut(&mut self.record);
                    record.revision = change.revision;
                    record.parameters = change.parameters.clone();
                }
                self.changed = true;
                if self.condemned {
                    self.revert(cx);
                }
            }
            Err(problem) if self.condemned => {
                self.edit().evidence.words = problem.to_string();
                self.revert(cx);
            }
            Err(problem) => {
                // How strong it is now nobody knows.
                let words = problem.to_string();
                self.refuse_changers(&problem, cx);
                self.condemn(&format!("a change failed: {words}"), &words, cx);
            }
        }
    }

    /// A hanging start or change came back at last: only now can a revert be believed.
    fn returned(&mut self, cx: &mut Cx) {
        self.lingering = false;
        self.changed = true;
        if matches!(
            self.state(),
            InjectionState::Reverting | InjectionState::Unconfirmed
        ) {
            self.revert(cx);
        }
    }

    /// The host has not answered a start or a change in time.
    pub fn overdue(&mut self, what: &str, cx: &mut Cx) {
        let ms = cx.limits.operation_ms;
        let problem = Problem::new(
            ProblemKind::Unavailable,
            format!("the {what} hangs"),
            format!("the {what} of {} did not return within {ms} ms", self.record.id),
            "it is being reverted; look at the target, and restart the agent if it stays unconfirmed",
        );
        self.lingering = true;
        self.refuse_changers(&problem, cx);
        self.work = Work::Idle;
        if self.one_shot() {
            self.edit().reason = Some(format!("{problem}: it may have happened, or happen yet"));
            self.enter(InjectionState::Done, cx);
            return;
        }
        if !self.condemned {
            self.condemned = true;
            self.edit().reason = Some(problem.to_string());
            self.enter(InjectionState::Reverting, cx);
        }
        self.revert(cx);
    }

    /// What a revert read. `by_hand`: what to do where it is not gone.
    pub fn read_back(&mut self, clean: bool, evidence: Evidence, by_hand: Option<String>, cx: &mut Cx) {
        self.work = Work::Idle;
        self.edit().evidence = evidence;
        if let Some(words) = by_hand {
            self.edit().by_hand = words;
        }
        if clean && !self.lingering {
            self.fruitless = 0;
            let failed = self.failing.take();
            if failed.is_some() && self.state() == InjectionState::Reverting {
                self.answer = failed;
                self.enter(InjectionState::Failed, cx);
            } else {
                self.enter(InjectionState::Reverted, cx);
                self.prove(cx);
            }
            return;
        }
        if self.state() == InjectionState::Reverting {
            self.enter(InjectionState::Unconfirmed, cx);
        }
        self.changed = true;
        self.retry_later(cx);
    }

    /// What another mechanism saw.
    pub fn proved(&mut self, clean: bool, evidence: Evidence, cx: &mut Cx) {
        self.work = Work::Idle;
        self.changed = true;
        cx.unsaved = true;
        if clean {
            self.suspect = false;
            self.fruitless = 0;
            self.edit().proved = Some(Proof {
                tick: cx.now,
                evidence,
            });
            return;
        }
        self.suspect = true;
        cx.audit(format!(
            "{} is reverted but not proved: {}",
            self.record.id, evidence.words
        ));
        self.edit().evidence.words = format!(
            "{}; but another look says: {}",
            self.record.evidence.words, evidence.words
        );
        self.retry_later(cx);
    }

    /// One second, doubling to a minute.
    fn retry_later(&mut self, cx: &mut Cx) {
        let wait_ms = (1_000u64 << self.fruitless.min(6)).min(60_000);
        self.fruitless = self.fruitless.saturating_add(1);
        self.retry_at = Some(cx.now.plus_ms(wait_ms));
    }

    /// Whoever waits for a change is told why it is not made.
    fn refuse_changers(&mut self, problem: &Problem, cx: &mut Cx) {
        for ask in self.changers.drain(..) {
            cx.out.push(Effect::Reply {
                ask,
                reply: crate::Reply::Refused(problem.clone()),
            });
        }
    }

    pub fn view(&self, stamp: Stamp, lease_left_ms: u64) -> InjectionView {
        use InjectionState as S;
        let now = stamp.tick;
        let record = &self.record;
        let off = record.state.is_off();
        let needs_hand = matches!(record.state, S::Unconfirmed | S::Done) || self.suspect;
        InjectionView {
            stamp,
            id: record.id.clone(),
            drill: record.drill.clone(),
            epoch: record.epoch,
            started_by: record.started_by.clone(),
            fault: record.fault.clone(),
            scope: record.scope.clone(),
            parameters: record.parameters.clone(),
            revision: record.revision,
            state: record.state,
            active_since: record.active_since,
            ends_at: record.ends_at,
            ends_in_ms: if off { 0 } else { record.ends_at.ms_since(now) },
            lease_left_ms: if off { 0 } else { lease_left_ms },
            undone: match record.state {
                S::Reverted => Some(true),
                S::Done => Some(false),
                _ => None,
            },
            by_hand: needs_hand.then(|| record.by_hand.clone()),
            reason: record.reason.clone(),
            evidence: record.evidence.clone(),
            proved: record.proved.clone(),
        }
    }
}
