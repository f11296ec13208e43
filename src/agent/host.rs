//! Runs the ward: one lock around it, its effects carried out in order, nothing slow under the lock.
//!
//! Under the lock effects are only handed on: to the thread of an injection ([`crate::operator`]), to the
//! disk's thread ([`crate::disk`]), to those who wait for an answer. Results come back by [`Host::feed`].

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use firedrill_ward::{AskId, Effect, Event, Key, Reply, Ward};
use firedrill_wire::{
    AbortLine, AbortRequest, AgentId, EventKind, FaultName, InjectionId, InjectionView, Instance, LatchView,
    OpenDrillView, Problem, ProblemKind, Scope, Stamp, Tick,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock;
use crate::deadline::Alarm;
use crate::disk::Disk;
use crate::events::EventLog;
use crate::faults::{Fault, Prepared, words};
use crate::keeper::link::Keeper;
use crate::metrics::Metrics;
use crate::operator::{Begin, Command, Operator, Refused, Task};
use crate::undo::records::Records;

/// Lines of one abort that may wait for a slow reader: two for each injection that can be known, and some.
const MAX_LINES: usize = 2_048;

/// The agent's core at work.
pub struct Host {
    /// Who it is.
    pub agent: AgentId,
    /// Its life.
    pub instance: Instance,
    /// What happened, for listeners.
    pub events: EventLog,
    /// What is counted.
    pub metrics: Metrics,
    /// The disk's queue.
    pub disk: Arc<Disk>,
    /// The alarm for deadlines.
    pub alarm: Arc<Alarm>,
    /// Who ends what is on when this process cannot.
    pub keeper: Arc<Keeper>,
    /// How every injection is undone, on disk.
    pub records: Arc<Records>,
    faults: Vec<Arc<dyn Fault>>,
    next_ask: AtomicU64,
    stopped: watch::Sender<Option<bool>>,
    me: Weak<Host>,
    /// Of the standard library: under contention it sleeps, where others yield, and a thread that yields on
    /// a busy host is not back for milliseconds.
    inner: Mutex<Inner>,
}

struct Inner {
    ward: Ward,
    replies: HashMap<AskId, Waiting>,
    streams: HashMap<AskId, mpsc::Sender<Box<AbortLine>>>,
    operators: HashMap<Key, Operator>,
    /// What checked starts would hit, and how many requests wait for them.
    prepared: HashMap<Key, (Prepared, u32)>,
    next_operator: u64,
}

/// Somebody who waits for an answer, and for which start, if it is one.
struct Waiting {
    sender: oneshot::Sender<Reply>,
    start: Option<Key>,
}

/// What a host is made from.
pub struct Parts {
    /// Who it is.
    pub agent: AgentId,
    /// Its life.
    pub instance: Instance,
    /// The faults of this build.
    pub faults: Vec<Arc<dyn Fault>>,
    /// The disk's queue.
    pub disk: Arc<Disk>,
    /// The alarm for deadlines.
    pub alarm: Arc<Alarm>,
    /// The keeper's line.
    pub keeper: Arc<Keeper>,
    /// The undo records.
    pub records: Arc<Records>,
    /// What is counted.
    pub metrics: Metrics,
    /// What the former life left.
    pub durable: firedrill_ward::Durable,
    /// The agent's bounds.
    pub limits: firedrill_ward::Limits,
}

impl Host {
    /// The first step of a life: whatever a former one left is reverted.
    pub fn start(parts: Parts) -> Arc<Self> {
        let (ward, effects) = Ward::recover(
            parts.durable,
            parts.instance.clone(),
            parts.agent.clone(),
            parts.limits,
            clock::tick(),
        );
        let host = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            events: EventLog::new(parts.agent.clone(), parts.instance.clone()),
            agent: parts.agent,
            instance: parts.instance,
            metrics: parts.metrics,
            disk: parts.disk,
            alarm: parts.alarm,
            keeper: parts.keeper,
            records: parts.records,
            faults: parts.faults,
            next_ask: AtomicU64::new(1),
            stopped: watch::Sender::new(None),
            inner: Mutex::new(Inner {
                ward,
                replies: HashMap::new(),
                streams: HashMap::new(),
                operators: HashMap::new(),
                prepared: HashMap::new(),
                next_operator: 0,
            }),
        });
        host.with(|inner| host.run(inner, effects));
        host
    }

    /// Who speaks, now.
    pub fn stamp(&self) -> Stamp {
        Stamp {
            agent: self.agent.clone(),
            instance: self.instance.clone(),
            tick: clock::tick(),
        }
    }

    /// The faults of this build, in the order to show them.
    pub fn faults(&self) -> &[Arc<dyn Fault>] {
        &self.faults
    }

    /// The fault of that name.
    pub fn fault(&self, name: &FaultName) -> Option<&Arc<dyn Fault>> {
        self.faults
            .iter()
            .find(|fault| fault.spec().name == name.as_str())
    }

    /// The latch and the open drill.
    pub fn standing(&self) -> (Option<LatchView>, Option<OpenDrillView>) {
        let inner = self.lock();
        (inner.ward.latch().cloned(), inner.ward.open_drill(clock::tick()))
    }

    /// Why nobody would end what is on if this process could not.
    pub fn unkept(&self) -> Option<String> {
        self.lock().ward.unkept().map(str::to_owned)
    }

    /// One injection.
    pub fn injection(&self, id: &InjectionId) -> Option<InjectionView> {
        self.lock().ward.injection(id, clock::tick())
    }

    /// All injections that are known.
    pub fn injections(&self) -> Vec<InjectionView> {
        self.lock().ward.injections(clock::tick())
    }

    /// Asks the ward and waits for its answer.
    pub async fn ask(&self, event: impl FnOnce(AskId) -> Event) -> Reply {
        let receiver = self.with(|inner| {
            let (ask, receiver) = self.register(inner, None);
            self.step(inner, event(ask));
            receiver
        });
        answer(receiver).await
    }

    /// Remembers what a start that was checked would hit, and asks the ward.
    pub async fn ask_start(&self, key: Key, prepared: Prepared, event: impl FnOnce(AskId) -> Event) -> Reply {
        let receiver = self.with(|inner| {
            let (ask, receiver) = self.register(inner, Some(key.clone()));
            inner.prepared.entry(key).or_insert((prepared, 0)).1 += 1;
            self.step(inner, event(ask));
            receiver
        });
        answer(receiver).await
    }

    fn register(&self, inner: &mut Inner, start: Option<Key>) -> (AskId, oneshot::Receiver<Reply>) {
        let ask = AskId(self.next_ask.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = oneshot::channel();
        inner.replies.insert(ask, Waiting { sender, start });
        (ask, receiver)
    }

    /// Aborts. The epochs are dead and the reverts under way when this returns; the lines follow.
    pub fn abort(&self, request: AbortRequest) -> mpsc::Receiver<Box<AbortLine>> {
        let ask = AskId(self.next_ask.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = mpsc::channel(MAX_LINES);
        self.with(|inner| {
            inner.streams.insert(ask, sender);
            self.step(inner, Event::Abort { ask, request });
        });
        receiver
    }

    /// Tells the ward what came of an effect, or that time has passed.
    pub fn feed(&self, event: Event) {
        self.with(|inner| self.step(inner, event));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic in another thread leaves the ward between two steps at worst.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under the lock; what was handed to the disk is written after it.
    fn with<R>(&self, act: impl FnOnce(&mut Inner) -> R) -> R {
        let done = act(&mut self.lock());
        self.disk.wake();
        self.keeper.speak();
        done
    }

    /// One line for the audit log that is not the ward's.
    pub fn audit(&self, words: String) {
        self.disk.audit(clock::tick(), words);
        self.disk.wake();
    }

    /// Becomes `Some` after a shutdown, when every read-back has ended: whether all is off.
    pub fn stopped(&self) -> watch::Receiver<Option<bool>> {
        self.stopped.subscribe()
    }

    /// Takes the operator out once its injection is off, unless there is more for it to do.
    pub fn dismiss(&self, key: &Key, number: u64, is_idle: impl FnOnce() -> bool) -> bool {
        let mut inner = self.lock();
        let idle = is_idle();
        if idle
            && inner
                .operators
                .get(key)
                .is_some_and(|operator| operator.number == number)
        {
            inner.operators.remove(key);
        }
        idle
    }

    fn step(&self, inner: &mut Inner, event: Event) {
        let effects = inner.ward.step(clock::tick(), event);
        self.run(inner, effects);
    }

    /// Carries effects out; what fails at once goes back to the ward in the same breath.
    fn run(&self, inner: &mut Inner, effects: Vec<Effect>) {
        let reverts = effects.iter().any(|it| matches!(it, Effect::Revert { .. }));
        let mut queue = VecDeque::from(effects);
        while let Some(effect) = queue.pop_front() {
            if let Some(event) = self.carry_out(inner, effect, reverts) {
                queue.extend(inner.ward.step(clock::tick(), event));
            }
        }
        self.alarm.set(inner.ward.next_deadline());
        self.keeper.set(inner.ward.heard_by());
    }

    /// One effect of a step that `reverts` something, or nothing.
    fn carry_out(&self, inner: &mut Inner, effect: Effect, reverts: bool) -> Option<Event> {
        match effect {
            Effect::Revert {
                key,
                attempt,
                fault,
                scope,
            } => return self.revert(inner, key, attempt, &fault, scope),
            Effect::Prove {
                key,
                attempt,
                fault,
                scope,
            } => return self.prove(inner, key, attempt, &fault, scope),
            Effect::Apply { .. } => return self.apply(inner, effect),
            Effect::Adjust { key, parameters } => return adjust(inner, key, parameters),
            Effect::Reply { ask, reply } => {
                if let Some(waiting) = inner.replies.remove(&ask) {
                    if let Some(key) = waiting.start {
                        inner.release_prepared(&key);
                    }
                    // Whoever has hung up does not hear it.
                    waiting.sender.send(reply).ok();
                }
            }
            Effect::AbortLine { ask, line } => {
                let ends = matches!(line, AbortLine::End { .. });
                let sent = inner
                    .streams
                    .get(&ask)
                    .map(|stream| stream.try_send(Box::new(line)).is_ok());
                // A reader that hung up or does not read hears no more: an answer without `end`.
                if ends || sent == Some(false) {
                    inner.streams.remove(&ask);
                }
            }
            Effect::HangUp { ask } => drop(inner.streams.remove(&ask)),
            Effect::Emit(kind) => {
                self.count(inner, &kind);
                self.events.push(clock::tick(), kind);
            }
            Effect::Save { save, durable } => self.disk.save(save, durable, reverts),
            Effect::Audit { words } => self.disk.audit(clock::tick(), words),
            Effect::Stopped { clean } => drop(self.stopped.send_replace(Some(clean))),
        }
        None
    }

    fn count(&self, inner: &Inner, kind: &EventKind) {
        match kind {
            EventKind::Injection { injection } => self.metrics.injection(injection),
            EventKind::Ended { why, .. } if why == "lease" => self.metrics.lapsed(),
            EventKind::Opened { drill, .. } => {
                let open = inner.ward.open_drill(Tick(0));
                self.metrics
                    .opened(drill, &open.map(|open| open.experiment).unwrap_or_default());
            }
            _ => {}
        }
    }
}

impl Host {
    fn apply(&self, inner: &mut Inner, effect: Effect) -> Option<Event> {
        let Effect::Apply {
            key,
            fault,
            parameters,
            scope,
            ends_in_ms,
            ramp_ms,
        } = effect
        else {
            return None;
        };
        let prepared = inner.prepared.get(&key).map(|(prepared, _)| prepared.clone());
        let begin = prepared.map(|prepared| Begin::Apply {
            parameters,
            ends_in: Duration::from_millis(ends_in_ms),
            ramp: Duration::from_millis(ramp_ms),
            prepared,
        });
        let begun = match begin {
            Some(begin) => self.operator(inner, &key, &fault, scope, begin),
            None => Err("it was not checked before".to_owned()),
        };
        let why = begun.err()?;
        let problem = Problem::new(
            ProblemKind::Unavailable,
            "the injection could not begin",
            format!("{fault}: {why}"),
            "look at the agent's log; nothing was changed",
        );
        Some(Event::ApplyFailed {
            key,
            problem,
            half_applied: false,
        })
    }

    fn revert(
        &self,
        inner: &mut Inner,
        key: Key,
        attempt: u32,
        fault: &FaultName,
        scope: Scope,
    ) -> Option<Event> {
        let why = self
            .command(inner, &key, fault, scope, Command::Revert { attempt })
            .err()?;
        Some(Event::ReadBack {
            key,
            attempt,
            clean: false,
            evidence: words(why),
            by_hand: Some("end the agent's process: the fault ends with it".to_owned()),
        })
    }

    fn prove(
        &self,
        inner: &mut Inner,
        key: Key,
        attempt: u32,
        fault: &FaultName,
        scope: Scope,
    ) -> Option<Event> {
        let why = self
            .command(inner, &key, fault, scope, Command::Prove { attempt })
            .err()?;
        Some(Event::Proved {
            key,
            attempt,
            clean: false,
            evidence: words(why),
        })
    }

    /// Hands a command to the injection's thread; one that has none, or whose thread died, gets one.
    fn command(
        &self,
        inner: &mut Inner,
        key: &Key,
        fault: &FaultName,
        scope: Scope,
        command: Command,
    ) -> Result<(), String> {
        let refused = match inner.operators.get(key) {
            Some(operator) => operator.send(command),
            None => Err(Refused::Gone(command)),
        };
        match refused {
            Ok(()) => Ok(()),
            // The ward asks again when its time is over.
            Err(Refused::Busy) => Err("an earlier order still hangs".to_owned()),
            Err(Refused::Gone(command)) => {
                self.operator(inner, key, fault, scope, Begin::Adopt)?;
                match inner.operators.get(key).map(|operator| operator.send(command)) {
                    Some(Ok(())) => Ok(()),
                    _ => Err("its thread ended at once".to_owned()),
                }
            }
        }
    }

    fn operator(
        &self,
        inner: &mut Inner,
        key: &Key,
        fault: &FaultName,
        scope: Scope,
        begin: Begin,
    ) -> Result<(), String> {
        let host = self.me.upgrade().ok_or("the agent is ending")?;
        let fault = self
            .fault(fault)
            .ok_or_else(|| format!("this build does not know {fault}"))?;
        inner.next_operator += 1;
        let task = Task {
            host,
            number: inner.next_operator,
            fault: Arc::clone(fault),
            key: key.clone(),
            scope,
        };
        let operator = task
            .start(begin)
            .map_err(|error| format!("no thread for it: {error}"))?;
        inner.operators.insert(key.clone(), operator);
        Ok(())
    }
}

impl Inner {
    fn release_prepared(&mut self, key: &Key) {
        if let Some((_, waiting)) = self.prepared.get_mut(key) {
            *waiting -= 1;
            if *waiting == 0 {
                self.prepared.remove(key);
            }
        }
    }
}

fn adjust(inner: &mut Inner, key: Key, parameters: serde_json::Value) -> Option<Event> {
    let sent = inner
        .operators
        .get(&key)
        .map(|operator| operator.send(Command::Adjust { parameters }));
    if matches!(sent, Some(Ok(()))) {
        return None;
    }
    let problem = Problem::new(
        ProblemKind::Unavailable,
        "the strength could not be changed",
        format!("{}: its thread does not take orders", key.id),
        "it is reverted; look at the agent's log",
    );
    Some(Event::Adjusted {
        key,
        result: Err(problem),
    })
}

async fn answer(receiver: oneshot::Receiver<Reply>) -> Reply {
    receiver.await.unwrap_or_else(|_| {
        Reply::Refused(Problem::new(
            ProblemKind::Unavailable,
            "the agent is ending",
            "the request was not answered before the agent ended",
            "ask again when it is back",
        ))
    })
}
