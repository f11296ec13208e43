//! A rule on connections that no route carries: a program of the kernel leads them to a listener of the agent's own,
//! and this passes them on to where they were going ([`crate::faults::steered`]).
//!
//! The same engine as in the proxy's process, with a route for each destination and without probes: connections are
//! led here only while the fault is on, so a look at the rule is a look at all of it. After the fault those that were
//! led go on, unchanged, until they end.
//!
//! Of several injections on the same connections each has its rule, its program and its listener, and the first whose
//! program leads a connection away carries it: the rules of all are on it ([`Together`]). When that injection ends, the
//! next one's program leads.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use firedrill_wire::RouteProtocol;
use nix::sys::resource::{Resource, getrlimit};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Limits;
use super::protocol::{RuleReport, SetRule};
use super::route::{Route, RuleSet};
use super::rule::Rule;
use super::table::{self, DRAIN};
use super::timer::Timer;
use crate::kernel::select::Selection;

/// Different destinations at the same time.
const MAX_DESTINATIONS: usize = 1_024;

/// How long after the end those are still taken that were led here just before.
const LED_WITHIN: Duration = Duration::from_millis(50);

/// How often connections that outlive the fault are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Where a connection was going, by the client's end and this end of it; an error where nobody knows.
pub type Origin = Box<dyn Fn(SocketAddr, SocketAddr) -> io::Result<SocketAddr> + Send>;

/// The rules of all injections on the same cgroup's connections to the same port.
#[derive(Debug, Default)]
pub struct Together(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    /// In the order they were set.
    rules: Vec<(Selection, Arc<Rule>)>,
    routes: Vec<(SocketAddr, Weak<Route>)>,
}

impl Together {
    /// One more, or in place of the one of the same id.
    fn put(&self, selection: &Selection, rule: Arc<Rule>) {
        let mut all = self.0.lock();
        match all.rules.iter_mut().find(|(_, it)| it.set.id == rule.set.id) {
            Some((_, before)) => *before = rule,
            None => all.rules.push((selection.clone(), rule)),
        }
        all.publish();
    }

    fn remove(&self, id: &str) {
        let mut all = self.0.lock();
        all.rules.retain(|(_, it)| it.set.id != id);
        all.publish();
    }

    /// What connections to there are taken for.
    fn protocol(&self, to: SocketAddr) -> RouteProtocol {
        if self.0.lock().on(to).any(|rule| rule.set.rule.needs_http()) {
            RouteProtocol::Http
        } else {
            RouteProtocol::Tcp
        }
    }

    fn join(&self, to: SocketAddr, route: &Arc<Route>) {
        let mut all = self.0.lock();
        all.routes.retain(|(_, it)| it.strong_count() > 0);
        all.routes.push((to, Arc::downgrade(route)));
        all.publish();
    }
}

impl All {
    fn on(&self, to: SocketAddr) -> impl Iterator<Item = &Arc<Rule>> {
        let meant = move |(selection, _): &&(Selection, _)| selection.holds(to.ip(), &[to.port()]);
        self.rules.iter().filter(meant).map(|(_, rule)| rule)
    }

    fn publish(&self) {
        for (to, route) in &self.routes {
            let Some(route) = route.upgrade() else { continue };
            let is_http = route.config.protocol == RouteProtocol::Http;
            let fits = self.on(*to).filter(|rule| is_http || !rule.set.rule.needs_http());
            route.put_rules(RuleSet::new(fits.cloned()));
        }
    }
}

/// Connections that were led here, and the rule of whose injection led them.
#[derive(Debug)]
pub struct Steered {
    together: Arc<Together>,
    limits: Limits,
    timer: Arc<Timer>,
    state: Mutex<State>,
    /// Set: the fault is over.
    over: watch::Sender<bool>,
    turned_away: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    rule: Option<Arc<Rule>>,
    routes: HashMap<(SocketAddr, bool), Arc<Route>>,
    /// Of the last rule.
    last: Option<RuleReport>,
}

impl Steered {
    /// With no rule of its own yet. Must be called within the runtime that serves.
    pub fn start(together: Arc<Together>) -> io::Result<Arc<Self>> {
        super::raise_descriptor_limit();
        // Each takes two descriptors, and half of all are left to the agent.
        let (descriptors, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
        let limits = Limits::default();
        let connections = limits.connections.min((descriptors / 4) as usize);
        Ok(Arc::new(Self {
            together,
            limits: Limits {
                connections,
                ..limits
            },
            timer: Timer::start()?,
            state: Mutex::default(),
            over: watch::Sender::new(false),
            turned_away: AtomicU64::new(0),
        }))
    }

    /// Sets the rule on these connections, or puts a newer one in its place.
    pub fn set(&self, selection: &Selection, set: SetRule) -> Result<RuleReport, String> {
        table::check(&set).map_err(|refusal| refusal.detail)?;
        let mut state = self.state.lock();
        let rule = match &state.rule {
            Some(before) => before.replaced_by(set)?,
            None => Rule::new(set, Arc::clone(&self.timer), Instant::now())?,
        };
        let report = rule.report(true);
        let rule = Arc::new(rule);
        state.rule = Some(Arc::clone(&rule));
        self.together.put(selection, rule);
        Ok(report)
    }

    /// Takes the rule away and wakes what it holds.
    pub fn withdraw(&self) -> Option<Arc<Rule>> {
        let rule = self.state.lock().rule.take()?;
        self.together.remove(&rule.set.id);
        rule.core.revoke();
        Some(rule)
    }

    /// Takes the rule away, wakes what it holds, and waits until nothing is held. Blocks.
    pub fn remove(&self) -> Option<RuleReport> {
        let Some(rule) = self.withdraw() else {
            return self.report();
        };
        let deadline = Instant::now() + DRAIN;
        while rule.core.held() > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_micros(200));
        }
        let report = rule.report(false);
        self.state.lock().last = Some(report.clone());
        Some(report)
    }

    /// The rule as it is, or as it was when it was removed.
    pub fn report(&self) -> Option<RuleReport> {
        let state = self.state.lock();
        let now = state.rule.as_ref().map(|rule| rule.report(true));
        now.or_else(|| state.last.clone())
    }

    /// Takes no new connections; those that are open go on.
    pub fn end(&self) {
        self.over.send_replace(true);
    }

    /// How many of the connections that were led here are open.
    pub fn connections(&self) -> u64 {
        let state = self.state.lock();
        state.routes.values().map(|route| route.traffic()).sum()
    }

    /// How many were closed at once: too many, or nobody knew where they were going.
    pub fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// Serves until the fault is over and the last connection has ended.
    pub async fn serve(self: Arc<Self>, listeners: Vec<TcpListener>, origin: Origin) {
        let mut over = self.over.subscribe();
        {
            let taking = self.take_all(listeners, &origin);
            let ended = async {
                // The sender is ours: it does not go away.
                over.wait_for(|over| *over).await.ok();
                tokio::time::sleep(LED_WITHIN).await;
            };
            tokio::select! {
                () = taking => {}
                () = ended => {}
            }
        }
        while self.connections() > 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn take_all(&self, listeners: Vec<TcpListener>, origin: &Origin) {
        let mut next = 0;
        loop {
            let accepted = match &listeners[..] {
                [] => return,
                [one] => one.accept().await,
                [one, other, ..] => tokio::select! {
                    accepted = one.accept() => accepted,
                    accepted = other.accept() => accepted,
                },
            };
            match accepted {
                Ok((stream, client)) => {
                    next += 1;
                    if let Err(error) = self.take(stream, client, next, origin) {
                        self.turned_away.fetch_add(1, Ordering::Relaxed);
                        tracing::warn!(%error, "a connection that was led here is closed");
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "accept");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }

    fn take(&self, stream: TcpStream, client: SocketAddr, id: u64, origin: &Origin) -> io::Result<()> {
        if self.connections() >= self.limits.connections as u64 {
            return Err(io::Error::other("there are too many"));
        }
        let to = origin(client, stream.local_addr()?)?;
        self.route(to)?.take(stream, client, id);
        Ok(())
    }

    fn route(&self, to: SocketAddr) -> io::Result<Arc<Route>> {
        let protocol = self.together.protocol(to);
        let place = (to, protocol == RouteProtocol::Http);
        let mut state = self.state.lock();
        if let Some(route) = state.routes.get(&place) {
            return Ok(Arc::clone(route));
        }
        if state.routes.len() >= MAX_DESTINATIONS {
            state.routes.retain(|_, route| route.traffic() > 0);
        }
        if state.routes.len() >= MAX_DESTINATIONS {
            return Err(io::Error::other("they go to too many destinations"));
        }
        let config = firedrill_wire::Route {
            name: format!("led to {to}"),
            listen: String::new(),
            upstream: to.to_string(),
            protocol,
        };
        let route = Route::without_socket(config, self.limits);
        self.together.join(to, &route);
        state.routes.insert(place, Arc::clone(&route));
        Ok(route)
    }
}
