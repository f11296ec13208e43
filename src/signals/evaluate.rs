//! SLIs from raw series: what a Prometheus server would compute, computed here.
//!
//! One look at a source is an observation: [`Evaluator::begin`], every text by [`Evaluator::take`], what could not
//! be read by [`Evaluator::failed`] or is still waited for by [`Evaluator::pending`], then [`Evaluator::finish`],
//! which gives a sample of every SLI whose series are new.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use firedrill_drill::{Reading, Sample};
use firedrill_plan::{Indicator, Selector, Sli};
use firedrill_series::{Bucket, Counter, quantile};

use crate::SetupError;
use crate::exposition::{self, Format, Line};
use crate::selector::{Chooser, Label};

/// One selector of an SLI keeps no more series than this.
const SERIES_LIMIT: usize = 20_000;

/// Holds the raw series of all SLIs, as far back as their windows reach.
#[derive(Debug)]
pub(crate) struct Evaluator {
    slis: Vec<Tracked>,
    parts: Vec<Part>,
    /// Which parts want series of this name.
    by_metric: HashMap<String, Vec<usize>>,
    now_ms: i64,
    failures: Vec<String>,
    /// The numbers of the origins that have not answered yet.
    pending: Vec<usize>,
    /// The numbers of the origins that have been read.
    known: BTreeSet<usize>,
}

/// Where a text comes from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// Tells equal series of two addresses apart.
    pub(crate) number: usize,
    /// Series without the label `instance` get this one, as Prometheus gives it.
    pub(crate) instance: Option<String>,
}

/// An SLI and which [`Part`]s it is made of.
#[derive(Debug)]
struct Tracked {
    kind: Kind,
    /// The part whose new samples make a new sample of the SLI.
    clock: usize,
    window_ms: u64,
    /// The newest source time that was given.
    given_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Ratio { good: usize },
    Quantile { q: f64 },
    Rate,
    Gauge,
}

/// The series that one selector chooses.
#[derive(Debug)]
struct Part {
    /// As the plan writes it.
    words: String,
    chooser: Chooser,
    window_ms: u64,
    /// By their labels, in an order that does not change: sums come out the same.
    series: BTreeMap<String, Kept>,
    /// The newest time of a series in this observation.
    newest_ms: Option<i64>,
    /// The labels of a series of this observation that has the name and is not chosen, for a sentence.
    other: Option<String>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The number of the address it is from.
    origin: usize,
    counter: Counter,
    /// The value in this observation.
    now: Option<f64>,
    /// A bucket's upper edge.
    le: Option<f64>,
}

impl Evaluator {
    pub(crate) fn new(slis: &[Sli]) -> Result<Self, SetupError> {
        let mut this = Self {
            slis: Vec::with_capacity(slis.len()),
            parts: Vec::new(),
            by_metric: HashMap::new(),
            now_ms: 0,
            failures: Vec::new(),
            pending: Vec::new(),
            known: BTreeSet::new(),
        };
        for sli in slis {
            let window_ms = sli.indicator.window_ms().unwrap_or(0);
            let (clock, kind) = match &sli.indicator {
                Indicator::Ratio { good, total, .. } => {
                    let good = this.part(good, window_ms)?;
                    (this.part(total, window_ms)?, Kind::Ratio { good })
                }
                Indicator::Quantile { q, histogram, .. } => {
                    let buckets = buckets_of(histogram);
                    (this.part(&buckets, window_ms)?, Kind::Quantile { q: *q })
                }
                Indicator::Rate { counter, .. } => (this.part(counter, window_ms)?, Kind::Rate),
                Indicator::Gauge(gauge) => (this.part(gauge, 0)?, Kind::Gauge),
                Indicator::Promql(_) => {
                    return Err(SetupError::PromqlElsewhere {
                        sli: sli.name.clone(),
                    });
                }
            };
            this.slis.push(Tracked {
                kind,
                clock,
                window_ms,
                given_ms: None,
            });
        }
        Ok(this)
    }

    fn part(&mut self, selector: &Selector, window_ms: u64) -> Result<usize, SetupError> {
        let index = self.parts.len();
        self.parts.push(Part {
            words: selector.to_string(),
            chooser: Chooser::new(selector)?,
            window_ms,
            series: BTreeMap::new(),
            newest_ms: None,
            other: None,
        });
        self.by_metric
            .entry(selector.metric.clone())
            .or_default()
            .push(index);
        Ok(index)
    }

    /// A new observation at this time by our clock.
    pub(crate) fn begin(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        self.failures.clear();
        self.pending.clear();
        for part in &mut self.parts {
            part.newest_ms = None;
            part.other = None;
            for kept in part.series.values_mut() {
                kept.now = None;
            }
        }
    }

    /// A part of the source could not be read; `why` is a sentence.
    pub(crate) fn failed(&mut self, why: String) {
        self.failures.push(why);
    }

    /// The origin of this number has not answered yet, nor failed: SLIs with series of it have no sample in this
    /// observation, with data or without. Of one that was never read nobody knows which these are.
    pub(crate) fn pending(&mut self, origin: usize) {
        self.pending.push(origin);
    }

    /// Takes exposition text that was asked for at this time by our clock, not after the observation's. The error
    /// says which line is wrong; then nothing of the text may be counted on, so the caller says it
    /// [`failed`](Self::failed).
    pub(crate) fn take(
        &mut self,
        text: &str,
        format: Format,
        origin: &Origin,
        asked_ms: i64,
    ) -> Result<(), String> {
        // Nothing of a text that is wrong anywhere is taken.
        exposition::read(text, format, |_| Ok(()))?;
        self.known.insert(origin.number);
        exposition::read(text, format, |line| self.line(line, origin, asked_ms))
    }

    fn line(&mut self, line: Line<'_, '_>, origin: &Origin, asked_ms: i64) -> Result<(), String> {
        let Line {
            name,
            labels,
            value,
            time_ms,
        } = line;
        let Some(parts) = self.by_metric.get(name) else {
            return Ok(());
        };
        if let Some(instance) = &origin.instance
            && !labels.iter().any(|(name, _)| *name == "instance")
        {
            labels.push(("instance", instance.clone().into()));
        }
        labels.sort_unstable_by(|a, b| a.0.cmp(b.0));
        let time_ms = time_ms.unwrap_or(asked_ms);
        for &index in parts {
            let part = &mut self.parts[index];
            debug_assert_eq!(part.chooser.metric(), name);
            if part.chooser.chooses(labels) {
                part.take(origin.number, labels, time_ms, value)?;
            } else if part.other.is_none() {
                part.other = Some(shown(labels));
            }
        }
        Ok(())
    }

    /// What the SLIs are at a time not before the last observation.
    pub(crate) fn readings(&self, at_ms: i64) -> Vec<Reading> {
        self.slis
            .iter()
            .map(|sli| reading(sli, &self.parts, at_ms))
            .collect()
    }

    /// Samples of the SLIs that are new. An SLI without a series in this observation gives no data.
    pub(crate) fn finish(&mut self) -> Vec<Sample> {
        let now_ms = self.now_ms;
        for part in &mut self.parts {
            part.forget(now_ms, &self.pending);
        }
        let mut samples = Vec::new();
        if self.pending.iter().any(|origin| !self.known.contains(origin)) {
            return samples;
        }
        for (index, sli) in self.slis.iter_mut().enumerate() {
            let clock = &self.parts[sli.clock];
            if clock.waits_for(&self.pending) {
                continue;
            }
            let (source_ms, reading) = match clock.newest_ms {
                Some(newest_ms) if sli.given_ms.is_some_and(|given| newest_ms <= given) => continue,
                Some(newest_ms) => {
                    sli.given_ms = Some(newest_ms);
                    (newest_ms, reading(sli, &self.parts, now_ms))
                }
                None => (now_ms, nothing(clock, &self.failures)),
            };
            samples.push(Sample {
                sli: index,
                source_ms,
                age_ms: u64::try_from(now_ms - source_ms).unwrap_or(0),
                reading,
            });
        }
        samples
    }

    /// The finite and infinite edges of an SLI's histogram, sorted; empty for other SLIs.
    pub(crate) fn edges(&self, sli: usize) -> Vec<f64> {
        let Some(tracked) = self.slis.get(sli) else {
            return Vec::new();
        };
        let mut edges: Vec<f64> = self.parts[tracked.clock]
            .series
            .values()
            .filter_map(|kept| kept.le)
            .collect();
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        edges
    }

    /// Whether the counters that an SLI is computed of grew since the first observation kept; `true` for gauges.
    pub(crate) fn grew(&self, sli: usize) -> bool {
        let Some(tracked) = self.slis.get(sli) else {
            return false;
        };
        if matches!(tracked.kind, Kind::Gauge) {
            return true;
        }
        let part = &self.parts[tracked.clock];
        part.series.values().any(|kept| {
            kept.counter
                .rate(self.now_ms, part.window_ms)
                .is_some_and(|rate| rate > 0.0)
        })
    }

    /// Why none of an SLI's series was there in this observation; `None`: some were.
    pub(crate) fn missing(&self, sli: usize) -> Option<String> {
        let part = &self.parts[self.slis.get(sli)?.clock];
        part.newest_ms.is_none().then(|| part.chooses_nothing())
    }

    /// What could not be read in this observation.
    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }
}

/// The buckets of a classic histogram.
pub(crate) fn buckets_of(histogram: &Selector) -> Selector {
    Selector {
        metric: format!("{}_bucket", histogram.metric),
        matchers: histogram.matchers.clone(),
    }
}

impl Part {
    fn take(&mut self, origin: usize, labels: &[Label<'_>], time_ms: i64, value: f64) -> Result<(), String> {
        let key = key(origin, labels);
        if self.series.len() >= SERIES_LIMIT && !self.series.contains_key(&key) {
            return Err(format!(
                "{} chooses more than {SERIES_LIMIT} series; narrow it by labels",
                self.words
            ));
        }
        let kept = self.series.entry(key).or_default();
        if kept.now.is_some() {
            // The same series twice in one text: the first counts.
            return Ok(());
        }
        kept.now = Some(value);
        kept.origin = origin;
        kept.le = labels
            .iter()
            .find(|(name, _)| *name == "le")
            .and_then(|(_, value)| value.parse().ok());
        if self.window_ms > 0 {
            kept.counter.push(time_ms, value);
        }
        self.newest_ms = Some(self.newest_ms.map_or(time_ms, |newest| newest.max(time_ms)));
        Ok(())
    }

    fn chooses_nothing(&self) -> String {
        chooses_nothing(&self.words, self.chooser.metric(), self.other.as_deref())
    }

    /// Whether series of these origins belong to it, as far as can be told: without any, they may.
    fn waits_for(&self, origins: &[usize]) -> bool {
        let of_them = |kept: &Kept| origins.contains(&kept.origin);
        !origins.is_empty() && (self.series.is_empty() || self.series.values().any(of_them))
    }

    /// Drops what no window reaches any more and nobody waits for.
    fn forget(&mut self, now_ms: i64, pending: &[usize]) {
        let begin_ms = now_ms.saturating_sub_unsigned(self.window_ms);
        self.series.retain(|_, kept| {
            kept.counter.forget(begin_ms);
            kept.now.is_some() || !kept.counter.is_empty() || pending.contains(&kept.origin)
        });
    }

    /// The rates of all series that have one, with their bucket's edge.
    fn rates(&self, now_ms: i64) -> impl Iterator<Item = (Option<f64>, f64)> + '_ {
        self.series.values().filter_map(move |kept| {
            let rate = kept.counter.rate(now_ms, self.window_ms)?;
            Some((kept.le, rate))
        })
    }

    /// How much of the window lies after the oldest sample in it.
    fn filled_ms(&self, now_ms: i64) -> u64 {
        self.series
            .values()
            .filter_map(|kept| kept.counter.oldest())
            .map(|(oldest_ms, _)| u64::try_from(now_ms - oldest_ms).unwrap_or(0))
            .max()
            .unwrap_or(0)
    }
}

/// `words` choose no series; `other` are the labels of one that has at least the name.
pub(crate) fn chooses_nothing(words: &str, metric: &str, other: Option<&str>) -> String {
    match other {
        Some(other) => format!(
            "no series is chosen by {words}, though the source has {metric}{other}; correct the matchers in the plan"
        ),
        None => format!(
            "no series is chosen by {words}: the source has nothing of that name; correct the name, or is the target gone?"
        ),
    }
}

/// Labels as PromQL writes them.
fn shown(labels: &[Label<'_>]) -> String {
    let labels = labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.to_string()))
        .collect();
    crate::query::shown(&labels)
}

/// A series' identity. Control characters cannot stand in a label's name, so no two label sets collide.
fn key(origin: usize, labels: &[Label<'_>]) -> String {
    let mut key = origin.to_string();
    for (name, value) in labels {
        key.push_str(name);
        key.push('=');
        key.push_str(&value.replace('\\', "\\\\").replace('\n', "\\n"));
        key.push('\n');
    }
    key
}

/// The window is full once samples reach back over three quarters of it: it holds at least four intervals, so one
/// missed sample at its begin is allowed, and Prometheus' rule scales the rest.
pub(crate) fn is_full(filled_ms: u64, window_ms: u64) -> bool {
    filled_ms * 4 >= window_ms * 3
}

fn reading(sli: &Tracked, parts: &[Part], now_ms: i64) -> Reading {
    let clock = &parts[sli.clock];
    if matches!(sli.kind, Kind::Gauge) {
        let sum: f64 = clock.series.values().filter_map(|kept| kept.now).sum();
        return value(sum, None, || {
            format!("{} is not a number at its source", clock.words)
        });
    }
    let filled_ms = clock.filled_ms(now_ms);
    if !is_full(filled_ms, sli.window_ms) {
        return no_data(format!(
            "the window of {} is not full yet: {} ms of it have samples; wait",
            seconds(sli.window_ms),
            filled_ms
        ));
    }
    let traffic = match sli.kind {
        Kind::Quantile { .. } => clock
            .rates(now_ms)
            .filter(|(le, _)| *le == Some(f64::INFINITY))
            .map(|(_, rate)| rate)
            .sum(),
        _ => clock.rates(now_ms).map(|(_, rate)| rate).sum::<f64>(),
    };
    if traffic <= 0.0 && !matches!(sli.kind, Kind::Rate) {
        return no_data(no_traffic(&clock.words, sli.window_ms));
    }
    match sli.kind {
        Kind::Ratio { good } => {
            let good: f64 = parts[good].rates(now_ms).map(|(_, rate)| rate).sum();
            value(good / traffic, Some(traffic), || {
                no_traffic(&clock.words, sli.window_ms)
            })
        }
        Kind::Quantile { q } => {
            let buckets: Vec<Bucket> = clock
                .rates(now_ms)
                .filter_map(|(le, count)| Some(Bucket { le: le?, count }))
                .collect();
            match quantile(q, &buckets) {
                Some(quantile) => value(quantile, Some(traffic), String::new),
                None => no_data(format!(
                    "{} has no quantile: fewer than two buckets with an edge (le); is it a classic histogram?",
                    clock.words
                )),
            }
        }
        Kind::Rate | Kind::Gauge => value(traffic, Some(traffic), String::new),
    }
}

/// No series of the SLI was in this observation.
fn nothing(clock: &Part, failures: &[String]) -> Reading {
    if failures.is_empty() {
        no_data(clock.chooses_nothing())
    } else {
        no_data(failures.join("; "))
    }
}

pub(crate) fn no_traffic(words: &str, window_ms: u64) -> String {
    format!(
        "no traffic: {words} did not grow in {}; send some, or choose what has some",
        seconds(window_ms)
    )
}

/// A finite value, else no data for the reason given.
pub(crate) fn value(value: f64, rate: Option<f64>, why: impl FnOnce() -> String) -> Reading {
    if value.is_finite() {
        Reading::Value { value, rate }
    } else {
        no_data(why())
    }
}

pub(crate) fn no_data(why: String) -> Reading {
    Reading::NoData { why }
}

/// `5 s`, `2.5 s`.
pub(crate) fn seconds(ms: u64) -> String {
    format!("{} s", ms as f64 / 1_000.0)
}

/// What a scrape source gives for `slis` at `at_ms` when it has read these texts at these times (milliseconds,
/// ascending) and nothing else: numbers to hold against those of a server that has read the same.
pub fn replay(slis: &[Sli], texts: &[(i64, String)], at_ms: i64) -> Result<Vec<Reading>, SetupError> {
    let mut evaluator = Evaluator::new(slis)?;
    for (time_ms, text) in texts {
        evaluator.begin(*time_ms);
        if let Err(why) = evaluator.take(text, Format::Text, &Origin::default(), *time_ms) {
            evaluator.failed(why);
        }
        evaluator.finish();
    }
    Ok(evaluator.readings(at_ms))
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
