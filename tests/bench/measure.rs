//! Samples, their quantiles, and rows.

use std::fmt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Samples of one kind, in milliseconds or whatever their row says.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds a time, in milliseconds.
    pub fn add(&mut self, took: Duration) {
        self.0.push(took.as_secs_f64() * 1e3);
    }

    /// Adds a value.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Takes another's.
    pub fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one added last; NaN without samples.
    pub fn last(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    /// The smallest value that this share of the samples does not exceed; NaN without samples.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    /// Half are below.
    pub fn p50(&self) -> f64 {
        self.quantile(0.5)
    }

    /// One of a hundred is above.
    pub fn p99(&self) -> f64 {
        self.quantile(0.99)
    }

    /// The largest.
    pub fn max(&self) -> f64 {
        self.quantile(1.0)
    }

    /// All of it in a line of JSON.
    pub fn json(&self) -> Value {
        json!({
            "samples": self.0.len(), "min": self.quantile(0.0), "p50": self.p50(), "p95": self.quantile(0.95),
            "p99": self.p99(), "max": self.max(),
        })
    }
}

/// How long it takes.
pub fn timed<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, Duration)> {
    let began = Instant::now();
    let made = work()?;
    Ok((made, began.elapsed()))
}

/// Which side of the line is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    AtMost,
    AtLeast,
}

/// A figure.
#[derive(Clone, Debug)]
pub struct Row {
    what: String,
    unit: &'static str,
    measured: f64,
    reach: (Reach, f64),
    details: Value,
}

impl Row {
    /// Measured, and to be at most `limit`.
    pub fn at_most(what: impl Into<String>, unit: &'static str, measured: f64, limit: f64) -> Self {
        Self {
            what: what.into(),
            unit,
            measured,
            reach: (Reach::AtMost, limit),
            details: Value::Null,
        }
    }

    /// Measured, and to be at least `limit`.
    pub fn at_least(what: impl Into<String>, unit: &'static str, measured: f64, limit: f64) -> Self {
        Self {
            reach: (Reach::AtLeast, limit),
            ..Self::at_most(what, unit, measured, limit)
        }
    }

    /// With the samples and the floor behind it.
    #[must_use]
    pub fn with(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    /// With one thing more behind it.
    #[must_use]
    pub fn and(mut self, name: &str, detail: Value) -> Self {
        if let Value::Object(details) = &mut self.details {
            details.insert(name.to_owned(), detail);
        }
        self
    }

    fn reached(&self) -> bool {
        match self.reach {
            (Reach::AtMost, limit) => self.measured <= limit,
            (Reach::AtLeast, limit) => self.measured >= limit,
        }
    }

    /// For the file.
    pub fn json(&self) -> Value {
        let (side, limit) = match self.reach {
            (Reach::AtMost, limit) => ("at_most", limit),
            (Reach::AtLeast, limit) => ("at_least", limit),
        };
        json!({
            "what": self.what, "unit": self.unit, "measured": self.measured, "reach": { side: limit },
            "reached": self.reached(), "details": self.details,
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (side, limit) = match self.reach {
            (Reach::AtMost, limit) => ("≤", limit),
            (Reach::AtLeast, limit) => ("≥", limit),
        };
        let word = if self.reached() { "reached" } else { "NOT REACHED" };
        let Self {
            what, unit, measured, ..
        } = self;
        write!(
            f,
            "  {what:<66} {measured:>10.3} {unit:<4} {side} {limit:<8.3} {word}"
        )
    }
}
