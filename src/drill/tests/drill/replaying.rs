//! A journal's entries, stepped through a fresh drill, rebuild it.

use firedrill_drill::{Arming, Entry, Event, Outcome, Phase, Reading, ReplayError, Reply, Stamped, replay};

use crate::world::{PLAN, World};

/// The drill as its journal may know it: without the holders' secrets.
fn same(world: &World) {
    let mut watched = 0;
    let replayed = replay(&world.journal, |_, _, _| watched += 1).unwrap();
    assert_eq!(replayed.phases(), world.drill.phases());
    assert_eq!(replayed.judgements(), world.drill.judgements());
    assert_eq!(replayed.injections(), world.drill.injections());
    assert_eq!(replayed.verdict(), world.drill.verdict());
    assert_eq!(replayed.slis(), world.drill.slis());
    let events = world
        .journal
        .iter()
        .filter(|it| matches!(it.entry, Entry::Event { .. }))
        .count();
    assert_eq!(watched, events + 1);
    // Twice from the journal is the same to the last field.
    assert_eq!(replay(&world.journal, |_, _, _| {}).unwrap(), replayed);
}

#[test]
fn a_finished_drill_is_rebuilt() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.verdict();
    same(&world);
}

#[test]
fn a_drill_is_rebuilt_at_any_moment() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    for _ in 0..50 {
        world.run(300);
        same(&world);
    }
    world.abort();
    assert_eq!(world.verdict().outcome, Outcome::Aborted);
    same(&world);
}

#[test]
fn a_journal_survives_json() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.run(3_000);
    world.abort();
    world.verdict();
    let text = serde_json::to_string(&world.journal).unwrap();
    let read: Vec<Stamped> = serde_json::from_str(&text).unwrap();
    assert_eq!(read, world.journal);
    same(&world);
}

#[test]
fn numbers_that_json_does_not_have_are_judged_the_same() {
    for (value, rate) in [(f64::NAN, Some(40.0)), (0.1, Some(f64::INFINITY))] {
        let mut world = World::new(PLAN, Arming::AtOnce);
        world.run_to(Phase::Inject);
        world.read = Box::new(move |_, _| Some(Reading::Value { value, rate }));
        assert_eq!(world.verdict().outcome, Outcome::Inconclusive);
        let text = serde_json::to_string(&world.journal).unwrap();
        world.journal = serde_json::from_str(&text).unwrap();
        same(&world);
    }
}

#[test]
fn the_secret_is_redacted() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Inject);
    let opened = world.drill.agents()[0].opened.clone().unwrap();
    assert_eq!(opened.holder.0, "s3cret");
    let event = Event::Agent {
        agent: 0,
        reply: Reply::Opened { result: Ok(opened) },
    };
    let text = serde_json::to_string(&event.redacted()).unwrap();
    assert!(!text.contains("s3cret"));
}

#[test]
fn what_is_not_a_drills_journal_is_said() {
    assert_eq!(replay(&[], |_, _, _| {}).unwrap_err(), ReplayError::NotMade);
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run(1_000);
    assert_eq!(
        replay(&world.journal[1..], |_, _, _| {}).unwrap_err(),
        ReplayError::NotMade
    );
    if let Entry::Made { plan, .. } = &mut world.journal[0].entry {
        plan.push_str("\nnonsense = 1\n");
    }
    let error = replay(&world.journal, |_, _, _| {}).unwrap_err();
    assert!(matches!(error, ReplayError::Plan(_)), "{error}");
}
