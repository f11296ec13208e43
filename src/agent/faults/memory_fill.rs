//! `memory.fill`: memory is taken by a child process that cannot outlive the agent ([`super::child`]) and that the
//! kernel kills first when there is none left.

use std::io;
use std::path::Path;

use firedrill_catalogue::quantity::show_bytes;
use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, Scope};

use super::child::{self, HeldChild, cannot};
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
        let plan = Plan::new(parameters)?;
        plan.check(0)?;
        Ok(Prepared {
            claims: vec!["memory".to_owned()],
            hits: vec![format!(
                "{} of {} of memory, {} are available and {} are left free",
                show_bytes(plan.fill),
                show_bytes(plan.host.total),
                show_bytes(plan.host.available),
                show_bytes(plan.keep_free)
            )],
            ..Prepared::default()
        })
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        let line = Plan::new(order.parameters).map(|plan| plan.line());
        let line = line.map_err(|problem| Failure {
            problem,
            half_applied: false,
        })?;
        let child = HeldChild::begin(&self.program, "fill", &line, order)?;
        let mut held = Fill(child);
        let evidence = held.observe().unwrap_or_default();
        Ok((Box::new(held), evidence))
    }

    fn adopt(&self, _key: &Key, _scope: &Scope, undo: Option<&Undo>) -> Box<dyn Held> {
        Box::new(Fill(HeldChild::adopt(undo)))
    }
}

/// The host's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostMemory {
    /// All of it.
    pub total: u64,
    /// What programs can still get without swapping.
    pub available: u64,
}

impl HostMemory {
    /// Reads `/proc/meminfo`.
    pub fn now() -> io::Result<Self> {
        let text = read_small(Path::new("/proc/meminfo"))?;
        let field = |key: &str| kib_of(&text, key).map(|kib| kib * 1024);
        match (field("MemTotal:"), field("MemAvailable:")) {
            (Some(total), Some(available)) => Ok(Self { total, available }),
            _ => Err(io::Error::other("/proc/meminfo is not as expected")),
        }
    }
}

/// A line `Key: N kB` of a file in `/proc`.
fn kib_of(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// How much, on this host.
struct Plan {
    fill: u64,
    keep_free: u64,
    host: HostMemory,
}

impl Plan {
    fn new(parameters: &Parameters) -> Result<Self, Problem> {
        let host = HostMemory::now().map_err(|error| not_possible(error.to_string(), "mount /proc"))?;
        let bytes = |key: &str| parameters.memory(key).map_or(0, |memory| memory.of(host.total));
        Ok(Self {
            fill: bytes("size"),
            keep_free: bytes("keep_free"),
            host,
        })
    }

    /// Whether the host has as much; `held` is what the fault holds of it already.
    fn check(&self, held: u64) -> Result<(), Problem> {
        let room = (self.host.available + held).saturating_sub(self.keep_free);
        if self.fill <= room {
            return Ok(());
        }
        Err(not_possible(
            format!(
                "{} of memory would be taken, but {} are available and {} of them stay free",
                show_bytes(self.fill),
                show_bytes(self.host.available + held),
                show_bytes(self.keep_free)
            ),
            format!("ask for {} or less, or for a smaller keep_free", show_bytes(room)),
        ))
    }

    /// The order to the child.
    fn line(&self) -> String {
        format!("{} {}", self.fill, self.keep_free)
    }
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
        let plan = Plan::new(parameters)?;
        plan.check(self.held().unwrap_or(0))?;
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
        let host = HostMemory::now().unwrap();
        assert!(host.available > 0 && host.available <= host.total, "{host:?}");
        assert_eq!(kib_of("A: 3 kB\nB:   77 kB\n", "B:"), Some(77));
        assert_eq!(kib_of("A: 3 kB\n", "B:"), None);
    }

    #[test]
    fn what_stays_free_is_a_floor() {
        let host = HostMemory {
            total: 1_000,
            available: 600,
        };
        let plan = |fill| Plan {
            fill,
            keep_free: 100,
            host,
        };
        assert!(plan(500).check(0).is_ok() && plan(501).check(0).is_err());
        assert!(plan(700).check(200).is_ok() && plan(701).check(200).is_err());
    }
}
