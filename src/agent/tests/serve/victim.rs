//! A process in a cgroup of its own that does on the network what it is told, and tells what it saw.
//!
//! It is this test program with another argument. The test writes a line, it answers with one.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use firedrill_agent::targets::cgroups;
use serde_json::{Value, json};

use crate::servers;

/// How long it waits for the network, where the test does not say.
const PATIENCE: Duration = Duration::from_secs(10);

/// A victim, ended and its cgroup removed with the test.
pub struct Networker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    folder: PathBuf,
    name: String,
}

impl Networker {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("firedrill-test-{}-{number}", std::process::id());
        let folder = cgroups::root().unwrap().join(&name);
        std::fs::create_dir(&folder).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("victim")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::fs::write(folder.join("cgroup.procs"), child.id().to_string()).unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
            folder,
            name,
        }
    }

    /// What a scope says to hit it.
    pub fn scope(&self) -> Value {
        json!({ "cgroup": self.name })
    }

    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Tells it to do something; what it saw.
    pub fn ask(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }

    /// Tells it to do something again and again until it sees `wanted`, while the test does something else. What it
    /// took from the beginning of that until the victim saw it, in milliseconds.
    pub fn watch(&mut self, wanted: &str, line: &str, act: impl FnOnce()) -> f64 {
        writeln!(self.input, "watch {wanted} {line}").unwrap();
        let began = now_ns();
        act();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        (answer.trim_end().parse::<i64>().unwrap() - began) as f64 / 1e6
    }

    /// A TCP connection, closed again.
    pub fn connect(&mut self, to: SocketAddr) -> String {
        self.ask(&format!("connect {to} 10000"))
    }

    /// The same, when no answer is expected.
    pub fn connect_briefly(&mut self, to: SocketAddr) -> String {
        self.ask(&format!("connect {to} 300"))
    }
}

impl Drop for Networker {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_dir(&self.folder).ok();
    }
}

/// What the victim itself runs.
pub fn main() {
    let mut held = Vec::new();
    let mut socket = None;
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<_> = line.split(' ').collect();
        println!("{}", obey(&words, &mut held, &mut socket));
    }
}

fn obey(words: &[&str], held: &mut Vec<TcpStream>, socket: &mut Option<UdpSocket>) -> String {
    match words {
        ["connect", to, ms] => told(connect(to, ms).map(|_| "ok".to_owned())),
        // Keeps a connection.
        ["hold", to] => told(connect(to, "10000").map(|stream| {
            held.push(stream);
            "ok".to_owned()
        })),
        // What the first one kept says when it is read.
        ["held", ms] => {
            let mut stream = &held[0];
            stream.set_read_timeout(Some(millis(ms))).unwrap();
            told(stream.read(&mut [0]).map(|read| format!("read {read}")))
        }
        // Asks for a page on a connection of its own, or on one that is kept; the status of the answer.
        ["get", to, ms] => told(connect(to, ms).and_then(|mut stream| {
            if stream.peer_addr()? != to.parse().unwrap() {
                return Ok("another peer".to_owned());
            }
            get(&mut stream, millis(ms))
        })),
        ["get-held", number, ms] => told(get(&mut held[number.parse::<usize>().unwrap()], millis(ms))),
        // Serves pages itself; where.
        ["web"] => servers::web()[0].to_string(),
        // So many datagrams to an address, from a socket that is not connected; how many sends failed.
        ["send", to, count] => {
            let to: SocketAddr = to.parse().unwrap();
            let from = UdpSocket::bind(if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }).unwrap();
            let count: u32 = count.parse().unwrap();
            let failed = (0..count).filter(|_| from.send_to(b"datagram", to).is_err());
            failed.count().to_string()
        }
        // A socket to send datagrams to.
        ["listen", address] => {
            let made = socket.insert(UdpSocket::bind(address).unwrap());
            made.local_addr().unwrap().to_string()
        }
        // How many have come there, once none came for so long.
        ["came", ms] => {
            let socket = socket.as_ref().unwrap();
            socket.set_read_timeout(Some(millis(ms))).unwrap();
            let mut buffer = [0; 2048];
            std::iter::from_fn(|| socket.recv(&mut buffer).ok())
                .count()
                .to_string()
        }
        // Asks a resolver for a name's address, over UDP (connected or not) or TCP.
        ["resolve", how, server, name, ms] => told(resolve(how, server.parse().unwrap(), name, millis(ms))),
        // Until it is as wanted; when that was.
        ["watch", wanted, line @ ..] => {
            let deadline = Instant::now() + PATIENCE;
            while obey(line, held, socket) != *wanted {
                if Instant::now() > deadline {
                    return format!("never {wanted}");
                }
                std::thread::sleep(Duration::from_micros(100));
            }
            now_ns().to_string()
        }
        // A datagram to itself.
        ["ping"] => {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.send_to(b"ping", socket.local_addr().unwrap()).unwrap();
            // A time limit of the socket is as coarse as the kernel's ticks.
            socket.set_nonblocking(true).unwrap();
            let deadline = Instant::now() + Duration::from_millis(1);
            loop {
                let came = socket.recv(&mut [0; 8]);
                if came.is_ok() || Instant::now() > deadline {
                    return told(came.map(|_| "ok".to_owned()));
                }
            }
        }
        // Begins a TLS handshake.
        ["tls", to, ms] => told(shake_hands(to, millis(ms))),
        // From now on in a network namespace of its own, with a resolver in it.
        ["alone"] => {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            let up = Command::new("ip")
                .args(["link", "set", "lo", "up"])
                .status()
                .unwrap();
            assert!(up.success());
            servers::resolve("127.0.0.1".parse().unwrap()).unwrap();
            "ok".to_owned()
        }
        _ => format!("what is {words:?}?"),
    }
}

/// The clock that all processes share.
fn now_ns() -> i64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap();
    now.tv_sec() * 1_000_000_000 + now.tv_nsec()
}

fn connect(to: &str, ms: &str) -> std::io::Result<TcpStream> {
    let to = to.to_socket_addrs()?.next().unwrap();
    let stream = TcpStream::connect_timeout(&to, millis(ms))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The status of the answer.
fn get(stream: &mut TcpStream, patience: Duration) -> std::io::Result<String> {
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head[9..12]).into_owned())
}

/// The address that is answered, or how the answer fails; and whether it came from whom was asked.
fn resolve(how: &str, server: SocketAddr, name: &str, patience: Duration) -> std::io::Result<String> {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    let mut answer = vec![0; 512];
    let from = if how == "tcp" {
        let mut stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(patience))?;
        let mut framed = (query.len() as u16).to_be_bytes().to_vec();
        framed.extend_from_slice(&query);
        stream.write_all(&framed)?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        answer.truncate(usize::from(u16::from_be_bytes(length)));
        stream.read_exact(&mut answer)?;
        stream.peer_addr()?
    } else {
        let socket = UdpSocket::bind(if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        socket.set_read_timeout(Some(patience))?;
        if how == "connected" {
            socket.connect(server)?;
            if socket.peer_addr()? != server {
                return Ok("another peer".to_owned());
            }
            socket.send(&query)?;
        } else {
            socket.send_to(&query, server)?;
        }
        let (length, from) = socket.recv_from(&mut answer)?;
        answer.truncate(length);
        from
    };
    // Also of a socket that was led away just before the fault ended.
    if from != server {
        return Ok("an answer of somebody else".to_owned());
    }
    assert_eq!(answer[..2], query[..2]);
    Ok(match (answer[3] & 0x0f, answer[7]) {
        (0, 1) => {
            let last = &answer[answer.len() - 4..];
            format!("{}.{}.{}.{}", last[0], last[1], last[2], last[3])
        }
        (0, _) => "no address".to_owned(),
        (2, _) => "servfail".to_owned(),
        (3, _) => "nxdomain".to_owned(),
        (code, _) => format!("code {code}"),
    })
}

/// What comes after a ClientHello: `alert 40`, or the letter of the server.
fn shake_hands(to: &str, patience: Duration) -> std::io::Result<String> {
    let to: SocketAddr = to.parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&to, patience)?;
    if stream.peer_addr()? != to {
        return Ok("another peer".to_owned());
    }
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(&[22, 3, 1, 0, 5, 1, 0, 0, 1, 0])?;
    let mut answer = [0; 7];
    let length = stream.read(&mut answer)?;
    Ok(match answer[..length] {
        [21, 3, 3, 0, 2, 2, code] => format!("alert {code}"),
        [letter] => char::from(letter).to_string(),
        _ => format!("{:?}", &answer[..length]),
    })
}

fn millis(text: &str) -> Duration {
    Duration::from_millis(text.parse().unwrap())
}

fn told(result: std::io::Result<String>) -> String {
    match result {
        Ok(words) => words,
        Err(error) => match error.kind() {
            ErrorKind::ConnectionRefused => "refused".to_owned(),
            ErrorKind::ConnectionReset => "reset".to_owned(),
            ErrorKind::ConnectionAborted => "aborted".to_owned(),
            ErrorKind::TimedOut | ErrorKind::WouldBlock => "timeout".to_owned(),
            _ => error.to_string(),
        },
    }
}
