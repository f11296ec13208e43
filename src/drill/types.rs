//! What a drill is made of, as the journal keeps it and the window shows it.

use std::sync::Arc;

use firedrill_plan::{Plan, Rule};
use firedrill_wire::{DrillId, Evidence, FaultName, InjectionId, InjectionState, Instance, Scope};
use serde::{Deserialize, Serialize};

/// When something happened on the console: both clocks, because the wall clock jumps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct At {
    /// Monotonic microseconds since the drill was made.
    pub mono_us: u64,
    /// Wall clock, milliseconds since 1970 UTC.
    pub wall_ms: i64,
}

impl At {
    /// Milliseconds from `earlier` to this, by the monotonic clock; 0 when it is not earlier.
    pub fn ms_since(self, earlier: Self) -> u64 {
        self.mono_us.saturating_sub(earlier.mono_us) / 1_000
    }
}

/// What a drill is made from. Everything random is in `seed`, which the journal keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// The drill's id.
    pub drill: DrillId,
    /// The plan.
    pub plan: Arc<Plan>,
    /// The text it was read from, for the journal.
    pub plan_text: Arc<str>,
    /// The program's version, for the journal.
    pub version: String,
    /// Which experiment of it.
    pub experiment: usize,
    /// Chooses targets, nonces and ids.
    pub seed: u64,
    /// This console, for the agents and the audit.
    pub console: String,
    /// Who drives.
    pub who: String,
    /// Whether a person confirms the start; headless: at once.
    pub arming: Arming,
}

/// How the start is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arming {
    /// A person confirms it.
    Ask,
    /// At once.
    AtOnce,
}

/// Where a drill is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Agents answer, SLIs are fresh, the abort path is exercised.
    Preflight,
    /// Waiting for the steady state.
    Baseline,
    /// Waiting for the confirmed start.
    Arming,
    /// Steps run.
    Inject,
    /// Faults reverted; waiting for the steady state.
    Recover,
    /// Reverting and reading back after an abort or a stop, or closing the agents.
    Closing,
    /// Over; the verdict stands.
    Verdict,
}

/// What a drill found. `Aborted` is by a person, a signal or a guardrail; a stop by breach is `Broken`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The hypothesis held and the steady state returned.
    Held,
    /// It did not.
    Broken,
    /// Nothing can be said: no data, no baseline, contact lost, a start refused, preflight not passed.
    Inconclusive,
    /// Ended by a person, a signal or a guardrail.
    Aborted,
}

/// The verdict with its reasons: each names the rule, the sample and the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What was found.
    pub outcome: Outcome,
    /// Why; the first is the one that decided.
    pub reasons: Vec<Reason>,
    /// Injections that nobody has read back as gone. Not empty: something may still be on.
    pub unconfirmed: Vec<InjectionId>,
}

/// Why something was judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// When.
    pub at: At,
    /// The rule, in the words of the docs: `stop condition`, `tolerance`, `baseline`, `abort`, `contact`, …
    pub rule: String,
    /// In one sentence, with the values.
    pub words: String,
}

/// One new observation at a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Index of the SLI in the plan.
    pub sli: usize,
    /// The source's own time of it, milliseconds since 1970 by the source's clock.
    pub source_ms: i64,
    /// How old it was when it reached us, by the source's clock, in milliseconds.
    pub age_ms: u64,
    /// What was observed.
    pub reading: Reading,
}

/// What was observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// A value in the base unit, with the traffic behind it in events per second where that is known.
    Value {
        /// Finite.
        value: f64,
        /// Events per second.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rate: Option<f64>,
    },
    /// No data, and why, in a sentence with a remedy.
    NoData {
        /// Why.
        why: String,
    },
}

/// An SLI's state, as shape and word show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SliState {
    /// Inside the band.
    Steady,
    /// Outside the band, inside tolerance.
    Tolerated,
    /// Outside tolerance.
    Out,
    /// Nothing fresh: counts as bad.
    #[default]
    NoData,
}

impl SliState {
    /// As shown: `steady`, `tolerated`, `OUT`, `no data`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Tolerated => "tolerated",
            Self::Out => "OUT",
            Self::NoData => "no data",
        }
    }
}

/// An SLI while a drill runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SliStatus {
    /// As judged now.
    pub state: SliState,
    /// The newest value, also when it has become old.
    pub value: Option<f64>,
    /// Why there is no data.
    pub why_no_data: Option<String>,
    /// When the newest sample was taken, by our monotonic clock (its arrival less its age), microseconds.
    pub sampled_us: Option<u64>,
    /// The interval of the source as seen, in milliseconds.
    pub interval_ms: Option<u64>,
    /// Bad samples in a row, while an injection is not read back as reverted.
    pub bad_in_row: u32,
    /// Since when it has been inside its band without a break, in the phase that counts it (baseline, recover).
    pub good_since_us: Option<u64>,
}

/// An injection as the drill knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Injection {
    /// Its id on the wire.
    pub id: InjectionId,
    /// Index of the step in the experiment, and which repetition, from 0.
    pub step: usize,
    /// Which repetition.
    pub run: u32,
    /// Index of the agent in the plan.
    pub agent: usize,
    /// What.
    pub fault: FaultName,
    /// Where on the host.
    pub scope: Scope,
    /// Its parameters as asked at its start.
    pub parameters: serde_json::Value,
    /// How strong it is now, and what it shall become.
    pub strength: Strength,
    /// How long, in milliseconds.
    pub for_ms: u64,
    /// How long it grows, in milliseconds.
    pub ramp_ms: u64,
    /// As the agent last said; `None` until it answered.
    pub state: Option<InjectionState>,
    /// Whether it is proved gone by a second mechanism.
    pub proved: Option<bool>,
    /// When the intent was given.
    pub asked: At,
    /// When the agent's word that it is active came.
    pub active: Option<At>,
    /// When its revert was asked.
    pub reverting: Option<At>,
    /// When the agent's word that it is off came.
    pub off: Option<At>,
    /// What the agent saw.
    pub evidence: Evidence,
    /// What to do by hand, where the agent could not.
    pub by_hand: Option<String>,
    /// Why it is refused, failed or unconfirmed.
    pub problem: Option<String>,
}

impl Injection {
    /// Whether it is known to be off for good.
    pub fn is_off(&self) -> bool {
        self.state.is_some_and(InjectionState::is_off)
    }

    /// Whether samples at `now` are judged on its account: it is not known to be off, or it is a one-shot
    /// whose time to be watched is not over.
    pub fn counts_at(&self, now: At) -> bool {
        if self.state == Some(InjectionState::Done) {
            now.ms_since(self.active.unwrap_or(self.asked)) < self.for_ms
        } else {
            !self.is_off()
        }
    }
}

/// How strong an injection is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Strength {
    /// All its parameters, as the agent last said.
    pub now: serde_json::Value,
    /// The agent's revision of them; 0 as started.
    pub revision: u64,
    /// The highest revision that was sent.
    pub sent: u64,
    /// The change that is on its way.
    pub asked: Option<Change>,
    /// What shall follow it: always less.
    pub next: Option<(serde_json::Value, String)>,
}

/// A change of strength on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// As the agent shall count it.
    pub revision: u64,
    /// All parameters, as they shall be.
    pub parameters: serde_json::Value,
    /// It is more than before.
    pub stronger: bool,
    /// Who asked.
    pub by: String,
    /// How often it was sent, each time with a revision of its own.
    pub tries: u32,
}

/// A hold: nothing of this drill is on, or it is being taken back, and the clock of the steps stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Since when the clock stands.
    pub since: At,
    /// Who asked for it.
    pub by: String,
    /// How far it is.
    pub stage: HoldStage,
}

/// How far a hold is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldStage {
    /// What was on is being taken back.
    Reverting,
    /// Everything is read back as off.
    Held,
    /// Somebody resumed: a new baseline is taken since then, and nothing is on yet.
    Baseline {
        /// When it began.
        since: At,
    },
}

/// An agent while a drill runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentStatus {
    /// Preflight has heard it.
    pub info: Option<Box<firedrill_wire::AgentInfo>>,
    /// Its opening.
    pub opened: Option<firedrill_wire::Opened>,
    /// Whether this drill needs it: a step may hit it.
    pub needed: bool,
    /// Heartbeats answered now.
    pub contact: bool,
    /// When it last answered, monotonic microseconds.
    pub heard_us: Option<u64>,
    /// Round trip of the last heartbeat, microseconds.
    pub rtt_us: Option<u64>,
    /// When the lease ends by our clock, unless renewed, monotonic microseconds; pessimistic.
    pub lease_until_us: Option<u64>,
    /// The abort test: when it ended, and how long from send to the end of its answer, or what went wrong.
    pub abort_test: Option<(At, Result<u64, String>)>,
    /// The abort that runs or ran on it.
    pub abort: Option<AbortStatus>,
    /// The last thing that went wrong, in a sentence.
    pub problem: Option<String>,
    /// The opening is closed.
    pub closed: bool,
}

/// Requested, received, reverted, proved: an abort on one agent, in microseconds since it was requested.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AbortStatus {
    /// When the request was first sent.
    pub requested: At,
    /// Its epochs are dead.
    pub received_us: Option<u64>,
    /// The latch is on the agent's disk (`false`: its disk refused).
    pub durable: Option<bool>,
    /// Latched, with the number; `None`: this abort did not latch.
    pub latch: Option<u64>,
    /// Every injection is read back as gone.
    pub reverted_us: Option<u64>,
    /// Every injection is proved gone by a second mechanism.
    pub proved_us: Option<u64>,
    /// The life of the agent that answered. An injection is believed off only from the life that started
    /// it, or from a later one that names it below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
    /// Each injection that the answer named in a `reverted` or `proved` line, as it stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub injections: Vec<AbortedInjection>,
    /// The answer ended; without it the abort is unconfirmed.
    pub ended: bool,
    /// How often it was sent.
    pub sent: u32,
    /// What went wrong last, and what to do by hand.
    pub problem: Option<String>,
}

/// One injection in the answer to an abort.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AbortedInjection {
    /// Which.
    pub id: InjectionId,
    /// `reverted`, `done` or `unconfirmed`; `reverting` until its line has come.
    pub state: InjectionState,
    /// What the second mechanism said, once it has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proved: Option<bool>,
    /// What was read back.
    #[serde(default)]
    pub evidence: Evidence,
    /// What a person can do where the agent could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<String>,
}

/// A check of preflight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is checked.
    pub what: String,
    /// `None`: still running.
    pub ok: Option<bool>,
    /// What was found, and what would satisfy it.
    pub words: String,
}

/// A judgement, as the journal has it too.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// `phase`, `bad sample`, `tolerance`, `stop`, `injection`, `not started`, …
    pub what: String,
    /// Why, and when.
    pub reason: Reason,
}

/// A bad sample: while an injection was not read back as reverted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BadSample {
    /// Index of the SLI in the plan.
    pub sli: usize,
    /// When it was judged.
    pub at: At,
    /// Outside `stop`; `None`: no data.
    pub value: Option<f64>,
    /// How many in a row it made.
    pub in_row: u32,
}

/// A step as planned, relative to the begin of [`Phase::Inject`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Index of the step in the experiment.
    pub step: usize,
    /// Which repetition, from 0.
    pub run: u32,
    /// Its lane.
    pub lane: String,
    /// The agents that are hit, as indices in the plan; empty for a wait.
    pub agents: Vec<usize>,
    /// Begins, in microseconds.
    pub from_us: u64,
    /// Ends, in microseconds.
    pub until_us: u64,
}

/// What one step of injections hits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Index of the step in the experiment.
    pub step: usize,
    /// The agents that are hit, as indices in the plan, ascending.
    pub agents: Vec<usize>,
    /// How many agents its labels match.
    pub matching: usize,
}

/// What a person must know before confirming the start.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmingFacts {
    /// What is hit, a row a step of injections.
    pub chosen: Vec<Chosen>,
    /// Steady state, contact, abort tested: a row each.
    pub checks: Vec<Check>,
    /// The oldest abort test; older than [`crate::ABORT_TEST_GOOD_MS`] it is repeated on [`crate::Command::Arm`].
    pub abort_tested: Option<At>,
    /// The start may be confirmed now.
    pub ready: bool,
}

/// A guardrail as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardrailStatus {
    /// Which.
    pub rule: Rule,
    /// Whether it holds, or is overridden; `None`: not known yet.
    pub ok: Option<bool>,
    /// What was found.
    pub words: String,
    /// What would satisfy it, where it does not hold.
    pub remedy: Option<String>,
    /// A person goes on without it.
    pub overridden: Option<Overridden>,
    /// Of a budget: what is left.
    pub left: Option<BudgetLeft>,
}

/// A person goes on without a guardrail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overridden {
    /// Which.
    pub rule: Rule,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When.
    pub at: At,
}

/// What is left of a budget, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetLeft {
    /// Zero stops the drill.
    pub left_ms: u64,
    /// Of so much.
    pub of_ms: u64,
}

impl BudgetLeft {
    /// Within 0 and 1.
    pub fn share(self) -> f64 {
        self.left_ms as f64 / self.of_ms.max(1) as f64
    }
}

/// What the drills of the last 24 hours on the same system spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Bad time, in milliseconds.
    pub harm_ms: u64,
    /// Of the error budget, in milliseconds during which every event is bad.
    pub error_ms: f64,
}

/// What is told of a stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StopNews {
    /// Which drill.
    pub drill: DrillId,
    /// Of which experiment.
    pub experiment: String,
    /// The rule that stopped it.
    pub rule: String,
    /// In one sentence, with the values.
    pub words: String,
    /// When it was decided.
    pub at: At,
}

/// An alert or an emergency action of this drill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What.
    pub kind: NoticeKind,
    /// By hand, by whom; `None`: by a stop.
    pub by: Option<String>,
    /// When it was sent.
    pub asked: Option<At>,
    /// When it was answered, and how.
    pub done: Option<(At, Result<String, String>)>,
}

/// What a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// Index in the plan's alerts.
    Alert(usize),
    /// Index in the experiment's `on_stop`.
    Action(usize),
}
