//! Quantities as people write them. Each parser returns what was expected as its error.

/// A duration such as `250us`, `400ms`, `1.5s`, `2m`, `1h`, in microseconds.
pub fn duration_us(text: &str) -> Result<u64, String> {
    const UNITS: &[(&str, f64)] = &[
        ("us", 1.0),
        ("µs", 1.0),
        ("ms", 1e3),
        ("s", 1e6),
        ("m", 60e6),
        ("h", 3600e6),
        ("d", 86_400e6),
    ];
    let (number, unit) = split(text);
    let factor = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, factor)| *factor);
    match (number.parse::<f64>(), factor) {
        (Ok(number), Some(factor)) if number >= 0.0 && number * factor <= 1e15 => {
            Ok((number * factor).round() as u64)
        }
        _ => Err(format!(
            "expected a duration such as \"400ms\", \"1.5s\" or \"2m\", found \"{text}\""
        )),
    }
}

/// A duration in whole milliseconds, rounded.
pub fn duration_ms(text: &str) -> Result<u64, String> {
    duration_us(text).map(|us| (us + 500) / 1_000)
}

/// A share such as `25%` or `0.25`, as a number within [0, 1].
pub fn share(text: &str) -> Result<f64, String> {
    let number = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.trim().parse::<f64>(),
    };
    match number {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!(
            "expected a share such as \"25%\" or 0.25, found \"{text}\""
        )),
    }
}

/// A rate of bytes such as `64KB/s`, `1.5MB/s`, `500B/s`, in bytes per second. Decimal prefixes.
pub fn bandwidth(text: &str) -> Result<u64, String> {
    const UNITS: &[(&str, f64)] = &[
        ("B/s", 1.0),
        ("KB/s", 1e3),
        ("kB/s", 1e3),
        ("MB/s", 1e6),
        ("GB/s", 1e9),
    ];
    let (number, unit) = split(text);
    let factor = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, factor)| *factor);
    match (number.parse::<f64>(), factor) {
        (Ok(number), Some(factor)) if number > 0.0 && number * factor <= 1e15 => {
            Ok((number * factor).round() as u64)
        }
        _ => Err(format!(
            "expected a rate such as \"64KB/s\" or \"1MB/s\", found \"{text}\""
        )),
    }
}

/// An amount of memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Memory {
    /// So many bytes.
    Bytes(u64),
    /// A share of all the host has, within (0, 1].
    Share(f64),
}

impl Memory {
    /// In bytes, on a host that has `total`.
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Share(share) => (total as f64 * share) as u64,
        }
    }
}

/// An amount of memory such as `512MiB`, `2GiB`, `500MB`, or `60%` of the host's.
pub fn memory(text: &str) -> Result<Memory, String> {
    const UNITS: &[(&str, f64)] = &[
        ("B", 1.0),
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("KB", 1e3),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
    ];
    let (number, unit) = split(text);
    let factor = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, factor)| *factor);
    match (number.parse::<f64>(), factor) {
        (Ok(number), _) if unit == "%" && number > 0.0 && number <= 100.0 => {
            Ok(Memory::Share(number / 100.0))
        }
        (Ok(number), Some(factor)) if number > 0.0 && number * factor <= 1e15 => {
            Ok(Memory::Bytes((number * factor).round() as u64))
        }
        _ => Err(format!(
            "expected an amount such as \"512MiB\", \"2GiB\" or \"60%\", found \"{text}\""
        )),
    }
}

/// Bytes as a person would write them: `512 MiB`, `1.5 GiB`.
pub fn show_bytes(bytes: u64) -> String {
    const UNITS: &[&str] = &["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut number, mut unit) = (bytes as f64, 0);
    while number >= 1024.0 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(number.fract() > 0.05 && number < 100.0);
    format!("{number:.digits$} {}", UNITS[unit])
}

/// Events per second such as `5/s` or `30/m`.
pub fn per_second(text: &str) -> Result<f64, String> {
    let parsed = text.split_once('/').and_then(|(number, unit)| {
        let number = number.trim().parse::<f64>().ok()?;
        let seconds = match unit.trim() {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        Some(number / seconds)
    });
    match parsed {
        Some(rate) if rate.is_finite() && rate >= 0.0 => Ok(rate),
        _ => Err(format!(
            "expected a rate such as \"5/s\" or \"30/m\", found \"{text}\""
        )),
    }
}

/// Milliseconds as a person would write them: `400 ms`, `1.5 s`, `2 min`.
pub fn show_ms(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 if ms.is_multiple_of(1_000) => format!("{} s", ms / 1_000),
        1_000..60_000 => format!("{:.1} s", ms as f64 / 1e3),
        _ if ms.is_multiple_of(60_000) => format!("{} min", ms / 60_000),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration_us("400ms"), Ok(400_000));
        assert_eq!(duration_us("1.5s"), Ok(1_500_000));
        assert_eq!(duration_ms("2m"), Ok(120_000));
        for wrong in ["", "400", "ms", "-1s", "1e3s", "NaNs", "infs", "99999999999d"] {
            assert!(duration_us(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_and_rates() {
        assert_eq!(share("25%"), Ok(0.25));
        assert_eq!(share("1"), Ok(1.0));
        assert!(share("101%").is_err() && share("-1").is_err() && share("NaN").is_err());
        assert_eq!(bandwidth("64KB/s"), Ok(64_000));
        assert!(bandwidth("0B/s").is_err() && bandwidth("64").is_err());
        assert_eq!(per_second("30/m"), Ok(0.5));
        assert!(per_second("5").is_err() && per_second("inf/s").is_err());
    }

    #[test]
    fn memory_is_an_amount_or_a_share() {
        assert_eq!(memory("512MiB"), Ok(Memory::Bytes(536_870_912)));
        assert_eq!(memory("1.5 GB"), Ok(Memory::Bytes(1_500_000_000)));
        assert_eq!(memory("25%"), Ok(Memory::Share(0.25)));
        assert_eq!(memory("25%").map(|it| it.of(1_000)), Ok(250));
        for wrong in ["", "512", "MiB", "0MiB", "101%", "0%", "-1MiB", "9e9GiB"] {
            assert!(memory(wrong).is_err(), "{wrong}");
        }
        assert_eq!(show_bytes(536_870_912), "512 MiB");
        assert_eq!(show_bytes(1_610_612_736), "1.5 GiB");
        assert_eq!(show_bytes(17), "17 B");
    }

    #[test]
    fn people_read_milliseconds() {
        assert_eq!(show_ms(400), "400 ms");
        assert_eq!(show_ms(1_500), "1.5 s");
        assert_eq!(show_ms(120_000), "2 min");
        assert_eq!(show_ms(90_000), "1 min 30 s");
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            drop((duration_us(&text), share(&text), bandwidth(&text), memory(&text), per_second(&text)));
        }
    }
}
