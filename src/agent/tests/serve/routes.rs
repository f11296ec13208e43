//! Faults on routes, from the protocol to what a client of the target sees.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::client::Client;
use crate::rig::{Drill, Process, until};

pub const TESTS: &[(&str, fn())] = &[
    (
        "latency_reaches_the_client_and_an_abort_ends_it",
        latency_reaches_the_client_and_an_abort_ends_it,
    ),
    (
        "a_killed_agent_leaves_its_clients_served",
        a_killed_agent_leaves_its_clients_served,
    ),
];

/// A target that answers every request at once.
fn target() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::Builder::new()
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::Builder::new().spawn(move || serve(stream)).unwrap();
            }
        })
        .unwrap();
    address
}

fn serve(stream: TcpStream) {
    let mut input = BufReader::new(stream.try_clone().unwrap());
    let mut output = stream;
    let mut line = String::new();
    while input.read_line(&mut line).is_ok_and(|read| read > 0) {
        if line.trim().is_empty() {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            if output.write_all(answer).is_err() {
                return;
            }
        }
        line.clear();
    }
}

/// How long a request through the route takes.
fn request(route: SocketAddr) -> Option<Duration> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(route).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream
        .write_all(b"GET /pay HTTP/1.1\r\nhost: target\r\nconnection: close\r\n\r\n")
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.ends_with("ok").then(|| began.elapsed())
}

struct Routed {
    process: Process,
    route: SocketAddr,
    _temp: tempfile::TempDir,
}

fn routed() -> Routed {
    let temp = tempfile::tempdir().unwrap();
    let route = format!("pay=127.0.0.1:0={}:http", target());
    let process = Process::start_with(&temp.path().join("state"), &["--route", &route, "--retire-proxy"]);
    let listen = process.ready["routes"][0]["listen"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    Routed {
        process,
        route: listen,
        _temp: temp,
    }
}

fn latency_reaches_the_client_and_an_abort_ends_it() {
    let mut routed = routed();
    assert!(request(routed.route).is_some());
    let mut drill = Drill::open(routed.process.client(), "d1");
    let info = drill.client.get("/v1/agent").expect(200);
    assert_eq!(info["routes"][0]["listen"], routed.route.to_string());
    drill.start(
        "i1",
        "http.latency",
        json!({ "delay": "300ms" }),
        json!({ "route": "pay" }),
    );
    assert!(request(routed.route).unwrap() >= Duration::from_millis(300));
    // One that waits is let go by the abort.
    drill.start(
        "i2",
        "tcp.latency",
        json!({ "delay": "5s" }),
        json!({ "route": "pay" }),
    );
    let route = routed.route;
    let waiting = std::thread::Builder::new().spawn(move || request(route)).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let lines = Client::new(routed.process.listen, &routed.process.token).abort(&json!({}));
    assert_eq!(lines.last().unwrap()["clean"], true, "{lines:?}");
    assert!(waiting.join().unwrap().unwrap() < Duration::from_secs(4));
    assert!(request(routed.route).unwrap() < Duration::from_millis(300));
    // With its agent the proxy ends, as was asked for.
    routed.process.signal(Signal::SIGTERM);
    assert_eq!(routed.process.child.wait().unwrap().code(), Some(0));
    until("the route is closed", || {
        TcpStream::connect(routed.route).is_err().then_some(())
    });
}

fn a_killed_agent_leaves_its_clients_served() {
    let mut routed = routed();
    let mut drill = Drill::open(routed.process.client(), "d1");
    drill.start(
        "i1",
        "http.latency",
        json!({ "delay": "20s" }),
        json!({ "route": "pay" }),
    );
    let route = routed.route;
    let waiting = std::thread::Builder::new().spawn(move || request(route)).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    routed.process.signal(Signal::SIGKILL);
    let killed = Instant::now();
    routed.process.child.wait().unwrap();
    // The one that was held is answered, and so is a new one.
    assert!(waiting.join().unwrap().is_some());
    assert!(request(route).is_some());
    assert!(
        killed.elapsed() < Duration::from_secs(5),
        "{:?}",
        killed.elapsed()
    );
}
