//! Faults on packets: the victim has a network namespace of its own, with a server in it.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use firedrill_testing::{Agent, Folder, PATIENCE, Peer, Possible, Process, programs};
use nix::sched::{CloneFlags, setns, unshare};
use serde_json::{Value, json};

use crate::{Row, Scene, Seen};

const ROW: Row = Row {
    fault: "",
    form: "",
    needs: &[Peer::Root],
    counter: None,
    is_one_shot: false,
    set: || anyhow::bail!("a row of its own"),
};

pub const ROWS: &[Row] = &[
    Row {
        fault: "packet.latency",
        counter: Some("packets_delayed"),
        set: || on_connections(json!({"delay": "300ms"})),
        ..ROW
    },
    Row {
        fault: "packet.loss",
        counter: Some("packets_dropped"),
        set: || {
            on_datagrams(json!({"share": "50%", "protocol": "udp"}), |arrived| {
                arrived < SENT
            })
        },
        ..ROW
    },
    Row {
        fault: "packet.duplicate",
        counter: Some("packets_duplicated"),
        set: || on_datagrams(json!({"share": "50%"}), |arrived| arrived > SENT),
        ..ROW
    },
    Row {
        fault: "packet.rate",
        counter: Some("packets_delayed"),
        // The packets of a handshake have some 60 bytes each, and go through it on both sides of loopback.
        set: || on_connections(json!({"rate": "1KB/s", "direction": "both"})),
        ..ROW
    },
    Row {
        fault: "packet.drop",
        counter: Some("packets_dropped"),
        set: || on_connections(json!({})),
        ..ROW
    },
    Row {
        fault: "packet.drop",
        form: "by the namespace's name",
        counter: Some("packets_dropped"),
        set: || on_connections_of(Victim::named()?, json!({})),
        ..ROW
    },
    Row {
        fault: "packet.reset",
        counter: Some("packets_reset"),
        set: || on_connections(json!({})),
        ..ROW
    },
];

/// Datagrams that a look sends; that none or all of them are hit happens once in a million million looks.
const SENT: usize = 40;

/// A network namespace of its own, and how an injection is aimed at it.
struct Victim {
    namespace: PathBuf,
    scope: Value,
    _kept: Kept,
}

/// What keeps it there.
#[expect(dead_code, reason = "they are there to be dropped")]
enum Kept {
    Process(Process, Folder),
    Name(Named),
}

/// As `ip netns add` gives one.
struct Named(String);

impl Drop for Named {
    fn drop(&mut self) {
        ip(&["netns", "delete", &self.0]).ok();
    }
}

impl Victim {
    /// Named by the process in it.
    fn new() -> anyhow::Result<Self> {
        let folder = Folder::new()?;
        // Made by the thread that starts it: it is never in the host's own.
        let process = on_a_thread(|| {
            alone()?;
            let mut sleep = Command::new("sleep");
            sleep.arg("600");
            Process::start("victim", sleep, folder.path())
        })?;
        Ok(Self {
            namespace: format!("/proc/{}/ns/net", process.pid()).into(),
            scope: json!({ "pid": process.pid() }),
            _kept: Kept::Process(process, folder),
        })
    }

    /// With a name and no process at all.
    fn named() -> anyhow::Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let named = Named(format!("firedrill-{}-{number}", std::process::id()));
        ip(&["netns", "add", &named.0])?;
        ip(&["-n", &named.0, "link", "set", "lo", "up"])?;
        Ok(Self {
            namespace: PathBuf::from("/run/netns").join(&named.0),
            scope: json!({ "netns": named.0 }),
            _kept: Kept::Name(named),
        })
    }

    /// Does something in its network namespace; sockets made there stay there.
    fn there<R: Send>(&self, work: impl FnOnce() -> anyhow::Result<R> + Send) -> anyhow::Result<R> {
        let namespace = std::fs::File::open(&self.namespace)?;
        on_a_thread(|| {
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            work()
        })
    }
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("ip").args(arguments).status()?;
    ensure!(status.success(), "ip {}: {status}", arguments.join(" "));
    Ok(())
}

/// Puts this thread into a network namespace with nothing but loopback.
fn alone() -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    ip(&["link", "set", "lo", "up"])
}

fn on_a_thread<R: Send>(work: impl FnOnce() -> anyhow::Result<R> + Send) -> anyhow::Result<R> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("apart".to_owned());
        let thread = thread.spawn_scoped(scope, work)?;
        thread.join().ok().context("a panic")?
    })
}

/// A connection comes about at once, late, or not at all.
fn connects(to: SocketAddr) -> anyhow::Result<Seen> {
    let began = Instant::now();
    let connected = TcpStream::connect_timeout(&to, Duration::from_millis(900));
    let took = began.elapsed();
    match connected {
        Ok(_) if took < Duration::from_millis(200) => Ok(Seen::Healthy),
        Ok(_) => Ok(Seen::Hit),
        Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::ConnectionRefused) => {
            Ok(Seen::Hit)
        }
        Err(error) => Err(error.into()),
    }
}

fn on_connections(parameters: Value) -> anyhow::Result<Scene> {
    on_connections_of(Victim::new()?, parameters)
}

fn on_connections_of(victim: Victim, parameters: Value) -> anyhow::Result<Scene> {
    let server = victim.there(|| Ok(TcpListener::bind("127.0.0.1:0")?))?;
    server.set_nonblocking(true)?;
    let address = server.local_addr()?;
    Ok(Scene {
        agent: Agent::build(programs!()).start()?,
        parameters,
        scope: victim.scope.clone(),
        look: Box::new(move || {
            // Its queue must not fill up.
            while server.accept().is_ok() {}
            victim.there(|| connects(address))
        }),
    })
}

fn on_datagrams(parameters: Value, is_hit: fn(usize) -> bool) -> anyhow::Result<Scene> {
    let victim = Victim::new()?;
    let (from, to) = victim.there(|| {
        let (from, to) = (UdpSocket::bind("[::1]:0")?, UdpSocket::bind("[::1]:0")?);
        from.connect(to.local_addr()?)?;
        to.connect(from.local_addr()?)?;
        Ok((from, to))
    })?;
    to.set_read_timeout(Some(Duration::from_millis(150)))?;
    Ok(Scene {
        agent: Agent::build(programs!()).start()?,
        parameters,
        scope: victim.scope.clone(),
        look: Box::new(move || {
            let _victim = &victim;
            for _ in 0..SENT {
                from.send(b"x")?;
            }
            let mut arrived = 0;
            while to.recv(&mut [0]).is_ok() {
                arrived += 1;
            }
            match arrived {
                SENT => Ok(Seen::Healthy),
                _ if is_hit(arrived) => Ok(Seen::Hit),
                _ => anyhow::bail!("{arrived} of {SENT} arrived"),
            }
        }),
    })
}

/// The agent is in the very namespace that is cut off, and its console too.
pub fn the_agent_stays_within_reach() -> anyhow::Result<Possible> {
    on_a_thread(|| {
        alone()?;
        let server = TcpListener::bind("127.0.0.1:0")?;
        let address = server.local_addr()?;
        let agent = Agent::build(programs!()).start()?;
        if let Some(why) = crate::why_not(&agent, "packet.drop")? {
            return Ok(Possible::No(why));
        }
        let drill = agent.open("d-1", 60_000)?;
        let own: SocketAddr = agent.url().trim_start_matches("http://").parse()?;
        let on_itself = agent.start_body(&drill, "packet.drop", json!({"port": own.port()}), json!({}))?;
        let refused = agent.call("PUT", "/v1/injections/i-0", &on_itself)?;
        ensure!(refused.body.contains("listens on port"), "{}", refused.body);
        let all = json!({"fault": "packet.drop", "parameters": {}, "scope": {}});
        let preview = agent.call("POST", "/v1/preview", &all)?.body;
        ensure!(preview.contains("not the agent's own TCP ports"), "{preview}");
        agent.inject(&drill, "i-1", "packet.drop", json!({}), json!({}))?;
        let silent = TcpStream::connect_timeout(&address, Duration::from_millis(300));
        ensure!(silent.is_err(), "the namespace is not cut off");
        agent.call("DELETE", "/v1/injections/i-1", &Value::Null)?;
        agent.wait_for_state("i-1", "reverted")?;
        TcpStream::connect_timeout(&address, PATIENCE)?;
        Ok(Possible::Yes)
    })
}
