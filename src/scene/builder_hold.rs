//! A hold, as shown; and how far holds have moved what is planned.

use firedrill_drill::Drill;

use crate::{HoldScene, builder::agents, builder_words::span};

pub(crate) fn hold(drill: &Drill) -> Option<HoldScene> {
    let hold = drill.hold()?;
    let then = drill.goes_on_with().into_iter().map(|(injection, ms)| {
        let agent = agents(drill.plan(), &[injection.agent]);
        // Whole seconds: what is left is not promised to the millisecond.
        format!(
            "{} on {agent} for the {} it had left",
            injection.fault,
            span(ms / 1_000 * 1_000)
        )
    });
    Some(HoldScene {
        since_us: hold.since.mono_us,
        by: hold.by.clone(),
        stage: hold.stage,
        then: then.collect(),
        baseline_ms: drill.experiment().map_or(0, |it| it.baseline_ms),
    })
}

/// From when to when something planned is, after these holds: when each began, and how long it lasted, by the same
/// clock. What a hold interrupts gets longer, what follows comes later.
pub(crate) fn shifted(mut from_us: u64, mut until_us: u64, holds: &[(u64, u64)]) -> (u64, u64) {
    for (at, length) in holds {
        if from_us >= *at {
            from_us += length;
        }
        if until_us > *at {
            until_us += length;
        }
    }
    (from_us, until_us)
}

#[cfg(test)]
mod tests {
    use super::shifted;

    #[test]
    fn a_hold_moves_what_follows_and_stretches_what_it_interrupts() {
        assert_eq!(shifted(0, 10, &[]), (0, 10));
        assert_eq!(shifted(0, 10, &[(4, 5)]), (0, 15));
        assert_eq!(shifted(10, 20, &[(4, 5)]), (15, 25));
        assert_eq!(shifted(0, 4, &[(4, 5)]), (0, 4));
        assert_eq!(
            shifted(0, 10, &[(4, 5), (12, 3)]),
            (0, 18),
            "by the clock that went on meanwhile"
        );
    }
}
