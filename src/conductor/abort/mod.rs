//! The abort line: one OS thread with its own runtime and connections, and the card for the time without it.

mod board;
mod card;
mod line;
mod link;
mod peer;
mod resolve;

pub use board::{AgentLine, Board, Press};
pub use card::{AbortCard, CardAgent, CardError};

pub use line::{AbortHandle, AbortLine, random_id};
pub use link::AbortTarget;
pub(crate) use resolve::resolve;
