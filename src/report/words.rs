//! Words that every format shares.

use firedrill_drill::{At, show_value};
use firedrill_plan::{Range, Stop};
use firedrill_scene::{AbortRecord, DrillScene, InjectionScene, Numbers, Review, SliScene};
use firedrill_wire::InjectionState;
use jiff::{Timestamp, tz::TimeZone};

/// A wall time in UTC, so that a report says the same wherever it is made.
pub fn wall(wall_ms: i64, format: &str) -> String {
    let Ok(time) = Timestamp::from_millisecond(wall_ms) else {
        return "unknown time".to_owned();
    };
    time.to_zoned(TimeZone::UTC).strftime(format).to_string()
}

/// The wall time of a moment of the drill, by the drill's own monotonic clock: a wall clock may jump.
pub fn clock(scene: &DrillScene, mono_us: u64) -> String {
    wall(
        scene.origin_wall_ms.saturating_add_unsigned(mono_us / 1_000),
        "%H:%M:%S",
    )
}

/// Seconds since the drill began: `+12.4 s`.
pub fn since_start(at: At) -> String {
    format!("+{:.1} s", at.mono_us as f64 / 1e6)
}

/// A time in milliseconds where there is one.
pub fn maybe_ms(ms: Option<u64>, none: &str) -> String {
    match ms {
        Some(ms) if ms < 1_000 => format!("{ms} ms"),
        Some(ms) => format!("{:.1} s", ms as f64 / 1e3),
        None => none.to_owned(),
    }
}

/// The three lines of an SLI: `steady at least 99.95 %`, `tolerated …`, `stop …`.
pub fn lines(sli: &SliScene) -> [String; 3] {
    let stop = match sli.stop {
        Stop::Never { after } => format!("values never stop; {after} samples without data do"),
        Stop::Outside { range: line, after } => {
            format!("stop outside {}, {after} in a row", range(&sli.unit, line))
        }
    };
    [
        format!("steady {}", range(&sli.unit, sli.band)),
        format!("tolerated {}", range(&sli.unit, sli.tolerate)),
        stop,
    ]
}

fn range(unit: &str, range: Range) -> String {
    match (range.min, range.max) {
        (Some(min), Some(max)) => format!("{} to {}", show_value(unit, min), show_value(unit, max)),
        (Some(min), None) => format!("≥ {}", show_value(unit, min)),
        (None, Some(max)) => format!("≤ {}", show_value(unit, max)),
        (None, None) => "anything".to_owned(),
    }
}

/// Median, tail and how many samples: `median 99.9 %, p95 100 %, 24 samples`.
pub fn numbers(unit: &str, numbers: Option<&Numbers>) -> String {
    let Some(n) = numbers else {
        return "no samples".to_owned();
    };
    let blind = if n.without_data == 0 {
        String::new()
    } else {
        format!(", {} without data", n.without_data)
    };
    format!(
        "median {}, p95 {}, {} to {}, {} samples{blind}",
        show_value(unit, n.median),
        show_value(unit, n.p95),
        show_value(unit, n.min),
        show_value(unit, n.max),
        n.samples
    )
}

/// How an injection ended, never more than was read back.
pub fn ended(injection: &InjectionScene) -> String {
    let proved = if injection.proved { ", proved clean" } else { "" };
    match injection.state {
        None => "asked for, never answered".to_owned(),
        Some(InjectionState::Starting) => "starting when the record ends".to_owned(),
        Some(InjectionState::Active) => "active when the record ends".to_owned(),
        Some(InjectionState::Reverting) => "reverting when the record ends".to_owned(),
        Some(InjectionState::Reverted) => format!("reverted and read back{proved}"),
        Some(InjectionState::Refused) => "refused, never began".to_owned(),
        Some(InjectionState::Failed) => "failed; nothing was half applied".to_owned(),
        Some(InjectionState::Done) => "done (one-shot)".to_owned(),
        Some(InjectionState::Unconfirmed) => {
            format!(
                "UNCONFIRMED: it may be on. {}",
                injection.by_hand.as_deref().unwrap_or_default()
            )
        }
    }
}

/// How an abort went on one agent: agent, abort test, requested, received, reverted, proved clean.
pub fn abort_row(scene: &DrillScene, it: &AbortRecord) -> [String; 6] {
    let ms = |us: Option<u64>| us.map_or_else(|| "–".to_owned(), |us| format!("{:.1} ms", us as f64 / 1e3));
    let requested = match it.requested_us {
        Some(us) => format!("{} ({}×)", clock(scene, us), it.sent),
        None => "–".to_owned(),
    };
    let test = match &it.test_us {
        None => "–".to_owned(),
        Some(Ok(us)) => ms(Some(*us)),
        Some(Err(why)) => why.clone(),
    };
    let proved = match (it.requested_us, it.proved_us, &it.problem) {
        (Some(_), None, Some(problem)) => format!("not proved: {problem}"),
        (_, proved, _) => ms(proved),
    };
    [
        it.agent.clone(),
        test,
        requested,
        ms(it.received_us),
        ms(it.reverted_us),
        proved,
    ]
}

/// The heads of [`abort_row`].
pub const ABORT_HEADS: [&str; 6] = [
    "agent",
    "abort test",
    "abort requested",
    "received after",
    "reverted after",
    "proved clean after",
];

/// Guardrails, the second person, alerts and emergency actions: name and words.
pub fn safety(scene: &DrillScene) -> Vec<(String, String)> {
    let safety = &scene.safety;
    let mut rows: Vec<(String, String)> = Vec::new();
    for it in &safety.guardrails {
        let word = match (it.ok, &it.overridden) {
            (Some(true), _) => "",
            (Some(false), _) => "VIOLATED: ",
            (None, _) => "not known: ",
        };
        rows.push((format!("guardrail {}", it.rule), format!("{word}{}", it.words)));
    }
    for it in &safety.actions {
        let sent = if it.sent.is_empty() {
            "not sent".to_owned()
        } else {
            it.sent.join("; ")
        };
        rows.push((format!("action {}", it.when), format!("{}: {sent}", it.what)));
    }
    for it in &safety.alerts {
        let answer = match &it.answer {
            None => "not told".to_owned(),
            Some(Ok(words)) => words.clone(),
            Some(Err(why)) => format!("NOT told: {why}"),
        };
        rows.push(("alert".to_owned(), format!("{}: {answer}", it.to)));
    }
    rows
}

/// The measured times of a drill, name and words.
pub fn times(review: &Review) -> [(&'static str, String); 3] {
    [
        (
            "fault to first sample out of tolerance",
            maybe_ms(review.time_to_break_ms, "never left tolerance"),
        ),
        (
            "deciding sample to last read-back",
            maybe_ms(review.time_to_stop_ms, "no stop"),
        ),
        (
            "last revert to steady state",
            maybe_ms(review.time_to_recover_ms, "not reached"),
        ),
    ]
}
