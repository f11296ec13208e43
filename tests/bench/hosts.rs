//! Many agents in a few processes: the agent's own library, each with a state folder, threads and doors of its own.
//!
//! A thousand processes would measure the machine's memory. What differs from the agent's program is that they share
//! an allocator and file descriptors.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use firedrill_agent::config::{Config, SelfCommand};
use firedrill_agent::server::{Running, start};
use firedrill_testing::{Connection, Folder, Process};
use firedrill_trust::Fingerprint;
use serde_json::{Value, json};

/// Agents of one process.
const OF_A_PROCESS: usize = 25;

/// Where the state of agents is in memory, not on a disk.
const IN_MEMORY: &str = "/dev/shm";

/// Requests of one arming.
const LIMIT: Duration = Duration::from_mins(1);

/// Who arms at the same time in one process.
const ARMING: usize = 4;

/// An agent as its process says it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Member {
    /// The second listener.
    pub abort_listen: SocketAddr,
    /// Its certificate.
    pub pin: Fingerprint,
    /// The token for everything.
    pub token: String,
}

/// Agents that run, in processes of this program.
pub struct Hosts {
    /// All of them.
    pub members: Vec<Member>,
    processes: Vec<HostProcess>,
}

struct HostProcess {
    control: BufReader<TcpStream>,
    count: usize,
    /// The state of its agents, in memory; ended before the folder goes.
    _process: Process,
    _folder: Folder,
}

impl Hosts {
    /// Starts so many.
    pub fn start(count: usize) -> anyhow::Result<Self> {
        let mut hosts = Self {
            members: Vec::new(),
            processes: Vec::new(),
        };
        let mut left = count;
        while left > 0 {
            let here = left.min(OF_A_PROCESS);
            let (process, members) = HostProcess::start(here)?;
            hosts.processes.push(process);
            hosts.members.extend(members);
            left -= here;
        }
        Ok(hosts)
    }

    /// How many processes they are in.
    pub fn processes(&self) -> usize {
        self.processes.len()
    }

    /// Has the first `count` released if they are latched, and opens this drill on each with one injection of `noop`.
    pub fn arm(&mut self, count: usize, drill: &str) -> anyhow::Result<()> {
        let mut left = count;
        let mut asked = Vec::new();
        for process in &mut self.processes {
            let here = left.min(process.count);
            left -= here;
            if here > 0 {
                writeln!(process.control.get_mut(), "{here} {drill}")?;
                asked.push(process);
            }
        }
        ensure!(left == 0, "{count} are more than there are");
        for process in asked {
            let mut answer = String::new();
            process.control.read_line(&mut answer)?;
            ensure!(answer.trim() == "ok", "arming: {answer}");
        }
        Ok(())
    }
}

impl HostProcess {
    fn start(count: usize) -> anyhow::Result<(Self, Vec<Member>)> {
        let folder = Folder::new_in(Path::new(IN_MEMORY))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["agents", &count.to_string()]).arg(folder.path());
        let mut process = Process::start("agents", command, folder.path())?;
        let said: (SocketAddr, Vec<Member>) = serde_json::from_str(&process.line(LIMIT)?)?;
        let control = TcpStream::connect(said.0)?;
        control.set_read_timeout(Some(LIMIT))?;
        let host = Self {
            control: BufReader::new(control),
            count,
            _process: process,
            _folder: folder,
        };
        Ok((host, said.1))
    }
}

/// The process's work: `agents COUNT FOLDER`. It ends with the connection of who controls it.
pub fn serve(words: &[String]) -> anyhow::Result<()> {
    let [count, folder] = words else {
        anyhow::bail!("agents COUNT FOLDER, not {words:?}");
    };
    let program = SelfCommand::current(&[])?;
    let run = |number: usize| -> anyhow::Result<Served> {
        let state = Path::new(folder).join(number.to_string());
        let mut config = Config::new(state, program.clone());
        config.tls = true;
        let running = start(config)?;
        Served::new(running, number)
    };
    let mut agents = (0..count.parse()?).map(run).collect::<anyhow::Result<Vec<_>>>()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let members: Vec<_> = agents.iter().map(|agent| agent.member.clone()).collect();
    println!("{}", serde_json::to_string(&(listener.local_addr()?, members))?);
    let (control, _) = listener.accept()?;
    let mut answers = control.try_clone()?;
    for line in BufReader::new(control).lines() {
        let line = line?;
        let (here, drill) = line.split_once(' ').context("COUNT DRILL")?;
        let here: usize = here.parse()?;
        let answer = match arm_all(&mut agents[..here], drill) {
            Ok(()) => "ok".to_owned(),
            Err(error) => format!("{error:#}").replace('\n', " "),
        };
        writeln!(answers, "{answer}")?;
    }
    Ok(())
}

fn arm_all(agents: &mut [Served], drill: &str) -> anyhow::Result<()> {
    std::thread::scope(|scope| {
        let work = |agents: &mut [Served]| agents.iter_mut().try_for_each(|agent| agent.arm(drill));
        let parts = agents.chunks_mut(agents.len().div_ceil(ARMING).max(1));
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || work(part))).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })
}

/// An agent of this process, and a connection to its first listener.
struct Served {
    member: Member,
    number: usize,
    first: SocketAddr,
    _running: Running,
}

impl Served {
    fn new(running: Running, number: usize) -> anyhow::Result<Self> {
        Ok(Self {
            member: Member {
                abort_listen: running.ready.abort_listen,
                pin: running.ready.fingerprint.context("no TLS")?,
                token: running.token()?,
            },
            number,
            first: running.ready.listen,
            _running: running,
        })
    }

    fn arm(&mut self, drill: &str) -> anyhow::Result<()> {
        let mut connection = Connection::open_to(self.first, Some(self.member.pin), LIMIT)?;
        let mut call = |method: &str, path: &str, body: Value| {
            let entry = format!("Bearer {}", self.member.token);
            let headers = [
                ("Authorization", entry.as_str()),
                ("Content-Type", "application/json"),
            ];
            let body = if body.is_null() {
                String::new()
            } else {
                body.to_string()
            };
            connection
                .call(method, path, &headers, &body)?
                .expect_status(200)?
                .json()
        };
        let latch = call("GET", "/v1/agent", Value::Null)?["latch"].take();
        if !latch.is_null() {
            let release = json!({ "latch": latch["number"], "reason": "again", "who": "bench" });
            call("POST", "/v1/release", release)?;
        }
        let opening = json!({
            "drill": drill, "nonce": format!("nonce of {drill}"), "experiment": "a benchmark",
            "console": "bench", "who": "bench", "lease_ms": 60_000,
        });
        let opened = call("POST", "/v1/drills", opening)?;
        let tick = opened["tick"].as_u64().context("no tick")?;
        let start = json!({
            "fence": {
                "drill": drill, "epoch": opened["epoch"], "instance": opened["instance"], "holder": opened["holder"],
            },
            "fault": "noop", "parameters": {}, "scope": {}, "ends_in_ms": 600_000, "ramp_ms": 0,
            "not_after": tick + 60_000_000,
        });
        let path = format!("/v1/injections/{drill}-{}", self.number);
        let mut view = call("PUT", &path, start)?;
        while view["state"] == "starting" {
            view = call("GET", &path, Value::Null)?;
        }
        ensure!(view["state"] == "active", "{view}");
        Ok(())
    }
}
