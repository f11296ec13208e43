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
mod kernel;
mod kernel_names;
mod life;
mod limits;
mod loads;
mod pauses;
mod rig;
mod routes;
mod security;
mod servers;
mod steered;
mod storms;
mod told;
mod victim;
mod watch;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let subcommands = [
        "serve",
        "burn",
        "fill",
        "fill-disk",
        "push",
        "load",
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
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("victim") => {
            victim::main();
            return ExitCode::SUCCESS;
        }
        Some("told") => {
            told::main(&arguments[1..]);
            return ExitCode::SUCCESS;
        }
        _ => {}
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
        .chain(limits::TESTS)
        .chain(loads::TESTS)
        .chain(pauses::TESTS)
        .chain(hazards::TESTS)
        .chain(keeping::TESTS)
        .chain(keeper_service::TESTS)
        .chain(security::TESTS)
        .chain(storms::TESTS)
    {
        trials.push(Trial::test(*name, move || {
            test();
            Ok(())
        }));
    }
    let faults =
        firedrill_agent::faults::all(&firedrill_agent::config::SelfCommand::current(&[]).unwrap(), None);
    let required = std::env::var("FIREDRILL_REQUIRE").unwrap_or_default();
    let required = required.split(',').any(|it| it == "root");
    let mut with = |name: &str, tests: &[(&'static str, fn())]| {
        let fault = faults.iter().find(|it| it.spec().name == name).unwrap();
        let here = match name {
            // There are other ways to pause.
            "process.pause" => firedrill_agent::faults::pause_ptrace::may_trace(),
            _ => fault.available(),
        };
        let ignored = match here {
            Err(no) if !required => {
                eprintln!("tests of {name} are ignored: {}; {}", no.why, no.remedy);
                true
            }
            _ => false,
        };
        for (name, test) in tests {
            let test = *test;
            let run = move || {
                test();
                Ok(())
            };
            trials.push(Trial::test(*name, run).with_ignored_flag(ignored));
        }
    };
    with("process.pause", ends::WITH_PTRACE);
    with("process.pause", keeping::WITH_PTRACE);
    with("process.pause", pauses::WITH_PTRACE);
    with("network.refuse", kernel::WITH_BPF);
    with("dns.hijack", kernel_names::WITH_BPF);
    with("network.refuse", steered::WITH_BPF);
    // Of a file system: `mount` needs it, and nothing else here does.
    let may_mount = caps::has_cap(None, caps::CapSet::Effective, caps::Capability::CAP_SYS_ADMIN).unwrap();
    let ignored = !may_mount && !required;
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
    for (name, one, two, test) in limits::WITH_CGROUP.iter().chain(pauses::WITH_CGROUP) {
        let ignored = told::root(one, two).is_none() && !required;
        if ignored {
            eprintln!(
                "{name} is ignored: no cgroup with the controller {two} can be made here (run as root)"
            );
        }
        let run = move || {
            test();
            Ok(())
        };
        trials.push(Trial::test(*name, run).with_ignored_flag(ignored));
    }
    let mut arguments = Arguments::from_args();
    // They mostly wait, for a lease or for a process.
    arguments.test_threads.get_or_insert(8);
    libtest_mimic::run(&arguments, trials).exit_code()
}
