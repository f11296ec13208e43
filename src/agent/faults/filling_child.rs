//! What the children that fill something have in common: they grow and shrink towards what is ordered, in steps, with
//! a look at what is left before each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use parking_lot::{Condvar, Mutex};

use super::child_main::{ChildArgs, Ramp};

/// Between two looks while nothing is to be done, and between two steps of a growth that has a speed.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Less than this is not worth a step of its own, in bytes.
pub const PAGE: u64 = 4_096;

/// Where a child holds what it takes.
pub trait Store: Send + 'static {
    /// Taken between two looks at what is left, at most, in bytes.
    const STEP: u64;

    /// What it holds, in bytes.
    fn held(&self) -> u64;

    /// What others can still get, in bytes; 0 where it cannot be told.
    fn available(&self) -> u64;

    /// Takes more.
    fn take(&mut self, bytes: u64) -> anyhow::Result<()>;

    /// Gives back at least this much of what it holds.
    fn give_back(&mut self, bytes: u64);
}

/// What is ordered, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Goal {
    fill: u64,
    keep_free: u64,
    per_second: u64,
}

impl Goal {
    /// From `FILL KEEP_FREE PER_SECOND` and what follows.
    fn read(line: &str) -> anyhow::Result<(Self, &str)> {
        let mut parts = line.splitn(4, ' ');
        let mut number = || -> anyhow::Result<u64> {
            let part = parts
                .next()
                .context("an order is `FILL KEEP_FREE PER_SECOND …`")?;
            Ok(part.parse()?)
        };
        let goal = Self {
            fill: number()?,
            keep_free: number()?,
            per_second: number()?,
        };
        Ok((goal, parts.next().unwrap_or_default()))
    }
}

type Shared = Arc<(Mutex<Goal>, Condvar)>;

/// Fills as ordered. The store is opened with what follows the numbers of the first order.
pub fn run<S: Store>(args: &ChildArgs, open: impl Fn(&str) -> anyhow::Result<S>) -> anyhow::Result<()> {
    let shared: Shared = Shared::default();
    let ramp = Ramp {
        began: Instant::now(),
        length: Duration::from_millis(args.ramp_ms),
    };
    let mut begun = false;
    super::child_main::run(args, |line| {
        let (goal, rest) = Goal::read(line)?;
        {
            let (now, changed) = &*shared;
            *now.lock() = goal;
            changed.notify_all();
        }
        if !begun {
            begun = true;
            let (store, of_thread) = (open(rest)?, Arc::clone(&shared));
            std::thread::Builder::new()
                .name("fill".to_owned())
                .stack_size(64 * 1024)
                .spawn(move || hold(store, &of_thread, ramp))?;
        }
        Ok(())
    })
}

fn hold<S: Store>(mut store: S, shared: &Shared, ramp: Ramp) {
    let (goal, changed) = &**shared;
    let mut growth = Growth::of(0);
    let mut before = Goal::default();
    loop {
        let now = *goal.lock();
        if now != before {
            before = now;
            growth = Growth::of(store.held());
        }
        let wanted = growth.limit(now.per_second, (now.fill as f64 * ramp.grown()) as u64);
        let at_work = step(&mut store, wanted, now.keep_free);
        let mut goal = goal.lock();
        if *goal == now && !at_work {
            changed.wait_for(&mut goal, LOOK_EVERY);
        }
    }
}

/// Since when it grows, and from what.
struct Growth {
    since: Instant,
    from: u64,
}

impl Growth {
    fn of(from: u64) -> Self {
        Self {
            since: Instant::now(),
            from,
        }
    }

    /// What may be held by now, at this speed; without one, all that is wanted.
    fn limit(&self, per_second: u64, wanted: u64) -> u64 {
        if per_second == 0 {
            return wanted;
        }
        let grown = (self.since.elapsed().as_secs_f64() * per_second as f64) as u64;
        wanted.min(self.from + grown)
    }
}

/// Takes or gives back; whether there is more to do at once. What has to stay free comes first.
fn step<S: Store>(store: &mut S, wanted: u64, keep_free: u64) -> bool {
    let (held, available) = (store.held(), store.available());
    let too_much = held
        .saturating_sub(wanted)
        .max(keep_free.saturating_sub(available));
    if too_much > 0 {
        store.give_back(too_much.min(held));
        return false;
    }
    let more = (wanted - held).min(available - keep_free).min(S::STEP);
    // Where the kernel gives no more it is asked again at the next look.
    more >= PAGE && store.take(more).is_ok() && held + more < wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// A store on paper.
    struct Paper {
        held: u64,
        available: u64,
    }

    impl Store for Paper {
        const STEP: u64 = 16 * MIB;

        fn held(&self) -> u64 {
            self.held
        }

        fn available(&self) -> u64 {
            self.available
        }

        fn take(&mut self, bytes: u64) -> anyhow::Result<()> {
            self.held += bytes;
            self.available -= bytes;
            Ok(())
        }

        fn give_back(&mut self, bytes: u64) {
            self.held -= bytes;
            self.available += bytes;
        }
    }

    #[test]
    fn it_grows_in_steps_and_gives_back() {
        let mut store = Paper {
            held: 0,
            available: 1_000 * MIB,
        };
        assert!(step(&mut store, 40 * MIB, 10 * MIB));
        assert_eq!(store.held, 16 * MIB);
        while step(&mut store, 40 * MIB, 10 * MIB) {}
        assert_eq!(store.held, 40 * MIB);
        while step(&mut store, MIB, 10 * MIB) {}
        assert_eq!(store.held, MIB);
    }

    #[test]
    fn what_stays_free_beats_the_order() {
        let mut store = Paper {
            held: 0,
            available: 13 * MIB,
        };
        assert!(step(&mut store, 40 * MIB, 10 * MIB));
        assert_eq!(store.held, 3 * MIB);
        assert!(!step(&mut store, 40 * MIB, 10 * MIB), "there is no room");
        store.available = 8 * MIB;
        step(&mut store, 40 * MIB, 10 * MIB);
        assert_eq!((store.held, store.available), (MIB, 10 * MIB), "others need it");
        store.available = 0;
        step(&mut store, 40 * MIB, 10 * MIB);
        assert_eq!(store.held, 0);
    }

    #[test]
    fn a_growth_with_a_speed_begins_where_it_is() {
        let growth = Growth::of(5 * MIB);
        assert_eq!(growth.limit(0, 40 * MIB), 40 * MIB);
        let limit = growth.limit(MIB, 40 * MIB);
        assert!((5 * MIB..6 * MIB).contains(&limit), "{limit}");
        assert_eq!(growth.limit(MIB, 2 * MIB), 2 * MIB);
    }

    #[test]
    fn orders_are_numbers_and_a_rest() {
        let (goal, rest) = Goal::read("7 8 9 /srv/a b").unwrap();
        assert_eq!(
            (goal.fill, goal.keep_free, goal.per_second, rest),
            (7, 8, 9, "/srv/a b")
        );
        assert!(Goal::read("7 8").is_err() && Goal::read("7 8 x").is_err());
    }
}
