//! The console's core, pure: `(state, time, event) -> (state, effects)`. No I/O, no clock, no randomness.
//!
//! The very code that ships runs under tokio (`conductor`), replays a journal (`journal`, `analysis`) and runs
//! in the `simulator`. Uses only `catalogue`, `plan` and `wire`.
//!
//! Contract: effects are carried out in the order they are given. A [`Effect::Record`] that says `durable`
//! is on disk before the effect after it is begun. Events are journaled as they arrive, so that a journal's
//! events, stepped through a fresh [`Drill`], rebuild every state it was in ([`replay()`]).
//!
//! What it promises, whatever arrives late, twice or out of order:
//! - an intent stands in front of every start and of every strengthening, and no start, strengthening, opening or
//!   renewal follows a stop, an abort or a finish;
//! - held means that everything is read back as off, and nothing is on again before a new baseline;
//! - a stop puts [`Effect::Abort`] in front of everything else of its step;
//! - an injection counts as off only by the word of the life of the agent that started it, or of a later life
//!   that names it;
//! - until its reveal a sealed drill says nothing to others but "exercise" ([`Outgoing`]);
//! - a verdict names every injection that nobody has read back, and is never `Held` with one.

mod arming;
mod closing;
mod commands;
mod event;
mod fold;
mod found;
mod guardrails;
mod hold;
mod judge;
mod machine;
mod notices;
mod outgoing;
mod preflight;
mod random;
mod replay;
mod seal;
mod steps;
mod strength;
mod surprise;
mod targets;
mod types;
mod verdict;
mod view;
mod words;

pub use event::*;
pub use fold::AbortFold;
pub use judge::BASELINE_TIMES;
pub use machine::Drill;
pub use notices::{COMMAND_MS, NOTICE_MS};
pub use outgoing::{EXERCISE, Outgoing, Redact, Redaction};
pub use replay::{ReplayError, replay};
pub use seal::{REAL_INCIDENT, Seal, is_real_incident};
pub use surprise::{MAX_SURPRISE_MS, Surprise};
pub use types::*;
pub use words::show_value;

/// Preflight ends after this long, in milliseconds, whatever has not answered.
pub const PREFLIGHT_MS: u64 = 15_000;

/// An abort test is good for this long, in milliseconds.
pub const ABORT_TEST_GOOD_MS: u64 = 60_000;

/// How long a verdict waits for the end of an abort, in milliseconds. The abort goes on after it.
pub const UNCONFIRMED_MS: u64 = 30_000;
