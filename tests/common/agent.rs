//! A real agent with a state folder of its own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use firedrill_trust::Fingerprint;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{Connection, Folder, PATIENCE, Process, Programs, Response, Upstream, wait_until, working_in};

/// Ports that the kernel does not give away (`net.ipv4.ip_local_port_range` begins at 32768), and few services use.
const FIRST_PORT: u16 = 12_000;

/// How many of them a process of tests has.
const PORTS: u16 = 200;

/// How an agent is started.
#[derive(Debug)]
pub struct AgentBuilder {
    programs: Programs,
    labels: Vec<String>,
    routes: Vec<String>,
    extra: Vec<String>,
}

impl AgentBuilder {
    /// TLS on loopback too.
    #[must_use]
    pub fn tls(self) -> Self {
        self.words(&["--tls"])
    }

    /// More words of its command line.
    #[must_use]
    pub fn words(mut self, words: &[&str]) -> Self {
        self.extra.extend(words.iter().map(|&word| word.to_owned()));
        self
    }

    /// A label, `key=value`.
    #[must_use]
    pub fn label(mut self, label: &str) -> Self {
        self.labels.push(label.to_owned());
        self
    }

    /// An HTTP route to `upstream`, on a port that was free a moment ago: a route with port 0 would be on
    /// another one after its proxy has died.
    pub fn http_route(mut self, name: &str, upstream: SocketAddr) -> anyhow::Result<Self> {
        self.routes
            .push(format!("{name}={}={upstream}:http", free_address()?));
        Ok(self)
    }

    /// The same for TCP.
    pub fn tcp_route(mut self, name: &str, upstream: SocketAddr) -> anyhow::Result<Self> {
        self.routes
            .push(format!("{name}={}={upstream}:tcp", free_address()?));
        Ok(self)
    }

    /// Starts it and waits until it is ready.
    pub fn start(self) -> anyhow::Result<Agent> {
        let mut words: Vec<String> = ["serve", "--listen", "127.0.0.1:0", "--retire-proxy"]
            .map(str::to_owned)
            .to_vec();
        words.extend(self.extra);
        for label in self.labels {
            words.extend(["--label".to_owned(), label]);
        }
        for route in self.routes {
            words.extend(["--route".to_owned(), route]);
        }
        Agent::begin(self.programs, words, Arc::new(Folder::new()?))
    }
}

/// An address that nobody listens on, for who has to be told which. Below the ports that the kernel gives away: one of
/// those may be another scenario's before it is used.
fn free_address() -> anyhow::Result<SocketAddr> {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Another process of tests begins elsewhere.
    let first = FIRST_PORT + (std::process::id() % 100) as u16 * PORTS;
    for _ in 0..PORTS {
        let port = first + TAKEN.fetch_add(1, Ordering::Relaxed) % PORTS;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port of {first} to {} is free on loopback", first + PORTS)
}

/// A running agent; SIGTERM, then SIGKILL for whatever of it is left, when dropped.
#[derive(Debug)]
pub struct Agent {
    /// Its process.
    pub process: Process,
    /// Its first listener.
    pub listen: SocketAddr,
    /// Its second listener: aborts.
    pub abort_listen: SocketAddr,
    /// The token for everything.
    pub token: String,
    /// Its state folder.
    pub state: PathBuf,
    /// Its certificate, with TLS.
    pub fingerprint: Option<Fingerprint>,
    ready: Value,
    programs: Programs,
    words: Vec<String>,
    /// Ends what outlives the agent, such as its proxy.
    folder: Arc<Folder>,
}

impl Agent {
    fn begin(programs: Programs, words: Vec<String>, folder: Arc<Folder>) -> anyhow::Result<Self> {
        let state = folder.path().join("state");
        let mut command = Command::new(programs.agent);
        command.args(&words).arg("--state").arg(&state);
        let mut process = Process::start("agent", command, folder.path())?;
        let line = process.line(PATIENCE)?;
        let ready: Value = serde_json::from_str(&line).with_context(|| format!("no ready line: {line}"))?;
        let address = |key: &str| -> anyhow::Result<SocketAddr> {
            let text = ready[key].as_str();
            Ok(text.with_context(|| format!("no {key} in {line}"))?.parse()?)
        };
        let (listen, abort_listen) = (address("listen")?, address("abort_listen")?);
        let fingerprint = ready["fingerprint"].as_str().map(str::parse).transpose();
        let token = fs::read_to_string(ready["token_file"].as_str().context("no token_file")?)?;
        Ok(Self {
            process,
            listen,
            abort_listen,
            token: token.trim().to_owned(),
            state,
            fingerprint: fingerprint.map_err(anyhow::Error::msg)?,
            ready,
            programs,
            words,
            folder,
        })
    }

    /// The next life on the same state folder, after this one has ended.
    pub fn again(&self) -> anyhow::Result<Self> {
        Self::begin(self.programs, self.words.clone(), Arc::clone(&self.folder))
    }

    /// A subcommand of the agent's program on its state folder: its exit code and what it said.
    pub fn on_host(&self, subcommand: &str) -> anyhow::Result<(Option<i32>, String)> {
        let output = Command::new(self.programs.agent)
            .args([subcommand, "--state"])
            .arg(&self.state)
            .output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
    }

    /// The undo records on its disk, whoever has run them.
    pub fn records(&self) -> anyhow::Result<Vec<Value>> {
        let entries = fs::read_dir(self.state.join("undo"))?.flatten();
        let files = entries.filter(|entry| entry.path().extension().is_some_and(|it| it == "json"));
        files
            .map(|file| {
                let text = fs::read_to_string(file.path())?;
                Ok(serde_json::from_str(text.lines().next().unwrap_or_default())?)
            })
            .collect()
    }

    /// The id of its keeper's process, if one runs.
    pub fn keeper_pid(&self) -> Option<u32> {
        own_child(&self.process, &self.state, "keeper")
    }

    /// An agent yet to be started.
    pub fn build(programs: Programs) -> AgentBuilder {
        AgentBuilder {
            programs,
            labels: Vec::new(),
            routes: Vec::new(),
            extra: Vec::new(),
        }
    }

    /// One with the route `web`, on which every request is held for ten seconds in the drill `d-1` by the
    /// injection `i-1`, with a lease and an end of a minute; and what stands behind it.
    pub fn holding(programs: Programs) -> anyhow::Result<(Self, Upstream)> {
        let upstream = Upstream::start()?;
        let agent = Self::build(programs)
            .http_route("web", upstream.address())?
            .start()?;
        let drill = agent.open("d-1", 60_000)?;
        agent.inject(
            &drill,
            "i-1",
            "http.latency",
            json!({ "delay": "10s" }),
            json!({ "route": "web" }),
        )?;
        Ok((agent, upstream))
    }

    /// As plans write it.
    pub fn url(&self) -> String {
        let scheme = if self.fingerprint.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.listen)
    }

    /// Where the proxy listens for a route.
    pub fn route(&self, name: &str) -> anyhow::Result<SocketAddr> {
        let routes = self.ready["routes"].as_array();
        let route = routes.and_then(|routes| routes.iter().find(|route| route["name"] == name));
        let listen = route.and_then(|route| route["listen"].as_str());
        Ok(listen
            .with_context(|| format!("no route {name} in {}", self.ready))?
            .parse()?)
    }

    /// The id of its proxy's process.
    pub fn proxy_pid(&self) -> Option<u32> {
        own_child(&self.process, &self.state, "proxy")
    }

    /// A call with the token.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Response> {
        let mut connection = Connection::open_to(self.listen, self.fingerprint, PATIENCE)?;
        self.call_on(&mut connection, method, path, body)
    }

    /// A call with the token on a connection that is kept.
    pub fn call_on(
        &self,
        connection: &mut Connection,
        method: &str,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Response> {
        let entry = format!("Bearer {}", self.token);
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let headers = [
            ("Authorization", entry.as_str()),
            ("Content-Type", "application/json"),
        ];
        connection.call(method, path, &headers, &body)
    }

    /// `GET /v1/agent`.
    pub fn info(&self) -> anyhow::Result<Value> {
        self.call("GET", "/v1/agent", &Value::Null)?
            .expect_status(200)?
            .json()
    }

    /// `GET /v1/injections`.
    pub fn injections(&self) -> anyhow::Result<Vec<Value>> {
        let answer = self
            .call("GET", "/v1/injections", &Value::Null)?
            .expect_status(200)?;
        Ok(serde_json::from_str(&answer.body)?)
    }

    /// Opens a drill.
    pub fn open(&self, drill: &str, lease_ms: u64) -> anyhow::Result<Drill> {
        let body = json!({
            "drill": drill, "nonce": format!("nonce of {drill}"), "experiment": "a test",
            "console": "tests", "who": "tests", "lease_ms": lease_ms,
        });
        let answer = self
            .call("POST", "/v1/drills", &body)?
            .expect_status(200)?
            .json()?;
        Ok(Drill {
            fence: json!({
                "drill": drill, "epoch": answer["epoch"], "instance": answer["instance"], "holder": answer["holder"],
            }),
            epoch: answer["epoch"].as_u64().context("no epoch")?,
        })
    }

    /// The agent's clock.
    pub fn tick(&self) -> anyhow::Result<u64> {
        self.info()?["tick"].as_u64().context("no tick")
    }

    /// The body of a start with a minute to live.
    pub fn start_body(
        &self,
        drill: &Drill,
        fault: &str,
        parameters: Value,
        scope: Value,
    ) -> anyhow::Result<Value> {
        Ok(json!({
            "fence": drill.fence, "fault": fault, "parameters": parameters, "scope": scope,
            "ends_in_ms": 60_000, "ramp_ms": 0, "not_after": self.tick()? + 10_000_000,
        }))
    }

    /// Starts an injection and waits until it is active.
    pub fn inject(
        &self,
        drill: &Drill,
        id: &str,
        fault: &str,
        parameters: Value,
        scope: Value,
    ) -> anyhow::Result<()> {
        let body = self.start_body(drill, fault, parameters, scope)?;
        let path = format!("/v1/injections/{id}");
        self.call("PUT", &path, &body)?.expect_status(200)?;
        self.wait_for_state(id, "active").map(drop)
    }

    /// Waits until an injection has this state; returns it.
    pub fn wait_for_state(&self, id: &str, state: &str) -> anyhow::Result<Value> {
        let path = format!("/v1/injections/{id}");
        let (view, _) = wait_until(PATIENCE, &format!("{id} is {state}"), || {
            let view = self
                .call("GET", &path, &Value::Null)?
                .expect_status(200)?
                .json()?;
            ensure!(view["state"] == state, "it is {view}");
            Ok(Some(view))
        })?;
        Ok(view)
    }

    /// The latch, if it is set.
    pub fn latch(&self) -> anyhow::Result<Option<Value>> {
        Ok(Some(self.info()?["latch"].clone()).filter(|latch| !latch.is_null()))
    }

    /// Lifts the latch.
    pub fn release(&self) -> anyhow::Result<()> {
        let latch = self.latch()?.context("not latched")?;
        let body = json!({ "latch": latch["number"], "reason": "the test goes on", "who": "tests" });
        self.call("POST", "/v1/release", &body)?
            .expect_status(200)
            .map(drop)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if self.process.signal(Signal::SIGTERM).is_ok() {
            self.process.wait(Duration::from_secs(5)).ok();
        }
    }
}

/// An open drill.
#[derive(Clone, Debug)]
pub struct Drill {
    /// What starts, changes and renewals carry.
    pub fence: Value,
    /// Its epoch.
    pub epoch: u64,
}

/// The agent's child with this subcommand and its state folder.
fn own_child(agent: &Process, state: &Path, subcommand: &str) -> Option<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, after_name) = stat.rsplit_once(')')?;
        after_name.split_whitespace().nth(1)?.parse().ok()
    };
    let is_one = |pid: u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|&byte| byte == 0)
            .any(|word| word == subcommand.as_bytes())
    };
    let mut found = working_in(state)
        .into_iter()
        .map(|pid| pid.as_raw().cast_unsigned());
    found.find(|&pid| parent(pid) == Some(agent.pid()) && is_one(pid))
}
