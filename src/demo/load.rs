//! The customers: an open-loop load. Each order has its time from the start on and is sent then, whether or
//! not the ones before it were answered, so that a slow system is not spared by customers who wait for it
//! (the coordinated omission of closed-loop load).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

use crate::client::Channel;
use crate::orders::Order;

/// Orders a second.
pub(crate) const RATE: u32 = 40;
/// Orders on their way at once; one that comes due beyond that is given up and counted.
const MAX_IN_FLIGHT: usize = 2_000;

/// What the customers did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadCounts {
    /// Orders that came due. Each is sent at its time, or counted in `given_up`.
    pub due: u64,
    /// Orders answered with success: paid, or accepted to be paid later.
    pub good: u64,
    /// Orders answered with an error, or not at all.
    pub failed: u64,
    /// Orders not sent, as too many were on their way.
    pub given_up: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    due: AtomicU64,
    good: AtomicU64,
    failed: AtomicU64,
    given_up: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self) -> LoadCounts {
        LoadCounts {
            due: self.due.load(Ordering::Relaxed),
            good: self.good.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            given_up: self.given_up.load(Ordering::Relaxed),
        }
    }
}

/// When order `n` comes due, after the start.
fn due(n: u64) -> Duration {
    Duration::from_micros(n.saturating_mul(1_000_000) / u64::from(RATE))
}

/// Order `n`: what is bought differs, and is the same in each drill.
fn order(n: u64) -> Bytes {
    let order = Order {
        id: n,
        pieces: 1 + (n % 3) as u32,
        amount_cents: 990 + (n * 37 % 4_000) as u32,
    };
    serde_json::to_vec(&order).unwrap_or_default().into()
}

/// Sends orders until its runtime ends.
pub(crate) async fn run(gateway: Channel, counters: Arc<Counters>) {
    let gateway = Arc::new(gateway);
    let places = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
    let start = Instant::now();
    for n in 0.. {
        // A loop that wakes late sends what came due meanwhile at once: the rate is kept.
        sleep_until(start + due(n)).await;
        counters.due.fetch_add(1, Ordering::Relaxed);
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            counters.given_up.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let (gateway, counters) = (Arc::clone(&gateway), Arc::clone(&counters));
        tokio::spawn(async move {
            let good = matches!(gateway.post("/order", order(n)).await, Ok(status) if status.is_success());
            let counter = if good { &counters.good } else { &counters.failed };
            counter.fetch_add(1, Ordering::Relaxed);
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_fixed_and_even() {
        assert_eq!(due(0), Duration::ZERO);
        assert_eq!(due(u64::from(RATE) * 60), Duration::from_mins(1));
        assert_eq!(due(1), Duration::from_millis(25));
    }
}
