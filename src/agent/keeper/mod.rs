//! The keeper: a process of its own that ends what is on when the agent cannot.
//!
//! It holds the other end of a socket pair. When the agent dies it runs the undo records; when the agent has not
//! said a word by the time it said it would, it is killed first, because a hung or stopped process keeps its
//! file descriptors and all that hangs on them. The agent watches the keeper in turn ([`link`]). One of them
//! at a time holds `keeper.lock`, whoever runs the records: so no two do, and none runs those of an agent that
//! lives.
//!
//! It is a child of its agent ([`process`]), or a service of its own that outlives it ([`service`]).

pub mod link;
pub mod process;
pub mod service;

use std::fs::{File, OpenOptions};
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use firedrill_wire::Tick;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::state::read_small;
use crate::undo::records::Records;
use crate::undo::{Exactly, Record, Undone};

/// How long a keeper of a former life may take with its records before it is ended and its work taken over.
const OLD_KEEPER_WITHIN: Duration = Duration::from_secs(5);

/// Between two looks at a lock.
const PAUSE: Duration = Duration::from_millis(5);

/// Longest line between agent and keeper, in bytes.
const MAX_LINE_BYTES: usize = 256;

/// A line to the keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Word {
    /// Repeated in the answer.
    seq: u64,
    /// When the next one comes at the latest; `None`: nothing is on, there may be silence.
    heard_by: Option<Tick>,
    /// The agent ends in good order.
    leave: bool,
}

/// The keeper's line back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Heard {
    /// The newest word taken in.
    seq: u64,
}

/// The right to run records, held by one process at a time.
#[derive(Debug)]
pub struct Turn {
    _lock: Flock<File>,
}

impl Turn {
    /// Takes it if nobody has it, and leaves a note of who has it now.
    pub fn try_take(state: &Path) -> anyhow::Result<Option<Self>> {
        let path = state.join("keeper.lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                lock.set_len(0)?;
                lock.rewind()?;
                lock.write_all(&serde_json::to_vec(&Exactly::own()?)?)?;
                Ok(Some(Self { _lock: lock }))
            }
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }

    /// Takes it, waiting for whoever has it.
    pub fn take(state: &Path, within: Duration) -> anyhow::Result<Option<Self>> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(turn) = Self::try_take(state)? {
                return Ok(Some(turn));
            }
            if Instant::now() > deadline {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Takes it also from one that hangs. Only for whoever holds the state folder's lock: then the agent is dead,
    /// and its keeper has had its time.
    pub fn take_over(state: &Path) -> anyhow::Result<Self> {
        if let Some(turn) = Self::take(state, OLD_KEEPER_WITHIN)? {
            return Ok(turn);
        }
        let Some(old) = Self::holder(state) else {
            bail!("a keeper of a former agent is still at work, and nobody knows which process it is");
        };
        tracing::warn!(pid = old.pid, "the keeper of a former life hangs and is ended");
        old.kill(Duration::from_secs(2))
            .with_context(|| format!("the keeper of a former life, process {}", old.pid))?;
        Self::take(state, Duration::from_secs(1))?.context("the keeper's lock is held by nobody known")
    }

    /// Who took it last.
    pub fn holder(state: &Path) -> Option<Exactly> {
        serde_json::from_str(&read_small(&state.join("keeper.lock")).ok()?).ok()
    }
}

/// Runs what a former life left, before anything else of this one: for whoever holds the state folder's lock.
pub fn clear(state: &Path, records: &Records) -> anyhow::Result<Vec<(Record, Undone)>> {
    let _turn = Turn::take_over(state)?;
    records.run(|_| true)
}
