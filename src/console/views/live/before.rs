//! The baseline's window of a series, to be drawn faintly under the injection: what it would be without us.

use firedrill_drill::Phase;
use firedrill_scene::DrillScene;
use firedrill_series::{Decimated, Series};

/// Which time is compared with which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "units stand in names")]
pub struct Before {
    /// Begin of the baseline that is repeated, microseconds.
    from_us: u64,
    /// How long it is repeated.
    length_us: u64,
    /// Begin of the injection it lies under.
    at_us: u64,
}

/// A piece of it as it is drawn.
pub struct Ghost {
    /// At its own time.
    pub drawn: Decimated,
    /// Drawn later by this, seconds.
    pub shift: f64,
}

impl Before {
    /// The last baseline before the first injection, from its end back as far as faults were on, or are to be.
    pub fn of(drill: &DrillScene) -> Option<Self> {
        let at_us = drill.injections.iter().filter_map(|it| it.from_us).min()?;
        let ends = drill
            .injections
            .iter()
            .map(|it| it.until_us.unwrap_or(it.ends_us));
        let until_us = ends.max()?;
        let baseline = drill
            .phases
            .iter()
            .rposition(|(phase, from)| *phase == Phase::Baseline && *from <= at_us)?;
        let begin_us = drill.phases[baseline].1;
        let end_us = drill.phases.get(baseline + 1).map_or(at_us, |next| next.1);
        let length_us = until_us
            .saturating_sub(at_us)
            .min(end_us.saturating_sub(begin_us));
        (length_us > 0).then_some(Self {
            from_us: end_us - length_us,
            length_us,
            at_us,
        })
    }

    fn shift_us(&self) -> u64 {
        self.at_us - self.from_us
    }

    /// Its value at a time of the injection.
    pub fn value(&self, series: &Series, at_us: u64) -> Option<f64> {
        let inside = (self.at_us..self.at_us + self.length_us).contains(&at_us);
        let point = series.latest_at(at_us - self.shift_us().min(at_us))?;
        point.value.filter(|_| inside && point.time_us >= self.from_us)
    }

    /// What of it is in sight between the edges, in microseconds, of a plot of so many columns.
    pub fn ghost(&self, series: &Series, (left, right): (f64, f64), columns: usize) -> Option<Ghost> {
        let from = left.max(self.at_us as f64);
        let until = right.min((self.at_us + self.length_us) as f64);
        if until <= from {
            return None;
        }
        let shift = self.shift_us() as f64;
        let share = (until - from) / (right - left);
        let columns = (columns as f64 * share).ceil().max(1.0) as usize;
        let mut drawn = series.decimated((from - shift) as u64, (until - shift) as u64, columns);
        // The neighbours beyond its ends belong to no baseline.
        let (first, last) = (self.from_us, self.from_us + self.length_us);
        for run in &mut drawn.runs {
            run.retain(|(us, _)| (first..=last).contains(us));
        }
        drawn.runs.retain(|run| !run.is_empty());
        Some(Ghost {
            drawn,
            shift: shift / 1e6,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;

    #[test]
    fn it_repeats_the_end_of_the_baseline_under_the_injection() {
        let before = Before {
            from_us: 40 * S,
            length_us: 20 * S,
            at_us: 70 * S,
        };
        let mut series = Series::new();
        for second in 0..100 {
            series.push(second * S, Some(second as f64));
        }
        assert_eq!(before.value(&series, 70 * S), Some(40.0));
        assert_eq!(before.value(&series, 89 * S), Some(59.0));
        assert_eq!(before.value(&series, 69 * S), None);
        assert_eq!(before.value(&series, 90 * S), None);
        let ghost = before.ghost(&series, (0.0, 100e6), 100).unwrap();
        let points: Vec<f64> = ghost
            .drawn
            .runs
            .iter()
            .flatten()
            .map(|(_, value)| *value)
            .collect();
        let expected: Vec<f64> = (40..=60).map(f64::from).collect();
        assert_eq!((points, ghost.shift), (expected, 30.0));
        assert!(before.ghost(&series, (0.0, 60e6), 100).is_none());
    }
}
