//! Cgroups of version 2: where the hierarchy is, which one a name means, who is in it.

use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};

use firedrill_wire::{Problem, Scope};

use crate::faults::process::not_possible;
use crate::state::read_small;

/// What to do where there is none.
pub const NEEDS: &str =
    "mount cgroups of version 2 (`mount -t cgroup2 none /sys/fs/cgroup`), as systemd does";

/// How deep below the root a unit or container is looked for, and among how many folders.
const MAX_DEPTH: usize = 8;
const MAX_FOLDERS: usize = 20_000;

/// Shorter ids of containers may mean several.
const ID_DIGITS: usize = 12;

/// A cgroup of version 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Its folder.
    pub folder: PathBuf,
    /// Its path below the hierarchy's root, without a slash in front; empty for the root.
    pub path: String,
}

impl fmt::Display for Cgroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cgroup /{}", self.path)
    }
}

impl Cgroup {
    /// The one that a process is in.
    pub fn of(pid: i32) -> io::Result<Self> {
        let text = read_small(Path::new(&format!("/proc/{pid}/cgroup")))?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
        let path = path.ok_or_else(|| io::Error::other("it is in no cgroup of version 2"))?;
        let root =
            root().ok_or_else(|| io::Error::other("no hierarchy of cgroups of version 2 is mounted"))?;
        Ok(Self {
            folder: root.join(path),
            path: path.to_owned(),
        })
    }

    /// The processes in it and below it.
    pub fn processes(&self) -> io::Result<Vec<i32>> {
        let mut found = Vec::new();
        let mut todo = vec![self.folder.clone()];
        while let Some(folder) = todo.pop() {
            let text = read_small(&folder.join("cgroup.procs"))?;
            found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
            todo.extend(children(&folder));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Why this one must not be hit, whoever asks: it is the root, or holds the agent or process 1.
    pub fn why_not(&self) -> Option<String> {
        if self.path.is_empty() {
            return Some("it is the root of all cgroups: every process of the host is in it".to_owned());
        }
        let holds = |pid| Self::of(pid).is_ok_and(|other| Path::new(&other.path).starts_with(&self.path));
        if holds(std::process::id().cast_signed()) {
            return Some(format!("{self} holds the agent itself"));
        }
        holds(1).then(|| format!("{self} holds process 1"))
    }
}

/// Where the hierarchy is mounted.
pub fn root() -> Option<PathBuf> {
    let text = read_small(Path::new("/proc/self/mountinfo")).ok()?;
    mounted_at(&text)
}

/// proc(5), `mountinfo`: the fifth field is where, the one behind ` - ` is what.
fn mounted_at(mountinfo: &str) -> Option<PathBuf> {
    let of_line = |line: &str| {
        let (head, tail) = line.split_once(" - ")?;
        let kind = tail.split_ascii_whitespace().next()?;
        (kind == "cgroup2").then_some(())?;
        head.split_ascii_whitespace().nth(4).map(PathBuf::from)
    };
    mountinfo.lines().find_map(of_line)
}

/// The one that `cgroup`, `unit` or `container` of a scope means.
pub fn named(scope: &Scope) -> Result<Cgroup, Problem> {
    let root =
        root().ok_or_else(|| not_possible("no hierarchy of cgroups of version 2 is mounted", NEEDS))?;
    if let Some(path) = &scope.cgroup {
        return by_path(&root, path);
    }
    if let Some(unit) = &scope.unit {
        let name = if unit.contains('.') {
            unit.clone()
        } else {
            format!("{unit}.service")
        };
        let found = search(&root, &|folder| folder == name);
        return only_one(&root, &format!("unit {name}"), found);
    }
    let id = scope.container.as_deref().unwrap_or_default();
    if id.len() < ID_DIGITS || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(not_possible(
            format!("container \"{id}\" is no id"),
            format!("give its first {ID_DIGITS} digits or more, as `docker ps` or `crictl ps` shows them"),
        ));
    }
    let found = search(&root, &|folder| is_container(folder, id));
    only_one(&root, &format!("container {id}"), found)
}

/// Engines name the folder of a container by its id alone, or as `docker-ID.scope`; the one of its watcher
/// has `conmon` in it.
fn is_container(folder: &str, id: &str) -> bool {
    let bare = folder.strip_suffix(".scope").unwrap_or(folder);
    let bare = bare.rsplit(['-', ':']).next().unwrap_or(bare);
    bare.starts_with(id) && !folder.contains("conmon")
}

fn by_path(root: &Path, path: &str) -> Result<Cgroup, Problem> {
    let inside = Path::new(path.trim_start_matches('/'));
    let is_plain = inside
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let folder = root.join(inside);
    if !is_plain || !folder.join("cgroup.procs").exists() {
        return Err(not_possible(
            format!("there is no cgroup \"{path}\" below {}", root.display()),
            "give its path below that folder, as in /proc/PID/cgroup behind `0::/`",
        ));
    }
    Ok(Cgroup {
        folder,
        path: inside.to_string_lossy().trim_end_matches('/').to_owned(),
    })
}

/// Every folder of such a name; not what is below one.
fn search(root: &Path, is_meant: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![(root.to_owned(), 0)];
    let mut seen = 0;
    while let Some((folder, depth)) = todo.pop() {
        for child in children(&folder) {
            seen += 1;
            let name = child
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            if is_meant(name) {
                found.push(child);
            } else if depth < MAX_DEPTH && seen < MAX_FOLDERS {
                todo.push((child, depth + 1));
            }
        }
    }
    found
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

fn only_one(root: &Path, what: &str, found: Vec<PathBuf>) -> Result<Cgroup, Problem> {
    let path = |folder: &Path| {
        let inside = folder.strip_prefix(root).unwrap_or(folder);
        inside.to_string_lossy().into_owned()
    };
    match &found[..] {
        [folder] => Ok(Cgroup {
            path: path(folder),
            folder: folder.clone(),
        }),
        [] => Err(not_possible(
            format!("no cgroup below {} is of {what}", root.display()),
            "see what there is with `systemd-cgls`, or give scope.cgroup",
        )),
        several => {
            let shown: Vec<_> = several.iter().take(8).map(|it| path(it)).collect();
            Err(not_possible(
                format!("{} cgroups are of {what}: {}", several.len(), shown.join(", ")),
                "give one of them as scope.cgroup",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hierarchy_is_found_wherever_it_is_mounted() {
        let hybrid = "24 1 0:5 / /proc rw - proc proc rw\n30 24 0:26 / /sys/fs/cgroup/memory rw - cgroup none rw,memory\n31 24 0:27 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 none rw\n";
        assert_eq!(mounted_at(hybrid), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(mounted_at("24 1 0:5 / /proc rw - proc proc rw\n"), None);
    }

    #[test]
    fn folders_are_named_by_engines() {
        let id = "3f4e1a2b5c6d7788";
        for folder in [
            "3f4e1a2b5c6d7788",
            "docker-3f4e1a2b5c6d7788.scope",
            "cri-containerd-3f4e1a2b5c6d7788.scope",
            "kubepods-besteffort-pod1.slice:cri-containerd:3f4e1a2b5c6d7788",
        ] {
            assert!(is_container(folder, id), "{folder}");
            assert!(is_container(folder, &id[..12]), "{folder}");
        }
        assert!(!is_container("libpod-conmon-3f4e1a2b5c6d7788.scope", id));
        assert!(!is_container("docker-aaaa1a2b5c6d7788.scope", id));
    }

    #[test]
    fn units_containers_and_paths_are_looked_for_below_the_root() {
        let root = tempfile::tempdir().unwrap();
        for path in [
            "a.slice/web.service",
            "a.slice/web.service/web.service",
            "b.slice/other.service",
        ] {
            let folder = root.path().join(path);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("cgroup.procs"), "1\n").unwrap();
        }
        let found = search(root.path(), &|name| name == "web.service");
        let found = only_one(root.path(), "unit web.service", found).unwrap();
        assert_eq!(found.path, "a.slice/web.service");
        assert_eq!(by_path(root.path(), "/a.slice/web.service/").unwrap(), found);
        assert!(only_one(root.path(), "x", search(root.path(), &|_| true)).is_err());
        for outside in ["../x", "a.slice/../../x", "nothing.service"] {
            assert!(by_path(root.path(), outside).is_err(), "{outside}");
        }
    }
}
