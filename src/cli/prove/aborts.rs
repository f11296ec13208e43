//! The press of ABORT, by the console's own abort line, against real agents, each with a process that it has paused.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use firedrill_conductor::{AbortLine, AbortTarget, Board, Clock};
use firedrill_fleet::Token;
use serde_json::json;

use super::Budget;
use super::host::{Agent, PATIENCE, Process};
use super::table::Row;

/// From the press to the last read-back of all agents.
const LIMIT_MS: f64 = 1_000.0;
/// Long enough that no lapse is taken for an abort.
const LEASE_MS: u64 = 60_000;
/// A process that was paused runs again, as the kernel says, within this time of its read-back.
const SEEN_LIMIT: Duration = Duration::from_millis(200);

/// Presses until the budget is used up.
pub fn campaign(agents: usize, budget: Budget) -> anyhow::Result<Row> {
    let program = std::env::current_exe().context("where this program is cannot be found out")?;
    let agents: Vec<Agent> = (0..agents)
        .map(|_| Agent::start(&program, None))
        .collect::<anyhow::Result<_>>()?;
    let sleepers: Vec<Process> = agents.iter().map(|_| sleeper()).collect::<anyhow::Result<_>>()?;
    let line = AbortLine::start()?;
    let mut row = Row {
        what: format!("ABORT pressed → {} agents read back", agents.len()),
        tried: 0,
        took_ms: Vec::new(),
        limit_ms: Some(LIMIT_MS),
        violations: Vec::new(),
    };
    let mut tried = 0;
    while !budget.is_over(tried) {
        tried += 1;
        match round(&line, &agents, &sleepers, tried) {
            Ok(ms) => {
                row.took_ms.push(ms);
                if ms > LIMIT_MS {
                    row.violations
                        .push(format!("round {tried}: only after {ms:.0} ms"));
                }
            }
            Err(error) => row.violations.push(format!("round {tried}: {error:#}")),
        }
    }
    row.tried = u64::from(tried);
    Ok(row)
}

/// What is paused.
fn sleeper() -> anyhow::Result<Process> {
    let child = Command::new("sleep")
        .arg("86400")
        .stdin(Stdio::null())
        .spawn()
        .context("`sleep` cannot be started")?;
    Ok(Process(child))
}

/// One press; milliseconds until the slowest agent has read back.
fn round(line: &AbortLine, agents: &[Agent], sleepers: &[Process], number: u32) -> anyhow::Result<f64> {
    let drill = format!("prove-{number}");
    line.begin(Some(drill.as_str().into()), Clock::start());
    if number == 1 {
        line.hold(agents.iter().enumerate().map(target).collect());
    }
    wait(line, |board| {
        board.agents.len() == agents.len() && board.agents.iter().all(|it| it.beats > 0)
    })?;
    for (agent, sleeper) in agents.iter().zip(sleepers) {
        let fence = agent.open(&drill, LEASE_MS)?;
        let scope = json!({ "pid": sleeper.0.id() });
        agent.inject(&fence, &drill, "process.pause", &json!({}), &scope)?;
        ensure!(
            is_paused(sleeper)?,
            "a pause is called on and the process runs: the trial shows nothing"
        );
    }
    let handle = line.handle();
    handle.press("firedrill prove", "prove");
    let board = wait(line, |board| board.press.is_some() && !board.is_aborting())?;
    let mut worst_us = 0;
    for state in &board.agents {
        let abort = state.abort.as_ref().context("an agent has not answered")?;
        ensure!(
            abort.proved_us.is_some(),
            "{} is not proved clean",
            agents[state.agent].url()
        );
        worst_us = worst_us.max(abort.reverted_us.context("an agent has not read back")?);
    }
    // Nobody's word is taken for it.
    let began = Instant::now();
    for (agent, sleeper) in agents.iter().zip(sleepers) {
        while is_paused(sleeper)? {
            ensure!(
                began.elapsed() < SEEN_LIMIT,
                "a process is still paused after its read-back"
            );
        }
        agent.release()?;
    }
    Ok(worst_us as f64 / 1e3)
}

fn target((index, agent): (usize, &Agent)) -> AbortTarget {
    AbortTarget {
        agent: index,
        name: format!("agent-{index}"),
        address: agent.abort_listen,
        host: agent.abort_listen.to_string(),
        token: Some(Token::new(&agent.abort_token)),
        tls: None,
    }
}

/// Whether the kernel says that it is stopped, or that its group is frozen.
fn is_paused(process: &Process) -> anyhow::Result<bool> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.0.id()))?;
    let (_, after_name) = stat.rsplit_once(')').context("no name in a stat")?;
    Ok(after_name
        .split_whitespace()
        .next()
        .is_some_and(|state| state == "T" || state == "t"))
}

fn wait(line: &AbortLine, cond: impl Fn(&Board) -> bool) -> anyhow::Result<Board> {
    let began = Instant::now();
    loop {
        let board = line.handle().board();
        if cond(&board) {
            return Ok(board);
        }
        ensure!(
            began.elapsed() < PATIENCE,
            "the abort line has not got so far: {board:?}"
        );
        std::thread::sleep(Duration::from_micros(200));
    }
}
