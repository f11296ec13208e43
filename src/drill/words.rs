//! Values and times in words.

use firedrill_plan::Range;

/// A value in the base unit as an SLI's `unit` shows it: `0.9312` as `93.12 %`, `1.84` as `1840 ms`.
pub fn show_value(unit: &str, value: f64) -> String {
    match unit {
        "%" => format!("{} %", short(value * 100.0)),
        "ms" => format!("{} ms", short(value * 1_000.0)),
        "" => short(value),
        _ => format!("{} {unit}", short(value)),
    }
}

/// Four significant digits, no exponent, no trailing zeros after the point.
fn short(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let whole_digits = if value == 0.0 {
        1
    } else {
        value.abs().log10().floor() as i32 + 1
    };
    let decimals = (4 - whole_digits).clamp(0, 6) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A range in words: `at least 90 %`, `at most 800 ms`, `2 to 5 /s`.
pub(crate) fn show_range(unit: &str, range: Range) -> String {
    match (range.min, range.max) {
        (Some(min), Some(max)) => format!("{} to {}", show_value(unit, min), show_value(unit, max)),
        (Some(min), None) => format!("at least {}", show_value(unit, min)),
        (None, Some(max)) => format!("at most {}", show_value(unit, max)),
        (None, None) => "anything".to_owned(),
    }
}

/// Milliseconds for people: `1.5 s`, `12 s`, `2 min 5 s`.
pub(crate) fn show_ms(ms: u64) -> String {
    if ms < 10_000 {
        format!("{} s", short((ms as f64 / 100.0).round() / 10.0))
    } else if ms < 120_000 {
        format!("{} s", ms / 1_000)
    } else {
        format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000)
    }
}

/// `1 agent`, `3 agents`.
pub(crate) fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
