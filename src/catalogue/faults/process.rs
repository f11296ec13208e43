//! Single processes.

use crate::{FaultSpec, ParamKind, ParamSpec, ScopeKey, Undo};

pub(super) const PAUSE: FaultSpec = FaultSpec {
    name: "process.pause",
    summary: "a process stands still",
    undo: Undo::ProcessHeld,
    undo_words: "By ptrace the kernel lets it go when the agent dies; from the freezer and from SIGSTOP the keeper lets it go then. By hand: `firedrill-agent abort` on the host, `kill -CONT PID`.",
    scope: &[ScopeKey::Process],
    params: &[
        ParamSpec {
            name: "how",
            summary: "ptrace: held by the agent, gone with it; freezer: its whole cgroup; signal: SIGSTOP",
            kind: ParamKind::Choice(&["ptrace", "freezer", "signal"]),
            required: false,
            default: Some("ptrace"),
        },
        ParamSpec {
            name: "on",
            summary: "again and again: how long it stands still each time; goes with off",
            kind: ParamKind::Duration {
                min_ms: 10,
                max_ms: 3_600_000,
            },
            required: false,
            default: None,
        },
        ParamSpec {
            name: "off",
            summary: "again and again: how long it goes on after each",
            kind: ParamKind::Duration {
                min_ms: 10,
                max_ms: 3_600_000,
            },
            required: false,
            default: None,
        },
    ],
    strength: None,
};

pub(super) const KILL: FaultSpec = FaultSpec {
    name: "process.kill",
    summary: "a process is killed: once, or again and again",
    undo: Undo::None,
    undo_words: "A killed process does not come back by itself. By hand: start its service again, for instance `systemctl restart NAME`, and see that it serves.",
    scope: &[ScopeKey::Process],
    params: &[
        ParamSpec {
            name: "signal",
            summary: "which one",
            kind: ParamKind::Choice(&["KILL", "TERM", "INT", "QUIT", "HUP"]),
            required: false,
            default: Some("KILL"),
        },
        ParamSpec {
            name: "every",
            summary: "again after so long, whoever is named by the scope then; not given: once",
            kind: ParamKind::Duration {
                min_ms: 100,
                max_ms: 3_600_000,
            },
            required: false,
            default: None,
        },
        ParamSpec {
            name: "times",
            summary: "how many times in all; not given: until the end",
            kind: ParamKind::Count { min: 1, max: 100_000 },
            required: false,
            default: None,
        },
    ],
    strength: None,
};
