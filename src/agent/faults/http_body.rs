//! `http.body`: answers arrive with another text, or damaged.

use firedrill_catalogue::Parameters;

use super::http_latency::only;
use crate::proxy::protocol::{BodyChange, RuleSpec};

/// The proxy's rule.
pub fn rule(parameters: &Parameters) -> RuleSpec {
    let change = match parameters.text("how") {
        Some("corrupt") => BodyChange::Corrupt {
            every: parameters.count("every").unwrap_or(0),
        },
        _ => BodyChange::Replace {
            find: parameters.text("find").map(str::to_owned),
            text: parameters.text("text").unwrap_or_default().to_owned(),
        },
    };
    RuleSpec::HttpBody {
        change,
        only: only(parameters),
    }
}
