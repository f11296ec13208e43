//! Console, agent, keeper and proxy ended by SIGKILL at random moments of a drill: when is a client served normally again?
//!
//! The client is an onlooker of its own: it pays through the route that the fault is on. A kill before the fault was on
//! counts too: the fault must not come afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use firedrill_demo::{Build, EXPERIMENT_NAME, PAYMENT_ROUTE, System};
use firedrill_simulator::Random;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::Budget;
use super::host::{Agent, Folder, PATIENCE, Process, request};
use super::table::Row;

/// The lease of the drills, in milliseconds: the shortest there is.
const LEASE_MS: u64 = 2_000;
/// What is allowed after the death of an agent or a proxy, and after the lease of a console.
const AFTER_MS: u64 = 1_000;
/// A payment counts as normal below this; the fault adds 400 ms.
const NORMAL: Duration = Duration::from_millis(150);
/// So many normal ones in a row are not luck.
const IN_A_ROW: u32 = 5;
/// Within this time of its begin a console has its fault on; the moment of its death is chance.
const DRILL_MS: u64 = 12_000;

/// Agents that are started until the route of one serves.
const AGENTS: u32 = 3;

/// Who is killed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// `firedrill run`.
    Console,
    /// `firedrill agent serve`.
    Agent,
    /// Its keeper; nobody renews the lease then.
    Keeper,
    /// Its proxy.
    Proxy,
    /// Console and agent at once.
    Both,
}

impl Victim {
    /// For the table.
    pub fn words(self) -> &'static str {
        match self {
            Self::Console => "console killed → client served normally",
            Self::Agent => "agent killed → client served normally",
            Self::Keeper => "keeper killed → client served normally",
            Self::Proxy => "proxy killed → client served normally",
            Self::Both => "console and agent killed → client served normally",
        }
    }

    fn limit_ms(self) -> u64 {
        match self {
            Self::Console | Self::Both | Self::Keeper => LEASE_MS + AFTER_MS,
            Self::Agent | Self::Proxy => AFTER_MS,
        }
    }
}

/// Kills until the budget is used up.
pub fn campaign(victim: Victim, budget: Budget, chance: &mut Random) -> anyhow::Result<Row> {
    let program = std::env::current_exe().context("where this program is cannot be found out")?;
    let bound = System::bind(Build::Hardened)?;
    let payments = bound.payments_addr();
    let system = bound.start(None)?;
    let mut row = Row {
        what: victim.words().to_owned(),
        tried: 0,
        took_ms: Vec::new(),
        limit_ms: Some(victim.limit_ms() as f64),
        violations: Vec::new(),
    };
    let mut tried = 0;
    while !budget.is_over(tried) {
        tried += 1;
        let round = Round {
            victim,
            program: &program,
            payments,
            system: &system,
            wait: Duration::from_millis(
                chance.between(0, if victim.runs_a_console() { DRILL_MS } else { 300 }),
            ),
        };
        let moment = round.wait.as_millis();
        match round.run() {
            Ok(took) => {
                let ms = took.as_secs_f64() * 1e3;
                row.took_ms.push(ms);
                if ms > victim.limit_ms() as f64 {
                    row.violations.push(format!(
                        "round {tried}, killed at {moment} ms: only after {ms:.0} ms"
                    ));
                }
            }
            Err(error) => row
                .violations
                .push(format!("round {tried}, killed at {moment} ms: {error:#}")),
        }
    }
    row.tried = u64::from(tried);
    Ok(row)
}

impl Victim {
    fn runs_a_console(self) -> bool {
        matches!(self, Self::Console | Self::Both)
    }
}

struct Round<'a> {
    victim: Victim,
    program: &'a Path,
    payments: SocketAddr,
    system: &'a System,
    wait: Duration,
}

impl Round<'_> {
    /// One kill; how long it took until the client was served normally.
    fn run(&self) -> anyhow::Result<Duration> {
        let (mut agent, route) = self.agent()?;
        let mut console = None;
        if self.victim.runs_a_console() {
            console = Some(self.console(&agent)?);
        } else {
            let fence = agent.open("prove", LEASE_MS)?;
            agent.inject(
                &fence,
                "prove-1",
                "http.latency",
                &json!({ "delay": "400ms" }),
                &json!({ "route": PAYMENT_ROUTE }),
            )?;
        }
        std::thread::sleep(self.wait);
        let began = Instant::now();
        if let Some((console, _)) = &mut console {
            console.kill();
        }
        match self.victim {
            Victim::Console => {}
            Victim::Agent | Victim::Both => agent.process.kill(),
            Victim::Keeper => end_helper(&agent, "keeper")?,
            Victim::Proxy => end_helper(&agent, "proxy")?,
        }
        let took = wait_until_normal(route, began)?;
        if self.victim == Victim::Console {
            nothing_left(&agent, began)?;
        }
        Ok(took)
    }

    /// An agent with a route that serves. The route's port was free a moment before: another program may have taken
    /// it meanwhile, and that is no broken promise.
    fn agent(&self) -> anyhow::Result<(Agent, SocketAddr)> {
        for _ in 0..AGENTS {
            let agent = Agent::start(self.program, Some((PAYMENT_ROUTE, self.payments)))?;
            let route = agent.route.context("the agent has no route")?;
            if pay(route) {
                return Ok((agent, route));
            }
        }
        bail!("of {AGENTS} agents started one after another no route served")
    }

    /// `firedrill run` of the demo's plan, in a home of its own.
    fn console(&self, agent: &Agent) -> anyhow::Result<(Process, Folder)> {
        let home = Folder::make()?;
        let plan = self.write_home(home.path(), agent)?;
        let mut command = Command::new(self.program);
        command
            .arg("run")
            .arg(plan)
            .args(["--experiment", EXPERIMENT_NAME, "--report"])
            .arg(home.path().join("report"))
            .env("HOME", home.path())
            .current_dir(home.path());
        for name in ["CONFIG", "DATA", "STATE", "CACHE"] {
            command.env(format!("XDG_{name}_HOME"), home.path().join(name));
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(home.path().join("log"))?)
            .spawn()
            .context("the console cannot be started")?;
        Ok((Process(child), home))
    }

    /// The plan with short times, and the agent's tokens where the console looks for them.
    fn write_home(&self, home: &Path, agent: &Agent) -> anyhow::Result<PathBuf> {
        let mut text = firedrill_demo::plan(self.system.addresses(), &agent.url());
        for (long, short) in [
            ("baseline = \"6s\"", "baseline = \"1s\""),
            ("window = \"5s\"", "window = \"2s\""),
            ("for = \"20s\"", "for = \"60s\""),
            ("lease = \"5s\"", "lease = \"2s\""),
        ] {
            anyhow::ensure!(text.contains(long), "the demo's plan no longer says {long}");
            text = text.replace(long, short);
        }
        let plan = home.join("plan.toml");
        fs::write(&plan, text)?;
        let tokens = json!({ "token": agent.token, "abort_token": agent.abort_token });
        let entries = BTreeMap::from([(agent.url(), tokens)]);
        let folder = home.join("CONFIG/firedrill");
        fs::create_dir_all(&folder)?;
        let mut options = fs::OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(folder.join(crate::settings::CREDENTIALS))?;
        serde_json::to_writer(file, &entries)?;
        Ok(plan)
    }
}

/// Pays until it is normal several times in a row; how long after `began` the first of them was answered.
fn wait_until_normal(route: SocketAddr, began: Instant) -> anyhow::Result<Duration> {
    let mut first = None;
    let mut row = 0;
    loop {
        let asked = Instant::now();
        if pay(route) && asked.elapsed() <= NORMAL {
            let first = *first.get_or_insert_with(|| began.elapsed());
            row += 1;
            if row >= IN_A_ROW {
                return Ok(first);
            }
            continue;
        }
        (first, row) = (None, 0);
        anyhow::ensure!(
            began.elapsed() < PATIENCE,
            "a client is not served normally within {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a payment through the route is answered well.
fn pay(route: SocketAddr) -> bool {
    // The demo's customers number their orders from 1.
    static ORDER: AtomicU64 = AtomicU64::new(1 << 40);
    let order = ORDER.fetch_add(1, Ordering::Relaxed);
    let body = json!({ "order": order, "amount_cents": 100 });
    matches!(request(route, "POST", "/api/payment", None, &body), Ok((200, _)))
}

/// SIGKILL to a process that the agent started.
fn end_helper(agent: &Agent, kind: &str) -> anyhow::Result<()> {
    let pid = agent.helpers(kind).first().copied();
    let pid = pid.with_context(|| format!("the agent has no {kind}"))?;
    kill(Pid::from_raw(pid), Signal::SIGKILL)?;
    Ok(())
}

/// The agent itself says that nothing is on, once the lease is over.
fn nothing_left(agent: &Agent, began: Instant) -> anyhow::Result<()> {
    loop {
        let left = agent.left_on()?;
        if left.is_empty() && agent.call("GET", "/v1/agent", &serde_json::Value::Null)?["open"].is_null() {
            return Ok(());
        }
        anyhow::ensure!(began.elapsed() < PATIENCE, "still on: {}", left.join(", "));
        std::thread::sleep(Duration::from_millis(20));
    }
}
