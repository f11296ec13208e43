//! The moments of a drill that are worth a look: what the drill itself marks, and what people marked; and every
//! moment at which something happened.

use firedrill_drill::Phase;
use firedrill_scene::{Bookmark, LogKind, Review};

use crate::messages::Say;

/// People's lines of the log that become marks: so many fit a row that is scrolled.
const NOTES: usize = 60;

/// A moment worth a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When, microseconds since the drill was made.
    pub at_us: u64,
    /// Of what it is.
    pub kind: MarkKind,
    /// In a word or two; of people, theirs.
    pub words: String,
}

/// Of what a mark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    /// The first fault is on.
    Start,
    /// The first sample after it that was not as it should be.
    Out,
    /// Everything is to be taken back.
    Stop,
    /// Everything is read back as off.
    Reverted,
    /// The verdict.
    Verdict,
    /// Somebody said or did something.
    Note,
    /// Somebody marked it while looking at the replay.
    Person,
}

/// The drill's own marks and people's, in order of time.
pub fn marks(review: &Review, people: &[Bookmark], say: Say) -> Vec<Mark> {
    let scene = &review.scene;
    let mut marks = Vec::new();
    let mut add = |at_us: Option<u64>, kind: MarkKind, words: &str| {
        marks.extend(at_us.map(|at_us| Mark {
            at_us,
            kind,
            words: words.to_owned(),
        }));
    };
    let began = |phase: Phase| {
        scene
            .phases
            .iter()
            .find(|(it, _)| *it == phase)
            .map(|(_, at)| *at)
    };
    let on = scene.injections.iter().filter_map(|it| it.from_us).min();
    add(on, MarkKind::Start, say.mark_start());
    let samples = scene.log.iter().filter(|line| line.kind == LogKind::Sample);
    let mut after = samples
        .map(|line| line.at.mono_us)
        .filter(|at| on.is_some_and(|on| *at >= on));
    add(after.next(), MarkKind::Out, say.mark_out());
    add(began(Phase::Closing), MarkKind::Stop, say.mark_stop());
    // One that is not read back is not reverted, whatever the others are.
    let off: Option<Vec<u64>> = scene.injections.iter().map(|it| it.until_us).collect();
    add(
        off.and_then(|all| all.into_iter().max()),
        MarkKind::Reverted,
        say.mark_reverted(),
    );
    add(began(Phase::Verdict), MarkKind::Verdict, say.mark_verdict());
    let said = scene.log.iter().filter(|line| line.kind == LogKind::Person);
    for line in said.take(NOTES) {
        add(Some(line.at.mono_us), MarkKind::Note, &line.title);
    }
    for mark in people {
        add(Some(mark.at_us), MarkKind::Person, &mark.words);
    }
    marks.sort_by_key(|mark| mark.at_us);
    marks
}

/// Every moment at which something happened, once each, in order.
pub fn events(review: &Review, marks: &[Mark]) -> Vec<u64> {
    let scene = &review.scene;
    let log = scene.log.iter().map(|line| line.at.mono_us);
    let phases = scene.phases.iter().map(|(_, at)| *at);
    let bad = scene
        .slis
        .iter()
        .flat_map(|sli| sli.bad.iter().map(|(at, _)| *at));
    let marked = marks.iter().map(|mark| mark.at_us);
    let mut all: Vec<u64> = log.chain(phases).chain(bad).chain(marked).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The next event after `at_us`, or the last one before it.
pub fn step(events: &[u64], at_us: u64, forward: bool) -> Option<u64> {
    if forward {
        events.get(events.partition_point(|at| *at <= at_us)).copied()
    } else {
        let before = events.partition_point(|at| *at < at_us).checked_sub(1)?;
        events.get(before).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::step;

    #[test]
    fn steps_go_to_the_neighbour_and_end_at_the_ends() {
        let events = [0, 5, 9];
        let next = |at| step(&events, at, true);
        let back = |at| step(&events, at, false);
        assert_eq!(
            [next(0), next(4), next(5), next(9)],
            [Some(5), Some(5), Some(9), None]
        );
        assert_eq!(
            [back(0), back(4), back(5), back(20)],
            [None, Some(0), Some(0), Some(9)]
        );
        assert_eq!(step(&[], 3, true), None);
    }
}
