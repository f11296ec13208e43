//! The control connection: one agent at a time says what the rules are, and its leaving ends them all.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::MissedTickBehavior;

use super::protocol::{
    Answer, CONTROL_VERSION, Command, Hello, MAX_LINE_BYTES, Outcome, Refusal, RefusalKind, Reply, Request,
};
use super::table::{Table, refusal};

/// How often rules are looked at for their end, and the agent for a sign of life.
const TICK: Duration = Duration::from_millis(100);

/// Longest time an answer may take to be taken.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a control loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// The agent asked for it.
    Retired {
        /// How long to wait for what is under way.
        drain: Duration,
    },
    /// Neither an agent nor a client came for too long.
    Orphaned,
}

/// The control socket, held against a second proxy of the same state folder.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: std::path::PathBuf,
    _lock: Flock<std::fs::File>,
}

impl Socket {
    /// Takes the place. Fails when another proxy holds it.
    pub fn bind(path: &Path) -> anyhow::Result<Self> {
        let lock_path = path.with_extension("lock");
        let lock = std::fs::OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&lock_path);
        let lock = lock.map_err(|error| anyhow::anyhow!("cannot open {}: {error}", lock_path.display()))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
            anyhow::anyhow!(
                "another proxy holds {} ({error}); it leaves when its agent says so, or end it by hand",
                lock_path.display()
            )
        })?;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                anyhow::bail!("cannot remove the stale socket {}: {error}", path.display())
            }
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(|error| {
            anyhow::anyhow!(
                "cannot listen on {}: {error}; the path must be on a local disk and at most 107 bytes long",
                path.display()
            )
        })?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            _lock: lock,
        })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // While the lock is held the file is ours; a next proxy removes what is left.
        drop(std::fs::remove_file(&self.path));
    }
}

/// Serves agents, one after the other, until the proxy has to leave.
pub async fn serve(
    socket: &Socket,
    table: &mut Table,
    silence: Duration,
    orphan_exit: Option<Duration>,
) -> Leave {
    let mut served = 0;
    loop {
        let accepted = match orphan_exit {
            None => socket.listener.accept().await,
            Some(patience) => match tokio::time::timeout(patience, socket.listener.accept()).await {
                Ok(accepted) => accepted,
                Err(_) if is_used(table, &mut served) => continue,
                Err(_) => return Leave::Orphaned,
            },
        };
        let stream = match accepted {
            Ok((stream, _)) if is_own(&stream) => stream,
            Ok(_) => {
                tracing::warn!("a control connection of another user was refused");
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "control accept");
                tokio::time::sleep(TICK).await;
                continue;
            }
        };
        let leave = session(stream, socket, table, silence).await;
        let dropped = table.clear().await;
        table.forget();
        if !dropped.is_empty() {
            tracing::warn!(
                rules = dropped.len(),
                "the agent is gone: rules dropped, traffic passes unchanged"
            );
        }
        if let Some(leave) = leave {
            return leave;
        }
    }
}

/// Whether clients are connected, or were since the last look: a proxy that leaves them would be a fault itself.
fn is_used(table: &Table, served: &mut u64) -> bool {
    let before = std::mem::replace(served, table.routes().iter().map(|route| route.served()).sum());
    *served != before || table.routes().iter().any(|route| route.traffic() > 0)
}

/// Only the user the proxy runs as, and root, may steer it, whatever the folder's mode is.
fn is_own(stream: &UnixStream) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

async fn session(stream: UnixStream, socket: &Socket, table: &mut Table, silence: Duration) -> Option<Leave> {
    let mut lines = Lines {
        stream,
        buffer: Vec::new(),
    };
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_word = Instant::now();
    loop {
        let line = tokio::select! {
            biased;
            line = lines.next() => line,
            Ok((other, _)) = socket.listener.accept() => {
                turn_away(&other);
                continue;
            }
            _ = tick.tick(), if !table.is_empty() => {
                let now = Instant::now();
                table.expire(now).await;
                if now.duration_since(last_word) > silence {
                    tracing::warn!("no sign of life from the agent: its connection is closed");
                    return None;
                }
                continue;
            }
        };
        last_word = Instant::now();
        let (seq, outcome) = match line {
            Ok(Some(line)) => match serde_json::from_slice::<Request>(&line) {
                Ok(Request { seq, command }) => (seq, obey(command, table).await),
                Err(error) => (
                    0,
                    Err(refusal(RefusalKind::Bad, format!("not a command: {error}"))),
                ),
            },
            Ok(None) => return None,
            Err(error) => {
                let outcome = Err(refusal(RefusalKind::Bad, error.to_string()));
                // The connection is closed after this either way.
                drop(lines.answer(0, outcome).await);
                return None;
            }
        };
        let leave = match &outcome {
            Ok(Done::Leave(drain)) => Some(Leave::Retired { drain: *drain }),
            _ => None,
        };
        let outcome = outcome.map(|done| match done {
            Done::Answer(answer) => answer,
            Done::Leave(_) => Answer::Done,
        });
        if let Err(error) = lines.answer(seq, outcome).await {
            tracing::warn!(%error, "an answer could not be given");
            return leave;
        }
        if leave.is_some() {
            return leave;
        }
    }
}

enum Done {
    Answer(Answer),
    Leave(Duration),
}

async fn obey(command: Command, table: &mut Table) -> Result<Done, Refusal> {
    let answer = match command {
        Command::Hello => Answer::Hello(hello(table)),
        Command::Ping => Answer::Done,
        Command::Set(set) => Answer::Rule(table.set(*set).await?),
        Command::Remove { id, generation } => Answer::Rule(table.remove(&id, generation).await),
        Command::Clear => Answer::Cleared(table.clear().await),
        Command::Status { id } => Answer::Rule(table.status(&id)),
        Command::Cut { route } => Answer::Cut(table.route(&route)?.cut().await),
        Command::ExpectProbe { route, from } => {
            table.route(&route)?.expect_probe(from);
            Answer::Done
        }
        Command::Retire { drain_ms } => {
            table.clear().await;
            for route in table.routes() {
                if let Err(error) = route.close().await {
                    tracing::warn!(%error, "closing a route");
                }
            }
            return Ok(Done::Leave(Duration::from_millis(drain_ms)));
        }
    };
    Ok(Done::Answer(answer))
}

fn hello(table: &Table) -> Hello {
    Hello {
        control: CONTROL_VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        routes: table.routes().iter().map(|route| route.status()).collect(),
    }
}

/// Tells a second agent that the place is taken; it may try again.
fn turn_away(stream: &UnixStream) {
    let detail = "another agent holds the control connection; it is free when that agent has ended";
    let line = to_line(0, Err(refusal(RefusalKind::Busy, detail)));
    if let Err(error) = stream.try_write(&line) {
        tracing::debug!(%error, "turning a second agent away");
    }
}

fn to_line(seq: u64, outcome: Result<Answer, Refusal>) -> Vec<u8> {
    let outcome = outcome.map_or_else(Outcome::Error, Outcome::Ok);
    let mut line = serde_json::to_vec(&Reply { seq, outcome }).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Lines of bounded length. Reading may be broken off at any await without losing a byte.
struct Lines {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Lines {
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            if self.buffer.len() > MAX_LINE_BYTES {
                return Err(io::Error::other(format!(
                    "a line is longer than {MAX_LINE_BYTES} bytes"
                )));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn answer(&mut self, seq: u64, outcome: Result<Answer, Refusal>) -> io::Result<()> {
        let line = to_line(seq, outcome);
        tokio::time::timeout(WRITE_TIMEOUT, self.stream.write_all(&line))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the agent does not read"))?
    }
}
