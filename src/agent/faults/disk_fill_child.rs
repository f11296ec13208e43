//! `firedrill-agent fill-disk`: the child that holds space of a file system. Started by the agent, not by people.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::child_main::ChildArgs;
use super::disk_fill::{allocate, nameless, room};
use super::filling_child::{self, Store};

/// Fills as ordered; the folder follows the numbers.
pub fn run(args: &ChildArgs) -> anyhow::Result<()> {
    filling_child::run(args, |folder| {
        Ok(Space {
            file: nameless(Path::new(folder))?,
            folder: PathBuf::from(folder),
            held: 0,
        })
    })
}

/// Space that a file without a name holds: the kernel frees it when the last process that has it open is gone.
#[derive(Debug)]
struct Space {
    file: File,
    folder: PathBuf,
    held: u64,
}

impl Store for Space {
    const STEP: u64 = 64 * 1024 * 1024;

    fn held(&self) -> u64 {
        self.held
    }

    fn available(&self) -> u64 {
        room(&self.folder).map_or(0, |room| room.available)
    }

    fn take(&mut self, bytes: u64) -> anyhow::Result<()> {
        let taken = allocate(&self.file, self.held, bytes);
        if taken.is_err() {
            // What was allocated of it before the space was used up goes back: it is tried again in smaller steps.
            self.file.set_len(self.held)?;
        }
        taken?;
        self.held += bytes;
        Ok(())
    }

    fn give_back(&mut self, bytes: u64) {
        let left = self.held.saturating_sub(bytes);
        if self.file.set_len(left).is_ok() {
            self.held = left;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn space_is_held_without_a_name_and_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut space = Space {
            file: nameless(folder.path()).unwrap(),
            folder: folder.path().to_owned(),
            held: 0,
        };
        let blocks = |space: &Space| space.file.metadata().unwrap().blocks() * 512;
        space.take(8 << 20).unwrap();
        assert!(blocks(&space) >= 8 << 20);
        space.give_back(7 << 20);
        assert!(
            space.held() == 1 << 20 && blocks(&space) < 2 << 20,
            "{}",
            blocks(&space)
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
