//! The audit log on disk: appended, turned over by size, on disk for good soon after it was written.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::state::StateFolder;

/// The log that is written.
const NAME: &str = "audit.log";

/// A log is turned over at this size.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// Old ones that are kept: `audit.log.1` is the youngest.
const OLD: usize = 4;

/// At most one fsync in this time: the lines of an abort are on disk for good within it.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The log, of at most (1 + [`OLD`]) × [`MAX_BYTES`] in all.
#[derive(Debug)]
pub struct AuditLog {
    folder: PathBuf,
    file: File,
    bytes: u64,
    max_bytes: u64,
    /// Since when lines wait for the fsync, and when the last one was.
    unsynced: bool,
    synced: Option<Instant>,
}

impl AuditLog {
    /// Opens it for appending.
    pub fn open(state: &StateFolder) -> anyhow::Result<Self> {
        Self::open_with(state, MAX_BYTES)
    }

    fn open_with(state: &StateFolder, max_bytes: u64) -> anyhow::Result<Self> {
        let file = state.audit_log()?;
        Ok(Self {
            folder: state.path().to_owned(),
            bytes: file.metadata()?.len(),
            file,
            max_bytes,
            unsynced: false,
            synced: None,
        })
    }

    /// Appends lines.
    pub fn write(&mut self, lines: &str) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + lines.len() as u64 > self.max_bytes {
            self.turn_over()?;
        }
        self.file.write_all(lines.as_bytes())?;
        self.bytes += lines.len() as u64;
        self.unsynced = true;
        Ok(())
    }

    fn turn_over(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        let old = |number: usize| self.folder.join(format!("{NAME}.{number}"));
        for number in (1..OLD).rev() {
            rename(&old(number), &old(number + 1))?;
        }
        let current = self.folder.join(NAME);
        rename(&current, &old(1))?;
        self.file = crate::state::append_private(&current)?;
        self.bytes = 0;
        Ok(())
    }

    /// How long until [`Self::sync`] has something to do; `None`: everything is on disk for good.
    pub fn sync_in(&self) -> Option<Duration> {
        let since = self.synced.map_or(SYNC_EVERY, |synced| synced.elapsed());
        self.unsynced.then(|| SYNC_EVERY.saturating_sub(since))
    }

    /// Waits until the kernel says that all is on disk for good.
    pub fn sync(&mut self) -> io::Result<()> {
        self.unsynced = false;
        self.synced = Some(Instant::now());
        self.file.sync_data()
    }
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn it_turns_over_and_never_grows_past_its_bound() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateFolder::open(&temp.path().join("state")).unwrap();
        let mut log = AuditLog::open_with(&state, 1_000).unwrap();
        for number in 0..100 {
            log.write(&format!("{number:03} {}\n", "x".repeat(95))).unwrap();
        }
        let logs = |()| {
            let entries = std::fs::read_dir(state.path()).unwrap().flatten();
            let mut logs: Vec<_> = entries
                .filter(|it| it.file_name().to_string_lossy().starts_with(NAME))
                .collect();
            logs.sort_by_key(std::fs::DirEntry::file_name);
            logs
        };
        let found = logs(());
        assert_eq!(found.len(), 1 + OLD);
        for entry in &found {
            let of = entry.metadata().unwrap();
            assert_eq!(
                (of.len() <= 1_000, of.permissions().mode() & 0o777),
                (true, 0o600)
            );
        }
        // The youngest lines are there, in order, over the old and the new file.
        let old = std::fs::read_to_string(state.path().join("audit.log.1")).unwrap();
        let new = std::fs::read_to_string(state.path().join(NAME)).unwrap();
        let numbers: Vec<_> = old
            .lines()
            .chain(new.lines())
            .map(|line| line[..3].parse::<u32>().unwrap())
            .collect();
        assert_eq!(numbers, (80..100).collect::<Vec<_>>());
        // What was there before counts.
        drop(log);
        let mut log = AuditLog::open_with(&state, 1_000).unwrap();
        log.write("one more\n").unwrap();
        assert_eq!(
            std::fs::read_to_string(state.path().join(NAME)).unwrap(),
            "one more\n"
        );
    }

    #[test]
    fn a_line_waits_for_its_fsync_at_most_a_second() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateFolder::open(&temp.path().join("state")).unwrap();
        let mut log = AuditLog::open(&state).unwrap();
        assert_eq!(log.sync_in(), None);
        log.write("first\n").unwrap();
        assert_eq!(log.sync_in(), Some(Duration::ZERO));
        log.sync().unwrap();
        assert_eq!(log.sync_in(), None);
        log.write("second\n").unwrap();
        assert!(log.sync_in().is_some_and(|left| left <= SYNC_EVERY));
    }
}
