//! `[[experiment]]` and its steps.

use std::collections::BTreeMap;

use firedrill_catalogue::{self as catalogue, FaultSpec, Undo};
use serde_json::Value as Json;
use toml::de::DeValue;

use crate::{
    Action, AgentEntry, Experiment, Inject, Mode, Repeat, Step, Target,
    diagnostic::did_you_mean,
    keys::{NOT_YET, ON_STOP, REPEAT, STEP, target_keys},
    read_guardrails::on_stop,
    table::{Field, Reader, Table, each, join},
};

const MAX_STEPS: usize = 200;
const MAX_ACTIONS: usize = 20;
const HOUR_MS: u64 = 3_600_000;
/// A one-shot has no length; this is what its place on the timeline takes.
const ONE_SHOT_MS: u64 = 1_000;

pub(crate) fn experiment(r: &mut Reader<'_>, table: &Table<'_>, agents: &[AgentEntry]) -> Option<Experiment> {
    let name = r.text(table.get("name"));
    let hypothesis = r.text(table.get("hypothesis"));
    let say = r.text(table.get("say"));
    let mut time = |key: &str, min_ms, max_ms, default_ms| match table.get(key) {
        Some(field) => r.duration(Some(field), min_ms, max_ms),
        None => Some(default_ms),
    };
    let lease_ms = time("lease", 2_000, 60_000, 10_000);
    let baseline_ms = time("baseline", 1_000, HOUR_MS, 60_000);
    let recover_ms = time("recover", 1_000, HOUR_MS, 120_000);
    let rehearsal = r.flag(table.get("rehearsal")).unwrap_or(false);
    let steps = each(r, table, "step", MAX_STEPS, |r, inner, span, path| {
        let opened = r.table(inner, span, path, "experiment.step", STEP);
        step(r, &opened, agents)
    });
    let on_stop = each(r, table, "on_stop", MAX_ACTIONS, |r, inner, span, path| {
        let opened = r.table(inner, span, path, "experiment.on_stop", ON_STOP);
        on_stop(r, &opened, agents)
    });
    Some(Experiment {
        name: name?,
        hypothesis: hypothesis?,
        say,
        lease_ms: lease_ms?,
        baseline_ms: baseline_ms?,
        recover_ms: recover_ms?,
        rehearsal,
        steps,
        on_stop,
    })
}

fn step(r: &mut Reader<'_>, table: &Table<'_>, agents: &[AgentEntry]) -> Option<Step> {
    let lane = match table.get("lane") {
        Some(field) => r.text(Some(field))?,
        None => "main".to_owned(),
    };
    let action = match (table.get("inject"), table.get("wait")) {
        (Some(_), None) => Action::Inject(Box::new(inject(r, table, agents)?)),
        (None, Some(wait)) => {
            for key in ["target", "with", "for", "ramp", "repeat"] {
                if let Some(field) = table.get(key) {
                    r.error(field.span, &field.path, format!("a wait has no \"{key}\""));
                }
            }
            Action::Wait(r.duration(Some(wait), 1, HOUR_MS)?)
        }
        _ => {
            let later = NOT_YET
                .iter()
                .any(|(_, key)| r.found.iter().any(|f| f.path == join(&table.path, key)));
            if !later {
                r.error(
                    table.place(),
                    &table.path,
                    "a step either injects or waits: exactly one of inject, wait",
                );
            }
            return None;
        }
    };
    Some(Step { lane, action })
}

fn inject(r: &mut Reader<'_>, table: &Table<'_>, agents: &[AgentEntry]) -> Option<Inject> {
    let field = table.get("inject")?;
    let fault = r.text(Some(field.clone()))?;
    let spec = catalogue::find(&fault);
    if spec.is_none() {
        let near = did_you_mean(&fault, catalogue::FAULTS.iter().map(|fault| fault.name));
        r.error(
            field.span,
            &field.path,
            format!("unknown fault \"{fault}\"{near}"),
        );
    }
    let target = if let Some(field) = table.get("target") {
        target(r, &field, agents)
    } else {
        let message = "missing \"target\": labels choose agents, such as { service = \"payments\" }";
        r.error(table.place(), &join(&table.path, "target"), message);
        None
    };
    if let (Some(spec), Some(target)) = (spec, &target) {
        scope_fits(r, table, spec, target);
    }
    let parameters = parameters(r, table, spec);
    let one_shot = spec.is_some_and(|spec| spec.undo == Undo::None);
    let for_ms = match table.get("for") {
        Some(field) => r.duration(Some(field), 100, HOUR_MS),
        None if one_shot => Some(ONE_SHOT_MS),
        None => {
            r.error(
                table.place(),
                &join(&table.path, "for"),
                "missing \"for\": how long, such as \"60s\"",
            );
            None
        }
    };
    let ramp_ms = match table.get("ramp") {
        Some(field) => r.duration(Some(field), 0, HOUR_MS)?,
        None => 0,
    };
    ramp_fits(r, table, spec, ramp_ms, for_ms);
    let repeat = repeat(r, table, for_ms)?;
    Some(Inject {
        fault,
        target: target?,
        parameters,
        for_ms: for_ms?,
        ramp_ms,
        repeat,
    })
}

fn ramp_fits(
    r: &mut Reader<'_>,
    table: &Table<'_>,
    spec: Option<&FaultSpec>,
    ramp_ms: u64,
    for_ms: Option<u64>,
) {
    let Some(field) = table.get("ramp").filter(|_| ramp_ms > 0) else {
        return;
    };
    if for_ms.is_some_and(|for_ms| ramp_ms > for_ms) {
        r.error(
            field.span.clone(),
            &field.path,
            "the ramp is longer than the injection",
        );
    }
    if let Some(spec) = spec.filter(|spec| spec.strength.is_none()) {
        r.error(
            field.span,
            &field.path,
            format!("\"{}\" is on or off: it has no strength to ramp", spec.name),
        );
    }
}

fn repeat(r: &mut Reader<'_>, table: &Table<'_>, for_ms: Option<u64>) -> Option<Repeat> {
    let Some(field) = table.get("repeat") else {
        return Some(Repeat {
            times: 1,
            every_ms: for_ms.unwrap_or(0),
        });
    };
    let inner = r.open(&field, "experiment.step.repeat", REPEAT)?;
    let times = r.count(inner.get("times"), 1, 1_000);
    let every_ms = r.duration(inner.get("every"), 100, 24 * HOUR_MS);
    if let (Some(every_ms), Some(for_ms)) = (every_ms, for_ms)
        && every_ms < for_ms
    {
        r.error(
            inner.place_of("every"),
            &inner.path,
            "every is from start to start: at least as long as the injection",
        );
    }
    Some(Repeat {
        times: times?,
        every_ms: every_ms?,
    })
}

fn target(r: &mut Reader<'_>, field: &Field<'_>, agents: &[AgentEntry]) -> Option<Target> {
    let DeValue::Table(table) = field.value else {
        r.error(
            field.span.clone(),
            &field.path,
            "expected a target such as { service = \"payments\", mode = \"one\" }",
        );
        return None;
    };
    let before = r.found.len();
    let mut target = Target::default();
    let mut labels = BTreeMap::new();
    for (key, value) in table {
        let name: &str = key.get_ref();
        let place = Field {
            path: join(&field.path, name),
            span: value.span(),
            value: value.get_ref(),
        };
        match name {
            "mode" => target.mode = r.parsed(Some(place), mode).unwrap_or_default(),
            "route" => target.scope.route = r.text(Some(place)),
            "process" => target.scope.process = r.text(Some(place)),
            "command" => target.scope.command = r.text(Some(place)),
            "cgroup" => target.scope.cgroup = r.text(Some(place)),
            "unit" => target.scope.unit = r.text(Some(place)),
            "container" => target.scope.container = r.text(Some(place)),
            "netns" => target.scope.netns = r.text(Some(place)),
            "port" => {
                target.scope.port = r
                    .count(Some(place), 1, u16::MAX.into())
                    .and_then(|port| u16::try_from(port).ok());
            }
            "pid" => {
                target.scope.pid = r
                    .count(Some(place), 2, i32::MAX.unsigned_abs())
                    .and_then(|pid| i32::try_from(pid).ok());
            }
            later if NOT_YET.contains(&("experiment.step.target", later)) => {
                r.error(
                    key.span(),
                    &place.path,
                    format!("\"{later}\" is not yet supported by this version; take it out"),
                );
            }
            label => {
                if agents.iter().all(|agent| !agent.labels.contains_key(label)) {
                    let known = agents
                        .iter()
                        .flat_map(|agent| agent.labels.keys().map(String::as_str));
                    let near = did_you_mean(label, known.chain(target_keys()));
                    r.error(
                        key.span(),
                        &place.path,
                        format!("no agent has a label \"{label}\"{near}"),
                    );
                }
                if let Some(text) = r.text(Some(place)) {
                    labels.insert(label.to_owned(), text);
                }
            }
        }
    }
    target.labels = labels;
    let hit = target.matching(agents).count();
    if r.found.len() == before {
        let needed = match target.mode {
            Mode::Fixed(count) => count as usize,
            Mode::One | Mode::Percent(_) | Mode::All => 1,
        };
        if hit < needed {
            r.error(
                field.span.clone(),
                &field.path,
                format!(
                    "hits {hit} of {} agents; {needed} needed: look at the agents' labels",
                    agents.len()
                ),
            );
        }
    }
    Some(target)
}

fn mode(text: &str) -> Result<Mode, String> {
    let number = |prefix: &str| {
        text.strip_prefix(prefix)
            .and_then(|rest| rest.parse::<u32>().ok())
    };
    match (text, number("fixed:"), number("percent:")) {
        ("one", ..) => Ok(Mode::One),
        ("all", ..) => Ok(Mode::All),
        (_, Some(count), _) if count > 0 => Ok(Mode::Fixed(count)),
        (_, _, Some(percent)) if (1..=100).contains(&percent) => Ok(Mode::Percent(percent)),
        _ => Err(format!(
            "expected one, fixed:2, percent:10 or all, found \"{text}\""
        )),
    }
}

fn scope_fits(r: &mut Reader<'_>, table: &Table<'_>, spec: &FaultSpec, target: &Target) {
    let Some(field) = table.get("target") else { return };
    for problem in target.scope.problems(spec) {
        r.error(field.span.clone(), &field.path, problem);
    }
}

fn parameters(r: &mut Reader<'_>, table: &Table<'_>, spec: Option<&FaultSpec>) -> Json {
    let field = table.get("with");
    let parameters = match &field {
        Some(field) if matches!(field.value, DeValue::Table(_)) => r.json(field, 2),
        Some(field) => {
            r.error(
                field.span.clone(),
                &field.path,
                "expected parameters such as { delay = \"400ms\" }",
            );
            Json::Null
        }
        None => Json::Null,
    };
    if let Some(Err(problems)) = spec.map(|spec| catalogue::check(spec, &parameters)) {
        for problem in problems {
            let at = field
                .as_ref()
                .and_then(|field| field.value.get(problem.key.as_str()))
                .map(toml::Spanned::span);
            let at = at
                .or_else(|| field.as_ref().map(|field| field.span.clone()))
                .unwrap_or_else(|| table.place());
            let path = join(&join(&table.path, "with"), &problem.key);
            let known = spec.map_or(&[][..], |spec| spec.params);
            let near = if known.iter().any(|param| param.name == problem.key) {
                String::new()
            } else {
                did_you_mean(&problem.key, known.iter().map(|param| param.name))
            };
            r.error(at, &path, format!("{}: {}{near}", problem.key, problem.message));
        }
    }
    parameters
}

impl Target {
    /// The agents whose labels match, of which `mode` takes its share.
    pub fn matching<'a>(&'a self, agents: &'a [AgentEntry]) -> impl Iterator<Item = (usize, &'a AgentEntry)> {
        agents.iter().enumerate().filter(|(_, agent)| {
            self.labels
                .iter()
                .all(|(key, value)| agent.labels.get(key).is_some_and(|found| found == value))
        })
    }
}

impl Mode {
    /// How many of `matching` agents are hit.
    pub fn count(self, matching: usize) -> usize {
        match self {
            Self::One => matching.min(1),
            Self::Fixed(count) => matching.min(count as usize),
            Self::Percent(percent) => (matching * percent as usize).div_ceil(100),
            Self::All => matching,
        }
    }
}
