//! Runs a record: takes back, and looks whether it is gone.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

use super::{Exactly, RECORD_VERSION, Record, Undo, change, open_files};
use crate::faults::process;
use crate::kernel::bpf::Hook;
use crate::kernel::on_cgroup::{Seen, look};
use crate::proxy::protocol::{Answer, Command, MAX_LINE_BYTES, Outcome, Reply, Request};
use crate::state::read_small;

/// How long one record may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Where records are run.
#[derive(Clone, Debug)]
pub struct Here {
    /// The agent's state folder.
    pub folder: PathBuf,
    /// This boot of the host.
    pub boot_id: String,
}

impl Here {
    /// In this boot.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        use anyhow::Context as _;
        let boot_id = read_small(Path::new("/proc/sys/kernel/random/boot_id"))
            .context("the kernel does not tell which boot this is")?;
        Ok(Self {
            folder: folder.to_owned(),
            boot_id: boot_id.trim().to_owned(),
        })
    }
}

/// What came of running a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undone {
    /// Whether the fault was seen to be gone.
    pub gone: bool,
    /// What was done and seen.
    pub words: String,
    /// Where it is not gone: what a person can do.
    pub by_hand: Option<String>,
}

impl Undone {
    pub(super) fn gone(words: impl Into<String>) -> Self {
        Self {
            gone: true,
            words: words.into(),
            by_hand: None,
        }
    }

    pub(super) fn stays(words: impl Into<String>, by_hand: impl Into<String>) -> Self {
        Self {
            gone: false,
            words: words.into(),
            by_hand: Some(by_hand.into()),
        }
    }
}

impl Record {
    /// Takes the fault back and looks whether it is gone; bounded in time. May be run again.
    pub fn run(&self, here: &Here) -> Undone {
        if self.version != RECORD_VERSION {
            return Undone::stays(
                format!(
                    "the record has layout {}, this program knows {RECORD_VERSION}",
                    self.version
                ),
                "run the release of the agent that wrote it",
            );
        }
        let of_this_boot = self.boot_id == here.boot_id;
        match &self.undo {
            Undo::Restore { on_disk, .. } if !of_this_boot && !on_disk => {
                Undone::gone("the host has restarted since: the kernel has forgotten the value")
            }
            Undo::Nothing {}
            | Undo::Child(_)
            | Undo::Traced { .. }
            | Undo::Held { .. }
            | Undo::Linked { .. }
            | Undo::Rule { .. }
            | Undo::Changes { .. }
            | Undo::OpenFiles { .. }
            | Undo::Stopped(_)
                if !of_this_boot =>
            {
                Undone::gone("the host has restarted since: every process and every value of then is gone")
            }
            undo => undo.run(here),
        }
    }
}

impl Undo {
    /// Takes the fault back in the boot that it was begun in.
    pub fn run(&self, here: &Here) -> Undone {
        match self {
            Self::Nothing {} => Undone::gone("there is nothing to take back"),
            Self::Child(child) => kill(child),
            Self::Traced { holder, target } => until(|| let_go(holder, target)),
            Self::Held { holder, what } => until(|| dropped(holder, what)),
            Self::Linked {
                holder,
                cgroup,
                programs,
            } => until(|| unlinked(holder, cgroup, programs)),
            Self::Rule { id } => until(|| rule(&here.folder.join("proxy.sock"), id)),
            Self::Restore {
                path, ours, before, ..
            } => restore(path, ours, before),
            Self::Changes { changes } => change::run(changes),
            Self::OpenFiles { target, ours, before } => open_files::run(*target, ours, *before),
            Self::Stopped(target) => until(|| go_on(target)),
        }
    }
}

impl Record {
    /// Looks by another mechanism than the one that took it back: whether it is gone, and what was seen.
    pub fn prove(&self, here: &Here) -> (bool, String) {
        let of_this_boot = self.boot_id == here.boot_id;
        match &self.undo {
            // Read anew, whoever wrote since.
            Undo::Restore { path, ours, .. } => match read_small(path) {
                Ok(now) if now.trim_end() == ours.trim_end() => {
                    (false, format!("{} still holds the fault's value", path.display()))
                }
                Ok(_) => (
                    true,
                    format!("{} does not hold the fault's value", path.display()),
                ),
                Err(error) => (
                    error.kind() == std::io::ErrorKind::NotFound,
                    format!("{}: {error}", path.display()),
                ),
            },
            Undo::Nothing {} => (true, "there was nothing to take back".to_owned()),
            _ if !of_this_boot => (true, "the host has restarted since".to_owned()),
            Undo::Changes { changes } => change::prove(changes),
            Undo::OpenFiles { target, ours, .. } => open_files::prove(*target, ours),
            Undo::Stopped(target) => moves(target),
            Undo::Child(holder) | Undo::Held { holder, .. } => holder.gone_from_kernel(),
            Undo::Linked {
                holder,
                cgroup,
                programs,
            } => match look(cgroup, programs, true) {
                (Seen::Unknown, _) => holder.gone_from_kernel(),
                (seen, words) => (seen == Seen::Gone, words),
            },
            Undo::Traced { target, .. } => {
                let threads = process::threads(target.pid).unwrap_or_default().into_iter();
                let still = threads
                    .filter_map(|tid| process::thread_status(target.pid, tid).ok())
                    .filter(|thread| thread.state == 't')
                    .count();
                let words = format!(
                    "{still} threads of process {} stand in a tracer's stop",
                    target.pid
                );
                (still == 0 || !target.runs(), words)
            }
            Undo::Rule { .. } => proxy_lock(&here.folder.join("proxy.lock")),
        }
    }
}

/// A proxy that lives serves without rules once its agent is gone, and has just said so; here is looked whether
/// one lives at all.
fn proxy_lock(path: &Path) -> (bool, String) {
    let Ok(file) = std::fs::File::open(path) else {
        return (true, "no proxy ever ran here".to_owned());
    };
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_) => (true, "no proxy lives, and a rule lives in one".to_owned()),
        Err(_) => (
            true,
            "the proxy lives, without an agent; each end of a connection to it drops all rules".to_owned(),
        ),
    }
}

/// Looks again until it is gone or the time is over.
fn until(mut look: impl FnMut() -> Undone) -> Undone {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = look();
        if seen.gone || Instant::now() > deadline {
            return seen;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Tells a process that stands still to go on, and looks whether it does.
fn go_on(target: &Exactly) -> Undone {
    let pid = target.pid;
    let sent = match target.handle() {
        Ok(None) => return Undone::gone(format!("process {pid} has ended")),
        Ok(Some(handle)) if !moves(target).0 => handle.signal(rustix::process::Signal::CONT),
        Ok(Some(_)) => Ok(()),
        Err(error) => Err(error),
    };
    let (moves, words) = moves(target);
    match sent {
        Ok(()) if moves => Undone::gone(words),
        Ok(()) => Undone::stays(words, format!("kill -CONT {pid}")),
        Err(error) => Undone::stays(format!("process {pid}: {error}"), format!("kill -CONT {pid}")),
    }
}

/// Whether no thread of it stands still by a signal.
pub fn moves(target: &Exactly) -> (bool, String) {
    let pid = target.pid;
    let threads = process::threads(pid).unwrap_or_default().into_iter();
    let still = threads
        .filter_map(|tid| process::thread_status(pid, tid).ok())
        .filter(|thread| thread.state == 'T')
        .count();
    if still > 0 && target.runs() {
        return (false, format!("{still} threads of process {pid} are stopped"));
    }
    (true, format!("no thread of process {pid} is stopped"))
}

fn kill(child: &Exactly) -> Undone {
    let by_hand = format!("kill -9 {}", child.pid);
    match child.kill(PATIENCE) {
        Ok(killed) if !child.runs() => Undone::gone(format!(
            "process {} {}",
            child.pid,
            if killed {
                "was killed and is gone"
            } else {
                "is gone"
            }
        )),
        Ok(_) => Undone::stays(format!("process {} still runs", child.pid), by_hand),
        Err(error) => Undone::stays(format!("process {}: {error}", child.pid), by_hand),
    }
}

fn let_go(holder: &Exactly, target: &Exactly) -> Undone {
    if !target.runs() {
        return Undone::gone(format!("process {} has ended", target.pid));
    }
    let holders = if holder.runs() {
        process::threads(holder.pid).unwrap_or_default()
    } else {
        Vec::new()
    };
    let held = process::threads(target.pid)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|tid| process::thread_status(target.pid, tid).ok())
        .filter(|thread| holders.contains(&thread.tracer))
        .count();
    if held == 0 {
        return Undone::gone(format!(
            "no thread of process {} is held by the agent",
            target.pid
        ));
    }
    Undone::stays(
        format!(
            "{held} threads of process {} are held by process {}",
            target.pid, holder.pid
        ),
        format!(
            "kill -9 {}: the kernel then lets process {} go",
            holder.pid, target.pid
        ),
    )
}

fn dropped(holder: &Exactly, what: &str) -> Undone {
    let pid = holder.pid;
    if !holder.runs() {
        return Undone::gone(format!(
            "process {pid} has ended, and the kernel has dropped {what} with it"
        ));
    }
    Undone::stays(
        format!("process {pid} runs and may hold {what}"),
        format!("kill -9 {pid}: the kernel then drops {what}"),
    )
}

/// The kernel is asked what is on the cgroup; where it does not say, the end of who holds the links is what counts.
fn unlinked(holder: &Exactly, cgroup: &Path, programs: &[(Hook, u32)]) -> Undone {
    match look(cgroup, programs, false) {
        (Seen::Gone, words) => Undone::gone(words),
        (Seen::Unknown, words) if !holder.runs() => Undone::gone(format!(
            "process {} has ended, and its programs with it ({words})",
            holder.pid
        )),
        (_, words) => Undone::stays(
            words,
            format!("kill -9 {}: the kernel then drops the programs", holder.pid),
        ),
    }
}

/// The proxy serves one connection at a time and drops all rules at the end of each: whoever is greeted by it
/// finds none of a former one.
fn rule(socket: &Path, id: &str) -> Undone {
    let by_hand = "end the proxy's process (`firedrill-agent proxy`): its rules end with it";
    let mut stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(error) => return Undone::gone(format!("there is no proxy, and so no rule ({error})")),
    };
    match status(&mut stream, id) {
        Ok(Outcome::Ok(Answer::Rule(report))) if report.is_off() => {
            Undone::gone("the rule is not in the proxy, 0 requests held")
        }
        Ok(Outcome::Ok(Answer::Rule(report))) => Undone::stays(
            format!("the proxy has the rule, {} requests held", report.held),
            by_hand,
        ),
        Ok(other) => Undone::stays(format!("the proxy answered {other:?}"), by_hand),
        Err(error) => Undone::stays(format!("the proxy does not answer: {error}"), by_hand),
    }
}

fn status(stream: &mut UnixStream, id: &str) -> anyhow::Result<Outcome> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.set_write_timeout(Some(Duration::from_secs(1)))?;
    let mut line = serde_json::to_vec(&Request {
        seq: 1,
        command: Command::Status { id: id.to_owned() },
    })?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = Vec::new();
    let mut reader = BufReader::new(std::io::Read::take(stream, MAX_LINE_BYTES as u64 * 16));
    reader.read_until(b'\n', &mut answer)?;
    Ok(serde_json::from_slice::<Reply>(&answer)?.outcome)
}

fn restore(path: &Path, ours: &str, before: &str) -> Undone {
    let shown = path.display();
    let by_hand = format!("write {before:?} into {shown}");
    let now = match read_small(path) {
        Ok(now) => now,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Undone::gone(format!("{shown} is not there any more"));
        }
        Err(error) => return Undone::stays(format!("{shown}: {error}"), by_hand),
    };
    if now.trim_end() != ours.trim_end() {
        return Undone::gone(format!(
            "{shown} holds another value than the fault's: it is left as it is"
        ));
    }
    if let Err(error) = std::fs::write(path, before) {
        return Undone::stays(format!("{shown}: {error}"), by_hand);
    }
    match read_small(path) {
        Ok(now) if now.trim_end() == before.trim_end() => {
            Undone::gone(format!("{shown} holds its former value again"))
        }
        Ok(now) => Undone::stays(
            format!("{shown} holds {now:?} after its former value was written"),
            by_hand,
        ),
        Err(error) => Undone::stays(format!("{shown}: {error}"), by_hand),
    }
}
