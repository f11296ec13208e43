//! Preflight, baseline, arming, steps, recovery: when all is well, and each refusal.

use firedrill_drill::{
    Arming, Call, Command, Effect, Entry, Event, Outcome, PREFLIGHT_MS, Phase, Reading, Reply,
};
use firedrill_wire::{LatchView, ProblemKind, Tick};

use crate::world::{PLAN, World, first, healthy};

#[test]
fn a_drill_that_holds() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Held, "{verdict:#?}");
    assert!(verdict.unconfirmed.is_empty());
    assert_eq!(
        first(&verdict),
        "tolerance: 2 SLIs stayed inside tolerance during 2 injections"
    );
    assert_eq!(
        world.phases(),
        [
            Phase::Preflight,
            Phase::Baseline,
            Phase::Arming,
            Phase::Inject,
            Phase::Recover,
            Phase::Closing,
            Phase::Verdict
        ]
    );
    assert_eq!(world.aborts(), [false; 0]);
    assert_eq!(world.starts().len(), 2);
    assert!(world.agents.iter().all(|it| !it.open), "every agent is closed");
    assert!(matches!(world.effects.last(), Some((_, Effect::End { .. }))));
}

#[test]
fn the_first_effects_are_in_order() {
    let world = World::new(PLAN, Arming::AtOnce);
    let kinds: Vec<&str> = world
        .effects
        .iter()
        .map(|(_, effect)| match effect {
            Effect::Record {
                entry: Entry::Made { .. },
                durable: true,
            } => "made",
            Effect::HoldAbortLine { .. } => "line",
            Effect::Call { call: Call::Info, .. } => "info",
            Effect::CheckSource => "source",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["made", "line", "info", "info", "source"]);
}

#[test]
fn every_start_has_its_intent_on_disk_before_it_and_no_secret_in_it() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.verdict();
    let mut written = Vec::new();
    let mut on_disk = 0;
    for (_, effect) in &world.effects {
        match effect {
            Effect::Record { entry, durable } => {
                if let Entry::Intent { id, .. } = entry {
                    written.push(id.clone());
                }
                if *durable {
                    on_disk = written.len();
                }
            }
            Effect::Call {
                call: Call::Start(id, _),
                ..
            } => assert!(written[..on_disk].contains(id)),
            _ => {}
        }
    }
    assert_eq!(written.len(), 2);
    let journal = serde_json::to_string(&world.journal).unwrap();
    assert!(
        !journal.contains("s3cret"),
        "the holder's secret is in the journal"
    );
}

#[test]
fn leases_are_renewed_until_the_close() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.verdict();
    let renewals = world.times(|effect| match effect {
        Effect::Call {
            agent: 0,
            call: Call::Renew(_),
        } => Some(()),
        _ => None,
    });
    let opened = world.drill.began(Phase::Arming).unwrap().mono_us;
    let mut last = opened;
    for (at, ()) in renewals {
        assert!(at - last <= 1_600_000, "a third of 4 s and a tick: {last} → {at}");
        last = at;
    }
    let closed = world.drill.began(Phase::Closing).unwrap().mono_us;
    assert!(closed - last <= 1_600_000);
}

#[test]
fn agents_are_opened_in_the_order_of_their_ids() {
    let mut world = World::prepared(PLAN, Arming::AtOnce, |world| {
        world.agents[0].id = "z".to_owned();
    });
    world.run_to(Phase::Inject);
    let opened = world.times(|effect| match effect {
        Effect::Call {
            agent,
            call: Call::Open(_),
        } => Some(*agent),
        _ => None,
    });
    let order: Vec<usize> = opened.iter().map(|(_, agent)| *agent).collect();
    assert_eq!(order, [1, 0]);
}

#[test]
fn the_card_is_written_before_the_first_opening() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Inject);
    let place = |want: fn(&Effect) -> bool| world.effects.iter().position(|(_, it)| want(it)).unwrap();
    let card = place(|it| matches!(it, Effect::WriteAbortCard));
    let open = place(|it| {
        matches!(
            it,
            Effect::Call {
                call: Call::Open(_),
                ..
            }
        )
    });
    assert!(card < open);
}

#[test]
fn a_person_confirms_the_start() {
    let mut world = World::new(PLAN, Arming::Ask);
    world.run_to(Phase::Arming);
    world.run(10_000);
    assert_eq!(world.drill.phase(), Phase::Arming);
    assert!(world.drill.arming().ready);
    world.command(Command::Arm);
    world.run_to(Phase::Inject);
    let tests = world.times(|it| matches!(it, Effect::TestAbort { .. }).then_some(()));
    assert_eq!(tests.len(), 2, "the tests were fresh enough");
}

#[test]
fn an_old_abort_test_is_repeated_with_a_drill_id_of_its_own() {
    let mut world = World::new(PLAN, Arming::Ask);
    world.run_to(Phase::Arming);
    world.run(61_000);
    world.command(Command::Arm);
    world.run_to(Phase::Inject);
    let tests = world.times(|effect| match effect {
        Effect::TestAbort { drill, .. } => Some(drill.to_string()),
        _ => None,
    });
    let ids: Vec<&str> = tests.iter().map(|(_, id)| id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "d-preflight-a",
            "d-preflight-b",
            "d-preflight-a-2",
            "d-preflight-b-2"
        ]
    );
}

#[test]
fn an_unsteady_system_is_not_armed() {
    let mut world = World::new(PLAN, Arming::Ask);
    world.run_to(Phase::Arming);
    world.read = Box::new(|sli, _| {
        if sli == 1 {
            Some(Reading::Value {
                value: 0.5,
                rate: None,
            })
        } else {
            Some(healthy(sli))
        }
    });
    world.run(2_000);
    assert!(!world.drill.arming().ready);
    world.command(Command::Arm);
    world.run(1_000);
    assert_eq!(world.drill.phase(), Phase::Arming);
    let said = world.drill.judgements().last().unwrap();
    assert_eq!(said.what, "not started");
    assert!(said.reason.words.contains("Latency is tolerated"), "{said:?}");
}

#[test]
fn preflight_names_every_problem_at_once() {
    let mut world = World::prepared(PLAN, Arming::AtOnce, |world| {
        world.agents[0].protocol = 2;
        world.agents[1].fault_available = false;
        world.source = Err("the source answers 503; see whether it runs".to_owned());
    });
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    let words: Vec<&str> = verdict.reasons.iter().map(|it| it.words.as_str()).collect();
    assert!(words.iter().any(|it| it.contains("protocol 2")), "{words:#?}");
    assert!(
        words
            .iter()
            .any(|it| it.contains("cannot do http.latency: no proxy")),
        "{words:#?}"
    );
    assert!(words.iter().any(|it| it.contains("answers 503")), "{words:#?}");
    assert!(world.starts().is_empty());
    let opened = world.times(|it| {
        matches!(
            it,
            Effect::Call {
                call: Call::Open(_),
                ..
            }
        )
        .then_some(())
    });
    assert!(opened.is_empty());
}

#[test]
fn an_agent_that_does_not_answer_ends_preflight_in_time() {
    let mut world = World::prepared(PLAN, Arming::AtOnce, |world| world.agents[1].dead = true);
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(
        first(&verdict).starts_with("preflight: Agent b: no answer within 2 s (no result within 15 s)"),
        "{verdict:#?}"
    );
    assert!(world.now_us / 1_000 < PREFLIGHT_MS + 1_000);
}

#[test]
fn a_latched_agent_is_refused_with_its_reason() {
    let latch = LatchView {
        number: 4,
        reason: "real incident".to_owned(),
        who: "Bo".to_owned(),
        since: Tick(0),
    };
    let mut world = World::prepared(PLAN, Arming::AtOnce, |world| world.agents[0].latch = Some(latch));
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert_eq!(
        first(&verdict),
        "preflight: Agent a: latched by Bo (real incident); release the latch with a reason first"
    );
    let tests = world.times(|it| matches!(it, Effect::TestAbort { agent: 0, .. }).then_some(()));
    assert!(tests.is_empty(), "nothing is tried on a latched agent");
}

#[test]
fn an_abort_path_that_does_not_work_is_a_reason_not_to_start() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.agents[0].abort_test_fails = true;
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert_eq!(first(&verdict), "preflight: Abort path of a: noop did not go");
}

#[test]
fn a_refused_opening_closes_those_that_were_opened() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.agents[1].refuses_open = Some(ProblemKind::Held);
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(
        first(&verdict).starts_with("start refused: b refused the opening"),
        "{verdict:#?}"
    );
    assert!(world.starts().is_empty());
    assert!(!world.agents[0].open, "a was closed");
    assert_eq!(world.aborts(), [false; 0]);
}

#[test]
fn a_latch_found_at_the_opening_is_an_abort_from_elsewhere() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.agents[0].refuses_open = Some(ProblemKind::Latched);
    assert_eq!(world.verdict().outcome, Outcome::Aborted);
}

#[test]
fn no_steady_state_is_inconclusive_after_five_times_the_baseline() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    let mut n = 0;
    world.read = Box::new(move |sli, _| {
        n += 1;
        let value = if n % 6 == 0 { 0.4 } else { 0.1 };
        if sli == 1 {
            Some(Reading::Value { value, rate: None })
        } else {
            Some(healthy(sli))
        }
    });
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(
        first(&verdict).starts_with("baseline: no steady state for 4 s within 20 s"),
        "{verdict:#?}"
    );
    let began = world.drill.began(Phase::Baseline).unwrap();
    assert_eq!((world.now_us - began.mono_us) / 1_000_000, 20);
}

#[test]
fn a_baseline_needs_three_samples() {
    let plan = PLAN.replace("baseline = \"4s\"", "baseline = \"1s\"");
    let mut world = World::new(&plan, Arming::AtOnce);
    world.run_to(Phase::Arming);
    let began = world.drill.began(Phase::Baseline).unwrap().mono_us;
    assert!(world.now_us - began >= 2_000_000);
}

#[test]
fn lanes_run_side_by_side_and_steps_in_sequence() {
    let steps = r#"
[[experiment.step]]
lane = "one"
wait = "3s"
[[experiment.step]]
lane = "two"
inject = "http.latency"
target = { service = "payments", mode = "one", route = "r" }
with = { delay = "400ms" }
for = "2s"
repeat = { times = 3, every = "4s" }
[[experiment.step]]
lane = "one"
inject = "http.latency"
target = { service = "payments", mode = "one", route = "r" }
with = { delay = "400ms" }
for = "2s"
"#;
    let plan = format!("{}{steps}", &PLAN[..PLAN.find("[[experiment.step]]").unwrap()]);
    let mut world = World::new(&plan, Arming::AtOnce);
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Held, "{verdict:#?}");
    let began = world.drill.began(Phase::Inject).unwrap().mono_us;
    let starts: Vec<u64> = world
        .starts()
        .iter()
        .map(|(at, _)| (at - began + 300_000) / 1_000_000)
        .collect();
    assert_eq!(starts, [0, 3, 4, 8], "lane two: 0, 4 and 8 s; lane one: 3 s");
    let planned: Vec<(u64, u64)> = world
        .drill
        .planned()
        .iter()
        .map(|it| (it.from_us / 1_000_000, it.until_us / 1_000_000))
        .collect();
    assert_eq!(planned, [(0, 3), (3, 5), (0, 2), (4, 6), (8, 10)]);
}

#[test]
fn the_next_run_waits_for_the_one_before_to_be_off() {
    let plan = PLAN.replace(
        "for = \"10s\"",
        "for = \"3s\"\nrepeat = { times = 2, every = \"3s\" }",
    );
    let mut world = World::new(&plan, Arming::AtOnce);
    for agent in &mut world.agents {
        agent.silent_ends = true;
    }
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Held, "{verdict:#?}");
    let [first, second] = [&world.drill.injections()[0], &world.drill.injections()[2]];
    assert!(second.asked >= first.off.unwrap());
    let reverts = world.times(|it| {
        matches!(
            it,
            Effect::Call {
                call: Call::Revert(_),
                ..
            }
        )
        .then_some(())
    });
    assert_eq!(reverts.len(), 4, "an end that is not told is asked for");
}

#[test]
fn a_one_shot_is_watched_for_its_time() {
    let plan = PLAN
        .replace("http.latency", "tcp.cut")
        .replace("with = { delay = \"400ms\" }\n", "");
    let mut world = World::new(&plan, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.run(5_000);
    assert!(world.drill.fault_is_on());
    world.read = Box::new(|sli, _| {
        let low = Reading::Value {
            value: 0.5,
            rate: Some(40.0),
        };
        if sli == 0 { Some(low) } else { Some(healthy(sli)) }
    });
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Broken);
    assert!(first(&verdict).starts_with("stop condition"), "{verdict:#?}");
}

#[test]
fn targets_are_chosen_by_the_seed_alone() {
    let plan = PLAN.replace("mode = \"all\"", "mode = \"one\"");
    let pick = |seed| {
        let mut setup = crate::world::setup(&plan, Arming::AtOnce);
        setup.seed = seed;
        let (drill, _) = firedrill_drill::Drill::new(setup, firedrill_drill::At::default());
        drill.chosen()[0].agents.clone()
    };
    assert_eq!(pick(3), pick(3));
    let picks: std::collections::BTreeSet<_> = (0..20).map(pick).collect();
    assert_eq!(picks.len(), 2, "both agents are hit by some seed");
}

#[test]
fn a_note_changes_nothing() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Inject);
    let note = || Command::Note {
        author: "Ada".to_owned(),
        text: "hm".to_owned(),
    };
    world.command(note());
    let before = world.drill.clone();
    let effects = world.drill.step(before.at(), Event::Command { command: note() });
    assert!(effects.is_empty());
    assert_eq!(before, world.drill);
}

#[test]
fn words_of_agents_that_take_no_part_are_ignored() {
    let mut world = World::new(&PLAN.replace("mode = \"all\"", "mode = \"one\""), Arming::AtOnce);
    let other = world.drill.agents().iter().position(|it| !it.needed).unwrap();
    let before = world.drill.clone();
    let reply = Reply::Heartbeat {
        rtt_us: Some(1),
        stamp: None,
    };
    world
        .drill
        .step(before.at(), Event::Agent { agent: other, reply });
    assert_eq!(before, world.drill);
}
