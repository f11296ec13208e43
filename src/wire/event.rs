//! `GET /v1/events`: what happens on an agent, as server-sent events with ids `instance:n`.

use serde::{Deserialize, Serialize};

use crate::{DrillId, Epoch, InjectionView, LatchView, Stamp};

/// One event; its `event:` name is the kind's tag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentEvent {
    /// Who speaks, when.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Its number in this life, from 1.
    pub n: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum EventKind {
    /// A drill was opened.
    Opened {
        /// Which.
        drill: DrillId,
        /// Its epoch.
        epoch: Epoch,
    },
    /// A drill ended: closed, aborted, or its lease lapsed (`why`).
    Ended {
        /// Which.
        drill: DrillId,
        /// Its epoch.
        epoch: Epoch,
        /// `close`, `abort`, `lease` or `shutdown`.
        why: String,
    },
    /// An injection changed its state or its strength.
    Injection {
        /// As it is now.
        injection: Box<InjectionView>,
    },
    /// The latch was set or (`None`) released.
    Latch {
        /// As it is now.
        latch: Option<LatchView>,
    },
    /// Events were dropped before this one: read `GET /v1/agent` and `/v1/injections` again.
    Gap {
        /// How many.
        dropped: u64,
    },
}
