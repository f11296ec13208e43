//! Faults on gRPC calls through a route of the proxy, over HTTP/2: the victim is the caller.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use bytes::Bytes;
use firedrill_testing::{Agent, programs};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::routes::{HTTP, WAIT, is_hit};
use crate::{Row, Scene};

pub const ROWS: &[Row] = &[
    Row {
        fault: "grpc.status",
        form: "instead",
        counter: Some("answered"),
        set: || {
            calls(
                json!({ "code": "RESOURCE_EXHAUSTED", "service": "shop.Orders" }),
                "",
            )
        },
        ..HTTP
    },
    Row {
        fault: "grpc.status",
        form: "after",
        counter: Some("changed"),
        set: || {
            calls(
                json!({ "code": "RESOURCE_EXHAUSTED", "when": "after", "method": "Place" }),
                "order",
            )
        },
        ..HTTP
    },
];

/// Echoes, and says in its trailers that all is well.
async fn serve(listener: TcpListener) {
    let service = service_fn(|request: Request<Incoming>| async {
        let trailers = async {
            let name = hyper::header::HeaderName::from_static("grpc-status");
            Some(Ok(HeaderMap::from_iter([(name, 0.into())])))
        };
        let body = request.into_body().with_trailers(trailers);
        Ok::<_, Infallible>(Response::new(body))
    });
    while let Ok((stream, _)) = listener.accept().await {
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
    }
}

/// One call on a connection of its own: what was answered, and the status that it ended with.
async fn call(route: SocketAddr) -> anyhow::Result<(Bytes, String)> {
    let stream = TcpStream::connect(route).await?;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::post("http://shop.example/shop.Orders/Place")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from("order")))?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?;
    let of = |headers: &HeaderMap| Some(headers.get("grpc-status")?.to_str().ok()?.to_owned());
    let status = of(&head.headers).or_else(|| of(body.trailers()?));
    Ok((body.to_bytes(), status.context("no status")?))
}

/// The caller is hit when its call ends with the forged status, with this answer before it.
fn calls(parameters: Value, answer: &'static str) -> anyhow::Result<Scene> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    let upstream = listener.local_addr()?;
    runtime.spawn(serve(listener));
    let agent = Agent::build(programs!()).http_route("web", upstream)?.start()?;
    let route = agent.route("web")?;
    Ok(Scene {
        agent,
        parameters,
        scope: json!({ "route": "web" }),
        look: Box::new(move || {
            let called = async { tokio::time::timeout(WAIT, call(route)).await };
            let (data, status) = runtime.block_on(called)??;
            let wanted = if status == "0" { "order" } else { answer };
            anyhow::ensure!(data == wanted, "{data:?} with status {status}");
            anyhow::ensure!(matches!(status.as_str(), "0" | "8"), "status {status}");
            Ok(is_hit(status == "8"))
        }),
    })
}
