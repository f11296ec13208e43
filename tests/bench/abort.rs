//! ABORT pressed → read back, by the console's own abort line, against a raw request on an idle connection.
//!
//! Read back is, for `http.latency`, that the proxy no longer has the rule, that no request is held, and that a
//! probe came through the route; for `process.pause`, what `/proc` says of each thread. The clock runs from the press
//! in the console's process until its abort line has read the agent's word of it.
//!
//! The raw request is `GET /healthz`, the least that the agent can be asked, right before each press, on a connection to
//! the same listener that was kept and idle since the abort before. It is asked for as a press is: by a thread that hands
//! it to a runtime of its own, where reqwest, the console's client for all but the abort line, sends it and reads the
//! answer. Beside it stand, without a figure to reach, the same request by a thread that blocks on a bare socket, and the
//! heartbeat (`GET /v1/agent`) by that thread.

use std::net::SocketAddr;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use firedrill_conductor::{AbortLine, AbortTarget, Board, Clock};
use firedrill_drill::AbortStatus;
use firedrill_fleet::Token;
use firedrill_testing::{Agent, Connection, PATIENCE, Upstream, programs};
use serde_json::{Value, json};

use crate::Effort;
use crate::measure::{Row, Samples, timed};

/// Between two aborts: an agent allows a hundred openings and starts a second.
const PACE: Duration = Duration::from_millis(25);

pub fn measure(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let upstream = Upstream::start()?;
    let agent = Agent::build(programs!())
        .http_route("web", upstream.address())?
        .start()?;
    let sleeper = Sleeper::start()?;
    let line = AbortLine::start()?;
    let target = AbortTarget {
        agent: 0,
        name: "bench".to_owned(),
        address: agent.abort_listen,
        host: agent.abort_listen.to_string(),
        token: Some(Token::new(&agent.token)),
        tls: None,
    };
    let mut bench = Bench {
        agent,
        line,
        client: Client::start()?,
        target: Some(target),
        drills: 0,
        repeated: 0,
    };
    let samples = effort.samples(2_000);
    let latency = Case {
        fault: "http.latency",
        parameters: json!({ "delay": "10s" }),
        scope: json!({ "route": "web" }),
        read_back: |status| status.proved_us,
    };
    let pause = Case {
        fault: "process.pause",
        parameters: json!({}),
        scope: json!({ "pid": sleeper.0.id() }),
        read_back: |status| status.reverted_us,
    };
    let mut rows = bench.fault(&latency, samples)?;
    rows.extend(bench.fault(&pause, samples)?);
    Ok(rows)
}

/// What is injected and aborted.
struct Case {
    fault: &'static str,
    parameters: Value,
    scope: Value,
    /// When it was read back.
    read_back: fn(&AbortStatus) -> Option<u64>,
}

/// What is paused.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> anyhow::Result<Self> {
        Ok(Self(Command::new("sleep").arg("3600").spawn()?))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The console's HTTP client on a runtime of its own.
struct Client {
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
}

impl Client {
    fn start() -> anyhow::Result<Self> {
        // Another group may have done it.
        rustls::crypto::ring::default_provider().install_default().ok();
        Ok(Self {
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()?,
            http: reqwest::Client::builder().no_proxy().build()?,
        })
    }

    /// From the asking until the runtime's thread has read the answer.
    fn healthz(&self, agent: SocketAddr) -> anyhow::Result<Duration> {
        let url = format!("http://{agent}/healthz");
        let http = self.http.clone();
        let began = Instant::now();
        let asked = self.runtime.spawn(async move {
            let answer = http.get(url).send().await?.error_for_status()?;
            answer.bytes().await?;
            anyhow::Ok(began.elapsed())
        });
        self.runtime.block_on(asked)?
    }
}

struct Bench {
    agent: Agent,
    line: AbortLine,
    client: Client,
    /// Until the line is held to it, in the first drill.
    target: Option<AbortTarget>,
    drills: usize,
    /// Aborts that were sent again before the first answer had ended.
    repeated: usize,
}

impl Bench {
    fn fault(&mut self, case: &Case, samples: usize) -> anyhow::Result<Vec<Row>> {
        let Case { fault, .. } = case;
        let [mut raw, mut bare, mut heartbeat, mut read_back] = <[Samples; 4]>::default();
        let [mut received, mut reverted, mut proved] = <[Samples; 3]>::default();
        let mut idle = Connection::open(self.agent.abort_listen, PATIENCE)?;
        let mut other = Connection::open(self.agent.abort_listen, PATIENCE)?;
        for _ in 0..samples {
            self.drills += 1;
            let id = format!("drill-{}", self.drills);
            self.begin(&id)?;
            std::thread::sleep(PACE);
            let drill = self.agent.open(&id, 60_000)?;
            let (parameters, scope) = (case.parameters.clone(), case.scope.clone());
            self.agent.inject(&drill, &id, fault, parameters, scope)?;
            let (answer, took) = timed(|| self.agent.call_on(&mut other, "GET", "/v1/agent", &Value::Null))?;
            ensure!(answer.status == 200, "{}", answer.status);
            heartbeat.add(took);
            let (answer, took) = timed(|| idle.call("GET", "/healthz", &[], ""))?;
            ensure!(answer.status == 200, "{}", answer.status);
            bare.add(took);
            raw.add(self.client.healthz(self.agent.abort_listen)?);
            let status = self.abort()?;
            let ms = |us: Option<u64>| us.map(|us| us as f64 / 1e3).context("not told");
            read_back.push(ms((case.read_back)(&status))?);
            received.push(ms(status.received_us)?);
            reverted.push(ms(status.reverted_us)?);
            proved.push(ms(status.proved_us)?);
            self.agent.release()?;
        }
        let details = json!({
            "sent_again": self.repeated, "read_back_ms": read_back.json(), "reverted_ms": reverted.json(),
            "proved_ms": proved.json(), "received_and_on_disk_ms": received.json(),
            "raw_request_ms": raw.json(), "bare_socket_ms": bare.json(), "heartbeat_ms": heartbeat.json(),
        });
        Ok(vec![
            Row::at_most(
                format!("{fault}: ABORT pressed → read back, p99"),
                "ms",
                read_back.p99(),
                10.0,
            )
            .with(details),
            Row::at_most(
                format!("{fault}: the same, in p99 of a raw HTTP request"),
                "×",
                read_back.p99() / raw.p99(),
                3.0,
            ),
        ])
    }

    /// The line is the drill's from now on.
    fn begin(&mut self, drill: &str) -> anyhow::Result<()> {
        self.line.begin(Some(drill.into()), Clock::start());
        if let Some(target) = self.target.take() {
            self.line.hold(vec![target]);
            // The connections are there before a drill is armed.
            wait(&self.line, |board| board.agents.iter().any(|line| line.beats > 1))?;
        }
        Ok(())
    }

    /// Presses and waits for the end of the agent's answer.
    fn abort(&mut self) -> anyhow::Result<AbortStatus> {
        let handle = self.line.handle();
        handle.press("a benchmark", "bench");
        let board = wait(&self.line, |board| board.press.is_some() && !board.is_aborting())?;
        let status = board.agents.first().and_then(|line| line.abort.clone());
        let status = status.context("no abort")?;
        self.repeated += usize::from(status.sent > 1);
        Ok(status)
    }
}

fn wait(line: &AbortLine, cond: impl Fn(&Board) -> bool) -> anyhow::Result<Board> {
    let began = Instant::now();
    loop {
        let board = line.handle().board();
        if cond(&board) {
            return Ok(board);
        }
        ensure!(began.elapsed() < PATIENCE, "the abort line is silent: {board:?}");
        // Seldom: the line's own clock is what counts.
        std::thread::sleep(Duration::from_millis(2));
    }
}
