//! Finds the proxy or starts it, watches it, and starts it again.
//!
//! A thread of its own, so that nothing in the agent's runtime holds it up. Whatever ends the control
//! connection, the proxy's death included, the rules are gone with it: that is told as [`ProxyEvent::Lost`],
//! and nothing is applied again.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use firedrill_wire::Route;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::client::Client;
use super::link::read_line;
use super::protocol::{Answer, CONTROL_VERSION, Command, Hello, Outcome, RefusalKind, Reply, Request};

/// How often the proxy gets a sign of life.
const PING: Duration = Duration::from_millis(500);

/// A proxy that has answered nothing for this long is ended and started again: it holds its clients' traffic.
const HANGS: Duration = Duration::from_secs(5);

/// How long a started proxy may take to be reachable.
const START_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait between two starts; together with the start itself within a second.
const MAX_PAUSE: Duration = Duration::from_millis(800);

/// How long requests under way may take when a proxy is replaced.
const REPLACE_DRAIN_MS: u64 = 2_000;

/// What a supervisor needs to know.
#[derive(Clone, Debug)]
pub struct SupervisorConfig {
    /// The program to start, usually `std::env::current_exe()`.
    pub executable: PathBuf,
    /// The words before the proxy's own arguments, for instance `["proxy"]`.
    pub subcommand: Vec<String>,
    /// The agent's state folder: control socket, lock and log are in it.
    pub folder: PathBuf,
    /// The routes the proxy should have. One that has others is replaced.
    pub routes: Vec<Route>,
    /// Passed on: the proxy leaves when no agent has been connected for this many seconds.
    pub orphan_exit_s: Option<u64>,
}

/// What happens to the proxy.
#[derive(Clone, Debug)]
pub enum ProxyEvent {
    /// It is there, with no rule set.
    Up(Hello),
    /// The connection to it has ended, and with it every rule.
    Lost {
        /// What was seen.
        reason: String,
    },
    /// It cannot be started; tried again without end.
    CannotStart {
        /// What was seen.
        reason: String,
    },
}

/// Keeps a proxy running.
#[derive(Debug)]
pub struct Supervisor {
    client: Client,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// Starts to watch. `on_event` is called on the supervisor's thread: it must not block.
    pub fn start(
        config: SupervisorConfig,
        on_event: impl FnMut(ProxyEvent) + Send + 'static,
    ) -> io::Result<Self> {
        let client = Client::new();
        let pinned = config.routes.clone();
        let stop = Arc::new(AtomicBool::new(false));
        let mut watch = Watch {
            config,
            client: client.clone(),
            stop: Arc::clone(&stop),
            on_event: Box::new(on_event),
            child: None,
            pinned,
        };
        let thread = std::thread::Builder::new()
            .name("proxy-supervisor".to_owned())
            .spawn(move || watch.run())?;
        Ok(Self {
            client,
            stop,
            thread: Some(thread),
        })
    }

    /// A handle to give commands with.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Asks the proxy to leave for good and ends the watch. Routes are closed when this returns.
    pub fn retire(mut self, drain: Duration) -> Result<(), super::ProxyError> {
        self.stop.store(true, Ordering::Release);
        let drain_ms = drain.as_millis() as u64;
        self.client.call(Command::Retire { drain_ms })?;
        self.end();
        Ok(())
    }

    /// Ends the watch and leaves the proxy running, without rules.
    pub fn detach(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.client.shared().break_off();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the proxy's supervisor panicked");
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end();
        }
    }
}

/// The thread's own state.
struct Watch {
    config: SupervisorConfig,
    client: Client,
    stop: Arc<AtomicBool>,
    on_event: Box<dyn FnMut(ProxyEvent) + Send>,
    child: Option<Child>,
    /// The routes with the ports that the first proxy got: one that takes its place listens where clients know it.
    pinned: Vec<Route>,
}

impl Watch {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn run(&mut self) {
        let mut pause = Duration::ZERO;
        while !self.stopped() {
            let began = Instant::now();
            match self.reach() {
                Ok((stream, hello)) => {
                    self.pin(&hello);
                    let reason = self.follow(stream, hello);
                    self.client.shared().set_down(&reason);
                    if !self.stopped() {
                        tracing::warn!(reason, "the proxy is lost");
                        (self.on_event)(ProxyEvent::Lost { reason });
                    }
                }
                Err(error) => {
                    let reason = format!("{error:#}");
                    self.client.shared().set_down(&reason);
                    (self.on_event)(ProxyEvent::CannotStart { reason });
                }
            }
            self.reap();
            // One that lived is started again at once; one that dies at its start is not started in a storm.
            pause = if began.elapsed() > Duration::from_secs(2) {
                Duration::ZERO
            } else {
                (pause * 2).clamp(Duration::from_millis(50), MAX_PAUSE)
            };
            self.wait(pause);
        }
    }

    fn pin(&mut self, hello: &Hello) {
        for route in &mut self.pinned {
            if let Some(address) = hello.address(&route.name) {
                route.listen = address.to_string();
            }
        }
    }

    fn wait(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while Instant::now() < until && !self.stopped() {
            std::thread::sleep(Duration::from_millis(10).min(pause));
        }
    }

    /// Takes the dead child from the kernel's table.
    fn reap(&mut self) {
        if let Some(child) = &mut self.child
            && !matches!(child.try_wait(), Ok(None))
        {
            self.child = None;
        }
    }

    /// A connection to a proxy that is as it should be: the one that is there, or a new one.
    fn reach(&mut self) -> anyhow::Result<(UnixStream, Hello)> {
        let deadline = Instant::now() + START_TIMEOUT;
        let mut spawned = false;
        loop {
            let problem = match UnixStream::connect(self.socket()) {
                Ok(stream) => match self.greet(stream) {
                    Ok(Some(found)) => return Ok(found),
                    Ok(None) => "it is being replaced".to_owned(),
                    Err(error) => error.to_string(),
                },
                Err(error) => {
                    self.reap();
                    if self.child.is_none() {
                        anyhow::ensure!(
                            !spawned,
                            "the proxy ends as soon as it starts; see {}",
                            self.log_path().display()
                        );
                        self.spawn()?;
                        spawned = true;
                    }
                    error.to_string()
                }
            };
            anyhow::ensure!(
                Instant::now() < deadline && !self.stopped(),
                "no proxy on {}: {problem}; see {}",
                self.socket().display(),
                self.log_path().display()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks who is there. None: another release or other routes; it was asked to leave.
    fn greet(&self, mut stream: UnixStream) -> anyhow::Result<Option<(UnixStream, Hello)>> {
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.set_write_timeout(Some(Duration::from_secs(1)))?;
        let answer = ask(&mut stream, Command::Hello)?;
        let hello = match serde_json::from_slice::<Reply>(&answer).map(|reply| reply.outcome) {
            Ok(Outcome::Ok(Answer::Hello(hello))) => hello,
            Ok(Outcome::Error(refusal)) if refusal.kind == RefusalKind::Busy => {
                anyhow::bail!(refusal.detail)
            }
            other => {
                // Another release, perhaps: every one of them knows how to retire.
                tracing::info!(?other, "what answers is no proxy of this release and is replaced");
                ask(
                    &mut stream,
                    Command::Retire {
                        drain_ms: REPLACE_DRAIN_MS,
                    },
                )?;
                return Ok(None);
            }
        };
        let asked: Vec<_> = hello.routes.iter().map(|status| &status.route).collect();
        let same = hello.control == CONTROL_VERSION
            && hello.version == env!("CARGO_PKG_VERSION")
            && (asked.iter().copied().eq(&self.config.routes) || asked.iter().copied().eq(&self.pinned));
        if same {
            return Ok(Some((stream, hello)));
        }
        tracing::info!(
            pid = hello.pid,
            "the proxy has another release or other routes and is replaced"
        );
        ask(
            &mut stream,
            Command::Retire {
                drain_ms: REPLACE_DRAIN_MS,
            },
        )?;
        Ok(None)
    }

    /// Watches the connection until it ends, and gives the proxy signs of life; returns why it ended.
    fn follow(&mut self, stream: UnixStream, hello: Hello) -> String {
        let pid = hello.pid;
        let client = self.client.clone();
        let shared = client.shared();
        let up = stream
            .try_clone()
            .and_then(|reader| shared.set_up(reader, hello.clone()));
        if let Err(error) = up {
            return error.to_string();
        }
        (self.on_event)(ProxyEvent::Up(hello));
        loop {
            if self.stopped() && !shared.is_waiting() {
                return "the agent lets go of it".to_owned();
            }
            let has_ended = match wait_for_end(&stream, PING) {
                Ok(has_ended) => has_ended,
                Err(error) => return error.to_string(),
            };
            if has_ended {
                return shared.read_to_the_end().unwrap_or_else(|| self.why_gone(pid));
            }
            if shared.heard().is_some_and(|heard| heard.elapsed() > HANGS) {
                return self.end_hung(pid);
            }
            client.ping(PING);
        }
    }

    fn why_gone(&mut self, pid: u32) -> String {
        if let Some(child) = &mut self.child {
            // The socket closes a moment before the process can be waited for.
            for _ in 0..20 {
                if let Ok(Some(status)) = child.try_wait() {
                    self.child = None;
                    return format!("its process {pid} ended: {status}");
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        format!("process {pid} closed the control connection")
    }

    /// A stopped proxy keeps its clients waiting and its rules alive; a new one does neither.
    fn end_hung(&mut self, pid: u32) -> String {
        let ended = match &mut self.child {
            Some(child) if child.id() == pid => child.kill(),
            // The process id is from the proxy that held this very connection a moment ago.
            _ => nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid.cast_signed()),
                nix::sys::signal::SIGKILL,
            )
            .map_err(io::Error::from),
        };
        match ended {
            Ok(()) => format!(
                "it answered nothing for {} s and was ended (process {pid})",
                HANGS.as_secs()
            ),
            Err(error) => format!("it answers nothing, and process {pid} cannot be ended: {error}"),
        }
    }

    fn spawn(&mut self) -> anyhow::Result<()> {
        use anyhow::Context as _;
        let SupervisorConfig {
            executable,
            subcommand,
            orphan_exit_s,
            ..
        } = &self.config;
        let mut process = Process::new(executable);
        process.args(subcommand).arg("--socket").arg(self.socket());
        process
            .arg("--routes")
            .arg(serde_json::to_string(&self.pinned).context("routes")?);
        if let Some(seconds) = orphan_exit_s {
            process.arg("--orphan-exit-s").arg(seconds.to_string());
        }
        // Not our own standard error: whoever reads that waits for its end, and the proxy outlives us.
        let log = self.log()?;
        process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = process
            .spawn()
            .with_context(|| format!("cannot start {}", executable.display()))?;
        tracing::info!(pid = child.id(), "proxy started");
        self.child = Some(child);
        Ok(())
    }

    fn socket(&self) -> PathBuf {
        self.config.folder.join("proxy.sock")
    }

    fn log_path(&self) -> PathBuf {
        self.config.folder.join("proxy.log")
    }

    fn log(&self) -> anyhow::Result<File> {
        use anyhow::Context as _;
        let path = self.log_path();
        let too_long = std::fs::metadata(&path).is_ok_and(|log| log.len() > 1024 * 1024);
        let mut options = OpenOptions::new();
        options.create(true).mode(0o600).append(true);
        if too_long {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        options
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))
    }
}

/// A command and the line that answers it, on a connection that nobody else uses yet.
fn ask(stream: &mut UnixStream, command: Command) -> anyhow::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&Request { seq: 0, command })?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = Vec::new();
    let mut reader = BufReader::new(&*stream);
    anyhow::ensure!(read_line(&mut reader, &mut answer)?, "it closed the connection");
    Ok(answer)
}

/// Waits so long for the connection's end, whatever comes on it.
fn wait_for_end(stream: &UnixStream, patience: Duration) -> io::Result<bool> {
    // A hang-up is told without being asked for.
    let mut watched = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    match poll(
        &mut watched,
        PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX),
    ) {
        Ok(ended) => Ok(ended > 0),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
