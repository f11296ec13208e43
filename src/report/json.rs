//! The report for machines, with `stability_probe` as the white paper on Go microservices names it (2.1):
//! `latency_95ms`, `error_rate`, `cpu_percent`, before, during and after.

use firedrill_scene::{Numbers, Review, SliNumbers};
use serde_json::{Value, json};

use crate::words;

/// The JSON of a drill, keys sorted.
pub fn json(review: &Review) -> String {
    let scene = &review.scene;
    let injections: Vec<_> = scene
        .injections
        .iter()
        .map(|injection| {
            json!({
                "id": injection.id, "fault": injection.fault, "agent": injection.agent, "scope": injection.scope,
                "strength": injection.strength, "from_us": injection.from_us, "until_us": injection.until_us,
                "state": injection.state, "proved": injection.proved, "evidence": injection.evidence,
            })
        })
        .collect();
    let value = json!({
        "firedrill": env!("CARGO_PKG_VERSION"),
        "drill": review.drill, "title": review.title, "system": review.system, "experiment": scene.experiment,
        "hypothesis": scene.hypothesis, "started": words::wall(scene.origin_wall_ms, "%Y-%m-%dT%H:%M:%SZ"),
        "outcome": review.verdict.outcome.word(), "reasons": review.verdict.reasons,
        "unconfirmed": review.verdict.unconfirmed, "slis": review.numbers, "injections": injections,
        "safety": scene.safety, "bad_samples": review.bad_samples, "time_to_break_ms": review.time_to_break_ms,
        "time_to_stop_ms": review.time_to_stop_ms, "time_to_recover_ms": review.time_to_recover_ms,
        "journal": { "hash": review.hash, "sealed": review.sealed.is_ok(), "problem": review.sealed.clone().err() },
        "stability_probe": {
            "before": probe(review, |numbers| numbers.before.as_ref()),
            "during": probe(review, |numbers| numbers.during.as_ref()),
            "after": probe(review, |numbers| numbers.after.as_ref()),
        },
    });
    serde_json::to_string_pretty(&value).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"))
}

/// Medians of the span: the first SLI in `ms` is the latency, the first share of good events gives the error rate,
/// the first named after CPU the load. `null` where the plan has no such SLI: never a guess.
fn probe(review: &Review, span: impl Fn(&SliNumbers) -> Option<&Numbers>) -> Value {
    let first = |pick: &dyn Fn(&SliNumbers) -> bool| review.numbers.iter().find(|n| pick(n)).and_then(&span);
    let cpu = |n: &SliNumbers| n.name.to_lowercase().contains("cpu");
    let latency = first(&|n| n.unit == "ms").map(|n| n.median * 1_000.0);
    let errors = first(&|n| n.unit == "%" && !cpu(n)).map(|n| 1.0 - n.median);
    let load = first(&cpu).map(|n| n.median * 100.0);
    json!({ "latency_95ms": latency, "error_rate": errors, "cpu_percent": load })
}
