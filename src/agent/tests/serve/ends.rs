//! How things end: by abort, by a signal, by the death of the agent.

use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::client::lines;
use crate::rig::{Drill, Process, Rig, Victim, agent, burners, opening, runs, until};

pub const TESTS: &[(&str, fn())] = &[
    ("an_abort_tells_each_step", an_abort_tells_each_step),
    (
        "an_abort_latches_until_it_is_released",
        an_abort_latches_until_it_is_released,
    ),
    ("any_body_aborts", any_body_aborts),
    ("an_abort_goes_on_without_a_disk", an_abort_goes_on_without_a_disk),
    ("nothing_starts_behind_an_abort", nothing_starts_behind_an_abort),
    (
        "an_abort_of_a_drill_to_come_kills_it",
        an_abort_of_a_drill_to_come_kills_it,
    ),
    (
        "the_host_aborts_by_socket_and_by_listener",
        the_host_aborts_by_socket_and_by_listener,
    ),
    (
        "a_restart_keeps_latch_and_epochs",
        a_restart_keeps_latch_and_epochs,
    ),
    ("a_lost_state_latches", a_lost_state_latches),
    ("a_signal_ends_cleanly", a_signal_ends_cleanly),
    ("what_burns_dies_with_the_agent", what_burns_dies_with_the_agent),
];

pub const WITH_PTRACE: &[(&str, fn())] = &[
    (
        "a_paused_process_stands_still_and_goes_on",
        a_paused_process_stands_still_and_goes_on,
    ),
    ("a_pause_finds_a_process_by_name", a_pause_finds_a_process_by_name),
    ("some_processes_are_never_paused", some_processes_are_never_paused),
    ("a_paused_process_may_die", a_paused_process_may_die),
    (
        "a_process_with_many_threads_is_held_whole",
        a_process_with_many_threads_is_held_whole,
    ),
    ("a_pause_ends_with_the_agent", a_pause_ends_with_the_agent),
];

fn an_abort_tells_each_step() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    for id in ["i1", "i2", "i3"] {
        drill.start(id, "noop", Value::Null, json!({}));
    }
    drill.start("i4", "cpu.burn", json!({ "load": "5%" }), json!({}));
    let lines = rig
        .second()
        .abort(&json!({ "abort": "a1", "reason": "it hurts", "who": "me" }));
    let kinds = |kind: &str| lines.iter().filter(|line| line["line"] == kind).count();
    assert_eq!(
        [
            kinds("received"),
            kinds("reverted"),
            kinds("proved"),
            kinds("end")
        ],
        [1, 4, 4, 1],
        "{lines:?}"
    );
    let received = lines.iter().find(|line| line["line"] == "received").unwrap();
    assert_eq!(
        (&received["durable"], &received["latch"]["who"]),
        (&json!(true), &json!("me"))
    );
    assert_eq!(received["injections"].as_array().unwrap().len(), 4);
    let end = lines.last().unwrap();
    assert_eq!((&end["line"], &end["clean"]), (&json!("end"), &json!(true)));
    let repeated = rig.second().abort(&json!({ "abort": "a1" }));
    assert_eq!(repeated[0]["latch"]["number"], received["latch"]["number"]);
    let body = drill.body("noop", Value::Null, json!({}));
    let refusal = drill.client.call("PUT", "/v1/injections/i9", &body);
    assert!([412, 423].contains(&refusal.status), "{}", refusal.status);
}

fn an_abort_latches_until_it_is_released() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.abort(&json!({ "reason": "smoke" }));
    let refusal = client
        .call("POST", "/v1/drills", &opening("d1", 60_000))
        .expect(423);
    assert!(refusal["detail"].as_str().unwrap().contains("smoke"), "{refusal}");
    let release = |number: u64| json!({ "latch": number, "reason": "looked", "who": "me" });
    client.call("POST", "/v1/release", &release(2)).expect(409);
    assert_eq!(
        client.call("POST", "/v1/release", &release(1)).expect(200)["latch"],
        1
    );
    client
        .call("POST", "/v1/drills", &opening("d1", 60_000))
        .expect(200);
    // The automatic stop of a breach does not latch.
    let lines = client.abort(&json!({ "drill": "d1", "latch": false }));
    assert_eq!(lines[0]["latch"], Value::Null);
    client
        .call("POST", "/v1/drills", &opening("d1", 60_000))
        .expect(412);
    client
        .call("POST", "/v1/drills", &opening("d2", 60_000))
        .expect(200);
}

fn any_body_aborts() {
    for (extra, body) in [
        ("", b"".to_vec()),
        ("", b"{\"latch\":false".to_vec()),
        ("content-type: text/plain\r\n", b"help".to_vec()),
        ("", vec![b'x'; 100_000]),
    ] {
        let rig = Rig::new();
        let mut drill = Drill::open(rig.client(), "d1");
        drill.start("i1", "noop", Value::Null, json!({}));
        let mut second = rig.second();
        second.send("POST", "/v1/abort", extra, &body);
        let lines = lines(&second.answer());
        assert_eq!(lines.last().unwrap()["clean"], true);
        assert_eq!(
            rig.client().get("/v1/agent").expect(200)["latch"]["number"],
            1,
            "{} bytes",
            body.len()
        );
        assert_eq!(drill.view("i1")["state"], "reverted");
    }
    // A body that was promised and does not come.
    let rig = Rig::new();
    let mut client = rig.second();
    client.send("POST", "/v1/abort", "expect-nothing: x\r\n", b"");
    client.answer();
    let mut client = rig.second();
    client.promise("/v1/abort", 50);
    assert_eq!(lines(&client.answer()).last().unwrap()["line"], "end");
}

fn an_abort_goes_on_without_a_disk() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    drill.start("i1", "noop", Value::Null, json!({}));
    // Whatever is written next cannot be.
    std::fs::create_dir(rig.state.join("durable.json.new")).unwrap();
    let lines = rig.second().abort(&json!({}));
    let received = lines.iter().find(|line| line["line"] == "received").unwrap();
    assert_eq!(
        (&received["durable"], &received["latch"]["number"]),
        (&json!(false), &json!(1))
    );
    assert_eq!(drill.view("i1")["state"], "reverted");
    assert_eq!(lines.last().unwrap()["line"], "end");
}

fn nothing_starts_behind_an_abort() {
    let rig = Rig::new();
    let drill = Drill::open(rig.client(), "d1");
    let starters: Vec<_> = (0..4)
        .map(|starter| {
            let body = drill.body("noop", Value::Null, json!({}));
            let mut client = rig.client();
            std::thread::Builder::new()
                .spawn(move || {
                    for n in 0.. {
                        let answer = client.call("PUT", &format!("/v1/injections/s{starter}-{n}"), &body);
                        if answer.status != 200 {
                            assert!([412, 423].contains(&answer.status), "{}", answer.status);
                            return n;
                        }
                    }
                    0
                })
                .unwrap()
        })
        .collect();
    until("some are on", || {
        let views = rig.client().get("/v1/injections").expect(200);
        (views.as_array().unwrap().len() > 8).then_some(())
    });
    let lines = rig.second().abort(&json!({}));
    assert_eq!(lines.last().unwrap()["clean"], true);
    for view in rig.client().get("/v1/injections").expect(200).as_array().unwrap() {
        assert!(
            ["reverted", "refused", "failed"].contains(&view["state"].as_str().unwrap()),
            "{view}"
        );
    }
    let started: i32 = starters.into_iter().map(|starter| starter.join().unwrap()).sum();
    assert!(started > 0);
}

fn an_abort_of_a_drill_to_come_kills_it() {
    let rig = Rig::new();
    let mut client = rig.client();
    client.abort(&json!({ "drill": "d1", "latch": false }));
    client
        .call("POST", "/v1/drills", &opening("d1", 60_000))
        .expect(412);
    client
        .call("POST", "/v1/drills", &opening("d2", 60_000))
        .expect(200);
}

fn the_host_aborts_by_socket_and_by_listener() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    drill.start("i1", "noop", Value::Null, json!({}));
    let address = rig.ready().abort_listen.to_string();
    let state = rig.state.to_str().unwrap().to_owned();
    let abort = || {
        let done = agent(&[
            "abort",
            "--state",
            &state,
            "--address",
            &address,
            "--reason",
            "on the host",
        ]);
        let mut done = done;
        done.stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .unwrap()
    };
    let done = abort();
    assert_eq!(
        done.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(String::from_utf8_lossy(&done.stdout).contains("\"line\":\"reverted\""));
    let latch = rig.client().get("/v1/agent").expect(200)["latch"].clone();
    assert_eq!(
        (&latch["reason"], &latch["number"]),
        (&json!("on the host"), &json!(1))
    );
    std::fs::remove_file(rig.state.join("agent.sock")).unwrap();
    let done = abort();
    assert_eq!(
        done.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(String::from_utf8_lossy(&done.stderr).contains("trying"));
    assert_eq!(rig.client().get("/v1/agent").expect(200)["latch"]["number"], 2);
}

fn a_restart_keeps_latch_and_epochs() {
    let mut rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    drill.start("i1", "noop", Value::Null, json!({}));
    let before = drill.client.get("/v1/agent").expect(200);
    assert!(rig.stop());
    rig.start();
    let mut client = rig.client();
    let after = client.get("/v1/agent").expect(200);
    assert_eq!(before["agent"], after["agent"]);
    assert_ne!(before["instance"], after["instance"]);
    assert_eq!(client.get("/v1/injections/i1").expect(200)["state"], "reverted");
    client
        .call("POST", "/v1/drills", &opening("d1", 60_000))
        .expect(412);
    let drill = Drill::open(client, "d2");
    assert_eq!(drill.epoch, 2);
    rig.client().abort(&json!({ "reason": "stay" }));
    rig.stop();
    rig.start();
    let after = rig.client().get("/v1/agent").expect(200);
    assert_eq!(
        (&after["latch"]["number"], &after["latch"]["reason"]),
        (&json!(1), &json!("stay"))
    );
}

fn a_lost_state_latches() {
    let mut rig = Rig::new();
    rig.stop();
    std::fs::write(rig.state.join("durable.json"), b"torn").unwrap();
    rig.start();
    let latch = rig.client().get("/v1/agent").expect(200)["latch"].clone();
    assert!(latch["reason"].as_str().unwrap().contains("lost"), "{latch}");
}

fn a_signal_ends_cleanly() {
    let temp = tempfile::tempdir().unwrap();
    let mut process = Process::start(&temp.path().join("state"));
    let mut drill = Drill::open(process.client(), "d1");
    drill.start("i1", "cpu.burn", json!({ "load": "5%" }), json!({}));
    let burning = burners(process.child.id().cast_signed());
    assert_eq!(burning.len(), 1);
    process.signal(Signal::SIGTERM);
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
    assert!(!runs(burning[0]));
    let audit = std::fs::read_to_string(temp.path().join("state/audit.log")).unwrap();
    assert!(audit.contains("everything off: true"), "{audit}");
}

fn what_burns_dies_with_the_agent() {
    let temp = tempfile::tempdir().unwrap();
    let state = temp.path().join("state");
    let mut process = Process::start(&state);
    let mut drill = Drill::open(process.client(), "d1");
    drill.start("i1", "cpu.burn", json!({ "load": "5%" }), json!({}));
    let burning = burners(process.child.id().cast_signed());
    process.signal(Signal::SIGKILL);
    process.child.wait().unwrap();
    until("the child is dead", || (!runs(burning[0])).then_some(()));
    // The successor names what it found.
    let successor = Process::start(&state);
    let view = until("reverted", || {
        let view = successor.client().get("/v1/injections/i1").expect(200);
        (view["state"] == "reverted").then_some(view)
    });
    assert_eq!((&view["reason"], &view["epoch"]), (&json!("restart"), &json!(1)));
    assert_ne!(view["started_by"], view["instance"]);
}

fn a_paused_process_stands_still_and_goes_on() {
    let rig = Rig::new();
    let victim = Victim::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let view = drill.start("i1", "process.pause", Value::Null, json!({ "pid": victim.pid() }));
    assert_eq!(view["evidence"]["counts"]["threads_held"], 1.0, "{view}");
    let (state, tracer) = victim.status();
    assert_eq!(state, 't');
    assert!(
        std::path::Path::new(&format!("/proc/self/task/{tracer}")).exists(),
        "{tracer}"
    );
    let body = drill.body("process.pause", Value::Null, json!({ "pid": victim.pid() }));
    drill.client.call("PUT", "/v1/injections/i2", &body).expect(409);
    let change = json!({ "fence": drill.fence, "revision": 1, "not_after": u64::MAX, "parameters": {} });
    drill
        .client
        .call("PATCH", "/v1/injections/i1", &change)
        .expect(400);
    let gone = drill.client.delete("/v1/injections/i1").expect(200);
    assert_eq!(gone["state"], "reverted", "{gone}");
    assert!(victim.goes_on(), "{:?}", victim.status());
    until("proved", || {
        Some(drill.view("i1")).filter(|view| !view["proved"].is_null())
    });
}

fn a_pause_finds_a_process_by_name() {
    let rig = Rig::new();
    let temp = tempfile::tempdir().unwrap();
    // A name of its own, longer than what the kernel keeps.
    let program = temp.path().join("payments-service-of-this-test");
    std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
    let start = || Victim(std::process::Command::new(&program).arg("1000").spawn().unwrap());
    let victim = start();
    let mut drill = Drill::open(rig.client(), "d1");
    let scope = json!({ "process": "payments-service-of-this-test" });
    let body = json!({ "fault": "process.pause", "scope": scope });
    let preview = drill.client.call("POST", "/v1/preview", &body).expect(200);
    assert!(
        preview["hits"][0]
            .as_str()
            .unwrap()
            .contains(&victim.pid().to_string())
    );
    drill.start("i1", "process.pause", Value::Null, scope.clone());
    assert_eq!(victim.status().0, 't');
    let second = start();
    let refusal = drill.client.call("POST", "/v1/preview", &body).expect(422);
    assert!(
        refusal["detail"]
            .as_str()
            .unwrap()
            .contains(&second.pid().to_string()),
        "{refusal}"
    );
    // A repeat gets the same answer, though the name is no longer enough.
    drill.start("i1", "process.pause", Value::Null, scope);
    drill.client.delete("/v1/drills/1").expect(200);
    assert!(victim.goes_on() && second.goes_on());
}

fn some_processes_are_never_paused() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    let parent = nix::unistd::getppid().as_raw();
    for pid in [1, parent, std::process::id().cast_signed()] {
        let body = drill.body("process.pause", Value::Null, json!({ "pid": pid }));
        let refusal = drill.client.call("PUT", "/v1/injections/i1", &body).expect(403);
        assert!(!refusal["remedy"].as_str().unwrap().is_empty());
    }
    let body = drill.body("process.pause", Value::Null, json!({ "pid": i32::MAX }));
    drill.client.call("PUT", "/v1/injections/i1", &body).expect(422);
    let body = drill.body("process.pause", Value::Null, json!({ "pid": 2, "process": "x" }));
    drill.client.call("PUT", "/v1/injections/i1", &body).expect(400);
}

fn a_paused_process_may_die() {
    let rig = Rig::new();
    let mut victim = Victim::new();
    let mut drill = Drill::open(rig.client(), "d1");
    drill.start("i1", "process.pause", Value::Null, json!({ "pid": victim.pid() }));
    victim.0.kill().unwrap();
    // Its parent hears of it while the pause is still on.
    victim.0.wait().unwrap();
    let gone = drill.client.delete("/v1/injections/i1").expect(200);
    assert_eq!(gone["state"], "reverted", "{gone}");
}

fn a_process_with_many_threads_is_held_whole() {
    let rig = Rig::new();
    // The agent's own program as a victim would be refused; this one has threads of its own.
    let script = "import threading,time\nfor _ in range(20): threading.Thread(target=time.sleep,args=(1000,),daemon=True).start()\nprint('up',flush=True)\ntime.sleep(1000)";
    let python = std::process::Command::new("python3")
        .args(["-c", script])
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = python else {
        eprintln!("no python3: the test of many threads is not run");
        return;
    };
    let mut output = child.stdout.take().unwrap();
    std::io::Read::read_exact(&mut output, &mut [0; 2]).unwrap();
    let victim = Victim(child);
    let mut drill = Drill::open(rig.client(), "d1");
    let view = drill.start("i1", "process.pause", Value::Null, json!({ "pid": victim.pid() }));
    assert_eq!(view["evidence"]["counts"]["threads_held"], 21.0, "{view}");
    let lines = rig.second().abort(&json!({}));
    assert_eq!(lines.last().unwrap()["clean"], true, "{lines:?}");
    assert!(victim.goes_on(), "{:?}", victim.status());
}

fn a_pause_ends_with_the_agent() {
    let temp = tempfile::tempdir().unwrap();
    let mut process = Process::start(&temp.path().join("state"));
    let victim = Victim::new();
    let mut drill = Drill::open(process.client(), "d1");
    drill.start("i1", "process.pause", Value::Null, json!({ "pid": victim.pid() }));
    assert_eq!(victim.status().0, 't');
    process.signal(Signal::SIGKILL);
    process.child.wait().unwrap();
    until("it goes on", || victim.goes_on().then_some(()));
}
