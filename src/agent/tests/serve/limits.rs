//! What the faults do that lower a limit of a process or of its cgroup, seen by the process.

use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::rig::{Drill, Process, Rig, Victim, until};
use crate::told::{Cgroup, Told};

pub const TESTS: &[(&str, fn())] = &[
    ("a_process_opens_no_more_files", a_process_opens_no_more_files),
    (
        "a_limit_is_back_when_the_agent_dies",
        a_limit_is_back_when_the_agent_dies,
    ),
    (
        "a_limit_that_others_changed_is_left",
        a_limit_that_others_changed_is_left,
    ),
    (
        "who_shares_the_agents_cgroup_is_spared",
        who_shares_the_agents_cgroup_is_spared,
    ),
];

/// They make a cgroup with this controller, of version 1 and of version 2.
#[expect(clippy::type_complexity, reason = "a table")]
pub const WITH_CGROUP: &[(&str, &str, &str, fn())] = &[
    ("a_cgroup_gets_less_time", "cpu", "cpu", a_cgroup_gets_less_time),
    (
        "less_time_ends_with_the_agent",
        "cpu",
        "cpu",
        less_time_ends_with_the_agent,
    ),
    (
        "a_disk_is_slow_for_a_cgroup",
        "blkio",
        "io",
        a_disk_is_slow_for_a_cgroup,
    ),
    (
        "a_slow_disk_ends_with_the_agent",
        "blkio",
        "io",
        a_slow_disk_ends_with_the_agent,
    ),
    (
        "the_kernel_kills_for_want_of_memory",
        "memory",
        "memory",
        the_kernel_kills_for_want_of_memory,
    ),
];

fn change(drill: &mut Drill, revision: u32, parameters: Value) {
    let change = json!({
        "fence": drill.fence, "revision": revision, "not_after": u64::MAX, "parameters": parameters,
    });
    drill
        .client
        .call("PATCH", "/v1/injections/i1", &change)
        .expect(200);
}

fn reverted(drill: &mut Drill) -> Value {
    let gone = drill.client.delete("/v1/injections/i1").expect(200);
    assert_eq!(gone["state"], "reverted", "{gone}");
    until("proved", || {
        Some(drill.view("i1")).filter(|view| !view["proved"].is_null())
    });
    gone
}

const FULL: &str = "EMFILE: Too many open files";

fn a_process_opens_no_more_files() {
    let (rig, mut victim) = (Rig::new(), Told::new(&[]));
    let mut drill = Drill::open(rig.client(), "d1");
    assert_eq!(victim.ask("open"), "opened");
    let limits = || std::fs::read_to_string(format!("/proc/{}/limits", victim.child.id())).unwrap();
    let before = limits();
    let view = drill.start("i1", "fd.exhaust", json!({}), json!({ "pid": victim.child.id() }));
    assert_eq!(view["evidence"]["counts"]["free"], 0.0, "{view}");
    let during = limits();
    assert_eq!(victim.ask("open"), FULL);
    change(&mut drill, 1, json!({ "share": "50%" }));
    assert_eq!(victim.ask("open"), "opened");
    change(&mut drill, 2, json!({ "share": "100%" }));
    assert_eq!(victim.ask("open"), FULL);
    reverted(&mut drill);
    assert_eq!(victim.ask("open"), "opened");
    let after = std::fs::read_to_string(format!("/proc/{}/limits", victim.child.id())).unwrap();
    assert_eq!(before, after);
    assert_ne!(before, during);
}

fn a_limit_is_back_when_the_agent_dies() {
    let (temp, mut victim) = (tempfile::tempdir().unwrap(), Told::new(&[]));
    let mut process = Process::start(&temp.path().join("state"));
    let mut drill = Drill::open(process.client(), "d1");
    drill.start("i1", "fd.exhaust", json!({}), json!({ "pid": victim.pid() }));
    change(&mut drill, 1, json!({ "share": "99%" }));
    change(&mut drill, 2, json!({ "share": "100%" }));
    assert_eq!(victim.ask("open"), FULL);
    process.signal(Signal::SIGKILL);
    process.child.wait().unwrap();
    until("it opens files again", || {
        (victim.ask("open") == "opened").then_some(())
    });
}

fn a_limit_that_others_changed_is_left() {
    let (rig, victim) = (Rig::new(), Victim::new());
    let mut drill = Drill::open(rig.client(), "d1");
    drill.start("i1", "fd.exhaust", json!({}), json!({ "pid": victim.pid() }));
    let exactly = firedrill_agent::undo::Exactly::now(victim.pid()).unwrap();
    firedrill_agent::undo::open_files::set(exactly, 77).unwrap();
    let gone = reverted(&mut drill);
    assert!(
        gone["evidence"]["words"].to_string().contains("left as it is"),
        "{gone}"
    );
    let limits = firedrill_agent::undo::open_files::OpenFiles::of(victim.pid()).unwrap();
    assert_eq!(limits.soft, Some(77));
}

/// The test's process is the agent, and its children are in its cgroups.
fn who_shares_the_agents_cgroup_is_spared() {
    let (rig, victim) = (Rig::new(), Victim::new());
    let mut drill = Drill::open(rig.client(), "d1");
    for (id, fault, parameters) in [
        ("i1", "cpu.throttle", json!({ "share": "50%" })),
        ("i2", "memory.oom", Value::Null),
        ("i3", "disk.slow", json!({ "rate": "1MB/s" })),
    ] {
        let body = drill.body(fault, parameters, json!({ "pid": victim.pid() }));
        drill
            .client
            .call("PUT", &format!("/v1/injections/{id}"), &body)
            .expect(422);
    }
    assert!(victim.goes_on());
}

/// The cores that a victim has, over a while.
fn cores(victim: &Told) -> f64 {
    let (began, before) = (Instant::now(), victim.core_s());
    std::thread::sleep(Duration::from_millis(1_500));
    (victim.core_s() - before) / began.elapsed().as_secs_f64()
}

/// All that says how much time a cgroup gets, with something saved up where the kernel does that.
fn time_of(cgroup: &Cgroup) -> Vec<String> {
    let files: &[&str] = if cgroup.is_of_version_1() {
        &["cpu.cfs_burst_us", "cpu.cfs_quota_us", "cpu.cfs_period_us"]
    } else {
        &["cpu.max.burst", "cpu.max"]
    };
    let there = files.iter().filter(|file| cgroup.folder.join(file).exists());
    there.map(|file| cgroup.read(file)).collect()
}

fn may_burst(cgroup: &Cgroup) {
    for file in ["cpu.cfs_burst_us", "cpu.max.burst"] {
        let path = cgroup.folder.join(file);
        if path.exists() {
            std::fs::write(path, "30000").unwrap();
        }
    }
}

fn a_cgroup_gets_less_time() {
    let (rig, cgroup) = (Rig::new(), Cgroup::new("cpu", "cpu").unwrap());
    let victim = Told::inside(&cgroup, &["spin"]);
    may_burst(&cgroup);
    let before = time_of(&cgroup);
    let host = std::thread::available_parallelism().unwrap().get() as f64;
    let mut drill = Drill::open(rig.client(), "d1");
    // A twentieth of a core is left.
    let share = |cores: f64| json!({ "share": 1.0 - cores / host });
    drill.start("i1", "cpu.throttle", share(0.05), json!({ "pid": victim.pid() }));
    let during = cores(&victim);
    assert!(during < 0.1, "{during} cores");
    until("the evidence tells it", || {
        (drill.view("i1")["evidence"]["counts"]["throttled"].as_f64()? > 3.0).then_some(())
    });
    change(&mut drill, 1, share(0.15));
    let more = cores(&victim);
    assert!(more < 0.25 && more > during, "{more} cores after {during}");
    reverted(&mut drill);
    assert_eq!(time_of(&cgroup), before);
    let throttled = cgroup.count("cpu.stat", "nr_throttled");
    let after = cores(&victim);
    assert!(after > 2.0 * during, "{after} cores after {during}");
    assert!(cgroup.count("cpu.stat", "nr_throttled") <= throttled + 1);
}

fn less_time_ends_with_the_agent() {
    let (temp, cgroup) = (tempfile::tempdir().unwrap(), Cgroup::new("cpu", "cpu").unwrap());
    let victim = Told::inside(&cgroup, &["spin"]);
    may_burst(&cgroup);
    let before = time_of(&cgroup);
    let mut process = Process::start(&temp.path().join("state"));
    let mut drill = Drill::open(process.client(), "d1");
    drill.start(
        "i1",
        "cpu.throttle",
        json!({ "share": "95%" }),
        json!({ "pid": victim.pid() }),
    );
    change(&mut drill, 1, json!({ "share": "97%" }));
    assert!(
        before
            .iter()
            .zip(time_of(&cgroup))
            .all(|(before, now)| *before != now)
    );
    process.signal(Signal::SIGKILL);
    process.child.wait().unwrap();
    until("the keeper has restored it", || {
        (time_of(&cgroup) == before).then_some(())
    });
}

/// Bytes per second that the victim writes to the disk that holds this folder.
fn written(victim: &mut Told, folder: &std::path::Path) -> u64 {
    victim
        .ask(&format!("write {}", folder.join("victim").display()))
        .parse()
        .unwrap()
}

fn a_disk_is_slow_for_a_cgroup() {
    let (rig, cgroup) = (Rig::new(), Cgroup::new("blkio", "io").unwrap());
    let mut victim = Told::inside(&cgroup, &["write"]);
    let before = written(&mut victim, &rig.state);
    let mut drill = Drill::open(rig.client(), "d1");
    let asked = |rate: &str| json!({ "rate": rate, "path": rig.state });
    drill.start(
        "i1",
        "disk.slow",
        asked("500KB/s"),
        json!({ "pid": victim.pid() }),
    );
    let during = written(&mut victim, &rig.state);
    assert!(
        during < 1_000_000 && before > 2 * during,
        "{during} B/s after {before}"
    );
    until("the evidence tells it", || {
        (drill.view("i1")["evidence"]["counts"]["bytes_written"].as_f64()? > 100_000.0).then_some(())
    });
    change(&mut drill, 1, asked("1500KB/s"));
    let more = written(&mut victim, &rig.state);
    assert!(more > during && more < 3_000_000, "{more} B/s after {during}");
    reverted(&mut drill);
    let after = written(&mut victim, &rig.state);
    assert!(after > 2 * during, "{after} B/s after {during}");
}

fn a_slow_disk_ends_with_the_agent() {
    let (temp, cgroup) = (tempfile::tempdir().unwrap(), Cgroup::new("blkio", "io").unwrap());
    let mut victim = Told::inside(&cgroup, &["write"]);
    let mut process = Process::start(&temp.path().join("state"));
    let mut drill = Drill::open(process.client(), "d1");
    let asked = json!({ "rate": "300KB/s", "path": temp.path() });
    drill.start("i1", "disk.slow", asked, json!({ "pid": victim.pid() }));
    let during = written(&mut victim, temp.path());
    assert!(during < 600_000, "{during} B/s");
    process.signal(Signal::SIGKILL);
    process.child.wait().unwrap();
    until("it writes as before", || {
        (written(&mut victim, temp.path()) > 2 * during).then_some(())
    });
}

fn the_kernel_kills_for_want_of_memory() {
    let (rig, cgroup) = (Rig::new(), Cgroup::new("memory", "memory").unwrap());
    let mut neighbour = Told::inside(&cgroup, &["hold", "48"]);
    let mut victim = Told::inside(&cgroup, &["hold", "24"]);
    let file = if cgroup.is_of_version_1() {
        "memory.limit_in_bytes"
    } else {
        "memory.max"
    };
    let before = cgroup.read(file);
    let mut drill = Drill::open(rig.client(), "d1");
    let body = drill.body("memory.oom", Value::Null, json!({ "pid": victim.pid() }));
    let done = drill.client.call("PUT", "/v1/injections/i1", &body).expect(200);
    assert_eq!(
        (&done["state"], &done["undone"]),
        (&json!("done"), &json!(false)),
        "{done}"
    );
    let counts = &done["evidence"]["counts"];
    assert_eq!(counts["ended"], 1.0, "{done}");
    // Where the victim's memory comes back late, the child that asks for it is next.
    assert!(
        (1.0..=2.0).contains(&counts["oom_kills"].as_f64().unwrap()),
        "{done}"
    );
    assert_eq!(victim.child.wait().unwrap().signal(), Some(9));
    assert_eq!(cgroup.read(file), before);
    assert_eq!(
        neighbour.ask("there?"),
        format!("there? {}", 48 << 20),
        "its neighbour lives"
    );
    until("no record is left", || {
        (rig.state.join("undo").read_dir().unwrap().count() == 0).then_some(())
    });
}
