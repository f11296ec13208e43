//! `cpu.burn`: cores are kept busy by a child process that cannot outlive the agent.
//!
//! The child asks the kernel to be killed with the thread that started it, ends when the pipe to it closes,
//! and has its own end: three locks, none of which needs the others.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::{Child, ChildStdin, Command, Stdio};

use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, ProblemKind, Scope};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Failure, Fault, Held, NotHere, Order, Prepared, Process, ReadBack, process, words};
use crate::config::SelfCommand;

/// How long the child may take until it burns, in milliseconds; less than the ward waits for a start.
const READY_WITHIN_MS: u16 = 3_000;

/// The fault.
#[derive(Debug)]
pub struct CpuBurn {
    /// Its line in the catalogue.
    pub spec: &'static FaultSpec,
    /// How the agent's own program is started.
    pub program: SelfCommand,
}

impl Fault for CpuBurn {
    fn spec(&self) -> &'static FaultSpec {
        self.spec
    }

    fn available(&self) -> Result<(), NotHere> {
        if self.program.program.exists() {
            return Ok(());
        }
        Err(NotHere {
            why: format!(
                "the agent's own program {} is gone",
                self.program.program.display()
            ),
            remedy: "install it again and restart the agent".to_owned(),
        })
    }

    fn prepare(&self, parameters: &Parameters, _scope: &Scope) -> Result<Prepared, Problem> {
        let here = std::thread::available_parallelism().map_or(1, usize::from);
        let cores = parameters.count("cores").unwrap_or(1);
        Ok(Prepared {
            claims: vec!["cpu".to_owned()],
            hits: vec![format!(
                "{cores} threads at {:.0} % on a host of {here} cores",
                parameters.share("load") * 100.0
            )],
            process: None,
        })
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        let mut child = self.program.command("burn");
        child
            .args([
                "--cores",
                &order.parameters.count("cores").unwrap_or(1).to_string(),
            ])
            .args(["--load", &order.parameters.share("load").to_string()])
            .args(["--ends-in-ms", &order.ends_in.as_millis().to_string()])
            .args(["--ramp-ms", &order.ramp.as_millis().to_string()])
            .args(["--parent", &std::process::id().to_string()]);
        let mut held = start(child).map_err(|why| Failure {
            problem: cannot_burn(why),
            half_applied: false,
        })?;
        match held.wait_ready() {
            Ok(evidence) => Ok((Box::new(held), evidence)),
            Err(why) => {
                let found = held.revert();
                Err(Failure {
                    problem: cannot_burn(why),
                    half_applied: !found.clean,
                })
            }
        }
    }

    fn adopt(&self, _key: &Key, _scope: &Scope) -> Box<dyn Held> {
        Box::new(Burn {
            child: None,
            process: None,
            input: None,
        })
    }
}

fn cannot_burn(why: String) -> Problem {
    Problem::new(
        ProblemKind::Unavailable,
        "the child that burns could not be started",
        why,
        "look at the limits of processes and memory on this host",
    )
}

fn start(mut child: Command) -> Result<Burn, String> {
    let mut child = child
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}", child.get_program().display()))?;
    let pid = child.id().cast_signed();
    let process = process::stat(pid).ok().map(|stat| Process {
        pid,
        start_time: stat.start_time,
        name: stat.name,
    });
    let input = child.stdin.take();
    Ok(Burn {
        child: Some(child),
        process,
        input,
    })
}

/// The child, as its parent holds it. The thread that started it must live as long as it.
#[derive(Debug)]
struct Burn {
    child: Option<Child>,
    process: Option<Process>,
    input: Option<ChildStdin>,
}

impl Burn {
    fn wait_ready(&mut self) -> Result<Evidence, String> {
        let output = self.child.as_mut().and_then(|child| child.stdout.as_mut());
        let Some(output) = output else {
            return Err("it has no output".to_owned());
        };
        let mut wait = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut wait, PollTimeout::from(READY_WITHIN_MS)).map_err(|error| error.to_string())?;
        let mut word = [0_u8; 64];
        let read = if ready > 0 {
            output.read(&mut word).unwrap_or(0)
        } else {
            0
        };
        if !word[..read].starts_with(super::cpu_burn_child::READY.as_bytes()) {
            return Err(format!("it did not begin within {READY_WITHIN_MS} ms"));
        }
        Ok(self.observe().unwrap_or_default())
    }
}

impl Held for Burn {
    fn adjust(&mut self, parameters: &Parameters) -> Result<Evidence, Problem> {
        let cores = parameters.count("cores").unwrap_or(1);
        let line = format!("{} {cores}\n", parameters.share("load"));
        let input = self
            .input
            .as_mut()
            .ok_or_else(|| cannot_burn("it has ended".to_owned()))?;
        input
            .write_all(line.as_bytes())
            .map_err(|error| cannot_burn(format!("it takes no orders: {error}")))?;
        Ok(words(format!(
            "{cores} threads at {:.0} %",
            parameters.share("load") * 100.0
        )))
    }

    fn revert(&mut self) -> ReadBack {
        self.input = None;
        let Some(child) = &mut self.child else {
            return ReadBack {
                clean: true,
                evidence: words("no child of this agent burns; one of a former life died with it"),
                by_hand: None,
            };
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

    /// The kernel has handed out its exit status; here `/proc` is asked.
    fn prove(&mut self) -> (bool, Evidence) {
        match &self.process {
            Some(it) if process::runs(it) => (false, words(format!("process {} still runs", it.pid))),
            Some(it) => (true, words(format!("/proc shows no such process {}", it.pid))),
            None => (true, words("there is no process of it")),
        }
    }

    fn observe(&mut self) -> Option<Evidence> {
        let it = self.process.as_ref()?;
        let Ok(stat) = process::stat(it.pid) else {
            return Some(words("the child has ended by itself: nothing burns"));
        };
        let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)
            .ok()
            .flatten()
            .unwrap_or(100);
        let seconds = stat.cpu_ticks as f64 / per_second as f64;
        let ended = stat.state == 'Z';
        Some(Evidence {
            words: if ended {
                "the child has ended by itself: nothing burns".to_owned()
            } else {
                format!("process {} has burnt {seconds:.1} s of core time", it.pid)
            },
            counts: [("core_s".to_owned(), seconds)].into(),
        })
    }
}

impl Drop for Burn {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().ok();
            child.wait().ok();
        }
    }
}
