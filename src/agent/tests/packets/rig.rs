//! Two network namespaces with a wire between them, and a fault on this end of it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use firedrill_agent::config::SelfCommand;
use firedrill_agent::faults::{self, Fault, Held, Order, Pen};
use firedrill_agent::undo::records::Records;
use firedrill_agent::undo::{RECORD_VERSION, Record, Undo};
use firedrill_ward::Key;
use firedrill_wire::{Epoch, Evidence, InjectionId, Instance, Scope, Tick};
use nix::sched::{CloneFlags, setns, unshare};
use serde_json::Value;

/// For what must come; a busy machine may take its time.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Why these tests cannot run here.
pub fn missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("not run by root".to_owned());
    }
    if Command::new("ip").arg("-V").output().is_err() {
        return Some("`ip` of iproute2 is not installed".to_owned());
    }
    let all = faults::all(&SelfCommand::current(&[]).unwrap(), None);
    let mut packets = all.iter().filter(|it| it.spec().name.starts_with("packet."));
    packets.find_map(|fault| Some(format!("{}: {}", fault.spec().name, fault.available().err()?.why)))
}

/// Runs a test on a thread in a network namespace of its own.
pub fn apart(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("apart".to_owned());
        let thread = thread.spawn_scoped(scope, || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            ip("link set lo up");
            test();
        });
        if let Err(panic) = thread.unwrap().join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn ip(words: &str) {
    let out = Command::new("ip").args(words.split(' ')).output().unwrap();
    let error = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "ip {words}: {error}");
}

/// The other end of a wire.
pub struct Peer {
    namespace: File,
    /// Of its networks.
    number: u8,
}

impl Peer {
    /// Joins this thread's namespace (10.77.0.1, fd77::1) and a new one (10.77.0.2, fd77::2).
    pub fn new() -> Self {
        Self::numbered(77)
    }

    /// Two others that this thread's namespace passes packets on between, as a host does between its containers.
    pub fn apart() -> [Self; 2] {
        let both = [77, 78].map(Self::numbered);
        for file in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            std::fs::write(format!("/proc/sys/net/{file}"), "1").unwrap();
        }
        for peer in &both {
            let number = peer.number;
            peer.there(|| {
                ip(&format!("route add default via 10.{number}.0.1"));
                ip(&format!("-6 route add default via fd{number}::1"));
            });
        }
        both
    }

    fn numbered(number: u8) -> Self {
        let namespace = aside(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            ip("link set lo up");
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        let peer = Self { namespace, number };
        let there = format!("/proc/{}/fd/{}", std::process::id(), peer.namespace.as_raw_fd());
        ip(&format!(
            "link add near{number} type veth peer name far netns {there}"
        ));
        let up = |device: &str, host: u8| {
            ip(&format!("addr add 10.{number}.0.{host}/24 dev {device}"));
            ip(&format!("addr add fd{number}::{host}/64 dev {device} nodad"));
            ip(&format!("link set {device} up"));
        };
        up(&format!("near{number}"), 1);
        peer.there(|| up("far", 2));
        peer
    }

    /// Does something in its namespace; sockets made there stay there.
    pub fn there<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        aside(|| {
            setns(&self.namespace, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        })
    }

    /// A server that says back what it hears.
    pub fn echo(&self) -> SocketAddr {
        self.serve(echo)
    }

    /// A server that says a byte when it has heard everything.
    pub fn sink(&self) -> SocketAddr {
        self.serve(|mut stream| {
            if std::io::copy(&mut stream, &mut std::io::sink()).is_ok() {
                // Whoever has hung up does not hear it.
                stream.write_all(b"x").ok();
            }
        })
    }

    fn serve(&self, each: fn(TcpStream)) -> SocketAddr {
        let number = self.number;
        let server = self.there(|| TcpListener::bind((format!("10.{number}.0.2"), 0)).unwrap());
        let address = server.local_addr().unwrap();
        let serve = move || {
            for stream in server.incoming().flatten() {
                let thread = std::thread::Builder::new().name("serve".to_owned());
                thread.spawn(move || each(stream)).unwrap();
            }
        };
        let thread = std::thread::Builder::new().name("serve".to_owned());
        thread.spawn(serve).unwrap();
        address
    }

    /// Two sockets for datagrams, connected: of this namespace and of the other.
    pub fn datagrams(&self, near: &str, far: &str) -> (UdpSocket, UdpSocket) {
        let at = |host: &str| SocketAddr::new(host.parse::<IpAddr>().unwrap(), 0);
        let near = UdpSocket::bind(at(near)).unwrap();
        self.joined(near, at(far))
    }

    /// The same, where the first is a socket of wherever.
    pub fn joined(&self, near: UdpSocket, far: SocketAddr) -> (UdpSocket, UdpSocket) {
        let far = self.there(|| UdpSocket::bind(far).unwrap());
        near.connect(far.local_addr().unwrap()).unwrap();
        far.connect(near.local_addr().unwrap()).unwrap();
        (near, far)
    }
}

fn echo(mut stream: TcpStream) {
    let mut bytes = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut bytes) {
        if stream.write_all(&bytes[..length]).is_err() {
            return;
        }
    }
}

fn aside<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("aside".to_owned());
        thread.spawn_scoped(scope, work).unwrap().join().unwrap()
    })
}

/// An injection in this thread's namespace.
pub struct Injection {
    pub held: Box<dyn Held>,
    /// From the order, with the record's way to the disk, to a packet's first chance to be hit.
    pub took: Duration,
    fault: Arc<dyn Fault>,
    _state: tempfile::TempDir,
}

/// Begins a fault as the host does, in this thread's namespace.
pub fn inject(name: &str, parameters: &Value) -> Injection {
    inject_at(name, parameters, &Scope::default())
}

/// Begins a fault where the scope says; this thread stays there.
pub fn inject_at(name: &str, parameters: &Value, scope: &Scope) -> Injection {
    let all = faults::all(&SelfCommand::current(&[]).unwrap(), None);
    let fault = all.into_iter().find(|it| it.spec().name == name).unwrap();
    let state = tempfile::tempdir().unwrap();
    let records = Arc::new(Records::open(state.path()).unwrap());
    let key = Key {
        epoch: Epoch(7),
        id: InjectionId::from("inj-1"),
    };
    let head = Record {
        version: RECORD_VERSION,
        key: key.clone(),
        fault: name.into(),
        instance: Instance("life".to_owned()),
        boot_id: records.here.boot_id.clone(),
        ends_at: Tick(0),
        undo: Undo::Nothing {},
        undone: None,
    };
    let parameters = firedrill_catalogue::check(fault.spec(), parameters).unwrap();
    let prepared = fault.prepare(&parameters, scope).unwrap();
    let pen = Pen::new(&records, head);
    let began = Instant::now();
    let begun = fault.apply(&Order {
        key: &key,
        parameters: &parameters,
        scope,
        prepared: &prepared,
        ends_in: PATIENCE,
        ramp: Duration::ZERO,
        pen: &pen,
    });
    let took = began.elapsed();
    let (held, evidence) = begun.unwrap();
    assert!(!evidence.words.is_empty());
    assert!(matches!(records.of(&key).unwrap().undo, Undo::Held { .. }));
    Injection {
        held,
        took,
        fault,
        _state: state,
    }
}

impl Injection {
    /// Another strength.
    pub fn adjust(&mut self, parameters: &Value) -> Evidence {
        let parameters = firedrill_catalogue::check(self.fault.spec(), parameters).unwrap();
        self.held.adjust(&parameters).unwrap()
    }

    /// One of the counters, now.
    pub fn count(&mut self, name: &str) -> f64 {
        let seen = self.held.observe().unwrap();
        *seen
            .counts
            .get(name)
            .unwrap_or_else(|| panic!("{name}: {seen:?}"))
    }

    /// Takes it back; it must be gone by both looks.
    pub fn revert(&mut self) -> Evidence {
        let found = self.held.revert();
        assert!(found.clean, "{found:?}");
        let (clean, evidence) = self.held.prove();
        assert!(clean, "{evidence:?}");
        found.evidence
    }
}

/// How long a connection takes.
pub fn connect(to: SocketAddr) -> Duration {
    let began = Instant::now();
    drop(TcpStream::connect_timeout(&to, PATIENCE).unwrap());
    began.elapsed()
}

/// The least of some: what a busy machine adds is not what is measured.
pub fn least(times: usize, mut measure: impl FnMut() -> Duration) -> Duration {
    (0..times).map(|_| measure()).min().unwrap()
}
