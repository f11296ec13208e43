//! The proxy as a process: found, started, watched, replaced, retired; and the faults on it as the agent
//! runs them.
//!
//! This program is the proxy's too, so that the supervisor has a real executable to start.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod faults;
mod life;
mod rig;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|it| it == "proxy") {
        return firedrill_agent::cli::main();
    }
    let trials = life::TESTS.iter().chain(faults::TESTS).map(|(name, test)| {
        Trial::test(*name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
