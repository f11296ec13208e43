//! A drill in virtual time: every way through it, and random ones.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what panics in a helper of these tests fails the test, which is what it is for"
)]

mod ends;
mod flow;
mod guardrails;
mod holding;
mod judging;
mod random;
mod replaying;
mod sealing;
mod strength;
mod surprise;
mod world;
