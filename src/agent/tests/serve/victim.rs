//! A process in a cgroup of its own that does on the network what it is told, and tells what it saw.
//!
//! It is this test program with another argument. The test writes a line, it answers with one.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use firedrill_agent::targets::cgroups;
use serde_json::{Value, json};

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
        _ => format!("what is {words:?}?"),
    }
}

fn connect(to: &str, ms: &str) -> std::io::Result<TcpStream> {
    let to = to.to_socket_addrs()?.next().unwrap();
    let stream = TcpStream::connect_timeout(&to, millis(ms))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
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
