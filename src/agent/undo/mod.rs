//! How a fault is taken back, as data: on disk before the fault, and run by whoever is left.
//!
//! The agent, its keeper, its next life and `firedrill-agent abort` run the same code here. Values are compared
//! before they are restored and processes by their start before they are touched, so that running a record
//! twice, late, or for what is gone already does no harm. After a reboot only what lives in files is undone.

mod act;
pub mod change;
pub mod exact;
pub mod open_files;
pub mod records;

use std::path::PathBuf;

use firedrill_ward::Key;
use firedrill_wire::{FaultName, Instance, Tick};
use serde::{Deserialize, Serialize};

pub use act::{Here, Undone, moves};
pub use change::Change;

use crate::kernel::bpf::Hook;

/// The layout of a record; one of another number is not touched.
pub const RECORD_VERSION: u32 = 1;

/// A process, safe against reuse of its number within one boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exactly {
    /// Its number.
    pub pid: i32,
    /// When it began, in clock ticks since boot.
    pub start_time: u64,
}

/// What takes one fault back, or how to see that it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Undo {
    /// There is nothing to take back.
    Nothing {},
    /// A child of the agent holds it: it is killed.
    Child(Exactly),
    /// The agent traces the target: the kernel lets it go when the agent ends.
    Traced {
        /// The agent.
        holder: Exactly,
        /// What stands still.
        target: Exactly,
    },
    /// Something of the kernel's that the agent's process holds by a descriptor (a table, a link): the kernel takes it
    /// away when the agent ends.
    Held {
        /// The agent.
        holder: Exactly,
        /// What it holds, for people.
        what: String,
    },
    /// eBPF programs on a cgroup, by links of the agent's process: the kernel takes them away when it ends.
    Linked {
        /// The agent.
        holder: Exactly,
        /// The cgroup's folder.
        cgroup: PathBuf,
        /// The kernel's numbers of the programs, and where on the cgroup each is.
        programs: Vec<(Hook, u32)>,
    },
    /// A rule of the agent's proxy, which drops it when the agent's connection ends.
    Rule {
        /// The rule's name.
        id: String,
    },
    /// A value in a file: written back if it still is what the fault wrote.
    Restore {
        /// The file.
        path: PathBuf,
        /// What the fault wrote.
        ours: String,
        /// What was there before.
        before: String,
        /// Whether it is kept over a restart of the host; the kernel's own files are not.
        on_disk: bool,
    },
    /// Values in the kernel's own files: each is written back if it still is one of the fault's.
    Changes {
        /// In the order they are made.
        changes: Vec<Change>,
    },
    /// The soft limit of a process' open files: set back if it still is one of the fault's.
    OpenFiles {
        /// Whose.
        target: Exactly,
        /// What the fault set, or is about to set.
        ours: Vec<u64>,
        /// What it was.
        before: u64,
    },
    /// A process was stopped by a signal: it is told to go on if it stands still.
    Stopped(Exactly),
}

impl Undo {
    /// Whether nothing but the agent's own process ends it when its time is over: a child and a rule have a
    /// clock of their own.
    pub fn needs_keeper(&self) -> bool {
        match self {
            Self::Nothing {} | Self::Child(_) | Self::Rule { .. } => false,
            Self::Traced { .. }
            | Self::Held { .. }
            | Self::Linked { .. }
            | Self::Restore { .. }
            | Self::Changes { .. }
            | Self::OpenFiles { .. }
            | Self::Stopped(_) => true,
        }
    }
}

/// One injection's record on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`RECORD_VERSION`].
    pub version: u32,
    /// Which injection.
    pub key: Key,
    /// What it is.
    pub fault: FaultName,
    /// The life of the agent that began it.
    pub instance: Instance,
    /// The boot of the host that it belongs to.
    pub boot_id: String,
    /// When it was to end, on the clock of that boot.
    pub ends_at: Tick,
    /// What takes it back.
    pub undo: Undo,
    /// What was seen when somebody else than its own agent took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<String>,
}
