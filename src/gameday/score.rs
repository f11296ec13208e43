//! How good a prediction was: points for what could be compared, with the reason for each.

use firedrill_drill::{Outcome, show_value};
use firedrill_plan::Range;

use crate::{Clock, Found, RowState, Sealed, SliFound, words::length};

/// Points for each part.
const HOLDS: u32 = 40;
const FIRST: u32 = 25;
const WORST: u32 = 20;
const NOTICE: u32 = 15;
/// Within this factor a number is right, within the next one half right.
const RIGHT: f64 = 1.25;
const HALF: f64 = 2.0;

/// A prediction, scored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Reached.
    pub points: u32,
    /// Of these: what was predicted and could be compared.
    pub of: u32,
    /// Why, part by part.
    pub parts: Vec<Part>,
}

/// A part of a score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What was compared: `verdict`.
    pub what: &'static str,
    /// Reached, of how many; `None`: it could not be compared.
    pub points: Option<(u32, u32)>,
    /// Why, in a sentence.
    pub words: String,
}

impl Score {
    fn add(&mut self, what: &'static str, reached: u32, of: u32, words: String) {
        self.points += reached;
        self.of += of;
        self.parts.push(Part {
            what,
            points: Some((reached, of)),
            words,
        });
    }

    fn left_out(&mut self, what: &'static str, words: impl Into<String>) {
        self.parts.push(Part {
            what,
            points: None,
            words: words.into(),
        });
    }

    /// `65 of 85`, or `–`.
    pub fn words(&self) -> String {
        if self.of == 0 {
            "–".to_owned()
        } else {
            format!("{} of {}", self.points, self.of)
        }
    }
}

/// Scores a prediction against the run it is of. `None`: that run is not over.
pub fn score(row: &RowState, sealed: &Sealed) -> Option<Score> {
    let run = row.runs.get(sealed.run)?;
    let found = run.found.as_ref()?;
    let mut score = Score::default();
    if !sealed.whole {
        score.left_out("seal", "the seal is not of this prediction: the file was changed");
        return Some(score);
    }
    if found.fault_ms.is_some_and(|fault| sealed.at_ms > fault) {
        score.left_out("seal", "made after the fault had begun");
        return Some(score);
    }
    let broken = match found.outcome {
        Outcome::Held => false,
        Outcome::Broken => true,
        Outcome::Aborted | Outcome::Inconclusive => {
            let words = format!("the drill was {}: nothing to compare with", found.outcome.word());
            score.left_out("verdict", words);
            return Some(score);
        }
    };
    let said = &sealed.prediction;
    let holds = |held: bool| if held { "held" } else { "broken" };
    let right = said.holds != broken;
    let words = format!("said {}, found {}", holds(said.holds), holds(!broken));
    score.add("verdict", if right { HOLDS } else { 0 }, HOLDS, words);
    first(&mut score, said.first.as_deref(), found);
    if let (Some(worst), Some(name)) = (said.worst, &said.first) {
        match found.slis.iter().find(|sli| sli.name == *name) {
            Some(sli) => worst_value(&mut score, worst, sli),
            None => score.left_out("worst value", format!("the drill has no \"{name}\"")),
        }
    }
    if let Some(notice_ms) = said.notice_ms {
        let noticed = row.clock(sealed.run, Clock::Noticed);
        match (noticed, found.fault_ms) {
            (Some(stamp), Some(fault)) if stamp.when_ms >= fault => {
                let took = stamp.when_ms.abs_diff(fault);
                let points = graded(notice_ms as f64, took as f64, NOTICE);
                let words = format!("said {}, took {}", length(notice_ms), length(took));
                score.add("time to notice", points, NOTICE, words);
            }
            (Some(_), _) => score.left_out("time to notice", "noticed before the fault began"),
            (None, _) => score.left_out("time to notice", "nobody pressed \"noticed\""),
        }
    }
    Some(score)
}

fn first(score: &mut Score, said: Option<&str>, found: &Found) {
    let out = found.first_out().map(|sli| sli.name.as_str());
    match (said, out) {
        // Somebody who expects it to hold need not name one.
        (None, _) => {}
        (Some(said), Some(out)) => {
            let points = if said == out { FIRST } else { 0 };
            score.add("first to leave", points, FIRST, format!("said {said}, was {out}"));
        }
        (Some(said), None) => {
            score.left_out("first to leave", format!("said {said}; none left its tolerance"));
        }
    }
}

/// Compared by how far outside the band: 500 ms against 400 ms is another thing where the band ends at 300 ms than
/// where it ends at 50 ms.
fn worst_value(score: &mut Score, said: f64, sli: &SliFound) {
    let Some(was) = sli.worst else {
        score.left_out("worst value", format!("{} had no data", sli.name));
        return;
    };
    let (deep, found) = (outside(said, sli.band), outside(was, sli.band));
    let points = graded(deep, found, WORST);
    let words = format!(
        "{}: said {}, was {}",
        sli.name,
        show_value(&sli.unit, said),
        show_value(&sli.unit, was)
    );
    score.add("worst value", points, WORST, words);
}

/// How far outside its band a value is; 0 inside.
pub(crate) fn outside(value: f64, band: Range) -> f64 {
    let below = band.min.map_or(0.0, |min| min - value);
    let above = band.max.map_or(0.0, |max| value - max);
    below.max(above).max(0.0)
}

fn graded(said: f64, was: f64, full: u32) -> u32 {
    let (small, large) = (said.min(was), said.max(was));
    if large <= 0.0 || large <= small * RIGHT {
        full
    } else if large <= small * HALF {
        full / 2
    } else {
        0
    }
}
