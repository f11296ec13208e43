//! `http.reset`: the client's connection is reset instead of an answer; over HTTP/2 the stream.

use firedrill_catalogue::Parameters;

use super::http_latency::only;
use crate::proxy::protocol::RuleSpec;

/// The proxy's rule.
pub fn rule(parameters: &Parameters) -> RuleSpec {
    RuleSpec::HttpReset {
        only: only(parameters),
    }
}
