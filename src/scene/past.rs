//! What a source remembers of an indicator, for setting its lines.

use std::sync::Arc;

use firedrill_plan::{Metrics, Sli};

/// An indicator at its source, as a plan that may not be saved says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Remembered {
    /// Where its numbers come from.
    pub metrics: Metrics,
    /// The indicator.
    pub sli: Sli,
}

impl Remembered {
    /// Whether both have the same values, whatever their lines and words.
    pub fn same_values(&self, other: &Self) -> bool {
        self.metrics.source == other.metrics.source && self.sli.indicator == other.sli.indicator
    }
}

/// Wall milliseconds and values, oldest first.
pub type PastValues = Arc<Vec<(i64, f64)>>;

/// What a source said to that.
#[derive(Clone, Debug)]
pub struct PastScene {
    /// Of what.
    pub of: Remembered,
    /// The last hour, or why there is none. `None`: it is being asked.
    pub said: Option<Result<PastValues, String>>,
}
