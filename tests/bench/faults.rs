//! A fault is asked for: when does the victim notice? It is taken back: when is the victim well again?
//!
//! Victims are processes of their own that say what they see (`victims`), on the clock that all processes share.
//! The time begins before the request is sent, on a connection that is open, and ends with what the victim saw.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use firedrill_testing::{Agent, Connection, Drill, PATIENCE, millis, programs};
use serde_json::{Value, json};

use crate::Effort;
use crate::fault_cases::{CASES, Case, To, WELL};
use crate::measure::{Row, Samples};
use crate::servers::Server;
use crate::victims::{Victim, now_ns};

/// What each is held to, p95, in milliseconds.
const REACH_MS: f64 = 20.0;

/// Starts of each fault.
const STARTS: usize = 60;

/// How long a fault is on, and how long the victim is left alone, before the next.
const ON_FOR: Duration = Duration::from_millis(60);

/// With a tenth of a processor left in each hundredth of a second, most of that is spent standing still.
const HELD_BACK_NS: i64 = 8_000_000;

/// Amounts of memory to take, in MiB.
const AMOUNTS: [u64; 3] = [256, 1_024, 2_048];

pub fn measure(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let (hello, echo) = (Server::start(&["hello"])?, Server::start(&["echo"])?);
    let datagrams = Server::start(&["datagrams"])?;
    let resolver = Server::start(&["resolver"]);
    let agent = Agent::build(programs!())
        .http_route("web", hello.address)?
        .tcp_route("raw", hello.address)?
        .start()?;
    let routes = [agent.route("web")?, agent.route("raw")?];
    let bench = Bench {
        agent,
        starts: effort.samples(STARTS),
        open: Cell::new(None),
    };
    let mut rows = Vec::new();
    for case in CASES {
        let to = match case.to {
            To::Hello => Ok(hello.address),
            To::Echo => Ok(echo.address),
            To::Datagrams => Ok(datagrams.address),
            To::Resolver => match &resolver {
                Ok(resolver) => Ok(resolver.address),
                Err(error) => Err(anyhow::anyhow!("there is no resolver: {error:#}")),
            },
            To::Nowhere | To::Itself => Ok(SocketAddr::from(([127, 0, 0, 1], 0))),
            To::HttpRoute => Ok(routes[0]),
            To::TcpRoute => Ok(routes[1]),
        };
        let measured = to.and_then(|to| bench.case(case, to));
        rows.extend(or_why(&case.name(), measured));
    }
    let connections = [
        ("network.reset", echo.address, None),
        ("tcp.cut", routes[1], Some("raw")),
    ];
    for (fault, to, route) in connections {
        rows.extend(or_why(fault, bench.reset(fault, to, route)));
    }
    for how in ["ptrace", "freezer", "signal"] {
        rows.extend(or_why("process.pause", bench.pause(how)));
    }
    rows.extend(or_why("process.kill", bench.kill()));
    rows.extend(or_why("cpu.throttle", bench.throttle()));
    rows.extend(or_why("memory.fill", bench.memory(effort)));
    rows.extend(or_why("cpu.burn", bench.burn(effort)));
    Ok(rows)
}

struct Bench {
    agent: Agent,
    starts: usize,
    /// The drill that holds the agent, also of a figure that failed.
    open: Cell<Option<u64>>,
}

/// One fault's times.
#[derive(Default)]
struct Times {
    /// Request to effect.
    effect: Samples,
    /// Request to answer: on and read back.
    answered: Samples,
    /// Revert to gone.
    gone: Samples,
    /// Revert to answer: read back.
    read_back: Samples,
}

impl Times {
    fn rows(&self, fault: &str, reach_ms: f64) -> Vec<Row> {
        let sides = [
            ("request → effect", &self.effect, &self.answered),
            ("revert → gone", &self.gone, &self.read_back),
        ];
        sides
            .into_iter()
            .filter(|(_, seen, _)| !seen.is_empty())
            .map(|(what, seen, answered)| {
                let p95 = seen.quantile(0.95);
                let details = json!({ "victim_ms": seen.json(), "answer_ms": answered.json() });
                Row::at_most(format!("{fault}: {what}, p95"), "ms", p95, reach_ms).with(details)
            })
            .collect()
    }
}

fn since_ms(at: i64, began: i64) -> f64 {
    (at - began) as f64 / 1e6
}

/// A fault that this host cannot do is said, and is no figure.
fn or_why(fault: &str, measured: anyhow::Result<Vec<Row>>) -> Vec<Row> {
    measured.unwrap_or_else(|error| {
        println!("  {fault}: not measured: {error:#}");
        Vec::new()
    })
}

impl Bench {
    fn drill(&self, name: &str) -> anyhow::Result<(Drill, Connection)> {
        self.close()?;
        let drill = self.agent.open(name, 60_000)?;
        self.open.set(Some(drill.epoch));
        Ok((drill, Connection::open(self.agent.listen, PATIENCE)?))
    }

    fn close(&self) -> anyhow::Result<()> {
        let Some(epoch) = self.open.take() else {
            return Ok(());
        };
        let end = format!("/v1/drills/{epoch}");
        self.agent
            .call("DELETE", &end, &Value::Null)?
            .expect_status(200)?;
        Ok(())
    }

    /// Starts, and adds when it was answered; when it was asked for.
    fn start(
        &self,
        connection: &mut Connection,
        id: &str,
        body: &Value,
        times: &mut Times,
    ) -> anyhow::Result<i64> {
        let began = now_ns()?;
        let answer = self
            .agent
            .call_on(connection, "PUT", &format!("/v1/injections/{id}"), body)?
            .expect_status(200)?
            .json()?;
        let is_on = answer["state"] == "active" || answer["state"] == "done";
        ensure!(is_on, "it is {answer}");
        times.answered.push(since_ms(now_ns()?, began));
        Ok(began)
    }

    fn revert(&self, connection: &mut Connection, id: &str, times: &mut Times) -> anyhow::Result<i64> {
        let began = now_ns()?;
        let answer = self
            .agent
            .call_on(
                connection,
                "DELETE",
                &format!("/v1/injections/{id}"),
                &Value::Null,
            )?
            .expect_status(200)?
            .json()?;
        ensure!(answer["state"] == "reverted", "it is {answer}");
        times.read_back.push(since_ms(now_ns()?, began));
        Ok(began)
    }

    /// A victim that says what it sees.
    fn case(&self, case: &Case, to: SocketAddr) -> anyhow::Result<Vec<Row>> {
        let to_words = to.to_string();
        let words: Vec<_> = match case.to {
            To::Nowhere | To::Itself => vec![case.victim],
            _ => vec![case.victim, &to_words],
        };
        let cgroup = case.route().is_none().then_some("- -");
        let mut victim = Victim::start(&words, cgroup)?;
        let scope = match case.route() {
            Some(route) => json!({ "route": route }),
            None => json!({ "pid": victim.process.pid() }),
        };
        let (drill, mut connection) = self.drill(&case.name())?;
        victim.saw(WELL, 0)?;
        let mut times = Times::default();
        for number in 0..self.starts {
            let id = format!("{}-{number}", drill.epoch);
            let parameters = (case.parameters)(to.port());
            let body = self
                .agent
                .start_body(&drill, case.fault, parameters, scope.clone())?;
            let began = self.start(&mut connection, &id, &body, &mut times)?;
            times.effect.push(since_ms(victim.saw(case.hit, began)?, began));
            std::thread::sleep(ON_FOR);
            let began = self.revert(&mut connection, &id, &mut times)?;
            times.gone.push(since_ms(victim.saw(WELL, began)?, began));
            std::thread::sleep(ON_FOR);
        }
        self.close()?;
        Ok(times.rows(&case.name(), REACH_MS))
    }

    /// Happens once; the victim opens another connection.
    fn reset(&self, fault: &str, to: SocketAddr, route: Option<&str>) -> anyhow::Result<Vec<Row>> {
        let cgroup = route.is_none().then_some("- -");
        let mut victim = Victim::start(&["keeps", &to.to_string()], cgroup)?;
        let scope = match route {
            Some(route) => json!({ "route": route }),
            None => json!({ "pid": victim.process.pid() }),
        };
        let (drill, mut connection) = self.drill(fault)?;
        let mut times = Times::default();
        let mut since = 0;
        for number in 0..self.starts {
            victim.saw(WELL, since)?;
            std::thread::sleep(ON_FOR);
            let body = self.agent.start_body(&drill, fault, json!({}), scope.clone())?;
            let began = self.start(&mut connection, &format!("{fault}-{number}"), &body, &mut times)?;
            since = victim.saw("broken", began)?;
            times.effect.push(since_ms(since, began));
        }
        self.close()?;
        Ok(times.rows(fault, REACH_MS))
    }

    fn pause(&self, how: &str) -> anyhow::Result<Vec<Row>> {
        let cgroup = (how == "freezer").then_some("freezer -");
        let mut victim = Victim::start(&["beats"], cgroup)?;
        let scope = json!({ "pid": victim.process.pid() });
        let (drill, mut connection) = self.drill(&format!("pause-{how}"))?;
        let mut times = Times::default();
        for number in 0..self.starts {
            let id = format!("pause-{how}-{number}");
            let body =
                self.agent
                    .start_body(&drill, "process.pause", json!({ "how": how }), scope.clone())?;
            let began = self.start(&mut connection, &id, &body, &mut times)?;
            std::thread::sleep(ON_FOR);
            let ended = self.revert(&mut connection, &id, &mut times)?;
            // A busy machine holds it at other times too.
            let (from, to) = loop {
                let (from, to) = victim.stood_still(PATIENCE)?;
                if to >= ended {
                    break (from, to);
                }
            };
            times.effect.push(since_ms(from, began));
            times.gone.push(since_ms(to, ended));
            std::thread::sleep(ON_FOR);
        }
        self.close()?;
        Ok(times.rows(&format!("process.pause by {how}"), REACH_MS))
    }

    /// Happens once, each time to another victim.
    fn kill(&self) -> anyhow::Result<Vec<Row>> {
        let (drill, mut connection) = self.drill("kill")?;
        let mut times = Times::default();
        for number in 0..self.starts {
            let mut victim = Victim::start(&["beats"], None)?;
            let scope = json!({ "pid": victim.process.pid() });
            let body = self.agent.start_body(&drill, "process.kill", json!({}), scope)?;
            let watched = std::thread::scope(|scope| -> anyhow::Result<(i64, i64)> {
                let process = &mut victim.process;
                // Its output ends when the kernel has taken its files from it.
                let ended = std::thread::Builder::new().spawn_scoped(scope, move || {
                    while process.line(PATIENCE).is_ok() {}
                    now_ns()
                })?;
                let began = self.start(&mut connection, &format!("kill-{number}"), &body, &mut times)?;
                let ended = ended
                    .join()
                    .map_err(|_| anyhow::anyhow!("the watch panicked"))??;
                Ok((began, ended))
            });
            let (began, ended) = watched?;
            ensure!(!victim.process.is_running(), "it runs");
            times.effect.push(since_ms(ended, began));
        }
        self.close()?;
        Ok(times.rows("process.kill", REACH_MS))
    }

    /// With so little left the victim stands still within some milliseconds of its work.
    fn throttle(&self) -> anyhow::Result<Vec<Row>> {
        let mut victim = Victim::start(&["spins"], Some("cpu cpu"))?;
        let scope = json!({ "pid": victim.process.pid() });
        let (drill, mut connection) = self.drill("throttle")?;
        let mut times = Times::default();
        for number in 0..self.starts / 2 {
            let id = format!("throttle-{number}");
            let body =
                self.agent
                    .start_body(&drill, "cpu.throttle", json!({ "share": "95%" }), scope.clone())?;
            let began = self.start(&mut connection, &id, &body, &mut times)?;
            // Several times on and off: the middle of one.
            std::thread::sleep(5 * ON_FOR);
            let ended = self.revert(&mut connection, &id, &mut times)?;
            std::thread::sleep(ON_FOR);
            let (mut first, mut last) = (None, ended);
            while let Ok((from, to)) = victim.stood_still(2 * ON_FOR) {
                // One that began before is the machine's own, and a short one afterwards too.
                if from >= began {
                    first = first.or(Some(from));
                }
                if from <= ended || to - from >= HELD_BACK_NS {
                    last = last.max(to);
                }
            }
            let first = first.context("it was never held back")?;
            times.effect.push(since_ms(first, began));
            times.gone.push(since_ms(last, ended));
        }
        self.close()?;
        Ok(times.rows("cpu.throttle", REACH_MS))
    }

    /// Held when the kernel counts it as the child's; gone when there is no child.
    fn memory(&self, effort: &Effort) -> anyhow::Result<Vec<Row>> {
        let mut rows = Vec::new();
        for mib in AMOUNTS {
            let (drill, mut connection) = self.drill(&format!("memory-{mib}"))?;
            let mut times = Times::default();
            let mut floor = Samples::default();
            for number in 0..effort.samples(20) {
                // First: what no program of a virtual machine has ever touched costs its host's time too, once.
                let mut bare = Victim::start(&["touches", &(mib << 20).to_string()], None)?;
                let (from, to) = bare.stood_still(PATIENCE)?;
                floor.push(since_ms(to, from));
                drop(bare);
                let id = format!("memory-{mib}-{number}");
                let parameters = json!({ "size": format!("{mib}MiB"), "keep_free": "256MiB" });
                let body = self
                    .agent
                    .start_body(&drill, "memory.fill", parameters, json!({}))?;
                let began = self.start(&mut connection, &id, &body, &mut times)?;
                let child = self.child().context("nobody holds it")?;
                watch("all of it is held", || {
                    resident(child).is_some_and(|held| held >= mib << 20)
                })?;
                times.effect.push(since_ms(now_ns()?, began));
                let ended = self.revert(&mut connection, &id, &mut times)?;
                watch("nothing is held", || resident(child).is_none())?;
                times.gone.push(since_ms(now_ns()?, ended));
            }
            self.close()?;
            let reach = 30.0 + 150.0 * mib as f64 / 1024.0;
            let [effect, gone] =
                <[Row; 2]>::try_from(times.rows(&format!("memory.fill of {mib} MiB"), reach))
                    .map_err(|_| anyhow::anyhow!("two figures"))?;
            rows.push(effect.and("bare_loop_ms", floor.json()));
            rows.push(gone);
        }
        Ok(rows)
    }

    /// What its child took of one processor, against what was asked for, over ten seconds.
    fn burn(&self, effort: &Effort) -> anyhow::Result<Vec<Row>> {
        let seconds = effort.samples(10) as u64;
        let mut rows = Vec::new();
        for load in [30.0, 80.0] {
            let (drill, _) = self.drill(&format!("burn-{load}"))?;
            let parameters = json!({ "cores": 1, "load": format!("{load}%") });
            self.agent
                .inject(&drill, &format!("burn-{load}"), "cpu.burn", parameters, json!({}))?;
            let child = self.child().context("nobody burns")?;
            std::thread::sleep(Duration::from_millis(500));
            let (began, before) = (Instant::now(), ticks(child)?);
            std::thread::sleep(Duration::from_secs(seconds));
            let used = (ticks(child)? - before) / began.elapsed().as_secs_f64();
            self.close()?;
            let percent = used * 100.0;
            let row = Row::at_most(
                format!("cpu.burn of {load} %: off by"),
                "pts",
                (percent - load).abs(),
                5.0,
            );
            rows.push(row.with(json!({ "percent": percent, "seconds": seconds })));
        }
        Ok(rows)
    }

    /// The child of the fault that is on, by its undo record.
    fn child(&self) -> Option<i32> {
        let records = self.agent.records().ok()?;
        let pid = records
            .iter()
            .find_map(|record| record["undo"]["child"]["pid"].as_i64())?;
        i32::try_from(pid).ok()
    }
}

/// Looks again and again, often enough not to be what is measured.
fn watch(what: &str, mut is_so: impl FnMut() -> bool) -> anyhow::Result<()> {
    let began = Instant::now();
    while !is_so() {
        ensure!(
            began.elapsed() < PATIENCE,
            "not within {:.0} ms: {what}",
            millis(PATIENCE)
        );
        std::thread::sleep(Duration::from_micros(500));
    }
    Ok(())
}

/// What the kernel counts as a process' memory, in bytes; none: there is no such process.
fn resident(pid: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib * 1024)
}

/// Seconds that a process spent on processors.
fn ticks(pid: i32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let of = |at: usize| -> anyhow::Result<f64> { Ok(fields.get(at).context("too short")?.parse()?) };
    // Hundredths of a second: USER_HZ is part of the kernel's interface.
    Ok((of(11)? + of(12)?) / 100.0)
}
