//! What the processes of one cgroup are told when they ask for names.

use super::BY_LINK;
use crate::{FaultSpec, ParamKind, ParamSpec, ScopeKey, Undo};

const NAMES: ParamSpec = ParamSpec {
    name: "names",
    summary: "which names, between commas; *.internal is all below it, * is every name; others are answered by the victim's own resolver",
    kind: ParamKind::Text { max_len: 4096 },
    required: true,
    default: None,
};
const SHARE: ParamSpec = ParamSpec {
    name: "share",
    summary: "share of the questions for these names that are hit",
    kind: ParamKind::Share,
    required: false,
    default: Some("100%"),
};

pub(super) const HIJACK: FaultSpec = FaultSpec {
    name: "dns.hijack",
    summary: "names lead a cgroup's processes to wrong addresses",
    undo: Undo::ProcessHeld,
    undo_words: BY_LINK,
    scope: &[ScopeKey::Cgroup],
    params: &[
        NAMES,
        ParamSpec {
            name: "answer",
            summary: "the wrong addresses, between commas; a question for a family that is not among them gets none",
            kind: ParamKind::Text { max_len: 1024 },
            required: true,
            default: None,
        },
        SHARE,
    ],
    strength: Some("share"),
};

pub(super) const FAIL: FaultSpec = FaultSpec {
    name: "dns.fail",
    summary: "names are not found by a cgroup's processes",
    undo: Undo::ProcessHeld,
    undo_words: BY_LINK,
    scope: &[ScopeKey::Cgroup],
    params: &[
        NAMES,
        ParamSpec {
            name: "how",
            summary: "no such name, the server failed, or no answer at all",
            kind: ParamKind::Choice(&["nxdomain", "servfail", "timeout"]),
            required: false,
            default: Some("nxdomain"),
        },
        SHARE,
    ],
    strength: Some("share"),
};
