//! `abort`, `status` (both from the abort card, by any terminal of this account) and `release`.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use firedrill_conductor::{AbortCard, AbortHandle, AbortLine, Clock};
use firedrill_drill::{Call, Failure, Reply};
use firedrill_fleet::{Credentials, Gate, Token, driver};
use firedrill_plan::{AgentEntry, Driver};
use firedrill_scene::AbortStage;
use firedrill_wire::{AgentInfo, ReleaseRequest};

use crate::settings;

/// Something may still be on.
const MAY_BE_ON: u8 = 5;

/// An agent lets no injection live longer than an hour; a minute more for the last read-back.
const HARD_LIMIT: Duration = Duration::from_mins(61);

#[derive(Args)]
pub struct AbortArguments {
    /// Another abort card than this account's newest
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
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
    /// Another abort card than this account's newest
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
    let card = card(arguments.card)?;
    println!(
        "aborting \"{}\" on {} agents, latching",
        card.experiment,
        card.agents.len()
    );
    let line =
        AbortLine::start().context("cannot start the abort line; on each host run: firedrill-agent abort")?;
    line.begin(Some(card.drill.clone()), Clock::start());
    line.hold(card.targets());
    let handle = line.handle();
    handle.press(&arguments.reason, &who());
    let limit = if arguments.until_confirmed {
        HARD_LIMIT
    } else {
        Duration::from_secs(30)
    };
    if follow(&handle, limit) {
        println!(
            "every agent is proved clean; nothing starts until its latch is released: firedrill release"
        );
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("firedrill: not every agent is confirmed; on those hosts run: firedrill-agent abort");
    Ok(ExitCode::from(MAY_BE_ON))
}

/// Prints each agent's stage whenever it changes, until all are proved clean or the limit has passed.
fn follow(handle: &AbortHandle, limit: Duration) -> bool {
    let began = Instant::now();
    let mut said = Vec::new();
    loop {
        let scene = handle.board().scene(true);
        for (i, row) in scene.rows.iter().enumerate() {
            let now = (row.stage, row.words.clone());
            if said.get(i) != Some(&now) {
                println!(
                    "{:<24} {:<12} {:>7.1} ms  {}",
                    row.agent,
                    word(row.stage),
                    row.took_us as f64 / 1e3,
                    row.words
                );
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

fn word(stage: AbortStage) -> &'static str {
    match stage {
        AbortStage::Requested => "requested",
        AbortStage::Received => "received",
        AbortStage::Reverted => "reverted",
        AbortStage::Proved => "proved clean",
        AbortStage::Unconfirmed => "unconfirmed",
    }
}

/// Asks every agent on the card what is on.
pub fn status(arguments: StatusArguments) -> anyhow::Result<ExitCode> {
    let card = card(arguments.card)?;
    println!("drill \"{}\" ({})", card.experiment, card.drill);
    let mut code = ExitCode::SUCCESS;
    for agent in &card.agents {
        let url = format!("http://{}", agent.address);
        match info(&agent.name, &url, agent.token.clone()) {
            Ok(info) => println!("{:<24} {}", agent.name, held(&info)),
            Err(why) => {
                println!("{:<24} no answer, something may be on: {why}", agent.name);
                code = ExitCode::from(MAY_BE_ON);
            }
        }
    }
    Ok(code)
}

fn held(info: &AgentInfo) -> String {
    let open = info.open.as_ref().map_or_else(
        || "nothing of ours on, no drill holds it".to_owned(),
        |open| {
            format!(
                "held by \"{}\" of {} on {}, lease {} ms",
                open.experiment, open.who, open.console, open.lease_left_ms
            )
        },
    );
    match &info.latch {
        Some(latch) => format!(
            "{open}; LATCHED ({}) by {}: {}",
            latch.number, latch.who, latch.reason
        ),
        None => open,
    }
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
        let token = credentials.token(&agent.url).cloned();
        match release_one(agent, token, &arguments.reason) {
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

fn release_one(agent: &AgentEntry, token: Option<Token>, reason: &str) -> anyhow::Result<String> {
    let Some(latch) = info(&agent.name, &agent.url, token.clone())?.latch else {
        return Ok("not latched".to_owned());
    };
    let request = ReleaseRequest {
        latch: latch.number,
        reason: reason.to_owned(),
        who: who(),
    };
    let driver = driver(agent, token)?;
    let released = runtime()?.block_on(driver.release(request)).map_err(failed)?;
    Ok(format!(
        "latch {} released; it said: {}",
        released.latch, latch.reason
    ))
}

fn info(name: &str, url: &str, token: Option<Token>) -> anyhow::Result<AgentInfo> {
    let entry = AgentEntry {
        name: name.to_owned(),
        url: url.to_owned(),
        driver: Driver::Native,
        labels: BTreeMap::default(),
    };
    let driver = driver(&entry, token)?;
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

fn card(path: Option<PathBuf>) -> anyhow::Result<AbortCard> {
    let path = match path {
        Some(path) => path,
        None => settings::folders()?.data.join(settings::ABORT_CARD),
    };
    Ok(AbortCard::read(&path)?)
}

/// The person at this terminal, for the audit.
pub fn who() -> String {
    ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .unwrap_or_else(|| "somebody".to_owned())
}
