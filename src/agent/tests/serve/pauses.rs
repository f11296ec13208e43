//! The ways of `process.pause` that the kernel keeps, pauses that come and go, and kills again and again.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::rig::{Drill, Process, Rig, Victim, until};
use crate::told::{Cgroup, Told};

pub const TESTS: &[(&str, fn())] = &[
    (
        "a_process_is_stopped_by_a_signal_and_goes_on",
        a_process_is_stopped_by_a_signal_and_goes_on,
    ),
    (
        "a_stopped_process_goes_on_when_the_agent_dies",
        a_stopped_process_goes_on_when_the_agent_dies,
    ),
    ("pauses_by_a_signal_come_and_go", pauses_by_a_signal_come_and_go),
    (
        "whoever_has_the_name_is_killed_again",
        whoever_has_the_name_is_killed_again,
    ),
    ("half_a_rhythm_is_refused", half_a_rhythm_is_refused),
];

pub const WITH_PTRACE: &[(&str, fn())] = &[
    ("pauses_by_ptrace_come_and_go", pauses_by_ptrace_come_and_go),
    (
        "a_pause_by_ptrace_that_comes_and_goes_ends_with_the_agent",
        a_rhythm_ends_with_the_agent,
    ),
];

#[expect(clippy::type_complexity, reason = "a table")]
pub const WITH_CGROUP: &[(&str, &str, &str, fn())] = &[
    (
        "a_cgroup_is_frozen_and_thawed",
        "freezer",
        "",
        a_cgroup_is_frozen_and_thawed,
    ),
    (
        "a_frozen_cgroup_is_thawed_when_the_agent_dies",
        "freezer",
        "",
        a_frozen_cgroup_is_thawed_when_the_agent_dies,
    ),
];

fn reverted(drill: &mut Drill) -> Value {
    let gone = drill.client.delete("/v1/injections/i1").expect(200);
    assert_eq!(gone["state"], "reverted", "{gone}");
    until("proved", || {
        Some(drill.view("i1")).filter(|view| !view["proved"].is_null())
    });
    gone
}

fn a_process_is_stopped_by_a_signal_and_goes_on() {
    let (rig, victim) = (Rig::new(), Victim::new());
    let mut drill = Drill::open(rig.client(), "d1");
    let scope = json!({ "pid": victim.pid() });
    drill.start("i1", "process.pause", json!({ "how": "signal" }), scope.clone());
    assert_eq!(victim.status().0, 'T');
    reverted(&mut drill);
    assert!(victim.goes_on());
    // One that stands still already is somebody else's.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim.pid()), Signal::SIGSTOP).unwrap();
    until("it stands still", || (victim.status().0 == 'T').then_some(()));
    let body = drill.body("process.pause", json!({ "how": "signal" }), scope);
    drill.client.call("PUT", "/v1/injections/i2", &body).expect(422);
}

fn a_stopped_process_goes_on_when_the_agent_dies() {
    let (temp, victim) = (tempfile::tempdir().unwrap(), Victim::new());
    let mut process = Process::start(&temp.path().join("state"));
    let mut drill = Drill::open(process.client(), "d1");
    drill.start(
        "i1",
        "process.pause",
        json!({ "how": "signal" }),
        json!({ "pid": victim.pid() }),
    );
    assert_eq!(victim.status().0, 'T');
    process.signal(Signal::SIGKILL);
    process.child.wait().unwrap();
    until("it goes on", || victim.goes_on().then_some(()));
}

/// Stands still and goes on several times, and goes on for good after the revert.
fn come_and_go(how: &str, still: char) {
    let (rig, victim) = (Rig::new(), Victim::new());
    let mut drill = Drill::open(rig.client(), "d1");
    let parameters = json!({ "how": how, "on": "60ms", "off": "40ms" });
    drill.start("i1", "process.pause", parameters, json!({ "pid": victim.pid() }));
    for _ in 0..3 {
        until("it stands still", || (victim.status().0 == still).then_some(()));
        until("it goes on", || victim.goes_on().then_some(()));
    }
    until("the evidence tells it", || {
        (drill.view("i1")["evidence"]["counts"]["pauses"].as_f64()? >= 3.0).then_some(())
    });
    let gone = reverted(&mut drill);
    assert!(
        gone["evidence"]["counts"]["pauses"].as_f64().unwrap() >= 3.0,
        "{gone}"
    );
    let until = Instant::now() + Duration::from_millis(300);
    while Instant::now() < until {
        assert!(victim.goes_on());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn pauses_by_a_signal_come_and_go() {
    come_and_go("signal", 'T');
}

fn pauses_by_ptrace_come_and_go() {
    come_and_go("ptrace", 't');
}

fn a_rhythm_ends_with_the_agent() {
    let (temp, victim) = (tempfile::tempdir().unwrap(), Victim::new());
    let mut process = Process::start(&temp.path().join("state"));
    let mut drill = Drill::open(process.client(), "d1");
    let parameters = json!({ "on": "5s", "off": "20ms" });
    drill.start("i1", "process.pause", parameters, json!({ "pid": victim.pid() }));
    assert_eq!(victim.status().0, 't');
    process.signal(Signal::SIGKILL);
    process.child.wait().unwrap();
    until("it goes on", || victim.goes_on().then_some(()));
}

/// Whether it got time on a core within a while.
fn moves(victim: &Told) -> bool {
    let before = victim.core_s();
    std::thread::sleep(Duration::from_millis(300));
    victim.core_s() > before
}

fn a_cgroup_is_frozen_and_thawed() {
    let (rig, cgroup) = (Rig::new(), Cgroup::new("freezer", "").unwrap());
    let victim = Told::inside(&cgroup, &["spin"]);
    assert!(moves(&victim));
    let mut drill = Drill::open(rig.client(), "d1");
    let scope = json!({ "pid": victim.pid() });
    drill.start("i1", "process.pause", json!({ "how": "freezer" }), scope);
    assert!(!moves(&victim));
    reverted(&mut drill);
    until("it moves", || moves(&victim).then_some(()));
}

fn a_frozen_cgroup_is_thawed_when_the_agent_dies() {
    let (temp, cgroup) = (tempfile::tempdir().unwrap(), Cgroup::new("freezer", "").unwrap());
    let victim = Told::inside(&cgroup, &["spin"]);
    let mut process = Process::start(&temp.path().join("state"));
    let mut drill = Drill::open(process.client(), "d1");
    let scope = json!({ "pid": victim.pid() });
    drill.start("i1", "process.pause", json!({ "how": "freezer" }), scope);
    assert!(!moves(&victim));
    process.signal(Signal::SIGKILL);
    process.child.wait().unwrap();
    until("it moves", || moves(&victim).then_some(()));
}

fn whoever_has_the_name_is_killed_again() {
    let (rig, temp) = (Rig::new(), tempfile::tempdir().unwrap());
    let name = format!("fdv{}", std::process::id());
    let program = temp.path().join(&name);
    std::fs::copy("/bin/sleep", &program).unwrap();
    let service = || Victim(Command::new(&program).arg("1000").spawn().unwrap());
    let mut drill = Drill::open(rig.client(), "d1");
    let mut victim = service();
    let parameters = json!({ "every": "100ms", "times": 3 });
    drill.start("i1", "process.kill", parameters, json!({ "process": name }));
    for _ in 0..3 {
        victim.0.wait().unwrap();
        victim = service();
    }
    // Three times are three times.
    std::thread::sleep(Duration::from_millis(400));
    assert!(victim.goes_on());
    until("the evidence tells it", || {
        (drill.view("i1")["evidence"]["counts"]["ended"] == 3.0).then_some(())
    });
    reverted(&mut drill);
    // Without a number of times it goes on until it is ended, and no longer.
    let body = json!({ "every": "100ms" });
    drill.start("i2", "process.kill", body, json!({ "process": name }));
    for _ in 0..4 {
        victim.0.wait().unwrap();
        victim = service();
    }
    let gone = drill.client.delete("/v1/injections/i2").expect(200);
    assert_eq!(gone["state"], "reverted", "{gone}");
    let last = service();
    std::thread::sleep(Duration::from_millis(400));
    assert!(last.goes_on());
}

fn half_a_rhythm_is_refused() {
    let (rig, victim) = (Rig::new(), Victim::new());
    let mut drill = Drill::open(rig.client(), "d1");
    for (id, fault, parameters) in [
        ("i1", "process.pause", json!({ "how": "signal", "on": "1s" })),
        ("i2", "process.kill", json!({ "times": 3 })),
    ] {
        let body = drill.body(fault, parameters, json!({ "pid": victim.pid() }));
        drill
            .client
            .call("PUT", &format!("/v1/injections/{id}"), &body)
            .expect(400);
    }
    let body = drill.body("cpu.burn", json!({ "off": "1s" }), json!({}));
    drill.client.call("PUT", "/v1/injections/i3", &body).expect(400);
    assert!(victim.goes_on());
}
