//! `tls.fail`: TLS handshakes of a cgroup's processes fail at ClientHello, by an alert, by a reset, or by silence.
//!
//! For an alert and a reset new connections are led to a responder in the agent, which plays a server that refuses;
//! for silence the packets that begin a handshake are lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, Scope};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::network::{not_taken, prepare, selection};
use super::{Failure, Fault, Held, NotHere, Order, Prepared};
use crate::kernel::discard::{self, Which};
use crate::kernel::on_cgroup::{OnCgroup, Responder, Wanted};
use crate::kernel::redirect::Redirect;
use crate::kernel::responder::{Running, Sockets};
use crate::kernel::{self, netns};
use crate::targets;
use crate::undo::Undo;

/// Connections that wait for their client at once; those beyond wait to be accepted.
const MAX_AT_ONCE: usize = 256;

/// How long a client may take to say something, and to hang up.
const CLIENT_WITHIN: Duration = Duration::from_secs(10);

/// A record: its type, version and length.
const RECORD_HEADER_BYTES: usize = 5;
/// The type of records that shake hands.
const HANDSHAKE: u8 = 22;
/// RFC 8446, 6: an alert, version 1.2 as all say, two bytes: fatal, handshake_failure.
const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

/// The fault.
#[derive(Debug)]
pub struct TlsFail(pub &'static FaultSpec);

fn words(parameters: &Parameters) -> Result<String, Problem> {
    let which = selection(parameters)?.words();
    let how = match parameters.text("how") {
        Some("hang") => "are never answered",
        Some("reset") => "end in a reset",
        _ => "end in an alert",
    };
    Ok(format!("TLS handshakes{which} {how}"))
}

impl Fault for TlsFail {
    fn spec(&self) -> &'static FaultSpec {
        self.0
    }

    fn available(&self) -> Result<(), NotHere> {
        kernel::available()
    }

    fn prepare(&self, parameters: &Parameters, scope: &Scope) -> Result<Prepared, Problem> {
        prepare(scope, "tls", &format!("its {}", words(parameters)?))
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        let selection = selection(order.parameters).map_err(Failure::nothing)?;
        let cgroup = targets::cgroup(order.scope).map_err(Failure::nothing)?;
        let words = words(order.parameters).map_err(Failure::nothing)?;
        let words = format!("{cgroup}: {words}");
        if order.parameters.text("how") == Some("hang") {
            let which = Which {
                leaving: true,
                arriving: false,
                client_hello: true,
            };
            let (held, evidence) = OnCgroup::begin(
                order,
                Wanted {
                    cgroup: &cgroup,
                    programs: &|settings, counters| discard::programs(&selection, which, settings, counters),
                    counters: &["client_hellos_seen", "client_hellos_dropped"],
                    responder: None,
                    words,
                },
            )?;
            return Ok((Box::new(held), evidence));
        }
        let door = Arc::new(Door {
            resets: order.parameters.text("how") == Some("reset"),
            failed: AtomicU64::new(0),
            at_once: Arc::new(Semaphore::new(MAX_AT_ONCE)),
        });
        let serving = Arc::clone(&door);
        let begun = netns::of(&cgroup).and_then(|namespace| {
            let running = Running::start(namespace, move |sockets| serve(serving, sockets))?;
            let redirect = Redirect::new(running.port4, running.port6, false, true)?;
            Ok((running, redirect))
        });
        let (running, redirect) = begun.map_err(|error| not_taken(&error))?;
        let wanted = Wanted {
            cgroup: &cgroup,
            programs: &|settings, counters| redirect.programs(&selection, settings, counters),
            counters: &["connects_seen", "connects_redirected"],
            responder: Some(Box::new(Doorman {
                door,
                _running: running,
            })),
            words,
        };
        let (held, evidence) = OnCgroup::begin(order, wanted)?;
        Ok((Box::new(held), evidence))
    }

    fn adopt(&self, _key: &Key, _scope: &Scope, undo: Option<&Undo>) -> Box<dyn Held> {
        Box::new(OnCgroup::adopt(undo))
    }
}

/// The responder, as the fault holds it.
struct Doorman {
    door: Arc<Door>,
    _running: Running,
}

impl Responder for Doorman {
    fn counts(&self) -> Vec<(&'static str, f64)> {
        let failed = self.door.failed.load(Ordering::Relaxed);
        vec![("handshakes_failed", failed as f64)]
    }

    /// The share is thrown for in the kernel.
    fn adjust(&self, _parameters: &Parameters) {}
}

/// What the responder works on.
struct Door {
    resets: bool,
    failed: AtomicU64,
    at_once: Arc<Semaphore>,
}

async fn serve(door: Arc<Door>, sockets: Vec<Sockets>) {
    for Sockets { tcp, .. } in sockets {
        tokio::spawn(accept(Arc::clone(&door), tcp));
    }
    std::future::pending::<()>().await;
}

async fn accept(door: Arc<Door>, listener: TcpListener) {
    loop {
        let Ok(permit) = Arc::clone(&door.at_once).acquire_owned().await else {
            return;
        };
        let Ok((mut stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        let door = Arc::clone(&door);
        tokio::spawn(async move {
            let _permit = permit;
            // A client that hangs up or says nothing is let go.
            timeout(CLIENT_WITHIN, door.refuse(&mut stream)).await.ok();
        });
    }
}

impl Door {
    async fn refuse(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        let mut header = [0; RECORD_HEADER_BYTES];
        stream.read_exact(&mut header).await?;
        let is_handshake = header[0] == HANDSHAKE && header[1] == 3;
        if is_handshake {
            let mut hello = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
            stream.read_exact(&mut hello).await?;
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        if self.resets || !is_handshake {
            return socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
        }
        stream.write_all(&ALERT).await?;
        stream.shutdown().await?;
        // What is still on its way must not reset the connection before the alert is read.
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        Ok(())
    }
}
