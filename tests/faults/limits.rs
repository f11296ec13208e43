//! Faults on the limits of a process and of its cgroup, on its disk, and load on a service: the victim notices.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use firedrill_testing::{Agent, Cgroup, Folder, Peer, Process, Upstream, programs};
use serde_json::{Value, json};

use crate::{Row, Scene, Seen, holding_child};

const ROW: Row = Row {
    fault: "",
    form: "",
    needs: &[Peer::Root],
    counter: None,
    is_one_shot: false,
    set: || bail!("a row of its own"),
};

pub const ROWS: &[Row] = &[
    Row {
        fault: "disk.fill",
        needs: &[],
        counter: Some("held_bytes"),
        set: disk_fill,
        ..ROW
    },
    Row {
        fault: "fd.exhaust",
        needs: &[],
        counter: Some("soft_limit"),
        // The shell opens a file for each word.
        set: || said(json!({}), None, "true </dev/null && echo tick; sleep 0.01"),
        ..ROW
    },
    Row {
        fault: "cpu.throttle",
        counter: Some("throttled"),
        set: cpu_throttle,
        ..ROW
    },
    Row {
        fault: "disk.slow",
        counter: Some("bytes_written"),
        set: || {
            let write = "dd if=/dev/zero of=victim bs=256k count=1 oflag=direct conv=notrunc && echo tick";
            said(json!({ "rate": "50KB/s" }), Some("blkio io"), write)
        },
        ..ROW
    },
    Row {
        fault: "memory.oom",
        counter: Some("oom_kills"),
        is_one_shot: true,
        // It holds something, and starts nobody, who would be as quick to go as it.
        set: || {
            let hold = r#"[ -n "$x" ] || x=$(head -c 8000000 /dev/zero | tr '\0' x); i=0; while [ $i -lt 5000 ]; do i=$((i+1)); done; echo tick"#;
            said(json!({}), Some("memory memory"), hold)
        },
        ..ROW
    },
    Row {
        fault: "process.pause",
        form: "by the freezer",
        counter: Some("paused_s"),
        set: || said(json!({ "how": "freezer" }), Some("freezer -"), TICK),
        ..ROW
    },
    Row {
        fault: "process.pause",
        form: "by a signal",
        needs: &[],
        counter: Some("paused_s"),
        set: || said(json!({ "how": "signal" }), None, TICK),
        ..ROW
    },
    Row {
        fault: "load.http",
        needs: &[],
        counter: Some("answered_2xx"),
        set: load_http,
        ..ROW
    },
];

const TICK: &str = "echo tick; sleep 0.01";

const SPACE: u64 = 256 << 20;

/// What is held is taken from the file system, as that counts it; how much others have left depends on them too.
fn disk_fill() -> anyhow::Result<Scene> {
    let agent = Agent::build(programs!()).start()?;
    let state = agent.state.clone();
    let folder = state.canonicalize()?;
    Ok(Scene {
        agent,
        parameters: json!({ "path": folder, "size": format!("{SPACE}B") }),
        scope: json!({}),
        look: Box::new(move || {
            let held = holding_child(&state).map_or(0, nameless_bytes);
            Ok(if held >= SPACE { Seen::Hit } else { Seen::Healthy })
        }),
    })
}

/// What a process holds in files without a name.
fn nameless_bytes(pid: i32) -> u64 {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    let files = open.filter_map(|entry| fs::metadata(entry.ok()?.path()).ok());
    let nameless = files.filter(|file| file.is_file() && file.nlink() == 0);
    nameless.map(|file| file.blocks() * 512).sum()
}

/// A shell that does something again and again, in a cgroup with this controller.
fn repeating(cgroup: Option<&Cgroup>, what: &str, folder: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new("sh");
    let join = match cgroup {
        Some(cgroup) => format!("echo $$ > {}; ", cgroup.procs().display()),
        None => String::new(),
    };
    let script = format!("exec 2>/dev/null; {join}while :; do {what}; done");
    command.args(["-c", &script]).current_dir(folder);
    Process::start("victim", command, folder)
}

/// It says a word each time: silence for a while is what a client would notice.
fn said(parameters: Value, controller: Option<&str>, what: &str) -> anyhow::Result<Scene> {
    let cgroup = controller.map(Cgroup::new).transpose()?;
    let folder = Folder::new()?;
    let mut victim = repeating(cgroup.as_ref(), what, folder.path())?;
    let agent = Agent::build(programs!()).start()?;
    Ok(Scene {
        agent,
        parameters,
        scope: json!({ "pid": victim.pid() }),
        look: Box::new(move || {
            while victim.line(Duration::ZERO).is_ok() {}
            // Kept for the victim, which is named first: what a closure takes goes in that order.
            let _kept = (&folder, &cgroup);
            let ticks = victim.line(Duration::from_millis(600)).is_ok();
            Ok(if ticks { Seen::Healthy } else { Seen::Hit })
        }),
    })
}

/// The kernel counts how often it has held a cgroup back that would have gone on.
fn cpu_throttle() -> anyhow::Result<Scene> {
    let cgroup = Cgroup::new("cpu cpu")?;
    let folder = Folder::new()?;
    let victim = repeating(Some(&cgroup), ":", folder.path())?;
    let agent = Agent::build(programs!()).start()?;
    let pid = victim.pid();
    Ok(Scene {
        agent,
        parameters: json!({ "share": "95%" }),
        scope: json!({ "pid": pid }),
        look: Box::new(move || {
            let _kept = (&folder, &victim);
            let throttled = || -> anyhow::Result<u64> {
                let text = fs::read_to_string(cgroup.folder.join("cpu.stat"))?;
                let line = text.lines().find_map(|line| line.strip_prefix("nr_throttled "));
                Ok(line.context("no nr_throttled")?.parse()?)
            };
            let before = throttled()?;
            std::thread::sleep(Duration::from_millis(400));
            Ok(if throttled()? > before {
                Seen::Hit
            } else {
                Seen::Healthy
            })
        }),
    })
}

/// A service that nobody else calls hears from it.
fn load_http() -> anyhow::Result<Scene> {
    let heard = Arc::new(AtomicU64::new(0));
    let of_service = Arc::clone(&heard);
    let service = Upstream::serving("text/plain", move |_: &str| {
        of_service.fetch_add(1, Ordering::SeqCst);
        "ok".to_owned()
    })?;
    let agent = Agent::build(programs!()).start()?;
    Ok(Scene {
        agent,
        parameters: json!({ "url": format!("http://{}/", service.address()), "rate": 50 }),
        scope: json!({}),
        look: Box::new(move || {
            let _kept = &service;
            let before = heard.load(Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(400));
            let more = heard.load(Ordering::SeqCst) > before;
            Ok(if more { Seen::Hit } else { Seen::Healthy })
        }),
    })
}
