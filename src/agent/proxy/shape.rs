//! The client's side of a connection, with the faults of the stream below HTTP: late answers, a slow link, a
//! reset at the end.
//!
//! With no such rule on the route a read or a write costs one atomic load more than the bare socket. With one,
//! written pieces wait in a queue of bounded size, each for its own time, so that a delay costs latency and
//! not throughput; a piece then books its place on the slow link. What is read is charged afterwards: the
//! next read waits for it. Everything that waits is a [`Hold`] of its rule, so a revert lets it go at once.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::route::Route;
use super::rule::{Core, Hold, Rule, Tally};

/// Most bytes of an answer that wait in one connection; then the upstream has to.
const MAX_WAITING_BYTES: usize = 256 * 1024;

/// What others may know and want of a connection.
#[derive(Debug)]
pub struct Flags {
    /// Set: the socket is reset when it is dropped, not closed.
    pub cut: AtomicBool,
    /// Set: it ends when what was written has gone.
    pub break_off: AtomicBool,
    /// Set: when it is idle for too long, it asks its client to leave, and needs more time for that.
    pub asks_first: AtomicBool,
    /// How many requests or streams are under way.
    busy: AtomicUsize,
    /// The route's tick at which it was last seen to be idle.
    idle_since: AtomicU64,
}

impl Flags {
    /// An idle connection.
    pub fn new(tick: u64) -> Self {
        Self {
            cut: AtomicBool::new(false),
            break_off: AtomicBool::new(false),
            asks_first: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            idle_since: AtomicU64::new(tick),
        }
    }

    /// A request or a stream begins.
    pub fn begin(&self) {
        self.busy.fetch_add(1, Ordering::Release);
    }

    /// It has ended.
    pub fn end(&self, route: &Route) {
        self.idle_since.store(route.tick(), Ordering::Relaxed);
        self.busy.fetch_sub(1, Ordering::Release);
    }

    /// Whether a request or a stream is under way.
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire) > 0
    }

    /// Whether nothing has been under way for so many ticks.
    pub fn is_idle_for(&self, ticks: u64, now: u64) -> bool {
        !self.is_busy() && now.saturating_sub(self.idle_since.load(Ordering::Relaxed)) >= ticks
    }
}

/// A client's stream.
#[derive(Debug)]
pub struct Shaped {
    inner: TcpStream,
    route: Arc<Route>,
    flags: Arc<Flags>,
    waiting: VecDeque<Piece>,
    waiting_bytes: usize,
    last_due: Option<Instant>,
    write_hold: Option<Hold>,
    /// Bytes that have their place on the slow link.
    granted: usize,
    read_hold: Option<Hold>,
    /// What was read to see how it starts, and is to be read again.
    start: Bytes,
}

#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    sent: usize,
    due: Option<(Arc<Core>, Instant)>,
}

impl Shaped {
    /// Wraps a client's socket.
    pub fn new(inner: TcpStream, route: Arc<Route>, flags: Arc<Flags>) -> Self {
        Self {
            inner,
            route,
            flags,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            last_due: None,
            write_hold: None,
            granted: 0,
            read_hold: None,
            start: Bytes::new(),
        }
    }

    /// Whether the first bytes that come are these. They are still there to be read.
    pub async fn starts_with<const N: usize>(&mut self, start: &[u8; N]) -> io::Result<bool> {
        let mut read = [0; N];
        let mut len = 0;
        while len < N && start.starts_with(&read[..len]) {
            match self.read(&mut read[len..]).await? {
                0 => break,
                more => len += more,
            }
        }
        self.start = Bytes::copy_from_slice(&read[..len]);
        Ok(read[..len] == start[..])
    }

    fn writes_plainly(&self) -> bool {
        self.waiting.is_empty() && !self.route.shapes()
    }

    /// Takes bytes into the queue.
    fn enqueue(&mut self, buf: &[u8]) -> usize {
        let n = buf.len().min(MAX_WAITING_BYTES - self.waiting_bytes);
        let now = Instant::now();
        let due = self.route.rules().latency.as_ref().and_then(|rule| {
            let delay = rule.delay(now)?;
            let due = self.last_due.map_or(now + delay, |last| last.max(now + delay));
            self.last_due = Some(due);
            count(rule, n, Some(due - now));
            Some((Arc::clone(&rule.core), due))
        });
        self.waiting.push_back(Piece {
            bytes: buf[..n].to_vec(),
            sent: 0,
            due,
        });
        self.waiting_bytes += n;
        n
    }

    /// Writes what may go. Ready when nothing waits any more.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(hold) = &mut self.write_hold {
                ready!(Pin::new(hold).poll(cx));
                self.write_hold = None;
            }
            let Some(piece) = self.waiting.front_mut() else {
                return Poll::Ready(Ok(()));
            };
            if let Some((core, due)) = piece.due.take()
                && due > Instant::now()
            {
                self.write_hold = core.hold(due);
                continue;
            }
            let left = piece.bytes.len() - piece.sent;
            if self.granted == 0 {
                self.granted = left;
                if let Some((rule, rate)) = self.route.rules().slow_link() {
                    self.granted = left.min(link_piece(rate));
                    self.write_hold = book(rule, self.granted, rate);
                    continue;
                }
            }
            let part = piece.sent..piece.sent + left.min(self.granted);
            let n = ready!(Pin::new(&mut self.inner).poll_write(cx, &piece.bytes[part]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            piece.sent += n;
            self.granted -= n;
            self.waiting_bytes -= n;
            if piece.sent == piece.bytes.len() {
                self.waiting.pop_front();
                self.granted = 0;
            }
        }
    }
}

/// How many bytes take their place on a slow link at once: 20 ms of it.
pub fn link_piece(bytes_per_s: u64) -> usize {
    (bytes_per_s / 50).clamp(16, 64 * 1024) as usize
}

/// Books a place on the slow link; the wait for it, if there is one.
fn book(rule: &Rule, bytes: usize, rate: u64) -> Option<Hold> {
    let now = Instant::now();
    let until = rule.core.book(bytes, rate, now);
    count(rule, bytes, until.map(|until| until - now));
    rule.core.hold(until?)
}

fn count(rule: &Rule, bytes: usize, added: Option<Duration>) {
    let tally = &rule.core.tally;
    Tally::add(&tally.seen, 1);
    Tally::add(&tally.bytes, bytes as u64);
    if let Some(added) = added {
        Tally::add(&tally.delayed, 1);
        Tally::add(&tally.added_us, added.as_micros() as u64);
    }
}

impl AsyncRead for Shaped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.start.is_empty() {
            let len = this.start.len().min(buf.remaining());
            buf.put_slice(&this.start.split_to(len));
            return Poll::Ready(Ok(()));
        }
        if this.read_hold.is_none() && !this.route.shapes() {
            return Pin::new(&mut this.inner).poll_read(cx, buf);
        }
        if let Some(hold) = &mut this.read_hold {
            ready!(Pin::new(hold).poll(cx));
            this.read_hold = None;
        }
        let rules = this.route.rules();
        let Some((rule, rate)) = rules.slow_link() else {
            return Pin::new(&mut this.inner).poll_read(cx, buf);
        };
        let mut part = buf.take(link_piece(rate));
        ready!(Pin::new(&mut this.inner).poll_read(cx, &mut part))?;
        let n = part.filled().len();
        buf.advance(n);
        if n > 0 {
            this.read_hold = book(rule, n, rate);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Shaped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.writes_plainly() {
            return Pin::new(&mut this.inner).poll_write(cx, buf);
        }
        if let Poll::Ready(Err(error)) = this.poll_drain(cx) {
            return Poll::Ready(Err(error));
        }
        if this.waiting_bytes >= MAX_WAITING_BYTES {
            return Poll::Pending;
        }
        let n = this.enqueue(buf);
        match this.poll_drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(n)),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.writes_plainly() {
            return Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        }
        match bufs.iter().find(|buf| !buf.is_empty()) {
            Some(buf) => self.poll_write(cx, buf),
            None => Poll::Ready(Ok(0)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        if self.flags.break_off.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Drop for Shaped {
    fn drop(&mut self) {
        if self.flags.cut.load(Ordering::Acquire)
            && let Err(error) = SockRef::from(&self.inner).set_linger(Some(Duration::ZERO))
        {
            tracing::warn!(%error, "a connection could not be reset and is closed instead");
        }
    }
}

/// The slow link of a rule set, with its rate.
impl super::route::RuleSet {
    fn slow_link(&self) -> Option<(&Rule, u64)> {
        let rule = self.bandwidth.as_deref()?;
        Some((rule, rule.rate(Instant::now())?))
    }
}
