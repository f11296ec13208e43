//! When to try again: 100 ms, doubling to 2 s, 10 s in all, with jitter. Pure.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);
const IN_ALL: Duration = Duration::from_secs(10);

/// How long to wait before the next try; `None` when the time for all tries would be over.
///
/// `failed` is the number of tries so far (at least 1), `spent` the time since the first began, `jitter` a
/// number within [0, 1): the wait is between half and all of the step, so that callers who failed together do
/// not come back together.
pub(crate) fn next_wait(failed: u32, spent: Duration, jitter: f64) -> Option<Duration> {
    let doublings = failed.saturating_sub(1).min(16);
    let step = (FIRST * 2_u32.pow(doublings)).min(LONGEST);
    let wait = step.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
    (spent + wait <= IN_ALL).then_some(wait)
}

/// A number within [0, 1) that looks random and is the same for the same try of the same order: drills
/// repeat.
pub(crate) fn jitter(order: u64, failed: u32) -> f64 {
    let mut x =
        order.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(failed).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    (x >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_two_seconds_and_ends_within_ten() {
        let (mut spent, mut waits) = (Duration::ZERO, Vec::new());
        for failed in 1.. {
            // Just below 1: the whole step, and no call takes any time.
            let Some(wait) = next_wait(failed, spent, 1.0) else {
                break;
            };
            spent += wait;
            waits.push(wait.as_millis());
        }
        assert_eq!(waits, [100, 200, 400, 800, 1600, 2000, 2000, 2000]);
        assert_eq!(spent, Duration::from_millis(9_100));
    }

    #[test]
    fn slow_calls_use_up_the_time() {
        assert_eq!(next_wait(1, Duration::from_millis(9_901), 1.0), None);
        assert!(next_wait(1, Duration::from_millis(9_900), 1.0).is_some());
        assert_eq!(next_wait(u32::MAX, Duration::ZERO, 1.0), Some(LONGEST));
    }

    #[test]
    fn jitter_spreads_over_the_upper_half() {
        let waits: Vec<_> = (0..200)
            .map(|order| {
                next_wait(2, Duration::ZERO, jitter(order, 2))
                    .unwrap()
                    .as_millis()
            })
            .collect();
        assert!(waits.iter().all(|wait| (100..=200).contains(wait)));
        assert!(waits.iter().any(|wait| *wait < 120) && waits.iter().any(|wait| *wait > 180));
    }
}
