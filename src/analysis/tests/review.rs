//! A journal, read from its bytes alone, gives back what was there while the drill ran.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what panics in a helper of these tests fails the test"
)]

/// The drill's own world in virtual time: agents, a source, an abort line, a journal.
#[expect(dead_code, reason = "the drill's tests use all of it")]
#[path = "../../drill/tests/drill/world/mod.rs"]
mod world;

use firedrill_analysis::{Record, Replay, compare, review, scene_at, side_by_side};
use firedrill_drill::{Arming, Outcome, Phase, Reading, ReplayError};
use firedrill_journal::{Encoder, Journal, decode};
use firedrill_scene::{Ours, Review, SceneBuilder};
use world::{PLAN, World, healthy};

/// Runs to the verdict; `Success` is `value` from 2 s after the fault's begin for 3 s.
fn drilled(value: f64) -> World {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Inject);
    let on = world.now_us;
    world.read = Box::new(move |sli, now| {
        let low = Reading::Value {
            value,
            rate: Some(40.0),
        };
        let hit = sli == 0 && (2_000_000..5_000_000).contains(&(now - on));
        Some(if hit { low } else { healthy(sli) })
    });
    world.run_to(Phase::Verdict);
    world
}

/// Through the journal's bytes.
fn journal_of(world: &World) -> Journal {
    let mut encoder = Encoder::new();
    let mut bytes = String::new();
    for entry in &world.journal {
        bytes += &encoder.encode(entry).unwrap();
    }
    bytes += &encoder.seal(world.at()).unwrap();
    let journal = decode(bytes.as_bytes());
    assert_eq!(journal.whole(), Ok(()));
    journal
}

fn reviewed(world: &World) -> Review {
    let journal = journal_of(world);
    let record = Record {
        path: None,
        sealed: journal.whole(),
        hash: journal.hash.clone(),
    };
    review(&journal.entries, record).unwrap()
}

#[test]
fn a_drill_that_was_stopped_by_a_breach() {
    let world = drilled(0.5);
    let review = reviewed(&world);
    assert_eq!(review.verdict, *world.drill.verdict().unwrap());
    assert_eq!(review.verdict.outcome, Outcome::Broken);
    assert_eq!((review.title.as_str(), review.system.as_str()), ("Shop", "shop"));
    assert_eq!(review.bad_samples, 2);
    let broke = review.time_to_break_ms.unwrap();
    assert!((1_500..=3_100).contains(&broke), "{broke} ms");
    let stop = review.time_to_stop_ms.unwrap();
    assert!(
        stop < 100,
        "the agents of this world answer within 1 ms: {stop} ms"
    );
    assert_eq!(review.time_to_recover_ms, world.drill.recovered_after_ms());
    assert!(review.time_to_recover_ms.is_some());
}

#[test]
fn numbers_before_during_and_after() {
    let review = reviewed(&drilled(0.96));
    assert_eq!(review.verdict.outcome, Outcome::Held);
    let success = &review.numbers[0];
    let [before, during, after] = [success.before, success.during, success.after].map(Option::unwrap);
    assert!(before.samples >= 4 && (before.min, before.max) == (0.999, 0.999));
    assert_eq!((during.min, during.median, during.max), (0.96, 0.999, 0.999));
    assert!((9..=11).contains(&during.samples), "{during:?}");
    assert_eq!(after.min, 0.999);
    assert_eq!(review.time_to_break_ms, None);
    assert_eq!(review.time_to_stop_ms, None);
}

#[test]
fn the_scene_is_the_one_that_was_shown() {
    let world = drilled(0.5);
    let review = reviewed(&world);
    let mut live = None;
    firedrill_drill::replay(&world.journal, |drill, at, event| {
        let builder = live.get_or_insert_with(|| SceneBuilder::new(drill.setup()));
        builder.feed(drill, at, event);
    })
    .unwrap();
    let live = live.unwrap().scene(&world.drill, review.scene.now);
    assert_eq!(review.scene.log, live.log);
    assert_eq!(review.scene.injections, live.injections);
    assert_eq!(review.scene.phases, live.phases);
    for (read, shown) in review.scene.slis.iter().zip(&live.slis) {
        let points = |sli: &firedrill_scene::SliScene| sli.series.range(0, u64::MAX).collect::<Vec<_>>();
        assert_eq!(points(read), points(shown));
        assert_eq!(read.bad, shown.bad);
    }
}

#[test]
fn a_moment_of_a_journal_is_a_whole_scene() {
    let world = drilled(0.96);
    let journal = journal_of(&world);
    let on = world.drill.began(Phase::Inject).unwrap().mono_us;
    let scene = scene_at(&journal.entries, Some(on + 3_000_000)).unwrap();
    let drill = scene.drill.unwrap();
    assert_eq!(drill.phase, Phase::Inject);
    assert!(drill.now.mono_us <= on + 3_000_000);
    assert!(
        matches!(scene.ours, Ours::On { faults: 2, .. }),
        "{:?}",
        scene.ours
    );
    let end = scene_at(&journal.entries, None).unwrap();
    assert_eq!(end.drill.unwrap().phase, Phase::Verdict);
    assert!(matches!(end.ours, Ours::Nothing { .. }), "{:?}", end.ours);
}

#[test]
fn a_journal_cut_short_says_that_something_may_be_on() {
    let mut world = drilled(0.96);
    let on = world.drill.began(Phase::Inject).unwrap().mono_us;
    world.journal.retain(|it| it.at.mono_us < on + 3_000_000);
    let review = reviewed(&world);
    assert_eq!(review.verdict.outcome, Outcome::Inconclusive);
    assert_eq!(review.verdict.unconfirmed.len(), 2);
    assert!(review.verdict.reasons[0].words.contains("ends before a verdict"));
    assert!(review.numbers[0].after.is_none());
}

#[test]
fn two_drills_side_by_side() {
    let (broken, held) = (reviewed(&drilled(0.5)), reviewed(&drilled(0.96)));
    let rows = compare(&broken, &held);
    let row = |measure: &str| {
        let found = rows.iter().find(|it| it.measure.starts_with(measure)).unwrap();
        (found.before.as_str(), found.after.as_str())
    };
    assert_eq!(row("verdict"), ("broken", "held"));
    assert_eq!(row("Success, worst"), ("50 %", "96 %"));
    assert_eq!(row("bad samples"), ("2", "0"));
    assert_eq!(row("left tolerance").1, "never");
}

/// Stepping on from a state that was kept gives what stepping from the beginning gives, in whatever order.
#[test]
fn any_moment_in_any_order_is_the_same_as_from_the_beginning() {
    let mut world = World::new(&PLAN.replace("for = \"10s\"", "for = \"2m\""), Arming::AtOnce);
    world.run_to(Phase::Verdict);
    let entries = journal_of(&world).entries;
    assert!(
        entries.len() > 1_000,
        "more than one state is kept: {}",
        entries.len()
    );
    let end_us = entries.last().unwrap().at.mono_us;
    let mut replay = Replay::new(entries.clone()).unwrap();
    assert_eq!(replay.end_us(), end_us);
    let mut place = 0x9E37_79B9_u64;
    for turn in 0..40 {
        place = place
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let us = match turn {
            0 => 0,
            1 => end_us + 5,
            // Exactly at an entry, and anywhere.
            2..20 => entries[(place >> 33) as usize % entries.len()].at.mono_us,
            _ => (place >> 20) % end_us,
        };
        let (near, far) = (replay.at(us), scene_at(&entries, Some(us)).unwrap());
        assert_eq!(format!("{near:?}"), format!("{far:?}"), "at {us} of {end_us}");
        assert_eq!(near.drill.unwrap().now.mono_us, us.min(end_us));
    }
}

#[test]
fn clocks_go_on_between_two_entries_and_stand_at_the_end() {
    let world = drilled(0.96);
    let entries = journal_of(&world).entries;
    let pair = entries
        .windows(2)
        .find(|it| it[1].at.mono_us > it[0].at.mono_us + 20_000);
    let [before, after] = [pair.unwrap()[0].at, pair.unwrap()[1].at];
    let between = before.mono_us + 10_000;
    let now = |us| scene_at(&entries, Some(us)).unwrap().drill.unwrap().now;
    assert_eq!(now(between).mono_us, between);
    assert_eq!(now(between).wall_ms, before.wall_ms + 10);
    assert_eq!(now(after.mono_us).mono_us, after.mono_us);
    let end = entries.last().unwrap().at;
    assert_eq!(now(end.mono_us + 1_000_000), end);
}

#[test]
fn a_comparison_says_what_is_common_and_every_difference_with_its_sign() {
    let (broken, held) = (reviewed(&drilled(0.5)), reviewed(&drilled(0.96)));
    let both = side_by_side(&broken, &held);
    assert_eq!(both.common, [[0, 0], [1, 1]]);
    assert!(both.alone.is_empty());
    let on = broken.scene.injections.iter().filter_map(|it| it.from_us).min();
    assert_eq!(Some(both.zero_us[0]), on);
    let row = |of: &str, measure: &str| {
        let found = both.rows.iter().find(|it| it.of == of && it.measure == measure);
        let found = found.unwrap();
        (
            found.values[0].as_str(),
            found.values[1].as_str(),
            found.change.as_str(),
        )
    };
    assert_eq!(row("the drill", "verdict"), ("broken", "held", ""));
    assert_eq!(row("the drill", "bad samples"), ("2", "0", "\u{2212} 2"));
    assert_eq!(row("Success", "during, smallest"), ("50 %", "96 %", "+ 46 %"));
    assert_eq!(row("Success", "before, median"), ("99.9 %", "99.9 %", ""));
    assert_eq!(row("the drill", "left tolerance after").1, "never");
    // The other way round.
    let back = side_by_side(&held, &broken);
    let bad = back.rows.iter().find(|it| it.measure == "bad samples").unwrap();
    assert_eq!(bad.change, "+ 2");
}

#[test]
fn what_only_one_drill_has_is_named() {
    let (one, mut other) = (reviewed(&drilled(0.96)), reviewed(&drilled(0.96)));
    let mut scene = firedrill_scene::DrillScene::clone(&other.scene);
    scene.slis[0].name = "Orders".to_owned();
    scene.slis[1].unit = "s".to_owned();
    other.scene = std::sync::Arc::new(scene);
    let both = side_by_side(&one, &other);
    assert!(both.common.is_empty(), "another unit is another indicator");
    let alone: Vec<(&str, usize)> = both
        .alone
        .iter()
        .map(|(name, which)| (name.as_str(), *which))
        .collect();
    assert_eq!(
        alone,
        [("Success", 0), ("Latency", 0), ("Orders", 1), ("Latency", 1)]
    );
}

#[test]
fn entries_of_something_else_are_refused() {
    let world = drilled(0.96);
    let record = || Record {
        path: None,
        sealed: Ok(()),
        hash: String::new(),
    };
    assert_eq!(review(&[], record()).unwrap_err(), ReplayError::NotMade);
    assert_eq!(
        review(&world.journal[1..], record()).unwrap_err(),
        ReplayError::NotMade
    );
}
