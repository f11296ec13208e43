//! Thousands of schedules, each from its seed; and proof that the checks can fail.

use std::time::Instant;

use firedrill_simulator::{Options, Rule, Sabotage, Schedule, Tally, Violation, shortest, simulate};

/// As in `examples/schedules.rs`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 20,000 seeds, or those of `FIREDRILL_SEEDS=FROM..TO`.
fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("FIREDRILL_SEEDS") else {
        return 0..20_000;
    };
    let range = text
        .split_once("..")
        .and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    range.unwrap_or_else(|| panic!("FIREDRILL_SEEDS is {text:?}, expected for instance 2000..100000"))
}

/// Runs the seeds of a range on two threads.
fn run(seeds: std::ops::Range<u64>) -> Result<Tally, Box<Violation>> {
    let half = |odd: u64| {
        let mut tally = Tally::default();
        for seed in seeds.clone().filter(|seed| seed % 2 == odd) {
            tally.add(&simulate(&Schedule::new(seed), Options::default()).map_err(Box::new)?);
        }
        Ok(tally)
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        let mine: Result<Tally, Box<Violation>> = half(0);
        let mut tally = mine?;
        tally.merge(
            other
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?,
        );
        Ok(tally)
    })
}

#[test]
fn thousands_of_schedules_break_no_rule_and_reach_every_kind_of_trouble() {
    let begun = Instant::now();
    let tally =
        run(seeds()).unwrap_or_else(|violation| panic!("{}", shortest(*violation, Options::default())));
    println!(
        "{} schedules in {:?}, median {} events\n{}",
        tally.schedules(),
        begun.elapsed(),
        tally.median_events(),
        tally.lines().join("\n")
    );
    if tally.schedules() < 2_000 {
        // One seed looked at closely reaches what it reaches.
        return;
    }
    assert!(
        tally.median_events() >= 200,
        "median {} events",
        tally.median_events()
    );
    let often = [
        "agent crashes",
        "console crashes",
        "duplicates",
        "reorders",
        "lapses",
        "latches",
        "restarts",
        "disk full",
    ];
    for kind in often {
        let share = tally.share(kind);
        assert!(share >= 10.0, "{kind} in only {share:.1} % of the schedules");
    }
    let now_and_then = [
        "at effect boundaries",
        "hangs",
        "keeper crashes",
        "changes",
        "changes refused",
        "turned down",
        "turned up",
        "holds",
        "resumed",
        "freezes",
        "clock jumps",
        "partitions",
        "drops",
        "forgeries",
        "torn",
        "releases",
        "aborts",
        "applied",
        "reverted",
        "unclean",
        "held",
        "broken",
        "inconclusive",
        "aborted",
    ];
    for kind in now_and_then {
        let share = tally.share(kind);
        assert!(share >= 1.0, "{kind} in only {share:.2} % of the schedules");
    }
    for kind in ["killed by keepers", "undone by keepers"] {
        let share = tally.share(kind);
        assert!(share >= 0.2, "{kind} in only {share:.2} % of the schedules");
    }
}

/// Schedules that once failed, or show something rare, each with why: they must never break a rule.
#[test]
fn schedules_that_once_failed_are_kept() {
    let kept = include_str!("kept.txt")
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    for line in kept {
        let (schedule, why) = line
            .split_once(" # ")
            .unwrap_or_else(|| panic!("a kept schedule says why: {line}"));
        let schedule: Schedule = schedule.parse().unwrap();
        if let Err(violation) = simulate(&schedule, Options::default()) {
            panic!("{violation}\nkept because: {why}");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_schedule() {
    let counts = |seed| {
        simulate(&Schedule::new(seed), Options::default())
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
        let options = Options {
            sabotage: Some(sabotage),
        };
        simulate(&Schedule::new(seed), options).err()
    })
}

#[test]
fn every_broken_promise_is_noticed() {
    for sabotage in Sabotage::ALL {
        let rules: &[Rule] = match sabotage {
            Sabotage::ForgetFence => &[Rule::AbortWins],
            Sabotage::ForgetDeadlines => &[Rule::AbortWins, Rule::EveryInjectionEnds, Rule::ComesToAnEnd],
            Sabotage::ClaimReadBack => &[Rule::ShownMeansRead],
            Sabotage::ForgetDisk => &[Rule::Durable],
            Sabotage::ForgetRecords => &[Rule::EveryInjectionEnds],
            Sabotage::ForgetKeeper => &[Rule::EveryInjectionEnds],
            Sabotage::IntentLater => &[Rule::JournalFirst],
            Sabotage::SendAfterAbort => &[Rule::AbortWins],
            Sabotage::RepeatSamples => &[Rule::NoDataIsBadData],
            Sabotage::BelieveReverting => &[Rule::ShownMeansRead],
        };
        let Some(violation) = noticed(sabotage) else {
            panic!("{sabotage:?} is never noticed")
        };
        assert!(
            rules.contains(&violation.rule),
            "{sabotage:?} is noticed as {violation}"
        );
        assert!(violation.trace.len() > 10, "a violation shows how it came about");
        let options = Options {
            sabotage: Some(sabotage),
        };
        let (rule, events) = (violation.rule, violation.events);
        let short = shortest(violation, options);
        println!(
            "{sabotage:?}: {rule:?} after {} events, made shorter {}: {}",
            events, short.events, short.words
        );
        assert_eq!(short.rule, rule);
        assert!(short.events <= events && !short.trace.is_empty());
        let again = simulate(&short.schedule.to_string().parse().unwrap(), options);
        assert_eq!(
            again.map_err(|it| (it.rule, it.events)).err(),
            Some((rule, short.events))
        );
    }
}
