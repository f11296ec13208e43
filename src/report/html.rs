//! The report for people: one file, no script, nothing fetched, readable on paper.

use firedrill_drill::{Phase, show_value};
use firedrill_scene::{Numbers, Review};
use minijinja::{AutoEscape, Environment};
use serde_json::{Value, json};

use crate::{svg, words};

const TEMPLATE: &str = include_str!("report.html.jinja");

/// The self-contained HTML of a drill.
pub fn html(review: &Review) -> String {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment
        .render_str(TEMPLATE, minijinja::value::Serde(values(review)))
        // The template and its values are ours; should they disagree, the reader gets the cause, not a blank page.
        .unwrap_or_else(|error| format!("<!doctype html><pre>The report could not be made: {error:#}</pre>"))
}

fn values(review: &Review) -> Value {
    let scene = &review.scene;
    let slis: Vec<Value> = scene
        .slis
        .iter()
        .zip(&review.numbers)
        .map(|(sli, numbers)| {
            let cells = |numbers: Option<&Numbers>| {
                numbers.map(|n| {
                    let show = |value| show_value(&sli.unit, value);
                    json!({ "median": show(n.median), "p95": show(n.p95), "min": show(n.min), "max": show(n.max),
                    "samples": n.samples, "without_data": n.without_data })
                })
            };
            json!({
                "name": sli.name,
                "lines": words::lines(sli),
                "svg": svg::plot(scene, sli),
                "spans": [("before", cells(numbers.before.as_ref())), ("during", cells(numbers.during.as_ref())),
                    ("after", cells(numbers.after.as_ref()))],
            })
        })
        .collect();
    let injections: Vec<Value> = scene
        .injections
        .iter()
        .map(|injection| {
            json!({
                "fault": injection.fault, "agent": injection.agent, "scope": injection.scope,
                "strength": injection.strength, "evidence": injection.evidence, "ended": words::ended(injection),
                "from": injection.from_us.map_or_else(|| "–".to_owned(), |us| words::clock(scene, us)),
                "until": injection.until_us.map_or_else(|| "–".to_owned(), |us| words::clock(scene, us)),
            })
        })
        .collect();
    let log: Vec<Value> = scene
        .log
        .iter()
        .map(|line| json!({ "time": words::clock(scene, line.at.mono_us), "title": line.title, "words": line.words }))
        .collect();
    let reasons: Vec<Value> = review
        .verdict
        .reasons
        .iter()
        .map(|reason| json!({ "rule": reason.rule, "words": reason.words, "time": words::clock(scene, reason.at.mono_us) }))
        .collect();
    let unconfirmed: Vec<_> = review
        .verdict
        .unconfirmed
        .iter()
        .map(ToString::to_string)
        .collect();
    let phases: Vec<Value> = scene
        .phases
        .iter()
        .map(|(phase, us)| json!({ "name": phase_name(*phase), "time": words::clock(scene, *us) }))
        .collect();
    let aborts: Vec<_> = scene
        .safety
        .aborts
        .iter()
        .map(|it| words::abort_row(scene, it))
        .collect();
    json!({
        "aborts": aborts, "abort_heads": words::ABORT_HEADS, "safety": words::safety(scene),
        "title": review.title, "system": review.system, "drill": review.drill, "experiment": scene.experiment,
        "hypothesis": scene.hypothesis, "date": words::wall(scene.origin_wall_ms, "%Y-%m-%d %H:%M:%S UTC"),
        "outcome": review.verdict.outcome.word(), "reasons": reasons, "unconfirmed": unconfirmed,
        "times": words::times(review), "bad_samples": review.bad_samples, "slis": slis, "injections": injections, "log": log, "phases": phases,
        "hash": review.hash, "seal": review.sealed.clone().err(), "version": env!("CARGO_PKG_VERSION"),
    })
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Preflight => "preflight",
        Phase::Baseline => "baseline",
        Phase::Arming => "arming",
        Phase::Inject => "inject",
        Phase::Recover => "recover",
        Phase::Closing => "closing",
        Phase::Verdict => "verdict",
    }
}
