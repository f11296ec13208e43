//! A hold: everything is taken back and the clock of the steps stands; then a new baseline, and on.

use serde_json::Value;

use crate::{
    At, Drill, Hold, HoldStage, Injection, Phase,
    found::clipped,
    judge::BASELINE_TIMES,
    steps::Wish,
    words::{count, show_ms},
};

/// What has less left than this, in milliseconds, is not begun again.
const LEAST_LEFT_MS: u64 = 1_000;

/// What a hold keeps.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Pause {
    hold: Option<Hold>,
    /// What it took back, with what it had left.
    left: Vec<Left>,
    /// Earlier holds: from when to when, in microseconds.
    past: Vec<(u64, u64)>,
}

/// An injection that a hold interrupted.
#[derive(Clone, Debug, PartialEq)]
struct Left {
    injection: usize,
    ms: u64,
}

impl Drill {
    /// The hold that is on; none once an end is decided.
    pub fn hold(&self) -> Option<&Hold> {
        let hold = self.pause.hold.as_ref();
        hold.filter(|_| self.ending.is_none() && self.phase == Phase::Inject)
    }

    /// Every hold of this drill so far, from when to when by the drill's clock in microseconds; the one that is on, to
    /// now.
    pub fn holds(&self) -> Vec<(u64, u64)> {
        self.holds_at(self.at)
    }

    fn holds_at(&self, now: At) -> Vec<(u64, u64)> {
        // An end that was decided ends a hold too.
        let until_us = self.ending.as_ref().map_or(now.mono_us, |it| it.since_us);
        let on = self.pause.hold.as_ref();
        let on = on.map(|it| (it.since.mono_us, until_us.max(it.since.mono_us)));
        self.pause.past.iter().copied().chain(on).collect()
    }

    /// Everything is read back as off, and nothing is on before somebody resumes.
    pub(crate) fn is_held(&self) -> bool {
        self.hold().is_some_and(|it| it.stage != HoldStage::Reverting)
    }

    /// A person holds the drill.
    pub(crate) fn begin_hold(&mut self, by: &str) {
        let by = clipped(by);
        let why = if self.hold().is_some() {
            Some("it is held already")
        } else if self.phase != Phase::Inject {
            Some("only while the drill injects; before and after it nothing is on")
        } else if self.ending.is_some() {
            Some("the drill is ending")
        } else {
            None
        };
        if let Some(why) = why {
            self.judge("not held", "hold", format!("asked for by {by}: {why}"));
            return;
        }
        let now = self.at;
        let open = self.injections.iter().enumerate().filter(|(_, it)| !it.is_off());
        let left: Vec<Left> = open
            .map(|(injection, it)| Left {
                injection,
                ms: self.left_ms(it, now),
            })
            .collect();
        for it in &left {
            self.ask_revert(it.injection);
        }
        let words = format!(
            "{by} holds the drill: {} taken back, and the clock of the steps stands",
            count(left.len(), "fault")
        );
        self.pause.left = left;
        self.pause.hold = Some(Hold {
            since: now,
            by,
            stage: HoldStage::Reverting,
        });
        self.judge("hold", "hold", words);
    }

    fn left_ms(&self, injection: &Injection, now: At) -> u64 {
        match injection.active {
            Some(_) => self.ends_us(injection).saturating_sub(now.mono_us) / 1_000,
            None => injection.for_ms,
        }
    }

    /// A person goes on: a new baseline first.
    pub(crate) fn resume(&mut self, by: &str) {
        let by = clipped(by);
        let refusal = match self.hold().map(|it| it.stage) {
            None => Some(("hold".to_owned(), "nothing is held".to_owned())),
            Some(HoldStage::Reverting) => Some((
                "hold".to_owned(),
                "not before everything is read back as off".to_owned(),
            )),
            Some(HoldStage::Baseline { .. }) => {
                Some(("hold".to_owned(), "the new baseline is being taken".to_owned()))
            }
            Some(HoldStage::Held) => self.guardrail_in_the_way(),
        };
        if let Some((rule, words)) = refusal {
            self.judge("not resumed", &rule, format!("asked for by {by}: {words}"));
            return;
        }
        self.set_stage(HoldStage::Baseline { since: self.at });
        self.count_good_anew();
        let words = format!(
            "{by} resumes: first a new baseline of {}, nothing is injected before",
            show_ms(self.experiment().map_or(0, |it| it.baseline_ms))
        );
        self.judge("resume", "hold", words);
    }

    fn guardrail_in_the_way(&self) -> Option<(String, String)> {
        let (rule, words) = self.violations().into_iter().next()?;
        Some((format!("guardrail {rule}"), words))
    }

    fn set_stage(&mut self, stage: HoldStage) {
        if let Some(hold) = &mut self.pause.hold {
            hold.stage = stage;
        }
    }

    /// How far the hold is.
    pub(crate) fn advance_hold(&mut self) {
        match self.hold().map(|it| it.stage) {
            Some(HoldStage::Reverting) if self.injections.iter().all(Injection::is_off) => {
                self.set_stage(HoldStage::Held);
                self.judge(
                    "held",
                    "hold",
                    "nothing of ours is on; the clock of the steps stands",
                );
            }
            Some(HoldStage::Baseline { since }) => self.advance_new_baseline(since),
            Some(HoldStage::Reverting | HoldStage::Held) | None => {}
        }
    }

    fn advance_new_baseline(&mut self, since: At) {
        let Some(baseline_ms) = self.experiment().map(|it| it.baseline_ms) else {
            return;
        };
        let not_yet = if self.all_good_for(baseline_ms * 1_000) {
            if self.may_start() && self.guardrail_in_the_way().is_none() {
                return self.go_on(baseline_ms);
            }
            let why = self.guardrail_in_the_way();
            why.unwrap_or_else(|| {
                let words = "there is no contact to every agent".to_owned();
                ("contact".to_owned(), words)
            })
        } else {
            ("baseline".to_owned(), self.unsteady_words())
        };
        let limit_ms = baseline_ms.saturating_mul(BASELINE_TIMES);
        if self.at.ms_since(since) >= limit_ms {
            // Nothing is on: it is held on, and somebody may try again.
            self.set_stage(HoldStage::Held);
            let words = format!(
                "held on, no new baseline of {} within {}: {}",
                show_ms(baseline_ms),
                show_ms(limit_ms),
                not_yet.1
            );
            self.judge("not resumed", &not_yet.0, words);
        }
    }

    /// The clock of the steps goes on where it stood; what was interrupted is on again for the time it had left.
    fn go_on(&mut self, baseline_ms: u64) {
        let Some(hold) = self.pause.hold.take() else {
            return;
        };
        let now_us = self.at.mono_us;
        let stood_us = now_us.saturating_sub(hold.since.mono_us);
        self.pause.past.push((hold.since.mono_us, now_us));
        for lane in &mut self.lanes {
            lane.began_us = lane.began_us.map(|it| it.saturating_add(stood_us));
            lane.run_began_us = lane.run_began_us.saturating_add(stood_us);
            lane.held_since_us = None;
        }
        let left = std::mem::take(&mut self.pause.left);
        let wishes: Vec<Wish> = left.iter().filter_map(|it| self.again(it)).collect();
        let words = format!(
            "steady for {}; {} on again for the time that was left, after {} of standing",
            show_ms(baseline_ms),
            count(wishes.len(), "fault"),
            show_ms(stood_us / 1_000)
        );
        self.start_all(wishes);
        self.judge("resumed", "hold", words);
    }

    /// As strong as it was when it was interrupted; what has happened at once is not done twice.
    fn again(&self, left: &Left) -> Option<Wish> {
        let before = self.injections.get(left.injection)?;
        let happened = before.state == Some(firedrill_wire::InjectionState::Done);
        if happened || left.ms < LEAST_LEFT_MS.min(before.for_ms) {
            return None;
        }
        Some(Wish {
            step: before.step,
            run: before.run,
            agent: before.agent,
            parameters: self.strength_of(before),
            for_ms: left.ms,
            ramp_ms: before.ramp_ms.min(left.ms),
        })
    }

    /// What is on again after a resume, with the milliseconds that it had left.
    pub fn goes_on_with(&self) -> Vec<(&Injection, u64)> {
        let left = self.pause.left.iter();
        left.filter(|it| self.again(it).is_some())
            .filter_map(|it| Some((self.injections.get(it.injection)?, it.ms)))
            .collect()
    }

    fn strength_of(&self, before: &Injection) -> Value {
        let ours = self
            .lever(before)
            .is_some_and(|it| it.position(&before.strength.now).is_ok());
        if ours {
            before.strength.now.clone()
        } else {
            before.parameters.clone()
        }
    }

    /// How long the clock of the steps has stood in all, in microseconds.
    pub(crate) fn stood_us(&self, now: At) -> u64 {
        let holds = self.holds_at(now);
        holds.iter().map(|(from, until)| until - from).sum()
    }

    /// What a hold says of its progress; `stands`: where the clock of the steps is.
    pub(crate) fn hold_words(&self, now: At, stands: &str) -> Option<String> {
        Some(match self.hold()?.stage {
            HoldStage::Reverting => format!("holding: taking everything back; the clock stands at {stands}"),
            HoldStage::Held => format!("held: nothing of ours on; the clock stands at {stands}"),
            HoldStage::Baseline { .. } => {
                format!(
                    "held: new baseline, {}; nothing of ours on",
                    self.baseline_progress(now).1
                )
            }
        })
    }
}
