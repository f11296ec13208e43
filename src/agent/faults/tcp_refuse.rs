//! `tcp.refuse`: the kernel refuses new connections to the route; open ones go on.

use firedrill_catalogue::Parameters;

use crate::proxy::protocol::RuleSpec;

/// The proxy's rule.
pub fn rule(_parameters: &Parameters) -> RuleSpec {
    RuleSpec::TcpRefuse {}
}
