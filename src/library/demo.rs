//! The mapping to the demo: what of the order system stands in for what the template asks for.

use std::collections::BTreeMap;

use firedrill_plan::{Action, Plan, edit};
use serde::Deserialize;

use crate::{
    fill::{Filled, Values, Wrong},
    template::{Parameter, Template},
};

/// Times on the demo: somebody watches, and its numbers are fresh twice a second.
const EVERY: &str = "500ms";
const WINDOW: &str = "5s";
const BASELINE: &str = "5s";
const RECOVER: &str = "20s";
const MOST_LEASE_MS: u64 = 5_000;
const MOST_FOR_MS: u64 = 8_000;
const MOST_RAMP_MS: u64 = 2_000;
const MOST_WAIT_MS: u64 = 2_000;
const MOST_EVERY_MS: u64 = 2_000;
const MOST_TIMES: i64 = 3;

/// How a template runs on the demo's order system.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demo {
    /// Which build of the order system it runs on: `fragile` or `hardened`.
    pub build: String,
    /// What stands in for what, a sentence each.
    pub words: Vec<String>,
    /// The template's parameters; `{gateway}` and the like are addresses that are known when the demo runs.
    values: Values,
    /// What the demo cannot have, and why.
    #[serde(default)]
    pub without: Vec<LeftOut>,
}

/// A part of the plan that is left out on the demo: exactly one of the names is given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeftOut {
    /// An experiment.
    pub experiment: String,
    /// An SLI.
    pub sli: String,
    /// An agent.
    pub agent: String,
    /// A guardrail's key.
    pub guardrail: String,
    /// Why.
    pub why: String,
}

/// Where things are while the demo runs.
#[derive(Clone, Debug, Default)]
pub struct DemoPlaces {
    /// `127.0.0.1:PORT` of each service.
    pub services: BTreeMap<&'static str, String>,
    /// The agent's URL.
    pub agent: String,
}

impl DemoPlaces {
    /// `{gateway}` and the like, with what they stand for.
    fn words(&self) -> impl Iterator<Item = (String, &str)> {
        let services = self
            .services
            .iter()
            .map(|(name, at)| (format!("{{{name}}}"), at.as_str()));
        services.chain([("{agent}".to_owned(), self.agent.as_str())])
    }
}

impl LeftOut {
    /// What it is, and its name.
    pub fn what(&self) -> (&'static str, &str) {
        match (
            self.experiment.as_str(),
            self.sli.as_str(),
            self.agent.as_str(),
            self.guardrail.as_str(),
        ) {
            (name, "", "", "") if !name.is_empty() => ("experiment", name),
            ("", name, "", "") if !name.is_empty() => ("sli", name),
            ("", "", name, "") if !name.is_empty() => ("agent", name),
            ("", "", "", name) if !name.is_empty() => ("guardrail", name),
            _ => ("", ""),
        }
    }
}

impl Demo {
    /// Whether an experiment can be run on the demo, or why not.
    pub fn runs(&self, experiment: &str) -> Result<(), &str> {
        let left = self.without.iter().find(|it| it.experiment == experiment);
        left.map_or(Ok(()), |it| Err(it.why.as_str()))
    }

    /// Nothing of it is about what is not there.
    pub(crate) fn check(&self, plan: &Plan, parameters: &[Parameter]) -> Result<(), String> {
        if !["fragile", "hardened"].contains(&self.build.as_str()) {
            return Err(format!("there is no build {}", self.build));
        }
        for name in self.values.keys() {
            if !parameters.iter().any(|it| it.name == *name) {
                return Err(format!("there is no parameter {name}"));
            }
        }
        for left in &self.without {
            let there = match left.what() {
                ("experiment", name) => plan.experiments.iter().any(|it| it.name == name),
                ("sli", name) => plan.slis.iter().any(|it| it.name == name),
                ("agent", name) => plan.agents.iter().any(|it| it.name == name),
                ("guardrail", _) => true,
                _ => false,
            };
            if !there || left.why.is_empty() {
                return Err(format!("without {left:?}: not in the plan, or no reason"));
            }
        }
        Ok(())
    }
}

impl Template {
    /// The plan for the demo: its values, without what the demo cannot have, with short times.
    pub fn on_demo(&self, places: &DemoPlaces) -> Filled {
        let with_places = |value: &String| {
            places
                .words()
                .fold(value.clone(), |value, (word, place)| value.replace(&word, place))
        };
        let values = &self.demo.values;
        let values: Values = values
            .iter()
            .map(|(name, value)| (name.clone(), with_places(value)))
            .collect();
        let filled = self.fill(&values);
        if !filled.wrong.is_empty() {
            return filled;
        }
        match self.short(filled.text.clone()) {
            Ok(text) => self.read_again(text, Vec::new()),
            Err(error) => Filled {
                plan: None,
                wrong: vec![Wrong {
                    parameter: None,
                    words: error.to_string(),
                }],
                ..filled
            },
        }
    }

    fn short(&self, mut text: String) -> Result<String, edit::EditError> {
        for left in &self.demo.without {
            text = leave_out(&text, left)?;
        }
        // What is left out may be what was wrong: read for its shape only.
        match firedrill_plan::check(&text).plan {
            Some(plan) => with_demo_times(&text, &plan),
            None => Ok(text),
        }
    }
}

fn leave_out(text: &str, left: &LeftOut) -> Result<String, edit::EditError> {
    let (kind, name) = left.what();
    if kind == "guardrail" {
        return edit::remove(text, &["guardrails", name]);
    }
    let values = edit::values(text)?;
    let entries = values.get(kind).and_then(|it| it.as_array());
    let at = entries.and_then(|entries| {
        let mut names = entries.iter().map(|it| it.get("name").and_then(|it| it.as_str()));
        names.position(|it| it == Some(name))
    });
    match at {
        Some(at) => edit::remove(text, &[kind, &at.to_string()]),
        None => Ok(text.to_owned()),
    }
}

/// The plan with times that fit a minute. A time that is not written, and has no need to be, stays so.
fn with_demo_times(text: &str, plan: &Plan) -> Result<String, edit::EditError> {
    let values = edit::values(text)?;
    let mut edits: Vec<(String, edit::Value)> = vec![("/metrics/every".to_owned(), EVERY.into())];
    for sli in 0..plan.slis.len() {
        let kinds = ["ratio", "quantile", "rate"].into_iter();
        edits.extend(kinds.map(|kind| (format!("/sli/{sli}/{kind}/window"), WINDOW.into())));
    }
    for (number, experiment) in plan.experiments.iter().enumerate() {
        let own = format!("/experiment/{number}");
        edits.push((format!("{own}/baseline"), BASELINE.into()));
        edits.push((format!("{own}/recover"), RECOVER.into()));
        edits.push((
            format!("{own}/lease"),
            show(experiment.lease_ms.min(MOST_LEASE_MS)),
        ));
        for (number, step) in experiment.steps.iter().enumerate() {
            let own = format!("{own}/step/{number}");
            match &step.action {
                Action::Wait(ms) => edits.push((format!("{own}/wait"), show((*ms).min(MOST_WAIT_MS)))),
                Action::Inject(inject) => {
                    let for_ms = inject.for_ms.min(MOST_FOR_MS);
                    let every_ms = inject.repeat.every_ms.min(MOST_EVERY_MS.max(for_ms));
                    let times = i64::from(inject.repeat.times).min(MOST_TIMES);
                    edits.push((format!("{own}/for"), show(for_ms)));
                    edits.push((format!("{own}/ramp"), show(inject.ramp_ms.min(MOST_RAMP_MS))));
                    edits.push((format!("{own}/repeat/every"), show(every_ms)));
                    edits.push((format!("{own}/repeat/times"), times.into()));
                }
            }
        }
    }
    let mut text = text.to_owned();
    for (path, value) in edits {
        if values.pointer(&path).is_some() {
            let path: Vec<&str> = path.split('/').skip(1).collect();
            text = edit::set(&text, &path, value)?;
        }
    }
    Ok(text)
}

/// A duration as plans write it: `90s`, `500ms`.
fn show(ms: u64) -> edit::Value {
    if ms.is_multiple_of(1_000) {
        format!("{}s", ms / 1_000).into()
    } else {
        format!("{ms}ms").into()
    }
}
