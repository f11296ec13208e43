//! Console, agent and proxy killed with SIGKILL: when is the client served normally again?

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use firedrill_demo::Build;
use firedrill_testing::{Agent, Connection, PATIENCE, Rig, Times, get, millis, programs, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::Effort;
use crate::measure::{Row, Samples};

/// The lease of the drill whose console is killed, in seconds.
const LEASE_S: u32 = 2;

pub fn measure(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let (mut consoles, mut agents, mut proxies) = <(Samples, Samples, Samples)>::default();
    for _ in 0..effort.samples(20) {
        agents.add(agent_killed()?);
        proxies.add(proxy_killed()?);
    }
    for _ in 0..effort.samples(50).min(5) {
        consoles.add(console_killed()?);
    }
    let lease = f64::from(LEASE_S) * 1e3;
    Ok(vec![
        Row::at_most(
            "agent killed → a held client is answered, max",
            "ms",
            agents.max(),
            1_000.0,
        )
        .with(json!({ "ms": agents.json() })),
        Row::at_most(
            "proxy killed → the route answers, max",
            "ms",
            proxies.max(),
            1_000.0,
        )
        .with(json!({ "ms": proxies.json() })),
        Row::at_most(
            "console killed → the client is served normally, max",
            "ms",
            consoles.max(),
            lease + 500.0,
        )
        .with(json!({ "ms": consoles.json(), "lease_ms": lease })),
    ])
}

fn agent_killed() -> anyhow::Result<Duration> {
    let (mut agent, _upstream) = Agent::holding(programs!())?;
    let mut waiting = Connection::open(agent.route("web")?, PATIENCE)?;
    waiting.send("GET", "/", &[], "")?;
    std::thread::sleep(Duration::from_millis(100));
    let began = Instant::now();
    agent.process.kill()?;
    ensure!(waiting.answer()?.status == 200, "not answered normally");
    Ok(began.elapsed())
}

fn proxy_killed() -> anyhow::Result<Duration> {
    let (agent, _upstream) = Agent::holding(programs!())?;
    let (route, proxy) = (agent.route("web")?, agent.proxy_pid().context("no proxy")?);
    kill(Pid::from_raw(proxy.cast_signed()), Signal::SIGKILL)?;
    let ((), took) = wait_until(PATIENCE, "the route answers", || {
        Ok((get(route, "/", Duration::from_secs(5))?.status == 200).then_some(()))
    })?;
    Ok(took)
}

fn console_killed() -> anyhow::Result<Duration> {
    let times = Times {
        baseline_s: 2,
        fault_s: 60,
        lease_s: LEASE_S,
        ..Times::default()
    };
    let rig = Rig::start(programs!(), Build::Hardened, times)?;
    let mut console = rig.run_until_fault()?;
    console.process.kill()?;
    let took = rig.wait_until_normal(PATIENCE)?;
    eprintln!("  console killed: {:.0} ms", millis(took));
    Ok(took)
}
