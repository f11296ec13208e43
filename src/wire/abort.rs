//! Abort, the latch, and its release.

use serde::{Deserialize, Serialize};

use crate::{DrillId, Evidence, InjectionId, InjectionState, Stamp, Tick};

/// `POST /v1/abort`. An empty or unreadable body aborts all and latches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbortRequest {
    /// The abort's id: a repeated one does not latch again.
    #[serde(default)]
    pub abort: Option<String>,
    /// Only this drill; later opens of it are 412. Absent: everything.
    #[serde(default)]
    pub drill: Option<DrillId>,
    /// Whether to latch: a person's abort does (the default), the automatic stop of a breach does not.
    /// An abort that latches reverts everything, whatever it names.
    #[serde(default = "yes")]
    pub latch: bool,
    /// Why, for the audit log and the latch.
    #[serde(default)]
    pub reason: Option<String>,
    /// Who.
    #[serde(default)]
    pub who: Option<String>,
}

fn yes() -> bool {
    true
}

/// One line of the answer to an abort. An answer without `end` is unconfirmed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "lowercase")]
pub enum AbortLine {
    /// The epochs are dead and the latch is on disk.
    Received {
        /// Who speaks.
        #[serde(flatten)]
        stamp: Stamp,
        /// Whether the disk took it. It goes on all the same.
        durable: bool,
        /// The latch now in force.
        latch: Option<LatchView>,
        /// What is being reverted.
        injections: Vec<InjectionId>,
    },
    /// The read-back of one injection has ended.
    Reverted {
        /// Which.
        injection: InjectionId,
        /// `reverted`, `done`, or `unconfirmed`.
        state: InjectionState,
        /// When.
        tick: Tick,
        /// What was read back.
        evidence: Evidence,
        /// What a person can do where the agent could not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by_hand: Option<String>,
        /// How many read-backs this answer still waits for: with 0 all are told, whether or not the disk has
        /// let `received` go out. Agents before this field do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left: Option<u32>,
    },
    /// A second mechanism has looked.
    Proved {
        /// Which.
        injection: InjectionId,
        /// Whether it is gone.
        clean: bool,
        /// When.
        tick: Tick,
        /// What was seen.
        evidence: Evidence,
        /// How many read-backs and proofs this answer still waits for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left: Option<u32>,
    },
    /// Nothing more follows.
    End {
        /// Whether every injection is off and proved.
        clean: bool,
        /// When.
        tick: Tick,
    },
}

/// The latch, as on an emergency stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatchView {
    /// Its number; a release names it.
    pub number: u64,
    /// Why it was set.
    pub reason: String,
    /// By whom.
    pub who: String,
    /// When.
    pub since: Tick,
}

/// `POST /v1/release`. Another number than the latch's is 409: a delayed release lifts nothing new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// The latch's number.
    pub latch: u64,
    /// Why it is safe to start again.
    pub reason: String,
    /// Who says so.
    pub who: String,
}

/// The answer to a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// Who speaks.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// The number that was released.
    pub latch: u64,
}
