//! An agent in this process, a drill on it, and the agent as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use firedrill_agent::config::{Config, SelfCommand};
use firedrill_agent::server::{self, Running};
use firedrill_agent::undo::records::Records;
use firedrill_agent::undo::{Record, Undo};
use serde_json::{Value, json};

use crate::client::Client;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(15);

pub struct Rig {
    pub running: Option<Running>,
    pub state: PathBuf,
    _temp: tempfile::TempDir,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(|config| config)
    }

    /// With another config.
    pub fn with(change: impl FnOnce(Config) -> Config) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let state = temp.path().join("state");
        let mut rig = Self {
            running: None,
            state,
            _temp: temp,
        };
        let config = change(rig.config());
        rig.running = Some(server::start(config).unwrap());
        rig
    }

    /// A client over TLS.
    pub fn tls(&self, address: SocketAddr, token: &str) -> Client {
        Client::tls(address, token, self.ready().fingerprint.unwrap()).unwrap()
    }

    /// A token of the state folder.
    pub fn secret(&self, file: &str) -> String {
        std::fs::read_to_string(self.state.join(file)).unwrap()
    }

    pub fn config(&self) -> Config {
        let mut config = Config::new(self.state.clone(), SelfCommand::current(&[]).unwrap());
        config.labels.insert("env".into(), "test".into());
        config
    }

    pub fn start(&mut self) {
        self.running = Some(server::start(self.config()).unwrap());
    }

    pub fn stop(&mut self) -> bool {
        self.running.take().unwrap().stop()
    }

    pub fn ready(&self) -> &server::Ready {
        &self.running.as_ref().unwrap().ready
    }

    pub fn token(&self) -> String {
        self.running.as_ref().unwrap().token().unwrap()
    }

    pub fn client(&self) -> Client {
        Client::new(self.ready().listen, &self.token())
    }

    pub fn second(&self) -> Client {
        Client::new(self.ready().abort_listen, &self.token())
    }

    pub fn audit(&self) -> String {
        std::fs::read_to_string(self.state.join("audit.log")).unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

/// A drill that holds an agent.
pub struct Drill {
    pub fence: Value,
    pub epoch: u64,
    pub client: Client,
}

impl Drill {
    pub fn open(client: Client, drill: &str) -> Self {
        Self::open_for(client, drill, 60_000)
    }

    pub fn open_for(mut client: Client, drill: &str, lease_ms: u64) -> Self {
        let answer = client
            .call("POST", "/v1/drills", &opening(drill, lease_ms))
            .expect(200);
        let fence = json!({
            "drill": drill,
            "epoch": answer["epoch"],
            "instance": answer["instance"],
            "holder": answer["holder"],
        });
        let epoch = answer["epoch"].as_u64().unwrap();
        Self { fence, epoch, client }
    }

    pub fn body(&self, fault: &str, parameters: Value, scope: Value) -> Value {
        json!({
            "fence": self.fence,
            "fault": fault,
            "parameters": parameters,
            "scope": scope,
            "ends_in_ms": 60_000,
            "not_after": u64::MAX,
        })
    }

    /// Starts, and expects it to be on.
    pub fn start(&mut self, id: &str, fault: &str, parameters: Value, scope: Value) -> Value {
        let body = self.body(fault, parameters, scope);
        let view = self
            .client
            .call("PUT", &format!("/v1/injections/{id}"), &body)
            .expect(200);
        assert_eq!(view["state"], "active", "{view}");
        view
    }

    pub fn view(&mut self, id: &str) -> Value {
        self.client.get(&format!("/v1/injections/{id}")).expect(200)
    }
}

pub fn opening(drill: &str, lease_ms: u64) -> Value {
    json!({
        "drill": drill,
        "nonce": format!("nonce of {drill}"),
        "experiment": "payment is slow",
        "console": "test",
        "who": "tester",
        "lease_ms": lease_ms,
    })
}

/// Waits until `done` says something.
pub fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = done() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// `sleep`, ended with the test.
pub struct Victim(pub Child);

impl Victim {
    pub fn new() -> Self {
        Self(Command::new("sleep").arg("1000").spawn().unwrap())
    }

    pub fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }

    /// State and tracer, as the kernel shows them.
    pub fn status(&self) -> (char, i32) {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let field = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.split_whitespace().next().unwrap().to_owned()
        };
        (
            field("State:").chars().next().unwrap(),
            field("TracerPid:").parse().unwrap(),
        )
    }
}

impl Victim {
    /// Neither stopped nor traced.
    pub fn goes_on(&self) -> bool {
        let (state, tracer) = self.status();
        matches!(state, 'S' | 'R') && tracer == 0
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The agent as a process: this very test program, which is the agent's too.
pub struct Process {
    pub child: Child,
    pub listen: SocketAddr,
    pub ready: Value,
    pub token: String,
}

impl Process {
    pub fn start(state: &std::path::Path) -> Self {
        Self::start_with(state, &[])
    }

    pub fn start_with(state: &std::path::Path, extra: &[&str]) -> Self {
        let mut child = agent(&[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--state",
            state.to_str().unwrap(),
        ])
        .args(extra)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let address = |key: &str| ready[key].as_str().unwrap().parse().unwrap();
        let token = std::fs::read_to_string(ready["token_file"].as_str().unwrap()).unwrap();
        Self {
            listen: address("listen"),
            ready: ready.clone(),
            token,
            child,
        }
    }

    pub fn client(&self) -> Client {
        Client::new(self.listen, &self.token)
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub fn agent(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments).env("FIREDRILL_LOG", "error");
    command
}

/// Whether a process of that number runs.
pub fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// The child of the only injection that has a record in this state folder.
pub fn recorded_child(state: &std::path::Path) -> i32 {
    let found = Records::look(state).unwrap().find().unwrap().records;
    match found[..] {
        [
            Record {
                undo: Undo::Child(child),
                ..
            },
        ] => child.pid,
        _ => panic!("{found:?}"),
    }
}

/// The numbers of `parent`'s children that burn.
pub fn burners(parent: i32) -> Vec<i32> {
    children(parent, "burn")
}

/// The numbers of `parent`'s children with this subcommand.
pub fn children(parent: i32, subcommand: &str) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let its_parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        let second = arguments.split(|byte| *byte == 0).nth(1);
        second == Some(subcommand.as_bytes()) && its_parent == Some(parent)
    })
    .collect()
}
