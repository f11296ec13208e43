//! Numbers, times and states as the room reads them.

use firedrill_plan::{Range, Stop};
use firedrill_scene::SliScene;
use jiff::{Timestamp, tz::TimeZone};

use crate::messages::Say;

/// How an SLI's values are shown: base unit times `factor`, with a steady number of decimals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Base unit to shown unit.
    pub factor: f64,
    /// Digits after the point.
    pub decimals: usize,
}

impl Scale {
    /// The scale of a unit, with decimals that fit the size of the lines that values are judged by.
    pub fn of(unit: &str, lines: &[f64]) -> Self {
        let factor = match unit {
            "%" => 100.0,
            "ms" => 1e3,
            _ => 1.0,
        };
        let largest = lines
            .iter()
            .fold(0.0_f64, |most, line| most.max((line * factor).abs()));
        let decimals = match unit {
            "%" => 2,
            _ if largest >= 100.0 || largest == 0.0 => 0,
            _ if largest >= 10.0 => 1,
            _ => 2,
        };
        Self { factor, decimals }
    }

    /// The scale of an SLI's card.
    pub fn of_sli(sli: &SliScene) -> Self {
        Self::of(&sli.unit, &lines(sli))
    }

    /// A value in the shown unit, without the unit.
    pub fn number(self, value: f64) -> String {
        let shown = value * self.factor;
        if shown.abs() >= 1e7 {
            return format!("{shown:.2e}");
        }
        let text = format!("{shown:.*}", self.decimals);
        if text.trim_start_matches(['-', '0', '.']).is_empty() {
            text.trim_start_matches('-').to_owned()
        } else {
            text
        }
    }

    /// A line of the plan: as short as it can be said.
    pub fn line(self, value: f64) -> String {
        let shown = value * self.factor;
        let text = format!("{shown:.4}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    /// `99.94 %`; the unit `/s` and words follow likewise.
    pub fn with_unit(self, value: f64, unit: &str) -> String {
        format!("{} {unit}", self.number(value)).trim_end().to_owned()
    }
}

/// Every finite line of an SLI, base unit.
pub fn lines(sli: &SliScene) -> Vec<f64> {
    let mut all = vec![sli.band.min, sli.band.max, sli.tolerate.min, sli.tolerate.max];
    if let Stop::Outside { range, .. } = sli.stop {
        all.extend([range.min, range.max]);
    }
    all.into_iter().flatten().collect()
}

/// `≥ 99.95`, `≤ 300`, `1 to 5`.
pub fn range(say: Say, range: Range, scale: Scale) -> Option<String> {
    match (range.min, range.max) {
        (Some(min), Some(max)) => Some(say.range_between(scale.line(min), scale.line(max))),
        (Some(min), None) => Some(format!("≥ {}", scale.line(min))),
        (None, Some(max)) => Some(format!("≤ {}", scale.line(max))),
        (None, None) => None,
    }
}

/// The three lines of an SLI in one line of words.
pub fn three_lines(say: Say, sli: &SliScene, scale: Scale) -> String {
    let mut parts = Vec::new();
    if let Some(words) = range(say, sli.band, scale) {
        parts.push(say.line_steady(words));
    }
    if sli.tolerate != sli.band {
        parts.extend(range(say, sli.tolerate, scale).map(|words| say.line_tolerated(words)));
    }
    match sli.stop {
        Stop::Never { .. } => parts.push(say.line_never().to_owned()),
        Stop::Outside { range: limits, .. } => {
            let outside = match (limits.min, limits.max) {
                (Some(min), None) => say.line_stop_below(scale.line(min)),
                (None, Some(max)) => say.line_stop_above(scale.line(max)),
                (Some(min), Some(max)) => say.line_stop_outside(scale.line(min), scale.line(max)),
                (None, None) => say.line_no_stop().to_owned(),
            };
            parts.push(outside);
        }
    }
    parts.join(" · ")
}

/// `14:02:53`.
pub fn clock(wall_ms: i64, zone: &TimeZone) -> String {
    zoned(wall_ms, zone, "%H:%M:%S")
}

/// `14:02:53.412`.
pub fn clock_ms(wall_ms: i64, zone: &TimeZone) -> String {
    zoned(wall_ms, zone, "%H:%M:%S%.3f")
}

/// `22 Nov 14:02`.
pub fn date(say: Say, wall_ms: i64, zone: &TimeZone) -> String {
    zoned(wall_ms, zone, say.date_format())
}

fn zoned(wall_ms: i64, zone: &TimeZone, format: &str) -> String {
    Timestamp::from_millisecond(wall_ms).map_or_else(
        |_| "--:--:--".to_owned(),
        |at| at.to_zoned(zone.clone()).strftime(format).to_string(),
    )
}

/// A time that is left or has passed: `8.2 s` below ten seconds, then `18 s`, `2 min 5 s`.
pub fn span_ms(say: Say, ms: u64) -> String {
    match ms {
        0..10_000 => say.span_seconds(format_args!("{:.1}", ms as f64 / 1e3)),
        10_000..120_000 => say.span_seconds(ms / 1_000),
        _ => say.span_minutes(ms / 60_000, ms % 60_000 / 1_000),
    }
}

/// A measured time: `7 ms`, `0.4 ms`, `4.1 s`.
pub fn took_us(us: u64) -> String {
    match us {
        0 => "0 ms".to_owned(),
        1..1_000 => format!("{:.1} ms", us as f64 / 1e3),
        1_000..1_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

/// `1 s old`.
pub fn age(say: Say, ms: u64) -> String {
    match ms {
        0..1_000 => say.age_now().to_owned(),
        1_000..120_000 => say.age_seconds(ms / 1_000),
        _ => say.age_minutes(ms / 60_000),
    }
}

/// `payments-1`, `payments-1 and payments-2`, `payments-1 and 3 more`.
pub fn names(say: Say, names: &[String]) -> String {
    match names {
        [] => say.names_nobody().to_owned(),
        [one] => one.clone(),
        [one, two] => say.names_two(one, two),
        [one, rest @ ..] => say.names_more(one, rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Language;

    #[test]
    fn numbers_keep_their_decimals() {
        let percent = Scale::of("%", &[0.9995]);
        assert_eq!(
            (percent.number(0.9994), percent.number(1.0)),
            ("99.94".into(), "100.00".into())
        );
        assert_eq!(percent.line(0.9995), "99.95");
        let ms = Scale::of("ms", &[0.3, 2.0]);
        assert_eq!(
            (ms.number(0.5623), ms.number(-0.0001)),
            ("562".into(), "0".into())
        );
        assert_eq!(Scale::of("orders", &[24.0]).number(19.04), "19.0");
    }

    #[test]
    fn times_are_short() {
        assert_eq!(
            [8_240, 18_900, 125_000].map(|ms| span_ms(Say(Language::English), ms)),
            ["8.2 s", "18 s", "2 min 5 s"]
        );
        assert_eq!(
            [8_240, 125_000].map(|ms| span_ms(Say(Language::Chinese), ms)),
            ["8.2 秒", "2 分 5 秒"]
        );
        assert_eq!(
            (took_us(400), took_us(7_300), took_us(4_100_000)),
            ("0.4 ms".into(), "7 ms".into(), "4.1 s".into())
        );
        assert_eq!(clock(1_763_820_173_412, &TimeZone::UTC), "14:02:53");
        assert_eq!(clock_ms(1_763_820_173_412, &TimeZone::UTC), "14:02:53.412");
        assert_eq!(clock(i64::MAX, &TimeZone::UTC), "--:--:--");
    }
}
