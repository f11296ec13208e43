//! What packets suffer that this namespace passes on between two others, as a host does for its containers.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use serde_json::json;

use crate::connections::{MS, SLACK, least_below};
use crate::datagrams::{SENT, arrived, is_share};
use crate::rig::{PATIENCE, Peer, connect, inject};

pub const TESTS: &[(&str, fn())] = &[
    (
        "packets_that_are_passed_on_come_late",
        packets_that_are_passed_on_come_late,
    ),
    (
        "packets_that_are_passed_on_are_lost_and_doubled",
        packets_that_are_passed_on_are_lost_and_doubled,
    ),
    (
        "connections_that_are_passed_on_are_reset",
        connections_that_are_passed_on_are_reset,
    ),
];

fn packets_that_are_passed_on_come_late() {
    let [client, server] = Peer::apart();
    let to = server.echo();
    let takes = |ms: u32, what: &str| {
        let took = client.there(|| least_below(ms * MS + SLACK, || connect(to)));
        assert!(took >= ms * MS && took < ms * MS + SLACK, "{what}: {took:?}");
    };
    takes(0, "healthy");
    let through = |ms: u32| json!({"delay": format!("{ms}ms"), "port": to.port(), "direction": "through"});
    let mut injection = inject("packet.latency", &through(50));
    // There and back.
    takes(100, "passed on");
    let own = least_below(SLACK, || connect(to));
    assert!(own < SLACK, "this namespace's own are not passed on: {own:?}");
    injection.adjust(&through(10));
    takes(20, "changed");
    injection.adjust(&json!({"delay": "50ms", "port": to.port(), "direction": "both"}));
    takes(0, "only this namespace's own");
    assert!(connect(to) >= 100 * MS);
    injection.adjust(&through(50));
    takes(100, "passed on again");
    let evidence = injection.revert();
    assert!(evidence.counts["packets_delayed"] >= 20.0, "{evidence:?}");
    takes(0, "healthy again");
}

fn packets_that_are_passed_on_are_lost_and_doubled() {
    let [one, other] = Peer::apart();
    for (near, far, network) in [
        ("10.77.0.2:0", "10.78.0.2:0", "10.77.0.0/24"),
        ("[fd77::2]:0", "[fd78::2]:0", "fd77::/64"),
    ] {
        let near = one.there(|| UdpSocket::bind(near).unwrap());
        let (near, far) = other.joined(near, far.parse().unwrap());
        near.send(b"hello").unwrap();
        far.set_read_timeout(Some(PATIENCE)).unwrap();
        far.recv(&mut [0; 16]).unwrap();
        assert_eq!(arrived(&near, &far), SENT, "healthy");
        // The peer is at either end.
        let passed_on = json!({"share": "30%", "peer": network, "direction": "through", "protocol": "udp"});
        let mut injection = inject("packet.loss", &passed_on);
        for (from, to) in [(&near, &far), (&far, &near)] {
            let count = arrived(from, to);
            assert!(
                is_share(count, 0.7),
                "{count} of {SENT} with 30 % lost, {network}"
            );
        }
        let evidence = injection.revert();
        assert_eq!(
            evidence.counts["packets_matched"],
            2.0 * SENT as f64,
            "{evidence:?}"
        );
        let mut injection = inject("packet.duplicate", &passed_on);
        let count = arrived(&near, &far);
        assert!(
            is_share(count - SENT, 0.3),
            "{count} of {SENT} with 30 % copied, {network}"
        );
        injection.revert();
        let nobody = json!({"share": "100%", "peer": "10.99.0.0/24", "direction": "through"});
        let mut injection = inject("packet.loss", &nobody);
        assert_eq!(arrived(&near, &far), SENT, "another's packets");
        injection.revert();
        assert_eq!(arrived(&near, &far), SENT, "healthy again");
    }
}

fn connections_that_are_passed_on_are_reset() {
    let [client, server] = Peer::apart();
    let to = server.echo();
    let mut open = client.there(|| TcpStream::connect(to).unwrap());
    open.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut exchange = || open.write_all(b"x").and_then(|()| open.read_exact(&mut [0]));
    exchange().unwrap();
    let through = json!({"port": to.port(), "direction": "through"});
    let mut injection = inject("packet.reset", &through);
    assert_eq!(exchange().unwrap_err().kind(), ErrorKind::ConnectionReset);
    let refused = client.there(|| TcpStream::connect_timeout(&to, PATIENCE));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(injection.count("packets_reset") >= 2.0);
    injection.revert();
    let mut injection = inject("packet.drop", &through);
    assert!(client.there(|| is_silent(to)));
    connect(to);
    injection.revert();
    client.there(|| connect(to));
}

fn is_silent(to: SocketAddr) -> bool {
    TcpStream::connect_timeout(&to, Duration::from_millis(300))
        .is_err_and(|error| error.kind() == ErrorKind::TimedOut)
}
