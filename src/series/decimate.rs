//! From samples to what a screen can show: at most a first, smallest, largest and last sample a pixel.

use crate::pyramid::{NONE, Summary};
use crate::store::{Series, grain};

/// What to draw. Costs pixels, not samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decimated {
    /// Lines, split at gaps: time in microseconds and value of real samples, in the order of time. A pixel gives
    /// its first, smallest, largest and last sample, so a line through them covers the pixels that a line through
    /// all samples would. (Where a pixel hides 48 samples or more, its edges are moved to those of blocks, by less
    /// than a third of it.) The nearest sample beyond either edge is included, so that lines reach it.
    pub runs: Vec<Vec<(u64, f64)>>,

    /// How many samples a pixel hides, on average over the pixels that have any; at most 1 when all are drawn.
    pub samples_per_pixel: f64,
}

impl Decimated {
    /// How many points in all runs.
    pub fn points(&self) -> usize {
        self.runs.iter().map(Vec::len).sum()
    }
}

/// Counts in `visits` the samples and blocks it looks at.
pub(crate) fn decimated(
    series: &Series,
    from_us: u64,
    to_us: u64,
    pixels: usize,
    visits: &mut usize,
) -> Decimated {
    if pixels == 0 || to_us < from_us {
        return Decimated::default();
    }
    let begin = series.begin_of(from_us);
    let end = series.end_of(to_us);
    let mut lines = Lines {
        series,
        visits,
        runs: Vec::new(),
        open: false,
    };
    if let Some(before) = begin.checked_sub(1) {
        lines.take(before, begin);
    }
    let grid = Grid {
        from_us,
        span_us: (to_us - from_us).saturating_add(1),
        pixels: pixels as u64,
    };
    // Pixels that begin and end with a block are read without looking at samples.
    let grain = grain((end - begin) / pixels / 3);
    let mut columns = 0_u32;
    let mut first_free = 0;
    let mut at = begin;
    while at < end {
        let Some(point) = series.point(at) else { break };
        // The begin of a block may lie in the pixel before, which is done.
        let pixel = grid.pixel(point.time_us).max(first_free);
        first_free = pixel + 1;
        let mut next = grid
            .end_of(pixel)
            .map_or(end, |time_us| series.begin_after(at + 1, time_us).min(end));
        if next < end && next / grain * grain > at {
            next = next / grain * grain;
        }
        lines.take(at, next);
        columns += 1;
        at = next;
    }
    if end < series.len() {
        lines.take(end, end + 1);
    }
    Decimated {
        runs: lines.runs,
        samples_per_pixel: if columns == 0 {
            0.0
        } else {
            (end - begin) as f64 / f64::from(columns)
        },
    }
}

/// Which times share a pixel.
struct Grid {
    from_us: u64,
    /// At least 1.
    span_us: u64,
    /// At least 1.
    pixels: u64,
}

impl Grid {
    /// The pixel of a time, from 0.
    fn pixel(&self, time_us: u64) -> u64 {
        scaled(
            time_us.saturating_sub(self.from_us),
            self.pixels,
            self.span_us,
            false,
        )
    }

    /// The first time after a pixel. `None`: there is none.
    fn end_of(&self, pixel: u64) -> Option<u64> {
        self.from_us
            .checked_add(scaled(pixel + 1, self.span_us, self.pixels, true))
    }
}

/// `number * by / of`, rounded down or up. Wide division is dear, and needed only for spans of centuries.
fn scaled(number: u64, by: u64, of: u64, up: bool) -> u64 {
    match number.checked_mul(by) {
        Some(product) if up => product.div_ceil(of),
        Some(product) => product / of,
        None => {
            let product = u128::from(number) * u128::from(by);
            let of = u128::from(of);
            let scaled = if up { product.div_ceil(of) } else { product / of };
            u64::try_from(scaled).unwrap_or(u64::MAX)
        }
    }
}

/// The runs as they grow.
struct Lines<'a> {
    series: &'a Series,
    visits: &'a mut usize,
    runs: Vec<Vec<(u64, f64)>>,
    /// Whether the next value continues the last run.
    open: bool,
}

impl Lines<'_> {
    /// Takes the samples `begin..end` of one pixel.
    fn take(&mut self, begin: usize, end: usize) {
        let all = self.series.summary(begin, end, self.visits);
        if all.first_gap == NONE {
            self.draw(begin, end, all);
            return;
        }
        // Values before the first gap and after the last one join their neighbours; what is between is a run of
        // its own, within one pixel.
        let first_gap = all.first_gap as usize;
        let last_gap = all.last_gap as usize;
        self.part(begin, first_gap);
        self.open = false;
        self.part(first_gap, last_gap);
        self.open = false;
        self.part(last_gap + 1, end);
    }

    fn part(&mut self, begin: usize, end: usize) {
        let summary = self.series.summary(begin, end, self.visits);
        self.draw(begin, end, summary);
    }

    /// Adds what is drawn of `begin..end`: its ends, unless they are gaps, and its extremes.
    fn draw(&mut self, begin: usize, end: usize, summary: Summary) {
        if !summary.has_value() {
            return;
        }
        let extremes = [
            (summary.min_at as usize, summary.min_us, summary.min),
            (summary.max_at as usize, summary.max_us, summary.max),
        ];
        let [one, other] = extremes;
        let (earlier, later) = if one.0 <= other.0 {
            (one, other)
        } else {
            (other, one)
        };
        self.draw_end(begin, earlier.0);
        self.point(earlier.1, earlier.2);
        if later.0 != earlier.0 {
            self.point(later.1, later.2);
        }
        self.draw_end(end - 1, later.0);
    }

    /// The sample at an end of a pixel, unless it is a gap or the extreme next to it.
    fn draw_end(&mut self, index: usize, extreme: usize) {
        if index == extreme {
            return;
        }
        *self.visits += 1;
        if let Some(point) = self.series.point(index)
            && let Some(value) = point.value
        {
            self.point(point.time_us, value);
        }
    }

    fn point(&mut self, time_us: u64, value: f64) {
        match self.runs.last_mut() {
            Some(run) if self.open => run.push((time_us, value)),
            _ => {
                self.runs.push(vec![(time_us, value)]);
                self.open = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A saw-tooth at 1 Hz.
    fn day(samples: u64) -> Series {
        let mut series = Series::new();
        for second in 0..samples {
            series.push(second * 1_000_000, Some((second % 97) as f64));
        }
        series
    }

    fn visits(series: &Series, pixels: usize) -> usize {
        let mut visits = 0;
        let last = series.last().unwrap().time_us;
        decimated(series, 0, last, pixels, &mut visits);
        visits
    }

    #[test]
    fn drawing_costs_pixels_times_log_of_samples() {
        let (short, long) = (day(86_400), day(864_000));
        for (series, levels) in [(&short, 5), (&long, 5)] {
            let n = visits(series, 1_000);
            // At most 15 blocks up and 15 down a level for each pixel, and the four samples drawn.
            assert!(n <= 1_000 * (2 * 15 * levels + 4), "{n}");
        }
        let (day, ten_days) = (visits(&short, 1_000), visits(&long, 1_000));
        assert!(
            ten_days < 2 * day,
            "ten times the samples cost {ten_days} instead of {day}"
        );
        assert!(visits(&long, 2_000) > visits(&long, 1_000), "nothing was counted");
    }

    #[test]
    fn the_grid_covers_the_span_without_overlap() {
        let grid = Grid {
            from_us: 7,
            span_us: 1_001,
            pixels: 10,
        };
        let mut at = 7;
        let mut pixels = 0;
        while at < 7 + 1_001 {
            assert_eq!(grid.pixel(at), pixels);
            let end = grid.end_of(pixels).unwrap();
            assert!(end > at);
            assert_eq!(grid.pixel(end - 1), pixels);
            at = end;
            pixels += 1;
        }
        assert_eq!((pixels, at), (10, 1_008));
    }
}
