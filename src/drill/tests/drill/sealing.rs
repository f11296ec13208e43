//! A rehearsal says nothing before its reveal; a real incident reveals at once.

use firedrill_drill::{AbortedBy, Arming, Call, Command, Drill, Effect, Phase, Seal, replay};

use crate::world::{PLAN, World};

/// The plan with its experiments as rehearsals.
fn rehearsed() -> String {
    PLAN.replacen("hypothesis =", "rehearsal = true\nhypothesis =", 1)
}

fn injecting() -> World {
    let mut world = World::new(&rehearsed(), Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.run(1_000);
    world
}

fn cards(world: &World) -> usize {
    world
        .times(|effect| matches!(effect, Effect::WriteAbortCard).then_some(()))
        .len()
}

fn by(name: &str) -> String {
    name.to_owned()
}

/// As a replay of the journal rebuilds it.
fn replayed(world: &World) -> Drill {
    replay(&world.journal, |_, _, _| {}).expect("the journal")
}

#[test]
fn agents_are_told_of_an_exercise_and_the_reveal_is_kept() {
    let mut world = injecting();
    assert!(world.drill.seal().is_sealed());
    let told = world.times(|effect| match effect {
        Effect::Call {
            call: Call::Open(request),
            ..
        } => Some(request.experiment.clone()),
        _ => None,
    });
    assert!(
        !told.is_empty() && told.iter().all(|(_, it)| it == "exercise"),
        "{told:?}"
    );
    // Once the abort card is there, a reveal writes it anew.
    let before = cards(&world);
    world.command(Command::Reveal { by: by("Ada") });
    assert!(matches!(world.drill.seal(), Seal::Revealed { by, .. } if by == "Ada"));
    assert_eq!(cards(&world), before + 1);
    world.command(Command::Reveal { by: by("Grace") });
    world.command(Command::Seal { by: by("Grace") });
    assert!(
        matches!(world.drill.seal(), Seal::Revealed { by, .. } if by == "Ada"),
        "what is known is not sealed again"
    );
    assert_eq!(replayed(&world).seal(), world.drill.seal());
}

#[test]
fn a_real_incident_reveals_and_another_abort_does_not() {
    for (reason, revealed) in [
        ("real incident", true),
        ("It is a REAL INCIDENT: shop down", true),
        ("ABORT was pressed", false),
    ] {
        let mut world = injecting();
        world.command(Command::Abort {
            by: AbortedBy::Person(by("Grace")),
            reason: by(reason),
        });
        assert_eq!(
            matches!(world.drill.seal(), Seal::Revealed { by, .. } if by.starts_with("Grace")),
            revealed,
            "{reason}"
        );
        assert!(!world.aborts().is_empty());
    }
}

#[test]
fn any_drill_can_be_sealed_before_its_first_fault_and_not_after() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    assert_eq!(*world.drill.seal(), Seal::Open);
    world.command(Command::Reveal { by: by("Ada") });
    assert_eq!(*world.drill.seal(), Seal::Open, "there is nothing to reveal");
    world.command(Command::Seal { by: by("Ada") });
    assert!(world.drill.seal().is_sealed());
    assert!(replayed(&world).seal().is_sealed());

    let mut late = World::new(PLAN, Arming::AtOnce);
    late.run_to(Phase::Inject);
    late.command(Command::Seal { by: by("Ada") });
    assert_eq!(*late.drill.seal(), Seal::Open, "everybody has seen it begin");
}
