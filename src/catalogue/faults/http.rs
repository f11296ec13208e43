//! Requests through a route of the proxy.

use super::{BY_RULE, DELAY, JITTER};
use crate::{FaultSpec, ParamKind, ParamSpec, ScopeKey, Undo};

const PATH: ParamSpec = ParamSpec {
    name: "path",
    summary: "only requests whose path begins with this",
    kind: ParamKind::Text { max_len: 1024 },
    required: false,
    default: None,
};
const METHOD: ParamSpec = ParamSpec {
    name: "method",
    summary: "only requests with this method",
    kind: ParamKind::Text { max_len: 32 },
    required: false,
    default: None,
};
const SHARE: ParamSpec = ParamSpec {
    name: "share",
    summary: "share of the requests that are hit",
    kind: ParamKind::Share,
    required: false,
    default: Some("100%"),
};

pub(super) const LATENCY: FaultSpec = FaultSpec {
    name: "http.latency",
    summary: "requests are answered later",
    undo: Undo::ProcessHeld,
    undo_words: BY_RULE,
    scope: &[ScopeKey::Route],
    params: &[DELAY, JITTER, PATH, METHOD, SHARE],
    strength: Some("delay"),
};

pub(super) const STATUS: FaultSpec = FaultSpec {
    name: "http.status",
    summary: "requests are answered with an error and not forwarded",
    undo: Undo::ProcessHeld,
    undo_words: BY_RULE,
    scope: &[ScopeKey::Route],
    params: &[
        ParamSpec {
            name: "code",
            summary: "the status that is answered",
            kind: ParamKind::Count { min: 400, max: 599 },
            required: true,
            default: None,
        },
        ParamSpec {
            name: "body",
            summary: "the text that is answered",
            kind: ParamKind::Text { max_len: 4096 },
            required: false,
            default: None,
        },
        PATH,
        METHOD,
        SHARE,
    ],
    strength: Some("share"),
};
