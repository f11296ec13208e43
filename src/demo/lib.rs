//! The order system that people rehearse on: gateway → orders → payments and inventory, four real HTTP
//! servers on loopback with `/metrics`, and customers who order at a fixed rate whatever the answers.
//!
//! It comes in two builds of behaviour, so that a drill has something to find and something to compare with:
//! [`Build::Fragile`] waits for payments without end, [`Build::Hardened`] has deadlines, retries with
//! back-off, a circuit breaker and a fallback. Which build runs is chosen at the start and never changed
//! while it runs.
//!
//! Contract: it listens on 127.0.0.1 only, on ports that the system chooses; it has a thread and a runtime of
//! its own; [`System::stop`], or dropping the [`System`], ends all of it within a second. It knows nothing of
//! faults: orders reaches payments at whatever address [`Bound::start`] is given, and it is the drill that
//! puts an agent's proxy route there. Uses no other room; its tests read the demo plan with `plan`.

mod breaker;
mod client;
mod gateway;
mod hardened;
mod inventory;
mod load;
mod metrics;
mod orders;
mod payments;
mod plan;
mod retry;
mod serve;
mod system;
mod words;

use std::io;

pub use load::LoadCounts;
pub use plan::{AGENT_NAME, BALANCER_ROUTE, EXPERIMENT_NAME, INVENTORY_ROUTE, PAYMENT_ROUTE, plan};
pub use system::{Addresses, Bound, System, Via};
pub use words::words;

/// How the order system behaves when something it needs is slow or fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Build {
    /// No deadlines, retries without end, a bounded pool of workers: slow payments make a queue.
    Fragile,
    /// Deadlines, retries with back-off and jitter, a circuit breaker, and payment later as the fallback.
    Hardened,
}

impl Build {
    /// The build of this name; the fragile one where there is none.
    pub fn of(word: &str) -> Self {
        if word == Self::Hardened.word() {
            Self::Hardened
        } else {
            Self::Fragile
        }
    }

    /// One lower-case word, for sentences and file names.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fragile => "fragile",
            Self::Hardened => "hardened",
        }
    }
}

/// Why the order system could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No port could be had for a service.
    #[error(
        "the {service} service of the demo cannot listen on 127.0.0.1: {source}. Is the loopback network there, and are file descriptors left (ulimit -n)?"
    )]
    Listen {
        /// Which service.
        service: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The demo's thread or runtime could not be made.
    #[error("the demo's threads cannot be started: {0}. Is the limit of threads or of memory reached?")]
    Threads(io::Error),
}
