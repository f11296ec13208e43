//! A cgroup of the test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context as _;

/// Directly below the root of its hierarchy. Whoever is in it is killed, and it is removed, when this is dropped.
#[derive(Debug)]
pub struct Cgroup {
    /// Where it is.
    pub folder: PathBuf,
    /// Its path below the root.
    pub name: String,
}

impl Cgroup {
    /// In the hierarchy that has this controller, `ONE TWO`: its names in version 1 and 2. `- -`: in that of version
    /// 2, whatever controllers it has.
    pub fn new(controller: &str) -> anyhow::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::named(
            controller,
            format!("firedrill-test-{}-{number}", std::process::id()),
        )
    }

    /// The same, with a name that no other has.
    pub fn named(controller: &str, name: String) -> anyhow::Result<Self> {
        let (one, two) = controller.split_once(' ').context("two names")?;
        let mounts = fs::read_to_string("/proc/mounts")?;
        let root = mounts.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let folder = Path::new(fields.get(1)?);
            let has = match *fields.get(2)? {
                "cgroup" => fields.get(3)?.split(',').any(|it| it == one),
                "cgroup2" => fs::read_to_string(folder.join("cgroup.subtree_control"))
                    .is_ok_and(|all| two == "-" || all.split_whitespace().any(|it| it == two)),
                _ => false,
            };
            has.then(|| folder.to_owned())
        });
        let root = root.with_context(|| format!("no cgroups with {controller} are mounted"))?;
        let folder = root.join(&name);
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { folder, name })
    }

    /// Where a process writes its number to be in it.
    pub fn procs(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Of version 2; in version 1 its processes end with their handles.
        fs::write(self.folder.join("cgroup.kill"), "1").ok();
        // Gone once the last process in it is.
        for _ in 0..200 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
