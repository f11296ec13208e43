//! The table itself.

use crate::{FaultSpec, ParamKind, ParamSpec, ScopeKey, Undo};

const BY_RULE: &str = "The proxy drops its rule and wakes every delayed request. By hand: `firedrill-agent abort` on the host; ending the agent ends it too.";
const BY_CHILD: &str =
    "A child process of the agent holds it and dies with it. By hand: `firedrill-agent abort` on the host.";

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

/// Every native fault, in the order to show them.
pub const FAULTS: &[FaultSpec] = &[
    FaultSpec {
        name: "http.latency",
        summary: "requests are answered later",
        undo: Undo::ProcessHeld,
        undo_words: BY_RULE,
        scope: &[ScopeKey::Route],
        params: &[DELAY, JITTER, PATH, METHOD, SHARE],
        strength: Some("delay"),
    },
    FaultSpec {
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
    },
    FaultSpec {
        name: "tcp.latency",
        summary: "bytes of the answer arrive later",
        undo: Undo::ProcessHeld,
        undo_words: BY_RULE,
        scope: &[ScopeKey::Route],
        params: &[DELAY, JITTER],
        strength: Some("delay"),
    },
    FaultSpec {
        name: "tcp.bandwidth",
        summary: "a slow link, both directions together",
        undo: Undo::ProcessHeld,
        undo_words: BY_RULE,
        scope: &[ScopeKey::Route],
        params: &[ParamSpec {
            name: "rate",
            summary: "bytes per second, all connections of the route together",
            kind: ParamKind::Bandwidth {
                min: 100,
                max: 10_000_000_000,
            },
            required: true,
            default: None,
        }],
        strength: None,
    },
    FaultSpec {
        name: "tcp.refuse",
        summary: "new connections are refused; open ones go on",
        undo: Undo::ProcessHeld,
        undo_words: BY_RULE,
        scope: &[ScopeKey::Route],
        params: &[],
        strength: None,
    },
    FaultSpec {
        name: "tcp.cut",
        summary: "open connections are reset, once",
        undo: Undo::None,
        undo_words: "A cut connection does not come back; clients open new ones, which pass.",
        scope: &[ScopeKey::Route],
        params: &[],
        strength: None,
    },
    FaultSpec {
        name: "cpu.burn",
        summary: "cores are kept busy",
        undo: Undo::ProcessHeld,
        undo_words: BY_CHILD,
        scope: &[],
        params: &[
            ParamSpec {
                name: "cores",
                summary: "how many threads burn",
                kind: ParamKind::Count { min: 1, max: 1024 },
                required: false,
                default: Some("1"),
            },
            ParamSpec {
                name: "load",
                summary: "share of each core",
                kind: ParamKind::Share,
                required: false,
                default: Some("100%"),
            },
        ],
        strength: Some("load"),
    },
    FaultSpec {
        name: "memory.fill",
        summary: "memory is taken",
        undo: Undo::ProcessHeld,
        undo_words: BY_CHILD,
        scope: &[],
        params: &[
            ParamSpec {
                name: "size",
                summary: "how much, or which share of the host's",
                kind: ParamKind::Memory {
                    min: 1024 * 1024,
                    max: 1 << 44,
                },
                required: true,
                default: None,
            },
            ParamSpec {
                name: "keep_free",
                summary: "left to others, whatever is asked for",
                kind: ParamKind::Memory {
                    min: 64 * 1024 * 1024,
                    max: 1 << 44,
                },
                required: false,
                default: Some("256MiB"),
            },
        ],
        strength: Some("size"),
    },
    FaultSpec {
        name: "process.pause",
        summary: "a process stands still",
        undo: Undo::ProcessHeld,
        undo_words: "The agent holds it by ptrace; the kernel lets it go when the agent dies. By hand: `firedrill-agent abort` on the host.",
        scope: &[ScopeKey::Process],
        params: &[],
        strength: None,
    },
    FaultSpec {
        name: "process.kill",
        summary: "a process is killed, once",
        undo: Undo::None,
        undo_words: "A killed process does not come back by itself. By hand: start its service again, for instance `systemctl restart NAME`, and see that it serves.",
        scope: &[ScopeKey::Process],
        params: &[ParamSpec {
            name: "signal",
            summary: "which one",
            kind: ParamKind::Choice(&["KILL", "TERM", "INT", "QUIT", "HUP"]),
            required: false,
            default: Some("KILL"),
        }],
        strength: None,
    },
    FaultSpec {
        name: "noop",
        summary: "changes nothing; tests the path",
        undo: Undo::ProcessHeld,
        undo_words: "There is nothing to take back.",
        scope: &[],
        params: &[],
        strength: None,
    },
];

/// The fault of that name.
pub fn find(name: &str) -> Option<&'static FaultSpec> {
    FAULTS.iter().find(|fault| fault.name == name)
}
