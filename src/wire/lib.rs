//! What console and agent say to each other: protocol version 1, HTTP with JSON.
//!
//! Pure data with serde: no I/O, no clock. Every type here is the body of a call, of an answer or of an
//! event; the calls themselves are listed in [`calls`]. Times on the wire are durations in milliseconds
//! or [`Tick`]s of the agent's own clock, never dates: clocks disagree.
//!
//! Calls that start or strengthen refuse unknown fields; calls that stop ignore them.
//!
//! Uses no other room.

pub mod abort;
pub mod action;
pub mod agent;
pub mod calls;
pub mod event;
pub mod fault;
pub mod ids;
pub mod injection;
pub mod problem;

pub use abort::{AbortLine, AbortRequest, LatchView, ReleaseRequest, Released};
pub use action::{ACTION_MS, ACTION_OUTPUT_BYTES, ActionDone, ActionRequest};
pub use agent::{AgentBrief, AgentInfo, OnView, OpenDrillView, PolicyView, Route, RouteProtocol, Stamp};
pub use calls::{
    CloseRequest, Closed, OpenRequest, Opened, PatchRequest, PreviewRequest, PreviewResponse, RenewRequest,
    Renewed, StartRequest,
};
pub use event::{AgentEvent, EventKind};
pub use fault::{FaultInfo, FaultName, ParamDoc, Undo};
pub use ids::{AgentId, DrillId, Epoch, Fence, HolderSecret, InjectionId, Instance, Tick};
pub use injection::{Evidence, InjectionState, InjectionView, Proof, Scope};
pub use problem::{Problem, ProblemKind};

/// The version this crate speaks. Another number: a console may only abort and watch.
pub const PROTOCOL_VERSION: u32 = 1;

/// The port an agent listens on when nothing else is said. The abort listener is on the next one.
pub const DEFAULT_PORT: u16 = 7431;

/// Largest request body in bytes; anything above is refused (aborts excepted: they abort all).
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// Shortest and longest lease in milliseconds.
pub const LEASE_MS: std::ops::RangeInclusive<u64> = 2_000..=60_000;
