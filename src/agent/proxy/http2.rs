//! HTTP/2 with prior knowledge on both sides, gRPC included: each client's connection has one to the upstream, on
//! which its requests are streams again, with their trailers.
//!
//! A connection that is idle for longer than a head may take is told to go away; it has as long again to leave.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::http::uri::{Authority, Scheme};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::Mutex;
use tokio::time::MissedTickBehavior;

use super::answer::Content;
use super::http::{Client, Exchange, MAX_HEAD_BYTES, Refused};
use super::pool;
use super::route::SWEEPS;
use super::shape::Shaped;

/// How a client's connection begins. No method of HTTP/1.1 is called so.
pub const PREFACE: &[u8; 3] = b"PRI";

/// Most requests under way on one connection.
const MAX_STREAMS: u32 = 1_000;

/// Serves a client's connection.
pub async fn serve(stream: Shaped, client: &Arc<Client>) -> io::Result<()> {
    let of = Arc::clone(client);
    let service = service_fn(move |request| Exchange::begin(&of).answer(request));
    let mut serving = pin!(
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .max_header_list_size(MAX_HEAD_BYTES as u32)
            .max_concurrent_streams(MAX_STREAMS)
            .serve_connection(TokioIo::new(stream), service)
    );
    let mut sweeps = tokio::time::interval(client.route.sweep_every());
    sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    poll_fn(|cx| {
        while sweeps.poll_tick(cx).is_ready() {
            if client
                .flags
                .is_idle_for(u64::from(SWEEPS) + 1, client.route.tick())
            {
                serving.as_mut().graceful_shutdown();
            }
        }
        serving.as_mut().poll(cx)
    })
    .await
    .map_err(io::Error::other)
}

/// A client's connection to the upstream, made for its first request.
#[derive(Debug, Default)]
pub struct Link {
    sender: Mutex<Option<SendRequest<Incoming>>>,
}

impl Link {
    /// Passes a request on.
    pub async fn forward(
        &self,
        client: &Client,
        request: Request<Incoming>,
    ) -> Result<Response<Content>, Refused> {
        let request = prepare(request, &client.route.config.upstream)?;
        let mut sender = self.sender(client).await?;
        let sent = sender.try_send_request(request).await;
        let answered = match sent {
            Ok(response) => Ok(response),
            Err(mut error) => match error.take_message() {
                // The connection was closed before the request left.
                Some(unsent) => self.sender(client).await?.send_request(unsent).await,
                None => Err(error.into_error()),
            },
        };
        match answered {
            Ok(response) => Ok(response.map(Content::Stream)),
            Err(error) => Err(client.failed(&format!("gave no answer over HTTP/2: {error}"))),
        }
    }

    /// The connection, made anew if it has ended.
    async fn sender(&self, client: &Client) -> Result<SendRequest<Incoming>, Refused> {
        let mut sender = self.sender.lock().await;
        if let Some(sender) = &*sender
            && !sender.is_closed()
        {
            return Ok(sender.clone());
        }
        let connected = connect(&client.route.config.upstream).await;
        let new = connected.map_err(|error| client.failed(&format!("cannot be reached: {error}")))?;
        *sender = Some(new.clone());
        Ok(new)
    }
}

async fn connect(upstream: &str) -> io::Result<SendRequest<Incoming>> {
    let stream = pool::connect(upstream).await?;
    let (sender, wire) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // It ends with the last of its senders and streams.
    tokio::spawn(async move {
        if let Err(error) = wire.await {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    Ok(sender)
}

/// Makes a request fit for the upstream.
fn prepare(mut request: Request<Incoming>, upstream: &str) -> Result<Request<Incoming>, Refused> {
    if request.method() == Method::CONNECT {
        return Err((StatusCode::NOT_IMPLEMENTED, "CONNECT is not passed on".to_owned()));
    }
    let mut uri = request.uri().clone().into_parts();
    if uri.authority.is_none() || uri.scheme.is_none() {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let bad = |_| {
            (
                StatusCode::BAD_REQUEST,
                "the request names no host that can be passed on".to_owned(),
            )
        };
        if uri.authority.is_none() {
            uri.authority = Some(host.unwrap_or(upstream).parse::<Authority>().map_err(bad)?);
        }
        uri.scheme.get_or_insert(Scheme::HTTP);
        *request.uri_mut() = Uri::from_parts(uri).map_err(|_| {
            (
                StatusCode::BAD_REQUEST,
                "the request target cannot be passed on".to_owned(),
            )
        })?;
    }
    *request.version_mut() = Version::HTTP_2;
    Ok(request)
}
