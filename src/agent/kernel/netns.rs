//! Work inside a victim's network namespace: sockets belong to the one in which they were made.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns};

use crate::targets::cgroups::Cgroup;

/// The network namespace of a cgroup's first process, as the file to enter it by; `None`: the agent's own, or
/// nobody is in the cgroup.
pub fn of(cgroup: &Cgroup) -> io::Result<Option<PathBuf>> {
    let own = std::fs::metadata("/proc/self/ns/net")?.ino();
    for pid in cgroup.processes()? {
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        match std::fs::metadata(&path) {
            Ok(found) => return Ok((found.ino() != own).then_some(path)),
            // It has ended meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Moves this thread into it, for good.
pub fn enter(namespace: &Path) -> io::Result<()> {
    let words = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!(
                "the victim's network namespace ({}) cannot be entered, which needs CAP_SYS_ADMIN: {error}",
                namespace.display()
            ),
        )
    };
    let file = std::fs::File::open(namespace).map_err(words)?;
    setns(file, CloneFlags::CLONE_NEWNET).map_err(|error| words(error.into()))
}

/// Does something inside it, on a thread that ends with that; without one, here.
pub fn inside<R: Send>(
    namespace: Option<PathBuf>,
    act: impl FnOnce() -> io::Result<R> + Send,
) -> io::Result<R> {
    let Some(namespace) = namespace else {
        return act();
    };
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, move || {
                enter(&namespace)?;
                act()
            })?
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread in the network namespace died")))
    })
}
