//! The invitation as Markdown.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use crate::{
    GameDay, State, schedule,
    words::{clock, day_and_clock, length, markdown},
};

/// For whom a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everybody, responders too: when drills are, and nothing of what they do.
    Everybody,
    /// Those who run it: experiments and plans.
    Crew,
}

/// The invitation.
pub fn invitation(day: &GameDay, audience: Audience) -> String {
    let zone = day.start.time_zone();
    let mut out = format!("# {}\n\n", markdown(&day.title));
    let utc = clock(day.start.wall_ms, &TimeZone::UTC);
    // Into a text: none of these can fail.
    writeln!(
        out,
        "- When: {} to {} {} ({utc} UTC), at the most {}",
        day_and_clock(day.start.wall_ms, &zone),
        clock(day.ends_ms(), &zone),
        day.start.zone,
        length(day.for_ms)
    )
    .ok();
    for (what, words) in [
        ("Where", &day.place),
        ("Goal", &day.goal),
        ("What may be hit", &day.segment),
    ] {
        // Where it may be hit tells a responder where to look.
        let spoils = what == "What may be hit" && audience == Audience::Everybody;
        if let Some(words) = words.as_ref().filter(|_| !spoils) {
            writeln!(out, "- {what}: {}", markdown(words)).ok();
        }
    }
    if let Some(call) = &day.call {
        writeln!(out, "- Call: <{call}>").ok();
    }
    if !day.people.roles.is_empty() {
        out.push_str("\n## Who\n\n");
        for (role, names) in &day.people.roles {
            let words = if names.len() == 1 {
                role.word()
            } else {
                role.words()
            };
            writeln!(out, "- {words}: {}", markdown(&names.join(", "))).ok();
        }
    }
    out.push_str("\n## Agenda\n\n");
    for row in agenda(day, audience) {
        writeln!(out, "- {}", markdown(&row)).ok();
    }
    if audience == Audience::Crew && !(day.checks.is_empty() && day.goes.is_empty()) {
        out.push_str("\n## Before the start\n\n");
        for check in &day.checks {
            let how = check
                .how
                .as_ref()
                .map_or_else(String::new, |how| format!(": {}", markdown(how)));
            writeln!(out, "- [ ] {}{how}", markdown(&check.name)).ok();
        }
        for go in &day.goes {
            let about = go
                .about
                .as_ref()
                .map_or_else(String::new, |it| format!(", {}", markdown(it)));
            writeln!(out, "- [ ] go by {}{about}", markdown(&go.name)).ok();
        }
    }
    let last = match audience {
        Audience::Everybody => EXERCISE,
        Audience::Crew => {
            "Not for responders: this tells what happens. An abort for the reason \"real incident\" ends the whole \
             agenda."
        }
    };
    writeln!(out, "\n{last}").ok();
    out
}

/// When each drill is, a line each, not escaped.
pub(crate) fn agenda(day: &GameDay, audience: Audience) -> Vec<String> {
    let zone = day.start.time_zone();
    let slots = schedule(day, &State::new(day), day.start.wall_ms).slots;
    let planned = day.drills.iter().zip(slots).filter(|(row, _)| !row.skip);
    planned
        .enumerate()
        .map(|(i, (row, slot))| {
            let time = format!(
                "{} to {}",
                clock(slot.from_ms, &zone),
                clock(slot.until_ms, &zone)
            );
            match audience {
                Audience::Everybody => format!("{time}: drill {}", i + 1),
                Audience::Crew => format!("{time}: {} ({})", row.experiment, row.plan),
            }
        })
        .collect()
}

/// What everybody is told about the exercise itself.
pub(crate) const EXERCISE: &str = "This is an exercise on a real system. What happens is not told before. \
     A real incident ends it: say \"real incident\" aloud, and everything stops.";
