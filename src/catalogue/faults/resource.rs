//! Cores, memory and disks of the host.

use super::BY_CHILD;
use crate::{FaultSpec, ParamKind, ParamSpec, Undo};

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
