//! What runs beside the drill: calls, tests, samplers, watchers. Each tells the drill how it went.

use std::{path::PathBuf, sync::Arc};

use firedrill_drill::{At, Call, Event, Failure, Outgoing, Reply};
use firedrill_fleet::{Driver, Gate};
use firedrill_plan::{AgentCommand, AlertTarget, HttpCall, Plan};
use firedrill_wire::{ActionRequest, DrillId, Fence, OpenRequest, Opened, Scope, StartRequest};
use tokio::sync::mpsc;

use crate::{
    abort::{AbortLine, random_id},
    ledger,
    notices::{self, AlertNews},
};

/// An agent to call.
pub(crate) struct Caller {
    pub(crate) agent: usize,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) gate: Gate,
    pub(crate) sender: mpsc::Sender<Event>,
}

impl Caller {
    /// The drill may be over: then nobody needs it.
    async fn tell(&self, reply: Reply) {
        let agent = self.agent;
        self.sender.send(Event::Agent { agent, reply }).await.ok();
    }
}

/// One call and its reply.
pub(crate) async fn call(caller: Caller, call: Call) {
    let reply = caller.driver.call(call, &caller.gate).await;
    caller.tell(reply).await;
}

/// Follows what happens on the agent.
pub(crate) async fn watch(caller: Caller) {
    let (tell, mut told) = mpsc::channel(16);
    let passing = async {
        while let Some(reply) = told.recv().await {
            caller.tell(reply).await;
        }
    };
    tokio::join!(caller.driver.watch(tell), passing);
}

/// Checks the source of the SLIs, then passes on its samples.
pub(crate) async fn check_source(plan: Arc<Plan>, sender: mpsc::Sender<Event>) {
    let started = firedrill_signals::Sampler::start(&plan);
    let (_sampler, mut samples) = match started {
        Ok(started) => started,
        Err(error) => {
            let result = Err(error.to_string());
            sender.send(Event::SourceChecked { result }).await.ok();
            return;
        }
    };
    let checking = async {
        let result = firedrill_signals::check_source(&plan).await;
        sender.send(Event::SourceChecked { result }).await.ok();
    };
    let sampling = async {
        while let Some(mut batch) = samples.recv().await {
            // All that came since the last batch: one record.
            while let Ok(more) = samples.try_recv() {
                batch.extend(more);
            }
            if sender.send(Event::Samples { samples: batch }).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(checking, sampling);
}

/// Asks an Alertmanager.
pub(crate) async fn open_alerts(url: String, sender: mpsc::Sender<Event>) {
    let result = notices::open_alerts(&url).await;
    sender.send(Event::AlertsChecked { result }).await.ok();
}

/// Adds up what the drills beside this card spent.
pub(crate) async fn history(card: PathBuf, plan: Arc<Plan>, at: At, sender: mpsc::Sender<Event>) {
    let reading = tokio::task::spawn_blocking(move || {
        let drills = card.parent().ok_or("the abort card has no folder")?;
        let budget = plan.guardrails.error_budget.as_ref();
        let sli = budget.and_then(|it| plan.slis.get(it.sli));
        ledger::spent(drills, &plan.system, sli.map(|it| it.name.as_str()), at.wall_ms)
    });
    let result = reading.await.unwrap_or_else(|error| Err(error.to_string()));
    sender.send(Event::HistoryRead { result }).await.ok();
}

/// Tells one of the plan's alerts of a stop.
pub(crate) async fn alert(
    alert: usize,
    target: AlertTarget,
    news: Outgoing<AlertNews>,
    sender: mpsc::Sender<Event>,
) {
    let result = notices::alert(target, news).await;
    sender.send(Event::Alerted { alert, result }).await.ok();
}

/// Sends an emergency action.
pub(crate) async fn act(notice: usize, call: HttpCall, sender: mpsc::Sender<Event>) {
    let result = notices::act(call).await;
    sender.send(Event::Acted { notice, result }).await.ok();
}

/// Has an agent run a command of its host's allow-list, once: what it does may not bear to be done twice.
pub(crate) async fn run_command(
    notice: usize,
    driver: Option<Arc<dyn Driver>>,
    command: AgentCommand,
    request: ActionRequest,
    sender: mpsc::Sender<Event>,
) {
    let result = match driver {
        None => Err(format!("the plan has no agent {}", command.agent)),
        Some(driver) => match driver.act(&command.name, request).await {
            Ok(done) if done.succeeded() => Ok(done.words()),
            Ok(done) => Err(done.words()),
            Err(failure) => Err(failure.words()),
        },
    };
    sender.send(Event::Acted { notice, result }).await.ok();
}

/// Exercises the abort path: opens a drill of its own, starts `noop`, aborts that drill without a latch.
pub(crate) async fn test_abort(
    caller: Caller,
    line: Arc<AbortLine>,
    drill: DrillId,
    (console, who): (String, String),
) {
    let result = tested(
        &*caller.driver,
        &caller.gate,
        &line,
        caller.agent,
        drill,
        console,
        who,
    )
    .await;
    caller.tell(Reply::AbortTested { result }).await;
}

/// Microseconds from the send of the abort to the end of its answer.
pub(crate) async fn tested(
    driver: &dyn Driver,
    gate: &Gate,
    line: &AbortLine,
    agent: usize,
    drill: DrillId,
    console: String,
    who: String,
) -> Result<u64, String> {
    let open = OpenRequest {
        drill: drill.clone(),
        nonce: random_id(),
        experiment: "test of the abort path".to_owned(),
        console,
        who,
        lease_ms: 5_000,
    };
    let opened = match driver.call(Call::Open(open), gate).await {
        Reply::Opened { result } => result.map_err(|failure| words("opening", &failure))?,
        other => return Err(format!("the driver answered an opening with {other:?}")),
    };
    let id = format!("noop-{}", random_id());
    let start = Call::Start(id.into(), Box::new(noop(&drill, &opened)));
    let begun = match driver.call(start, gate).await {
        Reply::Started { result, .. } => result.map_err(|failure| words("starting noop", &failure)),
        other => Err(format!("the driver answered a start with {other:?}")),
    };
    // Whatever came of the start: what was opened is aborted.
    let took = line.test(agent, drill).await;
    begun.and(took)
}

fn noop(drill: &DrillId, opened: &Opened) -> StartRequest {
    StartRequest {
        fence: Fence {
            drill: drill.clone(),
            epoch: opened.epoch,
            instance: opened.stamp.instance.clone(),
            holder: opened.holder.clone(),
        },
        fault: "noop".into(),
        parameters: serde_json::json!({}),
        scope: Scope::default(),
        ends_in_ms: 10_000,
        ramp_ms: 0,
        not_after: opened.stamp.tick.plus_ms(3_000),
    }
}

fn words(what: &str, failure: &Failure) -> String {
    match failure {
        Failure::Refused { problem } => format!("{what} was refused: {problem}"),
        Failure::NoAnswer { why } => format!("{what}: {why}"),
    }
}
