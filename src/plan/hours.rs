//! Hours of the week in a time zone: `Mon-Fri 10:00-16:00 Europe/Berlin`.
//!
//! Pure: zones come from the database that is built into the program, so that a journal replays the same on
//! every computer.

use std::{fmt, sync::OnceLock};

use jiff::{Span, Timestamp, Zoned, civil::Weekday, tz::TimeZone, tz::TimeZoneDatabase};

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const DAY_MIN: u16 = 24 * 60;
const EXPECTED: &str = "hours such as \"Mon-Fri 10:00-16:00 Europe/Berlin\"";

/// Hours of the week in a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    spans: Vec<HourSpan>,
    zone: String,
}

/// On these days, from one minute of the day until another; past midnight when it does not end later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HourSpan {
    /// Monday first.
    days: [bool; 7],
    from_min: u16,
    until_min: u16,
}

impl Hours {
    /// Reads `Mon-Thu 10:00-16:00, Fri 10:00-12:00 Europe/Berlin`; days may be left out (every day), the zone only
    /// where `zone` gives another.
    pub fn read(text: &str, zone: Option<&str>) -> Result<Self, String> {
        let (spans, own_zone) = match text.trim().rsplit_once(char::is_whitespace) {
            Some((spans, last)) if !last.contains(':') => (spans, Some(last)),
            _ => (text.trim(), None),
        };
        let zone = own_zone.or(zone).ok_or_else(|| {
            format!("\"{text}\" names no time zone; end it with one, such as Europe/Berlin or UTC")
        })?;
        time_zone(zone).ok_or_else(|| {
            format!("\"{zone}\" is not a time zone; expected a name such as Europe/Berlin or UTC")
        })?;
        let spans: Result<Vec<_>, _> = spans.split(',').map(|span| hour_span(span.trim())).collect();
        Ok(Self {
            spans: spans?,
            zone: zone.to_owned(),
        })
    }

    /// The zone's name.
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// Whether it is such an hour at that wall time, milliseconds since 1970 UTC.
    pub fn contains(&self, wall_ms: i64) -> bool {
        self.local(wall_ms).is_some_and(|local| self.holds(&local))
    }

    /// When that changes next, within eight days, in words: `Mon 10:00 Europe/Berlin`.
    pub fn next_change(&self, wall_ms: i64) -> Option<String> {
        let now = self.local(wall_ms)?;
        let inside = self.holds(&now);
        let mut edges: Vec<u16> = self
            .spans
            .iter()
            .flat_map(|it| [it.from_min, it.until_min])
            .collect();
        edges.sort_unstable();
        let zone = time_zone(&self.zone)?;
        (0..=8).find_map(|days| {
            let date = now.date().checked_add(Span::new().days(days)).ok()?;
            edges.iter().find_map(|minute| {
                // 24:00 is the next day's 00:00, whose own edges come later.
                let at = date
                    .at(0, 0, 0, 0)
                    .checked_add(Span::new().minutes(i64::from(*minute)))
                    .ok()?;
                let then = at.to_zoned(zone.clone()).ok()?;
                (then > now && self.holds(&then) != inside).then(|| {
                    let day = DAYS[usize::from(day_of(then.weekday()))];
                    format!("{day} {:02}:{:02} {}", then.hour(), then.minute(), self.zone)
                })
            })
        })
    }

    fn local(&self, wall_ms: i64) -> Option<Zoned> {
        let time = Timestamp::from_millisecond(wall_ms).ok()?;
        Some(time.to_zoned(time_zone(&self.zone)?))
    }

    fn holds(&self, local: &Zoned) -> bool {
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let today = usize::from(day_of(local.weekday()));
        self.spans.iter().any(|span| span.holds(today, minute))
    }
}

impl HourSpan {
    fn holds(&self, today: usize, minute: u16) -> bool {
        if self.from_min < self.until_min {
            return self.days[today] && (self.from_min..self.until_min).contains(&minute);
        }
        // Past midnight: the rest of it belongs to the day before.
        let before = (today + 6) % 7;
        (self.days[today] && minute >= self.from_min) || (self.days[before] && minute < self.until_min)
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, span) in self.spans.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
            write!(f, "{comma}{}", days_words(span.days))?;
            write!(f, "{}-{}", clock(span.from_min), clock(span.until_min))?;
        }
        write!(f, " {}", self.zone)
    }
}

/// `Mon-Fri `, `Mon,Wed ` would not read back: single days are written as spans of their own. Every day: nothing.
fn days_words(days: [bool; 7]) -> String {
    if days.iter().all(|day| *day) {
        return String::new();
    }
    let first = (0..7).find(|day| days[*day] && !days[(day + 6) % 7]).unwrap_or(0);
    let length = (0..7).take_while(|step| days[(first + step) % 7]).count();
    if length == 1 {
        return format!("{} ", DAYS[first]);
    }
    format!("{}-{} ", DAYS[first], DAYS[(first + length - 1) % 7])
}

fn day_of(day: Weekday) -> u8 {
    day.to_monday_zero_offset().unsigned_abs()
}

/// A time zone by its name, of the built-in database: `Europe/Berlin`, `UTC`.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    static ZONES: OnceLock<TimeZoneDatabase> = OnceLock::new();
    if name.eq_ignore_ascii_case("utc") {
        return Some(TimeZone::UTC);
    }
    ZONES.get_or_init(TimeZoneDatabase::bundled).get(name).ok()
}

fn hour_span(text: &str) -> Result<HourSpan, String> {
    let wrong = || format!("expected {EXPECTED}, found \"{text}\"");
    let (days, clock) = match text.split_once(char::is_whitespace) {
        Some((days, clock)) => (named_days(days.trim())?, clock.trim()),
        None => ([true; 7], text),
    };
    let (from, until) = clock.split_once(['-', '–']).ok_or_else(wrong)?;
    let (from_min, until_min) = (minute_of_day(from.trim())?, minute_of_day(until.trim())?);
    if from_min == until_min {
        return Err(format!("\"{text}\" begins and ends at the same minute"));
    }
    if from_min == DAY_MIN {
        return Err(format!("\"{text}\" begins at 24:00; write 00:00"));
    }
    Ok(HourSpan {
        days,
        from_min,
        until_min,
    })
}

fn named_days(text: &str) -> Result<[bool; 7], String> {
    let day = |name: &str| {
        DAYS.iter()
            .position(|known| known.eq_ignore_ascii_case(name.trim()))
            .ok_or_else(|| format!("\"{name}\" is not a day; expected {}", DAYS.join(", ")))
    };
    let (first, last) = match text.split_once(['-', '–']) {
        Some((first, last)) => (day(first)?, day(last)?),
        None => (day(text)?, day(text)?),
    };
    let mut days = [false; 7];
    let length = (last + 7 - first) % 7;
    for step in 0..=length {
        days[(first + step) % 7] = true;
    }
    Ok(days)
}

fn minute_of_day(text: &str) -> Result<u16, String> {
    let wrong = || format!("\"{text}\" is not a time of the day such as 10:00");
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(minute) || hour.is_empty() || hour.len() > 2 || !hour.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(wrong());
    }
    let (hour, minute): (u16, u16) = (
        hour.parse().map_err(|_| wrong())?,
        minute.parse().map_err(|_| wrong())?,
    );
    let all = hour * 60 + minute;
    if minute > 59 || all > DAY_MIN {
        return Err(wrong());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn hours_are_those_of_their_zone() {
        let hours = Hours::read("Mon-Fri 10:00-16:00 Europe/Berlin", None).unwrap();
        // Summer time, Monday: 10:00 there is 08:00 UTC; in winter 09:00.
        assert!(!hours.contains(ms("2026-07-06T07:59:59Z")));
        assert!(hours.contains(ms("2026-07-06T08:00:00Z")));
        assert!(!hours.contains(ms("2026-01-05T08:59:00Z")));
        assert!(hours.contains(ms("2026-01-05T09:00:00Z")));
        assert!(
            !hours.contains(ms("2026-01-05T15:00:00Z")),
            "the end is not inside"
        );
        assert!(!hours.contains(ms("2026-07-11T10:00:00Z")), "a Saturday");
        let saturday = hours.next_change(ms("2026-07-11T10:00:00Z"));
        assert_eq!(saturday.as_deref(), Some("Mon 10:00 Europe/Berlin"));
        let monday = hours.next_change(ms("2026-07-06T10:00:30Z"));
        assert_eq!(monday.as_deref(), Some("Mon 16:00 Europe/Berlin"));
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let night = Hours::read("Fri 22:00-06:00 UTC", None).unwrap();
        assert!(night.contains(ms("2026-07-10T23:00:00Z")));
        assert!(night.contains(ms("2026-07-11T05:59:00Z")), "Saturday morning");
        assert!(!night.contains(ms("2026-07-10T05:00:00Z")), "Friday morning");
        assert!(!night.contains(ms("2026-07-11T22:30:00Z")));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("10:00-16:00", "names no time zone"),
            ("10:00-16:00 Europe/Berln", "is not a time zone"),
            ("Mo-Fr 10:00-16:00 UTC", "is not a day"),
            ("10-16:00 UTC", "time of the day"),
            ("25:00-26:00 UTC", "time of the day"),
            ("10:00-10:00 UTC", "same minute"),
            ("24:00-10:00 UTC", "write 00:00"),
            ("soon UTC", "expected hours"),
        ] {
            let error = Hours::read(text, None).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert_eq!(Hours::read("11:30-13:30", Some("UTC")).unwrap().zone(), "UTC");
    }

    proptest::proptest! {
        #[test]
        fn what_is_shown_reads_the_same(from in 0_u16..DAY_MIN, until in 1_u16..=DAY_MIN, first in 0_usize..7, more in 0_usize..7) {
            proptest::prop_assume!(from != until);
            let mut days = [false; 7];
            for step in 0..=more { days[(first + step) % 7] = true; }
            let hours = Hours { spans: vec![HourSpan { days, from_min: from, until_min: until }], zone: "Europe/Berlin".to_owned() };
            proptest::prop_assert_eq!(Hours::read(&hours.to_string(), None), Ok(hours));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            drop(Hours::read(&text, Some("UTC")));
        }
    }
}
