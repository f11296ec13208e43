//! How many files a process may have open: its soft limit. The hard one is never touched.

use std::io;
use std::path::Path;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::{Exactly, Undone};
use crate::state::read_small;

/// What a process may have open, from `/proc`; `None`: without a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// What it is held to.
    pub soft: Option<u64>,
    /// What it may raise that to.
    pub hard: Option<u64>,
}

impl OpenFiles {
    /// Of this process.
    pub fn of(pid: i32) -> io::Result<Self> {
        let text = read_small(Path::new(&format!("/proc/{pid}/limits")))?;
        Self::read(&text).ok_or_else(|| io::Error::other(format!("/proc/{pid}/limits is not as expected")))
    }

    fn read(text: &str) -> Option<Self> {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"))?;
        let mut words = line.split_ascii_whitespace();
        let mut number = || -> Option<Option<u64>> {
            match words.next()? {
                "unlimited" => Some(None),
                number => Some(Some(number.parse().ok()?)),
            }
        };
        Some(Self {
            soft: number()?,
            hard: number()?,
        })
    }
}

/// Sets the soft limit of this very process.
pub fn set(target: Exactly, soft: u64) -> io::Result<()> {
    let hard = OpenFiles::of(target.pid)?.hard;
    if !target.runs() {
        return Err(io::Error::other("it has ended"));
    }
    let limit = Rlimit {
        current: Some(soft),
        maximum: hard,
    };
    prlimit(Pid::from_raw(target.pid), Resource::Nofile, limit)?;
    Ok(())
}

/// Sets it back to `before` if it is one of the fault's, and reads it back.
pub fn run(target: Exactly, ours: &[u64], before: u64) -> Undone {
    let pid = target.pid;
    let is_ours = || OpenFiles::of(pid).map(|it| it.soft.is_some_and(|soft| ours.contains(&soft)));
    let undone = || -> io::Result<Undone> {
        if !is_ours()? {
            return Ok(Undone::gone(format!(
                "process {pid} has another limit of open files than the fault's: it is left as it is"
            )));
        }
        set(target, before)?;
        if is_ours()? {
            return Ok(stays(pid, before, "it still has the fault's"));
        }
        Ok(Undone::gone(format!(
            "process {pid} may have {before} files open again"
        )))
    };
    if !target.runs() {
        return Undone::gone(format!("process {pid} has ended"));
    }
    match undone() {
        Ok(undone) => undone,
        Err(_) if !target.runs() => Undone::gone(format!("process {pid} has ended")),
        Err(error) => stays(pid, before, &error.to_string()),
    }
}

fn stays(pid: i32, before: u64, why: &str) -> Undone {
    Undone::stays(
        format!("the limit of open files of process {pid}: {why}"),
        format!("prlimit --pid {pid} --nofile={before}:"),
    )
}

/// Whether it is none of the fault's, read anew.
pub fn prove(target: Exactly, ours: &[u64]) -> (bool, String) {
    let pid = target.pid;
    match OpenFiles::of(pid) {
        _ if !target.runs() => (true, format!("process {pid} has ended")),
        Ok(OpenFiles { soft: Some(soft), .. }) => (
            !ours.contains(&soft),
            format!("process {pid} may have {soft} files open"),
        ),
        Ok(_) => (true, format!("process {pid} may have any number of files open")),
        Err(error) => (false, format!("process {pid}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        let text = "Limit  Soft Limit  Hard Limit  Units\nMax processes 1 2 processes\nMax open files   1024   524288   files\n";
        let limits = OpenFiles {
            soft: Some(1024),
            hard: Some(524_288),
        };
        assert_eq!(OpenFiles::read(text), Some(limits));
        let any = "Max open files unlimited unlimited files";
        assert_eq!(OpenFiles::read(any).map(|it| it.soft), Some(None));
        assert_eq!(OpenFiles::read("Max open files x 1"), None);
    }
}
