//! What the kernel does to the connections and packets of one cgroup.

use super::BY_LINK;
use crate::{FaultSpec, ParamKind, ParamSpec, ScopeKey, Undo};

pub(super) const PEER: ParamSpec = ParamSpec {
    name: "peer",
    summary: "only with these at the other end: addresses or ranges between commas, such as 10.0.0.7, 10.1.0.0/16, 2001:db8::/32",
    kind: ParamKind::Text { max_len: 1024 },
    required: false,
    default: None,
};
const DIRECTION: ParamSpec = ParamSpec {
    name: "direction",
    summary: "packets that arrive (in), that leave (out), or both",
    kind: ParamKind::Choice(&["both", "in", "out"]),
    required: false,
    default: Some("both"),
};

const fn port(summary: &'static str) -> ParamSpec {
    ParamSpec {
        name: "port",
        summary,
        kind: ParamKind::Count { min: 1, max: 65_535 },
        required: false,
        default: None,
    }
}

const AT_EITHER_END: ParamSpec = port("only with this port at either end, of TCP or UDP");

pub(super) const REFUSE: FaultSpec = FaultSpec {
    name: "network.refuse",
    summary: "new TCP connections of a cgroup's processes to others are refused",
    undo: Undo::ProcessHeld,
    undo_words: BY_LINK,
    scope: &[ScopeKey::Cgroup],
    params: &[
        port("only to this port"),
        PEER,
        ParamSpec {
            name: "share",
            summary: "share of the connections that are refused",
            kind: ParamKind::Share,
            required: false,
            default: Some("100%"),
        },
        ParamSpec {
            name: "established",
            summary: "what becomes of those that are open: they are kept, or reset once when it begins",
            kind: ParamKind::Choice(&["keep", "reset"]),
            required: false,
            default: Some("keep"),
        },
    ],
    strength: Some("share"),
};

pub(super) const RESET: FaultSpec = FaultSpec {
    name: "network.reset",
    summary: "open TCP connections of a cgroup's processes are reset, once",
    undo: Undo::None,
    undo_words: "A reset connection does not come back; clients open new ones, which pass.",
    scope: &[ScopeKey::Cgroup],
    params: &[port("only with this port at either end"), PEER],
    strength: None,
};

pub(super) const LOSS: FaultSpec = FaultSpec {
    name: "network.loss",
    summary: "packets of a cgroup's processes are lost at random",
    undo: Undo::ProcessHeld,
    undo_words: BY_LINK,
    scope: &[ScopeKey::Cgroup],
    params: &[
        ParamSpec {
            name: "share",
            summary: "share of the packets that are lost, of each direction",
            kind: ParamKind::Share,
            required: true,
            default: None,
        },
        AT_EITHER_END,
        PEER,
        DIRECTION,
    ],
    strength: Some("share"),
};

pub(super) const PARTITION: FaultSpec = FaultSpec {
    name: "network.partition",
    summary: "every packet between a cgroup's processes and some peers is lost",
    undo: Undo::ProcessHeld,
    undo_words: BY_LINK,
    scope: &[ScopeKey::Cgroup],
    params: &[AT_EITHER_END, PEER, DIRECTION],
    strength: None,
};
