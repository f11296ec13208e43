//! The proxy with real sockets on loopback: what passes, what each rule does, and that nothing stays.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

mod changes;
mod control;
mod http;
mod http2;
mod limits;
mod rig;
mod tcp;
