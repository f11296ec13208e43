//! `disk.slow`: the victim's cgroup reads and writes a disk at a bounded speed.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, Scope};

use super::process::{self, not_possible};
use super::values::HeldValues;
use super::{Failure, Fault, Held, NotHere, Order, Prepared, ReadBack, words};
use crate::state::read_small;
use crate::targets;
use crate::targets::controllers::{Governed, IO, Version};
use crate::undo::{Change, Undo};

/// The fault.
#[derive(Debug)]
pub struct DiskSlow(pub &'static FaultSpec);

impl Fault for DiskSlow {
    fn spec(&self) -> &'static FaultSpec {
        self.0
    }

    fn available(&self) -> Result<(), NotHere> {
        IO.available()
    }

    fn prepare(&self, parameters: &Parameters, scope: &Scope) -> Result<Prepared, Problem> {
        let target = targets::process(scope)?;
        process::may_hit(&target)?;
        let disk = Disk::of(target.pid, parameters)?;
        let buffered = match disk.cgroup.version {
            Version::One => "; cgroups of version 1 do not hold back buffered writes",
            Version::Two => "",
        };
        Ok(Prepared {
            claims: vec![format!("io:{}:{}", disk.number, disk.cgroup.path)],
            hits: vec![format!(
                "cgroup {} with process {} {}: {} B/s from and {} B/s to disk {}{buffered}",
                disk.cgroup.path,
                target.pid,
                target.name,
                rate(parameters),
                rate(parameters),
                disk.number
            )],
            process: Some(target),
            members: disk.cgroup.members()?,
            needs_keeper: true,
            ..Prepared::default()
        })
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        let nothing = |problem| Failure {
            problem,
            half_applied: false,
        };
        let target = order.prepared.running().map_err(nothing)?;
        let disk = Disk::of(target.pid, order.parameters).map_err(nothing)?;
        let changes = disk.changes().map_err(nothing)?;
        let held = HeldValues::begin(order.pen, changes, &disk.values(order.parameters))?;
        let mut held = Slow {
            held,
            before: disk.moved(),
            disk: Some(disk),
        };
        let evidence = held.observe().unwrap_or_default();
        Ok((Box::new(held), evidence))
    }

    fn adopt(&self, _key: &Key, _scope: &Scope, undo: Option<&Undo>) -> Box<dyn Held> {
        Box::new(Slow {
            held: HeldValues::adopt(undo),
            disk: None,
            before: (0, 0),
        })
    }
}

fn rate(parameters: &Parameters) -> u64 {
    parameters.bandwidth("rate").unwrap_or(u64::MAX)
}

/// A disk, as a cgroup sees it.
#[derive(Debug)]
struct Disk {
    cgroup: Governed,
    /// The folder it was named by.
    folder: PathBuf,
    /// `8:0`: of the whole disk, not of a partition, which the kernel does not hold back.
    number: String,
}

impl Disk {
    fn of(pid: i32, parameters: &Parameters) -> Result<Self, Problem> {
        let folder = PathBuf::from(parameters.text("path").unwrap_or("/"));
        let number = number(&folder).map_err(|why| {
            not_possible(
                format!("path {}: {why}", folder.display()),
                "give a folder of a file system on a disk",
            )
        })?;
        Ok(Self {
            cgroup: IO.of(pid)?,
            folder,
            number,
        })
    }

    fn change(&self, file: &str, without: &str) -> Result<Change, Problem> {
        let mut change = Change {
            path: self.cgroup.folder.join(file),
            line: Some(self.number.clone()),
            ours: Vec::new(),
            before: without.to_owned(),
            of: None,
        };
        let now = change.now().map_err(|error| {
            not_possible(
                format!("{}: {error}", change.path.display()),
                "run the agent as root, on a kernel that can hold disks back (CONFIG_BLK_DEV_THROTTLING)",
            )
        })?;
        if !now.is_empty() {
            change.before = now;
        }
        Ok(change)
    }

    fn changes(&self) -> Result<Vec<Change>, Problem> {
        match self.cgroup.version {
            Version::One => Ok(vec![
                self.change("blkio.throttle.read_bps_device", "0")?,
                self.change("blkio.throttle.write_bps_device", "0")?,
            ]),
            Version::Two => Ok(vec![
                self.change("io.max", "rbps=max wbps=max riops=max wiops=max")?,
            ]),
        }
    }

    fn values(&self, parameters: &Parameters) -> Vec<String> {
        let rate = rate(parameters);
        match self.cgroup.version {
            Version::One => vec![rate.to_string(), rate.to_string()],
            Version::Two => vec![format!("rbps={rate} wbps={rate} riops=max wiops=max")],
        }
    }

    /// Bytes read and written so far, as the kernel counts them.
    fn moved(&self) -> (u64, u64) {
        match self.cgroup.version {
            Version::One => {
                let count = |key: &str| {
                    let key = format!("{} {key}", self.number);
                    let text = self.cgroup.read("blkio.throttle.io_service_bytes").ok()?;
                    let found = text.lines().find_map(|line| line.strip_prefix(&key));
                    found?.trim().parse().ok()
                };
                (count("Read").unwrap_or(0), count("Write").unwrap_or(0))
            }
            Version::Two => {
                let text = self.cgroup.read("io.stat").unwrap_or_default();
                let line = text
                    .lines()
                    .find_map(|line| line.strip_prefix(&format!("{} ", self.number)))
                    .unwrap_or_default();
                let count = |key: &str| {
                    let found = line.split(' ').find_map(|it| it.strip_prefix(key));
                    found.and_then(|it| it.parse().ok()).unwrap_or(0)
                };
                (count("rbytes="), count("wbytes="))
            }
        }
    }
}

/// The number of the whole disk that a file system is on.
fn number(folder: &Path) -> Result<String, String> {
    let device = std::fs::metadata(folder)
        .map_err(|error| error.to_string())?
        .dev();
    let number = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let of = std::fs::canonicalize(format!("/sys/dev/block/{number}"))
        .map_err(|_| format!("no disk is behind it (device {number})"))?;
    if !of.join("partition").exists() {
        return Ok(number);
    }
    let whole = of.parent().unwrap_or(&of).join("dev");
    let text = read_small(&whole).map_err(|error| format!("{}: {error}", whole.display()))?;
    Ok(text.trim().to_owned())
}

#[derive(Debug)]
struct Slow {
    held: HeldValues,
    /// `None`: another life's.
    disk: Option<Disk>,
    before: (u64, u64),
}

impl Slow {
    fn with_counts(&self, mut evidence: Evidence) -> Evidence {
        if let Some(disk) = &self.disk {
            let now = disk.moved();
            let read = now.0.saturating_sub(self.before.0) as f64;
            let written = now.1.saturating_sub(self.before.1) as f64;
            evidence.words = format!("{}; {read} bytes read and {written} written", evidence.words);
            evidence.counts.insert("bytes_read".to_owned(), read);
            evidence.counts.insert("bytes_written".to_owned(), written);
        }
        evidence
    }
}

impl Held for Slow {
    fn adjust(&mut self, parameters: &Parameters) -> Result<Evidence, Problem> {
        let Some(disk) = &self.disk else {
            return Err(not_possible(
                "it was begun by a former life of the agent",
                "start another",
            ));
        };
        if parameters.text("path").map(Path::new) != Some(&disk.folder) {
            return Err(not_possible("the path cannot change", "start another injection"));
        }
        self.held.set(&disk.values(parameters))?;
        Ok(words(format!(
            "cgroup {} gets {} B/s",
            disk.cgroup.path,
            rate(parameters)
        )))
    }

    fn revert(&mut self) -> ReadBack {
        let found = self.held.revert();
        ReadBack {
            evidence: self.with_counts(found.evidence),
            ..found
        }
    }

    fn prove(&mut self) -> (bool, Evidence) {
        self.held.prove()
    }

    fn observe(&mut self) -> Option<Evidence> {
        let disk = self.disk.as_ref()?;
        Some(self.with_counts(words(format!(
            "cgroup {} on disk {}",
            disk.cgroup.path, disk.number
        ))))
    }
}
