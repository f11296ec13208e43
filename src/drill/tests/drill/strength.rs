//! Less acts at once, more only with every guardrail and with its intent on disk; never more than the plan has.

use firedrill_drill::{Arming, Call, Command, Drill, Effect, Entry, Event, Outcome, Phase, Reply, replay};
use firedrill_wire::{InjectionId, ProblemKind};
use serde_json::json;

use crate::world::{PLAN, World, healthy};

/// In the midst of a fault of 400 ms on two agents.
fn injecting() -> World {
    injecting_with(PLAN)
}

fn injecting_with(plan: &str) -> World {
    let mut world = World::new(plan, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.run(1_000);
    world
}

fn first(drill: &Drill) -> InjectionId {
    drill.injections()[0].id.clone()
}

fn turn(world: &mut World, delay: &str) {
    let injection = first(&world.drill);
    world.command(Command::Strength {
        injection,
        parameters: json!({ "delay": delay }),
        by: "Ada".to_owned(),
    });
}

/// What was sent of changes: the revision and the delay; and whether its record was in front of it and on disk.
fn sent(world: &World) -> Vec<(u64, String, bool)> {
    let mut on_disk = Vec::new();
    let mut sent = Vec::new();
    for (_, effect) in &world.effects {
        match effect {
            Effect::Record {
                entry: Entry::Change { revision, .. },
                durable: true,
            } => on_disk.push(*revision),
            Effect::Call {
                call: Call::Change(_, request),
                ..
            } => sent.push((
                request.revision,
                request.parameters["delay"].as_str().unwrap().to_owned(),
                on_disk.contains(&request.revision),
            )),
            _ => {}
        }
    }
    sent
}

fn said(world: &World, what: &str) -> String {
    let all = world.drill.judgements().iter().rev();
    all.clone()
        .find(|it| it.what == what)
        .map_or_else(String::new, |it| {
            format!("{}: {}", it.reason.rule, it.reason.words)
        })
}

#[test]
fn less_acts_at_once_and_more_is_on_disk_first() {
    let mut world = injecting();
    turn(&mut world, "200ms");
    assert_eq!(
        said(&world, "strength"),
        "strength: Ada turns http.latency on a down: 400 ms to 200 ms"
    );
    let on = &world.drill.injections()[0].strength;
    assert_eq!(
        (&on.now["delay"], on.revision),
        (&json!("400ms"), 0),
        "shown is what the agent said"
    );
    assert_eq!(on.asked.as_ref().unwrap().parameters["delay"], "200ms");
    world.run(500);
    let on = &world.drill.injections()[0].strength;
    assert_eq!(
        (&on.now["delay"], on.revision, &on.asked),
        (&json!("200ms"), 1, &None)
    );
    assert_eq!(
        said(&world, "strength"),
        "strength: http.latency on a is at 200 ms, as Ada asked"
    );
    turn(&mut world, "300ms");
    world.run(500);
    assert_eq!(world.drill.injections()[0].strength.now["delay"], "300ms");
    assert_eq!(
        sent(&world),
        [(1, "200ms".to_owned(), false), (2, "300ms".to_owned(), true)]
    );
    let less = world.effects.iter().position(|(_, it)| {
        matches!(
            it,
            Effect::Record {
                entry: Entry::Change { .. },
                durable: false
            }
        )
    });
    let call = world.effects.iter().position(|(_, it)| {
        matches!(
            it,
            Effect::Call {
                call: Call::Change(..),
                ..
            }
        )
    });
    assert!(call < less, "less is sent first and recorded after");
    assert!(
        world.drill.injections()[1].strength.revision == 0,
        "the other agent's is as it was"
    );
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Held);
    assert!(
        verdict
            .reasons
            .iter()
            .any(|it| it.words.contains("is at 200 ms, as Ada asked")),
        "{verdict:#?}"
    );
    let replayed = replay(&world.journal, |_, _, _| {}).unwrap();
    assert_eq!(replayed.injections(), world.drill.injections());
}

#[test]
fn never_more_than_the_plan_has_and_nothing_but_the_strength() {
    let mut world = injecting();
    turn(&mut world, "401ms");
    assert!(
        said(&world, "not changed").contains("401 ms of delay is more than the 400 ms"),
        "{}",
        said(&world, "not changed")
    );
    assert!(said(&world, "not changed").starts_with("plan: http.latency on a, asked for by Ada"));
    let injection = first(&world.drill);
    world.command(Command::Strength {
        injection,
        parameters: json!({ "delay": "100ms", "path": "/x" }),
        by: "Ada".to_owned(),
    });
    assert!(said(&world, "not changed").contains("only delay may be changed"));
    world.command(Command::Strength {
        injection: InjectionId("of-another-drill".to_owned()),
        parameters: json!({ "delay": "100ms" }),
        by: "Ada".to_owned(),
    });
    assert!(said(&world, "not changed").contains("has no injection of-another-drill"));
    assert_eq!(sent(&world), []);
}

#[test]
fn what_has_no_strength_is_on_or_off() {
    let plan = PLAN
        .replace("http.latency", "tcp.refuse")
        .replace("with = { delay = \"400ms\" }\n", "");
    let mut world = World::prepared(&plan, Arming::AtOnce, |world| {
        for agent in &mut world.agents {
            agent.faults.push("tcp.refuse".to_owned());
        }
    });
    world.run_to(Phase::Inject);
    world.run(1_000);
    turn(&mut world, "1ms");
    assert_eq!(
        said(&world, "not changed"),
        "strength: tcp.refuse on a, asked for by Ada: it has no strength, it is on or off"
    );
}

#[test]
fn more_asks_every_guardrail_again_and_names_the_rule() {
    let plan = PLAN.replace(
        "[guardrails]\n",
        "[guardrails]\nalertmanager = \"http://127.0.0.1:9093\"\n",
    );
    let mut world = injecting_with(&plan);
    turn(&mut world, "100ms");
    world.run(500);
    // Known in the same moment as it is asked for: the drill is stopped by its tick, the strengthening is refused now.
    world.feed(Event::AlertsChecked {
        result: Ok(vec!["HighLatency".to_owned()]),
    });
    turn(&mut world, "200ms");
    let words = said(&world, "not changed");
    assert!(
        words.starts_with("guardrail alerts: http.latency on a, asked for by Ada: 1 alert open: HighLatency"),
        "{words}"
    );
    turn(&mut world, "50ms");
    assert_eq!(sent(&world).last().unwrap().1, "50ms", "less is never refused");
}

#[test]
fn nothing_is_made_stronger_blind_or_without_contact() {
    let mut world = injecting();
    turn(&mut world, "100ms");
    world.run(300);
    world.feed(Event::Agent {
        agent: 1,
        reply: Reply::Heartbeat {
            rtt_us: None,
            stamp: None,
        },
    });
    turn(&mut world, "200ms");
    assert!(
        said(&world, "not changed").starts_with("contact: "),
        "{}",
        said(&world, "not changed")
    );
    world.run(1_500);
    turn(&mut world, "200ms");
    assert_eq!(sent(&world).len(), 2, "contact is back");
    world.read = Box::new(|sli, _| (sli == 0).then(|| healthy(0)));
    world.run(3_000);
    turn(&mut world, "300ms");
    assert_eq!(
        said(&world, "not changed"),
        "no data: http.latency on a, asked for by Ada: nothing is made stronger while Latency has no data"
    );
}

#[test]
fn nothing_is_changed_once_an_end_is_decided() {
    let mut world = injecting();
    turn(&mut world, "100ms");
    world.run(300);
    world.abort();
    turn(&mut world, "200ms");
    turn(&mut world, "50ms");
    assert_eq!(sent(&world).len(), 1);
    assert!(said(&world, "not changed").contains("only while the drill injects"));
}

#[test]
fn while_one_is_on_its_way_more_waits_for_its_answer_and_less_follows_it() {
    let mut world = injecting();
    turn(&mut world, "300ms");
    turn(&mut world, "350ms");
    assert_eq!(
        said(&world, "not changed"),
        "strength: http.latency on a, asked for by Ada: a change is on its way; wait for its answer"
    );
    turn(&mut world, "200ms");
    turn(&mut world, "100ms");
    assert_eq!(sent(&world).len(), 1);
    world.run(500);
    let all: Vec<String> = sent(&world).into_iter().map(|it| it.1).collect();
    assert_eq!(all, ["300ms", "100ms"], "the last that was asked for");
    assert_eq!(world.drill.injections()[0].strength.now["delay"], "100ms");
}

#[test]
fn less_that_is_not_answered_is_asked_for_again_and_more_is_not() {
    let mut world = injecting();
    world.agents[0].loses_change_answers = true;
    turn(&mut world, "200ms");
    world.run(500);
    assert_eq!(sent(&world).iter().map(|it| it.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(said(&world, "not changed").contains("no answer within 2 s"));
    assert_eq!(
        world.drill.injections()[0].strength.now["delay"],
        "400ms",
        "nobody has said so"
    );
    let view = Box::new(world.agents[0].injections.values().next().unwrap().clone());
    world.feed(Event::Agent {
        agent: 0,
        reply: Reply::Injection { view },
    });
    assert_eq!(world.drill.injections()[0].strength.now["delay"], "200ms");
    turn(&mut world, "300ms");
    world.run(500);
    assert_eq!(sent(&world).len(), 4);
}

#[test]
fn an_agents_refusal_is_said_and_a_latch_stops_the_drill() {
    let mut world = injecting();
    world.agents[0].refuses_change = Some(ProblemKind::Policy);
    turn(&mut world, "200ms");
    world.run(500);
    assert!(said(&world, "not changed").starts_with("agent: http.latency on a to 200 ms: "));
    assert!(!world.drill.is_ending());
    world.agents[0].refuses_change = Some(ProblemKind::Latched);
    turn(&mut world, "200ms");
    world.run(500);
    assert_eq!(world.verdict().outcome, Outcome::Aborted);
}
