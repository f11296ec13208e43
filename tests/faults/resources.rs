//! Faults on what the host has: the victim measures it.

use std::fs;

use anyhow::Context as _;
use firedrill_testing::{Agent, programs};
use serde_json::json;

use crate::{Row, Scene, Seen, holding_child};

const ROW: Row = Row {
    fault: "",
    form: "",
    needs: &[],
    counter: Some("held_bytes"),
    is_one_shot: false,
    set: || anyhow::bail!("a row of its own"),
};

pub const ROWS: &[Row] = &[
    Row {
        fault: "cpu.burn",
        counter: Some("core_s"),
        set: cpu_burn,
        ..ROW
    },
    Row {
        fault: "memory.fill",
        set: memory_fill,
        ..ROW
    },
];

/// The burner's own time on a core grows: what others get of it depends on what else this machine does.
fn cpu_burn() -> anyhow::Result<Scene> {
    let agent = Agent::build(programs!()).start()?;
    let state = agent.state.clone();
    Ok(Scene {
        agent,
        parameters: json!({ "cores": 1, "load": "50%" }),
        scope: json!({}),
        look: Box::new(move || {
            let burning = holding_child(&state)
                .and_then(ticks)
                .is_some_and(|ticks| ticks > 0);
            Ok(if burning { Seen::Hit } else { Seen::Healthy })
        }),
    })
}

/// Clock ticks that a process spent on a core.
fn ticks(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

const MEMORY: u64 = 256 << 20;

/// What is held is taken from the host, as the kernel counts it.
fn memory_fill() -> anyhow::Result<Scene> {
    let agent = Agent::build(programs!()).start()?;
    let state = agent.state.clone();
    Ok(Scene {
        agent,
        parameters: json!({ "size": format!("{MEMORY}B"), "keep_free": "64MiB" }),
        scope: json!({}),
        look: Box::new(move || {
            let held = holding_child(&state)
                .and_then(|child| resident(child).ok())
                .unwrap_or(0);
            Ok(if held >= MEMORY { Seen::Hit } else { Seen::Healthy })
        }),
    })
}

/// What the kernel counts as a process' memory, in bytes.
fn resident(pid: i32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib * 1024)
}
