//! Raw counter samples, and what they grew in a window by Prometheus' rule.

use std::collections::VecDeque;

/// A gap to a window's edge is bridged when it is shorter than this many average intervals.
const BRIDGED_INTERVALS: f64 = 1.1;

/// One counter as its source tells it: it grows, and falls only when the process restarts.
///
/// Windows are those of Prometheus 3: open at their begin, closed at their end. Prometheus 2 closes both: the two
/// agree unless a sample lies exactly on the begin. (They also differ for a counter that begins within the window,
/// from near zero, more than 1.1 intervals after its begin: there too, this is what Prometheus 3 gives.) Values are scaled to the whole window as its `rate()`
/// and `increase()` do, so the same samples give the same numbers.
#[derive(Clone, Debug, Default)]
pub struct Counter {
    /// Time in milliseconds and value, strictly later from one to the next.
    samples: VecDeque<(i64, f64)>,
}

impl Counter {
    /// Adds a raw sample. Refused with `false` when it is not later than the newest or not finite.
    pub fn push(&mut self, time_ms: i64, value: f64) -> bool {
        let later = self.samples.back().is_none_or(|&(newest, _)| time_ms > newest);
        let taken = later && value.is_finite();
        if taken {
            self.samples.push_back((time_ms, value));
        }
        taken
    }

    /// Drops samples at or before `time_ms`.
    pub fn forget(&mut self, time_ms: i64) {
        while self.samples.front().is_some_and(|&(time, _)| time <= time_ms) {
            self.samples.pop_front();
        }
    }

    /// How many samples are kept.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Time in milliseconds and value of the newest sample.
    pub fn latest(&self) -> Option<(i64, f64)> {
        self.samples.back().copied()
    }

    /// Time in milliseconds and value of the oldest sample kept.
    pub fn oldest(&self) -> Option<(i64, f64)> {
        self.samples.front().copied()
    }

    /// By how much it grew in the `window_ms` up to `end_ms`. `None` with fewer than two samples in it.
    pub fn increase(&self, end_ms: i64, window_ms: u64) -> Option<f64> {
        let begin_ms = end_ms.checked_sub_unsigned(window_ms)?;
        let from = self.samples.partition_point(|&(time, _)| time <= begin_ms);
        let to = self.samples.partition_point(|&(time, _)| time <= end_ms);
        if to < from + 2 {
            return None;
        }
        let (first_ms, first) = self.samples[from];
        let (last_ms, _) = self.samples[to - 1];
        let grown = grown(self.samples.range(from..to).map(|&(_, value)| value));

        let sampled_s = seconds(first_ms, last_ms);
        let interval_s = sampled_s / (to - from - 1) as f64;
        let bridged = |gap_s: f64| {
            if gap_s < interval_s * BRIDGED_INTERVALS {
                gap_s
            } else {
                interval_s / 2.0
            }
        };
        let mut before_s = bridged(seconds(begin_ms, first_ms));
        if grown > 0.0 && first >= 0.0 {
            // A counter cannot have been below zero: it began at most this long before its first sample.
            before_s = before_s.min(sampled_s * (first / grown));
        }
        let after_s = bridged(seconds(last_ms, end_ms));
        Some(grown * ((sampled_s + before_s + after_s) / sampled_s))
    }

    /// By how much it grew in the `window_ms` up to `end_ms`, per second. `None` with fewer than two samples in it.
    pub fn rate(&self, end_ms: i64, window_ms: u64) -> Option<f64> {
        let increase = self.increase(end_ms, window_ms)?;
        Some(increase / (window_ms as f64 / 1_000.0))
    }
}

/// The growth over `values`, where a fall is a restart from zero.
fn grown(values: impl Iterator<Item = f64>) -> f64 {
    let mut values = values.peekable();
    let first = values.peek().copied().unwrap_or(0.0);
    let mut before_restarts = 0.0;
    let mut previous = first;
    for value in values {
        if value < previous {
            before_restarts += previous;
        }
        previous = value;
    }
    previous - first + before_restarts
}

fn seconds(from_ms: i64, to_ms: i64) -> f64 {
    (to_ms - from_ms) as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(samples: &[(i64, f64)]) -> Counter {
        let mut counter = Counter::default();
        for &(time, value) in samples {
            assert!(counter.push(time, value));
        }
        counter
    }

    #[test]
    fn a_steady_counter_is_scaled_to_the_whole_window() {
        let counter = counter(&[(1_000, 100.0), (2_000, 110.0), (3_000, 120.0), (4_000, 130.0)]);
        // 30 in 3 s of samples; 0.5 s bridged on either side.
        let increase = counter.increase(4_500, 4_000).unwrap();
        assert!((increase - 40.0).abs() < 1e-12, "{increase}");
        assert!((counter.rate(4_500, 4_000).unwrap() - 10.0).abs() < 1e-12);
    }

    #[test]
    fn a_far_edge_is_bridged_by_half_an_interval() {
        let counter = counter(&[(10_000, 100.0), (11_000, 110.0)]);
        let increase = counter.increase(21_000, 20_000).unwrap();
        assert!((increase - 20.0).abs() < 1e-12, "{increase}");
    }

    #[test]
    fn it_is_never_taken_to_have_been_below_zero() {
        let counter = counter(&[(1_000, 2.0), (2_000, 12.0)]);
        // 0.9 s before the first sample would be -7: the begin is 0.2 s before.
        let increase = counter.increase(2_000, 1_900).unwrap();
        assert!((increase - 12.0).abs() < 1e-12, "{increase}");
    }

    #[test]
    fn a_restart_counts_from_zero() {
        let counter = counter(&[(1_000, 100.0), (2_000, 110.0), (3_000, 4.0), (4_000, 9.0)]);
        assert!((grown([100.0, 110.0, 4.0, 9.0].into_iter()) - 19.0).abs() < 1e-12);
        let increase = counter.increase(4_000, 3_001).unwrap();
        assert!((increase - 19.0 * 3.001 / 3.0).abs() < 1e-9, "{increase}");
    }

    #[test]
    fn the_window_is_open_at_its_begin_and_closed_at_its_end() {
        let counter = counter(&[(1_000, 1.0), (2_000, 2.0), (3_000, 3.0), (4_000, 4.0)]);
        // Samples at 2, 3 and 4 s; the one at 1 s is outside.
        assert!((counter.increase(4_000, 3_000).unwrap() - 3.0).abs() < 1e-12);
        assert_eq!(counter.increase(2_000, 1_000), None);
        assert_eq!(counter.increase(500, 100), None);
    }

    #[test]
    fn what_is_late_or_not_a_number_is_refused_and_old_samples_go() {
        let mut counter = counter(&[(1_000, 1.0), (2_000, 2.0)]);
        assert!(!counter.push(2_000, 3.0));
        assert!(!counter.push(3_000, f64::NAN));
        counter.forget(1_000);
        assert_eq!((counter.len(), counter.latest()), (1, Some((2_000, 2.0))));
    }
}
