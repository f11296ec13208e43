//! A plain blocking HTTP/1.1 client over one TCP connection: what it measures is not its own cleverness.

use std::fmt::Debug;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use firedrill_trust::{Fingerprint, PinnedTls};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

/// Longest line of a head or of a chunk's size, in bytes.
const MAX_LINE: u64 = 16 * 1024;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Response {
    /// A header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_str(&self.body).with_context(|| format!("not JSON: {}", self.body))
    }

    /// Itself if it has that status.
    pub fn expect_status(self, status: u16) -> anyhow::Result<Self> {
        ensure!(
            self.status == status,
            "{} instead of {status}: {}",
            self.status,
            self.body
        );
        Ok(self)
    }
}

/// Plain or TLS.
trait Wire: Read + Write + Send + Debug {}
impl<T: Read + Write + Send + Debug> Wire for T {}

/// One kept-alive connection.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: BufReader<Box<dyn Wire>>,
}

impl Connection {
    /// Connects; every read and write has this limit.
    pub fn open(address: SocketAddr, limit: Duration) -> anyhow::Result<Self> {
        Self::open_to(address, None, limit)
    }

    /// The same over TLS, if there is a certificate to expect.
    pub fn open_to(address: SocketAddr, pin: Option<Fingerprint>, limit: Duration) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, limit)
            .with_context(|| format!("connecting to {address}"))?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Wire> = match pin {
            None => Box::new(stream),
            Some(pin) => {
                let config = PinnedTls::new(pin).config();
                let session = ClientConnection::new(config, ServerName::from(address.ip()))?;
                Box::new(StreamOwned::new(session, stream))
            }
        };
        Ok(Self {
            address,
            stream: BufReader::new(stream),
        })
    }

    /// Sends a request and reads its answer whole.
    pub fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> anyhow::Result<Response> {
        self.send(method, path, headers, body)?;
        self.answer()
    }

    /// Sends a request.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> anyhow::Result<()> {
        let mut text = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            write!(text, "Host: {}\r\n", self.address)?;
        }
        for (name, value) in headers {
            write!(text, "{name}: {value}\r\n")?;
        }
        if !body.is_empty() || method != "GET" {
            write!(text, "Content-Length: {}\r\n", body.len())?;
        }
        text.push_str("\r\n");
        text.push_str(body);
        self.stream.get_mut().write_all(text.as_bytes())?;
        Ok(())
    }

    /// Reads an answer.
    pub fn answer(&mut self) -> anyhow::Result<Response> {
        let first = self.text_line()?;
        let status = first
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .with_context(|| format!("no status: {first:?}"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.text_line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line
                .split_once(':')
                .with_context(|| format!("no header: {line:?}"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut response = Response {
            status,
            headers,
            body: String::new(),
        };
        response.body = String::from_utf8(self.body(&response)?).context("the body is not UTF-8")?;
        Ok(response)
    }

    fn body(&mut self, head: &Response) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        if head
            .header("transfer-encoding")
            .is_some_and(|value| value.contains("chunked"))
        {
            loop {
                let line = self.text_line()?;
                let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
                    .with_context(|| format!("no chunk: {line:?}"))?;
                let begin = body.len();
                body.resize(begin + size, 0);
                self.stream.read_exact(&mut body[begin..])?;
                self.text_line()?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        match head.header("content-length") {
            Some(length) => {
                body.resize(length.parse()?, 0);
                self.stream.read_exact(&mut body)?;
            }
            None if matches!(head.status, 204 | 304) => {}
            None => {
                self.stream.read_to_end(&mut body)?;
            }
        }
        Ok(body)
    }

    fn text_line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.stream.by_ref().take(MAX_LINE).read_line(&mut line)?;
        if !line.ends_with('\n') {
            bail!("the connection to {} ended within a line: {line:?}", self.address);
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}

/// One request on a connection of its own.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
    limit: Duration,
) -> anyhow::Result<Response> {
    Connection::open(address, limit)?.call(method, path, headers, body)
}

/// One GET on a connection of its own.
pub fn get(address: SocketAddr, path: &str, limit: Duration) -> anyhow::Result<Response> {
    request(address, "GET", path, &[], "", limit)
}
