//! One injection's own thread: begins it, changes it, takes it back, looks whether it is gone.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::{Event, Key};
use firedrill_wire::{Evidence, FaultName, Problem, ProblemKind, Scope};
use serde_json::Value;

use crate::clock;
use crate::faults::{Failure, Fault, Held, Order, Pen, Prepared};
use crate::host::Host;
use crate::undo::{RECORD_VERSION, Record, Undo};
use crate::urgency;

/// Orders that may wait while an earlier one runs. More are not taken: the ward asks again.
const MAX_COMMANDS: usize = 8;

/// How often an injection's counters are read while it is on.
const OBSERVE_EVERY: Duration = Duration::from_secs(1);

/// How often the strength of one that grows is changed.
const GROW_EVERY: Duration = Duration::from_millis(100);

/// After a clean read-back the thread waits this long for the order to prove it.
const PROOF_WITHIN: Duration = Duration::from_secs(30);

/// How an operator begins.
#[derive(Debug)]
pub enum Begin {
    /// With the fault itself.
    Apply {
        /// As on the wire, checked.
        parameters: Value,
        /// When it ends by itself.
        ends_in: Duration,
        /// How long it grows.
        ramp: Duration,
        /// What it hits.
        prepared: Prepared,
    },
    /// With what a former life or a dead thread left.
    Adopt,
}

/// An order to an injection's thread.
#[derive(Debug)]
pub enum Command {
    /// See [`Held::adjust`].
    Adjust {
        /// All of them.
        parameters: Value,
    },
    /// See [`Held::revert`].
    Revert {
        /// Repeated in the result.
        attempt: u32,
    },
    /// See [`Held::prove`].
    Prove {
        /// Repeated in the result.
        attempt: u32,
    },
}

/// Why an order was not taken.
#[derive(Debug)]
pub enum Refused {
    /// Earlier ones hang.
    Busy,
    /// The thread has ended.
    Gone(Command),
}

/// The handle on an injection's thread.
#[derive(Debug)]
pub struct Operator {
    /// Tells it from an earlier one of the same injection.
    pub number: u64,
    commands: SyncSender<Command>,
}

impl Operator {
    /// Hands an order over without waiting.
    pub fn send(&self, command: Command) -> Result<(), Refused> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => Refused::Busy,
            TrySendError::Disconnected(command) => Refused::Gone(command),
        })
    }
}

/// What an injection's thread works on.
pub struct Task {
    /// Whom to tell.
    pub host: Arc<Host>,
    /// Its number.
    pub number: u64,
    /// What it injects.
    pub fault: Arc<dyn Fault>,
    /// Which injection.
    pub key: Key,
    /// Where.
    pub scope: Scope,
}

impl Task {
    /// Starts the thread.
    pub fn start(self, begin: Begin) -> std::io::Result<Operator> {
        let (commands, receiver) = sync_channel(MAX_COMMANDS);
        let number = self.number;
        std::thread::Builder::new()
            .name(format!("inject-{number}"))
            .stack_size(512 * 1024)
            .spawn(move || self.run(begin, &receiver))?;
        Ok(Operator { number, commands })
    }

    fn run(self, begin: Begin, commands: &Receiver<Command>) {
        urgency::first();
        let growth = Growth::of(self.fault.as_ref(), &begin);
        let Some(mut held) = self.begin(begin, growth.as_ref(), commands) else {
            return;
        };
        let mut rhythm = Rhythm::new(growth);
        let mut phase = Phase::On;
        loop {
            match self.next(commands, phase, rhythm.wait()) {
                Ok(command) => {
                    // Whatever is ordered now comes instead of the rest of a ramp.
                    rhythm.growth = None;
                    phase = self.obey(held.as_mut(), command, phase);
                }
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => match phase {
                    Phase::On => self.tick(held.as_mut(), &mut rhythm),
                    Phase::Stuck | Phase::Proved => {}
                    Phase::Off => phase = Phase::Proved,
                },
            }
            if phase == Phase::Proved {
                self.host.records.remove(&self.key);
                match self.dismissed(commands) {
                    None => return,
                    Some(command) => phase = self.obey(held.as_mut(), command, phase),
                }
            }
        }
    }

    /// The next order. The record of what is off goes only when there is none: the proof comes before it.
    fn next(
        &self,
        commands: &Receiver<Command>,
        phase: Phase,
        wait: Duration,
    ) -> Result<Command, RecvTimeoutError> {
        if let Ok(command) = commands.try_recv() {
            return Ok(command);
        }
        if phase != Phase::Off {
            return commands.recv_timeout(wait);
        }
        self.host.records.remove(&self.key);
        commands.recv_timeout(PROOF_WITHIN)
    }

    /// What is held, or `None` when the thread may end.
    fn begin(
        &self,
        begin: Begin,
        growth: Option<&Growth>,
        commands: &Receiver<Command>,
    ) -> Option<Box<dyn Held>> {
        let adopt = || {
            let record = self.host.records.of(&self.key);
            self.fault
                .adopt(&self.key, &self.scope, record.as_ref().map(|it| &it.undo))
        };
        let Begin::Apply {
            parameters,
            ends_in,
            ramp,
            prepared,
        } = begin
        else {
            return Some(adopt());
        };
        let parameters = crate::check::parameters(self.fault.spec(), &parameters)
            .map(|full| growth.map_or(full, |growth| growth.now(self.fault.spec()).0));
        let begun = parameters
            .map_err(|problem| Failure {
                problem,
                half_applied: false,
            })
            .and_then(|parameters| self.apply(&parameters, ends_in, ramp, &prepared));
        let (mut held, one_shot) = match begun {
            Ok((held, evidence)) => {
                self.tell(|key| Event::Applied { key, evidence });
                let is_one_shot = self.fault.spec().undo == firedrill_wire::Undo::None;
                (held, is_one_shot && !prepared.goes_on)
            }
            Err(Failure {
                problem,
                half_applied,
            }) => {
                self.tell(|key| Event::ApplyFailed {
                    key,
                    problem,
                    half_applied,
                });
                (adopt(), !half_applied)
            }
        };
        if one_shot {
            self.host.records.remove(&self.key);
            while let Some(command) = self.dismissed(commands) {
                self.obey(held.as_mut(), command, Phase::Proved);
            }
            return None;
        }
        Some(held)
    }

    fn apply(
        &self,
        parameters: &Parameters,
        ends_in: Duration,
        ramp: Duration,
        prepared: &Prepared,
    ) -> Result<(Box<dyn Held>, Evidence), Failure> {
        self.host.keeper.confirm().map_err(|why| Failure {
            problem: Problem::new(
                ProblemKind::Unavailable,
                "the agent has no keeper",
                format!("nobody would end the injection if the agent hung or died: {why}"),
                "it is started again within a second: start under a new id",
            ),
            half_applied: false,
        })?;
        let pen = Pen::new(&self.host.records, self.record_head(ends_in));
        let begun = self.fault.apply(&Order {
            key: &self.key,
            parameters,
            scope: &self.scope,
            prepared,
            ends_in,
            ramp,
            pen: &pen,
        });
        match begun {
            Ok(_) if !pen.is_written() => Err(Failure {
                problem: Problem::new(
                    ProblemKind::Unavailable,
                    "the fault has no undo record",
                    format!(
                        "{} began without one: a defect of this build",
                        self.fault.spec().name
                    ),
                    "tell whoever made this build; it is taken back",
                ),
                half_applied: true,
            }),
            begun => begun,
        }
    }

    /// The injection's undo record, but for how it is undone.
    fn record_head(&self, ends_in: Duration) -> Record {
        Record {
            version: RECORD_VERSION,
            key: self.key.clone(),
            fault: FaultName::from(self.fault.spec().name),
            instance: self.host.instance.clone(),
            boot_id: self.host.records.here.boot_id.clone(),
            ends_at: clock::tick().plus_ms(ends_in.as_millis() as u64),
            undo: Undo::Nothing {},
            undone: None,
        }
    }

    fn obey(&self, held: &mut dyn Held, command: Command, phase: Phase) -> Phase {
        match command {
            Command::Adjust { parameters } => {
                let result = crate::check::parameters(self.fault.spec(), &parameters)
                    .and_then(|parameters| held.adjust(&parameters));
                self.tell(|key| Event::Adjusted { key, result });
                phase
            }
            Command::Revert { attempt } => {
                let found = held.revert();
                let clean = found.clean;
                self.tell(|key| Event::ReadBack {
                    key,
                    attempt,
                    clean,
                    evidence: found.evidence,
                    by_hand: found.by_hand,
                });
                if clean {
                    if !held.is_being_proved() {
                        // Whoever answers the abort was woken on this processor, and comes before the proof.
                        std::thread::yield_now();
                    }
                    Phase::Off
                } else {
                    Phase::Stuck
                }
            }
            Command::Prove { attempt } => {
                let (clean, evidence) = held.prove();
                self.tell(|key| Event::Proved {
                    key,
                    attempt,
                    clean,
                    evidence,
                });
                if clean { Phase::Proved } else { Phase::Stuck }
            }
        }
    }

    /// While it is on and nobody orders anything: it grows, and it is looked at.
    fn tick(&self, held: &mut dyn Held, rhythm: &mut Rhythm) {
        if let Some(growth) = rhythm.growth.take() {
            let (parameters, grown) = growth.now(self.fault.spec());
            rhythm.growth = (!grown).then_some(growth);
            if let Err(problem) = held.adjust(&parameters) {
                rhythm.growth = None;
                let result = Err(problem);
                self.tell(|key| Event::Adjusted { key, result });
            }
        }
        if rhythm.observed.elapsed() >= OBSERVE_EVERY {
            rhythm.observed = Instant::now();
            self.observe(held);
        }
    }

    fn observe(&self, held: &mut dyn Held) {
        if let Some(evidence) = held.observe() {
            self.tell(|key| Event::Observed { key, evidence });
        }
    }

    /// Takes leave of the host; a command that came meanwhile keeps the thread.
    fn dismissed(&self, commands: &Receiver<Command>) -> Option<Command> {
        let mut pending = None;
        self.host.dismiss(&self.key, self.number, || {
            pending = commands.try_recv().ok();
            pending.is_none()
        });
        pending
    }

    fn tell(&self, event: impl FnOnce(Key) -> Event) {
        self.host.feed(event(self.key.clone()));
    }
}

/// What an injection's thread does between two orders.
struct Rhythm {
    growth: Option<Growth>,
    observed: Instant,
}

impl Rhythm {
    fn new(growth: Option<Growth>) -> Self {
        Self {
            growth,
            observed: Instant::now(),
        }
    }

    /// How long to wait for an order.
    fn wait(&self) -> Duration {
        if self.growth.is_some() {
            return GROW_EVERY;
        }
        // Not nothing: a look that is due comes behind an order that is there.
        OBSERVE_EVERY
            .saturating_sub(self.observed.elapsed())
            .max(Duration::from_millis(1))
    }
}

/// A ramp of a fault that does not grow by itself.
struct Growth {
    full: Parameters,
    began: Instant,
    over: Duration,
}

impl Growth {
    fn of(fault: &dyn Fault, begin: &Begin) -> Option<Self> {
        let Begin::Apply { parameters, ramp, .. } = begin else {
            return None;
        };
        if ramp.is_zero() || fault.ramps_itself() {
            return None;
        }
        let full = crate::check::parameters(fault.spec(), parameters).ok()?;
        Some(Self {
            full,
            began: Instant::now(),
            over: *ramp,
        })
    }

    /// The parameters of this moment, and whether they are the whole.
    fn now(&self, spec: &FaultSpec) -> (Parameters, bool) {
        let share = self.began.elapsed().as_secs_f64() / self.over.as_secs_f64();
        if share >= 1.0 {
            (self.full.clone(), true)
        } else {
            (self.full.grown(spec, share), false)
        }
    }
}

/// Where an injection's thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The fault is on, or may be.
    On,
    /// A revert or a proof did not find it gone.
    Stuck,
    /// Read back as gone.
    Off,
    /// There is nothing more to do.
    Proved,
}
