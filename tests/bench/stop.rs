//! Second bad source sample received → stop written, with 64 SLIs on one Prometheus.
//!
//! A real console (`firedrill run`) runs a drill with a real fault on a real agent. Measured is from just before
//! the server writes the first byte of the answer that holds the second bad sample of an SLI to when the first byte
//! of the console's `POST /v1/abort` is read off the connection to the agent and the stop stands in the journal's
//! file, whichever is later. Then the console is killed, and the next one begins.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};
use firedrill_testing::{Agent, Firedrill, PATIENCE, Upstream, programs, wait_until};
use serde_json::json;

use crate::Effort;
use crate::measure::{Row, Samples};
use crate::prometheus::Prometheus;
use crate::tap::Tap;

/// SLIs of the plan.
const SLIS: usize = 64;

/// What the journal's record of a stop says.
const STOP: &[u8] = b"\"what\":\"stop\"";

/// The journal's file is looked at this often: what is seen there is at most this much later than it was written.
const LOOK: Duration = Duration::from_micros(500);

/// Drills side by side: most of a drill is waiting.
const SIDE_BY_SIDE: usize = 4;

/// No stop is begun after this.
const AT_MOST: Duration = Duration::from_mins(2);

pub fn measure(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let stops = effort.samples(500);
    let until = Instant::now() + if effort.quick { AT_MOST / 5 } else { AT_MOST };
    let work = |number: usize| -> anyhow::Result<JoinHandle<anyhow::Result<Samples>>> {
        let lane = Lane::start()?;
        let thread = Builder::new().name(format!("drills-{number}"));
        Ok(thread.spawn(move || lane.run(stops / SIDE_BY_SIDE, until))?)
    };
    let lanes = (0..SIDE_BY_SIDE).map(work).collect::<anyhow::Result<Vec<_>>>()?;
    let mut all = Samples::default();
    // All of them first: what a lane has started ends with its thread.
    let ended: Vec<_> = lanes.into_iter().map(JoinHandle::join).collect();
    for lane in ended {
        all.append(lane.map_err(|_| anyhow!("a lane panicked"))??);
    }
    let row = Row::at_most(
        format!("second bad sample sent → stop written, {SLIS} SLIs, p99"),
        "ms",
        all.p99(),
        20.0,
    );
    Ok(vec![row.with(
        json!({ "ms": all.json(), "drills_side_by_side": SIDE_BY_SIDE }),
    )])
}

/// A place where one drill after another is stopped.
struct Lane {
    prometheus: Prometheus,
    tap: Tap,
    agent: Agent,
    account: Firedrill,
    plan: PathBuf,
    _upstream: Upstream,
}

/// A plan with these `[metrics]` and SLIs, and a fault at an agent behind `url`.
pub fn plan(url: &str, metrics: &str) -> String {
    format!(
        r#"title = "Stops"
system = "web"
{metrics}
[[agent]]
name = "web"
url = "{url}"
labels = {{ service = "web" }}

[[experiment]]
name = "Web is slow"
hypothesis = "Nobody notices."
lease = "10s"
baseline = "1s"
recover = "10s"

  [[experiment.step]]
  inject = "http.latency"
  target = {{ service = "web", mode = "one", route = "web" }}
  with = {{ delay = "100ms" }}
  for = "1m"
"#
    )
}

/// When the journal's file has a stop that it did not have before `from`, a length in bytes.
fn stop_in(journal: &Path, from: u64, limit: Duration) -> anyhow::Result<Instant> {
    let until = Instant::now() + limit;
    let mut file = std::fs::File::open(journal)?;
    file.seek(SeekFrom::Start(from))?;
    let mut read = Vec::new();
    while Instant::now() < until {
        if file.read_to_end(&mut read)? > 0 && read.windows(STOP.len()).any(|window| window == STOP) {
            return Ok(Instant::now());
        }
        std::thread::sleep(LOOK);
    }
    bail!("no stop in {} within {limit:?}", journal.display())
}

impl Lane {
    fn start() -> anyhow::Result<Self> {
        let upstream = Upstream::start()?;
        let agent = Agent::build(programs!())
            .label("service=web")
            .http_route("web", upstream.address())?
            .start()?;
        let tap = Tap::start(agent.listen, agent.abort_listen)?;
        let prometheus = Prometheus::start()?;
        let account = Firedrill::new(programs!())?;
        let url = format!("http://{}", tap.address);
        account.know_at(&[(url.clone(), &agent)])?;
        let text = plan(&url, &prometheus.plan(SLIS));
        Ok(Self {
            plan: account.file("plan.toml", &text)?,
            prometheus,
            tap,
            agent,
            account,
            _upstream: upstream,
        })
    }

    fn run(self, stops: usize, until: Instant) -> anyhow::Result<Samples> {
        let mut samples = Samples::default();
        for number in 0..stops {
            if Instant::now() > until {
                break;
            }
            // Another SLI each time, and another moment between two looks.
            let wait = Duration::from_millis(number as u64 * 37 % 200);
            samples.add(self.stop(number % SLIS, wait)?);
        }
        Ok(samples)
    }

    /// One drill up to its stop.
    fn stop(&self, sli: usize, wait: Duration) -> anyhow::Result<Duration> {
        let plan = self.plan.to_str().context("the path is UTF-8")?;
        let mut console = self.account.start(&["run", plan, "--report", "report"])?;
        let took = self.stopped(&mut console, sli, wait);
        console.process.kill()?;
        self.prometheus.turn_good();
        took.with_context(|| format!("{}{}", console.process.rest(), console.process.stderr()))
    }

    fn stopped(
        &self,
        console: &mut firedrill_testing::Console,
        sli: usize,
        wait: Duration,
    ) -> anyhow::Result<Duration> {
        wait_until(PATIENCE * 2, "the fault is on", || {
            // Asked seldom: other drills are being measured meanwhile.
            std::thread::sleep(Duration::from_millis(100));
            let on = self.agent.injections()?;
            let active = on
                .iter()
                .any(|it| it["fault"] == "http.latency" && it["state"] == "active");
            Ok((active || !console.process.is_running()).then_some(()))
        })?;
        ensure!(console.process.is_running(), "the drill ended before its fault");
        std::thread::sleep(wait);
        let before = self.tap.aborts();
        // Names begin with their time.
        let journal = self.account.journals()?.into_iter().max().context("no journal")?;
        let length = std::fs::metadata(&journal)?.len();
        let looking = Builder::new().name("journal".to_owned());
        let looking = looking.spawn(move || stop_in(&journal, length, PATIENCE))?;
        self.prometheus.turn_bad(sli);
        let second = self.prometheus.second_bad(PATIENCE)?;
        let abort = self.tap.abort_after(second, PATIENCE)?;
        let written = looking
            .join()
            .map_err(|_| anyhow!("the look at the journal panicked"))??;
        ensure!(
            self.tap.aborts() > before,
            "the abort is older than the bad samples"
        );
        wait_until(PATIENCE, "the agent is free again", || {
            std::thread::sleep(Duration::from_millis(20));
            Ok(self.agent.info()?["open"].is_null().then_some(()))
        })?;
        Ok(abort.max(written) - second)
    }
}
