//! The store: sealed segments that clones share, and a small tail that grows.

use std::sync::Arc;

use crate::decimate::{self, Decimated};
use crate::pyramid::{FACTOR, LEAF, NONE, Pyramid, Summary};

/// Samples of a sealed segment, a block of some level. A clone that is pushed to copies at most one tail of this
/// many.
pub(crate) const SEGMENT: usize = LEAF * FACTOR.pow(4);

/// Samples of the lowest block that is kept for all segments together.
const COARSE: usize = LEAF * FACTOR.pow(2);

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When, in microseconds of the caller's clock.
    pub time_us: u64,
    /// What; `None` is a gap: there was no data.
    pub value: Option<f64>,
}

/// Append-only samples over time. Clones share what is stored: one costs two reference counts, and the first push
/// after it at most a copy of the tail.
#[derive(Clone, Debug, Default)]
pub struct Series {
    sealed: Arc<Sealed>,
    tail: Arc<Segment>,
}

/// Full segments and the pyramid over all their samples.
#[derive(Clone, Debug, Default)]
struct Sealed {
    segments: Vec<Arc<Segment>>,
    /// The time of each segment's last sample: looking a time up touches only one segment.
    ends_us: Vec<u64>,
    /// Its lowest blocks are [`COARSE`] samples: what many segments are drawn from lies side by side.
    pyramid: Pyramid,
}

/// Samples in the order of time.
#[derive(Clone, Debug, Default)]
struct Segment {
    /// Time and value; NaN is a gap.
    samples: Vec<(u64, f64)>,
    /// Its lowest blocks are [`LEAF`] samples.
    pyramid: Pyramid,
}

impl Series {
    /// Of no samples.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sample at the end. `None`, and a value that is not finite, is a gap. A sample earlier than the last
    /// one is refused and `false` returned: history is not rewritten. One of the same time is taken.
    pub fn push(&mut self, time_us: u64, value: Option<f64>) -> bool {
        let index = self.len();
        if self.last().is_some_and(|last| time_us < last.time_us) || index >= NONE as usize {
            return false;
        }
        let value = value.filter(|value| value.is_finite()).unwrap_or(f64::NAN);
        let tail = Arc::make_mut(&mut self.tail);
        tail.push(index, time_us, value);
        if tail.samples.len() == SEGMENT {
            let full = std::mem::take(tail);
            let sealed = Arc::make_mut(&mut self.sealed);
            sealed.ends_us.push(time_us);
            for block in 0..SEGMENT / COARSE {
                let block = full.pyramid.get(level(COARSE, LEAF), block);
                sealed.pyramid.push(block.unwrap_or(Summary::EMPTY));
            }
            sealed.segments.push(Arc::new(full));
        }
        true
    }

    /// How many samples, gaps included.
    pub fn len(&self) -> usize {
        self.sealed.segments.len() * SEGMENT + self.tail.samples.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The oldest sample.
    pub fn first(&self) -> Option<Point> {
        self.point(0)
    }

    /// The newest sample.
    pub fn last(&self) -> Option<Point> {
        self.point(self.len().checked_sub(1)?)
    }

    /// The newest sample at or before `time_us`.
    pub fn latest_at(&self, time_us: u64) -> Option<Point> {
        self.point(self.end_of(time_us).checked_sub(1)?)
    }

    /// All samples from `from_us` to `to_us`, both included. Costs samples: to draw, use
    /// [`decimated`](Self::decimated).
    pub fn range(&self, from_us: u64, to_us: u64) -> impl Iterator<Item = Point> + '_ {
        (self.begin_of(from_us)..self.end_of(to_us)).filter_map(|index| self.point(index))
    }

    /// The smallest and the largest value from `from_us` to `to_us`, both included.
    pub fn min_max(&self, from_us: u64, to_us: u64) -> Option<(f64, f64)> {
        let summary = self.summary(self.begin_of(from_us), self.end_of(to_us), &mut 0);
        summary.has_value().then_some((summary.min, summary.max))
    }

    /// What to draw of `from_us` to `to_us` on so many pixels; see [`Decimated`].
    pub fn decimated(&self, from_us: u64, to_us: u64, pixels: usize) -> Decimated {
        decimate::decimated(self, from_us, to_us, pixels, &mut 0)
    }

    /// The sample at `index`, counted from the oldest.
    pub(crate) fn point(&self, index: usize) -> Option<Point> {
        let segment = self.segment(index / SEGMENT)?;
        let &(time_us, value) = segment.samples.get(index % SEGMENT)?;
        Some(Point {
            time_us,
            value: (!value.is_nan()).then_some(value),
        })
    }

    /// The index of the first sample at or after `time_us`.
    pub(crate) fn begin_of(&self, time_us: u64) -> usize {
        self.first_from(0, time_us)
    }

    /// The same, known to be at `from` or after it: cheap when it is near.
    pub(crate) fn begin_near(&self, from: usize, time_us: u64) -> usize {
        const NEAR: usize = 64;
        let segment = self.segment(from / SEGMENT);
        let samples = segment.map_or(&[][..], |segment| &segment.samples);
        let offset = (from % SEGMENT).min(samples.len());
        let near = &samples[offset..samples.len().min(offset + NEAR)];
        if let Some(found) = near.iter().position(|&(time, _)| time >= time_us) {
            return from + found;
        }
        self.first_from(from, time_us).max(from)
    }

    /// The index of the first sample after `time_us`.
    pub(crate) fn end_of(&self, time_us: u64) -> usize {
        time_us
            .checked_add(1)
            .map_or(self.len(), |next| self.first_from(0, next))
    }

    /// Of the samples `begin..end`; counts the samples and blocks it looks at.
    pub(crate) fn summary(&self, begin: usize, end: usize, visits: &mut usize) -> Summary {
        let mut sum = Summary::EMPTY;
        let mut at = begin;
        while at < end {
            let (block, next) = self.largest_block(at, end);
            *visits += if next - at < LEAF { next - at } else { 1 };
            sum = sum.and(block);
            at = next;
        }
        sum
    }

    /// The largest complete block that begins at `at` and ends not after `end`, and where it ends. Where there is
    /// none, the samples until the next one may begin.
    fn largest_block(&self, at: usize, end: usize) -> (Summary, usize) {
        let sealed = &self.sealed;
        if at.is_multiple_of(COARSE) && at + COARSE <= end {
            let found = largest(&sealed.pyramid, at / COARSE, (end - at) / COARSE);
            if let Some((block, taken)) = found {
                return (block, at + taken * COARSE);
            }
        }
        let Some(segment) = self.segment(at / SEGMENT) else {
            return (Summary::EMPTY, end);
        };
        let offset = at % SEGMENT;
        if offset.is_multiple_of(LEAF) && at + LEAF <= end {
            let room = (end - at).min(SEGMENT - offset) / LEAF;
            if let Some((block, taken)) = largest(&segment.pyramid, offset / LEAF, room) {
                return (block, at + taken * LEAF);
            }
        }
        let until = (offset + 1).next_multiple_of(LEAF).min(offset + (end - at));
        let samples = segment.samples.get(offset..until).unwrap_or_default();
        (summary(at, samples), at + (until - offset))
    }

    /// The complete block of `grain` samples that begins at `at`; `None` when there is none.
    pub(crate) fn block(&self, at: usize, grain: usize) -> Option<Summary> {
        if !at.is_multiple_of(grain) {
            return None;
        }
        let sealed = || self.sealed.pyramid.get(level(grain, COARSE), at / grain);
        let within = || {
            let segment = self.segment(at / SEGMENT)?;
            segment.pyramid.get(level(grain, LEAF), at % SEGMENT / grain)
        };
        if grain < COARSE {
            within()
        } else {
            sealed().or_else(within)
        }
    }

    fn segment(&self, number: usize) -> Option<&Segment> {
        let segments = &self.sealed.segments;
        if number == segments.len() {
            return Some(&self.tail);
        }
        segments.get(number).map(|segment| &**segment)
    }

    /// The index of the first sample at or after `time_us`, looking no further back than the segment of the sample
    /// `from`.
    fn first_from(&self, from: usize, time_us: u64) -> usize {
        let ends_us = &self.sealed.ends_us;
        let skipped = (from / SEGMENT).min(ends_us.len());
        let full = skipped + ends_us[skipped..].partition_point(|&end_us| end_us < time_us);
        let within = self
            .segment(full)
            .map_or(0, |segment| first_at_or_after(&segment.samples, time_us));
        full * SEGMENT + within
    }
}

/// The index of the first sample at or after `time_us`. Samples are mostly as far apart as their neighbours, so it
/// looks first where the sample would be then, and from there in growing steps: a few looks instead of ten.
fn first_at_or_after(samples: &[(u64, f64)], time_us: u64) -> usize {
    let (Some(&(first_us, _)), Some(&(last_us, _))) = (samples.first(), samples.last()) else {
        return 0;
    };
    if time_us <= first_us {
        return 0;
    }
    if time_us > last_us {
        return samples.len();
    }
    let share = (time_us - first_us) as f64 / (last_us - first_us) as f64;
    let guess = ((share * (samples.len() - 1) as f64) as usize).min(samples.len() - 1);
    let (mut low, mut high) = (0, samples.len());
    let mut step = 1;
    if samples[guess].0 < time_us {
        low = guess + 1;
        while guess + step < high {
            if samples[guess + step].0 >= time_us {
                high = guess + step;
                break;
            }
            low = guess + step + 1;
            step *= 4;
        }
    } else {
        high = guess;
        while step <= guess {
            if samples[guess - step].0 < time_us {
                low = guess - step + 1;
                break;
            }
            high = guess - step;
            step *= 4;
        }
    }
    low + samples[low..high].partition_point(|&(time, _)| time < time_us)
}

impl Segment {
    /// `index` is the sample's in the whole series.
    fn push(&mut self, index: usize, time_us: u64, value: f64) {
        self.samples.push((time_us, value));
        let len = self.samples.len();
        if len.is_multiple_of(LEAF) {
            let block = summary(index + 1 - LEAF, &self.samples[len - LEAF..]);
            self.pyramid.push(block);
        }
    }
}

/// Of samples the first of which is `first` in the whole series. What a summary says is gathered in registers:
/// folding summaries would write one a sample.
fn summary(first: usize, samples: &[(u64, f64)]) -> Summary {
    let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
    let (mut min_at, mut max_at) = (None, None);
    let (mut first_gap, mut last_gap) = (NONE, NONE);
    for (offset, &(_, value)) in samples.iter().enumerate() {
        if value.is_nan() {
            last_gap = (first + offset) as u32;
            first_gap = first_gap.min(last_gap);
            continue;
        }
        if value < min {
            (min, min_at) = (value, Some(offset));
        }
        if value > max {
            (max, max_at) = (value, Some(offset));
        }
    }
    let place = |at: Option<usize>| {
        let sample = at.and_then(|at| Some((at, samples.get(at)?)));
        sample.map_or((0, NONE), |(at, &(time_us, _))| (time_us, (first + at) as u32))
    };
    let ((min_us, min_at), (max_us, max_at)) = (place(min_at), place(max_at));
    let (Some(&(first_us, first_value)), Some(&(last_us, last))) = (samples.first(), samples.last()) else {
        return Summary::EMPTY;
    };
    Summary {
        first: first_value,
        last,
        first_us,
        last_us,
        min,
        max,
        min_us,
        max_us,
        min_at,
        max_at,
        first_gap,
        last_gap,
    }
}

/// The level of blocks of `grain` samples in a pyramid whose lowest blocks are `lowest`.
fn level(grain: usize, lowest: usize) -> usize {
    ((grain / lowest).ilog2() / FACTOR.ilog2()) as usize
}

/// The size of the largest blocks that are not larger than `samples`; 1 when no block is so small.
pub(crate) fn grain(samples: usize) -> usize {
    if samples < LEAF {
        return 1;
    }
    let mut grain = LEAF;
    while grain * FACTOR <= samples {
        grain *= FACTOR;
    }
    grain
}

/// The largest complete block of `pyramid` that begins at its lowest block `at` and covers at most `room` of
/// them, and how many it covers.
fn largest(pyramid: &Pyramid, at: usize, room: usize) -> Option<(Summary, usize)> {
    let mut found = None;
    let mut size = 1;
    for level in 0..pyramid.levels() {
        if !at.is_multiple_of(size) || size > room {
            break;
        }
        let Some(block) = pyramid.get(level, at / size) else {
            break;
        };
        found = Some((block, size));
        size *= FACTOR;
    }
    found
}
