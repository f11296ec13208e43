//! Open TCP connections: listed and reset through `NETLINK_SOCK_DIAG`.
//!
//! The kernel tells of each socket which cgroup it belongs to, so that only the victim's are hit. A reset one
//! fails at its process with ECONNABORTED, and its peer gets a reset. It happens once: there is nothing to undo.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket,
    sockopt,
};

/// Message types.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// Flags of a request.
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;

/// The states that have a peer and a process: established, connecting, one of the two directions closed.
const STATES: u32 = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 8;

/// Attribute of an answer: the number of the socket's cgroup.
const INET_DIAG_CGROUP_ID: u16 = 21;

/// Length of `nlmsghdr`, of `inet_diag_sockid`, of `inet_diag_msg`.
const HEADER_BYTES: usize = 16;
const ID_BYTES: usize = 48;
const ANSWER_BYTES: usize = 72;
/// Where in `inet_diag_sockid` the socket's number is.
const COOKIE_AT: usize = 40;

/// One answer of the kernel is at most this long.
const BUFFER_BYTES: usize = 64 * 1024;

/// Deepest tree of cgroups that is looked at, and the most of them.
const MAX_CGROUPS: usize = 4_096;

/// An open TCP connection.
#[derive(Clone, Debug)]
pub struct Connection {
    family: u8,
    /// `inet_diag_sockid`, which names it to the kernel.
    id: [u8; ID_BYTES],
    /// The number of its cgroup, where the kernel tells.
    cgroup: Option<u64>,
    /// The port on this end.
    pub local_port: u16,
    /// The other end's port.
    pub peer_port: u16,
    /// The other end.
    pub peer: IpAddr,
}

/// A line to the kernel, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Diag(OwnedFd);

impl Diag {
    /// Opens it.
    pub fn open() -> io::Result<Self> {
        let fd = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkSockDiag,
        )?;
        // The kernel answers at once; this only keeps a defect from hanging an injection.
        let patience = nix::sys::time::TimeVal::new(2, 0);
        setsockopt(&fd, sockopt::ReceiveTimeout, &patience)?;
        Ok(Self(fd))
    }

    /// The connections of the processes of a cgroup and those below it.
    pub fn of_cgroup(&self, cgroup: &Path) -> io::Result<Vec<Connection>> {
        let members = members(cgroup)?;
        let mut found = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            found.extend(self.list(family as u8)?);
        }
        if !found.is_empty() && found.iter().all(|it| it.cgroup.is_none()) {
            return Err(io::Error::other(
                "this kernel does not tell which cgroup a socket belongs to (Linux 5.8 and later do)",
            ));
        }
        found.retain(|it| it.cgroup.is_some_and(|cgroup| members.contains(&cgroup)));
        Ok(found)
    }

    fn list(&self, family: u8) -> io::Result<Vec<Connection>> {
        self.ask(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, family, &[0; ID_BYTES])?;
        let mut found = Vec::new();
        let mut buffer = vec![0_u8; BUFFER_BYTES];
        loop {
            let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            for (kind, body) in messages(&buffer[..length]) {
                match kind {
                    NLMSG_DONE => return Ok(found),
                    NLMSG_ERROR => error_in(body)?,
                    SOCK_DIAG_BY_FAMILY => found.extend(connection(body)),
                    _ => {}
                }
            }
        }
    }

    /// The kernel's number of the socket with these ends, which a program knows it by; none: it has ended.
    pub fn cookie(&self, local: SocketAddr, peer: SocketAddr) -> io::Result<Option<u64>> {
        let family = if local.is_ipv4() {
            libc::AF_INET
        } else {
            libc::AF_INET6
        };
        self.ask(SOCK_DIAG_BY_FAMILY, 0, family as u8, &id_of(local, peer))?;
        let mut buffer = vec![0_u8; 4096];
        let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        for (kind, body) in messages(&buffer[..length]) {
            match kind {
                SOCK_DIAG_BY_FAMILY => return Ok(connection(body).map(|it| cookie_in(&it.id))),
                NLMSG_ERROR => match error_in(body) {
                    Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
                    answered => answered?,
                },
                _ => {}
            }
        }
        Err(io::Error::other("the kernel did not say which socket it is"))
    }

    /// Resets it. `false`: it has ended meanwhile.
    pub fn reset(&self, connection: &Connection) -> io::Result<bool> {
        self.ask(SOCK_DESTROY, NLM_F_ACK, connection.family, &connection.id)?;
        let mut buffer = vec![0_u8; 4096];
        let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        for (kind, body) in messages(&buffer[..length]) {
            if kind == NLMSG_ERROR {
                return match error_in(body) {
                    Ok(()) => Ok(true),
                    Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
                    Err(error) => Err(error),
                };
            }
        }
        Err(io::Error::other("the kernel did not say what came of the reset"))
    }

    fn ask(&self, kind: u16, flags: u16, family: u8, id: &[u8; ID_BYTES]) -> io::Result<()> {
        let mut message = Vec::with_capacity(HEADER_BYTES + 8 + ID_BYTES);
        message.extend_from_slice(&((HEADER_BYTES + 8 + ID_BYTES) as u32).to_ne_bytes());
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&(NLM_F_REQUEST | flags).to_ne_bytes());
        message.extend_from_slice(&[0; 8]);
        // `inet_diag_req_v2`: family, protocol, no attribute asked for (the cgroup comes unasked), padding.
        message.extend_from_slice(&[family, libc::IPPROTO_TCP as u8, 0, 0]);
        message.extend_from_slice(&STATES.to_ne_bytes());
        message.extend_from_slice(id);
        sendto(
            self.0.as_raw_fd(),
            &message,
            &NetlinkAddr::new(0, 0),
            MsgFlags::empty(),
        )?;
        Ok(())
    }
}

/// `inet_diag_sockid` of a socket whose number is not known.
fn id_of(local: SocketAddr, peer: SocketAddr) -> [u8; ID_BYTES] {
    let mut id = [0; ID_BYTES];
    id[0..2].copy_from_slice(&local.port().to_be_bytes());
    id[2..4].copy_from_slice(&peer.port().to_be_bytes());
    for (at, address) in [(4, local.ip()), (20, peer.ip())] {
        match address {
            IpAddr::V4(it) => id[at..at + 4].copy_from_slice(&it.octets()),
            IpAddr::V6(it) => id[at..at + 16].copy_from_slice(&it.octets()),
        }
    }
    id[COOKIE_AT..].fill(0xff);
    id
}

/// The number in it: two words, the low one first.
fn cookie_in(id: &[u8; ID_BYTES]) -> u64 {
    let word = |at| u32_at(id, at).map_or(0, u64::from);
    word(COOKIE_AT) | word(COOKIE_AT + 4) << 32
}

/// Messages of a datagram: their types and bodies. What is cut is left out.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32_at(bytes, 0)? as usize;
        let kind = u16_at(bytes, 4)?;
        let body = bytes.get(HEADER_BYTES..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

fn error_in(body: &[u8]) -> io::Result<()> {
    match u32_at(body, 0).map(u32::cast_signed) {
        Some(0) => Ok(()),
        Some(number) => Err(io::Error::from_raw_os_error(-number)),
        None => Err(io::Error::other("an answer of the kernel is cut")),
    }
}

/// Reads `inet_diag_msg` and its attributes.
fn connection(body: &[u8]) -> Option<Connection> {
    let family = *body.first()?;
    let id: [u8; ID_BYTES] = body.get(4..4 + ID_BYTES)?.try_into().ok()?;
    let peer = &id[20..36];
    let peer = if i32::from(family) == libc::AF_INET {
        IpAddr::V4(Ipv4Addr::new(peer[0], peer[1], peer[2], peer[3]))
    } else {
        IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(peer).ok()?)).to_canonical()
    };
    Some(Connection {
        family,
        id,
        cgroup: cgroup_in(body.get(ANSWER_BYTES..)?),
        local_port: u16::from_be_bytes([id[0], id[1]]),
        peer_port: u16::from_be_bytes([id[2], id[3]]),
        peer,
    })
}

fn cgroup_in(mut attributes: &[u8]) -> Option<u64> {
    loop {
        let (length, kind) = (u16_at(attributes, 0)? as usize, u16_at(attributes, 2)?);
        if kind == INET_DIAG_CGROUP_ID {
            return Some(u64::from_ne_bytes(attributes.get(4..12)?.try_into().ok()?));
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The numbers of a cgroup and all below it.
fn members(cgroup: &Path) -> io::Result<HashSet<u64>> {
    let mut found = HashSet::from([std::fs::metadata(cgroup)?.ino()]);
    let mut waiting = vec![cgroup.to_owned()];
    while let Some(folder) = waiting.pop() {
        // One that ends meanwhile has no sockets any more.
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|it| it.is_dir()) && found.len() < MAX_CGROUPS {
                found.insert(entry.metadata()?.ino());
                waiting.push(entry.path());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_cut_ones_left_out() {
        let mut body = vec![0_u8; ANSWER_BYTES];
        body[0] = libc::AF_INET as u8;
        body[4..8].copy_from_slice(&[0x1f, 0x90, 0x15, 0x38]);
        body[24..28].copy_from_slice(&[10, 0, 0, 7]);
        // An attribute of five bytes, padded to eight, then the cgroup.
        body.extend_from_slice(&[5, 0, 8, 0, 1, 0, 0, 0]);
        body.extend_from_slice(&12_u16.to_ne_bytes());
        body.extend_from_slice(&INET_DIAG_CGROUP_ID.to_ne_bytes());
        body.extend_from_slice(&77_u64.to_ne_bytes());
        let mut datagram = Vec::new();
        datagram.extend_from_slice(&((HEADER_BYTES + body.len()) as u32).to_ne_bytes());
        datagram.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        datagram.extend_from_slice(&[0; 10]);
        datagram.extend_from_slice(&body);
        let all: Vec<_> = messages(&datagram).collect();
        assert_eq!(all.len(), 1);
        let it = connection(all[0].1).unwrap();
        assert_eq!((it.local_port, it.peer_port, it.cgroup), (8080, 5432, Some(77)));
        assert_eq!(it.peer, IpAddr::from([10, 0, 0, 7]));
        for cut in 0..datagram.len() {
            assert_eq!(messages(&datagram[..cut]).count(), 0, "{cut}");
        }
        for cut in 0..body.len() {
            assert!(
                connection(&body[..cut]).is_none_or(|it| it.cgroup.is_none()),
                "{cut}"
            );
        }
    }

    #[test]
    fn a_socket_is_found_by_its_ends() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = std::net::TcpListener::bind(address) else {
                continue;
            };
            let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (local, peer) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
            let diag = Diag::open().unwrap();
            let one = diag.cookie(local, peer).unwrap().expect("it is open");
            let other = diag.cookie(peer, local).unwrap().expect("it is open too");
            assert!(one != 0 && other != 0 && one != other, "{one} {other}");
            assert_eq!(diag.cookie(local, peer).unwrap(), Some(one));
            let nobody = SocketAddr::new(local.ip(), 1);
            assert_eq!(diag.cookie(nobody, peer).unwrap(), None);
        }
    }
}
