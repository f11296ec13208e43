//! The keeper: what is on ends also when the agent cannot end it.

use std::path::Path;
use std::time::{Duration, Instant};

use firedrill_agent::undo::records::Records;
use firedrill_agent::undo::{Exactly, RECORD_VERSION, Record, Undo};
use firedrill_ward::Key;
use firedrill_wire::{Epoch, Instance, Tick};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::rig::{Drill, Process, Rig, Victim, agent, burners, runs, until};

pub const TESTS: &[(&str, fn())] = &[
    (
        "every_injection_has_a_record_while_it_is_on",
        every_injection_has_a_record_while_it_is_on,
    ),
    (
        "a_keeper_that_is_killed_is_replaced",
        a_keeper_that_is_killed_is_replaced,
    ),
    ("a_keeper_that_hangs_is_replaced", a_keeper_that_hangs_is_replaced),
    ("without_a_keeper_nothing_starts", without_a_keeper_nothing_starts),
    (
        "what_hangs_over_its_time_is_ended",
        what_hangs_over_its_time_is_ended,
    ),
    ("a_keeper_leaves_with_its_agent", a_keeper_leaves_with_its_agent),
    (
        "a_start_without_a_disk_begins_nothing",
        a_start_without_a_disk_begins_nothing,
    ),
    (
        "a_restart_does_not_bake_a_fault_in",
        a_restart_does_not_bake_a_fault_in,
    ),
    (
        "a_value_that_others_changed_is_left",
        a_value_that_others_changed_is_left,
    ),
    (
        "after_a_reboot_only_files_are_restored",
        after_a_reboot_only_files_are_restored,
    ),
    (
        "a_process_with_a_reused_number_is_left_alone",
        a_process_with_a_reused_number_is_left_alone,
    ),
    (
        "what_a_process_holds_is_gone_when_that_has_ended",
        what_a_process_holds_is_gone_when_that_has_ended,
    ),
    (
        "a_torn_record_is_set_aside_and_latches",
        a_torn_record_is_set_aside_and_latches,
    ),
    (
        "the_host_aborts_with_the_agent_dead",
        the_host_aborts_with_the_agent_dead,
    ),
    (
        "the_host_aborts_with_the_agent_hung",
        the_host_aborts_with_the_agent_hung,
    ),
    ("the_doctor_tells_what_is_left", the_doctor_tells_what_is_left),
];

pub const WITH_PTRACE: &[(&str, fn())] = &[
    (
        "what_needs_a_keeper_ends_with_it",
        what_needs_a_keeper_ends_with_it,
    ),
    (
        "a_stopped_agent_is_ended_with_all_it_held",
        a_stopped_agent_is_ended_with_all_it_held,
    ),
];

/// The keeper of the agent with this state folder.
pub fn keeper(state: &Path) -> Option<Exactly> {
    let text = std::fs::read_to_string(state.join("keeper.lock")).ok()?;
    serde_json::from_str::<Exactly>(&text).ok().filter(Exactly::runs)
}

/// Waits until the audit log tells it: agent and keeper write it when they have time.
pub fn audited(state: &Path, words: &str) {
    until(words, || {
        let audit = std::fs::read_to_string(state.join("audit.log")).unwrap();
        audit.contains(words).then_some(())
    });
}

fn wait_for_keeper(state: &Path, other_than: Option<Exactly>) -> Exactly {
    until("a keeper", || keeper(state).filter(|it| Some(*it) != other_than))
}

fn send(process: Exactly, signal: Signal) {
    kill(Pid::from_raw(process.pid), signal).unwrap();
}

pub fn records(state: &Path) -> Vec<Record> {
    Records::look(state).unwrap().find().unwrap().records
}

pub fn burn(drill: &mut Drill, id: &str) {
    drill.start(id, "cpu.burn", json!({ "load": "5%" }), json!({}));
}

fn every_injection_has_a_record_while_it_is_on() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    burn(&mut drill, "i1");
    drill.start("i2", "noop", Value::Null, json!({}));
    let found = records(&rig.state);
    assert_eq!(found.len(), 2, "{found:?}");
    let own = std::process::id().cast_signed();
    let Undo::Child(child) = found[0].undo else {
        panic!("{found:?}")
    };
    assert!(burners(own).contains(&child.pid));
    assert!(child.runs());
    for id in ["i1", "i2"] {
        drill.client.delete(&format!("/v1/injections/{id}")).expect(200);
    }
    until("the records are gone", || {
        records(&rig.state).is_empty().then_some(())
    });
}

fn a_keeper_that_is_killed_is_replaced() {
    let temp = tempfile::tempdir().unwrap();
    let state = temp.path().join("state");
    let process = Process::start(&state);
    let mut drill = Drill::open(process.client(), "d1");
    burn(&mut drill, "i1");
    let first = wait_for_keeper(&state, None);
    send(first, Signal::SIGKILL);
    let second = wait_for_keeper(&state, Some(first));
    // It ends by itself and with the agent: it need not end with a keeper.
    assert_eq!(drill.view("i1")["state"], "active");
    // The new one does the same work: the agent dies, and the record is run.
    process.signal(Signal::SIGKILL);
    until("the new keeper has done its work", || {
        (!second.runs()).then_some(())
    });
    let found = records(&state);
    assert!(found.len() == 1 && found[0].undone.is_some(), "{found:?}");
    audited(&state, "keeper: i1 is undone");
}

fn a_keeper_that_hangs_is_replaced() {
    let temp = tempfile::tempdir().unwrap();
    let state = temp.path().join("state");
    let process = Process::start(&state);
    let mut drill = Drill::open(process.client(), "d1");
    let first = wait_for_keeper(&state, None);
    send(first, Signal::SIGSTOP);
    // The next start finds it out, and begins nothing.
    let body = drill.body("noop", Value::Null, json!({}));
    let answer = drill.client.call("PUT", "/v1/injections/i1", &body);
    answer.expect(503);
    let second = wait_for_keeper(&state, Some(first));
    assert!(!first.runs());
    assert_ne!(first, second);
    let mut tries = 0;
    until("starts go on", || {
        tries += 1;
        let path = format!("/v1/injections/again-{tries}");
        (drill.client.call("PUT", &path, &body).status == 200).then_some(())
    });
}

fn without_a_keeper_nothing_starts() {
    let temp = tempfile::tempdir().unwrap();
    let state = temp.path().join("state");
    let process = Process::start(&state);
    let mut drill = Drill::open(process.client(), "d1");
    // Somebody else has the turn: no keeper can be there.
    let first = wait_for_keeper(&state, None);
    send(first, Signal::SIGKILL);
    let turn = until("the turn", || {
        firedrill_agent::keeper::Turn::try_take(&state).unwrap()
    });
    let body = drill.body("noop", Value::Null, json!({}));
    until("the agent knows", || {
        let notes = process.client().get("/v1/agent").expect(200)["notes"].to_string();
        notes.contains("no keeper").then_some(())
    });
    let refused = drill.client.call("PUT", "/v1/injections/i1", &body).expect(503);
    assert!(
        refused["detail"].to_string().contains("nobody would end"),
        "{refused}"
    );
    // An abort needs none.
    drill.client.call("POST", "/v1/abort", &json!({ "latch": false }));
    drop(turn);
    until("a keeper is there again", || {
        let notes = process.client().get("/v1/agent").expect(200)["notes"].to_string();
        (!notes.contains("no keeper")).then_some(())
    });
}

fn what_hangs_over_its_time_is_ended() {
    let temp = tempfile::tempdir().unwrap();
    let state = temp.path().join("state");
    let mut process = Process::start(&state);
    let mut drill = Drill::open_for(process.client(), "d1", 2_000);
    burn(&mut drill, "i1");
    let burning = burners(process.child.id().cast_signed());
    process.signal(Signal::SIGSTOP);
    // Its file descriptors are open and its child lives: nothing but the keeper's clock ends this.
    let began = Instant::now();
    until("the agent is ended", || process.child.try_wait().unwrap());
    assert!(
        began.elapsed() > Duration::from_secs(1),
        "before its time: {:?}",
        began.elapsed()
    );
    until("the child is gone", || (!runs(burning[0])).then_some(()));
    audited(&state, "keeper: the agent hangs");
}

fn a_stopped_agent_is_ended_with_all_it_held() {
    let temp = tempfile::tempdir().unwrap();
    let state = temp.path().join("state");
    // Made first, so that it is waited for after the agent, which may hold it, is gone.
    let victim = Victim::new();
    let process = Process::start(&state);
    let mut drill = Drill::open_for(process.client(), "d1", 2_000);
    drill.start("i1", "process.pause", Value::Null, json!({ "pid": victim.pid() }));
    process.signal(Signal::SIGSTOP);
    assert!(!victim.goes_on(), "a stopped agent holds on");
    until("the victim goes on", || victim.goes_on().then_some(()));
}

fn what_needs_a_keeper_ends_with_it() {
    let temp = tempfile::tempdir().unwrap();
    let state = temp.path().join("state");
    // Made first, so that it is waited for after the agent, which may hold it, is gone.
    let victim = Victim::new();
    let process = Process::start(&state);
    let mut drill = Drill::open(process.client(), "d1");
    drill.start("i1", "process.pause", Value::Null, json!({ "pid": victim.pid() }));
    burn(&mut drill, "i2");
    send(wait_for_keeper(&state, None), Signal::SIGKILL);
    until("the victim goes on", || victim.goes_on().then_some(()));
    let view = until("it is read back", || {
        Some(drill.view("i1")).filter(|view| view["state"] == "reverted")
    });
    assert_eq!(view["reason"], "keeper", "{view}");
    assert_eq!(drill.view("i2")["state"], "active", "it has a clock of its own");
}

fn a_keeper_leaves_with_its_agent() {
    let temp = tempfile::tempdir().unwrap();
    let state = temp.path().join("state");
    let mut process = Process::start(&state);
    let keeper = wait_for_keeper(&state, None);
    // The whole group is told to end; the keeper is not in it.
    process.signal(Signal::SIGTERM);
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
    assert!(!keeper.runs(), "the agent's end waits for its keeper's");
}

fn a_start_without_a_disk_begins_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let state = temp.path().join("state");
    let process = Process::start(&state);
    let mut drill = Drill::open(process.client(), "d1");
    std::fs::remove_dir_all(state.join("undo")).unwrap();
    let body = drill.body("cpu.burn", json!({ "load": "5%" }), json!({}));
    let refused = drill.client.call("PUT", "/v1/injections/i1", &body).expect(503);
    assert!(refused["title"].to_string().contains("undo record"), "{refused}");
    assert!(burners(process.child.id().cast_signed()).is_empty());
    assert_eq!(drill.view("i1")["state"], "failed");
}

/// A record of a life that is over.
pub fn former(state: &Path, id: &str, undo: Undo) -> Record {
    let records = Records::open(state).unwrap();
    let record = Record {
        version: RECORD_VERSION,
        key: Key {
            epoch: Epoch(1),
            id: id.into(),
        },
        fault: "file.value".into(),
        instance: Instance("life-0".to_owned()),
        boot_id: records.here.boot_id.clone(),
        ends_at: Tick(0),
        undo,
        undone: None,
    };
    records.write(&record).unwrap();
    record
}

/// A state folder, and a file that holds what a fault wrote into it.
pub fn changed_file() -> (tempfile::TempDir, std::path::PathBuf, Undo) {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("resolver");
    std::fs::write(&file, "ours\n").unwrap();
    let undo = Undo::Restore {
        path: file.clone(),
        ours: "ours".to_owned(),
        before: "before\n".to_owned(),
        on_disk: true,
    };
    (temp, file, undo)
}

/// Makes a state folder as an agent would leave it.
fn lived(temp: &tempfile::TempDir) -> std::path::PathBuf {
    let state = temp.path().join("state");
    let mut process = Process::start(&state);
    process.signal(Signal::SIGTERM);
    process.child.wait().unwrap();
    state
}

fn a_restart_does_not_bake_a_fault_in() {
    let (temp, file, undo) = changed_file();
    let state = lived(&temp);
    former(&state, "i1", undo);
    // When it is ready, what was left is undone: or it would take the fault for the value to restore.
    let process = Process::start(&state);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "before\n");
    assert!(records(&state).is_empty(), "{:?}", records(&state));
    audited(&state, "former life: i1 is undone");
    let mut drill = Drill::open(process.client(), "d1");
    drill.start("i1", "noop", Value::Null, json!({}));
}

fn a_value_that_others_changed_is_left() {
    let (temp, file, undo) = changed_file();
    let state = lived(&temp);
    former(&state, "i1", undo);
    std::fs::write(&file, "an operator's\n").unwrap();
    let _process = Process::start(&state);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "an operator's\n");
    assert!(records(&state).is_empty());
}

fn after_a_reboot_only_files_are_restored() {
    let (temp, file, undo) = changed_file();
    let state = temp.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let victim = Victim::new();
    let exactly = Exactly::now(victim.pid()).unwrap();
    let Undo::Restore {
        path, ours, before, ..
    } = undo.clone()
    else {
        unreachable!()
    };
    let of_kernel = Undo::Restore {
        path,
        ours,
        before,
        on_disk: false,
    };
    let records = Records::open(&state).unwrap();
    let another_boot = |undo| Record {
        boot_id: "another boot".to_owned(),
        ..former(&state, "i1", undo)
    };
    assert!(another_boot(Undo::Child(exactly)).run(&records.here).gone);
    assert!(exactly.runs(), "the number is another process' after a reboot");
    assert!(another_boot(of_kernel).run(&records.here).gone);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "ours\n");
    assert!(another_boot(undo).run(&records.here).gone);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "before\n");
}

fn a_process_with_a_reused_number_is_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    let state = lived(&temp);
    let victim = Victim::new();
    let exactly = Exactly::now(victim.pid()).unwrap();
    let stranger = Exactly {
        start_time: exactly.start_time - 1,
        ..exactly
    };
    former(&state, "i1", Undo::Child(stranger));
    let process = Process::start(&state);
    assert!(exactly.runs());
    drop(process);
    // The very process is ended.
    former(&state, "i2", Undo::Child(exactly));
    let _process = Process::start(&state);
    assert!(!exactly.runs());
}

fn what_a_process_holds_is_gone_when_that_has_ended() {
    let temp = tempfile::tempdir().unwrap();
    let state = lived(&temp);
    let victim = Victim::new();
    let holder = Exactly::now(victim.pid()).unwrap();
    let records = Records::open(&state).unwrap();
    let what = "table firedrill".to_owned();
    let record = former(&state, "i1", Undo::Held { holder, what });
    let undone = record.run(&records.here);
    assert!(!undone.gone && holder.runs(), "{undone:?}");
    assert_eq!(
        undone.by_hand.unwrap(),
        format!("kill -9 {}: the kernel then drops table firedrill", holder.pid)
    );
    assert!(!record.prove(&records.here).0);
    drop(victim);
    assert!(record.run(&records.here).gone && record.prove(&records.here).0);
}

fn a_torn_record_is_set_aside_and_latches() {
    let (temp, file, undo) = changed_file();
    let state = lived(&temp);
    former(&state, "i1", undo);
    let record = std::fs::read_dir(state.join("undo"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut text = std::fs::read_to_string(&record).unwrap();
    // Of the right form, and still not what was written.
    text = text.replace(":\"before", ":\"BEFORE");
    std::fs::write(&record, text).unwrap();
    let process = Process::start(&state);
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "ours\n",
        "it is not guessed at"
    );
    let info = process.client().get("/v1/agent").expect(200);
    assert!(
        info["latch"]["reason"].to_string().contains("undo record"),
        "{info}"
    );
    assert!(record.with_extension("unreadable").exists());
}

/// An agent that was killed together with its keeper while a child of it burnt.
fn dead_with_its_keeper(state: &Path) -> i32 {
    let mut process = Process::start(state);
    let mut drill = Drill::open(process.client(), "d1");
    burn(&mut drill, "i1");
    let burning = burners(process.child.id().cast_signed());
    let keeper = wait_for_keeper(state, None);
    // Stopped first, so that it is the keeper that dies first and has no time for its work.
    send(keeper, Signal::SIGSTOP);
    send(keeper, Signal::SIGKILL);
    process.signal(Signal::SIGKILL);
    process.child.wait().unwrap();
    burning[0]
}

fn the_host_aborts_with_the_agent_dead() {
    let (temp, file, undo) = changed_file();
    let state = temp.path().join("state");
    let child = dead_with_its_keeper(&state);
    former(&state, "i2", undo);
    let output = agent(&[
        "abort",
        "--state",
        state.to_str().unwrap(),
        "--address",
        "127.0.0.1:1",
    ])
    .output()
    .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("i1") && said.contains("i2"), "{said}");
    assert_eq!(said.matches("\"proved\":true").count(), 2, "{said}");
    assert!(!runs(child));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "before\n");
    // It latched, as an abort by a person does.
    let successor = Process::start(&state);
    let info = successor.client().get("/v1/agent").expect(200);
    assert!(
        info["latch"]["reason"]
            .to_string()
            .contains("aborted on the host"),
        "{info}"
    );
    let view = until("named", || {
        let view = successor.client().get("/v1/injections/i1").expect(200);
        (view["state"] == "reverted").then_some(view)
    });
    assert_eq!(view["reason"], "restart");
}

fn stopped(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.flatten().all(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ")
            .is_some_and(|(_, state)| state.starts_with('T'))
    })
}

fn the_host_aborts_with_the_agent_hung() {
    let temp = tempfile::tempdir().unwrap();
    let state = temp.path().join("state");
    let process = Process::start(&state);
    let mut drill = Drill::open(process.client(), "d1");
    burn(&mut drill, "i1");
    let burning = burners(process.child.id().cast_signed());
    process.signal(Signal::SIGSTOP);
    // One thread takes the signal, and the others stop when it has: on a busy host that takes a moment.
    until("every thread is stopped", || {
        stopped(process.child.id()).then_some(())
    });
    let address = process.ready["abort_listen"].as_str().unwrap().to_owned();
    let output = agent(&["abort", "--state", state.to_str().unwrap(), "--address", &address])
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("does not answer"), "{said}");
    // On a busy host the keeper may be first: then the agent is gone.
    let ended = said.contains("hangs") || said.contains(r#""agent":"not running""#);
    assert!(ended && !runs(burning[0]), "{said}");
}

fn the_doctor_tells_what_is_left() {
    let (temp, _file, undo) = changed_file();
    let state = lived(&temp);
    let doctor = || {
        let output = agent(&["doctor", "--state", state.to_str().unwrap()])
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (code, said) = doctor();
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("not running") && said.contains("cpu.burn"),
        "{said}"
    );
    former(&state, "i1", undo);
    let (code, said) = doctor();
    assert_eq!(code, Some(5), "something is left: {said}");
    assert!(
        said.contains("i1") && said.contains("firedrill-agent abort"),
        "{said}"
    );
    let process = Process::start(&state);
    let (code, said) = doctor();
    assert_eq!(code, Some(0), "{said}");
    let keeper = wait_for_keeper(&state, None);
    assert!(said.contains(&keeper.pid.to_string()), "{said}");
    let whose = format!("of the agent, process {}", process.child.id());
    assert!(
        said.contains(&whose) && said.contains("CAP_SYS_PTRACE") && said.contains("ptrace scope"),
        "{said}"
    );
    let mut drill = Drill::open(process.client(), "d1");
    burn(&mut drill, "i2");
    let (code, said) = doctor();
    assert_eq!(code, Some(5), "something is on: {said}");
}
