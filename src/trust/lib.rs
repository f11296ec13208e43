//! How a console comes to trust an agent: the fingerprint of its self-signed certificate, TLS that accepts this
//! one certificate and no other, and the join string that carries it from the agent's host to the console.
//!
//! Contract: nothing but the fingerprint decides who is believed (no certificate authority, no name, no date),
//! and the handshake's signature is always checked, so that a copied certificate without its key is worth
//! nothing. Secrets are in no `Debug` and in no error. No I/O.
//!
//! Used on both sides; uses no other room.

mod fingerprint;
mod join;
mod tls;

pub use fingerprint::Fingerprint;
pub use join::{Join, JoinError};
pub use tls::{PinnedTls, WrongPin, provider, wrong_pin};
