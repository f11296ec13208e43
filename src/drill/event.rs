//! What a drill hears and what it asks for.

use firedrill_plan::Rule;
use firedrill_wire::{
    AgentInfo, CloseRequest, Closed, DrillId, Epoch, HolderSecret, InjectionId, InjectionView, OpenRequest,
    Opened, PatchRequest, RenewRequest, Renewed, StartRequest,
};
use serde::{Deserialize, Serialize};

use crate::{AbortStatus, At, Reading, Sample, Spent, StopNews, Verdict};

/// Something that happened. Every one is journaled, in the order the drill saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// Time passed; at least four a second.
    Tick,
    /// A person asked for something.
    Command {
        /// What.
        command: Command,
    },
    /// All samples that came since the last batch; one record.
    Samples {
        /// In the order they came.
        samples: Vec<Sample>,
    },
    /// What preflight found out about the SLIs: notes for people, problems that refuse a start.
    SourceChecked {
        /// `Err`: the sentence that says what is wrong and what to do.
        result: Result<Vec<String>, String>,
    },
    /// An agent answered a call, or did not.
    Agent {
        /// Index in the plan.
        agent: usize,
        /// What it said.
        reply: Reply,
    },
    /// Open alerts at the Alertmanager, a line each, or why they are not known.
    AlertsChecked {
        /// Our own are left out.
        result: Result<Vec<String>, String>,
    },
    /// What earlier drills spent of the budgets.
    HistoryRead {
        /// `Err`: why it is not known.
        result: Result<Spent, String>,
    },
    /// An alert was posted, or not.
    Alerted {
        /// Index in the plan.
        alert: usize,
        /// The answer in words.
        result: Result<String, String>,
    },
    /// An emergency action was answered, or not.
    Acted {
        /// Which of the drill's notices.
        notice: usize,
        /// The answer in words.
        result: Result<String, String>,
    },
    /// The journal could not be written. Itself a reason to stop.
    JournalFailed {
        /// What the disk said.
        why: String,
    },
}

impl Event {
    /// As a journal may keep it: without the holder's secret, and without numbers that JSON does not have.
    /// Stepping it gives the same drill but for the secret.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let mut event = self.clone();
        match &mut event {
            Self::Agent {
                reply: Reply::Opened { result: Ok(opened) },
                ..
            } => opened.holder = HolderSecret(String::new()),
            Self::Samples { samples } => {
                for sample in samples {
                    if let Some(why) = sample.reading.no_number() {
                        sample.reading = Reading::NoData { why };
                    }
                }
            }
            _ => {}
        }
        event
    }
}

impl Reading {
    /// Why its value or its rate is no number that can be judged.
    pub(crate) fn no_number(&self) -> Option<String> {
        let Self::Value { value, rate } = self else {
            return None;
        };
        let odd = std::iter::once(*value).chain(*rate).find(|it| !it.is_finite())?;
        Some(format!(
            "the source answered {odd}, which is no number; see the SLI's query"
        ))
    }
}

/// What a person may ask of a running drill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Confirms the start.
    Arm,
    /// Confirms the start at a moment that is drawn within a range, milliseconds from now.
    ArmBetween {
        /// Not before.
        earliest_ms: u64,
        /// Not after; at most [`crate::MAX_SURPRISE_MS`].
        latest_ms: u64,
        /// Who confirms does not want to know the draw.
        blind: bool,
        /// Who.
        by: String,
    },
    /// Ends early and politely: revert, recover, verdict; no latch.
    Finish,
    /// Stops everything now. The abort line has already been told when this arrives.
    Abort {
        /// Who or what.
        by: AbortedBy,
        /// Why, in words.
        reason: String,
    },
    /// Goes on without a guardrail.
    Override {
        /// Which.
        rule: Rule,
        /// Why.
        reason: String,
        /// Who.
        by: String,
    },
    /// A second person approves the start.
    Approve {
        /// Who.
        by: String,
    },
    /// Sends an emergency action by hand.
    Act {
        /// Index in the experiment's `on_stop`.
        action: usize,
        /// Who.
        by: String,
    },
    /// Another strength of an injection that is on. Less acts at once; more only with every guardrail, and never
    /// more than the plan asked for.
    Strength {
        /// Which.
        injection: InjectionId,
        /// All its parameters, as they shall be.
        parameters: serde_json::Value,
        /// Who.
        by: String,
    },
    /// Takes everything back and stops the clock of the steps; no latch.
    Hold {
        /// Who.
        by: String,
    },
    /// Goes on after a hold: a new baseline first, then what was interrupted, for the time that it had left.
    Resume {
        /// Who.
        by: String,
    },
    /// Makes a rehearsal of it: sealed until the reveal. Before the first fault only.
    Seal {
        /// Who.
        by: String,
    },
    /// What a sealed drill does may be told from now on.
    Reveal {
        /// Who.
        by: String,
    },
    /// A note on the timeline. Changes nothing; it is in the journal because every event is.
    Note {
        /// Who.
        author: String,
        /// At most 2,000 bytes.
        text: String,
    },
}

/// Who or what aborted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbortedBy {
    /// A person, by name: latches.
    Person(String),
    /// A signal such as Ctrl-C: latches.
    Signal(String),
    /// Another process with the abort card, as seen from the agents' side.
    Elsewhere,
}

/// What an agent said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// `GET /v1/agent`.
    Info {
        /// The answer.
        result: Result<Box<AgentInfo>, Failure>,
    },
    /// A heartbeat on the abort line. A change of the latch comes as `Latch`.
    Heartbeat {
        /// The round trip, or none within the time-out.
        rtt_us: Option<u64>,
        /// Who answered: its tick is what renewals echo, and another life is known by it at once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stamp: Option<firedrill_wire::Stamp>,
    },
    /// The abort path was exercised with `noop`.
    AbortTested {
        /// Microseconds from the send to the end of the answer.
        result: Result<u64, String>,
    },
    /// The opening.
    Opened {
        /// The answer.
        result: Result<Opened, Failure>,
    },
    /// A renewal.
    Renewed {
        /// The answer.
        result: Result<Renewed, Failure>,
    },
    /// A start.
    Started {
        /// Which.
        id: InjectionId,
        /// The answer.
        result: Result<Box<InjectionView>, Failure>,
    },
    /// A change of strength.
    Changed {
        /// Which.
        id: InjectionId,
        /// The revision that was asked for.
        revision: u64,
        /// The answer.
        result: Result<Box<InjectionView>, Failure>,
    },
    /// A revert, after the read-back.
    Reverted {
        /// Which.
        id: InjectionId,
        /// The answer.
        result: Result<Box<InjectionView>, Failure>,
    },
    /// The agent told of an injection by itself (event stream or a re-read).
    Injection {
        /// As it is now.
        view: Box<InjectionView>,
    },
    /// Somebody latched or released the agent.
    Latch {
        /// As it is now.
        latch: Option<firedrill_wire::LatchView>,
    },
    /// The close.
    Closed {
        /// The answer.
        result: Result<Closed, Failure>,
    },
    /// The abort line's news of the abort on this agent.
    Abort {
        /// As it is now.
        status: AbortStatus,
    },
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum Failure {
    /// The agent refused it.
    Refused {
        /// Its words.
        problem: firedrill_wire::Problem,
    },
    /// No answer, or not an answer: what may have happened is unknown.
    NoAnswer {
        /// What went wrong, and what to do.
        why: String,
    },
}

/// What a drill asks for. Carried out in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Write to the journal; with `durable`, fsync before the next effect is begun.
    Record {
        /// What.
        entry: Entry,
        /// Whether it must be on disk first.
        durable: bool,
    },
    /// Check that the SLIs' source answers, is fresh and has traffic; answered by `SourceChecked`. Starts the
    /// sampler, which sends `Samples` until the end.
    CheckSource,
    /// Call an agent through its driver.
    Call {
        /// Index in the plan.
        agent: usize,
        /// What.
        call: Call,
    },
    /// Exercise the abort path on this agent: open `drill`, start `noop`, abort that drill without a latch.
    TestAbort {
        /// Index in the plan.
        agent: usize,
        /// A drill id of its own.
        drill: DrillId,
    },
    /// Connect the abort line to these agents and keep it; before any opening is sent.
    HoldAbortLine {
        /// Indices in the plan.
        agents: Vec<usize>,
    },
    /// Abort on every agent of the drill, by the abort line. Before it is journaled.
    Abort {
        /// Whether agents latch: by a person or a signal yes, by a breach no.
        latch: bool,
        /// For the agents' audit.
        reason: String,
    },
    /// Write the abort card: arming.
    WriteAbortCard,
    /// Ask an Alertmanager for open alerts; answered by `AlertsChecked`.
    CheckAlerts {
        /// Its base URL.
        url: String,
    },
    /// Add up what the drills of the last 24 hours spent; answered by `HistoryRead`.
    ReadHistory,
    /// Post an alert; answered by `Alerted`. Nothing waits for it.
    Alert {
        /// Index in the plan.
        alert: usize,
        /// What happened.
        stop: StopNews,
    },
    /// Send an emergency action; answered by `Acted`.
    Act {
        /// Index in the experiment's `on_stop`.
        action: usize,
        /// Which of the drill's notices.
        notice: usize,
    },
    /// Nothing follows: close the journal.
    End {
        /// What was found.
        verdict: Verdict,
    },
}

/// A call to an agent.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// `GET /v1/agent`.
    Info,
    /// Open the drill.
    Open(OpenRequest),
    /// Renew its lease.
    Renew(RenewRequest),
    /// Start an injection.
    Start(InjectionId, Box<StartRequest>),
    /// Change how strong one is.
    Change(InjectionId, Box<PatchRequest>),
    /// Revert one, and read back.
    Revert(InjectionId),
    /// Close the drill's epoch. Whoever carries it out gives the journal's hash with it.
    Close(Epoch, CloseRequest),
}

/// What the journal keeps besides the events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// The first record: everything a replay needs.
    Made {
        /// The drill's id.
        drill: DrillId,
        /// The plan's text as it was.
        plan: String,
        /// Which experiment.
        experiment: usize,
        /// The seed.
        seed: u64,
        /// This console.
        console: String,
        /// Who drives.
        who: String,
        /// How the start is confirmed.
        arming: crate::Arming,
        /// The program's version.
        version: String,
    },
    /// An event, as it was fed.
    Event {
        /// What.
        event: Event,
    },
    /// A start is about to be sent. On disk before it is.
    Intent {
        /// Which agent.
        agent: usize,
        /// Which injection.
        id: InjectionId,
        /// What, without the holder's secret.
        start: serde_json::Value,
    },
    /// A change of strength: on disk before it is sent if it is more, after it if it is less.
    Change {
        /// Which agent.
        agent: usize,
        /// Which injection.
        id: InjectionId,
        /// Of its strength, as the agent shall count it.
        revision: u64,
        /// What was on as far as was known.
        from: serde_json::Value,
        /// All its parameters, as they shall be.
        to: serde_json::Value,
        /// It is more than before.
        stronger: bool,
        /// Who asked.
        by: String,
    },
    /// The journal's hash as it was given to an agent with its closing: the agent's audit log keeps it too.
    Handed {
        /// Index in the plan.
        agent: usize,
        /// Hex.
        hash: String,
    },
    /// A judgement: a phase begun, a bad sample, a stop, with the reason in words.
    Judged {
        /// What was decided.
        what: String,
        /// Why.
        reason: crate::Reason,
    },
    /// The verdict.
    Verdict {
        /// As found.
        verdict: Verdict,
    },
}

/// A journal entry with its time, as replay reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// When.
    pub at: At,
    /// What.
    pub entry: Entry,
}

impl Entry {
    /// The entry that keeps `event`, without secrets.
    pub fn event(event: &Event) -> Self {
        Self::Event {
            event: event.redacted(),
        }
    }
}
