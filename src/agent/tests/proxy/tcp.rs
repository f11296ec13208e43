//! Streams: late, slow, refused, cut.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use firedrill_agent::proxy::protocol::RuleSpec;
use firedrill_agent::proxy::{Limits, ProbeRequest};

use crate::rig::{
    PATIENCE, Rig, Upstream, closed_port, connect, get, pattern, tcp_latency, thread, wait_until,
};

/// Sends bytes through an echo and reads them back.
fn round_trip(stream: &mut TcpStream, bytes: &[u8]) -> Duration {
    let start = Instant::now();
    let mut writer = stream.try_clone().unwrap();
    let sent = bytes.to_vec();
    let sending = thread("sender", move || writer.write_all(&sent));
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).unwrap();
    sending.join().unwrap().unwrap();
    assert!(back == bytes);
    start.elapsed()
}

fn try_connect(to: SocketAddr) -> Result<TcpStream, ErrorKind> {
    TcpStream::connect(to).map_err(|error| error.kind())
}

#[test]
fn streams_pass_unchanged_and_half_closed() {
    let rig = Rig::new(Limits::default());
    let mut stream = connect(rig.address("raw"));
    round_trip(&mut stream, &pattern(2_000_000));
    stream.write_all(b"last").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"last");
}

#[test]
fn late_answers_are_late_in_open_connections_too_and_woken_by_a_revert() {
    let rig = Rig::new(Limits::default());
    let mut stream = connect(rig.address("raw"));
    round_trip(&mut stream, b"before");
    rig.set("i1", "raw", tcp_latency(150));
    assert!(round_trip(&mut stream, b"during") >= Duration::from_millis(150));
    // A delay costs time once, not for each piece.
    let whole = round_trip(&mut stream, &pattern(1_000_000));
    assert!(
        whole >= Duration::from_millis(150) && whole < Duration::from_secs(8),
        "{whole:?}"
    );
    rig.remove("i1");

    rig.set("i2", "raw", tcp_latency(60_000));
    let held = thread("held", move || round_trip(&mut stream, b"held"));
    wait_until("it is held", || rig.client().status("i2").unwrap().held == 1);
    rig.remove("i2");
    assert!(held.join().unwrap() < PATIENCE);
}

#[test]
fn late_answers_work_below_http() {
    let rig = Rig::new(Limits::default());
    rig.set("i1", "web", tcp_latency(150));
    let answer = get(rig.address("web"), "/seen");
    assert_eq!(answer.status, 200);
    assert!(answer.took >= Duration::from_millis(150));
    let probe = rig
        .client()
        .probe("web", &ProbeRequest::default(), PATIENCE)
        .unwrap();
    assert!(probe.took >= Duration::from_millis(150));
    rig.remove("i1");
}

#[test]
fn a_slow_link_is_shared_by_both_directions_and_all_connections() {
    let rig = Rig::new(Limits::default());
    rig.set(
        "i1",
        "raw",
        RuleSpec::TcpBandwidth {
            bytes_per_s: 1_000_000,
        },
    );
    let raw = rig.address("raw");
    let start = Instant::now();
    let clients: Vec<_> = (0..2)
        .map(|_| thread("client", move || round_trip(&mut connect(raw), &pattern(150_000))))
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    // 300 kB there and 300 kB back over 1 MB/s.
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(500) && took < Duration::from_secs(5),
        "{took:?}"
    );
    let counters = rig.client().status("i1").unwrap().counters;
    assert_eq!(counters.bytes, 600_000);
    rig.remove("i1");
}

#[test]
fn a_slow_link_lets_go_at_a_revert() {
    let rig = Rig::new(Limits::default());
    rig.set("i1", "raw", RuleSpec::TcpBandwidth { bytes_per_s: 100 });
    let mut stream = connect(rig.address("raw"));
    let held = thread("held", move || round_trip(&mut stream, &pattern(100_000)));
    wait_until("something is held", || {
        rig.client().status("i1").unwrap().held > 0
    });
    rig.remove("i1");
    // 33 minutes at that rate.
    assert!(held.join().unwrap() < PATIENCE);
}

#[test]
fn refused_by_the_kernel_and_taken_again() {
    let rig = Rig::new(Limits::default());
    let raw = rig.address("raw");
    let mut open = connect(raw);
    round_trip(&mut open, b"before");
    for (round, id) in ["i1", "i2"].into_iter().enumerate() {
        rig.set(id, "raw", RuleSpec::TcpRefuse {});
        for _ in 0..10 {
            assert_eq!(try_connect(raw).unwrap_err(), ErrorKind::ConnectionRefused);
        }
        let probe = rig
            .client()
            .probe("raw", &ProbeRequest::default(), PATIENCE)
            .unwrap_err();
        assert!(probe.to_string().contains("refused"), "{probe}");
        round_trip(&mut open, format!("open ones go on {round}").as_bytes());
        rig.remove(id);
        round_trip(&mut connect(raw), b"after");
        assert!(
            rig.client()
                .probe("raw", &ProbeRequest::default(), PATIENCE)
                .is_ok()
        );
    }
}

#[test]
fn cut_connections_are_reset_and_new_ones_pass() {
    let rig = Rig::new(Limits::default());
    for route in ["raw", "web"] {
        let to = rig.address(route);
        let mut open: Vec<_> = (0..3).map(|_| connect(to)).collect();
        wait_until("all are open", || {
            let hello = rig.client().ask().unwrap();
            hello
                .routes
                .iter()
                .any(|status| status.route.name == route && status.connections == 3)
        });
        assert_eq!(rig.client().cut(route).unwrap(), 3);
        for stream in &mut open {
            assert_eq!(
                stream.read(&mut [0; 1]).unwrap_err().kind(),
                ErrorKind::ConnectionReset
            );
        }
    }
    round_trip(&mut connect(rig.address("raw")), b"after");
    assert_eq!(get(rig.address("web"), "/").status, 200);
}

#[test]
fn a_stream_to_nowhere_is_reset_and_not_ended() {
    let upstream = Upstream::start();
    let mut route = Rig::new(Limits::default()).routes[1].clone();
    route.upstream = closed_port().to_string();
    let rig = Rig::with_routes(vec![route], upstream, Limits::default());
    let error = connect(rig.address("raw")).read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}
