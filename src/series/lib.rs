//! Time series: append-only values over time with a min/max pyramid, so that drawing costs pixels, not samples;
//! and raw counters from which windows are derived by Prometheus' own rule.
//!
//! Pure data. Uses no other room.
