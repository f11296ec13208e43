//! What the faults on routes have in common: each is a rule of the proxy. Without a route it is on connections that
//! are led to the agent: [`super::steered`].
//!
//! Its id names the injection for ever, so a start that comes late finds the removal. A proxy that is lost
//! has lost its rules too: then a revert waits for the next one and reads there that the rule is not in it.
//! The proof is a probe through the route from here: which rules it met, and how long it took.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use firedrill_catalogue::{FaultSpec, Parameters, ScopeKey};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, ProblemKind, Route, RouteProtocol, Scope};

use super::steered::Led;
use super::tcp_refuse::Knocks;
use super::{Failure, Fault, Held, NotHere, Order, Prepared, ReadBack, steered, words};
use crate::kernel;
use crate::kernel::on_cgroup::OnCgroup;
use crate::proxy::protocol::{RefusalKind, RuleReport, RuleSpec, SetRule, Side};
use crate::proxy::{Announced, Client, Line, Probe, ProbeRequest, ProxyError};
use crate::undo::Undo;

/// How long a lost proxy may take to be there again before a revert says that it cannot read back.
const BACK_WITHIN: Duration = Duration::from_millis(1_500);

/// How long a proof may take in all.
const PROOF_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the line for the proof may take to open.
const LINE_WITHIN: Duration = Duration::from_millis(200);

/// Delays shorter than this cannot be told from a busy machine by a clock.
const TELLING: Duration = Duration::from_millis(20);

/// Above any that a change gives: what was removed never begins again.
const LAST_GENERATION: u64 = u64::MAX;

const BY_HAND: &str = "end the proxy's process (`firedrill-agent proxy`): its rules end with it, and the agent starts a new one";

/// A fault that is a rule of the proxy.
#[derive(Debug)]
pub struct RouteFault {
    /// Its line in the catalogue.
    pub spec: &'static FaultSpec,
    /// The proxy; none when the agent has no routes.
    pub proxy: Option<Client>,
    /// Makes the rule from checked parameters.
    pub rule: fn(&Parameters) -> RuleSpec,
    /// Where there is no route.
    pub led: Arc<Led>,
}

impl Fault for RouteFault {
    fn spec(&self) -> &'static FaultSpec {
        self.spec
    }

    fn available(&self) -> Result<(), NotHere> {
        let Err(no) = available(self.spec, self.proxy.as_ref()) else {
            return Ok(());
        };
        if !self.spec.scope.contains(&ScopeKey::Traffic) {
            return Err(no);
        }
        // Without a route connections can still be led to the agent.
        kernel::available().map_err(|steering| NotHere {
            why: format!(
                "{}, and connections cannot be led here without one: {}",
                no.why, steering.why
            ),
            remedy: format!("{}; or {}", no.remedy, steering.remedy),
        })
    }

    fn prepare(&self, parameters: &Parameters, scope: &Scope) -> Result<Prepared, Problem> {
        if let Some(path) = parameters.text("path")
            && !path.starts_with('/')
        {
            return Err(Problem::new(
                ProblemKind::Parameters,
                "a path that no request has",
                format!("parameters.path: \"{path}\""),
                "begin it with a slash",
            ));
        }
        crate::proxy::check(&(self.rule)(parameters)).map_err(|words| {
            Problem::new(
                ProblemKind::Parameters,
                format!("{} cannot be done so", self.spec.name),
                words,
                "see the fault's parameters",
            )
        })?;
        if steered::is_meant(self.spec, scope) {
            return steered::prepare(self.spec, parameters, scope);
        }
        steered::check_route(self.spec, parameters)?;
        prepare(self.spec, self.proxy.as_ref(), scope)
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        let mut held = self.held(order.key, order.scope);
        let rule = (self.rule)(order.parameters);
        let set = SetRule {
            id: held.id.clone(),
            generation: held.generation,
            route: held.route.clone(),
            rule: rule.clone(),
            ramp_ms: order.ramp.as_millis() as u64,
            ends_in_ms: (order.ends_in.as_millis() as u64).max(1),
            replace: false,
        };
        if steered::is_meant(self.spec, order.scope) {
            return steered::begin(&self.led, self.rule, set, order);
        }
        held.request = request(&rule);
        held.floor = floor(&rule, &held.request);
        held.set = Some(set.clone());
        let client = held.client().map_err(|problem| Failure {
            problem,
            half_applied: false,
        })?;
        order.pen.write(Undo::Rule { id: held.id.clone() })?;
        match client.set(set) {
            Ok(report) => {
                held.open_line();
                let uncounted = held.count_knocks(&rule, order.key).err();
                let mut words = on(&rule);
                if let Some(why) = uncounted {
                    words = format!("{words}; those that are refused are not counted: {why}");
                }
                let seen = held.told(words, &report);
                Ok((Box::new(held), seen))
            }
            // Not knowing whether it is set counts as set.
            Err(error) => Err(Failure {
                half_applied: error == ProxyError::Silent,
                problem: problem(&error),
            }),
        }
    }

    fn ramps_itself(&self) -> bool {
        true
    }

    fn adopt(&self, key: &Key, scope: &Scope, undo: Option<&Undo>) -> Box<dyn Held> {
        if steered::is_meant(self.spec, scope) {
            // The rule was in the process that led connections to it, and ended with it.
            return Box::new(OnCgroup::adopt(undo));
        }
        Box::new(self.held(key, scope))
    }
}

impl RouteFault {
    fn held(&self, key: &Key, scope: &Scope) -> HeldRule {
        HeldRule {
            client: self.proxy.clone(),
            make: self.rule,
            id: rule_id(key),
            route: scope.route.clone().unwrap_or_default(),
            generation: 1,
            set: None,
            request: ProbeRequest::default(),
            floor: None,
            probe: None,
            line: None,
            sent: None,
            knocks: None,
        }
    }
}

/// The rule's name in the proxy. Ids from the wire may be any text, the proxy's may not.
fn rule_id(key: &Key) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    let id = &key.id.0;
    if id.len() <= 128 && id.bytes().all(plain) {
        format!("{}/{id}", key.epoch.0)
    } else {
        format!("{}/#{}", key.epoch.0, blake3::hash(id.as_bytes()).to_hex())
    }
}

/// The routes that a fault can be on; why not, if there are none.
pub fn available(spec: &FaultSpec, proxy: Option<&Client>) -> Result<Vec<Route>, NotHere> {
    let no = |why: &str, remedy: &str| {
        Err(NotHere {
            why: why.to_owned(),
            remedy: remedy.to_owned(),
        })
    };
    let Some(proxy) = proxy else {
        return no(
            "this agent has no routes",
            "start it with a route, and let clients connect to its listening address",
        );
    };
    let Some(hello) = proxy.hello() else {
        return no(
            "the agent's proxy is not running",
            "it is started again within a second; if not, see proxy.log in the agent's state folder",
        );
    };
    let routes = hello.routes.into_iter().map(|status| status.route);
    let fit: Vec<_> = routes.filter(|route| fits(spec, route)).collect();
    if fit.is_empty() {
        return no(
            "none of this agent's routes carries HTTP",
            "give it a route of protocol http",
        );
    }
    Ok(fit)
}

fn fits(spec: &FaultSpec, route: &Route) -> bool {
    spec.name.starts_with("tcp.") || route.protocol == RouteProtocol::Http
}

/// Checks that the route is there and of the right kind.
pub fn prepare(spec: &FaultSpec, proxy: Option<&Client>, scope: &Scope) -> Result<Prepared, Problem> {
    let fit = available(spec, proxy).map_err(|NotHere { why, remedy }| {
        Problem::new(
            ProblemKind::NotPossible,
            "not possible on this agent",
            why,
            remedy,
        )
    })?;
    let name = scope.route.as_deref().unwrap_or_default();
    let Some(route) = fit.iter().find(|route| route.name == name) else {
        let names: Vec<_> = fit.iter().map(|route| route.name.as_str()).collect();
        return Err(Problem::new(
            ProblemKind::Parameters,
            "no such route",
            format!(
                "scope.route: this agent has no route \"{name}\" for {}",
                spec.name
            ),
            format!("one of: {}", names.join(", ")),
        ));
    };
    Ok(Prepared {
        claims: vec![format!("route:{name}:{}", spec.name)],
        hits: vec![format!("route {name} {} → {}", route.listen, route.upstream)],
        ..Prepared::default()
    })
}

/// A proxy's error as the caller is told of it.
pub fn problem(error: &ProxyError) -> Problem {
    let (kind, title, remedy) = match error {
        ProxyError::Refused(refusal) => match refusal.kind {
            RefusalKind::Taken => (
                ProblemKind::Held,
                "the route has such a rule",
                "wait until it has ended, or revert it",
            ),
            RefusalKind::Stale => (
                ProblemKind::Fenced,
                "too late for this rule",
                "start a new injection",
            ),
            RefusalKind::Bad => (
                ProblemKind::Parameters,
                "the proxy cannot do this",
                "see the fault's parameters",
            ),
            _ => (
                ProblemKind::NotPossible,
                "the proxy cannot do this",
                "see the detail",
            ),
        },
        _ => (
            ProblemKind::Unavailable,
            "the proxy does not answer",
            "try again in a second; if it stays so, see proxy.log in the agent's state folder",
        ),
    };
    Problem::new(kind, title, error.to_string(), remedy)
}

/// What is on, in words.
pub(super) fn on(rule: &RuleSpec) -> String {
    let ms = |us: u64| us as f64 / 1e3;
    match rule {
        RuleSpec::HttpLatency { delay_us, .. } => format!("requests wait {} ms", ms(*delay_us)),
        RuleSpec::HttpStatus { code, .. } => format!("requests are answered {code}"),
        RuleSpec::HttpHeaders {
            side: Side::Request, ..
        } => "requests have other headers".to_owned(),
        RuleSpec::HttpHeaders { .. } => "answers have other headers".to_owned(),
        RuleSpec::HttpBody { .. } => "answers have other bodies".to_owned(),
        RuleSpec::HttpTruncate { bytes, .. } => format!("answers break off after {bytes} bytes"),
        RuleSpec::HttpSlowBody { bytes_per_s, .. } => {
            format!("each answer arrives at {bytes_per_s} bytes a second")
        }
        RuleSpec::HttpReset { .. } => "requests are reset".to_owned(),
        RuleSpec::HttpLose { code, .. } => format!("requests are answered {code} and lost"),
        RuleSpec::GrpcStatus { code, after, .. } => {
            let when = if *after { "after their answer" } else { "at once" };
            format!("calls end with the gRPC status {code} {when}")
        }
        RuleSpec::TcpLatency { delay_us, .. } => format!("answers arrive {} ms later", ms(*delay_us)),
        RuleSpec::TcpBandwidth { bytes_per_s } => {
            format!("all connections together carry {bytes_per_s} bytes a second")
        }
        RuleSpec::TcpRefuse {} => "new connections are refused".to_owned(),
    }
}

/// The probe that meets a rule.
fn request(rule: &RuleSpec) -> ProbeRequest {
    if let RuleSpec::TcpBandwidth { bytes_per_s } = rule {
        // As much as would take 50 ms on the slow link, there and back.
        return ProbeRequest {
            bytes: (bytes_per_s / 20).clamp(1, 32 * 1024) as usize,
            ..ProbeRequest::default()
        };
    }
    let call = matches!(rule, RuleSpec::GrpcStatus { .. });
    rule.only()
        .map(|only| ProbeRequest::of(only, call))
        .unwrap_or_default()
}

/// What a probe takes at least while the rule is on; none where a clock cannot tell.
fn floor(rule: &RuleSpec, request: &ProbeRequest) -> Option<Duration> {
    let floor = match rule {
        RuleSpec::HttpLatency {
            delay_us, jitter_us, ..
        }
        | RuleSpec::TcpLatency { delay_us, jitter_us } => {
            Duration::from_micros(delay_us - jitter_us.min(delay_us))
        }
        RuleSpec::TcpBandwidth { bytes_per_s } => {
            Duration::try_from_secs_f64(request.bytes as f64 / (*bytes_per_s).max(1) as f64).ok()?
        }
        _ => return None,
    };
    (floor >= TELLING).then_some(floor)
}

/// What a rule did, as evidence.
pub(super) fn evidence(words: impl Into<String>, report: &RuleReport) -> Evidence {
    let counters = report.counters;
    let mut counts = BTreeMap::from([("requests_held".to_owned(), report.held as f64)]);
    let all = [
        ("seen", counters.seen),
        ("delayed", counters.delayed),
        ("answered", counters.answered),
        ("changed", counters.changed),
        ("truncated", counters.truncated),
        ("reset", counters.reset),
        ("lost", counters.lost),
        ("bytes", counters.bytes),
    ];
    for (name, value) in all.iter().filter(|(_, value)| *value > 0) {
        counts.insert((*name).to_owned(), *value as f64);
    }
    if counters.delayed > 0 {
        let mean = counters.added_us as f64 / counters.delayed as f64 / 1e3;
        counts.insert("added_ms_mean".to_owned(), mean);
    }
    Evidence {
        words: words.into(),
        counts,
    }
}

/// One rule, on or gone.
#[derive(Debug)]
struct HeldRule {
    client: Option<Client>,
    make: fn(&Parameters) -> RuleSpec,
    id: String,
    route: String,
    generation: u64,
    /// As it was last set; none for one that another life set.
    set: Option<SetRule>,
    request: ProbeRequest,
    floor: Option<Duration>,
    /// Announced with the removal, for the proof that follows it, where there is no line.
    probe: Option<Announced>,
    /// Opened when the fault began, so that the proof need not wait for a connection.
    line: Option<Line>,
    /// The line, with the probe that was sent on it behind the removal.
    sent: Option<Line>,
    /// Counts whom the rule refuses, where it does.
    knocks: Option<Knocks>,
}

impl HeldRule {
    fn count_knocks(&mut self, rule: &RuleSpec, key: &Key) -> Result<(), String> {
        if !matches!(rule, RuleSpec::TcpRefuse {}) {
            return Ok(());
        }
        let hello = self.client.as_ref().and_then(Client::hello);
        let listening = hello.and_then(|hello| hello.address(&self.route));
        let listening = listening.ok_or("the route does not listen")?;
        self.knocks = Some(Knocks::at(listening, key)?);
        Ok(())
    }

    /// What the rule did, as evidence, with those that it refused.
    fn told(&mut self, words: impl Into<String>, report: &RuleReport) -> Evidence {
        let mut seen = evidence(words, report);
        if let Some(refused) = self.knocks.as_mut().and_then(Knocks::count) {
            seen.counts.insert("connects_refused".to_owned(), refused as f64);
        }
        seen
    }

    fn client(&self) -> Result<&Client, Problem> {
        self.client.as_ref().ok_or_else(|| {
            Problem::new(
                ProblemKind::Unavailable,
                "this agent has no proxy",
                "it was started without routes",
                "start it with the routes it had",
            )
        })
    }

    /// Removes the rule; if the proxy is lost, from the next one, where it is not.
    fn remove(&mut self) -> Option<Result<RuleReport, ProxyError>> {
        let client = self.client.clone()?;
        Some(match self.remove_from(&client) {
            Err(ProxyError::Down(_)) => client.up(BACK_WITHIN).and_then(|_| self.remove_from(&client)),
            answered => answered,
        })
    }

    /// Its proof is under way when it returns.
    fn remove_from(&mut self, client: &Client) -> Result<RuleReport, ProxyError> {
        self.sent = None;
        if let Some(line) = self.line.take() {
            let (report, sent) = client.remove_and_probe(&self.id, LAST_GENERATION, line, &self.request)?;
            self.sent = sent;
            return Ok(report);
        }
        let (report, probe) = client.remove_and_announce(&self.id, LAST_GENERATION, &self.route)?;
        self.probe = probe;
        Ok(report)
    }

    /// Opens the line that the proof will use; without one the proof opens a connection.
    fn open_line(&mut self) {
        let client = self.client.as_ref();
        self.line = client.and_then(|client| client.line(&self.route, LINE_WITHIN));
    }

    fn send_probe(&mut self, client: &Client, patience: Duration) -> Result<Probe, ProxyError> {
        // A line that breaks off proves nothing, either way.
        if let Some(line) = self.sent.take()
            && let Ok(probe) = client.probe_sent(line, &self.route, patience)
        {
            return Ok(probe);
        }
        match self.probe.take().filter(Announced::is_expected) {
            Some(announced) => client.probe_announced(announced, &self.request, patience),
            None => client.probe(&self.route, &self.request, patience),
        }
    }
}

impl Held for HeldRule {
    fn adjust(&mut self, parameters: &Parameters) -> Result<Evidence, Problem> {
        let Some(before) = self.set.clone() else {
            return Err(problem(&ProxyError::Down(
                "the rule is of another life".to_owned(),
            )));
        };
        self.generation += 1;
        let rule = (self.make)(parameters);
        let set = SetRule {
            generation: self.generation,
            rule: rule.clone(),
            replace: true,
            ..before
        };
        let report = self.client()?.set(set.clone()).map_err(|error| problem(&error))?;
        self.request = request(&rule);
        self.floor = floor(&rule, &self.request);
        self.set = Some(set);
        let words = format!("{} changed on route {}", rule.name(), self.route);
        Ok(self.told(words, &report))
    }

    fn revert(&mut self) -> ReadBack {
        let unread = |why: String| ReadBack {
            clean: false,
            evidence: words(why),
            by_hand: Some(BY_HAND.to_owned()),
        };
        let Some(removed) = self.remove() else {
            // No proxy of ours: one that was left behind lost its rules with the agent that set them.
            return ReadBack {
                clean: true,
                evidence: words("the agent has no proxy now, and a proxy's rules end with its agent"),
                by_hand: None,
            };
        };
        match removed {
            Ok(report) if report.is_off() => ReadBack {
                clean: true,
                evidence: self.told("the rule is not in the proxy, 0 requests held", &report),
                by_hand: None,
            },
            Ok(report) => {
                let why = report
                    .problem
                    .clone()
                    .unwrap_or_else(|| format!("{} requests are still held", report.held));
                unread(why)
            }
            Err(error) => unread(error.to_string()),
        }
    }

    fn prove(&mut self) -> (bool, Evidence) {
        // Nobody is refused any more. Not at the revert: the kernel takes its time for a table that goes.
        self.knocks = None;
        let Some(client) = self.client.clone() else {
            return (false, words("there is no proxy to send a probe through"));
        };
        let deadline = Instant::now() + PROOF_TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (gone, seen) = match self.send_probe(&client, left) {
                Ok(probe) => {
                    let met = probe.rules.contains(&self.id);
                    let late = self.floor.is_some_and(|floor| probe.took >= floor);
                    let ms = probe.took.as_secs_f64() * 1e3;
                    let verdict = match (met, late) {
                        (true, _) => ": it met the rule",
                        (_, true) => ": as late as with the fault",
                        _ => "",
                    };
                    let mut seen = words(format!(
                        "a probe through route {} came back in {ms:.1} ms{verdict}",
                        self.route
                    ));
                    seen.counts.insert("probe_ms".to_owned(), ms);
                    (!met && !late, seen)
                }
                Err(error) => (false, words(error.to_string())),
            };
            // One late probe may be the machine's fault.
            if gone || left < PROOF_TIMEOUT / 2 {
                return (gone, seen);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_being_proved(&self) -> bool {
        self.sent.is_some()
    }

    fn observe(&mut self) -> Option<Evidence> {
        // The proxy closes what is idle for a minute.
        if self.line.as_ref().is_some_and(|line| !line.is_open()) {
            self.open_line();
        }
        match self.client.as_ref()?.status(&self.id) {
            Ok(report) if report.present => Some(self.told(format!("on route {}", self.route), &report)),
            Ok(report) => Some(self.told("off: the proxy has no such rule any more", &report)),
            Err(error) => Some(words(error.to_string())),
        }
    }
}
