//! One service's listener: accepts, speaks HTTP/1.1 and HTTP/2, measures, and says `/metrics` and `/health`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::metrics::{CONTENT_TYPE, Metrics};

/// Connections one service holds at most; more wait to be accepted.
const MAX_CONNECTIONS: usize = 256;
/// Requests on one HTTP/2 connection: more than customers ever have on their way, or those above it would
/// wait where no metric sees them.
const MAX_STREAMS: u32 = 4_096;
/// Largest request body, bytes.
const MAX_BODY: usize = 16 * 1024;

/// The service's own routes, measured, with `/metrics` and `/health` beside them.
pub(crate) fn router(own: Router, metrics: Arc<Metrics>) -> Router {
    own.route_layer(from_fn_with_state(Arc::clone(&metrics), measure))
        .route("/metrics", get(show).with_state(metrics))
        .route("/health", get(|| async { "ok\n" }))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

/// Accepts until its runtime ends.
pub(crate) async fn serve(listener: TcpListener, router: Router) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new());
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS);
    while let Ok(place) = Arc::clone(&connections).acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: asking again at once would only burn the processor.
                tracing::warn!(%error, "the demo cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        stream.set_nodelay(true).ok();
        let (http, service) = (http.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            // A peer that goes away in the middle is its own affair.
            http.serve_connection(TokioIo::new(stream), service).await.ok();
            drop(place);
        });
    }
}

async fn measure(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let arrived = Instant::now();
    let response = next.run(request).await;
    metrics.observe(response.status(), arrived.elapsed());
    response
}

async fn show(State(metrics): State<Arc<Metrics>>) -> Response {
    match metrics.text() {
        Some(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
