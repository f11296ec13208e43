//! The agent through its doors, driven by a raw HTTP client as curl would.
//!
//! This program is the agent's too (`serve`, `burn`, `keeper`, `proxy`, `abort`, …), so that its children are real.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod client;
mod disks;
mod doors;
mod effects;
mod ends;
mod hazards;
mod keeper_service;
mod keeping;
mod life;
mod rig;
mod routes;
mod security;
mod watch;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let subcommands = [
        "serve",
        "burn",
        "fill",
        "fill-disk",
        "keeper",
        "proxy",
        "abort",
        "enroll",
        "doctor",
        "version",
    ];
    if std::env::args()
        .nth(1)
        .is_some_and(|it| subcommands.contains(&it.as_str()))
    {
        return firedrill_agent::cli::main();
    }
    let mut trials = Vec::new();
    for (name, test) in life::TESTS
        .iter()
        .chain(doors::TESTS)
        .chain(ends::TESTS)
        .chain(watch::TESTS)
        .chain(routes::TESTS)
        .chain(disks::TESTS)
        .chain(effects::TESTS)
        .chain(hazards::TESTS)
        .chain(keeping::TESTS)
        .chain(keeper_service::TESTS)
        .chain(security::TESTS)
    {
        trials.push(Trial::test(*name, move || {
            test();
            Ok(())
        }));
    }
    let ptrace =
        firedrill_agent::faults::all(&firedrill_agent::config::SelfCommand::current(&[]).unwrap(), None)
            .iter()
            .any(|fault| fault.spec().name == "process.pause" && fault.available().is_ok());
    let required = std::env::var("FIREDRILL_REQUIRE").unwrap_or_default();
    let ignored = !ptrace && !required.split(',').any(|it| it == "root");
    if ignored {
        eprintln!("tests of process.pause are ignored: this user may not ptrace (run as root)");
    }
    for (name, test) in ends::WITH_PTRACE.iter().chain(keeping::WITH_PTRACE) {
        let run = move || {
            test();
            Ok(())
        };
        trials.push(Trial::test(*name, run).with_ignored_flag(ignored));
    }
    // Of a file system: `mount` needs it, and nothing else here does.
    let may_mount = caps::has_cap(None, caps::CapSet::Effective, caps::Capability::CAP_SYS_ADMIN).unwrap();
    let ignored = !may_mount && !required.split(',').any(|it| it == "root");
    if ignored {
        eprintln!(
            "tests of disk.fill on a small disk are ignored: this user may not mount one (run as root)"
        );
    }
    for (name, test) in disks::WITH_MOUNT {
        let run = move || {
            test();
            Ok(())
        };
        trials.push(Trial::test(*name, run).with_ignored_flag(ignored));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
