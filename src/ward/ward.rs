//! The state machine's face: one step, the snapshot, and what others may read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use firedrill_wire::{
    AgentId, DrillId, Epoch, EventKind, Fence, HolderSecret, InjectionId, InjectionState, InjectionView,
    Instance, LatchView, OnView, OpenDrillView, Problem, Stamp, Tick, Undo,
};

use crate::injection::{Cx, Injection, Work};
use crate::starting::Plan;
use crate::stopping::{Closer, Releasing, Stream};
use crate::{AskId, Durable, Effect, Event, Key, Limits, PastAbort, Reply, SaveId, UndoRecord};

/// Results that go into a snapshot besides what may be on; more are kept in memory only.
const RESULTS_ON_DISK: usize = 64;

/// The drill that holds the agent, from the moment its opening is on its way to the disk.
#[derive(Debug)]
pub(crate) struct Open {
    /// What every call that starts, strengthens or renews must show.
    pub fence: Fence,
    pub nonce: String,
    pub experiment: String,
    pub console: String,
    pub who: String,
    pub since: Tick,
    pub lease_ms: u64,
    /// When the lease lapses; while opening, when the disk has taken too long.
    pub deadline: Tick,
    /// The save that it waits for and those who wait with it; `None` once it is open.
    pub opening: Option<(SaveId, Vec<AskId>)>,
    /// Injections that were reverted before their start came.
    pub tombstones: BTreeSet<InjectionId>,
}

/// One agent's core in one life.
#[derive(Debug)]
pub struct Ward {
    pub(crate) agent: AgentId,
    pub(crate) instance: Instance,
    pub(crate) cx: Cx,
    /// The highest epoch ever given out.
    pub(crate) epoch: Epoch,
    pub(crate) open: Option<Open>,
    pub(crate) latch: Option<LatchView>,
    pub(crate) latch_number: u64,
    pub(crate) releasing: Option<Releasing>,
    pub(crate) dead_drills: Arc<VecDeque<DrillId>>,
    pub(crate) aborts: Arc<VecDeque<PastAbort>>,
    /// Those of the open drill, and whatever else something is pending of: every step looks at them all.
    pub(crate) injections: BTreeMap<Key, Injection>,
    /// What became of those of former drills, the one that ended last at the end: no step looks at them.
    pub(crate) results: VecDeque<Injection>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) closers: Vec<Closer>,
    /// Why there is no keeper; `None` while there is one.
    pub(crate) unkept: Option<String>,
    /// The last save asked for, and whether it belongs to the step that is running.
    pub(crate) last_save: SaveId,
    pub(crate) saving: bool,
    /// The disk refused the newest snapshot: when to try again.
    pub(crate) save_again_at: Option<Tick>,
    /// `Some` after a shutdown; `true` when its end has been told.
    pub(crate) shut_down: Option<bool>,
}

impl Ward {
    /// The first step of a life: the drill that was open is dead, the latch holds, and whatever may still
    /// be on is reverted and read back. Starts are refused until those read-backs have ended.
    pub fn recover(
        durable: Durable,
        instance: Instance,
        agent: AgentId,
        limits: Limits,
        now: Tick,
    ) -> (Self, Vec<Effect>) {
        let cx = Cx {
            now,
            limits,
            out: Vec::new(),
            unsaved: false,
        };
        let Durable {
            epoch,
            open,
            latch,
            latch_number,
            dead_drills,
            aborts,
            records,
        } = durable;
        let mut ward = Self {
            agent,
            instance,
            cx,
            epoch,
            open: None,
            // The clock may have started anew since.
            latch: latch.map(|latch| LatchView {
                since: latch.since.min(now),
                ..latch
            }),
            latch_number,
            releasing: None,
            dead_drills,
            aborts,
            injections: BTreeMap::new(),
            results: VecDeque::new(),
            streams: Vec::new(),
            closers: Vec::new(),
            unkept: None,
            last_save: SaveId(0),
            saving: false,
            save_again_at: None,
            shut_down: None,
        };
        if let Some(drill) = open {
            ward.cx
                .audit(format!("restart: drill {drill}, epoch {epoch}, is dead"));
            ward.bury(drill);
        }
        for record in records {
            let mut record = Arc::unwrap_or_clone(record);
            record.changed = record.changed.min(now);
            let mut injection = Injection::new(record, None, Work::Idle);
            injection.changed = false;
            ward.recover_injection(&mut injection);
            ward.injections.insert(injection.key(), injection);
        }
        ward.cx.unsaved = true;
        let effects = ward.finish();
        (ward, effects)
    }

    fn recover_injection(&mut self, injection: &mut Injection) {
        if injection.state() == InjectionState::Reverted && injection.record.proved.is_none() {
            injection.prove(&mut self.cx);
        }
        if injection.state().is_off() {
            return;
        }
        self.cx.audit(format!(
            "restart: {} of drill {} is undone",
            injection.record.id, injection.record.drill
        ));
        if injection.record.undo == Undo::None {
            injection.edit().reason =
                Some("the agent restarted during it: it may or may not have happened".to_owned());
            injection.enter(InjectionState::Done, &mut self.cx);
            return;
        }
        injection.condemned = true;
        if matches!(
            injection.state(),
            InjectionState::Starting | InjectionState::Active
        ) {
            injection.edit().reason = Some("restart".to_owned());
            injection.enter(InjectionState::Reverting, &mut self.cx);
        }
        injection.revert(&mut self.cx);
    }

    /// One event at one tick. A tick earlier than the last one counts as the last one.
    pub fn step(&mut self, now: Tick, event: Event) -> Vec<Effect> {
        self.cx.now = self.cx.now.max(now);
        self.run_timers();
        match event {
            Event::Open { ask, request, holder } => self.on_open(ask, request, holder),
            Event::Renew { ask, request } => self.on_renew(ask, &request),
            Event::Close { ask, epoch, request } => self.on_close(ask, epoch, &request),
            Event::Start {
                ask,
                id,
                request,
                claims,
                undo,
                by_hand,
                needs_keeper,
            } => {
                let plan = Plan {
                    claims,
                    undo,
                    by_hand,
                    needs_keeper,
                };
                self.on_start(ask, id, *request, plan);
            }
            Event::Patch { ask, id, request } => self.on_patch(ask, id, request),
            Event::Revert { ask, id } => self.on_revert(ask, &id),
            Event::Abort { ask, request } => self.on_abort(ask, request),
            Event::Release { ask, request } => self.on_release(ask, &request),
            Event::Saved { save, durable } => self.on_saved(save, durable),
            Event::Applied { key, evidence } => self.on_result(&key, |it, cx| it.applied(evidence, cx)),
            Event::ApplyFailed {
                key,
                problem,
                half_applied,
            } => {
                self.on_result(&key, |it, cx| it.apply_failed(problem, half_applied, cx));
            }
            Event::Adjusted { key, result } => self.on_result(&key, |it, cx| it.adjusted(result, cx)),
            Event::ReadBack {
                key,
                attempt,
                clean,
                evidence,
                by_hand,
            } => self.on_result(&key, |it, cx| {
                if it.attempt == attempt && matches!(it.work, Work::Reverting { .. }) {
                    it.read_back(clean, evidence, by_hand, cx);
                }
            }),
            Event::Proved {
                key,
                attempt,
                clean,
                evidence,
            } => self.on_result(&key, |it, cx| {
                if it.attempt == attempt && matches!(it.work, Work::Proving { .. }) {
                    it.proved(clean, evidence, cx);
                }
            }),
            Event::Observed { key, evidence } => self.on_result(&key, |it, _| {
                if it.state() == InjectionState::Active {
                    it.edit().evidence = evidence;
                }
            }),
            Event::Unkept { why } => self.on_unkept(&why),
            Event::Kept => self.on_kept(),
            Event::Lost { claim, why } => self.on_lost(&claim, &why),
            Event::Tick => {}
            Event::Shutdown => self.on_shutdown(),
        }
        self.finish()
    }

    fn on_result(&mut self, key: &Key, act: impl FnOnce(&mut Injection, &mut Cx)) {
        if let Some(injection) = self.injections.get_mut(key) {
            act(injection, &mut self.cx);
        }
    }

    /// The end of every step: whoever can be answered is, changes are told, and the effects are put in order.
    fn finish(&mut self) -> Vec<Effect> {
        self.answer_starters();
        self.answer_changers();
        self.answer_reverters();
        self.run_streams();
        self.answer_closers();
        self.emit_changes();
        self.put_away();
        self.forget_old();
        self.end_shutdown();
        if self.cx.unsaved {
            self.save();
        }
        if self.saving {
            self.saving = false;
            self.cx.unsaved = false;
            self.save_again_at = None;
            let (save, durable) = (self.last_save, Box::new(self.snapshot()));
            self.cx.out.push(Effect::Save { save, durable });
        }
        let mut effects = std::mem::take(&mut self.cx.out);
        effects.sort_by_key(Effect::rank);
        effects
    }

    fn emit_changes(&mut self) {
        let changed: Vec<Key> = self
            .injections
            .iter()
            .filter(|(_, it)| it.changed)
            .map(|(key, _)| key.clone())
            .collect();
        for key in changed {
            let Some(injection) = self.injections.get_mut(&key) else {
                continue;
            };
            injection.changed = false;
            let view = self.view_of(&key);
            if let Some(view) = view {
                let state = view.state;
                let reason = view
                    .reason
                    .as_deref()
                    .map(|why| format!(" ({why})"))
                    .unwrap_or_default();
                self.cx
                    .audit(format!("{} of drill {}: {state:?}{reason}", view.id, view.drill));
                self.cx.out.push(Effect::Emit(EventKind::Injection {
                    injection: Box::new(view),
                }));
            }
        }
    }

    /// Nothing is pending of it, and its drill has ended.
    fn put_away(&mut self) {
        let open = self.open.as_ref().map(|open| open.fence.epoch);
        let over: Vec<Key> = self
            .injections
            .iter()
            .filter(|(key, it)| Some(key.epoch) != open && it.is_history() && !self.is_awaited(key))
            .map(|(key, _)| key.clone())
            .collect();
        let first = self.results.len();
        self.results
            .extend(over.iter().filter_map(|key| self.injections.remove(key)));
        self.results.make_contiguous()[first..].sort_by_key(|it| it.record.changed);
    }

    /// Has the steps look at results again, because somebody asks for them.
    pub(crate) fn recall(&mut self, wanted: impl Fn(&UndoRecord) -> bool) {
        if !self.results.iter().any(|it| wanted(&it.record)) {
            return;
        }
        let mut left = VecDeque::new();
        for result in self.results.drain(..) {
            if wanted(&result.record) {
                self.injections.insert(result.key(), result);
            } else {
                left.push_back(result);
            }
        }
        self.results = left;
    }

    /// Drops results that are older than they are kept.
    fn forget_old(&mut self) {
        let (now, keep_ms) = (self.cx.now, self.cx.limits.keep_ms);
        while let Some(oldest) = self.results.front()
            && oldest.record.changed.plus_ms(keep_ms) <= now
        {
            self.results.pop_front();
        }
    }

    /// Makes room for one more injection by forgetting the oldest result of a former drill.
    pub(crate) fn make_room(&mut self) -> bool {
        let known = self.injections.len() + self.results.len();
        known < self.cx.limits.injections || self.results.pop_front().is_some()
    }

    /// Asks for a snapshot at the end of this step; all that ask in one step share it.
    pub(crate) fn save(&mut self) -> SaveId {
        if !self.saving {
            self.saving = true;
            self.last_save = SaveId(self.last_save.0 + 1);
        }
        self.last_save
    }

    fn snapshot(&self) -> Durable {
        let (on, mut off): (Vec<_>, Vec<_>) = self.injections.values().partition(|it| it.holds_claims());
        off.sort_by_key(|it| std::cmp::Reverse(it.record.changed));
        let results = off
            .into_iter()
            .chain(self.results.iter().rev())
            .take(RESULTS_ON_DISK);
        let records = on.into_iter().chain(results).map(|it| Arc::clone(&it.record));
        Durable {
            epoch: self.epoch,
            open: self.open.as_ref().map(|open| open.fence.drill.clone()),
            latch: self.latch.clone().filter(|_| self.releasing.is_none()),
            latch_number: self.latch_number,
            dead_drills: Arc::clone(&self.dead_drills),
            aborts: Arc::clone(&self.aborts),
            records: records.collect(),
        }
    }

    pub(crate) fn fence(&self, drill: DrillId, holder: HolderSecret) -> Fence {
        Fence {
            drill,
            epoch: self.epoch,
            instance: self.instance.clone(),
            holder,
        }
    }

    /// A drill that opens no more.
    pub(crate) fn bury(&mut self, drill: DrillId) {
        if self.dead_drills.contains(&drill) {
            return;
        }
        let dead = Arc::make_mut(&mut self.dead_drills);
        while dead.len() >= self.cx.limits.dead_drills {
            dead.pop_front();
        }
        dead.push_back(drill);
        self.cx.unsaved = true;
    }

    pub(crate) fn reply(&mut self, ask: AskId, reply: Reply) {
        self.cx.out.push(Effect::Reply { ask, reply });
    }

    /// Refuses, and says so in the audit log.
    pub(crate) fn refuse(&mut self, ask: AskId, what: &str, who: &str, problem: Problem) {
        self.cx.audit(format!(
            "refused {} to {who}: {what}: {problem}",
            problem.kind.status()
        ));
        self.reply(ask, Reply::Refused(problem));
    }

    /// Who drives the open drill, for the audit log.
    pub(crate) fn driver(&self) -> String {
        self.open
            .as_ref()
            .map_or_else(|| "nobody's drill".to_owned(), |open| open.who.clone())
    }

    pub(crate) fn stamp(&self) -> Stamp {
        Stamp {
            agent: self.agent.clone(),
            instance: self.instance.clone(),
            tick: self.cx.now,
        }
    }

    pub(crate) fn view_of(&self, key: &Key) -> Option<InjectionView> {
        self.known(key).map(|it| self.view(it, self.cx.now))
    }

    pub(crate) fn known(&self, key: &Key) -> Option<&Injection> {
        let result = || self.results.iter().find(|it| it.is(key));
        self.injections.get(key).or_else(result)
    }

    fn view(&self, injection: &Injection, now: Tick) -> InjectionView {
        let stamp = Stamp {
            tick: now.max(self.cx.now),
            ..self.stamp()
        };
        let lease_left_ms = self
            .open
            .as_ref()
            .filter(|open| open.fence.epoch == injection.record.epoch)
            .map_or(0, |open| open.deadline.ms_since(now));
        injection.view(stamp, lease_left_ms)
    }

    /// The newest injection of this name: names are unique in their drill only.
    pub(crate) fn find(&self, id: &InjectionId) -> Option<Key> {
        let pending = self.injections.keys().rev().find(|key| key.id == *id).cloned();
        let results = self.results.iter().filter(|it| it.record.id == *id);
        pending.into_iter().chain(results.map(Injection::key)).max()
    }

    /// The latch in force.
    pub fn latch(&self) -> Option<&LatchView> {
        self.latch.as_ref()
    }

    /// The drill that holds the agent.
    pub fn open_drill(&self, now: Tick) -> Option<OpenDrillView> {
        let open = self.open.as_ref().filter(|open| open.opening.is_none())?;
        let ours = self
            .injections
            .values()
            .filter(|it| it.record.epoch == open.fence.epoch && !it.state().is_off());
        let on = ours.fold(OnView::default(), |on, it| OnView {
            injections: on.injections + 1,
            ends_in_ms: on.ends_in_ms.max(it.record.ends_at.ms_since(now)),
        });
        Some(OpenDrillView {
            on: Some(on),
            drill: open.fence.drill.clone(),
            epoch: open.fence.epoch,
            experiment: open.experiment.clone(),
            console: open.console.clone(),
            who: open.who.clone(),
            since: open.since,
            lease_left_ms: open.deadline.ms_since(now),
        })
    }

    /// One injection: that of the newest epoch in which this name was used.
    pub fn injection(&self, id: &InjectionId, now: Tick) -> Option<InjectionView> {
        let key = self.find(id)?;
        self.known(&key).map(|it| self.view(it, now))
    }

    /// Where an injection of this very epoch is in its life.
    pub fn state_of(&self, key: &Key) -> Option<InjectionState> {
        self.known(key).map(Injection::state)
    }

    /// All that are known, oldest epoch first.
    pub fn injections(&self, now: Tick) -> Vec<InjectionView> {
        let mut all: Vec<_> = self.results.iter().chain(self.injections.values()).collect();
        all.sort_by_key(|it| it.record.epoch);
        all.into_iter().map(|it| self.view(it, now)).collect()
    }

    /// Whether the newest snapshot is not on disk because the disk refused it.
    pub fn disk_refuses(&self) -> bool {
        self.save_again_at.is_some()
    }
}
