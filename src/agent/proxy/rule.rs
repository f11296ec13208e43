//! A rule: whom it hits, how strongly at this moment, and what it holds back.
//!
//! The strength is computed from the time since the rule was first set, at each request: no task of its own
//! makes a ramp. What a rule holds back is registered with it as a [`Hold`], so that a revert finds and wakes
//! every one of them; the number of holds is the gauge that a revert is read back by.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::act::OnRequests;
use super::protocol::{Counters, RuleReport, RuleSpec, SetRule};
use super::timer::{Sleep, Timer};

/// Less than this ahead of its time, a piece passes a slow link at once: the link's clock keeps the long-run
/// rate, and the pieces need not be as fine as the rate is high.
const LINK_TOLERANCE: Duration = Duration::from_millis(5);

/// A rule as it stands in the table: never changed, only replaced.
#[derive(Debug)]
pub struct Rule {
    /// What outlives a replacement.
    pub core: Arc<Core>,
    /// As it was set.
    pub set: SetRule,
    /// The same for requests, ready to be done; none: it does not work on requests.
    pub on_requests: Option<OnRequests>,
}

/// What all generations of a rule share.
#[derive(Debug)]
pub struct Core {
    /// When the rule was first set.
    pub since: Instant,
    /// What it does is counted here.
    pub tally: Tally,
    timer: Arc<Timer>,
    random: AtomicU64,
    held: Mutex<Held>,
    drained: Notify,
    gone: Notify,
    /// When the slow link is next free.
    link: Mutex<Instant>,
}

#[derive(Debug, Default)]
struct Held {
    revoked: bool,
    next: u64,
    wakers: HashMap<u64, Option<Waker>>,
}

/// [`Counters`] as they grow.
#[derive(Debug, Default)]
pub struct Tally {
    /// See [`Counters::seen`].
    pub seen: AtomicU64,
    /// See [`Counters::delayed`].
    pub delayed: AtomicU64,
    /// See [`Counters::answered`].
    pub answered: AtomicU64,
    /// See [`Counters::changed`].
    pub changed: AtomicU64,
    /// See [`Counters::truncated`].
    pub truncated: AtomicU64,
    /// See [`Counters::reset`].
    pub reset: AtomicU64,
    /// See [`Counters::lost`].
    pub lost: AtomicU64,
    /// See [`Counters::bytes`].
    pub bytes: AtomicU64,
    /// See [`Counters::added_us`].
    pub added_us: AtomicU64,
}

impl Tally {
    /// The values now.
    pub fn read(&self) -> Counters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            seen: get(&self.seen),
            delayed: get(&self.delayed),
            answered: get(&self.answered),
            changed: get(&self.changed),
            truncated: get(&self.truncated),
            reset: get(&self.reset),
            lost: get(&self.lost),
            bytes: get(&self.bytes),
            added_us: get(&self.added_us),
        }
    }

    /// Adds to one of the counters.
    pub fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

impl Rule {
    /// A rule that was not there before. The error says what of it cannot be done.
    pub fn new(set: SetRule, timer: Arc<Timer>, now: Instant) -> Result<Self, String> {
        let on_requests = OnRequests::new(&set.rule)?;
        let seed = blake3::hash(set.id.as_bytes());
        let seed = seed
            .as_bytes()
            .iter()
            .take(8)
            .fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
        let core = Core {
            since: now,
            tally: Tally::default(),
            timer,
            random: AtomicU64::new(seed),
            held: Mutex::new(Held::default()),
            drained: Notify::new(),
            gone: Notify::new(),
            link: Mutex::new(now),
        };
        Ok(Self {
            core: Arc::new(core),
            set,
            on_requests,
        })
    }

    /// The same rule with other parameters: its counters, its holds, its ramp and its end go on.
    pub fn replaced_by(&self, set: SetRule) -> Result<Self, String> {
        let ends_in_ms = self.set.ends_in_ms;
        Ok(Self {
            core: Arc::clone(&self.core),
            on_requests: OnRequests::new(&set.rule)?,
            set: SetRule { ends_in_ms, ..set },
        })
    }

    /// Whether its time is over.
    pub fn has_ended(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.core.since) >= Duration::from_millis(self.set.ends_in_ms)
    }

    /// How much of its full strength it has now, within [0, 1].
    pub fn strength(&self, now: Instant) -> f64 {
        strength(
            now.saturating_duration_since(self.core.since),
            Duration::from_millis(self.set.ramp_ms),
        )
    }

    /// The delay of a request or of bytes that come now; none for rules that do not delay.
    pub fn delay(&self, now: Instant) -> Option<Duration> {
        let (RuleSpec::HttpLatency {
            delay_us, jitter_us, ..
        }
        | RuleSpec::TcpLatency { delay_us, jitter_us }) = self.set.rule
        else {
            return None;
        };
        let random = if jitter_us == 0 { 0.5 } else { self.core.uniform() };
        Some(delay(delay_us, jitter_us, random).mul_f64(self.strength(now)))
    }

    /// How fast the body of an answer, or a slow link, may go now; none for rules that slow neither. A ramp begins
    /// with a fast one.
    pub fn rate(&self, now: Instant) -> Option<u64> {
        let (RuleSpec::HttpSlowBody { bytes_per_s, .. } | RuleSpec::TcpBandwidth { bytes_per_s }) =
            self.set.rule
        else {
            return None;
        };
        // Casts of floats saturate: at no strength there is no limit.
        Some((bytes_per_s as f64 / self.strength(now)) as u64)
    }

    /// Whether a draw of lots hits, for rules with a share.
    pub fn drawn(&self, share: f64, now: Instant) -> bool {
        let share = if self.set.rule.grows_by_share() {
            share * self.strength(now)
        } else {
            share
        };
        share >= 1.0 || self.core.uniform() < share
    }

    /// The rule as the agent is told of it.
    pub fn report(&self, present: bool) -> RuleReport {
        RuleReport {
            id: self.set.id.clone(),
            present,
            generation: self.set.generation,
            held: self.core.held(),
            counters: self.core.tally.read(),
            problem: None,
        }
    }
}

/// Strength after a time since the start, growing in a straight line.
pub fn strength(elapsed: Duration, ramp: Duration) -> f64 {
    if elapsed >= ramp {
        1.0
    } else {
        elapsed.as_secs_f64() / ramp.as_secs_f64()
    }
}

/// Delay plus or minus jitter; `random` within [0, 1).
pub fn delay(delay_us: u64, jitter_us: u64, random: f64) -> Duration {
    let swing = (random * 2.0 - 1.0) * jitter_us as f64;
    Duration::from_micros((delay_us as f64 + swing).max(0.0).round() as u64)
}

impl Core {
    /// A random number within [0, 1): its seed is the rule's id, so that a drill repeats.
    fn uniform(&self) -> f64 {
        (self.random() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A random number: splitmix64.
    pub fn random(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.random.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Holds something back until then, or until the rule is revoked. None: it is revoked already.
    pub fn hold(self: &Arc<Self>, until: Instant) -> Option<Hold> {
        let mut held = self.held.lock();
        if held.revoked {
            return None;
        }
        let key = held.next;
        held.next += 1;
        held.wakers.insert(key, None);
        drop(held);
        Some(Hold {
            core: Arc::clone(self),
            key,
            sleep: self.timer.sleep_until(until),
        })
    }

    /// How much is held back now.
    pub fn held(&self) -> u64 {
        self.held.lock().wakers.len() as u64
    }

    /// Whether the rule has been taken away.
    pub fn revoked(&self) -> bool {
        self.held.lock().revoked
    }

    /// From now on nothing is held, and everything that is held goes on.
    pub fn revoke(&self) {
        let wakers: Vec<Waker> = {
            let mut held = self.held.lock();
            held.revoked = true;
            held.wakers.values_mut().filter_map(Option::take).collect()
        };
        for waker in wakers {
            waker.wake();
        }
        self.gone.notify_waiters();
    }

    /// Waits until the rule is revoked; whoever waits here is not held by it.
    pub async fn gone(&self) {
        loop {
            let notified = self.gone.notified();
            if self.revoked() {
                return;
            }
            notified.await;
        }
    }

    /// Waits until nothing is held.
    pub async fn drained(&self) {
        loop {
            let notified = self.drained.notified();
            if self.held() == 0 {
                return;
            }
            notified.await;
        }
    }

    /// Books `bytes` on the slow link; until when they must wait.
    pub fn book(&self, bytes: usize, bytes_per_s: u64, now: Instant) -> Option<Instant> {
        let mut link = self.link.lock();
        let took =
            Duration::try_from_secs_f64(bytes as f64 / bytes_per_s.max(1) as f64).unwrap_or(Duration::MAX);
        *link = (*link).max(now).checked_add(took).unwrap_or(now);
        (link.saturating_duration_since(now) > LINK_TOLERANCE).then_some(*link)
    }
}

/// Something held back by a rule. It counts as held until it is dropped.
#[derive(Debug)]
pub struct Hold {
    core: Arc<Core>,
    key: u64,
    sleep: Sleep,
}

impl Future for Hold {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        {
            let this = &*self;
            let mut held = this.core.held.lock();
            if held.revoked {
                return Poll::Ready(());
            }
            held.wakers.insert(this.key, Some(cx.waker().clone()));
        }
        self.sleep.poll_due(cx)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.core.held.lock();
        held.wakers.remove(&self.key);
        if held.wakers.is_empty() {
            self.core.drained.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::protocol::Only;
    use super::*;

    fn rule(spec: RuleSpec, ramp_ms: u64, now: Instant) -> Rule {
        let set = SetRule {
            id: "i1".into(),
            generation: 1,
            route: "r".into(),
            rule: spec,
            ramp_ms,
            ends_in_ms: 60_000,
            replace: false,
        };
        Rule::new(set, Timer::start().unwrap(), now).unwrap()
    }

    proptest! {
        #[test]
        fn strength_grows_and_stays_within_bounds(a in 0_u64..20_000, b in 0_u64..20_000, ramp in 0_u64..10_000) {
            let at = |ms| strength(Duration::from_millis(ms), Duration::from_millis(ramp));
            let (low, high) = (at(a.min(b)), at(a.max(b)));
            prop_assert!((0.0..=1.0).contains(&low) && low <= high && high <= 1.0);
            prop_assert!(high == 1.0 || a.max(b) < ramp);
        }

        #[test]
        fn delays_stay_within_the_jitter(base in 1_u64..1_000_000, part in 0.0..=1.0, random in 0.0..1.0) {
            let jitter = (base as f64 * part) as u64;
            let got = delay(base, jitter, random).as_micros() as u64;
            prop_assert!(got + jitter >= base && got <= base + jitter);
        }
    }

    #[tokio::test]
    async fn a_ramp_follows_the_clock_it_is_given() {
        let start = Instant::now();
        let spec = RuleSpec::HttpLatency {
            delay_us: 100_000,
            jitter_us: 0,
            only: Only::default(),
        };
        let rule = rule(spec, 1_000, start);
        let at = |ms| rule.delay(start + Duration::from_millis(ms)).unwrap().as_micros();
        assert_eq!(
            [at(0), at(250), at(500), at(1_000), at(9_000)],
            [0, 25_000, 50_000, 100_000, 100_000]
        );
        assert!(!rule.has_ended(start + Duration::from_millis(59_999)));
        assert!(rule.has_ended(start + Duration::from_mins(1)));
    }

    #[tokio::test]
    async fn a_slow_link_is_slower_as_its_ramp_grows() {
        let start = Instant::now();
        let rule = rule(RuleSpec::TcpBandwidth { bytes_per_s: 1_000 }, 1_000, start);
        let at = |ms| rule.rate(start + Duration::from_millis(ms)).unwrap();
        assert_eq!(
            [at(0), at(250), at(500), at(1_000), at(9_000)],
            [u64::MAX, 4_000, 2_000, 1_000, 1_000]
        );
    }

    #[tokio::test]
    async fn a_share_is_met_and_a_ramp_grows_it() {
        let start = Instant::now();
        let spec = RuleSpec::HttpStatus {
            code: 503,
            body: String::new(),
            only: Only::default(),
        };
        let rule = rule(spec, 1_000, start);
        let hits = |at| (0..10_000).filter(|_| rule.drawn(0.5, at)).count();
        assert_eq!(hits(start), 0);
        assert!((2_200..2_800).contains(&hits(start + Duration::from_millis(500))));
        assert!((4_700..5_300).contains(&hits(start + Duration::from_secs(1))));
    }

    #[tokio::test]
    async fn a_revoked_rule_wakes_what_it_holds_and_holds_nothing_more() {
        let now = Instant::now();
        let rule = rule(
            RuleSpec::TcpLatency {
                delay_us: 1,
                jitter_us: 0,
            },
            0,
            now,
        );
        let mut waiting = Vec::new();
        for _ in 0..100 {
            let hold = rule.core.hold(now + Duration::from_hours(1)).unwrap();
            waiting.push(tokio::spawn(hold));
        }
        assert_eq!(rule.core.held(), 100);
        tokio::task::yield_now().await;
        rule.core.revoke();
        rule.core.drained().await;
        assert_eq!(rule.core.held(), 0);
        assert!(rule.core.hold(now).is_none());
        for task in waiting {
            task.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_slow_link_is_booked_one_after_the_other() {
        let now = Instant::now();
        let rule = rule(RuleSpec::TcpBandwidth { bytes_per_s: 1_000 }, 0, now);
        assert_eq!(
            rule.core.book(100, 1_000, now),
            Some(now + Duration::from_millis(100))
        );
        assert_eq!(
            rule.core.book(400, 1_000, now),
            Some(now + Duration::from_millis(500))
        );
        // An idle link keeps no credit, and what is due within the tolerance passes at once.
        let later = now + Duration::from_secs(9);
        assert_eq!(rule.core.book(4, 1_000, later), None);
        assert_eq!(
            rule.core.book(4, 1_000, later),
            Some(later + Duration::from_millis(8))
        );
    }
}
