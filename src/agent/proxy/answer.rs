//! The body of an answer on its way to the client, and the rules that change it.
//!
//! An answer that no rule changes is handed on frame by frame. Each change is a layer around the body: it
//! changes one frame at a time, so nothing is kept but what the change itself needs, and that is bounded.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes, BytesMut};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::HeaderMap;

use super::act::Act;
use super::grpc;
use super::http::Exchange;
use super::rule::{Hold, Rule, Tally};
use super::shape::link_piece;

/// What is read of an answer that is replaced, so that its connection can be used again.
const MAX_UNREAD_BYTES: usize = 1024 * 1024;

/// How long what was sent on an HTTP/2 stream has to leave before the stream is reset: a reset drops what waits.
const LEAVE: Duration = Duration::from_millis(20);

/// Why an answer ended early.
#[derive(Debug)]
pub enum Broken {
    /// The upstream's connection broke.
    Upstream(hyper::Error),
    /// A rule broke it off.
    Off,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream(_) => f.write_str("the upstream's answer broke off"),
            Self::Off => f.write_str("broken off by a rule"),
        }
    }
}

impl Error for Broken {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Upstream(error) => Some(error),
            Self::Off => None,
        }
    }
}

/// The body of an answer. The connection counts as busy until it is dropped.
#[derive(Debug)]
pub struct Answer {
    content: Content,
    exchange: Exchange,
}

/// Where it comes from.
#[derive(Debug)]
pub enum Content {
    /// From here.
    Whole(Option<Bytes>),
    /// From the client's own HTTP/1.1 connection to the upstream.
    Upstream {
        /// The rest of it.
        body: Incoming,
        /// Whether there is none.
        ended: bool,
    },
    /// From a stream of the client's HTTP/2 connection to the upstream.
    Stream(Incoming),
    /// From there, changed.
    Changed(Box<Changed>),
}

impl Answer {
    /// The answer to a request.
    pub fn new(content: Content, exchange: Exchange) -> Self {
        Self { content, exchange }
    }

    /// Puts a rule's change around it.
    pub fn change(&mut self, rule: Arc<Rule>, change: Change) {
        let inner = std::mem::replace(&mut self.content, Content::Whole(None));
        let waiting = VecDeque::new();
        self.content = Content::Changed(Box::new(Changed {
            inner,
            rule,
            change,
            waiting,
            ended: false,
        }));
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let Self { content, exchange } = &mut *self;
        content.poll_frame(exchange, cx)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.content.release(&self.exchange);
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, Broken>>>;

impl Content {
    fn poll_frame(&mut self, exchange: &Exchange, cx: &mut Context<'_>) -> Polled {
        match self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Upstream { body, ended } => {
                exchange.drive(cx);
                let frame = Pin::new(body).poll_frame(cx).map_err(Broken::Upstream);
                *ended |= matches!(frame, Poll::Ready(None));
                frame
            }
            Self::Stream(body) => Pin::new(body).poll_frame(cx).map_err(Broken::Upstream),
            Self::Changed(changed) => changed.poll_frame(exchange, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Upstream { body, .. } | Self::Stream(body) => body.is_end_stream(),
            Self::Changed(changed) => changed.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Upstream { body, .. } | Self::Stream(body) => body.size_hint(),
            Self::Changed(changed) => changed.size_hint(),
        }
    }

    fn release(&self, exchange: &Exchange) {
        match self {
            // A body left unread takes its connection down with it.
            Self::Upstream { body, ended } => exchange.release(*ended || body.is_end_stream()),
            Self::Changed(changed) => changed.inner.release(exchange),
            Self::Whole(_) | Self::Stream(_) => {}
        }
    }
}

/// A body with a rule around it.
#[derive(Debug)]
pub struct Changed {
    inner: Content,
    rule: Arc<Rule>,
    change: Change,
    /// Frames that are ready to go.
    waiting: VecDeque<Frame<Bytes>>,
    /// Whether nothing comes after them.
    ended: bool,
}

/// What the rule does, and where it stands.
#[derive(Debug)]
pub enum Change {
    /// Another text in its place, once the body has been read; bytes that were.
    Text(usize),
    /// Another text where one is found; the end of what was read, in which one may begin.
    Find(BytesMut),
    /// Flipped bits: bytes until the next one; none: it is to be drawn.
    Flip(Option<u64>),
    /// Bytes until the answer breaks off.
    Truncate(u64),
    /// The answer breaks off; over HTTP/2 when this has passed.
    BreakOff(Option<Hold>),
    /// What waits for its time, the wait for it, and when the last piece was due.
    Slow {
        /// Bytes that have not gone yet.
        rest: Bytes,
        /// Until the next of them may.
        hold: Option<(Hold, usize)>,
        /// The body's place on its own slow link.
        due: Instant,
    },
    /// Other trailers at the end.
    Trailers,
}

impl Changed {
    fn poll_frame(&mut self, exchange: &Exchange, cx: &mut Context<'_>) -> Polled {
        loop {
            if let Some(frame) = self.waiting.pop_front() {
                return Poll::Ready(Some(Ok(frame)));
            }
            match &mut self.change {
                Change::BreakOff(hold) => return break_off(&self.rule, hold, exchange, cx),
                Change::Slow { rest, hold, due } if !rest.is_empty() => {
                    let piece = ready!(poll_slow(&self.rule, exchange, rest, hold, due, cx));
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                _ if self.ended => return Poll::Ready(None),
                _ => {}
            }
            match ready!(self.inner.poll_frame(exchange, cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.pass(data),
                    Err(other) => self.end(other.into_trailers().ok()),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.end(None),
            }
        }
    }

    /// Takes bytes and makes of them what is to go.
    fn pass(&mut self, data: Bytes) {
        match &mut self.change {
            Change::Text(read) => {
                *read += data.len();
                if *read > MAX_UNREAD_BYTES {
                    self.end(None);
                }
                return;
            }
            Change::Find(tail) => {
                tail.extend_from_slice(&data);
                if let Act::Replace {
                    find: Some(find),
                    text,
                } = act(&self.rule)
                {
                    let found = replace(tail, find, text, find.len() - 1);
                    self.waiting
                        .extend((!found.is_empty()).then(|| Frame::data(found)));
                }
                return;
            }
            Change::Slow { rest, .. } => {
                *rest = data;
                return;
            }
            Change::Flip(next) => {
                let flipped = flip(&self.rule, data, next);
                self.waiting.push_back(Frame::data(flipped));
                return;
            }
            Change::Truncate(left) if data.len() as u64 > *left => {
                let rest = data.slice(..*left as usize);
                self.waiting.extend((!rest.is_empty()).then(|| Frame::data(rest)));
                self.change = Change::BreakOff(None);
                Tally::add(&self.rule.core.tally.truncated, 1);
                return;
            }
            Change::Truncate(left) => *left -= data.len() as u64,
            Change::BreakOff(_) | Change::Trailers => {}
        }
        self.waiting.push_back(Frame::data(data));
    }

    /// The body's end, perhaps with trailers.
    fn end(&mut self, trailers: Option<HeaderMap>) {
        self.ended = true;
        let (last, trailers) = match (&mut self.change, act(&self.rule)) {
            (Change::Text(_), Act::Replace { text, .. }) => (text.clone(), None),
            (
                Change::Find(tail),
                Act::Replace {
                    find: Some(find),
                    text,
                },
            ) => (replace(tail, find, text, 0), trailers),
            (Change::Trailers, Act::Grpc { status, .. }) => {
                let mut forged = trailers.unwrap_or_default();
                grpc::forge(&mut forged, status);
                (Bytes::new(), Some(forged))
            }
            _ => (Bytes::new(), trailers),
        };
        self.waiting.extend((!last.is_empty()).then(|| Frame::data(last)));
        self.waiting.extend(trailers.map(Frame::trailers));
    }

    fn is_end_stream(&self) -> bool {
        if !self.waiting.is_empty() {
            return false;
        }
        match &self.change {
            Change::Slow { rest, .. } if !rest.is_empty() => false,
            Change::BreakOff(_) => false,
            // Something comes after the last byte.
            Change::Text(_) | Change::Find(_) | Change::Trailers => self.ended,
            Change::Slow { .. } | Change::Flip(_) | Change::Truncate(_) => {
                self.ended || self.inner.is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.change, act(&self.rule)) {
            (Change::Text(_), Act::Replace { text, .. }) => SizeHint::with_exact(text.len() as u64),
            (Change::Find(_), _) => SizeHint::default(),
            _ => self.inner.size_hint(),
        }
    }
}

fn act(rule: &Rule) -> &Act {
    // Only rules on requests get here.
    rule.on_requests.as_ref().map_or(&Act::Delay, |on| &on.act)
}

/// Ends the answer: over HTTP/1.1 the connection when all that was sent has gone, over HTTP/2 the stream.
fn break_off(rule: &Rule, hold: &mut Option<Hold>, exchange: &Exchange, cx: &mut Context<'_>) -> Polled {
    if exchange.is_http1() {
        exchange.flags.break_off.store(true, Ordering::Release);
        // The connection is flushed next, which fails when nothing is left.
        return Poll::Pending;
    }
    if hold.is_none() {
        *hold = rule.core.hold(Instant::now() + LEAVE);
    }
    if let Some(hold) = hold {
        ready!(Pin::new(hold).poll(cx));
    }
    Poll::Ready(Some(Err(Broken::Off)))
}

/// The next piece of a slow body, when its time has come.
fn poll_slow(
    rule: &Arc<Rule>,
    exchange: &Exchange,
    rest: &mut Bytes,
    waits: &mut Option<(Hold, usize)>,
    due: &mut Instant,
    cx: &mut Context<'_>,
) -> Poll<Bytes> {
    if waits.is_none() {
        let now = Instant::now();
        // As it is now: the rate may have been changed, and the rule may be gone.
        let rate = exchange.route.same_rule(rule).and_then(|rule| rule.rate(now));
        let Some(rate) = rate.filter(|rate| *rate > 0) else {
            return Poll::Ready(std::mem::take(rest));
        };
        let bytes = rest.len().min(link_piece(rate));
        let took = Duration::try_from_secs_f64(bytes as f64 / rate as f64).unwrap_or(Duration::ZERO);
        *due = (*due).max(now) + took;
        let tally = &rule.core.tally;
        Tally::add(&tally.bytes, bytes as u64);
        Tally::add(&tally.added_us, took.as_micros() as u64);
        match rule.core.hold(*due) {
            Some(hold) => *waits = Some((hold, bytes)),
            None => return Poll::Ready(std::mem::take(rest)),
        }
    }
    let Some((hold, bytes)) = waits else {
        return Poll::Ready(std::mem::take(rest));
    };
    ready!(Pin::new(hold).poll(cx));
    let piece = rest.copy_to_bytes(*bytes);
    *waits = None;
    Poll::Ready(piece)
}

/// Takes all but the last `keep` bytes from `tail`, with `text` wherever `find` was; one that begins in those
/// that stay is found later.
fn replace(tail: &mut BytesMut, find: &[u8], text: &[u8], keep: usize) -> Bytes {
    let mut out = BytesMut::new();
    let mut from = 0;
    while let Some(at) = position(&tail[from..], find) {
        out.extend_from_slice(&tail[from..from + at]);
        out.extend_from_slice(text);
        from += at + find.len();
    }
    let until = tail.len().saturating_sub(keep).max(from);
    out.extend_from_slice(&tail[from..until]);
    tail.advance(until);
    out.freeze()
}

fn position(bytes: &[u8], find: &[u8]) -> Option<usize> {
    let first = *find.first()?;
    let mut from = 0;
    loop {
        from += bytes.get(from..)?.iter().position(|byte| *byte == first)?;
        if bytes[from..].starts_with(find) {
            return Some(from);
        }
        from += 1;
    }
}

/// Flips a bit in one byte of so many on the average; the first is within the first piece.
fn flip(rule: &Rule, data: Bytes, next: &mut Option<u64>) -> Bytes {
    let Act::Corrupt { every } = *act(rule) else {
        return data;
    };
    let len = data.len() as u64;
    let mut data = BytesMut::from(data);
    let draw = |below: u64| rule.core.random() % below.max(1);
    let mut at = next.unwrap_or_else(|| draw(every.min(len)));
    while at < len {
        data[at as usize] ^= 1 << draw(8);
        at = at.saturating_add(1 + draw(every.saturating_mul(2) - 1));
    }
    *next = Some(at - len);
    data.freeze()
}
