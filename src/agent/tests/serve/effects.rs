//! What `memory.fill` and `process.kill` do to a host and its processes, seen from there.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::rig::{Drill, Process, Rig, Victim, children, recorded_child, runs, until};

pub const TESTS: &[(&str, fn())] = &[
    (
        "memory_is_held_changed_and_given_back",
        memory_is_held_changed_and_given_back,
    ),
    ("memory_grows_by_a_ramp", memory_grows_by_a_ramp),
    ("what_others_need_stays_free", what_others_need_stays_free),
    (
        "memory_is_given_back_when_the_agent_dies",
        memory_is_given_back_when_the_agent_dies,
    ),
    ("a_process_is_killed_once", a_process_is_killed_once),
    (
        "a_process_gets_the_chosen_signal",
        a_process_gets_the_chosen_signal,
    ),
];

const MIB: f64 = 1024.0 * 1024.0;

/// What the kernel counts as this process' own memory, in MiB.
fn holds(pid: i32) -> f64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0.0);
    kib / 1024.0
}

fn fill(state: &Path, drill: &mut Drill, size: &str) -> i32 {
    drill.start("i1", "memory.fill", json!({ "size": size }), json!({}));
    recorded_child(state)
}

fn memory_is_held_changed_and_given_back() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let child = fill(&rig.state, &mut drill, "96MiB");
    until("it holds what was asked for", || {
        (holds(child) >= 96.0).then_some(())
    });
    assert!(holds(child) < 110.0, "{}", holds(child));
    let score = std::fs::read_to_string(format!("/proc/{child}/oom_score_adj")).unwrap();
    assert_eq!(score.trim(), "1000");
    let view = until("the evidence tells it", || {
        let view = drill.view("i1");
        (view["evidence"]["counts"]["held_bytes"].as_f64()? >= 96.0 * MIB).then_some(view)
    });
    assert!(
        view["evidence"]["words"].to_string().contains("MiB of memory"),
        "{view}"
    );
    for (revision, size, range) in [(1, "24MiB", 24.0..40.0), (2, "64MiB", 64.0..80.0)] {
        let change = json!({
            "fence": drill.fence, "revision": revision, "not_after": u64::MAX, "parameters": { "size": size },
        });
        drill
            .client
            .call("PATCH", "/v1/injections/i1", &change)
            .expect(200);
        until(size, || range.contains(&holds(child)).then_some(()));
    }
    let gone = drill.client.delete("/v1/injections/i1").expect(200);
    assert_eq!(gone["state"], "reverted", "{gone}");
    assert!(!runs(child));
    until("proved", || {
        Some(drill.view("i1")).filter(|view| !view["proved"].is_null())
    });
}

fn memory_grows_by_a_ramp() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let mut body = drill.body("memory.fill", json!({ "size": "400MiB" }), json!({}));
    body["ramp_ms"] = json!(20_000);
    drill.client.call("PUT", "/v1/injections/i1", &body).expect(200);
    let child = recorded_child(&rig.state);
    let some = until("it has begun to grow", || {
        Some(holds(child)).filter(|held| *held > 4.0)
    });
    assert!(some < 300.0, "{some} MiB at once");
    until("it grows on", || (holds(child) > some + 4.0).then_some(()));
}

fn what_others_need_stays_free() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let body = drill.body("memory.fill", json!({ "size": "100%" }), json!({}));
    let refused = drill.client.call("PUT", "/v1/injections/i1", &body).expect(422);
    assert!(refused["detail"].to_string().contains("stay free"), "{refused}");
    let body = drill.body(
        "memory.fill",
        json!({ "size": "8MiB", "keep_free": "1MiB" }),
        json!({}),
    );
    let refused = drill.client.call("PUT", "/v1/injections/i2", &body).expect(400);
    assert!(refused["detail"].to_string().contains("keep_free"), "{refused}");
    assert!(
        !rig.state.join("undo").read_dir().unwrap().any(|_| true),
        "nothing began"
    );
}

fn memory_is_given_back_when_the_agent_dies() {
    let temp = tempfile::tempdir().unwrap();
    let mut process = Process::start(&temp.path().join("state"));
    let mut drill = Drill::open(process.client(), "d1");
    drill.start("i1", "memory.fill", json!({ "size": "64MiB" }), json!({}));
    let child = children(process.child.id().cast_signed(), "fill")[0];
    until("it holds what was asked for", || {
        (holds(child) >= 64.0).then_some(())
    });
    process.signal(Signal::SIGKILL);
    process.child.wait().unwrap();
    until("it is gone", || (!runs(child)).then_some(()));
}

fn a_process_is_killed_once() {
    let rig = Rig::new();
    let mut victim = Victim::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let body = drill.body("process.kill", Value::Null, json!({ "pid": victim.pid() }));
    let done = drill.client.call("PUT", "/v1/injections/i1", &body).expect(200);
    assert_eq!(
        (&done["state"], &done["undone"]),
        (&json!("done"), &json!(false)),
        "{done}"
    );
    assert_eq!(done["evidence"]["counts"]["ended"], 1.0, "{done}");
    assert_eq!(victim.0.wait().unwrap().signal(), Some(9));
    let revert = drill.client.delete("/v1/injections/i1").expect(200);
    assert_eq!(
        (&revert["state"], &revert["undone"]),
        (&json!("done"), &json!(false))
    );
    assert!(
        revert["by_hand"].to_string().contains("systemctl restart"),
        "{revert}"
    );
    // The same again finds nothing to kill.
    let again = drill.client.call("PUT", "/v1/injections/i2", &body);
    again.expect(422);
    // Those that are spared are spared here too.
    let own = drill.body("process.kill", Value::Null, json!({ "pid": std::process::id() }));
    drill.client.call("PUT", "/v1/injections/i3", &own).expect(403);
}

fn a_process_gets_the_chosen_signal() {
    let rig = Rig::new();
    let mut victim = Victim::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let body = drill.body(
        "process.kill",
        json!({ "signal": "TERM" }),
        json!({ "pid": victim.pid() }),
    );
    drill.client.call("PUT", "/v1/injections/i1", &body).expect(200);
    assert_eq!(victim.0.wait().unwrap().signal(), Some(15));
    let wrong = drill.body("process.kill", json!({ "signal": "STOP" }), json!({ "pid": 1 }));
    drill.client.call("PUT", "/v1/injections/i2", &wrong).expect(400);
}
