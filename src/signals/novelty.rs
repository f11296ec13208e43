//! Which looks at a server become samples: a look is none while the source has nothing new.

/// Remembers one SLI's newest source sample. Times are milliseconds: `now_ms` by our clock that never jumps,
/// `source_ms` by the source's.
#[derive(Clone, Debug)]
pub(crate) struct Novelty {
    every_ms: u64,
    /// From one sample to the next at the source, once known.
    interval_ms: Option<u64>,
    newest: Option<Newest>,
    /// When we last gave a sample.
    given_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Newest {
    source_ms: i64,
    /// When it was taken, by our clock.
    taken_ms: i64,
}

/// What a look saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A new sample.
    New,
    /// Nothing new, and what there is is too old: no data. Its age in milliseconds.
    Stale(u64),
    /// Nothing that is a sample.
    Nothing,
}

impl Novelty {
    pub(crate) fn new(every_ms: u64) -> Self {
        Self {
            every_ms,
            interval_ms: None,
            newest: None,
            given_ms: None,
        }
    }

    pub(crate) fn interval_ms(&self) -> Option<u64> {
        self.interval_ms
    }

    pub(crate) fn learn(&mut self, interval_ms: u64) {
        self.interval_ms = Some(interval_ms.max(1));
    }

    /// The source's newest sample is of `source_ms` and this old by its own clock. Several targets scraped one after
    /// another are one sample an interval, not one each. A source whose clock was set back is new.
    pub(crate) fn sample(&mut self, now_ms: i64, source_ms: i64, age_ms: u64) -> Seen {
        let step = self.interval_ms.map_or(1, |interval| (interval * 3 / 4).max(1));
        let new = self
            .newest
            .is_none_or(|newest| newest.source_ms.abs_diff(source_ms) >= step);
        if new {
            self.newest = Some(Newest {
                source_ms,
                taken_ms: now_ms.saturating_sub_unsigned(age_ms),
            });
        }
        match self.interval_ms {
            Some(interval) if age_ms > 2 * interval => {
                if new || self.due(now_ms) {
                    self.given_ms = Some(now_ms);
                    Seen::Stale(age_ms)
                } else {
                    Seen::Nothing
                }
            }
            _ if new => {
                self.given_ms = Some(now_ms);
                Seen::New
            }
            _ => Seen::Nothing,
        }
    }

    /// The source answered that it has nothing. Whether this is a sample without data.
    pub(crate) fn nothing(&mut self, now_ms: i64) -> bool {
        let due = self.due(now_ms);
        if due {
            self.given_ms = Some(now_ms);
        }
        due
    }

    /// The source did not answer. Whether this is a sample without data: not while the newest one is fresh.
    pub(crate) fn unanswered(&mut self, now_ms: i64) -> bool {
        let interval = self.interval_ms.unwrap_or(self.every_ms);
        let fresh = self
            .newest
            .is_some_and(|newest| now_ms.abs_diff(newest.taken_ms) <= 2 * interval);
        !fresh && self.nothing(now_ms)
    }

    /// A look ended before the source answered. The same, but of a source that has answered before: the first answer
    /// is waited for until its time-out, which says more.
    pub(crate) fn late(&mut self, now_ms: i64) -> bool {
        self.newest.is_some() && self.unanswered(now_ms)
    }

    /// Whether an interval is over since the last sample given; looks come a little early or late.
    fn due(&self, now_ms: i64) -> bool {
        let pace = self.interval_ms.unwrap_or(0).max(self.every_ms) * 3 / 4;
        self.given_ms.is_none_or(|given| now_ms.abs_diff(given) >= pace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_second_of_15() -> Novelty {
        let mut novelty = Novelty::new(1_000);
        novelty.learn(15_000);
        novelty
    }

    #[test]
    fn fifteen_looks_at_one_sample_are_one_sample() {
        let mut novelty = every_second_of_15();
        let new = (0..60).filter(|second| {
            let taken = second / 15 * 15;
            let age = u64::try_from(second - taken).unwrap() * 1_000;
            novelty.sample(second * 1_000, 500_000 + taken * 1_000, age) == Seen::New
        });
        assert_eq!(new.count(), 4);
    }

    #[test]
    fn targets_scraped_one_after_another_are_one_sample_an_interval() {
        let mut novelty = every_second_of_15();
        // Five targets, one every three seconds.
        let new =
            (0..60).filter(|second| novelty.sample(second * 1_000, second / 3 * 3_000, 1_000) == Seen::New);
        assert!((4..=5).contains(&new.count()));
    }

    #[test]
    fn a_sample_that_grows_old_is_stale_once_an_interval() {
        let mut novelty = every_second_of_15();
        assert_eq!(novelty.sample(0, 7_000, 0), Seen::New);
        let stale: Vec<i64> = (1..=75)
            .filter(|second| {
                let age = u64::try_from(*second).unwrap() * 1_000;
                matches!(novelty.sample(second * 1_000, 7_000, age), Seen::Stale(_))
            })
            .collect();
        assert_eq!(stale, [31, 43, 55, 67]);
        assert_eq!(novelty.sample(76_000, 83_000, 0), Seen::New);
    }

    #[test]
    fn an_old_sample_is_stale_at_first_sight() {
        assert_eq!(every_second_of_15().sample(0, 0, 40_000), Seen::Stale(40_000));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_end_the_samples() {
        let mut novelty = every_second_of_15();
        assert_eq!(novelty.sample(0, 3_600_000, 0), Seen::New);
        assert_eq!(novelty.sample(15_000, 15_000, 0), Seen::New);
        assert_eq!(novelty.sample(30_000, 30_000, 0), Seen::New);
    }

    #[test]
    fn no_answer_counts_only_when_nothing_fresh_is_left() {
        let mut novelty = every_second_of_15();
        assert!(novelty.unanswered(0), "there never was anything");
        assert_eq!(novelty.sample(1_000, 1_000, 0), Seen::New);
        let counted: Vec<i64> = (2..=60)
            .filter(|second| novelty.unanswered(second * 1_000))
            .collect();
        assert_eq!(counted, [32, 44, 56]);
    }

    #[test]
    fn nothing_is_a_sample_once_an_interval() {
        let mut novelty = every_second_of_15();
        assert_eq!(novelty.sample(0, 1_000, 0), Seen::New);
        let counted: Vec<i64> = (1..=30)
            .filter(|second| novelty.nothing(second * 1_000))
            .collect();
        assert_eq!(counted, [12, 24]);
    }
}
