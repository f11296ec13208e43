//! `network.reset`: open TCP connections of a cgroup's processes are reset, once. There is nothing to take back.

use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, Scope};

use super::network::{prepare, reset_all, selection};
use super::process::not_possible;
use super::{Failure, Fault, Held, NotHere, Order, Prepared, ReadBack, words};
use crate::kernel::sockets::Diag;
use crate::targets;
use crate::targets::cgroups;
use crate::undo::Undo;

/// The fault.
#[derive(Debug)]
pub struct NetworkReset(pub &'static FaultSpec);

impl Fault for NetworkReset {
    fn spec(&self) -> &'static FaultSpec {
        self.0
    }

    fn available(&self) -> Result<(), NotHere> {
        let no = |why: String, remedy: &str| {
            Err(NotHere {
                why,
                remedy: remedy.to_owned(),
            })
        };
        if cgroups::root().is_none() {
            return no(
                "no cgroup hierarchy of version 2 is mounted".to_owned(),
                cgroups::NEEDS,
            );
        }
        if !caps::has_cap(None, caps::CapSet::Effective, caps::Capability::CAP_NET_ADMIN).unwrap_or(false) {
            return no(
                "the agent may not reset others' connections".to_owned(),
                "run the agent as root or with CAP_NET_ADMIN",
            );
        }
        match Diag::open() {
            Ok(_) => Ok(()),
            Err(error) => no(
                format!("the kernel does not tell of sockets: {error}"),
                "a kernel with CONFIG_INET_DIAG and CONFIG_INET_DIAG_DESTROY",
            ),
        }
    }

    fn prepare(&self, parameters: &Parameters, scope: &Scope) -> Result<Prepared, Problem> {
        let which = selection(parameters)?.words();
        let what = format!("its open TCP connections{which} are reset");
        Ok(Prepared {
            needs_keeper: false,
            ..prepare(scope, "reset", &what)?
        })
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        order.pen.write(Undo::Nothing {})?;
        let selection = selection(order.parameters).map_err(Failure::nothing)?;
        let cgroup = targets::cgroup(order.scope).map_err(Failure::nothing)?;
        let count = reset_all(&cgroup, |it| {
            selection.holds(it.peer, &[it.local_port, it.peer_port])
        })
        .map_err(Failure::nothing)?;
        let mut seen = words(format!(
            "{count} open connections of {cgroup}{} were reset",
            selection.words()
        ));
        seen.counts.insert("connections_reset".to_owned(), count as f64);
        Ok((Box::new(HeldReset), seen))
    }

    fn adopt(&self, _key: &Key, _scope: &Scope, _undo: Option<&Undo>) -> Box<dyn Held> {
        Box::new(HeldReset)
    }
}

#[derive(Debug)]
struct HeldReset;

impl Held for HeldReset {
    fn adjust(&mut self, _parameters: &Parameters) -> Result<Evidence, Problem> {
        Err(not_possible("a reset happens once", "start another"))
    }

    fn revert(&mut self) -> ReadBack {
        ReadBack {
            clean: true,
            evidence: words("a reset happens once; new connections pass"),
            by_hand: None,
        }
    }

    fn prove(&mut self) -> (bool, Evidence) {
        (true, words("a reset happens once; nothing of it stays on"))
    }

    fn observe(&mut self) -> Option<Evidence> {
        None
    }
}
