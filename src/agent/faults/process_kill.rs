//! `process.kill`: a process gets a signal: once, or again and again, whoever has its name then. There is nothing to
//! take back.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use firedrill_catalogue::quantity::show_ms;
use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, ProblemKind, Scope};
use rustix::process::Signal;

use super::process::{self, not_possible};
use super::repeat::Repeater;
use super::{Failure, Fault, Held, NotHere, Order, Prepared, Process, ReadBack, words};
use crate::targets;
use crate::undo::Undo;

/// How long the process may take to end before the evidence says that it has not.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// The same where it is repeated: a stop waits for it.
const AGAIN_WITHIN: Duration = Duration::from_millis(50);

/// The fault.
#[derive(Debug)]
pub struct ProcessKill(pub &'static FaultSpec);

impl Fault for ProcessKill {
    fn spec(&self) -> &'static FaultSpec {
        self.0
    }

    fn available(&self) -> Result<(), NotHere> {
        Ok(())
    }

    fn prepare(&self, parameters: &Parameters, scope: &Scope) -> Result<Prepared, Problem> {
        let target = targets::process(scope)?;
        process::may_hit(&target)?;
        let rhythm = rhythm(parameters)?;
        let again = match rhythm {
            None => String::new(),
            Some((every, None)) => format!(", again every {}", show_ms(every.as_millis() as u64)),
            Some((every, Some(times))) => {
                format!(", {times} times, every {}", show_ms(every.as_millis() as u64))
            }
        };
        Ok(Prepared {
            claims: vec![format!("pid:{}", target.pid)],
            hits: vec![format!(
                "process {} {} gets SIG{}{again}",
                target.pid,
                target.name,
                signal(parameters).0
            )],
            process: Some(target),
            goes_on: rhythm.is_some(),
            ..Prepared::default()
        })
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        let nothing = |problem| Failure {
            problem,
            half_applied: false,
        };
        let target = order.prepared.running().map_err(nothing)?;
        let rhythm = rhythm(order.parameters).map_err(nothing)?;
        order.pen.write(Undo::Nothing {})?;
        let (name, signal) = signal(order.parameters);
        let program = program(target);
        let within = if rhythm.is_some() {
            AGAIN_WITHIN
        } else {
            ENDS_WITHIN
        };
        let ended = send(target, signal, within).map_err(nothing)?;
        let mut seen = words(format!(
            "process {} {} got SIG{name} and {}",
            target.pid,
            target.name,
            if ended { "has ended" } else { "has not ended" }
        ));
        seen.counts.insert("ended".to_owned(), f64::from(u8::from(ended)));
        let Some((every, times)) = rhythm else {
            return Ok((Box::new(HeldKill::default()), seen));
        };
        let counts = Arc::new(Mutex::new(Counts {
            sent: 1,
            ended: u64::from(ended),
            ..Counts::default()
        }));
        let mut kills = Kills {
            scope: order.scope.clone(),
            program,
            signal,
            times,
            counts: Arc::clone(&counts),
        };
        let repeater = Repeater::start("kill", every, move || kills.turn())
            .map_err(|error| nothing(not_possible(format!("no more threads: {error}"), "try again")))?;
        let held = HeldKill {
            repeater: Some(repeater),
            counts: Some(counts),
        };
        Ok((Box::new(held), seen))
    }

    fn changes(&self) -> bool {
        false
    }

    fn adopt(&self, _key: &Key, _scope: &Scope, _undo: Option<&Undo>) -> Box<dyn Held> {
        Box::new(HeldKill::default())
    }
}

/// How often it is repeated, and how many times in all; `None`: it is sent once.
fn rhythm(parameters: &Parameters) -> Result<Option<(Duration, Option<u64>)>, Problem> {
    let times = parameters.count("times");
    match (parameters.text("every"), times) {
        (Some(_), _) => Ok(Some((
            Duration::from_micros(parameters.duration_us("every")),
            times,
        ))),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Problem::new(
            ProblemKind::Parameters,
            "the parameters are not right",
            "parameters.times goes with parameters.every: how long after one the next is sent",
            "give both, or none",
        )),
    }
}

fn signal(parameters: &Parameters) -> (&'static str, Signal) {
    match parameters.text("signal") {
        Some("TERM") => ("TERM", Signal::TERM),
        Some("INT") => ("INT", Signal::INT),
        Some("QUIT") => ("QUIT", Signal::QUIT),
        Some("HUP") => ("HUP", Signal::HUP),
        _ => ("KILL", Signal::KILL),
    }
}

/// The executable of a process: what has its name next must be the same, or the host's policy was asked about another.
fn program(target: &Process) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{}/exe", target.pid)).ok()
}

/// Whether it has ended of it.
fn send(target: &Process, signal: Signal, within: Duration) -> Result<bool, Problem> {
    let shown = format!("process {} {}", target.pid, target.name);
    let refused = |error: std::io::Error| {
        not_possible(
            format!("{shown}: {error}"),
            "run the agent as root or as the process' own user",
        )
    };
    // The handle is the process that was checked, or none: its number may have passed to another since.
    let Some(handle) = target.exactly().handle().map_err(refused)? else {
        return Err(not_possible(
            format!("{shown} has ended meanwhile"),
            "name one that runs",
        ));
    };
    handle.signal(signal).map_err(refused)?;
    Ok(handle.ended(within).unwrap_or(false))
}

/// What a repeated kill has done.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    sent: u64,
    ended: u64,
    /// Nobody, or more than one, had the name, or it was another program.
    missed: u64,
}

/// The thread's side of it.
struct Kills {
    scope: Scope,
    program: Option<PathBuf>,
    signal: Signal,
    times: Option<u64>,
    counts: Arc<Mutex<Counts>>,
}

impl Kills {
    /// Finds it anew and sends the signal; whether there is another turn.
    fn turn(&mut self) -> bool {
        let found = targets::process(&self.scope)
            .and_then(|target| process::may_hit(&target).map(|()| target))
            .ok()
            .filter(|target| program(target) == self.program);
        let ended = found.and_then(|target| send(&target, self.signal, AGAIN_WITHIN).ok());
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match ended {
            Some(ended) => {
                counts.sent += 1;
                counts.ended += u64::from(ended);
            }
            None => counts.missed += 1,
        }
        self.times.is_none_or(|times| counts.sent < times)
    }
}

#[derive(Debug, Default)]
struct HeldKill {
    /// `None`: it was sent once.
    repeater: Option<Repeater>,
    counts: Option<Arc<Mutex<Counts>>>,
}

impl HeldKill {
    fn seen(&self) -> Evidence {
        let Some(counts) = &self.counts else {
            return words("a signal is sent once; nothing of it stays on");
        };
        let counts = *counts.lock().unwrap_or_else(PoisonError::into_inner);
        Evidence {
            words: format!(
                "{} signals sent, {} processes ended, {} times none was found",
                counts.sent, counts.ended, counts.missed
            ),
            counts: [
                ("sent".to_owned(), counts.sent as f64),
                ("ended".to_owned(), counts.ended as f64),
                ("missed".to_owned(), counts.missed as f64),
            ]
            .into(),
        }
    }
}

impl Held for HeldKill {
    fn adjust(&mut self, _parameters: &Parameters) -> Result<Evidence, Problem> {
        Err(not_possible("a signal has no strength", "start another"))
    }

    fn revert(&mut self) -> ReadBack {
        if let Some(repeater) = &mut self.repeater {
            repeater.stop();
        }
        ReadBack {
            clean: true,
            evidence: self.seen(),
            by_hand: None,
        }
    }

    /// The thread has been joined: nobody is left to send one.
    fn prove(&mut self) -> (bool, Evidence) {
        (true, self.seen())
    }

    fn observe(&mut self) -> Option<Evidence> {
        self.counts.is_some().then(|| self.seen())
    }
}
