//! The plan's types. Lines and values are in the source's base unit (seconds, shares); times are milliseconds.

use std::collections::BTreeMap;

use firedrill_catalogue::Scope;
use serde::{Deserialize, Serialize};

use crate::{AlertTarget, Guardrails, OnStop};

/// One TOML file: a system, its SLIs with bands, its agents, experiments, people.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What the plan is called.
    pub title: String,
    /// The system under test.
    pub system: String,
    /// What is to be learned.
    pub goal: Option<String>,
    /// Where SLIs come from.
    pub metrics: Metrics,
    /// At least one, of which at least one can stop a drill.
    pub slis: Vec<Sli>,
    /// What injects.
    pub agents: Vec<AgentEntry>,
    /// At least one.
    pub experiments: Vec<Experiment>,
    /// What must be so for a drill to start and to go on.
    pub guardrails: Guardrails,
    /// Who is told of every automatic stop.
    pub alerts: Vec<AlertTarget>,
    /// Who takes part.
    pub people: People,
}

/// Where SLIs come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// The source.
    pub source: Source,
    /// How often to look, in milliseconds.
    pub every_ms: u64,
}

/// A kind of source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Anything that speaks Prometheus' HTTP API; the base URL.
    Prometheus(String),
    /// Exposition text, read and evaluated by ourselves; URLs.
    Scrape(Vec<String>),
    /// Requests that we send. Each becomes `http_requests_total{job="probe",method,url,code}` (code `0`:
    /// no answer) and `http_request_duration_seconds{job="probe",method,url}`, which SLIs select as usual.
    Probe(Vec<ProbeRequest>),
}

/// One request of a probe source, written `GET http://…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeRequest {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
}

/// A measured indicator of what users get.
#[derive(Clone, Debug, PartialEq)]
pub struct Sli {
    /// Unique in its plan.
    pub name: String,
    /// How it is computed.
    pub indicator: Indicator,
    /// How it is shown: `%`, `ms`, `s`, `/s` or any word. Values stay in the base unit.
    pub unit: String,
    /// Less traffic than this, in events per second, is no data.
    pub min_rate: Option<f64>,
    /// The steady state.
    pub band: Range,
    /// What the hypothesis allows.
    pub tolerate: Range,
    /// Where safety ends the drill.
    pub stop: Stop,
    /// In words for the room.
    pub say: Say,
}

/// How an SLI is computed.
#[derive(Clone, Debug, PartialEq)]
pub enum Indicator {
    /// Good events over all events in a window; a share.
    Ratio {
        /// Selects the good part.
        good: Selector,
        /// Selects the population.
        total: Selector,
        /// In milliseconds.
        window_ms: u64,
    },
    /// A quantile of a classic histogram in a window; the histogram's unit.
    Quantile {
        /// Within (0, 1).
        q: f64,
        /// The histogram's name without `_bucket`.
        histogram: Selector,
        /// In milliseconds.
        window_ms: u64,
    },
    /// Events per second in a window.
    Rate {
        /// Selects the counters; they are summed.
        counter: Selector,
        /// In milliseconds.
        window_ms: u64,
    },
    /// The sum of gauges as they are.
    Gauge(Selector),
    /// Raw PromQL, for a Prometheus source only.
    Promql(String),
}

impl Indicator {
    /// The window in milliseconds, where there is one.
    pub fn window_ms(&self) -> Option<u64> {
        match self {
            Self::Ratio { window_ms, .. }
            | Self::Quantile { window_ms, .. }
            | Self::Rate { window_ms, .. } => Some(*window_ms),
            Self::Gauge(_) | Self::Promql(_) => None,
        }
    }
}

/// A metric and matchers, as PromQL writes them: `name{label="value",other!~"5.."}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selector {
    /// The metric's name.
    pub metric: String,
    /// All must match.
    pub matchers: Vec<Matcher>,
}

/// One label matcher.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Matcher {
    /// The label; a missing label is the empty text.
    pub label: String,
    /// How.
    pub op: MatchOp,
    /// With what; for `=~` and `!~` a regular expression, anchored at both ends.
    pub value: String,
}

/// `=`, `!=`, `=~`, `!~`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Matches,
    /// `!~`
    NotMatches,
}

/// A closed range; a missing end is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// Smallest value inside.
    pub min: Option<f64>,
    /// Largest value inside.
    pub max: Option<f64>,
}

impl Range {
    /// Whether `value` is inside; never for NaN.
    pub fn contains(&self, value: f64) -> bool {
        !value.is_nan() && self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }
}

/// Where safety ends the drill.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Stop {
    /// Its values never stop the drill; `after` samples without data in a row still do.
    Never {
        /// How many.
        after: u32,
    },
    /// This many bad samples in a row stop it.
    Outside {
        /// Outside this range a sample is bad.
        range: Range,
        /// How many; 2 unless the plan says otherwise.
        after: u32,
    },
}

impl Stop {
    /// How many bad samples in a row stop the drill.
    pub fn after(&self) -> u32 {
        match self {
            Self::Never { after } | Self::Outside { after, .. } => *after,
        }
    }
}

/// An SLI in words for the room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Say {
    /// While it is inside tolerance.
    pub ok: Option<String>,
    /// While it is out.
    pub out: Option<String>,
}

/// What injects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentEntry {
    /// Unique in its plan.
    pub name: String,
    /// Its address. Credentials never stand in a plan.
    pub url: String,
    /// Which client speaks to it.
    pub driver: Driver,
    /// What targets choose by.
    pub labels: BTreeMap<String, String>,
}

/// A kind of agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// Firedrill's own.
    #[default]
    Native,
}

/// A hypothesis with steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// Unique in its plan.
    pub name: String,
    /// What is expected, in a sentence that can turn out wrong.
    pub hypothesis: String,
    /// What is done, in words for the room; `{n}` and `{all}` are the targets hit and there.
    pub say: Option<String>,
    /// How long an agent keeps an injection without hearing from us, in milliseconds.
    pub lease_ms: u64,
    /// Every SLI inside its band this long without a break, in milliseconds.
    pub baseline_ms: u64,
    /// Back in the band by then, in milliseconds, else broken.
    pub recover_ms: u64,
    /// Sealed: responders are rehearsed, and until the reveal nobody else is told more than that there is an exercise.
    pub rehearsal: bool,
    /// In the order of the file.
    pub steps: Vec<Step>,
    /// Emergency actions, in the order of the file.
    pub on_stop: Vec<OnStop>,
}

/// One step. Steps of one lane run one after another, lanes side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The lane's name.
    pub lane: String,
    /// What it does.
    pub action: Action,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Injects a fault.
    Inject(Box<Inject>),
    /// Waits this many milliseconds.
    Wait(u64),
}

/// A fault on a target for a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Inject {
    /// Its name.
    pub fault: String,
    /// Where.
    pub target: Target,
    /// Its parameters, as they go on the wire.
    pub parameters: serde_json::Value,
    /// How long, the ramp included, in milliseconds.
    pub for_ms: u64,
    /// How long it grows, in milliseconds.
    pub ramp_ms: u64,
    /// How often.
    pub repeat: Repeat,
}

/// Where a fault is injected: labels and mode choose agents, the rest is the scope on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// All must match an agent's labels.
    pub labels: BTreeMap<String, String>,
    /// How many of those.
    pub mode: Mode,
    /// What on the host.
    pub scope: Scope,
}

/// How many of the agents that match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// One.
    #[default]
    One,
    /// This many.
    Fixed(u32),
    /// This share in percent, rounded up.
    Percent(u32),
    /// Every one.
    All,
}

/// How often an injection runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// Runs in all; 1 is once.
    pub times: u32,
    /// Start to start, in milliseconds.
    pub every_ms: u64,
}

/// Who takes part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    /// Leads the room.
    pub facilitator: Option<String>,
    /// Drives the console.
    pub operator: Option<String>,
    /// Watch.
    pub observers: Vec<String>,
}
