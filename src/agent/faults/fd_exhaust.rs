//! `fd.exhaust`: a process cannot open more files, sockets or pipes.
//!
//! Its soft limit is lowered to the descriptors that it has; the hard limit is never touched, so that it can always be
//! set back without a privilege.

use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, Scope};

use super::process::{self, not_possible};
use super::{Failure, Fault, Held, Ledger, NotHere, Order, Prepared, ReadBack, words};
use crate::targets;
use crate::undo::open_files::{self, OpenFiles};
use crate::undo::{Exactly, Undo};

/// The fault.
#[derive(Debug)]
pub struct FdExhaust(pub &'static FaultSpec);

impl Fault for FdExhaust {
    fn spec(&self) -> &'static FaultSpec {
        self.0
    }

    fn available(&self) -> Result<(), NotHere> {
        Ok(())
    }

    fn prepare(&self, parameters: &Parameters, scope: &Scope) -> Result<Prepared, Problem> {
        let target = targets::process(scope)?;
        process::may_hit(&target)?;
        let before = soft(target.pid)?;
        let open = open(target.pid)?;
        let left = limit(&open, before, parameters.share("share"));
        Ok(Prepared {
            claims: vec![format!("fd:{}", target.pid)],
            hits: vec![format!(
                "process {} {}: it has {} files open and may have {before}; that becomes {left}",
                target.pid,
                target.name,
                open.len()
            )],
            process: Some(target),
            needs_keeper: true,
            ..Prepared::default()
        })
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        let nothing = |problem| Failure {
            problem,
            half_applied: false,
        };
        let target = order.prepared.running().map_err(nothing)?.exactly();
        let before = soft(target.pid).map_err(nothing)?;
        let mut held = Exhaust {
            target: Some(target),
            before,
            ours: Vec::new(),
            ledger: Some(order.pen.ledger()),
        };
        let limit = held.limit(order.parameters).map_err(nothing)?;
        held.ours.push(limit);
        order.pen.write(held.undo(target))?;
        if let Err(error) = open_files::set(target, limit) {
            let found = held.revert();
            return Err(Failure {
                problem: refused(target.pid, &error),
                half_applied: !found.clean,
            });
        }
        let evidence = held.observe().unwrap_or_default();
        Ok((Box::new(held), evidence))
    }

    fn adopt(&self, _key: &Key, _scope: &Scope, undo: Option<&Undo>) -> Box<dyn Held> {
        Box::new(match undo {
            Some(Undo::OpenFiles { target, ours, before }) => Exhaust {
                target: Some(*target),
                before: *before,
                ours: ours.clone(),
                ledger: None,
            },
            _ => Exhaust {
                target: None,
                before: 0,
                ours: Vec::new(),
                ledger: None,
            },
        })
    }
}

fn refused(pid: i32, error: &std::io::Error) -> Problem {
    not_possible(
        format!("the limit of open files of process {pid}: {error}"),
        "run the agent as the process' own user, or with CAP_SYS_RESOURCE and CAP_SYS_PTRACE",
    )
}

/// The soft limit of a process.
fn soft(pid: i32) -> Result<u64, Problem> {
    let found = OpenFiles::of(pid).map_err(|error| refused(pid, &error))?;
    found.soft.ok_or_else(|| {
        not_possible(
            format!("process {pid} may have any number of files open"),
            "give it a limit (`prlimit --nofile`)",
        )
    })
}

/// The descriptors that a process has, in order.
fn open(pid: i32) -> Result<Vec<u64>, Problem> {
    let found = process::numbers(&format!("/proc/{pid}/fd")).map_err(|error| refused(pid, &error))?;
    Ok(found.into_iter().filter_map(|fd| fd.try_into().ok()).collect())
}

/// The soft limit that takes away this share of the free descriptors. The kernel gives the lowest free number, and none
/// from the limit on: so those count that are free below it.
fn limit(open: &[u64], before: u64, share: f64) -> u64 {
    let free = before.saturating_sub(open.iter().filter(|fd| **fd < before).count() as u64);
    let mut left = (free as f64 * (1.0 - share)).floor() as u64;
    let mut at = 0;
    for fd in open.iter().copied().filter(|fd| *fd < before) {
        let gap = fd - at;
        if gap > left {
            return at + left;
        }
        left -= gap;
        at = fd + 1;
    }
    (at + left).min(before)
}

#[derive(Debug)]
struct Exhaust {
    target: Option<Exactly>,
    before: u64,
    ours: Vec<u64>,
    /// `None`: another life's.
    ledger: Option<Ledger>,
}

impl Exhaust {
    fn limit(&self, parameters: &Parameters) -> Result<u64, Problem> {
        let pid = self.target.map_or(0, |it| it.pid);
        let limit = limit(&open(pid)?, self.before, parameters.share("share"));
        if limit >= self.before {
            let detail = format!(
                "process {pid} may have {} files open, and would not lose one",
                self.before
            );
            return Err(not_possible(detail, "ask for a larger share"));
        }
        Ok(limit)
    }

    fn undo(&self, target: Exactly) -> Undo {
        Undo::OpenFiles {
            target,
            ours: self.ours.clone(),
            before: self.before,
        }
    }
}

impl Held for Exhaust {
    fn adjust(&mut self, parameters: &Parameters) -> Result<Evidence, Problem> {
        let (Some(target), Some(ledger)) = (self.target, &self.ledger) else {
            return Err(not_possible(
                "it was begun by a former life of the agent",
                "start another",
            ));
        };
        let limit = self.limit(parameters)?;
        // The one before stays the fault's: it is there until the new one is.
        self.ours = self.ours.last().copied().into_iter().chain([limit]).collect();
        ledger.write(self.undo(target))?;
        open_files::set(target, limit).map_err(|error| refused(target.pid, &error))?;
        Ok(words(format!(
            "process {} may have {limit} files open",
            target.pid
        )))
    }

    fn revert(&mut self) -> ReadBack {
        let Some(target) = self.target else {
            return ReadBack {
                clean: true,
                evidence: words("no limit was ever recorded, and none is set before"),
                by_hand: None,
            };
        };
        let undone = open_files::run(target, &self.ours, self.before);
        ReadBack {
            clean: undone.gone,
            evidence: words(undone.words),
            by_hand: undone.by_hand,
        }
    }

    fn prove(&mut self) -> (bool, Evidence) {
        let Some(target) = self.target else {
            return (true, words("there is no process of it"));
        };
        let (gone, seen) = open_files::prove(target, &self.ours);
        (gone, words(seen))
    }

    fn observe(&mut self) -> Option<Evidence> {
        let target = self.target?;
        if !target.runs() {
            return Some(words(format!("process {} has ended", target.pid)));
        }
        let (open, soft) = (open(target.pid).ok()?, soft(target.pid).ok()?);
        let free = soft.saturating_sub(open.iter().filter(|fd| **fd < soft).count() as u64);
        Some(Evidence {
            words: format!(
                "process {} has {} files open and can open {free} more",
                target.pid,
                open.len()
            ),
            counts: [
                ("open".to_owned(), open.len() as f64),
                ("soft_limit".to_owned(), soft as f64),
                ("free".to_owned(), free as f64),
            ]
            .into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_leaves_as_many_as_are_asked_for() {
        assert_eq!(limit(&[0, 1, 2], 1_024, 1.0), 3);
        // The kernel would give 3 and 4 before it looks at the limit.
        assert_eq!(limit(&[0, 1, 2, 5], 1_024, 1.0), 3);
        assert_eq!(limit(&[1], 10, 1.0), 0);
        assert_eq!(limit(&[0, 1, 2], 1_024, 0.5), 3 + 510);
        assert_eq!(limit(&[], 10, 0.5), 5);
        assert_eq!(limit(&[0, 4, 700], 8, 0.5), 5, "3 of 6: 1, 2, 3");
        assert_eq!(limit(&[0, 1, 2], 1_024, 1e-9), 1_023, "at least one is taken");
    }

    proptest::proptest! {
        #[test]
        fn no_more_are_free_than_asked_for(
            open in proptest::collection::btree_set(0_u64..200, 0..50), before in 1_u64..200, share in 0.01_f64..=1.0,
        ) {
            let open: Vec<u64> = open.into_iter().collect();
            let limit = limit(&open, before, share);
            let free = |limit: u64| (0..limit).filter(|fd| !open.contains(fd)).count() as f64;
            proptest::prop_assert!(limit <= before);
            proptest::prop_assert_eq!(free(limit), (free(before) * (1.0 - share)).floor());
        }
    }
}
