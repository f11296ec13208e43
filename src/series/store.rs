//! The store: sealed segments that clones share, and a small tail that grows.

use std::sync::Arc;

use crate::decimate::{self, Decimated};
use crate::pyramid::{FACTOR, NONE, Pyramid, Summary};

/// Samples of a sealed segment. A clone that is pushed to copies at most one tail of this many.
pub(crate) const SEGMENT: usize = 1024;

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
    /// Its lowest blocks are segments.
    pyramid: Pyramid,
}

/// Samples in the order of time.
#[derive(Clone, Debug, Default)]
struct Segment {
    times_us: Vec<u64>,
    /// NaN is a gap.
    values: Vec<f64>,
    /// Its lowest blocks are [`FACTOR`] samples.
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
        if tail.values.len() == SEGMENT {
            let full = std::mem::take(tail);
            let sealed = Arc::make_mut(&mut self.sealed);
            sealed.pyramid.push(full.summary(index + 1 - SEGMENT));
            sealed.segments.push(Arc::new(full));
        }
        true
    }

    /// How many samples, gaps included.
    pub fn len(&self) -> usize {
        self.sealed.segments.len() * SEGMENT + self.tail.values.len()
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
        let value = *segment.values.get(index % SEGMENT)?;
        Some(Point {
            time_us: segment.times_us[index % SEGMENT],
            value: (!value.is_nan()).then_some(value),
        })
    }

    /// The index of the first sample at or after `time_us`.
    pub(crate) fn begin_of(&self, time_us: u64) -> usize {
        self.partition(|time| time < time_us)
    }

    /// The index of the first sample after `time_us`.
    pub(crate) fn end_of(&self, time_us: u64) -> usize {
        self.partition(|time| time <= time_us)
    }

    /// Of the samples `begin..end`; counts the samples and blocks it looks at.
    pub(crate) fn summary(&self, begin: usize, end: usize, visits: &mut usize) -> Summary {
        let mut sum = Summary::EMPTY;
        let mut at = begin;
        while at < end {
            *visits += 1;
            let (block, next) = self.largest_block(at, end);
            sum = sum.and(block);
            at = next;
        }
        sum
    }

    /// The largest complete block that begins at `at` and ends not after `end`, and where it ends. A sample when
    /// there is none.
    fn largest_block(&self, at: usize, end: usize) -> (Summary, usize) {
        let sealed = &self.sealed;
        if at.is_multiple_of(SEGMENT) && at / SEGMENT < sealed.segments.len() && at + SEGMENT <= end {
            let found = largest(&sealed.pyramid, at / SEGMENT, (end - at) / SEGMENT);
            if let Some((block, taken)) = found {
                return (block, at + taken * SEGMENT);
            }
        }
        let Some(segment) = self.segment(at / SEGMENT) else {
            return (Summary::EMPTY, end);
        };
        let offset = at % SEGMENT;
        if offset.is_multiple_of(FACTOR) && at + FACTOR <= end {
            let room = (end - at).min(SEGMENT - offset) / FACTOR;
            if let Some((block, taken)) = largest(&segment.pyramid, offset / FACTOR, room) {
                return (block, at + taken * FACTOR);
            }
        }
        let value = segment.values.get(offset).copied().unwrap_or(f64::NAN);
        (Summary::of(at as u32, value), at + 1)
    }

    fn segment(&self, number: usize) -> Option<&Segment> {
        let segments = &self.sealed.segments;
        if number == segments.len() {
            return Some(&self.tail);
        }
        segments.get(number).map(|segment| &**segment)
    }

    /// How many samples come first for which `before` holds; it must hold for none after one for which it does not.
    fn partition(&self, before: impl Fn(u64) -> bool) -> usize {
        let segments = &self.sealed.segments;
        let full = segments.partition_point(|segment| segment.times_us.last().is_some_and(|&t| before(t)));
        let within = self.segment(full).map_or(0, |segment| {
            segment.times_us.partition_point(|&time| before(time))
        });
        full * SEGMENT + within
    }
}

impl Segment {
    /// `index` is the sample's in the whole series.
    fn push(&mut self, index: usize, time_us: u64, value: f64) {
        self.times_us.push(time_us);
        self.values.push(value);
        let len = self.values.len();
        if len.is_multiple_of(FACTOR) {
            let first = index + 1 - FACTOR;
            let block = self.values[len - FACTOR..]
                .iter()
                .enumerate()
                .fold(Summary::EMPTY, |sum, (offset, &value)| {
                    sum.and(Summary::of((first + offset) as u32, value))
                });
            self.pyramid.push(block);
        }
    }

    /// Of all its samples, the first of which is `first` in the whole series.
    fn summary(&self, first: usize) -> Summary {
        self.values
            .iter()
            .enumerate()
            .fold(Summary::EMPTY, |sum, (offset, &value)| {
                sum.and(Summary::of((first + offset) as u32, value))
            })
    }
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
