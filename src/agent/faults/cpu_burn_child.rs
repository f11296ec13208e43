//! `firedrill-agent burn`: the child that keeps cores busy. Started by the agent, not by people.
//!
//! A thread works until it has *had* its share of the core, by the kernel's count, and owes what it did not get in one
//! round to the next: so a busy host and a sleep that lasts too long do not make it weaker than ordered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::time::{ClockId, clock_gettime};
use parking_lot::Mutex;

use super::child_main::{ChildArgs, Ramp};

/// Most threads.
const MAX_CORES: u64 = 1_024;

/// Shortest and longest round, in microseconds.
const PERIODS_US: std::ops::RangeInclusive<u64> = 1_000..=60_000_000;

/// What is ordered.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Order {
    load: f64,
    /// Threads of a higher number rest.
    cores: u64,
    /// One round of work and rest.
    period: Duration,
    /// How long it burns and rests each time; nothing: it burns all the time.
    spikes: Option<(Duration, Duration)>,
}

impl Order {
    /// From `LOAD CORES PERIOD_US ON_US OFF_US`.
    fn read(line: &str) -> anyhow::Result<Self> {
        let parts: Vec<_> = line.split(' ').collect();
        let [load, cores, period, on, off] = parts[..] else {
            bail!("an order is `LOAD CORES PERIOD_US ON_US OFF_US`");
        };
        let (load, cores, period): (f64, u64, u64) = (load.parse()?, cores.parse()?, period.parse()?);
        let (on, off): (u64, u64) = (on.parse()?, off.parse()?);
        if !(load > 0.0 && load <= 1.0 && (1..=MAX_CORES).contains(&cores)) {
            bail!("load {load} is not within (0, 1], or {cores} threads are not within 1 to {MAX_CORES}");
        }
        if !PERIODS_US.contains(&period) {
            bail!("a period of {period} us is not within {PERIODS_US:?}");
        }
        Ok(Self {
            load,
            cores,
            period: Duration::from_micros(period),
            spikes: (on > 0 && off > 0).then(|| (Duration::from_micros(on), Duration::from_micros(off))),
        })
    }

    /// The share of a round that thread `index` works, this long after the order.
    fn share(&self, index: u64, after: Duration) -> f64 {
        let rests = self.spikes.is_some_and(|(on, off)| {
            let cycle = (on + off).as_secs_f64();
            after.as_secs_f64() % cycle >= on.as_secs_f64()
        });
        if index >= self.cores || rests {
            0.0
        } else {
            self.load
        }
    }
}

/// What the threads look at: the newest order, and when the first came.
#[derive(Debug)]
struct Orders {
    ramp: Ramp,
    now: Mutex<Order>,
}

/// Burns as ordered.
pub fn run(args: &ChildArgs) -> anyhow::Result<()> {
    let mut orders: Option<Arc<Orders>> = None;
    let mut threads = 0;
    super::child_main::run(args, |line| {
        let order = Order::read(line)?;
        let orders = orders.get_or_insert_with(|| {
            Arc::new(Orders {
                ramp: Ramp {
                    began: Instant::now(),
                    length: Duration::from_millis(args.ramp_ms),
                },
                now: Mutex::new(order),
            })
        });
        *orders.now.lock() = order;
        while threads < order.cores {
            let (index, orders) = (threads, Arc::clone(orders));
            std::thread::Builder::new()
                .name(format!("burn-{index}"))
                .stack_size(64 * 1024)
                .spawn(move || burn(index, &orders))
                .context("the kernel gives no more threads")?;
            threads += 1;
        }
        Ok(())
    })
}

fn burn(index: u64, orders: &Orders) {
    let began = orders.ramp.began;
    let mut owed = Duration::ZERO;
    let mut round = Instant::now();
    loop {
        let order = *orders.now.lock();
        let share = order.share(index, began.elapsed()) * orders.ramp.grown();
        owed = owed_now(owed, share, order.period);
        let end = round + order.period;
        let had = worked();
        while owed > worked().saturating_sub(had) && Instant::now() < end {
            for _ in 0..1_000 {
                std::hint::spin_loop();
            }
        }
        owed = owed.saturating_sub(worked().saturating_sub(had));
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        // After a stop of the whole host the rounds that were missed are not made up.
        round = if end.elapsed() > order.period {
            Instant::now()
        } else {
            end
        };
    }
}

/// What a thread is to work in this round: its share, and what it did not get before, but no more than a round. A rest
/// is a rest.
fn owed_now(before: Duration, share: f64, period: Duration) -> Duration {
    if share <= 0.0 {
        return Duration::ZERO;
    }
    (before + period.mul_f64(share)).min(period)
}

/// How long this thread has been on a core.
fn worked() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::MAX, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(line: &str) -> Order {
        Order::read(line).unwrap()
    }

    #[test]
    fn threads_beyond_the_order_rest() {
        let order = order("0.5 2 100000 0 0");
        let shares: Vec<_> = (0..3).map(|index| order.share(index, Duration::ZERO)).collect();
        assert_eq!(shares, [0.5, 0.5, 0.0]);
    }

    #[test]
    fn spikes_burn_and_rest() {
        let order = order("1 1 10000 300000 700000");
        let shares =
            [0, 299, 300, 999, 1_000, 1_299, 1_300].map(|ms| order.share(0, Duration::from_millis(ms)));
        assert_eq!(shares, [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn what_was_not_got_is_made_up_within_a_round() {
        let period = Duration::from_millis(100);
        let ms = Duration::from_millis;
        assert_eq!(owed_now(ms(20), 0.5, period), ms(70));
        assert_eq!(owed_now(ms(90), 0.5, period), ms(100));
        assert_eq!(owed_now(ms(90), 0.0, period), ms(0));
    }

    #[test]
    fn nonsense_is_not_obeyed() {
        for wrong in [
            "0 1 100000 0 0",
            "1.1 1 100000 0 0",
            "NaN 1 100000 0 0",
            "0.5 0 100000 0 0",
            "0.5 1025 100000 0 0",
            "0.5 1 0 0 0",
            "0.5 1",
        ] {
            assert!(Order::read(wrong).is_err(), "{wrong}");
        }
    }
}
