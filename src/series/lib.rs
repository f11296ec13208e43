//! Time series: append-only values over time with a min/max pyramid, so that drawing costs pixels, not samples;
//! and raw counters from which windows are derived by Prometheus' own rule.
//!
//! Contract: a [`Series`] is cheap to clone (two reference counts), so a scene may carry it; a gap is a sample
//! without a value, and every number that is not finite is a gap. Pure data: no I/O, no clock, no other room.

mod counter;
mod decimate;
mod histogram;
mod pyramid;
mod store;

pub use counter::Counter;
pub use decimate::Decimated;
pub use histogram::{Bucket, quantile};
pub use store::{Point, Series};
