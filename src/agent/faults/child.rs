//! What the faults by a child process have in common: how it is held, ended and looked for.
//!
//! The child asks the kernel to be killed with the thread that started it, ends when the pipe to it closes, and has
//! its own end: three locks, none of which needs the others. It does nothing before its first order, and that is
//! given after its record is on disk.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::{Child, ChildStdin, Command, Stdio};

use firedrill_wire::{Evidence, Problem, ProblemKind};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::child_main::READY;
use super::{Failure, NotHere, Order, ReadBack, words};
use crate::config::SelfCommand;
use crate::undo::{Exactly, Here, Undo};

/// How long the child may take until it works, in milliseconds; less than the ward waits for a start.
const READY_WITHIN_MS: u16 = 3_000;

/// Read at once of what a child says, in parts of 4 KiB.
const MAX_PARTS: usize = 32;

/// Whether the agent's own program is there to be started again.
pub fn available(program: &SelfCommand) -> Result<(), NotHere> {
    if program.program.exists() {
        return Ok(());
    }
    Err(NotHere {
        why: format!("the agent's own program {} is gone", program.program.display()),
        remedy: "install it again and restart the agent".to_owned(),
    })
}

/// A refusal because of the child.
pub fn cannot(why: impl Into<String>) -> Problem {
    Problem::new(
        ProblemKind::Unavailable,
        "the child process of this fault does not do it",
        why,
        "look at the limits of processes and memory on this host",
    )
}

/// The child, as its parent holds it. The thread that started it must live as long as it.
#[derive(Debug)]
pub struct HeldChild {
    /// `None`: another life's.
    child: Option<Child>,
    /// Which process it is or was.
    pub exactly: Option<Exactly>,
    input: Option<ChildStdin>,
    /// What it has said and nobody has heard.
    said: Vec<u8>,
}

impl HeldChild {
    /// Starts the agent's program with `subcommand`, writes its record, and gives it the first order.
    pub fn begin(
        program: &SelfCommand,
        subcommand: &str,
        first: &str,
        order: &Order<'_>,
    ) -> Result<Self, Failure> {
        // Dropped on every way out but the good one: then it is killed and reaped, and never worked.
        let (mut held, exactly) = Self::start(program, subcommand, order).map_err(|why| Failure {
            problem: cannot(why),
            half_applied: false,
        })?;
        order.pen.write(Undo::Child(exactly))?;
        match held.order(first).and_then(|()| held.wait_ready()) {
            Ok(()) => Ok(held),
            Err(why) => {
                let found = held.revert();
                Err(Failure {
                    problem: cannot(why),
                    half_applied: !found.clean,
                })
            }
        }
    }

    /// Starts the agent's program with `subcommand`. It does nothing before its first order.
    pub fn start(
        program: &SelfCommand,
        subcommand: &str,
        order: &Order<'_>,
    ) -> Result<(Self, Exactly), String> {
        let mut command = program.command(subcommand);
        command
            .args(["--ends-in-ms", &order.ends_in.as_millis().to_string()])
            .args(["--ramp-ms", &order.ramp.as_millis().to_string()])
            .args(["--parent", &std::process::id().to_string()])
            // What the child gives back goes to the host at once, not to a store for later.
            .env("MALLOC_MMAP_THRESHOLD_", "65536");
        let held = Self::spawn(command)?;
        let exactly = held.exactly.ok_or("it ended at its start")?;
        Ok((held, exactly))
    }

    /// One of another life, or of a thread that died.
    pub fn adopt(undo: Option<&Undo>) -> Self {
        Self {
            child: None,
            exactly: match undo {
                Some(Undo::Child(exactly)) => Some(*exactly),
                _ => None,
            },
            input: None,
            said: Vec::new(),
        }
    }

    fn spawn(mut command: Command) -> Result<Self, String> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        let exactly = Exactly::now(child.id().cast_signed()).ok();
        let input = child.stdin.take();
        Ok(Self {
            child: Some(child),
            exactly,
            input,
            said: Vec::new(),
        })
    }

    /// Gives it an order, a line.
    pub fn order(&mut self, line: &str) -> Result<(), String> {
        let input = self.input.as_mut().ok_or("it has ended")?;
        input
            .write_all(format!("{line}\n").as_bytes())
            .map_err(|error| format!("it takes no orders: {error}"))
    }

    /// Waits until it has obeyed its first order.
    pub fn wait_ready(&mut self) -> Result<(), String> {
        let output = self.child.as_mut().and_then(|child| child.stdout.as_mut());
        let output = output.ok_or("it has no output")?;
        let mut wait = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut wait, PollTimeout::from(READY_WITHIN_MS)).map_err(|error| error.to_string())?;
        let mut word = [0_u8; 64];
        let read = if ready > 0 {
            output.read(&mut word).unwrap_or(0)
        } else {
            0
        };
        if word[..read].starts_with(READY.as_bytes()) {
            return Ok(());
        }
        Err(format!("it did not begin within {READY_WITHIN_MS} ms"))
    }

    /// The newest whole line that it has said since it was asked last. Does not wait.
    pub fn last_said(&mut self) -> Option<String> {
        let output = self.child.as_mut()?.stdout.as_mut()?;
        let mut part = [0_u8; 4_096];
        // What it says without end is not read without end.
        for _ in 0..MAX_PARTS {
            let mut wait = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
            if poll(&mut wait, PollTimeout::ZERO).ok()? <= 0 {
                break;
            }
            match output.read(&mut part) {
                Ok(read) if read > 0 => self.said.extend_from_slice(&part[..read]),
                _ => break,
            }
        }
        let end = self.said.iter().rposition(|byte| *byte == b'\n')?;
        let whole = String::from_utf8_lossy(&self.said[..end]).into_owned();
        self.said.drain(..=end);
        whole.lines().last().map(str::to_owned)
    }

    /// Kills and reaps it; one of another life by its record.
    pub fn revert(&mut self) -> ReadBack {
        self.input = None;
        let Some(child) = &mut self.child else {
            return self.revert_by_record();
        };
        // One that has ended already is not killed.
        child.kill().ok();
        match child.wait() {
            Ok(status) => ReadBack {
                clean: true,
                evidence: words(format!("process {} is reaped ({status})", child.id())),
                by_hand: None,
            },
            Err(error) => ReadBack {
                clean: false,
                evidence: words(format!("process {}: {error}", child.id())),
                by_hand: Some(format!("kill -9 {}", child.id())),
            },
        }
    }

    fn revert_by_record(&self) -> ReadBack {
        let Some(exactly) = self.exactly else {
            return ReadBack {
                clean: true,
                evidence: words("no child was ever recorded, and none works before its record is on disk"),
                by_hand: None,
            };
        };
        // Where the state folder is plays no part for a child.
        let undone = match Here::new(std::path::Path::new("/")) {
            Ok(here) => Undo::Child(exactly).run(&here),
            Err(error) => {
                return ReadBack {
                    clean: false,
                    evidence: words(format!("{error:#}")),
                    by_hand: Some(format!("kill -9 {}", exactly.pid)),
                };
            }
        };
        ReadBack {
            clean: undone.gone,
            evidence: words(undone.words),
            by_hand: undone.by_hand,
        }
    }

    /// It was reaped, or looked for in `/proc`; here the kernel is asked whether the number takes a signal.
    pub fn prove(&self) -> (bool, Evidence) {
        let Some(it) = self.exactly else {
            return (true, words("there is no process of it"));
        };
        let (gone, seen) = it.gone_from_kernel();
        (gone, words(seen))
    }
}

impl Drop for HeldChild {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().ok();
            child.wait().ok();
        }
    }
}
