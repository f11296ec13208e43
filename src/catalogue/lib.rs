//! The native fault library on paper: every fault's name, words, scope and parameters with units and limits.
//!
//! One table for four readers: `plan` checks a plan against it without an agent at hand, `agent` validates
//! what arrives on the wire with it and publishes it, `console` builds its forms from it, and people
//! read it as pages (`assets/docs/faults/`). What a fault *does* is in `agent/faults/`, one file a fault.
//!
//! Pure data and parsing of quantities (`400ms`, `25%`, `1MB/s`). Uses no other room.

mod check;
mod faults;
mod lever;
mod pages;
pub mod quantity;
mod scope;

pub use check::{ParamProblem, Parameters, check};
pub use faults::{FAULTS, GRPC_CODES, find};
pub use lever::Lever;
pub use pages::{FAMILIES, Family};
pub use scope::{Scope, ScopeKey};

/// How a fault is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// A running process holds it: it ends with that process at the latest.
    ProcessHeld,
    /// The same, but what it did until then stays done.
    EffectsStay,
    /// A one-shot: there is nothing to take back.
    None,
}

/// What a parameter may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ParamKind {
    /// A duration such as `400ms`; limits in milliseconds.
    Duration {
        /// Shortest.
        min_ms: u64,
        /// Longest.
        max_ms: u64,
    },
    /// A share such as `25%` or `0.25`, within (0, 1].
    Share,
    /// A rate in bytes per second such as `64KB/s`.
    Bandwidth {
        /// Slowest, bytes per second.
        min: u64,
        /// Fastest, bytes per second.
        max: u64,
    },
    /// A whole number.
    Count {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// An amount of memory such as `512MiB`, or a share of the host's such as `60%`.
    Memory {
        /// Smallest, in bytes.
        min: u64,
        /// Largest, in bytes.
        max: u64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Text of at most this many bytes.
    Text {
        /// Longest, in bytes.
        max_len: usize,
    },
}

/// One parameter of a fault.
#[derive(Clone, Copy, Debug)]
pub struct ParamSpec {
    /// The key in a plan's `with` and in `parameters` on the wire.
    pub name: &'static str,
    /// One line: what it does.
    pub summary: &'static str,
    /// What it may be.
    pub kind: ParamKind,
    /// Whether a start without it is refused.
    pub required: bool,
    /// What it is when not given, as a plan would write it.
    pub default: Option<&'static str>,
}

/// One fault.
#[derive(Clone, Copy, Debug)]
pub struct FaultSpec {
    /// `family.what`.
    pub name: &'static str,
    /// One line: what the victim sees.
    pub summary: &'static str,
    /// How it is undone.
    pub undo: Undo,
    /// In words: what undoes it, and what to do by hand when that fails.
    pub undo_words: &'static str,
    /// What the scope must name.
    pub scope: &'static [ScopeKey],
    /// The parameters, in the order to show them.
    pub params: &'static [ParamSpec],
    /// The parameter that a ramp grows and a strength lever moves; none: on or off.
    pub strength: Option<&'static str>,
}

impl FaultSpec {
    /// Whether a parameter means something only where the target is no route: see [`ScopeKey::Traffic`].
    pub fn is_only_without_route(&self, param: &ParamSpec) -> bool {
        self.scope.contains(&ScopeKey::Traffic) && faults::WITHOUT_ROUTE.contains(&param.name)
    }
}
