//! From the lines of abort answers to how far an abort is on one agent.

use firedrill_drill::{AbortStatus, AbortedInjection, At};
use firedrill_wire::{AbortLine, Evidence, InjectionId, InjectionState};

/// An abort on one agent, as the abort line knows it.
#[derive(Clone, Debug)]
pub(crate) struct Fold {
    pub status: AbortStatus,
    /// An answer has ended, and everything is off and proved.
    pub clean: bool,
}

impl Fold {
    pub fn new(requested: At) -> Self {
        Self {
            status: AbortStatus {
                requested,
                ..AbortStatus::default()
            },
            clean: false,
        }
    }

    /// A line that came `us` after the request.
    pub fn line(&mut self, line: AbortLine, us: u64) {
        match line {
            AbortLine::Received {
                stamp,
                durable,
                latch,
                injections,
            } => {
                self.status.instance = Some(stamp.instance);
                self.status.received_us.get_or_insert(us);
                self.status.durable = Some(durable);
                self.status.latch = latch.map(|latch| latch.number).or(self.status.latch);
                for id in injections {
                    self.injection(id);
                }
            }
            AbortLine::Reverted {
                injection,
                state,
                evidence,
                by_hand,
                ..
            } => {
                let known = self.injection(injection);
                known.state = state;
                known.evidence = evidence;
                known.by_hand = by_hand;
            }
            AbortLine::Proved { injection, clean, .. } => self.injection(injection).proved = Some(clean),
            AbortLine::End { clean, .. } => {
                self.status.ended = true;
                // A late answer to an earlier sending takes nothing back.
                self.clean |= clean;
                if clean {
                    self.status.reverted_us.get_or_insert(us);
                    self.status.proved_us.get_or_insert(us);
                }
            }
        }
    }

    fn injection(&mut self, id: InjectionId) -> &mut AbortedInjection {
        let all = &mut self.status.injections;
        let index = all.iter().position(|known| known.id == id).unwrap_or_else(|| {
            all.push(AbortedInjection {
                id,
                state: InjectionState::Reverting,
                proved: None,
                evidence: Evidence::default(),
                by_hand: None,
            });
            all.len() - 1
        });
        &mut all[index]
    }
}
