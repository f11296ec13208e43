//! Connections: accepted, counted, and ended when they take a place for nothing.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use super::handshakes::Handshakes;
use super::rate::Strange;
use super::{App, Door, calls};
use crate::clock;

/// A connection must have asked for something by then.
const FIRST_REQUEST_WITHIN: Duration = Duration::from_secs(5);

/// A request's head must have come by then; an idle connection is closed after it.
const HEAD_WITHIN: Duration = Duration::from_mins(1);

/// A handshake must be over by then, its turn waited for.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

/// Connections of one address that have shown no token take at most one place in so many.
const STRANGERS_SHARE: usize = 2;

/// How long to wait when the kernel has no more descriptors.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// What is known of one connection.
#[derive(Debug, Default)]
pub struct Connection {
    /// It has shown a token.
    authorized: AtomicBool,
    /// It has asked for something.
    asked: AtomicBool,
    /// Requests being answered.
    in_flight: AtomicU64,
    /// When it last asked, by the agent's clock.
    last_asked: AtomicU64,
    /// The other end; `None` for the socket.
    peer: Option<SocketAddr>,
    /// Requests without a token.
    strange: Strange,
    /// They are too many: it is closed.
    closing: Notify,
}

impl Connection {
    /// It has shown a token: it is closed last when places are short.
    pub fn authorize(&self) {
        self.authorized.store(true, Ordering::Relaxed);
    }

    /// It has asked for something without a token. Too often: it is closed, unless it ever showed one.
    pub fn strange(&self) {
        if !self.strange.take(clock::tick()) && !self.authorized.load(Ordering::Relaxed) {
            self.closing.notify_one();
        }
    }

    /// The other end, for people.
    pub fn peer(&self) -> String {
        self.peer
            .map_or_else(|| "this host".to_owned(), |peer| peer.to_string())
    }

    fn is_stranger_of(&self, address: IpAddr) -> bool {
        !self.authorized.load(Ordering::Relaxed) && self.peer.is_some_and(|peer| peer.ip() == address)
    }
}

/// Counts a request as being answered until it is dropped.
#[derive(Debug)]
pub struct Busy(Arc<Connection>);

impl Busy {
    fn new(connection: &Arc<Connection>) -> Self {
        connection.asked.store(true, Ordering::Relaxed);
        connection.in_flight.fetch_add(1, Ordering::Relaxed);
        connection.last_asked.store(clock::tick().0, Ordering::Relaxed);
        Self(Arc::clone(connection))
    }

    /// The connection it came by.
    pub fn connection(&self) -> &Connection {
        &self.0
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The open connections of one door.
#[derive(Debug)]
struct Table {
    most: usize,
    open: Mutex<(u64, HashMap<u64, Open>)>,
}

#[derive(Debug)]
struct Open {
    connection: Arc<Connection>,
    task: Option<AbortHandle>,
}

impl Table {
    /// A place for a new connection. When all are taken, or one address has many that showed no token, the
    /// connection that waits longest for nothing loses its place: those that never showed a token first, and
    /// first those of an address that has too many. `None` when all are busy.
    fn admit(&self, peer: Option<SocketAddr>) -> Option<(u64, Arc<Connection>)> {
        let mut open = self.open.lock();
        let address = peer.map(|peer| peer.ip());
        let strangers = address.map_or(0, |address| {
            let all = open.1.values();
            all.filter(|it| it.connection.is_stranger_of(address)).count()
        });
        let crowded = address.filter(|_| strangers >= self.most / STRANGERS_SHARE);
        if crowded.is_some() || open.1.len() >= self.most {
            let idle = open.1.iter().filter(|(_, it)| {
                it.connection.in_flight.load(Ordering::Relaxed) == 0
                    && crowded.is_none_or(|address| it.connection.is_stranger_of(address))
            });
            let (victim, _) = idle.min_by_key(|(number, it)| {
                (
                    it.connection.authorized.load(Ordering::Relaxed),
                    it.connection.last_asked.load(Ordering::Relaxed),
                    **number,
                )
            })?;
            let victim = *victim;
            if let Some(Open { task: Some(task), .. }) = open.1.remove(&victim) {
                task.abort();
            }
        }
        open.0 += 1;
        let connection = Arc::new(Connection {
            peer,
            ..Connection::default()
        });
        let number = open.0;
        open.1.insert(
            number,
            Open {
                connection: Arc::clone(&connection),
                task: None,
            },
        );
        Some((number, connection))
    }

    fn started(&self, number: u64, task: AbortHandle) {
        if let Some(open) = self.open.lock().1.get_mut(&number) {
            open.task = Some(task);
        }
    }
}

/// Gives the place back, however the connection ends.
struct Place {
    table: Arc<Table>,
    number: u64,
    connection: Arc<Connection>,
}

impl Place {
    fn of(table: &Arc<Table>, peer: Option<SocketAddr>) -> Option<Self> {
        let (number, connection) = table.admit(peer)?;
        Some(Self {
            table: Arc::clone(table),
            number,
            connection,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table.open.lock().1.remove(&self.number);
    }
}

/// Serves a TCP listener for ever, over TLS if there is an acceptor.
pub async fn tcp(listener: TcpListener, app: Arc<App>, door: Door, most: usize, tls: Option<TlsAcceptor>) {
    let port = listener
        .local_addr()
        .map_or(0, |address: SocketAddr| address.port());
    let table = new_table(most);
    let handshakes = Arc::new(Handshakes::default());
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                accept_failed(&error).await;
                continue;
            }
        };
        // All are busy: closed unanswered.
        let Some(place) = Place::of(&table, Some(peer)) else {
            continue;
        };
        // Lines of an abort are small and urgent.
        stream.set_nodelay(true).ok();
        let (app, number) = (Arc::clone(&app), place.number);
        let task = match tls.clone() {
            None => tokio::spawn(serve(place, stream, app, door, port)),
            Some(tls) => {
                let handshakes = Arc::clone(&handshakes);
                tokio::spawn(async move {
                    let shake = handshakes.accept(stream, peer.ip(), &tls);
                    match tokio::time::timeout(HANDSHAKE_WITHIN, shake).await {
                        Ok(Ok(stream)) => serve(place, stream, app, door, port).await,
                        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS handshake"),
                        Err(_) => tracing::debug!(%peer, "no TLS handshake in time"),
                    }
                })
            }
        };
        table.started(number, task.abort_handle());
    }
}

/// Serves a unix socket for ever.
pub async fn unix(listener: UnixListener, app: Arc<App>, most: usize) {
    let table = new_table(most);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Some(place) = Place::of(&table, None) {
                    let number = place.number;
                    let task = tokio::spawn(serve(place, stream, Arc::clone(&app), Door::Socket, 0));
                    table.started(number, task.abort_handle());
                }
            }
            Err(error) => accept_failed(&error).await,
        }
    }
}

fn new_table(most: usize) -> Arc<Table> {
    Arc::new(Table {
        most,
        open: Mutex::new((0, HashMap::new())),
    })
}

async fn accept_failed(error: &std::io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
}

async fn serve<S>(place: Place, stream: S, app: Arc<App>, door: Door, port: u16)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = Arc::clone(&place.connection);
    let service = service_fn(|request: Request<Incoming>| {
        let busy = Busy::new(&connection);
        let app = Arc::clone(&app);
        async move { Ok::<_, std::convert::Infallible>(calls::answer(&app, door, port, request, busy).await) }
    });
    let builder = builder();
    let served = builder.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = served => if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended badly");
        },
        () = silent(&place.connection) => {}
        () = place.connection.closing.notified() => {}
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        // A caller that has said all it has to say still wants the answer.
        .half_close(true)
        .max_buf_size(128 * 1024)
        .max_headers(64);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(64)
        .max_header_list_size(16 * 1024)
        .max_send_buf_size(256 * 1024)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

/// Ends when a connection has asked for nothing in its first seconds.
async fn silent(connection: &Connection) {
    tokio::time::sleep(FIRST_REQUEST_WITHIN).await;
    if connection.asked.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn who_waits_for_nothing_makes_room() {
        let table = new_table(2);
        let (first, connection) = table.admit(Some(at("10.0.0.1:1"))).unwrap();
        connection.authorize();
        let (second, _) = table.admit(Some(at("10.0.0.2:1"))).unwrap();
        let (third, _) = table.admit(Some(at("10.0.0.3:1"))).unwrap();
        let held = |number| table.open.lock().1.contains_key(&number);
        assert!(held(first) && !held(second) && held(third));
    }

    #[test]
    fn the_busy_keep_their_place() {
        let table = new_table(1);
        let (number, connection) = table.admit(None).unwrap();
        let busy = Busy::new(&connection);
        assert!(table.admit(None).is_none());
        drop(busy);
        assert!(table.admit(None).is_some());
        assert!(!table.open.lock().1.contains_key(&number));
    }

    #[test]
    fn a_crowd_from_one_address_takes_its_own_places() {
        let table = new_table(8);
        let (known, connection) = table.admit(Some(at("10.0.0.1:1"))).unwrap();
        connection.authorize();
        // From the crowd's own address, on its way to show a token.
        let (other, _) = table.admit(Some(at("10.0.0.2:1"))).unwrap();
        let crowd: Vec<_> = (0..100)
            .map(|port| {
                table
                    .admit(Some(at(&format!("10.0.0.1:{}", port + 2))))
                    .unwrap()
                    .0
            })
            .collect();
        let held = |number: &u64| table.open.lock().1.contains_key(number);
        assert!(held(&known) && held(&other));
        assert_eq!(crowd.iter().filter(|number| held(number)).count(), 4);
        assert!(held(&crowd[99]));
    }
}
