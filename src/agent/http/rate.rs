//! How often a caller may ask: a bucket of tokens for each, refilled with time.

use std::collections::HashMap;

use firedrill_wire::{Problem, ProblemKind, Tick};
use parking_lot::Mutex;

/// Reads a second, and at once after a pause.
const READS: Rate = Rate {
    a_second: 500,
    at_once: 1_000,
};

/// Openings, previews, starts and changes a second, and at once after a pause.
const STARTS: Rate = Rate {
    a_second: 100,
    at_once: 400,
};

/// Requests without a token of this agent a second on one connection, and at once after a pause: at both doors.
const STRANGERS: Rate = Rate {
    a_second: 200,
    at_once: 400,
};

/// Callers that are remembered; there are about as many as tokens.
const MAX_CALLERS: usize = 1_024;

/// How much there may be of something.
#[derive(Clone, Copy)]
pub(super) struct Rate {
    /// A second, in the long run; at most a million.
    pub(super) a_second: u64,
    /// At once after a pause.
    pub(super) at_once: u64,
}

/// What is limited. Aborts, reverts, closes, renewals and releases are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `GET`.
    Read,
    /// What starts something, or prepares it.
    Start,
}

impl Kind {
    fn rate(self) -> Rate {
        match self {
            Self::Read => READS,
            Self::Start => STARTS,
        }
    }
}

/// One caller's bucket: how much of it is used, in microseconds of refilling.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    used_us: u64,
    seen: Tick,
}

impl Bucket {
    fn take(&mut self, rate: Rate, now: Tick) -> bool {
        self.turn_us(rate, now, 0).is_some()
    }

    /// Takes one, and says after how many microseconds it may be used. `None`, and nothing is taken, if that is
    /// after `longest_us`.
    pub(super) fn turn_us(&mut self, rate: Rate, now: Tick, longest_us: u64) -> Option<u64> {
        self.refill(now);
        let one_us = 1_000_000 / rate.a_second;
        let wait_us = (self.used_us + one_us).saturating_sub(rate.at_once * one_us);
        if wait_us > longest_us {
            return None;
        }
        self.used_us += one_us;
        Some(wait_us)
    }

    /// Whether nothing of it is used any more: it is as good as a new one.
    pub(super) fn is_whole(&mut self, now: Tick) -> bool {
        self.refill(now);
        self.used_us == 0
    }

    fn refill(&mut self, now: Tick) {
        self.used_us = self.used_us.saturating_sub(now.0.saturating_sub(self.seen.0));
        self.seen = now;
    }
}

/// What one connection may ask without a token. Requests with one are never counted here.
#[derive(Debug, Default)]
pub struct Strange(Mutex<Bucket>);

impl Strange {
    /// Counts a request; whether there may still be one.
    pub fn take(&self, now: Tick) -> bool {
        self.0.lock().take(STRANGERS, now)
    }
}

/// The buckets of one listener.
#[derive(Debug, Default)]
pub struct Rates {
    buckets: Mutex<HashMap<(String, Kind), Bucket>>,
}

impl Rates {
    /// Counts a request, or refuses it (429).
    pub fn take(&self, caller: &str, kind: Kind, now: Tick) -> Result<(), Problem> {
        let mut buckets = self.buckets.lock();
        if buckets.len() >= MAX_CALLERS {
            buckets.retain(|_, bucket| now.0.saturating_sub(bucket.seen.0) < 60_000_000);
        }
        let rate = kind.rate();
        if buckets
            .entry((caller.to_owned(), kind))
            .or_default()
            .take(rate, now)
        {
            return Ok(());
        }
        let what = match kind {
            Kind::Read => "reads",
            Kind::Start => "openings, starts and changes",
        };
        Err(Problem::new(
            ProblemKind::TooMany,
            "too many requests",
            format!("{caller}: more than {} {what} a second", rate.a_second),
            "ask less often; events (`GET /v1/events`) tell what changes. Aborts and reverts are never refused for their number",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate_and_each_caller_for_itself() {
        let rates = Rates::default();
        let mut now = Tick(1_000_000_000);
        for _ in 0..STARTS.at_once {
            rates.take("a", Kind::Start, now).unwrap();
        }
        let refusal = rates.take("a", Kind::Start, now).unwrap_err();
        assert_eq!(refusal.kind, ProblemKind::TooMany);
        rates.take("a", Kind::Read, now).unwrap();
        rates.take("b", Kind::Start, now).unwrap();
        now.0 += 1_000_000;
        let passed = (0..1_000)
            .filter(|_| rates.take("a", Kind::Start, now).is_ok())
            .count();
        assert_eq!(passed as u64, STARTS.a_second);
        now.0 += 3_600_000_000;
        let passed = (0..1_000)
            .filter(|_| rates.take("a", Kind::Start, now).is_ok())
            .count();
        assert_eq!(passed as u64, STARTS.at_once);
    }
}
