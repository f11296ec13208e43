//! Faults, targets and limits in words.

use firedrill_drill::show_value;
use firedrill_plan::{Inject, Range, Sli, Stop};
use serde_json::Value;

/// A fault's strength: `400 ms ± 100 ms on /api/payment`.
pub(crate) fn strength(parameters: &Value) -> String {
    let Some(all) = parameters.as_object() else {
        return String::new();
    };
    let get = |name: &str| all.get(name).map(quantity);
    let mut words: Vec<String> = Vec::new();
    if let Some(delay) = get("delay") {
        let jitter = get("jitter").filter(|jitter| !jitter.starts_with('0'));
        words.push(jitter.map_or(delay.clone(), |jitter| format!("{delay} ± {jitter}")));
    }
    if let Some(code) = get("code") {
        words.push(format!("status {code}"));
    }
    let said = ["delay", "jitter", "code", "path", "method", "share"];
    for (name, value) in all {
        if !said.contains(&name.as_str()) {
            words.push(format!("{name} {}", quantity(value)));
        }
    }
    if let Some(share) = get("share").filter(|share| share != "100 %") {
        words.push(format!("for {share} of requests"));
    }
    let mut text = words.join(", ");
    let place = [get("method"), get("path")].into_iter().flatten();
    let place = place.collect::<Vec<_>>().join(" ");
    if !place.is_empty() {
        let space = if text.is_empty() { "" } else { " " };
        text = format!("{text}{space}on {place}");
    }
    text
}

/// `400ms` as `400 ms`; anything else as it is.
fn quantity(value: &Value) -> String {
    let Value::String(text) = value else {
        return value.to_string();
    };
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let is_unit = !unit.is_empty() && unit.len() <= 4 && !number.is_empty();
    if is_unit && !unit.starts_with(' ') {
        format!("{number} {unit}")
    } else {
        text.clone()
    }
}

/// Milliseconds: `400 ms`, `1.5 s`, `20 s`, `2 min`.
pub(crate) fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 if ms.is_multiple_of(1_000) => format!("{} s", ms / 1_000),
        1_000..120_000 => format!("{:.1} s", ms as f64 / 1e3),
        _ if ms.is_multiple_of(60_000) => format!("{} min", ms / 60_000),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

/// Microseconds: `6 ms`, `0.4 ms`, `1.2 s`.
pub(crate) fn took(us: u64) -> String {
    match us {
        0..1_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => span(us.div_ceil(1_000)),
    }
}

/// What is injected, without the target: `http.latency 400 ms ± 100 ms on /api/payment`.
pub(crate) fn inject(inject: &Inject) -> String {
    let strength = strength(&inject.parameters);
    let space = if strength.is_empty() { "" } else { " " };
    format!("{}{space}{strength}", inject.fault)
}

/// What ends a drill without us.
pub(crate) fn stops_itself(slis: &[Sli], lease_ms: u64) -> String {
    let times = |after: u32| match after {
        0 | 1 => "once".to_owned(),
        2 => "twice in a row".to_owned(),
        n => format!("{n} times in a row"),
    };
    let lines: Vec<(String, u32)> = slis
        .iter()
        .filter_map(|sli| match sli.stop {
            Stop::Outside { range, after } => Some((format!("{} {}", sli.name, leaves(sli, range)), after)),
            Stop::Never { .. } => None,
        })
        .collect();
    let same = lines.windows(2).all(|two| two[0].1 == two[1].1);
    let listed: Vec<String> = lines
        .iter()
        .map(|(words, after)| {
            if same {
                words.clone()
            } else {
                format!("{words} {}", times(*after))
            }
        })
        .collect();
    let tail = match lines.first() {
        Some((_, after)) if same => format!(", {}", times(*after)),
        _ => String::new(),
    };
    format!(
        "It stops by itself when {}{tail}; when we lose sight; when this computer vanishes for {}.",
        listed.join(" or "),
        span(lease_ms)
    )
}

fn leaves(sli: &Sli, range: Range) -> String {
    let show = |value| show_value(&sli.unit, value);
    match (range.min, range.max) {
        (Some(min), None) => format!("falls below {}", show(min)),
        (None, Some(max)) => format!("rises above {}", show(max)),
        (Some(min), Some(max)) => format!("leaves {} to {}", show(min), show(max)),
        (None, None) => "has no data".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn strengths_read_as_people_say_them() {
        let latency = json!({"path": "/api/payment", "delay": "400ms", "jitter": "100ms"});
        assert_eq!(strength(&latency), "400 ms ± 100 ms on /api/payment");
        assert_eq!(strength(&json!({"delay": "1.5s", "jitter": "0ms"})), "1.5 s");
        let status = json!({"code": 503, "share": "25%", "method": "POST"});
        assert_eq!(strength(&status), "status 503, for 25 % of requests on POST");
        assert_eq!(strength(&json!({"rate": "64KB/s"})), "rate 64 KB/s");
        assert_eq!(strength(&json!(null)), "");
        assert_eq!(strength(&json!({"path": "/x"})), "on /x");
    }

    #[test]
    fn times_are_short() {
        assert_eq!(span(400), "400 ms");
        assert_eq!(span(60_000), "60 s");
        assert_eq!(span(1_500), "1.5 s");
        assert_eq!(span(300_000), "5 min");
        assert_eq!(took(420), "0.4 ms");
        assert_eq!(took(6_000), "6 ms");
    }
}
