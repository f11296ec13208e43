//! What users are promised, with the real programs: one module a promise, all in one program, so that scenarios that
//! wait, and most only wait, do so at the same time.
//!
//! `cargo test --test promises aborts` runs one of them. What needs the machine to itself is a test of its own: the
//! window draws by software, `prove` keeps every processor busy, `faults` looks at how one is shared.

mod aborts;
mod alertmanager;
mod bad_input;
mod gameday;
mod guardrails;
mod held_and_broken;
mod journal;
mod left_behind;
mod library;
mod prometheus;
mod recovery;
mod rehearsal;
mod security;
mod survives;
mod watch;

use std::process::ExitCode;

use firedrill_testing::{Trial, run};

/// They mostly wait: all of them together take 52 s of processors in 100 s.
const SIDE_BY_SIDE: usize = 8;

fn main() -> ExitCode {
    // Those with the longest scenarios first, so that none runs alone at the end.
    let promises = [
        ("held_and_broken", held_and_broken::tests()),
        ("prometheus", prometheus::tests()),
        ("survives", survives::tests()),
        ("library", library::tests()),
        ("aborts", aborts::tests()),
        ("bad_input", bad_input::tests()),
        ("gameday", gameday::tests()),
        ("guardrails", guardrails::tests()),
        ("recovery", recovery::tests()),
        ("rehearsal", rehearsal::tests()),
        ("watch", watch::tests()),
        ("alertmanager", alertmanager::tests()),
        ("journal", journal::tests()),
        ("security", security::tests()),
        ("left_behind", left_behind::tests()),
    ];
    let tests = promises.into_iter().flat_map(|(promise, tests)| {
        let of_it = move |test: Trial| test.with_kind(promise);
        tests.into_iter().map(of_it)
    });
    run(SIDE_BY_SIDE, tests.collect())
}
