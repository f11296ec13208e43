//! Stands between a console and an agent, passes bytes on, and notes when an abort's first byte comes by, and when
//! the agent's word that an injection is read back.
//!
//! An agent says which port its aborts are served on, and wants to be addressed by its own: both are put right on
//! the way, by numbers of the same length.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use firedrill_testing::wait_until;
use parking_lot::Mutex;

/// What an abort begins with.
const ABORT: &[u8] = b"POST /v1/abort ";

/// What the line of an abort's answer says when an injection is read back.
const REVERTED: &[u8] = b"\"line\":\"reverted\"";

/// What came by, and when.
#[derive(Default)]
struct Seen {
    aborts: Mutex<Vec<Instant>>,
    reverted: Mutex<Vec<Instant>>,
}

/// Between a console and both listeners of an agent.
pub struct Tap {
    /// For the plan.
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

/// Puts the first port in the place of the second, written the same number of digits.
#[derive(Clone)]
struct Ports(Vec<(String, String)>);

impl Tap {
    pub fn start(first: SocketAddr, second: SocketAddr) -> anyhow::Result<Self> {
        let seen = Arc::default();
        let (taken, taken_second) = (bind_like(first)?, bind_like(second)?);
        let (address, abort_address) = (taken.local_addr()?, taken_second.local_addr()?);
        let ports = |pairs: &[(u16, u16)]| {
            let text = |port: u16| format!(":{port}");
            Ports(pairs.iter().map(|&(from, to)| (text(from), text(to))).collect())
        };
        let asked = ports(&[(address.port(), first.port())]);
        // `"abort_port":7432`, and no blank after the colon.
        let answered = ports(&[(second.port(), abort_address.port())]);
        listen(taken, first, asked, answered, Arc::clone(&seen))?;
        let asked = ports(&[(abort_address.port(), second.port())]);
        let answered = ports(&[(second.port(), abort_address.port())]);
        listen(taken_second, second, asked, answered, Arc::clone(&seen))?;
        Ok(Self { address, seen })
    }

    /// When the first byte of an abort came by, not before `since`.
    pub fn abort_after(&self, since: Instant, limit: Duration) -> anyhow::Result<Instant> {
        let (at, _) = wait_until(limit, "an abort comes by", || {
            Ok(self.seen.aborts.lock().iter().copied().find(|at| *at >= since))
        })?;
        Ok(at)
    }

    /// When the agent's word that an injection is read back came by, not before `since`.
    pub fn reverted_after(&self, since: Instant, limit: Duration) -> anyhow::Result<Instant> {
        let (at, _) = wait_until(limit, "a read-back comes by", || {
            Ok(self.seen.reverted.lock().iter().copied().find(|at| *at >= since))
        })?;
        Ok(at)
    }

    /// How many came by so far.
    pub fn aborts(&self) -> usize {
        self.seen.aborts.lock().len()
    }
}

/// A free port with as many digits.
fn bind_like(other: SocketAddr) -> anyhow::Result<TcpListener> {
    for _ in 0..100 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        if listener.local_addr()?.port().to_string().len() == other.port().to_string().len() {
            return Ok(listener);
        }
    }
    bail!("no port with as many digits as {}", other.port())
}

fn listen(
    listener: TcpListener,
    to: SocketAddr,
    asked: Ports,
    answered: Ports,
    seen: Arc<Seen>,
) -> anyhow::Result<()> {
    std::thread::Builder::new()
        .name("tap".to_owned())
        .spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (asked, answered, seen) = (asked.clone(), answered.clone(), Arc::clone(&seen));
                // A connection that cannot be passed on is closed; the console says so.
                connect(stream, to, asked, answered, seen).ok();
            }
        })?;
    Ok(())
}

fn connect(
    console: TcpStream,
    to: SocketAddr,
    asked: Ports,
    answered: Ports,
    seen: Arc<Seen>,
) -> anyhow::Result<()> {
    let agent = TcpStream::connect(to)?;
    console.set_nodelay(true)?;
    agent.set_nodelay(true)?;
    let (from_console, to_console) = (console.try_clone()?, console);
    let (from_agent, to_agent) = (agent.try_clone()?, agent);
    let by_console = Arc::clone(&seen);
    spawn(move || {
        pass(from_console, to_agent, &asked, |bytes| {
            if bytes.starts_with(ABORT) {
                by_console.aborts.lock().push(Instant::now());
            }
        });
    })?;
    spawn(move || {
        pass(from_agent, to_console, &answered, |bytes| {
            if bytes.windows(REVERTED.len()).any(|window| window == REVERTED) {
                seen.reverted.lock().push(Instant::now());
            }
        });
    })
}

fn spawn(work: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    std::thread::Builder::new()
        .name("tap-connection".to_owned())
        .spawn(work)?;
    Ok(())
}

fn pass(mut from: TcpStream, mut to: TcpStream, ports: &Ports, mut seen: impl FnMut(&[u8])) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        seen(&piece[..read]);
        for (old, new) in &ports.0 {
            replace(&mut piece[..read], old.as_bytes(), new.as_bytes());
        }
        if to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    // The other direction may be over already.
    to.shutdown(std::net::Shutdown::Write).ok();
}

/// Every `old` becomes `new`; both have the same length.
fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    let mut from = 0;
    while let Some(found) = bytes[from..].windows(old.len()).position(|window| window == old) {
        bytes[from + found..from + found + old.len()].copy_from_slice(new);
        from += found + old.len();
    }
}
