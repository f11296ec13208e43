//! The agent: injects real faults on its host and always takes them back.
//!
//! It serves the protocol of `wire` over HTTP, runs the effects of `ward` (who decides everything), and
//! keeps what must outlive it in a state folder. Abort, renewal and `GET /v1/agent` are served a second
//! time by a thread, a runtime and limits of their own: whatever fills the first listener does
//! not hold an abort. Every injection has an operating system thread of its own ([`faults`]), and the disk
//! has one, so that neither a stuck fault nor a slow disk holds the revert of another. Before a fault begins, how it
//! is undone is on disk ([`undo`]), and a process of its own runs that when the agent cannot ([`keeper`]).
//!
//! Off loopback it speaks TLS alone ([`identity`]); who may do what is in [`access`] and [`policy`].
//!
//! Uses `ward`, `wire`, `trust`, `catalogue`.

mod access;
mod audit;
mod capable;
mod check;
pub mod cli;
mod clock;
mod commands;
pub mod config;
mod deadline;
mod disk;
mod doctor;
mod enroll;
mod events;
pub mod faults;
mod host;
mod http;
mod identity;
mod install;
pub mod keeper;
pub mod kernel;
mod local;
mod metrics;
mod operator;
pub mod packets;
mod policy;
mod privileges;
pub mod proxy;
pub mod server;
mod state;
pub mod targets;
pub mod undo;
mod urgency;

pub use check::schema_of;
