//! The cgroup that governs one resource of a process: of version 2, or of the controller's own hierarchy of version 1.

use std::path::{Path, PathBuf};

use firedrill_wire::Problem;

use super::cgroups::Cgroup;
use crate::faults::process::{self, not_possible};
use crate::faults::{NotHere, Process};
use crate::state::read_small;

/// Which layout a controller's files have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy for each controller.
    One,
    /// One for all.
    Two,
}

/// A controller of the kernel: its names in version 1 and in version 2.
#[derive(Clone, Copy, Debug)]
pub struct Controller {
    /// As in `/proc/PID/cgroup` and the options of the mount.
    pub one: &'static str,
    /// As in `cgroup.controllers`; `None`: every cgroup has it.
    pub two: Option<&'static str>,
}

/// Time on cores.
pub const CPU: Controller = Controller {
    one: "cpu",
    two: Some("cpu"),
};
/// Memory.
pub const MEMORY: Controller = Controller {
    one: "memory",
    two: Some("memory"),
};
/// Disks.
pub const IO: Controller = Controller {
    one: "blkio",
    two: Some("io"),
};
/// Standing still.
pub const FREEZER: Controller = Controller {
    one: "freezer",
    two: None,
};

/// One cgroup that a controller governs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Governed {
    /// Its folder.
    pub folder: PathBuf,
    /// Its path below the hierarchy's root, with a slash in front.
    pub path: String,
    /// Which files are in it.
    pub version: Version,
}

/// A hierarchy of version 1 that is mounted.
struct Hierarchy {
    folder: PathBuf,
    /// What of it is mounted there.
    root: String,
}

impl Controller {
    /// Whether any process can be governed here, and why not.
    pub fn available(&self) -> Result<(), NotHere> {
        if self.hierarchy().is_some() || self.is_in_two(super::cgroups::root().as_deref()) {
            return Ok(());
        }
        Err(NotHere {
            why: format!(
                "this kernel has no cgroup controller \"{}\", or it is not mounted",
                self.two.unwrap_or(self.one)
            ),
            remedy: "boot with cgroups of version 2 and their controllers, as systemd does; in a container mount the host's"
                .to_owned(),
        })
    }

    fn is_in_two(&self, folder: Option<&Path>) -> bool {
        let Some(folder) = folder else { return false };
        let Some(name) = self.two else { return true };
        read_small(&folder.join("cgroup.controllers"))
            .is_ok_and(|all| all.split_ascii_whitespace().any(|it| it == name))
    }

    fn hierarchy(&self) -> Option<Hierarchy> {
        let text = read_small(Path::new("/proc/self/mountinfo")).ok()?;
        text.lines().find_map(|line| {
            let (mount, file_system) = line.split_once(" - cgroup ")?;
            let options = file_system.rsplit(' ').next()?;
            let mut fields = mount.split(' ');
            let (root, folder) = (fields.nth(3)?, fields.next()?);
            options.split(',').any(|it| it == self.one).then(|| Hierarchy {
                folder: PathBuf::from(folder),
                root: root.to_owned(),
            })
        })
    }

    /// The cgroup of a process. One that holds the agent too, and the root, are refused.
    pub fn of(&self, pid: i32) -> Result<Governed, Problem> {
        let found = self.find(pid)?;
        if found.path == "/" {
            return Err(not_possible(
                format!(
                    "process {pid} is in the root of all cgroups of {}: the whole host would be hit",
                    self.one
                ),
                "run the service in a cgroup of its own, as systemd does with each",
            ));
        }
        for other in [std::process::id().cast_signed(), 1] {
            if self
                .find(other)
                .is_ok_and(|it| Path::new(&it.path).starts_with(&found.path))
            {
                return Err(not_possible(
                    format!(
                        "process {pid} is in the cgroup {} of {}, and so is {}",
                        found.path,
                        self.one,
                        if other == 1 {
                            "process 1"
                        } else {
                            "the agent itself"
                        }
                    ),
                    "run the service in a cgroup of its own, as systemd does with each",
                ));
            }
        }
        Ok(found)
    }

    fn find(&self, pid: i32) -> Result<Governed, Problem> {
        let no = |why: String| {
            not_possible(
                why,
                "run the service in a cgroup of its own, as systemd does with each",
            )
        };
        if let Some(hierarchy) = self.hierarchy() {
            let text = read_small(Path::new(&format!("/proc/{pid}/cgroup")))
                .map_err(|error| no(format!("process {pid}: {error}")))?;
            let path = path_of(&text, self.one)
                .ok_or_else(|| no(format!("process {pid} is in no cgroup of {}", self.one)))?;
            let below = path
                .strip_prefix(hierarchy.root.trim_end_matches('/'))
                .unwrap_or(path);
            return Ok(Governed {
                folder: hierarchy.folder.join(below.trim_start_matches('/')),
                path: path.to_owned(),
                version: Version::One,
            });
        }
        let cgroup = Cgroup::of(pid).map_err(|error| no(format!("process {pid}: {error}")))?;
        if !cgroup.path.is_empty() && !self.is_in_two(Some(&cgroup.folder)) {
            return Err(no(format!(
                "{cgroup} has no controller \"{}\"",
                self.two.unwrap_or_default()
            )));
        }
        Ok(Governed {
            folder: cgroup.folder,
            path: format!("/{}", cgroup.path),
            version: Version::Two,
        })
    }
}

/// The path in a line `N:one,two:/path`.
fn path_of<'a>(text: &'a str, controller: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, names, path) = (parts.next()?, parts.next()?, parts.next()?);
        names.split(',').any(|it| it == controller).then_some(path)
    })
}

impl Governed {
    /// Who is in it and below it.
    pub fn members(&self) -> Result<Vec<Process>, Problem> {
        let cgroup = Cgroup {
            folder: self.folder.clone(),
            path: self.path.trim_start_matches('/').to_owned(),
        };
        let pids = cgroup
            .processes()
            .map_err(|error| not_possible(format!("{cgroup}: {error}"), "name a process that runs"))?;
        Ok(process::known(pids))
    }

    /// A file of it, without spaces and newlines around.
    pub fn read(&self, file: &str) -> Result<String, Problem> {
        let path = self.folder.join(file);
        read_small(&path)
            .map(|text| text.trim().to_owned())
            .map_err(|error| {
                not_possible(
                    format!("{}: {error}", path.display()),
                    "run the agent as root, on a kernel with this controller",
                )
            })
    }

    /// A number in a file of lines `KEY NUMBER`.
    pub fn count(&self, file: &str, key: &str) -> Option<u64> {
        let text = self.read(file).ok()?;
        text.lines().find_map(|line| {
            let (name, number) = line.split_once(' ')?;
            (name == key).then(|| number.trim().parse().ok())?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_by_controller() {
        let text = "5:devices:/\n2:cpu,cpuacct:/a/b:c\n0::/x\n";
        assert_eq!(path_of(text, "cpu"), Some("/a/b:c"));
        assert_eq!(path_of(text, "cpuacct"), Some("/a/b:c"));
        assert_eq!(path_of(text, "memory"), None);
    }

    #[test]
    fn the_agents_own_cgroup_is_refused() {
        let own = std::process::id().cast_signed();
        for controller in [CPU, MEMORY, IO, FREEZER] {
            assert!(controller.of(own).is_err(), "{controller:?}");
        }
    }
}
