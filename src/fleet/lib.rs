//! Drivers: one client for each kind of agent, behind one trait.
//!
//! A [`Driver`] carries out a drill's [`Call`]s and turns whatever comes back into a [`Reply`]: a decoded
//! answer, a refusal in the agent's own words, or "no answer" with what to do about it. It never repeats a call
//! by itself: that is the drill's decision. [`Gate`] is the flag that the press of ABORT closes; it is read
//! before every send of a start, a strengthening or a renewal. [`Credentials`] keeps agents' tokens in a file
//! of their own.
//!
//! Contract: every call ends within its time-out ([`time_out`]); answers are limited in size and checked for
//! their kind; tokens go to the agent's own address only, and into no error, log or debug output.
//! Off this computer an agent is spoken to over TLS only, and believed only with the certificate that it was
//! enrolled with (`trust`).
//! Uses `drill`, `plan`, `trust` and `wire`.

mod answer;
mod credentials;
mod events;
mod gate;
mod native;

use std::{future::Future, pin::Pin, time::Duration};

pub use credentials::{Access, Credentials, CredentialsError, Token, write_private};
use firedrill_drill::{Call, Failure, Reply};
use firedrill_plan::AgentEntry;
use firedrill_wire::{ActionDone, ActionRequest, InjectionView, ReleaseRequest, Released};
pub use gate::Gate;
pub use native::NativeDriver;
use tokio::sync::mpsc::Sender;

/// A boxed future, so that drivers can stand behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What speaks to one agent.
pub trait Driver: Send + Sync {
    /// Carries out a call. The reply is of the call's own kind, whatever happens.
    fn call<'a>(&'a self, call: Call, gate: &'a Gate) -> BoxFuture<'a, Reply>;

    /// Releases the agent's latch.
    fn release(&self, request: ReleaseRequest) -> BoxFuture<'_, Result<Released, Failure>>;

    /// Runs a command of the agent's own allow-list and waits for its end.
    fn act<'a>(&'a self, name: &'a str, request: ActionRequest)
    -> BoxFuture<'a, Result<ActionDone, Failure>>;

    /// Every injection the agent remembers.
    fn injections(&self) -> BoxFuture<'_, Result<Vec<InjectionView>, Failure>>;

    /// Follows what happens on the agent and tells it, for ever: reconnects, resumes, re-reads after a gap.
    /// Ends when `tell`'s receiver is gone, or when the future is dropped.
    fn watch(&self, tell: Sender<Reply>) -> BoxFuture<'_, ()>;
}

/// Why a driver cannot be made for an agent of a plan.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The address is not one.
    #[error(
        "agent {agent}: {url} is not an address of an agent: {why}; expected https://HOST:PORT, or http:// on this computer"
    )]
    Address {
        /// The agent's name in the plan.
        agent: String,
        /// As it stands there.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody said which certificate to accept.
    #[error(
        "agent {agent}: the certificate of {url} is not known, and a token is shown to nobody who is not; on its host run `firedrill-agent enroll`, then here: firedrill enroll LINE"
    )]
    NotEnrolled {
        /// The agent's name in the plan.
        agent: String,
        /// As it stands there.
        url: String,
    },
    /// The HTTP client could not be made.
    #[error("agent {agent}: the HTTP client cannot be made: {why}")]
    Client {
        /// The agent's name in the plan.
        agent: String,
        /// What it said.
        why: String,
    },
}

/// The driver for an agent of a plan.
pub fn driver(entry: &AgentEntry, access: Access) -> Result<Box<dyn Driver>, DriverError> {
    match entry.driver {
        firedrill_plan::Driver::Native => Ok(Box::new(NativeDriver::new(&entry.name, &entry.url, access)?)),
    }
}

/// How long a command may take before it counts as unanswered: the host's own limit, and the way there and back.
pub const ACTION_WITHIN: Duration = Duration::from_millis(firedrill_wire::ACTION_MS + 3_000);

/// How long a call may take before it counts as unanswered. Reverts and closes answer after the read-back.
pub fn time_out(call: &Call) -> Duration {
    match call {
        Call::Info | Call::Open(_) | Call::Renew(_) => Duration::from_secs(2),
        Call::Start(..) | Call::Change(..) => Duration::from_secs(5),
        Call::Revert(_) => Duration::from_secs(10),
        Call::Close(..) => Duration::from_secs(15),
    }
}
