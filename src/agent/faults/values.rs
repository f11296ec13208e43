//! What the faults have in common that change values in the kernel's own files: on disk before each change, read back
//! after each, written back by whoever is left.

use firedrill_wire::{Evidence, Problem};

use super::process::not_possible;
use super::{Failure, Ledger, Pen, ReadBack, words};
use crate::undo::{Change, Undo, change};

/// Values that a fault holds.
#[derive(Debug)]
pub struct HeldValues {
    changes: Vec<Change>,
    /// Where its record is; `None`: another life's.
    ledger: Option<Ledger>,
}

impl HeldValues {
    /// Writes the record, then the values, one for each change. `ours` of the changes is filled in here.
    pub fn begin(pen: &Pen<'_>, changes: Vec<Change>, values: &[String]) -> Result<Self, Failure> {
        let mut held = Self {
            changes,
            ledger: Some(pen.ledger()),
        };
        let nothing = |problem| Failure {
            problem,
            half_applied: false,
        };
        if !held.differs(values) {
            let detail = "what it would be set to is what it is set to".to_owned();
            return Err(nothing(not_possible(detail, "ask for more")));
        }
        held.claim(values);
        pen.write(held.undo())?;
        match held.write(values) {
            Ok(()) => Ok(held),
            Err(problem) => {
                let found = held.revert();
                Err(Failure {
                    problem,
                    half_applied: !found.clean,
                })
            }
        }
    }

    /// The same, where the last change takes the first of `any` that the kernel accepts.
    pub fn begin_with_any(
        pen: &Pen<'_>,
        mut changes: Vec<Change>,
        values: &[String],
        any: &[String],
    ) -> Result<Self, Failure> {
        for (change, ours) in changes
            .iter_mut()
            .zip(values.iter().map(std::slice::from_ref).chain([any]))
        {
            change.ours = ours.iter().filter(|it| **it != change.before).cloned().collect();
        }
        let mut held = Self {
            changes,
            ledger: Some(pen.ledger()),
        };
        pen.write(held.undo())?;
        let mut written = Ok(());
        for last in any {
            let all: Vec<_> = values.iter().chain([last]).cloned().collect();
            written = held.write(&all);
            if written.is_ok() {
                return Ok(held);
            }
        }
        let found = held.revert();
        Err(Failure {
            problem: written
                .err()
                .unwrap_or_else(|| not_possible("there is no value", "ask for more")),
            half_applied: !found.clean,
        })
    }

    /// What another life or a dead thread left.
    pub fn adopt(undo: Option<&Undo>) -> Self {
        Self {
            changes: match undo {
                Some(Undo::Changes { changes }) => changes.clone(),
                _ => Vec::new(),
            },
            ledger: None,
        }
    }

    fn undo(&self) -> Undo {
        Undo::Changes {
            changes: self.changes.clone(),
        }
    }

    fn differs(&self, values: &[String]) -> bool {
        self.changes
            .iter()
            .zip(values)
            .any(|(change, value)| change.before != *value)
    }

    /// From now on these values are the fault's too. The one before each stays so: it is there until they are written.
    fn claim(&mut self, values: &[String]) {
        for (change, value) in self.changes.iter_mut().zip(values) {
            let last = change.ours.last().cloned();
            change.ours = last.into_iter().chain([value.clone()]).collect();
            change.ours.dedup();
            // What it was before is nobody's.
            change.ours.retain(|it| *it != change.before);
        }
    }

    fn write(&self, values: &[String]) -> Result<(), Problem> {
        for (change, value) in self.changes.iter().zip(values) {
            let shown = change.path.display();
            change.write(value).map_err(|error| {
                not_possible(
                    format!("{shown} does not take {value}: {error}"),
                    "run the agent as root; look at the limits of the cgroups above it",
                )
            })?;
            let now = change.now().unwrap_or_default();
            if now != *value {
                return Err(not_possible(
                    format!("{shown} reads {now:?} after {value:?} was written"),
                    "the kernel does not take this value",
                ));
            }
        }
        Ok(())
    }

    /// Other values, one for each change. The record is on disk before they are written.
    pub fn set(&mut self, values: &[String]) -> Result<(), Problem> {
        let before = self.changes.clone();
        self.claim(values);
        if self.changes != before {
            let Some(ledger) = &self.ledger else {
                return Err(not_possible(
                    "it was begun by a former life of the agent",
                    "start another",
                ));
            };
            ledger.write(self.undo())?;
        }
        self.write(values)
    }

    /// Writes back what was there.
    pub fn revert(&mut self) -> ReadBack {
        let undone = change::run(&self.changes);
        ReadBack {
            clean: undone.gone,
            evidence: words(if self.changes.is_empty() {
                "no change was ever recorded, and none is made before".to_owned()
            } else {
                undone.words
            }),
            by_hand: undone.by_hand,
        }
    }

    /// Reads anew.
    pub fn prove(&self) -> (bool, Evidence) {
        let (gone, seen) = change::prove(&self.changes);
        (gone, words(seen))
    }
}
