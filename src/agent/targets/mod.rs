//! What a scope means on this host: a process, a cgroup, a network namespace.
//!
//! Looked up when an injection is checked, and said exactly (`hits`), so that nobody learns by the effect what
//! a name meant. A name that fits several is refused with the list of them: an agent never chooses.

pub mod cgroups;
pub mod controllers;
mod listeners;

use std::path::PathBuf;

use firedrill_wire::{Problem, ProblemKind, Scope};

use crate::faults::Process;
use crate::faults::process::{self, not_possible};
use cgroups::Cgroup;

/// How many processes a refusal lists.
const SHOWN: usize = 8;

/// The one process that a scope means.
pub fn process(scope: &Scope) -> Result<Process, Problem> {
    let (what, pids) = if let Some(pid) = scope.pid {
        (format!("process {pid}"), vec![pid])
    } else if let Some(name) = &scope.process {
        (format!("name \"{name}\""), processes(|pid| is_named(pid, name))?)
    } else if let Some(part) = &scope.command {
        let found = processes(|pid| command_line(pid).contains(part.as_str()))?;
        (format!("command line with \"{part}\""), found)
    } else if let Some(port) = scope.port {
        let found = listeners::of(port, &numbers()?);
        (format!("listener on TCP port {port}"), found)
    } else if scope.cgroup.is_some() || scope.unit.is_some() || scope.container.is_some() {
        let cgroup = cgroups::named(scope)?;
        let found = cgroup
            .processes()
            .map_err(|error| not_possible(format!("{cgroup}: {error}"), "name a cgroup that is there"))?;
        (cgroup.to_string(), found)
    } else {
        return Err(not_possible(
            "no process is named",
            "give scope.pid, process, command, port, cgroup, unit or container",
        ));
    };
    let pid = only_one(&what, &pids)?;
    let found = process::stat(pid).map_err(|error| {
        not_possible(
            format!("process {pid}: {error}"),
            "give the number of a process that runs",
        )
    })?;
    Ok(Process {
        pid,
        start_time: found.start_time,
        name: found.name,
    })
}

/// The cgroup (version 2) that a scope means: itself, or the one of its process. One that holds the agent is
/// refused.
pub fn cgroup(scope: &Scope) -> Result<Cgroup, Problem> {
    let found = if scope.cgroup.is_some() || scope.unit.is_some() || scope.container.is_some() {
        cgroups::named(scope)?
    } else {
        let process = process(scope)?;
        Cgroup::of(process.pid)
            .map_err(|error| not_possible(format!("process {}: {error}", process.pid), cgroups::NEEDS))?
    };
    if let Some(why) = found.why_not() {
        return Err(Problem::new(
            ProblemKind::Policy,
            "this cgroup may not be hit",
            why,
            "give the victim a cgroup of its own: run it as a systemd unit (`systemd-run --unit=NAME …`), in a container, or write its pid to cgroup.procs of a new folder",
        ));
    }
    Ok(found)
}

/// The network namespace that a scope means, as the file to enter it by, and its words; `None`: the agent's own.
pub fn netns(scope: &Scope) -> Result<Option<(PathBuf, String)>, Problem> {
    if let Some(name) = &scope.netns {
        let is_plain = !name.is_empty() && !name.starts_with('.') && !name.contains('/');
        let path = PathBuf::from("/run/netns").join(name);
        if !is_plain || !path.exists() {
            return Err(not_possible(
                format!("there is no network namespace \"{name}\""),
                "give a name that `ip netns` lists, or a process in it",
            ));
        }
        return Ok(Some((path, format!("network namespace {name}"))));
    }
    if scope.given().iter().all(|(key, _)| !Scope::NAMES.contains(key)) {
        return Ok(None);
    }
    let process = process(scope)?;
    Ok(Some((
        PathBuf::from(format!("/proc/{}/ns/net", process.pid)),
        format!(
            "the network namespace of process {} {}",
            process.pid, process.name
        ),
    )))
}

fn numbers() -> Result<Vec<i32>, Problem> {
    process::numbers("/proc").map_err(|error| not_possible(format!("/proc: {error}"), "mount /proc"))
}

/// Every process of which this is true, but the agent itself.
fn processes(is_meant: impl Fn(i32) -> bool) -> Result<Vec<i32>, Problem> {
    let own = std::process::id().cast_signed();
    let all = numbers()?.into_iter();
    Ok(all
        .filter(|pid| *pid != own && runs(*pid) && is_meant(*pid))
        .collect())
}

/// Whether it runs, and is not the kernel's own.
fn runs(pid: i32) -> bool {
    process::stat(pid).is_ok_and(|found| found.state != 'Z' && !found.is_kernel_thread)
}

fn only_one(what: &str, pids: &[i32]) -> Result<i32, Problem> {
    match pids {
        [pid] => Ok(*pid),
        [] => Err(not_possible(
            format!("no process fits: {what}"),
            "see what runs with `ps -ef`; by name it is the name of `ps -C NAME`",
        )),
        several => {
            let shown: Vec<_> = several.iter().take(SHOWN).map(ToString::to_string).collect();
            let more = if several.len() > SHOWN { ", …" } else { "" };
            Err(not_possible(
                format!(
                    "{} processes fit: {what}: {}{more}",
                    several.len(),
                    shown.join(", ")
                ),
                "give one of them as scope.pid",
            ))
        }
    }
}

/// The command line, its arguments joined by spaces.
fn command_line(pid: i32) -> String {
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<_> = arguments
        .split(|byte| *byte == 0)
        .map(String::from_utf8_lossy)
        .collect();
    words.join(" ").trim_end().to_owned()
}

fn is_named(pid: i32, name: &str) -> bool {
    if process::stat(pid).is_ok_and(|found| found.name == name) {
        return true;
    }
    // The kernel cuts its name to 15 bytes; the first argument has all of it.
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let file = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    !file.is_empty() && file == name.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something that runs for as long as a test, and has a command line of its own.
    struct Victim(std::process::Child);

    impl Drop for Victim {
        fn drop(&mut self) {
            self.0.kill().ok();
            self.0.wait().ok();
        }
    }

    fn victim(mark: &str) -> Victim {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "echo ready; read line; exit 0", mark]);
        command.stdin(std::process::Stdio::piped());
        command.stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut byte = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut byte).unwrap();
        Victim(child)
    }

    #[test]
    fn a_process_is_found_by_its_command_line_if_it_is_the_only_one() {
        let mark = format!("firedrill-victim-{}", std::process::id());
        let by = || Scope {
            command: Some(mark.clone()),
            ..Scope::default()
        };
        assert!(process(&by()).unwrap_err().detail.contains("no process fits"));
        let first = victim(&mark);
        assert_eq!(process(&by()).unwrap().pid, first.0.id().cast_signed());
        let second = victim(&mark);
        let refusal = process(&by()).unwrap_err();
        assert!(refusal.detail.contains("2 processes fit"), "{refusal:?}");
        assert!(refusal.detail.contains(&second.0.id().to_string()), "{refusal:?}");
    }

    #[test]
    fn a_process_is_found_by_its_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let by = Scope {
            port: Some(port),
            ..Scope::default()
        };
        assert_eq!(process(&by).unwrap().pid, std::process::id().cast_signed());
        drop(listener);
        assert!(process(&by).unwrap_err().detail.contains("no process fits"));
    }

    #[test]
    fn no_process_and_no_name_are_said() {
        let missing = Scope {
            pid: Some(i32::MAX),
            ..Scope::default()
        };
        assert_eq!(process(&missing).unwrap_err().kind, ProblemKind::NotPossible);
        let unnamed = Scope {
            process: Some("no such thing, surely".into()),
            ..Scope::default()
        };
        assert!(process(&unnamed).unwrap_err().detail.contains("no process fits"));
        assert!(process(&Scope::default()).is_err());
    }

    #[test]
    fn the_agents_own_cgroup_is_refused() {
        let by = Scope {
            pid: Some(std::process::id().cast_signed()),
            ..Scope::default()
        };
        // Where there is no hierarchy of version 2, that is said instead.
        assert!(cgroup(&by).is_err());
    }

    #[test]
    fn a_namespace_is_a_plain_name_or_a_process() {
        for name in ["", "../../proc/1/ns/net", ".", "no-such-namespace"] {
            let by = Scope {
                netns: Some(name.into()),
                ..Scope::default()
            };
            assert!(netns(&by).is_err(), "{name}");
        }
        assert_eq!(netns(&Scope::default()).unwrap(), None);
        let by = Scope {
            pid: Some(std::process::id().cast_signed()),
            ..Scope::default()
        };
        assert!(netns(&by).unwrap().unwrap().0.exists());
    }
}
