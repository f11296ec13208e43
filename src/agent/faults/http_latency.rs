//! `http.latency`: requests wait in the proxy before they are passed on.

use firedrill_catalogue::Parameters;

use crate::proxy::protocol::{Only, RuleSpec};

/// The proxy's rule.
pub fn rule(parameters: &Parameters) -> RuleSpec {
    RuleSpec::HttpLatency {
        delay_us: parameters.duration_us("delay"),
        jitter_us: parameters.duration_us("jitter"),
        only: only(parameters),
    }
}

/// Which requests: path, method, header and share.
pub fn only(parameters: &Parameters) -> Only {
    Only {
        path: parameters.text("path").map(str::to_owned),
        method: parameters.text("method").map(str::to_owned),
        header: parameters.text("header").map(str::to_owned),
        share: parameters.share("share"),
        ..Only::default()
    }
}
