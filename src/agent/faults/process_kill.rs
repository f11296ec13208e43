//! `process.kill`: a process gets a signal, once. There is nothing to take back.

use std::time::Duration;

use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, Scope};
use rustix::process::Signal;

use super::process::{self, not_possible};
use super::{Failure, Fault, Held, NotHere, Order, Prepared, ReadBack, words};
use crate::targets;
use crate::undo::Undo;

/// How long the process may take to end before the evidence says that it has not.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

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
        Ok(Prepared {
            claims: vec![format!("pid:{}", target.pid)],
            hits: vec![format!(
                "process {} {} gets SIG{}",
                target.pid,
                target.name,
                signal(parameters).0
            )],
            process: Some(target),
            ..Prepared::default()
        })
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        let nothing = |problem| Failure {
            problem,
            half_applied: false,
        };
        let Some(target) = &order.prepared.process else {
            return Err(nothing(not_possible("no process was found", "name one")));
        };
        order.pen.write(Undo::Nothing {})?;
        let refused = |error: std::io::Error| {
            not_possible(
                format!("process {} {}: {error}", target.pid, target.name),
                "run the agent as root or as the process' own user",
            )
        };
        // The handle is the process that was checked, or none: its number may have passed to another since.
        let Some(handle) = target
            .exactly()
            .handle()
            .map_err(|error| nothing(refused(error)))?
        else {
            let detail = format!("process {} {} has ended meanwhile", target.pid, target.name);
            return Err(nothing(not_possible(detail, "name one that runs")));
        };
        let (name, signal) = signal(order.parameters);
        handle.signal(signal).map_err(|error| nothing(refused(error)))?;
        let ended = handle.ended(ENDS_WITHIN).unwrap_or(false);
        let mut seen = words(format!(
            "process {} {} got SIG{name} and {}",
            target.pid,
            target.name,
            if ended { "has ended" } else { "has not ended" }
        ));
        seen.counts.insert("ended".to_owned(), f64::from(u8::from(ended)));
        Ok((Box::new(HeldKill), seen))
    }

    fn adopt(&self, _key: &Key, _scope: &Scope, _undo: Option<&Undo>) -> Box<dyn Held> {
        Box::new(HeldKill)
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

#[derive(Debug)]
struct HeldKill;

impl Held for HeldKill {
    fn adjust(&mut self, _parameters: &Parameters) -> Result<Evidence, Problem> {
        Err(not_possible("a signal is sent once", "start another"))
    }

    fn revert(&mut self) -> ReadBack {
        ReadBack {
            clean: true,
            evidence: words("a signal is sent once; nothing of it stays on"),
            by_hand: None,
        }
    }

    fn prove(&mut self) -> (bool, Evidence) {
        (true, words("a signal is sent once; nothing of it stays on"))
    }

    fn observe(&mut self) -> Option<Evidence> {
        None
    }
}
