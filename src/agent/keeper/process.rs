//! `firedrill-agent keeper`: the process. Started by the agent, or as a service of its own ([`super::service`]).

use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use firedrill_ward::Vigil;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use rustix::process::Signal as Kill;

use super::{Heard, MAX_LINE_BYTES, Turn, Word};
use crate::clock;
use crate::disk::audit_line;
use crate::faults::process;
use crate::state::append_private;
use crate::undo::exact::Handle;
use crate::undo::records::Records;
use crate::undo::{Exactly, Undone};

/// How long a killed agent may take to be gone, and one that let go of the pair to end.
const DEATH_WITHIN: Duration = Duration::from_secs(5);

/// How long a keeper before this one may take to be gone.
const TURN_WITHIN: Duration = Duration::from_secs(2);

/// Between two tries to undo what stays.
const RETRY: Duration = Duration::from_secs(1);

/// What the keeper is told.
#[derive(Clone, Debug, clap::Args)]
pub struct KeeperArgs {
    /// The agent's state folder.
    #[arg(long)]
    pub state: PathBuf,

    /// The agent's process; none: it is a service, and keeps whoever holds the state folder.
    #[arg(long, requires = "start_time")]
    pub agent: Option<i32>,

    /// When the agent began, in clock ticks since boot.
    #[arg(long, requires = "agent")]
    pub start_time: Option<u64>,
}

/// Keeps until the agent has ended and its records are run; as a service for ever.
pub fn run(args: &KeeperArgs) -> anyhow::Result<()> {
    let (Some(pid), Some(start_time)) = (args.agent, args.start_time) else {
        return super::service::run(&args.state);
    };
    // A session of its own: a signal to the agent's group misses it. And what asks the agent to end, also each
    // process of a service, must not end its keeper before it. Fails only for one that leads a session already.
    nix::unistd::setsid().ok();
    let mut ignored = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGPIPE] {
        ignored.add(signal);
    }
    ignored.thread_block().context("signals cannot be put off")?;
    let input: OwnedFd = std::io::stdin().as_fd().try_clone_to_owned()?;
    let link = Link::of(UnixStream::from(input))?;
    keep(&args.state, Exactly { pid, start_time }, link, true)
}

/// Keeps this agent until it has ended. `to_the_end`: also until all of its records are run; without, they are run
/// once, and what stays is left to whoever looks again.
pub fn keep(state: &Path, agent: Exactly, link: Link, to_the_end: bool) -> anyhow::Result<()> {
    let mut keeper = Keeper {
        handle: agent.handle()?,
        agent,
        _turn: Turn::take(state, TURN_WITHIN)?.context("another keeper is at work here")?,
        records: Records::open(state)?,
        log: Log::of(state),
        link,
        vigil: Vigil::default(),
    };
    let left = keeper.watch()?;
    keeper.undo(to_the_end && left == Left::Dead);
    Ok(())
}

/// How the watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// The agent said that it ends.
    InOrder,
    /// It died, or was killed here.
    Dead,
}

struct Keeper {
    agent: Exactly,
    /// `None`: it had ended before it could be watched.
    handle: Option<Handle>,
    _turn: Turn,
    records: Records,
    log: Log,
    link: Link,
    vigil: Vigil,
}

impl Keeper {
    /// Listens until the agent is gone.
    fn watch(&mut self) -> anyhow::Result<Left> {
        self.link.say(0);
        loop {
            let Some(handle) = &self.handle else {
                self.tell("the agent is dead");
                return Ok(Left::Dead);
            };
            let mut fds = [
                PollFd::new(self.link.stream.as_fd(), PollFlags::POLLIN),
                PollFd::new(handle.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, self.patience()) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => bail!("poll: {error}"),
            }
            let died = fds[1].any() == Some(true);
            match self.link.words() {
                Some(words) => {
                    for word in words {
                        if word.leave {
                            return Ok(Left::InOrder);
                        }
                        self.vigil.heard(word.heard_by);
                        self.link.say(word.seq);
                    }
                }
                // Its end of the pair is closed; an agent that lives on without a keeper is no agent.
                None => return self.end("the agent let go of its keeper"),
            }
            if died {
                self.tell("the agent is dead");
                return Ok(Left::Dead);
            }
            if self.overdue() {
                return self.end("the agent hangs: it has not spoken when it should have");
            }
        }
    }

    /// How long to wait for the next word; at most a second while something is on, because this wait does not
    /// count the time of a suspended host.
    fn patience(&self) -> PollTimeout {
        let Some(stopped_by) = self.vigil.overdue_at(true) else {
            return PollTimeout::NONE;
        };
        let ms = stopped_by.ms_since(clock::tick());
        PollTimeout::from(ms.clamp(20, 1_000) as u16)
    }

    fn overdue(&self) -> bool {
        let now = clock::tick();
        let stopped = || {
            let stat = process::stat(self.agent.pid);
            stat.is_ok_and(|stat| matches!(stat.state, 'T' | 't'))
        };
        self.vigil.overdue(now, true) && self.vigil.overdue(now, stopped())
    }

    /// Sees to it that the agent is dead.
    fn end(&mut self, why: &str) -> anyhow::Result<Left> {
        let Some(handle) = &self.handle else {
            return Ok(Left::Dead);
        };
        // What has closed its end is most likely ending by itself.
        if self.link.closed && handle.ended(Duration::from_secs(1))? {
            self.tell("the agent is dead");
            return Ok(Left::Dead);
        }
        handle.signal(Kill::KILL)?;
        let ended = handle.ended(DEATH_WITHIN)?;
        self.tell(&format!(
            "{why}; it was killed{}",
            if ended { "" } else { " and does not die" }
        ));
        Ok(Left::Dead)
    }

    /// Runs the records, `again` until none is left; until then nobody else gets the turn, but from somebody who
    /// holds the state folder and has waited long enough. An agent that ends in good order has told what stays, and
    /// its next life undoes it.
    fn undo(&mut self, again: bool) {
        let mut told: Vec<String> = Vec::new();
        loop {
            let results = match self.records.run(|_| true) {
                Ok(results) => results,
                Err(error) => {
                    self.tell(&format!("{error:#}"));
                    return;
                }
            };
            for (record, undone) in &results {
                let words = words(&record.key.id.0, undone);
                if !told.contains(&words) {
                    self.tell(&words);
                    told.push(words);
                }
            }
            if !again || results.iter().all(|(_, undone)| undone.gone) {
                return;
            }
            std::thread::sleep(RETRY);
        }
    }

    fn tell(&self, words: &str) {
        self.log.tell(words);
    }
}

/// The agent's audit log, as a keeper writes to it.
#[derive(Debug)]
pub struct Log(PathBuf);

impl Log {
    /// In this state folder.
    pub fn of(state: &Path) -> Self {
        Self(state.join("audit.log"))
    }

    /// A line. Nothing waits for the log, and without one the keeper keeps all the same. Opened for each line: the agent
    /// turns it over, and where it is there an agent has lived.
    pub fn tell(&self, words: &str) {
        tracing::warn!("{words}");
        if let Ok(mut file) = append_private(&self.0) {
            file.write_all(audit_line(clock::tick(), &format!("keeper: {words}")).as_bytes())
                .ok();
        }
    }
}

/// What came of a record, in one line.
pub fn words(id: &str, undone: &Undone) -> String {
    match (&undone.gone, &undone.by_hand) {
        (true, _) => format!("{id} is undone: {}", undone.words),
        (false, None) => format!("{id} may still be on: {}", undone.words),
        (false, Some(by_hand)) => format!("{id} may still be on: {}; by hand: {by_hand}", undone.words),
    }
}

/// The keeper's end of the pair, or of the connection.
#[derive(Debug)]
pub struct Link {
    stream: UnixStream,
    pending: Vec<u8>,
    closed: bool,
}

impl Link {
    /// Over this stream.
    pub fn of(stream: UnixStream) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            pending: Vec::new(),
            closed: false,
        })
    }

    /// The words that have come; `None` when the other end is closed.
    fn words(&mut self) -> Option<Vec<Word>> {
        let mut buffer = [0_u8; 4096];
        let mut words = Vec::new();
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.closed = true,
                Ok(read) => {
                    self.pending.extend_from_slice(&buffer[..read]);
                    self.take_lines(&mut words);
                    continue;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => self.closed = true,
            }
            // What was said before the end counts.
            return (!self.closed || !words.is_empty()).then_some(words);
        }
    }

    fn take_lines(&mut self, words: &mut Vec<Word>) {
        while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
            let rest = self.pending.split_off(end + 1);
            let line = std::mem::replace(&mut self.pending, rest);
            match serde_json::from_slice(&line) {
                Ok(word) => words.push(word),
                Err(error) => tracing::warn!(%error, "a word of the agent cannot be read"),
            }
        }
        self.pending.truncate(MAX_LINE_BYTES);
    }

    /// A dead or full agent does not hear it.
    fn say(&mut self, seq: u64) {
        let mut line = serde_json::to_vec(&Heard { seq }).unwrap_or_default();
        line.push(b'\n');
        self.stream.write_all(&line).ok();
    }
}
