//! The proxy: a process of its own that holds the routes' listening sockets, and the agent's handle on it.
//!
//! Routes are there before and after drills, so the proxy outlives the agent: when the agent's control
//! connection closes, it drops every rule, wakes every delayed request and passes traffic through unchanged;
//! the next agent finds it on its socket. It leaves when its agent says `retire`. If it dies, [`Supervisor`]
//! starts it again within a second, without any rule, and says so.
//!
//! # Control protocol
//! A unix socket, mode 0600, in the agent's state folder; one agent at a time (a second one gets a `busy` line).
//! Lines of JSON, at most 64 KiB: `{"seq":1,"command":{"remove":{"id":"i1","generation":2}}}` is answered by
//! `{"seq":1,"ok":{"rule":{…}}}` or `{"seq":1,"error":{"kind":"stale","detail":"…"}}`, in order. The commands
//! are [`protocol::Command`]; `hello` and `retire` stay as they are in every release, so that any agent can replace
//! any proxy. A line that is no command is answered with an error and changes nothing; one that
//! is too long closes the connection. While a rule is set the agent must be heard of at least every
//! [`Limits::silence`], or the proxy closes the connection: a stopped agent keeps its descriptors.
//!
//! # Reverts
//! `remove` takes the rule out of the table, wakes what it holds and is answered when nothing is held any more:
//! the report says `present: false, held: 0`. The proof by another mechanism is a probe from outside: the
//! prober binds a socket, announces its address (`expect_probe`), connects to the route's listener like any
//! client and is served by the same accept loop, the same stream faults and the same rules, but ends in the
//! proxy, so the target is not touched. On `http` routes it sends a request with the rule's method, path and
//! header and gets 204 with the ids of the rules that hit it (a probe is in every share, and is told of a reset
//! instead of being reset); on `tcp` routes its bytes come back. The time is measured by the prober, in the
//! agent's process. See [`Client::probe`]. On `http` routes the connection is opened when the fault begins and kept,
//! as clients keep theirs ([`Client::line`]), and the probe is sent right behind the removal: it waits in the proxy
//! until the rule is revoked, and then goes through the rules of that moment.
//!
//! # Limits
//! Heads of 64 KiB and 100 headers (431), 1,000 requests at once on one connection of HTTP/2, 10,000 connections a
//! route (further ones are closed at once and counted), 60 s for a request's head (idle keep-alive connections
//! included), 64 KiB a control line, 256 KiB held for each connection by `tcp.latency`. Upgrades and CONNECT on
//! `http` routes: 501. TLS passes on `tcp` routes, unread.

mod act;
mod answer;
mod client;
mod control;
mod grpc;
mod http;
mod http1;
mod http2;
mod link;
mod matching;
mod pool;
mod probe;
pub mod protocol;
mod route;
mod rule;
mod shape;
mod steered;
mod supervisor;
mod table;
mod tcp;
mod timer;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use firedrill_wire::Route;

use crate::privileges;

pub use client::{Announced, Client, ProxyError};
pub use control::Leave;
pub use probe::{Line, Probe, ProbeRequest};
pub use rule::delay;
pub use steered::{Origin, Steered, Together};
pub use supervisor::{ProxyEvent, Supervisor, SupervisorConfig};

/// How many routes a proxy may have.
const MAX_ROUTES: usize = 256;

/// Whether a rule can be set at all; why not.
pub fn check(rule: &protocol::RuleSpec) -> Result<(), String> {
    act::OnRequests::new(rule).map(drop)
}

/// `firedrill-agent proxy`: started by the agent, not by people.
#[derive(Clone, Debug, clap::Args)]
pub struct ProxyArgs {
    /// The control socket.
    #[arg(long)]
    pub socket: PathBuf,

    /// The routes, a JSON array of `{name, listen, upstream, protocol}`.
    #[arg(long)]
    pub routes: String,

    /// Leave when neither an agent nor a client has been connected for this many seconds.
    #[arg(long)]
    pub orphan_exit_s: Option<u64>,
}

/// What a proxy is made from.
#[derive(Clone, Debug)]
pub struct Config {
    /// The control socket's path.
    pub socket: PathBuf,
    /// The routes.
    pub routes: Vec<Route>,
    /// Leave when neither an agent nor a client has been connected for this long.
    pub orphan_exit: Option<Duration>,
    /// Bounds.
    pub limits: Limits,
}

/// Bounds of what clients and the agent may ask of a proxy.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections on one route.
    pub connections: usize,
    /// How long a request's head may take, the wait for it on an idle connection included.
    pub header_timeout: Duration,
    /// How long the agent may be silent while a rule is set.
    pub silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header_timeout: Duration::from_mins(1),
            silence: Duration::from_secs(3),
        }
    }
}

/// The proxy process: returns when it was asked to leave.
pub fn run(args: ProxyArgs) -> anyhow::Result<()> {
    // Out of the terminal's group: its Ctrl-C is for the agent. It fails where we lead a group already.
    if let Err(error) = nix::unistd::setsid() {
        tracing::debug!(%error, "setsid");
    }
    let routes: Vec<Route> =
        serde_json::from_str(&args.routes).context("--routes is not an array of routes")?;
    let config = Config {
        socket: args.socket,
        routes,
        orphan_exit: args.orphan_exit_s.map(Duration::from_secs),
        limits: Limits::default(),
    };
    raise_descriptor_limit();
    // Ports that need one are bound again after the proxy has died: by another process.
    let ports = privileges::route_ports(&config.routes);
    privileges::keep(&privileges::needed(std::iter::empty(), ports))
        .context("capabilities cannot be given up")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("proxy")
        .build()
        .context("runtime")?;
    // On a worker: what runs in `block_on` itself is woken through one, a thread later.
    let ended = runtime.block_on(runtime.spawn(serve(config)));
    // What is still open was given its time.
    runtime.shutdown_timeout(Duration::from_millis(100));
    let leave = ended.context("the proxy's own task ended")??;
    tracing::info!(?leave, "the proxy leaves");
    Ok(())
}

/// The proxy as a future, for a runtime of the caller's. It ends as [`run`] does.
pub async fn serve(config: Config) -> anyhow::Result<Leave> {
    check_routes(&config.routes)?;
    let socket = control::Socket::bind(&config.socket)?;
    let timer = timer::Timer::start().context("timerfd")?;
    let routes: Vec<_> = config
        .routes
        .into_iter()
        .map(|route| route::Route::open(route, config.limits))
        .collect();
    for status in routes.iter().map(|route| route.status()) {
        if let Some(problem) = status.problem {
            tracing::error!("{problem}");
        }
    }
    let mut table = table::Table::new(routes.clone(), timer);
    let leave = control::serve(&socket, &mut table, config.limits.silence, config.orphan_exit).await;
    // From here on another proxy may take the place.
    drop(socket);
    if let Leave::Retired { drain } = leave {
        let deadline = Instant::now() + drain;
        while Instant::now() < deadline && routes.iter().any(|route| route.is_busy()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(leave)
}

fn check_routes(routes: &[Route]) -> anyhow::Result<()> {
    anyhow::ensure!(routes.len() <= MAX_ROUTES, "more than {MAX_ROUTES} routes");
    for (
        index,
        Route {
            name,
            listen,
            upstream,
            ..
        },
    ) in routes.iter().enumerate()
    {
        anyhow::ensure!(
            !name.is_empty() && routes.iter().skip(index + 1).all(|other| other.name != *name),
            "route \"{name}\": names are not empty and each is there once"
        );
        anyhow::ensure!(
            listen.parse::<std::net::SocketAddr>().is_ok(),
            "route \"{name}\": listen \"{listen}\" is not an address such as 127.0.0.1:8080"
        );
        let port = upstream
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse::<u16>().ok());
        anyhow::ensure!(
            port.is_some_and(|port| port > 0),
            "route \"{name}\": upstream \"{upstream}\" is not host:port"
        );
        anyhow::ensure!(upstream != listen, "route \"{name}\": it would send to itself");
    }
    Ok(())
}

/// Two descriptors for each connection are soon more than the usual 1,024.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}
