//! Ending the system, in a process of its own so that threads can be counted.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic as the test itself"
)]

mod peers;

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use firedrill_demo::{Build, System};
use peers::{Forwarder, wait_until};

/// Names of this process's threads that are the demo's.
fn demo_threads() -> Vec<String> {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.starts_with("demo"))
        .collect()
}

fn nobody_listens(at: SocketAddr) -> bool {
    TcpStream::connect(at).is_err()
}

/// One test after another, as each looks at the whole process.
#[test]
fn everything_ends_within_a_second() {
    for build in [Build::Fragile, Build::Hardened] {
        let bound = System::bind(build).unwrap();
        let payments = Forwarder::to(bound.payments_addr());
        let system = bound.start(Some(payments.address)).unwrap();
        // Ended at its worst: with orders on their way and waiting.
        payments.delay_answers(Duration::from_secs(2));
        wait_until("orders are on their way", || system.load().due >= 60);
        assert!(
            payments.connections() >= 1,
            "payments are reached through the forwarder"
        );
        if cfg!(target_os = "linux") {
            assert!(!demo_threads().is_empty());
        }
        let addresses = *system.addresses();
        let begin = Instant::now();
        system.stop();
        assert!(
            begin.elapsed() < Duration::from_secs(1),
            "{build:?} took {:?}",
            begin.elapsed()
        );
        for (service, address) in addresses.all() {
            assert!(nobody_listens(address), "{service} still listens");
        }
        assert_eq!(demo_threads(), Vec::<String>::new());
    }
    dropping_it_inside_a_runtime_is_fine();
    a_system_never_started_leaves_nothing();
}

/// The conductor owns the system from inside tokio.
fn dropping_it_inside_a_runtime_is_fine() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let system = System::bind(Build::Fragile).unwrap().start(None).unwrap();
        drop(system);
    });
    assert_eq!(demo_threads(), Vec::<String>::new());
}

fn a_system_never_started_leaves_nothing() {
    let bound = System::bind(Build::Hardened).unwrap();
    let addresses = *bound.addresses();
    drop(bound);
    assert!(
        addresses
            .all()
            .iter()
            .all(|(_, address)| nobody_listens(*address))
    );
}
