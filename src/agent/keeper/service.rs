//! The keeper as a service of its own: it outlives its agents and keeps one after another.
//!
//! It listens in the state folder. Whoever holds that folder is the agent, and nobody else is kept. Between two
//! agents it looks after records that a dead one left: also when agent and keeper were killed at once, the one that is
//! started again takes back what was on. A connection is the pair of [`super::process`], and all of its rules hold.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};

use super::Turn;
use super::process::{Link, Log, keep, words};
use crate::state::{StateFolder, make_private};
use crate::undo::Exactly;
use crate::undo::records::Records;

/// How often it looks whether a dead agent left something, in milliseconds.
const LOOK_EVERY_MS: u16 = 1_000;

/// Where it listens.
pub fn socket(state: &Path) -> PathBuf {
    state.join("keeper.sock")
}

/// Keeps for ever.
pub fn run(state: &Path) -> anyhow::Result<()> {
    make_private(state)?;
    let _only = only_one(state)?;
    let listener = listen(state)?;
    let mut orphans = Orphans {
        log: Log::of(state),
        told: Vec::new(),
    };
    tracing::info!(state = %state.display(), "the keeper waits for an agent");
    loop {
        // What was left comes first: an agent that is started again is not kept before.
        if let Err(error) = orphans.look(state) {
            tracing::error!("{error:#}");
        }
        if let Some(stream) = accept(&listener)?
            && let Err(error) = keep_one(state, stream)
        {
            tracing::error!("an agent is not kept: {error:#}");
        }
    }
}

/// Two would take each other's socket.
fn only_one(state: &Path) -> anyhow::Result<Flock<File>> {
    let path = state.join("keeper-service.lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
        anyhow::anyhow!(
            "another keeper serves the state folder {} ({error}); end it first",
            state.display()
        )
    })
}

fn listen(state: &Path) -> anyhow::Result<UnixListener> {
    let path = socket(state);
    // The lock is ours: what is there belongs to a dead keeper.
    if let Err(error) = std::fs::remove_file(&path)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("cannot replace {}", path.display()));
    }
    let listener = UnixListener::bind(&path).with_context(|| {
        format!(
            "cannot listen on {} (a socket's path has at most 107 bytes: a shorter --state helps)",
            path.display()
        )
    })?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Whoever connects within [`LOOK_EVERY_MS`].
fn accept(listener: &UnixListener) -> anyhow::Result<Option<UnixStream>> {
    let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::from(LOOK_EVERY_MS)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(error) => bail!("poll: {error}"),
    }
    match listener.accept() {
        Ok((stream, _)) => Ok(Some(stream)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error).context("no connection can be accepted"),
    }
}

/// Keeps one agent until it is gone.
fn keep_one(state: &Path, stream: UnixStream) -> anyhow::Result<()> {
    let caller = getsockopt(&stream, sockopt::PeerCredentials)?.pid();
    let agent = StateFolder::holder(state).filter(|it| it.pid == caller && it.runs());
    let agent = agent
        .with_context(|| format!("process {caller} asks for it, which does not hold the state folder"))?;
    keep(state, agent, Link::of(stream)?, false)
}

/// What dead agents left.
struct Orphans {
    log: Log,
    told: Vec<String>,
}

impl Orphans {
    fn look(&mut self, state: &Path) -> anyhow::Result<()> {
        let records = Records::open(state)?;
        if records.find()?.records.iter().all(|it| it.undone.is_some()) {
            self.told.clear();
            return Ok(());
        }
        // One that lives connects soon, and takes back itself what a former life left.
        if StateFolder::holder(state).is_some_and(|it: Exactly| it.runs()) {
            return Ok(());
        }
        let Some(_turn) = Turn::try_take(state)? else {
            return Ok(());
        };
        for (record, undone) in records.run(|_| true)? {
            let words = words(&record.key.id.0, &undone);
            if !self.told.contains(&words) {
                self.log.tell(&format!("left by a dead agent: {words}"));
                self.told.push(words);
            }
        }
        Ok(())
    }
}
