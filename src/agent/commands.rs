//! Commands of the host's own allow-list, for emergencies: run as the policy says, and in no other way.
//!
//! Program and arguments stand in the host's file; the network chooses a name and nothing else. No shell, an empty
//! environment, a time limit for the whole group of processes, and the end of what was said is kept. A repeat of a
//! request is answered as the first one was; a command that runs is not run a second time beside itself.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use firedrill_catalogue::quantity;
use firedrill_wire::{ACTION_MS, ACTION_OUTPUT_BYTES, Problem, ProblemKind};
use futures_util::FutureExt as _;
use futures_util::future::FusedFuture as _;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// Commands of one host.
const MAX_COMMANDS: usize = 64;

/// Arguments of one command.
const MAX_ARGUMENTS: usize = 64;

/// Longest program or argument, in bytes.
const MAX_WORD_BYTES: usize = 4_096;

/// Time limit where the file gives none.
const DEFAULT_MS: u64 = 10_000;

/// Requests that are remembered, so that a repeat is known.
const REMEMBERED: usize = 128;

/// Longest request id, in bytes.
const MAX_REQUEST_BYTES: usize = 128;

/// What was said before the end has arrived by then; whoever the command left behind may still hold the pipe.
const REST_WITHIN: Duration = Duration::from_millis(100);

/// `[command.NAME]` of the policy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    program: PathBuf,
    #[serde(default)]
    arguments: Vec<String>,
    within: Option<String>,
}

impl Allowed {
    /// What is wrong with it.
    fn check(&self) -> Result<(), String> {
        if !self.program.is_absolute() {
            return Err(format!(
                "program: {} is not an absolute path",
                self.program.display()
            ));
        }
        if self.arguments.len() > MAX_ARGUMENTS {
            return Err(format!("arguments: more than {MAX_ARGUMENTS}"));
        }
        let program = self.program.to_string_lossy();
        let mut words = self.arguments.iter().map(String::as_str).chain([&*program]);
        if words.any(|word| word.len() > MAX_WORD_BYTES || word.contains('\0')) {
            return Err(format!(
                "a word is longer than {MAX_WORD_BYTES} bytes, or holds a zero"
            ));
        }
        self.limit().map(drop)
    }

    fn limit(&self) -> Result<Duration, String> {
        let ms = self.within.as_ref().map_or(Ok(DEFAULT_MS), |text| {
            quantity::duration_ms(text).map_err(|why| format!("within: {why}"))
        })?;
        if !(1..=ACTION_MS).contains(&ms) {
            return Err(format!(
                "within: {} is not within 1 ms and {}",
                quantity::show_ms(ms),
                quantity::show_ms(ACTION_MS)
            ));
        }
        Ok(Duration::from_millis(ms))
    }

    /// For people: the program with its arguments and its limit.
    pub fn words(&self) -> String {
        let mut words = self.program.display().to_string();
        for argument in &self.arguments {
            words.push(' ');
            words.push_str(argument);
        }
        let limit = self
            .limit()
            .map_or(0, |limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        format!("{words} (within {})", quantity::show_ms(limit))
    }
}

/// What is wrong with an allow-list.
pub fn check(commands: &BTreeMap<String, Allowed>) -> Result<(), String> {
    if commands.len() > MAX_COMMANDS {
        return Err(format!("command: more than {MAX_COMMANDS}"));
    }
    for (name, allowed) in commands {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !(1..=64).contains(&name.len()) || !name.chars().all(plain) {
            return Err(format!(
                "command.{name:?}: a name has 1 to 64 of the characters a-z A-Z 0-9 . _ -"
            ));
        }
        allowed.check().map_err(|why| format!("command.{name}.{why}"))?;
    }
    Ok(())
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; `None`: a signal ended it.
    pub exit: Option<i32>,
    /// The time limit did.
    pub timed_out: bool,
    /// How long it ran, in milliseconds.
    pub ms: u64,
    /// The end of what it said.
    pub output: String,
    /// It said more.
    pub cut: bool,
}

/// How a command ended, or why it could not be started.
pub type Outcome = Result<Ended, String>;

/// Requests of this life, the newest last.
#[derive(Debug, Default)]
pub struct Actions(Mutex<VecDeque<Known>>);

#[derive(Debug)]
struct Known {
    request: String,
    name: String,
    outcome: watch::Receiver<Option<Outcome>>,
}

impl Actions {
    /// Begins a command, or finds what a request with this id began; the second value tells whether it is new.
    /// Must be called inside a runtime; the command goes on when nobody waits for it any more.
    pub fn begin(
        &self,
        name: &str,
        allowed: &Allowed,
        request: &str,
    ) -> Result<(watch::Receiver<Option<Outcome>>, bool), Problem> {
        if !(1..=MAX_REQUEST_BYTES).contains(&request.len()) {
            return Err(Problem::new(
                ProblemKind::Parameters,
                "no request id",
                format!("request has {} bytes", request.len()),
                format!("send a random id of 1 to {MAX_REQUEST_BYTES} bytes: a repeat is known by it"),
            ));
        }
        let mut known = self.0.lock();
        if let Some(first) = known.iter().find(|it| it.request == request) {
            if first.name == name {
                return Ok((first.outcome.clone(), false));
            }
            return Err(Problem::new(
                ProblemKind::Held,
                "the request id is taken",
                format!("it ran {}, not {name}", first.name),
                "send another id",
            ));
        }
        let runs = |it: &Known| it.outcome.borrow().is_none();
        if known.iter().any(|it| it.name == name && runs(it)) {
            return Err(Problem::new(
                ProblemKind::Held,
                "it runs already",
                format!("{name} was begun by another request and has not ended"),
                "wait for its end",
            ));
        }
        if known.len() >= REMEMBERED
            && let Some(oldest) = known.iter().position(|it| !runs(it))
        {
            known.remove(oldest);
        }
        let (tell, outcome) = watch::channel(None);
        known.push_back(Known {
            request: request.to_owned(),
            name: name.to_owned(),
            outcome: outcome.clone(),
        });
        drop(known);
        let allowed = allowed.clone();
        tokio::spawn(async move { tell.send_replace(Some(run(&allowed).await)) });
        Ok((outcome, true))
    }
}

/// Runs it to its end.
async fn run(allowed: &Allowed) -> Outcome {
    let limit = allowed.limit()?;
    let began = Instant::now();
    let mut child = Command::new(&allowed.program)
        .args(&allowed.arguments)
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .current_dir(Path::new("/"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("{}: {error}", allowed.program.display()))?;
    let mut group = Group::of(&child);
    let kept = Arc::new(Mutex::new(Kept::default()));
    let reading = {
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let kept = Arc::clone(&kept);
        async move { tokio::join!(keep(out, &kept), keep(err, &kept)) }
    };
    let mut reading = std::pin::pin!(reading.fuse());
    let waiting = async {
        tokio::select! {
            status = child.wait() => return status,
            _ = &mut reading => {}
        }
        child.wait().await
    };
    let status = tokio::time::timeout(limit, waiting).await;
    let timed_out = status.is_err();
    let status = if let Ok(status) = status {
        status
    } else {
        group.end();
        child.wait().await
    };
    // What it left running on purpose, such as a service, is not ours to end.
    group.leave();
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    if !reading.is_terminated() {
        tokio::time::timeout(REST_WITHIN, reading).await.ok();
    }
    let status = status.map_err(|error| error.to_string())?;
    let kept = kept.lock();
    Ok(Ended {
        exit: status.code(),
        timed_out,
        ms,
        output: String::from_utf8_lossy(&kept.end).into_owned(),
        cut: kept.cut,
    })
}

/// The processes of a command; ended with it when it is dropped before its end, because the agent ends.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().map(|id| Pid::from_raw(id.cast_signed())))
    }

    fn end(&self) {
        if let Some(group) = self.0 {
            // It may have ended by itself just now.
            killpg(group, Signal::SIGKILL).ok();
        }
    }

    fn leave(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

/// The end of what was said.
#[derive(Debug, Default)]
struct Kept {
    end: Vec<u8>,
    cut: bool,
}

async fn keep(pipe: Option<impl AsyncRead + Unpin>, kept: &Mutex<Kept>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0_u8; 1_024];
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        let mut kept = kept.lock();
        kept.end.extend_from_slice(&buffer[..read]);
        if let Some(over @ 1..) = kept.end.len().checked_sub(ACTION_OUTPUT_BYTES) {
            kept.end.drain(..over);
            kept.cut = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(program: &str, arguments: &[&str], within: &str) -> Allowed {
        Allowed {
            program: program.into(),
            arguments: arguments.iter().map(|&it| it.to_owned()).collect(),
            within: Some(within.to_owned()),
        }
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    }

    fn sh(script: &str, within: &str) -> Allowed {
        allowed("/bin/sh", &["-c", script], within)
    }

    #[test]
    fn a_command_ends_with_its_code_and_the_end_of_what_it_said() {
        let ended = runtime()
            .block_on(run(&sh("echo $HOME; echo no >&2; exit 3", "10s")))
            .unwrap();
        assert_eq!((ended.exit, ended.timed_out, ended.cut), (Some(3), false, false));
        // Both ways out are kept, in whatever order; nothing of the agent's environment is in it.
        let mut lines: Vec<_> = ended.output.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["", "no"]);
        let script = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done";
        let long = runtime().block_on(run(&sh(script, "30s"))).unwrap();
        assert!(long.cut && long.output.len() <= ACTION_OUTPUT_BYTES);
        assert!(long.output.ends_with("line 1999\n"), "{}", long.output);
        let none = runtime().block_on(run(&allowed("/nowhere/at-all", &[], "1s")));
        assert!(none.unwrap_err().contains("/nowhere/at-all"));
    }

    #[test]
    fn the_time_limit_ends_the_whole_group() {
        let ended = runtime()
            .block_on(run(&sh("sleep 1000 & echo $!; wait", "200ms")))
            .unwrap();
        assert_eq!((ended.exit, ended.timed_out), (None, true));
        let sleeper: i32 = ended.output.trim().parse().unwrap();
        let gone = || crate::faults::process::stat(sleeper).map_or(true, |it| it.state == 'Z');
        let deadline = Instant::now() + Duration::from_secs(10);
        while !gone() {
            assert!(Instant::now() < deadline, "the child of the command lives on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_it_leaves_running_holds_nothing_up() {
        let began = Instant::now();
        let ended = runtime().block_on(run(&sh("sleep 20 & echo $!", "15s"))).unwrap();
        assert_eq!(ended.exit, Some(0));
        assert!(began.elapsed() < Duration::from_secs(15));
        let left: i32 = ended.output.trim().parse().unwrap();
        nix::sys::signal::kill(Pid::from_raw(left), Signal::SIGKILL).unwrap();
    }

    #[test]
    fn a_repeat_runs_nothing_and_a_second_one_waits() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("ran");
        let script = format!("echo once >> {}; sleep 0.2", file.display());
        let (actions, slow) = (Actions::default(), sh(&script, "10s"));
        runtime().block_on(async {
            let (mut first, new) = actions.begin("slow", &slow, "r1").unwrap();
            assert!(new);
            let (mut again, new) = actions.begin("slow", &slow, "r1").unwrap();
            assert!(!new);
            assert_eq!(
                actions.begin("slow", &slow, "r2").unwrap_err().kind,
                ProblemKind::Held
            );
            assert_eq!(
                actions.begin("other", &slow, "r1").unwrap_err().kind,
                ProblemKind::Held
            );
            assert_eq!(
                actions.begin("slow", &slow, "").unwrap_err().kind,
                ProblemKind::Parameters
            );
            let done = first.wait_for(Option::is_some).await.unwrap().clone();
            assert_eq!(*again.wait_for(Option::is_some).await.unwrap(), done);
            let (mut late, new) = actions.begin("slow", &slow, "r1").unwrap();
            assert!(!new && *late.wait_for(Option::is_some).await.unwrap() == done);
            let (mut second, new) = actions.begin("slow", &slow, "r2").unwrap();
            assert!(new);
            second.wait_for(Option::is_some).await.unwrap();
            for number in 0..REMEMBERED {
                let (mut quick, _) = actions
                    .begin("quick", &allowed("/bin/true", &[], "10s"), &format!("q{number}"))
                    .unwrap();
                quick.wait_for(Option::is_some).await.unwrap();
            }
            assert_eq!(actions.0.lock().len(), REMEMBERED);
        });
        assert_eq!(std::fs::read_to_string(file).unwrap(), "once\nonce\n");
    }

    #[test]
    fn an_allow_list_that_leaves_anything_open_is_a_mistake() {
        let check = |name: &str, it: Allowed| check(&BTreeMap::from([(name.to_owned(), it)]));
        check("restart-payments", allowed("/bin/true", &["a b"], "30s")).unwrap();
        for (name, it, words) in [
            ("a", allowed("true", &[], "1s"), "absolute"),
            ("a", allowed("/bin/true", &[], "31s"), "within"),
            ("a", allowed("/bin/true", &[], "soon"), "within"),
            ("a", allowed("/bin/true", &["\0"], "1s"), "zero"),
            ("a/b", allowed("/bin/true", &[], "1s"), "characters"),
            ("", allowed("/bin/true", &[], "1s"), "characters"),
        ] {
            let why = check(name, it).unwrap_err();
            assert!(why.contains(words), "{why}");
        }
    }
}
