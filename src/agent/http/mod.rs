//! The protocol over HTTP/1.1 and HTTP/2.
//!
//! A request passes the [`guard`] (Host header, token, content type, size), then the call itself
//! ([`calls`]). [`listen`] holds the limits of connections, [`handshakes`] those of TLS. The same code serves both listeners; the second
//! one knows only abort, renewal, `GET /v1/agent` and `GET /healthz`.

pub mod answer;
pub mod calls;
pub mod guard;
mod handshakes;
pub mod listen;
pub mod rate;
pub mod streams;

use std::collections::BTreeMap;
use std::sync::Arc;

use firedrill_wire::{AgentBrief, AgentInfo, FaultInfo, PROTOCOL_VERSION, Problem, Route};
use parking_lot::{Mutex, RwLock};

use crate::access::{Access, Caller};
use crate::clock;
use crate::host::Host;
use crate::proxy;

use listen::Connection;

/// How long the list of faults is kept before the host is looked at again, in milliseconds.
const FAULTS_KEPT_MS: u64 = 1_000;

/// Which door a request came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The first listener: every call.
    First,
    /// The second one: abort, renewal, who it is.
    Second,
    /// The same on the unix socket, whose file only the owner can reach: no token is asked for.
    Socket,
}

/// What every request needs.
pub struct App {
    /// The core.
    pub host: Arc<Host>,
    /// Who may do what. Replaced as one when it is read again.
    pub access: RwLock<Arc<Access>>,
    /// The names this agent answers to.
    pub names: guard::Names,
    /// Commands that were run for callers.
    pub actions: crate::commands::Actions,
    /// How often callers of the first listener may ask.
    pub rates: rate::Rates,
    /// What the agent may do beyond its user, in words.
    pub privileges: String,
    /// What the host is called.
    pub name: String,
    /// The agent's labels.
    pub labels: BTreeMap<String, String>,
    /// The routes as configured.
    pub routes: Vec<Route>,
    /// The proxy, if there are routes.
    pub proxy: Option<proxy::Client>,
    /// Port of the second listener.
    pub abort_port: u16,
    /// What this host can do, and when that was looked at.
    pub faults: Mutex<(u64, Vec<FaultInfo>)>,
    /// Listeners of `GET /v1/events` now.
    pub event_listeners: Arc<tokio::sync::Semaphore>,
    /// When somebody was last turned away at a door, and how many were since the audit log told it.
    pub turned_away: Mutex<(u64, u64)>,
}

impl App {
    /// The answer to `GET /v1/agent`.
    pub fn info(&self) -> AgentInfo {
        let (latch, open) = self.host.standing();
        AgentInfo {
            stamp: self.host.stamp(),
            protocol: PROTOCOL_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: self.name.clone(),
            labels: self.labels.clone(),
            latch,
            open,
            routes: self.live_routes(),
            faults: self.fault_list(),
            abort_port: Some(self.abort_port),
            notes: vec![self.keeper_note(), self.privileges.clone()],
            policy: self.access().policy.view(),
            commands: self.access().policy.commands(),
        }
    }

    /// The answer to `GET /v1/agent?brief`.
    pub fn brief(&self) -> AgentBrief {
        let (latch, open) = self.host.standing();
        AgentBrief {
            stamp: self.host.stamp(),
            protocol: PROTOCOL_VERSION,
            latch,
            open,
        }
    }

    fn keeper_note(&self) -> String {
        match self.host.unkept() {
            Some(why) => format!(
                "no keeper now: {why}; starts are refused (503) and what needs one is reverted until it is back"
            ),
            None => "a keeper process undoes what is on if the agent dies or hangs; both killed at once is the one case that waits for the next start of the agent, or `firedrill-agent abort` on the host"
                .to_owned(),
        }
    }

    /// Who may do what, now.
    pub fn access(&self) -> Arc<Access> {
        Arc::clone(&self.access.read())
    }

    /// Another set of tokens and rules from now on; what is on stays on.
    pub fn replace_access(&self, access: Access) {
        *self.access.write() = Arc::new(access);
        // The faults are listed with what the policy says of them.
        self.faults.lock().1.clear();
    }

    /// The routes with the addresses that the proxy really listens on.
    pub fn live_routes(&self) -> Vec<Route> {
        let hello = self.proxy.as_ref().and_then(proxy::Client::hello);
        let mut routes = self.routes.clone();
        for route in &mut routes {
            if let Some(address) = hello.as_ref().and_then(|hello| hello.address(&route.name)) {
                route.listen = address.to_string();
            }
        }
        routes
    }

    /// Notes in the audit log that somebody was turned away before the ward heard of it; once a second at
    /// the most, so that nobody fills the disk by knocking.
    pub fn turn_away(&self, problem: &Problem, method: &hyper::Method, path: &str) {
        let second = clock::tick().0 / 1_000_000;
        let mut turned_away = self.turned_away.lock();
        turned_away.1 += 1;
        if turned_away.0 == second {
            return;
        }
        let path: String = path.chars().take(128).collect();
        let times = turned_away.1;
        *turned_away = (second, 0);
        self.host.audit(format!(
            "refused {}: {method} {path}: {problem} ({times} since the last such line)",
            problem.kind.status()
        ));
    }

    /// Notes in the audit log who asked for something that is not a read. Renewals, once a second each, are not
    /// noted.
    pub fn note(&self, caller: &Caller, connection: &Connection, method: &hyper::Method, path: &str) {
        let path: String = path.chars().take(128).collect();
        self.host.audit(format!(
            "{} from {}: {method} {path}",
            caller.name,
            connection.peer()
        ));
    }

    fn fault_list(&self) -> Vec<FaultInfo> {
        let now = clock::tick().0 / 1_000;
        let mut faults = self.faults.lock();
        if faults.1.is_empty() || now.saturating_sub(faults.0) > FAULTS_KEPT_MS {
            let access = self.access();
            let list = self.host.faults().iter().map(|fault| {
                let mut info = crate::check::info(fault.as_ref());
                if let Some(forbidden) = access.policy.never(info.name.as_str()) {
                    info.available = false;
                    info.why_not = Some(format!("{}: {}", forbidden.title, forbidden.detail));
                    info.remedy = Some(forbidden.remedy);
                }
                info
            });
            *faults = (now, list.collect());
        }
        faults.1.clone()
    }
}
