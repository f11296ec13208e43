//! Netlink as netfilter speaks it: messages, attributes, and a socket that asks and is answered.
//!
//! The kernel works a request off within the call that sends it, so its answers are in the socket's buffer when
//! that returns: nothing here waits, but [`Socket::ready`] for packets of a queue.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto, socket,
};

const NLM_F_REQUEST: u16 = 0x001;
const NLM_F_ACK: u16 = 0x004;
const NLM_F_DUMP_INTR: u16 = 0x010;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NLA_F_NESTED: u16 = 0x8000;
const NLA_TYPE_MASK: u16 = 0x3fff;

/// `NLM_F_CREATE | NLM_F_EXCL`: make it, and refuse if it is there.
pub const CREATE: u16 = 0x600;
/// `NLM_F_CREATE | NLM_F_APPEND`: behind what is there.
pub const APPEND: u16 = 0xc00;

/// A message's own header, and netfilter's behind it.
const HEADER: usize = 16;
const HEADERS: usize = HEADER + 4;

/// One datagram of answers at most: the kernel makes them of a page or two.
const MAX_DATAGRAM: usize = 64 * 1024;

/// Most datagrams of one answer.
const MAX_DATAGRAMS: usize = 1_024;

/// How often a listing that changed meanwhile is asked for again.
const MAX_LISTINGS: usize = 8;

/// A list of attributes: a kind, a length and a value each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(Vec<u8>);

impl Attributes {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more.
    pub fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend(((4 + value.len()) as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(padded(self.0.len()), 0);
        self
    }

    /// With a number as netfilter wants numbers: the greatest byte first.
    pub fn be32(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// With text, ended by a zero.
    pub fn text(self, kind: u16, text: &str) -> Self {
        let mut value = text.as_bytes().to_vec();
        value.push(0);
        self.bytes(kind, &value)
    }

    /// With a list of attributes as the value.
    pub fn nest(self, kind: u16, inner: &Self) -> Self {
        self.bytes(kind | NLA_F_NESTED, &inner.0)
    }
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// The attributes in an answer; what is cut off is left out.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(padded(length)..).unwrap_or_default();
        Some((kind & NLA_TYPE_MASK, value))
    })
}

/// The value of one attribute.
pub fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes)
        .find(|(it, _)| *it == kind)
        .map(|(_, value)| value)
}

/// A number of eight bytes in an attribute, the greatest first; 0 if it is not there.
pub fn be64(bytes: &[u8], kind: u16) -> u64 {
    let value = attribute(bytes, kind).and_then(|value| value.first_chunk());
    value.map_or(0, |value| u64::from_be_bytes(*value))
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it asks for, in words, for when it is refused.
    pub what: String,
    /// The part of netfilter that it is for.
    pub subsystem: u8,
    /// What it asks for.
    pub kind: u8,
    /// [`CREATE`], [`APPEND`] or 0.
    pub flags: u16,
    /// The family of addresses.
    pub family: u8,
    /// The queue's number; 0 elsewhere.
    pub resource: u16,
    /// The rest.
    pub attributes: Attributes,
}

impl Message {
    fn encode(&self, flags: u16, sequence: u32, out: &mut Vec<u8>) {
        let kind = u16::from(self.subsystem) << 8 | u16::from(self.kind);
        let flags = NLM_F_REQUEST | self.flags | flags;
        put(
            out,
            (kind, flags, sequence),
            (self.family, self.resource),
            &self.attributes.0,
        );
    }
}

fn put(
    out: &mut Vec<u8>,
    (kind, flags, sequence): (u16, u16, u32),
    (family, resource): (u8, u16),
    rest: &[u8],
) {
    out.extend(((HEADERS + rest.len()) as u32).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(sequence.to_ne_bytes());
    out.extend([0; 4]);
    out.extend([family, 0]);
    out.extend(resource.to_be_bytes());
    out.extend(rest);
}

/// The kernel said no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {errno}")]
pub struct Refused {
    /// To what.
    pub what: String,
    /// Why.
    pub errno: Errno,
}

impl Refused {
    fn of(what: impl Into<String>) -> impl FnOnce(Errno) -> Self {
        let what = what.into();
        move |errno| Self { what, errno }
    }
}

/// A socket to netfilter, in the network namespace of the thread that opened it. What it owns in the kernel ends
/// with it.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// Opens one.
    pub fn open() -> Result<Self, Refused> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            flags,
            SockProtocol::NetlinkNetFilter,
        )
        .map_err(Refused::of("a socket to netfilter"))?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0)).map_err(Refused::of("a socket to netfilter"))?;
        Ok(Self { fd, sequence: 0 })
    }

    /// All of them or none, in one step of the kernel's rules.
    pub fn transact(&mut self, messages: &[Message]) -> Result<(), Refused> {
        let subsystem = messages.first().map_or(0, |message| message.subsystem);
        let mut out = Vec::with_capacity(8 * 1024);
        let frame = |out: &mut Vec<u8>, kind| {
            put(out, (kind, NLM_F_REQUEST, 0), (0, u16::from(subsystem)), &[]);
        };
        frame(&mut out, BATCH_BEGIN);
        let first = self.encode(messages, &mut out);
        frame(&mut out, BATCH_END);
        self.acknowledged(messages, first, &out)
    }

    /// One request by itself.
    pub fn request(&mut self, message: &Message) -> Result<(), Refused> {
        let messages = std::slice::from_ref(message);
        let mut out = Vec::new();
        let first = self.encode(messages, &mut out);
        self.acknowledged(messages, first, &out)
    }

    /// Writes them down with numbers from the one that is returned.
    fn encode(&mut self, messages: &[Message], out: &mut Vec<u8>) -> u32 {
        let first = self.sequence + 1;
        for message in messages {
            self.sequence += 1;
            message.encode(NLM_F_ACK, self.sequence, out);
        }
        first
    }

    fn acknowledged(&mut self, messages: &[Message], first: u32, out: &[u8]) -> Result<(), Refused> {
        let whole = || messages.first().map_or("", |message| &message.what);
        self.send(out).map_err(Refused::of(whole()))?;
        let mut open = messages.len();
        let mut refused = None;
        self.answers(|answer| {
            let errno = answer.errno()?;
            let index = answer.sequence.wrapping_sub(first) as usize;
            let message = messages.get(index);
            if errno == Errno::from_raw(0) && message.is_some() {
                open -= 1;
            } else if errno != Errno::from_raw(0) && refused.is_none() {
                let what = message.map_or("the whole of it", |message| &message.what);
                refused = Some(Refused::of(what)(errno));
            }
            None::<()>
        })
        .map_err(Refused::of(whole()))?;
        match refused {
            Some(refused) => Err(refused),
            None if open > 0 => Err(Refused::of(whole())(Errno::EPROTO)),
            None => Ok(()),
        }
    }

    /// All that there is of a kind: the attributes of each.
    pub fn list(&mut self, message: &Message) -> Result<Vec<Vec<u8>>, Refused> {
        for _ in 0..MAX_LISTINGS {
            let mut out = Vec::new();
            self.sequence += 1;
            message.encode(NLM_F_DUMP, self.sequence, &mut out);
            self.send(&out).map_err(Refused::of(&*message.what))?;
            let mut found = Vec::new();
            let mut torn = false;
            let done = self
                .answers(|answer| {
                    torn |= answer.flags & NLM_F_DUMP_INTR != 0;
                    if answer.kind == NLMSG_DONE {
                        return Some(Ok(()));
                    }
                    if let Some(errno) = answer.errno() {
                        return Some(Err(errno));
                    }
                    found.push(answer.rest.get(4..).unwrap_or_default().to_vec());
                    None
                })
                .map_err(Refused::of(&*message.what))?;
            match done {
                Some(Err(errno)) => return Err(Refused::of(&*message.what)(errno)),
                Some(Ok(())) if !torn => return Ok(found),
                _ => {}
            }
        }
        Err(Refused::of(&*message.what)(Errno::EINTR))
    }

    /// What one datagram holds, if there is one: netfilter's part of each message.
    pub fn ready(&self, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
        buffer.resize(MAX_DATAGRAM, 0);
        loop {
            match recv(
                self.fd.as_raw_fd(),
                buffer,
                MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC,
            ) {
                Ok(length) => return Ok(length.min(MAX_DATAGRAM)),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Sends requests that nobody answers.
    pub fn tell(&self, messages: &[Message]) -> Result<(), Errno> {
        let mut out = Vec::with_capacity(messages.len() * 32);
        for message in messages {
            message.encode(0, 0, &mut out);
        }
        self.send(&out)
    }

    fn send(&self, out: &[u8]) -> Result<(), Errno> {
        let to_kernel = NetlinkAddr::new(0, 0);
        loop {
            match sendto(self.fd.as_raw_fd(), out, &to_kernel, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                sent => return sent.map(drop),
            }
        }
    }

    /// Reads what the kernel has answered, until `look` has seen enough or there is no more.
    fn answers<T>(&self, mut look: impl FnMut(Answer<'_>) -> Option<T>) -> Result<Option<T>, Errno> {
        let mut buffer = Vec::new();
        let mut enough = None;
        for _ in 0..MAX_DATAGRAMS {
            let length = match self.ready(&mut buffer) {
                Ok(length) => length,
                Err(Errno::EAGAIN) => return Ok(enough),
                Err(errno) => return Err(errno),
            };
            for answer in answers(buffer.get(..length).unwrap_or_default()) {
                if enough.is_none() {
                    enough = look(answer);
                }
            }
        }
        Err(Errno::EMSGSIZE)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        Self::new(Self::from(refused.errno).kind(), refused)
    }
}

/// One message from the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The subsystem and what it is.
    pub kind: u16,
    flags: u16,
    sequence: u32,
    /// Behind the message's own header.
    pub rest: &'a [u8],
}

impl Answer<'_> {
    /// What became of a request, 0 for well, if that is what it tells.
    fn errno(&self) -> Option<Errno> {
        let negative = i32::from_ne_bytes(*self.rest.first_chunk()?);
        (self.kind == NLMSG_ERROR).then(|| Errno::from_raw(negative.wrapping_neg()))
    }
}

/// The messages in one datagram; what is cut off is left out.
pub fn answers(mut bytes: &[u8]) -> impl Iterator<Item = Answer<'_>> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
        let flags = u16::from_ne_bytes(*bytes.get(6..)?.first_chunk()?);
        let sequence = u32::from_ne_bytes(*bytes.get(8..)?.first_chunk()?);
        let rest = bytes.get(HEADER..length)?;
        bytes = bytes.get(padded(length)..).unwrap_or_default();
        Some(Answer {
            kind,
            flags,
            sequence,
            rest,
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn attributes_are_padded_and_found_again() {
        let inner = Attributes::new().be32(1, 0x0102_0304);
        let list = Attributes::new().text(2, "abcd").nest(3, &inner);
        // The length is without the padding.
        assert_eq!(list.0[..12], [9, 0, 2, 0, b'a', b'b', b'c', b'd', 0, 0, 0, 0]);
        assert_eq!(list.0[12..], [12, 0, 3, 0x80, 8, 0, 1, 0, 1, 2, 3, 4]);
        let nested = attribute(&list.0, 3).unwrap();
        assert_eq!(attribute(nested, 1), Some(&[1, 2, 3, 4][..]));
        assert_eq!(attribute(&list.0, 2), Some(&b"abcd\0"[..]));
        assert_eq!(attribute(&list.0, 9), None);
    }

    #[test]
    fn a_message_has_both_headers() {
        let message = Message {
            what: String::new(),
            subsystem: 10,
            kind: 3,
            flags: CREATE,
            family: 2,
            resource: 7,
            attributes: Attributes::new().bytes(1, &[9]),
        };
        let mut out = Vec::new();
        message.encode(NLM_F_ACK, 5, &mut out);
        assert_eq!(out[..8], [28, 0, 0, 0, 3, 10, 0x05, 0x06]);
        assert_eq!(out[8..20], [5, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 7]);
        assert_eq!(out[20..], [5, 0, 1, 0, 9, 0, 0, 0]);
    }

    #[test]
    fn this_kernel_refuses_what_it_does_not_know() {
        let mut socket = Socket::open().unwrap();
        let message = Message {
            what: "a message of no kind".to_owned(),
            subsystem: 255,
            kind: 255,
            flags: 0,
            family: 0,
            resource: 0,
            attributes: Attributes::new(),
        };
        let refused = socket.request(&message).unwrap_err();
        assert!(
            refused.to_string().starts_with("a message of no kind: "),
            "{refused}"
        );
    }

    proptest! {
        #[test]
        fn whatever_arrives_is_read_within_its_bounds(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(attributes(&bytes).map(|(_, value)| value.len() + 4).sum::<usize>() <= bytes.len());
            prop_assert!(answers(&bytes).map(|answer| answer.rest.len() + HEADER).sum::<usize>() <= bytes.len());
        }
    }
}
