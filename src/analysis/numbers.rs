//! Numbers of an SLI before, during and after, and the measured times of a drill.

use firedrill_drill::{At, Drill, Outcome, Phase};
use firedrill_scene::{DrillScene, Numbers, SliNumbers, SliScene};

/// The drill's three spans, in microseconds since it was made.
pub struct Spans {
    /// Baseline to the first fault.
    before: (u64, u64),
    /// First fault active to the last one read back as off.
    during: Option<(u64, u64)>,
    /// From then to the end.
    after: Option<(u64, u64)>,
}

impl Spans {
    /// The spans of a drill whose record ends at `end`.
    pub fn of(drill: &Drill, end: At) -> Self {
        let begin = drill.began(Phase::Baseline).map_or(0, |at| at.mono_us);
        let first_on = drill
            .injections()
            .iter()
            .filter_map(|it| it.active)
            .map(|at| at.mono_us)
            .min();
        let all_off = drill.injections().iter().all(firedrill_drill::Injection::is_off);
        let last_off = drill
            .injections()
            .iter()
            .filter_map(|it| it.off)
            .map(|at| at.mono_us)
            .max();
        let off = if all_off { last_off } else { None };
        Self {
            before: (begin, first_on.unwrap_or(end.mono_us)),
            during: first_on.map(|on| (on, off.unwrap_or(end.mono_us))),
            after: first_on.and(off).map(|off| (off, end.mono_us)),
        }
    }

    /// From the first fault's begin to the first sample out of tolerance.
    pub fn time_to_break_ms(&self, scene: &DrillScene) -> Option<u64> {
        let (from, until) = self.during?;
        let first = scene.slis.iter().filter_map(|sli| {
            let mut samples = sli.series.range(from, until);
            samples
                .find(|point| point.value.is_some_and(|value| !sli.tolerate.contains(value)))
                .map(|it| it.time_us)
        });
        first.min().map(|at| at.saturating_sub(from) / 1_000)
    }

    /// From the sample (or the person) that decided the stop to the last read-back.
    pub fn time_to_stop_ms(&self, drill: &Drill) -> Option<u64> {
        let verdict = drill.verdict()?;
        let decided = verdict.reasons.iter().find(|reason| match verdict.outcome {
            Outcome::Held => false,
            Outcome::Broken => reason.rule == "stop condition",
            Outcome::Aborted => reason.rule == "abort" || reason.rule.starts_with("guardrail"),
            Outcome::Inconclusive => true,
        })?;
        let (off, _) = self.after?;
        Some(off.saturating_sub(decided.at.mono_us) / 1_000)
    }
}

/// The numbers of one SLI.
pub fn numbers(sli: &SliScene, spans: &Spans) -> SliNumbers {
    let of = |(from, until): (u64, u64)| of_span(sli, from, until);
    SliNumbers {
        name: sli.name.clone(),
        unit: sli.unit.clone(),
        before: of(spans.before),
        during: spans.during.and_then(of),
        after: spans.after.and_then(of),
    }
}

fn of_span(sli: &SliScene, from: u64, until: u64) -> Option<Numbers> {
    let mut without_data = 0;
    let mut values = Vec::new();
    for point in sli.series.range(from, until) {
        match point.value {
            Some(value) => values.push(value),
            None => without_data += 1,
        }
    }
    values.sort_by(f64::total_cmp);
    let (min, max) = (*values.first()?, *values.last()?);
    Some(Numbers {
        samples: values.len(),
        without_data,
        min,
        median: quantile(&values, 0.5),
        p95: quantile(&values, 0.95),
        max,
    })
}

/// Hyndman and Fan's type 7, as R and numpy do by default; `sorted` is not empty.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let (low, share) = (place.floor() as usize, place.fract());
    let next = sorted[(low + 1).min(sorted.len() - 1)];
    sorted[low] + (next - sorted[low]) * share
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile([1, 2, 4, 8, 16], [0.5, 0.95])
        let values = [1.0, 2.0, 4.0, 8.0, 16.0];
        assert!((quantile(&values, 0.5) - 4.0).abs() < 1e-12);
        assert!((quantile(&values, 0.95) - 14.4).abs() < 1e-12);
        assert!((quantile(&[3.0], 0.95) - 3.0).abs() < 1e-12);
    }
}
