//! Injections as the agent tells of them.

use serde::{Deserialize, Serialize};

use crate::{DrillId, Epoch, FaultName, InjectionId, Stamp, Tick};

pub use firedrill_catalogue::Scope;

/// Where an injection is in its life. A state never goes back, but `unconfirmed` may become `reverted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InjectionState {
    /// Accepted, being applied.
    Starting,
    /// On.
    Active,
    /// Being taken back.
    Reverting,
    /// Taken back, and read back that it is gone.
    Reverted,
    /// Never began.
    Refused,
    /// Could not be applied; read back that nothing was half applied.
    Failed,
    /// A one-shot that has happened.
    Done,
    /// Taken back, but the read-back did not show it gone.
    Unconfirmed,
}

impl InjectionState {
    /// Whether the fault is known to be off for good.
    pub fn is_off(self) -> bool {
        matches!(self, Self::Reverted | Self::Refused | Self::Failed | Self::Done)
    }
}

/// What a mechanism saw: words for people and numbers for machines.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// One sentence, for instance `probe through the route answers in 0.4 ms, 0 requests held`.
    pub words: String,
    /// Counters by name with the unit in it: `requests_delayed`, `added_ms_p50`.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub counts: std::collections::BTreeMap<String, f64>,
}

/// That a reverted injection is really gone, seen by another mechanism than the one that undid it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// When it was proved.
    pub tick: Tick,
    /// What was seen.
    pub evidence: Evidence,
}

/// An injection as `GET /v1/injections/{id}` and the answers to start, change and revert show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InjectionView {
    /// Who speaks.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Its id.
    pub id: InjectionId,
    /// The drill it belongs to.
    pub drill: DrillId,
    /// The drill's epoch here.
    pub epoch: Epoch,
    /// The life of the agent that started it.
    pub started_by: crate::Instance,
    /// What it is.
    pub fault: FaultName,
    /// Where on the host.
    pub scope: Scope,
    /// Its parameters as they are now (after the last change of strength).
    pub parameters: serde_json::Value,
    /// Revision of the strength; 0 as started.
    pub revision: u64,
    /// Where in its life.
    pub state: InjectionState,
    /// When it became active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_since: Option<Tick>,
    /// When it ends by itself.
    pub ends_at: Tick,
    /// Milliseconds until then; 0 when off.
    pub ends_in_ms: u64,
    /// What is left of the lease, in milliseconds; 0 when off.
    pub lease_left_ms: u64,
    /// Whether a revert undid something; `false` for one-shots, with `by_hand`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<bool>,
    /// What a person can do where the agent cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<String>,
    /// Why it is refused, failed, unconfirmed, or why it was reverted (`end`, `revert`, `abort`, `lease`, …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the fault has done so far, or what the read-back saw.
    #[serde(default)]
    pub evidence: Evidence,
    /// That it is gone, seen by a second mechanism. Only with `reverted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proved: Option<Proof>,
}
