//! Pauses that the kernel keeps when the agent is gone: by the freezer of a cgroup, and by SIGSTOP. Their undo records
//! are on disk before, and the keeper runs them.

use std::path::Path;
use std::time::{Duration, Instant};

use firedrill_wire::{Evidence, Problem};
use rustix::process::Signal;

use super::pause::Standstill;
use super::process::not_possible;
use super::{Process, ReadBack, words};
use crate::targets::controllers::{FREEZER, Governed, Version};
use crate::undo::{Change, Exactly, Here, Undo, Undone, change, moves};

/// How long a cgroup or a process may take to stand still.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_micros(200);

fn read_back(undone: Undone) -> ReadBack {
    ReadBack {
        clean: undone.gone,
        evidence: words(undone.words),
        by_hand: undone.by_hand,
    }
}

fn since(began: Option<Instant>, words: String) -> Evidence {
    Evidence {
        words,
        counts: [(
            "paused_s".to_owned(),
            began.map_or(0.0, |began| began.elapsed().as_secs_f64()),
        )]
        .into(),
    }
}

/// The cgroup of a process, frozen with all in it.
#[derive(Debug)]
pub struct Frozen {
    changes: Vec<Change>,
    began: Option<Instant>,
}

impl Frozen {
    /// The cgroup of this process.
    pub fn of(target: &Process) -> Result<(Self, Governed), Problem> {
        let cgroup = FREEZER.of(target.pid)?;
        let (file, ours, before) = match cgroup.version {
            // FREEZING: on its way.
            Version::One => ("freezer.state", &["FROZEN", "FREEZING"][..], "THAWED"),
            Version::Two => ("cgroup.freeze", &["1"][..], "0"),
        };
        let now = cgroup.read(file)?;
        if now != before {
            return Err(not_possible(
                format!("{} of cgroup {} is {now} already", file, cgroup.path),
                "end what has frozen it",
            ));
        }
        let change = Change {
            path: cgroup.folder.join(file),
            line: None,
            ours: ours.iter().map(ToString::to_string).collect(),
            before: before.to_owned(),
            of: None,
        };
        let frozen = Self {
            changes: vec![change],
            began: None,
        };
        Ok((frozen, cgroup))
    }

    /// What a record says.
    pub fn adopt(changes: &[Change]) -> Self {
        Self {
            changes: changes.to_vec(),
            began: None,
        }
    }

    /// How it is taken back.
    pub fn undo(&self) -> Undo {
        Undo::Changes {
            changes: self.changes.clone(),
        }
    }

    /// Whether all in it stand still, as the kernel says: of version 2 in another file.
    fn is_still(change: &Change) -> bool {
        let events = change.path.with_file_name("cgroup.events");
        match std::fs::read_to_string(events) {
            Ok(events) if change.path.ends_with("cgroup.freeze") => events.lines().any(|it| it == "frozen 1"),
            _ => change.now().is_ok_and(|now| change.ours.first() == Some(&now)),
        }
    }
}

impl Standstill for Frozen {
    fn stop(&mut self) -> Result<Evidence, Problem> {
        let began = Instant::now();
        for change in &self.changes {
            let value = change.ours.first().map_or("", String::as_str);
            let shown = change.path.display();
            change
                .write(value)
                .map_err(|error| not_possible(format!("{shown}: {error}"), "run the agent as root"))?;
            while !Self::is_still(change) {
                if began.elapsed() > PATIENCE {
                    return Err(not_possible(
                        format!("{shown}: not all in it stand still"),
                        "a process of it is stuck inside the kernel: try again",
                    ));
                }
                std::thread::sleep(LOOK_EVERY);
            }
        }
        self.began = Some(began);
        Ok(self.observe())
    }

    fn go_on(&mut self) -> ReadBack {
        read_back(change::run(&self.changes))
    }

    fn prove(&mut self) -> (bool, Evidence) {
        let still = self.changes.iter().any(Self::is_still);
        let (gone, seen) = change::prove(&self.changes);
        (gone && !still, words(seen))
    }

    fn observe(&mut self) -> Evidence {
        let files: Vec<_> = self
            .changes
            .iter()
            .map(|it| it.path.display().to_string())
            .collect();
        since(self.began, format!("frozen by {}", files.join(", ")))
    }
}

/// A process that got SIGSTOP.
#[derive(Debug)]
pub struct Stopped {
    target: Exactly,
    began: Option<Instant>,
}

impl Stopped {
    /// This process, which still moves.
    pub fn of(target: Exactly) -> Self {
        Self { target, began: None }
    }
}

impl Standstill for Stopped {
    fn stop(&mut self) -> Result<Evidence, Problem> {
        let (began, pid) = (Instant::now(), self.target.pid);
        let refused = |why: String| {
            let remedy = "run the agent as root or as the process' own user";
            not_possible(format!("process {pid}: {why}"), remedy)
        };
        let handle = self.target.handle().map_err(|error| refused(error.to_string()))?;
        let handle = handle.ok_or_else(|| refused("it has ended".to_owned()))?;
        handle
            .signal(Signal::STOP)
            .map_err(|error| refused(error.to_string()))?;
        while moves(&self.target).0 {
            if began.elapsed() > PATIENCE || !self.target.runs() {
                return Err(refused("it does not stop".to_owned()));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        self.began = Some(began);
        Ok(self.observe())
    }

    fn go_on(&mut self) -> ReadBack {
        // Where the state folder is plays no part for a signal.
        match Here::new(Path::new("/")) {
            Ok(here) => read_back(Undo::Stopped(self.target).run(&here)),
            Err(error) => ReadBack {
                clean: false,
                evidence: words(format!("{error:#}")),
                by_hand: Some(format!("kill -CONT {}", self.target.pid)),
            },
        }
    }

    /// After the signal the threads' states were read; here the kernel is asked what the process waits for.
    fn prove(&mut self) -> (bool, Evidence) {
        let (moves, seen) = moves(&self.target);
        (moves, words(seen))
    }

    fn observe(&mut self) -> Evidence {
        let (_, seen) = moves(&self.target);
        since(self.began, seen)
    }
}
