//! HTTP/1.1 on both sides: keep-alive, bodies streamed both ways, `Host` and everything end-to-end kept,
//! hop-by-hop headers dropped. Upgrades (WebSocket) and CONNECT are answered 501.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;

use super::answer::Content;
use super::http::{Client, Exchange, MAX_HEAD_BYTES, Refused};
use super::pool::{Idle, Upstream};
use super::shape::Shaped;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Serves a client's connection.
pub async fn serve(stream: Shaped, client: &Arc<Client>) -> io::Result<()> {
    let service = service_fn(|request| Exchange::begin(client).answer(request));
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
    /// Passes a request on, over HTTP/1.1.
    pub async fn forward(&self, request: Request<Incoming>) -> Result<Response<Content>, Refused> {
        let request = prepare(request, &self.route.config.upstream)?;
        let (upstream, response) = self.send(request).await?;
        let (mut head, body) = response.into_parts();
        drop_hop_by_hop(&mut head.headers);
        head.version = Version::HTTP_11;
        *self.own.lock() = Some(Idle::new(upstream));
        Ok(Response::from_parts(
            head,
            Content::Upstream { body, ended: false },
        ))
    }

    /// Sends on an idle connection, or on a new one if there is none or it was closed before the request left.
    async fn send(&self, mut request: Request<Incoming>) -> Result<(Upstream, Response<Incoming>), Refused> {
        if let Some(mut idle) = self.idle().await {
            match idle.send(request).await {
                Ok(response) => return Ok((idle, response)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(self.failed(&format!("broke off: {}", error.into_error()))),
                },
            }
        }
        let mut new = Box::pin(self.route.pool.connect())
            .await
            .map_err(|error| self.failed(&format!("cannot be reached: {error}")))?;
        match new.send(request).await {
            Ok(response) => Ok((new, response)),
            Err(error) => Err(self.failed(&format!("gave no answer: {}", error.into_error()))),
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
