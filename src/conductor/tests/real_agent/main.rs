//! The conductor and the engine against a real agent.
//!
//! This program is the agent's too (`keeper`, `proxy`, …), so that its children are real.

#![cfg_attr(
    target_os = "linux",
    expect(clippy::unwrap_used, reason = "a test fails by a panic")
)]

#[cfg(target_os = "linux")]
mod asks;
#[cfg(target_os = "linux")]
mod drills;
#[cfg(target_os = "linux")]
mod gameday;
#[cfg(target_os = "linux")]
mod levers;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use libtest_mimic::{Arguments, Trial};

    let children = ["keeper", "proxy", "burn", "fill"];
    if std::env::args()
        .nth(1)
        .is_some_and(|word| children.contains(&word.as_str()))
    {
        return firedrill_agent::cli::main();
    }
    let tests = drills::TESTS.iter().chain(asks::TESTS).chain(levers::TESTS);
    let tests = tests.chain(gameday::TESTS);
    let trials = tests.map(|(name, test)| {
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

/// Agents run on Linux only; so do the tests against one.
#[cfg(not(target_os = "linux"))]
fn main() {}
