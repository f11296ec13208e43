//! `http.truncate`: answers break off half way.

use firedrill_catalogue::Parameters;

use super::http_latency::only;
use crate::proxy::protocol::RuleSpec;

/// The proxy's rule.
pub fn rule(parameters: &Parameters) -> RuleSpec {
    RuleSpec::HttpTruncate {
        bytes: parameters.count("bytes").unwrap_or(0),
        only: only(parameters),
    }
}
