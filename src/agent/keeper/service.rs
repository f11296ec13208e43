//! The keeper as a service of its own: it outlives its agents and keeps one after another.
//!
//! It listens in the state folder. Whoever holds that folder is the agent, and nobody else is kept. Between two
//! agents it looks after records that a dead one left: also when agent and keeper were killed at once, the one that is
//! started again takes back what was on. One that lives and has something on comes to a new keeper at once: if it does
//! not, it hangs, and is ended like one that says nothing. A connection is the pair of [`super::process`], and all of
//! its rules hold.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

/// An agent that has something on and has not come in so many looks, and not for as many seconds, hangs; one that
/// runs comes within the first. Looks too: a keeper that was stopped itself has to listen first.
const LOOKS_ALONE: u32 = 5;

/// How long an agent that is killed may take to be gone.
const DEATH_WITHIN: Duration = Duration::from_secs(5);

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
        alone: None,
    };
    tracing::info!(state = %state.display(), "the keeper waits for an agent");
    loop {
        // What was left comes first: an agent that is started again is not kept before.
        if let Err(error) = orphans.look(state) {
            tracing::error!("{error:#}");
        }
        if let Some(stream) = accept(&listener)? {
            match keep_one(state, stream) {
                Ok(()) => orphans.alone = None,
                Err(error) => tracing::error!("an agent is not kept: {error:#}"),
            }
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

/// What agents left that are dead, or hang.
struct Orphans {
    log: Log,
    told: Vec<String>,
    /// An agent that lives and has not come, since when, and in how many looks.
    alone: Option<(Exactly, Instant, u32)>,
}

impl Orphans {
    fn look(&mut self, state: &Path) -> anyhow::Result<()> {
        let records = Records::open(state)?;
        if records.find()?.records.iter().all(|it| it.undone.is_some()) {
            self.told.clear();
            self.alone = None;
            return Ok(());
        }
        // Another one is at work, or keeps an agent of its own.
        let Some(_turn) = Turn::try_take(state)? else {
            self.alone = None;
            return Ok(());
        };
        if let Some(agent) = StateFolder::holder(state).filter(Exactly::runs) {
            // One that runs connects soon, and takes back itself what a former life left.
            let alone = self.alone.filter(|it| it.0 == agent);
            let (_, since, looks) = alone.unwrap_or((agent, Instant::now(), 0));
            self.alone = Some((agent, since, looks + 1));
            if looks < LOOKS_ALONE || since.elapsed() < Duration::from_secs(LOOKS_ALONE.into()) {
                return Ok(());
            }
            agent
                .kill(DEATH_WITHIN)
                .context("the agent hangs and cannot be ended")?;
            self.log.tell(&format!(
                "the agent hangs: process {} has something on and did not come to its keeper for {LOOKS_ALONE} s; it was killed",
                agent.pid
            ));
        }
        self.alone = None;
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
