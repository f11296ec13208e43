//! `grpc.status`: gRPC calls end with an error, instead of their answer or after it.

use firedrill_catalogue::{GRPC_CODES, Parameters};

use crate::proxy::protocol::{Only, RuleSpec};

/// The proxy's rule.
pub fn rule(parameters: &Parameters) -> RuleSpec {
    let text = |key| parameters.text(key).map(str::to_owned);
    // The catalogue bounds it to these.
    let code = GRPC_CODES
        .iter()
        .zip(1_u8..)
        .find(|(name, _)| parameters.text("code") == Some(name));
    RuleSpec::GrpcStatus {
        code: code.map_or(0, |(_, number)| number),
        message: text("message").unwrap_or_default(),
        details: text("details").unwrap_or_default(),
        after: parameters.text("when") == Some("after"),
        only: Only {
            service: text("service"),
            rpc: text("method"),
            header: text("header"),
            share: parameters.share("share"),
            ..Only::default()
        },
    }
}
