//! Cores, memory, disks and descriptors: of the host, of a cgroup, of a process.

use super::{BY_CHILD, BY_VALUE};
use crate::{FaultSpec, ParamKind, ParamSpec, ScopeKey, Undo};

pub(super) const CPU_BURN: FaultSpec = FaultSpec {
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
        ParamSpec {
            name: "period",
            summary: "one round of work and rest; short ones hit latency, long ones queues",
            kind: ParamKind::Duration {
                min_ms: 10,
                max_ms: 10_000,
            },
            required: false,
            default: Some("100ms"),
        },
        ParamSpec {
            name: "on",
            summary: "spikes: how long it burns each time; goes with off",
            kind: ParamKind::Duration {
                min_ms: 10,
                max_ms: 3_600_000,
            },
            required: false,
            default: None,
        },
        ParamSpec {
            name: "off",
            summary: "spikes: how long it rests after each",
            kind: ParamKind::Duration {
                min_ms: 10,
                max_ms: 3_600_000,
            },
            required: false,
            default: None,
        },
    ],
    strength: Some("load"),
};

pub(super) const MEMORY_FILL: FaultSpec = FaultSpec {
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
        STEP,
    ],
    strength: Some("size"),
};

const STEP: ParamSpec = ParamSpec {
    name: "step",
    summary: "how much more each second, until the size is reached; not given: at once",
    kind: ParamKind::Memory {
        min: 4_096,
        max: 1 << 44,
    },
    required: false,
    default: None,
};

pub(super) const DISK_FILL: FaultSpec = FaultSpec {
    name: "disk.fill",
    summary: "space of a file system is taken",
    undo: Undo::ProcessHeld,
    undo_words: BY_CHILD,
    scope: &[],
    params: &[
        ParamSpec {
            name: "path",
            summary: "a folder of the file system, written in full and without symbolic links",
            kind: ParamKind::Text { max_len: 1024 },
            required: true,
            default: None,
        },
        ParamSpec {
            name: "size",
            summary: "how much, or which share of the file system's",
            kind: ParamKind::Memory {
                min: 4_096,
                max: 1 << 50,
            },
            required: true,
            default: None,
        },
        ParamSpec {
            name: "keep_free",
            summary: "left to others, whatever is asked for; what only root may use is left too",
            kind: ParamKind::Memory {
                min: 4_096,
                max: 1 << 50,
            },
            required: false,
            default: Some("256MiB"),
        },
        STEP,
    ],
    strength: Some("size"),
};

const TAKEN_OF_FREE: ParamSpec = ParamSpec {
    name: "share",
    summary: "how much is taken away of the descriptors that it could still open",
    kind: ParamKind::Share,
    required: false,
    default: Some("100%"),
};

pub(super) const CPU_THROTTLE: FaultSpec = FaultSpec {
    name: "cpu.throttle",
    summary: "the cgroup of a process gets less time on the cores",
    undo: Undo::ProcessHeld,
    undo_words: BY_VALUE,
    scope: &[ScopeKey::Process],
    params: &[ParamSpec {
        name: "share",
        summary: "how much is taken away of what it may use now; at least 1 ms in each period is left, and the period is 10 ms where that is enough, else longer, up to what it was",
        kind: ParamKind::Share,
        required: true,
        default: None,
    }],
    strength: Some("share"),
};

pub(super) const MEMORY_OOM: FaultSpec = FaultSpec {
    name: "memory.oom",
    summary: "the kernel kills a process for want of memory, in its own cgroup alone",
    undo: Undo::None,
    undo_words: "A killed process does not come back by itself; its cgroup's limit does. By hand: start its service again, for instance `systemctl restart NAME`, and see that it serves.",
    scope: &[ScopeKey::Process],
    params: &[],
    strength: None,
};

pub(super) const DISK_SLOW: FaultSpec = FaultSpec {
    name: "disk.slow",
    summary: "the cgroup of a process reads and writes a disk slowly",
    undo: Undo::ProcessHeld,
    undo_words: BY_VALUE,
    scope: &[ScopeKey::Process],
    params: &[
        ParamSpec {
            name: "rate",
            summary: "bytes per second, reads and writes each",
            kind: ParamKind::Bandwidth {
                min: 1_000,
                max: 100_000_000_000,
            },
            required: true,
            default: None,
        },
        ParamSpec {
            name: "path",
            summary: "a folder on the disk",
            kind: ParamKind::Text { max_len: 1024 },
            required: false,
            default: Some("/"),
        },
    ],
    strength: Some("rate"),
};

pub(super) const FD_EXHAUST: FaultSpec = FaultSpec {
    name: "fd.exhaust",
    summary: "a process cannot open more files and sockets",
    undo: Undo::ProcessHeld,
    undo_words: BY_VALUE,
    scope: &[ScopeKey::Process],
    params: &[TAKEN_OF_FREE],
    strength: Some("share"),
};
