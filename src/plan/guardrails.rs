//! Guardrails, alerts and emergency actions: their types.

use std::fmt;

use firedrill_catalogue::quantity::show_ms;
use serde::{Deserialize, Serialize};

use crate::{Hours, Sli, diagnostic::did_you_mean};

/// What must be so for a drill to start, and to go on. A key that is not given has its default: one target, no
/// partition, no kill that hits all instances of a service; everything else is free.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Guardrails {
    /// Largest number of agents that one drill hits; `None`: 1, unless `max_share` is given.
    pub max_targets: Option<u32>,
    /// Largest share of the agents that a target's labels match, within (0, 1].
    pub max_share: Option<f64>,
    /// Longest injection, in milliseconds.
    pub max_duration_ms: Option<u64>,
    /// Faults that are never injected: names, or a family such as `network.*`. `None`: partitions, and kills that
    /// hit all instances of a service.
    pub forbid: Option<Vec<String>>,
    /// Only while people are there.
    pub staffed: Option<Hours>,
    /// Never then.
    pub peak: Option<Hours>,
    /// Base URL of an Alertmanager whose open alerts refuse a start.
    pub alertmanager: Option<String>,
    /// Whether a second person approves the start.
    pub approval: bool,
    /// Bad seconds.
    pub harm_budget: Option<HarmBudget>,
    /// A share of an error budget.
    pub error_budget: Option<ErrorBudget>,
}

impl Guardrails {
    /// Every rule that applies, with its defaults, in words.
    pub fn explain(&self, slis: &[Sli]) -> Vec<(Rule, String)> {
        let ms = show_ms;
        let mut all = Vec::new();
        let mut say = |rule, words: String| all.push((rule, words));
        match (self.max_targets, self.max_share) {
            (Some(most), _) => say(Rule::Targets, format!("at most {most}")),
            (None, None) => say(Rule::Targets, "at most 1 (default)".to_owned()),
            (None, Some(_)) => {}
        }
        if let Some(share) = self.max_share {
            say(
                Rule::Share,
                format!("at most {} % of those that match", share * 100.0),
            );
        }
        if let Some(most) = self.max_duration_ms {
            say(Rule::Duration, format!("at most {} an injection", ms(most)));
        }
        let default = || "partitions, and kills that hit all instances of a service (default)".to_owned();
        let forbidden = self.forbid.as_ref().map(|names| {
            if names.is_empty() {
                "nothing".to_owned()
            } else {
                names.join(", ")
            }
        });
        say(Rule::Forbid, forbidden.unwrap_or_else(default));
        if let Some(hours) = &self.staffed {
            say(Rule::Staffed, format!("only {hours}"));
        }
        if let Some(hours) = &self.peak {
            say(Rule::Peak, format!("never {hours}"));
        }
        say(Rule::Shared, "no other drill on the same targets".to_owned());
        if let Some(url) = &self.alertmanager {
            say(Rule::Alerts, format!("no open alert at {url}, which must answer"));
        }
        if let Some(budget) = self.harm_budget {
            let parts = [(budget.per_drill_ms, "a drill"), (budget.per_day_ms, "24 hours")];
            let parts = parts
                .into_iter()
                .filter_map(|(limit, of)| Some(format!("{} {of}", ms(limit?))));
            say(
                Rule::HarmBudget,
                format!("bad time: {}", parts.collect::<Vec<_>>().join(", ")),
            );
        }
        if let Some(budget) = &self.error_budget {
            let name = slis.get(budget.sli).map_or("?", |it| &it.name);
            say(
                Rule::ErrorBudget,
                format!(
                    "{} % of the budget of {name} ({} over {}): {} of errors in 24 hours",
                    budget.spend_at_most * 100.0,
                    budget.objective,
                    ms(budget.window_ms),
                    ms(budget.allowed_ms() as u64)
                ),
            );
        }
        if self.approval {
            say(Rule::Approval, "by a second person".to_owned());
        }
        all
    }
}

/// How long users may be hurt: an SLI outside tolerance or without data, while a fault is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HarmBudget {
    /// By one drill, in milliseconds.
    pub per_drill_ms: Option<u64>,
    /// By all drills of 24 hours, in milliseconds.
    pub per_day_ms: Option<u64>,
}

/// What drills may spend of what an objective leaves for errors.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorBudget {
    /// Index of the SLI in the plan.
    pub sli: usize,
    /// Within (0, 1): 0.999.
    pub objective: f64,
    /// Over which the objective holds, in milliseconds.
    pub window_ms: u64,
    /// Share of the budget that all drills of 24 hours, this one included, may spend, within (0, 1].
    pub spend_at_most: f64,
}

impl ErrorBudget {
    /// What may be spent, in milliseconds during which every event is bad.
    pub fn allowed_ms(&self) -> f64 {
        (1.0 - self.objective) * self.window_ms as f64 * self.spend_at_most
    }
}

/// A guardrail by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The number of targets.
    Targets,
    /// Their share.
    Share,
    /// The longest injection.
    Duration,
    /// Forbidden faults.
    Forbid,
    /// Staffed hours.
    Staffed,
    /// Peak hours.
    Peak,
    /// No other drill on targets that several agents share.
    Shared,
    /// Open alerts.
    Alerts,
    /// Bad seconds.
    HarmBudget,
    /// The share of an error budget.
    ErrorBudget,
    /// The second person.
    Approval,
}

impl Rule {
    /// Every one, in the order they are shown.
    pub const ALL: [Self; 11] = [
        Self::Targets,
        Self::Share,
        Self::Duration,
        Self::Forbid,
        Self::Staffed,
        Self::Peak,
        Self::Shared,
        Self::Alerts,
        Self::HarmBudget,
        Self::ErrorBudget,
        Self::Approval,
    ];

    /// As written in `--override`, in the journal and in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Targets => "targets",
            Self::Share => "share",
            Self::Duration => "duration",
            Self::Forbid => "forbid",
            Self::Staffed => "staffed",
            Self::Peak => "peak",
            Self::Shared => "shared",
            Self::Alerts => "alerts",
            Self::HarmBudget => "harm-budget",
            Self::ErrorBudget => "error-budget",
            Self::Approval => "approval",
        }
    }

    /// Whether a reason is enough to go on without it. A second person cannot be replaced by the first one's.
    pub fn can_be_overridden(self) -> bool {
        self != Self::Approval
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl std::str::FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|rule| rule.word() == text);
        found.ok_or_else(|| {
            let near = did_you_mean(text, Self::ALL.map(Self::word));
            let all = Self::ALL.map(Self::word).join(", ");
            format!("there is no guardrail \"{text}\"{near} (there are: {all})")
        })
    }
}

/// Who is told of every automatic stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertTarget {
    /// In which form.
    pub kind: AlertKind,
    /// Where; of an Alertmanager its base URL.
    pub url: String,
}

/// The form of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertKind {
    /// Our own JSON body.
    Webhook,
    /// `POST /api/v2/alerts`.
    Alertmanager,
}

/// An emergency action: sent after the reverts of a stop, never at a normal end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnStop {
    /// After a stop by breach or by another automatic stop.
    pub on_breach: bool,
    /// After an abort by a person, a signal or a guardrail.
    pub on_abort: bool,
    /// What is sent.
    pub call: ActionCall,
}

impl OnStop {
    /// When it is sent, in words.
    pub fn when(&self) -> &'static str {
        match (self.on_breach, self.on_abort) {
            (true, true) => "after a breach or an abort",
            (false, true) => "after an abort",
            _ => "after a breach",
        }
    }
}

/// What an emergency action sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionCall {
    /// A request to somebody.
    Http(HttpCall),
    /// A command of an agent's own allow-list.
    Command(AgentCommand),
}

impl fmt::Display for ActionCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(call) => call.fmt(f),
            Self::Command(command) => command.fmt(f),
        }
    }
}

/// A command by its name on an agent's allow-list; program and arguments stand there alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentCommand {
    /// The agent's name in the plan.
    pub agent: String,
    /// The command's name in the host's policy.
    pub name: String,
}

impl fmt::Display for AgentCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command {} on {}", self.name, self.agent)
    }
}

/// A request to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCall {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The body; JSON where it begins as JSON does.
    pub body: Option<String>,
}

impl fmt::Display for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}
