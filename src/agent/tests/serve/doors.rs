//! Who gets in, and what a crowd at the doors cannot hold up.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use firedrill_agent::config::Config;
use firedrill_agent::server;
use serde_json::{Value, json};

use crate::client::{Client, lines};
use crate::rig::{Drill, Rig, opening, until};

pub const TESTS: &[(&str, fn())] = &[
    ("no_token_no_entry", no_token_no_entry),
    ("the_abort_token_may_only_abort", the_abort_token_may_only_abort),
    ("other_host_names_are_refused", other_host_names_are_refused),
    ("bodies_are_json_and_small", bodies_are_json_and_small),
    (
        "the_second_door_knows_three_calls",
        the_second_door_knows_three_calls,
    ),
    (
        "the_brief_says_what_changes_and_nothing_else",
        the_brief_says_what_changes_and_nothing_else,
    ),
    (
        "a_crowd_at_the_first_door_does_not_hold_an_abort",
        a_crowd_at_the_first_door_does_not_hold_an_abort,
    ),
    (
        "silent_callers_lose_their_place_at_the_second_door",
        silent_callers_lose_their_place_at_the_second_door,
    ),
    (
        "both_versions_of_http_are_spoken",
        both_versions_of_http_are_spoken,
    ),
    ("a_taken_port_or_folder_is_named", a_taken_port_or_folder_is_named),
];

fn no_token_no_entry() {
    let rig = Rig::new();
    for door in [rig.ready().listen, rig.ready().abort_listen] {
        let mut client = Client::new(door, "wrong");
        let refusal = client.get("/v1/agent");
        assert_eq!(refusal.header("www-authenticate"), Some("Bearer"));
        refusal.expect(401);
        client.token = None;
        client.get("/v1/agent").expect(401);
        client.call("POST", "/v1/abort", &json!({})).expect(401);
        assert_eq!(client.get("/healthz").status, 200);
    }
    assert_eq!(rig.client().get("/v1/agent").expect(200)["latch"], Value::Null);
    until("the audit log tells it", || {
        rig.audit().contains("refused 401").then_some(())
    });
}

fn the_brief_says_what_changes_and_nothing_else() {
    let rig = Rig::new();
    let _drill = Drill::open(rig.client(), "d1");
    for mut client in [rig.client(), rig.second()] {
        let brief = client.get("/v1/agent?brief").expect(200);
        let whole = client.get("/v1/agent").expect(200);
        for field in ["agent", "instance", "protocol", "latch"] {
            assert_eq!(brief[field], whole[field], "{field}");
        }
        assert_eq!(brief["open"]["drill"], "d1");
        assert!(brief["faults"].is_null() && !whole["faults"].is_null());
    }
}

fn the_abort_token_may_only_abort() {
    let rig = Rig::new();
    let token = std::fs::read_to_string(rig.state.join("abort-token")).unwrap();
    let mut client = Client::new(rig.ready().listen, &token);
    client.get("/v1/agent").expect(200);
    client
        .call("POST", "/v1/drills", &opening("d1", 60_000))
        .expect(403);
    client.get("/v1/injections").expect(403);
    client
        .call(
            "POST",
            "/v1/release",
            &json!({ "latch": 1, "reason": "r", "who": "w" }),
        )
        .expect(403);
    assert_eq!(client.abort(&json!({}))[0]["latch"]["number"], 1);
}

fn other_host_names_are_refused() {
    let rig = Rig::new();
    let port = rig.ready().listen.port();
    let mut client = rig.client();
    for host in [
        format!("evil.example:{port}"),
        "127.0.0.1:1".to_owned(),
        "evil.example".to_owned(),
    ] {
        client.host = host;
        client.get("/v1/agent").expect(403);
        client
            .call("POST", "/v1/drills", &opening("d1", 60_000))
            .expect(403);
    }
    client.host = format!("localhost:{port}");
    client.get("/v1/agent").expect(200);
}

fn bodies_are_json_and_small() {
    let rig = Rig::new();
    let mut client = rig.client();
    let body = opening("d1", 60_000).to_string();
    client.send(
        "POST",
        "/v1/drills",
        "content-type: text/plain\r\n",
        body.as_bytes(),
    );
    client.answer().expect(400);
    client.send("POST", "/v1/drills", "", body.as_bytes());
    client.answer().expect(400);
    let mut large = opening("d1", 60_000);
    large["who"] = json!("x".repeat(65 * 1024));
    rig.client().call("POST", "/v1/drills", &large).expect(413);
    // Without a length beforehand.
    let mut client = rig.client();
    let chunk = "x".repeat(0x1000);
    let mut chunked = Vec::new();
    for _ in 0..17 {
        chunked.extend_from_slice(format!("1000\r\n{chunk}\r\n").as_bytes());
    }
    client.send_chunked("/v1/drills", &chunked);
    client.answer().expect(413);
    assert_eq!(rig.client().get("/v1/agent").expect(200)["open"], Value::Null);
}

fn the_second_door_knows_three_calls() {
    let rig = Rig::new();
    let mut second = rig.second();
    let info = second.get("/v1/agent").expect(200);
    assert_eq!(info["abort_port"], rig.ready().abort_listen.port());
    assert_eq!(
        (&info["protocol"], &info["labels"]["env"]),
        (&json!(1), &json!("test"))
    );
    assert!(
        info["faults"]
            .as_array()
            .unwrap()
            .iter()
            .any(|fault| fault["name"] == "noop")
    );
    second
        .call("POST", "/v1/drills", &opening("d1", 60_000))
        .expect(404);
    second.get("/v1/events").expect(404);
    second.get("/metrics").expect(404);
    assert_eq!(
        second.abort(&json!({ "latch": false })).last().unwrap()["line"],
        "end"
    );
}

fn a_crowd_at_the_first_door_does_not_hold_an_abort() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    drill.start("i1", "noop", Value::Null, json!({}));
    let mut second = rig.second();
    let mut late = rig.second();
    second.get("/healthz");
    // Every place is taken by a request that never ends, and more knock.
    let address = rig.ready().listen;
    let crowd: Vec<TcpStream> = (0..400)
        .filter_map(|_| {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(500)).ok()?;
            let head = format!(
                "POST /v1/drills HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{{",
                rig.token()
            );
            stream.write_all(head.as_bytes()).ok()?;
            Some(stream)
        })
        .collect();
    assert!(crowd.len() > 256);
    let asked = Instant::now();
    let lines = second.abort(&json!({}));
    assert_eq!(
        lines.last().unwrap(),
        &json!({ "line": "end", "clean": true, "tick": lines.last().unwrap()["tick"] })
    );
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    // A caller that comes only now gets in as well.
    assert_eq!(late.get("/v1/agent").expect(200)["latch"]["number"], 1);
}

fn silent_callers_lose_their_place_at_the_second_door() {
    let rig = Rig::new();
    let known = {
        let mut client = rig.second();
        client.get("/v1/agent").expect(200);
        client
    };
    let crowd: Vec<TcpStream> = (0..200)
        .map(|_| TcpStream::connect(rig.ready().abort_listen).unwrap())
        .collect();
    let asked = Instant::now();
    rig.second().get("/v1/agent").expect(200);
    // Who had shown a token kept the place.
    let mut known = known;
    assert_eq!(known.abort(&json!({})).last().unwrap()["line"], "end");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    // The oldest of the silent ones were closed at once.
    let mut first = &crowd[0];
    first.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    assert_eq!(first.read(&mut [0]).unwrap_or(0), 0);
}

fn both_versions_of_http_are_spoken() {
    let rig = Rig::new();
    let (address, token) = (rig.ready().listen, rig.token());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (version, status) = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        tokio::spawn(connection);
        let request = hyper::Request::get(format!("http://{address}/v1/agent"))
            .header("authorization", format!("Bearer {token}"))
            .body(http_body_util::Empty::<bytes::Bytes>::new())
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        (answer.version(), answer.status())
    });
    assert_eq!((version, status.as_u16()), (hyper::Version::HTTP_2, 200));
    let mut client = rig.client();
    client.send("POST", "/v1/abort", "", b"");
    assert_eq!(lines(&client.answer()).last().unwrap()["line"], "end");
}

fn a_taken_port_or_folder_is_named() {
    let rig = Rig::new();
    let refusal = format!(
        "{:#}",
        server::start(rig.config()).err().expect("the folder is taken")
    );
    assert!(
        refusal.contains("another agent") && refusal.contains("--state"),
        "{refusal}"
    );
    let temp = tempfile::tempdir().unwrap();
    let config = Config {
        listen: rig.ready().listen,
        state: temp.path().join("state"),
        ..rig.config()
    };
    let refusal = format!("{:#}", server::start(config).err().expect("the port is taken"));
    assert!(
        refusal.contains(&rig.ready().listen.to_string()) && refusal.contains("--listen"),
        "{refusal}"
    );
}
