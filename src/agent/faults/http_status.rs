//! `http.status`: requests are answered by the proxy and not passed on.

use firedrill_catalogue::Parameters;

use super::http_latency::only;
use crate::proxy::protocol::RuleSpec;

/// The proxy's rule.
pub fn rule(parameters: &Parameters) -> RuleSpec {
    RuleSpec::HttpStatus {
        // The catalogue bounds it to 400..=599.
        code: parameters
            .count("code")
            .and_then(|code| u16::try_from(code).ok())
            .unwrap_or(503),
        body: parameters.text("body").unwrap_or_default().to_owned(),
        only: only(parameters),
    }
}
