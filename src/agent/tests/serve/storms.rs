//! Storms of TLS handshakes: what they may have computed is limited, and an abort goes past them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use firedrill_agent::config::Config;
use serde_json::json;

use crate::client::Client;
use crate::rig::Rig;

pub const TESTS: &[(&str, fn())] = &[
    (
        "a_storm_of_handshakes_at_the_first_door_is_limited_and_holds_no_abort",
        a_storm_at_the_first_door,
    ),
    (
        "a_storm_of_handshakes_at_the_second_door_holds_no_abort_of_another_source",
        a_storm_at_the_second_door,
    ),
];

/// Who storms, and who aborts where the storm is at the same door.
const STORM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const PERSON: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

const THREADS: u64 = 4;

/// Aborts during a storm, each by a connection of its own: fewer than a source may open at once.
const ABORTS: usize = 40;

/// Long enough that what is not limited is told from what is.
const STORMS_FOR: Duration = Duration::from_secs(3);

/// What the door allows one source: at once, and a second.
const ALLOWED: (f64, f64) = (100.0, 50.0);

/// Handshakes without pause, over and over, until `ends`.
fn storm(rig: &Rig, door: SocketAddr, done: &AtomicU64, ends: &AtomicBool) {
    let pin = rig.ready().fingerprint.unwrap();
    while !ends.load(Ordering::Relaxed) {
        if Client::tls_from(STORM, door, "nobody", pin).is_ok() {
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Aborts again and again while one source storms `door`; all must get through, and the storm no further than it
/// may.
fn abort_in_a_storm(rig: &Rig, door: SocketAddr) {
    let pin = rig.ready().fingerprint.unwrap();
    let second = rig.ready().abort_listen;
    let token = rig.secret("abort-token");
    let mut known = Client::tls_from(PERSON, second, &token, pin).unwrap();
    known.get("/v1/agent").expect(200);
    let (done, ends) = (AtomicU64::new(0), AtomicBool::new(false));
    let began = Instant::now();
    let (mut aborts, storming) = std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| storm(rig, door, &done, &ends));
        }
        // What it may do at once is over: now it competes.
        while done.load(Ordering::Relaxed) < 100 {
            std::thread::yield_now();
        }
        let mut aborts = 0;
        while aborts < ABORTS || began.elapsed() < STORMS_FOR {
            let mut new;
            let client = if aborts < ABORTS {
                new = Client::tls_from(PERSON, second, &token, pin).unwrap();
                &mut new
            } else {
                std::thread::sleep(Duration::from_millis(5));
                &mut known
            };
            assert_eq!(client.abort(&json!({})).last().unwrap()["line"], "end");
            aborts += 1;
        }
        let storming = (done.load(Ordering::Relaxed), began.elapsed());
        ends.store(true, Ordering::Relaxed);
        (aborts, storming)
    });
    aborts += 1;
    assert_eq!(known.abort(&json!({})).last().unwrap()["line"], "end");
    let (shaken, took) = storming;
    let most = ALLOWED.1.mul_add(took.as_secs_f64(), ALLOWED.0) + THREADS as f64;
    eprintln!("{aborts} aborts, and {shaken} handshakes of the storm in {took:?}");
    assert!(
        shaken as f64 <= most,
        "{shaken} handshakes in {took:?}, at most {most}"
    );
}

fn a_storm_at_the_first_door() {
    let rig = Rig::with(|config| Config { tls: true, ..config });
    abort_in_a_storm(&rig, rig.ready().listen);
}

fn a_storm_at_the_second_door() {
    let rig = Rig::with(|config| Config { tls: true, ..config });
    abort_in_a_storm(&rig, rig.ready().abort_listen);
}
