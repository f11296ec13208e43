//! Two drills of whatever experiments side by side: what they have in common, and every measure of both.

use firedrill_drill::show_value;
use firedrill_scene::{Numbers, Review, SliNumbers};

use crate::compare::ms;

/// What two drills have in common, and how they differ.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SideBySide {
    /// Microseconds from each drill's making to its first injection: zero of the common time axis. A drill without
    /// one begins there.
    pub zero_us: [u64; 2],
    /// Indicators that both have, as their places in each scene.
    pub common: Vec<[usize; 2]>,
    /// Indicators that only one has, and which: 0 or 1.
    pub alone: Vec<(String, usize)>,
    /// Every measure.
    pub rows: Vec<Difference>,
}

/// One measure of both drills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is of: `the drill`, or an indicator's name.
    pub of: String,
    /// What is compared.
    pub measure: String,
    /// In each drill.
    pub values: [String; 2],
    /// From the first to the second, with its sign; empty where there is no number, or no difference.
    pub change: String,
}

/// Puts two drills side by side.
pub fn side_by_side(first: &Review, second: &Review) -> SideBySide {
    let both = [first, second];
    let mut common = Vec::new();
    let mut alone = Vec::new();
    for (i, sli) in first.scene.slis.iter().enumerate() {
        // Values in different units cannot be drawn on one axis.
        let same = |other: &firedrill_scene::SliScene| other.name == sli.name && other.unit == sli.unit;
        match second.scene.slis.iter().position(same) {
            Some(j) => common.push([i, j]),
            None => alone.push((sli.name.clone(), 0)),
        }
    }
    for (j, sli) in second.scene.slis.iter().enumerate() {
        if !common.iter().any(|[_, it]| *it == j) {
            alone.push((sli.name.clone(), 1));
        }
    }
    let mut rows = of_the_drill(both);
    for [i, _] in &common {
        rows.extend(of_an_indicator(&first.scene.slis[*i].name, both));
    }
    SideBySide {
        zero_us: both.map(zero_us),
        common,
        alone,
        rows,
    }
}

fn zero_us(review: &Review) -> u64 {
    let on = review.scene.injections.iter().filter_map(|it| it.from_us);
    on.min().unwrap_or(0)
}

fn of_the_drill(both: [&Review; 2]) -> Vec<Difference> {
    let row = |measure: &str, values: [String; 2], change: String| Difference {
        of: "the drill".to_owned(),
        measure: measure.to_owned(),
        values,
        change,
    };
    let time = |measure: &str, none: &str, of: &dyn Fn(&Review) -> Option<u64>| {
        let times = both.map(of);
        let change = match times {
            [Some(a), Some(b)] => signed(b as f64 - a as f64, |size| ms(Some(size as u64), "")),
            _ => String::new(),
        };
        row(measure, times.map(|it| ms(it, none)), change)
    };
    let bad = both.map(|it| it.bad_samples);
    let verdicts = both.map(|it| it.verdict.outcome.word().to_owned());
    vec![
        row("verdict", verdicts, String::new()),
        time("left tolerance after", "never", &|it| it.time_to_break_ms),
        time("stopped and read back in", "no stop", &|it| it.time_to_stop_ms),
        time("steady again after the revert", "not reached", &|it| {
            it.time_to_recover_ms
        }),
        row(
            "bad samples",
            bad.map(|it| it.to_string()),
            signed(bad[1] as f64 - bad[0] as f64, |size| format!("{size:.0}")),
        ),
    ]
}

/// A span of a drill's numbers.
type Span = fn(&SliNumbers) -> Option<Numbers>;
/// One of a span's numbers.
type Measure = fn(Numbers) -> f64;

fn of_an_indicator(name: &str, both: [&Review; 2]) -> Vec<Difference> {
    let numbers = both.map(|it| it.numbers.iter().find(|numbers| numbers.name == name));
    let unit = numbers[0].map_or("", |it| it.unit.as_str());
    let spans: [(&str, Span); 3] = [
        ("before", |it| it.before),
        ("during", |it| it.during),
        ("after", |it| it.after),
    ];
    let measures: [(&str, Measure); 4] = [
        ("median", |n| n.median),
        ("95 %", |n| n.p95),
        ("smallest", |n| n.min),
        ("largest", |n| n.max),
    ];
    let mut rows = Vec::new();
    for (when, span) in spans {
        let found = numbers.map(|it| it.and_then(span));
        for (word, measure) in measures {
            // Before and after it is the middle that tells, while a fault is on the ends as well.
            if when != "during" && word != "median" {
                continue;
            }
            let values = found.map(|it| it.map(measure));
            let shown =
                values.map(|it| it.map_or_else(|| "no samples".to_owned(), |it| show_value(unit, it)));
            let change = match values {
                [Some(a), Some(b)] if shown[0] != shown[1] => signed(b - a, |size| show_value(unit, size)),
                _ => String::new(),
            };
            rows.push(Difference {
                of: name.to_owned(),
                measure: format!("{when}, {word}"),
                values: shown,
                change,
            });
        }
    }
    rows
}

/// `+ 12 ms`, `− 3`; nothing for no difference.
fn signed(difference: f64, show: impl Fn(f64) -> String) -> String {
    if difference == 0.0 || !difference.is_finite() {
        return String::new();
    }
    let sign = if difference > 0.0 { "+" } else { "\u{2212}" };
    format!("{sign} {}", show(difference.abs()))
}
