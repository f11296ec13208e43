//! A small HTTP/1.1 client on a plain stream, so that nothing between test and wire is ours.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use firedrill_trust::{Fingerprint, PinnedTls};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::Value;

/// What a client speaks over: plain or TLS.
trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

pub struct Client {
    address: SocketAddr,
    pub token: Option<String>,
    pub host: String,
    stream: BufReader<Box<dyn Wire>>,
}

pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The JSON of an answer with this status; anything else is shown.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

impl Client {
    pub fn new(address: SocketAddr, token: &str) -> Self {
        Self::over(Box::new(connect(address)), address, token)
    }

    /// Over TLS, with the handshake done; anybody but the agent with this certificate is refused.
    pub fn tls(address: SocketAddr, token: &str, pin: Fingerprint) -> std::io::Result<Self> {
        Self::shake(connect(address), address, token, pin)
    }

    /// The same from another address of this computer.
    pub fn tls_from(
        source: Ipv4Addr,
        address: SocketAddr,
        token: &str,
        pin: Fingerprint,
    ) -> std::io::Result<Self> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.connect(&address.into())?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Self::shake(stream, address, token, pin)
    }

    fn shake(
        mut stream: TcpStream,
        address: SocketAddr,
        token: &str,
        pin: Fingerprint,
    ) -> std::io::Result<Self> {
        let tls = PinnedTls::new(pin);
        let mut session = ClientConnection::new(tls.config(), ServerName::from(address.ip())).unwrap();
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Self::over(
            Box::new(StreamOwned::new(session, stream)),
            address,
            token,
        ))
    }

    fn over(stream: Box<dyn Wire>, address: SocketAddr, token: &str) -> Self {
        Self {
            address,
            token: Some(token.to_owned()),
            host: address.to_string(),
            stream: BufReader::new(stream),
        }
    }

    pub fn send(&mut self, method: &str, path: &str, extra: &str, body: &[u8]) {
        let token = self
            .token
            .as_ref()
            .map(|it| format!("authorization: Bearer {it}\r\n"))
            .unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{token}{extra}content-length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.stream.get_mut().write_all(&bytes).unwrap();
    }

    /// A request whose body has no length beforehand and does not end.
    pub fn send_chunked(&mut self, path: &str, chunks: &[u8]) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
            self.host,
            self.token.as_deref().unwrap()
        );
        self.stream.get_mut().write_all(head.as_bytes()).unwrap();
        // The agent may hang up on it.
        self.stream.get_mut().write_all(chunks).ok();
    }

    /// A request that promises a body and keeps it to itself.
    pub fn promise(&mut self, path: &str, length: usize) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-length: {length}\r\n\r\n",
            self.host,
            self.token.as_deref().unwrap()
        );
        self.stream.get_mut().write_all(head.as_bytes()).unwrap();
    }

    pub fn call(&mut self, method: &str, path: &str, body: &Value) -> Response {
        self.send(
            method,
            path,
            "content-type: application/json\r\n",
            body.to_string().as_bytes(),
        );
        self.answer()
    }

    pub fn get(&mut self, path: &str) -> Response {
        self.send("GET", path, "", b"");
        self.answer()
    }

    pub fn delete(&mut self, path: &str) -> Response {
        self.send("DELETE", path, "", b"");
        self.answer()
    }

    /// Status and headers.
    pub fn head(&mut self) -> Response {
        let status = self.line();
        let status = status.split(' ').nth(1).and_then(|it| it.parse().ok());
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            let (key, value) = line.split_once(':').unwrap();
            headers.push((key.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Response {
            status: status.unwrap(),
            headers,
            body: Vec::new(),
        }
    }

    pub fn answer(&mut self) -> Response {
        let mut response = self.head();
        if response.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk() {
                response.body.extend(chunk);
            }
        } else {
            let length = response
                .header("content-length")
                .map_or(0, |it| it.parse().unwrap());
            response.body = vec![0; length];
            self.stream.read_exact(&mut response.body).unwrap();
        }
        response
    }

    /// The next chunk of a streamed answer; `None` at its end.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(&self.line(), 16).unwrap();
        let mut chunk = vec![0; size];
        self.stream.read_exact(&mut chunk).unwrap();
        assert_eq!(self.line(), "");
        (size > 0).then_some(chunk)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).unwrap();
        assert!(read > 0, "{} closed the connection", self.address);
        line.trim_end().to_owned()
    }

    /// The lines of an abort.
    pub fn abort(&mut self, body: &Value) -> Vec<Value> {
        lines(&self.call("POST", "/v1/abort", body))
    }
}

pub fn lines(response: &Response) -> Vec<Value> {
    assert_eq!(
        response.status,
        200,
        "{}",
        String::from_utf8_lossy(&response.body)
    );
    let text = String::from_utf8(response.body.clone()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
