//! Preflight: does the source answer, is it fresh, is there traffic, and can its numbers carry the plan's lines?

use std::time::{Duration, Instant};

use firedrill_drill::Reading;
use firedrill_plan::{Indicator, Plan, Range, Selector, Sli, Stop};

use crate::evaluate::{Evaluator, buckets_of, chooses_nothing, seconds};
use crate::prometheus::{Prometheus, Said};
use crate::query::QueryError;
use crate::sampler::Looking;

/// A window holds at least so many samples.
const SAMPLES_A_WINDOW: u64 = 4;
/// How long a source may take to show traffic.
const PATIENCE: Duration = Duration::from_secs(5);
/// Looks at least, however far apart: one alone cannot show that a counter grows.
const LOOKS: u32 = 3;

/// Asks the source of a plan once, or a few times until it has shown traffic: at most some seconds. A probe source
/// is probed for this, beside what a sampler may be sending. `Ok` gives
/// notes for people. The error has a line for everything that must be put right before a drill, each with its
/// remedy.
pub async fn check_source(plan: &Plan) -> Result<Vec<String>, String> {
    let source = Looking::new(plan).map_err(|error| error.to_string())?;
    let mut found = Findings::default();
    match source {
        Looking::Prometheus(mut prometheus) => check_server(&mut prometheus, plan, &mut found).await,
        source => check_own(source, plan, &mut found).await,
    }
    let Findings { notes, mut problems } = found;
    if problems.is_empty() {
        return Ok(notes);
    }
    problems.dedup();
    Err(problems.join("\n"))
}

#[derive(Default)]
struct Findings {
    notes: Vec<String>,
    problems: Vec<String>,
}

impl Findings {
    fn note(&mut self, words: String) {
        if !self.notes.contains(&words) {
            self.notes.push(words);
        }
    }

    fn problem(&mut self, words: String) {
        if !self.problems.contains(&words) {
            self.problems.push(words);
        }
    }
}

/// A scrape or probe source, whose interval is ours.
async fn check_own(mut source: Looking, plan: &Plan, found: &mut Findings) {
    let every = Duration::from_millis(plan.metrics.every_ms.max(1));
    let began = Instant::now();
    let mut looks = 0;
    loop {
        // What it gives is judged by the evaluator's own state below.
        drop(source.look().await);
        looks += 1;
        let Some(evaluator) = evaluator(&source) else {
            return;
        };
        let ready = (0..plan.slis.len()).all(|sli| evaluator.missing(sli).is_none() && evaluator.grew(sli));
        if ready || (looks >= LOOKS && began.elapsed() + every > PATIENCE) {
            break;
        }
        tokio::time::sleep(every).await;
    }
    let Some(evaluator) = evaluator(&source) else {
        return;
    };
    let mut unread = evaluator.failures().to_vec();
    if let Looking::Scrape(source) = &source {
        unread.extend(source.unanswered());
    }
    for why in &unread {
        found.problem(why.clone());
    }
    for (index, sli) in plan.slis.iter().enumerate() {
        let name = &sli.name;
        if let Some(why) = evaluator.missing(index) {
            // With a part of the source unread, nothing can be said of what is missing.
            if unread.is_empty() {
                found.problem(format!("\"{name}\": {why}"));
            }
            continue;
        }
        if !evaluator.grew(index) {
            found.problem(format!(
                "\"{name}\": no traffic: {} did not grow in {}; send some before the drill",
                clock(sli).map_or_else(String::new, |clock| clock.to_string()),
                seconds(u64::try_from(began.elapsed().as_millis()).unwrap_or(0) / 100 * 100)
            ));
        }
        check_window(sli, plan.metrics.every_ms, found);
        check_edges(sli, &evaluator.edges(index), found);
    }
}

fn evaluator(source: &Looking) -> Option<&Evaluator> {
    match source {
        Looking::Prometheus(_) => None,
        Looking::Scrape(source) => Some(source.evaluator()),
        Looking::Probe(source) => Some(source.evaluator()),
    }
}

async fn check_server(prometheus: &mut Prometheus, plan: &Plan, found: &mut Findings) {
    let answers = prometheus.ask().await;
    for (index, (sli, answer)) in plan.slis.iter().zip(answers).enumerate() {
        let name = &sli.name;
        match answer {
            // The same for all of them.
            Err(QueryError::Unanswered(why)) => found.problem(why),
            Err(QueryError::Refused(why)) => found.problem(format!(
                "\"{name}\": the server refuses the query: {why}; correct it in the plan"
            )),
            Ok(said) => check_said(prometheus, index, sli, &said, plan.metrics.every_ms, found).await,
        }
    }
}

async fn check_said(
    prometheus: &Prometheus,
    index: usize,
    sli: &Sli,
    said: &Said,
    every_ms: u64,
    found: &mut Findings,
) {
    let name = &sli.name;
    if said.newest_s.is_none()
        && let Some(selector) = clock(sli)
    {
        let other = prometheus.any_of(&selector.metric).await;
        let why = chooses_nothing(&selector.to_string(), &selector.metric, other.as_deref());
        found.problem(format!("\"{name}\": {why}"));
        return;
    }
    match prometheus.reading(index, said) {
        // Time will fill it; the baseline waits for that.
        Some(Reading::NoData { why }) if why.contains("not full yet") => {
            found.note(format!("\"{name}\": {why}"));
        }
        Some(Reading::NoData { why }) => found.problem(format!("\"{name}\": {why}")),
        _ => {}
    }
    let Some(compiled) = prometheus.compiled(index) else {
        return;
    };
    for clock in &compiled.clocks {
        match prometheus.interval(clock).await {
            Ok(Some(interval_ms)) => check_interval(sli, clock, said, interval_ms, every_ms, found),
            Ok(None) => found.note(format!(
                "\"{name}\": {clock} has too few samples yet to tell how often the source has one"
            )),
            Err(error) => found.problem(format!("\"{name}\": {}", error.words())),
        }
    }
    if let Some(buckets) = &compiled.buckets {
        match prometheus.edges(buckets).await {
            Ok(edges) => check_edges(sli, &edges, found),
            Err(error) => found.problem(format!("\"{name}\": {}", error.words())),
        }
    }
}

fn check_interval(
    sli: &Sli,
    clock: &str,
    said: &Said,
    interval_ms: u64,
    every_ms: u64,
    found: &mut Findings,
) {
    let name = &sli.name;
    found.note(format!("{clock} has a new sample every {}", seconds(interval_ms)));
    check_window(sli, interval_ms, found);
    if let Some((_, age_ms)) = said.newest()
        && age_ms > 2 * interval_ms
    {
        found.problem(format!(
            "\"{name}\": the newest sample of {clock} is {} old, but the source has one every {}; is the target still scraped?",
            seconds(age_ms),
            seconds(interval_ms)
        ));
    }
    if every_ms > interval_ms * 2 {
        found.note(format!(
            "[metrics] every = {} looks at only some of the samples, of which there is one every {}",
            seconds(every_ms),
            seconds(interval_ms)
        ));
    }
}

fn check_window(sli: &Sli, interval_ms: u64, found: &mut Findings) {
    if let Some(window_ms) = sli.indicator.window_ms()
        && window_ms < SAMPLES_A_WINDOW * interval_ms
    {
        found.problem(format!(
            "\"{}\": a window of {} is too short: with a sample every {} it must be at least {}, or the source must be read more often",
            sli.name,
            seconds(window_ms),
            seconds(interval_ms),
            seconds(SAMPLES_A_WINDOW * interval_ms)
        ));
    }
}

/// What the buckets of a histogram mean for an SLI's lines.
fn check_edges(sli: &Sli, edges: &[f64], found: &mut Findings) {
    if !matches!(sli.indicator, Indicator::Quantile { .. }) {
        return;
    }
    let name = &sli.name;
    let finite: Vec<f64> = edges.iter().copied().filter(|edge| edge.is_finite()).collect();
    let (Some(&highest), Some(f64::INFINITY)) = (finite.last(), edges.last().copied()) else {
        found.problem(format!(
            "\"{name}\": the histogram has no finite bucket edge or none up to +Inf, so it has no quantile; is it a classic histogram?"
        ));
        return;
    };
    let stop = match sli.stop {
        Stop::Outside { range, .. } => range,
        Stop::Never { .. } => Range::default(),
    };
    for (line, range) in [("band", sli.band), ("tolerate", sli.tolerate), ("stop", stop)] {
        if let Some(max) = range.max
            && max >= highest
        {
            let words = format!(
                "\"{name}\": {line} can never be left: its largest value {max} is not below the highest finite bucket edge {highest}, and no quantile is larger; lower the line or add buckets"
            );
            // A stop line that cannot be reached is no safety.
            if line == "stop" {
                found.problem(words);
            } else {
                found.note(words);
            }
            continue;
        }
        for threshold in [range.min, range.max].into_iter().flatten() {
            if let Some((below, above)) = around(&finite, threshold) {
                found.note(format!(
                    "\"{name}\": {line} at {threshold} lies between the bucket edges {below} and {above}: a quantile near it can be wrong by up to {}; an edge on the line makes it exact",
                    short(above - below)
                ));
            }
        }
    }
}

/// The edges on either side of a threshold that is on none. The lowest bucket begins at 0.
fn around(edges: &[f64], threshold: f64) -> Option<(f64, f64)> {
    let above = *edges.iter().find(|&&edge| edge >= threshold)?;
    if above == threshold || threshold <= 0.0 {
        return None;
    }
    let below = edges
        .iter()
        .copied()
        .rfind(|&edge| edge < threshold)
        .unwrap_or(0.0);
    Some((below, above))
}

/// Without the last digits, which are rounding.
fn short(number: f64) -> f64 {
    (number * 1e9).round() / 1e9
}

/// The selector whose samples an SLI is made of; none for raw PromQL.
fn clock(sli: &Sli) -> Option<Selector> {
    match &sli.indicator {
        Indicator::Ratio { total, .. } => Some(total.clone()),
        Indicator::Quantile { histogram, .. } => Some(buckets_of(histogram)),
        Indicator::Rate { counter, .. } => Some(counter.clone()),
        Indicator::Gauge(gauge) => Some(gauge.clone()),
        Indicator::Promql(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_around_a_line() {
        let edges = [0.1, 0.25, 0.5];
        assert_eq!(around(&edges, 0.3), Some((0.25, 0.5)));
        assert_eq!(around(&edges, 0.05), Some((0.0, 0.1)));
        assert_eq!(around(&edges, 0.25), None);
        assert_eq!(around(&edges, 0.7), None);
    }

    fn findings(stop_max: f64, tolerate_max: f64, edges: &[f64]) -> Findings {
        let range = |max| Range {
            min: None,
            max: Some(max),
        };
        let sli = Sli {
            name: "P95".to_owned(),
            indicator: Indicator::Quantile {
                q: 0.95,
                histogram: "h".parse().unwrap(),
                window_ms: 30_000,
            },
            unit: "ms".to_owned(),
            min_rate: None,
            band: range(0.1),
            tolerate: range(tolerate_max),
            stop: Stop::Outside {
                range: range(stop_max),
                after: 2,
            },
            say: firedrill_plan::Say::default(),
        };
        let mut found = Findings::default();
        check_edges(&sli, edges, &mut found);
        check_window(&sli, 10_000, &mut found);
        found
    }

    #[test]
    fn a_line_between_edges_is_noted_with_its_error() {
        let found = findings(2.0, 0.3, &[0.1, 0.25, 0.5, 2.0, 5.0, f64::INFINITY]);
        assert_eq!(found.notes.len(), 1, "{:?}", found.notes);
        assert!(found.notes[0].contains("tolerate at 0.3 lies between the bucket edges 0.25 and 0.5"));
        assert!(found.notes[0].contains("up to 0.25"));
    }

    #[test]
    fn a_stop_line_above_all_edges_and_a_short_window_are_refused() {
        let found = findings(5.0, 0.5, &[0.1, 0.5, 5.0, f64::INFINITY]);
        assert!(
            found.problems[0].contains("stop can never be left"),
            "{:?}",
            found.problems
        );
        assert!(
            found.problems[1].contains("at least 40 s"),
            "{:?}",
            found.problems
        );
        assert!(findings(1.0, 0.5, &[]).problems[0].contains("no quantile"));
    }
}
