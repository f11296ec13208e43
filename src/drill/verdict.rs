//! What was found, with the reasons.

use crate::{Drill, Effect, Entry, Outcome, Phase, Reason, Verdict, words::count};

impl Drill {
    /// The end. Nothing follows it.
    pub(crate) fn conclude(&mut self) {
        if self.verdict.is_some() {
            return;
        }
        let unconfirmed = self.unconfirmed();
        let outcome = self.outcome();
        let mut reasons = self.ordered_reasons(outcome);
        for index in 0..self.injections.len() {
            if !self.injections[index].is_off() {
                reasons.push(self.unconfirmed_reason(index));
            }
        }
        let first = reasons.first().map_or("", |it| &it.words).to_owned();
        let words = format!("{}: {first}", outcome.word());
        self.enter(Phase::Verdict, words);
        let verdict = Verdict {
            outcome,
            reasons,
            unconfirmed,
        };
        self.verdict = Some(verdict.clone());
        let entry = Entry::Verdict {
            verdict: verdict.clone(),
        };
        self.record(entry, true);
        self.out.push(Effect::End { verdict });
    }

    fn outcome(&self) -> Outcome {
        let decided = self.ending.as_ref().and_then(|it| it.outcome);
        let injected = self.injections.iter().any(|it| it.active.is_some());
        let all_off = self.injections.iter().all(crate::Injection::is_off);
        match decided {
            Some(Outcome::Aborted) => Outcome::Aborted,
            _ if !self.reasons.broken.is_empty() => Outcome::Broken,
            Some(outcome) => outcome,
            None if injected && all_off => Outcome::Held,
            None => Outcome::Inconclusive,
        }
    }

    /// The one that decided first, then the others by kind.
    fn ordered_reasons(&mut self, outcome: Outcome) -> Vec<Reason> {
        let kinds = std::mem::take(&mut self.reasons);
        let mut reasons = match outcome {
            Outcome::Held => vec![self.held_reason()],
            Outcome::Inconclusive if kinds.inconclusive.is_empty() => vec![Reason {
                at: self.at,
                rule: "verdict".to_owned(),
                words: "no injection became active, so nothing can be said".to_owned(),
            }],
            _ => Vec::new(),
        };
        let (first, rest) = match outcome {
            Outcome::Aborted => (&kinds.aborted, [&kinds.broken, &kinds.inconclusive]),
            Outcome::Broken => (&kinds.broken, [&kinds.aborted, &kinds.inconclusive]),
            _ => (&kinds.inconclusive, [&kinds.aborted, &kinds.broken]),
        };
        reasons.extend(first.iter().cloned());
        reasons.extend(rest.into_iter().flatten().cloned());
        reasons.extend(kinds.held.iter().cloned());
        self.reasons = kinds;
        reasons
    }

    fn held_reason(&self) -> Reason {
        let injected = self.injections.iter().filter(|it| it.active.is_some()).count();
        Reason {
            at: self.at,
            rule: "tolerance".to_owned(),
            words: format!(
                "{} stayed inside tolerance during {}",
                count(self.slis.len(), "SLI"),
                count(injected, "injection")
            ),
        }
    }

    fn unconfirmed_reason(&self, index: usize) -> Reason {
        let injection = &self.injections[index];
        let by_hand = injection.by_hand.as_deref().unwrap_or(
            "the abort goes on; on its host run `firedrill-agent abort`, or end the agent, which ends it too",
        );
        Reason {
            at: self.at,
            rule: "unconfirmed".to_owned(),
            words: format!(
                "{} ({}) may still be on: {by_hand}",
                self.label(index),
                injection.id
            ),
        }
    }
}

impl Outcome {
    /// In one word, as shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Broken => "broken",
            Self::Inconclusive => "inconclusive",
            Self::Aborted => "aborted",
        }
    }
}
