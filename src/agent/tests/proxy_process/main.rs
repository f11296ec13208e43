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
    let mut arguments = Arguments::from_args();
    // They mostly wait, for a lease or for a process.
    arguments.test_threads.get_or_insert(8);
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
