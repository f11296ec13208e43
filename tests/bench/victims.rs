//! Victims in processes of their own, and what the bench hears from them: each looks at itself all the time and says
//! when what it sees changes, on the clock that all processes share.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use firedrill_testing::{Cgroup, Folder, PATIENCE, Process};
use nix::sys::socket::{setsockopt, sockopt};
use nix::time::{ClockId, clock_gettime};

/// Between two looks: short against what is measured, long enough to leave the processor to others.
const LOOK_EVERY: Duration = Duration::from_micros(200);

/// How long a look may take that sees nothing.
const PATIENT_FOR: Duration = Duration::from_millis(10);

/// An answer that takes longer is late; what is injected takes much longer.
const IN_TIME: Duration = Duration::from_millis(5);

/// So long after its answer it is told whether a datagram came twice.
const TWICE_WITHIN_NS: i64 = 3_000_000;

/// What is not well is said again, for those who were not listening yet.
const SAY_AGAIN_NS: i64 = 10_000_000;

/// One that stood still for so long was held, and one that worked all the while.
const STOOD_STILL_NS: i64 = 15_000_000;
const WAS_HELD_BACK_NS: i64 = 5_000_000;

/// The clock that all processes share.
pub fn now_ns() -> anyhow::Result<i64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(now.tv_sec() * 1_000_000_000 + now.tv_nsec())
}

/// A victim that runs.
pub struct Victim {
    /// Its process.
    pub process: Process,
    /// Its own cgroup, if it has one; removed after it.
    _cgroup: Option<Cgroup>,
    _folder: Folder,
}

impl Victim {
    /// Starts one of [`run`], in a cgroup with this controller.
    pub fn start(words: &[&str], controller: Option<&str>) -> anyhow::Result<Self> {
        let cgroup = controller.map(Cgroup::new).transpose()?;
        let folder = Folder::new()?;
        let mut command = Command::new(std::env::current_exe()?);
        let procs = cgroup.as_ref().map(Cgroup::procs).unwrap_or_default();
        command.arg("victim").arg(procs).args(words);
        let mut process = Process::start(words[0], command, folder.path())?;
        // Its first word, before which it has done nothing.
        process.line(PATIENCE)?;
        Ok(Self {
            process,
            _cgroup: cgroup,
            _folder: folder,
        })
    }

    /// When it first saw this, not before `since`.
    pub fn saw(&mut self, wanted: &str, since: i64) -> anyhow::Result<i64> {
        loop {
            let line = self.process.line(PATIENCE)?;
            let (at, seen) = said(&line)?;
            if at >= since && seen == wanted {
                return Ok(at);
            }
        }
    }

    /// The next time that it stood still: from when to when.
    pub fn stood_still(&mut self, patience: Duration) -> anyhow::Result<(i64, i64)> {
        let line = self.process.line(patience)?;
        let (from, to) = said(&line)?;
        Ok((from, to.parse()?))
    }
}

fn said(line: &str) -> anyhow::Result<(i64, &str)> {
    let (at, seen) = line.split_once(' ').with_context(|| line.to_owned())?;
    Ok((at.parse()?, seen))
}

/// The victim's own work; it ends by being killed.
pub fn run(words: &[String]) -> anyhow::Result<()> {
    let (procs, words) = words.split_first().context("no cgroup")?;
    // Its sockets belong to the cgroup that it was in when it made them.
    if !procs.is_empty() {
        std::fs::write(procs, "0")?;
    }
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    println!("begun");
    match words[..] {
        // A new connection, and a byte there and back.
        ["connects", to] => looks(|| connects(to)),
        // The same, in a network namespace of its own.
        ["connects-alone"] => {
            let to = alone(echoes)?.to_string();
            looks(|| connects(&to))
        }
        // Datagrams there and back, more than one under way.
        ["pings", to] => pings(to.parse()?),
        ["pings-alone"] => pings(alone(|| crate::servers::echo_datagrams(Ipv4Addr::LOCALHOST))?),
        // A name.
        ["resolves", server] => looks(|| resolves(server)),
        // A connection that is kept: until it breaks, then another.
        ["keeps", to] => {
            let mut kept = None;
            looks(|| keeps(to, &mut kept))
        }
        // A TLS handshake: what comes back for a ClientHello.
        ["shakes", to] => looks(|| shakes(to)),
        // A page: the status, and that it does not come in time.
        ["asks", to] => looks(|| asks(to)),
        // A file.
        ["opens"] => looks(|| {
            Ok(match File::open("/dev/null") {
                Ok(_) => "ok",
                Err(_) => "no",
            })
        }),
        // Time itself.
        ["beats"] => beats(STOOD_STILL_NS, || std::thread::sleep(LOOK_EVERY)),
        // The same, and busy all the while.
        ["spins"] => beats(WAS_HELD_BACK_NS, || {}),
        ["touches", bytes] => touches(bytes.parse()?),
        _ => bail!("no such victim: {words:?}"),
    }
}

/// Moves this process into a network namespace of its own, with a server in it.
fn alone(server: impl FnOnce() -> anyhow::Result<SocketAddr>) -> anyhow::Result<SocketAddr> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status()?;
    ensure!(up.success(), "ip link set lo up: {up}");
    server()
}

/// Says a byte back on each connection.
fn echoes() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    std::thread::Builder::new()
        .name("echoes".to_owned())
        .spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut byte = [0];
                // One that is refused or broken off says nothing more.
                stream.set_read_timeout(Some(PATIENT_FOR)).ok();
                if stream.read_exact(&mut byte).is_ok() {
                    stream.write_all(&byte).ok();
                }
            }
        })?;
    Ok(address)
}

/// What is said: a word when it changes, and again while all is not well.
#[derive(Default)]
struct Says {
    before: &'static str,
    at: i64,
}

impl Says {
    fn seen(&mut self, seen: &'static str, at: i64) {
        if seen != self.before || (seen != "ok" && at >= self.at + SAY_AGAIN_NS) {
            println!("{at} {seen}");
            (self.before, self.at) = (seen, at);
        }
    }
}

/// Says what it sees. That something did not come in time is seen from when it was asked for: that request was hit.
fn looks(mut look: impl FnMut() -> anyhow::Result<&'static str>) -> anyhow::Result<()> {
    let mut says = Says::default();
    loop {
        let asked = now_ns()?;
        let seen = look()?;
        says.seen(seen, if seen == LATE { asked } else { now_ns()? });
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What has not come in time.
const LATE: &str = "late";

/// A datagram under way.
struct Ping {
    sent: i64,
    answered: Option<i64>,
    answers: u32,
}

/// Sends datagrams without waiting, so that no loss keeps it from seeing the next. One that is not answered in time
/// was hit when it was sent; one that is was well when its answer came.
fn pings(to: SocketAddr) -> anyhow::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(to)?;
    socket.set_nonblocking(true)?;
    let mut says = Says::default();
    let mut under_way: VecDeque<Ping> = VecDeque::new();
    let mut first: u64 = 0;
    loop {
        let number = first + under_way.len() as u64;
        let sent = now_ns()?;
        // One that the kernel does not take is one that is not answered.
        socket.send(&number.to_be_bytes()).ok();
        under_way.push_back(Ping {
            sent,
            answered: None,
            answers: 0,
        });
        let mut answer = [0; 8];
        while socket.recv(&mut answer).is_ok() {
            let place = u64::from_be_bytes(answer).checked_sub(first);
            if let Some(ping) = place.and_then(|place| under_way.get_mut(usize::try_from(place).ok()?)) {
                ping.answered.get_or_insert(now_ns()?);
                ping.answers += 1;
            }
        }
        let now = now_ns()?;
        while let Some(ping) = under_way.front() {
            let in_time = ping.sent + IN_TIME.as_nanos() as i64;
            let (seen, at) = match ping.answered {
                Some(at) if at > in_time => (LATE, ping.sent),
                Some(at) if ping.answers > 1 => ("twice", at),
                Some(at) if now > at + TWICE_WITHIN_NS => ("ok", at),
                None if now > in_time => (LATE, ping.sent),
                _ => break,
            };
            says.seen(seen, at);
            under_way.pop_front();
            first += 1;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// A question for `a.b`; it is the resolver's own answer, another one, or none.
fn resolves(server: &str) -> anyhow::Result<&'static str> {
    const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x01b\0\0\x01\0\x01";
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(IN_TIME))?;
    socket.send_to(QUERY, server)?;
    let mut answer = [0; 512];
    let Ok(length @ 12..) = socket.recv(&mut answer) else {
        return Ok(LATE);
    };
    Ok(match (answer[3] & 15, &answer[length - 4..length]) {
        (3, _) => "nxdomain",
        (0, address) if address == crate::servers::RESOLVED => "ok",
        (0, _) => "hijacked",
        _ => "no",
    })
}

/// Says when it stood still.
fn beats(least_ns: i64, mut between: impl FnMut()) -> anyhow::Result<()> {
    let mut before = now_ns()?;
    loop {
        between();
        let now = now_ns()?;
        if now - before >= least_ns {
            println!("{before} {now}");
        }
        before = now_ns()?;
    }
}

/// What an exchange on a connection comes to. One that is refused or broken is not left to linger.
fn exchange(stream: &mut TcpStream, bytes: &[u8], answer: &mut [u8]) -> std::io::Result<usize> {
    stream.set_read_timeout(Some(PATIENT_FOR))?;
    stream.write_all(bytes)?;
    stream.read(answer)
}

fn open(to: &str) -> anyhow::Result<std::io::Result<TcpStream>> {
    let to: SocketAddr = to.parse()?;
    let stream = TcpStream::connect_timeout(&to, PATIENT_FOR);
    if let Ok(stream) = &stream {
        // Thousands of connections a second would leave no port.
        setsockopt(
            stream,
            sockopt::Linger,
            &nix::libc::linger {
                l_onoff: 1,
                l_linger: 0,
            },
        )?;
    }
    Ok(stream)
}

fn connects(to: &str) -> anyhow::Result<&'static str> {
    let answered = open(to)?.and_then(|mut stream| exchange(&mut stream, b"x", &mut [0]));
    Ok(if answered.is_ok_and(|read| read > 0) {
        "ok"
    } else {
        "no"
    })
}

fn keeps(to: &str, kept: &mut Option<TcpStream>) -> anyhow::Result<&'static str> {
    if kept.is_none() {
        *kept = open(to)?.ok();
        return Ok(if kept.is_some() { "ok" } else { "no" });
    }
    let answered = kept.as_mut().map(|stream| exchange(stream, b"x", &mut [0]));
    if answered.is_some_and(|it| it.is_ok_and(|read| read > 0)) {
        return Ok("ok");
    }
    *kept = None;
    Ok("broken")
}

fn shakes(to: &str) -> anyhow::Result<&'static str> {
    const HELLO: [u8; 10] = [22, 3, 1, 0, 5, 1, 0, 0, 1, 0];
    let mut answer = [0; 7];
    let read = open(to)?.and_then(|mut stream| exchange(&mut stream, &HELLO, &mut answer));
    Ok(match (read, answer[0]) {
        (Ok(1..), 21) => "alert",
        (Ok(1..), _) => "ok",
        _ => "no",
    })
}

fn asks(to: &str) -> anyhow::Result<&'static str> {
    let mut answer = [0; 256];
    let request = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n";
    let read = open(to)?.and_then(|mut stream| {
        stream.set_read_timeout(Some(IN_TIME))?;
        stream.write_all(request)?;
        stream.read(&mut answer)
    });
    Ok(match (read, answer.get(9..12)) {
        (Ok(1..), Some(b"200")) => "ok",
        (Ok(1..), Some(b"503")) => "503",
        (Err(error), _) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => LATE,
        _ => "no",
    })
}

/// The machine's own floor: as many pages, each written to once, by a thread for each processor.
fn touches(bytes: usize) -> anyhow::Result<()> {
    const PAGE: usize = 4_096;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let began = now_ns()?;
    let mut memory = vec![0_u8; bytes];
    let share = bytes.div_ceil(threads).next_multiple_of(PAGE);
    std::thread::scope(|scope| {
        for part in memory.chunks_mut(share) {
            let touch = || part.chunks_mut(PAGE).for_each(|page| page[0] = 1);
            std::thread::Builder::new().spawn_scoped(scope, touch)?;
        }
        anyhow::Ok(())
    })?;
    println!("{began} {}", now_ns()?);
    ensure!(
        memory.iter().step_by(PAGE).all(|byte| *byte == 1),
        "not all is there"
    );
    Ok(())
}
