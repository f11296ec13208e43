//! What `load.http` sends, seen by a server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::rig::{Drill, Process, Rig, until};

pub const TESTS: &[(&str, fn())] = &[
    ("requests_come_at_their_rate", requests_come_at_their_rate),
    ("a_ramp_grows_to_the_full_rate", a_ramp_grows_to_the_full_rate),
    ("load_ends_with_the_agent", load_ends_with_the_agent),
    (
        "a_server_that_stands_still_is_seen_in_every_request",
        a_server_that_stands_still_is_seen,
    ),
    (
        "no_more_than_are_allowed_are_sent",
        no_more_than_are_allowed_are_sent,
    ),
    (
        "requests_come_over_tls_to_whom_is_trusted",
        requests_come_over_tls_to_whom_is_trusted,
    ),
];

/// Counts what comes, and answers each after a while.
struct Server {
    address: SocketAddr,
    seen: Arc<AtomicU64>,
    delay_ms: Arc<AtomicU64>,
}

impl Server {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let it = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            delay_ms: Arc::default(),
        };
        let (seen, delay_ms) = (Arc::clone(&it.seen), Arc::clone(&it.delay_ms));
        let accept = move || {
            for stream in listener.incoming() {
                let (stream, seen, delay_ms) = (stream.unwrap(), Arc::clone(&seen), Arc::clone(&delay_ms));
                let serve = move || drop(serve(stream, &seen, &delay_ms));
                std::thread::Builder::new()
                    .name("serve".to_owned())
                    .spawn(serve)
                    .unwrap();
            }
        };
        std::thread::Builder::new()
            .name("accept".to_owned())
            .spawn(accept)
            .unwrap();
        it
    }

    fn seen(&self) -> u64 {
        self.seen.load(Ordering::SeqCst)
    }

    fn url(&self) -> String {
        format!("http://{}/orders?x=1", self.address)
    }

    /// Requests per second over a while.
    fn rate(&self) -> f64 {
        let (began, before) = (Instant::now(), self.seen());
        std::thread::sleep(Duration::from_secs(2));
        (self.seen() - before) as f64 / began.elapsed().as_secs_f64()
    }
}

fn serve(stream: TcpStream, seen: &AtomicU64, delay_ms: &AtomicU64) -> std::io::Result<()> {
    let mut answers = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        while reader.read_line(&mut head)? > 2 {
            let line = head.lines().last().unwrap().to_ascii_lowercase();
            if let Some(bytes) = line.strip_prefix("content-length: ") {
                length = bytes.trim().parse().unwrap();
            }
        }
        if head.is_empty() {
            return Ok(());
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        seen.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(delay_ms.load(Ordering::SeqCst)));
        let is_right = head.starts_with("POST /orders?x=1 HTTP/1.1")
            && head.contains("x-shop: 7")
            && body == b"an order";
        let status = if is_right { "200 OK" } else { "400 Bad Request" };
        answers.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok").as_bytes())?;
    }
}

fn order(server: &Server, rate: u64) -> Value {
    json!({ "url": server.url(), "rate": rate, "method": "POST", "headers": "X-Shop: 7", "body": "an order" })
}

fn change(drill: &mut Drill, revision: u32, parameters: Value) -> crate::client::Response {
    let change = json!({
        "fence": drill.fence, "revision": revision, "not_after": u64::MAX, "parameters": parameters,
    });
    drill.client.call("PATCH", "/v1/injections/i1", &change)
}

fn count(drill: &mut Drill, name: &str) -> f64 {
    drill.view("i1")["evidence"]["counts"][name]
        .as_f64()
        .unwrap_or(0.0)
}

fn requests_come_at_their_rate() {
    let (rig, server) = (Rig::new(), Server::new());
    let mut drill = Drill::open(rig.client(), "d1");
    drill.start("i1", "load.http", order(&server, 50), json!({}));
    until("requests come", || (server.seen() > 3).then_some(()));
    let slow = server.rate();
    assert!((35.0..65.0).contains(&slow), "{slow} a second");
    change(&mut drill, 1, order(&server, 200)).expect(200);
    let fast = server.rate();
    assert!((140.0..260.0).contains(&fast), "{fast} a second");
    until("the evidence tells it", || {
        (count(&mut drill, "answered_2xx") > 200.0).then_some(())
    });
    assert!(count(&mut drill, "p50_ms") > 0.0);
    let gone = drill.client.delete("/v1/injections/i1").expect(200);
    assert_eq!(gone["state"], "reverted", "{gone}");
    let counts = &gone["evidence"]["counts"];
    assert!(counts["requests_sent"].as_f64().unwrap() > 200.0, "{gone}");
    assert_eq!(
        (&counts["answered_4xx"], &counts["failed"]),
        (&json!(0.0), &json!(0.0)),
        "{gone}"
    );
    let last = server.seen();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(server.seen(), last, "it has ended");
}

/// The load does not grow by itself: its injection's thread tells it more and more.
fn a_ramp_grows_to_the_full_rate() {
    let (rig, server) = (Rig::new(), Server::new());
    let mut drill = Drill::open(rig.client(), "d1");
    let mut body = drill.body("load.http", order(&server, 200), json!({}));
    body["ramp_ms"] = json!(6_000);
    let began = Instant::now();
    drill.client.call("PUT", "/v1/injections/i1", &body).expect(200);
    // A sixth of it, on average.
    let growing = server.rate();
    std::thread::sleep(Duration::from_secs(6).saturating_sub(began.elapsed()));
    let full = server.rate();
    assert!((140.0..260.0).contains(&full), "{full} a second");
    assert!(
        growing < full / 2.0,
        "{growing} a second at first, {full} at last"
    );
}

fn load_ends_with_the_agent() {
    let (temp, server) = (tempfile::tempdir().unwrap(), Server::new());
    let mut process = Process::start(&temp.path().join("state"));
    let mut drill = Drill::open(process.client(), "d1");
    drill.start("i1", "load.http", order(&server, 100), json!({}));
    until("requests come", || (server.seen() > 3).then_some(()));
    process.signal(Signal::SIGKILL);
    process.child.wait().unwrap();
    until("none come any more", || {
        let before = server.seen();
        std::thread::sleep(Duration::from_millis(300));
        (server.seen() == before).then_some(())
    });
}

/// With one at a time and a server that takes 100 ms, a closed loop would tell of 100 ms each.
fn a_server_that_stands_still_is_seen() {
    let (rig, server) = (Rig::new(), Server::new());
    let mut drill = Drill::open(rig.client(), "d1");
    let mut asked = order(&server, 100);
    asked["in_flight"] = json!(4);
    server.delay_ms.store(200, Ordering::SeqCst);
    drill.start("i1", "load.http", asked.clone(), json!({}));
    until("what could not be sent is told", || {
        (count(&mut drill, "given_up") > 50.0).then_some(())
    });
    assert!(count(&mut drill, "p50_ms") > 150.0);
    assert_eq!(drill.view("i1")["state"], "active");
    // Nobody is there: that is told too.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut other = asked;
    other["url"] = json!(format!("http://{nobody}/"));
    drill.start("i2", "load.http", other, json!({}));
    until("failures are told", || {
        let view = drill.view("i2");
        (view["evidence"]["counts"]["failed"].as_f64()? > 5.0).then_some(())
    });
}

fn no_more_than_are_allowed_are_sent() {
    let (rig, server) = (Rig::new(), Server::new());
    let mut drill = Drill::open(rig.client(), "d1");
    let mut asked = order(&server, 500);
    asked["total"] = json!(20);
    drill.start("i1", "load.http", asked, json!({}));
    until("all have come", || (server.seen() == 20).then_some(()));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(server.seen(), 20);
    let body = drill.body(
        "load.http",
        json!({ "url": "ftp://127.0.0.1/", "rate": 1 }),
        json!({}),
    );
    drill.client.call("PUT", "/v1/injections/i2", &body).expect(400);
}

/// The server's own certificate is trusted by a file; without that nobody is sent anything.
fn requests_come_over_tls_to_whom_is_trusted() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(firedrill_trust::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&seen);
    let serve = move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::Stream::new(&mut tls, &mut stream);
            let mut head = [0; 512];
            // One request a connection; whoever does not trust sends none.
            if stream
                .read(&mut head)
                .is_ok_and(|read| head[..read].starts_with(b"GET /orders"))
            {
                counted.fetch_add(1, Ordering::SeqCst);
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                stream.write_all(answer).ok();
            }
        }
    };
    std::thread::Builder::new()
        .name("tls".to_owned())
        .spawn(serve)
        .unwrap();
    let rig = Rig::new();
    let ca = rig.state.join("ca.pem");
    std::fs::write(&ca, made.cert.pem()).unwrap();
    let mut drill = Drill::open(rig.client(), "d1");
    let url = format!("https://127.0.0.1:{port}/orders");
    let trusted = json!({ "url": url, "rate": 20, "ca": ca });
    drill.start("i1", "load.http", trusted, json!({}));
    until("they are answered", || {
        (count(&mut drill, "answered_2xx") >= 3.0).then_some(())
    });
    drill.client.delete("/v1/injections/i1").expect(200);
    let before = seen.load(Ordering::SeqCst);
    assert!(before >= 3, "{before}");

    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&ca, other.cert.pem()).unwrap();
    let body = drill.body(
        "load.http",
        json!({ "url": url, "rate": 20, "ca": ca }),
        json!({}),
    );
    drill.client.call("PUT", "/v1/injections/i2", &body).expect(200);
    until("they fail", || {
        let view = drill.view("i2");
        (view["evidence"]["counts"]["failed"].as_f64()? >= 3.0).then_some(())
    });
    assert_eq!(seen.load(Ordering::SeqCst), before, "nobody is sent anything");
}
