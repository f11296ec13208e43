//! Answers of a Prometheus server, whatever they are: samples or no data with a reason, never a panic.

#![no_main]

use firedrill_drill::Reading;
use libfuzzer_sys::fuzz_target;

mod common;

fuzz_target!(|bytes: &[u8]| {
    let bodies = bytes.split(|byte| *byte == 0).take(8).map(<[u8]>::to_vec).collect();
    common::PLAN.with(|plan| {
        for sample in firedrill_signals::fuzz::prometheus(plan, bodies) {
            match sample.reading {
                Reading::Value { value, .. } => assert!(value.is_finite(), "a value that is none"),
                Reading::NoData { why } => assert!(!why.is_empty(), "no data without a reason"),
            }
        }
    });
});
