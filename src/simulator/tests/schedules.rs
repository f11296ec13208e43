//! Thousands of schedules, each from its seed; and proof that the checks can fail.

use std::time::Instant;

use firedrill_simulator::{Counts, Options, Rule, Sabotage, Violation, simulate};

/// 2,000 seeds, or those of `FIREDRILL_SEEDS=FROM..TO`.
fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("FIREDRILL_SEEDS") else {
        return 0..2_000;
    };
    let range = text
        .split_once("..")
        .and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    range.unwrap_or_else(|| panic!("FIREDRILL_SEEDS is {text:?}, expected for instance 2000..100000"))
}

/// Runs the seeds of a range on two threads.
fn run(seeds: std::ops::Range<u64>) -> Result<Counts, Box<Violation>> {
    let half = |odd: u64| {
        let mut counts = Counts::default();
        for seed in seeds.clone().filter(|seed| seed % 2 == odd) {
            counts.add(&simulate(seed, Options::default()).map_err(Box::new)?.counts);
        }
        Ok(counts)
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        let mine: Result<Counts, Box<Violation>> = half(0);
        let mut counts = mine?;
        counts.add(
            &other
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?,
        );
        Ok(counts)
    })
}

#[test]
fn thousands_of_schedules_break_no_rule_and_reach_every_kind_of_trouble() {
    let begun = Instant::now();
    let seeds = seeds();
    let schedules = seeds.end - seeds.start;
    let counts = run(seeds).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{schedules} schedules in {:?}: {counts:#?}", begun.elapsed());
    if schedules < 2_000 {
        // One seed looked at closely reaches what it reaches.
        return;
    }
    let Counts {
        events: _,
        simulated_ms: _,
        console_crashes,
        agent_crashes,
        at_effect_boundaries,
        restarts,
        freezes,
        clock_jumps,
        drops,
        duplicates,
        reorders,
        disk_full,
        lapses,
        latches,
        releases,
        aborts,
        applied,
        reverted,
        unclean,
        verdicts: [held, broken, inconclusive, aborted],
    } = counts;
    let reached = [
        ("console crashes", console_crashes),
        ("agent crashes", agent_crashes),
        ("crashes between effects", at_effect_boundaries),
        ("restarts", restarts),
        ("freezes", freezes),
        ("clock jumps", clock_jumps),
        ("drops", drops),
        ("duplicates", duplicates),
        ("reorders", reorders),
        ("full disks", disk_full),
        ("lapses", lapses),
        ("latches", latches),
        ("releases", releases),
        ("aborts", aborts),
        ("faults on", applied),
        ("faults reverted", reverted),
        ("unclean read-backs", unclean),
        ("held", held),
        ("inconclusive", inconclusive),
        ("aborted", aborted),
    ];
    for (what, times) in reached {
        assert!(times >= 100, "{what}: only {times} in {schedules} schedules");
    }
    assert!(broken >= 10, "broken: only {broken}");
}

#[test]
fn the_same_seed_is_the_same_schedule() {
    let counts = |seed| {
        simulate(seed, Options::default())
            .map(|report| report.counts)
            .ok()
    };
    for seed in [1, 20, 300] {
        assert_eq!(counts(seed), counts(seed));
        assert!(counts(seed).is_some());
    }
    assert_ne!(counts(1), counts(20));
}

/// The first schedule that notices, and what it says.
fn noticed(sabotage: Sabotage) -> Option<Violation> {
    (0..1_000).find_map(|seed| {
        simulate(
            seed,
            Options {
                sabotage: Some(sabotage),
            },
        )
        .err()
    })
}

#[test]
fn every_broken_promise_is_noticed() {
    for sabotage in Sabotage::ALL {
        let rules: &[Rule] = match sabotage {
            Sabotage::ForgetFence => &[Rule::AbortWins],
            Sabotage::ForgetDeadlines => &[Rule::AbortWins, Rule::EveryInjectionEnds],
            Sabotage::ClaimReadBack => &[Rule::ShownMeansRead],
            Sabotage::ForgetDisk => &[Rule::Durable],
            Sabotage::ForgetRecords => &[Rule::EveryInjectionEnds],
            Sabotage::IntentLater => &[Rule::JournalFirst],
            Sabotage::SendAfterAbort => &[Rule::AbortWins],
            Sabotage::RepeatSamples => &[Rule::NoDataIsBadData],
            Sabotage::BelieveReverting => &[Rule::ShownMeansRead],
        };
        let Some(violation) = noticed(sabotage) else {
            panic!("{sabotage:?} is never noticed")
        };
        let Violation {
            seed,
            rule,
            words,
            trace,
        } = violation;
        println!("{sabotage:?}: seed {seed}, {rule:?}: {words}");
        assert!(
            rules.contains(&rule),
            "{sabotage:?} is noticed as {rule:?}: {words}"
        );
        assert!(trace.len() > 10, "a violation shows how it came about");
    }
}
