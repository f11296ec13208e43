//! Who comes first where processors are scarce, be it by a fault of ours: what stops and takes back comes before
//! ordinary threads of the host, what writes it down after them.
//!
//! A thread's place is Linux' niceness, which is each thread's own (`setpriority(2)`). A place before others needs a
//! right, which is asked for before the agent gives up its own; without it the thread is one among many.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::process::{Pid, getpriority_process, setpriority_process};

/// Of what stops and takes back.
const FIRST: i32 = -10;

/// `RLIMIT_NICE` counts from 20, the last place, up (`getrlimit(2)`).
const FIRST_ALLOWED: u64 = 20_u64.saturating_add_signed(-FIRST as i64);

/// Of what writes: a third of an ordinary thread's share, so that a busy host does not keep the disk waiting.
const LATER: i32 = 5;

/// Lets this process' threads come first once its capabilities are gone, if it has the right to.
pub fn allow() {
    let raised = getrlimit(Resource::RLIMIT_NICE).and_then(|(soft, hard)| {
        if soft >= FIRST_ALLOWED {
            return Ok(());
        }
        setrlimit(Resource::RLIMIT_NICE, FIRST_ALLOWED, hard.max(FIRST_ALLOWED))
    });
    if let Err(error) = raised {
        tracing::debug!(%error, "what stops does not come before others on a busy host");
    }
}

/// This thread comes first.
pub fn first() {
    place(FIRST);
}

/// This thread comes after others.
pub fn later() {
    place(LATER);
}

/// This process has the place of another one's first thread: a fault must not come first because who started it does.
pub fn like(process: u32) {
    let ordinary = Pid::from_raw(process.cast_signed()).map_or(Ok(0), |pid| getpriority_process(Some(pid)));
    place(ordinary.unwrap_or(0));
}

fn place(niceness: i32) {
    if let Err(error) = setpriority_process(None, niceness) {
        tracing::debug!(%error, niceness, "this thread keeps its place");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mine() -> i32 {
        getpriority_process(None).unwrap()
    }

    /// In a thread of its own: who came later cannot come first again without the right.
    #[test]
    fn a_thread_has_a_place_of_its_own() {
        let before = mine();
        let other = std::thread::Builder::new()
            .spawn(|| {
                later();
                let latest = mine();
                first();
                (latest, mine())
            })
            .unwrap();
        let (latest, now) = other.join().unwrap();
        assert_eq!(latest, LATER.max(before));
        // With the right it is first, without it stays where it was.
        let (soft, _) = getrlimit(Resource::RLIMIT_NICE).unwrap();
        let may = caps::has_cap(None, caps::CapSet::Effective, caps::Capability::CAP_SYS_NICE).unwrap();
        let expected = if may || soft >= FIRST_ALLOWED {
            FIRST
        } else {
            latest
        };
        assert_eq!(now, expected);
        assert_eq!(mine(), before);
    }

    #[test]
    fn a_fault_is_as_urgent_as_the_process_it_belongs_to() {
        let ordinary = mine();
        let other = std::thread::Builder::new()
            .spawn(|| {
                first();
                like(std::process::id());
                mine()
            })
            .unwrap();
        assert_eq!(other.join().unwrap(), ordinary);
    }
}
