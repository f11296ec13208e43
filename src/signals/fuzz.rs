//! Doors for the fuzzer: what a source says goes straight into what reads it, without a network.

use firedrill_drill::Sample;
use firedrill_plan::Plan;

use crate::evaluate::{Evaluator, Origin};
use crate::exposition::Format;
use crate::prometheus;

/// Exposition texts, one look after another, as a scrape source reads them for this plan.
pub fn exposition(plan: &Plan, openmetrics: bool, texts: &[&str]) -> Vec<Sample> {
    let Ok(mut evaluator) = Evaluator::new(&plan.slis) else {
        return Vec::new();
    };
    let format = if openmetrics {
        Format::OpenMetrics
    } else {
        Format::Text
    };
    let origin = Origin {
        number: 0,
        instance: Some("127.0.0.1:8080".to_owned()),
    };
    let mut samples = Vec::new();
    for (look, text) in texts.iter().enumerate() {
        let now_ms = 1_790_000_000_000 + look as i64 * plan.metrics.every_ms.cast_signed();
        evaluator.begin(now_ms);
        if let Err(why) = evaluator.take(text, format, &origin, now_ms) {
            evaluator.failed(why);
        }
        samples.extend(evaluator.finish());
    }
    samples
}

/// Bodies of answers of a Prometheus server, one look after another, as its source reads them for this plan.
pub fn prometheus(plan: &Plan, bodies: Vec<Vec<u8>>) -> Vec<Sample> {
    prometheus::judge_answers(&plan.slis, plan.metrics.every_ms, bodies)
}
