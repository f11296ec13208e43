//! A temporary folder that takes what works in it along: children of children included.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Until processes that were killed are gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// A folder of its own. When it is dropped, by a panic too, every process that names a path in it among its
/// arguments is killed, and it is removed.
///
/// A program of ours that outlives the one that started it (a proxy, a process that goes on aborting) is told
/// by an argument which folder it works in, and the folder's name is random: no other process names it.
#[derive(Debug)]
pub struct Folder(TempDir);

impl Folder {
    /// A new one. Its path is short: a unix socket's has at most 107 bytes.
    pub fn new() -> anyhow::Result<Self> {
        Self::new_in(&std::env::temp_dir())
    }

    /// A new one in another place than that for temporary files.
    pub fn new_in(place: &Path) -> anyhow::Result<Self> {
        Ok(Self(tempfile::Builder::new().prefix("fdt-").tempdir_in(place)?))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let began = Instant::now();
        // Again, because one may have started another meanwhile.
        loop {
            let found = working_in(self.path());
            if found.is_empty() || began.elapsed() > GONE_WITHIN {
                return;
            }
            for pid in found {
                // It may have ended by itself.
                kill(pid, Signal::SIGKILL).ok();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The processes that have a path in this folder among their arguments.
pub fn working_in(folder: &Path) -> Vec<Pid> {
    let folder = folder.to_string_lossy();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let names_it = |pid: &i32| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(&*folder)
    };
    pids.filter(names_it).map(Pid::from_raw).collect()
}
