//! Others who follow a drill, from elsewhere: [`Share`] on the host, [`Follower`] on the watcher's computer.
//!
//! The host serves the journal of the drill that runs, byte for byte as it is on disk and from where a watcher left
//! off, over TLS 1.3. A watcher checks the journal's own chain and steps the records through the same code as a
//! replay does, so that there is one way from records to what is drawn. A responder is sent no record: the host makes
//! symptoms of them first (see [`Symptom`]), and only those are sent.
//!
//! Contract: the journal's file is the queue. Nothing of the drill, its journal or its abort line waits for a watcher,
//! and a watcher that is slow costs no memory: it is dropped, and comes back to where it was. ABORT of a watcher is
//! handed to the host's own abort line in the task that read it. A link carries a token and the fingerprint of a
//! certificate that is made anew for each [`Share`]; both are in memory only, compared in constant time, and in no
//! `Debug`. Everything from outside is limited in size, number and rate. What a watcher wishes has an id: sent again
//! after a lost connection it is done once.
//!
//! A thread and a runtime of its own on either side. Uses `trust`, `journal`, `analysis`, `scene` and what they show.

mod follow;
mod frames;
mod host;
mod journal_tail;
mod link;
mod reach;
mod session;
mod symptoms;
mod tokens;
mod watched;

pub use follow::Follower;
pub use host::{Desk, MAX_CONNECTIONS, Share, ShareError};
pub use link::{Link, LinkError};
pub use symptoms::Symptom;

/// The drill's own world in virtual time: agents, a source, an abort line, a journal.
#[cfg(test)]
#[expect(dead_code, reason = "the drill's tests use all of it")]
#[path = "../drill/tests/drill/world/mod.rs"]
mod world;
