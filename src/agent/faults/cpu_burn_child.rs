//! `firedrill-agent burn`: the child that keeps cores busy. Started by the agent, not by people.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::child_main::{ChildArgs, Ramp};

/// One round of work and rest. Short against a scheduler's and a metric's eye, long against a context switch.
const PERIOD: Duration = Duration::from_millis(100);

/// Most threads.
const MAX_CORES: u64 = 1_024;

/// What the threads look at.
#[derive(Debug)]
struct Orders {
    ramp: Ramp,
    /// The load in millionths.
    load: AtomicU64,
    /// Threads of a higher number rest.
    cores: AtomicU64,
}

impl Orders {
    fn new(ramp: Duration) -> Self {
        Self {
            ramp: Ramp {
                began: Instant::now(),
                length: ramp,
            },
            load: AtomicU64::new(0),
            cores: AtomicU64::new(0),
        }
    }

    fn set(&self, load: f64, cores: u64) -> anyhow::Result<()> {
        if !(load > 0.0 && load <= 1.0 && (1..=MAX_CORES).contains(&cores)) {
            bail!("load {load} is not within (0, 1], or {cores} threads are not within 1 to {MAX_CORES}");
        }
        self.load.store((load * 1e6).round() as u64, Ordering::Relaxed);
        self.cores.store(cores, Ordering::Relaxed);
        Ok(())
    }

    /// The share of this round that thread `index` works.
    fn share(&self, index: u64) -> f64 {
        if index >= self.cores.load(Ordering::Relaxed) {
            return 0.0;
        }
        self.load.load(Ordering::Relaxed) as f64 / 1e6 * self.ramp.grown()
    }
}

/// Burns as ordered: `LOAD CORES`, a line each.
pub fn run(args: &ChildArgs) -> anyhow::Result<()> {
    let orders = Arc::new(Orders::new(Duration::from_millis(args.ramp_ms)));
    let mut threads = 0;
    super::child_main::run(args, |line| {
        let (load, cores) = line.split_once(' ').context("an order is `LOAD CORES`")?;
        orders.set(load.parse()?, cores.parse()?)?;
        grow(&orders, &mut threads)
    })
}

fn grow(orders: &Arc<Orders>, threads: &mut u64) -> anyhow::Result<()> {
    while *threads < orders.cores.load(Ordering::Relaxed) {
        let (index, orders) = (*threads, Arc::clone(orders));
        std::thread::Builder::new()
            .name(format!("burn-{index}"))
            .stack_size(64 * 1024)
            .spawn(move || burn(index, &orders))
            .context("the kernel gives no more threads")?;
        *threads += 1;
    }
    Ok(())
}

fn burn(index: u64, orders: &Orders) {
    loop {
        let round = Instant::now();
        let work = PERIOD.mul_f64(orders.share(index));
        while round.elapsed() < work {
            for _ in 0..1_000 {
                std::hint::spin_loop();
            }
        }
        std::thread::sleep(PERIOD.saturating_sub(round.elapsed()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_beyond_the_order_rest() {
        let orders = Orders::new(Duration::ZERO);
        orders.set(0.5, 2).unwrap();
        assert_eq!(
            [orders.share(0), orders.share(1), orders.share(2)],
            [0.5, 0.5, 0.0]
        );
    }

    #[test]
    fn a_ramp_begins_at_nothing() {
        let orders = Orders::new(Duration::from_hours(1));
        orders.set(1.0, 1).unwrap();
        assert!(orders.share(0) < 0.01);
    }

    #[test]
    fn nonsense_is_not_obeyed() {
        let orders = Orders::new(Duration::ZERO);
        for (load, cores) in [(0.0, 1), (1.1, 1), (f64::NAN, 1), (0.5, 0), (0.5, 1_025)] {
            assert!(orders.set(load, cores).is_err(), "{load} {cores}");
        }
    }
}
