//! Processes as `/proc` tells of them.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use firedrill_wire::{Problem, ProblemKind};

use super::Process;
use crate::state::read_small;

/// Flag of kernel threads in `/proc/PID/stat`.
const PF_KTHREAD: u64 = 0x0020_0000;

/// The fields of `/proc/PID/stat` that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The short name.
    pub name: String,
    /// `R`, `S`, `D`, `T`, `t`, `Z`, …
    pub state: char,
    /// The parent.
    pub parent: i32,
    /// Whether the kernel itself runs it.
    pub is_kernel_thread: bool,
    /// Time on a core, in clock ticks.
    pub cpu_ticks: u64,
    /// When it began, in clock ticks since boot.
    pub start_time: u64,
}

/// Reads `/proc/PID/stat`.
pub fn stat(pid: i32) -> io::Result<Stat> {
    let text = read_small(Path::new(&format!("/proc/{pid}/stat")))?;
    parse_stat(&text).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat is not as expected")))
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name may hold anything, parentheses included: it ends with the last one.
    let (head, tail) = text.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    // The first field here is number 3 of proc(5).
    let field = |number: usize| fields.get(number - 3).copied();
    let number = |at: usize| field(at)?.parse::<u64>().ok();
    Some(Stat {
        name,
        state: field(3)?.chars().next()?,
        parent: field(4)?.parse().ok()?,
        is_kernel_thread: number(9)? & PF_KTHREAD != 0,
        cpu_ticks: number(14)? + number(15)?,
        start_time: number(22)?,
    })
}

/// Whether this very process still runs: the same number and the same start. A zombie does not run.
pub fn runs(process: &Process) -> bool {
    stat(process.pid).is_ok_and(|found| found.start_time == process.start_time && found.state != 'Z')
}

/// One thread's state and who traces it, from `/proc/PID/task/TID/status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadStatus {
    /// As in [`Stat::state`].
    pub state: char,
    /// The thread that traces it, 0 for none.
    pub tracer: i32,
}

/// Reads one thread's status.
pub fn thread_status(pid: i32, tid: i32) -> io::Result<ThreadStatus> {
    let text = read_small(Path::new(&format!("/proc/{pid}/task/{tid}/status")))?;
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim_start_matches(':').split_ascii_whitespace().next()
    };
    let status = value("State")
        .and_then(|state| state.chars().next())
        .zip(value("TracerPid").and_then(|tracer| tracer.parse().ok()));
    status
        .map(|(state, tracer)| ThreadStatus { state, tracer })
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/task/{tid}/status is not as expected")))
}

/// The threads of a process, in the order of their numbers.
pub fn threads(pid: i32) -> io::Result<Vec<i32>> {
    numbers(&format!("/proc/{pid}/task"))
}

/// The names in a folder that are numbers, in order.
pub fn numbers(folder: &str) -> io::Result<Vec<i32>> {
    let mut found: Vec<i32> = std::fs::read_dir(folder)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    found.sort_unstable();
    Ok(found)
}

/// Why this process must not be hit, whoever asks.
pub fn why_not(process: &Process) -> Option<String> {
    let pid = process.pid;
    if pid == 1 {
        return Some("process 1 holds the whole system".to_owned());
    }
    let found = stat(pid).ok()?;
    if found.is_kernel_thread {
        return Some(format!("{pid} {} is a thread of the kernel", process.name));
    }
    if found.state == 'Z' {
        return Some(format!("{pid} {} has ended", process.name));
    }
    let own = std::process::id().cast_signed();
    if pid == own {
        return Some(format!("{pid} is the agent itself"));
    }
    if ancestors(own, &parents()).contains(&pid) {
        return Some(format!("{pid} {} is a parent of the agent", process.name));
    }
    if same_program(pid, own) {
        return Some(format!(
            "{pid} {} is the same program as the agent: its proxy, what burns for it, or a console",
            process.name
        ));
    }
    None
}

fn same_program(a: i32, b: i32) -> bool {
    let program = |pid| std::fs::metadata(format!("/proc/{pid}/exe")).map(|file| (file.dev(), file.ino()));
    matches!((program(a), program(b)), (Ok(a), Ok(b)) if a == b)
}

/// Each process' parent.
fn parents() -> HashMap<i32, i32> {
    numbers("/proc")
        .unwrap_or_default()
        .into_iter()
        .filter_map(|pid| Some((pid, stat(pid).ok()?.parent)))
        .collect()
}

fn ancestors(pid: i32, parents: &HashMap<i32, i32>) -> Vec<i32> {
    let mut line = Vec::new();
    let mut at = pid;
    while let Some(parent) = parents.get(&at).copied() {
        if parent == 0 || line.contains(&parent) {
            break;
        }
        line.push(parent);
        at = parent;
    }
    line
}

/// These processes with their names; one that has ended meanwhile is left out.
pub fn known(pids: Vec<i32>) -> Vec<Process> {
    let of = |pid| {
        let found = stat(pid).ok()?;
        Some(Process {
            pid,
            start_time: found.start_time,
            name: found.name,
        })
    };
    pids.into_iter().filter_map(of).collect()
}

/// Refuses what must not be hit, whoever asks.
pub fn may_hit(process: &Process) -> Result<(), Problem> {
    let Some(why) = why_not(process) else {
        return Ok(());
    };
    Err(Problem::new(
        ProblemKind::Policy,
        "this process may not be hit",
        why,
        "name the process of a service",
    ))
}

/// A refusal because of what this host is like.
pub fn not_possible(detail: impl Into<String>, remedy: impl Into<String>) -> Problem {
    Problem::new(
        ProblemKind::NotPossible,
        "not possible on this host",
        detail,
        remedy,
    )
}

#[cfg(test)]
mod tests {
    use firedrill_wire::Scope;

    use super::*;

    #[test]
    fn names_with_parentheses_are_read() {
        let text = "7 (a) b) (c) S 3 7 7 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 1 0 99 1 1 1";
        let stat = parse_stat(text).unwrap();
        assert_eq!(
            (
                stat.name.as_str(),
                stat.state,
                stat.parent,
                stat.cpu_ticks,
                stat.start_time
            ),
            ("a) b) (c", 'S', 3, 11, 99)
        );
        assert!(!stat.is_kernel_thread);
        for torn in ["", "7", "7 (a", "7 (a)", "7 (a) S 1"] {
            assert_eq!(parse_stat(torn), None, "{torn}");
        }
    }

    #[test]
    fn the_agent_and_its_family_are_spared() {
        let own = std::process::id().cast_signed();
        let find = crate::targets::process;
        let me = find(&Scope {
            pid: Some(own),
            ..Scope::default()
        })
        .unwrap();
        assert!(why_not(&me).unwrap().contains("the agent itself"));
        let parent = std::os::unix::process::parent_id().cast_signed();
        let parent = find(&Scope {
            pid: Some(parent),
            ..Scope::default()
        })
        .unwrap();
        assert!(why_not(&parent).is_some());
        let init = find(&Scope {
            pid: Some(1),
            ..Scope::default()
        })
        .unwrap();
        assert!(why_not(&init).is_some());
    }

    #[test]
    fn own_threads_are_listed_and_not_traced() {
        let own = std::process::id().cast_signed();
        let threads = threads(own).unwrap();
        assert!(threads.contains(&own));
        assert_eq!(thread_status(own, own).unwrap().tracer, 0);
    }
}
