//! What goes into the ward and what comes out.

use firedrill_wire::{
    AbortLine, AbortRequest, CloseRequest, Closed, Epoch, EventKind, Evidence, FaultName, HolderSecret,
    InjectionId, InjectionView, OpenRequest, Opened, PatchRequest, Problem, ReleaseRequest, Released,
    RenewRequest, Renewed, Scope, StartRequest, Undo,
};
use serde::{Deserialize, Serialize};

use crate::Durable;

/// Names a request until it is answered; the host gives them out and never twice in one life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AskId(pub u64);

/// Names a snapshot on its way to the disk; ever growing in one life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SaveId(pub u64);

/// Which injection. Ids are unique in their drill only, epochs on the agent: both name it for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The epoch it was started in.
    pub epoch: Epoch,
    /// The console's name for it.
    pub id: InjectionId,
}

/// The agent's own bounds. They beat any console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest injection in milliseconds; a longer one is refused (403), never clamped.
    pub injection_ms: u64,
    /// How long the host may take for a start, a change, a revert or a proof before it counts as hung.
    pub operation_ms: u64,
    /// How long an opening or a release waits for the disk.
    pub disk_ms: u64,
    /// Results are kept this long after their drill, in milliseconds.
    pub keep_ms: u64,
    /// Injections known at once, results included.
    pub injections: usize,
    /// Tombstones of one epoch; when they are used up the epoch starts nothing more.
    pub tombstones: usize,
    /// Ended drills remembered.
    pub dead_drills: usize,
    /// Abort ids remembered.
    pub aborts: usize,
    /// Requests that may wait for one and the same thing, and abort streams at once.
    pub asks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            injection_ms: 3_600_000,
            operation_ms: 5_000,
            disk_ms: 10_000,
            keep_ms: 24 * 3_600_000,
            injections: 512,
            tombstones: 256,
            dead_drills: 1024,
            aborts: 256,
            asks: 32,
        }
    }
}

/// What happened: a request, a result of an [`Effect`], or time.
#[derive(Clone, Debug)]
pub enum Event {
    /// `POST /v1/drills`.
    Open {
        /// Whom to answer.
        ask: AskId,
        /// The body.
        request: OpenRequest,
        /// A fresh random secret, used if this opens the drill.
        holder: HolderSecret,
    },
    /// `POST /v1/drills/{epoch}/lease`.
    Renew {
        /// Whom to answer.
        ask: AskId,
        /// The body. The host has checked that its epoch is the path's.
        request: RenewRequest,
    },
    /// `DELETE /v1/drills/{epoch}`.
    Close {
        /// Whom to answer.
        ask: AskId,
        /// From the path.
        epoch: Epoch,
        /// The body.
        request: CloseRequest,
    },
    /// `PUT /v1/injections/{id}`, its parameters and target already validated.
    Start {
        /// Whom to answer.
        ask: AskId,
        /// From the path.
        id: InjectionId,
        /// The body.
        request: Box<StartRequest>,
        /// The resources it takes, such as `route:payment-http`, `pid:4211`, `cpu`: one owner each.
        claims: Vec<String>,
        /// How this fault is undone.
        undo: Undo,
        /// What a person can do if the agent cannot undo it.
        by_hand: String,
        /// Whether nothing but the agent itself ends it at its end: then it is not on without a keeper.
        needs_keeper: bool,
    },
    /// `PATCH /v1/injections/{id}`, its parameters already validated.
    Patch {
        /// Whom to answer.
        ask: AskId,
        /// From the path.
        id: InjectionId,
        /// The body.
        request: PatchRequest,
    },
    /// `DELETE /v1/injections/{id}`.
    Revert {
        /// Whom to answer.
        ask: AskId,
        /// From the path.
        id: InjectionId,
    },
    /// `POST /v1/abort`; for an empty or unreadable body `AbortRequest { latch: true, ..default }`.
    Abort {
        /// Whom to stream lines to.
        ask: AskId,
        /// The body.
        request: AbortRequest,
    },
    /// What held some injections is gone by itself (the proxy died, and its rules with it): those with a claim
    /// that begins with `claim` are reverted and read back.
    Lost {
        /// For instance `route:`.
        claim: String,
        /// What was seen.
        why: String,
    },
    /// The host has no keeper (any more): nobody would end an injection if the process hung.
    Unkept {
        /// What was seen.
        why: String,
    },
    /// The host has a keeper.
    Kept,
    /// `POST /v1/release`.
    Release {
        /// Whom to answer.
        ask: AskId,
        /// The body.
        request: ReleaseRequest,
    },
    /// Answers [`Effect::Save`].
    Saved {
        /// Which.
        save: SaveId,
        /// Whether it is on disk; `false` when the disk refused.
        durable: bool,
    },
    /// Answers [`Effect::Apply`]: the fault is on (a one-shot: has happened).
    Applied {
        /// Which.
        key: Key,
        /// What was seen.
        evidence: Evidence,
    },
    /// Answers [`Effect::Apply`]: it could not be done.
    ApplyFailed {
        /// Which.
        key: Key,
        /// Why.
        problem: Problem,
        /// `false` only when a read-back showed that nothing is left of it; otherwise it is reverted.
        half_applied: bool,
    },
    /// Answers [`Effect::Adjust`], or tells that a ramp which the fault runs by itself failed. After an error the
    /// strength is not known, so the ward reverts it.
    Adjusted {
        /// Which.
        key: Key,
        /// What was seen, or why not.
        result: Result<Evidence, Problem>,
    },
    /// Answers [`Effect::Revert`]: what was read from the target afterwards.
    ReadBack {
        /// Which.
        key: Key,
        /// From the effect.
        attempt: u32,
        /// Whether the fault is gone.
        clean: bool,
        /// What was read.
        evidence: Evidence,
        /// Where it is not gone: what a person can do.
        by_hand: Option<String>,
    },
    /// Answers [`Effect::Prove`]: what another mechanism saw.
    Proved {
        /// Which.
        key: Key,
        /// From the effect.
        attempt: u32,
        /// Whether the fault is gone.
        clean: bool,
        /// What was seen.
        evidence: Evidence,
    },
    /// Counters of an active fault, for its view. Needs no effect.
    Observed {
        /// Which.
        key: Key,
        /// The counters.
        evidence: Evidence,
    },
    /// Time has passed.
    Tick,
    /// The agent was told to end (SIGTERM): an unlatched abort of everything, then [`Effect::Stopped`].
    Shutdown,
}

/// An answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To an opening.
    Opened(Opened),
    /// To a renewal.
    Renewed(Renewed),
    /// To a close.
    Closed(Closed),
    /// To a start, a change or a revert.
    Injection(Box<InjectionView>),
    /// To a release.
    Released(Released),
    /// A refusal of any of them.
    Refused(Problem),
}

/// What the host shall do, in this order within one step: reverts, then starts, changes, proofs, answers
/// and events, then at most one save, then the audit log, so that no disk holds a revert or its answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Take the fault back and read back; answered by [`Event::ReadBack`]. Also asked of a fault of a
    /// former life, which the host then knows only from its [`UndoRecord`](crate::UndoRecord).
    Revert {
        /// Which.
        key: Key,
        /// Repeat it in the result.
        attempt: u32,
        /// What fault it is.
        fault: FaultName,
        /// Where on the host.
        scope: Scope,
    },
    /// Inject; answered by [`Event::Applied`] or [`Event::ApplyFailed`].
    Apply {
        /// Which.
        key: Key,
        /// What.
        fault: FaultName,
        /// How strong.
        parameters: serde_json::Value,
        /// Where on the host.
        scope: Scope,
        /// How long, in milliseconds; the ward ends it, but a fault that can shall also end by itself.
        ends_in_ms: u64,
        /// How long it grows to full strength, in milliseconds. The host runs the ramp.
        ramp_ms: u64,
    },
    /// Change the strength; answered by [`Event::Adjusted`].
    Adjust {
        /// Which.
        key: Key,
        /// All parameters, as they shall be.
        parameters: serde_json::Value,
    },
    /// Look with another mechanism than the one that undid it; answered by [`Event::Proved`].
    Prove {
        /// Which.
        key: Key,
        /// Repeat it in the result.
        attempt: u32,
        /// What fault it is.
        fault: FaultName,
        /// Where on the host.
        scope: Scope,
    },
    /// The answer to a request.
    Reply {
        /// Whose.
        ask: AskId,
        /// What.
        reply: Reply,
    },
    /// One line of the answer to an abort. `reverted` lines do not wait for a slow disk, so they may come
    /// before `received`. The stream is complete with [`AbortLine::End`].
    AbortLine {
        /// Whose.
        ask: AskId,
        /// What.
        line: AbortLine,
    },
    /// Close this abort's stream without `end`: too many at once. The abort itself is in force.
    HangUp {
        /// Whose.
        ask: AskId,
    },
    /// For `GET /v1/events`; the host stamps and numbers it.
    Emit(EventKind),
    /// Write the snapshot, fsync, and answer with [`Event::Saved`].
    Save {
        /// Which.
        save: SaveId,
        /// What.
        durable: Box<Durable>,
    },
    /// One line for the audit log.
    Audit {
        /// Who did what to what, and what came of it.
        words: String,
    },
    /// After [`Event::Shutdown`]: every read-back has ended; the process may exit.
    Stopped {
        /// Whether every injection is off.
        clean: bool,
    },
}

impl Effect {
    /// Its place among the effects of one step.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::Revert { .. } => 0,
            Self::Save { .. } => 2,
            Self::Audit { .. } => 3,
            Self::Stopped { .. } => 4,
            _ => 1,
        }
    }
}
