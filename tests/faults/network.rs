//! Faults on one service's network: the victim is a shell in a cgroup of its own, which says what it sees.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use firedrill_testing::{Agent, Cgroup, Folder, Peer, Process, Upstream, programs};
use serde_json::{Value, json};

use crate::routes::is_hit;
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
        fault: "network.refuse",
        counter: Some("connects_refused"),
        set: || connecting(|port| json!({ "port": port })),
        ..ROW
    },
    Row {
        fault: "network.reset",
        counter: Some("connections_reset"),
        is_one_shot: true,
        set: connected,
        ..ROW
    },
    Row {
        fault: "network.loss",
        counter: Some("packets_dropped"),
        set: || connecting(|port| json!({ "share": "100%", "port": port, "direction": "in" })),
        ..ROW
    },
    Row {
        fault: "network.partition",
        counter: Some("packets_dropped"),
        set: || connecting(|port| json!({ "port": port, "peer": "127.0.0.1" })),
        ..ROW
    },
    Row {
        fault: "dns.hijack",
        counter: Some("queries_answered"),
        set: || asking(json!({ "names": "a.b", "answer": "10.9.9.9" })),
        ..ROW
    },
    Row {
        fault: "dns.fail",
        form: "with NXDOMAIN",
        counter: Some("queries_answered"),
        set: || asking(json!({ "names": "*", "how": "nxdomain" })),
        ..ROW
    },
    Row {
        fault: "dns.fail",
        form: "with SERVFAIL",
        counter: Some("queries_answered"),
        set: || asking(json!({ "names": "*", "how": "servfail" })),
        ..ROW
    },
    Row {
        fault: "dns.fail",
        form: "without an answer",
        counter: Some("queries_unanswered"),
        set: || asking(json!({ "names": "*", "how": "timeout" })),
        ..ROW
    },
    Row {
        fault: "tls.fail",
        form: "by an alert",
        counter: Some("handshakes_failed"),
        set: || shaking_hands("alert"),
        ..ROW
    },
    Row {
        fault: "tls.fail",
        form: "by a reset",
        counter: Some("handshakes_failed"),
        set: || shaking_hands("reset"),
        ..ROW
    },
    Row {
        fault: "tls.fail",
        form: "by silence",
        counter: Some("client_hellos_dropped"),
        set: || shaking_hands("hang"),
        ..ROW
    },
    Row {
        fault: "http.status",
        form: "without a route",
        counter: Some("answered"),
        set: || calling(|port| json!({ "code": 503, "port": port })),
        ..ROW
    },
    Row {
        fault: "http.latency",
        form: "without a route",
        counter: Some("seen"),
        set: || calling(|port| json!({ "delay": "500ms", "port": port })),
        ..ROW
    },
    Row {
        fault: "tcp.latency",
        form: "without a route",
        counter: Some("delayed"),
        set: || calling(|port| json!({ "delay": "500ms", "port": port, "peer": "127.0.0.1" })),
        ..ROW
    },
];

/// How long the victim may say nothing before that counts as hit.
const SILENCE: Duration = Duration::from_millis(700);

/// A victim that runs `script` of bash; it says `healthy` again and again while it is.
fn victim(script: &str, parameters: Value, healthy: &'static str) -> anyhow::Result<Scene> {
    let command = |procs: &Path| {
        let mut command = Command::new("bash");
        command.args(["-c", &format!("echo $$ > {}; {script}", procs.display())]);
        Ok(command)
    };
    apart(command, parameters, move |said| Ok(is_hit(said != healthy)))
}

/// A victim in a cgroup of its own, which it joins by that file. What it says is seen for what it is; that it says
/// nothing is nothing.
pub fn apart(
    command: impl FnOnce(&Path) -> anyhow::Result<Command>,
    parameters: Value,
    seen: impl Fn(&str) -> anyhow::Result<Seen> + 'static,
) -> anyhow::Result<Scene> {
    apart_in(Cgroup::new("- -"), command, parameters, seen)
}

/// The same, in this cgroup.
pub fn apart_in(
    group: anyhow::Result<Cgroup>,
    command: impl FnOnce(&Path) -> anyhow::Result<Command>,
    parameters: Value,
    seen: impl Fn(&str) -> anyhow::Result<Seen> + 'static,
) -> anyhow::Result<Scene> {
    let agent = Agent::build(programs!()).start()?;
    let group = match group {
        Ok(group) => group,
        // Then the agent says so too.
        Err(error) => {
            return Ok(Scene {
                agent,
                parameters,
                scope: json!({}),
                look: Box::new(move || anyhow::bail!("there is no cgroup for a victim: {error:#}")),
            });
        }
    };
    let folder = Folder::new()?;
    let mut process = Process::start("victim", command(&group.procs())?, folder.path())?;
    Ok(Scene {
        agent,
        parameters,
        scope: json!({ "cgroup": group.name }),
        look: Box::new(move || {
            // Ended in this order.
            let _later = (&folder, &group);
            while process.line(Duration::ZERO).is_ok() {}
            seen(process.line(SILENCE).unwrap_or_default().trim())
        }),
    })
}

/// Something that accepts connections and says a letter on each after the first words.
fn server() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread(move || {
        for mut stream in listener.incoming().flatten() {
            let greeted = thread(move || {
                while stream.read(&mut [0; 64]).is_ok_and(|read| read > 0) {
                    stream.write_all(b"S").ok();
                }
            });
            greeted.ok();
        }
    })?;
    Ok(address)
}

fn thread(work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("server".to_owned())
        .spawn(work)
        .map(drop)
}

/// Connects again and again.
fn connecting(parameters: fn(u16) -> Value) -> anyhow::Result<Scene> {
    let port = server()?.port();
    let script = format!(
        "while :; do (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && echo ok || echo no; sleep 0.01; done"
    );
    victim(&script, parameters(port), "ok")
}

/// Holds one connection.
fn connected() -> anyhow::Result<Scene> {
    let port = server()?.port();
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{port}; while :; do read -t 0.02 <&3; [ $? -gt 128 ] && echo ok || {{ echo no; sleep 0.02; }}; done"
    );
    victim(&script, json!({ "port": port }), "ok")
}

/// Asks a resolver for `a.b`; it says the last four bytes of the answer, and how it ended.
fn asking(parameters: Value) -> anyhow::Result<Scene> {
    static RESOLVERS: AtomicU32 = AtomicU32::new(1);
    // Every process may have addresses of the loopback to itself.
    let [.., high, low] = std::process::id().to_be_bytes();
    let number = 78 + RESOLVERS.fetch_add(1, Ordering::Relaxed) as u8;
    let address = IpAddr::from([127, number, high, low]);
    let socket = UdpSocket::bind((address, 53)).with_context(|| format!("{address}:53"))?;
    thread(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            let mut answer = query[..length].to_vec();
            answer[2] = 0x81;
            answer[7] = 1;
            answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 1, 1, 1]);
            socket.send_to(&answer, from).ok();
        }
    })?;
    let query = r"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x01b\x00\x00\x01\x00\x01";
    let script = format!(
        "while :; do exec 3<>/dev/udp/{address}/53; printf '{query}' >&3; timeout 0.2 dd bs=512 count=1 status=none <&3 | od -An -v -tx1 -w512 | tail -c 13; exec 3>&-; sleep 0.01; done"
    );
    victim(&script, parameters, "0a 01 01 01")
}

/// Begins a handshake again and again, and says the first byte of the answer: the server's letter.
fn shaking_hands(how: &str) -> anyhow::Result<Scene> {
    let port = server()?.port();
    let hello = r"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00";
    let script = format!(
        "while :; do {{ exec 3<>/dev/tcp/127.0.0.1/{port}; printf '{hello}' >&3; timeout 0.2 dd bs=16 count=1 status=none <&3 | od -An -tx1; exec 3>&-; }} 2>/dev/null; sleep 0.01; done"
    );
    victim(&script, json!({ "how": how, "port": port }), "53")
}

/// Asks for a page again and again, each time on a new connection, and says the status that comes within 200 ms.
fn calling(parameters: fn(u16) -> Value) -> anyhow::Result<Scene> {
    let service = Upstream::start()?;
    let port = service.address().port();
    let request = r"GET / HTTP/1.1\r\nHost: shop\r\n\r\n";
    let script = format!(
        "while :; do {{ exec 3<>/dev/tcp/127.0.0.1/{port}; printf '{request}' >&3; read -t 0.2 -u 3 v code rest && echo $code; exec 3>&-; }} 2>/dev/null; sleep 0.01; done"
    );
    let mut scene = victim(&script, parameters(port), "200")?;
    let mut look = scene.look;
    scene.look = Box::new(move || {
        let _kept = &service;
        look()
    });
    Ok(scene)
}
