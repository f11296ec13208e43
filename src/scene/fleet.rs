//! Agents as Fleet shows them.

use firedrill_wire::{AgentInfo, LatchView};

/// One agent of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentScene {
    /// Its name in the plan.
    pub name: String,
    /// Its address.
    pub url: String,
    /// How it stands.
    pub health: AgentHealth,
    /// Round trip, microseconds.
    pub rtt_us: Option<u64>,
    /// When it last answered, wall milliseconds.
    pub heard_ms: Option<i64>,
    /// Everything it said of itself.
    pub info: Option<Box<AgentInfo>>,
    /// Latched.
    pub latch: Option<LatchView>,
    /// The last abort test: microseconds, or what went wrong.
    pub abort_test: Option<Result<u64, String>>,
}

/// How an agent stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentHealth {
    /// Not asked yet.
    Unknown,
    /// Answers.
    Healthy,
    /// Does not, and why, with what to do.
    Unreachable(String),
    /// Answers, but something is in the way of a drill (another version, held by another console, no token).
    Unusable(String),
}
