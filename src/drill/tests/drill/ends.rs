//! Finish, abort, lost contact, refusals, read-backs that do not come.

use firedrill_drill::{
    AbortedBy, Arming, Call, Command, Effect, Event, Injection, Outcome, Phase, Reply, UNCONFIRMED_MS,
};
use firedrill_wire::{InjectionState, Instance, LatchView, ProblemKind, Tick};

use crate::world::{PLAN, World, first, healthy};

fn injecting() -> World {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.run(2_000);
    assert_eq!(world.drill.injections().len(), 2);
    world
}

/// Nothing that starts, opens or renews after the first abort.
fn nothing_after_the_abort(world: &World) {
    let stop = world
        .effects
        .iter()
        .position(|(_, it)| matches!(it, Effect::Abort { .. }))
        .expect("an abort");
    for (_, effect) in &world.effects[stop..] {
        if let Effect::Call { call, .. } = effect {
            assert!(
                matches!(call, Call::Revert(_) | Call::Close(..)),
                "{call:?} after the abort"
            );
        }
    }
}

#[test]
fn a_persons_abort_is_told_first_and_latches() {
    let mut world = injecting();
    let before = world.effects.len();
    world.abort();
    assert!(matches!(
        world.effects[before].1,
        Effect::Abort { latch: true, .. }
    ));
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Aborted);
    assert_eq!(first(&verdict), "abort: Ada aborted: enough");
    assert!(verdict.unconfirmed.is_empty());
    assert!(world.drill.injections().iter().all(|it| it.proved == Some(true)));
    nothing_after_the_abort(&world);
}

#[test]
fn an_aborted_drill_gives_the_journals_hash_to_the_agents_that_are_reached() {
    let closes = |world: &World| {
        world.times(|effect| match effect {
            Effect::Call {
                agent,
                call: Call::Close(epoch, _),
            } => Some((*agent, *epoch)),
            _ => None,
        })
    };
    let mut world = injecting();
    world.abort();
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Aborted);
    let given: Vec<usize> = closes(&world).iter().map(|it| it.1.0).collect();
    assert_eq!(given, [0, 1], "each once");
    assert!(world.drill.agents().iter().all(|it| !it.needed || it.closed));

    let mut world = injecting();
    world.agents[1].dead = true;
    world.abort();
    world.verdict();
    let given: Vec<usize> = closes(&world).iter().map(|it| it.1.0).collect();
    assert_eq!(
        given,
        [0],
        "nobody waits for the answer of one that the abort line has not reached"
    );
}

#[test]
fn a_stop_is_on_disk_before_anything_else_follows_from_it() {
    let mut world = injecting();
    let before = world.effects.len();
    world.read = Box::new(|_, _| {
        Some(firedrill_drill::Reading::Value {
            value: 0.0,
            rate: Some(40.0),
        })
    });
    world.run_to(Phase::Closing);
    let mut step = world.effects[before..]
        .iter()
        .map(|(_, effect)| effect)
        .skip_while(|effect| !matches!(effect, Effect::Abort { .. }))
        .skip(1);
    // The bad sample was judged in the same step.
    let follows = step.find(|effect| !matches!(effect, Effect::Record { durable: false, .. }));
    let Some(Effect::Record {
        entry: firedrill_drill::Entry::Judged { what, .. },
        durable: true,
    }) = follows
    else {
        panic!("{follows:?} follows the abort");
    };
    assert_eq!(what, "stop");
}

#[test]
fn a_second_press_is_told_again_and_is_no_second_reason() {
    let mut world = injecting();
    world.abort();
    world.abort();
    let verdict = world.verdict();
    assert_eq!(world.aborts(), [true, true]);
    assert_eq!(verdict.reasons.iter().filter(|it| it.rule == "abort").count(), 1);
}

#[test]
fn an_abort_in_every_phase_ends_the_drill() {
    for phase in [
        Phase::Preflight,
        Phase::Baseline,
        Phase::Arming,
        Phase::Inject,
        Phase::Recover,
    ] {
        let mut world = World::new(PLAN, Arming::Ask);
        if phase > Phase::Arming {
            world.run_to(Phase::Arming);
            world.command(Command::Arm);
        }
        world.run_to(phase);
        world.abort();
        let verdict = world.verdict();
        assert_eq!(verdict.outcome, Outcome::Aborted, "in {phase:?}");
        assert_eq!(world.aborts(), [true]);
        nothing_after_the_abort(&world);
    }
}

#[test]
fn an_abort_after_a_breach_latches_and_the_drill_stays_broken() {
    let mut world = injecting();
    world.read = Box::new(|_, _| {
        Some(firedrill_drill::Reading::Value {
            value: 0.0,
            rate: Some(40.0),
        })
    });
    world.run_to(Phase::Recover);
    world.abort();
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Broken);
    assert_eq!(world.aborts(), [false, true]);
    assert!(verdict.reasons.iter().any(|it| it.rule == "abort"));
}

#[test]
fn finish_is_polite() {
    let mut world = injecting();
    world.command(Command::Finish);
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Held, "{verdict:#?}");
    assert!(verdict.reasons.iter().any(|it| it.rule == "finish"));
    assert_eq!(world.aborts(), [false; 0]);
    assert!(world.agents.iter().all(|it| !it.open && it.latch.is_none()));
    let began = world.drill.began(Phase::Inject).unwrap();
    assert!(world.drill.began(Phase::Recover).unwrap().ms_since(began) < 3_000);
}

#[test]
fn a_start_that_a_finish_overtakes_is_no_refusal() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    for agent in &mut world.agents {
        agent.refuses_start = Some(ProblemKind::Fenced);
    }
    world.run_to(Phase::Inject);
    assert_eq!(world.starts().len(), 2);
    world.command(Command::Finish);
    let verdict = world.verdict();
    assert_eq!(world.aborts(), [false; 0]);
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(
        first(&verdict).contains("no injection became active"),
        "{verdict:#?}"
    );
}

#[test]
fn the_last_revert_is_on_disk() {
    let mut world = injecting();
    world.verdict();
    let reverts = world.times(|effect| match effect {
        Effect::Record {
            entry: firedrill_drill::Entry::Judged { reason, .. },
            durable,
        } if reason.words.contains("reverted and read back") => Some(*durable),
        _ => None,
    });
    assert_eq!(reverts.len(), 2);
    assert!(reverts[1].1, "one wait for both, at the last");
}

#[test]
fn finish_before_anything_was_injected_is_inconclusive() {
    let mut world = World::new(PLAN, Arming::Ask);
    world.run_to(Phase::Arming);
    world.command(Command::Finish);
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert_eq!(
        first(&verdict),
        "finish: ended by a person before anything was injected"
    );
    assert!(world.starts().is_empty());
}

#[test]
fn an_opening_that_is_answered_after_a_finish_is_closed() {
    let mut world = World::new(PLAN, Arming::Ask);
    world.run_to(Phase::Arming);
    world.command(Command::Arm);
    let opening = world.times(|it| {
        matches!(
            it,
            Effect::Call {
                call: Call::Open(_),
                ..
            }
        )
        .then_some(())
    });
    assert_eq!(opening.len(), 1);
    world.command(Command::Finish);
    assert_eq!(world.drill.phase(), Phase::Closing);
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(world.agents.iter().all(|it| !it.open && it.epoch <= 1));
}

#[test]
fn an_agent_that_does_not_answer_its_closing_is_named() {
    let mut world = injecting();
    world.run_to(Phase::Recover);
    world.agents[1].dead = true;
    let verdict = world.verdict();
    assert_eq!(
        verdict.outcome,
        Outcome::Held,
        "nothing of it was on: {verdict:#?}"
    );
    assert!(
        verdict
            .reasons
            .iter()
            .any(|it| it.words.starts_with("b did not answer its closing"))
    );
}

#[test]
fn a_refused_start_stops_on_all() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.agents[1].refuses_start = Some(ProblemKind::Policy);
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(
        first(&verdict).starts_with("start refused: b refused http.latency"),
        "{verdict:#?}"
    );
    assert_eq!(world.aborts(), [false]);
    assert!(verdict.unconfirmed.is_empty());
    assert_eq!(world.drill.injections()[1].state, Some(InjectionState::Refused));
}

#[test]
fn a_start_whose_answer_is_lost_is_aborted_and_read_back() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.agents[0].loses_start_answers = true;
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(first(&verdict).starts_with("contact: the start of http.latency on a was not answered"));
    assert!(verdict.unconfirmed.is_empty(), "{verdict:#?}");
    assert_eq!(world.drill.injections()[0].state, Some(InjectionState::Reverted));
}

#[test]
fn silence_longer_than_a_lease_stops_on_all_and_says_what_is_unconfirmed() {
    let mut world = injecting();
    world.agents[0].dead = true;
    let silent = world.now_us;
    world.run_to(Phase::Closing);
    let took_ms = (world.now_us - silent) / 1_000;
    assert!((1_500..=5_500).contains(&took_ms), "{took_ms} ms");
    let stopped = world.now_us;
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(
        ["contact", "lease"].contains(&verdict.reasons[0].rule.as_str()),
        "{verdict:#?}"
    );
    assert_eq!(verdict.unconfirmed.len(), 1, "the one on the dead agent");
    assert!(verdict.reasons.iter().any(|it| it.rule == "unconfirmed"
        && it.words.contains("by hand") | it.words.contains("firedrill-agent abort")));
    let waited_ms = (world.now_us - stopped) / 1_000;
    // The other agent answers its closing within a tick.
    assert!(
        (UNCONFIRMED_MS..=UNCONFIRMED_MS + 100).contains(&waited_ms),
        "{waited_ms} ms"
    );
    assert_eq!(world.drill.injections()[1].state, Some(InjectionState::Reverted));
}

#[test]
fn nothing_is_started_while_the_abort_line_has_no_contact() {
    let plan = PLAN.replace(
        "[[experiment.step]]\n",
        "[[experiment.step]]\nwait = \"3s\"\n[[experiment.step]]\n",
    );
    let mut world = World::new(&plan, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.run(1_600);
    world.agents[0].dead = true;
    world.run(1_800);
    assert!(world.starts().is_empty(), "due, but without contact");
    world.agents[0].dead = false;
    world.run(1_200);
    assert_eq!(world.starts().len(), 2, "contact is back");
}

#[test]
fn nothing_is_started_blind_and_a_start_is_held_up_for_one_lease_at_the_most() {
    let plan = PLAN.replace(
        "[[experiment.step]]\n",
        "[[experiment.step]]\nwait = \"3s\"\n[[experiment.step]]\n",
    );
    let begun = |blind_ms: u64| {
        let mut world = World::new(&plan, Arming::AtOnce);
        world.run_to(Phase::Inject);
        let back_us = world.now_us + blind_ms * 1_000;
        world.read = Box::new(move |sli, now_us| (now_us >= back_us).then(|| healthy(sli)));
        world
    };
    let mut world = begun(5_000);
    world.run(4_900);
    assert!(world.starts().is_empty(), "due for 1.9 s, but without data");
    world.run(3_000);
    assert_eq!(world.starts().len(), 2, "data is back");

    let mut world = begun(600_000);
    let verdict = world.verdict();
    assert!(world.starts().is_empty());
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(
        first(&verdict).contains("nothing more is started"),
        "{verdict:#?}"
    );
}

#[test]
fn a_lease_that_is_not_renewed_stops_the_drill() {
    let mut world = injecting();
    world.agents[0].loses_renewals = true;
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(
        first(&verdict).starts_with("lease: the lease on a was not renewed in time"),
        "{verdict:#?}"
    );
    assert_eq!(world.aborts(), [false]);
}

#[test]
fn a_refused_renewal_stops_the_drill() {
    let mut world = injecting();
    world.agents[0].open = false;
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(
        first(&verdict).starts_with("lease: a refused the renewal"),
        "{verdict:#?}"
    );
}

#[test]
fn a_latch_from_elsewhere_is_an_abort() {
    let mut world = injecting();
    let latch = LatchView {
        number: 9,
        reason: "real incident".to_owned(),
        who: "Bo".to_owned(),
        since: Tick(0),
    };
    let reply = Reply::Latch { latch: Some(latch) };
    world.feed(Event::Agent { agent: 1, reply });
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Aborted);
    assert_eq!(first(&verdict), "abort: b was latched by Bo: real incident");
    assert_eq!(
        world.aborts(),
        [false],
        "the others are stopped; latches are left to who aborted"
    );
}

#[test]
fn a_refused_renewal_whose_latch_shows_later_was_an_abort() {
    let mut world = injecting();
    world.agents[0].open = false;
    world.agents[0].latch = Some(LatchView {
        number: 9,
        reason: "x".to_owned(),
        who: "Bo".to_owned(),
        since: Tick(0),
    });
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Aborted, "{verdict:#?}");
    assert!(verdict.reasons.iter().any(|it| it.rule == "lease"));
}

#[test]
fn an_abort_from_elsewhere_as_the_conductor_tells_it() {
    let mut world = injecting();
    world.command(Command::Abort {
        by: AbortedBy::Elsewhere,
        reason: "firedrill abort".to_owned(),
    });
    assert_eq!(world.verdict().outcome, Outcome::Aborted);
    assert_eq!(world.aborts(), [false]);
}

#[test]
fn a_journal_that_cannot_be_written_stops_the_drill() {
    let mut world = injecting();
    world.feed(Event::JournalFailed {
        why: "no space left on /var; free some and begin again".to_owned(),
    });
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(first(&verdict).starts_with("journal: no space left"));
    assert_eq!(world.aborts(), [false]);
    nothing_after_the_abort(&world);
}

#[test]
fn a_journal_that_cannot_be_written_before_any_opening_needs_no_abort() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Baseline);
    world.feed(Event::JournalFailed {
        why: "full".to_owned(),
    });
    assert_eq!(world.drill.phase(), Phase::Verdict);
    assert_eq!(world.aborts(), [false; 0]);
}

#[test]
fn a_read_back_that_fails_is_unconfirmed_and_never_held() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.agents[1].sticks = true;
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert_eq!(verdict.unconfirmed.len(), 1);
    assert!(
        verdict
            .reasons
            .iter()
            .any(|it| it.words.contains("pull the plug")),
        "{verdict:#?}"
    );
    assert_eq!(world.aborts(), [false]);
}

#[test]
fn only_the_life_that_started_it_or_its_successor_may_say_it_is_off() {
    let mut world = injecting();
    let injection = world.drill.injections()[0].clone();
    let mut view = world.agents[0].injections[injection.id.as_str()].clone();
    view.state = InjectionState::Reverted;

    let mut foreign = view.clone();
    foreign.started_by = Instance::from("another");
    let mut other_epoch = view.clone();
    other_epoch.epoch.0 += 1;
    let mut other_agent = view.clone();
    other_agent.stamp.agent = "another".into();
    let mut lives_on = view.clone();
    lives_on.stamp.instance = Instance::from("a-2");
    lives_on.state = InjectionState::Reverting;
    for view in [foreign, other_epoch, other_agent, lives_on] {
        let reply = Reply::Injection { view: Box::new(view) };
        world.feed(Event::Agent { agent: 0, reply });
        assert_eq!(world.drill.injections()[0], injection, "not believed");
    }
    view.stamp.instance = Instance::from("a-2");
    view.reason = Some("restart".to_owned());
    let reply = Reply::Injection { view: Box::new(view) };
    world.feed(Event::Agent { agent: 0, reply });
    assert_eq!(world.drill.injections()[0].state, Some(InjectionState::Reverted));
}

#[test]
fn a_state_never_goes_back() {
    let mut world = injecting();
    world.run_to(Phase::Recover);
    let injection = world.drill.injections()[0].clone();
    assert!(injection.is_off());
    let mut view = world.agents[0].injections[injection.id.as_str()].clone();
    view.state = InjectionState::Active;
    let reply = Reply::Injection { view: Box::new(view) };
    world.feed(Event::Agent { agent: 0, reply });
    assert_eq!(world.drill.injections()[0].state, Some(InjectionState::Reverted));
}

#[test]
fn an_agent_that_was_restarted_stops_the_drill() {
    let mut world = injecting();
    let mut info = world.drill.agents()[0].info.clone().unwrap();
    info.stamp.instance = Instance::from("a-2");
    let reply = Reply::Info { result: Ok(info) };
    world.feed(Event::Agent { agent: 0, reply });
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(
        first(&verdict).starts_with("contact: a was restarted"),
        "{verdict:#?}"
    );
}

#[test]
fn an_injection_that_ends_before_its_time_stops_the_drill() {
    let mut world = injecting();
    let id = world.drill.injections()[0].id.clone();
    let mut view = world.agents[0].injections[id.as_str()].clone();
    view.state = InjectionState::Reverted;
    view.reason = Some("lease".to_owned());
    let reply = Reply::Injection { view: Box::new(view) };
    world.feed(Event::Agent { agent: 0, reply });
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(
        first(&verdict).contains("ended before its time: lease"),
        "{verdict:#?}"
    );
}

#[test]
fn nothing_changes_after_the_verdict() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.verdict();
    let before = world.drill.clone();
    for event in [
        Event::Tick,
        Event::Command {
            command: Command::Arm,
        },
        Event::JournalFailed { why: "x".to_owned() },
    ] {
        assert!(world.drill.step(before.at(), event).is_empty());
    }
    assert_eq!(before, world.drill);
    assert!(world.drill.injections().iter().all(Injection::is_off));
}
