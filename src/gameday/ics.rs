//! The invitation as a calendar file (RFC 5545): one event, UTC times, lines folded at 75 octets.

use jiff::tz::TimeZone;

use crate::{
    Audience, GameDay,
    invite::{EXERCISE, agenda},
    words::zoned,
};

/// The longest line, in octets, its end not counted.
const LINE: usize = 75;

/// The calendar file, made at `now_ms`. A later one of the same day replaces it in a calendar. It tells what
/// [`Audience::Everybody`] may know: calendars are shared.
pub fn ics(day: &GameDay, now_ms: i64) -> String {
    let utc = |ms: i64| zoned(ms, &TimeZone::UTC, "%Y%m%dT%H%M%SZ");
    let mut lines = vec![
        "BEGIN:VCALENDAR".to_owned(),
        "VERSION:2.0".to_owned(),
        "PRODID:-//Firedrill//Game day//EN".to_owned(),
        "METHOD:PUBLISH".to_owned(),
        "BEGIN:VEVENT".to_owned(),
        format!("UID:{}@firedrill", escaped(&day.id)),
        format!("DTSTAMP:{}", utc(now_ms)),
        // Seconds grow for ever: the newest invitation wins.
        format!("SEQUENCE:{}", (now_ms / 1_000).clamp(0, i64::from(i32::MAX))),
        format!("DTSTART:{}", utc(day.start.wall_ms)),
        format!("DTEND:{}", utc(day.ends_ms())),
        format!("SUMMARY:{}", escaped(&day.title)),
        format!("DESCRIPTION:{}", escaped(&description(day))),
    ];
    if let Some(place) = &day.place {
        lines.push(format!("LOCATION:{}", escaped(place)));
    }
    if let Some(call) = &day.call {
        lines.push(format!("URL:{}", uri(call)));
    }
    lines.push("END:VEVENT".to_owned());
    lines.push("END:VCALENDAR".to_owned());
    lines.iter().map(|line| folded(line)).collect()
}

fn description(day: &GameDay) -> String {
    let goal = day.goal.iter().map(|goal| format!("{goal}\n"));
    let zone = &day.start.zone;
    let agenda = agenda(day, Audience::Everybody);
    let call = day.call.iter().map(|call| format!("\n{call}"));
    let parts = goal
        .chain([format!("Agenda ({zone}):")])
        .chain(agenda)
        .chain([format!("\n{EXERCISE}")])
        .chain(call);
    parts.collect::<Vec<_>>().join("\n")
}

/// A value of type TEXT.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | ';' | ',' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            // Other control characters are not allowed in TEXT.
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// A value of type URI is not escaped; what would end the line is taken out.
fn uri(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() && !c.is_whitespace())
        .collect()
}

/// A content line: broken before the octet that would be too much and never inside a character; each further line
/// begins with a space, which counts.
fn folded(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + line.len() / LINE * 3 + 2);
    let mut length = 0;
    for c in line.chars() {
        if length + c.len_utf8() > LINE {
            out.push_str("\r\n ");
            length = 1;
        }
        out.push(c);
        length += c.len_utf8();
    }
    out.push_str("\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
        #[test]
        fn folding_loses_nothing_and_no_line_is_too_long(text in "[ -~äß火災演習🔥]{0,400}") {
            let folded = folded(&text);
            let lines: Vec<&str> = folded.trim_end_matches("\r\n").split("\r\n").collect();
            proptest::prop_assert!(lines.iter().all(|line| line.len() <= LINE));
            let unfolded = folded.replace("\r\n ", "");
            proptest::prop_assert_eq!(unfolded.trim_end_matches("\r\n"), text);
        }
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(escaped("a;b,c\\d\r\ne\u{7}f"), "a\\;b\\,c\\\\d\\nef");
    }
}
