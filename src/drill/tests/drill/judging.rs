//! Bad samples, stop conditions, tolerance, freshness, minimum traffic.

use firedrill_drill::{Arming, Effect, Entry, Event, Outcome, Phase, Reading, Sample, SliState};

use crate::world::{PLAN, QUICK, World, first, healthy};

/// Reads `values` second by second from the fault's begin on, the last one for ever; healthy before it and
/// once `off` seconds have passed.
fn scripted(world: &mut World, sli: usize, values: &'static [Option<f64>], off_s: u64) {
    world.run_to(Phase::Inject);
    world.run(600);
    let from = world.now_us;
    world.read = Box::new(move |index, now| {
        let second = (now - from) / 1_000_000;
        if index != sli || second >= off_s {
            return Some(healthy(index));
        }
        let value = values[(second as usize).min(values.len() - 1)];
        value.map(|value| Reading::Value {
            value,
            rate: Some(40.0),
        })
    });
}

#[test]
fn two_bad_samples_in_a_row_stop_on_all_agents_at_once() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    scripted(&mut world, 0, &[Some(0.5)], 4);
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Broken);
    assert_eq!(
        first(&verdict),
        "stop condition: Success is 50 %, safe is at least 90 %; 2 bad samples in a row"
    );
    assert_eq!(world.aborts(), [false], "a breach does not latch");
    assert!(
        world
            .drill
            .injections()
            .iter()
            .all(firedrill_drill::Injection::is_off)
    );
    assert_eq!(world.drill.bad_samples().len(), 2);
    assert_eq!(
        world.phases()[3..],
        [Phase::Inject, Phase::Closing, Phase::Recover, Phase::Verdict],
        "the recovery is watched"
    );
    assert!(world.drill.harm_ms() >= 1_000);
}

#[test]
fn the_stop_comes_before_its_records() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    scripted(&mut world, 0, &[Some(0.5)], 4);
    world.verdict();
    let stop = world
        .effects
        .iter()
        .position(|(_, it)| matches!(it, Effect::Abort { .. }))
        .unwrap();
    let at = world.effects[stop].0;
    let before: Vec<_> = world.effects[..stop]
        .iter()
        .filter(|(time, _)| *time == at)
        .collect();
    assert!(before.is_empty(), "{before:?}");
    assert!(matches!(
        &world.effects[stop + 1].1,
        Effect::Record { entry: Entry::Judged { what, .. }, .. } if what == "tolerance" || what == "bad sample"
    ));
}

#[test]
fn a_good_sample_between_bad_ones_starts_the_row_anew() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    scripted(
        &mut world,
        0,
        &[
            Some(0.5),
            Some(0.96),
            Some(0.5),
            Some(0.96),
            Some(0.5),
            Some(0.99),
        ],
        9,
    );
    let verdict = world.verdict();
    assert_eq!(world.aborts(), [false; 0]);
    assert_eq!(verdict.outcome, Outcome::Broken, "out of tolerance all the same");
    assert!(
        first(&verdict).starts_with("tolerance: Success is 50 %"),
        "{verdict:#?}"
    );
    assert_eq!(world.drill.bad_samples().len(), 3);
}

#[test]
fn each_sli_has_its_own_number_of_bad_samples() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    scripted(&mut world, 1, &[Some(2.5), Some(2.5), Some(1.0)], 6);
    world.verdict();
    assert_eq!(world.aborts(), [false; 0], "latency stops at three");

    let mut world = World::new(PLAN, Arming::AtOnce);
    scripted(&mut world, 1, &[Some(2.5)], 6);
    world.verdict();
    assert_eq!(world.aborts(), [false]);
    assert_eq!(world.drill.bad_samples().len(), 3);
}

#[test]
fn leaving_tolerance_breaks_the_hypothesis_and_the_drill_goes_on() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    scripted(&mut world, 0, &[Some(0.93)], 3);
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Broken);
    assert_eq!(
        first(&verdict),
        "tolerance: Success is 93 %, the hypothesis allows at least 95 %"
    );
    let lasted = world
        .drill
        .began(Phase::Recover)
        .unwrap()
        .ms_since(world.drill.began(Phase::Inject).unwrap());
    assert!(lasted >= 10_000, "the step ran to its end: {lasted} ms");
}

#[test]
fn samples_outside_the_band_but_tolerated_hold() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    scripted(&mut world, 0, &[Some(0.96)], 9);
    world.run(2_000);
    assert_eq!(world.drill.slis()[0].state, SliState::Tolerated);
    assert_eq!(world.verdict().outcome, Outcome::Held);
}

#[test]
fn no_new_samples_count_as_bad_and_stop_blind() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    scripted(&mut world, 0, &[None], 100);
    let silent_from = world.now_us;
    world.run_to(Phase::Closing);
    let took = world.now_us - silent_from;
    assert!(
        (2_000_000..=4_500_000).contains(&took),
        "stale after two intervals, then one more: {took}"
    );
    assert_eq!(world.drill.bad_samples().len(), 2);
    assert!(world.drill.bad_samples().iter().all(|it| it.value.is_none()));
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(
        first(&verdict).starts_with("no data: Success has no data: the newest sample is"),
        "{verdict:#?}"
    );
}

/// Found by the simulator: the first samples after an outage make the source's interval look long, for a moment.
#[test]
fn an_outage_before_the_start_does_not_hide_a_later_one() {
    let mut world = World::prepared(PLAN, Arming::AtOnce, |world| {
        world.read = Box::new(|sli, now| (!(1_000_000..=6_000_000).contains(&now)).then(|| healthy(sli)));
    });
    scripted(&mut world, 0, &[None], 100);
    let silent_from = world.now_us;
    world.run_to(Phase::Closing);
    let took = world.now_us - silent_from;
    assert!(took <= 5_000_000, "blind for {} ms", took / 1_000);
}

/// Found by the simulator: a console thaws, and the first that it hears is that the source has no data.
#[test]
fn no_data_after_a_suspension_does_not_make_up_for_what_was_missed() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.run(2_600);
    world.now_us += 4_000_000;
    let samples = (0..2).map(|sli| Sample {
        sli,
        source_ms: 5_000_000 + (world.now_us / 1_000).cast_signed(),
        age_ms: 5,
        reading: Reading::NoData {
            why: "it does not answer".to_owned(),
        },
    });
    let samples = samples.collect();
    world.feed(Event::Samples { samples });
    assert_eq!(
        world.drill.phase(),
        Phase::Closing,
        "{:#?}",
        world.drill.bad_samples()
    );
}

#[test]
fn samples_without_data_stop_blind() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.read = Box::new(|sli, _| match sli {
        0 => Some(Reading::NoData {
            why: "the source answers HTML".to_owned(),
        }),
        _ => Some(healthy(sli)),
    });
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert_eq!(
        first(&verdict),
        "no data: Success has no data: the source answers HTML; 2 in a row"
    );
}

#[test]
fn too_little_traffic_is_no_data() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.read = Box::new(|sli, _| match sli {
        0 => Some(Reading::Value {
            value: 1.0,
            rate: Some(2.0),
        }),
        _ => Some(healthy(sli)),
    });
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(
        first(&verdict).contains("only 2 /s of traffic, at least 5 /s are needed"),
        "{verdict:#?}"
    );
}

#[test]
fn a_value_that_is_no_number_is_no_data() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.read = Box::new(|sli, _| match sli {
        1 => Some(Reading::Value {
            value: f64::NAN,
            rate: None,
        }),
        _ => Some(healthy(sli)),
    });
    assert_eq!(world.verdict().outcome, Outcome::Inconclusive);
}

#[test]
fn an_sli_that_never_stops_by_value_still_stops_without_data() {
    let plan = PLAN.replace("stop = { max = 2.0, after = 3 }", "stop = \"never\"");
    let mut world = World::new(&plan, Arming::AtOnce);
    scripted(&mut world, 1, &[Some(99.0)], 5);
    world.verdict();
    assert_eq!(world.aborts(), [false; 0]);

    let mut world = World::new(&plan, Arming::AtOnce);
    scripted(&mut world, 1, &[None], 100);
    world.verdict();
    assert_eq!(world.aborts(), [false]);
}

#[test]
fn a_slow_source_is_judged_by_its_own_interval() {
    let plan = PLAN.replace("baseline = \"4s\"", "baseline = \"10s\"");
    let mut world = World::new(&plan, Arming::AtOnce);
    world.read = Box::new(|sli, now| ((now / 1_000_000) % 5 == 0).then(|| healthy(sli)));
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Held, "{verdict:#?}");
    assert_eq!(world.drill.slis()[0].interval_ms, Some(5_000));
    assert!(world.drill.bad_samples().is_empty());
}

#[test]
fn the_same_source_sample_twice_is_one() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.run(600);
    let sample = Sample {
        sli: 0,
        source_ms: 9_000_000,
        age_ms: 0,
        reading: Reading::Value {
            value: 0.5,
            rate: Some(40.0),
        },
    };
    for _ in 0..4 {
        let samples = vec![sample.clone()];
        world.feed(Event::Samples { samples });
    }
    assert_eq!(world.drill.bad_samples().len(), 1);
    assert_eq!(world.aborts(), [false; 0]);
}

/// Feeds one sample of `Success`, taken `age_ms` ago.
fn feed(world: &mut World, source_ms: i64, age_ms: u64, reading: Reading) {
    let sample = Sample {
        sli: 0,
        source_ms,
        age_ms,
        reading,
    };
    world.feed(Event::Samples {
        samples: vec![sample],
    });
}

fn low() -> Reading {
    Reading::Value {
        value: 0.5,
        rate: Some(40.0),
    }
}

#[test]
fn source_times_of_any_size_are_only_numbers() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.read = Box::new(|sli, _| (sli == 1).then(|| healthy(sli)));
    // Until most of the gaps that the interval is estimated from are as large as they can be.
    for source_ms in [i64::MIN, i64::MAX].repeat(6) {
        world.run(900);
        feed(&mut world, source_ms, 0, healthy(0));
    }
    assert_eq!(
        world.drill.slis()[0].interval_ms,
        Some(3_600_000),
        "an hour at most"
    );
}

#[test]
fn a_source_whose_clock_is_set_back_goes_on() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.read = Box::new(|sli, _| (sli == 1).then(|| healthy(sli)));
    world.run(900);
    feed(&mut world, -3_600_000, 0, low());
    assert_eq!(world.drill.bad_samples().len(), 1, "taken later, by its age");
    feed(&mut world, -3_600_500, 500, low());
    assert_eq!(world.drill.bad_samples().len(), 1, "an older one that comes late");
    assert_eq!(
        world.drill.slis()[0].interval_ms,
        Some(1_000),
        "a jump is no interval"
    );
}

#[test]
fn no_data_with_a_time_of_another_clock_hides_no_values() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.read = Box::new(|sli, _| (sli == 1).then(|| healthy(sli)));
    world.run(900);
    let none = || Reading::NoData {
        why: "no answer".to_owned(),
    };
    feed(&mut world, 1_700_000_000_000, 0, none());
    assert_eq!(world.drill.slis()[0].state, SliState::NoData);
    feed(&mut world, 1_700_000_000_100, 0, none());
    assert_eq!(
        world.drill.bad_samples().len(),
        1,
        "asked again within the interval"
    );
    feed(&mut world, 6_500_000, 0, healthy(0));
    assert_eq!(world.drill.slis()[0].state, SliState::Steady);
    assert_eq!(world.drill.slis()[0].bad_in_row, 0);
}

#[test]
fn a_value_that_comes_too_old_is_no_data() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.read = Box::new(|sli, _| (sli == 1).then(|| healthy(sli)));
    let mut n = 0;
    while world.drill.phase() == Phase::Inject {
        n += 1;
        feed(&mut world, 100_000_000 + n, 20_000, healthy(0));
        world.run(1_000);
    }
    assert!(world.drill.is_ending());
    let verdict = world.verdict();
    assert!(
        first(&verdict).starts_with("no data: Success has no data: the newest sample is"),
        "{verdict:#?}"
    );
}

#[test]
fn nothing_is_bad_while_no_fault_is_on() {
    let mut world = World::new(PLAN, Arming::Ask);
    world.run_to(Phase::Arming);
    world.read = Box::new(|_, _| {
        Some(Reading::Value {
            value: 50.0,
            rate: Some(40.0),
        })
    });
    world.run(10_000);
    assert!(world.drill.bad_samples().is_empty());
    assert_eq!(world.drill.phase(), Phase::Arming);
}

#[test]
fn the_recovery_is_measured_from_the_last_read_back() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    scripted(&mut world, 0, &[Some(0.96)], 14);
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Held, "{verdict:#?}");
    let back = world.drill.recovered_after_ms().unwrap();
    assert!(
        (3_000..=5_000).contains(&back),
        "the fault lasts 10 s, the SLI is low for 14 s: {back}"
    );
}

#[test]
fn a_recovery_that_does_not_come_is_broken() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    scripted(&mut world, 0, &[Some(0.96)], 100);
    let verdict = world.verdict();
    assert_eq!(verdict.outcome, Outcome::Broken);
    assert_eq!(
        first(&verdict),
        "recovery: not back in the band 10 s after the last revert: Success is 96 %, its band is at least 99 %"
    );
    assert_eq!(world.drill.recovered_after_ms(), None);
    assert!(world.agents.iter().all(|it| !it.open));
}

#[test]
fn a_long_hang_of_ours_counts_no_more_than_stops_a_drill() {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Inject);
    world.now_us += 60_000_000;
    world.feed(Event::Tick);
    assert!(
        world.drill.bad_samples().len() <= 5,
        "{}",
        world.drill.bad_samples().len()
    );
    assert!(world.drill.is_ending());
    assert_eq!(world.drill.slis()[1].value, Some(QUICK));
}
