//! How the services and the customers call each other. Neither client has a deadline or retries: those are
//! the caller's, and what the two builds differ in.

use std::io;
use std::net::SocketAddr;

use axum::http::{Request, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::net::TcpStream;

/// Connections kept open for the next call.
const MAX_IDLE: usize = 32;
/// Largest answer that is read, bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// Calls one HTTP/2 connection may have on their way before the other side has said its own limit.
const FIRST_STREAMS: usize = 64;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("no connection to {to}: {source}")]
    Connect { to: SocketAddr, source: io::Error },
    #[error("the call to {to} broke off: {source}")]
    Broken { to: SocketAddr, source: hyper::Error },
    #[error("the call to {to} cannot be put into words: {source}")]
    Request {
        to: SocketAddr,
        source: axum::http::Error,
    },
    #[error("the answer of {to} broke off or is too long")]
    Answer { to: SocketAddr },
}

/// HTTP/1.1, a connection a call, kept for later calls: what a proxy route can carry.
pub(crate) struct Pool {
    to: SocketAddr,
    idle: Mutex<Vec<http1::SendRequest<Full<Bytes>>>>,
}

impl Pool {
    pub(crate) fn new(to: SocketAddr) -> Self {
        Self {
            to,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// The status of the answer to a JSON body. A call that is dropped closes its connection.
    pub(crate) async fn post(&self, path: &'static str, json: Bytes) -> Result<StatusCode, CallError> {
        let mut request = post(self.to, path.to_owned(), json)?;
        loop {
            let kept = self.idle.lock().pop();
            let fresh = kept.is_none();
            let mut sender = match kept {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            // The task that drives a kept connection may not have got round to it since the last answer.
            if sender.ready().await.is_err() && !fresh {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => {
                    let status = read(self.to, response).await?;
                    self.keep(sender);
                    return Ok(status);
                }
                Err(mut error) => match error.take_message() {
                    // The other side had closed the kept connection: nothing was sent, so another may carry
                    // it.
                    Some(unsent) if !fresh => request = unsent,
                    _ => {
                        return Err(CallError::Broken {
                            to: self.to,
                            source: error.into_error(),
                        });
                    }
                },
            }
        }
    }

    async fn connect(&self) -> Result<http1::SendRequest<Full<Bytes>>, CallError> {
        let stream = connect(self.to).await?;
        let (sender, connection) = http1::handshake(stream)
            .await
            .map_err(|source| CallError::Broken { to: self.to, source })?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn keep(&self, sender: http1::SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock();
        if idle.len() < MAX_IDLE && !sender.is_closed() {
            idle.push(sender);
        }
    }
}

/// HTTP/2, one connection for any number of calls: hundreds of waiting orders cost no file descriptors.
pub(crate) struct Channel {
    to: SocketAddr,
    connection: tokio::sync::Mutex<Option<http2::SendRequest<Full<Bytes>>>>,
}

impl Channel {
    pub(crate) fn new(to: SocketAddr) -> Self {
        Self {
            to,
            connection: tokio::sync::Mutex::new(None),
        }
    }

    /// The status of the answer to a JSON body.
    pub(crate) async fn post(&self, path: &'static str, json: Bytes) -> Result<StatusCode, CallError> {
        let mut sender = self.sender().await?;
        let response = sender
            .send_request(post(self.to, format!("http://{}{path}", self.to), json)?)
            .await
            .map_err(|source| CallError::Broken { to: self.to, source })?;
        read(self.to, response).await
    }

    async fn sender(&self) -> Result<http2::SendRequest<Full<Bytes>>, CallError> {
        let mut connection = self.connection.lock().await;
        if let Some(sender) = connection.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let stream = connect(self.to).await?;
        let (sender, driver) = http2::Builder::new(TokioExecutor::new())
            .initial_max_send_streams(FIRST_STREAMS)
            .handshake(stream)
            .await
            .map_err(|source| CallError::Broken { to: self.to, source })?;
        tokio::spawn(driver);
        Ok(connection.insert(sender).clone())
    }
}

async fn connect(to: SocketAddr) -> Result<TokioIo<TcpStream>, CallError> {
    let stream = TcpStream::connect(to)
        .await
        .map_err(|source| CallError::Connect { to, source })?;
    stream.set_nodelay(true).ok();
    Ok(TokioIo::new(stream))
}

/// HTTP/1.1 wants the path alone and a Host header, HTTP/2 the whole address.
fn post(to: SocketAddr, uri: String, json: Bytes) -> Result<Request<Full<Bytes>>, CallError> {
    Request::post(uri)
        .header(header::HOST, to.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(json))
        .map_err(|source| CallError::Request { to, source })
}

/// The status, once the whole body has come.
async fn read(to: SocketAddr, response: Response<Incoming>) -> Result<StatusCode, CallError> {
    let status = response.status();
    match Limited::new(response.into_body(), MAX_ANSWER).collect().await {
        Ok(_) => Ok(status),
        Err(_) => Err(CallError::Answer { to }),
    }
}
