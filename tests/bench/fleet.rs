//! ABORT pressed on a whole fleet → every agent read back, by the console's own abort line; against empty POSTs by
//! the same HTTP stack in the same run.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use firedrill_conductor::{AbortLine, AbortTarget, Clock};
use firedrill_fleet::Token;
use firedrill_trust::PinnedTls;
use futures_util::future::try_join_all;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Effort;
use crate::hosts::{Hosts, Member};
use crate::measure::{Row, Samples};

/// Agents, and the milliseconds in which all of them are to be read back.
const FLEETS: [(usize, f64); 2] = [(100, 30.0), (1_000, 200.0)];

/// Reported, without a figure to reach.
const LARGEST: usize = 5_000;

/// Live agents among the dead, or beside a busy runtime.
const FEW: usize = 20;

/// Dead agents: half of them refuse, half of them never answer.
const DEAD: usize = 1_000;

/// Between the last start and the press.
const SETTLED: Duration = Duration::from_millis(100);

/// To hold the line, and to abort.
const LIMIT: Duration = Duration::from_mins(1);

pub fn measure(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let most = if effort.quick { FLEETS[0].0 } else { FLEETS[1].0 };
    let mut hosts = Hosts::start(most)?;
    let mut rows = Vec::new();
    for (count, limit) in FLEETS {
        if count <= most {
            rows.extend(fleet(&mut hosts, count, limit, effort.samples(200))?);
        }
    }
    rows.push(among_dead(&mut hosts, effort.samples(200))?);
    rows.push(beside_busy(&mut hosts, effort.samples(500))?);
    drop(hosts);
    if !effort.quick {
        rows.push(largest()?);
    }
    Ok(rows)
}

/// An abort line held to agents.
struct Bench(AbortLine);

/// A drill that was aborted is never opened again.
fn drill_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("drill-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Bench {
    /// Holds the line, and waits until the connection to each live agent is there.
    fn hold(targets: Vec<AbortTarget>, live: usize) -> anyhow::Result<Self> {
        let line = AbortLine::start()?;
        line.begin(Some("before".into()), Clock::start());
        line.hold(targets);
        let began = Instant::now();
        loop {
            let board = line.handle().board();
            let ready = board
                .agents
                .iter()
                .filter(|line| line.beats > 2 && line.rtt_us.is_some());
            if ready.count() >= live {
                return Ok(Self(line));
            }
            ensure!(began.elapsed() < LIMIT, "the line is not held within {LIMIT:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Arms the first `live` agents, presses, and waits; milliseconds until the last of them was read back, and
    /// until it was proved.
    fn abort(&self, hosts: &mut Hosts, live: usize) -> anyhow::Result<(f64, f64)> {
        let drill = drill_id();
        self.0.begin(Some(drill.as_str().into()), Clock::start());
        hosts.arm(live, &drill)?;
        // What the starts have left to write is written.
        std::thread::sleep(SETTLED);
        let handle = self.0.handle();
        handle.press("a benchmark", "bench");
        let began = Instant::now();
        loop {
            // Seldom: a copy of a thousand rows costs the line a core's time.
            std::thread::sleep(Duration::from_millis(20));
            let board = handle.board();
            let live = board.agents.iter().filter(|line| line.agent < live);
            if live.clone().all(|line| line.clean) {
                let mut last = (0, 0);
                for line in live {
                    let status = line.abort.as_ref().context("clean without an abort")?;
                    ensure!(
                        status.injections.len() == 1,
                        "not one injection: {:?}",
                        status.injections
                    );
                    last.0 = last.0.max(status.reverted_us.context("not reverted")?);
                    last.1 = last.1.max(status.proved_us.context("not proved")?);
                }
                return Ok((last.0 as f64 / 1e3, last.1 as f64 / 1e3));
            }
            ensure!(began.elapsed() < LIMIT, "not proved clean within {LIMIT:?}");
        }
    }

    fn aborts(&self, hosts: &mut Hosts, live: usize, rounds: usize) -> anyhow::Result<Samples> {
        let mut samples = Samples::default();
        for _ in 0..rounds {
            samples.push(self.abort(hosts, live)?.0);
        }
        Ok(samples)
    }
}

fn targets(members: &[Member]) -> Vec<AbortTarget> {
    let target = |(agent, member): (usize, &Member)| AbortTarget {
        agent,
        name: format!("agent-{agent}"),
        address: member.abort_listen,
        host: member.abort_listen.to_string(),
        token: Some(Token::new(&member.token)),
        tls: Some(PinnedTls::new(member.pin)),
    };
    members.iter().enumerate().map(target).collect()
}

fn fleet(hosts: &mut Hosts, count: usize, limit: f64, rounds: usize) -> anyhow::Result<Vec<Row>> {
    let before = own_kib()?;
    let bench = Bench::hold(targets(&hosts.members[..count]), count)?;
    // Once, so that every buffer there will be is there.
    bench.abort(hosts, count)?;
    let memory = (own_kib()? - before) / count as f64;
    let mut floor = EmptyPosts::connect(&hosts.members[..count])?;
    let (mut read_back, mut proved, mut posts) = <(Samples, Samples, Samples)>::default();
    for _ in 0..rounds {
        let (reverted_ms, proved_ms) = bench.abort(hosts, count)?;
        read_back.push(reverted_ms);
        proved.push(proved_ms);
        std::thread::sleep(SETTLED);
        posts.add(floor.round()?);
    }
    let details = json!({
        "ms": read_back.json(), "proved_ms": proved.json(), "empty_posts_ms": posts.json(),
        "fault": "noop", "transport": "TLS 1.3", "state": "tmpfs", "agent_processes": hosts.processes(),
    });
    let name = format!("abort of {count} agents");
    Ok(vec![
        Row::at_most(
            format!("{name}: ABORT pressed → all read back, p99"),
            "ms",
            read_back.p99(),
            limit,
        )
        .with(details),
        Row::at_most(
            format!("{name}: the same, in p99 of empty POSTs to as many"),
            "×",
            read_back.p99() / posts.p99(),
            2.0,
        ),
        Row::at_most(
            format!("{name}: memory of the abort line, an agent"),
            "KiB",
            memory,
            40.0,
        ),
    ])
}

/// How much later live agents are read back when there are dead ones too.
fn among_dead(hosts: &mut Hosts, rounds: usize) -> anyhow::Result<Row> {
    let live = targets(&hosts.members[..FEW]);
    // Nobody accepts: some connections stand and are never answered, others never come to be.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let silent_address = silent.local_addr()?;
    let refused = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let dead = (FEW..FEW + DEAD).map(|agent| {
        let address = if agent.is_multiple_of(2) {
            silent_address
        } else {
            refused
        };
        AbortTarget {
            agent,
            name: format!("dead-{agent}"),
            address,
            host: address.to_string(),
            token: None,
            tls: None,
        }
    });
    let all: Vec<_> = live.iter().cloned().chain(dead).collect();
    let alone = Bench::hold(live, FEW)?.aborts(hosts, FEW, rounds)?;
    let among = Bench::hold(all, FEW)?.aborts(hosts, FEW, rounds)?;
    let row = Row::at_most(
        format!("abort of {FEW} live agents among {DEAD} dead ones, in p99 without them"),
        "×",
        among.p99() / alone.p99(),
        1.5,
    );
    Ok(row.with(json!({ "alone_ms": alone.json(), "among_dead_ms": among.json() })))
}

/// The same press while every worker of the conductor's runtime is taken.
fn beside_busy(hosts: &mut Hosts, rounds: usize) -> anyhow::Result<Row> {
    let bench = Bench::hold(targets(&hosts.members[..FEW]), FEW)?;
    let idle = bench.aborts(hosts, FEW, rounds)?;
    // As many as the console's main runtime has.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = cores.saturating_sub(1).clamp(1, 2);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("conductor")
        .enable_all()
        .build()?;
    let (end, ended) = std::sync::mpsc::sync_channel::<()>(0);
    let ended = std::sync::Arc::new(parking_lot::Mutex::new(ended));
    for _ in 0..workers * 4 {
        let ended = std::sync::Arc::clone(&ended);
        // Never gives its worker back.
        runtime.spawn(async move {
            while !matches!(
                ended.lock().try_recv(),
                Err(std::sync::mpsc::TryRecvError::Disconnected)
            ) {
                std::hint::spin_loop();
            }
        });
    }
    let busy = bench.aborts(hosts, FEW, rounds);
    drop(end);
    let busy = busy?;
    let row = Row::at_most(
        format!("abort of {FEW} agents while the main runtime is saturated, in p99 of idle"),
        "×",
        busy.p99() / idle.p99(),
        1.5,
    );
    Ok(row.with(json!({ "idle_ms": idle.json(), "saturated_ms": busy.json(), "busy_workers": workers })))
}

fn largest() -> anyhow::Result<Row> {
    let mut hosts = Hosts::start(LARGEST)?;
    let bench = Bench::hold(targets(&hosts.members), LARGEST)?;
    let (read_back, proved) = bench.abort(&mut hosts, LARGEST)?;
    let row = Row::at_most(
        format!("abort of {LARGEST} agents, once, as reported"),
        "ms",
        read_back,
        f64::INFINITY,
    );
    Ok(row.with(json!({ "proved_ms": proved })))
}

/// Memory that is this process's own, in KiB.
fn own_kib() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.context("no RssAnon")?.trim().trim_end_matches("kB").trim();
    Ok(kib.parse()?)
}

/// The floor: an empty POST to each of the same agents at once, over the same TLS and HTTP, to a path that they do
/// not serve. It wakes as many threads as an abort, which then do nothing.
struct EmptyPosts {
    runtime: tokio::runtime::Runtime,
    senders: Vec<(SendRequest<Full<Bytes>>, Member)>,
}

impl EmptyPosts {
    fn connect(members: &[Member]) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let connect = |member: &Member| {
            let (address, member) = (member.abort_listen, member.clone());
            let tls = TlsConnector::from(PinnedTls::new(member.pin).config());
            async move {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let stream = tls.connect(address.ip().into(), stream).await?;
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                anyhow::Ok((sender, member))
            }
        };
        let senders = runtime.block_on(async { try_join_all(members.iter().map(connect)).await })?;
        Ok(Self { runtime, senders })
    }

    /// One to each; how long until the last is answered.
    fn round(&mut self) -> anyhow::Result<Duration> {
        let senders = &mut self.senders;
        self.runtime.block_on(async {
            let began = Instant::now();
            let posts = senders.iter_mut().map(|(sender, member)| async move {
                let request = Request::post("/v1/nothing")
                    .header("host", member.abort_listen.to_string())
                    .header("authorization", format!("Bearer {}", member.token))
                    .body(Full::default())?;
                sender.ready().await?;
                let answer = sender.send_request(request).await?;
                ensure!(answer.status() == 404, "{}", answer.status());
                answer.into_body().collect().await?;
                anyhow::Ok(())
            });
            try_join_all(posts).await?;
            Ok(began.elapsed())
        })
    }
}
