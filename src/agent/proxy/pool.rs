//! Connections to an upstream, and those of them that wait for the next request.
//!
//! A connection has no task of its own: whoever uses it drives it, so that neither a request nor its answer waits
//! for another thread to wake. The one used last is taken first. They are kept for a few seconds only: a server
//! that closes an idle connection just as a request is sent on it costs that request, and common servers wait no
//! less than five.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;

const MAX_IDLE: usize = 1024;
const MAX_IDLE_TIME: Duration = Duration::from_secs(4);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to the upstream. Dropping it closes it.
#[derive(Debug)]
pub struct Upstream {
    sender: SendRequest<Incoming>,
    /// None: it has ended.
    wire: Option<Box<Connection<TokioIo<TcpStream>, Incoming>>>,
}

impl Upstream {
    /// Reads and writes what can be read and written now. False: it has ended.
    pub fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(wire) = &mut self.wire else { return false };
        if let Poll::Ready(ended) = Pin::new(&mut **wire).poll(cx) {
            if let Err(error) = ended {
                tracing::debug!(%error, "upstream connection ended");
            }
            self.wire = None;
        }
        self.wire.is_some()
    }

    /// Sends a request and waits for the head of its answer; its body comes while the connection is driven.
    pub async fn send(
        &mut self,
        request: Request<Incoming>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Incoming>>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| {
            self.drive(cx);
            answer.as_mut().poll(cx)
        })
        .await
    }

    /// Waits until it takes a request. False: it has ended.
    async fn ready(&mut self) -> bool {
        poll_fn(|cx| {
            self.drive(cx);
            self.sender.poll_ready(cx).map(|ready| ready.is_ok())
        })
        .await
    }
}

/// Idle connections, the youngest at the back.
#[derive(Debug)]
pub struct Pool {
    upstream: String,
    idle: Mutex<VecDeque<Idle>>,
}

/// A connection whose request has been answered, and since when.
#[derive(Debug)]
pub struct Idle {
    since: Instant,
    connection: Upstream,
}

impl Idle {
    /// From now on idle.
    pub fn new(connection: Upstream) -> Self {
        Self {
            since: Instant::now(),
            connection,
        }
    }

    fn is_old(&self) -> bool {
        self.since.elapsed() >= MAX_IDLE_TIME
    }

    /// Its answer has been read to the end just now.
    pub fn rest(&mut self) {
        self.since = Instant::now();
    }

    /// See [`Upstream::drive`].
    pub fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        self.connection.drive(cx)
    }

    /// The connection, if it takes a request now.
    pub async fn wake(mut self) -> Option<Upstream> {
        (!self.is_old() && self.connection.ready().await).then_some(self.connection)
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
    pub async fn take(&self) -> Option<Upstream> {
        loop {
            let idle = self.idle.lock().pop_back()?;
            if let Some(connection) = idle.wake().await {
                return Some(connection);
            }
        }
    }

    /// A new connection.
    pub async fn connect(&self) -> io::Result<Upstream> {
        let stream = connect(&self.upstream).await?;
        let (sender, wire) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        Ok(Upstream {
            sender,
            wire: Some(Box::new(wire)),
        })
    }

    /// Keeps a connection for somebody else, if it takes a request. Nobody drives it meanwhile.
    pub fn put(&self, mut idle: Idle) {
        let connection = &mut idle.connection;
        if !connection.drive(&mut Context::from_waker(Waker::noop())) || !connection.sender.is_ready() {
            return;
        }
        let mut waiting = self.idle.lock();
        while waiting.len() >= MAX_IDLE {
            waiting.pop_front();
        }
        waiting.push_back(idle);
        drop(waiting);
        self.drop_old();
    }

    /// Closes those that have waited too long.
    pub fn drop_old(&self) {
        let mut waiting = self.idle.lock();
        while waiting.front().is_some_and(Idle::is_old) {
            waiting.pop_front();
        }
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
