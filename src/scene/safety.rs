//! Guardrails, the second person, emergency actions, the record of an abort: what keeps a drill safe, as shown.

use firedrill_drill::{BudgetLeft, Drill, NoticeKind};
use firedrill_plan::{OnStop, Rule};
use serde::Serialize;

/// Everything of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SafetyScene {
    /// A row each guardrail that applies.
    pub guardrails: Vec<GuardrailRow>,
    /// The second person; `None`: the plan asks for none.
    pub approval: Option<ApprovalScene>,
    /// Emergency actions, in the plan's order.
    pub actions: Vec<ActionRow>,
    /// Who is told of an automatic stop.
    pub alerts: Vec<AlertRow>,
    /// A row each agent that an abort was sent to, and the abort test.
    pub aborts: Vec<AbortRecord>,
}

/// A guardrail.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GuardrailRow {
    /// Which; its word is its name.
    pub rule: Rule,
    /// Whether it holds or is overridden; `None`: not known yet.
    pub ok: Option<bool>,
    /// What was found.
    pub words: String,
    /// What would satisfy it.
    pub remedy: Option<String>,
    /// A reason is enough to go on without it.
    pub can_be_overridden: bool,
    /// `Ada: both are canaries`, where somebody did.
    pub overridden: Option<String>,
    /// Of a budget: what is left and of how much, in milliseconds: a bar that drains.
    pub left_ms: Option<(u64, u64)>,
}

/// The second person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ApprovalScene {
    /// Who approved; `None`: nobody yet.
    pub by: Option<String>,
}

/// An emergency action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActionRow {
    /// Index in the experiment's `on_stop`; what [`crate::Ask::RunAction`] names.
    pub index: usize,
    /// `POST http://…`.
    pub what: String,
    /// `after a breach`, `after an abort`.
    pub when: String,
    /// Every time it was sent, in words: `by Ada: done`, `by the stop: no answer within 5 s`.
    pub sent: Vec<String>,
    /// The last time it was sent it failed.
    pub failed: bool,
}

/// Who is told of an automatic stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlertRow {
    /// The address.
    pub to: String,
    /// The answer in words; `None`: not told, or no answer yet.
    pub answer: Option<Result<String, String>>,
}

/// Requested, received, reverted, proved clean: an abort on one agent. Times are microseconds from the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AbortRecord {
    /// The agent.
    pub agent: String,
    /// How long the last abort test took, or what went wrong; `None`: not tested.
    pub test_us: Option<Result<u64, String>>,
    /// When an abort was requested, microseconds since the drill was made; `None`: none was.
    pub requested_us: Option<u64>,
    /// Its epochs were dead.
    pub received_us: Option<u64>,
    /// Every injection was read back as gone.
    pub reverted_us: Option<u64>,
    /// And seen gone by a second mechanism.
    pub proved_us: Option<u64>,
    /// It latched, with this number.
    pub latch: Option<u64>,
    /// How often it was sent.
    pub sent: u32,
    /// What went wrong last.
    pub problem: Option<String>,
}

/// A drill of this account that was armed and never ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenDrillScene {
    /// Its id; what [`crate::Ask::AbortOpen`] and [`crate::Ask::WatchOpen`] name.
    pub drill: String,
    /// The experiment.
    pub experiment: String,
    /// When it was armed, wall milliseconds.
    pub armed_ms: i64,
    /// Its console lives: somebody drives it, and may still be aborted from here.
    pub runs: bool,
    /// What each agent says: its name, the words, and whether something may be on there.
    pub agents: Vec<(String, String, bool)>,
    /// Somebody chose to watch: its agents are asked again until nothing is on.
    pub watched: bool,
}

impl SafetyScene {
    /// Of a drill as it stands.
    pub fn of(drill: &Drill) -> Self {
        Self {
            guardrails: drill.guardrails().into_iter().map(guardrail).collect(),
            approval: drill.plan().guardrails.approval.then(|| ApprovalScene {
                by: drill.approved().map(|(by, _)| by.clone()),
            }),
            actions: actions(drill),
            alerts: alerts(drill),
            aborts: aborts(drill),
        }
    }
}

fn guardrail(it: firedrill_drill::GuardrailStatus) -> GuardrailRow {
    GuardrailRow {
        rule: it.rule,
        ok: it.ok,
        words: it.words,
        remedy: it.remedy,
        can_be_overridden: it.rule.can_be_overridden(),
        overridden: it.overridden.map(|it| format!("{}: {}", it.by, it.reason)),
        left_ms: it.left.map(|BudgetLeft { left_ms, of_ms }| (left_ms, of_ms)),
    }
}

fn actions(drill: &Drill) -> Vec<ActionRow> {
    let planned = drill.experiment().map_or(&[][..], |it| &it.on_stop);
    let row = |(index, action): (usize, &OnStop)| {
        let notices = || {
            drill
                .notices()
                .iter()
                .filter(move |it| it.kind == NoticeKind::Action(index))
        };
        let sent = notices().filter(|it| it.asked.is_some()).map(|it| {
            let by = it.by.as_ref().map_or_else(|| "the stop".to_owned(), Clone::clone);
            match &it.done {
                Some((_, Ok(answer) | Err(answer))) => format!("by {by}: {answer}"),
                None => format!("by {by}: sent"),
            }
        });
        ActionRow {
            index,
            what: action.call.to_string(),
            when: action.when().to_owned(),
            failed: notices()
                .next_back()
                .is_some_and(|it| matches!(it.done, Some((_, Err(_))))),
            sent: sent.collect(),
        }
    };
    planned.iter().enumerate().map(row).collect()
}

fn alerts(drill: &Drill) -> Vec<AlertRow> {
    let row = |(index, target): (usize, &firedrill_plan::AlertTarget)| {
        let notice = drill
            .notices()
            .iter()
            .find(|it| it.kind == NoticeKind::Alert(index));
        AlertRow {
            to: target.url.clone(),
            answer: notice
                .and_then(|it| it.done.as_ref())
                .map(|(_, answer)| answer.clone()),
        }
    };
    drill.plan().alerts.iter().enumerate().map(row).collect()
}

fn aborts(drill: &Drill) -> Vec<AbortRecord> {
    let agents = drill.plan().agents.iter().zip(drill.agents());
    let row = |(entry, status): (&firedrill_plan::AgentEntry, &firedrill_drill::AgentStatus)| {
        let abort = status.abort.as_ref();
        AbortRecord {
            agent: entry.name.clone(),
            test_us: status.abort_test.as_ref().map(|(_, result)| result.clone()),
            requested_us: abort.map(|it| it.requested.mono_us),
            received_us: abort.and_then(|it| it.received_us),
            reverted_us: abort.and_then(|it| it.reverted_us),
            proved_us: abort.and_then(|it| it.proved_us),
            latch: abort.and_then(|it| it.latch),
            sent: abort.map_or(0, |it| it.sent),
            problem: abort.and_then(|it| it.problem.clone()),
        }
    };
    agents.filter(|(_, status)| status.needed).map(row).collect()
}
