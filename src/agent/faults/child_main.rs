//! What the children of faults have in common: when they end, and how they take orders.

use std::io::{BufRead as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::prctl;
use nix::sys::signal::Signal;

use crate::urgency;

/// What a child says on its standard output when it has begun with its first order.
pub const READY: &str = "begun";

/// What every child is told.
#[derive(Clone, Debug, clap::Args)]
pub struct ChildArgs {
    /// When to end by itself, in milliseconds.
    #[arg(long)]
    pub ends_in_ms: u64,

    /// How long to grow to full strength, in milliseconds.
    #[arg(long, default_value_t = 0)]
    pub ramp_ms: u64,

    /// The agent's process: with another parent the child ends at once.
    #[arg(long)]
    pub parent: u32,
}

/// How far a ramp has come.
#[derive(Clone, Copy, Debug)]
pub struct Ramp {
    /// When it began.
    pub began: Instant,
    /// How long it takes.
    pub length: Duration,
}

impl Ramp {
    /// From nothing, 0, to full strength, 1.
    pub fn grown(&self) -> f64 {
        let elapsed = self.began.elapsed();
        if elapsed >= self.length {
            return 1.0;
        }
        elapsed.as_secs_f64() / self.length.as_secs_f64()
    }
}

/// Takes orders until the child is killed, its input is closed, it is orphaned, or its time is over. Says
/// [`READY`] when the first one has been obeyed.
pub fn run(args: &ChildArgs, mut obey: impl FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("the kernel does not take the death signal")?;
    // The parent may have died before the kernel knew.
    if std::os::unix::process::parent_id() != args.parent {
        bail!("the agent {} is not the parent: nothing begins", args.parent);
    }
    urgency::like(args.parent);
    let end = Duration::from_millis(args.ends_in_ms);
    std::thread::Builder::new()
        .name("end".to_owned())
        .stack_size(64 * 1024)
        .spawn(move || {
            std::thread::sleep(end);
            std::process::exit(0);
        })?;
    let mut begun = false;
    for line in std::io::stdin().lock().lines() {
        obey(&line?)?;
        if !begun {
            begun = true;
            println!("{READY}");
            std::io::stdout().flush()?;
        }
    }
    // The input is closed: the agent is gone or wants an end.
    std::process::exit(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_begins_at_nothing_and_ends_at_full_strength() {
        let began = Instant::now();
        let hour = Duration::from_hours(1);
        assert!(Ramp { began, length: hour }.grown() < 0.01);
        let full = Ramp {
            began,
            length: Duration::ZERO,
        };
        assert!((full.grown() - 1.0).abs() < 1e-9);
    }
}
