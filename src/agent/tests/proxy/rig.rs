//! An upstream, a proxy in a thread with a runtime of its own, and an agent's handle on it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use firedrill_agent::proxy::protocol::{Only, RuleSpec, SetRule};
use firedrill_agent::proxy::{Client, Config, Leave, Limits, Supervisor, SupervisorConfig, serve};
use firedrill_wire::{Route, RouteProtocol};
use hyper_util::rt::TokioExecutor;

/// Long enough for a loaded machine, short enough to notice what never comes.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub struct Rig {
    pub folder: tempfile::TempDir,
    pub upstream: Upstream,
    pub routes: Vec<Route>,
    pub agent: Option<Supervisor>,
    proxy: Option<JoinHandle<Leave>>,
}

impl Rig {
    /// An `http` route `web` and a `tcp` route `raw` to an upstream that echoes.
    pub fn new(limits: Limits) -> Self {
        let upstream = Upstream::start();
        let route = |name: &str, protocol, to: SocketAddr| Route {
            name: name.to_owned(),
            listen: "127.0.0.1:0".to_owned(),
            upstream: to.to_string(),
            protocol,
        };
        let routes = vec![
            route("web", RouteProtocol::Http, upstream.http),
            route("raw", RouteProtocol::Tcp, upstream.echo),
        ];
        Self::with_routes(routes, upstream, limits)
    }

    pub fn with_routes(routes: Vec<Route>, upstream: Upstream, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            socket: folder.path().join("proxy.sock"),
            routes: routes.clone(),
            orphan_exit: None,
            limits,
        };
        let proxy = thread("proxy", move || runtime().block_on(serve(config)).unwrap());
        let socket = folder.path().join("proxy.sock");
        wait_until("the control socket is there", || socket.exists());
        let mut rig = Self {
            folder,
            upstream,
            routes,
            agent: None,
            proxy: Some(proxy),
        };
        rig.attach();
        rig
    }

    /// An agent connects.
    pub fn attach(&mut self) {
        let config = SupervisorConfig {
            executable: PathBuf::from("/nonexistent"),
            subcommand: Vec::new(),
            folder: self.folder.path().to_owned(),
            routes: self.routes.clone(),
            orphan_exit_s: None,
        };
        let agent = Supervisor::start(config, |_| {}).unwrap();
        agent.client().up(PATIENCE).unwrap();
        self.agent = Some(agent);
    }

    pub fn client(&self) -> Client {
        self.agent.as_ref().unwrap().client()
    }

    pub fn address(&self, route: &str) -> SocketAddr {
        self.client().hello().unwrap().address(route).unwrap()
    }

    /// Sets a rule of generation 1 that lasts a minute.
    pub fn set(&self, id: &str, route: &str, rule: RuleSpec) {
        let report = self.client().set(new_rule(id, route, rule)).unwrap();
        assert!(report.present);
    }

    /// Removes a rule and checks the read-back.
    pub fn remove(&self, id: &str) {
        let report = self.client().remove(id, u64::MAX).unwrap();
        assert!(report.is_off(), "{report:?}");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if self.agent.is_none() {
            self.attach();
        }
        self.agent.take().unwrap().retire(Duration::ZERO).unwrap();
        let leave = self.proxy.take().unwrap().join();
        if !std::thread::panicking() {
            assert_eq!(
                leave.unwrap(),
                Leave::Retired {
                    drain: Duration::ZERO
                }
            );
        }
    }
}

pub fn new_rule(id: &str, route: &str, rule: RuleSpec) -> SetRule {
    SetRule {
        id: id.to_owned(),
        generation: 1,
        route: route.to_owned(),
        rule,
        ramp_ms: 0,
        ends_in_ms: 60_000,
        replace: false,
    }
}

pub fn http_latency(ms: u64) -> RuleSpec {
    RuleSpec::HttpLatency {
        delay_us: ms * 1_000,
        jitter_us: 0,
        only: Only::default(),
    }
}

pub fn tcp_latency(ms: u64) -> RuleSpec {
    RuleSpec::TcpLatency {
        delay_us: ms * 1_000,
        jitter_us: 0,
    }
}

pub fn thread<T: Send + 'static>(name: &str, body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What is behind the routes.
pub struct Upstream {
    /// Answers with what it was sent; `/seen` with the request's own line and headers.
    pub http: SocketAddr,
    /// Echoes bytes.
    pub echo: SocketAddr,
    /// How many connections the HTTP server has taken.
    pub accepted: Arc<AtomicUsize>,
    _runtime: tokio::runtime::Runtime,
}

impl Upstream {
    pub fn start() -> Self {
        let runtime = runtime();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (http, echo) = runtime.block_on(async {
            let http = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let echo = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addresses = (http.local_addr().unwrap(), echo.local_addr().unwrap());
            tokio::spawn(serve_http(http, Arc::clone(&accepted)));
            tokio::spawn(serve_echo(echo));
            addresses
        });
        Self {
            http,
            echo,
            accepted,
            _runtime: runtime,
        }
    }
}

async fn serve_http(listener: tokio::net::TcpListener, accepted: Arc<AtomicUsize>) {
    let app = axum::Router::new()
        .route(
            "/seen",
            axum::routing::any(|request: axum::extract::Request| async move {
                format!("{} {} {:?}", request.method(), request.uri(), request.headers())
            }),
        )
        .route("/shop.Orders/{method}", axum::routing::post(call))
        .fallback(|request: axum::extract::Request| async { request.into_body() });
    let service = hyper_util::service::TowerToHyperService::new(app);
    while let Ok((stream, _)) = listener.accept().await {
        accepted.fetch_add(1, Ordering::SeqCst);
        let io = hyper_util::rt::TokioIo::new(stream);
        let service = service.clone();
        tokio::spawn(async move {
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            builder.serve_connection(io, service).await.ok();
        });
    }
}

/// A gRPC service: echoes, and says in its trailers that all is well; `Refuse` refuses at once.
async fn call(request: axum::extract::Request) -> axum::response::Response {
    use http_body_util::BodyExt as _;
    let answer = axum::response::Response::builder().header("content-type", "application/grpc");
    if request.uri().path().ends_with("/Refuse") {
        let answer = answer
            .header("grpc-status", "5")
            .header("grpc-message", "no such order");
        return answer.body(axum::body::Body::empty()).unwrap();
    }
    let trailers = async {
        let pairs = [("grpc-status", "0"), ("x-cost", "7")];
        let pairs = pairs.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        Some(Ok(pairs.into_iter().collect::<hyper::HeaderMap>()))
    };
    answer
        .body(axum::body::Body::new(request.into_body().with_trailers(trailers)))
        .unwrap()
}

async fn serve_echo(listener: tokio::net::TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let (mut reader, mut writer) = stream.split();
            tokio::io::copy(&mut reader, &mut writer).await
        });
    }
}

/// A port that nobody listens on.
pub fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    pub took: Duration,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection with generous time-outs.
pub fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// One request on a connection of its own.
pub fn ask(to: SocketAddr, request_line: &str, headers: &str, body: &[u8]) -> Answer {
    let start = Instant::now();
    let mut stream = connect(to);
    let mut writer = stream.try_clone().unwrap();
    let head = format!(
        "{request_line} HTTP/1.1\r\nHost: shop.example\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
        body.len()
    );
    let body = body.to_vec();
    let sending = thread("body", move || {
        writer
            .write_all(head.as_bytes())
            .and_then(|()| writer.write_all(&body))
    });
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    sending.join().unwrap().unwrap();
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut body = bytes.split_off(end + 4);
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        body = dechunk(&body);
    }
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head,
        body,
        took: start.elapsed(),
    }
}

pub fn get(to: SocketAddr, path: &str) -> Answer {
    ask(to, &format!("GET {path}"), "", b"")
}

pub fn dechunk(mut rest: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let end = rest
            .windows(2)
            .position(|window| window == b"\r\n")
            .expect("a chunk's size");
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return whole;
        }
        whole.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
}

/// Bytes that show every mix-up.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64)
        .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}
