//! What the faults on the network of one cgroup share: whom they hit, and how open connections are reset.

use std::io;

use firedrill_catalogue::Parameters;
use firedrill_wire::{Problem, ProblemKind, Scope};

use super::process::{self, not_possible};
use super::{Failure, Prepared};
use crate::kernel::netns;
use crate::kernel::select::Selection;
use crate::kernel::sockets::{Connection, Diag};
use crate::targets;
use crate::targets::cgroups::Cgroup;

/// The port and the peers that a fault is asked for.
pub fn selection(parameters: &Parameters) -> Result<Selection, Problem> {
    Selection::of(parameters).map_err(|why| wrong("peer", &why))
}

/// A parameter that is not as it should be.
pub fn wrong(key: &str, why: &str) -> Problem {
    Problem::new(
        ProblemKind::Parameters,
        "the parameters are not right",
        format!("parameters.{key}: {why}"),
        "see the schema of the fault in `GET /v1/agent`",
    )
}

/// Something that the kernel would not do; nothing was applied.
pub fn not_taken(error: &io::Error) -> Failure {
    Failure::nothing(not_possible(
        format!("the kernel refuses: {error}"),
        "see `firedrill-agent doctor` for what this host allows",
    ))
}

/// One claim on the scope's cgroup, and a sentence of what happens to its processes.
pub fn prepare(scope: &Scope, claim: &str, what: &str) -> Result<Prepared, Problem> {
    let cgroup = targets::cgroup(scope)?;
    let members = cgroup
        .processes()
        .map_err(|error| not_possible(format!("{cgroup}: {error}"), "name a cgroup that is there"))?;
    let members = process::known(members);
    let count = members.len();
    let processes = if count == 1 { "process" } else { "processes" };
    Ok(Prepared {
        claims: vec![format!("cgroup:/{}:{claim}", cgroup.path)],
        hits: vec![format!("{cgroup} ({count} {processes} now): {what}")],
        members,
        needs_keeper: true,
        ..Prepared::default()
    })
}

/// Resets those open connections of the cgroup's processes that are `chosen`; how many it were.
pub fn reset_all(cgroup: &Cgroup, chosen: impl Fn(&Connection) -> bool + Sync) -> Result<usize, Problem> {
    let reset = || {
        let diag = Diag::open()?;
        let mut count = 0;
        for connection in diag.of_cgroup(&cgroup.folder)?.iter().filter(|it| chosen(it)) {
            count += usize::from(diag.reset(connection)?);
        }
        Ok(count)
    };
    netns::of(cgroup)
        .and_then(|of| netns::inside(of, reset))
        .map_err(|error| {
            let remedy = match error.raw_os_error() {
                Some(libc::EOPNOTSUPP) => "a kernel with CONFIG_INET_DIAG_DESTROY",
                _ => "run the agent as root, on a kernel with CONFIG_INET_DIAG_DESTROY",
            };
            not_possible(
                format!("open connections of {cgroup} cannot be reset: {error}"),
                remedy,
            )
        })
}
