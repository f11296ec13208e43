//! A queue of netfilter: packets wait in the kernel until this process has judged each. It ends with its socket, and
//! rules with the flag `bypass` then let their packets pass.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;

use super::netlink::{Attributes, Message, Refused, Socket, answers, attribute};

const SUBSYSTEM: u8 = 3;
const PACKET: u16 = (SUBSYSTEM as u16) << 8;
const VERDICT: u8 = 1;
const CONFIG: u8 = 2;

const CONFIG_COMMAND: u16 = 1;
const CONFIG_COPY: u16 = 2;
const CONFIG_MAX_LENGTH: u16 = 3;
const CONFIG_MASK: u16 = 4;
const CONFIG_FLAGS: u16 = 5;
const BIND: u8 = 1;
const UNBIND: u8 = 2;
const COPY_PACKET: u8 = 2;
/// A full queue lets packets pass.
const FAIL_OPEN: u32 = 1;
/// Large packets come as they are, and are not cut up before.
const WHOLE: u32 = 4;

const PACKET_HEADER: u16 = 1;
const VERDICT_HEADER: u16 = 2;
const PAYLOAD: u16 = 10;
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;

/// Enough for the headers that tell flows apart.
const COPY_BYTES: u32 = 64;

/// Most packets that wait at once; the kernel lets more pass undelayed.
pub const MAX_WAITING: u32 = 16_384;

/// What the kernel may keep of packets that were not read yet: some thousands.
const BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// Numbers to try, away from the small ones that people give by hand.
const FIRST: u16 = 61_440;
const LAST: u16 = 65_534;

/// One that this process holds.
#[derive(Debug)]
pub struct Queue {
    socket: Socket,
    /// Its number in this network namespace.
    pub number: u16,
}

/// A packet that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting<'a> {
    /// The kernel's number for it.
    pub id: u32,
    /// At which hook.
    pub hook: u8,
    /// Its first bytes, from the header of IP.
    pub head: &'a [u8],
}

impl Queue {
    /// Takes a free number. Until it is [opened](Self::open) nothing that comes is kept: a packet that a rule sends
    /// here ends, and its sender is not told, as on a network that loses it.
    pub fn hold() -> Result<Self, Refused> {
        let mut socket = Socket::open()?;
        let mut refused = Refused {
            what: format!("a queue between {FIRST} and {LAST}"),
            errno: Errno::EBUSY,
        };
        for number in FIRST..=LAST {
            let bind = Attributes::new().bytes(CONFIG_COMMAND, &[BIND, 0, 0, 0]);
            match socket.request(&config(number, "the queue", bind)) {
                Ok(()) => return Ok(Self { socket, number }),
                // Said of one that another holds, too.
                Err(why) if why.errno == Errno::EPERM && is_held(number) => {}
                Err(why) if why.errno == Errno::EBUSY => {}
                Err(why) => {
                    refused = why;
                    break;
                }
            }
        }
        Err(refused)
    }

    /// From now on packets that come are kept, until they are accepted.
    pub fn open(&mut self) -> Result<(), Refused> {
        // Where it may not be so large, a burst that does not fit passes undelayed.
        setsockopt(&self.socket, RcvBufForce, &BUFFER_BYTES).ok();
        let flags = (FAIL_OPEN | WHOLE).to_be_bytes();
        let flags = Attributes::new()
            .bytes(CONFIG_MASK, &flags)
            .bytes(CONFIG_FLAGS, &flags);
        let attributes = flags.be32(CONFIG_MAX_LENGTH, MAX_WAITING);
        self.socket
            .request(&config(self.number, "its flags and its length", attributes))?;
        let mut copy = COPY_BYTES.to_be_bytes().to_vec();
        copy.push(COPY_PACKET);
        let attributes = Attributes::new().bytes(CONFIG_COPY, &copy);
        self.socket
            .request(&config(self.number, "what it tells", attributes))
    }

    /// Hands over the packets of one datagram, if one is there.
    pub fn take(&self, buffer: &mut Vec<u8>, mut each: impl FnMut(Waiting<'_>)) -> Result<(), Errno> {
        let length = self.socket.ready(buffer)?;
        for answer in answers(buffer.get(..length).unwrap_or_default()) {
            let rest = answer.rest.get(4..).unwrap_or_default();
            let header = attribute(rest, PACKET_HEADER).unwrap_or_default();
            if answer.kind == PACKET
                && let Some(id) = header.first_chunk()
            {
                each(Waiting {
                    id: u32::from_be_bytes(*id),
                    hook: header.get(6).copied().unwrap_or_default(),
                    head: attribute(rest, PAYLOAD).unwrap_or_default(),
                });
            }
        }
        Ok(())
    }

    /// They go on their way.
    pub fn accept(&self, ids: &[u32]) -> Result<(), Errno> {
        self.judge(ids, NF_ACCEPT)
    }

    /// They end here; nobody is told.
    pub fn lose(&self, ids: &[u32]) -> Result<(), Errno> {
        self.judge(ids, NF_DROP)
    }

    fn judge(&self, ids: &[u32], verdict: u32) -> Result<(), Errno> {
        let verdicts: Vec<_> = ids
            .iter()
            .map(|id| {
                let verdict = u64::from(verdict) << 32 | u64::from(*id);
                Message {
                    what: String::new(),
                    subsystem: SUBSYSTEM,
                    kind: VERDICT,
                    flags: 0,
                    family: 0,
                    resource: self.number,
                    attributes: Attributes::new().bytes(VERDICT_HEADER, &verdict.to_be_bytes()),
                }
            })
            .collect();
        self.socket.tell(&verdicts)
    }
}

impl Drop for Queue {
    /// Said, and not only closed: a program that is just being started has a copy of the socket for a moment, and the
    /// queue would be held as long.
    fn drop(&mut self) {
        let unbind = Attributes::new().bytes(CONFIG_COMMAND, &[UNBIND, 0, 0, 0]);
        self.socket.tell(&[config(self.number, "its end", unbind)]).ok();
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn config(number: u16, what: &str, attributes: Attributes) -> Message {
    Message {
        what: format!("queue {number}: {what}"),
        subsystem: SUBSYSTEM,
        kind: CONFIG,
        flags: 0,
        family: 0,
        resource: number,
        attributes,
    }
}

fn is_held(number: u16) -> bool {
    numbers().is_ok_and(|numbers| numbers.contains(&number))
}

/// The numbers of all queues in this thread's network namespace, as the kernel lists them for people.
pub fn numbers() -> std::io::Result<Vec<u16>> {
    match std::fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_queue") {
        Ok(text) => Ok(text
            .lines()
            .filter_map(|line| line.split_ascii_whitespace().next()?.parse().ok())
            .collect()),
        // No queue was ever asked for.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
