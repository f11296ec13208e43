//! The agent's end: keeps a keeper running, speaks to it, and notices when it is gone or hangs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use firedrill_wire::{Instance, Tick};
use nix::sys::socket::{getsockopt, sockopt};
use parking_lot::{Condvar, Mutex};

use super::{Heard, Turn, Word};
use crate::clock;
use crate::config::SelfCommand;
use crate::undo::records::Records;
use crate::undo::{Exactly, Record};

/// How long a started keeper may take to speak.
const START_WITHIN: Duration = Duration::from_secs(5);

/// How long it may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Longest pause between two starts.
const MAX_PAUSE: Duration = Duration::from_millis(800);

/// How long it may take to leave.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);

/// Nothing is on: the keeper need not hear anything.
const SILENCE: u64 = u64::MAX;

/// While something is on the listening thread looks this often, and says what was left unsaid.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What the keeper is told waits for the next look, unless the time that it is about, or the time that the keeper knows
/// of, ends this soon: an abort and its read-backs must not pay for two threads that wake.
const SAID_AHEAD: Duration = Duration::from_secs(2);

/// More time for what is on is said this long before the keeper's patience ends: longer than any one operation takes.
const MORE_TIME_AHEAD: Duration = Duration::from_secs(6);

/// How a keeper is started.
#[derive(Clone, Debug)]
pub struct KeeperConfig {
    /// The agent's own program.
    pub program: SelfCommand,
    /// The agent's state folder.
    pub state: PathBuf,
    /// Its records.
    pub records: Arc<Records>,
    /// This life of the agent.
    pub instance: Instance,
    /// It is a service of its own, and not started here.
    pub service: bool,
}

/// Who keeps this agent.
#[derive(Debug)]
enum Other {
    /// A child.
    Child(Child),
    /// The service, which outlives this agent.
    Service(Exactly),
}

impl Other {
    fn pid(&self) -> u32 {
        match self {
            Self::Child(child) => child.id(),
            Self::Service(process) => process.pid.cast_unsigned(),
        }
    }

    /// Sees to it that one that does not listen is not the one that ends this process later. How it ended.
    fn end(&mut self, closed: bool) -> String {
        let pid = self.pid();
        match self {
            Self::Child(child) => {
                child.kill().ok();
                match child.wait() {
                    Ok(status) => format!("process {pid}: {status}"),
                    Err(error) => format!("process {pid}: {error}"),
                }
            }
            // It has let go by itself, and may be there for the next connection.
            Self::Service(_) if closed => format!("process {pid}, the service"),
            Self::Service(process) => match process.kill(LEAVE_WITHIN) {
                Ok(_) => format!("process {pid}, the service, was killed"),
                Err(error) => error.to_string(),
            },
        }
    }
}

/// What becomes of the keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeeperEvent {
    /// It is there and holds its turn.
    Here,
    /// There is none.
    Gone(String),
}

/// The agent's end of the pair. Cheap to use when nothing has changed.
#[derive(Debug)]
pub struct Keeper {
    /// When the next word comes at the latest, microseconds of the agent's clock; [`SILENCE`].
    wanted: AtomicU64,
    line: Mutex<Line>,
    heard: Condvar,
    ending: AtomicBool,
}

#[derive(Debug)]
struct Line {
    stream: Option<UnixStream>,
    pid: Option<u32>,
    why_not: String,
    /// What the keeper was told last.
    told: u64,
    seq: u64,
    acknowledged: u64,
    /// Since when an answer is awaited.
    waiting_since: Option<Instant>,
}

impl Default for Keeper {
    fn default() -> Self {
        Self {
            wanted: AtomicU64::new(SILENCE),
            line: Mutex::new(Line {
                stream: None,
                pid: None,
                why_not: "it has not been started yet".to_owned(),
                told: SILENCE,
                seq: 0,
                acknowledged: 0,
                waiting_since: None,
            }),
            heard: Condvar::new(),
            ending: AtomicBool::new(false),
        }
    }
}

impl Keeper {
    /// Notes when the next word will come at the latest; [`Self::speak`] says it.
    pub fn set(&self, heard_by: Option<Tick>) {
        let us = heard_by.map_or(SILENCE, |tick| tick.0.min(SILENCE - 1));
        self.wanted.store(us, Ordering::Release);
    }

    /// Tells the keeper what has changed since it was last told, if that cannot wait: apart from [`Self::set`], so
    /// that it is not done under the core's lock.
    pub fn speak(&self) {
        let mut line = self.line.lock();
        let wanted = self.wanted.load(Ordering::Acquire);
        let more_time = wanted != SILENCE && wanted > line.told;
        let ahead = if more_time { MORE_TIME_AHEAD } else { SAID_AHEAD };
        let soon = clock::tick().plus_ms(ahead.as_millis() as u64).0;
        // Of a keeper that was told of nothing nobody looks after what is unsaid.
        if wanted != line.told && (line.told == SILENCE || wanted.min(line.told) < soon) {
            self.say(&mut line);
        }
    }

    /// Says what [`Self::speak`] has left unsaid.
    fn speak_up(&self) {
        let mut line = self.line.lock();
        if self.wanted.load(Ordering::Acquire) != line.told {
            self.say(&mut line);
        }
    }

    /// Makes sure that somebody listens, now.
    pub fn confirm(&self) -> Result<(), String> {
        let deadline = Instant::now() + ANSWER_WITHIN;
        let mut line = self.line.lock();
        self.say(&mut line);
        let seq = line.seq;
        loop {
            if line.stream.is_none() {
                return Err(line.why_not.clone());
            }
            if line.acknowledged >= seq {
                return Ok(());
            }
            if self.heard.wait_until(&mut line, deadline).timed_out() {
                // The thread that listens sees the end, ends it and starts another.
                if let Some(stream) = &line.stream {
                    stream.shutdown(Shutdown::Both).ok();
                }
                return Err("it does not answer".to_owned());
            }
        }
    }

    /// Whether there is one; where not, why.
    pub fn standing(&self) -> Result<u32, String> {
        let line = self.line.lock();
        match (&line.stream, line.pid) {
            (Some(_), Some(pid)) => Ok(pid),
            _ => Err(line.why_not.clone()),
        }
    }

    /// Waits until there is one.
    pub fn up(&self, within: Duration) -> Result<(), String> {
        let deadline = Instant::now() + within;
        let mut line = self.line.lock();
        while line.stream.is_none() {
            if self.heard.wait_until(&mut line, deadline).timed_out() {
                return Err(line.why_not.clone());
            }
        }
        Ok(())
    }

    fn say(&self, line: &mut Line) {
        let wanted = self.wanted.load(Ordering::Acquire);
        let word = Word {
            seq: line.seq + 1,
            heard_by: (wanted != SILENCE).then_some(Tick(wanted)),
            leave: false,
        };
        if line.send(word) {
            line.told = wanted;
        }
    }
}

impl Line {
    fn send(&mut self, word: Word) -> bool {
        let Some(stream) = &mut self.stream else {
            return false;
        };
        let mut text = serde_json::to_vec(&word).unwrap_or_default();
        text.push(b'\n');
        // It does not block: a keeper that reads nothing is found by its missing answers.
        if stream.write_all(&text).is_err() {
            return false;
        }
        self.seq = word.seq;
        self.waiting_since.get_or_insert_with(Instant::now);
        true
    }

    fn lose(&mut self, why: &str) {
        self.stream = None;
        self.pid = None;
        why.clone_into(&mut self.why_not);
        self.waiting_since = None;
    }
}

/// The thread that keeps a keeper running.
#[derive(Debug)]
pub struct Watch {
    keeper: Arc<Keeper>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts a keeper and goes on starting one. `on_event` is called on the thread: it must not block.
    pub fn start(
        config: KeeperConfig,
        keeper: Arc<Keeper>,
        on_event: impl Fn(KeeperEvent) + Send + 'static,
    ) -> std::io::Result<Self> {
        let watcher = Watcher {
            config,
            keeper: Arc::clone(&keeper),
            on_event: Box::new(on_event),
        };
        let thread = std::thread::Builder::new()
            .name("keeper".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || watcher.run())?;
        Ok(Self {
            keeper,
            thread: Some(thread),
        })
    }

    /// Lets the keeper go, because the agent ends in good order; it has gone when this returns.
    pub fn leave(mut self) {
        self.keeper.ending.store(true, Ordering::Release);
        let mut line = self.keeper.line.lock();
        let word = Word {
            seq: line.seq + 1,
            heard_by: None,
            leave: true,
        };
        line.send(word);
        drop(line);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to say.
            thread.join().ok();
        }
    }
}

struct Watcher {
    config: KeeperConfig,
    keeper: Arc<Keeper>,
    on_event: Box<dyn Fn(KeeperEvent) + Send>,
}

impl Watcher {
    fn ending(&self) -> bool {
        self.keeper.ending.load(Ordering::Acquire)
    }

    fn run(&self) {
        let mut pause = Duration::ZERO;
        while !self.ending() {
            let began = Instant::now();
            let why = match self.clear_former().and_then(|()| self.begin()) {
                Ok((other, reader)) => self.follow(other, reader),
                Err(error) => format!("{error:#}"),
            };
            self.keeper.line.lock().lose(&why);
            self.keeper.heard.notify_all();
            if self.ending() {
                return;
            }
            tracing::error!(why, "there is no keeper");
            (self.on_event)(KeeperEvent::Gone(why));
            // One that lived is started again at once; one that dies at its start is not started in a storm.
            pause = if began.elapsed() > Duration::from_secs(2) {
                Duration::ZERO
            } else {
                (pause * 2).clamp(Duration::from_millis(50), MAX_PAUSE)
            };
            std::thread::sleep(pause);
        }
    }

    /// Nothing starts, and so nobody keeps, before what a former life left is undone.
    fn clear_former(&self) -> anyhow::Result<()> {
        let former = |record: &Record| record.instance != self.config.instance;
        let found = self.config.records.find()?.records;
        if !found.iter().any(|it| it.undone.is_none() && former(it)) {
            return Ok(());
        }
        let _turn = Turn::take_over(&self.config.state)?;
        let results = self.config.records.run(former)?;
        match results.iter().find(|(_, undone)| !undone.gone) {
            None => Ok(()),
            Some((record, undone)) => anyhow::bail!(
                "the agent's former life is not undone: {}",
                super::process::words(&record.key.id.0, undone)
            ),
        }
    }

    /// Starts a keeper, or finds the service, and waits for its first word.
    fn begin(&self) -> anyhow::Result<(Other, BufReader<UnixStream>)> {
        let (mut other, ours) = if self.config.service {
            self.connect()?
        } else {
            self.spawn()?
        };
        ours.set_read_timeout(Some(START_WITHIN))?;
        let mut reader = BufReader::new(ours.try_clone()?);
        let mut first = String::new();
        let read = reader.read_line(&mut first);
        if !matches!(read, Ok(1..)) {
            let how = other.end(read.is_ok());
            anyhow::bail!("it ended at its start ({how})");
        }
        // A full pair is a keeper that does not read: it is found by its missing answers.
        ours.set_write_timeout(Some(Duration::from_millis(1)))?;
        let mut line = self.keeper.line.lock();
        line.pid = Some(other.pid());
        line.stream = Some(ours);
        (line.seq, line.acknowledged) = (0, 0);
        line.waiting_since = None;
        self.keeper.say(&mut line);
        drop(line);
        self.keeper.heard.notify_all();
        (self.on_event)(KeeperEvent::Here);
        tracing::info!(pid = other.pid(), "the keeper is there");
        Ok((other, reader))
    }

    fn spawn(&self) -> anyhow::Result<(Other, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let own = Exactly::own()?;
        let mut command = self.config.program.command("keeper");
        command
            .arg("--state")
            .arg(&self.config.state)
            .args(["--agent", &own.pid.to_string()])
            .args(["--start-time", &own.start_time.to_string()])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            // Not our own standard error: whoever reads that waits for its end, and the keeper outlives us.
            .stderr(Stdio::null());
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.config.program.program.display()))?;
        // The command holds the other end: without it the keeper's death is seen as the end of the pair.
        drop(command);
        Ok((Other::Child(child), ours))
    }

    fn connect(&self) -> anyhow::Result<(Other, UnixStream)> {
        let path = super::service::socket(&self.config.state);
        let stream = UnixStream::connect(&path).with_context(|| {
            format!(
                "no keeper listens on {}: `systemctl status firedrill-agent-keeper`, or start the agent without --separate-keeper",
                path.display()
            )
        })?;
        // Who listens there.
        let pid = getsockopt(&stream, sockopt::PeerCredentials)?.pid();
        let service = Exactly::now(pid).context("the keeper's service has just ended")?;
        Ok((Other::Service(service), stream))
    }

    /// Reads answers until the keeper is gone; why it is.
    fn follow(&self, mut other: Other, mut reader: BufReader<UnixStream>) -> String {
        let (why, closed) = self.listen(&mut reader);
        if self.ending() {
            let deadline = Instant::now() + LEAVE_WITHIN;
            while Instant::now() < deadline {
                let stays = match &mut other {
                    Other::Child(child) => matches!(child.try_wait(), Ok(None)),
                    Other::Service(_) => !closed,
                };
                if !stays {
                    return why;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        // Dead already, or hung.
        let how = other.end(closed);
        format!("{why} ({how})")
    }

    /// Why it does not listen any more, and whether its end is closed.
    fn listen(&self, reader: &mut BufReader<UnixStream>) -> (String, bool) {
        let mut text = String::new();
        loop {
            let patience = self.patience();
            if let Err(error) = reader.get_ref().set_read_timeout(Some(patience)) {
                return (error.to_string(), false);
            }
            match reader.read_line(&mut text) {
                // Of one that hangs this end was closed here.
                Ok(0) => return ("it has ended".to_owned(), !self.overdue()),
                Ok(_) => {
                    match serde_json::from_str::<Heard>(&text) {
                        Ok(heard) => self.take_in(heard),
                        Err(error) => return (format!("its answer cannot be read: {error}"), false),
                    }
                    text.clear();
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock
                            | std::io::ErrorKind::TimedOut
                            | std::io::ErrorKind::Interrupted
                    ) =>
                {
                    self.keeper.speak_up();
                }
                Err(error) => return (error.to_string(), true),
            }
            if self.overdue() {
                return (
                    format!("it has answered nothing for {} s", ANSWER_WITHIN.as_secs()),
                    false,
                );
            }
        }
    }

    fn overdue(&self) -> bool {
        let line = self.keeper.line.lock();
        line.waiting_since
            .is_some_and(|since| since.elapsed() >= ANSWER_WITHIN)
    }

    /// A word may be said while this thread waits: it looks now and then while something is on, and when nothing is,
    /// a start asks for an answer itself.
    fn patience(&self) -> Duration {
        let line = self.keeper.line.lock();
        let idle = line.told == SILENCE && line.waiting_since.is_none();
        if idle { Duration::from_mins(1) } else { LOOK_EVERY }
    }

    fn take_in(&self, heard: Heard) {
        let mut line = self.keeper.line.lock();
        line.acknowledged = line.acknowledged.max(heard.seq);
        if line.acknowledged >= line.seq {
            line.waiting_since = None;
        }
        drop(line);
        self.keeper.heard.notify_all();
    }
}
