//! 100 ms injected: how much later do clients get their answers?

use anyhow::ensure;
use firedrill_testing::{Agent, Connection, PATIENCE, programs};
use serde_json::json;

use crate::Effort;
use crate::measure::{Row, Samples, timed};
use crate::servers::Server;

/// What is injected, in milliseconds.
const INJECTED: f64 = 100.0;

pub fn measure(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let hello = Server::start(&["hello"])?;
    let agent = Agent::build(programs!())
        .http_route("web", hello.address)?
        .start()?;
    let mut connection = Connection::open(agent.route("web")?, PATIENCE)?;
    let mut samples = |count: usize| -> anyhow::Result<Samples> {
        let mut samples = Samples::default();
        for _ in 0..count {
            let (answer, took) = timed(|| connection.call("GET", "/", &[], ""))?;
            ensure!(answer.status == 200, "{answer:?}");
            samples.add(took);
        }
        Ok(samples)
    };
    let without = samples(effort.samples(2_000))?;
    let drill = agent.open("latency", 60_000)?;
    agent.inject(
        &drill,
        "i-1",
        "http.latency",
        json!({ "delay": "100ms" }),
        json!({ "route": "web" }),
    )?;
    let with = samples(effort.samples(300))?;
    let added = with.p50() - without.p50();
    let details = json!({ "added_p50_ms": added, "with_ms": with.json(), "without_ms": without.json() });
    let off = (added - INJECTED).abs();
    Ok(vec![
        Row::at_most("100 ms injected: added p50 is off by", "ms", off, 1.0).with(details),
    ])
}
