//! The faults on packets, in network namespaces that each test makes: two or three, joined by pairs of devices, the
//! host's own are not touched. What counts is what the victim sees.
//!
//! They need the right to make a namespace (root) and `ip` of iproute2, and count as ignored without.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod connections;
mod datagrams;
mod holder;
mod life;
mod rig;
mod through;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|it| it == holder::SUBCOMMAND) {
        holder::main();
        return ExitCode::SUCCESS;
    }
    let missing = rig::missing();
    let required = std::env::var("FIREDRILL_REQUIRE").unwrap_or_default();
    let required = required.split(',').any(|it| it == "root");
    let tests = connections::TESTS
        .iter()
        .chain(datagrams::TESTS)
        .chain(life::TESTS)
        .chain(through::TESTS);
    let trials = tests.map(|(name, test)| {
        let missing = missing.clone();
        Trial::ignorable_test(*name, move || match missing {
            Some(missing) if required => Err(Failed::from(missing)),
            Some(missing) => Ok(Completion::ignored_with(missing)),
            None => {
                rig::apart(*test);
                Ok(Completion::Completed)
            }
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
