//! `network.loss` and `network.partition`: packets of a cgroup's processes are lost, some at random or all.

use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, Scope};

use super::network::{prepare, selection};
use super::{Failure, Fault, Held, NotHere, Order, Prepared};
use crate::kernel;
use crate::kernel::discard::{self, Which};
use crate::kernel::on_cgroup::{OnCgroup, Wanted};
use crate::targets;
use crate::undo::Undo;

/// Either of the two: a partition loses everything.
#[derive(Debug)]
pub struct NetworkLoss(pub &'static FaultSpec);

impl NetworkLoss {
    fn words(parameters: &Parameters) -> Result<String, Problem> {
        let which = selection(parameters)?.words();
        let direction = match parameters.text("direction") {
            Some("in") => "that arrive",
            Some("out") => "that leave",
            _ => "both ways",
        };
        let share = parameters.share("share") * 100.0;
        Ok(format!("{share:.3} % of the packets{which}, {direction}, are lost").replace(".000 %", " %"))
    }
}

impl Fault for NetworkLoss {
    fn spec(&self) -> &'static FaultSpec {
        self.0
    }

    fn available(&self) -> Result<(), NotHere> {
        kernel::available()
    }

    fn prepare(&self, parameters: &Parameters, scope: &Scope) -> Result<Prepared, Problem> {
        prepare(scope, "packets", &Self::words(parameters)?)
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        let selection = selection(order.parameters).map_err(Failure::nothing)?;
        let cgroup = targets::cgroup(order.scope).map_err(Failure::nothing)?;
        let direction = order.parameters.text("direction");
        let which = Which {
            leaving: direction != Some("in"),
            arriving: direction != Some("out"),
            client_hello: false,
        };
        let words = Self::words(order.parameters).map_err(Failure::nothing)?;
        let (held, evidence) = OnCgroup::begin(
            order,
            Wanted {
                cgroup: &cgroup,
                programs: &|settings, counters| discard::programs(&selection, which, settings, counters),
                counters: &["packets_seen", "packets_dropped"],
                responder: None,
                words: format!("{cgroup}: {words}"),
            },
        )?;
        Ok((Box::new(held), evidence))
    }

    fn adopt(&self, _key: &Key, _scope: &Scope, undo: Option<&Undo>) -> Box<dyn Held> {
        Box::new(OnCgroup::adopt(undo))
    }
}
