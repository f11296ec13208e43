//! One kept-alive HTTP/1.1 connection to an agent's abort listener.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use firedrill_fleet::Token;
use firedrill_trust::{PinnedTls, wrong_pin};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// No agent says more than this in one answer.
const MAX_ANSWER_BYTES: usize = 2 * 1024 * 1024;
/// No line of an abort answer is longer.
const MAX_LINE_BYTES: usize = 256 * 1024;
/// Read at once: an abort's answer is a few hundred bytes, and a fleet has thousands of connections.
const READ_BYTES: usize = 1024;
/// To connect on a network.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// Where an agent's abort listener is, resolved, with what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbortTarget {
    /// Index in the plan.
    pub agent: usize,
    /// The name in the plan.
    pub name: String,
    /// Resolved before the opening: an abort needs no name resolution.
    pub address: SocketAddr,
    /// For the Host header, with the port.
    pub host: String,
    /// The abort-only token, or the one for every call.
    pub token: Option<Token>,
    /// TLS with its certificate; none: no TLS, on this computer.
    pub tls: Option<PinnedTls>,
}

impl AbortTarget {
    /// The listener is on another port than was thought.
    pub(crate) fn set_port(&mut self, port: u16) {
        self.address.set_port(port);
        let name = self.host.rsplit_once(':').map_or(&*self.host, |(name, _)| name);
        self.host = format!("{name}:{port}");
    }
}

/// One connection.
pub(crate) struct Link {
    sender: SendRequest<Full<Bytes>>,
}

/// What came of a request: the status and the body to read.
pub(crate) struct Answer {
    status: u16,
    body: Incoming,
    line: Vec<u8>,
    read: usize,
}

impl Link {
    /// Connects; the connection's own work runs beside on this thread's runtime.
    pub(crate) async fn connect(target: &AbortTarget) -> Result<Self, String> {
        let connecting = TcpStream::connect(target.address);
        let stream = match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(format!("{} cannot be reached: {error}", target.address)),
            Err(_) => return Err(format!("{} cannot be reached within 2 s", target.address)),
        };
        // Nagle's delay is the only thing lost where this fails.
        stream.set_nodelay(true).ok();
        let Some(tls) = &target.tls else {
            return Self::over(TokioIo::new(stream), target).await;
        };
        let shaking = TlsConnector::from(tls.config()).connect(ServerName::from(target.address.ip()), stream);
        match tokio::time::timeout(CONNECT_LIMIT, shaking).await {
            Ok(Ok(stream)) => Self::over(TokioIo::new(stream), target).await,
            Ok(Err(error)) => Err(match wrong_pin(&error) {
                Some(wrong) => format!("{} is not believed: {wrong}", target.address),
                None => format!("{}: {error}", target.address),
            }),
            Err(_) => Err(format!("{}: no TLS within 2 s", target.address)),
        }
    }

    async fn over<S>(stream: TokioIo<S>, target: &AbortTarget) -> Result<Self, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .read_buf_exact_size(Some(READ_BYTES))
            .handshake(stream)
            .await
            .map_err(|error| format!("{}: {error}", target.address))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("abort line: {error}");
            }
        });
        Ok(Self { sender })
    }

    /// Whether a request can be sent now: alive, and no answer is being waited for.
    pub(crate) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(
        &mut self,
        target: &AbortTarget,
        method: Method,
        path: &'static str,
        body: Bytes,
    ) -> Result<Answer, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &target.host);
        if let Some(token) = &target.token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.secret()));
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(body))
            // The error does not quote the header: it may hold the token.
            .map_err(|_| "the token or the address of this agent cannot stand in a header".to_owned())?;
        self.sender
            .ready()
            .await
            .map_err(|error| format!("{}: {error}", target.address))?;
        let response = self
            .sender
            .send_request(request)
            .await
            .map_err(|error| format!("{} broke off: {error}", target.address))?;
        Ok(Answer {
            status: response.status().as_u16(),
            body: response.into_body(),
            line: Vec::new(),
            read: 0,
        })
    }
}

impl Answer {
    /// The HTTP status.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// The next line of the body; `None`: the answer is over. A torn last line is no line.
    pub(crate) async fn line(&mut self) -> Result<Option<Vec<u8>>, String> {
        loop {
            if let Some(end) = self.line.iter().position(|&byte| byte == b'\n') {
                let rest = self.line.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.line, rest);
                line.pop();
                return Ok(Some(line));
            }
            if self.line.len() > MAX_LINE_BYTES {
                return Err("a line longer than any agent sends".to_owned());
            }
            let Some(chunk) = self.chunk().await? else {
                return Ok(None);
            };
            self.line.extend_from_slice(&chunk);
        }
    }

    /// The whole body.
    pub(crate) async fn whole(&mut self) -> Result<Vec<u8>, String> {
        let mut whole = std::mem::take(&mut self.line);
        while let Some(chunk) = self.chunk().await? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole)
    }

    /// Reads to the end of a body that has said all it has to; whether its connection can be used again.
    pub(crate) async fn finish(mut self) -> bool {
        let ended = tokio::time::timeout(Duration::from_millis(100), self.chunk()).await;
        matches!(ended, Ok(Ok(None)))
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, String> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| format!("the answer broke off: {error}"))?;
            if let Ok(data) = frame.into_data() {
                self.read += data.len();
                if self.read > MAX_ANSWER_BYTES {
                    return Err("an answer longer than any agent sends".to_owned());
                }
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}
