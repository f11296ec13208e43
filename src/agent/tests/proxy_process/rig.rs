//! An upstream that answers every request and echoes every byte, and a supervised proxy before it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use firedrill_agent::proxy::{Client, ProxyEvent, Supervisor, SupervisorConfig};
use firedrill_wire::{Route, RouteProtocol};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Long enough for a loaded machine, short enough to notice what never comes.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub struct Rig {
    pub folder: Arc<tempfile::TempDir>,
    pub routes: Vec<Route>,
    pub agent: Option<Supervisor>,
    pub events: Receiver<ProxyEvent>,
}

impl Rig {
    /// An `http` route `web` and a `tcp` route `raw` to one upstream, on ports that stay the same in every
    /// life of the proxy.
    pub fn new() -> Self {
        let upstream = upstream();
        let route = |name: &str, protocol| Route {
            name: name.to_owned(),
            listen: free_port().to_string(),
            upstream: upstream.to_string(),
            protocol,
        };
        let routes = vec![
            route("web", RouteProtocol::Http),
            route("raw", RouteProtocol::Tcp),
        ];
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let (agent, events) = start(folder.path(), &routes, None);
        Self {
            folder,
            routes,
            agent: Some(agent),
            events,
        }
    }

    pub fn client(&self) -> Client {
        self.agent.as_ref().unwrap().client()
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.client().hello().unwrap().pid.cast_signed())
    }

    pub fn address(&self, route: usize) -> SocketAddr {
        self.routes[route].listen.parse().unwrap()
    }

    /// Another agent takes over.
    pub fn restart_agent(&mut self) {
        if let Some(agent) = self.agent.take() {
            agent.detach();
        }
        let (agent, events) = start(self.folder.path(), &self.routes, None);
        (self.agent, self.events) = (Some(agent), events);
    }

    /// Waits for an event.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&ProxyEvent) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if wanted(
                &self
                    .events
                    .recv_timeout(left)
                    .unwrap_or_else(|_| panic!("never: {what}")),
            ) {
                return;
            }
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(agent) = self.agent.take() {
            agent.retire(Duration::ZERO).unwrap();
        }
    }
}

pub fn start(
    folder: &Path,
    routes: &[Route],
    orphan_exit_s: Option<u64>,
) -> (Supervisor, Receiver<ProxyEvent>) {
    let config = SupervisorConfig {
        executable: std::env::current_exe().unwrap(),
        subcommand: vec!["proxy".to_owned()],
        folder: folder.to_owned(),
        routes: routes.to_vec(),
        orphan_exit_s,
    };
    let (tell, events) = sync_channel(64);
    let agent = Supervisor::start(config, move |event| drop(tell.try_send(event))).unwrap();
    agent.client().up(PATIENCE).unwrap();
    (agent, events)
}

/// A port that was free a moment ago, below those that the kernel gives away: one of these might be another test's
/// before it is used.
pub fn free_port() -> SocketAddr {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let first = 12_000 + (std::process::id() % 100) as u16 * 200;
    let next = |_| {
        SocketAddr::from((
            [127, 0, 0, 1],
            first + TAKEN.fetch_add(1, Ordering::Relaxed) % 200,
        ))
    };
    let free = |address: &SocketAddr| TcpListener::bind(address).is_ok();
    (0..200).map(next).find(free).unwrap()
}

fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || {
        for stream in listener.incoming().flatten() {
            std::thread::Builder::new().spawn(move || answer(stream)).unwrap();
        }
    };
    std::thread::Builder::new()
        .name("upstream".to_owned())
        .spawn(serve)
        .unwrap();
    address
}

/// A request gets an answer of two bytes, anything else comes back.
fn answer(mut stream: TcpStream) {
    let mut part = [0; 4096];
    while let Ok(n) = stream.read(&mut part) {
        let reply: &[u8] = match &part[..n] {
            [] => return,
            request if request.windows(9).any(|window| window == b" HTTP/1.1") => {
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
            }
            echo => echo,
        };
        if stream.write_all(reply).is_err() {
            return;
        }
    }
}

/// One request on a connection of its own: its status and how long it took.
pub fn get(to: SocketAddr, path: &str) -> std::io::Result<(u16, Duration)> {
    let start = Instant::now();
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.get(9..12).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other(format!("not an answer: {answer:?}")))?;
    Ok((status, start.elapsed()))
}

pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process is there and not only waiting to be reaped.
pub fn runs(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.trim().chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
}

pub fn send(pid: Pid, signal: Signal) {
    kill(pid, signal).unwrap();
}
