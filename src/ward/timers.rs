//! What happens because time has passed.

use firedrill_wire::{Evidence, InjectionState, Problem, ProblemKind, Tick};

use crate::injection::{Cx, Injection, Work};
use crate::stopping::Stream;
use crate::{Reply, Ward, checks};

impl Ward {
    /// Runs at the beginning of every step, so that nothing is judged by a lease or an end that has passed.
    pub(crate) fn run_timers(&mut self) {
        let now = self.cx.now;
        self.run_lease();
        if self
            .releasing
            .as_ref()
            .is_some_and(|releasing| releasing.until <= now)
        {
            self.release_failed();
        }
        for stream in &mut self.streams {
            if stream.awaits_disk_until().is_some_and(|until| until <= now) {
                stream.on_saved(false);
            }
        }
        for injection in self.injections.values_mut() {
            injection.run_timer(&mut self.cx);
        }
        if self.save_again_at.is_some_and(|at| at <= now) {
            self.save();
        }
    }

    fn run_lease(&mut self) {
        let Some(open) = self.open.as_mut().filter(|open| open.deadline <= self.cx.now) else {
            return;
        };
        match open.opening.take() {
            None => self.kill_epoch("lease", "the drill's lease lapsed"),
            Some((_, asks)) => {
                // The epoch is used up, but nobody ever had it: the drill may try again.
                self.open = None;
                self.cx.unsaved = true;
                for ask in asks {
                    self.reply(ask, Reply::Refused(checks::disk("the opening")));
                }
            }
        }
    }

    /// When the next [`crate::Event::Tick`] is due at the latest.
    pub fn next_deadline(&self) -> Option<Tick> {
        let lease = self.open.iter().map(|open| open.deadline);
        let release = self.releasing.iter().map(|releasing| releasing.until);
        let streams = self.streams.iter().filter_map(Stream::awaits_disk_until);
        let injections = self.injections.values().filter_map(Injection::deadline);
        lease
            .chain(release)
            .chain(streams)
            .chain(injections)
            .chain(self.save_again_at)
            .min()
    }
}

impl Injection {
    pub(crate) fn deadline(&self) -> Option<Tick> {
        let work = match self.work {
            // `not_after` itself is still in time.
            Work::Saving(_) => self
                .request
                .as_ref()
                .map(|request| Tick(request.not_after.0.saturating_add(1))),
            Work::Applying { until }
            | Work::Adjusting { until }
            | Work::Reverting { until }
            | Work::Proving { until } => Some(until),
            Work::Idle => self.retry_at,
        };
        let end = (self.state() == InjectionState::Active).then_some(self.record.ends_at);
        work.into_iter().chain(end).min()
    }

    fn run_timer(&mut self, cx: &mut Cx) {
        if self.state() == InjectionState::Active && self.record.ends_at <= cx.now {
            self.condemn("end", "the injection's own end came", cx);
        }
        match self.work {
            Work::Saving(_) if self.deadline().is_some_and(|at| at <= cx.now) => {
                self.refuse(late("the agent's disk was slower than the start may wait"), cx);
            }
            Work::Applying { until } if until <= cx.now => self.overdue("start", cx),
            Work::Adjusting { until } if until <= cx.now => self.overdue("change", cx),
            Work::Reverting { until } if until <= cx.now => {
                let words = format!("no read-back within {} ms", cx.limits.operation_ms);
                self.read_back(
                    false,
                    Evidence {
                        words,
                        ..Evidence::default()
                    },
                    None,
                    cx,
                );
            }
            Work::Proving { until } if until <= cx.now => {
                let words = format!("no answer within {} ms", cx.limits.operation_ms);
                self.proved(
                    false,
                    Evidence {
                        words,
                        ..Evidence::default()
                    },
                    cx,
                );
            }
            Work::Idle if self.retry_at.is_some_and(|at| at <= cx.now) => {
                if self.suspect {
                    self.prove(cx);
                } else {
                    self.revert(cx);
                }
            }
            _ => {}
        }
    }
}

/// A start that would begin after its `not_after`.
pub(crate) fn late(detail: &str) -> Problem {
    Problem::new(
        ProblemKind::Fenced,
        "the start came too late",
        detail,
        "look at the connection to the agent, then start under a new id",
    )
}
