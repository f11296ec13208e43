//! So much injected: how much later do clients get their answers?
//!
//! Each delay is a run of its own through the same route, and is held against the run without a fault: its p50 and its
//! p99 should be later by what was injected.

use std::net::SocketAddr;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::ensure;
use firedrill_testing::{Agent, Connection, PATIENCE, programs};
use serde_json::{Value, json};

use crate::Effort;
use crate::measure::{Row, Samples, timed};
use crate::servers::Server;

/// What is injected, in milliseconds, and how often it is waited for.
const STEPS: [(u64, usize); 5] = [(10, 1_000), (50, 1_000), (100, 1_000), (500, 400), (1_000, 320)];

/// What the p50 and the p99 may be off by, in milliseconds.
const REACH: [f64; 2] = [1.0, 3.0];

/// Connections that wait at the same time, so that a second's delay need not be waited for hundreds of times in a row:
/// a step is over before its lease is. They begin one after the other, and no two are answered at once.
const CONNECTIONS: u32 = 8;

pub fn measure(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let hello = Server::start(&["hello"])?;
    let agent = Agent::build(programs!())
        .http_route("web", hello.address)?
        .start()?;
    let route = agent.route("web")?;
    let without = exchanges(route, effort.samples(2_000))?;
    let mut rows = Vec::new();
    for (delay_ms, count) in STEPS {
        let id = format!("i-{delay_ms}");
        let drill = agent.open(&format!("latency-{delay_ms}"), 60_000)?;
        let delay = json!({ "delay": format!("{delay_ms}ms") });
        agent.inject(&drill, &id, "http.latency", delay, json!({ "route": "web" }))?;
        let with = delayed(route, delay_ms, effort.samples(count))?;
        let end = format!("/v1/drills/{}", drill.epoch);
        agent.call("DELETE", &end, &Value::Null)?.expect_status(200)?;
        let sides = [
            ("p50", with.p50(), without.p50()),
            ("p99", with.p99(), without.p99()),
        ];
        for ((name, with_ms, without_ms), reach) in sides.into_iter().zip(REACH) {
            let added = with_ms - without_ms;
            let details = json!({
                "added_ms": added, "with_ms": with.json(), "without_ms": without.json(),
                "with_p99_over_median_without_ms": with.p99() - without.p50(),
            });
            let off = (added - delay_ms as f64).abs();
            let what = format!("{delay_ms} ms injected: added {name} is off by");
            rows.push(Row::at_most(what, "ms", off, reach).with(details));
        }
    }
    Ok(rows)
}

fn exchanges(route: SocketAddr, count: usize) -> anyhow::Result<Samples> {
    let mut connection = Connection::open(route, PATIENCE)?;
    let mut samples = Samples::default();
    for _ in 0..count {
        let (answer, took) = timed(|| connection.call("GET", "/", &[], ""))?;
        ensure!(answer.status == 200, "{answer:?}");
        samples.add(took);
    }
    Ok(samples)
}

fn delayed(route: SocketAddr, delay_ms: u64, count: usize) -> anyhow::Result<Samples> {
    let apart = Duration::from_millis(delay_ms) / CONNECTIONS;
    let one = |number: u32| -> std::io::Result<JoinHandle<anyhow::Result<Samples>>> {
        let name = format!("client-{number}");
        Builder::new().name(name).spawn(move || {
            std::thread::sleep(apart * number);
            exchanges(route, count.div_ceil(CONNECTIONS as usize))
        })
    };
    let threads = (0..CONNECTIONS).map(one).collect::<Result<Vec<_>, _>>()?;
    let mut all = Samples::default();
    for thread in threads {
        all.append(
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("a client panicked"))??,
        );
    }
    Ok(all)
}
