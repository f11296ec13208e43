//! The table itself: a file a family, and their order here.

mod dns;
mod grpc;
mod http;
mod load;
mod network;
mod packet;
mod process;
mod resource;
mod tcp;
mod tls;

pub use grpc::CODES as GRPC_CODES;

use crate::{FaultSpec, ParamKind, ParamSpec, Undo};

const BY_RULE: &str = "The proxy drops its rule and wakes every delayed request. By hand: `firedrill-agent abort` on the host; ending the agent ends it too.";
const BY_CHILD: &str =
    "A child process of the agent holds it and dies with it. By hand: `firedrill-agent abort` on the host.";

const BY_LINK: &str = "Programs in the kernel that the agent holds by links: they end with it. By hand: `firedrill-agent abort` on the host; ending the agent ends it too.";
const BY_VALUE: &str = "The former value is on disk before the change and is written back if the fault's is still there: by the agent, by its keeper when the agent dies, by the agent's next life. By hand: `firedrill-agent abort` on the host.";

const DELAY: ParamSpec = ParamSpec {
    name: "delay",
    summary: "how much later",
    kind: ParamKind::Duration {
        min_ms: 1,
        max_ms: 60_000,
    },
    required: true,
    default: None,
};
const JITTER: ParamSpec = ParamSpec {
    name: "jitter",
    summary: "uniform, plus or minus; at most the delay",
    kind: ParamKind::Duration {
        min_ms: 0,
        max_ms: 60_000,
    },
    required: false,
    default: Some("0ms"),
};

/// Parameters of connections that are led to the agent.
pub const WITHOUT_ROUTE: [&str; 3] = [PORT.name, PEER.name, ESTABLISHED.name];

const PORT: ParamSpec = ParamSpec {
    name: "port",
    summary: "without a route, and needed there: only connections to this port",
    kind: ParamKind::Count { min: 1, max: 65_535 },
    required: false,
    default: None,
};
const PEER: ParamSpec = ParamSpec {
    name: "peer",
    summary: "without a route: only connections to these addresses or ranges, between commas",
    kind: ParamKind::Text { max_len: 1024 },
    required: false,
    default: None,
};
const ESTABLISHED: ParamSpec = ParamSpec {
    name: "established",
    summary: "without a route: connections that are open already go on unhit, or are reset once when it begins",
    kind: ParamKind::Choice(&["keep", "reset"]),
    required: false,
    default: Some("keep"),
};

const NOOP: FaultSpec = FaultSpec {
    name: "noop",
    summary: "changes nothing; tests the path",
    undo: Undo::ProcessHeld,
    undo_words: "There is nothing to take back.",
    scope: &[],
    params: &[],
    strength: None,
};

/// Every native fault, in the order to show them.
pub const FAULTS: &[FaultSpec] = &[
    http::LATENCY,
    http::STATUS,
    http::RESET,
    http::HEADERS,
    http::BODY,
    http::TRUNCATE,
    http::SLOW_BODY,
    http::LOSE,
    grpc::STATUS,
    tcp::LATENCY,
    tcp::BANDWIDTH,
    tcp::REFUSE,
    tcp::CUT,
    network::REFUSE,
    network::RESET,
    network::LOSS,
    network::PARTITION,
    dns::HIJACK,
    dns::FAIL,
    tls::FAIL,
    packet::LATENCY,
    packet::LOSS,
    packet::DUPLICATE,
    packet::RATE,
    packet::DROP,
    packet::RESET,
    resource::CPU_BURN,
    resource::MEMORY_FILL,
    resource::DISK_FILL,
    resource::CPU_THROTTLE,
    resource::MEMORY_OOM,
    resource::DISK_SLOW,
    resource::FD_EXHAUST,
    process::PAUSE,
    process::KILL,
    load::HTTP,
    NOOP,
];

/// The fault of that name.
pub fn find(name: &str) -> Option<&'static FaultSpec> {
    FAULTS.iter().find(|fault| fault.name == name)
}
