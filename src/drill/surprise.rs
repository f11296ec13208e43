//! A start at a moment that nobody knows: drawn within a range that a person confirmed, from the journalled seed.
//!
//! Everything that a confirmed start asks for is asked again at the drawn moment. What is in the way then holds the
//! start; where it does not go away, the drill is skipped and says why.

use crate::{At, Drill, machine::ArmingStage, random::Random, words::show_ms};

/// The longest time from the confirmation to the end of the range, in milliseconds.
pub const MAX_SURPRISE_MS: u64 = 8 * 3_600_000;

/// At the drawn moment something in the way has at least this long to go away, in milliseconds.
const PATIENCE_MS: u64 = 60_000;

/// Of the streams of the seed.
const STREAM: u64 = 2_000_003;

/// A start that was confirmed and waits for its moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surprise {
    /// When it was confirmed.
    pub since: At,
    /// Not before, in milliseconds after that.
    pub earliest_ms: u64,
    /// Not after.
    pub latest_ms: u64,
    /// The draw, likewise. Not for who is rehearsed, and not for a facilitator who chose not to know.
    pub drawn_ms: u64,
    /// Who confirmed it does not want to know.
    pub blind: bool,
    /// What held it when it was looked at last, at the drawn moment.
    pub held: Option<String>,
}

impl Surprise {
    /// Milliseconds from `now` to the draw; 0: it is due.
    pub fn left_ms(&self, now: At) -> u64 {
        self.drawn_ms.saturating_sub(now.ms_since(self.since))
    }

    /// To the end of the range.
    pub fn left_at_most_ms(&self, now: At) -> u64 {
        self.latest_ms.saturating_sub(now.ms_since(self.since))
    }
}

impl Drill {
    /// The confirmed start that waits for its moment.
    pub fn surprise(&self) -> Option<&Surprise> {
        let waits = self.arming == ArmingStage::Waiting && self.ending.is_none();
        self.surprise.as_ref().filter(|_| waits)
    }

    /// A person confirms the start at a moment within a range, milliseconds from now. What is in the way is said, and
    /// the drill goes on waiting.
    pub(crate) fn arm_between(&mut self, earliest_ms: u64, latest_ms: u64, blind: bool, by: &str) {
        if !self.waits_for_arm() || self.surprise.is_some() {
            return;
        }
        if earliest_ms > latest_ms || latest_ms > MAX_SURPRISE_MS {
            let words = format!(
                "a surprise lies between an earliest and a later latest moment, {} from now at most",
                show_ms(MAX_SURPRISE_MS)
            );
            self.judge("not started", "surprise", words);
            return;
        }
        let missing = self.missing();
        if !missing.is_empty() {
            self.judge("not started", "arming", missing);
            return;
        }
        let range = latest_ms - earliest_ms + 1;
        let mut random = Random::new(self.setup.seed, STREAM);
        self.surprise = Some(Surprise {
            since: self.at,
            earliest_ms,
            latest_ms,
            drawn_ms: earliest_ms + random.next() % range,
            blind,
            held: None,
        });
        // Without the draw: the log is read by whoever stands at the console. The seed is in the journal.
        let words = format!(
            "{by} confirmed a start by surprise, {} to {} from now",
            show_ms(earliest_ms),
            show_ms(latest_ms)
        );
        self.judge("surprise", "start", words);
    }

    /// At the drawn moment.
    pub(crate) fn advance_surprise(&mut self) {
        let Some(surprise) = self.surprise().cloned() else {
            return;
        };
        let waited_ms = self.at.ms_since(surprise.since);
        if waited_ms < surprise.drawn_ms {
            return;
        }
        let missing = self.missing();
        if missing.is_empty() {
            let words = format!("drawn: {} after it was confirmed", show_ms(surprise.drawn_ms));
            self.judge("surprise", "start", words);
            self.test_before_opening();
            return;
        }
        if waited_ms >= surprise.latest_ms.max(surprise.drawn_ms + PATIENCE_MS) {
            self.stop_blind("surprise", format!("skipped at the drawn moment: {missing}"));
            return;
        }
        if surprise.held.as_ref() != Some(&missing) {
            if surprise.held.is_none() {
                self.judge("not started", "surprise", missing.clone());
            }
            if let Some(known) = &mut self.surprise {
                known.held = Some(missing);
            }
        }
    }

    pub(crate) fn surprise_words(&self, now: At) -> Option<String> {
        let surprise = self.surprise()?;
        let (left_ms, most_ms) = (surprise.left_ms(now), surprise.left_at_most_ms(now));
        Some(match &surprise.held {
            Some(why) => format!("held at the drawn moment: {why}"),
            None if surprise.blind => format!("begins by itself within {}", show_ms(whole(most_ms))),
            None => format!("begins by itself in {}", show_ms(whole(left_ms))),
        })
    }
}

/// Up to whole seconds: what counts down does not jump about.
fn whole(ms: u64) -> u64 {
    ms.div_ceil(1_000) * 1_000
}
