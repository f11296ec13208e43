//! Faults on requests through a route of the proxy: the victim is its client.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use firedrill_testing::{Agent, Upstream, get, programs, request};
use serde_json::json;

use crate::routes::{HTTP, WAIT, http, is_hit, on_route};
use crate::{Row, Scene, Seen};

pub const ROWS: &[Row] = &[
    Row {
        fault: "http.reset",
        counter: Some("reset"),
        set: || http(json!({}), reset),
        ..HTTP
    },
    Row {
        fault: "http.headers",
        counter: Some("changed"),
        set: || {
            http(json!({ "set": "x-plan: gold" }), |route| {
                Ok(is_hit(get(route, "/", WAIT)?.header("x-plan") == Some("gold")))
            })
        },
        ..HTTP
    },
    Row {
        fault: "http.body",
        form: "replaced",
        counter: Some("changed"),
        set: || {
            http(json!({ "how": "replace", "text": "sold out" }), |route| {
                Ok(is_hit(get(route, "/", WAIT)?.body == "sold out"))
            })
        },
        ..HTTP
    },
    Row {
        fault: "http.body",
        form: "corrupted",
        counter: Some("changed"),
        set: || {
            http(json!({ "how": "corrupt" }), |route| {
                let body = get(route, "/", WAIT)?.body;
                anyhow::ensure!(body.len() == 2, "{body}");
                Ok(is_hit(body != "ok"))
            })
        },
        ..HTTP
    },
    Row {
        fault: "http.truncate",
        counter: Some("truncated"),
        set: || http(json!({ "bytes": 1 }), broken_off),
        ..HTTP
    },
    Row {
        fault: "http.slow_body",
        set: || {
            let upstream = Upstream::answering("text/plain", LONG)?;
            let agent = Agent::build(programs!())
                .http_route("web", upstream.address())?
                .start()?;
            on_route(agent, json!({ "rate": "200B/s" }), upstream, |route| {
                let began = Instant::now();
                let answer = get(route, "/", WAIT)?;
                anyhow::ensure!(answer.body == LONG, "{}", answer.body);
                Ok(is_hit(began.elapsed() >= Duration::from_millis(400)))
            })
        },
        ..HTTP
    },
    Row {
        fault: "http.lose",
        counter: Some("lost"),
        set: lose,
        ..HTTP
    },
];

/// 100 bytes.
const LONG: &str =
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";

/// What comes of a request, and how it ends.
fn raw(route: SocketAddr) -> anyhow::Result<(String, Option<ErrorKind>)> {
    let mut stream = TcpStream::connect(route)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer).err().map(|error| error.kind());
    Ok((String::from_utf8(answer)?, end))
}

fn reset(route: SocketAddr) -> anyhow::Result<Seen> {
    let (answer, end) = raw(route)?;
    match end {
        Some(ErrorKind::ConnectionReset) if answer.is_empty() => Ok(Seen::Hit),
        None if answer.ends_with("ok") => Ok(Seen::Healthy),
        other => anyhow::bail!("\"{answer}\", {other:?}"),
    }
}

fn broken_off(route: SocketAddr) -> anyhow::Result<Seen> {
    let (answer, _) = raw(route)?;
    anyhow::ensure!(answer.to_lowercase().contains("content-length: 2"), "{answer}");
    match answer.split_once("\r\n\r\n") {
        Some((_, "o")) => Ok(Seen::Hit),
        Some((_, "ok")) => Ok(Seen::Healthy),
        _ => anyhow::bail!("\"{answer}\""),
    }
}

/// The client is told that its order was taken, and the service has never heard of it.
fn lose() -> anyhow::Result<Scene> {
    let orders = Arc::new(AtomicUsize::new(0));
    let taken = Arc::clone(&orders);
    let upstream = Upstream::serving("text/plain", move |_| {
        taken.fetch_add(1, Ordering::SeqCst);
        "taken".to_owned()
    })?;
    let agent = Agent::build(programs!())
        .http_route("web", upstream.address())?
        .start()?;
    let route = agent.route("web")?;
    Ok(Scene {
        agent,
        parameters: json!({ "body": "taken" }),
        scope: json!({ "route": "web" }),
        look: Box::new(move || {
            let _upstream = &upstream;
            let before = orders.load(Ordering::SeqCst);
            let answer = request(route, "POST", "/orders", &[], "one", WAIT)?.expect_status(200)?;
            anyhow::ensure!(answer.body == "taken", "{}", answer.body);
            Ok(is_hit(orders.load(Ordering::SeqCst) == before))
        }),
    })
}
