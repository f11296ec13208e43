//! Checks parameters against a fault's table: every problem at once, each with its key.

use serde_json::{Map, Value};

use crate::{FaultSpec, ParamKind, ParamSpec, quantity};

/// The share that a ramp begins with where it may not be nothing.
const LEAST_SHARE: f64 = 1e-4;

/// What is wrong with one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamProblem {
    /// The key; for a missing one, the key that is missing.
    pub key: String,
    /// What was found and what is expected.
    pub message: String,
}

/// Parameters that have passed [`check`], with defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    values: Map<String, Value>,
}

impl Parameters {
    /// A duration in microseconds; 0 when not given.
    pub fn duration_us(&self, key: &str) -> u64 {
        self.text(key)
            .and_then(|text| quantity::duration_us(text).ok())
            .unwrap_or(0)
    }

    /// A share within (0, 1]; 1 when not given.
    pub fn share(&self, key: &str) -> f64 {
        self.values
            .get(key)
            .and_then(|value| share_of(value).ok())
            .unwrap_or(1.0)
    }

    /// Bytes per second, if given.
    pub fn bandwidth(&self, key: &str) -> Option<u64> {
        self.text(key).and_then(|text| quantity::bandwidth(text).ok())
    }

    /// An amount of memory, if given.
    pub fn memory(&self, key: &str) -> Option<quantity::Memory> {
        self.text(key).and_then(|text| quantity::memory(text).ok())
    }

    /// A whole number, if given.
    pub fn count(&self, key: &str) -> Option<u64> {
        let value = self.values.get(key)?;
        value
            .as_u64()
            .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
    }

    /// Whether all but these are the same in both.
    pub fn same_but(&self, keys: &[&str], other: &Self) -> bool {
        let rest = |it: &Self| -> Map<String, Value> {
            let others = it
                .values
                .iter()
                .filter(|(name, _)| !keys.contains(&name.as_str()));
            others
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        rest(self) == rest(other)
    }

    /// Text, if given.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).and_then(Value::as_str)
    }

    /// The same with only this share, within [0, 1], of the fault's strength, but at least the least that it
    /// takes: a moment of a ramp. A jitter grows with its delay; a rate that is a limit falls.
    #[must_use]
    pub fn grown(&self, spec: &FaultSpec, share: f64) -> Self {
        let mut grown = self.clone();
        let grows = |param: &&ParamSpec| Some(param.name) == spec.strength || param.name == "jitter";
        for param in spec.params.iter().filter(grows) {
            if let Some(value) = self.part_of(param, share.clamp(0.0, 1.0)) {
                grown.values.insert(param.name.to_owned(), value);
            }
        }
        grown
    }

    fn part_of(&self, param: &ParamSpec, share: f64) -> Option<Value> {
        let of = |full: u64, least: u64| ((full as f64 * share) as u64).max(least.min(full));
        let value = match param.kind {
            ParamKind::Duration { min_ms, .. } => {
                format!("{}us", of(self.duration_us(param.name), min_ms * 1_000)).into()
            }
            ParamKind::Share => (self.share(param.name) * share).max(LEAST_SHARE).into(),
            // The slower, the stronger: a ramp comes down from where nobody feels it.
            ParamKind::Bandwidth { max, .. } => {
                let rate = self.bandwidth(param.name)? as f64 / share.max(LEAST_SHARE);
                format!("{}B/s", (rate as u64).min(max)).into()
            }
            ParamKind::Count { min, .. } => of(self.count(param.name)?, min).into(),
            ParamKind::Memory { min, .. } => match self.memory(param.name)? {
                quantity::Memory::Bytes(full) => format!("{}B", of(full, min)).into(),
                quantity::Memory::Share(full) => {
                    format!("{}%", (full * share).max(LEAST_SHARE) * 100.0).into()
                }
            },
            ParamKind::Choice(_) | ParamKind::Text { .. } => return None,
        };
        Some(value)
    }
}

/// Checks `given` (an object, or null for none) against `spec`.
pub fn check(spec: &FaultSpec, given: &Value) -> Result<Parameters, Vec<ParamProblem>> {
    let empty = Map::new();
    let given = match given {
        Value::Null => &empty,
        Value::Object(map) => map,
        _ => {
            return Err(vec![problem(
                "parameters",
                "expected an object of parameters".to_owned(),
            )]);
        }
    };
    let mut problems = Vec::new();
    let mut values = Map::new();
    for key in given
        .keys()
        .filter(|key| spec.params.iter().all(|param| param.name != *key))
    {
        let known: Vec<_> = spec.params.iter().map(|param| param.name).collect();
        let known = if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        };
        problems.push(problem(
            key,
            format!("\"{}\" has no parameter \"{key}\"; it has: {known}", spec.name),
        ));
    }
    for param in spec.params {
        match given.get(param.name) {
            Some(value) => match check_one(param, value) {
                Ok(()) => drop(values.insert(param.name.to_owned(), value.clone())),
                Err(message) => problems.push(problem(param.name, message)),
            },
            None if param.required => {
                problems.push(problem(param.name, format!("missing: {}", param.summary)));
            }
            None => {
                if let Some(default) = param.default {
                    values.insert(param.name.to_owned(), Value::String(default.to_owned()));
                }
            }
        }
    }
    let parameters = Parameters { values };
    if problems.is_empty() && parameters.duration_us("jitter") > parameters.duration_us("delay") {
        let delay = quantity::show_ms(parameters.duration_us("delay") / 1_000);
        problems.push(problem(
            "jitter",
            format!("is larger than the delay: at most {delay}"),
        ));
    }
    if problems.is_empty() {
        Ok(parameters)
    } else {
        Err(problems)
    }
}

fn problem(key: &str, message: String) -> ParamProblem {
    ParamProblem {
        key: key.to_owned(),
        message,
    }
}

fn share_of(value: &Value) -> Result<f64, String> {
    match value {
        Value::String(text) => quantity::share(text),
        Value::Number(number) => quantity::share(&number.to_string()),
        other => Err(format!("expected a share such as \"25%\", found {other}")),
    }
}

fn text_of(value: &Value) -> Result<&str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("expected text in quotes, found {value}"))
}

fn check_one(param: &ParamSpec, value: &Value) -> Result<(), String> {
    match param.kind {
        ParamKind::Duration { min_ms, max_ms } => {
            let us = quantity::duration_us(text_of(value)?)?;
            if (min_ms * 1_000..=max_ms * 1_000).contains(&us) {
                return Ok(());
            }
            Err(format!(
                "{value} is outside {} to {}",
                quantity::show_ms(min_ms),
                quantity::show_ms(max_ms)
            ))
        }
        ParamKind::Share => match share_of(value)? {
            share if share > 0.0 => Ok(()),
            _ => Err("a share of 0 would hit nothing: more than 0%, at most 100%".to_owned()),
        },
        ParamKind::Bandwidth { min, max } => {
            let rate = quantity::bandwidth(text_of(value)?)?;
            if (min..=max).contains(&rate) {
                return Ok(());
            }
            Err(format!("{value} is outside {min} B/s to {max} B/s"))
        }
        ParamKind::Count { min, max } => {
            let count = value
                .as_u64()
                .or_else(|| value.as_str().and_then(|text| text.parse().ok()));
            match count {
                Some(count) if (min..=max).contains(&count) => Ok(()),
                _ => Err(format!(
                    "expected a whole number from {min} to {max}, found {value}"
                )),
            }
        }
        ParamKind::Memory { min, max } => match quantity::memory(text_of(value)?)? {
            quantity::Memory::Bytes(bytes) if !(min..=max).contains(&bytes) => Err(format!(
                "{value} is outside {} to {}",
                quantity::show_bytes(min),
                quantity::show_bytes(max)
            )),
            _ => Ok(()),
        },
        ParamKind::Choice(words) => {
            let text = text_of(value)?;
            if words.contains(&text) {
                return Ok(());
            }
            Err(format!("expected one of {}, found \"{text}\"", words.join(", ")))
        }
        ParamKind::Text { max_len } => {
            let text = text_of(value)?;
            if text.len() > max_len {
                return Err(format!("{} bytes long; at most {max_len}", text.len()));
            }
            if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
                return Err("holds a control character".to_owned());
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{FAULTS, find};

    #[test]
    fn every_problem_is_said_at_once() {
        let spec = find("http.latency").unwrap();
        let given = json!({"delay": "400", "jitter": 3, "share": "0%", "pth": "/x"});
        let keys: Vec<_> = check(spec, &given)
            .unwrap_err()
            .into_iter()
            .map(|p| p.key)
            .collect();
        assert_eq!(keys, ["pth", "delay", "jitter", "share"]);
    }

    #[test]
    fn memory_and_words_have_bounds() {
        let fill = find("memory.fill").unwrap();
        assert!(check(fill, &json!({"size": "60%"})).is_ok());
        for wrong in ["1B", "64", "0%"] {
            assert!(check(fill, &json!({ "size": wrong })).is_err(), "{wrong}");
        }
        assert!(check(fill, &Value::Null).is_err(), "a size is needed");
        let kill = find("process.kill").unwrap();
        assert_eq!(check(kill, &Value::Null).unwrap().text("signal"), Some("KILL"));
        let problems = check(kill, &json!({"signal": "STOP"})).unwrap_err();
        assert!(problems[0].message.contains("KILL, TERM"), "{problems:?}");
    }

    #[test]
    fn jitter_is_at_most_the_delay() {
        let spec = find("http.latency").unwrap();
        assert!(check(spec, &json!({"delay": "400ms", "jitter": "400ms"})).is_ok());
        let problems = check(spec, &json!({"delay": "400ms", "jitter": "500ms"})).unwrap_err();
        assert_eq!(problems[0].message, "is larger than the delay: at most 400 ms");
    }

    #[test]
    fn defaults_are_filled_in_and_pass_their_own_check() {
        for spec in FAULTS {
            for param in spec.params {
                if let Some(default) = param.default {
                    assert_eq!(
                        check_one(param, &json!(default)),
                        Ok(()),
                        "{} {}",
                        spec.name,
                        param.name
                    );
                }
            }
        }
        let parameters = check(find("cpu.burn").unwrap(), &Value::Null).unwrap();
        assert_eq!(parameters.count("cores"), Some(1));
        assert!((parameters.share("load") - 1.0).abs() < 1e-9);
    }

    #[test]
    fn names_are_unique() {
        for (i, fault) in FAULTS.iter().enumerate() {
            assert!(FAULTS[..i].iter().all(|other| other.name != fault.name));
        }
    }

    #[test]
    fn a_ramp_grows_from_the_least_to_the_whole_strength() {
        for spec in FAULTS.iter().filter(|spec| spec.strength.is_some()) {
            let values = spec.params.iter().filter_map(|param| {
                let value = match param.kind {
                    ParamKind::Duration { .. } => "400ms".into(),
                    ParamKind::Share => "80%".into(),
                    ParamKind::Bandwidth { .. } => "1MB/s".into(),
                    ParamKind::Count { max, .. } => max.min(500).into(),
                    ParamKind::Memory { .. } => "300MiB".into(),
                    ParamKind::Choice(_) | ParamKind::Text { .. } => return None,
                };
                Some((param.name.to_owned(), value))
            });
            let full = Parameters {
                values: values.collect(),
            };
            for share in [0.0, 0.01, 0.5, 1.0] {
                let grown = full.grown(spec, share);
                for (name, value) in &grown.values {
                    let param = spec.params.iter().find(|param| param.name == name).unwrap();
                    assert_eq!(check_one(param, value), Ok(()), "{} {name} at {share}", spec.name);
                }
            }
            let strength = spec.strength.unwrap();
            let half = full.grown(spec, 0.5);
            assert_ne!(half.values[strength], full.values[strength], "{}", spec.name);
            let whole = full.grown(spec, 1.0);
            let reads = |it: &Parameters| {
                let share = it.values[strength]
                    .as_str()
                    .is_none_or(|text| text.ends_with('%'));
                let share = share.then(|| (it.share(strength) * 1e6).round());
                let memory = it.memory(strength).filter(|_| share.is_none());
                (
                    it.duration_us(strength),
                    share,
                    memory,
                    it.bandwidth(strength),
                    it.count(strength),
                )
            };
            assert_eq!(reads(&whole), reads(&full), "{}", spec.name);
        }
    }
}
