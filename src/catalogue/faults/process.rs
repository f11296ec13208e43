//! Single processes.

use crate::{FaultSpec, ParamKind, ParamSpec, ScopeKey, Undo};

pub(super) const PAUSE: FaultSpec = FaultSpec {
    name: "process.pause",
    summary: "a process stands still",
    undo: Undo::ProcessHeld,
    undo_words: "The agent holds it by ptrace; the kernel lets it go when the agent dies. By hand: `firedrill-agent abort` on the host.",
    scope: &[ScopeKey::Process],
    params: &[],
    strength: None,
};

pub(super) const KILL: FaultSpec = FaultSpec {
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
};
