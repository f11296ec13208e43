//! From the lines of abort answers, however often asked and however torn, to how far the abort is.

use firedrill_wire::{AbortLine, Evidence, InjectionId, InjectionState};

use crate::{AbortStatus, AbortedInjection, At};

/// An abort on one agent, as the abort line knows it.
#[derive(Clone, Debug)]
pub struct AbortFold {
    status: AbortStatus,
    words: String,
    clean: bool,
    /// Every injection of this abort has been named: nothing is read back before that.
    all_named: bool,
}

impl AbortFold {
    /// Requested now.
    pub fn new(requested: At) -> Self {
        Self {
            status: AbortStatus {
                requested,
                ..AbortStatus::default()
            },
            words: String::new(),
            clean: false,
            all_named: false,
        }
    }

    /// How far it is.
    pub fn status(&self) -> &AbortStatus {
        &self.status
    }

    /// What the agent saw, for people.
    pub fn words(&self) -> &str {
        &self.words
    }

    /// An answer has ended, and everything is off and proved.
    pub fn clean(&self) -> bool {
        self.clean
    }

    /// It was sent once more.
    pub fn sent(&mut self) {
        self.status.sent += 1;
    }

    /// Nothing came back, or not an answer.
    pub fn failed(&mut self, why: String) {
        if !self.clean {
            self.status.problem = Some(why);
        }
    }

    /// A line of an answer, `us` microseconds after the request.
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
                if self.words.is_empty() && injections.is_empty() {
                    "nothing was on".clone_into(&mut self.words);
                }
                for id in injections {
                    self.injection(id);
                }
                self.all_named = true;
                self.status.problem = (!durable).then(|| {
                    "the agent's disk refused the latch: it does not survive the agent's restart; free its disk"
                        .to_owned()
                });
            }
            AbortLine::Reverted {
                injection,
                state,
                evidence,
                by_hand,
                left,
                ..
            } => {
                let words = evidence.words.clone();
                let known = self.injection(injection);
                known.state = state;
                known.evidence = evidence;
                known.by_hand.clone_from(&by_hand);
                if state.is_off() {
                    self.say(&words);
                } else {
                    self.status.problem = Some(by_hand.unwrap_or_else(|| {
                        "not read back as gone; on the host run: firedrill-agent abort".to_owned()
                    }));
                }
                self.all_named |= left == Some(0);
            }
            AbortLine::Proved {
                injection,
                clean,
                evidence,
                left,
                ..
            } => {
                self.injection(injection).proved = Some(clean);
                if clean {
                    self.say(&evidence.words);
                }
                self.all_named |= left == Some(0);
            }
            AbortLine::End { clean, .. } => self.end(clean, us),
        }
        self.settle(us);
    }

    /// What has become true of all of them together.
    fn settle(&mut self, us: u64) {
        let all = &self.status.injections;
        if !self.all_named || !all.iter().all(|known| known.state.is_off()) {
            return;
        }
        self.status.reverted_us.get_or_insert(us);
        if !all.is_empty() && all.iter().all(|known| known.proved == Some(true)) {
            self.status.proved_us.get_or_insert(us);
        }
    }

    fn end(&mut self, clean: bool, us: u64) {
        if self.clean {
            // A late answer of another attempt takes nothing back.
            return;
        }
        self.status.ended = true;
        self.clean = clean;
        if clean {
            self.status.reverted_us.get_or_insert(us);
            self.status.proved_us.get_or_insert(us);
            if self.status.durable != Some(false) {
                self.status.problem = None;
            }
        } else if self.status.problem.is_none() {
            self.status.problem =
                Some("the agent could not prove it clean; on the host run: firedrill-agent abort".to_owned());
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

    fn say(&mut self, words: &str) {
        if !words.is_empty() {
            words.clone_into(&mut self.words);
        }
    }
}

#[cfg(test)]
mod tests {
    use firedrill_wire::{LatchView, Stamp, Tick};

    use super::*;

    fn received(injections: &[&str]) -> AbortLine {
        AbortLine::Received {
            stamp: Stamp {
                agent: "a".into(),
                instance: "i".into(),
                tick: Tick(1),
            },
            durable: true,
            latch: Some(LatchView {
                number: 3,
                reason: "r".to_owned(),
                who: "w".to_owned(),
                since: Tick(1),
            }),
            injections: injections.iter().map(|id| (*id).into()).collect(),
        }
    }

    fn reverted(id: &str, state: InjectionState) -> AbortLine {
        AbortLine::Reverted {
            injection: id.into(),
            state,
            tick: Tick(2),
            evidence: Evidence {
                words: format!("{id} is gone"),
                ..Evidence::default()
            },
            by_hand: None,
            left: None,
        }
    }

    fn with_left(mut line: AbortLine, still: u32) -> AbortLine {
        match &mut line {
            AbortLine::Reverted { left, .. } | AbortLine::Proved { left, .. } => *left = Some(still),
            _ => {}
        }
        line
    }

    fn proved(id: &str) -> AbortLine {
        AbortLine::Proved {
            injection: id.into(),
            clean: true,
            tick: Tick(2),
            evidence: Evidence::default(),
            left: None,
        }
    }

    fn end(clean: bool) -> AbortLine {
        AbortLine::End { clean, tick: Tick(3) }
    }

    #[test]
    fn an_answer_without_end_proves_nothing() {
        let mut fold = AbortFold::new(At::default());
        fold.line(received(&["x"]), 10);
        fold.line(reverted("x", InjectionState::Reverted), 20);
        assert_eq!(fold.status().reverted_us, Some(20));
        assert!(!fold.clean() && !fold.status().ended && fold.status().proved_us.is_none());
        // The second attempt finds nothing left and ends.
        fold.line(received(&[]), 250);
        fold.line(end(true), 260);
        let status = fold.status();
        assert_eq!((status.received_us, status.reverted_us), (Some(10), Some(20)));
        assert_eq!((status.proved_us, status.latch), (Some(260), Some(3)));
        assert!(fold.clean());
        assert_eq!(fold.words(), "x is gone");
    }

    #[test]
    fn one_of_two_read_back_before_the_disk_has_answered_is_not_all() {
        let mut fold = AbortFold::new(At::default());
        fold.line(reverted("x", InjectionState::Reverted), 10);
        assert_eq!(
            fold.status().reverted_us,
            None,
            "nobody has said that x is the only one"
        );
        fold.line(received(&["x", "y"]), 20);
        assert_eq!(fold.status().reverted_us, None);
        fold.line(reverted("y", InjectionState::Reverted), 30);
        assert_eq!(fold.status().reverted_us, Some(30));
    }

    #[test]
    fn the_last_one_needs_no_disk_to_be_the_last() {
        let mut fold = AbortFold::new(At::default());
        fold.line(with_left(reverted("x", InjectionState::Reverted), 1), 10);
        fold.line(with_left(proved("x"), 2), 11);
        assert_eq!((fold.status().reverted_us, fold.status().proved_us), (None, None));
        fold.line(with_left(reverted("y", InjectionState::Reverted), 0), 20);
        assert_eq!(
            (fold.status().reverted_us, fold.status().proved_us),
            (Some(20), None)
        );
        fold.line(with_left(proved("y"), 0), 30);
        assert_eq!(fold.status().proved_us, Some(30));
        assert!(!fold.clean(), "an answer without its end is unconfirmed");
    }

    #[test]
    fn unconfirmed_stays_so_until_a_clean_end() {
        let mut fold = AbortFold::new(At::default());
        fold.line(received(&["x", "y"]), 10);
        fold.line(reverted("x", InjectionState::Reverted), 20);
        fold.line(reverted("y", InjectionState::Unconfirmed), 30);
        fold.line(end(false), 40);
        assert!(fold.status().ended && !fold.clean());
        assert!(fold.status().reverted_us.is_none());
        assert!(
            fold.status()
                .problem
                .as_ref()
                .unwrap()
                .contains("firedrill-agent abort")
        );
        fold.line(reverted("y", InjectionState::Reverted), 500);
        fold.line(end(true), 510);
        assert!(fold.clean() && fold.status().problem.is_none());
        assert_eq!(fold.status().reverted_us, Some(500));
    }
}
