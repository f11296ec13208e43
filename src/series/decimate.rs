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
    let grain = grain((end - begin) / pixels / 3);
    let mut columns = Columns {
        grid,
        first_free: 0,
        count: 0,
    };
    if grain == 1 {
        columns.closely(&mut lines, begin, end);
    } else {
        columns.by_blocks(&mut lines, begin, end, grain);
    }
    let columns = columns.count;
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

/// The columns as they are drawn, from left to right.
struct Columns {
    grid: Grid,
    /// Pixels before it are done.
    first_free: u64,
    count: u32,
}

impl Columns {
    /// Draws `begin..end` sample by sample: where a pixel has few.
    fn closely(&mut self, lines: &mut Lines<'_>, begin: usize, end: usize) {
        let series = lines.series;
        let mut at = begin;
        while at < end {
            let Some(point) = series.point(at) else { return };
            let pixel = self.begin(point.time_us);
            let next = self
                .grid
                .end_of(pixel)
                .map_or(end, |time_us| series.begin_near(at + 1, time_us).min(end));
            lines.take(at, next);
            at = next;
        }
    }

    /// Draws `begin..end` by blocks of `grain` samples, at least three a pixel, without looking at samples but at
    /// both ends. A block is drawn in the pixel in which it begins.
    fn by_blocks(&mut self, lines: &mut Lines<'_>, begin: usize, end: usize, grain: usize) {
        let series = lines.series;
        let mut column: Option<(u64, usize, Summary)> = None;
        let mut at = begin;
        while at < end {
            let next = ((at / grain + 1) * grain).min(end);
            let whole = if next - at == grain {
                series.block(at, grain)
            } else {
                None
            };
            let block = match whole {
                Some(block) => {
                    *lines.visits += 1;
                    block
                }
                None => series.summary(at, next, lines.visits),
            };
            let pixel = self.grid.pixel(block.first_us);
            if self.grid.pixel(block.last_us) > pixel + 1 {
                // It spans a time with few samples: they are drawn where they were.
                lines.close(&mut column, at);
                self.closely(lines, at, next);
            } else if let Some((_, _, sum)) = column.as_mut().filter(|(open, ..)| *open >= pixel) {
                *sum = sum.and(block);
            } else {
                lines.close(&mut column, at);
                column = Some((self.begin(block.first_us), at, block));
            }
            at = next;
        }
        lines.close(&mut column, end);
    }

    /// The next column; its pixel is that of its first sample, unless that one is done.
    fn begin(&mut self, time_us: u64) -> u64 {
        let pixel = self.grid.pixel(time_us).max(self.first_free);
        self.first_free = pixel + 1;
        self.count += 1;
        pixel
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
    /// Ends a column before `end`.
    fn close(&mut self, column: &mut Option<(u64, usize, Summary)>, end: usize) {
        if let Some((_, begin, all)) = column.take() {
            self.take_summed(begin, end, all);
        }
    }

    /// Takes the samples `begin..end` of one pixel.
    fn take(&mut self, begin: usize, end: usize) {
        let all = self.series.summary(begin, end, self.visits);
        self.take_summed(begin, end, all);
    }

    /// Takes the samples `begin..end` of one pixel, of which `all` is known.
    fn take_summed(&mut self, begin: usize, end: usize, all: Summary) {
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
        if begin != earlier.0 {
            self.end(summary.first_us, summary.first);
        }
        self.point(earlier.1, earlier.2);
        if later.0 != earlier.0 {
            self.point(later.1, later.2);
        }
        if end - 1 != later.0 {
            self.end(summary.last_us, summary.last);
        }
    }

    /// The sample at an end of a pixel, unless it is a gap.
    fn end(&mut self, time_us: u64, value: f64) {
        if !value.is_nan() {
            self.point(time_us, value);
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
