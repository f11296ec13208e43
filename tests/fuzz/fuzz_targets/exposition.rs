//! Exposition text, whatever it is: samples or no data with a reason, never a panic.

#![no_main]

use firedrill_drill::Reading;
use libfuzzer_sys::fuzz_target;

mod common;

fuzz_target!(|bytes: &[u8]| {
    let Some((mode, rest)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let texts: Vec<&str> = text.split('\0').take(8).collect();
    common::PLAN.with(|plan| {
        for sample in firedrill_signals::fuzz::exposition(plan, mode % 2 == 1, &texts) {
            match sample.reading {
                Reading::Value { value, .. } => assert!(value.is_finite(), "a value that is none"),
                Reading::NoData { why } => assert!(!why.is_empty(), "no data without a reason"),
            }
        }
    });
});
