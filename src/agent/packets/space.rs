//! Network namespaces: which one this thread is in, and what the agent has in its own.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;

use firedrill_wire::{Problem, Scope};
use nix::sched::{CloneFlags, setns};

use crate::faults::process::not_possible;
use crate::targets;

/// `0A` in the kernel's tables of TCP.
const LISTENS: &str = "0A";

/// A network namespace.
#[derive(Debug)]
pub struct Space {
    /// By which it is entered; `None`: this thread is in it.
    file: Option<File>,
    /// Its number, as `ip netns` and `lsns` know it.
    pub number: u64,
    /// Which it is, in words.
    pub words: String,
}

impl Space {
    /// The one that a scope means.
    pub fn of(scope: &Scope) -> Result<Self, Problem> {
        let Some((path, words)) = targets::netns(scope)? else {
            let number = number("/proc/thread-self/ns/net")
                .map_err(|error| cannot_see("its own network namespace", &error))?;
            return Ok(Self {
                file: None,
                number,
                words: "the agent's own network namespace".to_owned(),
            });
        };
        let file = File::open(path).map_err(|error| cannot_see(&words, &error))?;
        let number = file.metadata().map_err(|error| cannot_see(&words, &error))?.ino();
        Ok(Self {
            file: Some(file),
            number,
            words,
        })
    }

    /// Whether the agent itself serves in it.
    pub fn is_own(&self) -> bool {
        number("/proc/self/ns/net").is_ok_and(|own| own == self.number)
    }

    /// Takes this thread there for the rest of its life.
    pub fn enter(&self) -> Result<(), Problem> {
        let Some(file) = &self.file else { return Ok(()) };
        setns(file, CloneFlags::CLONE_NEWNET).map_err(|errno| {
            not_possible(
                format!("{} cannot be entered: {errno}", self.words),
                "run the agent as root or with CAP_SYS_ADMIN",
            )
        })
    }
}

fn cannot_see(words: &str, error: &std::io::Error) -> Problem {
    not_possible(
        format!("the agent cannot see {words}: {error}"),
        "run the agent as root or with CAP_SYS_PTRACE and CAP_SYS_ADMIN",
    )
}

fn number(path: &str) -> std::io::Result<u64> {
    std::fs::metadata(path).map(|namespace| namespace.ino())
}

/// The TCP ports that this process listens on, in the agent's own network namespace.
pub fn own_ports() -> Vec<u16> {
    let sockets = own_sockets();
    let mut ports = BTreeSet::new();
    for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        // Without IPv6 there is no table of it.
        if let Ok(file) = File::open(table) {
            let lines = BufReader::new(file).lines().map_while(Result::ok);
            ports.extend(
                listeners(lines)
                    .filter(|it| sockets.contains(&it.1))
                    .map(|it| it.0),
            );
        }
    }
    ports.into_iter().collect()
}

/// The ports and the inodes of the sockets that listen. They come first; connections, of which there may be very
/// many, are not read.
fn listeners(lines: impl Iterator<Item = String>) -> impl Iterator<Item = (u16, u64)> {
    lines.skip(1).map_while(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (_, port) = fields.nth(1)?.rsplit_once(':')?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?.parse().ok()?;
        (state == LISTENS).then_some((u16::from_str_radix(port, 16).ok()?, inode))
    })
}

fn own_sockets() -> BTreeSet<u64> {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else {
        return BTreeSet::new();
    };
    let inode = |entry: std::io::Result<std::fs::DirEntry>| {
        let target = std::fs::read_link(entry.ok()?.path()).ok()?;
        let name = target.to_str()?;
        name.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    open.filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_ports_of_this_process_are_found() {
        let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = v4.local_addr().unwrap().port();
        assert!(own_ports().contains(&port));
        drop(v4);
        assert!(!own_ports().contains(&port));
        let own = Space::of(&Scope::default()).unwrap();
        assert!(own.is_own() && own.number > 0);
    }

    #[test]
    fn a_line_of_the_kernels_table_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1D07 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100\n\
             1: 0100007F:1D08 0100007F:0001 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100\n";
        let found: Vec<_> = listeners(table.lines().map(str::to_owned)).collect();
        assert_eq!(found, [(7431, 4711)]);
    }
}
