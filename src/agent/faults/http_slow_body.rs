//! `http.slow_body`: the bodies of answers trickle in, each at this rate.

use firedrill_catalogue::Parameters;

use super::http_latency::only;
use crate::proxy::protocol::RuleSpec;

/// The proxy's rule.
pub fn rule(parameters: &Parameters) -> RuleSpec {
    RuleSpec::HttpSlowBody {
        bytes_per_s: parameters.bandwidth("rate").unwrap_or(0),
        only: only(parameters),
    }
}
