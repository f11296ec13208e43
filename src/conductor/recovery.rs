//! A drill that was armed and never ended: what is still on, and its end from here.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use firedrill_drill::{Call, Failure, Reply};
use firedrill_fleet::{Credentials, Gate, driver};
use firedrill_plan::{AgentEntry, Driver, Plan};
use firedrill_scene::Ours;
use firedrill_wire::{AgentInfo, OnView};

use crate::{
    abort::{AbortCard, AbortLine, AbortTarget, CardAgent, resolve},
    clock::{Clock, wall_ms},
    ledger::{OpenDrill, note_aborted},
};

/// Agents of an open drill are looked at again this often.
const LOOK: Duration = Duration::from_millis(500);

/// An abort waits no longer for an agent's word on where it listens.
const ASK: Duration = Duration::from_millis(500);

/// No agent lets an injection live longer than an hour; a minute more for the last read-back.
const HARD_LIMIT_MS: i64 = 61 * 60_000;

/// What an agent of an open drill says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holds {
    /// The agent's name.
    pub agent: String,
    /// In a sentence.
    pub words: String,
    /// Whether something of that drill may be on there.
    pub may_be_on: bool,
    /// How much of it is on there, by the agent's own word; `None`: it does not say, or does not answer.
    pub on: Option<OnView>,
}

/// "Is this us?" by the words of a drill's agents.
pub fn ours(held: &[Holds]) -> Ours {
    let names = |list: Vec<&Holds>| list.into_iter().map(|it| it.agent.clone()).collect();
    let unknown: Vec<&Holds> = held.iter().filter(|it| it.may_be_on && it.on.is_none()).collect();
    if !unknown.is_empty() {
        return Ours::MayBeOn {
            agents: names(unknown),
        };
    }
    let on = held.iter().filter(|it| it.on.is_some_and(|on| on.injections > 0));
    let agents: Vec<&Holds> = on.collect();
    if agents.is_empty() {
        return Ours::Nothing {
            proved_ms: Some(wall_ms()),
        };
    }
    let views = agents.iter().filter_map(|it| it.on);
    Ours::On {
        faults: views.clone().map(|on| on.injections as usize).sum(),
        ends_in_ms: views.map(|on| on.ends_in_ms).max().unwrap_or(0),
        agents: names(agents),
    }
}

/// Asks every agent on a card whether it still holds the drill. At once, each with a time-out.
pub async fn ask(card: &AbortCard) -> Vec<Holds> {
    let asked = card.agents.iter().map(|agent| async {
        let mut on = None;
        let (words, may_be_on) = match info(agent).await {
            Ok(info) => {
                let open = info.open.as_ref().filter(|open| open.drill == card.drill);
                on = open.map_or(Some(OnView::default()), |open| open.on);
                said(&info, card)
            }
            Err(why) if outlived(card) => (
                format!(
                    "no answer; since its console's last sign the agent's own limit of 1 h has passed: {why}"
                ),
                false,
            ),
            Err(why) => (format!("no answer, something may be on: {why}"), true),
        };
        Holds {
            agent: agent.name.clone(),
            words,
            may_be_on,
            on,
        }
    });
    futures_util::future::join_all(asked).await
}

/// Whether everything of the drill has ended by the agents' own hard limit, whoever answers.
fn outlived(card: &AbortCard) -> bool {
    let written = card
        .journal
        .as_ref()
        .and_then(|path| std::fs::metadata(path).ok()?.modified().ok());
    let written = written.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let last_ms = written.map_or(0, |at| at.as_millis() as i64).max(card.wall_ms);
    wall_ms().saturating_sub(last_ms) > HARD_LIMIT_MS
}

fn said(info: &AgentInfo, card: &AbortCard) -> (String, bool) {
    let (mut words, on) = match &info.open {
        Some(open) if open.drill == card.drill => (
            format!(
                "holds it for {} on {}; its lease ends in {:.1} s",
                open.who,
                open.console,
                open.lease_left_ms as f64 / 1e3
            ),
            true,
        ),
        Some(open) => (
            format!(
                "nothing of it is on; held by {} on {} for \"{}\"",
                open.who, open.console, open.experiment
            ),
            false,
        ),
        None => ("nothing of it is on, no drill holds it".to_owned(), false),
    };
    if let Some(latch) = &info.latch {
        words = format!(
            "{words}; LATCHED ({}) by {}: {}",
            latch.number, latch.who, latch.reason
        );
    }
    (words, on)
}

async fn info(agent: &CardAgent) -> Result<AgentInfo, String> {
    let entry = AgentEntry {
        name: agent.name.clone(),
        url: agent.url(),
        driver: Driver::Native,
        labels: BTreeMap::new(),
    };
    let driver = driver(&entry, agent.access()).map_err(|error| error.to_string())?;
    match driver.call(Call::Info, &Gate::new()).await {
        Reply::Info { result } => result
            .map(|info| *info)
            .map_err(|failure: Failure| failure.words()),
        other => Err(format!(
            "the driver answered {other:?} to a question for the agent's info"
        )),
    }
}

/// Aborts an open drill on every agent of its card, without a latch: it is a crashed console's, and nobody asked
/// for the targets to stay closed. Whether every agent is proved clean within the limit.
pub async fn abort_open(line: &Arc<AbortLine>, open: &OpenDrill, reason: &str, limit: Duration) -> bool {
    line.begin(Some(open.card.drill.clone()), Clock::start());
    line.hold(open.card.targets());
    let handle = line.handle();
    handle.stop(reason);
    let mut changes = handle.version();
    let clean = async {
        loop {
            let board = handle.board();
            if !board.agents.is_empty() && board.agents.iter().all(|it| it.clean) {
                return;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let proved = tokio::time::timeout(limit, clean).await.is_ok();
    handle.dismiss();
    if proved {
        forget(open);
    }
    proved
}

/// Watches an open drill until no agent holds it any more: every lease ends by itself. Whether that was within the
/// limit; `look` is told of each look.
pub async fn watch_open(open: &OpenDrill, limit: Duration, mut look: impl FnMut(&[Holds])) -> bool {
    let watching = async {
        loop {
            let held = ask(&open.card).await;
            look(&held);
            if held.iter().all(|it| !it.may_be_on) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let over = tokio::time::timeout(limit, watching).await.is_ok();
    if over {
        forget(open);
    }
    over
}

/// Nothing of it is on any more: noted, so that nobody is asked about it again.
pub fn forget(open: &OpenDrill) {
    if let Err(error) = note_aborted(&open.path, &open.card) {
        tracing::warn!(
            "the drill's end is not noted beside {}: {error}",
            open.path.display()
        );
    }
}

/// Where an agent's abort listener is by its own word, if it gives it at once; else it is on the next port.
async fn abort_port(entry: &AgentEntry, credentials: &Credentials) -> Option<u16> {
    let driver = driver(entry, credentials.access(&entry.url)).ok()?;
    let gate = Gate::new();
    let asked = driver.call(Call::Info, &gate);
    match tokio::time::timeout(ASK, asked).await.ok()? {
        Reply::Info { result } => result.ok()?.abort_port,
        _ => None,
    }
}

/// The abort listeners of a plan's agents: whoever has the plan and its tokens may always abort. `Err` names the
/// agents that cannot be found.
pub async fn abort_targets(plan: &Plan, credentials: &Credentials) -> (Vec<AbortTarget>, Vec<String>) {
    let found = plan.agents.iter().enumerate();
    let found = found.map(|(index, entry)| async move {
        let (target, port) = tokio::join!(resolve(entry, index, credentials), abort_port(entry, credentials));
        let mut target = target?;
        if let Some(port) = port {
            target.set_port(port);
        }
        Ok::<_, String>(target)
    });
    let (mut targets, mut lost) = (Vec::new(), Vec::new());
    for target in futures_util::future::join_all(found).await {
        match target {
            Ok(target) => targets.push(target),
            Err(why) => lost.push(why),
        }
    }
    (targets, lost)
}
