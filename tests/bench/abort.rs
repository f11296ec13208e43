//! ABORT pressed → read back, by the console's own abort line, against a raw request on an idle connection.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use firedrill_conductor::{AbortLine, AbortTarget, Board, Clock};
use firedrill_fleet::Token;
use firedrill_testing::{Agent, Connection, PATIENCE, Upstream, programs};
use serde_json::{Value, json};

use crate::Effort;
use crate::measure::{Row, Samples, timed};

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
    let latency = json!({ "delay": "10s" });
    let mut rows = bench.fault("http.latency", &latency, &json!({ "route": "web" }), samples)?;
    rows.extend(bench.fault(
        "process.pause",
        &json!({}),
        &json!({ "pid": sleeper.0.id() }),
        samples,
    )?);
    Ok(rows)
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
    fn fault(
        &mut self,
        fault: &str,
        parameters: &Value,
        scope: &Value,
        samples: usize,
    ) -> anyhow::Result<Vec<Row>> {
        let (mut raw, mut read_back, mut proved) = <(Samples, Samples, Samples)>::default();
        let mut idle = Connection::open(self.agent.abort_listen, PATIENCE)?;
        for _ in 0..samples {
            self.drills += 1;
            let id = format!("drill-{}", self.drills);
            let drill = self.agent.open(&id, 60_000)?;
            self.agent
                .inject(&drill, &id, fault, parameters.clone(), scope.clone())?;
            let (answer, took) = timed(|| self.agent.call_on(&mut idle, "GET", "/v1/agent", &Value::Null))?;
            ensure!(answer.status == 200, "{}", answer.status);
            raw.add(took);
            let status = self.abort(&id)?;
            read_back.push(status.0);
            proved.push(status.1);
            self.agent.release()?;
        }
        let details = json!({ "sent_again": self.repeated, "ms": read_back.json(), "proved_ms": proved.json(), "raw_request_ms": raw.json() });
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

    /// Presses and waits; milliseconds from the press to the read-back and to the proof.
    fn abort(&mut self, drill: &str) -> anyhow::Result<(f64, f64)> {
        self.line.begin(Some(drill.into()), Clock::start());
        let handle = self.line.handle();
        if let Some(target) = self.target.take() {
            self.line.hold(vec![target]);
            // The connections are there before a drill is armed.
            wait(&self.line, |board| board.agents.iter().any(|line| line.beats > 1))?;
        }
        handle.press("a benchmark", "bench");
        let board = wait(&self.line, |board| board.press.is_some() && !board.is_aborting())?;
        let status = board
            .agents
            .first()
            .and_then(|line| line.abort.as_ref())
            .context("no abort")?;
        self.repeated += usize::from(status.sent > 1);
        let ms = |us: Option<u64>| us.map(|us| us as f64 / 1e3).context("not told");
        Ok((ms(status.reverted_us)?, ms(status.proved_us)?))
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
