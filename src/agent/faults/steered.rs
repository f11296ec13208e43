//! Faults of the proxy without a route: the new connections of one cgroup's processes to a port are led to the agent by
//! a program of the kernel, pass a rule of the proxy there ([`crate::proxy::Steered`]), and go on to where they were
//! going. The victim sees the address that it asked for.
//!
//! The agent listens in the victim's network namespace, on the loopback alone, and holds the program by a link: when it
//! ends, in whatever way, the kernel takes the program away, new connections go straight, and those that were led break.
//! After a revert they go on through the agent, unchanged, until they end.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use firedrill_catalogue::{FaultSpec, Parameters, ScopeKey};
use firedrill_wire::{Evidence, Problem, Scope};
use parking_lot::Mutex;

use super::network::{self, not_taken, reset_all, selection, wrong};
use super::process::not_possible;
use super::route::{evidence, on};
use super::{Failure, Held, Order, Prepared, ReadBack};
use crate::kernel::netns;
use crate::kernel::on_cgroup::{OnCgroup, Wanted};
use crate::kernel::redirect::Redirect;
use crate::kernel::responder::Running;
use crate::kernel::select::Selection;
use crate::kernel::sockets::Diag;
use crate::proxy::protocol::{RuleReport, RuleSpec, SetRule};
use crate::proxy::{Steered, Together};
use crate::targets;

/// How long the thread that serves may take to begin.
const SERVES_WITHIN: Duration = Duration::from_secs(2);

/// What is led now: several injections may be on the same connections.
#[derive(Debug, Default)]
pub struct Led(Mutex<HashMap<String, Weak<Together>>>);

impl Led {
    fn together(&self, cgroup: &str, port: u16) -> Arc<Together> {
        let mut all = self.0.lock();
        all.retain(|_, it| it.strong_count() > 0);
        let place = all.entry(format!("{cgroup}:{port}")).or_default();
        place.upgrade().unwrap_or_else(|| {
            let together = Arc::default();
            *place = Arc::downgrade(&together);
            together
        })
    }
}

/// Whether a fault can be on connections that are led, and this scope asks for it.
pub fn is_meant(spec: &FaultSpec, scope: &Scope) -> bool {
    spec.scope.contains(&ScopeKey::Traffic) && scope.route.is_none()
}

/// On a route there is nothing to be led, and nothing of that may be asked for.
pub fn check_route(spec: &FaultSpec, parameters: &Parameters) -> Result<(), Problem> {
    let mut params = spec.params.iter();
    let asked = params.find(|param| {
        let is_default = parameters.text(param.name) == param.default;
        spec.is_only_without_route(param) && (parameters.count(param.name).is_some() || !is_default)
    });
    match asked {
        None => Ok(()),
        Some(param) => Err(wrong(
            param.name,
            "a route has its own: this is for the connections of a cgroup, named by unit, container, cgroup or a process in it",
        )),
    }
}

/// What it would hit.
pub fn prepare(spec: &FaultSpec, parameters: &Parameters, scope: &Scope) -> Result<Prepared, Problem> {
    let selection = selection(parameters)?;
    let port = port_of(&selection)?;
    let carries = if spec.name.starts_with("tcp.") {
        ""
    } else {
        ", which carry HTTP,"
    };
    let what = format!(
        "its new TCP connections{}{carries} go through the agent: {}",
        selection.words(),
        spec.summary
    );
    network::prepare(scope, &format!("through:{port}:{}", spec.name), &what)
}

fn port_of(selection: &Selection) -> Result<u16, Problem> {
    let needed = "without a route it is needed: the port that the connections go to";
    selection.port.ok_or_else(|| wrong("port", needed))
}

/// Begins it.
pub fn begin(
    led: &Led,
    make: fn(&Parameters) -> RuleSpec,
    set: SetRule,
    order: &Order<'_>,
) -> Result<(Box<dyn Held>, Evidence), Failure> {
    let selection = selection(order.parameters).map_err(Failure::nothing)?;
    let cgroup = targets::cgroup(order.scope).map_err(Failure::nothing)?;
    let words = format!(
        "new TCP connections of {cgroup}{} go through the agent: {}",
        selection.words(),
        on(&set.rule)
    );
    let port = port_of(&selection).map_err(Failure::nothing)?;
    let together = led.together(&cgroup.path, port);
    let taken = |error: io::Error| not_taken(&error);
    let (proxy, redirect, running) = netns::of(&cgroup)
        .and_then(|namespace| start(namespace, together))
        .map_err(taken)?;
    // Before the first connection is led.
    proxy
        .set(&selection, set.clone())
        .map_err(|why| Failure::nothing(not_possible(why, "see the fault's parameters")))?;
    let wanted = Wanted {
        cgroup: &cgroup,
        programs: &|settings, counters| redirect.programs(&selection, settings, counters),
        counters: &["connects_seen", "connects_led"],
        responder: None,
        words,
    };
    // It would stay on the connections that others lead.
    let begun = OnCgroup::begin(order, wanted).inspect_err(|_| drop(proxy.withdraw()));
    let (mut on, mut seen) = begun?;
    if order.parameters.text("established") == Some("reset") {
        // New ones are led by now, so that nobody is back before the last is reset.
        match reset_all(&cgroup, |it| selection.holds(it.peer, &[it.peer_port])) {
            Ok(count) => on.also("connections_reset", count as f64, &mut seen),
            Err(problem) => {
                proxy.withdraw();
                let half_applied = !on.revert().clean;
                return Err(Failure {
                    problem,
                    half_applied,
                });
            }
        }
    }
    let held = HeldSteered {
        on,
        proxy,
        running: Some(running),
        make,
        selection,
        set,
    };
    let seen = held.with_rule(seen);
    Ok((Box::new(held), seen))
}

/// The listener in the victim's network namespace, where programs lead to it, and the thread that serves.
fn start(
    namespace: Option<std::path::PathBuf>,
    together: Arc<Together>,
) -> io::Result<(Arc<Steered>, Arc<Redirect>, Running)> {
    let redirect: Arc<OnceLock<Arc<Redirect>>> = Arc::default();
    let (told, hear) = sync_channel(1);
    let known = Arc::clone(&redirect);
    let running = Running::start(namespace, move |sockets| async move {
        // The kernel is asked about sockets of this namespace.
        let begun = Diag::open().and_then(|diag| Ok((diag, Steered::start(together)?)));
        let (diag, proxy) = match begun {
            Ok(begun) => begun,
            Err(error) => return drop(told.send(Err(error))),
        };
        if told.send(Ok(Arc::clone(&proxy))).is_err() {
            return;
        }
        let listeners = sockets.into_iter().map(|it| it.tcp).collect();
        let origin = move |client, here| {
            let unknown = || io::Error::other(format!("nobody knows where {client} was going"));
            let redirect = known.get().ok_or_else(unknown)?;
            let socket = diag.cookie(client, here)?.ok_or_else(unknown)?;
            redirect.of_socket(socket)?.ok_or_else(unknown)
        };
        proxy.serve(listeners, Box::new(origin)).await;
    })?;
    let proxy = hear
        .recv_timeout(SERVES_WITHIN)
        .map_err(|_| io::Error::other("the thread that serves does not begin"))??;
    let led = Arc::new(Redirect::new(running.port4, running.port6, false, false)?);
    redirect
        .set(Arc::clone(&led))
        .map_err(|_| io::Error::other("it is led already"))?;
    Ok((proxy, led, running))
}

/// Connections that are led, or were.
struct HeldSteered {
    on: OnCgroup,
    proxy: Arc<Steered>,
    running: Option<Running>,
    make: fn(&Parameters) -> RuleSpec,
    selection: Selection,
    /// As it was last set.
    set: SetRule,
}

impl Drop for HeldSteered {
    /// Also when its thread has died: others may lead the connections that it was on.
    fn drop(&mut self) {
        self.proxy.withdraw();
        self.proxy.end();
    }
}

impl HeldSteered {
    /// The evidence of the program, with that of the rule and of the connections.
    fn with_rule(&self, mut seen: Evidence) -> Evidence {
        if let Some(report) = self.proxy.report() {
            seen.counts.extend(evidence("", &report).counts);
        }
        let counts = [
            ("connections_open", self.proxy.connections()),
            ("connections_turned_away", self.proxy.turned_away()),
        ];
        let counts = counts.map(|(name, count)| (name.to_owned(), count as f64));
        seen.counts.extend(counts);
        seen
    }
}

impl Held for HeldSteered {
    fn adjust(&mut self, parameters: &Parameters) -> Result<Evidence, Problem> {
        if selection(parameters)? != self.selection {
            return Err(not_possible(
                "which connections are led is part of the program: it cannot change while it is on",
                "start another injection",
            ));
        }
        let set = SetRule {
            generation: self.set.generation + 1,
            rule: (self.make)(parameters),
            replace: true,
            ..self.set.clone()
        };
        let changed = |why| not_possible(why, "see the fault's parameters");
        self.proxy.set(&self.selection, set.clone()).map_err(changed)?;
        let words = format!("changed: {}", on(&set.rule));
        self.set = set;
        Ok(self.with_rule(super::words(words)))
    }

    /// First nothing is held or changed any more, then nobody is led here.
    fn revert(&mut self) -> ReadBack {
        let report = self.proxy.remove();
        let held = report.as_ref().map_or(0, |report: &RuleReport| report.held);
        let mut back = self.on.revert();
        self.proxy.end();
        if let Some(running) = self.running.take() {
            running.let_go();
        }
        back.evidence = self.with_rule(back.evidence);
        let open = self.proxy.connections();
        let words = &mut back.evidence.words;
        *words = format!("{words}; the rule is off, {held} requests held");
        if open > 0 {
            *words =
                format!("{words}; {open} connections go on through the agent, unchanged, until they end");
        }
        back.clean &= held == 0;
        back
    }

    fn prove(&mut self) -> (bool, Evidence) {
        let (gone, seen) = self.on.prove();
        let off = self.proxy.report().is_none_or(|report| report.is_off());
        (gone && off, self.with_rule(seen))
    }

    fn observe(&mut self) -> Option<Evidence> {
        let seen = self.on.observe()?;
        Some(self.with_rule(seen))
    }
}
