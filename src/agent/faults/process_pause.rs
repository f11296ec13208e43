//! `process.pause`: a process stands still: held by ptrace, frozen with its cgroup, or stopped by a signal; for as long as
//! the fault is on, or again and again.

use std::time::Duration;

use firedrill_catalogue::quantity::show_ms;
use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, ProblemKind, Scope};

use super::pause::{Blinking, Standstill};
use super::pause_outside::{Frozen, Stopped};
use super::pause_ptrace::{self, Pause};
use super::process::{self, not_possible};
use super::{Failure, Fault, Held, NotHere, Order, Prepared, Process, ReadBack};
use crate::targets;
use crate::undo::{Exactly, Undo, moves};

/// The fault.
#[derive(Debug)]
pub struct ProcessPause(pub &'static FaultSpec);

/// How it is made to stand still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Ptrace,
    Freezer,
    Signal,
}

impl How {
    fn of(parameters: &Parameters) -> Self {
        match parameters.text("how") {
            Some("freezer") => Self::Freezer,
            Some("signal") => Self::Signal,
            _ => Self::Ptrace,
        }
    }
}

/// How long it stands still each time, and how long it goes on after; `None`: all the time.
fn rhythm(parameters: &Parameters) -> Result<Option<(Duration, Duration)>, Problem> {
    let time = |key: &str| {
        parameters
            .text(key)
            .map(|_| Duration::from_micros(parameters.duration_us(key)))
    };
    match (time("on"), time("off")) {
        (Some(on), Some(off)) => Ok(Some((on, off))),
        (None, None) => Ok(None),
        _ => Err(Problem::new(
            ProblemKind::Parameters,
            "the parameters are not right",
            "parameters.on and parameters.off go together: how long it stands still, and how long it goes on",
            "give both, or none",
        )),
    }
}

impl Fault for ProcessPause {
    fn spec(&self) -> &'static FaultSpec {
        self.0
    }

    fn available(&self) -> Result<(), NotHere> {
        // Where nothing may be traced, a signal does it.
        Ok(())
    }

    fn prepare(&self, parameters: &Parameters, scope: &Scope) -> Result<Prepared, Problem> {
        let target = targets::process(scope)?;
        process::may_hit(&target)?;
        let rhythm = rhythm(parameters)?;
        let threads = process::threads(target.pid).map_or(0, |threads| threads.len());
        let mut members = Vec::new();
        let mut claims = vec![format!("pid:{}", target.pid)];
        let mut hits = format!("process {} {} ({threads} threads)", target.pid, target.name);
        match How::of(parameters) {
            How::Ptrace => {
                pause_ptrace::may_trace().map_err(|it| not_possible(it.why, it.remedy))?;
                pause_ptrace::may_hold(&target)?;
            }
            How::Freezer => {
                let (_, cgroup) = Frozen::of(&target)?;
                hits = format!("{hits} and all others in cgroup {}", cgroup.path);
                claims.push(format!("freezer:{}", cgroup.path));
                members = cgroup.members()?;
            }
            How::Signal => {
                let (moves, seen) = moves(&target.exactly());
                if !moves {
                    return Err(not_possible(seen, "let it go on first (SIGCONT)"));
                }
            }
        }
        if let Some((on, off)) = rhythm {
            let ms = |time: Duration| show_ms(time.as_millis() as u64);
            hits = format!("{hits}, {} on and {} off", ms(on), ms(off));
        }
        Ok(Prepared {
            claims,
            hits: vec![hits],
            process: Some(target),
            members,
            needs_keeper: true,
            ..Prepared::default()
        })
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        let nothing = |problem| Failure {
            problem,
            half_applied: false,
        };
        let target = order.prepared.running().map_err(nothing)?;
        process::may_hit(target).map_err(nothing)?;
        let rhythm = rhythm(order.parameters).map_err(nothing)?;
        match How::of(order.parameters) {
            How::Ptrace => {
                pause_ptrace::may_hold(target).map_err(nothing)?;
                let holder = Exactly::own()
                    .map_err(|error| nothing(not_possible(error.to_string(), "mount /proc")))?;
                let undo = Undo::Traced {
                    holder,
                    target: target.exactly(),
                };
                let pause = || Pause::new(Some(target.clone()));
                begin(order, &undo, pause, rhythm)
            }
            How::Freezer => {
                let (frozen, _) = Frozen::of(target).map_err(nothing)?;
                let undo = frozen.undo();
                let Undo::Changes { changes } = &undo else {
                    return Err(nothing(not_possible(
                        "there is nothing to freeze",
                        "try another way",
                    )));
                };
                begin(order, &undo, || Frozen::adopt(changes), rhythm)
            }
            How::Signal => {
                let target = target.exactly();
                begin(order, &Undo::Stopped(target), || Stopped::of(target), rhythm)
            }
        }
    }

    fn changes(&self) -> bool {
        false
    }

    fn adopt(&self, _key: &Key, scope: &Scope, undo: Option<&Undo>) -> Box<dyn Held> {
        let still: Box<dyn Standstill> = match undo {
            Some(Undo::Changes { changes }) => Box::new(Frozen::adopt(changes)),
            Some(Undo::Stopped(target)) => Box::new(Stopped::of(*target)),
            Some(Undo::Traced { target, .. }) => Box::new(Pause::new(Some(Process {
                pid: target.pid,
                start_time: target.start_time,
                name: process::stat(target.pid).map_or_else(|_| String::new(), |stat| stat.name),
            }))),
            _ => Box::new(Pause::new(targets::process(scope).ok())),
        };
        Box::new(Paused {
            still,
            blinking: None,
        })
    }
}

/// Writes the record and stops it, once or again and again.
fn begin<S: Standstill + Send + 'static>(
    order: &Order<'_>,
    undo: &Undo,
    still: impl Fn() -> S,
    rhythm: Option<(Duration, Duration)>,
) -> Result<(Box<dyn Held>, Evidence), Failure> {
    order.pen.write(undo.clone())?;
    let mut one = still();
    let begun = match rhythm {
        None => one.stop().map(|evidence| (None, evidence)),
        Some((on, off)) => Blinking::begin(still(), on, off).map(|(it, evidence)| (Some(it), evidence)),
    };
    match begun {
        Ok((blinking, evidence)) => Ok((
            Box::new(Paused {
                still: Box::new(one),
                blinking,
            }),
            evidence,
        )),
        Err(problem) => {
            let found = one.go_on();
            Err(Failure {
                problem,
                half_applied: !found.clean,
            })
        }
    }
}

struct Paused {
    /// What holds it, or, where it comes and goes, what looks whether it moves.
    still: Box<dyn Standstill>,
    blinking: Option<Blinking>,
}

impl Held for Paused {
    fn adjust(&mut self, _parameters: &Parameters) -> Result<Evidence, Problem> {
        Err(not_possible(
            "a pause is on or off",
            "start and revert it instead",
        ))
    }

    fn revert(&mut self) -> ReadBack {
        let Some(blinking) = &mut self.blinking else {
            return self.still.go_on();
        };
        let counts = blinking.observe();
        // The thread's own read-back is the better one: it held it.
        let mut found = match blinking.end() {
            Some(found) if !found.clean => found,
            _ => self.still.go_on(),
        };
        found.evidence.words = format!("{}; {}", found.evidence.words, counts.words);
        found.evidence.counts.extend(counts.counts);
        found
    }

    fn prove(&mut self) -> (bool, Evidence) {
        self.still.prove()
    }

    fn observe(&mut self) -> Option<Evidence> {
        Some(match &self.blinking {
            Some(blinking) => blinking.observe(),
            None => self.still.observe(),
        })
    }
}
