//! Random events in a random world: what must always be true.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_drill::{
    AbortedBy, Arming, Call, Command, Effect, Entry, Event, HoldStage, Outcome, Phase, Reading, Reply, replay,
};
use firedrill_wire::{InjectionId, InjectionState, LatchView, ProblemKind, Tick};
use proptest::prelude::*;

use crate::world::{PLAN, World, healthy};

/// Something that may happen to a drill.
#[derive(Clone, Debug)]
enum Act {
    Run(u64),
    Arm,
    Finish,
    Abort,
    AbortElsewhere,
    JournalFails,
    Dies(usize),
    Revives(usize),
    LosesRenewals(usize),
    RefusesStarts(usize),
    LosesStartAnswers(usize),
    RefusesOpen(usize),
    Sticks(usize),
    SilentEnds(usize),
    Latches(usize),
    NoContact(usize),
    Value(usize, f64),
    Silent(usize),
    /// Any injection, to a delay of so many milliseconds: also more than the plan has.
    Turn(usize, u64),
    Hold,
    Resume,
    RefusesChanges(usize),
    LosesChangeAnswers(usize),
    Healthy,
    /// The last journaled word of an agent comes again.
    Echo(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let agent = 0..2_usize;
    prop_oneof![
        12 => (100..4_000_u64).prop_map(Act::Run),
        3 => Just(Act::Arm),
        1 => Just(Act::Finish),
        1 => Just(Act::Abort),
        1 => Just(Act::AbortElsewhere),
        1 => Just(Act::JournalFails),
        1 => agent.clone().prop_map(Act::Dies),
        2 => agent.clone().prop_map(Act::Revives),
        1 => agent.clone().prop_map(Act::LosesRenewals),
        1 => agent.clone().prop_map(Act::RefusesStarts),
        1 => agent.clone().prop_map(Act::LosesStartAnswers),
        1 => agent.clone().prop_map(Act::RefusesOpen),
        1 => agent.clone().prop_map(Act::Sticks),
        2 => agent.clone().prop_map(Act::SilentEnds),
        1 => agent.clone().prop_map(Act::Latches),
        2 => agent.clone().prop_map(Act::NoContact),
        2 => (agent.clone(), 0.0..4.0_f64).prop_map(|(sli, value)| Act::Value(sli, value)),
        1 => agent.prop_map(Act::Silent),
        4 => ((0..4_usize), (1..600_u64)).prop_map(|(index, ms)| Act::Turn(index, ms)),
        2 => Just(Act::Hold),
        3 => Just(Act::Resume),
        1 => (0..2_usize).prop_map(Act::RefusesChanges),
        1 => (0..2_usize).prop_map(Act::LosesChangeAnswers),
        4 => Just(Act::Healthy),
        3 => (0..50_usize).prop_map(Act::Echo),
    ]
}

fn latch() -> LatchView {
    LatchView {
        number: 3,
        reason: "incident".to_owned(),
        who: "Bo".to_owned(),
        since: Tick(0),
    }
}

fn perform(world: &mut World, act: &Act) {
    match *act {
        Act::Run(ms) => world.run(ms),
        Act::Arm => world.command(Command::Arm),
        Act::Finish => world.command(Command::Finish),
        Act::Abort => world.abort(),
        Act::AbortElsewhere => world.command(Command::Abort {
            by: AbortedBy::Elsewhere,
            reason: "x".to_owned(),
        }),
        Act::JournalFails => world.feed(Event::JournalFailed {
            why: "full".to_owned(),
        }),
        Act::Dies(agent) => world.agents[agent].dead = true,
        Act::Revives(agent) => world.agents[agent].dead = false,
        Act::LosesRenewals(agent) => world.agents[agent].loses_renewals = true,
        Act::RefusesStarts(agent) => world.agents[agent].refuses_start = Some(ProblemKind::Policy),
        Act::LosesStartAnswers(agent) => world.agents[agent].loses_start_answers = true,
        Act::RefusesOpen(agent) => world.agents[agent].refuses_open = Some(ProblemKind::Held),
        Act::Sticks(agent) => world.agents[agent].sticks = true,
        Act::SilentEnds(agent) => world.agents[agent].silent_ends = true,
        Act::Latches(agent) => {
            let reply = Reply::Latch { latch: Some(latch()) };
            world.feed(Event::Agent { agent, reply });
        }
        Act::NoContact(agent) => {
            let reply = Reply::Heartbeat {
                rtt_us: None,
                stamp: None,
            };
            world.feed(Event::Agent { agent, reply });
        }
        Act::Value(index, value) => {
            world.read = Box::new(move |sli, _| {
                let reading = Reading::Value {
                    value,
                    rate: Some(40.0),
                };
                if sli == index {
                    Some(reading)
                } else {
                    Some(healthy(sli))
                }
            });
        }
        Act::Silent(index) => {
            world.read = Box::new(move |sli, _| if sli == index { None } else { Some(healthy(sli)) });
        }
        Act::Turn(index, ms) => {
            let injection = world.drill.injections().get(index).map(|it| it.id.clone());
            world.command(Command::Strength {
                injection: injection.unwrap_or_else(|| InjectionId("nobody-knows".to_owned())),
                parameters: serde_json::json!({ "delay": format!("{ms}ms") }),
                by: "Ada".to_owned(),
            });
        }
        Act::Hold => world.command(Command::Hold { by: "Ada".to_owned() }),
        Act::Resume => world.command(Command::Resume { by: "Ada".to_owned() }),
        Act::RefusesChanges(agent) => world.agents[agent].refuses_change = Some(ProblemKind::Policy),
        Act::LosesChangeAnswers(agent) => world.agents[agent].loses_change_answers = true,
        Act::Healthy => world.read = Box::new(|sli, _| Some(healthy(sli))),
        Act::Echo(back) => {
            let words: Vec<Event> = world
                .journal
                .iter()
                .filter_map(|it| match &it.entry {
                    Entry::Event {
                        event: event @ Event::Agent { .. },
                    } => Some(event.clone()),
                    _ => None,
                })
                .collect();
            // An opening's echo would bring the redacted secret, which only the journal has.
            if let Some(event) = words.iter().rev().nth(back)
                && !matches!(
                    event,
                    Event::Agent {
                        reply: Reply::Opened { .. },
                        ..
                    }
                )
            {
                world.feed(event.clone());
            }
        }
    }
}

/// The safety rules over everything that was asked for, in order.
fn check_effects(world: &World) -> Result<(), TestCaseError> {
    let mut stopped = false;
    let mut finished = false;
    let mut closing = false;
    let mut intents = BTreeSet::<InjectionId>::new();
    let mut on_disk = BTreeSet::<InjectionId>::new();
    let mut started = BTreeSet::<InjectionId>::new();
    let mut revisions = BTreeMap::<InjectionId, u64>::new();
    let mut delays = BTreeMap::<InjectionId, u64>::new();
    let mut stronger = BTreeMap::<(InjectionId, u64), bool>::new();
    let mut verdict = None;
    for (_, effect) in &world.effects {
        prop_assert!(
            verdict.is_none() || matches!(effect, Effect::End { .. }),
            "{effect:?} after the verdict"
        );
        match effect {
            Effect::Abort { .. } => stopped = true,
            Effect::Record { entry, durable } => {
                match entry {
                    Entry::Intent { id, .. } => prop_assert!(intents.insert(id.clone())),
                    Entry::Change {
                        id,
                        revision,
                        stronger: true,
                        ..
                    } => drop(stronger.insert((id.clone(), *revision), *durable)),
                    Entry::Judged { what, .. } if what == "finish" => finished = true,
                    Entry::Verdict { verdict: found } => verdict = Some(found.clone()),
                    _ => {}
                }
                if *durable {
                    on_disk.clone_from(&intents);
                }
            }
            Effect::Call { call, .. } => match call {
                Call::Start(id, _) => {
                    prop_assert!(
                        !stopped && !finished && !closing,
                        "a start after the end was decided"
                    );
                    prop_assert!(on_disk.contains(id), "a start without its intent on disk");
                    prop_assert!(started.insert(id.clone()), "the same start twice");
                }
                Call::Change(id, request) => {
                    prop_assert!(!stopped && !finished && !closing, "a change after the end");
                    let before = revisions.insert(id.clone(), request.revision).unwrap_or(0);
                    prop_assert!(request.revision > before, "revisions only grow");
                    let ms = request.parameters["delay"]
                        .as_str()
                        .and_then(|it| it.strip_suffix("ms"));
                    let ms: u64 = ms.and_then(|it| it.parse().ok()).unwrap_or(u64::MAX);
                    prop_assert!(ms <= 400, "more than the plan has: {ms}");
                    let known = delays.insert(id.clone(), ms).unwrap_or(400);
                    let on_disk = stronger.get(&(id.clone(), request.revision));
                    // An answer may have been lost: then what is on may be less than what was sent.
                    prop_assert!(
                        ms <= known || on_disk == Some(&true),
                        "{ms} after {known} without its intent on disk"
                    );
                }
                Call::Open(_) => prop_assert!(!stopped && !finished && !closing),
                Call::Renew(_) => prop_assert!(!stopped, "a renewal after an abort"),
                Call::Close(..) => closing = true,
                Call::Info | Call::Revert(_) => {}
            },
            _ => {}
        }
    }
    let Some(verdict) = verdict else { return Ok(()) };
    prop_assert_eq!(&verdict.unconfirmed, &world.drill.unconfirmed());
    prop_assert!(verdict.outcome != Outcome::Held || verdict.unconfirmed.is_empty());
    prop_assert!(!verdict.reasons.is_empty());
    prop_assert!(
        verdict
            .reasons
            .iter()
            .all(|it| !it.rule.is_empty() && !it.words.is_empty())
    );
    for injection in world.drill.injections() {
        let off = injection.is_off();
        prop_assert!(off || verdict.unconfirmed.contains(&injection.id));
        // The drill's word is the agent's: what it calls reverted is not on there.
        let there = &world.agents[injection.agent].injections;
        if let Some(view) = there.get(injection.id.as_str()) {
            prop_assert!(
                !off || view.state.is_off() || view.reason.is_none(),
                "{:?} is not off",
                injection.id
            );
        }
    }
    Ok(())
}

/// Held: nothing is on at any agent, whatever its answers were.
fn check_held(world: &World) -> Result<(), TestCaseError> {
    let held = world.drill.hold().filter(|it| it.stage != HoldStage::Reverting);
    if held.is_some() {
        for agent in &world.agents {
            let on = agent
                .injections
                .values()
                .find(|it| it.state == InjectionState::Active);
            prop_assert!(on.is_none(), "held, and {on:?}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(acts in prop::collection::vec(act(), 1..40), ask in any::<bool>()) {
        let arming = if ask { Arming::Ask } else { Arming::AtOnce };
        let mut world = World::new(PLAN, arming);
        world.run(6_500);
        for act in &acts {
            perform(&mut world, act);
            check_held(&world)?;
        }
        check_effects(&world)?;
        let replayed = replay(&world.journal, |_, _, _| {}).unwrap();
        prop_assert_eq!(replayed.judgements(), world.drill.judgements());
        prop_assert_eq!(replayed.verdict(), world.drill.verdict());

        // Whatever was done, an abort ends it within its bounds.
        world.abort();
        world.run(40_000);
        prop_assert_eq!(world.drill.phase(), Phase::Verdict);
        check_effects(&world)?;
    }
}
