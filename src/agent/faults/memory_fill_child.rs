//! `firedrill-agent fill`: the child that holds memory. Started by the agent, not by people.

use anyhow::Context as _;

use super::child_main::ChildArgs;
use super::filling_child::{self, PAGE, Store};
use super::memory_fill;

/// Threads that make pages real side by side; more wait for the kernel's locks.
const MAX_THREADS: usize = 4;

/// Fills as ordered.
pub fn run(args: &ChildArgs) -> anyhow::Result<()> {
    // Whatever the host runs short of, this is the first to go.
    std::fs::write("/proc/self/oom_score_adj", "1000").context("the kernel does not take the OOM score")?;
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MAX_THREADS));
    filling_child::run(args, |_| Ok(Memory::<FILL>::with(threads)))
}

/// Fills the cgroup that the agent has put it into, in steps that are small beside it.
pub fn push(args: &ChildArgs) -> anyhow::Result<()> {
    filling_child::run(args, |_| Ok(Memory::<PUSH>::with(1)))
}

/// Taken at once, in bytes: of the host, and of a cgroup that has little left.
const FILL: u64 = 32 * 1024 * 1024;
const PUSH: u64 = 128 * 1024;

/// The memory that is held, in pieces that go back to the host one by one.
#[derive(Debug)]
struct Memory<const STEP: u64> {
    pieces: Vec<Vec<u8>>,
    threads: usize,
}

impl<const STEP: u64> Memory<STEP> {
    fn with(threads: usize) -> Self {
        Self {
            pieces: Vec::new(),
            threads,
        }
    }
}

impl<const STEP: u64> Store for Memory<STEP> {
    const STEP: u64 = STEP;

    fn held(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }

    fn available(&self) -> u64 {
        memory_fill::room().map_or(0, |room| room.available)
    }

    fn take(&mut self, bytes: u64) -> anyhow::Result<()> {
        let mut piece = vec![0_u8; bytes as usize];
        let share = piece.len().div_ceil(self.threads).next_multiple_of(PAGE as usize);
        std::thread::scope(|scope| {
            for part in piece.chunks_mut(share) {
                std::thread::Builder::new()
                    .name("touch".to_owned())
                    .stack_size(64 * 1024)
                    .spawn_scoped(scope, || touch(part))?;
            }
            anyhow::Ok(())
        })?;
        self.pieces.push(piece);
        Ok(())
    }

    fn give_back(&mut self, mut bytes: u64) {
        while bytes > 0
            && let Some(mut piece) = self.pieces.pop()
        {
            let left = (piece.len() as u64).saturating_sub(bytes);
            bytes = bytes.saturating_sub(piece.len() as u64);
            if left > 0 {
                piece.truncate(left as usize);
                piece.shrink_to_fit();
                self.pieces.push(piece);
            }
        }
    }
}

/// A page is there once it is written to; of one that is all zeros a kernel may keep only one.
fn touch(part: &mut [u8]) {
    for at in (0..part.len()).step_by(PAGE as usize) {
        part[at] = (at as u64 / PAGE) as u8 | 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_back_to_the_byte() {
        let mut memory = Memory::<FILL>::with(2);
        for bytes in [3 * PAGE, PAGE, 5 * PAGE + 1] {
            memory.take(bytes).unwrap();
        }
        assert_eq!(memory.held(), 9 * PAGE + 1);
        memory.give_back(2);
        assert_eq!(memory.held(), 9 * PAGE - 1);
        memory.give_back(6 * PAGE);
        assert_eq!(memory.held(), 3 * PAGE - 1);
        memory.give_back(4 * PAGE);
        assert_eq!(memory.held(), 0);
    }
}
