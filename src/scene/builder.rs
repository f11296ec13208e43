//! From a drill's states to what the window shows of it: live, from a journal, for a picture.

use std::sync::Arc;

use firedrill_catalogue::Undo;
use firedrill_drill::{Arming, At, Chosen, Command, Drill, Event, Phase, Reading, Setup, SliState};
use firedrill_plan::{Action, Experiment, Plan};
use firedrill_series::Series;

use crate::{
    ArmingScene, CheckRow, DrillScene, InjectionScene, Ours, PlannedScene, SafetyScene, SliScene,
    builder_bells::Bells,
    builder_hold::{hold, shifted},
    builder_lever::Levers,
    builder_log::Log,
    builder_words::{inject, span, stops_itself, strength},
    drill::ours_of,
};

/// Bad samples of one SLI: time and value.
type Marks = Arc<Vec<(u64, Option<f64>)>>;

/// Collects what a drill's state does not keep: series, marks, the log. Pure: the same events give the same
/// scenes.
#[derive(Clone, Debug)]
pub struct SceneBuilder {
    series: Vec<Series>,
    states: Vec<SliState>,
    bad: Vec<Marks>,
    bad_seen: usize,
    log: Log,
    fired: Bells,
    origin_wall_ms: Option<i64>,
    /// The start was confirmed, and nothing was in the way.
    armed: bool,
}

impl SceneBuilder {
    /// For a drill that is being made.
    pub fn new(setup: &Setup) -> Self {
        let slis = setup.plan.slis.len();
        Self {
            series: (0..slis).map(|_| Series::new()).collect(),
            states: vec![SliState::NoData; slis],
            bad: (0..slis).map(|_| Arc::default()).collect(),
            bad_seen: 0,
            log: Log::default(),
            fired: Bells::default(),
            origin_wall_ms: None,
            armed: false,
        }
    }

    /// After the drill has taken `event` at `at`; `None`: it was just made.
    pub fn feed(&mut self, drill: &Drill, at: At, event: Option<&Event>) {
        self.origin_wall_ms
            .get_or_insert(at.wall_ms - (at.mono_us / 1_000).cast_signed());
        if let Some(Event::Samples { samples }) = event {
            for sample in samples {
                let Some(series) = self.series.get_mut(sample.sli) else {
                    continue;
                };
                let taken = at.mono_us.saturating_sub(sample.age_ms.saturating_mul(1_000));
                let value = match &sample.reading {
                    Reading::Value { value, .. } => Some(*value),
                    Reading::NoData { .. } => None,
                };
                // A repeated or older one is nothing new: the series keeps its order.
                series.push(taken, value);
            }
        }
        for ((status, before), series) in drill.slis().iter().zip(&mut self.states).zip(&mut self.series) {
            if status.state == SliState::NoData && *before != SliState::NoData {
                series.push(at.mono_us, None);
            }
            *before = status.state;
        }
        self.fired.feed(drill, at);
        let bad = drill.bad_samples();
        for sample in bad.get(self.bad_seen..).unwrap_or_default() {
            if let Some(marks) = self.bad.get_mut(sample.sli) {
                Arc::make_mut(marks).push((sample.at.mono_us, sample.value));
            }
        }
        self.bad_seen = bad.len();
        if let Some(Event::Command {
            command: Command::Arm,
        }) = event
        {
            let refused = drill
                .judgements()
                .last()
                .is_some_and(|it| it.what == "not started" && it.reason.at == drill.at());
            self.armed = drill.phase() == Phase::Arming && !refused;
        }
        self.log.feed(drill, at, event);
    }

    /// The drill as it is to be shown at `now`.
    pub fn scene(&self, drill: &Drill, now: At) -> DrillScene {
        let plan = drill.plan();
        let experiment = drill.experiment();
        DrillScene {
            id: drill.setup().drill.to_string(),
            experiment: experiment.map_or_else(String::new, |it| it.name.clone()),
            console: drill.setup().console.clone(),
            hypothesis: experiment.map_or_else(String::new, |it| it.hypothesis.clone()),
            say: experiment.and_then(|it| said(it, drill.chosen())),
            now,
            origin_wall_ms: self.origin_wall_ms.unwrap_or(now.wall_ms),
            phase: drill.phase(),
            phases: drill
                .phases()
                .iter()
                .map(|(phase, at)| (*phase, at.mono_us))
                .collect(),
            progress: drill.progress(now),
            slis: (0..plan.slis.len())
                .map(|index| self.sli(drill, now, index))
                .collect(),
            injections: injections(drill),
            planned: planned(drill),
            holds: drill.holds(),
            hold: hold(drill),
            log: self.log.lines(),
            lease_left_ms: drill.lease_left_ms(now),
            agents: drill
                .agents()
                .iter()
                .filter(|agent| agent.opened.is_some() && !agent.closed)
                .count(),
            people: people(plan),
            checks: drill
                .checks()
                .iter()
                .map(|check| row(&check.what, check.ok, &check.words))
                .collect(),
            safety: SafetyScene::of(drill),
            arming: self.arming(drill),
            verdict: drill.verdict().cloned(),
            seal: drill.seal().clone(),
            fired: self.fired.all(),
        }
    }

    fn sli(&self, drill: &Drill, now: At, index: usize) -> SliScene {
        let sli = &drill.plan().slis[index];
        let status = drill.slis().get(index).cloned().unwrap_or_default();
        let age = |sampled: u64| now.mono_us.saturating_sub(sampled) / 1_000;
        SliScene {
            name: sli.name.clone(),
            unit: sli.unit.clone(),
            say: sli.say.clone(),
            band: sli.band,
            tolerate: sli.tolerate,
            stop: sli.stop,
            state: status.state,
            value: status.value,
            age_ms: status.sampled_us.map(age),
            why_no_data: status.why_no_data,
            bad_in_row: status.bad_in_row,
            series: self.series[index].clone(),
            bad: Arc::clone(&self.bad[index]),
        }
    }

    /// While a person is asked to confirm the start.
    fn arming(&self, drill: &Drill) -> Option<ArmingScene> {
        let asks = drill.phase() == Phase::Arming
            && drill.setup().arming == Arming::Ask
            && !self.armed
            && drill.surprise().is_none()
            && !drill.is_ending();
        let experiment = drill.experiment().filter(|_| asks)?;
        let facts = drill.arming();
        let mut rows: Vec<CheckRow> = facts
            .checks
            .iter()
            .map(|check| row(&check.what, check.ok, &check.words))
            .collect();
        let (hit, all) = reach(&facts.chosen);
        let hosts = if all == 1 { "host" } else { "hosts" };
        rows.push(row(
            "Blast radius",
            Some(true),
            &format!("{hit} of {all} {hosts} that match"),
        ));
        for action in &experiment.on_stop {
            let words = format!("{} {}, after the reverts", action.call, action.when());
            rows.push(row("Emergency action", Some(true), &words));
        }
        if let Some(people) = people(drill.plan()) {
            rows.push(row("People", Some(true), &people));
        }
        let longest = drill.planned().iter().map(|it| it.until_us).max().unwrap_or(0);
        Some(ArmingScene {
            title: title(experiment, &facts.chosen, longest / 1_000),
            what: what(drill, experiment, &facts.chosen),
            rows,
            stops_itself: stops_itself(&drill.plan().slis, experiment.lease_ms),
            ready: facts.ready,
        })
    }
}

/// "Is this us?" while the drill runs: what its scene tells, and before any injection the abort test, which read
/// back that nothing is on.
pub fn ours(drill: &Drill, now: At) -> Ours {
    let origin_wall_ms = now.wall_ms - (now.mono_us / 1_000).cast_signed();
    let over = drill.verdict().is_some();
    let mut ours = ours_of(&injections(drill), over, now.mono_us, origin_wall_ms);
    if let Ours::Nothing { proved_ms } = &mut ours {
        let tested = drill.agents().iter().filter_map(|it| match &it.abort_test {
            Some((at, Ok(_))) => Some(at.wall_ms),
            _ => None,
        });
        *proved_ms = proved_ms.iter().copied().chain(tested).max();
    }
    ours
}

fn row(what: &str, ok: Option<bool>, words: &str) -> CheckRow {
    CheckRow {
        what: what.to_owned(),
        ok,
        words: words.to_owned(),
    }
}

/// How many agents are hit, and how many match.
fn reach(chosen: &[Chosen]) -> (usize, usize) {
    let mut hit: Vec<usize> = chosen.iter().flat_map(|it| it.agents.iter().copied()).collect();
    hit.sort_unstable();
    hit.dedup();
    let matching = chosen.iter().map(|it| it.matching).max().unwrap_or(0);
    (hit.len(), matching.max(hit.len()))
}

/// The experiment in words for the room, with the numbers filled in.
fn said(experiment: &Experiment, chosen: &[Chosen]) -> Option<String> {
    let (hit, all) = reach(chosen);
    let say = experiment.say.as_ref()?;
    Some(
        say.replace("{n}", &hit.to_string())
            .replace("{all}", &all.to_string()),
    )
}

/// `Start: payment is slow on 1 of 3 hosts, for 60 s`.
fn title(experiment: &Experiment, chosen: &[Chosen], longest_ms: u64) -> String {
    let (hit, all) = reach(chosen);
    let what =
        said(experiment, chosen).unwrap_or_else(|| format!("{} on {hit} of {all} hosts", experiment.name));
    let what = what.trim().trim_end_matches('.');
    let mut letters = what.chars();
    let first = letters
        .next()
        .map(|letter| letter.to_lowercase().collect::<String>());
    format!(
        "Start: {}{}, for {}",
        first.unwrap_or_default(),
        letters.as_str(),
        span(longest_ms)
    )
}

/// A line a step of injections: what is hit, exactly.
fn what(drill: &Drill, experiment: &Experiment, chosen: &[Chosen]) -> Vec<String> {
    let line = |it: &Chosen| {
        let Action::Inject(step) = &experiment.steps.get(it.step)?.action else {
            return None;
        };
        let agents = agents(drill.plan(), &it.agents);
        let scope = step.target.scope.words();
        let scope = if scope.is_empty() {
            scope
        } else {
            format!(", {scope}")
        };
        let ramp = if step.ramp_ms > 0 {
            format!(", growing over {}", span(step.ramp_ms))
        } else {
            String::new()
        };
        let times = if step.repeat.times > 1 {
            format!(
                ", {} times, every {}",
                step.repeat.times,
                span(step.repeat.every_ms)
            )
        } else {
            String::new()
        };
        Some(format!(
            "{} of {agents}{scope}, for {}{ramp}{times}{}",
            inject(step),
            span(step.for_ms),
            what_stays(&step.fault)
        ))
    };
    chosen.iter().filter_map(line).collect()
}

/// What of a fault no revert takes back, as a sentence more.
fn what_stays(fault: &str) -> String {
    let spec = firedrill_catalogue::find(fault).filter(|spec| spec.undo != Undo::ProcessHeld);
    spec.and_then(|spec| spec.undo_words.split(" By hand:").next())
        .map(|words| format!(". {words}"))
        .unwrap_or_default()
}

pub(crate) fn agents(plan: &Plan, indices: &[usize]) -> String {
    let names = indices.iter().filter_map(|index| plan.agents.get(*index));
    names
        .map(|agent| agent.name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// `Ada leads, Grace drives, 2 observers`.
fn people(plan: &Plan) -> Option<String> {
    let people = &plan.people;
    let leads = people.facilitator.as_ref().map(|name| format!("{name} leads"));
    let drives = people.operator.as_ref().map(|name| format!("{name} drives"));
    let watch = match people.observers.len() {
        0 => None,
        1 => Some("1 observer".to_owned()),
        n => Some(format!("{n} observers")),
    };
    let all: Vec<String> = [leads, drives, watch].into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join(", "))
}

fn injections(drill: &Drill) -> Vec<InjectionScene> {
    let mut levers = Levers::default();
    let one = |it: &firedrill_drill::Injection| InjectionScene {
        id: it.id.to_string(),
        fault: it.fault.to_string(),
        agent: agents(drill.plan(), &[it.agent]),
        scope: it.scope.words(),
        strength: strength(&it.strength.now),
        lever: levers.of(drill, it),
        state: it.state,
        proved: it.proved == Some(true),
        from_us: it.active.map(|at| at.mono_us),
        until_us: it.off.map(|at| at.mono_us),
        ends_us: drill.ends_us(it),
        ramp_us: it.ramp_ms.saturating_mul(1_000),
        evidence: it.evidence.words.clone(),
        // What is off needs no hand; what a one-shot left may.
        by_hand: it
            .by_hand
            .clone()
            .or_else(|| it.problem.clone().filter(|_| !it.is_off())),
    };
    drill.injections().iter().map(one).collect()
}

fn planned(drill: &Drill) -> Vec<PlannedScene> {
    let Some(experiment) = drill.experiment() else {
        return Vec::new();
    };
    let began_us = drill.began(Phase::Inject).map_or(0, |at| at.mono_us);
    let holds: Vec<(u64, u64)> = drill
        .holds()
        .iter()
        .map(|(from, until)| (from.saturating_sub(began_us), until - from))
        .collect();
    let one = |it: firedrill_drill::Planned| {
        let action = &experiment.steps.get(it.step)?.action;
        let (label, ramp_ms, wait) = match action {
            Action::Wait(_) => ("wait".to_owned(), 0, true),
            Action::Inject(step) => {
                let agents = agents(drill.plan(), &it.agents);
                (format!("{} · {agents}", step.fault), step.ramp_ms, false)
            }
        };
        let (from_us, until_us) = shifted(it.from_us, it.until_us, &holds);
        Some(PlannedScene {
            lane: it.lane,
            label,
            from_us,
            until_us,
            ramp_us: ramp_ms.saturating_mul(1_000),
            wait,
        })
    };
    drill.planned().into_iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::what_stays;

    #[test]
    fn what_no_revert_takes_back_is_said() {
        let lost = what_stays("http.lose");
        assert!(lost.starts_with(". What was lost stays lost"), "{lost}");
        assert!(!lost.contains("By hand"), "{lost}");
        assert_eq!(what_stays("http.latency"), "");
        assert_eq!(what_stays("of another engine"), "");
    }
}
