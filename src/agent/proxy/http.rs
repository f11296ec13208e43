//! Requests: rules first, then a plain HTTP/1.1 reverse proxy.
//!
//! Keep-alive on both sides, bodies streamed both ways, `Host` and everything end-to-end kept, hop-by-hop
//! headers dropped. Upgrades (WebSocket) and CONNECT are answered 501. An upstream that fails is a 502 with a
//! body that names this proxy, so that nobody takes it for the service's own words. A probe goes through the
//! rules of its path and method like a request (it is always in the share and never counted) and is answered
//! here, with the ids of the rules that hit it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;

use super::pool::{Idle, Upstream};
use super::protocol::{Only, RuleSpec};
use super::route::Route;
use super::rule::{Rule, Tally, matches};
use super::shape::{Flags, Shaped};

/// The header of a probe's answer: the ids of the rules that hit it, each followed by a comma.
pub const PROBE_HEADER: &str = "x-firedrill-rules";

/// Largest head of a request in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// What all requests of a connection share.
struct Client {
    route: Arc<Route>,
    flags: Arc<Flags>,
    probe: bool,
    /// The upstream connection that an answer comes on, or came on: kept for the next request. It goes to the pool
    /// when the client leaves.
    own: Mutex<Option<Idle>>,
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(idle) = self.own.get_mut().take() {
            self.route.pool.put(idle);
        }
    }
}

/// Serves a client's connection.
pub async fn serve(stream: Shaped, route: Arc<Route>, flags: Arc<Flags>, probe: bool) -> io::Result<()> {
    let client = Arc::new(Client {
        route,
        flags,
        probe,
        own: Mutex::default(),
    });
    let service = service_fn(|request| {
        let client = Arc::clone(&client);
        async move { Ok::<_, Infallible>(client.answer(request).await) }
    });
    let mut serving = pin!(
        hyper::server::conn::http1::Builder::new()
            .max_header_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service)
    );
    poll_fn(|cx| {
        let served = serving.as_mut().poll(cx);
        if served.is_pending() {
            // Whatever the client does: an upload goes on while nobody reads the answer.
            client.drive(cx);
        }
        served
    })
    .await
    .map_err(io::Error::other)
}

impl Client {
    /// See [`Upstream::drive`].
    fn drive(&self, cx: &mut Context<'_>) {
        // Not under the lock: what it wakes may be of this client.
        let own = self.own.lock().take();
        if let Some(mut own) = own
            && own.drive(cx)
        {
            *self.own.lock() = Some(own);
        }
    }

    /// The answer has been read to its end, or is given up, and with it the connection it came on.
    fn release(&self, whole: bool) {
        let mut own = self.own.lock();
        match &mut *own {
            Some(own) if whole => own.rest(),
            _ => *own = None,
        }
    }

    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Response<Answer> {
        self.flags.begin();
        let mut hits = String::new();
        if self.route.has_http_rules()
            && let Some(mut answer) = Box::pin(self.rule(request.method(), request.uri(), &mut hits)).await
        {
            self.mark(&mut answer, &hits);
            return answer;
        }
        if self.probe {
            let mut answer = self.say(StatusCode::NO_CONTENT, String::new());
            self.mark(&mut answer, &hits);
            return answer;
        }
        match self.forward(request).await {
            Ok(response) => response,
            Err((status, words)) => {
                let name = &self.route.config.name;
                self.say(status, format!("firedrill proxy, route \"{name}\": {words}\n"))
            }
        }
    }

    /// Applies the rules in the order they were set; the answer of one that answers.
    async fn rule(
        self: &Arc<Self>,
        method: &Method,
        uri: &Uri,
        hits: &mut String,
    ) -> Option<Response<Answer>> {
        for rule in &self.route.rules().http {
            let (RuleSpec::HttpLatency { only, .. } | RuleSpec::HttpStatus { only, .. }) = &rule.set.rule
            else {
                continue;
            };
            if !self.is_hit(rule, only, method, uri) {
                continue;
            }
            if self.probe {
                hits.push_str(&rule.set.id);
                hits.push(',');
            }
            if let RuleSpec::HttpStatus { code, body, .. } = &rule.set.rule {
                self.count(rule, |tally| Tally::add(&tally.answered, 1));
                let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
                return Some(self.say(status, body.clone()));
            }
            self.delay(rule).await;
        }
        None
    }

    /// Tells a probe, and nobody else, which rules it met.
    fn mark(&self, answer: &mut Response<Answer>, hits: &str) {
        if self.probe
            && let Ok(hits) = HeaderValue::from_str(hits)
        {
            answer.headers_mut().insert(PROBE_HEADER, hits);
        }
    }

    fn is_hit(&self, rule: &Rule, only: &Only, method: &Method, uri: &Uri) -> bool {
        if rule.core.revoked() || !matches(only, method.as_str(), uri.path()) {
            return false;
        }
        self.count(rule, |tally| Tally::add(&tally.seen, 1));
        self.probe || rule.drawn(only.share, Instant::now())
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

    /// Probes are not traffic.
    fn count(&self, rule: &Rule, count: impl FnOnce(&Tally)) {
        if !self.probe {
            count(&rule.core.tally);
        }
    }

    /// An answer of the proxy's own.
    fn say(self: &Arc<Self>, status: StatusCode, body: String) -> Response<Answer> {
        let body = (!body.is_empty()).then(|| Bytes::from(body));
        let mut response = Response::new(Answer {
            content: Content::Whole(body),
            client: Arc::clone(self),
        });
        *response.status_mut() = status;
        response
    }

    async fn forward(
        self: &Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Answer>, (StatusCode, String)> {
        let request = prepare(request, &self.route.config.upstream)?;
        let (upstream, response) = self.send(request).await?;
        let (mut head, body) = response.into_parts();
        drop_hop_by_hop(&mut head.headers);
        head.version = Version::HTTP_11;
        *self.own.lock() = Some(Idle::new(upstream));
        Ok(Response::from_parts(
            head,
            Answer {
                content: Content::Upstream { body, ended: false },
                client: Arc::clone(self),
            },
        ))
    }

    /// Sends on an idle connection, or on a new one if there is none or it was closed before the request left.
    async fn send(
        &self,
        mut request: Request<Incoming>,
    ) -> Result<(Upstream, Response<Incoming>), (StatusCode, String)> {
        let upstream = &self.route.config.upstream;
        let failed = |what: String| (StatusCode::BAD_GATEWAY, format!("upstream {upstream} {what}"));
        if let Some(mut idle) = self.idle().await {
            match idle.send(request).await {
                Ok(response) => return Ok((idle, response)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(failed(format!("broke off: {}", error.into_error()))),
                },
            }
        }
        let mut new = Box::pin(self.route.pool.connect())
            .await
            .map_err(|error| failed(format!("cannot be reached: {error}")))?;
        match new.send(request).await {
            Ok(response) => Ok((new, response)),
            Err(error) => Err(failed(format!("gave no answer: {}", error.into_error()))),
        }
    }

    async fn idle(&self) -> Option<Upstream> {
        let own = self.own.lock().take();
        if let Some(own) = own
            && let Some(upstream) = own.wake().await
        {
            return Some(upstream);
        }
        self.route.pool.take().await
    }
}

/// Makes a request fit for the upstream.
fn prepare(
    mut request: Request<Incoming>,
    upstream: &str,
) -> Result<Request<Incoming>, (StatusCode, String)> {
    if let Some(upgrade) = request.headers().get(UPGRADE)
        // A client that offers HTTP/2 in this way is content with HTTP/1.1.
        && upgrade != "h2c"
    {
        return Err((
            StatusCode::NOT_IMPLEMENTED,
            "upgrades are not passed on: use a tcp route".to_owned(),
        ));
    }
    if request.method() == Method::CONNECT {
        return Err((StatusCode::NOT_IMPLEMENTED, "CONNECT is not passed on".to_owned()));
    }
    drop_hop_by_hop(request.headers_mut());
    if request.uri().authority().is_some() {
        to_origin_form(&mut request)?;
    }
    if !request.headers().contains_key(HOST)
        && let Ok(host) = HeaderValue::from_str(upstream)
    {
        request.headers_mut().insert(HOST, host);
    }
    *request.version_mut() = Version::HTTP_11;
    Ok(request)
}

/// `GET http://host/path` becomes `GET /path`, and its host wins over the header, as the RFC wants it.
fn to_origin_form(request: &mut Request<Incoming>) -> Result<(), (StatusCode, String)> {
    let bad = || {
        (
            StatusCode::BAD_REQUEST,
            "the request target cannot be passed on".to_owned(),
        )
    };
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| bad())?;
        request.headers_mut().insert(HOST, host);
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let uri = path.parse().map_err(|_| bad())?;
    *request.uri_mut() = uri;
    Ok(())
}

/// Removes what is between two neighbours only. Framing is made anew by hyper.
fn drop_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<String> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|name| name.trim().to_ascii_lowercase())
            .collect();
        headers.remove(CONNECTION);
        // Whoever names these two would make the next hop misread where the message ends or whom it is for.
        for name in named
            .iter()
            .filter(|name| !matches!(name.as_str(), "content-length" | "host"))
        {
            headers.remove(name);
        }
    }
    for name in [
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        headers.remove(name);
    }
}

/// The body of an answer. The connection counts as busy until it is dropped.
struct Answer {
    content: Content,
    client: Arc<Client>,
}

enum Content {
    Whole(Option<Bytes>),
    Upstream { body: Incoming, ended: bool },
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { content, client } = &mut *self;
        match content {
            Content::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Upstream { body, ended } => {
                client.drive(cx);
                let frame = Pin::new(body).poll_frame(cx);
                *ended |= matches!(frame, Poll::Ready(None));
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_none(),
            Content::Upstream { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Upstream { body, .. } => body.size_hint(),
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.client.flags.end(&self.client.route);
        if let Content::Upstream { body, ended } = &self.content {
            // A body left unread takes its connection down with it.
            self.client.release(*ended || body.is_end_stream());
        }
    }
}
