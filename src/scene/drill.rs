//! A drill as Live, Stage and Review's replay show it.

use std::{collections::VecDeque, sync::Arc};

use firedrill_catalogue::Lever;
use firedrill_drill::{At, HoldStage, Phase, Seal, SliState, Verdict};
use firedrill_plan::{Range, Say, Stop};
use firedrill_series::Series;
use firedrill_wire::InjectionState;

use crate::{Ours, SafetyScene};

/// One run of one experiment. Times are monotonic microseconds since the drill was made.
#[derive(Clone, Debug)]
pub struct DrillScene {
    /// The drill's id.
    pub id: String,
    /// The experiment.
    pub experiment: String,
    /// The console that drives it.
    pub console: String,
    /// What is expected.
    pub hypothesis: String,
    /// What is done, in words for the room, with the numbers filled in.
    pub say: Option<String>,
    /// Now.
    pub now: At,
    /// Wall time of the drill's zero, milliseconds since 1970 UTC: turns times into clock times.
    pub origin_wall_ms: i64,
    /// Where it is.
    pub phase: Phase,
    /// Every phase it has been in, with its begin, in order.
    pub phases: Vec<(Phase, u64)>,
    /// How far the phase is, 0 to 1, and in words: `steady for 4 of 6 s`.
    pub progress: Option<(f32, String)>,
    /// A card each.
    pub slis: Vec<SliScene>,
    /// Every injection, past and present.
    pub injections: Vec<InjectionScene>,
    /// The steps as planned, for the timeline.
    pub planned: Vec<PlannedScene>,
    /// Every hold so far, from when to when; the one that is on, to now.
    pub holds: Vec<(u64, u64)>,
    /// The hold that is on.
    pub hold: Option<HoldScene>,
    /// The log, oldest first; bounded.
    pub log: Arc<VecDeque<LogLine>>,
    /// What is left of the shortest lease, in milliseconds, while one is open.
    pub lease_left_ms: Option<u64>,
    /// How many agents hold this drill.
    pub agents: usize,
    /// Who takes part: `Ada leads, Grace drives, 2 observers`.
    pub people: Option<String>,
    /// Preflight's checks, a row each.
    pub checks: Vec<CheckRow>,
    /// Guardrails, the second person, emergency actions, the record of an abort.
    pub safety: SafetyScene,
    /// The confirmation, while it is asked for.
    pub arming: Option<ArmingScene>,
    /// When it is over.
    pub verdict: Option<Verdict>,
    /// Whether it may be told to others.
    pub seal: Seal,
    /// What would have rung a bell, oldest first; at most [`MAX_FIRED`].
    pub fired: Arc<Vec<Fired>>,
}

/// Most of [`DrillScene::fired`] that are kept: the first ones.
pub const MAX_FIRED: usize = 200;

/// Something that people on call would have been told of by their own monitoring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fired {
    /// When, microseconds since the drill was made.
    pub at_us: u64,
    /// What it is of: an indicator's name, or an open alert's.
    pub what: String,
    /// What an indicator came into; `None`: an alert was opened at the Alertmanager.
    pub state: Option<SliState>,
}

impl DrillScene {
    /// "Is this us?", as far as this drill tells: what a picture of a journal shows.
    pub fn ours(&self) -> Ours {
        ours_of(
            &self.injections,
            self.verdict.is_some(),
            self.now.mono_us,
            self.origin_wall_ms,
        )
    }
}

/// Of a drill's injections; `over`: the verdict stands, and what is not off then may be on.
pub(crate) fn ours_of(injections: &[InjectionScene], over: bool, now_us: u64, origin_wall_ms: i64) -> Ours {
    let names = |list: &[&InjectionScene]| {
        let mut names: Vec<String> = list.iter().map(|it| it.agent.clone()).collect();
        names.sort();
        names.dedup();
        names
    };
    let is_off = |it: &InjectionScene| it.state.is_some_and(InjectionState::is_off);
    let open: Vec<&InjectionScene> = injections.iter().filter(|it| !is_off(it)).collect();
    let lost = |it: &&InjectionScene| over || it.state == Some(InjectionState::Unconfirmed);
    let unconfirmed: Vec<&InjectionScene> = open.iter().copied().filter(lost).collect();
    if !unconfirmed.is_empty() {
        return Ours::MayBeOn {
            agents: names(&unconfirmed),
        };
    }
    if open.is_empty() {
        let last = injections.iter().filter_map(|it| it.until_us).max();
        let wall = |us: u64| origin_wall_ms + (us / 1_000).cast_signed();
        return Ours::Nothing {
            proved_ms: last.map(wall),
        };
    }
    let ends = open.iter().map(|it| it.ends_us).max().unwrap_or(0);
    Ours::On {
        faults: open.len(),
        agents: names(&open),
        ends_in_ms: ends.saturating_sub(now_us) / 1_000,
    }
}

/// An SLI's card.
#[derive(Clone, Debug)]
pub struct SliScene {
    /// Its name.
    pub name: String,
    /// `%`, `ms`, `s`, `/s` or a word; values are in the base unit.
    pub unit: String,
    /// In words for the room.
    pub say: Say,
    /// The steady state.
    pub band: Range,
    /// What the hypothesis allows.
    pub tolerate: Range,
    /// Where safety ends the drill.
    pub stop: Stop,
    /// As judged now.
    pub state: SliState,
    /// The newest value.
    pub value: Option<f64>,
    /// Its age in milliseconds as published.
    pub age_ms: Option<u64>,
    /// Why there is no data.
    pub why_no_data: Option<String>,
    /// Bad samples in a row.
    pub bad_in_row: u32,
    /// All of it; time is microseconds since the drill was made.
    pub series: Series,
    /// Bad samples: time and value (`None`: no data).
    pub bad: Arc<Vec<(u64, Option<f64>)>>,
}

/// A hold that is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldScene {
    /// Since when the clock of the steps stands.
    pub since_us: u64,
    /// Who asked for it.
    pub by: String,
    /// How far it is.
    pub stage: HoldStage,
    /// What is on again after a resume: `http.latency on payments-1 for the 38 s it had left`, a line each.
    pub then: Vec<String>,
    /// How long the new baseline is, in milliseconds.
    pub baseline_ms: u64,
}

/// The lever of an injection that is on.
#[derive(Clone, Debug, PartialEq)]
pub struct LeverScene {
    /// From the least that it takes to what the plan asked for.
    pub lever: Arc<Lever>,
    /// Where it is, as the agent last said; `None`: somebody else has made of it what cannot be read here.
    pub on: Option<f64>,
    /// What is on, in words: `400 ms`.
    pub on_words: String,
    /// What was asked for and is not answered: where, and in words.
    pub asked: Option<(f64, String)>,
}

/// An injection on the plots, the timeline and its own card.
#[derive(Clone, Debug, PartialEq)]
pub struct InjectionScene {
    /// Its id.
    pub id: String,
    /// The fault's name.
    pub fault: String,
    /// The agent's name.
    pub agent: String,
    /// Where on the host, in words: `route payment-http`.
    pub scope: String,
    /// Its strength in words, as the agent last said: `400 ms ± 100 ms on /api/payment`.
    pub strength: String,
    /// Its lever, while it is on and has a strength.
    pub lever: Option<LeverScene>,
    /// How it stands; `None`: asked for, no answer yet.
    pub state: Option<InjectionState>,
    /// Proved gone.
    pub proved: bool,
    /// Active from, when it is known.
    pub from_us: Option<u64>,
    /// Off since, when it is known.
    pub until_us: Option<u64>,
    /// When it ends by itself, if nothing stops it before.
    pub ends_us: u64,
    /// How long it grows, microseconds.
    pub ramp_us: u64,
    /// What the agent saw: `212 requests delayed`.
    pub evidence: String,
    /// What to do by hand.
    pub by_hand: Option<String>,
}

/// A step as planned, relative to the begin of the phase `Inject`.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedScene {
    /// Its lane.
    pub lane: String,
    /// `http.latency · payments-1`, or `wait`.
    pub label: String,
    /// Begins, microseconds after the begin of Inject.
    pub from_us: u64,
    /// Ends, likewise.
    pub until_us: u64,
    /// The ramp's length, microseconds.
    pub ramp_us: u64,
    /// A wait.
    pub wait: bool,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    /// When.
    pub at: At,
    /// Chooses colour and filter.
    pub kind: LogKind,
    /// A word or two: `baseline`, `inject`, `bad sample`, `note · Ada`.
    pub title: String,
    /// A sentence.
    pub words: String,
}

/// What a log line is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// A phase began.
    Phase,
    /// A fault: asked, active, reverted.
    Fault,
    /// An agent's word.
    Agent,
    /// A bad sample, tolerance left, no data.
    Sample,
    /// A person's note or act.
    Person,
    /// An end: stop, abort, verdict.
    End,
}

/// A check of preflight or a row of the arming confirmation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRow {
    /// What was checked.
    pub what: String,
    /// `None`: still running.
    pub ok: Option<bool>,
    /// What was found, and what would satisfy it.
    pub words: String,
}

/// The confirmed start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArmingScene {
    /// `Start: payment is slow on 1 of 3 hosts, for 60 s`.
    pub title: String,
    /// What is hit, exactly; a line each injection.
    pub what: Vec<String>,
    /// Abort tested, steady, targets, people.
    pub rows: Vec<CheckRow>,
    /// What will stop it by itself, in a sentence or two.
    pub stops_itself: String,
    /// The start button may be pressed (every check passed, abort test fresh).
    pub ready: bool,
}
