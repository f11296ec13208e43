//! `abort`, `status` (both from the abort card, by any terminal of this account) and `release`.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use firedrill_conductor::{
    AbortCard, AbortHandle, AbortLine, AbortTarget, Clock, OpenDrill, abort_targets, ask, forget,
    open_drills, ours, time_of_day, wall_ms,
};
use firedrill_drill::{Call, Failure, Outgoing, REAL_INCIDENT, Redaction, Reply, is_real_incident};
use firedrill_fleet::{Access, Credentials, Gate, driver};
use firedrill_plan::{AgentEntry, Driver};
use firedrill_scene::AbortStage;
use firedrill_wire::{AgentInfo, DrillId, ReleaseRequest};

use crate::settings;

/// Something may still be on.
const MAY_BE_ON: u8 = 5;

/// An agent lets no injection live longer than an hour; a minute more for the last read-back.
const HARD_LIMIT: Duration = Duration::from_mins(61);

#[derive(Args)]
pub struct AbortArguments {
    /// This abort card; otherwise those of all drills of this account that are open, or the newest
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// Every agent of this plan, whoever holds it; needs its tokens, but no card
    #[arg(long, value_name = "PLAN", conflicts_with = "card")]
    plan: Option<PathBuf>,
    /// Why; goes into the agents' audit logs
    #[arg(long, default_value = "firedrill abort")]
    reason: String,
    /// Go on until every agent is proved clean, at most until their own hard limit has ended everything (1 h);
    /// otherwise give up the waiting after 30 s
    #[arg(long)]
    until_confirmed: bool,
}

#[derive(Args)]
pub struct StatusArguments {
    /// This abort card; otherwise those of all drills of this account that are open, or the newest
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
}

#[derive(Args)]
pub struct ReleaseArguments {
    /// The plan whose agents are released
    plan: PathBuf,
    /// Only this agent of it
    #[arg(long)]
    agent: Option<String>,
    /// Why it is safe to start again
    #[arg(long)]
    reason: String,
}

/// Sends the abort to every agent on the card and says each stage as it comes.
pub fn abort(arguments: AbortArguments) -> anyhow::Result<ExitCode> {
    let (cards, drill, targets) = match &arguments.plan {
        Some(plan) => match targets_of_plan(plan)? {
            Ok(targets) => (Vec::new(), None, targets),
            Err(code) => return Ok(code),
        },
        None => targets_of_cards(arguments.card, &arguments.reason)?,
    };
    let redaction = cards
        .iter()
        .map(|open| redaction(open, &arguments.reason))
        .find(|it| it.hides())
        .unwrap_or_default();
    println!("aborting on {} agents, latching", targets.len());
    let line =
        AbortLine::start().context("cannot start the abort line; on each host run: firedrill-agent abort")?;
    line.begin(drill, Clock::start());
    line.hold(targets);
    let handle = line.handle();
    handle.press(&arguments.reason, &who());
    let limit = if arguments.until_confirmed {
        HARD_LIMIT
    } else {
        Duration::from_secs(30)
    };
    if follow(&handle, limit, redaction) {
        for open in cards.iter().filter(|it| !it.runs) {
            forget(open);
        }
        println!(
            "every agent is proved clean; nothing starts until its latch is released: firedrill release"
        );
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("firedrill: not every agent is confirmed; on those hosts run: firedrill-agent abort");
    Ok(ExitCode::from(MAY_BE_ON))
}

/// Of every open drill, or of the newest: the cards, the newest's drill, and every agent on any of them once.
fn targets_of_cards(
    path: Option<PathBuf>,
    reason: &str,
) -> anyhow::Result<(Vec<OpenDrill>, Option<DrillId>, Vec<AbortTarget>)> {
    let cards = cards(path)?;
    let mut targets: Vec<AbortTarget> = Vec::new();
    for open in &cards {
        let name = format!("\"{}\" ({})", open.card.experiment, open.card.drill);
        tell(&redaction(open, reason).pass(name));
        for mut target in open.card.targets() {
            if targets.iter().all(|known| known.address != target.address) {
                target.agent = targets.len();
                targets.push(target);
            }
        }
    }
    let drill = cards.first().map(|open| open.card.drill.clone());
    Ok((cards, drill, targets))
}

fn targets_of_plan(plan: &Path) -> anyhow::Result<Result<Vec<AbortTarget>, ExitCode>> {
    let plan = match super::plan::read(plan)? {
        Ok((_, plan)) => plan,
        Err(code) => return Ok(Err(code)),
    };
    let credentials = Credentials::load(&settings::folders()?.config.join(settings::CREDENTIALS))?;
    let (targets, lost) = runtime()?.block_on(abort_targets(&plan, &credentials));
    for why in lost {
        eprintln!("firedrill: {why}; on its host run: firedrill-agent abort");
    }
    anyhow::ensure!(!targets.is_empty(), "no agent of the plan can be found");
    Ok(Ok(targets))
}

/// A real incident is no exercise: whoever stops it is told what it is.
fn redaction(open: &OpenDrill, reason: &str) -> Redaction {
    if is_real_incident(reason) {
        Redaction::Nothing
    } else {
        open.card.redaction()
    }
}

fn tell(words: &Outgoing<String>) {
    println!("{}", **words);
}

/// Prints each agent's stage whenever it changes, until all are proved clean or the limit has passed.
fn follow(handle: &AbortHandle, limit: Duration, redaction: Redaction) -> bool {
    let began = Instant::now();
    let mut said = Vec::new();
    loop {
        let scene = handle.board().scene(true);
        for (i, row) in scene.rows.iter().enumerate() {
            let now = (row.stage, row.words.clone());
            if said.get(i) != Some(&now) {
                let line = format!(
                    "{:<24} {:<12} {:>7.1} ms  {}",
                    row.agent,
                    word(row.stage),
                    row.took_us as f64 / 1e3,
                    row.words
                );
                // Where somebody has to go is said, whatever is sealed.
                let lost = row.stage == AbortStage::Unconfirmed;
                let redaction = if lost { Redaction::Nothing } else { redaction };
                tell(&redaction.pass(line));
                if said.len() <= i {
                    said.resize(i + 1, (AbortStage::Requested, String::new()));
                }
                said[i] = now;
            }
        }
        // A pipe that is gone must not end an abort.
        let _told = std::io::stdout().flush();
        if !scene.rows.is_empty() && scene.proved == scene.rows.len() {
            return true;
        }
        if began.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A stage as a terminal says it.
pub fn word(stage: AbortStage) -> &'static str {
    match stage {
        AbortStage::Requested => "requested",
        AbortStage::Received => "received",
        AbortStage::Reverted => "reverted",
        AbortStage::Proved => "proved clean",
        AbortStage::Unconfirmed => "unconfirmed",
    }
}

/// Asks every agent of every open drill what is on.
pub fn status(arguments: StatusArguments) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for open in cards(arguments.card)? {
        let held = runtime()?.block_on(ask(&open.card));
        // The header's own sentence.
        let drill = (open.card.experiment.as_str(), open.card.drill.as_str());
        let sentence = ours(&held).told(Some(drill), None, wall_ms(), time_of_day);
        let redaction = open.card.redaction();
        tell(&redaction.pass(sentence));
        if redaction.hides() {
            println!("it is sealed; stop it all the same with: firedrill abort");
            println!(
                "in a real incident, so that everybody is told what it is: firedrill abort --reason \"{REAL_INCIDENT}\""
            );
        } else {
            for it in &held {
                tell(&redaction.pass(format!("{:<24} {}", it.agent, it.words)));
            }
        }
        let unknown = held.iter().any(|it| it.words.starts_with("no answer"));
        let on = held.iter().any(|it| it.may_be_on);
        if unknown {
            code = ExitCode::from(MAY_BE_ON);
        }
        if open.runs {
            println!("its console runs; stop it from here with: firedrill abort");
        } else if on {
            println!(
                "its console is GONE without an end; abort it with: firedrill abort (or wait until its leases end)"
            );
        } else {
            forget(&open);
        }
    }
    Ok(code)
}

/// Releases the latches of a plan's agents.
pub fn release(arguments: ReleaseArguments) -> anyhow::Result<ExitCode> {
    let plan = match super::plan::read(&arguments.plan)? {
        Ok((_, plan)) => plan,
        Err(code) => return Ok(code),
    };
    let folders = settings::folders()?;
    let credentials = Credentials::load(&folders.config.join(settings::CREDENTIALS))?;
    let chosen: Vec<_> = plan
        .agents
        .iter()
        .filter(|agent| arguments.agent.as_ref().is_none_or(|name| *name == agent.name))
        .collect();
    anyhow::ensure!(!chosen.is_empty(), "the plan has no agent of that name");
    let mut refused = 0;
    for agent in chosen {
        let access = credentials.access(&agent.url);
        match release_one(agent, access, &arguments.reason) {
            Ok(words) => println!("{:<24} {words}", agent.name),
            Err(why) => {
                refused += 1;
                println!("{:<24} not released: {why}", agent.name);
            }
        }
    }
    Ok(if refused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn release_one(agent: &AgentEntry, access: Access, reason: &str) -> anyhow::Result<String> {
    let Some(latch) = info(&agent.name, &agent.url, access.clone())?.latch else {
        return Ok("not latched".to_owned());
    };
    let request = ReleaseRequest {
        latch: latch.number,
        reason: reason.to_owned(),
        who: who(),
    };
    let driver = driver(agent, access)?;
    let released = runtime()?.block_on(driver.release(request)).map_err(failed)?;
    Ok(format!(
        "latch {} released; it said: {}",
        released.latch, latch.reason
    ))
}

/// Who an agent is.
pub fn info(name: &str, url: &str, access: Access) -> anyhow::Result<AgentInfo> {
    let entry = AgentEntry {
        name: name.to_owned(),
        url: url.to_owned(),
        driver: Driver::Native,
        labels: BTreeMap::default(),
    };
    let driver = driver(&entry, access)?;
    match runtime()?.block_on(driver.call(Call::Info, &Gate::new())) {
        Reply::Info { result } => result.map(|info| *info).map_err(failed),
        other => anyhow::bail!("the driver answered {other:?} to a question for the agent's info"),
    }
}

fn failed(failure: Failure) -> anyhow::Error {
    match failure {
        Failure::Refused { problem } => anyhow::anyhow!("{problem}"),
        Failure::NoAnswer { why } => anyhow::anyhow!("{why}"),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// The named card; otherwise the open drills of this account, or its newest card.
fn cards(path: Option<PathBuf>) -> anyhow::Result<Vec<OpenDrill>> {
    let drills = settings::folders()?.data.join(settings::DRILLS);
    let open = open_drills(&drills);
    if let Some(path) = path {
        let runs = open.iter().any(|it| it.runs && it.path == path);
        let card = AbortCard::read(&path)?;
        return Ok(vec![OpenDrill { path, card, runs }]);
    }
    if !open.is_empty() {
        return Ok(open);
    }
    let newest = firedrill_conductor::cards(&drills).into_iter().next();
    let path = newest.unwrap_or_else(|| drills.join("abort-card.json"));
    let card = AbortCard::read(&path)?;
    Ok(vec![OpenDrill {
        path,
        card,
        runs: false,
    }])
}

/// The person at this terminal, for the audit.
pub fn who() -> String {
    ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .unwrap_or_else(|| "somebody".to_owned())
}
