//! The proxy as others would measure it: wrk, the way that is measured, nginx.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use firedrill_testing::{Agent, Folder, PATIENCE, Process, programs};
use serde_json::json;

use crate::Effort;
use crate::measure::{Row, Samples};
use crate::servers::Server;

/// Connections of wrk, each with a request under way all the time.
const CONNECTIONS: [usize; 2] = [1, 64];

/// Seconds of one way before it is the other's turn.
const A_TURN_S: u64 = 2;

/// What the throughput of the proxy is held to, of a bare forwarder's.
const REACH: f64 = 0.85;

pub fn measure(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    for program in ["wrk", "nginx"] {
        if let Err(error) = Command::new(program).arg("-v").output() {
            println!("  wrk → proxy → nginx: not measured: {program}: {error}");
            return Ok(Vec::new());
        }
    }
    let nginx = Nginx::start()?;
    let agent = Agent::build(programs!())
        .http_route("web", nginx.address)?
        .tcp_route("raw", nginx.address)?
        .start()?;
    let upstream = nginx.address.to_string();
    let (forward, copy) = (
        Server::start(&["forward", &upstream])?,
        Server::start(&["copy", &upstream])?,
    );
    let mut rows = Vec::new();
    for (name, bare, route) in [
        ("HTTP, against a bare hyper forwarder", &forward, "web"),
        ("TCP, against a bare copy loop", &copy, "raw"),
    ] {
        let ways = [bare.address, agent.route(route)?, nginx.address];
        for connections in CONNECTIONS {
            rows.push(compare(name, connections, ways, effort)?);
        }
    }
    Ok(rows)
}

/// In rounds, each way in turn: the median of the ratios within a round.
fn compare(name: &str, connections: usize, ways: [SocketAddr; 3], effort: &Effort) -> anyhow::Result<Row> {
    let mut per_s = <[Samples; 3]>::default();
    let mut ratio = Samples::default();
    for round in 0..effort.samples(50).min(9) {
        for turn in 0..ways.len() {
            let way = (round + turn) % ways.len();
            per_s[way].push(wrk(ways[way], connections)?);
        }
        ratio.push(per_s[1].last() / per_s[0].last());
    }
    let [bare, ours, direct] = per_s;
    let what = format!("wrk -c {connections} → proxy → nginx, {name}");
    Ok(
        Row::at_least(what, "×", ratio.p50(), REACH).with(json!({
            "ours_per_s": ours.json(), "bare_per_s": bare.json(), "direct_per_s": direct.json(), "ratios": ratio.json(),
        })),
    )
}

/// Requests a second. An error or another status is no figure.
fn wrk(to: SocketAddr, connections: usize) -> anyhow::Result<f64> {
    let threads = connections.min(2).to_string();
    let output = Command::new("wrk")
        .args(["-t", &threads, "-c", &connections.to_string()])
        .args(["-d", &format!("{A_TURN_S}s"), &format!("http://{to}/")])
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk: {}", output.status);
    ensure!(
        !said.contains("Non-2xx") && !said.contains("Socket errors"),
        "{said}"
    );
    let rate = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    Ok(rate.context("wrk says no rate")?.trim().parse()?)
}

/// One process that answers by itself.
struct Nginx {
    address: SocketAddr,
    _process: Process,
    _folder: Folder,
}

impl Nginx {
    fn start() -> anyhow::Result<Self> {
        let folder = Folder::new()?;
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = free.local_addr()?;
        drop(free);
        let config = folder.path().join("nginx.conf");
        let here = folder.path().display();
        std::fs::write(
            &config,
            format!(
                "daemon off; master_process off; pid {here}/pid; error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 1000000000;
    client_body_temp_path {here}/a; proxy_temp_path {here}/b; fastcgi_temp_path {here}/c;
    uwsgi_temp_path {here}/d; scgi_temp_path {here}/e;
    server {{ listen {address}; location / {{ return 200 hello; }} }}
}}
"
            ),
        )?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&config).arg("-p").arg(folder.path());
        let mut process = Process::start("nginx", command, folder.path())?;
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if !process.is_running() || began.elapsed() > PATIENCE {
                bail!("nginx does not listen: {}", process.stderr());
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Ok(Self {
            address,
            _process: process,
            _folder: folder,
        })
    }
}
