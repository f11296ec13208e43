//! ABORT pressed → read back, by the console's own abort line, against a raw request on an idle connection.
//!
//! Read back is, for `http.latency`, that the proxy no longer has the rule, that no request is held, and that a
//! probe came through the route; for `process.pause`, what `/proc` says of each thread. The clock runs from the press
//! in the console's process until its abort line has read the agent's word of it.
//!
//! The raw request is `GET /healthz`, the least that the agent can be asked, on a connection to the same listener that
//! was kept and idle since the abort before, sent by a thread that blocks on its answer: right before each press, so
//! at the same pace and in the same state of the machine. It shows no token, is not parsed beyond its path, and wakes
//! one thread of the agent. The heartbeat (`GET /v1/agent`) is measured beside it, for whoever wants the floor of a
//! request that does something.

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

struct Bench {
    agent: Agent,
    line: AbortLine,
    /// Until the line is held to it, in the first drill.
    target: Option<AbortTarget>,
    drills: usize,
    /// Aborts that were sent again before the first answer had ended.
    repeated: usize,
}

impl Bench {
    fn fault(&mut self, case: &Case, samples: usize) -> anyhow::Result<Vec<Row>> {
        let Case { fault, .. } = case;
        let [mut raw, mut heartbeat, mut read_back] = <[Samples; 3]>::default();
        let [mut received, mut reverted, mut proved] = <[Samples; 3]>::default();
        let mut idle = Connection::open(self.agent.abort_listen, PATIENCE)?;
        let mut other = Connection::open(self.agent.abort_listen, PATIENCE)?;
        for _ in 0..samples {
            std::thread::sleep(PACE);
            self.drills += 1;
            let id = format!("drill-{}", self.drills);
            let drill = self.agent.open(&id, 60_000)?;
            let (parameters, scope) = (case.parameters.clone(), case.scope.clone());
            self.agent.inject(&drill, &id, fault, parameters, scope)?;
            let (answer, took) = timed(|| self.agent.call_on(&mut other, "GET", "/v1/agent", &Value::Null))?;
            ensure!(answer.status == 200, "{}", answer.status);
            heartbeat.add(took);
            let (answer, took) = timed(|| idle.call("GET", "/healthz", &[], ""))?;
            ensure!(answer.status == 200, "{}", answer.status);
            raw.add(took);
            let status = self.abort(&id)?;
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
            "raw_request_ms": raw.json(), "heartbeat_ms": heartbeat.json(),
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

    /// Presses and waits for the end of the agent's answer.
    fn abort(&mut self, drill: &str) -> anyhow::Result<AbortStatus> {
        self.line.begin(Some(drill.into()), Clock::start());
        let handle = self.line.handle();
        if let Some(target) = self.target.take() {
            self.line.hold(vec![target]);
            // The connections are there before a drill is armed.
            wait(&self.line, |board| board.agents.iter().any(|line| line.beats > 1))?;
        }
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
        std::thread::sleep(Duration::from_micros(200));
    }
}
