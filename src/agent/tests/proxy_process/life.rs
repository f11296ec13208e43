//! Who outlives whom.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use firedrill_agent::proxy::ProxyEvent;
use firedrill_agent::proxy::protocol::{Only, RuleSpec, SetRule};
use nix::sys::signal::Signal;

use crate::rig::{PATIENCE, Rig, free_port, get, runs, send, start, wait_until};

pub const TESTS: &[(&str, fn())] = &[
    (
        "a_killed_proxy_is_back_without_its_rules",
        a_killed_proxy_is_back_without_its_rules,
    ),
    (
        "a_stopped_proxy_is_ended_and_started_again",
        a_stopped_proxy_is_ended_and_started_again,
    ),
    (
        "the_next_agent_finds_the_same_proxy",
        the_next_agent_finds_the_same_proxy,
    ),
    (
        "a_proxy_with_other_routes_is_replaced",
        a_proxy_with_other_routes_is_replaced,
    ),
    ("a_retired_proxy_ends", a_retired_proxy_ends),
    ("an_orphan_ends_if_told_so", an_orphan_ends_if_told_so),
    (
        "a_proxy_of_another_release_is_asked_to_leave",
        a_proxy_of_another_release_is_asked_to_leave,
    ),
    (
        "a_proxy_that_ends_at_once_is_not_started_in_a_storm",
        a_proxy_that_ends_at_once_is_not_started_in_a_storm,
    ),
    ("what_cannot_be_started_is_said", what_cannot_be_started_is_said),
];

fn rule(delay_ms: u64) -> SetRule {
    SetRule {
        id: "i1".to_owned(),
        generation: 1,
        route: "web".to_owned(),
        rule: RuleSpec::HttpLatency {
            delay_us: delay_ms * 1_000,
            jitter_us: 0,
            only: Only::default(),
        },
        ramp_ms: 0,
        ends_in_ms: 60_000,
        replace: false,
    }
}

fn a_killed_proxy_is_back_without_its_rules() {
    let rig = Rig::new();
    let before = rig.pid();
    rig.client().set(rule(60_000)).unwrap();
    send(before, Signal::SIGKILL);
    let killed = Instant::now();
    wait_until("it serves again", || {
        get(rig.address(0), "/").is_ok_and(|(status, _)| status == 200)
    });
    // One second is the promise; the rest is for a machine that does other things.
    assert!(
        killed.elapsed() < Duration::from_secs(5),
        "{:?}",
        killed.elapsed()
    );
    rig.wait_for("the loss is told", |event| {
        matches!(event, ProxyEvent::Lost { .. })
    });
    rig.wait_for("the return is told", |event| matches!(event, ProxyEvent::Up(_)));
    assert_ne!(rig.pid(), before);
    assert!(rig.client().status("i1").unwrap().is_off());
    // A change of what was lost does not begin it anew.
    let change = SetRule {
        generation: 2,
        replace: true,
        ..rule(1)
    };
    assert!(rig.client().set(change).is_err());
}

fn a_stopped_proxy_is_ended_and_started_again() {
    let rig = Rig::new();
    let before = rig.pid();
    send(before, Signal::SIGSTOP);
    rig.wait_for("the loss is told", |event| {
        matches!(event, ProxyEvent::Lost { .. })
    });
    rig.client().up(PATIENCE).unwrap();
    assert_ne!(rig.pid(), before);
    assert!(!runs(before));
    assert_eq!(get(rig.address(0), "/").unwrap().0, 200);
}

fn the_next_agent_finds_the_same_proxy() {
    let mut rig = Rig::new();
    let before = rig.pid();
    rig.client().set(rule(60_000)).unwrap();
    rig.agent.take().unwrap().detach();
    assert_eq!(get(rig.address(0), "/").unwrap().0, 200);
    rig.restart_agent();
    assert_eq!(rig.pid(), before);
    assert!(rig.client().status("i1").unwrap().is_off());
}

fn a_proxy_with_other_routes_is_replaced() {
    let mut rig = Rig::new();
    let before = rig.pid();
    rig.routes[1].listen = free_port().to_string();
    rig.restart_agent();
    assert_ne!(rig.pid(), before);
    assert_eq!(get(rig.address(0), "/").unwrap().0, 200);
    TcpStream::connect(rig.address(1)).unwrap();
    wait_until("the old one is gone", || !runs(before));
}

fn a_retired_proxy_ends() {
    let mut rig = Rig::new();
    let pid = rig.pid();
    rig.agent.take().unwrap().retire(Duration::ZERO).unwrap();
    assert!(get(rig.address(0), "/").is_err());
    wait_until("it is gone", || !runs(pid));
    assert!(!rig.folder.path().join("proxy.sock").exists());
}

fn an_orphan_ends_if_told_so() {
    let mut rig = Rig::new();
    rig.agent.take().unwrap().retire(Duration::ZERO).unwrap();
    let (agent, _events) = start(rig.folder.path(), &rig.routes, Some(1));
    let pid = nix::unistd::Pid::from_raw(agent.client().hello().unwrap().pid.cast_signed());
    let client = TcpStream::connect(rig.address(0)).unwrap();
    agent.detach();
    // Three times its patience, and its client is still served.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(get(rig.address(0), "/").unwrap().0, 200);
    drop(client);
    wait_until("it is gone", || !runs(pid));
}

fn a_proxy_of_another_release_is_asked_to_leave() {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::net::UnixListener;
    let mut rig = Rig::new();
    rig.agent.take().unwrap().retire(Duration::ZERO).unwrap();
    let path = rig.folder.path().join("proxy.sock");
    wait_until("the place is free", || !path.exists());
    let other = UnixListener::bind(&path).unwrap();
    let lines = std::thread::Builder::new().spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut lines = [String::new(), String::new()];
        for line in &mut lines {
            reader.read_line(line).unwrap();
            stream
                .write_all(b"{\"seq\":0,\"ok\":{\"hello\":{\"control\":99}}}\n")
                .unwrap();
        }
        std::fs::remove_file(&path).unwrap();
        lines
    });
    rig.restart_agent();
    let [hello, retire] = lines.unwrap().join().unwrap();
    assert!(
        hello.contains("hello") && retire.contains("retire"),
        "{hello}{retire}"
    );
    assert_eq!(get(rig.address(0), "/").unwrap().0, 200);
}

fn what_cannot_be_started_is_said() {
    use firedrill_agent::proxy::{Supervisor, SupervisorConfig};
    let folder = tempfile::tempdir().unwrap();
    let (tell, events) = std::sync::mpsc::sync_channel(1);
    let config = SupervisorConfig {
        executable: "/nonexistent/firedrill-agent".into(),
        subcommand: Vec::new(),
        folder: folder.path().to_owned(),
        routes: Vec::new(),
        orphan_exit_s: None,
    };
    let agent = Supervisor::start(config, move |event| drop(tell.try_send(event))).unwrap();
    match events.recv_timeout(PATIENCE).unwrap() {
        ProxyEvent::CannotStart { reason } => {
            assert!(reason.contains("/nonexistent/firedrill-agent"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert!(agent.client().status("i1").is_err());
}

fn a_proxy_that_ends_at_once_is_not_started_in_a_storm() {
    use firedrill_agent::proxy::{Supervisor, SupervisorConfig};
    let folder = tempfile::tempdir().unwrap();
    let (tell, events) = std::sync::mpsc::sync_channel(1_000);
    let config = SupervisorConfig {
        executable: "/bin/false".into(),
        subcommand: Vec::new(),
        folder: folder.path().to_owned(),
        routes: Vec::new(),
        orphan_exit_s: None,
    };
    let agent = Supervisor::start(config, move |event| drop(tell.try_send(event))).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    drop(agent);
    // Each start that failed was told once. At 50, 100, 200, 400, 800 ms there is room for about six.
    let told: Vec<_> = events.try_iter().collect();
    assert!((1..=10).contains(&told.len()), "{} starts", told.len());
    assert!(
        told.iter()
            .all(|event| matches!(event, ProxyEvent::CannotStart { .. }))
    );
}
