//! `disk.fill`: space of a file system is taken by a child process that cannot outlive the agent ([`super::child`]).
//!
//! The child allocates a file that never had a name, so that there is nothing to clean up: the kernel frees it when
//! the child is gone, whoever ends it. What a file system reserves for root is never touched.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use firedrill_catalogue::quantity::show_bytes;
use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, Scope};
use rustix::fs::{FallocateFlags, Mode, OFlags};

use super::child::{self, HeldChild, cannot};
use super::filling::{Plan, Room};
use super::process::not_possible;
use super::{Failure, Fault, Held, NotHere, Order, Prepared, ReadBack, memory_fill, words};
use crate::config::SelfCommand;
use crate::undo::Undo;

/// Stays free where the agent keeps its own state, whatever is asked for: it writes down what it does before it does
/// it.
const AGENT_NEEDS: u64 = 64 * 1024 * 1024;

/// What is allocated to see whether the file system does it.
const PROBE: u64 = 4_096;

/// File systems that hold no files of anybody: interfaces of the kernel, and `ramfs`, which has no limit. By the
/// numbers of statfs(2).
const PSEUDO: &[(i64, &str)] = &[
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x1cd1, "devpts"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0xcafe_4a11, "bpf"),
    (0x8584_58f6, "ramfs"),
];

/// Memory that looks like a disk.
const TMPFS: i64 = 0x0102_1994;

/// The fault.
#[derive(Debug)]
pub struct DiskFill {
    /// Its line in the catalogue.
    pub spec: &'static FaultSpec,
    /// How the agent's own program is started.
    pub program: SelfCommand,
}

impl Fault for DiskFill {
    fn spec(&self) -> &'static FaultSpec {
        self.spec
    }

    fn available(&self) -> Result<(), NotHere> {
        child::available(&self.program)
    }

    fn prepare(&self, parameters: &Parameters, _scope: &Scope) -> Result<Prepared, Problem> {
        let target = Target::of(parameters)?;
        let plan = target.plan(parameters, None)?;
        plan.check(&target.words(), 0)?;
        Ok(Prepared {
            claims: vec![format!("disk:{}", target.device)],
            hits: vec![plan.words(&target.words())],
            ..Prepared::default()
        })
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        let nothing = |problem| Failure {
            problem,
            half_applied: false,
        };
        let target = Target::of(order.parameters).map_err(nothing)?;
        let state = order.pen.state_folder();
        let plan = target.plan(order.parameters, Some(state)).map_err(nothing)?;
        plan.check(&target.words(), 0).map_err(nothing)?;
        let line = format!("{} {}", plan.line(), target.folder.display());
        let child = HeldChild::begin(&self.program, "fill-disk", &line, order)?;
        let mut held = Fill {
            child,
            target: Some(target),
            state: state.to_owned(),
        };
        let evidence = held.observe().unwrap_or_default();
        Ok((Box::new(held), evidence))
    }

    fn ramps_itself(&self) -> bool {
        true
    }

    fn adopt(&self, _key: &Key, _scope: &Scope, undo: Option<&Undo>) -> Box<dyn Held> {
        Box::new(Fill {
            child: HeldChild::adopt(undo),
            target: None,
            state: PathBuf::new(),
        })
    }
}

/// A file system, by a folder of it.
#[derive(Debug)]
struct Target {
    folder: PathBuf,
    device: u64,
}

impl Target {
    fn of(parameters: &Parameters) -> Result<Self, Problem> {
        let folder = PathBuf::from(parameters.text("path").unwrap_or_default());
        let no =
            |why: String, remedy: &str| not_possible(format!("path {}: {why}", folder.display()), remedy);
        let real = std::fs::canonicalize(&folder).map_err(|error| {
            no(
                error.to_string(),
                "give a folder of the file system that is to be filled",
            )
        })?;
        // What the policy of this host was asked about, and what people read, is what is filled.
        if real != folder || folder.display().to_string().contains('\n') {
            let remedy = format!("give it as {}", real.display());
            return Err(no("is not written in full".to_owned(), &remedy));
        }
        let device =
            std::fs::metadata(&folder).map_err(|error| no(error.to_string(), "look at its permissions"))?;
        if !device.is_dir() {
            return Err(no("is not a folder".to_owned(), "give the folder that it is in"));
        }
        let kind = kind(&folder).map_err(|error| no(error.to_string(), "look at its permissions"))?;
        if let Some((_, name)) = PSEUDO.iter().find(|(number, _)| *number == kind) {
            return Err(no(
                format!("is of {name}, which holds no files of programs"),
                "give a folder on a disk",
            ));
        }
        probe(&folder).map_err(|error| {
            no(
                format!("the file system does not allocate a file without a name: {error}"),
                "give a folder that the agent may write to, on ext4, xfs, btrfs or tmpfs",
            )
        })?;
        Ok(Self {
            folder,
            device: device.dev(),
        })
    }

    fn words(&self) -> String {
        format!("the file system of {}", self.folder.display())
    }

    /// `state` is the agent's own folder, where it is known.
    fn plan(&self, parameters: &Parameters, state: Option<&Path>) -> Result<Plan, Problem> {
        let room = room(&self.folder).map_err(|error| {
            not_possible(
                format!("path {}: {error}", self.folder.display()),
                "look at its permissions",
            )
        })?;
        let mut plan = Plan::new(parameters, room);
        let is_own = state
            .and_then(|state| std::fs::metadata(state).ok())
            .is_some_and(|state| state.dev() == self.device);
        if is_own {
            plan.keep_free = plan.keep_free.max(AGENT_NEEDS);
        }
        Ok(plan)
    }
}

fn kind(folder: &Path) -> io::Result<i64> {
    Ok(rustix::fs::statfs(folder)?.f_type)
}

/// What there is, and what programs without privileges can still get.
pub fn room(folder: &Path) -> io::Result<Room> {
    let of = rustix::fs::statvfs(folder)?;
    let mut room = Room {
        total: of.f_blocks.saturating_mul(of.f_frsize),
        available: of.f_bavail.saturating_mul(of.f_frsize),
    };
    if kind(folder)? == TMPFS {
        room.available = room.available.min(memory_fill::room()?.available);
    }
    Ok(room)
}

/// A file that never had a name, on the file system of this folder.
pub fn nameless(folder: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR)?.into())
}

/// Takes space for this part of the file.
pub fn allocate(file: &File, from: u64, bytes: u64) -> io::Result<()> {
    Ok(rustix::fs::fallocate(file, FallocateFlags::empty(), from, bytes)?)
}

/// Whether the file system gives space to a file without a name. Nothing is left of it.
fn probe(folder: &Path) -> io::Result<()> {
    let file = nameless(folder)?;
    allocate(&file, 0, PROBE)?;
    if file.metadata()?.blocks() == 0 {
        return Err(io::Error::other("what was allocated takes no space"));
    }
    Ok(())
}

#[derive(Debug)]
struct Fill {
    child: HeldChild,
    /// `None`: another life's.
    target: Option<Target>,
    state: PathBuf,
}

impl Fill {
    /// What the child's nameless file takes, as the file system counts it, in bytes.
    fn held(&self) -> Option<u64> {
        let (it, target) = (self.child.exactly?, self.target.as_ref()?);
        let open = std::fs::read_dir(format!("/proc/{}/fd", it.pid)).ok()?;
        let file = open
            .filter_map(|entry| std::fs::metadata(entry.ok()?.path()).ok())
            .find(|file| file.is_file() && file.dev() == target.device && file.nlink() == 0)?;
        Some(file.blocks() * 512)
    }

    /// What the file system itself says: another look than at the child.
    fn free(&self) -> Option<u64> {
        Some(room(&self.target.as_ref()?.folder).ok()?.available)
    }

    fn with_free(&self, mut evidence: Evidence) -> Evidence {
        if let Some(free) = self.free() {
            evidence.words = format!("{}; {} are free", evidence.words, show_bytes(free));
            evidence.counts.insert("free_bytes".to_owned(), free as f64);
        }
        evidence
    }
}

impl Held for Fill {
    fn adjust(&mut self, parameters: &Parameters) -> Result<Evidence, Problem> {
        let Some(target) = &self.target else {
            return Err(cannot("it was begun by a former life of the agent"));
        };
        if parameters.text("path").map(Path::new) != Some(&target.folder) {
            return Err(not_possible("the path cannot change", "start another injection"));
        }
        let plan = target.plan(parameters, Some(&self.state))?;
        plan.check(&target.words(), self.held().unwrap_or(0))?;
        self.child.order(&plan.line()).map_err(cannot)?;
        Ok(words(format!("on its way to {}", show_bytes(plan.fill))))
    }

    fn revert(&mut self) -> ReadBack {
        let found = self.child.revert();
        ReadBack {
            evidence: self.with_free(found.evidence),
            ..found
        }
    }

    fn prove(&mut self) -> (bool, Evidence) {
        let (gone, evidence) = self.child.prove();
        (gone, self.with_free(evidence))
    }

    fn observe(&mut self) -> Option<Evidence> {
        let it = self.child.exactly?;
        let Some(held) = self.held().filter(|_| it.runs()) else {
            return Some(self.with_free(words("the child has ended by itself: nothing is held")));
        };
        Some(self.with_free(Evidence {
            words: format!("process {} holds {} of disk", it.pid, show_bytes(held)),
            counts: [("held_bytes".to_owned(), held as f64)].into(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str) -> Result<Target, Problem> {
        let spec = firedrill_catalogue::find("disk.fill").unwrap();
        let given = serde_json::json!({ "path": path, "size": "1MiB" });
        Target::of(&firedrill_catalogue::check(spec, &given).unwrap())
    }

    #[test]
    fn what_is_no_disk_is_refused() {
        for (path, why) in [
            ("/proc", "is of proc"),
            ("/sys", "is of sysfs"),
            ("/no/such/folder", "No such file"),
            ("/proc/self/stat", ""),
            ("/usr/../usr", "give it as /usr"),
            ("relative", ""),
        ] {
            let problem = target(path).unwrap_err();
            let words = format!("{} {}", problem.detail, problem.remedy);
            assert!(words.contains(why), "{path}: {words}");
        }
    }

    #[test]
    fn the_agents_own_file_system_keeps_its_floor() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        let target = target(real.to_str().unwrap()).unwrap();
        let spec = firedrill_catalogue::find("disk.fill").unwrap();
        let given = serde_json::json!({ "path": real, "size": "1MiB", "keep_free": "1MiB" });
        let parameters = firedrill_catalogue::check(spec, &given).unwrap();
        assert_eq!(target.plan(&parameters, None).unwrap().keep_free, 1 << 20);
        assert_eq!(
            target.plan(&parameters, Some(&real)).unwrap().keep_free,
            AGENT_NEEDS
        );
    }
}
