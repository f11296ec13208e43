//! The host: a listener with a thread of its own, who may come in, and what is shown to whom.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use firedrill_scene::{LinkScene, Look, Reach, Role, ShareScene, WatcherScene, Wish};
use firedrill_trust::{Fingerprint, PinnedTls};
use parking_lot::Mutex;
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    version::TLS13,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    Link, reach,
    session::serve,
    symptoms::Sealer,
    tokens::{Token, Tokens},
};

/// So many may be connected at once.
pub const MAX_CONNECTIONS: usize = 64;
/// So many of them may not have shown a token yet; and so many from one address.
const UNPROVED: usize = 24;
const UNPROVED_FROM_ONE: usize = 12;
/// So many connections a second are begun; what a storm brings beyond is closed unread.
const BEGUN_PER_SECOND: u32 = 40;
/// The journal is looked at this often.
const LOOK: Duration = Duration::from_millis(25);
/// At the end those who follow have this long to take what there is.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);
/// Ids of wishes that were heard, so that none is heard twice.
const IDS: usize = 4_096;

/// A person's wish: who, in which role, what. Gives why it is not taken. Must not wait.
pub type TakeWish = Arc<dyn Fn(&str, Role, Wish) -> Result<(), String> + Send + Sync>;

/// What a host's console does for those who follow. Nothing of it waits.
#[derive(Clone)]
pub struct Desk {
    /// Takes a wish.
    pub wish: TakeWish,
    /// Presses ABORT, for this person.
    pub press: Arc<dyn Fn(&str) + Send + Sync>,
    /// As everything stands.
    pub look: Arc<dyn Fn() -> Look + Send + Sync>,
    /// Is told when who follows, or what is known of the way here, has changed.
    pub changed: Arc<dyn Fn() + Send + Sync>,
    /// The wall clock, milliseconds since 1970 UTC.
    pub wall_ms: fn() -> i64,
}

/// Why nothing can be shared.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// The address is not to be had.
    #[error(
        "cannot listen on {address}: {source}; choose an address of this computer and a port that is free"
    )]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No certificate, no thread, no chance.
    #[error("cannot share: {0}")]
    Made(#[from] io::Error),
}

/// The drill that is shown.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// Its id.
    pub(crate) drill: String,
    /// Its journal.
    pub(crate) journal: Arc<Path>,
    /// What responders see of it.
    pub(crate) sealed: Arc<Mutex<Vec<u8>>>,
    /// Grows with every drill.
    pub(crate) number: u64,
}

/// How long the lines are by now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Length {
    pub(crate) journal: u64,
    pub(crate) sealed: u64,
}

/// What every task of the host shares.
pub(crate) struct Hub {
    pub(crate) desk: Desk,
    pub(crate) console: String,
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) tokens: Mutex<Tokens>,
    pub(crate) shown: watch::Sender<Option<Shown>>,
    pub(crate) length: watch::Sender<Length>,
    pub(crate) look: watch::Sender<Arc<Look>>,
    /// Grows when a link was revoked: who came by it is sent away.
    pub(crate) revoked: watch::Sender<u64>,
    ending: watch::Sender<bool>,
    /// What was there at the end is known: who has it all is told goodbye.
    pub(crate) closing: watch::Sender<bool>,
    /// How often the journal was looked at.
    looked: watch::Sender<u64>,
    pin: Fingerprint,
    listens: SocketAddr,
    watchers: Mutex<HashMap<u64, WatcherScene>>,
    reach: Mutex<Arc<Vec<Reach>>>,
    heard: Mutex<Heard>,
    turned_away: AtomicU64,
    numbers: AtomicU64,
    tries: watch::Sender<u64>,
}

/// The ids of wishes that were heard, with their answers.
#[derive(Default)]
struct Heard {
    known: HashSet<String>,
    order: VecDeque<String>,
}

impl Hub {
    /// Whether this id is heard for the first time.
    pub(crate) fn is_new(&self, id: &str) -> bool {
        let mut heard = self.heard.lock();
        if !heard.known.insert(id.to_owned()) {
            return false;
        }
        heard.order.push_back(id.to_owned());
        if heard.order.len() > IDS
            && let Some(oldest) = heard.order.pop_front()
        {
            heard.known.remove(&oldest);
        }
        true
    }

    /// Somebody showed a token that fits. Gone when what is given is dropped.
    pub(crate) fn enter(self: &Arc<Self>, name: String, role: Role, from: IpAddr) -> Present {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let since_ms = (self.desk.wall_ms)();
        self.note_reached(from, since_ms);
        let watcher = WatcherScene {
            name,
            role,
            from,
            since_ms,
        };
        self.watchers.lock().insert(number, watcher);
        (self.desk.changed)();
        Present {
            hub: Arc::clone(self),
            number,
        }
    }

    /// Only who comes from an address that is not this computer's proves that others can.
    fn note_reached(&self, from: IpAddr, at_ms: i64) {
        let from = from.to_canonical();
        let own = |ip: IpAddr| {
            if_addrs::get_if_addrs().map_or(true, |all| all.iter().any(|it| it.ip().to_canonical() == ip))
        };
        if from.is_loopback() || own(from) {
            return;
        }
        let mut reach = self.reach.lock();
        let all: &mut Vec<Reach> = Arc::make_mut(&mut reach);
        // By which of several addresses is not known: the first one that such a caller could have used.
        let usable =
            |it: &&mut Reach| it.address.is_ipv4() == from.is_ipv4() && !it.address.ip().is_loopback();
        if let Some(first) = all.iter_mut().find(usable) {
            first.reached = Some((from, at_ms));
        }
    }

    fn link(&self, host: IpAddr, token: &Token) -> Link {
        Link {
            host: host.to_string(),
            port: self.listens.port(),
            pin: self.pin,
            token: token.clone(),
        }
    }
}

/// Somebody who follows.
pub(crate) struct Present {
    hub: Arc<Hub>,
    number: u64,
}

impl Drop for Present {
    fn drop(&mut self) {
        self.hub.watchers.lock().remove(&self.number);
        (self.hub.desk.changed)();
    }
}

/// What is shared. Dropping it ends it for everybody.
pub struct Share {
    hub: Arc<Hub>,
    thread: Option<JoinHandle<()>>,
}

impl Share {
    /// Listens, with a new certificate and a new token for each role. `console`: as it calls itself.
    pub fn start(address: SocketAddr, console: String, desk: Desk) -> Result<Self, ShareError> {
        let failed = |source| ShareError::Listen { address, source };
        let listener = std::net::TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listens = listener.local_addr().map_err(failed)?;
        let (acceptor, pin) = identity()?;
        let hub = Arc::new(Hub {
            look: watch::Sender::new(Arc::new((desk.look)())),
            desk,
            console,
            acceptor,
            tokens: Mutex::new(Tokens::new()?),
            shown: watch::Sender::new(None),
            length: watch::Sender::default(),
            revoked: watch::Sender::new(0),
            ending: watch::Sender::new(false),
            closing: watch::Sender::new(false),
            looked: watch::Sender::new(0),
            pin,
            listens,
            watchers: Mutex::default(),
            reach: Mutex::new(Arc::new(reach::addresses(listens))),
            heard: Mutex::default(),
            turned_away: AtomicU64::new(0),
            numbers: AtomicU64::new(0),
            tries: watch::Sender::new(0),
        });
        // Of its own: a storm at this door takes one thread, and none that a drill or an abort needs.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(4)
            .build()?;
        let work = Arc::clone(&hub);
        let thread = std::thread::Builder::new()
            .name("broadcast".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    match TcpListener::from_std(listener) {
                        Ok(listener) => run(listener, work).await,
                        Err(error) => tracing::error!("nothing is shared: {error}"),
                    }
                });
                runtime.shutdown_timeout(Duration::from_millis(200));
            })?;
        Ok(Self {
            hub,
            thread: Some(thread),
        })
    }

    /// Ends it when everybody has seen what there is, or a little later. Blocks for some seconds at the most.
    pub fn end(mut self) {
        self.hub.ending.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of those who follow broke off");
        }
    }

    /// From now on this drill is shown, from the beginning of its journal.
    pub fn drill(&self, id: &str, journal: &Path) {
        let number = self.hub.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let shown = Shown {
            drill: id.to_owned(),
            journal: journal.into(),
            sealed: Arc::default(),
            number,
        };
        self.hub.length.send_replace(Length::default());
        self.hub.shown.send_replace(Some(shown));
    }

    /// The link of this role is worth nothing from now on.
    pub fn revoke(&self, role: Role) {
        self.hub.tokens.lock().put(role, None);
        self.hub.revoked.send_modify(|it| *it += 1);
        (self.hub.desk.changed)();
    }

    /// Another link for this role; the one before is revoked.
    pub fn renew(&self, role: Role) -> io::Result<()> {
        let token = Token::random()?;
        self.hub.tokens.lock().put(role, Some(token));
        self.hub.revoked.send_modify(|it| *it += 1);
        (self.hub.desk.changed)();
        Ok(())
    }

    /// Tries again whether this computer can be reached.
    pub fn try_reach(&self) {
        self.hub.tries.send_modify(|it| *it += 1);
    }

    /// Where it listens.
    pub fn listens(&self) -> SocketAddr {
        self.hub.listens
    }

    /// As it stands. Its links name the best address there is.
    pub fn scene(&self) -> ShareScene {
        let hub = &self.hub;
        let reach = Arc::clone(&hub.reach.lock());
        let host = reach
            .first()
            .map_or_else(|| hub.listens.ip(), |best| best.address.ip());
        let mut watchers: Vec<_> = hub
            .watchers
            .lock()
            .iter()
            .map(|(number, it)| (*number, it.clone()))
            .collect();
        watchers.sort_by_key(|(number, _)| *number);
        let watchers: Vec<_> = watchers.into_iter().map(|(_, it)| it).collect();
        let tokens = hub.tokens.lock();
        let links = Role::ALL.into_iter().map(|role| LinkScene {
            role,
            link: tokens.of(role).map(|token| hub.link(host, token).to_string()),
            watchers: watchers.iter().filter(|it| it.role == role).count(),
        });
        ShareScene {
            listens: Some(hub.listens),
            failed: None,
            reach,
            links: links.collect(),
            watchers,
            turned_away: hub.turned_away.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.hub.ending.send_replace(true);
    }
}

/// A certificate for this time only.
fn identity() -> io::Result<(TlsAcceptor, Fingerprint)> {
    let made = rcgen::generate_simple_self_signed(vec!["firedrill".to_owned()]).map_err(io::Error::other)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let certificate = made.cert.der().clone();
    let pin = Fingerprint::of(&certificate);
    let mut config = ServerConfig::builder_with_provider(firedrill_trust::provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(io::Error::other)?;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok((TlsAcceptor::from(Arc::new(config)), pin))
}

async fn run(listener: TcpListener, hub: Arc<Hub>) {
    tokio::select! {
        () = accept(listener, &hub) => {}
        () = look(&hub) => {}
        () = grow(&hub) => {}
        () = try_addresses(&hub) => {}
        () = close(&hub) => {}
    }
}

/// Ends when everybody who follows has the last record and a goodbye, after somebody wanted an end.
async fn close(hub: &Arc<Hub>) {
    // The sender is the hub's own: it does not go before this.
    hub.ending.subscribe().wait_for(|ended| *ended).await.ok();
    let leaving = async {
        let seen = *hub.looked.borrow();
        // The first look may have begun before the end.
        hub.looked.subscribe().wait_for(|it| *it >= seen + 2).await.ok();
        hub.closing.send_replace(true);
        while !hub.watchers.lock().is_empty() {
            tokio::time::sleep(LOOK).await;
        }
    };
    if timeout(LEAVE_LIMIT, leaving).await.is_err() {
        tracing::debug!("not everybody who follows has seen the end");
    }
}

/// How many have not shown a token yet, in all and from each address.
#[derive(Default)]
struct Doors {
    in_all: usize,
    proving: HashMap<IpAddr, usize>,
    unproved: usize,
}

/// A place at the door: first unproved, then proved.
pub(crate) struct Place {
    doors: Arc<Mutex<Doors>>,
    from: Option<IpAddr>,
}

impl Place {
    fn take(doors: &Arc<Mutex<Doors>>, from: IpAddr) -> Option<Self> {
        let mut inside = doors.lock();
        let here = inside.proving.get(&from).copied().unwrap_or(0);
        if inside.in_all >= MAX_CONNECTIONS || inside.unproved >= UNPROVED || here >= UNPROVED_FROM_ONE {
            return None;
        }
        inside.in_all += 1;
        inside.unproved += 1;
        inside.proving.insert(from, here + 1);
        Some(Self {
            doors: Arc::clone(doors),
            from: Some(from),
        })
    }

    /// A token that fits was shown.
    pub(crate) fn proved(&mut self) {
        let Some(from) = self.from.take() else { return };
        let mut doors = self.doors.lock();
        doors.unproved -= 1;
        let left = doors.proving.get(&from).map_or(0, |it| it.saturating_sub(1));
        if left == 0 {
            doors.proving.remove(&from);
        } else {
            doors.proving.insert(from, left);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.proved();
        self.doors.lock().in_all -= 1;
    }
}

async fn accept(listener: TcpListener, hub: &Arc<Hub>) {
    let doors = Arc::new(Mutex::new(Doors::default()));
    let (mut second, mut begun) = (Instant::now(), 0);
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(came) => came,
            Err(error) => {
                // Out of file descriptors: those who are in may leave.
                tracing::warn!("nobody can be let in: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if second.elapsed() >= Duration::from_secs(1) {
            (second, begun) = (Instant::now(), 0);
        }
        begun += 1;
        let place = Place::take(&doors, from.ip());
        match place.filter(|_| begun <= BEGUN_PER_SECOND) {
            Some(place) => begin(stream, from, place, hub),
            None => drop(hub.turned_away.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

fn begin(stream: TcpStream, from: SocketAddr, place: Place, hub: &Arc<Hub>) {
    // Lines are short and somebody waits for them.
    stream.set_nodelay(true).ok();
    let hub = Arc::clone(hub);
    tokio::spawn(async move {
        if let Err(error) = serve(stream, from.ip(), place, &hub).await {
            tracing::debug!("a connection from {from} ended: {error}");
        }
    });
}

/// Keeps what everybody sees besides records.
async fn look(hub: &Arc<Hub>) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = (hub.desk.look)();
        hub.look.send_if_modified(|before| {
            let changed = **before != now;
            if changed {
                *before = Arc::new(now);
            }
            changed
        });
    }
}

/// Looks how far the journal is, and makes symptoms of it. A disk that hangs holds nobody but those who follow.
async fn grow(hub: &Arc<Hub>) {
    let mut shown = hub.shown.subscribe();
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut sealer: Option<(u64, Sealer)> = None;
    loop {
        ticks.tick().await;
        hub.looked.send_modify(|it| *it += 1);
        let Some(now) = shown.borrow_and_update().clone() else {
            continue;
        };
        let before = sealer.take().filter(|(number, _)| *number == now.number);
        let known = hub.length.borrow().journal;
        let looked = tokio::task::spawn_blocking(move || {
            let length = std::fs::metadata(&now.journal).map_or(0, |it| it.len());
            let mut sealer = before.unwrap_or_else(|| (now.number, Sealer::new(now.journal, now.sealed)));
            let sealed = if length == known {
                Ok(None)
            } else {
                sealer.1.go_on().map(Some)
            };
            (length, sealer, sealed)
        });
        let Ok((journal, kept, sealed)) = looked.await else {
            continue;
        };
        let number = kept.0;
        sealer = Some(kept);
        let sealed = match sealed {
            Ok(sealed) => sealed,
            Err(error) => {
                tracing::warn!("responders see nothing new: {error}");
                None
            }
        };
        // Another drill may have begun meanwhile.
        if shown.borrow().as_ref().is_some_and(|it| it.number == number) {
            hub.length.send_if_modified(|before| {
                let now = Length {
                    journal,
                    sealed: sealed.unwrap_or(before.sealed),
                };
                let changed = *before != now;
                *before = now;
                changed
            });
        }
    }
}

/// Calls each address of this computer, at the beginning and whenever somebody asks.
async fn try_addresses(hub: &Arc<Hub>) {
    let mut tries = hub.tries.subscribe();
    loop {
        tries.borrow_and_update();
        let tls = PinnedTls::new(hub.pin);
        let tried = reach::tried(reach::addresses(hub.listens), tls).await;
        {
            let mut reach = hub.reach.lock();
            let mut tried = Vec::clone(&tried);
            for it in &mut tried {
                let before = reach.iter().find(|before| before.address == it.address);
                it.reached = before.and_then(|before| before.reached);
            }
            *reach = Arc::new(tried);
        }
        (hub.desk.changed)();
        if tries.changed().await.is_err() {
            return;
        }
    }
}
