//! Lines in another's name, and what a rehearsal's report keeps back.

use firedrill_gameday::*;

use crate::*;

const NOW_MS: i64 = START_MS + 4 * 60 * MINUTE_MS;

fn slis() -> Vec<(String, String)> {
    [("Order success", "%"), ("P95 latency", "ms")]
        .map(|(name, unit)| (name.to_owned(), unit.to_owned()))
        .to_vec()
}

fn typed(line: &str) -> Result<Entry, String> {
    let (day, slis) = (day(), slis());
    entry(
        line,
        &Known {
            day: &day,
            slis: &slis,
            now_ms: NOW_MS,
        },
    )
}

fn clock_of(line: &str) -> (String, Clock, i64) {
    match typed(line) {
        Ok(Entry {
            who,
            what: Entered::Clock { clock, when_ms },
        }) => (who, clock, (when_ms - NOW_MS) / 1_000),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn clocks_are_entered_by_a_name_and_a_word() {
    // It is 14:00 in Berlin.
    let rows = [
        ("Barbara: noticed", "Barbara", Clock::Noticed, 0),
        ("barbara: noticed 13:57", "Barbara", Clock::Noticed, -180),
        ("bar: ack 13:59:30", "Barbara", Clock::Acknowledged, -30),
        ("AL: Right hypothesis -90s", "Alan", Clock::Hypothesis, -90),
        ("ed:hypothesis", "Edsger", Clock::Hypothesis, 0),
        ("Grace：mitigated −2m", "Grace", Clock::Mitigated, -120),
        ("ada:   recovered", "Ada", Clock::Recovered, 0),
        // Yesterday's: the last such moment that is not to come.
        ("ada: paged 23:00", "Ada", Clock::Paged, -15 * 3_600),
    ];
    for (line, who, clock, ago_s) in rows {
        assert_eq!(clock_of(line), (who.to_owned(), clock, ago_s), "{line}");
    }
}

#[test]
fn notes_strikes_and_predictions_too() {
    let what = |line: &str| typed(line).map(|it| it.what);
    assert_eq!(what("ada: strike noticed"), Ok(Entered::Strike(Clock::Noticed)));
    let note = |words: &str, when_ms| Entered::Note {
        when_ms,
        words: words.to_owned(),
    };
    assert_eq!(
        what("ada: note the pager was silent"),
        Ok(note("the pager was silent", NOW_MS))
    );
    let then = NOW_MS - 5 * MINUTE_MS;
    assert_eq!(what("ada: note 13:55 a: b"), Ok(note("a: b", then)));
    let said =
        what("barbara: breaks; first p95 latency; worst 820 ms; notice 90s; because the pool is small");
    let Ok(Entered::Predict(said)) = said else {
        panic!("{said:?}")
    };
    assert_eq!((said.who.as_str(), said.holds), ("Barbara", false));
    assert_eq!(said.first.as_deref(), Some("P95 latency"));
    assert_eq!((said.worst, said.notice_ms), (Some(0.82), Some(90_000)));
    assert_eq!(said.words, "the pool is small");
    assert!(matches!(what("ada: holds"), Ok(Entered::Predict(said)) if said.holds));
}

#[test]
fn mistakes_say_what_is_wrong_and_how_it_is_written() {
    let rows = [
        ("noticed 14:03", "NAME: WHAT"),
        (": noticed", "who?"),
        ("ada:", "what did Ada do?"),
        ("zoe: noticed", "nobody is called \"zoe\""),
        ("Bralan: noticed", "nobody is called"),
        ("a: noticed", "Ada or Alan"),
        ("ada: notised 14:03", "did you mean \"noticed\"?"),
        ("ada: noticed at 14:03", "expected a time of day"),
        ("ada: noticed 14:99", "or how long ago, such as -2m"),
        ("ada: strike", "is none of noticed"),
        ("ada: strike noticed 14:03", "nothing may follow"),
        ("ada: note", "what is to be noted?"),
        ("ada: breaks at once", "comes a semicolon"),
        ("ada: breaks; first CPU", "it has: Order success, P95 latency"),
        ("ada: breaks; worst 3", "first NAME"),
        ("ada: breaks; first P95 latency; worst slow", "a number in ms"),
        ("ada: breaks; second x", "none of first"),
    ];
    for (line, part) in rows {
        let why = typed(line).expect_err(line);
        assert!(why.contains(part), "{line}: {why}");
    }
    let long = format!("ada: note {}", "x".repeat(MAX_ENTRY));
    assert!(typed(&long).expect_err("long").contains("500"));
}

#[test]
fn a_day_that_names_nobody_takes_any_name() {
    let mut day = day();
    day.people = People::default();
    let known = Known {
        day: &day,
        slis: &[],
        now_ms: NOW_MS,
    };
    assert_eq!(
        entry("zoe: noticed", &known).map(|it| it.who),
        Ok("zoe".to_owned())
    );
}

/// The first row as a rehearsal by surprise.
fn rehearsal() -> GameDay {
    let text = DAY.replacen(
        "box = \"20m\"   # generous",
        "box = \"60m\"\nrehearsal = true\nsurprise = { earliest = \"5m\", latest = \"25m\", blind = true }",
        1,
    );
    let checked = read(&text);
    assert!(
        checked
            .diagnostics
            .iter()
            .all(|it| !it.to_string().contains("surprise")),
        "{:?}",
        checked.diagnostics
    );
    assert_eq!(checked.needs[0].surprise_ms, 25 * 60_000);
    let Some(day) = checked.day else {
        panic!("the game day is good")
    };
    day
}

#[test]
fn a_row_can_be_a_rehearsal_by_surprise_and_a_wrong_range_is_said() {
    let day = rehearsal();
    let lot = Lot {
        earliest_ms: 300_000,
        latest_ms: 1_500_000,
        blind: true,
    };
    assert_eq!(
        (day.drills[0].rehearsal, day.drills[0].surprise),
        (true, Some(lot))
    );
    assert!(!day.drills[1].rehearsal && day.drills[1].surprise.is_none());
    let wrong = DAY.replacen(
        "box = \"20m\"",
        "surprise = { earliest = \"9m\", latest = \"8m\" }\nbox = \"20m\"",
        1,
    );
    let said = read(&wrong).diagnostics;
    assert!(
        said.iter()
            .any(|it| it.to_string().contains("is after the latest")),
        "{said:?}"
    );
}

#[test]
fn until_the_reveal_the_report_and_the_invitation_tell_only_of_an_exercise() {
    let day = rehearsal();
    let mut records = vec![
        record(0, "Ada", Event::Started),
        record(
            1,
            "Ada",
            Event::Changed(Change::Move {
                drill: "Payment is slow".to_owned(),
                to: 0,
            }),
        ),
        record(2, "Grace", began("Payment is slow", "run-1")),
    ];
    let mut clock = clock_event("c1", "Payment is slow", Clock::Noticed, 4);
    if let Event::Clock { who, .. } = &mut clock {
        *who = Some("Barbara".to_owned());
    }
    records.push(record(5, "Ada", clock));
    let note = Event::Note {
        id: "n1".to_owned(),
        drill: Some("Payment is slow".to_owned()),
        when_ms: START_MS + 4 * MINUTE_MS,
        who: Some("Barbara".to_owned()),
        words: "the pool is full".to_owned(),
    };
    records.push(record(5, "Ada", note));
    records.push(record(6, "Ada", ended("Payment is slow", "run-1", broken())));
    let text = |records: &[Record]| report(&day, &[], &State::of(&day, records), NOW_MS);
    let sealed = text(&records);
    let secrets = [
        "Payment is slow",
        "plans/orders.toml, Payment is",
        "P95 latency",
        "broken",
        "run-1",
        "the pool",
    ];
    for secret in &secrets {
        assert!(!sealed.contains(secret), "{secret} in {sealed}");
    }
    assert!(
        sealed.contains("exercise") && sealed.contains("Not revealed yet"),
        "{sealed}"
    );
    let state = State::of(&day, &records);
    assert!(state.rows[0].is_sealed());
    assert_eq!(state.rows[0].clocks[0].who.as_deref(), Some("Barbara"));
    records.push(record(
        9,
        "Ada",
        Event::Revealed {
            drill: "Payment is slow".to_owned(),
        },
    ));
    let told = text(&records);
    for secret in &secrets[..1] {
        assert!(told.contains(secret), "{secret} in {told}");
    }
    // Fault 3, noticed 4 (and P95 out at 4), off 5 minutes after the start.
    let at = |part: &str| told.find(part).unwrap_or_else(|| panic!("{part} in {told}"));
    let order = [
        at("**the fault begins** | 10:03:00 | 0 s"),
        at("P95 latency leaves its tolerance | 10:04:00 | 1 min"),
        at("noticed by the responder, dated back | 10:04:00 | 1 min"),
        at("**the fault is off** | 10:05:00 | 2 min"),
        at("10:04:00 the responder: the pool is full"),
    ];
    assert!(order.is_sorted(), "{order:?}");
    // Run again as a rehearsal it is sealed again.
    let again = Event::DrillBegan {
        drill: "Payment is slow".to_owned(),
        run: "run-2".to_owned(),
        sealed: true,
    };
    records.push(record(12, "Ada", again));
    assert!(State::of(&day, &records).rows[0].is_sealed());
    for secret in ["Payment", "orders.toml", "slow"] {
        let all = invitation(&day, Audience::Everybody) + &ics(&day, START_MS);
        let all = all
            .replace("Payments, quarter 4", "")
            .replace("Payments\\, quarter 4", "");
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}
