//! A circuit breaker as a pure state machine: time is a value, so its cycle is tested without waiting.
//!
//! It opens above 50 % failures among the last ten calls, with at least five failures; stays open for 30 s;
//! then lets exactly one probe through. A probe that succeeds closes it, one that fails opens it for another
//! 30 s.

use std::collections::VecDeque;
use std::time::Duration;

/// How many calls back the failures are counted.
const RECENT: usize = 10;
/// Fewer failures than this never open it.
const MIN_FAILURES: usize = 5;
/// How long it stays open before a probe.
const OPEN_FOR: Duration = Duration::from_secs(30);

/// Where the breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Calls pass and are counted.
    Closed,
    /// No call passes before this time.
    Open {
        /// When a probe may be made, on the clock that `now` is given on.
        until: Duration,
    },
    /// One probe may be made, or is on its way.
    HalfOpen {
        /// Whether the probe is on its way.
        probing: bool,
    },
}

/// Leave to make one call. Hand it back with how the call ended.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not handed back keeps the breaker half-open"]
pub(crate) struct Permit {
    /// Which closed or half-open spell it was given in: an answer that comes after a change of state is no
    /// news.
    spell: u64,
}

/// The breaker. `now` is time since any fixed moment; it must not go back.
#[derive(Debug)]
pub(crate) struct Breaker {
    state: State,
    spell: u64,
    /// The newest results, `true` for a failure.
    failures: VecDeque<bool>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: State::Closed,
            spell: 0,
            failures: VecDeque::with_capacity(RECENT),
        }
    }
}

impl Breaker {
    /// Where it stands now.
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Asks to make a call; the error is when to ask again at the earliest.
    pub(crate) fn ask(&mut self, now: Duration) -> Result<Permit, Duration> {
        if let State::Open { until } = self.state {
            if now < until {
                return Err(until);
            }
            self.enter(State::HalfOpen { probing: false });
        }
        match self.state {
            State::HalfOpen { probing: true } => Err(now + Duration::from_millis(50)),
            State::HalfOpen { probing: false } => {
                self.state = State::HalfOpen { probing: true };
                Ok(Permit { spell: self.spell })
            }
            State::Closed | State::Open { .. } => Ok(Permit { spell: self.spell }),
        }
    }

    /// The call was answered well.
    pub(crate) fn succeeded(&mut self, permit: Permit) {
        if permit.spell != self.spell {
            return;
        }
        match self.state {
            State::HalfOpen { .. } => self.enter(State::Closed),
            State::Closed | State::Open { .. } => self.remember(false),
        }
    }

    /// The call failed or took too long.
    pub(crate) fn failed(&mut self, permit: Permit, now: Duration) {
        if permit.spell != self.spell {
            return;
        }
        match self.state {
            State::HalfOpen { .. } => self.enter(State::Open {
                until: now + OPEN_FOR,
            }),
            State::Closed | State::Open { .. } => {
                self.remember(true);
                let failed = self.failures.iter().filter(|failed| **failed).count();
                if failed >= MIN_FAILURES && failed * 2 > self.failures.len() {
                    self.enter(State::Open {
                        until: now + OPEN_FOR,
                    });
                }
            }
        }
    }

    /// The call was given up by the caller: nothing was learned, and the next one may probe.
    pub(crate) fn abandoned(&mut self, permit: Permit) {
        if permit.spell == self.spell && self.state == (State::HalfOpen { probing: true }) {
            self.state = State::HalfOpen { probing: false };
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.spell += 1;
        self.failures.clear();
    }

    fn remember(&mut self, failed: bool) {
        if self.failures.len() == RECENT {
            self.failures.pop_front();
        }
        self.failures.push_back(failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn fail(breaker: &mut Breaker, now: Duration) {
        let permit = breaker.ask(now).unwrap();
        breaker.failed(permit, now);
    }

    fn succeed(breaker: &mut Breaker, now: Duration) {
        let permit = breaker.ask(now).unwrap();
        breaker.succeeded(permit);
    }

    #[test]
    fn closed_open_one_probe_closed() {
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            fail(&mut breaker, s(1));
        }
        assert_eq!(breaker.state(), State::Closed, "four failures do not open it");
        fail(&mut breaker, s(1));
        assert_eq!(breaker.state(), State::Open { until: s(31) });
        assert_eq!(breaker.ask(s(30)), Err(s(31)));

        let probe = breaker.ask(s(31)).unwrap();
        assert!(breaker.ask(s(31)).is_err(), "one probe, not two");
        breaker.succeeded(probe);
        assert_eq!(breaker.state(), State::Closed);
        fail(&mut breaker, s(32));
        assert_eq!(
            breaker.state(),
            State::Closed,
            "what failed before it opened is forgotten"
        );
    }

    #[test]
    fn a_probe_that_fails_opens_it_again_for_as_long() {
        let mut breaker = Breaker::default();
        for _ in 0..5 {
            fail(&mut breaker, s(0));
        }
        fail(&mut breaker, s(30));
        assert_eq!(breaker.state(), State::Open { until: s(60) });
        assert_eq!(breaker.ask(s(59)), Err(s(60)));
    }

    #[test]
    fn a_probe_given_up_lets_the_next_one_probe() {
        let mut breaker = Breaker::default();
        for _ in 0..5 {
            fail(&mut breaker, s(0));
        }
        let probe = breaker.ask(s(30)).unwrap();
        breaker.abandoned(probe);
        succeed(&mut breaker, s(31));
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn half_of_the_calls_failing_is_not_above_half() {
        let mut breaker = Breaker::default();
        for _ in 0..50 {
            succeed(&mut breaker, s(1));
            fail(&mut breaker, s(1));
        }
        assert_eq!(breaker.state(), State::Closed);
        fail(&mut breaker, s(2));
        assert_eq!(
            breaker.state(),
            State::Open { until: s(32) },
            "six of the last ten are above half"
        );
    }

    #[test]
    fn an_answer_from_before_it_opened_changes_nothing() {
        let mut breaker = Breaker::default();
        let early = breaker.ask(s(0)).unwrap();
        let late = breaker.ask(s(0)).unwrap();
        for _ in 0..5 {
            fail(&mut breaker, s(1));
        }
        breaker.succeeded(early);
        assert_eq!(breaker.state(), State::Open { until: s(31) });
        let probe = breaker.ask(s(31)).unwrap();
        breaker.failed(late, s(31));
        assert_eq!(breaker.state(), State::HalfOpen { probing: true });
        breaker.succeeded(probe);
        assert_eq!(breaker.state(), State::Closed);
    }
}
