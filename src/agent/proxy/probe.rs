//! The probe from outside: a client like any other, in the agent's process, with a clock.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use firedrill_wire::RouteProtocol;
use socket2::{Domain, Protocol, Socket, Type};

use super::http::{AFTER_HEADER, PROBE_HEADER};
use super::protocol::Only;

/// Most bytes that a probe of a stream sends, and the longest answer that is read.
const MAX_BYTES: usize = 64 * 1024;

/// What a probe goes through.
#[derive(Clone, Debug, Default)]
pub struct ProbeRequest {
    /// On `http` routes: the method, `GET` if none.
    pub method: Option<String>,
    /// On `http` routes: the path, `/` if none.
    pub path: Option<String>,
    /// On `http` routes: further headers, names and values.
    pub headers: Vec<(String, String)>,
    /// On `tcp` routes: how many bytes are sent and wanted back, at least 1.
    pub bytes: usize,
}

impl ProbeRequest {
    /// One that meets a rule for these requests; `call` if it is for gRPC calls alone.
    pub fn of(only: &Only, call: bool) -> Self {
        let method = || {
            let service = only.service.as_deref().unwrap_or("firedrill.Probe");
            format!("/{service}/{}", only.rpc.as_deref().unwrap_or("Probe"))
        };
        let header = only.header.as_ref().map(|header| {
            let (name, value) = header.split_once(':').unwrap_or((header, "1"));
            (name.trim().to_owned(), value.trim().to_owned())
        });
        let kind = call.then(|| ("content-type".to_owned(), "application/grpc".to_owned()));
        Self {
            method: only.method.clone(),
            path: only.path.clone().or_else(|| call.then(method)),
            headers: header.into_iter().chain(kind).collect(),
            bytes: 1,
        }
    }
}

/// What a probe saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// From before the connection until the last byte of the answer.
    pub took: Duration,
    /// On `http` routes: the status; 204 unless a rule answered.
    pub status: Option<u16>,
    /// On `http` routes: the ids of the rules on requests that hit it.
    pub rules: Vec<String>,
}

/// A socket whose own address is known before it connects.
#[derive(Debug)]
pub(super) struct Prober {
    socket: Socket,
    target: SocketAddr,
    from: SocketAddr,
}

impl Prober {
    /// Makes the socket for a listener's address.
    pub(super) fn bind(listening: SocketAddr) -> io::Result<Self> {
        let target = reachable(listening);
        let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
        socket.bind(&SocketAddr::new(target.ip(), 0).into())?;
        let from = socket.local_addr()?.as_socket();
        let from = from.ok_or_else(|| io::Error::other("not an internet address"))?;
        Ok(Self { socket, target, from })
    }

    /// The probe's own address, to be announced.
    pub(super) fn from(&self) -> SocketAddr {
        self.from
    }

    /// Connects.
    fn connect(self, deadline: Instant) -> io::Result<TcpStream> {
        self.socket.set_tcp_nodelay(true)?;
        self.socket
            .connect_timeout(&self.target.into(), left(deadline)?)?;
        Ok(self.socket.into())
    }

    /// Connects, for requests to come.
    pub(super) fn line(self, patience: Duration) -> io::Result<Line> {
        let stream = self.connect(Instant::now() + patience)?;
        Ok(Line { stream, sent: None })
    }

    /// Connects, asks, and reads the answer.
    pub(super) fn go(
        self,
        protocol: RouteProtocol,
        request: &ProbeRequest,
        patience: Duration,
    ) -> io::Result<Probe> {
        let start = Instant::now();
        let deadline = start + patience;
        let mut stream = self.connect(deadline)?;
        let (status, rules) = match protocol {
            RouteProtocol::Http => ask(&mut stream, request, deadline)?,
            RouteProtocol::Tcp => {
                let sent = vec![b'.'; request.bytes.clamp(1, MAX_BYTES)];
                stream.write_all(&sent)?;
                stream.shutdown(std::net::Shutdown::Write)?;
                if read_until(&mut stream, deadline, |_| false)? != sent {
                    return Err(io::Error::other("the answer is not the probe's own bytes"));
                }
                (None, Vec::new())
            }
        };
        Ok(Probe {
            took: start.elapsed(),
            status,
            rules,
        })
    }
}

/// A connection through an `http` route that is kept, as clients keep theirs, for one probe.
#[derive(Debug)]
pub struct Line {
    stream: TcpStream,
    sent: Option<Instant>,
}

impl Line {
    /// Sends a probe right behind the order that removes a rule: the proxy lets it go on to its rules when that one
    /// is revoked, and its answer need not wait until the removal's has been read. After an error the line is of no
    /// use.
    pub fn send_after(&mut self, rule: &str, request: &ProbeRequest) -> io::Result<()> {
        let mut request = request.clone();
        request.headers.push((AFTER_HEADER.to_owned(), rule.to_owned()));
        self.sent = Some(Instant::now());
        self.stream.write_all(head(&request).as_bytes())
    }

    /// What the probe that was sent saw.
    pub(super) fn answer(mut self, patience: Duration) -> io::Result<Probe> {
        let sent = self.sent.ok_or_else(|| io::Error::other("nothing was asked"))?;
        let answer = read_until(&mut self.stream, Instant::now() + patience, is_whole)?;
        let (status, rules) = understand(&answer)?;
        Ok(Probe {
            took: sent.elapsed(),
            status,
            rules,
        })
    }

    /// Whether the proxy still keeps it.
    pub fn is_open(&self) -> bool {
        let peeked = self.stream.set_nonblocking(true).and_then(|()| {
            let peeked = self.stream.peek(&mut [0]);
            self.stream.set_nonblocking(false)?;
            peeked
        });
        // Between two answers there is nothing to read, not even an end.
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// One request and its answer.
fn ask(
    stream: &mut TcpStream,
    request: &ProbeRequest,
    deadline: Instant,
) -> io::Result<(Option<u16>, Vec<String>)> {
    stream.write_all(head(request).as_bytes())?;
    understand(&read_until(stream, deadline, is_whole)?)
}

/// Where to connect for a listener's address: a listener on every address is reached on loopback.
fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))
    } else {
        Ok(left)
    }
}

/// What comes until it is whole, until the end, or until the deadline.
fn read_until(stream: &mut TcpStream, deadline: Instant, is_whole: fn(&[u8]) -> bool) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        let room = (MAX_BYTES - answer.len()) as u64;
        match stream.take(room).read(&mut part) {
            Ok(0) => return Ok(answer),
            Ok(n) => {
                answer.extend_from_slice(&part[..n]);
                if is_whole(&answer) {
                    return Ok(answer);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => left(deadline).map(drop)?,
            Err(error) => return Err(error),
        }
    }
}

/// Whether an HTTP answer has come to the end that its head tells of. One that tells of none ends with the
/// connection.
fn is_whole(answer: &[u8]) -> bool {
    let Some(body) = answer.windows(4).position(|part| part == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&answer[..body]).to_ascii_lowercase();
    if head.starts_with("http/1.1 204") {
        return true;
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse::<usize>().ok());
    length.is_some_and(|length| answer.len() - body - 4 >= length)
}

fn head(request: &ProbeRequest) -> String {
    // What would break the request line cannot be the path or the method of a real request either.
    let clean = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let method = request
        .method
        .as_deref()
        .filter(|method| clean(method))
        .unwrap_or("GET")
        .to_ascii_uppercase();
    let path = request
        .path
        .as_deref()
        .filter(|path| path.starts_with('/') && clean(path))
        .unwrap_or("/");
    let printable = |text: &str| text.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    let mut headers = String::new();
    for (name, value) in &request.headers {
        if clean(name) && printable(value) {
            headers.extend([name, ": ", value, "\r\n"]);
        }
    }
    format!("{method} {path} HTTP/1.1\r\nhost: firedrill-probe\r\ncontent-length: 0\r\n{headers}\r\n")
}

/// The status, and which rules hit.
fn understand(answer: &[u8]) -> io::Result<(Option<u16>, Vec<String>)> {
    let text = String::from_utf8_lossy(answer);
    let status = text
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("the answer is not HTTP"))?;
    let header = text
        .lines()
        .find_map(|line| line.strip_prefix(PROBE_HEADER)?.strip_prefix(':'));
    // Only the proxy itself says this: an answer without it did not come from its rules.
    let header = header.ok_or_else(|| io::Error::other("the answer is not the proxy's own"))?;
    let ids = header.split(',').map(str::trim).filter(|id| !id.is_empty());
    Ok((Some(status), ids.map(str::to_owned).collect()))
}
