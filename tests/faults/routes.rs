//! Faults on a route of the proxy: the victim is its client.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use firedrill_testing::{Agent, Peer, Upstream, get, programs};
use serde_json::{Value, json};

use crate::{Row, Scene, Seen};

pub const HTTP: Row = Row {
    fault: "",
    form: "",
    needs: &[],
    counter: Some("delayed"),
    is_one_shot: false,
    set: || anyhow::bail!("a row of its own"),
};

const TCP: Row = Row {
    counter: Some("seen"),
    ..HTTP
};

pub const ROWS: &[Row] = &[
    Row {
        fault: "http.latency",
        set: || http(json!({ "delay": "300ms" }), slow),
        ..HTTP
    },
    Row {
        fault: "http.status",
        counter: Some("answered"),
        set: || {
            http(json!({ "code": 503 }), |route| {
                Ok(is_hit(get(route, "/", WAIT)?.status == 503))
            })
        },
        ..HTTP
    },
    Row {
        fault: "tcp.latency",
        set: || tcp(json!({ "delay": "300ms" }), slow),
        ..TCP
    },
    Row {
        fault: "tcp.bandwidth",
        set: || tcp(json!({ "rate": "200B/s" }), slow),
        ..TCP
    },
    Row {
        fault: "tcp.refuse",
        counter: None,
        set: refuse,
        ..TCP
    },
    Row {
        fault: "tcp.refuse",
        form: "counted",
        needs: &[Peer::Root],
        counter: Some("connects_refused"),
        set: refuse,
        ..TCP
    },
    Row {
        fault: "tcp.cut",
        counter: Some("connections_cut"),
        is_one_shot: true,
        set: cut,
        ..TCP
    },
];

/// No answer takes that long.
pub const WAIT: Duration = Duration::from_secs(5);

pub fn is_hit(hit: bool) -> Seen {
    if hit { Seen::Hit } else { Seen::Healthy }
}

fn refuse() -> anyhow::Result<Scene> {
    tcp(json!({}), |route| Ok(is_hit(get(route, "/", WAIT).is_err())))
}

fn slow(route: SocketAddr) -> anyhow::Result<Seen> {
    let began = Instant::now();
    let answer = get(route, "/", WAIT)?;
    anyhow::ensure!(answer.status == 200, "{}", answer.status);
    Ok(is_hit(began.elapsed() >= Duration::from_millis(250)))
}

pub fn http(parameters: Value, look: fn(SocketAddr) -> anyhow::Result<Seen>) -> anyhow::Result<Scene> {
    let upstream = Upstream::start()?;
    let agent = Agent::build(programs!())
        .http_route("web", upstream.address())?
        .start()?;
    on_route(agent, parameters, upstream, look)
}

fn tcp(parameters: Value, look: fn(SocketAddr) -> anyhow::Result<Seen>) -> anyhow::Result<Scene> {
    let upstream = Upstream::start()?;
    let agent = Agent::build(programs!())
        .tcp_route("web", upstream.address())?
        .start()?;
    on_route(agent, parameters, upstream, look)
}

pub fn on_route(
    agent: Agent,
    parameters: Value,
    upstream: Upstream,
    look: fn(SocketAddr) -> anyhow::Result<Seen>,
) -> anyhow::Result<Scene> {
    let route = agent.route("web")?;
    Ok(Scene {
        agent,
        parameters,
        scope: json!({ "route": "web" }),
        look: Box::new(move || {
            // Ends with the scene.
            let _upstream = &upstream;
            look(route)
        }),
    })
}

/// A connection that is open goes on until it is cut.
fn cut() -> anyhow::Result<Scene> {
    let upstream = Upstream::start()?;
    let agent = Agent::build(programs!())
        .tcp_route("web", upstream.address())?
        .start()?;
    let mut open = TcpStream::connect(agent.route("web")?)?;
    open.set_read_timeout(Some(WAIT))?;
    Ok(Scene {
        agent,
        parameters: json!({}),
        scope: json!({ "route": "web" }),
        look: Box::new(move || {
            let _upstream = &upstream;
            let mut answer = [0; 1024];
            let asked = open.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n");
            let read = asked.and_then(|()| open.read(&mut answer));
            Ok(is_hit(!matches!(read, Ok(1..))))
        }),
    })
}
