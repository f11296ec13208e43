//! `noop`: changes nothing. It tests the path from the console to here and back.

use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, Scope};

use super::{Failure, Fault, Held, NotHere, Order, Prepared, ReadBack, words};
use crate::undo::Undo;

/// The fault.
#[derive(Debug)]
pub struct Noop(pub &'static FaultSpec);

impl Fault for Noop {
    fn spec(&self) -> &'static FaultSpec {
        self.0
    }

    fn available(&self) -> Result<(), NotHere> {
        Ok(())
    }

    fn prepare(&self, _parameters: &Parameters, _scope: &Scope) -> Result<Prepared, Problem> {
        Ok(Prepared {
            hits: vec!["nothing".to_owned()],
            ..Prepared::default()
        })
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        order.pen.write(Undo::Nothing {})?;
        Ok((Box::new(HeldNoop), words("nothing was changed")))
    }

    fn adopt(&self, _key: &Key, _scope: &Scope, _undo: Option<&Undo>) -> Box<dyn Held> {
        Box::new(HeldNoop)
    }
}

#[derive(Debug)]
struct HeldNoop;

impl Held for HeldNoop {
    fn adjust(&mut self, _parameters: &Parameters) -> Result<Evidence, Problem> {
        Ok(words("nothing was changed"))
    }

    fn revert(&mut self) -> ReadBack {
        ReadBack {
            clean: true,
            evidence: words("there was nothing to take back"),
            by_hand: None,
        }
    }

    fn prove(&mut self) -> (bool, Evidence) {
        (true, words("there was nothing to take back"))
    }

    fn observe(&mut self) -> Option<Evidence> {
        None
    }
}
