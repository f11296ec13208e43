//! `cpu.burn`: cores are kept busy by a child process that cannot outlive the agent ([`super::child`]).

use firedrill_catalogue::quantity::show_ms;
use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, ProblemKind, Scope};

use super::child::{self, HeldChild, cannot};
use super::{Failure, Fault, Held, NotHere, Order, Prepared, ReadBack, process, words};
use crate::config::SelfCommand;
use crate::undo::Undo;

/// The fault.
#[derive(Debug)]
pub struct CpuBurn {
    /// Its line in the catalogue.
    pub spec: &'static FaultSpec,
    /// How the agent's own program is started.
    pub program: SelfCommand,
}

impl Fault for CpuBurn {
    fn spec(&self) -> &'static FaultSpec {
        self.spec
    }

    fn available(&self) -> Result<(), NotHere> {
        child::available(&self.program)
    }

    fn prepare(&self, parameters: &Parameters, _scope: &Scope) -> Result<Prepared, Problem> {
        if parameters.text("on").is_some() != parameters.text("off").is_some() {
            return Err(Problem::new(
                ProblemKind::Parameters,
                "the parameters are not right",
                "parameters.on and parameters.off go together: how long it burns, and how long it rests",
                "give both, or none",
            ));
        }
        let here = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Prepared {
            claims: vec!["cpu".to_owned()],
            hits: vec![format!("{} on a host of {here} cores", threads(parameters))],
            ..Prepared::default()
        })
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        let child = HeldChild::begin(&self.program, "burn", &line(order.parameters), order)?;
        let mut held = Burn(child);
        let evidence = held.observe().unwrap_or_default();
        Ok((Box::new(held), evidence))
    }

    fn ramps_itself(&self) -> bool {
        true
    }

    fn adopt(&self, _key: &Key, _scope: &Scope, undo: Option<&Undo>) -> Box<dyn Held> {
        Box::new(Burn(HeldChild::adopt(undo)))
    }
}

fn threads(parameters: &Parameters) -> String {
    let cores = parameters.count("cores").unwrap_or(1);
    let load = parameters.share("load") * 100.0;
    let ms = |key: &str| show_ms(parameters.duration_us(key) / 1_000);
    let spikes = match parameters.text("on") {
        Some(_) => format!(", {} on and {} off", ms("on"), ms("off")),
        None => String::new(),
    };
    format!("{cores} threads at {load:.0} %{spikes}")
}

/// The order to the child.
fn line(parameters: &Parameters) -> String {
    let cores = parameters.count("cores").unwrap_or(1);
    let us = |key: &str| parameters.duration_us(key);
    format!(
        "{} {cores} {} {} {}",
        parameters.share("load"),
        us("period"),
        us("on"),
        us("off")
    )
}

#[derive(Debug)]
struct Burn(HeldChild);

impl Held for Burn {
    fn adjust(&mut self, parameters: &Parameters) -> Result<Evidence, Problem> {
        self.0.order(&line(parameters)).map_err(cannot)?;
        Ok(words(threads(parameters)))
    }

    fn revert(&mut self) -> ReadBack {
        self.0.revert()
    }

    fn prove(&mut self) -> (bool, Evidence) {
        self.0.prove()
    }

    fn observe(&mut self) -> Option<Evidence> {
        let it = self.0.exactly?;
        let Ok(stat) = process::stat(it.pid) else {
            return Some(words("the child has ended by itself: nothing burns"));
        };
        let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)
            .ok()
            .flatten()
            .unwrap_or(100);
        let seconds = stat.cpu_ticks as f64 / per_second as f64;
        let ended = stat.state == 'Z';
        Some(Evidence {
            words: if ended {
                "the child has ended by itself: nothing burns".to_owned()
            } else {
                format!("process {} has burnt {seconds:.1} s of core time", it.pid)
            },
            counts: [("core_s".to_owned(), seconds)].into(),
        })
    }
}
