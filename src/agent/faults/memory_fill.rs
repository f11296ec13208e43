//! `memory.fill`: memory is taken by a child process that cannot outlive the agent ([`super::child`]) and that the
//! kernel kills first when there is none left.

use std::io;
use std::path::Path;

use firedrill_catalogue::quantity::show_bytes;
use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, Scope};

use super::child::{self, HeldChild, cannot};
use super::filling::{Plan, Room};
use super::process::not_possible;
use super::{Failure, Fault, Held, NotHere, Order, Prepared, ReadBack, words};
use crate::config::SelfCommand;
use crate::state::read_small;
use crate::undo::Undo;

/// The fault.
#[derive(Debug)]
pub struct MemoryFill {
    /// Its line in the catalogue.
    pub spec: &'static FaultSpec,
    /// How the agent's own program is started.
    pub program: SelfCommand,
}

impl Fault for MemoryFill {
    fn spec(&self) -> &'static FaultSpec {
        self.spec
    }

    fn available(&self) -> Result<(), NotHere> {
        child::available(&self.program)
    }

    fn prepare(&self, parameters: &Parameters, _scope: &Scope) -> Result<Prepared, Problem> {
        let plan = plan(parameters)?;
        plan.check("memory", 0)?;
        Ok(Prepared {
            claims: vec!["memory".to_owned()],
            hits: vec![plan.words("memory")],
            ..Prepared::default()
        })
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        let line = plan(order.parameters).map(|plan| plan.line());
        let line = line.map_err(|problem| Failure {
            problem,
            half_applied: false,
        })?;
        let child = HeldChild::begin(&self.program, "fill", &line, order)?;
        let mut held = Fill(child);
        let evidence = held.observe().unwrap_or_default();
        Ok((Box::new(held), evidence))
    }

    fn ramps_itself(&self) -> bool {
        true
    }

    fn adopt(&self, _key: &Key, _scope: &Scope, undo: Option<&Undo>) -> Box<dyn Held> {
        Box::new(Fill(HeldChild::adopt(undo)))
    }
}

/// The host's memory, from `/proc/meminfo`: all of it, and what programs can still get without swapping.
pub fn room() -> io::Result<Room> {
    let text = read_small(Path::new("/proc/meminfo"))?;
    let field = |key: &str| kib_of(&text, key).map(|kib| kib * 1024);
    match (field("MemTotal:"), field("MemAvailable:")) {
        (Some(total), Some(available)) => Ok(Room { total, available }),
        _ => Err(io::Error::other("/proc/meminfo is not as expected")),
    }
}

/// A line of `/proc/PID/status`, in bytes.
pub fn of_process(pid: i32, key: &str) -> Option<u64> {
    let text = read_small(Path::new(&format!("/proc/{pid}/status"))).ok()?;
    kib_of(&text, key).map(|kib| kib * 1024)
}

/// A line `Key: N kB` of a file in `/proc`.
fn kib_of(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn plan(parameters: &Parameters) -> Result<Plan, Problem> {
    let room = room().map_err(|error| not_possible(error.to_string(), "mount /proc"))?;
    Ok(Plan::new(parameters, room))
}

#[derive(Debug)]
struct Fill(HeldChild);

impl Fill {
    /// What the child holds, as the kernel counts it, in bytes.
    fn held(&self) -> Option<u64> {
        let text = read_small(Path::new(&format!("/proc/{}/smaps_rollup", self.0.exactly?.pid))).ok()?;
        kib_of(&text, "Anonymous:").map(|kib| kib * 1024)
    }
}

impl Held for Fill {
    fn adjust(&mut self, parameters: &Parameters) -> Result<Evidence, Problem> {
        let plan = plan(parameters)?;
        plan.check("memory", self.held().unwrap_or(0))?;
        self.0.order(&plan.line()).map_err(cannot)?;
        Ok(words(format!("on its way to {}", show_bytes(plan.fill))))
    }

    fn revert(&mut self) -> ReadBack {
        self.0.revert()
    }

    fn prove(&mut self) -> (bool, Evidence) {
        self.0.prove()
    }

    fn observe(&mut self) -> Option<Evidence> {
        let it = self.0.exactly?;
        let Some(held) = self.held().filter(|_| it.runs()) else {
            return Some(words(
                "the child has ended by itself, or was killed for want of memory: nothing is held",
            ));
        };
        Some(Evidence {
            words: format!("process {} holds {} of memory", it.pid, show_bytes(held)),
            counts: [("held_bytes".to_owned(), held as f64)].into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_tells_its_memory() {
        let host = room().unwrap();
        assert!(host.available > 0 && host.available <= host.total, "{host:?}");
        assert_eq!(kib_of("A: 3 kB\nB:   77 kB\n", "B:"), Some(77));
        assert_eq!(kib_of("A: 3 kB\n", "B:"), None);
    }
}
