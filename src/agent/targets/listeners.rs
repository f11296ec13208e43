//! Who listens on a TCP port, as `/proc` tells (proc(5), `/proc/net/tcp`).

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader};

/// State `LISTEN` in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Lines read of one table: more sockets than that no host has that a person drills on.
const MAX_LINES: usize = 1_000_000;

/// The processes that hold a socket which listens on this port, each in its own network namespace.
pub fn of(port: u16, pids: &[i32]) -> Vec<i32> {
    let mut namespaces = HashSet::new();
    let mut inodes = HashSet::new();
    for pid in pids {
        let Ok(namespace) = std::fs::read_link(format!("/proc/{pid}/ns/net")) else {
            continue;
        };
        if namespaces.insert(namespace) {
            for table in ["tcp", "tcp6"] {
                inodes.extend(listening(&format!("/proc/{pid}/net/{table}"), port));
            }
        }
    }
    if inodes.is_empty() {
        return Vec::new();
    }
    let holds = |pid: &&i32| sockets(**pid).any(|inode| inodes.contains(&inode));
    pids.iter().filter(holds).copied().collect()
}

/// The inodes of the sockets in a table that listen on this port.
fn listening(table: &str, port: u16) -> Vec<u64> {
    let Ok(file) = File::open(table) else {
        return Vec::new();
    };
    let lines = BufReader::new(file).lines().map_while(Result::ok).take(MAX_LINES);
    lines.filter_map(|line| listener(&line, port)).collect()
}

fn listener(line: &str, port: u16) -> Option<u64> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (_, local) = fields.get(1)?.rsplit_once(':')?;
    let is_it = u16::from_str_radix(local, 16).ok()? == port && *fields.get(3)? == LISTEN;
    is_it.then_some(())?;
    fields.get(9)?.parse().ok()
}

/// The inodes of a process' sockets.
fn sockets(pid: i32) -> impl Iterator<Item = u64> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    files.filter_map(|file| {
        let target = std::fs::read_link(file.ok()?.path()).ok()?;
        let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        inode.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::listener;

    #[test]
    fn a_line_tells_its_listener() {
        let line = "   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0";
        assert_eq!(listener(line, 8080), Some(4711));
        assert_eq!(listener(line, 8081), None);
        let connected = line.replace(" 0A ", " 01 ");
        assert_eq!(listener(&connected, 8080), None);
        let six = line.replace("0100007F:1F90", "00000000000000000000000001000000:1F90");
        assert_eq!(listener(&six, 8080), Some(4711));
        for torn in ["", "  sl  local_address rem_address   st", "1: x:1F90 y 0A"] {
            assert_eq!(listener(torn, 8080), None);
        }
    }
}
