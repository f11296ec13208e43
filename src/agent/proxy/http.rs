//! Requests: rules first, then a plain reverse proxy.
//!
//! A connection speaks what its first bytes say: HTTP/2 with prior knowledge (RFC 9113, 3.3), else HTTP/1.1; the
//! upstream is spoken to in the same. Everything below is the same for both, on a stream of HTTP/2 as on a
//! connection of HTTP/1.1. An upstream that fails is a 502 with a body that names this proxy, so that nobody
//! takes it for the service's own words. A probe goes through the rules that are for it like a request (it is
//! always in the share and never counted) and is answered here, with the ids of the rules that hit it.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue,
};
use hyper::{Method, Request, Response, StatusCode};
use parking_lot::Mutex;

use super::act::Act;
use super::answer::{Answer, Change, Content};
use super::grpc;
use super::matching::Matcher;
use super::pool::Idle;
use super::route::Route;
use super::rule::{Rule, Tally};
use super::shape::{Flags, Shaped};
use super::{http1, http2};

/// The header of a probe's answer: the ids of the rules that hit it, each followed by a comma.
pub const PROBE_HEADER: &str = "x-firedrill-rules";

/// The header of a probe's request: the id of a rule that is about to be removed. The probe meets the rules of the
/// moment after that.
pub const AFTER_HEADER: &str = "x-firedrill-after";

/// How long a probe waits for that removal. It comes behind it on another connection.
const AFTER_WITHIN: Duration = Duration::from_secs(2);

/// Largest head of a request in bytes.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;

/// What says of which bytes a body is.
const DIGESTS: [HeaderName; 5] = [
    ETAG,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// An answer of the proxy's own, in the place of the upstream's.
pub type Refused = (StatusCode, String);

/// What all requests of a connection share.
#[derive(Debug)]
pub struct Client {
    /// Where it came in.
    pub route: Arc<Route>,
    /// Its connection.
    pub flags: Arc<Flags>,
    probe: bool,
    /// The upstream connection that an answer comes on, or came on: kept for the next request. It goes to the pool
    /// when the client leaves.
    pub own: Mutex<Option<Idle>>,
    /// The same over HTTP/2; none: it speaks HTTP/1.1.
    pub http2: Option<http2::Link>,
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(idle) = self.own.get_mut().take() {
            self.route.pool.put(idle);
        }
    }
}

/// Serves a client's connection.
pub async fn serve(mut stream: Shaped, route: Arc<Route>, flags: Arc<Flags>, probe: bool) -> io::Result<()> {
    let is_http2 = stream.starts_with(http2::PREFACE).await?;
    flags.asks_first.store(is_http2, Ordering::Relaxed);
    let client = Arc::new(Client {
        route,
        flags,
        probe,
        own: Mutex::default(),
        http2: is_http2.then(http2::Link::default),
    });
    if is_http2 {
        Box::pin(http2::serve(stream, &client)).await
    } else {
        http1::serve(stream, &client).await
    }
}

impl Client {
    /// See [`super::pool::Upstream::drive`].
    pub fn drive(&self, cx: &mut Context<'_>) {
        // Not under the lock: what it wakes may be of this client.
        let own = self.own.lock().take();
        if let Some(mut own) = own
            && own.drive(cx)
        {
            *self.own.lock() = Some(own);
        }
    }

    /// The answer has been read to its end, or is given up, and with it the connection it came on.
    pub fn release(&self, whole: bool) {
        let mut own = self.own.lock();
        match &mut *own {
            Some(own) if whole => own.rest(),
            _ => *own = None,
        }
    }

    /// Whether it speaks HTTP/1.1.
    pub fn is_http1(&self) -> bool {
        self.http2.is_none()
    }

    /// An upstream that did not do its part.
    pub fn failed(&self, what: &str) -> Refused {
        let upstream = &self.route.config.upstream;
        (StatusCode::BAD_GATEWAY, format!("upstream {upstream} {what}"))
    }

    /// Probes are not traffic.
    fn count(&self, rule: &Rule, count: impl FnOnce(&Tally)) {
        if !self.probe {
            count(&rule.core.tally);
        }
    }

    fn is_hit(&self, rule: &Rule, matcher: &Matcher, request: &Request<Incoming>) -> bool {
        let (method, path) = (request.method().as_str(), request.uri().path());
        if rule.core.revoked() || !matcher.is_for(method, path, request.headers()) {
            return false;
        }
        self.count(rule, |tally| Tally::add(&tally.seen, 1));
        self.probe || rule.drawn(matcher.share, Instant::now())
    }

    async fn delay(&self, rule: &Rule) {
        let now = Instant::now();
        let Some(delay) = rule.delay(now) else { return };
        let Some(hold) = rule.core.hold(now + delay) else {
            return;
        };
        hold.await;
        self.count(rule, |tally| {
            Tally::add(&tally.delayed, 1);
            Tally::add(&tally.added_us, now.elapsed().as_micros() as u64);
        });
    }
}

/// The client's connection or stream is to be reset.
#[derive(Debug)]
pub struct Reset;

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("reset by a rule")
    }
}

impl Error for Reset {}

/// A request under way: its connection counts as busy until this is dropped.
#[derive(Debug)]
pub struct Exchange(Arc<Client>);

impl Deref for Exchange {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.flags.end(&self.route);
    }
}

/// What the rules found for a request.
#[derive(Debug, Default)]
struct Met {
    /// Their ids, each followed by a comma, for a probe.
    hits: String,
    /// Those that change the answer.
    later: Vec<Arc<Rule>>,
}

impl Exchange {
    /// A request has come.
    pub fn begin(client: &Arc<Client>) -> Self {
        client.flags.begin();
        Self(Arc::clone(client))
    }

    /// Its answer.
    pub async fn answer(self, request: Request<Incoming>) -> Result<Response<Answer>, Reset> {
        if self.probe || self.route.has_http_rules() {
            return Box::pin(self.ruled(request)).await;
        }
        let passed = self.pass(request).await;
        Ok(passed.map(|content| Answer::new(content, self)))
    }

    /// Passes it on; a failure is an answer too.
    async fn pass(&self, request: Request<Incoming>) -> Response<Content> {
        let passed = match &self.http2 {
            None => self.forward(request).await,
            Some(link) => Box::pin(link.forward(self, request)).await,
        };
        passed.unwrap_or_else(|(status, words)| {
            let name = &self.route.config.name;
            let words = format!("firedrill proxy, route \"{name}\": {words}\n");
            own(status, Bytes::from(words))
        })
    }

    /// The same through the rules.
    async fn ruled(self, mut request: Request<Incoming>) -> Result<Response<Answer>, Reset> {
        let mut met = Met::default();
        if self.probe {
            self.wait_for_removal(request.headers()).await;
        }
        let only_head = request.method() == Method::HEAD;
        let rules = self.route.rules();
        let mut answer = None;
        for rule in &rules.http {
            answer = self.meet(rule, &mut request, &mut met).await?;
            if answer.is_some() {
                break;
            }
        }
        if let Some(mut answer) = answer {
            // What is said here holds now and not later.
            let no_store = HeaderValue::from_static("no-store");
            answer.headers_mut().insert(CACHE_CONTROL, no_store);
            if only_head {
                *answer.body_mut() = Content::Whole(None);
            }
            self.mark(&mut answer, &met);
            return Ok(answer.map(|content| Answer::new(content, self)));
        }
        if self.probe {
            let mut answer = own(StatusCode::NO_CONTENT, Bytes::new());
            self.mark(&mut answer, &met);
            return Ok(answer.map(|content| Answer::new(content, self)));
        }
        let passed = self.pass(request).await;
        // An answer in the proxy's own name is not the upstream's to be changed.
        let is_own = matches!(passed.body(), Content::Whole(_));
        let mut answer = passed.map(|content| Answer::new(content, self));
        if !is_own {
            let bare =
                only_head || matches!(answer.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
            for rule in met.later {
                change(&mut answer, rule, bare);
            }
        }
        Ok(answer)
    }

    /// A probe that was sent behind a removal goes on when the rule is gone; if it stays, it meets the rule.
    async fn wait_for_removal(&self, headers: &HeaderMap) {
        let id = headers.get(AFTER_HEADER).and_then(|id| id.to_str().ok());
        let rule = id.and_then(|id| self.route.rules().by_id(id).cloned());
        if let Some(rule) = rule {
            tokio::time::timeout(AFTER_WITHIN, rule.core.gone()).await.ok();
        }
    }

    /// What one rule does to a request; the answer, if it gives one.
    async fn meet(
        &self,
        rule: &Arc<Rule>,
        request: &mut Request<Incoming>,
        met: &mut Met,
    ) -> Result<Option<Response<Content>>, Reset> {
        let Some(on) = &rule.on_requests else {
            return Ok(None);
        };
        if !self.is_hit(rule, &on.matcher, request) {
            return Ok(None);
        }
        if self.probe {
            met.hits.push_str(&rule.set.id);
            met.hits.push(',');
        }
        match &on.act {
            Act::Delay => self.delay(rule).await,
            Act::Answer(status, body) => {
                self.count(rule, |tally| Tally::add(&tally.answered, 1));
                return Ok(Some(own(*status, body.clone())));
            }
            Act::Lose(status, body) => {
                take(request.body_mut()).await;
                self.count(rule, |tally| Tally::add(&tally.lost, 1));
                return Ok(Some(own(*status, body.clone())));
            }
            Act::Grpc { status, after: false } => {
                self.count(rule, |tally| Tally::add(&tally.answered, 1));
                return Ok(Some(trailers_only(request, status)));
            }
            // A probe is told of it.
            Act::Reset if !self.probe => {
                self.count(rule, |tally| Tally::add(&tally.reset, 1));
                if self.is_http1() {
                    self.flags.cut.store(true, Ordering::Release);
                }
                return Err(Reset);
            }
            Act::Reset => {}
            Act::RequestHeaders(headers) => {
                headers.apply(request.headers_mut());
                self.count(rule, |tally| Tally::add(&tally.changed, 1));
            }
            Act::Replace { find: Some(_), .. } => {
                // Nothing can be found in an answer that is compressed.
                let plain = HeaderValue::from_static("identity");
                request.headers_mut().insert(ACCEPT_ENCODING, plain);
                met.later.push(Arc::clone(rule));
            }
            Act::AnswerHeaders(_)
            | Act::Replace { .. }
            | Act::Corrupt { .. }
            | Act::Truncate { .. }
            | Act::Slow
            | Act::Grpc { .. } => met.later.push(Arc::clone(rule)),
        }
        Ok(None)
    }

    /// Tells a probe, and nobody else, which rules it met.
    fn mark(&self, answer: &mut Response<Content>, met: &Met) {
        if self.probe
            && let Ok(hits) = HeaderValue::from_str(&met.hits)
        {
            answer.headers_mut().insert(PROBE_HEADER, hits);
        }
    }
}

/// An answer of the proxy's own.
fn own(status: StatusCode, body: Bytes) -> Response<Content> {
    let body = (!body.is_empty()).then_some(body);
    let mut response = Response::new(Content::Whole(body));
    *response.status_mut() = status;
    response
}

/// A gRPC status with no answer before it.
fn trailers_only(request: &Request<Incoming>, status: &HeaderMap) -> Response<Content> {
    let mut answer = own(StatusCode::OK, Bytes::new());
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    let kind = kind.unwrap_or_else(|| HeaderValue::from_static("application/grpc"));
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    grpc::forge(answer.headers_mut(), status);
    answer
}

/// Reads a request to its end, as whoever does what it wants would.
async fn take(body: &mut Incoming) {
    let mut body = Pin::new(body);
    // A request that breaks off is lost as well.
    while let Some(Ok(_)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {}
}

/// Changes the upstream's answer; `bare` if it has no body.
fn change(answer: &mut Response<Answer>, rule: Arc<Rule>, bare: bool) {
    let Some(on) = &rule.on_requests else { return };
    if rule.core.revoked() {
        return;
    }
    let counter = match &on.act {
        Act::AnswerHeaders(headers) => {
            headers.apply(answer.headers_mut());
            &rule.core.tally.changed
        }
        Act::Grpc { status, .. } if answer.headers().contains_key(grpc::STATUS) => {
            grpc::forge(answer.headers_mut(), status);
            &rule.core.tally.changed
        }
        _ if bare => return,
        Act::Slow => &rule.core.tally.delayed,
        // Counted when it breaks off: it may be shorter.
        Act::Truncate { .. } => return wrap(answer, rule),
        _ => &rule.core.tally.changed,
    };
    Tally::add(counter, 1);
    wrap(answer, rule);
}

/// Puts a rule's change around the body of an answer, and makes its head fit.
fn wrap(answer: &mut Response<Answer>, rule: Arc<Rule>) {
    let Some(on) = &rule.on_requests else { return };
    let change = match &on.act {
        Act::Replace { find, .. } => {
            answer.headers_mut().remove(CONTENT_LENGTH);
            if find.is_none() {
                answer.headers_mut().remove(CONTENT_ENCODING);
                Change::Text(0)
            } else {
                Change::Find(BytesMut::new())
            }
        }
        Act::Corrupt { .. } => Change::Flip(None),
        Act::Truncate { bytes } => Change::Truncate(*bytes),
        Act::Slow => Change::Slow {
            rest: Bytes::new(),
            hold: None,
            due: Instant::now(),
        },
        Act::Grpc { .. } if !answer.headers().contains_key(grpc::STATUS) => Change::Trailers,
        _ => return,
    };
    if matches!(change, Change::Text(_) | Change::Find(_) | Change::Flip(_)) {
        let headers = answer.headers_mut();
        for digest in &DIGESTS {
            headers.remove(digest);
        }
        // It must not outlive the rule in somebody's cache.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    answer.body_mut().change(rule, change);
}
