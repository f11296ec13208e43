//! The table of rules: by id for the agent, by route for the traffic.
//!
//! One owner (the control loop) changes it, so the order of commands is the order of effects. What was removed
//! is remembered with its generation, so that a `set` that comes late starts nothing, and with its counters.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use firedrill_wire::RouteProtocol;

use super::protocol::{Counters, Refusal, RefusalKind, RuleReport, RuleSpec, SetRule};
use super::route::{Route, RuleSet};
use super::rule::Rule;
use super::timer::Timer;

/// Most rules on one route.
const MAX_RULES: usize = 64;

/// How many removed rules are remembered.
const MAX_REMEMBERED: usize = 1024;

const MAX_ID_LEN: usize = 256;
const MAX_DELAY_US: u64 = 60_000_000;
const MAX_TIME_MS: u64 = 24 * 3_600_000;

/// How long a removal waits for what is held; it takes microseconds unless the machine is stuck.
pub const DRAIN: Duration = Duration::from_secs(2);

/// All rules and routes.
#[derive(Debug)]
pub struct Table {
    routes: Vec<Arc<Route>>,
    timer: Arc<Timer>,
    rules: HashMap<String, Arc<Rule>>,
    removed: VecDeque<RuleReport>,
}

impl Table {
    /// A table with no rule.
    pub fn new(routes: Vec<Arc<Route>>, timer: Arc<Timer>) -> Self {
        Self {
            routes,
            timer,
            rules: HashMap::new(),
            removed: VecDeque::new(),
        }
    }

    /// Every route.
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// Whether any rule is set.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// A route by its name.
    pub fn route(&self, name: &str) -> Result<Arc<Route>, Refusal> {
        let found = self.routes.iter().find(|route| route.config.name == name);
        found.cloned().ok_or_else(|| {
            let known: Vec<_> = self
                .routes
                .iter()
                .map(|route| route.config.name.as_str())
                .collect();
            refusal(
                RefusalKind::Route,
                format!("no route \"{name}\" here; there are: {}", known.join(", ")),
            )
        })
    }

    /// Sets a rule or replaces it by a higher generation.
    pub async fn set(&mut self, set: SetRule) -> Result<RuleReport, Refusal> {
        check(&set)?;
        let route = self.route(&set.route)?;
        self.check_place(&set, &route)?;
        let bad = |words| refusal(RefusalKind::Bad, words);
        let rule = match self.rules.get(&set.id) {
            Some(before) => before.replaced_by(set),
            None => Rule::new(set, Arc::clone(&self.timer), Instant::now()),
        };
        let rule = rule.map_err(bad)?;
        if matches!(rule.set.rule, RuleSpec::TcpRefuse {}) {
            let done = route.refuse().await;
            done.map_err(|error| {
                refusal(
                    RefusalKind::System,
                    format!("the port cannot be refused: {error}"),
                )
            })?;
        }
        let report = rule.report(true);
        self.rules.insert(rule.set.id.clone(), Arc::new(rule));
        self.publish(&route);
        Ok(report)
    }

    fn check_place(&self, set: &SetRule, route: &Route) -> Result<(), Refusal> {
        let seen = match self.rules.get(&set.id) {
            Some(rule) if rule.set.route != set.route || rule.set.rule.name() != set.rule.name() => {
                let words = format!(
                    "rule {} is a {} on route {}",
                    set.id,
                    rule.set.rule.name(),
                    rule.set.route
                );
                return Err(refusal(RefusalKind::Taken, words));
            }
            Some(rule) => Some(rule.set.generation),
            None => self
                .removed
                .iter()
                .find(|removed| removed.id == set.id)
                .map(|removed| removed.generation),
        };
        if set.replace && !self.rules.contains_key(&set.id) {
            let words = format!("rule {} is not there any more", set.id);
            return Err(refusal(RefusalKind::Stale, words));
        }
        if seen.is_some_and(|seen| set.generation <= seen) {
            let words = format!("generation {} of rule {} is not new", set.generation, set.id);
            return Err(refusal(RefusalKind::Stale, words));
        }
        if set.rule.needs_http() && route.config.protocol != RouteProtocol::Http {
            let words = format!(
                "{} needs a route of protocol http; \"{}\" is tcp",
                set.rule.name(),
                set.route
            );
            return Err(refusal(RefusalKind::Route, words));
        }
        let others = self
            .rules
            .values()
            .filter(|rule| rule.set.route == set.route && rule.set.id != set.id);
        if set.rule.needs_http() {
            return if others.count() >= MAX_RULES {
                Err(refusal(
                    RefusalKind::Taken,
                    format!("route \"{}\" has {MAX_RULES} rules", set.route),
                ))
            } else {
                Ok(())
            };
        }
        match others
            .into_iter()
            .find(|rule| rule.set.rule.name() == set.rule.name())
        {
            Some(other) => {
                let words = format!(
                    "{} on route \"{}\" is held by {}",
                    set.rule.name(),
                    set.route,
                    other.set.id
                );
                Err(refusal(RefusalKind::Taken, words))
            }
            None => Ok(()),
        }
    }

    /// Takes a rule away: out of the table, what it holds woken, and nothing held when this returns.
    pub async fn remove(&mut self, id: &str, generation: u64) -> RuleReport {
        if let Some(rule) = self.rules.remove(id) {
            let mut reports = self.undo(&[rule], generation).await;
            return reports.pop().unwrap_or_else(|| unknown(id, generation));
        }
        if let Some(known) = self.removed.iter_mut().find(|removed| removed.id == id) {
            known.generation = known.generation.max(generation);
            return known.clone();
        }
        let report = unknown(id, generation);
        self.remember(report.clone());
        report
    }

    /// Takes every rule away.
    pub async fn clear(&mut self) -> Vec<RuleReport> {
        let all: Vec<_> = self.rules.drain().map(|(_, rule)| rule).collect();
        self.undo(&all, 0).await
    }

    /// Takes away the rules whose time is over.
    pub async fn expire(&mut self, now: Instant) {
        let over: Vec<_> = self
            .rules
            .extract_if(|_, rule| rule.has_ended(now))
            .map(|(_, rule)| rule)
            .collect();
        for report in self.undo(&over, 0).await {
            tracing::warn!(
                rule = report.id,
                "its end passed without the agent's word: dropped"
            );
        }
    }

    /// Forgets what was removed: a new agent knows none of it.
    pub fn forget(&mut self) {
        self.removed.clear();
    }

    /// A rule as it is, or as it was when it was removed.
    pub fn status(&self, id: &str) -> RuleReport {
        if let Some(rule) = self.rules.get(id) {
            return rule.report(true);
        }
        let removed = self.removed.iter().find(|removed| removed.id == id);
        removed.cloned().unwrap_or_else(|| unknown(id, 0))
    }

    /// Everything stops at once; only then is each waited for. The rules are out of the table already.
    async fn undo(&mut self, rules: &[Arc<Rule>], generation: u64) -> Vec<RuleReport> {
        for route in &self.routes {
            if rules.iter().any(|rule| rule.set.route == route.config.name) {
                self.publish(route);
            }
        }
        for rule in rules {
            rule.core.revoke();
        }
        let mut reports = Vec::with_capacity(rules.len());
        for rule in rules {
            let mut report;
            if let Some(problem) = self.listen_again(rule).await {
                // Still refused, so still in the table: removing it once more tries again.
                self.rules.insert(rule.set.id.clone(), Arc::clone(rule));
                report = rule.report(true);
                report.problem = Some(problem);
            } else {
                let drained = tokio::time::timeout(DRAIN, rule.core.drained()).await;
                report = rule.report(false);
                report.generation = report.generation.max(generation);
                report.problem = drained.err().map(|_| "requests are still held".to_owned());
                self.remember(report.clone());
            }
            reports.push(report);
        }
        reports
    }

    async fn listen_again(&self, rule: &Rule) -> Option<String> {
        if !matches!(rule.set.rule, RuleSpec::TcpRefuse {}) {
            return None;
        }
        let route = self.route(&rule.set.route).ok()?;
        let error = route.listen().await.err()?;
        Some(format!(
            "the route cannot listen again: {error}; the proxy tries on"
        ))
    }

    fn publish(&self, route: &Route) {
        let mut rules: Vec<_> = self
            .rules
            .values()
            .filter(|rule| rule.set.route == route.config.name)
            .cloned()
            .collect();
        rules.sort_by_key(|rule| rule.core.since);
        route.put_rules(RuleSet::new(rules.into_iter()));
    }

    fn remember(&mut self, report: RuleReport) {
        if self.removed.len() >= MAX_REMEMBERED {
            self.removed.pop_front();
        }
        self.removed.push_back(report);
    }
}

fn unknown(id: &str, generation: u64) -> RuleReport {
    RuleReport {
        id: id.to_owned(),
        present: false,
        generation,
        held: 0,
        counters: Counters::default(),
        problem: None,
    }
}

/// A refusal in words.
pub fn refusal(kind: RefusalKind, detail: impl Into<String>) -> Refusal {
    Refusal {
        kind,
        detail: detail.into(),
    }
}

/// Whether the values are ones the data plane can work with.
pub fn check(set: &SetRule) -> Result<(), Refusal> {
    let bad = |words: &str| Err(refusal(RefusalKind::Bad, format!("rule {}: {words}", set.id)));
    let clean = set.id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    if set.id.is_empty() || set.id.len() > MAX_ID_LEN || !clean {
        let words = format!("a rule's id has 1 to {MAX_ID_LEN} visible ASCII characters and no comma");
        return Err(refusal(RefusalKind::Bad, words));
    }
    if set.ends_in_ms == 0 || set.ends_in_ms > MAX_TIME_MS || set.ramp_ms > MAX_TIME_MS {
        return bad("it ends within 24 h, and its ramp too");
    }
    if set.ramp_ms > 0 && !set.rule.has_strength() {
        return bad("it has no strength that a ramp could grow");
    }
    match &set.rule {
        RuleSpec::HttpLatency {
            delay_us, jitter_us, ..
        }
        | RuleSpec::TcpLatency { delay_us, jitter_us }
            if *delay_us > MAX_DELAY_US || jitter_us > delay_us =>
        {
            bad("the delay is at most 60 s and the jitter at most the delay")
        }
        RuleSpec::HttpSlowBody { bytes_per_s: 0, .. } | RuleSpec::TcpBandwidth { bytes_per_s: 0 } => {
            bad("the rate is at least 1 byte per second")
        }
        _ => Ok(()),
    }
}
