//! A fault that is on is turned down and up, held and resumed, and a drill is tried again: asks of a window on the one
//! side, the real agent's own word on the other.

use std::sync::{Arc, atomic::AtomicUsize, atomic::Ordering};

use firedrill_drill::{Entry, HoldStage, Outcome};
use firedrill_fleet::Driver as _;
use firedrill_scene::{Ask, InjectionScene, Ours, Scene};
use firedrill_wire::{InjectionState, InjectionView};
use serde_json::{Value, json};

use crate::drills::{World, engine_in, wait_for};

/// Every test, by name.
pub const TESTS: &[(&str, fn())] = &[
    (
        "a_fault_is_turned_down_and_up_held_and_resumed",
        a_fault_is_turned_down_and_up_held_and_resumed,
    ),
    (
        "a_drill_of_which_nothing_can_be_said_is_tried_again",
        a_drill_of_which_nothing_can_be_said_is_tried_again,
    ),
];

fn burn(load: &str) -> Value {
    json!({ "cores": 1, "load": load })
}

fn plan(world: &World) -> String {
    let burn = "inject = \"cpu.burn\"\n  with = { cores = 1, load = \"20%\" }";
    world.plan(40).replace("inject = \"noop\"", burn)
}

fn newest(scene: &Scene) -> Option<InjectionScene> {
    scene.drill.as_ref()?.injections.last().cloned()
}

fn agents_word(world: &World, id: &str) -> InjectionView {
    let views = world.runtime.block_on(world.driver().injections()).unwrap();
    views.into_iter().find(|view| view.id.as_str() == id).unwrap()
}

fn a_fault_is_turned_down_and_up_held_and_resumed() {
    let world = World::new();
    let engine = engine_in(&world, &Arc::new(AtomicUsize::new(0)));
    engine.ask(Ask::NewPlan(plan(&world)));
    engine.ask(Ask::Begin {
        text: plan(&world),
        experiment: "Nothing happens".to_owned(),
    });
    wait_for(&engine, "arming", |scene| {
        let arming = scene.drill.as_ref().and_then(|it| it.arming.as_ref());
        arming.is_some_and(|it| it.ready)
    });
    engine.ask(Ask::Arm);
    let scene = wait_for(&engine, "a lever", |scene| {
        newest(scene).is_some_and(|it| it.lever.is_some())
    });
    let first = newest(&scene).unwrap();
    assert_eq!(first.strength, "cores 1, load 20 %");

    let turn = |load: &str| {
        engine.ask(Ask::Strength {
            injection: first.id.clone(),
            parameters: burn(load),
        });
    };
    turn("5%");
    wait_for(&engine, "less", |scene| {
        newest(scene).is_some_and(|it| it.strength == "cores 1, load 5 %")
    });
    let view = agents_word(&world, &first.id);
    assert_eq!((&view.parameters, view.revision), (&burn("5%"), 1));
    turn("21%");
    wait_for(&engine, "the refusal", |scene| {
        let log = scene.drill.as_ref().map(|it| Arc::clone(&it.log));
        log.is_some_and(|log| {
            log.iter()
                .any(|line| line.words.contains("is more than the 20 %"))
        })
    });
    turn("15%");
    wait_for(&engine, "more", |scene| {
        newest(scene).is_some_and(|it| it.strength == "cores 1, load 15 %")
    });
    assert_eq!(agents_word(&world, &first.id).revision, 2);

    engine.ask(Ask::Hold);
    let stage = |scene: &Scene| Some(scene.drill.as_ref()?.hold.as_ref()?.stage);
    let scene = wait_for(&engine, "held", |scene| stage(scene) == Some(HoldStage::Held));
    assert!(
        matches!(scene.ours, Ours::Nothing { proved_ms: Some(_) }),
        "{:?}",
        scene.ours
    );
    assert_eq!(agents_word(&world, &first.id).state, InjectionState::Reverted);
    let drill = scene.drill.clone().unwrap();
    let then = &drill.hold.as_ref().unwrap().then;
    assert!(
        then.len() == 1 && then[0].starts_with("cpu.burn on payments-1 for the 3"),
        "{then:?}"
    );
    assert!(
        drill
            .progress
            .as_ref()
            .unwrap()
            .1
            .starts_with("held: nothing of ours on"),
        "{:?}",
        drill.progress
    );

    engine.ask(Ask::Resume);
    let scene = wait_for(&engine, "on again", |scene| {
        newest(scene).is_some_and(|it| it.id != first.id && it.state == Some(InjectionState::Active))
    });
    let second = newest(&scene).unwrap();
    let view = agents_word(&world, &second.id);
    assert_eq!(view.parameters, burn("15%"), "as strong as it was");
    assert!(view.ends_in_ms < 40_000, "for the time that was left");

    engine.ask(Ask::Finish);
    let scene = wait_for(&engine, "over", |scene| !scene.reviews.is_empty());
    let review = &scene.reviews[0];
    assert_eq!(review.verdict.outcome, Outcome::Held, "{:?}", review.verdict);
    let folder = world.folder.path().join("data/journals");
    let path = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let journal = firedrill_journal::read(&path).unwrap();
    journal.whole().unwrap();
    let changes: Vec<(u64, bool)> = journal
        .entries
        .iter()
        .filter_map(|it| match &it.entry {
            Entry::Change {
                revision, stronger, ..
            } => Some((*revision, *stronger)),
            _ => None,
        })
        .collect();
    assert_eq!(changes, [(1, false), (2, true)]);
    engine.shutdown();
}

fn a_drill_of_which_nothing_can_be_said_is_tried_again() {
    let world = World::new();
    let engine = engine_in(&world, &Arc::new(AtomicUsize::new(0)));
    engine.ask(Ask::Retry);
    wait_for(&engine, "nothing to retry", |scene| {
        scene
            .messages
            .iter()
            .any(|it| it.words.contains("has run no drill yet"))
    });
    // Outside the band: no baseline.
    world.depth.store(7, Ordering::SeqCst);
    engine.ask(Ask::NewPlan(plan(&world)));
    engine.ask(Ask::Begin {
        text: plan(&world),
        experiment: "Nothing happens".to_owned(),
    });
    let scene = wait_for(&engine, "inconclusive", |scene| !scene.reviews.is_empty());
    assert_eq!(scene.reviews[0].verdict.outcome, Outcome::Inconclusive);
    let first = scene.drill.as_ref().unwrap().id.clone();
    world.depth.store(1, Ordering::SeqCst);
    engine.ask(Ask::Retry);
    let scene = wait_for(&engine, "the confirmation", |scene| {
        let drill = scene.drill.as_ref().filter(|it| it.id != first);
        drill.and_then(|it| it.arming.as_ref()).is_some_and(|it| it.ready)
    });
    assert_eq!(scene.drill.as_ref().unwrap().experiment, "Nothing happens");
    engine.shutdown();
}
