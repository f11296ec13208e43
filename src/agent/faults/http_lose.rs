//! `http.lose`: requests are answered with success and not forwarded. The rule is taken back; what was lost is not.

use firedrill_catalogue::Parameters;

use super::http_latency::only;
use crate::proxy::protocol::RuleSpec;

/// The proxy's rule.
pub fn rule(parameters: &Parameters) -> RuleSpec {
    RuleSpec::HttpLose {
        // The catalogue bounds it to 200..=299.
        code: parameters
            .count("code")
            .and_then(|code| u16::try_from(code).ok())
            .unwrap_or(200),
        body: parameters.text("body").unwrap_or_default().to_owned(),
        only: only(parameters),
    }
}
