//! What clients may not do, and ports that are taken.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use firedrill_agent::proxy::Limits;
use firedrill_wire::{Route, RouteProtocol};

use crate::rig::{Rig, Upstream, ask, connect, get, wait_until};

#[test]
fn a_head_that_never_ends_is_not_waited_for() {
    let rig = Rig::new(Limits {
        header_timeout: Duration::from_millis(200),
        ..Limits::default()
    });
    let mut stream = connect(rig.address("web"));
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        .unwrap();
    let mut rest = Vec::new();
    // Closed by the proxy: an end or a reset, and not the client's own time-out.
    if let Err(error) = stream.read_to_end(&mut rest) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let rig = Rig::new(Limits::default());
    let mut stream = connect(rig.address("web"));
    let head = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Large: {}\r\n\r\n",
        "x".repeat(100 * 1024)
    );
    // The proxy may answer before it has taken all of it.
    drop(stream.write_all(head.as_bytes()));
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 431");
    assert_eq!(get(rig.address("web"), "/").status, 200);
}

#[test]
fn connections_above_the_limit_are_turned_away() {
    let rig = Rig::new(Limits {
        connections: 2,
        ..Limits::default()
    });
    let raw = rig.address("raw");
    let kept: Vec<_> = (0..2).map(|_| connect(raw)).collect();
    let status = || rig.client().ask().unwrap().routes[1].clone();
    wait_until("both are open", || status().connections == 2);
    assert!(matches!(connect(raw).read(&mut [0; 1]), Ok(0) | Err(_)));
    wait_until("it is counted", || status().turned_away == 1);
    drop(kept);
    wait_until("both are gone", || status().connections == 0);
    let mut stream = connect(raw);
    stream.write_all(b"x").unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 1);
}

#[test]
fn a_taken_port_is_said_and_taken_over_when_it_is_free() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = other.local_addr().unwrap();
    let upstream = Upstream::start();
    let route = Route {
        name: "web".into(),
        listen: listen.to_string(),
        upstream: upstream.http.to_string(),
        protocol: RouteProtocol::Http,
    };
    let rig = Rig::with_routes(vec![route], upstream, Limits::default());
    let status = || rig.client().ask().unwrap().routes[0].clone();
    let problem = status().problem.unwrap();
    assert!(
        problem.contains("in use") && problem.contains("another port"),
        "{problem}"
    );
    drop(other);
    wait_until("the route listens", || status().listening == Some(listen));
    assert_eq!(ask(listen, "POST /", "", b"x").body, b"x");
}
