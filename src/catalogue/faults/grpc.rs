//! gRPC calls through the proxy: on a route, or on connections that are led there.

use super::http::{HEADER, SHARE};
use super::{BY_RULE, ESTABLISHED, PEER, PORT};
use crate::{FaultSpec, ParamKind, ParamSpec, ScopeKey, Undo};

/// The names of the statuses, in the order of their numbers, which begin with 1.
pub const CODES: &[&str] = &[
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

pub(super) const STATUS: FaultSpec = FaultSpec {
    name: "grpc.status",
    summary: "gRPC calls end with an error",
    undo: Undo::ProcessHeld,
    undo_words: BY_RULE,
    scope: &[ScopeKey::Traffic],
    params: &[
        ParamSpec {
            name: "code",
            summary: "the status",
            kind: ParamKind::Choice(CODES),
            required: false,
            default: Some("UNAVAILABLE"),
        },
        ParamSpec {
            name: "message",
            summary: "its message",
            kind: ParamKind::Text { max_len: 1024 },
            required: false,
            default: Some(""),
        },
        ParamSpec {
            name: "details",
            summary: "grpc-status-details-bin, in base64",
            kind: ParamKind::Text { max_len: 4096 },
            required: false,
            default: Some(""),
        },
        ParamSpec {
            name: "when",
            summary: "instead of the call, or after it has been done",
            kind: ParamKind::Choice(&["instead", "after"]),
            required: false,
            default: Some("instead"),
        },
        ParamSpec {
            name: "service",
            summary: "only calls of this service, with its package: shop.Orders",
            kind: ParamKind::Text { max_len: 1024 },
            required: false,
            default: None,
        },
        ParamSpec {
            name: "method",
            summary: "only calls of this method: Place",
            kind: ParamKind::Text { max_len: 1024 },
            required: false,
            default: None,
        },
        HEADER,
        SHARE,
        PORT,
        PEER,
        ESTABLISHED,
    ],
    strength: Some("share"),
};
