//! A pause by ptrace, which the kernel ends with the thread that holds it.
//!
//! Every thread is seized and interrupted; the kernel lets them go when the tracing thread ends, so nothing
//! is left behind whatever happens to the agent. Unlike a stop signal it cannot be seen or undone by the
//! target's own job control. A call that the pause interrupts may return EINTR, as after SIGSTOP and SIGCONT.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use firedrill_wire::{Evidence, Problem, ProblemKind};
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::pause::Standstill;
use super::process::{self, not_possible};
use super::{NotHere, Process, ReadBack, words};

/// How long all threads together may take to stop, or to be let go.
const PATIENCE: Duration = Duration::from_secs(2);

/// Threads beyond this are not paused but refused: a pause must be quick to take back.
const MAX_THREADS: usize = 4_096;

/// CAP_SYS_PTRACE.
const CAP_SYS_PTRACE: u32 = 19;

const BY_HAND: &str = "end the agent's process: the kernel then lets the target go";

/// Whether the kernel lets the agent trace processes, as far as can be told beforehand.
pub fn may_trace() -> Result<(), NotHere> {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let no = |why: &str| {
        Err(NotHere {
            why: why.to_owned(),
            remedy: "run the agent as root or with CAP_SYS_PTRACE, or pause with how = \"signal\"".to_owned(),
        })
    };
    match (scope.trim(), has_capability(CAP_SYS_PTRACE)) {
        ("3", _) => no("this kernel forbids ptrace until it restarts (yama/ptrace_scope is 3)"),
        ("1" | "2", false) => {
            no("this kernel reserves ptrace (yama/ptrace_scope) and the agent has no CAP_SYS_PTRACE")
        }
        _ => Ok(()),
    }
}

fn has_capability(number: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .is_some_and(|set| set & (1 << number) != 0)
}

/// Refuses a process that somebody else traces.
pub fn may_hold(target: &Process) -> Result<(), Problem> {
    let traced = process::thread_status(target.pid, target.pid).map_or(0, |status| status.tracer);
    // One that this agent holds itself is claimed: the ward says by whom.
    if traced != 0 && !own_threads().contains(&traced) {
        return Err(not_possible(
            format!("process {} {} is traced by {traced}", target.pid, target.name),
            "end that debugger first",
        ));
    }
    Ok(())
}

/// A thread that is held, and the signal it was about to get when it stopped.
#[derive(Clone, Copy, Debug)]
struct Stopped {
    pending: Option<Signal>,
    stopped: bool,
}

/// The tracer. Lives on one thread, which must not end while it holds.
#[derive(Debug)]
pub struct Pause {
    target: Option<Process>,
    threads: BTreeMap<i32, Stopped>,
    since: Instant,
    /// Threads that ended while they were held.
    ended: u64,
}

impl Pause {
    /// Of this process, which still moves.
    pub fn new(target: Option<Process>) -> Self {
        Self {
            target,
            threads: BTreeMap::new(),
            since: Instant::now(),
            ended: 0,
        }
    }

    /// Seizes and stops every thread, also those that are born meanwhile.
    fn seize_all(&mut self) -> Result<Evidence, Problem> {
        let Some(target) = self.target.clone() else {
            return Err(not_possible("no process", "name one"));
        };
        let began = Instant::now();
        let deadline = began + PATIENCE;
        loop {
            let known = self.threads.len();
            for tid in process::threads(target.pid).unwrap_or_default() {
                if !self.threads.contains_key(&tid) {
                    self.seize(&target, tid)?;
                }
            }
            if self.threads.len() > MAX_THREADS {
                let detail = format!("{} has more than {MAX_THREADS} threads", target.name);
                return Err(not_possible(detail, "pause a smaller process"));
            }
            self.wait_stopped(deadline)?;
            // A stopped thread starts no others: once a scan finds nothing new, that is all of them.
            if self.threads.len() == known {
                break;
            }
        }
        if self.threads.is_empty() {
            let detail = format!("process {} {} has ended", target.pid, target.name);
            return Err(not_possible(detail, "name one that runs"));
        }
        let took = began.elapsed();
        Ok(Evidence {
            words: format!(
                "{} threads of process {} {} stand still, after {:.1} ms",
                self.threads.len(),
                target.pid,
                target.name,
                took.as_secs_f64() * 1e3
            ),
            counts: self.counts(),
        })
    }

    fn seize(&mut self, target: &Process, tid: i32) -> Result<(), Problem> {
        let thread = Pid::from_raw(tid);
        match ptrace::seize(thread, ptrace::Options::empty()) {
            Ok(()) => {}
            // It ended between the listing and now.
            Err(Errno::ESRCH) => return Ok(()),
            Err(error) => {
                return Err(Problem::new(
                    ProblemKind::NotPossible,
                    "the kernel does not let the agent pause this process",
                    format!("thread {tid} of process {} {}: {error}", target.pid, target.name),
                    "run the agent as root or with CAP_SYS_PTRACE, and end debuggers of the target",
                ));
            }
        }
        self.threads.insert(
            tid,
            Stopped {
                pending: None,
                stopped: false,
            },
        );
        // A number may have passed to another process between the check and the seizing: now it cannot.
        if self.threads.len() == 1 && !process::runs(target) {
            let detail = format!("process {} {} has ended meanwhile", target.pid, target.name);
            return Err(not_possible(detail, "name one that runs"));
        }
        ptrace::interrupt(thread).ok();
        Ok(())
    }

    fn wait_stopped(&mut self, deadline: Instant) -> Result<(), Problem> {
        loop {
            let moving = self.gather();
            let Some(tid) = moving else { return Ok(()) };
            if Instant::now() > deadline {
                return Err(not_possible(
                    format!("thread {tid} does not stop: it is stuck inside the kernel"),
                    "try again, or another process",
                ));
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    /// Takes the kernel's news of the threads; one that still moves, if any.
    fn gather(&mut self) -> Option<i32> {
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::__WALL;
        let mut moving = None;
        let mut gone = Vec::new();
        for (tid, thread) in &mut self.threads {
            match waitpid(Pid::from_raw(*tid), Some(flags)) {
                Ok(WaitStatus::PtraceEvent(..)) => thread.stopped = true,
                Ok(WaitStatus::Stopped(_, signal)) => {
                    thread.stopped = true;
                    thread.pending = Some(signal);
                }
                Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(_) => gone.push(*tid),
                Ok(_) => {}
            }
            if !thread.stopped {
                moving = Some(*tid);
            }
        }
        for tid in gone {
            self.threads.remove(&tid);
            self.ended += 1;
            if moving == Some(tid) {
                moving = None;
            }
        }
        moving.or_else(|| {
            let still = self.threads.iter().find(|(_, thread)| !thread.stopped);
            still.map(|(tid, _)| *tid)
        })
    }

    /// Lets every thread go; those that could not be.
    fn let_go(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.threads.is_empty() {
            self.gather();
            self.threads
                .retain(|tid, thread| !thread.stopped || !detached(Pid::from_raw(*tid), thread.pending));
            if Instant::now() > deadline {
                return;
            }
            if !self.threads.is_empty() {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
    }

    fn counts(&self) -> BTreeMap<String, f64> {
        [
            ("threads_held".to_owned(), self.threads.len() as f64),
            ("threads_ended".to_owned(), self.ended as f64),
            ("paused_s".to_owned(), self.since.elapsed().as_secs_f64()),
        ]
        .into()
    }
}

impl Standstill for Pause {
    fn stop(&mut self) -> Result<Evidence, Problem> {
        self.since = Instant::now();
        self.seize_all()
    }

    fn go_on(&mut self) -> ReadBack {
        self.let_go();
        let Some(target) = self.target.as_ref().filter(|target| process::runs(target)) else {
            return ReadBack {
                clean: self.threads.is_empty(),
                evidence: words("the process has ended"),
                by_hand: None,
            };
        };
        let held = still_held(target.pid);
        let clean = self.threads.is_empty() && held.is_empty();
        let words = if clean {
            format!("no thread of process {} {} is traced", target.pid, target.name)
        } else {
            format!(
                "threads of process {} {} still held: {held:?}; not let go: {}",
                target.pid,
                target.name,
                self.threads.len()
            )
        };
        ReadBack {
            clean,
            evidence: Evidence {
                words,
                counts: self.counts(),
            },
            by_hand: (!clean).then(|| BY_HAND.to_owned()),
        }
    }

    /// After the revert `/proc` was asked who traces it; here the kernel is asked whether we do, and the target's
    /// threads themselves whether one stands in a tracer's stop, whoever's.
    fn prove(&mut self) -> (bool, Evidence) {
        let Some(target) = self.target.as_ref().filter(|target| process::runs(target)) else {
            return (true, words("the process has ended"));
        };
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        let threads = process::threads(target.pid).unwrap_or_default();
        let traced = threads
            .iter()
            .filter(|tid| waitpid(Pid::from_raw(**tid), Some(flags)) != Err(Errno::ECHILD))
            .count();
        let still = threads
            .iter()
            .filter(|tid| process::thread_status(target.pid, **tid).is_ok_and(|thread| thread.state == 't'))
            .count();
        let words = format!(
            "the kernel lists {traced} threads of process {} {} as traced by the agent, {still} stand in a tracer's stop",
            target.pid, target.name
        );
        (traced + still == 0, super::words(words))
    }

    fn observe(&mut self) -> Evidence {
        self.gather();
        let words = match &self.target {
            _ if self.threads.is_empty() => "the process has ended".to_owned(),
            Some(target) => format!(
                "{} threads of process {} {} stand still",
                self.threads.len(),
                target.pid,
                target.name
            ),
            None => "nothing is held".to_owned(),
        };
        Evidence {
            words,
            counts: self.counts(),
        }
    }
}

/// Whether the kernel has let the thread go. One that is dead is taken from the kernel's table, so that its
/// own parent hears of it.
fn detached(thread: Pid, pending: Option<Signal>) -> bool {
    match ptrace::detach(thread, pending) {
        Ok(()) => true,
        Err(Errno::ESRCH) => {
            waitpid(thread, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)).ok();
            true
        }
        Err(_) => false,
    }
}

/// Threads of `pid` that are traced by this agent. The kernel names the tracing thread, not its process.
fn still_held(pid: i32) -> Vec<i32> {
    let ours = own_threads();
    process::threads(pid)
        .unwrap_or_default()
        .into_iter()
        .filter(|tid| process::thread_status(pid, *tid).is_ok_and(|status| ours.contains(&status.tracer)))
        .collect()
}

fn own_threads() -> Vec<i32> {
    process::threads(std::process::id().cast_signed()).unwrap_or_default()
}
