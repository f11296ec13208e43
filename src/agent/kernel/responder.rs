//! What programs lead connections and datagrams to: a thread of the agent, in the victim's network namespace.
//!
//! It listens on the loopback alone, serves so many at once and no more, and ends when its handle is dropped, if that
//! was not let go.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::oneshot;

use super::netns;

/// How often a port that is free for TCP may turn out to be taken for UDP.
const PORT_TRIES: usize = 16;

/// How long the thread may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(5);

/// The sockets of one family, on the same port.
#[derive(Debug)]
pub struct Sockets {
    /// For connections.
    pub tcp: TcpListener,
    /// For datagrams.
    pub udp: UdpSocket,
}

/// A responder that runs.
#[derive(Debug)]
pub struct Running {
    /// Its port on 127.0.0.1.
    pub port4: u16,
    /// Its port on ::1, if the namespace has that.
    pub port6: Option<u16>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts it: `serve` gets the sockets of both families, and runs until the handle is dropped.
    pub fn start<F, S>(namespace: Option<PathBuf>, serve: F) -> io::Result<Self>
    where
        F: FnOnce(Vec<Sockets>) -> S + Send + 'static,
        S: Future<Output = ()>,
    {
        let (told, hear) = sync_channel(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("responder".to_owned())
            .stack_size(512 * 1024)
            .spawn(move || {
                let runtime = match prepare(namespace) {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(told.send(Err(error))),
                };
                runtime.block_on(async move {
                    let sockets = match listen().await {
                        Ok(sockets) => sockets,
                        Err(error) => return drop(told.send(Err(error))),
                    };
                    let ports: Vec<_> = sockets.iter().filter_map(|it| it.tcp.local_addr().ok()).collect();
                    if told.send(Ok(ports)).is_err() {
                        return;
                    }
                    tokio::select! {
                        () = serve(sockets) => {}
                        Ok(()) = stopped => {}
                    }
                });
            })?;
        let ports = hear
            .recv_timeout(LISTENS_WITHIN)
            .map_err(|_| io::Error::other("the responder does not listen"))??;
        let port = |six: bool| ports.iter().find(|it| it.is_ipv6() == six).map(SocketAddr::port);
        Ok(Self {
            port4: port(false).ok_or_else(|| io::Error::other("the responder has no port"))?,
            port6: port(true),
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Running {
    /// Lets it go on until it ends by itself.
    pub fn let_go(mut self) {
        drop((self.stop.take(), self.thread.take()));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            stop.send(()).ok();
        }
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn prepare(namespace: Option<PathBuf>) -> io::Result<tokio::runtime::Runtime> {
    if let Some(namespace) = namespace {
        netns::enter(&namespace)?;
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// On 127.0.0.1, and on ::1 where there is one.
async fn listen() -> io::Result<Vec<Sockets>> {
    let mut sockets = vec![on(IpAddr::V4(Ipv4Addr::LOCALHOST)).await?];
    if let Ok(six) = on(IpAddr::V6(Ipv6Addr::LOCALHOST)).await {
        sockets.push(six);
    }
    Ok(sockets)
}

async fn on(address: IpAddr) -> io::Result<Sockets> {
    let mut tries = 0;
    loop {
        let tcp = TcpListener::bind((address, 0)).await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok(Sockets { tcp, udp }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < PORT_TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}
