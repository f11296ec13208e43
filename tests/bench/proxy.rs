//! A proxied request with no fault on, against a bare forwarder of the same protocol in the same run.
//!
//! Each of the three ways (straight to the upstream, through the bare forwarder, through the proxy) is a process that
//! leads a session of its own, and all are measured in rounds, in turn: a ratio is taken within a round, and the
//! median of the rounds is the figure. What a way adds is its p50 less the p50 of the straight way in that round. Every
//! round has new connections, so that no lucky or unlucky processor lasts.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::ensure;
use firedrill_testing::{Agent, Connection, PATIENCE, programs};
use serde_json::json;

use crate::Effort;
use crate::measure::{Row, Samples, timed};
use crate::servers::{HELLO, Server};

/// Connections that load at the same time.
const CONNECTIONS: usize = 16;

/// Load of one side before it is the other's turn.
const A_TURN: Duration = Duration::from_secs(1);

/// Exchanges of each way in a round of latencies.
const EXCHANGES: usize = 500;

/// One exchange on a kept connection.
type Exchange = Box<dyn FnMut() -> anyhow::Result<()> + Send>;

pub fn measure(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let (hello, echo) = (Server::start(&["hello"])?, Server::start(&["echo"])?);
    let agent = Agent::build(programs!())
        .http_route("web", hello.address)?
        .tcp_route("raw", echo.address)?
        .start()?;
    let forward = Server::start(&["forward", &hello.address.to_string()])?;
    let copy = Server::start(&["copy", &echo.address.to_string()])?;
    let http = Paths {
        direct: hello.address,
        bare: forward.address,
        ours: agent.route("web")?,
    };
    let tcp = Paths {
        direct: echo.address,
        bare: copy.address,
        ours: agent.route("raw")?,
    };
    let mut rows = http.compare("HTTP, against a bare hyper forwarder", effort, http_exchange)?;
    rows.extend(tcp.compare(
        "TCP echo of 64 bytes, against a bare copy loop",
        effort,
        tcp_exchange,
    )?);
    rows.push(tcp.bulk(effort)?);
    Ok(rows)
}

struct Paths {
    direct: SocketAddr,
    bare: SocketAddr,
    ours: SocketAddr,
}

impl Paths {
    fn compare(
        &self,
        name: &str,
        effort: &Effort,
        exchange: fn(SocketAddr) -> anyhow::Result<Exchange>,
    ) -> anyhow::Result<Vec<Row>> {
        let [mut bare, mut ours, mut direct, mut ratio] = <[Samples; 4]>::default();
        for round in 0..effort.samples(50).min(9) {
            let mut turns = [
                (self.bare, &mut bare),
                (self.ours, &mut ours),
                (self.direct, &mut direct),
            ];
            turns.rotate_left(round % 3);
            for (to, samples) in turns {
                samples.push(throughput(to, exchange)?);
            }
            ratio.push(ours.last() / bare.last());
        }
        let [mut bare_ms, mut ours_ms, mut direct_ms, mut added] = <[Samples; 4]>::default();
        let [mut bare_added, mut ours_added] = <[Samples; 2]>::default();
        for _ in 0..effort.samples(50) {
            let [direct, bare, ours] = self.round(exchange)?;
            bare_added.push(bare - direct);
            ours_added.push(ours - direct);
            added.push((ours - direct) / (bare - direct));
            direct_ms.push(direct);
            bare_ms.push(bare);
            ours_ms.push(ours);
        }
        Ok(vec![
            Row::at_least(format!("{name}: throughput"), "×", ratio.p50(), 0.85).with(json!({
                "connections": CONNECTIONS, "ours_per_s": ours.json(), "bare_per_s": bare.json(),
                "direct_per_s": direct.json(), "ratios": ratio.json(),
            })),
            Row::at_most(format!("{name}: added p50"), "×", added.p50(), 1.5).with(json!({
                "exchanges_a_round": EXCHANGES, "ratios": added.json(), "ours_added_ms": ours_added.json(),
                "bare_added_ms": bare_added.json(), "ours_ms": ours_ms.json(), "bare_ms": bare_ms.json(),
                "direct_ms": direct_ms.json(),
            })),
        ])
    }

    /// The p50s, in milliseconds, of exchanges straight, through the bare forwarder and through the proxy, one after
    /// the other.
    fn round(&self, exchange: fn(SocketAddr) -> anyhow::Result<Exchange>) -> anyhow::Result<[f64; 3]> {
        let mut samples = <[Samples; 3]>::default();
        let mut ways = Vec::new();
        for to in [self.direct, self.bare, self.ours] {
            ways.push(exchange(to)?);
        }
        for number in 0..EXCHANGES {
            // Nobody is always behind the same one.
            for turn in 0..3 {
                let way = (number + turn) % 3;
                samples[way].add(timed(&mut ways[way])?.1);
            }
        }
        Ok(samples.map(|samples| samples.p50()))
    }

    /// Bytes of one connection, there and back.
    fn bulk(&self, effort: &Effort) -> anyhow::Result<Row> {
        let [mut bare, mut ours, mut ratio] = <[Samples; 3]>::default();
        let megabytes = effort.samples(2_000);
        for _ in 0..9 {
            bare.push(bulk(self.bare, megabytes)?);
            ours.push(bulk(self.ours, megabytes)?);
            ratio.push(ours.last() / bare.last());
        }
        let row = Row::at_least(
            "TCP bulk of one connection, against a bare copy loop",
            "×",
            ratio.p50(),
            0.85,
        );
        Ok(row.with(json!({
            "ours_mb_per_s": ours.json(), "bare_mb_per_s": bare.json(), "ratios": ratio.json(),
        })))
    }
}

fn http_exchange(to: SocketAddr) -> anyhow::Result<Exchange> {
    let mut connection = Connection::open(to, PATIENCE)?;
    Ok(Box::new(move || {
        let answer = connection.call("GET", "/", &[], "")?;
        ensure!(answer.status == 200 && answer.body == HELLO, "{answer:?}");
        Ok(())
    }))
}

fn tcp_exchange(to: SocketAddr) -> anyhow::Result<Exchange> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(Box::new(move || {
        let mut bytes = [7; 64];
        stream.write_all(&bytes)?;
        stream.read_exact(&mut bytes)?;
        Ok(())
    }))
}

/// Exchanges a second of [`CONNECTIONS`] connections.
fn throughput(to: SocketAddr, exchange: fn(SocketAddr) -> anyhow::Result<Exchange>) -> anyhow::Result<f64> {
    let until = Instant::now() + A_TURN;
    let one = |number: usize| -> anyhow::Result<JoinHandle<anyhow::Result<u64>>> {
        let mut exchange = exchange(to)?;
        let thread = Builder::new().name(format!("load-{number}")).spawn(move || {
            let mut done = 0;
            while Instant::now() < until {
                exchange()?;
                done += 1;
            }
            Ok(done)
        });
        Ok(thread?)
    };
    let threads = (0..CONNECTIONS).map(one).collect::<anyhow::Result<Vec<_>>>()?;
    let mut done = 0;
    for thread in threads {
        done += thread
            .join()
            .map_err(|_| anyhow::anyhow!("the load panicked"))??;
    }
    Ok(done as f64 / A_TURN.as_secs_f64())
}

/// Megabytes a second of one connection.
fn bulk(to: SocketAddr, megabytes: usize) -> anyhow::Result<f64> {
    const MB: usize = 1 << 20;
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut write = stream.try_clone()?;
    let began = Instant::now();
    let writer = Builder::new().name("bulk".to_owned()).spawn(move || {
        let piece = vec![7_u8; 64 * 1024];
        (0..megabytes * 16).try_for_each(|_| write.write_all(&piece))
    })?;
    let mut piece = vec![0_u8; 64 * 1024];
    let mut left = megabytes * MB;
    while left > 0 {
        let read = stream.read(&mut piece)?;
        ensure!(read > 0, "it broke off with {left} bytes to go");
        left -= read.min(left);
    }
    writer
        .join()
        .map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    Ok(megabytes as f64 / began.elapsed().as_secs_f64())
}
