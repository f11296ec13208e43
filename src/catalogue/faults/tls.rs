//! TLS handshakes of one cgroup's processes as clients.

use super::{BY_LINK, network};
use crate::{FaultSpec, ParamKind, ParamSpec, ScopeKey, Undo};

pub(super) const FAIL: FaultSpec = FaultSpec {
    name: "tls.fail",
    summary: "TLS handshakes of a cgroup's processes with others fail; connections that are open go on",
    undo: Undo::ProcessHeld,
    undo_words: BY_LINK,
    scope: &[ScopeKey::Cgroup],
    params: &[
        ParamSpec {
            name: "how",
            summary: "at ClientHello: a fatal alert (handshake_failure), silence, or a reset",
            kind: ParamKind::Choice(&["alert", "hang", "reset"]),
            required: false,
            default: Some("alert"),
        },
        ParamSpec {
            name: "port",
            summary: "only to this port; on it every new connection is taken for TLS, but with hang",
            kind: ParamKind::Count { min: 1, max: 65_535 },
            required: false,
            default: Some("443"),
        },
        network::PEER,
        ParamSpec {
            name: "share",
            summary: "share of the handshakes that fail; with hang, of the packets that begin one, sent again included",
            kind: ParamKind::Share,
            required: false,
            default: Some("100%"),
        },
    ],
    strength: Some("share"),
};
