//! A start by surprise: drawn within its range from the seed, checked again at its moment, held, skipped or cancelled.

use firedrill_drill::{Arming, Command, Effect, Outcome, Phase, Reading, Setup, replay};

use crate::world::{PLAN, World, first, healthy, setup};

const EARLIEST_MS: u64 = 120_000;
const LATEST_MS: u64 = 300_000;

/// At the confirmation.
fn waiting() -> World {
    let mut world = World::new(PLAN, Arming::Ask);
    world.run_to(Phase::Arming);
    world.run(2_000);
    world
}

fn confirm(world: &mut World, earliest_ms: u64, latest_ms: u64) {
    world.command(Command::ArmBetween {
        earliest_ms,
        latest_ms,
        blind: false,
        by: "Ada".to_owned(),
    });
}

fn confirmed() -> World {
    let mut world = waiting();
    confirm(&mut world, EARLIEST_MS, LATEST_MS);
    assert!(
        world.drill.surprise().is_some(),
        "{:?}",
        world.drill.judgements().last()
    );
    world
}

fn tests(world: &World) -> usize {
    world
        .times(|effect| matches!(effect, Effect::TestAbort { .. }).then_some(()))
        .len()
}

fn unsteady(sli: usize) -> Reading {
    if sli == 0 {
        Reading::Value {
            value: 0.95,
            rate: Some(40.0),
        }
    } else {
        healthy(sli)
    }
}

#[test]
fn it_begins_at_the_drawn_moment_with_a_fresh_abort_test_and_a_replay_draws_the_same() {
    let mut world = confirmed();
    let surprise = world.drill.surprise().expect("it waits").clone();
    assert!(
        (EARLIEST_MS..=LATEST_MS).contains(&surprise.drawn_ms),
        "{surprise:?}"
    );
    let (before, began_us) = (tests(&world), world.now_us);
    assert!(
        !world
            .drill
            .judgements()
            .iter()
            .any(|it| it.reason.words.contains("drawn"))
    );
    world.run(surprise.drawn_ms - 1_000);
    assert_eq!(world.drill.phase(), Phase::Arming, "not before its moment");
    assert_eq!(world.starts(), []);
    world.run_to(Phase::Inject);
    world.run(500);
    let after_ms = (world.starts()[0].0 - began_us) / 1_000;
    assert!(
        (surprise.drawn_ms..surprise.drawn_ms + 2_000).contains(&after_ms),
        "{after_ms} for {}",
        surprise.drawn_ms
    );
    assert!(tests(&world) > before, "the abort path is exercised again");
    let said = world
        .drill
        .judgements()
        .iter()
        .any(|it| it.reason.words.starts_with("drawn: "));
    assert!(said, "afterwards the draw can be read");
    let again = replay(&world.journal, |_, _, _| {}).expect("the journal");
    assert_eq!(again.phase(), Phase::Inject);
}

#[test]
fn draws_lie_within_any_range_and_differ_by_the_seed() {
    let mut drawn = Vec::new();
    for seed in 0..40 {
        let setup = Setup {
            seed,
            ..setup(PLAN, Arming::Ask)
        };
        let mut world = World::of(setup, |_| {});
        world.run_to(Phase::Arming);
        world.run(2_000);
        confirm(&mut world, 60_000, 61_000);
        let surprise = world.drill.surprise().expect("it waits");
        assert!((60_000..=61_000).contains(&surprise.drawn_ms));
        drawn.push(surprise.drawn_ms);
    }
    drawn.sort_unstable();
    drawn.dedup();
    assert!(drawn.len() > 20, "{drawn:?}");
}

#[test]
fn what_is_in_the_way_at_the_moment_holds_it_and_what_stays_skips_it() {
    for goes_away in [true, false] {
        let mut world = confirmed();
        let drawn_ms = world.drill.surprise().expect("it waits").drawn_ms;
        world.read = Box::new(|sli, _| Some(unsteady(sli)));
        world.run(drawn_ms + 5_000);
        let held = world.drill.surprise().and_then(|it| it.held.clone());
        assert!(held.is_some_and(|why| why.contains("Steady state")));
        assert_eq!(world.starts(), []);
        if goes_away {
            world.read = Box::new(|sli, _| Some(healthy(sli)));
            world.run_to(Phase::Inject);
            continue;
        }
        let verdict = world.verdict();
        assert_eq!(verdict.outcome, Outcome::Inconclusive);
        assert_eq!(verdict.reasons[0].rule, "surprise");
        assert!(first(&verdict).contains("skipped"), "{verdict:?}");
        assert_eq!(world.starts(), []);
        let most_ms = LATEST_MS.max(drawn_ms + 60_000) + 15_000;
        assert!(
            world.now_us / 1_000 < most_ms + 120_000,
            "it does not wait for ever"
        );
    }
}

#[test]
fn an_abort_or_an_end_before_it_cancels_it() {
    for abort in [true, false] {
        let mut world = confirmed();
        world.run(30_000);
        if abort {
            world.abort();
        } else {
            world.command(Command::Finish);
        }
        assert!(world.drill.surprise().is_none());
        let verdict = world.verdict();
        assert_ne!(verdict.outcome, Outcome::Held);
        world.run(LATEST_MS);
        assert_eq!(world.starts(), []);
    }
}

#[test]
fn a_range_that_is_none_and_a_start_that_is_not_ready_are_refused() {
    let mut world = waiting();
    confirm(&mut world, 2, 1);
    confirm(&mut world, 0, u64::MAX);
    assert!(world.drill.surprise().is_none());
    world.read = Box::new(|sli, _| Some(unsteady(sli)));
    world.run(5_000);
    confirm(&mut world, EARLIEST_MS, LATEST_MS);
    assert!(world.drill.surprise().is_none());
    let last = world.drill.judgements().last().expect("it is said");
    assert_eq!(last.what, "not started");
    // The person may still start at once, and then nothing starts twice.
    let mut world = confirmed();
    world.command(Command::Arm);
    world.run(5_000);
    assert!(world.drill.surprise().is_none());
    let starts = world.starts().len();
    assert!(starts > 0);
    world.run(20_000);
    assert_eq!(world.starts().len(), starts);
}
