//! Invitation, findings and report: what they tell, and to whom not.

use firedrill_gameday::*;

use crate::*;

#[test]
fn everybody_is_told_when_and_nobody_what() {
    let day = day();
    let calendar = ics(&day, START_MS);
    let unfolded = calendar.replace("\r\n ", "");
    for text in [invitation(&day, Audience::Everybody), unfolded.clone()] {
        for spoiler in [
            "Payment is slow",
            "Payment fails",
            "slow again",
            "orders.toml",
            "shard 3",
            "latency",
        ] {
            assert!(!text.contains(spoiler), "{spoiler}: {text}");
        }
        assert!(text.contains("10:20 to 10:45: drill 2"), "{text}");
    }
    for line in [
        "DTSTART:20261203T090000Z",
        "DTEND:20261203T110000Z",
        "DTSTAMP:20261203T090000Z",
        "SUMMARY:Payments\\, quarter 4",
        "LOCATION:Room 4",
        "URL:https://meet.example.com/gd",
    ] {
        assert!(
            unfolded.contains(&format!("\r\n{line}\r\n")),
            "{line}: {unfolded}"
        );
    }
    assert!(
        unfolded.contains("Checkout stays usable\\; nobody is paged twice\\, by mistake."),
        "{unfolded}"
    );
    assert!(calendar.starts_with("BEGIN:VCALENDAR\r\n") && calendar.ends_with("END:VCALENDAR\r\n"));
    let crew = invitation(&day, Audience::Crew);
    assert!(
        crew.contains("10:00 to 10:20: Payment is slow (plans/orders.toml)"),
        "{crew}"
    );
    assert!(crew.contains("- [ ] Backups are fresh: restored once"), "{crew}");
}

#[test]
fn the_report_names_only_who_agreed() {
    let checked = read(DAY);
    let day = checked.day.unwrap();
    let state = State::of(&day, &a_day());
    let text = report(&day, &checked.needs, &state, START_MS + 60 * MINUTE_MS);
    for name in ["Grace", "Edsger", "Barbara"] {
        assert!(!text.contains(name), "{name} did not agree: {text}");
    }
    for expected in [
        "- facilitator: Ada",
        "- operator: 1",
        "- observers: Alan and 1 more",
        "| Payment is slow | 10:02 | 10:07 | 20 min | 10 min 45 s | broken |",
        "| slow again | – | – | 20 min | 10 min 45 s | skipped: no time |",
        "- Verdict: **broken**",
        "| noticed | 10:04:00 | 1 min |",
        "Struck by Ada: paged at 10:03:00: that was another page.",
        "| Alan | broken: The pool is full. | 100 of 100 |",
        "| the responder | held: The pool is full. | 15 of 55 |",
        "### The pool \\| has no limit (overdue)",
        "- Owner: observer 2",
        "  - the responder: The room was cold.",
        "- 10:10 Ada: \"slow again\" is skipped: no time",
        "- Backups are fresh: 09:50 by the operator",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let mut sealed = a_day();
    sealed.remove(10);
    let text = report(&day, &checked.needs, &State::of(&day, &sealed), START_MS);
    assert!(text.contains("2 predictions sealed, not revealed.") && !text.contains("The pool is full"));
}

#[test]
fn findings_come_overdue_first_and_a_spreadsheet_runs_none() {
    let finding = |id: &str, symptom: &str, due: &str| {
        let finding = Finding {
            symptom: symptom.to_owned(),
            due: due.to_owned(),
            ..Finding::default()
        };
        record(
            20,
            "Ada",
            Event::Finding {
                id: id.to_owned(),
                finding,
            },
        )
    };
    let mut records = vec![
        finding("a", "no date", ""),
        finding("b", "later", "2026-12-24"),
        finding("c", "=HYPERLINK(\"x\"), \"quoted\"", "2026-11-30"),
        finding("d", "done", "2026-11-01"),
    ];
    records.push(record(
        21,
        "Ada",
        Event::Closed {
            id: "d".to_owned(),
            words: "fixed".to_owned(),
        },
    ));
    let state = State::of(&day(), &records);
    let ids: Vec<_> = due_first(&state.findings)
        .into_iter()
        .map(|it| it.id.as_str())
        .collect();
    assert_eq!(ids, ["c", "b", "a", "d"]);
    let today = today(START_MS, &firedrill_plan::time_zone("Europe/Berlin").unwrap());
    let text = csv(&state.findings, "Q4", today);
    let rows: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(
        rows[1],
        "c,overdue,\"'=HYPERLINK(\"\"x\"\"), \"\"quoted\"\"\",,,,2026-11-30,,,Q4,,,"
    );
    assert!(rows[4].starts_with("d,closed,done,") && rows[4].ends_with(",fixed"));
}
