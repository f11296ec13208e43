//! The keeper as a service of its own: real processes, without a service manager.

use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::keeping::{audited, burn, changed_file, former, keeper, records};
use crate::rig::{Drill, Process, agent, burners, children, runs, until};

pub const TESTS: &[(&str, fn())] = &[
    (
        "a_keeper_of_its_own_keeps_one_agent_after_another",
        a_keeper_of_its_own_keeps_one_agent_after_another,
    ),
    (
        "without_its_keepers_service_an_agent_starts_nothing",
        without_its_keepers_service_an_agent_starts_nothing,
    ),
    (
        "a_keepers_service_that_hangs_is_killed",
        a_keepers_service_that_hangs_is_killed,
    ),
    (
        "killed_at_once_the_keepers_service_alone_takes_back",
        killed_at_once_the_keepers_service_alone_takes_back,
    ),
    (
        "an_agent_that_hangs_when_its_keepers_service_dies_is_ended_by_the_next",
        an_agent_that_hangs_is_ended_by_the_next,
    ),
    (
        "strangers_and_second_keepers_are_turned_away",
        strangers_and_second_keepers_are_turned_away,
    ),
];

/// The service, as its unit starts it.
struct Service(Child);

impl Service {
    fn start(state: &Path) -> Self {
        let child = agent(&["keeper", "--state", state.to_str().unwrap()])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        until("the keeper listens", || {
            UnixStream::connect(state.join("keeper.sock")).ok()
        });
        Self(child)
    }

    fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let state = temp.path().join("state");
    (temp, state)
}

fn serve(state: &Path) -> Process {
    Process::start_with(state, &["--separate-keeper"])
}

fn kept_by(state: &Path, service: &Service) {
    until("the service keeps the agent", || {
        keeper(state).filter(|it| it.pid == service.pid())
    });
}

fn a_keeper_of_its_own_keeps_one_agent_after_another() {
    let (_temp, state) = folder();
    let mut service = Service::start(&state);
    for life in ["i1", "i2"] {
        let process = serve(&state);
        kept_by(&state, &service);
        let own = children(process.child.id().cast_signed(), "keeper");
        assert!(own.is_empty(), "{own:?}");
        let mut drill = Drill::open(process.client(), life);
        burn(&mut drill, life);
        process.signal(Signal::SIGKILL);
        audited(&state, &format!("keeper: {life} is undone"));
        assert!(records(&state).iter().all(|it| it.undone.is_some()));
        assert!(service.lives());
    }
    // In good order the agent goes and the keeper stays.
    let mut process = serve(&state);
    kept_by(&state, &service);
    process.signal(Signal::SIGTERM);
    assert!(process.child.wait().unwrap().success());
    assert!(service.lives());
    let process = serve(&state);
    // One that hangs while something is on is ended.
    let mut drill = Drill::open_for(process.client(), "d4", 2_000);
    burn(&mut drill, "i4");
    process.signal(Signal::SIGSTOP);
    audited(&state, "it was killed");
    audited(&state, "keeper: i4 is undone");
    assert!(service.lives());
}

fn without_its_keepers_service_an_agent_starts_nothing() {
    let (_temp, state) = folder();
    let service = Service::start(&state);
    let process = serve(&state);
    kept_by(&state, &service);
    let mut drill = Drill::open(process.client(), "d1");
    let body = drill.body("noop", Value::Null, json!({}));
    drop(service);
    until("starts are refused", || {
        let answer = drill.client.call("PUT", "/v1/injections/i1", &body);
        (answer.status == 503).then_some(())
    });
    until("it says what would help", || {
        let notes = process.client().get("/v1/agent").expect(200)["notes"].to_string();
        notes.contains("firedrill-agent-keeper").then_some(())
    });
    let service = Service::start(&state);
    kept_by(&state, &service);
    let mut tries = 0;
    until("starts go on", || {
        tries += 1;
        let path = format!("/v1/injections/again-{tries}");
        (drill.client.call("PUT", &path, &body).status == 200).then_some(())
    });
}

fn a_keepers_service_that_hangs_is_killed() {
    let (_temp, state) = folder();
    let mut service = Service::start(&state);
    let process = serve(&state);
    kept_by(&state, &service);
    let mut drill = Drill::open(process.client(), "d1");
    service.signal(Signal::SIGSTOP);
    let body = drill.body("noop", Value::Null, json!({}));
    drill.client.call("PUT", "/v1/injections/i1", &body).expect(503);
    until("it is killed", || (!service.lives()).then_some(()));
    assert_eq!(drill.client.get("/v1/agent").expect(200)["open"]["drill"], "d1");
}

fn killed_at_once_the_keepers_service_alone_takes_back() {
    let (temp, file, undo) = changed_file();
    let state = temp.path().join("state");
    let service = Service::start(&state);
    let process = serve(&state);
    kept_by(&state, &service);
    drop(service);
    drop(process);
    former(&state, "i1", undo);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "ours\n");
    let _service = Service::start(&state);
    audited(&state, "keeper: left by a dead agent: i1 is undone");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "before\n");
}

/// As a service manager would: it starts the keeper again, and the agent is not dead.
fn an_agent_that_hangs_is_ended_by_the_next() {
    let (_temp, state) = folder();
    let service = Service::start(&state);
    let mut process = serve(&state);
    kept_by(&state, &service);
    let mut drill = Drill::open_for(process.client(), "d1", 60_000);
    burn(&mut drill, "i1");
    let burning = burners(process.child.id().cast_signed());
    process.signal(Signal::SIGSTOP);
    drop(service);
    assert!(process.child.try_wait().unwrap().is_none() && runs(burning[0]));
    let mut service = Service::start(&state);
    audited(&state, "it was killed");
    audited(&state, "keeper: left by a dead agent: i1 is undone");
    assert!(!runs(burning[0]));
    assert!(!process.child.wait().unwrap().success());
    // The next agent finds a keeper, and nothing of the last.
    let process = serve(&state);
    kept_by(&state, &service);
    Drill::open(process.client(), "d2").start("i2", "noop", Value::Null, json!({}));
    assert!(service.lives());
}

fn strangers_and_second_keepers_are_turned_away() {
    let (_temp, state) = folder();
    let mut service = Service::start(&state);
    let process = serve(&state);
    kept_by(&state, &service);
    let second = agent(&["keeper", "--state", state.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        !second.status.success() && said.contains("another keeper"),
        "{said}"
    );
    drop(process);
    // This process does not hold the folder: neither kept nor ended.
    let mut stranger = UnixStream::connect(state.join("keeper.sock")).unwrap();
    let mut heard = Vec::new();
    stranger.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, b"");
    assert!(service.lives());
}
