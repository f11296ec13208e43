//! `tcp.bandwidth`: the route is a slow link for all its connections together.

use firedrill_catalogue::Parameters;

use crate::proxy::protocol::RuleSpec;

/// The proxy's rule.
pub fn rule(parameters: &Parameters) -> RuleSpec {
    RuleSpec::TcpBandwidth {
        bytes_per_s: parameters.bandwidth("rate").unwrap_or(0),
    }
}
