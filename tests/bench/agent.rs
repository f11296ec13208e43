//! What the agent weighs: its program stripped, and the memory of agent, keeper and proxy at rest.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use firedrill_testing::{Agent, Folder, Upstream, get, programs};
use serde_json::json;

use crate::Effort;
use crate::measure::Row;

pub fn measure(_effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let upstream = Upstream::start()?;
    let agent = Agent::build(programs!())
        .http_route("web", upstream.address())?
        .start()?;
    // It has worked once, and rests.
    ensure!(
        get(agent.route("web")?, "/", Duration::from_secs(5))?.status == 200,
        "the route does not answer"
    );
    agent.info()?;
    std::thread::sleep(Duration::from_secs(2));
    let own = pss_mb(agent.process.pid())?;
    let proxy = pss_mb(agent.proxy_pid().context("no proxy")?)?;
    let keeper = pss_mb(agent.keeper_pid().context("no keeper")?)?;
    let mut rows = vec![
        Row::at_most(
            "agent, keeper and proxy idle, PSS together",
            "MB",
            own + keeper + proxy,
            12.0,
        )
        .with(json!({ "agent_mb": own, "keeper_mb": keeper, "proxy_mb": proxy })),
    ];
    let folder = Folder::new()?;
    let stripped = folder.path().join("agent");
    let done = Command::new("strip")
        .arg("-o")
        .arg(&stripped)
        .arg(programs!().agent)
        .status();
    if done.is_ok_and(|status| status.success()) {
        let mb = fs::metadata(&stripped)?.len() as f64 / 1e6;
        rows.push(Row::at_most("firedrill-agent, stripped", "MB", mb, 8.0));
    }
    Ok(rows)
}

/// The share of memory that is its own, in megabytes.
fn pss_mb(pid: u32) -> anyhow::Result<f64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .context("no Pss")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024.0 / 1e6)
}
