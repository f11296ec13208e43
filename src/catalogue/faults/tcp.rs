//! Connections through the proxy: of a route, or led there.

use super::{BY_RULE, DELAY, ESTABLISHED, JITTER, PEER, PORT};
use crate::{FaultSpec, ParamKind, ParamSpec, ScopeKey, Undo};

pub(super) const LATENCY: FaultSpec = FaultSpec {
    name: "tcp.latency",
    summary: "bytes of the answer arrive later",
    undo: Undo::ProcessHeld,
    undo_words: BY_RULE,
    scope: &[ScopeKey::Traffic],
    params: &[DELAY, JITTER, PORT, PEER, ESTABLISHED],
    strength: Some("delay"),
};

pub(super) const BANDWIDTH: FaultSpec = FaultSpec {
    name: "tcp.bandwidth",
    summary: "a slow link, both directions together",
    undo: Undo::ProcessHeld,
    undo_words: BY_RULE,
    scope: &[ScopeKey::Traffic],
    params: &[
        ParamSpec {
            name: "rate",
            summary: "bytes per second, all connections together",
            kind: ParamKind::Bandwidth {
                min: 100,
                max: 10_000_000_000,
            },
            required: true,
            default: None,
        },
        PORT,
        PEER,
        ESTABLISHED,
    ],
    strength: Some("rate"),
};

pub(super) const REFUSE: FaultSpec = FaultSpec {
    name: "tcp.refuse",
    summary: "new connections are refused; open ones go on (without a route: network.refuse)",
    undo: Undo::ProcessHeld,
    undo_words: BY_RULE,
    scope: &[ScopeKey::Route],
    params: &[],
    strength: None,
};

pub(super) const CUT: FaultSpec = FaultSpec {
    name: "tcp.cut",
    summary: "open connections are reset, once (without a route: network.reset)",
    undo: Undo::None,
    undo_words: "A cut connection does not come back; clients open new ones, which pass.",
    scope: &[ScopeKey::Route],
    params: &[],
    strength: None,
};
