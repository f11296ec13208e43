//! Faults on gRPC calls through a route of the proxy, or led to the agent without one, over HTTP/2: the victim is the
//! caller.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use firedrill_testing::{Agent, Peer, programs};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::routes::{HTTP, WAIT, is_hit};
use crate::{Row, Scene, Seen, network};

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
    Row {
        fault: "grpc.status",
        form: "without a route",
        needs: &[Peer::Root],
        counter: Some("answered"),
        set: || {
            led(
                |port| json!({ "code": "RESOURCE_EXHAUSTED", "service": "shop.Orders", "port": port }),
                "8",
            )
        },
        ..HTTP
    },
    Row {
        fault: "http.latency",
        form: "on gRPC without a route",
        needs: &[Peer::Root],
        set: || {
            led(
                |port| json!({ "delay": "400ms", "path": "/shop.Orders/", "port": port }),
                "0 order late",
            )
        },
        ..HTTP
    },
];

/// The word that makes this program a caller: with its cgroup's file, the service's address and, if it is to listen,
/// the port.
pub const CALLER: &str = "caller";

/// How long a call may take that is not late.
const IN_TIME: Duration = Duration::from_millis(300);

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

/// A service on a runtime of its own.
pub fn service() -> anyhow::Result<(Runtime, SocketAddr)> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    let address = listener.local_addr()?;
    runtime.spawn(serve(listener));
    Ok((runtime, address))
}

/// The caller is hit when its call ends with the forged status, with this answer before it.
fn calls(parameters: Value, answer: &'static str) -> anyhow::Result<Scene> {
    let (runtime, upstream) = service()?;
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

/// A caller in a process and a cgroup of its own says what became of each call; `hit` is what it says then.
fn led(parameters: fn(u16) -> Value, hit: &'static str) -> anyhow::Result<Scene> {
    let (runtime, address) = service()?;
    let caller = |procs: &Path| {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(CALLER).arg(procs).arg(address.to_string());
        Ok(command)
    };
    network::apart(caller, parameters(address.port()), move |said| {
        let _served = &runtime;
        match said {
            "0 order" => Ok(Seen::Healthy),
            it if it == hit => Ok(Seen::Hit),
            other => anyhow::bail!("it says \"{other}\""),
        }
    })
}

/// Joins the cgroup, and says of each call the status, the answer, and whether that was late.
pub fn caller(arguments: &[String]) -> anyhow::Result<()> {
    let [procs, to, port @ ..] = arguments else {
        anyhow::bail!("a cgroup's file and an address");
    };
    std::fs::write(procs, "0")?;
    let listens = port.first().map(|port| port.parse()).transpose()?;
    let _listener = listens.map(|port: u16| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
    let to = to.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    loop {
        let began = Instant::now();
        match runtime.block_on(call(to)) {
            Ok((answer, status)) => {
                let late = if began.elapsed() > IN_TIME { " late" } else { "" };
                println!("{status} {}{late}", String::from_utf8_lossy(&answer));
            }
            Err(error) => println!("{error:#}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
