//! The console's core, pure: `(state, time, event) -> (state, effects)`. No I/O, no clock, no randomness.
//!
//! The very code that ships runs under tokio (`conductor`), replays a journal (`journal`, `analysis`) and runs
//! in the `simulator`. Uses only `plan` and `wire`.
//!
//! Contract: effects are carried out in the order they are given. A [`Effect::Record`] that says `durable`
//! is on disk before the effect after it is begun. Events are journaled as they arrive, so that a journal's
//! events, stepped through a fresh [`Drill`], rebuild every state it was in.

mod event;
mod types;

pub use event::*;
pub use types::*;
