//! Connections to an upstream that wait for the next request.
//!
//! The one used last is taken first. They are kept for a few seconds only: a server that closes an idle
//! connection just as a request is sent on it costs that request, and common servers wait no less than five.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;

const MAX_IDLE: usize = 1024;
const MAX_IDLE_TIME: Duration = Duration::from_secs(4);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The way to send a request to the upstream.
pub type Sender = SendRequest<Incoming>;

/// Idle connections, the youngest at the back.
#[derive(Debug)]
pub struct Pool {
    upstream: String,
    idle: Mutex<VecDeque<Idle>>,
}

/// A connection whose answer has been read to its end, and since when it waits.
#[derive(Debug)]
pub struct Idle {
    since: Instant,
    sender: Sender,
}

impl Idle {
    /// From now on idle.
    pub fn new(sender: Sender) -> Self {
        Self {
            since: Instant::now(),
            sender,
        }
    }

    fn is_old(&self) -> bool {
        self.since.elapsed() >= MAX_IDLE_TIME
    }

    /// The connection, if it takes a request now.
    pub async fn wake(mut self) -> Option<Sender> {
        (!self.is_old() && self.sender.ready().await.is_ok()).then_some(self.sender)
    }
}

impl Pool {
    /// An empty pool for an upstream, `host:port`.
    pub fn new(upstream: &str) -> Self {
        Self {
            upstream: upstream.to_owned(),
            idle: Mutex::default(),
        }
    }

    /// An idle connection that takes a request now; none if there is none.
    pub async fn take(&self) -> Option<Sender> {
        loop {
            let idle = self.idle.lock().pop_back()?;
            if let Some(sender) = idle.wake().await {
                return Some(sender);
            }
        }
    }

    /// A new connection.
    pub async fn connect(&self) -> io::Result<Sender> {
        let stream = connect(&self.upstream).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "upstream connection ended");
            }
        });
        Ok(sender)
    }

    /// Keeps a connection for somebody else.
    pub fn put(&self, connection: Idle) {
        if connection.sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock();
        while idle.len() >= MAX_IDLE || idle.front().is_some_and(Idle::is_old) {
            idle.pop_front();
        }
        idle.push_back(connection);
    }
}

/// Connects to an upstream.
pub async fn connect(upstream: &str) -> io::Result<TcpStream> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(upstream))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer within 10 s"))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}
