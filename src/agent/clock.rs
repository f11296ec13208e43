//! The agent's own clock.

use firedrill_wire::Tick;
use nix::time::{ClockId, clock_gettime};

/// Now, by CLOCK_BOOTTIME: it counts the time of a suspended host too, so that a lease lapses in sleep.
pub fn tick() -> Tick {
    // The call cannot fail for this clock on any Linux that runs this program.
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).unwrap_or_else(|_| nix::sys::time::TimeSpec::new(0, 0));
    Tick(now.tv_sec().unsigned_abs() * 1_000_000 + now.tv_nsec().unsigned_abs() / 1_000)
}
