//! `firedrill-agent burn`: the child that keeps cores busy. Started by the agent, not by people.

use std::io::{BufRead as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::prctl;
use nix::sys::signal::Signal;

/// What the child says on its standard output when it burns.
pub const READY: &str = "burning";

/// One round of work and rest. Short against a scheduler's and a metric's eye, long against a context switch.
const PERIOD: Duration = Duration::from_millis(100);

/// Most threads.
const MAX_CORES: u64 = 1_024;

/// What the child is told.
#[derive(Clone, Debug, clap::Args)]
pub struct BurnArgs {
    /// How many threads burn.
    #[arg(long)]
    pub cores: u64,

    /// Share of a core that each takes, within (0, 1].
    #[arg(long)]
    pub load: f64,

    /// When to end by itself, in milliseconds.
    #[arg(long)]
    pub ends_in_ms: u64,

    /// How long to grow to full load, in milliseconds.
    #[arg(long, default_value_t = 0)]
    pub ramp_ms: u64,

    /// The agent's process: with another parent the child ends at once.
    #[arg(long)]
    pub parent: u32,
}

/// What the threads look at.
#[derive(Debug)]
struct Orders {
    began: Instant,
    ramp: Duration,
    /// The load in millionths.
    load: AtomicU64,
    /// Threads of a higher number rest.
    cores: AtomicU64,
}

impl Orders {
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
        let elapsed = self.began.elapsed();
        let grown = if elapsed >= self.ramp {
            1.0
        } else {
            elapsed.as_secs_f64() / self.ramp.as_secs_f64()
        };
        self.load.load(Ordering::Relaxed) as f64 / 1e6 * grown
    }
}

/// Burns until it is killed, told to end by its closed input, orphaned, or its time is over.
pub fn run(args: &BurnArgs) -> anyhow::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("the kernel does not take the death signal")?;
    // The parent may have died before the kernel knew.
    if std::os::unix::process::parent_id() != args.parent {
        bail!("the agent {} is not the parent: nothing burns", args.parent);
    }
    let orders = Arc::new(Orders {
        began: Instant::now(),
        ramp: Duration::from_millis(args.ramp_ms),
        load: AtomicU64::new(0),
        cores: AtomicU64::new(0),
    });
    orders.set(args.load, args.cores)?;
    let end = Duration::from_millis(args.ends_in_ms);
    std::thread::Builder::new()
        .name("end".to_owned())
        .spawn(move || {
            std::thread::sleep(end);
            std::process::exit(0);
        })?;
    let mut threads = 0;
    grow(&orders, &mut threads)?;
    println!("{READY}");
    std::io::stdout().flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (load, cores) = line.split_once(' ').context("an order is `LOAD CORES`")?;
        orders.set(load.parse()?, cores.parse()?)?;
        grow(&orders, &mut threads)?;
    }
    // The input is closed: the agent is gone or wants an end.
    std::process::exit(0);
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

    fn orders(ramp: Duration) -> Orders {
        Orders {
            began: Instant::now(),
            ramp,
            load: AtomicU64::new(0),
            cores: AtomicU64::new(0),
        }
    }

    #[test]
    fn threads_beyond_the_order_rest() {
        let orders = orders(Duration::ZERO);
        orders.set(0.5, 2).unwrap();
        assert_eq!(
            [orders.share(0), orders.share(1), orders.share(2)],
            [0.5, 0.5, 0.0]
        );
    }

    #[test]
    fn a_ramp_begins_at_nothing() {
        let orders = orders(Duration::from_hours(1));
        orders.set(1.0, 1).unwrap();
        assert!(orders.share(0) < 0.01);
    }

    #[test]
    fn nonsense_is_not_obeyed() {
        let orders = orders(Duration::ZERO);
        for (load, cores) in [(0.0, 1), (1.1, 1), (f64::NAN, 1), (0.5, 0), (0.5, 1_025)] {
            assert!(orders.set(load, cores).is_err(), "{load} {cores}");
        }
    }
}
