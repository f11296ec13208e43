//! A hold: everything is taken back, the clock of the steps stands, and a new baseline comes before anything is on.

use firedrill_drill::{
    Arming, Call, Command, Effect, Event, HoldStage, Outcome, Phase, Reading, Reply, replay,
};
use firedrill_wire::InjectionState;
use serde_json::json;

use crate::world::{PLAN, World, healthy};

fn hold(world: &mut World) {
    world.command(Command::Hold { by: "Ada".to_owned() });
}

fn resume(world: &mut World) {
    world.command(Command::Resume {
        by: "Grace".to_owned(),
    });
}

fn stage(world: &World) -> Option<HoldStage> {
    world.drill.hold().map(|it| it.stage)
}

fn said(world: &World, what: &str) -> String {
    let all = world.drill.judgements().iter().rev();
    all.clone()
        .find(|it| it.what == what)
        .map_or_else(String::new, |it| {
            format!("{}: {}", it.reason.rule, it.reason.words)
        })
}

/// What was started: when, for how long, and how strong.
fn starts(world: &World) -> Vec<(u64, u64, serde_json::Value)> {
    let all = world.times(|effect| match effect {
        Effect::Call {
            call: Call::Start(_, request),
            ..
        } => Some((request.ends_in_ms, request.parameters["delay"].clone())),
        _ => None,
    });
    all.into_iter().map(|(at, (ms, delay))| (at, ms, delay)).collect()
}

/// Four seconds into a fault of ten.
fn held() -> World {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.run(4_000);
    hold(&mut world);
    world
}

#[test]
fn a_hold_takes_everything_back_and_stops_the_clock() {
    let mut world = held();
    assert_eq!(stage(&world), Some(HoldStage::Reverting));
    assert_eq!(
        said(&world, "hold"),
        "hold: Ada holds the drill: 2 faults taken back, and the clock of the steps stands"
    );
    world.run(500);
    assert_eq!(stage(&world), Some(HoldStage::Held));
    assert!(
        world
            .drill
            .injections()
            .iter()
            .all(|it| it.state == Some(InjectionState::Reverted))
    );
    assert_eq!(world.aborts(), [false; 0], "nothing latches, nothing is aborted");
    let (_, words) = world.drill.progress(world.at()).unwrap();
    assert!(
        words.starts_with("held: nothing of ours on; the clock stands at "),
        "{words}"
    );
    world.run(60_000);
    assert_eq!(
        (world.drill.phase(), stage(&world)),
        (Phase::Inject, Some(HoldStage::Held)),
        "for as long as it takes"
    );
    assert_eq!(world.drill.progress(world.at()).unwrap().1, words);
    assert_eq!(starts(&world).len(), 2);
}

#[test]
fn resuming_takes_a_new_baseline_and_goes_on_for_the_time_that_was_left() {
    let mut world = held();
    world.run(7_000);
    let resumed_us = world.now_us;
    resume(&mut world);
    assert!(matches!(stage(&world), Some(HoldStage::Baseline { .. })));
    world.run(3_000);
    assert_eq!(starts(&world).len(), 2, "4 s of baseline come first");
    world.run(3_000);
    assert_eq!(stage(&world), None);
    let all = starts(&world);
    assert_eq!(all.len(), 4);
    for (at, ms, delay) in &all[2..] {
        assert!(*at >= resumed_us + 4_000_000);
        assert!((5_900..=6_100).contains(ms), "{ms} ms of 10 s were left");
        assert_eq!(delay, "400ms");
    }
    let began = world.drill.began(Phase::Inject).unwrap().mono_us;
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Held, "{verdict:#?}");
    let recover = world.drill.began(Phase::Recover).unwrap().mono_us;
    let [(from, until)] = world.drill.holds()[..] else {
        panic!("one hold")
    };
    let on_ms = (recover - began - (until - from)) / 1_000;
    assert!((9_900..=11_500).contains(&on_ms), "on for {on_ms} ms in all");
    let replayed = replay(&world.journal, |_, _, _| {}).unwrap();
    assert_eq!(
        (replayed.judgements(), replayed.holds()),
        (world.drill.judgements(), world.drill.holds())
    );
}

#[test]
fn it_is_as_strong_as_it_was_when_it_was_held() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.run(1_000);
    let injection = world.drill.injections()[0].id.clone();
    world.command(Command::Strength {
        injection,
        parameters: json!({ "delay": "150ms" }),
        by: "Ada".to_owned(),
    });
    world.run(1_000);
    hold(&mut world);
    world.run(1_000);
    resume(&mut world);
    world.run(7_000);
    let delays: Vec<_> = starts(&world).into_iter().map(|it| it.2).collect();
    assert_eq!(delays, ["400ms", "400ms", "150ms", "400ms"]);
    // And back up to what the plan asked for, with Apply.
    let injection = world.drill.injections()[2].id.clone();
    world.command(Command::Strength {
        injection,
        parameters: json!({ "delay": "400ms" }),
        by: "Ada".to_owned(),
    });
    world.run(500);
    assert_eq!(world.drill.injections()[2].strength.now["delay"], "400ms");
}

#[test]
fn waits_and_repeats_stand_too() {
    let plan = PLAN.replace(
        "for = \"10s\"\n",
        "for = \"1s\"\nrepeat = { times = 2, every = \"6s\" }\n",
    );
    let mut world = World::new(&plan, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.run(3_000);
    // Between two runs: nothing is on.
    hold(&mut world);
    world.run(20_000);
    assert_eq!(starts(&world).len(), 2);
    resume(&mut world);
    world.run(6_000);
    assert_eq!(
        (stage(&world), starts(&world).len()),
        (None, 2),
        "3 s of the pause are left"
    );
    world.run(3_500);
    assert_eq!(starts(&world).len(), 4);
    assert_eq!(world.verdict().outcome, Outcome::Held);
}

#[test]
fn it_is_not_held_before_it_injects_nor_resumed_before_it_is_off() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Baseline);
    hold(&mut world);
    assert!(said(&world, "not held").contains("only while the drill injects"));
    resume(&mut world);
    assert_eq!(
        said(&world, "not resumed"),
        "hold: asked for by Grace: nothing is held"
    );
    world.run_to(Phase::Inject);
    world.run(2_000);
    hold(&mut world);
    resume(&mut world);
    assert_eq!(
        said(&world, "not resumed"),
        "hold: asked for by Grace: not before everything is read back as off"
    );
    hold(&mut world);
    assert!(said(&world, "not held").contains("it is held already"));
}

#[test]
fn without_a_steady_state_it_stays_held_and_may_be_resumed_again() {
    let mut world = held();
    world.run(1_000);
    world.read = Box::new(|_, _| {
        Some(Reading::Value {
            value: 0.5,
            rate: Some(40.0),
        })
    });
    resume(&mut world);
    world.run(21_000);
    assert_eq!(stage(&world), Some(HoldStage::Held), "five times the baseline");
    assert!(said(&world, "not resumed").starts_with("baseline: held on, no new baseline of 4 s within 20 s"));
    world.read = Box::new(|sli, _| Some(healthy(sli)));
    resume(&mut world);
    world.run(6_000);
    assert_eq!((stage(&world), starts(&world).len()), (None, 4));
}

#[test]
fn guardrails_hold_up_the_resuming_and_do_not_end_what_has_nothing_on() {
    let plan = PLAN.replace(
        "[guardrails]\n",
        "[guardrails]\nalertmanager = \"http://127.0.0.1:9093\"\n",
    );
    let mut world = World::new(&plan, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.run(2_000);
    hold(&mut world);
    world.run(500);
    world.alerts = Ok(vec!["HighLatency".to_owned()]);
    world.run(20_000);
    assert_eq!(
        stage(&world),
        Some(HoldStage::Held),
        "{:#?}",
        world.drill.judgements().last()
    );
    resume(&mut world);
    assert!(said(&world, "not resumed").starts_with("guardrail alerts: asked for by Grace: 1 alert open"));
    world.alerts = Ok(Vec::new());
    world.run(20_000);
    resume(&mut world);
    // One that comes during the baseline holds it up as well.
    world.feed(Event::AlertsChecked {
        result: Ok(vec!["Late".to_owned()]),
    });
    world.alerts = Ok(vec!["Late".to_owned()]);
    world.run(21_000);
    assert_eq!((stage(&world), starts(&world).len()), (Some(HoldStage::Held), 2));
}

#[test]
fn finish_abort_and_lost_contact_end_a_hold() {
    let mut world = held();
    world.run(1_000);
    world.command(Command::Finish);
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Held, "{verdict:#?}");
    assert_eq!(world.aborts(), [false; 0]);

    for held_for_ms in [0, 1_000, 3_000] {
        let mut world = held();
        world.run(held_for_ms);
        resume(&mut world);
        world.run(1_000);
        world.abort();
        assert!(world.drill.hold().is_none());
        assert_eq!(world.verdict().outcome, Outcome::Aborted);
        assert_eq!(starts(&world).len(), 2, "nothing starts after an abort");
    }

    let mut world = held();
    world.run(1_000);
    world.agents[0].dead = true;
    world.run(15_000);
    assert_eq!(world.verdict().outcome, Outcome::Inconclusive);
}

#[test]
fn a_breach_while_it_is_being_taken_back_stops_the_drill() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.run(2_000);
    // Reverts are not answered for a while.
    for agent in &mut world.agents {
        agent.loses_reverts = true;
    }
    hold(&mut world);
    world.read = Box::new(|sli, _| {
        Some(Reading::Value {
            value: if sli == 0 { 0.5 } else { 0.1 },
            rate: Some(40.0),
        })
    });
    world.run(4_000);
    assert_eq!(world.aborts(), [false]);
    assert!(world.drill.hold().is_none());
    assert_eq!(world.verdict().outcome, Outcome::Broken);
}

#[test]
fn a_start_on_its_way_is_taken_back_by_a_hold_and_begun_anew() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.agents[0].refuses_start = Some(firedrill_wire::ProblemKind::Fenced);
    world.run_to(Phase::Inject);
    // In the same moment: the starts are sent and not answered.
    hold(&mut world);
    world.run(2_000);
    assert_eq!(
        stage(&world),
        Some(HoldStage::Held),
        "{:#?}",
        world.drill.judgements().last()
    );
    world.agents[0].refuses_start = None;
    resume(&mut world);
    world.run(6_000);
    let all = starts(&world);
    assert_eq!(all.len(), 4);
    assert!(
        all.iter().all(|it| it.1 >= 9_900),
        "the whole time was left: {all:?}"
    );
}

#[test]
fn what_ended_by_itself_in_the_same_moment_is_not_begun_again() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.run(9_700);
    hold(&mut world);
    world.run(1_000);
    resume(&mut world);
    assert_eq!(world.verdict().outcome, Outcome::Held);
    assert_eq!(starts(&world).len(), 2);
}

#[test]
fn a_word_of_abort_from_elsewhere_stops_a_held_drill() {
    let mut world = held();
    world.run(1_000);
    let latch = firedrill_wire::LatchView {
        number: 3,
        reason: "incident".to_owned(),
        who: "Bo".to_owned(),
        since: firedrill_wire::Tick(0),
    };
    world.feed(Event::Agent {
        agent: 0,
        reply: Reply::Latch { latch: Some(latch) },
    });
    assert_eq!(world.verdict().outcome, Outcome::Aborted);
}
