//! Requests through the proxy: on a route, or on connections that are led there.

use super::{BY_RULE, DELAY, ESTABLISHED, JITTER, PEER, PORT};
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
const ANSWERED: ParamSpec = ParamSpec {
    name: "body",
    summary: "the text that is answered",
    kind: ParamKind::Text { max_len: 4096 },
    required: false,
    default: Some(""),
};
pub(super) const HEADER: ParamSpec = ParamSpec {
    name: "header",
    summary: "only requests with it: \"name\" or \"name: value\"",
    kind: ParamKind::Text { max_len: 1024 },
    required: false,
    default: None,
};
pub(super) const SHARE: ParamSpec = ParamSpec {
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
    scope: &[ScopeKey::Traffic],
    params: &[
        DELAY,
        JITTER,
        PATH,
        METHOD,
        HEADER,
        SHARE,
        PORT,
        PEER,
        ESTABLISHED,
    ],
    strength: Some("delay"),
};

pub(super) const STATUS: FaultSpec = FaultSpec {
    name: "http.status",
    summary: "requests are answered with an error and not forwarded",
    undo: Undo::ProcessHeld,
    undo_words: BY_RULE,
    scope: &[ScopeKey::Traffic],
    params: &[
        ParamSpec {
            name: "code",
            summary: "the status that is answered",
            kind: ParamKind::Count { min: 400, max: 599 },
            required: true,
            default: None,
        },
        ANSWERED,
        PATH,
        METHOD,
        HEADER,
        SHARE,
        PORT,
        PEER,
        ESTABLISHED,
    ],
    strength: Some("share"),
};

pub(super) const HEADERS: FaultSpec = FaultSpec {
    name: "http.headers",
    summary: "a header of requests or answers is another one, or missing",
    undo: Undo::ProcessHeld,
    undo_words: BY_RULE,
    scope: &[ScopeKey::Traffic],
    params: &[
        ParamSpec {
            name: "of",
            summary: "whose headers",
            kind: ParamKind::Choice(&["answer", "request"]),
            required: false,
            default: Some("answer"),
        },
        ParamSpec {
            name: "set",
            summary: "\"name: value\", in place of any that is there; one a line",
            kind: ParamKind::Text { max_len: 4096 },
            required: false,
            default: Some(""),
        },
        ParamSpec {
            name: "remove",
            summary: "the name of one to remove; one a line",
            kind: ParamKind::Text { max_len: 4096 },
            required: false,
            default: Some(""),
        },
        PATH,
        METHOD,
        HEADER,
        SHARE,
        PORT,
        PEER,
        ESTABLISHED,
    ],
    strength: Some("share"),
};

pub(super) const BODY: FaultSpec = FaultSpec {
    name: "http.body",
    summary: "answers arrive with another text, or damaged",
    undo: Undo::ProcessHeld,
    undo_words: BY_RULE,
    scope: &[ScopeKey::Traffic],
    params: &[
        ParamSpec {
            name: "how",
            summary: "another text, or flipped bits",
            kind: ParamKind::Choice(&["replace", "corrupt"]),
            required: true,
            default: None,
        },
        ParamSpec {
            name: "find",
            summary: "replace: only where this text is; the whole body without it",
            kind: ParamKind::Text { max_len: 4096 },
            required: false,
            default: None,
        },
        ParamSpec {
            name: "text",
            summary: "replace: what is there instead",
            kind: ParamKind::Text { max_len: 4096 },
            required: false,
            default: Some(""),
        },
        ParamSpec {
            name: "every",
            summary: "corrupt: one bit in about so many bytes, at least one an answer",
            kind: ParamKind::Count {
                min: 1,
                max: 1_000_000_000,
            },
            required: false,
            default: Some("1000"),
        },
        PATH,
        METHOD,
        HEADER,
        SHARE,
        PORT,
        PEER,
        ESTABLISHED,
    ],
    strength: Some("share"),
};

pub(super) const TRUNCATE: FaultSpec = FaultSpec {
    name: "http.truncate",
    summary: "answers break off half way",
    undo: Undo::ProcessHeld,
    undo_words: BY_RULE,
    scope: &[ScopeKey::Traffic],
    params: &[
        ParamSpec {
            name: "bytes",
            summary: "so much of the body arrives; shorter answers pass",
            kind: ParamKind::Count {
                min: 0,
                max: 1_000_000_000,
            },
            required: false,
            default: Some("0"),
        },
        PATH,
        METHOD,
        HEADER,
        SHARE,
        PORT,
        PEER,
        ESTABLISHED,
    ],
    strength: Some("share"),
};

pub(super) const SLOW_BODY: FaultSpec = FaultSpec {
    name: "http.slow_body",
    summary: "the bodies of answers trickle in",
    undo: Undo::ProcessHeld,
    undo_words: BY_RULE,
    scope: &[ScopeKey::Traffic],
    params: &[
        ParamSpec {
            name: "rate",
            summary: "bytes per second, for each answer",
            kind: ParamKind::Bandwidth {
                min: 100,
                max: 10_000_000_000,
            },
            required: true,
            default: None,
        },
        PATH,
        METHOD,
        HEADER,
        SHARE,
        PORT,
        PEER,
        ESTABLISHED,
    ],
    strength: Some("rate"),
};

pub(super) const RESET: FaultSpec = FaultSpec {
    name: "http.reset",
    summary: "connections are reset instead of an answer; over HTTP/2 the stream",
    undo: Undo::ProcessHeld,
    undo_words: BY_RULE,
    scope: &[ScopeKey::Traffic],
    params: &[PATH, METHOD, HEADER, SHARE, PORT, PEER, ESTABLISHED],
    strength: Some("share"),
};

pub(super) const LOSE: FaultSpec = FaultSpec {
    name: "http.lose",
    summary: "requests are answered with success and lost: what they wanted is not done",
    undo: Undo::EffectsStay,
    undo_words: "What was lost stays lost: the proxy drops its rule and later requests pass, but nobody repeats those that were answered. By hand: `firedrill-agent abort` on the host; then compare what clients were told with what the service has.",
    scope: &[ScopeKey::Traffic],
    params: &[
        ParamSpec {
            name: "code",
            summary: "the status that is answered",
            kind: ParamKind::Count { min: 200, max: 299 },
            required: false,
            default: Some("200"),
        },
        ANSWERED,
        PATH,
        METHOD,
        HEADER,
        SHARE,
        PORT,
        PEER,
        ESTABLISHED,
    ],
    strength: Some("share"),
};
