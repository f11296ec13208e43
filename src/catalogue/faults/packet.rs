//! Packets of a whole network namespace.

use super::{DELAY, JITTER};
use crate::{FaultSpec, ParamKind, ParamSpec, ScopeKey, Undo};

const BY_TABLE: &str = "The agent holds it by a table of nftables (and a queue) that the kernel drops with the agent's process. By hand: `firedrill-agent abort` on the host; `nft` cannot delete the table, ending the agent does.";

const SHARE: ParamSpec = ParamSpec {
    name: "share",
    summary: "of how many of them",
    kind: ParamKind::Share,
    required: true,
    default: None,
};
const PORT: ParamSpec = ParamSpec {
    name: "port",
    summary: "only packets of this TCP or UDP port, of either end",
    kind: ParamKind::Count { min: 1, max: 65_535 },
    required: false,
    default: None,
};
const PEER: ParamSpec = ParamSpec {
    name: "peer",
    summary: "only packets from or to this address or network (of either end of those that are passed on), such as 10.0.0.5 or fd00::/8",
    kind: ParamKind::Text { max_len: 64 },
    required: false,
    default: None,
};
const PROTOCOL: ParamSpec = ParamSpec {
    name: "protocol",
    summary: "only packets of this protocol",
    kind: ParamKind::Choice(&["any", "tcp", "udp", "icmp"]),
    required: false,
    default: Some("any"),
};
const OUT: ParamSpec = ParamSpec {
    name: "direction",
    summary: "packets that leave, that arrive, or both; over loopback each packet does both; through: those that it passes on for others, as a host does for its containers (between containers of one bridge only with br_netfilter)",
    kind: ParamKind::Choice(&["out", "in", "both", "through"]),
    required: false,
    default: Some("out"),
};
const BOTH: ParamSpec = ParamSpec {
    default: Some("both"),
    ..OUT
};

pub(super) const LATENCY: FaultSpec = FaultSpec {
    name: "packet.latency",
    summary: "packets arrive later, of a whole network namespace",
    undo: Undo::ProcessHeld,
    undo_words: BY_TABLE,
    scope: &[ScopeKey::Netns],
    params: &[DELAY, JITTER, PORT, PEER, PROTOCOL, OUT],
    strength: Some("delay"),
};

pub(super) const LOSS: FaultSpec = FaultSpec {
    name: "packet.loss",
    summary: "a share of the packets is lost, of a whole network namespace",
    undo: Undo::ProcessHeld,
    undo_words: BY_TABLE,
    scope: &[ScopeKey::Netns],
    params: &[SHARE, PORT, PEER, PROTOCOL, OUT],
    strength: Some("share"),
};

pub(super) const DUPLICATE: FaultSpec = FaultSpec {
    name: "packet.duplicate",
    summary: "a share of the packets arrives twice, of a whole network namespace",
    undo: Undo::ProcessHeld,
    undo_words: BY_TABLE,
    scope: &[ScopeKey::Netns],
    params: &[SHARE, PORT, PEER, PROTOCOL, OUT],
    strength: Some("share"),
};

pub(super) const RATE: FaultSpec = FaultSpec {
    name: "packet.rate",
    summary: "a slow link: packets go one after the other, of a whole network namespace; more than 500 ms of them are not kept",
    undo: Undo::ProcessHeld,
    undo_words: BY_TABLE,
    scope: &[ScopeKey::Netns],
    params: &[
        ParamSpec {
            name: "rate",
            summary: "bytes per second of all of them together, headers included, in each direction; those that are passed on share one",
            kind: ParamKind::Bandwidth {
                min: 1_000,
                max: 1_000_000_000,
            },
            required: true,
            default: None,
        },
        PORT,
        PEER,
        PROTOCOL,
        OUT,
    ],
    strength: Some("rate"),
};

pub(super) const DROP: FaultSpec = FaultSpec {
    name: "packet.drop",
    summary: "no packet passes, in a whole network namespace: peers are silent",
    undo: Undo::ProcessHeld,
    undo_words: BY_TABLE,
    scope: &[ScopeKey::Netns],
    params: &[PORT, PEER, PROTOCOL, BOTH],
    strength: None,
};

pub(super) const RESET: FaultSpec = FaultSpec {
    name: "packet.reset",
    summary: "TCP connections are reset in a whole network namespace: new ones and, at their next packet, open ones",
    undo: Undo::ProcessHeld,
    undo_words: BY_TABLE,
    scope: &[ScopeKey::Netns],
    params: &[PORT, PEER, BOTH],
    strength: None,
};
