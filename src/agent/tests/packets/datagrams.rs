//! What datagrams suffer, counted at the other end.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rig::{PATIENCE, Peer, inject};

pub const TESTS: &[(&str, fn())] = &[
    (
        "the_share_that_is_lost_is_the_share_asked",
        the_share_that_is_lost_is_the_share_asked,
    ),
    (
        "the_share_that_comes_twice_is_the_share_asked",
        the_share_that_comes_twice_is_the_share_asked,
    ),
];

pub const SENT: usize = 2_000;

/// When nothing arrives for so long, nothing more does; a busy machine may keep a packet for a while.
const QUIET: Duration = Duration::from_millis(300);

/// Sends, and counts what arrives until nothing more does. The sender never hears of a loss.
pub fn arrived(from: &UdpSocket, to: &UdpSocket) -> usize {
    to.set_nonblocking(true).unwrap();
    let mut count = 0;
    let drain = |count: &mut usize| {
        while to.recv(&mut [0; 16]).is_ok() {
            *count += 1;
        }
    };
    for _ in 0..SENT {
        from.send(b"0123456789").unwrap();
        drain(&mut count);
    }
    let mut seen = (count, Instant::now());
    while seen.1.elapsed() < QUIET {
        drain(&mut count);
        if count > seen.0 {
            seen = (count, Instant::now());
        }
    }
    count
}

/// Within five standard deviations.
pub fn is_share(count: usize, share: f64) -> bool {
    let wanted = SENT as f64 * share;
    (count as f64 - wanted).abs() < 5.0 * (wanted * (1.0 - share)).sqrt().max(1.0)
}

fn each_way(check: impl Fn(&UdpSocket, &UdpSocket, Value)) {
    let peer = Peer::new();
    for (near, far) in [("10.77.0.1", "10.77.0.2"), ("fd77::1", "fd77::2")] {
        let (near, far) = peer.datagrams(near, far);
        let port = far.local_addr().unwrap().port();
        // The neighbours find each other first.
        near.send(b"hello").unwrap();
        far.set_read_timeout(Some(PATIENCE)).unwrap();
        far.recv(&mut [0; 16]).unwrap();
        assert_eq!(arrived(&near, &far), SENT, "healthy");
        check(&near, &far, json!({"port": port, "direction": "out"}));
        check(&far, &near, json!({"port": port, "direction": "in"}));
        assert_eq!(arrived(&near, &far), SENT, "healthy again");
    }
}

fn with(mut parameters: Value, share: &str) -> Value {
    parameters["share"] = json!(share);
    parameters
}

fn the_share_that_is_lost_is_the_share_asked() {
    each_way(|from, to, parameters| {
        let began = Instant::now();
        let mut injection = inject("packet.loss", &with(parameters.clone(), "30%"));
        let first = arrived(from, to);
        assert!(
            is_share(first, 0.7),
            "{first} of {SENT} with 30 % lost, {parameters}"
        );
        injection.adjust(&with(parameters.clone(), "80%"));
        let second = arrived(from, to);
        assert!(
            is_share(second, 0.2),
            "{second} of {SENT} with 80 % lost, {parameters}"
        );
        let evidence = injection.revert();
        // The counters went on over the change, and know each packet.
        assert_eq!(evidence.counts["packets_matched"], 2.0 * SENT as f64);
        let lost = (2 * SENT - first - second) as f64;
        assert_eq!(evidence.counts["packets_dropped"], lost, "{evidence:?}");
        assert!(began.elapsed() < 2 * PATIENCE);
    });
}

fn the_share_that_comes_twice_is_the_share_asked() {
    each_way(|from, to, parameters| {
        let mut injection = inject("packet.duplicate", &with(parameters.clone(), "25%"));
        let first = arrived(from, to);
        assert!(
            is_share(first - SENT, 0.25),
            "{first} of {SENT} with 25 % copied, {parameters}"
        );
        injection.adjust(&with(parameters.clone(), "100%"));
        // Copies are not copied again.
        assert_eq!(arrived(from, to), 2 * SENT, "{parameters}");
        let evidence = injection.revert();
        let copies = (first - SENT + SENT) as f64;
        assert_eq!(evidence.counts["packets_duplicated"], copies, "{evidence:?}");
    });
}
