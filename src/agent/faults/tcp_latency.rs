//! `tcp.latency`: bytes of the answer wait in the proxy.

use firedrill_catalogue::Parameters;

use crate::proxy::protocol::RuleSpec;

/// The proxy's rule.
pub fn rule(parameters: &Parameters) -> RuleSpec {
    RuleSpec::TcpLatency {
        delay_us: parameters.duration_us("delay"),
        jitter_us: parameters.duration_us("jitter"),
    }
}
