//! The calls of bpf(2) that the programs here need: the only place in this room with `unsafe`.
//!
//! Nothing is pinned and nothing is attached in the old way: a program runs as long as the link of its attachment
//! is open in this process, and not an instant longer, however the process ends. Every handle is an [`OwnedFd`].

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};

use super::asm::Code;

/// Longest report of the verifier, in bytes; the end of it tells why.
const LOG_BYTES: usize = 64 * 1024;

/// Of that so much is repeated in an error.
const LOG_SHOWN: usize = 600;

/// Most programs that run at one hook of a cgroup and are told of; the kernel takes 64 on each cgroup of the line.
const MAX_PROGRAMS: usize = 256;

/// Commands of bpf(2).
#[derive(Clone, Copy)]
enum Call {
    MapCreate = 0,
    MapLookup = 1,
    MapUpdate = 2,
    ProgLoad = 5,
    InfoByFd = 15,
    ProgQuery = 16,
    LinkCreate = 28,
    LinkDetach = 34,
}

/// Where in a cgroup a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// A packet arrives at a socket.
    Ingress = 0,
    /// A packet leaves a socket.
    Egress = 1,
    /// connect(2) to an IPv4 address.
    Connect4 = 10,
    /// connect(2) to an IPv6 address, IPv4 in IPv6 included.
    Connect6 = 11,
    /// A datagram to an IPv4 address.
    SendMsg4 = 14,
    /// A datagram to an IPv6 address.
    SendMsg6 = 15,
    /// The sender of a datagram is told, IPv4.
    RecvMsg4 = 19,
    /// The sender of a datagram is told, IPv6.
    RecvMsg6 = 20,
    /// getpeername(2), IPv4.
    PeerName4 = 29,
    /// getpeername(2), IPv6.
    PeerName6 = 30,
}

impl Hook {
    /// Whether a program there tells a process the addresses of its own asking, in place of the responder's.
    pub fn puts_back(self) -> bool {
        matches!(
            self,
            Self::RecvMsg4 | Self::RecvMsg6 | Self::PeerName4 | Self::PeerName6
        )
    }

    /// The kind of program that runs there.
    fn program_type(self) -> u32 {
        const CGROUP_SKB: u32 = 8;
        const CGROUP_SOCK_ADDR: u32 = 18;
        match self {
            Self::Ingress | Self::Egress => CGROUP_SKB,
            _ => CGROUP_SOCK_ADDR,
        }
    }
}

/// The arguments of a call, each at its place in the kernel's `union bpf_attr`.
struct Attributes([u64; 18]);

impl Attributes {
    const BYTES: usize = 144;

    fn new() -> Self {
        Self([0; 18])
    }

    fn u32(mut self, offset: usize, value: u32) -> Self {
        let mut halves = split(self.0[offset / 8]);
        halves[offset % 8 / 4] = value;
        self.0[offset / 8] = join(halves);
        self
    }

    fn fd(self, offset: usize, fd: impl AsFd) -> Self {
        self.u32(offset, fd.as_fd().as_raw_fd().cast_unsigned())
    }

    fn pointer<T: ?Sized>(mut self, offset: usize, to: *const T) -> Self {
        self.0[offset / 8] = to.cast::<u8>() as u64;
        self
    }

    fn get_u32(&self, offset: usize) -> u32 {
        split(self.0[offset / 8])[offset % 8 / 4]
    }
}

fn split(word: u64) -> [u32; 2] {
    let b = word.to_ne_bytes();
    [
        u32::from_ne_bytes([b[0], b[1], b[2], b[3]]),
        u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
    ]
}

fn join(halves: [u32; 2]) -> u64 {
    let [a, b] = halves.map(u32::to_ne_bytes);
    u64::from_ne_bytes([a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]])
}

/// Every pointer in `attributes` must be to memory that the call may use as the kernel's documentation says.
#[expect(
    unsafe_code,
    reason = "bpf(2) has no wrapper in the libraries used; see the functions that call this for each pointer"
)]
fn bpf(call: Call, attributes: &mut Attributes) -> io::Result<i64> {
    // SAFETY: `attributes` is larger than what this kernel or an older one reads, all else in it is zero, and the
    // callers below put only pointers to buffers into it that live longer than the call and are as long as they say.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            call as libc::c_int,
            attributes.0.as_mut_ptr(),
            Attributes::BYTES,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

/// The same for calls that return a file descriptor.
fn bpf_fd(call: Call, attributes: &mut Attributes) -> io::Result<OwnedFd> {
    let fd = bpf(call, attributes)?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    #[expect(
        unsafe_code,
        reason = "the kernel has just made this descriptor for this call"
    )]
    // SAFETY: it is new and nobody else has it.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok(owned)
}

/// A map of one value: some numbers that programs and the agent share.
#[derive(Debug)]
pub struct Cells {
    fd: OwnedFd,
    count: usize,
}

impl Cells {
    /// `count` numbers, all 0.
    pub fn new(count: usize) -> io::Result<Self> {
        const ARRAY: u32 = 2;
        let mut attributes = Attributes::new()
            .u32(0, ARRAY)
            .u32(4, 4)
            .u32(8, (count * 8) as u32)
            .u32(12, 1);
        let fd = bpf_fd(Call::MapCreate, &mut attributes)?;
        Ok(Self { fd, count })
    }

    /// What they are now. A number that a program adds to meanwhile is the one before or after.
    pub fn read(&self) -> io::Result<Vec<u64>> {
        let key = 0_u32;
        let mut values = vec![0_u64; self.count];
        // The kernel writes `count` numbers, as many as the map's value has.
        let mut attributes = Attributes::new()
            .fd(0, &self.fd)
            .pointer(8, &raw const key)
            .pointer(16, values.as_mut_ptr());
        bpf(Call::MapLookup, &mut attributes)?;
        Ok(values)
    }

    /// Sets all of them; missing ones become 0.
    pub fn write(&self, numbers: &[u64]) -> io::Result<()> {
        let key = 0_u32;
        let mut values = vec![0_u64; self.count];
        for (value, number) in values.iter_mut().zip(numbers) {
            *value = *number;
        }
        let mut attributes = Attributes::new()
            .fd(0, &self.fd)
            .pointer(8, &raw const key)
            .pointer(16, values.as_ptr());
        bpf(Call::MapUpdate, &mut attributes)?;
        Ok(())
    }

    /// For the assembler.
    pub fn fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}

/// A map from a socket's number to some words of eight bytes; it forgets the oldest.
#[derive(Debug)]
pub struct PerSocket<const WORDS: usize>(OwnedFd);

impl<const WORDS: usize> PerSocket<WORDS> {
    /// For so many sockets.
    pub fn new(sockets: u32) -> io::Result<Self> {
        const LRU_HASH: u32 = 9;
        let mut attributes = Attributes::new()
            .u32(0, LRU_HASH)
            .u32(4, 8)
            .u32(8, (WORDS * 8) as u32)
            .u32(12, sockets);
        bpf_fd(Call::MapCreate, &mut attributes).map(Self)
    }

    /// What is kept of a socket.
    pub fn get(&self, socket: u64) -> io::Result<Option<[u64; WORDS]>> {
        let mut words = [0_u64; WORDS];
        // The kernel reads one number and writes a value, as many words as the map was made for.
        let mut attributes = Attributes::new()
            .fd(0, &self.0)
            .pointer(8, &raw const socket)
            .pointer(16, words.as_mut_ptr());
        match bpf(Call::MapLookup, &mut attributes) {
            Ok(_) => Ok(Some(words)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// For the assembler.
    pub fn fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

/// A program in the kernel. It runs nowhere yet.
#[derive(Debug)]
pub struct Program {
    fd: OwnedFd,
    hook: Hook,
    id: u32,
}

impl Program {
    /// Has the verifier look at it. An error repeats the end of what the verifier says.
    pub fn load(hook: Hook, name: &str, code: &Code) -> io::Result<Self> {
        let words = code.words();
        let attributes = || {
            let attributes = Attributes::new()
                .u32(0, hook.program_type())
                .u32(4, words.len() as u32)
                .pointer(8, words.as_ptr())
                .pointer(16, c"GPL".as_ptr())
                .u32(68, hook as u32);
            named(attributes, 48, name)
        };
        let fd = match bpf_fd(Call::ProgLoad, &mut attributes()) {
            Ok(fd) => fd,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied || is_refused(&error) => {
                return Err(explained(attributes(), error));
            }
            Err(error) => return Err(error),
        };
        let id = program_id(&fd)?;
        Ok(Self { fd, hook, id })
    }

    /// The kernel's number for it.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Where it runs.
    pub fn hook(&self) -> Hook {
        self.hook
    }

    /// From now on it runs for every process in the cgroup and below, beside other programs, until the link is
    /// dropped.
    pub fn attach(&self, cgroup: impl AsFd) -> io::Result<Link> {
        let mut attributes = Attributes::new()
            .fd(0, &self.fd)
            .fd(4, cgroup)
            .u32(8, self.hook as u32);
        bpf_fd(Call::LinkCreate, &mut attributes).map(Link)
    }
}

/// What the verifier refuses with.
fn is_refused(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EACCES))
}

/// Loads it again, for the verifier's words.
fn explained(attributes: Attributes, error: io::Error) -> io::Error {
    let mut log = vec![0_u8; LOG_BYTES];
    let mut attributes = attributes
        .u32(24, 1)
        .u32(28, LOG_BYTES as u32)
        .pointer(32, log.as_mut_ptr());
    // It fails again, and if not, the handle is dropped and the program with it.
    drop(bpf_fd(Call::ProgLoad, &mut attributes));
    let length = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    let text = String::from_utf8_lossy(&log[..length]);
    let text = text.trim();
    if text.is_empty() {
        return error;
    }
    let from = text.ceil_char_boundary(text.len().saturating_sub(LOG_SHOWN));
    io::Error::new(
        error.kind(),
        format!("{error}; the verifier says: {}", &text[from..]),
    )
}

/// Puts a name of at most 15 bytes at `offset`, for whoever lists the kernel's programs.
fn named(attributes: Attributes, offset: usize, name: &str) -> Attributes {
    let mut bytes = [0_u8; 16];
    for (to, from) in bytes.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    bytes
        .chunks_exact(4)
        .enumerate()
        .fold(attributes, |it, (i, part)| {
            it.u32(
                offset + 4 * i,
                u32::from_ne_bytes([part[0], part[1], part[2], part[3]]),
            )
        })
}

fn program_id(fd: &OwnedFd) -> io::Result<u32> {
    // The beginning of `struct bpf_prog_info`: type, id. The kernel writes as much as the length says.
    let mut info = [0_u32; 2];
    let mut attributes = Attributes::new()
        .fd(0, fd)
        .u32(4, size_of_val(&info) as u32)
        .pointer(8, info.as_mut_ptr());
    bpf(Call::InfoByFd, &mut attributes)?;
    Ok(info[1])
}

/// The attachment of a program to a cgroup: it ends when this is dropped.
#[derive(Debug)]
pub struct Link(OwnedFd);

impl Drop for Link {
    /// Closing it would do, but for a child that this process is just about to start: it has a copy until it runs
    /// its program.
    fn drop(&mut self) {
        // Linux 5.9 and later; before, the closing has to do.
        bpf(Call::LinkDetach, &mut Attributes::new().fd(0, &self.0)).ok();
    }
}

/// Which programs of others' or ours hang on the cgroup at this hook, by the kernel's numbers. `effective`: those
/// that run for it, also because they hang on a cgroup above.
pub fn attached(cgroup: impl AsFd, hook: Hook, effective: bool) -> io::Result<Vec<u32>> {
    const EFFECTIVE: u32 = 1;
    let mut ids = [0_u32; MAX_PROGRAMS];
    // The kernel writes at most `MAX_PROGRAMS` numbers, and how many there are.
    let mut attributes = Attributes::new()
        .fd(0, cgroup)
        .u32(4, hook as u32)
        .u32(8, if effective { EFFECTIVE } else { 0 })
        .pointer(16, ids.as_mut_ptr())
        .u32(24, MAX_PROGRAMS as u32);
    bpf(Call::ProgQuery, &mut attributes)?;
    let count = (attributes.get_u32(24) as usize).min(MAX_PROGRAMS);
    Ok(ids[..count].to_vec())
}

/// Whether this kernel knows links: Linux 5.7 and later. Without them an attachment would outlive the agent.
pub fn has_links() -> bool {
    // Program and cgroup are no open files: a kernel that knows the call says so.
    let mut attributes = Attributes::new().u32(0, u32::MAX).u32(4, u32::MAX);
    bpf(Call::LinkCreate, &mut attributes)
        .err()
        .and_then(|error| error.raw_os_error())
        == Some(libc::EBADF)
}
