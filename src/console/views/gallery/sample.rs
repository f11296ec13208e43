//! Made-up indicators, agents and a drill, so that each widget is seen in each state without a system.

use std::{collections::VecDeque, sync::Arc};

use firedrill_drill::{At, Outcome, Phase, Reason, SliState, Verdict};
use firedrill_plan::{Range, Say, Stop};
use firedrill_scene::{
    AgentHealth, AgentScene, DrillScene, InjectionScene, LogKind, LogLine, PlannedScene, SafetyScene,
    SliScene,
};
use firedrill_series::Series;
use firedrill_wire::{InjectionState, LatchView, Tick};

const S: u64 = 1_000_000;
const NOW_S: u64 = 60;
const FROM_S: u64 = 30;

fn at(seconds: u64) -> At {
    At {
        mono_us: seconds * S,
        wall_ms: (seconds * 1_000).cast_signed(),
    }
}

/// Steady, tolerated, out with the fuse burning, without data.
pub fn slis() -> Vec<SliScene> {
    let states = [
        ("Steady", SliState::Steady, 0.0),
        ("Tolerated", SliState::Tolerated, 0.0045),
        ("Out", SliState::Out, 0.0128),
        ("No data", SliState::NoData, 0.004),
    ];
    states.map(|(name, state, slope)| sli(name, state, slope)).into()
}

fn sli(name: &str, state: SliState, slope: f64) -> SliScene {
    let mut series = Series::new();
    for i in 0..NOW_S * 2 {
        let time = i as f64 / 2.0;
        let after = (time - FROM_S as f64).max(0.0);
        let wave = (time * 1.7).sin() * 0.012 + (time * 0.31).cos() * 0.008;
        let seen = state != SliState::NoData || time < 48.0;
        series.push(i * S / 2, seen.then_some(0.18 + wave + after * slope));
    }
    let up_to = |max| Range {
        min: None,
        max: Some(max),
    };
    let bad = match state {
        SliState::Out => vec![(59 * S + S / 2, series.last().and_then(|point| point.value))],
        SliState::NoData => vec![(59 * S, None)],
        SliState::Steady | SliState::Tolerated => Vec::new(),
    };
    SliScene {
        name: name.to_owned(),
        unit: "ms".to_owned(),
        say: Say::default(),
        band: up_to(0.3),
        tolerate: up_to(0.4),
        stop: Stop::Outside {
            range: up_to(0.55),
            after: 2,
        },
        state,
        value: series.last().and_then(|point| point.value),
        age_ms: Some(800),
        why_no_data: None,
        bad_in_row: bad.len() as u32,
        series,
        bad: Arc::new(bad),
    }
}

/// One of each health.
pub fn agents() -> Vec<AgentScene> {
    let latch = LatchView {
        number: 3,
        reason: "abort from the console".to_owned(),
        who: "Ada".to_owned(),
        since: Tick(9),
    };
    let lost = || "no answer within 2 s".to_owned();
    [
        ("ready", AgentHealth::Healthy, None),
        ("latched", AgentHealth::Healthy, Some(latch)),
        ("not-asked", AgentHealth::Unknown, None),
        ("not-usable", AgentHealth::Unusable(lost()), None),
        ("no-answer", AgentHealth::Unreachable(lost()), None),
    ]
    .into_iter()
    .map(|(name, health, latch)| AgentScene {
        name: format!("sample-{name}"),
        url: "https://sample.invalid:7431".to_owned(),
        rtt_us: (health == AgentHealth::Healthy).then_some(420),
        heard_ms: None,
        info: None,
        abort_test: None,
        health,
        latch,
    })
    .collect()
}

/// A drill while its fault is on, or when it is over.
pub fn drill(over: bool) -> DrillScene {
    let reason = Reason {
        at: at(NOW_S),
        rule: "tolerance".to_owned(),
        words: "sample".to_owned(),
    };
    let phases = [
        (Phase::Preflight, 0),
        (Phase::Baseline, 4 * S),
        (Phase::Inject, FROM_S * S),
        (Phase::Recover, 54 * S),
        (Phase::Verdict, NOW_S * S),
    ];
    let injection = InjectionScene {
        id: "sample".to_owned(),
        fault: "http.latency".to_owned(),
        agent: "sample".to_owned(),
        scope: String::new(),
        strength: String::new(),
        lever: None,
        state: Some(if over {
            InjectionState::Reverted
        } else {
            InjectionState::Active
        }),
        proved: over,
        from_us: Some(FROM_S * S),
        until_us: over.then_some(54 * S),
        ends_us: 80 * S,
        ramp_us: 10 * S,
        evidence: String::new(),
        by_hand: None,
    };
    DrillScene {
        id: "sample".to_owned(),
        experiment: "Sample".to_owned(),
        console: "sample".to_owned(),
        hypothesis: String::new(),
        say: None,
        now: at(NOW_S),
        origin_wall_ms: 0,
        phase: if over { Phase::Verdict } else { Phase::Inject },
        phases: phases.into_iter().take(if over { 5 } else { 3 }).collect(),
        progress: None,
        slis: slis(),
        injections: vec![injection],
        planned: vec![PlannedScene {
            lane: "main".to_owned(),
            label: "http.latency · sample".to_owned(),
            from_us: 0,
            until_us: 50 * S,
            ramp_us: 10 * S,
            wait: false,
        }],
        holds: Vec::new(),
        hold: None,
        log: Arc::new(VecDeque::from([
            LogLine {
                at: at(40),
                kind: LogKind::Person,
                title: "note".to_owned(),
                words: "sample".to_owned(),
            },
            LogLine {
                at: at(54),
                kind: LogKind::End,
                title: "stopped".to_owned(),
                words: "sample".to_owned(),
            },
        ])),
        lease_left_ms: None,
        agents: 1,
        people: None,
        checks: Vec::new(),
        safety: SafetyScene::default(),
        arming: None,
        verdict: over.then(|| Verdict {
            outcome: Outcome::Broken,
            reasons: vec![reason],
            unconfirmed: Vec::new(),
        }),
        seal: firedrill_drill::Seal::Open,
        fired: Arc::default(),
    }
}
