//! `firedrill-agent fill`: the child that holds memory. Started by the agent, not by people.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use parking_lot::{Condvar, Mutex};

use super::child_main::{ChildArgs, Ramp};
use super::memory_fill::HostMemory;

/// Taken at once: between two looks at what the host has left.
const STEP: usize = 16 * 1024 * 1024;

/// Between two steps, and between two looks while nothing is to be done.
const GROW_EVERY: Duration = Duration::from_millis(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Less than this is not worth a step of its own.
const PAGE: usize = 4_096;

/// What is ordered, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Goal {
    fill: u64,
    keep_free: u64,
}

type Shared = Arc<(Mutex<Goal>, Condvar)>;

/// Fills as ordered: `BYTES KEEP_FREE`, a line each.
pub fn run(args: &ChildArgs) -> anyhow::Result<()> {
    // Whatever the host runs short of, this is the first to go.
    std::fs::write("/proc/self/oom_score_adj", "1000").context("the kernel does not take the OOM score")?;
    let shared: Shared = Shared::default();
    let ramp = Ramp {
        began: Instant::now(),
        length: Duration::from_millis(args.ramp_ms),
    };
    let of_thread = Arc::clone(&shared);
    std::thread::Builder::new()
        .name("fill".to_owned())
        .stack_size(64 * 1024)
        .spawn(move || hold(&of_thread, ramp))?;
    super::child_main::run(args, |line| {
        let (fill, keep_free) = line.split_once(' ').context("an order is `BYTES KEEP_FREE`")?;
        let (goal, changed) = &*shared;
        *goal.lock() = Goal {
            fill: fill.parse()?,
            keep_free: keep_free.parse()?,
        };
        changed.notify_all();
        Ok(())
    })
}

fn hold(shared: &Shared, ramp: Ramp) {
    let mut held = Held::default();
    let (goal, changed) = &**shared;
    loop {
        let now = *goal.lock();
        let wanted = (now.fill as f64 * ramp.grown()) as u64;
        // Without a look at the host nothing more is taken.
        let available = HostMemory::now().map_or(0, |host| host.available);
        let at_work = held.step(wanted, available, now.keep_free);
        let mut goal = goal.lock();
        if *goal == now {
            changed.wait_for(&mut goal, if at_work { GROW_EVERY } else { LOOK_EVERY });
        }
    }
}

/// The memory that is held, in pieces that go back to the host one by one.
#[derive(Debug, Default)]
struct Held {
    pieces: Vec<Vec<u8>>,
}

impl Held {
    fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }

    /// Takes or gives back a piece; whether there is more to do. What the host has to keep free comes first.
    fn step(&mut self, wanted: u64, available: u64, keep_free: u64) -> bool {
        let held = self.bytes();
        if held > wanted || available < keep_free {
            self.pieces.pop();
            return !self.pieces.is_empty();
        }
        let room = available - keep_free;
        let more = (wanted - held).min(room).min(STEP as u64) as usize;
        if more < PAGE {
            return false;
        }
        let mut piece = vec![0_u8; more];
        for at in (0..piece.len()).step_by(PAGE) {
            // A page is there once it is written to; of one that is all zeros a kernel may keep only one.
            piece[at] = (at / PAGE) as u8 | 1;
        }
        self.pieces.push(piece);
        self.bytes() < wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn it_grows_in_steps_and_gives_back() {
        let mut held = Held::default();
        assert!(held.step(40 * MIB, 1_000 * MIB, 10 * MIB));
        assert_eq!(held.bytes(), STEP as u64);
        while held.step(40 * MIB, 1_000 * MIB, 10 * MIB) {}
        assert_eq!(held.bytes(), 40 * MIB);
        while held.bytes() > MIB {
            held.step(MIB, 1_000 * MIB, 10 * MIB);
        }
        while held.step(MIB, 1_000 * MIB, 10 * MIB) {}
        assert_eq!(held.bytes(), MIB);
    }

    #[test]
    fn what_stays_free_beats_the_order() {
        let mut held = Held::default();
        assert!(held.step(40 * MIB, 13 * MIB, 10 * MIB));
        assert_eq!(held.bytes(), 3 * MIB);
        assert!(!held.step(40 * MIB, 10 * MIB, 10 * MIB), "there is no room");
        held.step(40 * MIB, 9 * MIB, 10 * MIB);
        assert_eq!(held.bytes(), 0, "others need it");
    }
}
