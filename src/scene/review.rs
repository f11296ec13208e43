//! A finished drill: verdict, reasons, numbers before, during and after. Made by `analysis` from a journal,
//! shown by Review, written by `report`.

use std::{path::PathBuf, sync::Arc};

use firedrill_drill::Verdict;
use serde::Serialize;

use crate::DrillScene;

/// A finished drill.
#[derive(Clone, Debug)]
pub struct Review {
    /// The drill's id.
    pub drill: String,
    /// The plan's title.
    pub title: String,
    /// The system.
    pub system: String,
    /// Where its journal is.
    pub journal: Option<PathBuf>,
    /// Whether the journal's chain is whole: `Err` says where it is not.
    pub sealed: Result<(), String>,
    /// The journal's closing hash, hex.
    pub hash: String,
    /// The last scene, with every series and mark.
    pub scene: Arc<DrillScene>,
    /// As found.
    pub verdict: Verdict,
    /// A row an SLI.
    pub numbers: Vec<SliNumbers>,
    /// Milliseconds from the fault's begin to the first sample out of tolerance; `None`: there was none.
    pub time_to_break_ms: Option<u64>,
    /// Milliseconds from the deciding sample's arrival to the last read-back; `None`: no stop.
    pub time_to_stop_ms: Option<u64>,
    /// Milliseconds from the last revert to the steady state; `None`: not reached.
    pub time_to_recover_ms: Option<u64>,
    /// Bad samples in all.
    pub bad_samples: usize,
}

/// An SLI before, during and after.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SliNumbers {
    /// Its name.
    pub name: String,
    /// How it is shown.
    pub unit: String,
    /// Baseline.
    pub before: Option<Numbers>,
    /// While a fault was on.
    pub during: Option<Numbers>,
    /// From the last revert on.
    pub after: Option<Numbers>,
}

/// Numbers of one span, in the base unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Numbers {
    /// Samples with a value.
    pub samples: usize,
    /// Samples without.
    pub without_data: usize,
    /// Smallest.
    pub min: f64,
    /// Half are below.
    pub median: f64,
    /// 95 of 100 are below.
    pub p95: f64,
    /// Largest.
    pub max: f64,
}
