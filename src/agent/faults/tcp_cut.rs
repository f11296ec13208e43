//! `tcp.cut`: the route's open connections are reset, once. There is nothing to take back.

use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, ProblemKind, Scope};

use super::route::{prepare, problem};
use super::{Failure, Fault, Held, NotHere, Order, Prepared, ReadBack, words};
use crate::proxy::{Client, ProxyError};
use crate::undo::Undo;

/// The fault.
#[derive(Debug)]
pub struct TcpCut {
    /// Its line in the catalogue.
    pub spec: &'static FaultSpec,
    /// The proxy; none when the agent has no routes.
    pub proxy: Option<Client>,
}

impl Fault for TcpCut {
    fn spec(&self) -> &'static FaultSpec {
        self.spec
    }

    fn available(&self) -> Result<(), NotHere> {
        super::route::available(self.spec, self.proxy.as_ref()).map(drop)
    }

    fn prepare(&self, _parameters: &Parameters, scope: &Scope) -> Result<Prepared, Problem> {
        prepare(self.spec, self.proxy.as_ref(), scope)
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        order.pen.write(Undo::Nothing {})?;
        let route = order.scope.route.as_deref().unwrap_or_default();
        let cut = match &self.proxy {
            Some(proxy) => proxy.cut(route),
            None => Err(ProxyError::Down("this agent has no routes".to_owned())),
        };
        let connections = cut.map_err(|error| Failure {
            problem: problem(&error),
            half_applied: error == ProxyError::Silent,
        })?;
        let mut seen = words(format!("{connections} connections of route {route} were reset"));
        seen.counts
            .insert("connections_cut".to_owned(), connections as f64);
        Ok((Box::new(HeldCut), seen))
    }

    fn adopt(&self, _key: &Key, _scope: &Scope, _undo: Option<&Undo>) -> Box<dyn Held> {
        Box::new(HeldCut)
    }
}

#[derive(Debug)]
struct HeldCut;

impl Held for HeldCut {
    fn adjust(&mut self, _parameters: &Parameters) -> Result<Evidence, Problem> {
        Err(Problem::new(
            ProblemKind::NotPossible,
            "a cut has no strength",
            "tcp.cut happens once",
            "start another",
        ))
    }

    fn revert(&mut self) -> ReadBack {
        ReadBack {
            clean: true,
            evidence: words("a cut happens once; new connections pass"),
            by_hand: None,
        }
    }

    fn prove(&mut self) -> (bool, Evidence) {
        (true, words("a cut happens once; nothing of it stays on"))
    }

    fn observe(&mut self) -> Option<Evidence> {
        None
    }
}
