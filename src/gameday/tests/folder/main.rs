//! The room through its face: reading with every mistake, edits that keep comments, times, the fold over records
//! (order, a torn tail, striking), predictions and their scores, and the texts made from it.

mod entering;
mod folding;
mod happening;
mod reading;
mod texts;

use std::sync::Arc;

use firedrill_drill::Outcome;
use firedrill_gameday::*;
use firedrill_plan::{Plan, Range};

/// 2026-12-03 10:00 in Berlin.
const START_MS: i64 = 1_796_288_400_000;
const MINUTE_MS: i64 = 60_000;

const PLAN: &str = r#"
title = "Orders"
system = "orders"
[metrics]
scrape = ["http://127.0.0.1:1/metrics"]
[[sli]]
name = "Order success"
ratio = { good = 'r{code!~"5.."}', total = 'r', window = "5s" }
unit = "%"
band = { min = 0.9995 }
tolerate = { min = 0.97 }
stop = { min = 0.90 }
[[sli]]
name = "P95 latency"
quantile = { q = 0.95, histogram = 'h', window = "5s" }
unit = "ms"
band = { max = 0.3 }
tolerate = { max = 0.8 }
stop = { max = 2.0 }
[[agent]]
name = "payments-1"
url = "http://127.0.0.1:2"
labels = { service = "payments" }
[guardrails]
staffed = "Mon-Fri 09:00-12:00 Europe/Berlin"
[[experiment]]
name = "Payment is slow"
hypothesis = "Orders stay within tolerance."
baseline = "60s"
recover = "2m"
[[experiment.step]]
inject = "http.latency"
target = { service = "payments", route = "payment-http" }
with = { delay = "400ms" }
for = "60s"
repeat = { times = 2, every = "90s" }
[[experiment.step]]
lane = "side"
wait = "30s"
[[experiment]]
name = "Payment fails"
hypothesis = "Orders stay within tolerance."
[[experiment.step]]
inject = "http.status"
target = { service = "payments", route = "payment-http" }
with = { code = 503 }
for = "60s"
"#;

const DAY: &str = r#"# Ours, once a quarter.
title = "Payments, quarter 4"       # gives nothing away
goal = "Checkout stays usable; nobody is paged twice, by mistake."
start = "2026-12-03 10:00 Europe/Berlin"
for = "2h"
place = "Room 4"
call = "https://meet.example.com/gd"
segment = "staging, shard 3"

[people]
facilitator = ["Ada"]
operator = ["Grace"]
observers = ["Alan", "Edsger"]
responders = ["Barbara"]
named = ["Ada", "Alan"]

# First the easy one.
[[drill]]
plan = "plans/orders.toml"
experiment = "Payment is slow"
box = "20m"   # generous

# Then the hard one.
[[drill]]
plan = "plans/orders.toml"
experiment = "Payment fails"
box = "25m"

[[drill]]
id = "slow again"
plan = "plans/orders.toml"
experiment = "Payment is slow"
box = "20m"

[[check]]
name = "Backups are fresh"
how = "restored once"

[[go]]
name = "Ada"
about = "nobody deploys"
"#;

fn plan() -> Plan {
    let Ok(plan) = firedrill_plan::parse(PLAN) else {
        panic!("the plan is good")
    };
    plan
}

fn read(text: &str) -> Checked {
    let plan = Arc::new(plan());
    check(text, &|path| match path {
        "plans/orders.toml" => Ok(Arc::clone(&plan)),
        _ => Err("there is no such file in this folder".to_owned()),
    })
}

fn day() -> GameDay {
    let checked = read(DAY);
    assert!(checked.diagnostics.is_empty(), "{:?}", checked.diagnostics);
    let Some(day) = checked.day else {
        panic!("the game day is good")
    };
    day
}

fn record(at_min: i64, by: &str, event: Event) -> Record {
    Record {
        at_ms: START_MS + at_min * MINUTE_MS,
        by: by.to_owned(),
        event,
    }
}

fn clock_event(id: &str, drill: &str, clock: Clock, min: i64) -> Event {
    Event::Clock {
        id: id.to_owned(),
        drill: drill.to_owned(),
        clock,
        when_ms: START_MS + min * MINUTE_MS,
        who: None,
    }
}

fn broken() -> Found {
    Found {
        outcome: Outcome::Broken,
        reasons: vec!["stop condition: P95 latency is 2.4 s".to_owned()],
        fault_ms: Some(START_MS + 3 * MINUTE_MS),
        off_ms: Some(START_MS + 5 * MINUTE_MS),
        slis: vec![
            SliFound {
                name: "Order success".to_owned(),
                unit: "%".to_owned(),
                band: Range {
                    min: Some(0.9995),
                    max: None,
                },
                out_ms: Some(START_MS + 5 * MINUTE_MS),
                worst: Some(0.96),
            },
            SliFound {
                name: "P95 latency".to_owned(),
                unit: "ms".to_owned(),
                band: Range {
                    min: None,
                    max: Some(0.3),
                },
                out_ms: Some(START_MS + 4 * MINUTE_MS),
                worst: Some(2.4),
            },
        ],
    }
}

fn prediction(who: &str) -> Prediction {
    Prediction {
        who: who.to_owned(),
        holds: false,
        first: Some("P95 latency".to_owned()),
        worst: Some(2.0),
        notice_ms: Some(60_000),
        words: "The pool is full.".to_owned(),
        nonce: format!("nonce of {who}"),
    }
}

fn predicted(drill: &str, prediction: Prediction) -> Event {
    Event::Predicted {
        drill: drill.to_owned(),
        seal: prediction.seal(),
        prediction,
    }
}

fn began(drill: &str, run: &str) -> Event {
    Event::DrillBegan {
        drill: drill.to_owned(),
        run: run.to_owned(),
        sealed: false,
    }
}

fn ended(drill: &str, run: &str, found: Found) -> Event {
    Event::DrillEnded {
        drill: drill.to_owned(),
        run: run.to_owned(),
        found,
    }
}

/// A day as it could have been.
fn a_day() -> Vec<Record> {
    vec![
        record(
            -10,
            "Grace",
            Event::Checked {
                check: "Backups are fresh".to_owned(),
                done: true,
            },
        ),
        record(
            -9,
            "Ada",
            Event::Went {
                name: "Ada".to_owned(),
                go: true,
                words: None,
            },
        ),
        record(0, "Ada", Event::Started),
        record(1, "Alan", predicted("Payment is slow", prediction("Alan"))),
        record(
            1,
            "Barbara",
            predicted(
                "Payment is slow",
                Prediction {
                    holds: true,
                    first: None,
                    worst: None,
                    ..prediction("Barbara")
                },
            ),
        ),
        record(2, "Grace", began("Payment is slow", "run-1")),
        record(4, "Ada", clock_event("c1", "Payment is slow", Clock::Noticed, 4)),
        record(5, "Ada", clock_event("c2", "Payment is slow", Clock::Paged, 3)),
        record(
            5,
            "Ada",
            Event::Struck {
                id: "c2".to_owned(),
                why: Some("that was another page".to_owned()),
            },
        ),
        record(7, "Grace", ended("Payment is slow", "run-1", broken())),
        record(
            8,
            "Ada",
            Event::Revealed {
                drill: "Payment is slow".to_owned(),
            },
        ),
        record(
            9,
            "Ada",
            Event::Finding {
                id: "f1".to_owned(),
                finding: Finding {
                    symptom: "The pool | has no limit".to_owned(),
                    owner: "Edsger".to_owned(),
                    due: "2026-12-01".to_owned(),
                    ticket: "https://tickets.example.com/1".to_owned(),
                    drill: Some("Payment is slow".to_owned()),
                    evidence_ms: Some((START_MS, START_MS + MINUTE_MS)),
                    ..Finding::default()
                },
            },
        ),
        record(
            10,
            "Ada",
            Event::Changed(Change::Skip {
                drill: "slow again".to_owned(),
                why: Some("no time".to_owned()),
            }),
        ),
        record(
            11,
            "Barbara",
            Event::Answered {
                question: 1,
                words: "The room was cold.".to_owned(),
            },
        ),
    ]
}
