//! An agent that runs: its threads, its doors, and its end.

use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use firedrill_trust::Fingerprint;
use firedrill_ward::{Durable, Event, Limits};
use firedrill_wire::{Instance, Route, Tick};
use parking_lot::{Mutex, RwLock};
use tokio::runtime;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio_rustls::TlsAcceptor;

use crate::access::Access;
use crate::config::{Config, parse_dns_name};
use crate::deadline::Alarm;
use crate::disk::{self, Disk};
use crate::faults;
use crate::host::{Host, Parts};
use crate::http::guard::Names;
use crate::http::rate::Rates;
use crate::http::{App, Door, listen};
use crate::identity::Identity;
use crate::keeper::link::{Keeper, KeeperConfig, KeeperEvent, Watch};
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::state::{StateFolder, random_hex};
use crate::undo::records::Records;
use crate::{keeper, privileges, proxy, urgency};

/// Connections of the first listener.
const FIRST_CONNECTIONS: usize = 256;

/// Connections of the second listener, and of the socket.
const SECOND_CONNECTIONS: usize = 64;

/// Listeners of events.
const EVENT_LISTENERS: usize = 32;

/// Where an agent that runs, or ran last, listens: for `enroll` and `abort` on the host.
pub const READY: &str = "ready.json";

/// How long the proxy may take to be there before the agent says it is ready without it.
const PROXY_WITHIN: Duration = Duration::from_secs(5);

/// The same for the keeper.
const KEEPER_WITHIN: Duration = Duration::from_secs(5);

/// How long read-backs may take at the end: longer than the ward waits for them.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// How long the disk may take at the end.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

/// How long traffic under way may take when the proxy is retired.
const DRAIN: Duration = Duration::from_millis(500);

/// Where an agent really listens.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Ready {
    /// Always true: for whoever reads lines.
    pub ready: bool,
    /// The first listener.
    pub listen: SocketAddr,
    /// The second listener.
    pub abort_listen: SocketAddr,
    /// The unix socket.
    pub socket: PathBuf,
    /// The file with the token.
    pub token_file: PathBuf,
    /// What the certificate is known by; absent: no TLS, on loopback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// What the host is called.
    pub name: String,
    /// Names that other hosts may call this one by.
    pub dns_names: Vec<String>,
    /// The routes, with the addresses that the proxy listens on.
    pub routes: Vec<Route>,
}

/// An agent that runs. Dropping it stops nothing: use [`Running::stop`].
pub struct Running {
    /// Where.
    pub ready: Ready,
    host: Arc<Host>,
    app: Arc<App>,
    state: Arc<StateFolder>,
    policy: Option<PathBuf>,
    disk: Arc<Disk>,
    first: runtime::Runtime,
    end_second: Option<oneshot::Sender<()>>,
    ending: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    supervisor: Option<proxy::Supervisor>,
    watch: Option<Watch>,
    retire_proxy: bool,
}

/// Starts an agent.
pub fn start(config: Config) -> anyhow::Result<Running> {
    let state = Arc::new(StateFolder::open(&config.state)?);
    let doors = Doors::open(config.listen, state.path())?;
    Starter { config, state, doors }.start()
}

/// The listeners, bound.
struct Doors {
    first: StdTcpListener,
    second: StdTcpListener,
    socket: StdUnixListener,
    socket_path: PathBuf,
}

impl Doors {
    fn open(listen: SocketAddr, folder: &Path) -> anyhow::Result<Self> {
        let first = bind(listen, "--listen names another one")?;
        let mut abort_listen = listen;
        if listen.port() != 0 {
            let port = listen.port().checked_add(1);
            abort_listen
                .set_port(port.context("port 65535 leaves no next port for aborts: give a lower one")?);
        }
        let second = bind(
            abort_listen,
            "aborts are served on the port after --listen's: give another one",
        )?;
        let socket_path = folder.join("agent.sock");
        // The folder is locked: a socket that is there belongs to a dead agent.
        std::fs::remove_file(&socket_path).ok();
        let socket = StdUnixListener::bind(&socket_path).with_context(|| {
            format!(
                "cannot listen on {} (a socket's path has at most 107 bytes: a shorter --state helps)",
                socket_path.display()
            )
        })?;
        std::fs::set_permissions(&socket_path, std::fs::Permissions::from_mode(0o600))?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            first,
            second,
            socket,
            socket_path,
        })
    }
}

fn bind(address: SocketAddr, remedy: &str) -> anyhow::Result<StdTcpListener> {
    let listener =
        StdTcpListener::bind(address).with_context(|| format!("cannot listen on {address}; {remedy}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

struct Starter {
    config: Config,
    state: Arc<StateFolder>,
    doors: Doors,
}

impl Starter {
    fn start(self) -> anyhow::Result<Running> {
        let Self { config, state, doors } = self;
        let policy = Policy::of(config.policy.as_deref(), config.off_loopback());
        let access = Access::load(&state, policy)?;
        let token_file = state.path().join("token");
        let told = Arc::new(OnceLock::new());
        let mut durable = state.load();
        let records = Arc::new(Records::open(state.path())?);
        let former = undo_former(state.path(), &records, &mut durable)?;
        state
            .save(&durable)
            .context("the state folder cannot be written")?;
        // After the former life's rules were looked for: the proxy serves one at a time.
        let supervisor = supervise(&config, state.path(), Arc::clone(&told))?;
        let client = supervisor.as_ref().map(proxy::Supervisor::client);
        let name = config.name.clone().unwrap_or_else(host_name);
        let names = names(&config, &name);
        let identity = (config.tls || names.off_loopback)
            .then(|| Identity::load(&state, &names.dns))
            .transpose()?;
        let tls = identity.as_ref().map(Identity::acceptor).transpose()?;
        let disk = Arc::new(Disk::default());
        let keeper = Arc::new(Keeper::default());
        let host = Host::start(Parts {
            agent: state.agent_id()?,
            instance: Instance(random_hex::<8>()?),
            faults: faults::all(&config.program, client.as_ref()),
            disk: Arc::clone(&disk),
            alarm: Alarm::new()?,
            keeper: Arc::clone(&keeper),
            records: Arc::clone(&records),
            metrics: Metrics::new(&name, &config.labels),
            durable,
            limits: Limits::default(),
        });
        // Nobody else sets it.
        told.set(Arc::downgrade(&host)).ok();
        host.audit(format!(
            "the agent starts: {} {}, version {}",
            host.agent,
            host.instance,
            env!("CARGO_PKG_VERSION")
        ));
        for words in former {
            host.audit(words);
        }
        let watch = start_keeper(&config, state.path(), &host)?;
        let ending = Arc::new(AtomicBool::new(false));
        let disk_thread = start_disk(&host, &state, &disk)?;
        let clock_thread = start_clock(&host, &ending)?;
        let app = Arc::new(App {
            host: Arc::clone(&host),
            access: RwLock::new(Arc::new(access)),
            names: names.clone(),
            actions: crate::commands::Actions::default(),
            rates: Rates::default(),
            privileges: privileges::words(),
            name: name.clone(),
            labels: config.labels,
            routes: config.routes,
            proxy: client,
            abort_port: doors.second.local_addr()?.port(),
            faults: Mutex::default(),
            event_listeners: Arc::new(Semaphore::new(EVENT_LISTENERS)),
            turned_away: Mutex::default(),
        });
        let mut ready = Ready {
            ready: true,
            listen: doors.first.local_addr()?,
            abort_listen: doors.second.local_addr()?,
            socket: doors.socket_path,
            token_file,
            fingerprint: identity.map(|it| it.fingerprint),
            name,
            dns_names: names.dns,
            routes: Vec::new(),
        };
        let (end_second, second_ends) = oneshot::channel();
        let second = start_second(
            doors.second,
            doors.socket,
            Arc::clone(&app),
            tls.clone(),
            second_ends,
        )?;
        let first = runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(8)
            .thread_name("serve")
            .enable_all()
            .build()
            .context("no threads to serve with")?;
        let listener = {
            let _inside = first.enter();
            tokio::net::TcpListener::from_std(doors.first)?
        };
        wait_for_proxy(app.proxy.as_ref());
        if let Err(why) = keeper.up(KEEPER_WITHIN) {
            tracing::error!(
                why,
                "the keeper is not there; the agent goes on without starting anything"
            );
        }
        ready.routes = app.live_routes();
        state.keep(READY, &serde_json::to_vec(&ready)?)?;
        let door = listen::tcp(listener, Arc::clone(&app), Door::First, FIRST_CONNECTIONS, tls);
        first.spawn(door);
        Ok(Running {
            ready,
            host,
            app,
            state,
            policy: config.policy,
            disk,
            first,
            end_second: Some(end_second),
            ending,
            threads: vec![second, clock_thread, disk_thread],
            supervisor,
            watch: Some(watch),
            retire_proxy: config.retire_proxy,
        })
    }
}

fn start_disk(
    host: &Arc<Host>,
    state: &Arc<StateFolder>,
    disk: &Arc<Disk>,
) -> anyhow::Result<JoinHandle<()>> {
    let host = Arc::clone(host);
    let saved = move |save, durable| host.feed(Event::Saved { save, durable });
    disk::start(Arc::clone(state), saved, Arc::clone(disk))
}

/// The thread of deadlines.
fn start_clock(host: &Arc<Host>, ending: &Arc<AtomicBool>) -> anyhow::Result<JoinHandle<()>> {
    let (host, ending) = (Arc::clone(host), Arc::clone(ending));
    let thread = std::thread::Builder::new()
        .name("deadlines".to_owned())
        .stack_size(256 * 1024)
        .spawn(move || {
            urgency::first();
            while !ending.load(Ordering::Relaxed) {
                host.alarm.wait();
                host.feed(Event::Tick);
            }
        })?;
    Ok(thread)
}

/// The thread that serves the second listener and the socket, whatever the others do.
fn start_second(
    tcp: StdTcpListener,
    socket: StdUnixListener,
    app: Arc<App>,
    tls: Option<TlsAcceptor>,
    ends: oneshot::Receiver<()>,
) -> anyhow::Result<JoinHandle<()>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (tcp, socket) = {
        let _inside = runtime.enter();
        (
            tokio::net::TcpListener::from_std(tcp)?,
            tokio::net::UnixListener::from_std(socket)?,
        )
    };
    let thread = std::thread::Builder::new()
        .name("abort".to_owned())
        .spawn(move || {
            urgency::first();
            runtime.block_on(async move {
                tokio::spawn(listen::tcp(
                    tcp,
                    Arc::clone(&app),
                    Door::Second,
                    SECOND_CONNECTIONS,
                    tls,
                ));
                tokio::spawn(listen::unix(socket, app, SECOND_CONNECTIONS));
                // Also when the sender is dropped.
                ends.await.ok();
            });
        })?;
    Ok(thread)
}

/// `told` hears of a proxy that is lost, once it is there: the rules of its injections are gone.
fn supervise(
    config: &Config,
    folder: &Path,
    told: Arc<OnceLock<Weak<Host>>>,
) -> anyhow::Result<Option<proxy::Supervisor>> {
    if config.routes.is_empty() {
        return Ok(None);
    }
    let supervisor = proxy::SupervisorConfig {
        executable: config.program.program.clone(),
        subcommand: config.program.subcommand("proxy"),
        folder: folder.to_owned(),
        routes: config.routes.clone(),
        // One that shall end with its agent also ends when the agent is killed, once no client needs it.
        orphan_exit_s: config.retire_proxy.then_some(30),
    };
    let report = move |event: proxy::ProxyEvent| {
        tracing::info!(?event, "proxy");
        if let proxy::ProxyEvent::Lost { reason } = event
            && let Some(host) = told.get().and_then(Weak::upgrade)
        {
            host.feed(Event::Lost {
                claim: "route:".to_owned(),
                why: reason,
            });
        }
    };
    Ok(Some(
        proxy::Supervisor::start(supervisor, report).context("the proxy cannot be started")?,
    ))
}

/// Undoes what a former life left before this one takes anything for the state of the host. The words for the
/// audit log; what cannot be read latches, because nobody knows what it was.
fn undo_former(folder: &Path, records: &Records, durable: &mut Durable) -> anyhow::Result<Vec<String>> {
    let results = keeper::clear(folder, records)?;
    let mut words: Vec<_> = results
        .iter()
        .map(|(record, undone)| {
            format!(
                "former life: {}",
                keeper::process::words(&record.key.id.0, undone)
            )
        })
        .collect();
    for what in records.set_aside()? {
        words.push(format!("an undo record cannot be read and is set aside: {what}"));
        durable.latch_for(&format!("an undo record could not be read: {what}"));
    }
    // Those that the ward will read back itself are kept for it, the others have no reader any more.
    for record in records.find()?.records {
        let known = durable
            .records
            .iter()
            .any(|it| it.epoch == record.key.epoch && it.id == record.key.id && !it.state.is_off());
        if record.undone.is_some() && !known {
            records.remove(&record.key);
        }
    }
    Ok(words)
}

/// Starts the keeper. What a former life left and could not be undone yet is tried again until it is gone; the
/// agent starts nothing before.
fn start_keeper(config: &Config, folder: &Path, host: &Arc<Host>) -> anyhow::Result<Watch> {
    host.feed(Event::Unkept {
        why: "it has not been started yet".to_owned(),
    });
    let keeper = KeeperConfig {
        program: config.program.clone(),
        state: folder.to_owned(),
        records: Arc::clone(&host.records),
        instance: host.instance.clone(),
        service: config.separate_keeper,
    };
    let told = Arc::downgrade(host);
    let report = move |event: KeeperEvent| {
        let Some(host) = told.upgrade() else { return };
        match event {
            KeeperEvent::Here => host.feed(Event::Kept),
            KeeperEvent::Gone(why) => host.feed(Event::Unkept { why }),
        }
    };
    Watch::start(keeper, Arc::clone(&host.keeper), report).context("the keeper's thread cannot be started")
}

fn wait_for_proxy(client: Option<&proxy::Client>) {
    if let Some(client) = client
        && let Err(error) = client.up(PROXY_WITHIN)
    {
        tracing::error!(%error, "the proxy is not there; the agent goes on without its routes");
    }
}

fn host_name() -> String {
    nix::sys::utsname::uname().map_or_else(
        |_| "unknown".to_owned(),
        |name| name.nodename().to_string_lossy().into_owned(),
    )
}

/// The names to answer to.
fn names(config: &Config, name: &str) -> Names {
    let off_loopback = config.off_loopback();
    let mut dns = config.dns_names.clone();
    if off_loopback {
        dns.extend(
            [name.to_owned(), host_name()]
                .into_iter()
                .filter(|name| parse_dns_name(name).is_ok()),
        );
        dns.sort();
        dns.dedup();
    }
    Names { off_loopback, dns }
}

impl Running {
    /// Reads tokens and policy again. What is on stays on; what cannot be read leaves the tokens as they are, and a
    /// broken policy allows no start.
    pub fn reload(&self) {
        let policy = Policy::of(self.policy.as_deref(), self.app.names.off_loopback);
        match Access::load(&self.state, policy) {
            Ok(access) => {
                self.app.replace_access(access);
                self.host.audit("tokens and policy are read again".to_owned());
            }
            Err(error) => {
                tracing::error!("tokens and policy stay as they were: {error:#}");
                self.host
                    .audit(format!("tokens and policy stay as they were: {error:#}"));
            }
        }
    }

    /// The token for everything.
    pub fn token(&self) -> anyhow::Result<String> {
        Ok(crate::state::read_small(&self.ready.token_file)?
            .trim()
            .to_owned())
    }

    /// Ends the agent: an unlatched abort of everything, then the doors. Whether all is off. Must not be
    /// called from inside a runtime.
    pub fn stop(mut self) -> bool {
        let mut stopped = self.host.stopped();
        self.host.feed(Event::Shutdown);
        let clean = wait_until_off(&mut stopped);
        self.host
            .audit(format!("the agent ends; everything off: {clean}"));
        self.disk.flush(FLUSH_WITHIN);
        if let Some(supervisor) = self.supervisor.take() {
            if self.retire_proxy {
                if let Err(error) = supervisor.retire(DRAIN) {
                    tracing::warn!(%error, "the proxy could not be retired");
                }
            } else {
                supervisor.detach();
            }
        }
        if let Some(watch) = self.watch.take() {
            watch.leave();
        }
        drop(self.end_second.take());
        self.ending.store(true, Ordering::Relaxed);
        // Wakes the thread of deadlines, so that it sees the end.
        self.host.alarm.set(Some(Tick(1)));
        self.disk.end();
        std::fs::remove_file(&self.ready.socket).ok();
        self.first.shutdown_timeout(Duration::from_millis(100));
        for thread in self.threads {
            // A thread that panicked has nothing left to say.
            thread.join().ok();
        }
        clean
    }
}

/// Waits for the last read-back, with no help of the runtime that serves: it may be stuck.
fn wait_until_off(stopped: &mut watch::Receiver<Option<bool>>) -> bool {
    let Ok(runtime) = runtime::Builder::new_current_thread().enable_time().build() else {
        return false;
    };
    runtime.block_on(async {
        let waited = tokio::time::timeout(STOP_WITHIN, stopped.wait_for(Option::is_some)).await;
        matches!(waited, Ok(Ok(clean)) if *clean == Some(true))
    })
}
