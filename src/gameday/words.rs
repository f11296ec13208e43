//! Times as people write and read them.

use firedrill_plan::time_zone;
use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};

use crate::Start;

const EXPECTED: &str = "a moment with its zone, such as \"2026-12-03 10:00 Europe/Berlin\"";

/// Reads `2026-12-03 10:00 Europe/Berlin`.
pub(crate) fn start(text: &str) -> Result<Start, String> {
    let wrong = || format!("expected {EXPECTED}, found \"{text}\"");
    let (moment, zone) = text.trim().rsplit_once(' ').ok_or_else(wrong)?;
    if zone.contains(':') {
        return Err(format!(
            "\"{text}\" names no time zone; end it with one, such as Europe/Berlin or UTC"
        ));
    }
    let time_zone = time_zone(zone).ok_or_else(|| {
        format!("\"{zone}\" is not a time zone; expected a name such as Europe/Berlin or UTC")
    })?;
    let civil: DateTime = moment.trim().parse().map_err(|_| wrong())?;
    if !moment.contains(':') {
        return Err(wrong());
    }
    let ambiguous = time_zone.to_ambiguous_zoned(civil);
    if ambiguous.is_ambiguous() {
        return Err(format!(
            "{moment} is skipped or comes twice in {zone}, where clocks change that day; choose another hour"
        ));
    }
    let zoned = ambiguous.compatible().map_err(|_| wrong())?;
    Ok(Start {
        wall_ms: zoned.timestamp().as_millisecond(),
        zone: zone.to_owned(),
    })
}

/// `10:05`.
pub fn clock(wall_ms: i64, zone: &TimeZone) -> String {
    zoned(wall_ms, zone, "%H:%M")
}

/// `Thu 3 Dec 2026, 10:00`.
pub fn day_and_clock(wall_ms: i64, zone: &TimeZone) -> String {
    zoned(wall_ms, zone, "%a %-d %b %Y, %H:%M")
}

/// `2026-12-03`.
pub(crate) fn date(wall_ms: i64, zone: &TimeZone) -> String {
    zoned(wall_ms, zone, "%Y-%m-%d")
}

pub(crate) fn zoned(wall_ms: i64, zone: &TimeZone, format: &str) -> String {
    Timestamp::from_millisecond(wall_ms).map_or_else(
        |_| "?".to_owned(),
        |at| at.to_zoned(zone.clone()).strftime(format).to_string(),
    )
}

/// A length of an agenda: `45 s`, `12 min`, `12 min 30 s`, `1 h 5 min`.
pub fn length(ms: u64) -> String {
    let seconds = ms.div_ceil(1_000);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ if seconds % 3_600 < 60 => format!("{} h", seconds / 3_600),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// The date in a zone.
pub fn today(now_ms: i64, zone: &TimeZone) -> Date {
    Timestamp::from_millisecond(now_ms).map_or(Date::MIN, |at| at.to_zoned(zone.clone()).date())
}

/// Tomorrow at ten as `gameday.toml` writes it: `2026-12-03 10:00 Europe/Berlin`.
pub fn tomorrow(now_ms: i64, zone: &str) -> String {
    let known = time_zone(zone);
    let zone = if known.is_some() { zone } else { "UTC" };
    let date = today(now_ms, &known.unwrap_or(TimeZone::UTC));
    format!("{} 10:00 {zone}", date.tomorrow().unwrap_or(date))
}

/// Reads a time of day such as `14:02` or `14:02:53` as the last such moment that is not after `now_ms`: a clock
/// that somebody dates back.
pub fn parse_clock(text: &str, now_ms: i64, zone: &TimeZone) -> Result<i64, String> {
    let wrong = || format!("expected a time of day such as 14:02 or 14:02:53, found \"{text}\"");
    let time: jiff::civil::Time = text.trim().parse().map_err(|_| wrong())?;
    let now = Timestamp::from_millisecond(now_ms)
        .map_err(|_| wrong())?
        .to_zoned(zone.clone());
    let mut date = now.date();
    for _ in 0..2 {
        let then = date
            .to_datetime(time)
            .to_zoned(zone.clone())
            .map_err(|_| wrong())?;
        if then <= now {
            return Ok(then.timestamp().as_millisecond());
        }
        date = date.yesterday().map_err(|_| wrong())?;
    }
    Err(wrong())
}

/// `1 drill`, `3 drills`.
pub(crate) fn count(number: usize, word: &str) -> String {
    if number == 1 {
        format!("1 {word}")
    } else {
        format!("{number} {word}s")
    }
}

/// Text of a person in a line of Markdown: on one line, and none of it is markup.
pub(crate) fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\r' => {}
            '\n' | '\t' => out.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_has_a_zone_and_exists() {
        let start = start("2026-12-03 10:00 Europe/Berlin").unwrap();
        assert_eq!(start.wall_ms, 1_796_288_400_000);
        assert_eq!(
            day_and_clock(start.wall_ms, &start.time_zone()),
            "Thu 3 Dec 2026, 10:00"
        );
        for (wrong, says) in [
            ("2026-12-03 10:00", "time zone"),
            ("2026-12-03 Europe/Berlin", "expected"),
            ("2026-12-03 10:00 Europe/Berlln", "not a time zone"),
            ("2026-03-29 02:30 Europe/Berlin", "clocks change"),
            ("2026-10-25 02:30 Europe/Berlin", "clocks change"),
            ("tomorrow", "expected"),
            ("", "expected"),
        ] {
            let why = super::start(wrong).unwrap_err();
            assert!(why.contains(says), "{wrong}: {why}");
        }
    }

    #[test]
    fn a_clock_is_dated_back_and_never_forward() {
        // 2026-12-03 10:00:00 in Berlin.
        let now = 1_796_288_400_000;
        let zone = time_zone("Europe/Berlin").unwrap();
        assert_eq!(parse_clock("09:58:30", now, &zone), Ok(now - 90_000));
        assert_eq!(parse_clock("10:00", now, &zone), Ok(now));
        // Tomorrow's is yesterday's.
        assert_eq!(parse_clock("10:01", now, &zone), Ok(now + 60_000 - 86_400_000));
        assert!(parse_clock("25:00", now, &zone).is_err() && parse_clock("", now, &zone).is_err());
    }

    #[test]
    fn lengths_are_short() {
        let shown = [45_000, 720_000, 750_000, 3_900_000, 7_200_000, 1].map(length);
        assert_eq!(
            shown,
            ["45 s", "12 min", "12 min 30 s", "1 h 5 min", "2 h", "1 s"]
        );
    }
}
