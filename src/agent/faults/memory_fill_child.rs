//! `firedrill-agent fill`: the child that holds memory. Started by the agent, not by people.

use anyhow::Context as _;
use memmap2::{Advice, MmapMut, MmapOptions};

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
const FILL: u64 = 64 * 1024 * 1024;
const PUSH: u64 = 128 * 1024;

/// Less is taken page by page: it is not worth more.
const WORTH_POPULATING: usize = 1024 * 1024;

/// From here on there may be room for a huge page: those of most processors have 2 MiB.
const WORTH_HUGE_PAGES: usize = 2 * 1024 * 1024;

/// The memory that is held, in pieces that go back to the host one by one.
#[derive(Debug)]
struct Memory<const STEP: u64> {
    pieces: Vec<MmapMut>,
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
        let share = bytes
            .div_ceil(self.threads as u64)
            .next_multiple_of(PAGE)
            .min(bytes);
        // All mapped before any is made real: the kernel maps nothing while it does that.
        let mut pieces = Vec::with_capacity(self.threads);
        let mut left = bytes;
        while left > 0 {
            let piece = MmapOptions::new().len(left.min(share) as usize).map_anon()?;
            left -= piece.len() as u64;
            pieces.push(piece);
        }
        std::thread::scope(|scope| {
            for piece in &mut pieces {
                std::thread::Builder::new()
                    .name("touch".to_owned())
                    .stack_size(64 * 1024)
                    .spawn_scoped(scope, || make_real(piece))?;
            }
            anyhow::Ok(())
        })?;
        self.pieces.append(&mut pieces);
        Ok(())
    }

    fn give_back(&mut self, mut bytes: u64) {
        while bytes > 0
            && let Some(piece) = self.pieces.pop()
        {
            let held = piece.len() as u64;
            drop(piece);
            // A mapping goes back as a whole; what was too much of it is taken again, now or at the next look.
            if held > bytes {
                self.take(held - bytes).ok();
            }
            bytes = bytes.saturating_sub(held);
        }
    }
}

/// A page is there once it is written to; of one that is all zeros a kernel may keep only one.
///
/// Huge pages are asked for, as the kernel makes them real some three times as quickly. A kernel without them, or with
/// none left, gives small ones. It never takes more than is mapped: what does not fill a huge page has small ones.
fn make_real(piece: &mut MmapMut) {
    if piece.len() >= WORTH_HUGE_PAGES {
        piece.advise(Advice::HugePage).ok();
    }
    if piece.len() >= WORTH_POPULATING {
        // One call in place of a fault for each page. Linux before 5.14 does not know it; then there are the faults.
        piece.advise(Advice::PopulateWrite).ok();
    }
    for (number, page) in piece.chunks_mut(PAGE as usize).enumerate() {
        page[0] = number as u8 | 1;
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

    #[test]
    fn every_page_that_is_taken_is_there() {
        let mut memory = Memory::<FILL>::with(3);
        memory.take(9 * 1024 * 1024 + 5).unwrap();
        assert_eq!(memory.held(), 9 * 1024 * 1024 + 5);
        let pages = memory.pieces.iter().flat_map(|piece| piece.chunks(PAGE as usize));
        assert!(pages.into_iter().all(|page| page[0] != 0));
    }
}
