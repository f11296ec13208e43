//! Two drills of the same experiment side by side.

use firedrill_drill::show_value;
use firedrill_plan::Range;
use firedrill_scene::{ComparisonRow, Numbers, Review};

/// A row for each measure: verdict, the worst of each SLI while the fault was on, times, bad samples.
pub fn compare(before: &Review, after: &Review) -> Vec<ComparisonRow> {
    let row = |measure: &str, show: &dyn Fn(&Review) -> String| ComparisonRow {
        measure: measure.to_owned(),
        before: show(before),
        after: show(after),
    };
    let mut rows = vec![row("verdict", &|review| review.verdict.outcome.word().to_owned())];
    for sli in &before.scene.slis {
        let worst = |review: &Review| {
            let numbers = review.numbers.iter().find(|numbers| numbers.name == sli.name);
            let during = numbers.and_then(|numbers| numbers.during.as_ref());
            during.map_or_else(
                || "no samples".to_owned(),
                |n| show_value(&sli.unit, worst(sli.tolerate, n)),
            )
        };
        rows.push(row(&format!("{}, worst during the fault", sli.name), &worst));
    }
    rows.push(row("left tolerance after", &|review| {
        ms(review.time_to_break_ms, "never")
    }));
    rows.push(row("stopped and read back in", &|review| {
        ms(review.time_to_stop_ms, "no stop needed")
    }));
    rows.push(row("steady again after the revert", &|review| {
        ms(review.time_to_recover_ms, "not reached")
    }));
    rows.push(row("bad samples", &|review| review.bad_samples.to_string()));
    rows
}

/// The end of the numbers that tolerance guards: the smallest where it has a floor, else the largest.
fn worst(tolerate: Range, numbers: &Numbers) -> f64 {
    if tolerate.min.is_some() && tolerate.max.is_none() {
        numbers.min
    } else {
        numbers.max
    }
}

/// A measured time in words; `none`: there is none.
pub fn ms(ms: Option<u64>, none: &str) -> String {
    ms.map_or_else(
        || none.to_owned(),
        |ms| {
            if ms < 1_000 {
                format!("{ms} ms")
            } else {
                format!("{:.1} s", ms as f64 / 1e3)
            }
        },
    )
}
