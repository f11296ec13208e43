//! A route: its listening socket, its open connections, and the rules on it.
//!
//! The rules are read through one atomic flag for each layer first: a route with no rule pays a load for each
//! request or piece. `tcp.refuse` un-listens the socket (`shutdown(SHUT_RD)` keeps the port bound on Linux), so
//! the kernel itself refuses; `listen` again takes it back. A socket that was bound to port 0 would lose its
//! port by that, so such a port is bound a second time by its number.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener as StdListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use firedrill_wire::RouteProtocol;
use parking_lot::{Mutex, RwLock};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::pool::Pool;
use super::protocol::{RouteStatus, RuleSpec};
use super::rule::Rule;
use super::shape::{Flags, Shaped};
use super::{Limits, http, tcp};

const BACKLOG: i32 = 1024;

/// Between two tries to bind or to listen again.
const RETRY: Duration = Duration::from_millis(500);

/// How long an announced probe may take to connect.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);

/// How many times in a header time-out connections are looked at.
pub const SWEEPS: u32 = 4;

/// Most probes that are announced at once.
const MAX_PROBES: usize = 64;

/// The rules on a route, by layer.
#[derive(Debug, Default)]
pub struct RuleSet {
    /// Rules on requests, in the order they were set.
    pub http: Vec<Arc<Rule>>,
    /// Late answers.
    pub latency: Option<Arc<Rule>>,
    /// A slow link.
    pub bandwidth: Option<Arc<Rule>>,
    /// New connections refused.
    pub refuse: Option<Arc<Rule>>,
}

impl RuleSet {
    /// Sorts rules by layer; of a kind that can be there only once the last wins.
    pub fn new(rules: impl Iterator<Item = Arc<Rule>>) -> Self {
        let mut set = Self::default();
        for rule in rules {
            match rule.set.rule {
                RuleSpec::TcpLatency { .. } => set.latency = Some(rule),
                RuleSpec::TcpBandwidth { .. } => set.bandwidth = Some(rule),
                RuleSpec::TcpRefuse {} => set.refuse = Some(rule),
                _ => set.http.push(rule),
            }
        }
        set
    }

    /// The rule of that id.
    pub fn by_id(&self, id: &str) -> Option<&Arc<Rule>> {
        let shapes = [&self.latency, &self.bandwidth, &self.refuse];
        let mut all = self.http.iter().chain(shapes.into_iter().flatten());
        all.find(|rule| rule.set.id == id)
    }
}

/// A route.
#[derive(Debug)]
pub struct Route {
    /// As configured.
    pub config: firedrill_wire::Route,
    /// Bounds of what clients may ask of it.
    pub limits: Limits,
    /// Connections to the upstream that wait for the next request.
    pub pool: Pool,
    rules: RwLock<Arc<RuleSet>>,
    has_http: AtomicBool,
    has_shape: AtomicBool,
    probes: Mutex<Vec<(SocketAddr, Instant)>>,
    has_probes: AtomicBool,
    connections: Mutex<HashMap<u64, Connection>>,
    /// Connections of clients since the start.
    served: AtomicU64,
    turned_away: AtomicU64,
    /// Counts up four times in each header time-out.
    tick: AtomicU64,
    socket: Mutex<Result<SocketAddr, String>>,
    gate: mpsc::Sender<Gate>,
}

#[derive(Debug)]
struct Connection {
    task: AbortHandle,
    flags: Arc<Flags>,
    /// The agent's own, which is no traffic.
    probe: bool,
}

/// What the accept loop is told.
#[derive(Debug)]
enum Gate {
    Refuse(oneshot::Sender<io::Result<()>>),
    Listen(oneshot::Sender<io::Result<()>>),
    Close(oneshot::Sender<io::Result<()>>),
}

impl Route {
    /// Opens a route. A port that cannot be bound now is tried again until it can.
    pub fn open(config: firedrill_wire::Route, limits: Limits) -> Arc<Self> {
        let (gate, commands) = mpsc::channel(16);
        let bound = bind(&config.listen);
        let socket = match &bound {
            Ok((_, address)) => Ok(*address),
            Err(error) => Err(describe(&config, error)),
        };
        let route = Self::new(config, limits, socket, gate);
        tokio::spawn(accept(
            Arc::clone(&route),
            bound.ok().map(|(listener, _)| listener),
            commands,
        ));
        route
    }

    /// One whose connections come from elsewhere: see [`Self::take`].
    pub fn without_socket(config: firedrill_wire::Route, limits: Limits) -> Arc<Self> {
        let (gate, _) = mpsc::channel(1);
        Self::new(config, limits, Err("connections are led to it".to_owned()), gate)
    }

    fn new(
        config: firedrill_wire::Route,
        limits: Limits,
        socket: Result<SocketAddr, String>,
        gate: mpsc::Sender<Gate>,
    ) -> Arc<Self> {
        let route = Arc::new(Self {
            pool: Pool::new(&config.upstream),
            config,
            limits,
            rules: RwLock::default(),
            has_http: AtomicBool::new(false),
            has_shape: AtomicBool::new(false),
            probes: Mutex::default(),
            has_probes: AtomicBool::new(false),
            connections: Mutex::default(),
            served: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            tick: AtomicU64::new(0),
            socket: Mutex::new(socket),
            gate,
        });
        tokio::spawn(sweep(Arc::downgrade(&route), route.sweep_every()));
        route
    }

    /// The coarse clock by which idle connections are measured.
    pub fn tick(&self) -> u64 {
        self.tick.load(Ordering::Relaxed)
    }

    /// How often connections are looked at.
    pub fn sweep_every(&self) -> Duration {
        (self.limits.header_timeout / SWEEPS).max(Duration::from_millis(1))
    }

    /// Whether any rule is on requests.
    pub fn has_http_rules(&self) -> bool {
        self.has_http.load(Ordering::Acquire)
    }

    /// Whether any rule is on the bytes of connections.
    pub fn shapes(&self) -> bool {
        self.has_shape.load(Ordering::Acquire)
    }

    /// The rules now.
    pub fn rules(&self) -> Arc<RuleSet> {
        Arc::clone(&self.rules.read())
    }

    /// A rule on requests as it is now; none: it is not there any more.
    pub fn same_rule(&self, rule: &Rule) -> Option<Arc<Rule>> {
        let rules = self.rules();
        let same = rules.http.iter().find(|now| Arc::ptr_eq(&now.core, &rule.core));
        same.cloned()
    }

    /// Puts other rules in place of those there are.
    pub fn put_rules(&self, rules: RuleSet) {
        let (http, shape) = (
            !rules.http.is_empty(),
            rules.latency.is_some() || rules.bandwidth.is_some(),
        );
        *self.rules.write() = Arc::new(rules);
        self.has_http.store(http, Ordering::Release);
        self.has_shape.store(shape, Ordering::Release);
    }

    /// The kernel refuses new connections from now on; open ones go on.
    pub async fn refuse(&self) -> io::Result<()> {
        self.tell(Gate::Refuse).await
    }

    /// New connections are taken again.
    pub async fn listen(&self) -> io::Result<()> {
        self.tell(Gate::Listen).await
    }

    /// The listening socket is closed for good.
    pub async fn close(&self) -> io::Result<()> {
        self.tell(Gate::Close).await
    }

    async fn tell(&self, gate: impl FnOnce(oneshot::Sender<io::Result<()>>) -> Gate) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        let gone = || io::Error::other("the accept loop has ended");
        self.gate.send(gate(done)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Resets every open connection; returns how many, after they are gone.
    pub async fn cut(&self) -> u64 {
        let ids: Vec<u64> = {
            let connections = self.connections.lock();
            let traffic = connections.iter().filter(|(_, it)| !it.probe);
            traffic
                .map(|(id, connection)| {
                    connection.flags.cut.store(true, Ordering::Release);
                    connection.task.abort();
                    *id
                })
                .collect()
        };
        let deadline = Instant::now() + Duration::from_secs(1);
        let open = || {
            let connections = self.connections.lock();
            ids.iter().any(|id| connections.contains_key(id))
        };
        while open() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        ids.len() as u64
    }

    /// Whether any request or stream is under way.
    pub fn is_busy(&self) -> bool {
        self.connections
            .lock()
            .values()
            .any(|connection| connection.flags.is_busy())
    }

    /// Announces a probe: the next connection from this address ends in the proxy.
    pub fn expect_probe(&self, from: SocketAddr) {
        let mut probes = self.probes.lock();
        probes.retain(|(_, since)| since.elapsed() < PROBE_PATIENCE);
        if probes.len() >= MAX_PROBES {
            probes.remove(0);
        }
        probes.push((from, Instant::now()));
        self.has_probes.store(true, Ordering::Release);
    }

    fn is_probe(&self, peer: SocketAddr) -> bool {
        if !self.has_probes.load(Ordering::Acquire) {
            return false;
        }
        let mut probes = self.probes.lock();
        probes.retain(|(_, since)| since.elapsed() < PROBE_PATIENCE);
        let found = probes.iter().position(|(from, _)| *from == peer);
        if let Some(index) = found {
            probes.remove(index);
        }
        self.has_probes.store(!probes.is_empty(), Ordering::Release);
        found.is_some()
    }

    /// The route as the agent is told of it.
    pub fn status(&self) -> RouteStatus {
        let socket = self.socket.lock().clone();
        RouteStatus {
            route: self.config.clone(),
            listening: socket.as_ref().ok().copied(),
            problem: socket.err(),
            connections: self.traffic(),
            turned_away: self.turned_away.load(Ordering::Relaxed),
        }
    }

    /// How many connections clients have opened since the start.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// How many connections of clients are open.
    pub fn traffic(&self) -> u64 {
        let connections = self.connections.lock();
        connections.values().filter(|it| !it.probe).count() as u64
    }

    /// Serves a connection in a task of its own; `id` is of no other connection of the route.
    pub fn take(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, id: u64) {
        let probe = self.is_probe(peer);
        if !probe {
            self.served.fetch_add(1, Ordering::Relaxed);
        }
        let mut connections = self.connections.lock();
        if connections.len() >= self.limits.connections && !probe {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let flags = Arc::new(Flags::new(self.tick()));
        let entry = Entry {
            route: Arc::clone(self),
            id,
        };
        let task = tokio::spawn(serve(entry, stream, Arc::clone(&flags), probe));
        connections.insert(
            id,
            Connection {
                task: task.abort_handle(),
                flags,
                probe,
            },
        );
    }
}

/// Closes connections whose next request's head has not come in time, and old ones to the upstream. One sweep for all of them: hyper's own
/// timer is made anew for each request.
async fn sweep(route: Weak<Route>, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    loop {
        ticks.tick().await;
        let Some(route) = route.upgrade() else { return };
        let now = route.tick.fetch_add(1, Ordering::Relaxed) + 1;
        route.pool.drop_old();
        let connections = route.connections.lock();
        for connection in connections.values() {
            if connection.flags.is_idle_for(patience(&connection.flags), now) {
                connection.task.abort();
            }
        }
    }
}

/// How many ticks a connection may be idle.
fn patience(flags: &Flags) -> u64 {
    let ticks = u64::from(SWEEPS) + 1;
    // Over HTTP/2 it is asked to leave first.
    if flags.asks_first.load(Ordering::Relaxed) {
        2 * ticks
    } else {
        ticks
    }
}

/// A connection's place in the list of open ones.
struct Entry {
    route: Arc<Route>,
    id: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.route.connections.lock().remove(&self.id);
    }
}

async fn serve(entry: Entry, stream: TcpStream, flags: Arc<Flags>, probe: bool) {
    let route = &entry.route;
    // Without it small answers wait for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let client = Shaped::new(stream, Arc::clone(route), Arc::clone(&flags));
    let ended = match (route.config.protocol, probe) {
        (RouteProtocol::Http, _) => http::serve(client, Arc::clone(route), flags, probe).await,
        (RouteProtocol::Tcp, false) => tcp::serve(client, route, &flags).await,
        (RouteProtocol::Tcp, true) => tcp::echo(client).await,
    };
    if let Err(error) = ended {
        tracing::debug!(route = route.config.name, %error, "connection ended");
    }
}

/// Where the accept loop stands.
enum Door {
    /// Nothing is bound yet.
    Unbound,
    /// Connections are taken.
    Open(TcpListener),
    /// The port is bound and the kernel refuses.
    Refusing(StdListener),
}

async fn accept(route: Arc<Route>, listener: Option<TcpListener>, mut commands: mpsc::Receiver<Gate>) {
    let mut door = listener.map_or(Door::Unbound, Door::Open);
    let mut next = 0;
    // Set while the port should listen again and the kernel would not have it.
    let mut retry = false;
    loop {
        let command = tokio::select! {
            biased;
            command = commands.recv() => command,
            () = async { match &door {
                Door::Open(listener) => take_one(&route, listener, &mut next).await,
                Door::Unbound => tokio::time::sleep(RETRY).await,
                Door::Refusing(_) if retry => tokio::time::sleep(RETRY).await,
                Door::Refusing(_) => std::future::pending().await,
            } } => {
                door = match door {
                    Door::Open(_) => door,
                    Door::Unbound => try_bind(&route),
                    Door::Refusing(_) => listen(door).0,
                };
                continue;
            }
        };
        let (result, done);
        (door, result, done) = match command {
            None => return,
            Some(Gate::Refuse(done)) => {
                retry = false;
                let (door, result) = refuse(door);
                (door, result, done)
            }
            Some(Gate::Listen(done)) => {
                let (door, result) = listen(door);
                retry = result.is_err();
                (door, result, done)
            }
            Some(Gate::Close(done)) => {
                drop(door);
                // Nobody listens for the answer if the control connection broke meanwhile.
                drop(done.send(Ok(())));
                return;
            }
        };
        drop(done.send(result));
    }
}

async fn take_one(route: &Arc<Route>, listener: &TcpListener, next: &mut u64) {
    match listener.accept().await {
        Ok((stream, peer)) => {
            *next += 1;
            route.take(stream, peer, *next);
        }
        Err(error) => {
            // Mostly a client that went away. With no descriptors left it would spin without the pause.
            tracing::warn!(route = route.config.name, %error, "accept");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn try_bind(route: &Route) -> Door {
    match bind(&route.config.listen) {
        Ok((listener, address)) => {
            *route.socket.lock() = Ok(address);
            Door::Open(listener)
        }
        Err(error) => {
            *route.socket.lock() = Err(describe(&route.config, &error));
            Door::Unbound
        }
    }
}

fn refuse(door: Door) -> (Door, io::Result<()>) {
    let Door::Open(listener) = door else {
        let refused = matches!(door, Door::Refusing(_));
        return (
            door,
            if refused {
                Ok(())
            } else {
                Err(io::Error::other("the route does not listen"))
            },
        );
    };
    // Out of the poller first: it never forgets that a socket was shut down.
    match listener.into_std() {
        Ok(listener) => match SockRef::from(&listener).shutdown(Shutdown::Read) {
            Ok(()) => (Door::Refusing(listener), Ok(())),
            Err(error) => (
                TcpListener::from_std(listener).map_or(Door::Unbound, Door::Open),
                Err(error),
            ),
        },
        Err(error) => (Door::Unbound, Err(error)),
    }
}

fn listen(door: Door) -> (Door, io::Result<()>) {
    match door {
        Door::Refusing(listener) => match SockRef::from(&listener).listen(BACKLOG) {
            Ok(()) => match TcpListener::from_std(listener) {
                Ok(listener) => (Door::Open(listener), Ok(())),
                Err(error) => (Door::Unbound, Err(error)),
            },
            Err(error) => (Door::Refusing(listener), Err(error)),
        },
        Door::Open(_) => (door, Ok(())),
        Door::Unbound => (door, Err(io::Error::other("the route does not listen"))),
    }
}

/// Binds and listens. Port 0 is resolved first and then bound by its number, see the module's head.
fn bind(listen: &str) -> io::Result<(TcpListener, SocketAddr)> {
    let wanted: SocketAddr = listen.parse().map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "not an address such as 127.0.0.1:8080",
        )
    })?;
    let mut socket = bound(wanted)?;
    let mut address = wanted;
    if wanted.port() == 0 {
        address = local(&socket)?;
        let by_number = bound(address)?;
        socket = by_number;
    }
    socket.listen(BACKLOG)?;
    Ok((TcpListener::from_std(socket.into())?, address))
}

fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn local(socket: &Socket) -> io::Result<SocketAddr> {
    socket
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::Error::other("not an internet address"))
}

fn describe(config: &firedrill_wire::Route, error: &io::Error) -> String {
    let firedrill_wire::Route { name, listen, .. } = config;
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => "; end what listens there or give the route another port",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrNotAvailable => "; the address is not one of this host",
        _ => "",
    };
    format!("route \"{name}\" cannot listen on {listen}: {error}{remedy}")
}
