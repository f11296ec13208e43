//! What is on the agent's disk.

use std::collections::VecDeque;
use std::sync::Arc;

use firedrill_wire::{
    DrillId, Epoch, Evidence, FaultName, InjectionId, InjectionState, Instance, LatchView, Proof, Scope,
    Tick, Undo,
};
use serde::{Deserialize, Serialize};

/// A snapshot of all that must outlive the process. `R` is how a record stands in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Durable<R = Arc<UndoRecord>> {
    /// The highest epoch ever given out. On disk before its opening is answered.
    pub epoch: Epoch,
    /// The drill that holds the agent; a life that finds one here kills it.
    pub open: Option<DrillId>,
    /// The latch in force.
    pub latch: Option<LatchView>,
    /// The highest latch number ever used.
    pub latch_number: u64,
    /// Drills that ended or were named in an abort, oldest first. They open no more.
    pub dead_drills: Arc<VecDeque<DrillId>>,
    /// Aborts seen, oldest first.
    pub aborts: Arc<VecDeque<PastAbort>>,
    /// Every injection that may be on, and the newest results. On disk before a fault is applied.
    pub records: Vec<R>,
}

// Derived it would ask for a default of `R`.
impl<R> Default for Durable<R> {
    fn default() -> Self {
        Self {
            epoch: Epoch::default(),
            open: None,
            latch: None,
            latch_number: 0,
            dead_drills: Arc::default(),
            aborts: Arc::default(),
            records: Vec::new(),
        }
    }
}

impl<R> Durable<R> {
    /// The same with its records in another form; the first that cannot be brought into it.
    pub fn try_map<S, E>(self, form: impl FnMut(R) -> Result<S, E>) -> Result<Durable<S>, E> {
        let Self {
            epoch,
            open,
            latch,
            latch_number,
            dead_drills,
            aborts,
            records,
        } = self;
        Ok(Durable {
            epoch,
            open,
            latch,
            latch_number,
            dead_drills,
            aborts,
            records: records.into_iter().map(form).collect::<Result<_, _>>()?,
        })
    }
}

impl Durable {
    /// What to start with when the state file is lost or unreadable: latched, because nobody knows
    /// whether somebody had aborted.
    pub fn lost(why: &str) -> Self {
        let mut durable = Self::default();
        durable.latch_for(&format!("the agent's state was lost: {why}"));
        durable
    }

    /// Latches before the first step, if it is not latched already.
    pub fn latch_for(&mut self, reason: &str) {
        if self.latch.is_some() {
            return;
        }
        self.latch_number += 1;
        self.latch = Some(LatchView {
            number: self.latch_number,
            reason: reason.to_owned(),
            who: "agent".to_owned(),
            since: Tick(0),
        });
    }
}

/// An abort that was obeyed, so that a repeat is known as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastAbort {
    /// Its id.
    pub id: String,
    /// The highest epoch given out then: a repeat that comes late kills nothing newer.
    pub up_to: Epoch,
    /// Whether it latched.
    pub latched: bool,
}

/// One injection on disk: what it takes to undo it and to tell of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UndoRecord {
    /// The console's name for it.
    pub id: InjectionId,
    /// The drill it belongs to.
    pub drill: DrillId,
    /// The drill's epoch.
    pub epoch: Epoch,
    /// The life of the agent that started it.
    pub started_by: Instance,
    /// What it is.
    pub fault: FaultName,
    /// Where on the host.
    pub scope: Scope,
    /// How strong it was started or last changed.
    pub parameters: serde_json::Value,
    /// Revision of the strength.
    pub revision: u64,
    /// How it is undone.
    pub undo: Undo,
    /// What it claims.
    pub claims: Vec<String>,
    /// Whether nothing but the agent itself ends it at its end.
    #[serde(default)]
    pub needs_keeper: bool,
    /// Where in its life.
    pub state: InjectionState,
    /// When it became active.
    pub active_since: Option<Tick>,
    /// When it ends by itself.
    pub ends_at: Tick,
    /// When it was last changed; results are forgotten some time after.
    pub changed: Tick,
    /// What a person can do if the agent cannot undo it.
    pub by_hand: String,
    /// Why it is in this state.
    pub reason: Option<String>,
    /// What was last seen.
    pub evidence: Evidence,
    /// That it is gone, by a second mechanism.
    pub proved: Option<Proof>,
}
