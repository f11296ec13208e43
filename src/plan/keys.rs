//! Every key a plan may have, once: the reader refuses others with it, and the JSON Schema is made from it.

use firedrill_catalogue::Scope;

use crate::form::{Key, Kind, may, must};

/// Keys that formats.md of the design names and a later release brings: refused, never ignored.
pub(crate) const NOT_YET: &[(&str, &str)] = &[
    ("sli", "consistency"),
    ("sli.band", "learn"),
    ("sli.band", "k"),
    ("experiment", "rules"),
    ("experiment.step", "http"),
    ("experiment.step", "load"),
    ("experiment.step.target", "pod"),
];

/// Scope keys of a target; every other key of it is a label.
pub(crate) fn target_keys<'a>() -> impl Iterator<Item = &'a str> {
    std::iter::once("mode").chain(Scope::KEYS)
}

pub(crate) const PLAN: &[Key] = &[
    must("title", Kind::Text, "what the plan is called"),
    must("system", Kind::Text, "the system under test"),
    may("goal", Kind::Text, "what is to be learned"),
    must(
        "metrics",
        Kind::Table(METRICS),
        "where SLIs come from: one of prometheus, scrape, probe",
    ),
    must("sli", Kind::Tables(SLI), "a measured indicator of what users get"),
    must("agent", Kind::Tables(AGENT), "what injects"),
    must("experiment", Kind::Tables(EXPERIMENT), "a hypothesis with steps"),
    may(
        "guardrails",
        Kind::Table(GUARDRAILS),
        "what must be so for a drill to start and to go on; without: one target, no partition, no kill that hits all instances of a service",
    ),
    may(
        "alert",
        Kind::Tables(ALERT),
        "who is told of every automatic stop",
    ),
    may("people", Kind::Table(PEOPLE), "who takes part"),
];

pub(crate) const GUARDRAILS: &[Key] = &[
    may(
        "max_targets",
        Kind::Count,
        "largest number of agents that one drill hits; default 1, unless max_share is given",
    ),
    may(
        "max_share",
        Kind::Share,
        "largest share of the agents that a target's labels match",
    ),
    may("max_duration", Kind::Duration, "longest injection"),
    may(
        "forbid",
        Kind::Texts,
        "faults that are never injected, such as \"process.kill\" or \"network.*\"; default: partitions, and kills that hit all instances of a service",
    ),
    may(
        "staffed",
        Kind::Text,
        "only then: \"Mon-Fri 10:00-16:00 Europe/Berlin\"",
    ),
    may(
        "peak",
        Kind::Text,
        "never then: \"11:30-13:30 Europe/Berlin\"; without a zone, that of staffed",
    ),
    may(
        "alertmanager",
        Kind::Text,
        "base URL of an Alertmanager; its open alerts refuse a start, and so does its silence",
    ),
    may("approval", Kind::Flag, "a second person approves the start"),
    may(
        "harm_budget",
        Kind::Table(HARM_BUDGET),
        "how long users may be hurt: an SLI out of tolerance or without data while a fault is on",
    ),
    may(
        "error_budget",
        Kind::Table(ERROR_BUDGET),
        "what drills may spend of an SLI's error budget",
    ),
];

pub(crate) const HARM_BUDGET: &[Key] = &[
    may("per_drill", Kind::Duration, "by one drill"),
    may("per_day", Kind::Duration, "by all drills of 24 hours"),
];

pub(crate) const ERROR_BUDGET: &[Key] = &[
    must("sli", Kind::Text, "the SLI's name"),
    must("objective", Kind::Number, "within 0 and 1: 0.999"),
    must(
        "window",
        Kind::Duration,
        "over which the objective holds: \"30d\"",
    ),
    must(
        "spend_at_most",
        Kind::Share,
        "the share of the budget that all drills of 24 hours may spend",
    ),
];

pub(crate) const ALERT: &[Key] = &[
    must(
        "kind",
        Kind::OneOf(&["webhook", "alertmanager"]),
        "webhook or alertmanager",
    ),
    must("url", Kind::Text, "where; of an Alertmanager its base URL"),
];

pub(crate) const ON_STOP: &[Key] = &[
    may(
        "when",
        Kind::Texts,
        "breach (any automatic stop), abort (by a person, a signal, a guardrail); default [\"breach\"]",
    ),
    may(
        "http",
        Kind::Table(HTTP_CALL),
        "the request that is sent after the reverts; or:",
    ),
    may(
        "command",
        Kind::Table(AGENT_COMMAND),
        "the command that an agent runs after the reverts, from its host's own allow-list",
    ),
];

pub(crate) const AGENT_COMMAND: &[Key] = &[
    must("agent", Kind::Text, "the agent's name in this plan"),
    must(
        "name",
        Kind::Text,
        "the command's name in the policy of the agent's host",
    ),
];

pub(crate) const HTTP_CALL: &[Key] = &[
    may("method", Kind::Text, "default POST"),
    must("url", Kind::Text, "where; credentials never stand in a plan"),
    may("body", Kind::Text, "what is sent"),
];

pub(crate) const METRICS: &[Key] = &[
    may(
        "prometheus",
        Kind::Text,
        "base URL of anything that speaks Prometheus' HTTP API",
    ),
    may(
        "scrape",
        Kind::Texts,
        "URLs of exposition text, evaluated by the console",
    ),
    may("probe", Kind::Texts, "requests to send, each \"GET http://…\""),
    may("every", Kind::Duration, "how often to look; default 1s"),
];

pub(crate) const SLI: &[Key] = &[
    must("name", Kind::Text, "unique in the plan"),
    may("ratio", Kind::Table(RATIO), "good events over all events"),
    may("quantile", Kind::Table(QUANTILE), "a quantile of a histogram"),
    may("rate", Kind::Table(RATE), "events per second"),
    may(
        "gauge",
        Kind::Text,
        "a selector; the gauges it selects are summed",
    ),
    may("promql", Kind::Text, "raw PromQL, for a Prometheus source only"),
    may(
        "unit",
        Kind::Text,
        "how it is shown: %, ms, s, /s or a word; lines stay in the base unit",
    ),
    may("min_rate", Kind::Rate, "less traffic than this is no data"),
    must("band", Kind::Table(RANGE), "the steady state"),
    may(
        "tolerate",
        Kind::Table(RANGE),
        "what the hypothesis allows; default: band",
    ),
    may(
        "stop",
        Kind::NeverOr(STOP),
        "where safety ends the drill; default: tolerate, after 2 bad samples; \"never\"",
    ),
    may("say", Kind::Table(SAY), "in words for the room"),
];

pub(crate) const RATIO: &[Key] = &[
    must("good", Kind::Text, "selects the good events"),
    must("total", Kind::Text, "selects all events"),
    must("window", Kind::Duration, "over which time"),
];

pub(crate) const QUANTILE: &[Key] = &[
    must("q", Kind::Number, "within 0 and 1: 0.95"),
    must("histogram", Kind::Text, "selects the histogram, without _bucket"),
    must("window", Kind::Duration, "over which time"),
];

pub(crate) const RATE: &[Key] = &[
    must("counter", Kind::Text, "selects the counters; they are summed"),
    must("window", Kind::Duration, "over which time"),
];

pub(crate) const RANGE: &[Key] = &[
    may("min", Kind::Number, "smallest value inside, in the base unit"),
    may("max", Kind::Number, "largest value inside, in the base unit"),
];

pub(crate) const STOP: &[Key] = &[
    may("min", Kind::Number, "smallest value that is not bad"),
    may("max", Kind::Number, "largest value that is not bad"),
    may(
        "after",
        Kind::Count,
        "this many bad samples in a row stop the drill; default 2",
    ),
];

pub(crate) const SAY: &[Key] = &[
    may("ok", Kind::Text, "while it is inside tolerance"),
    may("out", Kind::Text, "while it is out"),
];

pub(crate) const AGENT: &[Key] = &[
    must("name", Kind::Text, "unique in the plan"),
    must(
        "url",
        Kind::Text,
        "its address; credentials never stand in a plan",
    ),
    may("driver", Kind::Text, "native"),
    may("labels", Kind::Free, "what targets choose by"),
];

pub(crate) const EXPERIMENT: &[Key] = &[
    must("name", Kind::Text, "unique in the plan"),
    must(
        "hypothesis",
        Kind::Text,
        "what is expected, in a sentence that can turn out wrong",
    ),
    may(
        "say",
        Kind::Text,
        "what is done, for the room; {n} and {all} are the targets hit and there",
    ),
    may(
        "lease",
        Kind::Duration,
        "how long an agent keeps an injection without hearing from us; 2s to 60s, default 10s",
    ),
    may(
        "baseline",
        Kind::Duration,
        "every SLI inside its band this long; default 60s",
    ),
    may(
        "recover",
        Kind::Duration,
        "back in the band by then, else broken; default 2m",
    ),
    may(
        "rehearsal",
        Kind::Flag,
        "sealed: until the reveal nothing that leaves the console says more than \"exercise\"",
    ),
    must(
        "step",
        Kind::Tables(STEP),
        "lanes run side by side, steps of a lane one after another",
    ),
    may(
        "on_stop",
        Kind::Tables(ON_STOP),
        "emergency actions: after the reverts of a stop, never at a normal end",
    ),
];

pub(crate) const STEP: &[Key] = &[
    may("inject", Kind::Text, "a fault's name"),
    may("wait", Kind::Duration, "wait this long"),
    may("lane", Kind::Text, "default: main"),
    may(
        "target",
        Kind::Free,
        "labels and mode choose agents; route, pid, process, command, port, cgroup, unit, container or netns is the scope on the host",
    ),
    may("with", Kind::Free, "the fault's parameters"),
    may("for", Kind::Duration, "how long, the ramp included"),
    may("ramp", Kind::Duration, "grows to full strength"),
    may("repeat", Kind::Table(REPEAT), "how often"),
];

pub(crate) const REPEAT: &[Key] = &[
    must("times", Kind::Count, "runs in all"),
    must("every", Kind::Duration, "start to start"),
];

pub(crate) const PEOPLE: &[Key] = &[
    may("facilitator", Kind::Text, "leads the room"),
    may("operator", Kind::Text, "drives the console"),
    may("observers", Kind::Texts, "watch"),
];
