//! `network.refuse`: new TCP connections of a cgroup's processes are refused, and open ones reset if asked for.

use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, Scope};

use super::network::{prepare, reset_all, selection};
use super::{Failure, Fault, Held, NotHere, Order, Prepared};
use crate::kernel::on_cgroup::{OnCgroup, Wanted};
use crate::kernel::{self, refuse};
use crate::targets;
use crate::undo::Undo;

/// The fault.
#[derive(Debug)]
pub struct NetworkRefuse(pub &'static FaultSpec);

impl Fault for NetworkRefuse {
    fn spec(&self) -> &'static FaultSpec {
        self.0
    }

    fn available(&self) -> Result<(), NotHere> {
        kernel::available()
    }

    fn prepare(&self, parameters: &Parameters, scope: &Scope) -> Result<Prepared, Problem> {
        let which = selection(parameters)?.words();
        prepare(
            scope,
            "connect",
            &format!("its new TCP connections{which} are refused"),
        )
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        let selection = selection(order.parameters).map_err(Failure::nothing)?;
        let cgroup = targets::cgroup(order.scope).map_err(Failure::nothing)?;
        let wanted = Wanted {
            cgroup: &cgroup,
            programs: &|settings, counters| refuse::programs(&selection, settings, counters),
            counters: &["connects_seen", "connects_refused"],
            responder: None,
            words: format!("new TCP connections of {cgroup}{} are refused", selection.words()),
        };
        let (mut held, mut evidence) = OnCgroup::begin(order, wanted)?;
        if order.parameters.text("established") == Some("reset") {
            // New ones are refused by now, so that nobody is back before the last is reset.
            let reset = reset_all(&cgroup, |it| selection.holds(it.peer, &[it.peer_port]));
            match reset {
                Ok(count) => held.also("connections_reset", count as f64, &mut evidence),
                Err(problem) => {
                    let found = held.revert();
                    return Err(Failure {
                        problem,
                        half_applied: !found.clean,
                    });
                }
            }
        }
        Ok((Box::new(held), evidence))
    }

    fn adopt(&self, _key: &Key, _scope: &Scope, undo: Option<&Undo>) -> Box<dyn Held> {
        Box::new(OnCgroup::adopt(undo))
    }
}
