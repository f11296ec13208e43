//! A child process that ends with its handle, with its output kept for whoever asks what went wrong.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Lines of standard output that wait to be read; more make the reader wait, as a pipe would.
const MAX_LINES: usize = 4096;

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Receiver<String>,
    errors: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts it; its standard error goes to a file in `folder`.
    pub fn start(name: &str, mut command: Command, folder: &Path) -> anyhow::Result<Self> {
        command.stdin(Stdio::null());
        Self::start_with(name, command, folder)
    }

    /// The same for one that is told lines by [`Self::say`].
    pub fn start_listening(name: &str, mut command: Command, folder: &Path) -> anyhow::Result<Self> {
        command.stdin(Stdio::piped());
        Self::start_with(name, command, folder)
    }

    fn start_with(name: &str, mut command: Command, folder: &Path) -> anyhow::Result<Self> {
        let errors = folder.join(format!("{name}.stderr"));
        let stderr = File::create(&errors)?;
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("cannot start {name}: {command:?}"))?;
        let stdout = child.stdout.take().context("no pipe to its standard output")?;
        let (sender, lines) = sync_channel(MAX_LINES);
        std::thread::Builder::new()
            .name(format!("{name}-out"))
            .spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self {
            name: name.to_owned(),
            child,
            lines,
            errors,
            ended: None,
        })
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types a line.
    pub fn say(&mut self, line: &str) -> anyhow::Result<()> {
        let stdin = self.child.stdin.as_mut().context("nobody listens")?;
        Ok(writeln!(stdin, "{line}")?)
    }

    /// The next line of its standard output.
    pub fn line(&mut self, limit: Duration) -> anyhow::Result<String> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => {
                bail!("{} said nothing for {limit:?}; {}", self.name, self.stderr())
            }
            Err(RecvTimeoutError::Disconnected) => bail!("{} ended: {}", self.name, self.stderr()),
        }
    }

    /// What it has said on standard output and was not read yet.
    pub fn rest(&mut self) -> String {
        let mut rest = String::new();
        while let Ok(line) = self.lines.recv_timeout(Duration::from_millis(200)) {
            rest.push_str(&line);
            rest.push('\n');
        }
        rest
    }

    /// What it has said on standard error so far.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap_or_default()
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.ended.is_none() && {
            self.ended = self.child.try_wait().ok().flatten();
            self.ended.is_none()
        }
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.is_running(),
            "{} has ended already: {}",
            self.name,
            self.stderr()
        );
        kill(Pid::from_raw(self.child.id().cast_signed()), signal)?;
        Ok(())
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let began = Instant::now();
        while self.is_running() {
            if began.elapsed() > limit {
                bail!("{} still runs after {limit:?}; {}", self.name, self.stderr());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.ended.context("it has ended, but nobody knows how")
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if self.is_running() {
            self.child.kill()?;
            self.ended = Some(self.child.wait()?);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing can be done about a child that cannot be killed.
        self.kill().ok();
    }
}
