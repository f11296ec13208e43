//! A proxied request with no fault on, against a bare forwarder of the same protocol in the same run.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use firedrill_testing::{Agent, Connection, PATIENCE, programs};
use serde_json::json;

use crate::Effort;
use crate::measure::{Row, Samples, timed};
use crate::servers::{HELLO, Server};

/// Connections that load at the same time.
const CONNECTIONS: usize = 16;

/// Load of one side before it is the other's turn.
const A_TURN: Duration = Duration::from_secs(2);

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
        // Turn by turn, so that whatever else the machine does hits both.
        let (mut bare, mut ours, mut direct) = <(Samples, Samples, Samples)>::default();
        for _ in 0..effort.samples(30).min(5) {
            bare.push(throughput(self.bare, exchange)?);
            ours.push(throughput(self.ours, exchange)?);
            direct.push(throughput(self.direct, exchange)?);
        }
        let (mut bare_ms, mut ours_ms, mut direct_ms) = <(Samples, Samples, Samples)>::default();
        let mut paths = [self.direct, self.bare, self.ours].map(exchange).into_iter();
        let mut next = || paths.next().context("three paths")?;
        let (mut by_direct, mut by_bare, mut by_ours) = (next()?, next()?, next()?);
        for _ in 0..effort.samples(10_000) {
            direct_ms.add(timed(&mut by_direct)?.1);
            bare_ms.add(timed(&mut by_bare)?.1);
            ours_ms.add(timed(&mut by_ours)?.1);
        }
        let added = |samples: &Samples| samples.p50() - direct_ms.p50();
        Ok(vec![
            Row::at_least(format!("{name}: throughput"), "×", ours.p50() / bare.p50(), 0.85).with(json!({
                "connections": CONNECTIONS, "ours_per_s": ours.p50(), "bare_per_s": bare.p50(),
                "direct_per_s": direct.p50(),
            })),
            Row::at_most(
                format!("{name}: added p50"),
                "×",
                added(&ours_ms) / added(&bare_ms),
                1.5,
            )
            .with(json!({
                "ours_ms": ours_ms.json(), "bare_ms": bare_ms.json(), "direct_ms": direct_ms.json(),
            })),
        ])
    }

    /// Bytes of one connection, there and back.
    fn bulk(&self, effort: &Effort) -> anyhow::Result<Row> {
        let (mut bare, mut ours) = <(Samples, Samples)>::default();
        let megabytes = effort.samples(2_000);
        for _ in 0..5 {
            bare.push(bulk(self.bare, megabytes)?);
            ours.push(bulk(self.ours, megabytes)?);
        }
        let row = Row::at_least(
            "TCP bulk of one connection, against a bare copy loop",
            "×",
            ours.p50() / bare.p50(),
            0.85,
        );
        Ok(row.with(json!({ "ours_mb_per_s": ours.p50(), "bare_mb_per_s": bare.p50() })))
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
