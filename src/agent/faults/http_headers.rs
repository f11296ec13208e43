//! `http.headers`: headers of requests or answers are changed on their way.

use firedrill_catalogue::Parameters;

use super::http_latency::only;
use crate::proxy::protocol::{RuleSpec, Side};

/// The proxy's rule.
pub fn rule(parameters: &Parameters) -> RuleSpec {
    let lines = |key| -> Vec<String> {
        let text = parameters.text(key).unwrap_or_default();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    };
    RuleSpec::HttpHeaders {
        side: match parameters.text("of") {
            Some("request") => Side::Request,
            _ => Side::Answer,
        },
        set: lines("set"),
        remove: lines("remove"),
        only: only(parameters),
    }
}
