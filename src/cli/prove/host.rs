//! Real processes on this machine: an agent of this very program, with a folder that is gone with it, and the HTTP that
//! an onlooker speaks.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use serde_json::{Value, json};

/// A process that does not come or answer within this time is a failure of the trial, not of a promise.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// An agent that was told to end has this long.
const END_LIMIT: Duration = Duration::from_secs(5);
/// Largest answer that is read.
const MAX_ANSWER: u64 = 4 << 20;

/// A folder of this user's own, removed when dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// A new one under the system's folder for such things.
    pub fn make() -> anyhow::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("firedrill-prove-{}-{number}", std::process::id()));
        let mut builder = fs::DirBuilder::new();
        builder
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make the folder {}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A child process; ended by SIGKILL when dropped.
pub struct Process(pub Child);

impl Process {
    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The agent's first line.
#[derive(Deserialize)]
struct Ready {
    listen: SocketAddr,
    abort_listen: SocketAddr,
    token_file: PathBuf,
    #[serde(default)]
    routes: Vec<ReadyRoute>,
}

#[derive(Deserialize)]
struct ReadyRoute {
    listen: SocketAddr,
}

/// A running agent. SIGTERM when dropped, then SIGKILL to whatever is left of it.
pub struct Agent {
    /// Its process.
    pub process: Process,
    /// Its first and its second listener.
    pub listen: SocketAddr,
    pub abort_listen: SocketAddr,
    /// Its route, if it was given one.
    pub route: Option<SocketAddr>,
    /// The tokens for everything and for aborts alone.
    pub token: String,
    pub abort_token: String,
    folder: Folder,
    _stdin: Option<ChildStdin>,
}

impl Agent {
    /// Starts `program agent serve`, with a route to `upstream` under this name.
    pub fn start(program: &Path, route: Option<(&str, SocketAddr)>) -> anyhow::Result<Self> {
        let folder = Folder::make()?;
        let mut command = Command::new(program);
        command
            .args(["agent", "serve", "--listen", "127.0.0.1:0", "--state"])
            .arg(folder.path().join("state"))
            .args(["--label", "env=demo", "--label", "service=payments"])
            .args(["--retire-proxy", "--exit-with-stdin"]);
        if let Some((name, upstream)) = route {
            // A port that was free a moment ago: the route must be on the same one when its proxy is back.
            let listen = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
            command
                .arg("--route")
                .arg(format!("{name}={listen}={upstream}:http"));
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.path().join("log"))?)
            .spawn()
            .context("the agent cannot be started")?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let process = Process(child);
        let mut line = String::new();
        BufReader::new(stdout.context("the agent has no output")?).read_line(&mut line)?;
        let ready: Ready = serde_json::from_str(&line).with_context(|| {
            let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            format!("the agent is not ready: {line}{log}")
        })?;
        let token = |path: &Path| -> anyhow::Result<String> {
            let text = fs::read_to_string(path).with_context(|| format!("no {}", path.display()))?;
            Ok(text.trim().to_owned())
        };
        Ok(Self {
            process,
            listen: ready.listen,
            abort_listen: ready.abort_listen,
            route: ready.routes.first().map(|route| route.listen),
            token: token(&ready.token_file)?,
            abort_token: token(&ready.token_file.with_file_name("abort-token"))?,
            folder,
            _stdin: stdin,
        })
    }

    /// As plans write it.
    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// A call with the token; its answer must be a success.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, text) = request(self.listen, method, path, Some(&self.token), body)?;
        ensure!((200..300).contains(&status), "{method} {path}: {status} {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Opens a drill with a lease of so many milliseconds; what its starts carry.
    pub fn open(&self, drill: &str, lease_ms: u64) -> anyhow::Result<Value> {
        let body = json!({
            "drill": drill, "nonce": format!("nonce of {drill}"), "experiment": "prove",
            "console": "prove", "who": "prove", "lease_ms": lease_ms,
        });
        let answer = self.call("POST", "/v1/drills", &body)?;
        Ok(json!({
            "drill": drill, "epoch": answer["epoch"], "instance": answer["instance"], "holder": answer["holder"],
        }))
    }

    /// Starts an injection of a minute; answers when it is on.
    pub fn inject(
        &self,
        fence: &Value,
        id: &str,
        fault: &str,
        parameters: &Value,
        scope: &Value,
    ) -> anyhow::Result<()> {
        let tick = self.call("GET", "/v1/agent", &Value::Null)?["tick"]
            .as_u64()
            .context("no tick")?;
        let body = json!({
            "fence": fence, "fault": fault, "parameters": parameters, "scope": scope,
            "ends_in_ms": 60_000, "ramp_ms": 0, "not_after": tick + 10_000_000,
        });
        self.call("PUT", &format!("/v1/injections/{id}"), &body)?;
        Ok(())
    }

    /// What it says is on, in words.
    pub fn left_on(&self) -> anyhow::Result<Vec<String>> {
        let views = self.call("GET", "/v1/injections", &Value::Null)?;
        let off = ["reverted", "refused", "failed", "done"];
        let on = views.as_array().into_iter().flatten().filter(|view| {
            let state = view["state"].as_str().unwrap_or_default();
            !off.contains(&state)
        });
        Ok(on
            .map(|view| format!("{} is {}", view["id"], view["state"]))
            .collect())
    }

    /// Lifts the latch, if there is one.
    pub fn release(&self) -> anyhow::Result<()> {
        let latch = &self.call("GET", "/v1/agent", &Value::Null)?["latch"];
        if !latch.is_null() {
            let body = json!({ "latch": latch["number"], "reason": "the next round", "who": "prove" });
            self.call("POST", "/v1/release", &body)?;
        }
        Ok(())
    }

    /// The processes that belong to it: their command lines name its state folder.
    pub fn helpers(&self, kind: &str) -> Vec<i32> {
        let state = self.folder.path().to_string_lossy().into_owned();
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let ours = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<_> = line
                .split(|byte| *byte == 0)
                .map(String::from_utf8_lossy)
                .collect();
            words.iter().any(|word| word.contains(&state)) && words.iter().any(|word| word == kind)
        };
        pids.filter(ours).collect()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let helpers = self.helpers("proxy");
        let pid = Pid::from_raw(self.process.0.id().cast_signed());
        if matches!(self.process.0.try_wait(), Ok(None)) {
            kill(pid, Signal::SIGTERM).ok();
            let began = Instant::now();
            while matches!(self.process.0.try_wait(), Ok(None)) && began.elapsed() < END_LIMIT {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.process.kill();
        // A proxy outlives an agent that was killed; it is still ours only if its command line says so.
        let left = self.helpers("proxy");
        for pid in helpers.into_iter().filter(|pid| left.contains(pid)) {
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
    }
}

/// One request on a connection of its own: its status and body.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &Value,
) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let entry = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{entry}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        bail!("the answer is cut off");
    };
    let status = head.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    Ok((status.context("no status")?, body.to_owned()))
}
