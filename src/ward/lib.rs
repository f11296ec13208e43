//! The agent's core as a pure state machine: epochs, the latch, leases, claims, undo records, tombstones.
//!
//! `(state, tick, event) -> (state, effects)`: no I/O, no clock, no randomness, so that the code that ships
//! is the code that the simulator crashes. The host (the agent) feeds [`Event`]s under one lock, runs the
//! [`Effect`]s in the order given, and calls back with what came of them.
//!
//! What the ward promises, whatever arrives late, twice or out of order:
//! - an epoch is dead in memory before any other consequence of an abort, a close or a lapse;
//! - no [`Effect::Apply`] or [`Effect::Adjust`] is emitted for a dead epoch or under the latch;
//! - a fault whose start or change is still running when its epoch dies is reverted as soon as that returns,
//!   and is not called `reverted` before;
//! - `reverted` is only said after a clean [`Event::ReadBack`] of a revert that began after the last word of
//!   a start or a change;
//! - a start is refused only when nothing of it is on, nor will be: whatever began is answered with its state;
//! - without a keeper nothing starts, and what needs one is reverted;
//! - a state never goes back, and every request is answered exactly once;
//! - every list has a bound ([`Limits`]).
//!
//! What it asks of the host:
//! - results name the `key` (and `attempt`) of their effect, and every effect with a result is answered;
//!   one that is not is treated as a failure after [`Limits::operation_ms`];
//! - a revert may be asked for again while an earlier one hangs: reverts are idempotent;
//! - snapshots reach the disk in the order of their [`SaveId`]s; a newer one may stand for those before it,
//!   but each is answered by [`Event::Saved`];
//! - `step` is called no later than [`Ward::next_deadline`], with [`Event::Tick`] if nothing else happened;
//! - somebody outside the process ends it when it makes no step by [`Ward::heard_by`] ([`Vigil`]), and undoes its
//!   records.
//!
//! Uses `wire`.

mod checks;
mod durable;
mod event;
mod injection;
mod keeping;
mod opening;
mod starting;
mod stopping;
mod timers;
mod vigil;
mod ward;

pub use durable::{Durable, PastAbort, UndoRecord};
pub use event::{AskId, Effect, Event, Key, Limits, Reply, SaveId};
pub use vigil::Vigil;
pub use ward::Ward;
