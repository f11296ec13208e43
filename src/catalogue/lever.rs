//! How strong a fault is, as one number that a person moves: a share of the strength that was asked for.

use serde_json::{Map, Value};

use crate::{FaultSpec, ParamKind, ParamSpec, Parameters, check, find, quantity};

/// Two positions that are nearer than this are the same: quantities are written with few digits.
const SAME: f64 = 1e-6;

/// The least share of requests, load or memory that a lever goes down to.
const LEAST_SHARE: f64 = 0.01;

/// What moves a fault's strength: its strength parameter, between the least it takes and what was asked for. A jitter
/// goes with its delay; everything else stays. The position is the share of the full strength, within (0, 1].
#[derive(Clone, Debug)]
pub struct Lever {
    spec: &'static FaultSpec,
    param: &'static ParamSpec,
    full: Parameters,
    given: Map<String, Value>,
    /// The full strength in the parameter's base unit: microseconds, a share, bytes a second, a number, bytes.
    amount: f64,
}

impl PartialEq for Lever {
    fn eq(&self, other: &Self) -> bool {
        self.spec.name == other.spec.name && self.given == other.given
    }
}

impl Lever {
    /// For a native fault that was asked for with `full`; `None`: it has no strength, or the parameters are not its own.
    pub fn of(fault: &str, full: &Value) -> Option<Self> {
        let spec = find(fault)?;
        let param = spec.params.iter().find(|it| Some(it.name) == spec.strength)?;
        let checked = check(spec, full).ok()?;
        let amount = amount(param, &checked).filter(|it| *it > 0.0)?;
        Some(Self {
            spec,
            param,
            full: checked,
            given: full.as_object().cloned().unwrap_or_default(),
            amount,
        })
    }

    /// The parameter that it moves.
    pub fn param(&self) -> &'static ParamSpec {
        self.param
    }

    /// Whether `one` is more than `other`, by more than what writing them down rounds off.
    pub fn is_more(one: f64, other: f64) -> bool {
        one > other + SAME
    }

    /// The lowest position.
    pub fn least(&self) -> f64 {
        let least = match self.param.kind {
            ParamKind::Duration { min_ms, .. } => (min_ms.max(1) * 1_000) as f64 / self.amount,
            ParamKind::Count { min, .. } => min.max(1) as f64 / self.amount,
            ParamKind::Bandwidth { max, .. } => self.amount / max as f64,
            ParamKind::Memory { min, .. } if !self.is_share() => min as f64 / self.amount,
            _ => LEAST_SHARE / self.amount,
        };
        least.min(1.0)
    }

    /// Where these parameters are.
    ///
    /// # Errors
    /// A sentence: they are not the fault's, differ in more than the strength, or ask for more than the full.
    pub fn position(&self, parameters: &Value) -> Result<f64, String> {
        let checked = check(self.spec, parameters).map_err(|problems| {
            let words: Vec<String> = problems
                .iter()
                .map(|it| format!("{}: {}", it.key, it.message))
                .collect();
            words.join("; ")
        })?;
        let moves = [self.param.name, "jitter"];
        if !checked.same_but(&moves, &self.full) {
            return Err(format!(
                "only {} may be changed while {} is on",
                self.param.name, self.spec.name
            ));
        }
        let amount = amount(self.param, &checked)
            .filter(|it| *it > 0.0 && is_share(&checked, self.param) == self.is_share())
            .ok_or_else(|| format!("{} is written in another way than before", self.param.name))?;
        let position = if self.falls() {
            self.amount / amount
        } else {
            amount / self.amount
        };
        let jitter = checked.duration_us("jitter") > self.full.duration_us("jitter");
        if Self::is_more(position, 1.0) || jitter {
            return Err(format!(
                "{} of {} is more than the {} that was asked for at most",
                self.shown(&checked),
                self.param.name,
                self.shown(&self.full)
            ));
        }
        Ok(position.min(1.0))
    }

    /// The parameters at a position, written with few digits and never more than the full.
    pub fn parameters(&self, position: f64) -> Value {
        let position = if position.is_finite() {
            position.clamp(self.least(), 1.0)
        } else {
            self.least()
        };
        let mut all = self.given.clone();
        if position > 1.0 - SAME {
            return Value::Object(all);
        }
        let wanted = if self.falls() {
            self.amount / position
        } else {
            self.amount * position
        };
        let value = match self.param.kind {
            ParamKind::Duration { min_ms, .. } => {
                let us = short(wanted).max((min_ms.max(1) * 1_000) as f64).min(self.amount);
                let jitter = self.full.duration_us("jitter") as f64 * us / self.amount;
                if jitter >= 1.0 {
                    all.insert("jitter".to_owned(), duration(jitter.floor()).into());
                }
                duration(us).into()
            }
            ParamKind::Count { min, .. } => {
                let count = short(wanted).round().max(min as f64).min(self.amount);
                (count as u64).into()
            }
            ParamKind::Bandwidth { max, .. } => {
                let rate = short(wanted).min(max as f64).max(self.amount);
                bandwidth(rate).into()
            }
            ParamKind::Memory { min, .. } if !self.is_share() => {
                let bytes = wanted.max(min as f64).min(self.amount);
                memory(bytes, min, self.amount).into()
            }
            _ => percent(short(wanted).min(self.amount)).into(),
        };
        all.insert(self.param.name.to_owned(), value);
        Value::Object(all)
    }

    /// The strength in these parameters for people: `400 ms`, `25 %`; what cannot be read, as it is written.
    pub fn words(&self, parameters: &Value) -> String {
        match check(self.spec, parameters) {
            Ok(checked) => self.shown(&checked),
            Err(_) => parameters.to_string(),
        }
    }

    fn shown(&self, parameters: &Parameters) -> String {
        let Some(amount) = amount(self.param, parameters) else {
            return String::new();
        };
        let spaced = |text: String| {
            let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.');
            unit.map_or(text.clone(), |at| format!("{} {}", &text[..at], &text[at..]))
        };
        match self.param.kind {
            ParamKind::Duration { .. } => spaced(duration(amount)),
            ParamKind::Count { .. } => format!("{amount}"),
            ParamKind::Bandwidth { .. } => spaced(bandwidth(amount)),
            ParamKind::Memory { .. } if !is_share(parameters, self.param) => {
                quantity::show_bytes(amount as u64)
            }
            _ => spaced(percent(amount)),
        }
    }

    /// The smaller the number, the stronger.
    fn falls(&self) -> bool {
        matches!(self.param.kind, ParamKind::Bandwidth { .. })
    }

    fn is_share(&self) -> bool {
        is_share(&self.full, self.param)
    }
}

/// Whether an amount of memory is a share of the host's.
fn is_share(parameters: &Parameters, param: &ParamSpec) -> bool {
    matches!(param.kind, ParamKind::Memory { .. })
        && matches!(parameters.memory(param.name), Some(quantity::Memory::Share(_)))
}

fn amount(param: &ParamSpec, parameters: &Parameters) -> Option<f64> {
    match param.kind {
        ParamKind::Duration { .. } => Some(parameters.duration_us(param.name) as f64),
        ParamKind::Share => Some(parameters.share(param.name)),
        ParamKind::Bandwidth { .. } => parameters.bandwidth(param.name).map(|it| it as f64),
        ParamKind::Count { .. } => parameters.count(param.name).map(|it| it as f64),
        ParamKind::Memory { .. } => parameters.memory(param.name).map(|it| match it {
            quantity::Memory::Bytes(bytes) => bytes as f64,
            quantity::Memory::Share(share) => share,
        }),
        ParamKind::Choice(_) | ParamKind::Text { .. } => None,
    }
}

/// Two significant digits.
fn short(amount: f64) -> f64 {
    if amount <= 0.0 {
        return 0.0;
    }
    let step = 10_f64.powf(amount.log10().floor() - 1.0);
    (amount / step).round() * step
}

fn number(amount: f64) -> String {
    let text = format!("{amount:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn duration(us: f64) -> String {
    let us = us.round();
    if us >= 1e6 && us % 1e5 == 0.0 {
        format!("{}s", number(us / 1e6))
    } else if us >= 1e3 && us % 100.0 == 0.0 {
        format!("{}ms", number(us / 1e3))
    } else {
        format!("{us}us")
    }
}

fn percent(share: f64) -> String {
    format!("{}%", number(share * 100.0))
}

fn bandwidth(rate: f64) -> String {
    for (unit, size) in [("GB/s", 1e9), ("MB/s", 1e6), ("KB/s", 1e3)] {
        // Only what is written whole: a limit that is rounded down would be stronger than was asked for.
        if rate >= size && (rate / size * 1e3).fract() == 0.0 {
            return format!("{}{unit}", number(rate / size));
        }
    }
    format!("{}B/s", rate.ceil())
}

fn memory(bytes: f64, min: u64, most: f64) -> String {
    const UNITS: [(&str, f64); 4] = [
        ("GiB", 1_073_741_824.0),
        ("MiB", 1_048_576.0),
        ("KiB", 1_024.0),
        ("B", 1.0),
    ];
    // Whole units with two digits at least.
    for (unit, size) in UNITS {
        let whole = (bytes / size).round();
        let fits = whole * size >= min as f64 && whole * size <= most;
        if whole >= 10.0 && fits {
            return format!("{whole}{unit}");
        }
    }
    format!("{}B", bytes.floor())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::FAULTS;

    /// Some full strength of a fault: this part of the most that its table allows.
    fn full(spec: &FaultSpec, part: f64) -> Option<Value> {
        let strength = spec.strength?;
        let needed = spec.params.iter().filter(|it| it.required || it.name == strength);
        let of = |min: u64, max: u64| min + ((max - min) as f64 * part) as u64;
        let values = needed.map(|param| {
            let value: Value = match param.kind {
                ParamKind::Duration { min_ms, max_ms } => format!("{}ms", of(min_ms, max_ms)).into(),
                ParamKind::Share => part.into(),
                ParamKind::Bandwidth { min, max } => format!("{}B/s", of(min, max)).into(),
                ParamKind::Count { min, max } => of(min, max).into(),
                ParamKind::Memory { min, max } => format!("{}B", of(min, max)).into(),
                ParamKind::Choice(words) => words[0].into(),
                ParamKind::Text { .. } => "x".into(),
            };
            (param.name.to_owned(), value)
        });
        Some(Value::Object(values.collect()))
    }

    fn at(fault: &str, full: &Value, position: f64) -> Value {
        Lever::of(fault, full).unwrap().parameters(position)
    }

    #[test]
    fn a_lever_moves_the_strength_and_leaves_the_rest() {
        let slow = json!({"path": "/pay", "delay": "400ms", "jitter": "100ms"});
        assert_eq!(at("http.latency", &slow, 1.0), slow);
        assert_eq!(
            at("http.latency", &slow, 0.5),
            json!({"path": "/pay", "delay": "200ms", "jitter": "50ms"})
        );
        assert_eq!(at("http.latency", &slow, 0.63)["delay"], "250ms");
        assert_eq!(at("http.latency", &slow, f64::NAN)["delay"], "1ms");
        assert_eq!(at("http.status", &json!({"code": 503}), 0.25)["share"], "25%");
        assert_eq!(
            at("packet.rate", &json!({"rate": "64KB/s"}), 0.5)["rate"],
            "130KB/s"
        );
        assert_eq!(
            at("memory.fill", &json!({"size": "512MiB"}), 0.5)["size"],
            "256MiB"
        );
        assert_eq!(at("memory.fill", &json!({"size": "60%"}), 0.5)["size"], "30%");
        for none in ["noop", "process.pause", "network.partition"] {
            assert!(Lever::of(none, &Value::Null).is_none(), "{none}");
        }
    }

    #[test]
    fn more_than_was_asked_for_and_other_changes_are_refused() {
        let lever = Lever::of(
            "http.latency",
            &json!({"path": "/pay", "delay": "400ms", "jitter": "10ms"}),
        )
        .unwrap();
        let more = lever
            .position(&json!({"path": "/pay", "delay": "401ms", "jitter": "10ms"}))
            .unwrap_err();
        assert_eq!(
            more,
            "401 ms of delay is more than the 400 ms that was asked for at most"
        );
        let jitter = lever.position(&json!({"path": "/pay", "delay": "300ms", "jitter": "11ms"}));
        assert!(jitter.is_err());
        let other = lever.position(&json!({"delay": "300ms"})).unwrap_err();
        assert!(other.contains("only delay may be changed"), "{other}");
        assert!(lever.position(&json!({"path": "/pay", "delay": "no"})).is_err());
        assert!(lever.position(&json!(17)).is_err());
        assert_eq!(lever.words(&json!({"path": "/pay", "delay": "1500ms"})), "1.5 s");
        let rate = Lever::of("packet.rate", &json!({"rate": "64KB/s"})).unwrap();
        assert!(
            rate.position(&json!({"rate": "63KB/s"})).is_err(),
            "slower is stronger"
        );
        assert!((rate.position(&json!({"rate": "128KB/s"})).unwrap() - 0.5).abs() < 1e-9);
        let fill = Lever::of("memory.fill", &json!({"size": "512MiB"})).unwrap();
        assert!(fill.position(&json!({"size": "1%"})).is_err(), "1 % of what?");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

        /// Whatever the lever writes, the fault takes, is no more than the full, and is where the lever was.
        #[test]
        fn what_it_writes_can_be_read(position in 0.0..=1.0_f64, part in 0.001..=1.0_f64) {
            for spec in FAULTS {
                let full = full(spec, part);
                let Some(lever) = full.and_then(|full| Lever::of(spec.name, &full)) else { continue };
                let written = lever.parameters(position);
                let read = lever.position(&written);
                proptest::prop_assert!(read.is_ok(), "{}: {written}: {read:?}", spec.name);
                let wanted = position.max(lever.least());
                let read = read.unwrap_or_default();
                proptest::prop_assert!(
                    (read - wanted).abs() <= 0.08 * wanted.max(read) + 2.0 * lever.least(),
                    "{}: {written} is at {read}, not {wanted}",
                    spec.name
                );
                proptest::prop_assert!(!lever.words(&written).is_empty());
            }
        }
    }
}
