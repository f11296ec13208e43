//! Which indicators the Stage shows: what is out first, then what is nearest to its stop; without jumping.

use firedrill_drill::SliState;
use firedrill_plan::Stop;
use firedrill_scene::SliScene;

/// At most so many are shown.
pub const SHOWN: usize = 3;
/// A choice stands at least so long, unless an indicator goes out.
const STANDS_US: u64 = 10_000_000;
/// Who takes a place must be this much nearer to its stop than who has it.
const NEARER: f64 = 0.7;

/// The indicators that are shown, by their place in the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    drill: String,
    /// In the plan's order: none changes sides while it is shown.
    pub slis: Vec<usize>,
    since_us: u64,
}

/// What to show after `before`.
pub fn choose(before: &Choice, drill: &str, slis: &[SliScene], now_us: u64) -> Choice {
    let all = slis.len();
    let mut order: Vec<usize> = (0..all).collect();
    order.sort_by(|a, b| rank(&slis[*a]).total(rank(&slis[*b])));
    let fresh = before.drill != drill || before.slis.iter().any(|i| *i >= all) || before.slis.is_empty();
    let mut chosen = before.clone();
    if fresh {
        chosen = Choice {
            drill: drill.to_owned(),
            slis: order.iter().copied().take(SHOWN).collect(),
            since_us: now_us,
        };
    } else {
        for challenger in order.into_iter().take(SHOWN) {
            if chosen.slis.contains(&challenger) {
                continue;
            }
            let Some(weakest) = (0..chosen.slis.len())
                .max_by(|a, b| rank(&slis[chosen.slis[*a]]).total(rank(&slis[chosen.slis[*b]])))
            else {
                continue;
            };
            let (theirs, own) = (rank(&slis[challenger]), rank(&slis[chosen.slis[weakest]]));
            let graver = theirs.group < own.group;
            let nearer = theirs.group == own.group && theirs.distance < own.distance * NEARER;
            if graver || nearer && now_us.saturating_sub(chosen.since_us) >= STANDS_US {
                chosen.slis[weakest] = challenger;
                chosen.since_us = now_us;
            }
        }
    }
    chosen.slis.sort_unstable();
    chosen
}

/// The lower, the more it matters.
#[derive(Clone, Copy, Debug)]
struct Rank {
    group: u8,
    distance: f64,
}

impl Rank {
    fn total(self, other: Self) -> std::cmp::Ordering {
        self.group
            .cmp(&other.group)
            .then(self.distance.total_cmp(&other.distance))
    }
}

fn rank(sli: &SliScene) -> Rank {
    let group = match sli.state {
        SliState::Out => 0,
        SliState::NoData => 1,
        SliState::Steady | SliState::Tolerated => 2,
    };
    Rank {
        group,
        distance: distance(sli),
    }
}

/// From the newest value to where the drill is stopped, as a share of the way there from the steady state. What
/// stops nothing comes after all that does.
fn distance(sli: &SliScene) -> f64 {
    const FAR: f64 = 1e6;
    let Some(value) = sli.value else { return FAR };
    let (limits, behind) = match sli.stop {
        Stop::Outside { range, .. } => (range, 0.0),
        Stop::Never { .. } => (sli.tolerate, FAR),
    };
    let shares = [
        share(value, sli.band.min, limits.min),
        share(value, sli.band.max, limits.max),
    ];
    let nearest = shares.into_iter().flatten().fold(FAR, f64::min);
    nearest + behind
}

fn share(value: f64, steady: Option<f64>, stop: Option<f64>) -> Option<f64> {
    let stop = stop?;
    let way = steady.map_or(stop.abs(), |steady| (stop - steady).abs());
    let way = if way > 0.0 {
        way
    } else {
        stop.abs().max(f64::MIN_POSITIVE)
    };
    Some((stop - value).abs() / way)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use firedrill_plan::{Range, Say};
    use firedrill_series::Series;

    use super::*;

    fn sli(state: SliState, value: f64, stop: Option<f64>) -> SliScene {
        let up_to = |max| Range {
            min: None,
            max: Some(max),
        };
        SliScene {
            name: "it".into(),
            unit: "ms".into(),
            say: Say::default(),
            band: up_to(1.0),
            tolerate: up_to(2.0),
            stop: match stop {
                Some(max) => Stop::Outside {
                    range: up_to(max),
                    after: 2,
                },
                None => Stop::Never { after: 2 },
            },
            state,
            value: Some(value),
            age_ms: None,
            why_no_data: None,
            bad_in_row: 0,
            series: Series::new(),
            bad: Arc::default(),
        }
    }

    fn steady(value: f64) -> SliScene {
        sli(SliState::Steady, value, Some(3.0))
    }

    const S: u64 = 1_000_000;

    #[test]
    fn what_is_out_comes_first_then_what_is_nearest_to_its_stop() {
        let slis = [
            sli(SliState::Steady, 0.9, None),
            steady(0.1),
            steady(0.5),
            sli(SliState::Out, 2.5, None),
            steady(0.9),
        ];
        let chosen = choose(&Choice::default(), "d", &slis, 0);
        assert_eq!(chosen.slis, [2, 3, 4], "out, then 0.9 and 0.5 of 3");
    }

    #[test]
    fn small_moves_change_nothing() {
        let mut slis: Vec<SliScene> = [0.50, 0.51, 0.52, 0.49].into_iter().map(steady).collect();
        let first = choose(&Choice::default(), "d", &slis, 0);
        assert_eq!(first.slis, [0, 1, 2]);
        slis[3].value = Some(0.6);
        let later = choose(&first, "d", &slis, 60 * S);
        assert_eq!(later.slis, first.slis);
    }

    #[test]
    fn a_nearer_one_waits_and_one_that_goes_out_does_not() {
        let mut slis: Vec<SliScene> = [0.5, 0.5, 0.4, 0.3, 0.2].into_iter().map(steady).collect();
        let first = choose(&Choice::default(), "d", &slis, 0);
        slis[3].value = Some(1.9);
        assert_eq!(choose(&first, "d", &slis, 5 * S).slis, [0, 1, 2]);
        let nearer = choose(&first, "d", &slis, 11 * S);
        assert_eq!(nearer.slis, [0, 1, 3]);
        slis[4].state = SliState::Out;
        let out = choose(&nearer, "d", &slis, 12 * S);
        assert_eq!(out.slis.len(), 3);
        assert!(out.slis.contains(&4) && out.slis.contains(&3), "{out:?}");
    }

    #[test]
    fn another_drill_is_chosen_anew() {
        let slis = [steady(0.1), steady(0.2)];
        let first = choose(&Choice::default(), "d", &slis, 0);
        assert_eq!(first.slis, [0, 1]);
        assert_eq!(choose(&first, "e", &slis[..1], 0).slis, [0]);
    }
}
