//! TLS, roles, the host's policy, limits: who may do what, and what a crowd cannot hold up.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use firedrill_agent::config::Config;
use firedrill_trust::{Fingerprint, Join, wrong_pin};
use serde_json::{Value, json};

use crate::client::Client;
use crate::rig::{Drill, Process, Rig, Victim, agent, opening, until};

pub const TESTS: &[(&str, fn())] = &[
    (
        "with_tls_both_doors_speak_nothing_else",
        with_tls_both_doors_speak_nothing_else,
    ),
    (
        "off_loopback_there_is_no_door_without_tls",
        off_loopback_there_is_no_door_without_tls,
    ),
    (
        "an_observer_reads_and_does_nothing_else",
        an_observer_reads_and_does_nothing_else,
    ),
    ("the_policy_refuses_and_says_why", the_policy_refuses_and_says_why),
    (
        "commands_are_the_hosts_and_run_once",
        commands_are_the_hosts_and_run_once,
    ),
    (
        "a_broken_policy_allows_nothing_and_is_read_again",
        a_broken_policy_allows_nothing_and_is_read_again,
    ),
    (
        "too_many_requests_are_refused_but_never_an_abort",
        too_many_requests_are_refused_but_never_an_abort,
    ),
    (
        "strangers_lose_their_connection_and_tokens_never_do",
        strangers_lose_their_connection_and_tokens_never_do,
    ),
    (
        "slow_callers_at_both_doors_do_not_hold_an_abort",
        slow_callers_at_both_doors_do_not_hold_an_abort,
    ),
    (
        "the_audit_log_says_who_asked_and_from_where",
        the_audit_log_says_who_asked_and_from_where,
    ),
    ("a_join_string_lets_a_console_in", a_join_string_lets_a_console_in),
    (
        "abort_on_the_host_goes_over_tls_when_the_socket_is_gone",
        abort_on_the_host_goes_over_tls_when_the_socket_is_gone,
    ),
];

fn with_tls(config: Config) -> Config {
    Config { tls: true, ..config }
}

/// Whether somebody who speaks no TLS is answered at all.
fn answers_plain(address: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    stream
        .write_all(format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes())
        .unwrap();
    let mut answer = Vec::new();
    // An alert, or the end.
    stream.read_to_end(&mut answer).ok();
    answer.starts_with(b"HTTP")
}

fn with_tls_both_doors_speak_nothing_else() {
    let mut rig = Rig::with(with_tls);
    let token = rig.token();
    for door in [rig.ready().listen, rig.ready().abort_listen] {
        assert_eq!(
            rig.tls(door, &token).get("/v1/agent").expect(200)["latch"],
            Value::Null
        );
        assert!(!answers_plain(door));
        let other = Fingerprint::of(b"another certificate");
        let refused = Client::tls(door, &token, other).err().unwrap();
        assert_eq!(
            wrong_pin(&refused).unwrap().shown,
            rig.ready().fingerprint.unwrap()
        );
        // TLS does not make any name good.
        let mut client = rig.tls(door, &token);
        client.host = format!("evil.example:{}", door.port());
        client.get("/v1/agent").expect(403);
    }
    let mut drill = Drill::open(rig.tls(rig.ready().listen, &token), "d1");
    drill.start("i1", "noop", Value::Null, json!({}));
    let lines = rig
        .tls(rig.ready().abort_listen, &rig.secret("abort-token"))
        .abort(&json!({}));
    assert_eq!(lines.last().unwrap()["clean"], true);
    // The certificate outlives the agent's life: consoles need no new join string.
    let before = rig.ready().fingerprint;
    rig.stop();
    rig.running = Some(firedrill_agent::server::start(with_tls(rig.config())).unwrap());
    assert_eq!(rig.ready().fingerprint, before);
}

fn off_loopback_there_is_no_door_without_tls() {
    let rig = Rig::with(|config| Config {
        listen: "0.0.0.0:0".parse().unwrap(),
        dns_names: vec!["payments-1.internal".to_owned()],
        ..config
    });
    let token = rig.token();
    for mut door in [rig.ready().listen, rig.ready().abort_listen] {
        door.set_ip([127, 0, 0, 1].into());
        assert!(!answers_plain(door));
        let mut client = rig.tls(door, &token);
        for (host, status) in [
            ("127.0.0.1", 200),
            ("10.0.0.7", 200),
            ("payments-1.internal", 200),
            ("evil.example", 403),
        ] {
            client.host = format!("{host}:{}", door.port());
            client.get("/v1/agent").expect(status);
        }
    }
    assert!(rig.ready().fingerprint.is_some());
}

fn an_observer_reads_and_does_nothing_else() {
    let rig = Rig::new();
    let mut drill = Drill::open(rig.client(), "d1");
    drill.start("i1", "noop", Value::Null, json!({}));
    let mut observer = Client::new(rig.ready().listen, &rig.secret("observer-token"));
    for path in ["/v1/agent", "/v1/injections", "/v1/injections/i1"] {
        observer.get(path).expect(200);
    }
    assert_eq!(observer.get("/metrics").status, 200);
    let start = drill.body("noop", Value::Null, json!({}));
    for (method, path, body) in [
        ("POST", "/v1/drills", opening("d2", 60_000)),
        ("POST", "/v1/preview", json!({ "fault": "noop" })),
        ("PUT", "/v1/injections/i2", start),
        ("PATCH", "/v1/injections/i1", json!({})),
        ("DELETE", "/v1/injections/i1", Value::Null),
        ("DELETE", "/v1/drills/1", Value::Null),
        ("POST", "/v1/abort", json!({})),
        (
            "POST",
            "/v1/release",
            json!({ "latch": 1, "reason": "r", "who": "w" }),
        ),
        (
            "POST",
            "/v1/drills/1/lease",
            json!({ "fence": drill.fence, "seen": 1 }),
        ),
    ] {
        let refusal = observer.call(method, path, &body).expect(403);
        assert!(
            refusal["title"].to_string().contains("may only read"),
            "{method} {path}: {refusal}"
        );
    }
    let mut second = Client::new(rig.ready().abort_listen, &rig.secret("observer-token"));
    second.call("POST", "/v1/abort", &json!({})).expect(403);
    assert_eq!(drill.view("i1")["state"], "active");
    assert_eq!(observer.get("/v1/agent").expect(200)["latch"], Value::Null);
}

const POLICY: &str = "faults = [\"cpu.burn\"]\nlongest = \"1m\"\n[strongest.\"cpu.burn\"]\nload = \"50%\"\n";

fn the_policy_refuses_and_says_why() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("policy.toml");
    std::fs::write(&file, POLICY).unwrap();
    let rig = Rig::with(|config| Config {
        policy: Some(file.clone()),
        ..config
    });
    let info = rig.client().get("/v1/agent").expect(200);
    assert_eq!(info["policy"]["file"], file.to_str().unwrap());
    assert!(info["policy"]["rules"].to_string().contains("longest: 1m"));
    let pause = info["faults"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "process.pause");
    assert_eq!(pause.unwrap()["available"], false);
    let victim = Victim::new();
    let mut drill = Drill::open(rig.client(), "d1");
    drill.start("i0", "noop", Value::Null, json!({}));
    let weak = json!({ "cores": 1, "load": "50%" });
    let mut too_long = drill.body("cpu.burn", weak.clone(), json!({}));
    too_long["ends_in_ms"] = json!(60_001);
    for (words, body) in [
        ("longest", too_long),
        (
            "load",
            drill.body("cpu.burn", json!({ "cores": 1, "load": "51%" }), json!({})),
        ),
        (
            "faults",
            drill.body("process.pause", Value::Null, json!({ "pid": victim.pid() })),
        ),
    ] {
        let refusal = drill.client.call("PUT", "/v1/injections/i1", &body).expect(403);
        assert!(
            refusal["detail"].to_string().contains(words)
                && refusal["remedy"].to_string().contains("policy.toml"),
            "{refusal}"
        );
    }
    // What the policy allows is on as it was asked for, not a bit less; and it cannot grow past it.
    let view = drill.start("i1", "cpu.burn", weak.clone(), json!({}));
    assert_eq!(view["parameters"], weak);
    let change = json!({
        "fence": drill.fence, "revision": 1, "not_after": u64::MAX, "parameters": { "cores": 1, "load": "60%" },
    });
    let refusal = drill
        .client
        .call("PATCH", "/v1/injections/i1", &change)
        .expect(403);
    assert!(refusal["detail"].to_string().contains("load"), "{refusal}");
    assert_eq!(drill.view("i1")["parameters"], weak);
    let preview = json!({ "fault": "cpu.burn", "parameters": { "cores": 1, "load": "100%" }, "scope": {} });
    drill.client.call("POST", "/v1/preview", &preview).expect(403);
    until("the audit log tells it", || {
        rig.audit().contains("refused 403").then_some(())
    });
}

fn commands_are_the_hosts_and_run_once() {
    let temp = tempfile::tempdir().unwrap();
    let (file, ran) = (temp.path().join("policy.toml"), temp.path().join("ran"));
    let text = format!(
        "[command.note]\nprogram = \"/bin/sh\"\narguments = [\"-c\", \"echo $0 $1 >> {}; echo done; exit 3\", \"a b\", \"; true\"]\n\
         [command.slow]\nprogram = \"/bin/sleep\"\narguments = [\"1000\"]\nwithin = \"100ms\"\n\
         [command.gone]\nprogram = \"/nowhere/program\"\n[who.operator]\n",
        ran.display()
    );
    std::fs::write(&file, text).unwrap();
    let rig = Rig::with(|config| Config {
        policy: Some(file.clone()),
        ..config
    });
    let mut client = rig.client();
    let info = client.get("/v1/agent").expect(200);
    assert_eq!(info["commands"], json!(["gone", "note", "slow"]));
    let body = json!({ "request": "r1", "drill": "d1", "who": "ada" });
    // By a latched agent too, with no drill open: it is for emergencies.
    client.abort(&json!({ "latch": true, "reason": "test" }));
    let done = client.call("POST", "/v1/actions/note", &body).expect(200);
    assert_eq!(
        (&done["exit"], &done["output"], &done["timed_out"]),
        (&json!(3), &json!("done\n"), &json!(false)),
        "{done}"
    );
    assert!(done["ms"].is_u64() && done["instance"] == info["instance"]);
    let again = client.call("POST", "/v1/actions/note", &body).expect(200);
    assert_eq!(again["ms"], done["ms"]);
    assert_eq!(std::fs::read_to_string(&ran).unwrap(), "a b ; true\n");
    let slow = client
        .call("POST", "/v1/actions/slow", &json!({ "request": "r2" }))
        .expect(200);
    assert!(slow["timed_out"] == true && slow["exit"] == Value::Null, "{slow}");

    for (path, body, status, words) in [
        (
            "note",
            json!({ "request": "r3", "arguments": ["x"] }),
            400,
            "arguments",
        ),
        ("note", json!({}), 400, "request"),
        ("slow", json!({ "request": "r1" }), 409, "it ran note"),
        ("other", json!({ "request": "r4" }), 403, "[command.other]"),
        ("gone", json!({ "request": "r5" }), 422, "/nowhere/program"),
    ] {
        let refusal = client
            .call("POST", &format!("/v1/actions/{path}"), &body)
            .expect(status);
        assert!(refusal.to_string().contains(words), "{path}: {refusal}");
    }
    // Operators alone, those that the policy names alone, and not by the listener that is for aborts.
    let body = json!({ "request": "r6" });
    for token in ["observer-token", "abort-token"] {
        let mut other = Client::new(rig.ready().listen, &rig.secret(token));
        other.call("POST", "/v1/actions/note", &body).expect(403);
    }
    rig.second().call("POST", "/v1/actions/note", &body).expect(404);
    let named = std::fs::read_to_string(&file)
        .unwrap()
        .replace("who.operator", "who.ada");
    std::fs::write(&file, named).unwrap();
    rig.running.as_ref().unwrap().reload();
    let refusal = client.call("POST", "/v1/actions/note", &body).expect(403);
    assert!(
        refusal["title"].to_string().contains("not this person"),
        "{refusal}"
    );
    assert_eq!(std::fs::read_to_string(&ran).unwrap().lines().count(), 1);
    until("the audit log tells it", || {
        let audit = rig.audit();
        let told = [
            "action note begins for operator: d1, ada",
            "action note: exit code 3 after",
            "action slow: ended by its time limit",
            "refused 403: action",
        ];
        told.iter().all(|words| audit.contains(words)).then_some(())
    });
}

fn a_broken_policy_allows_nothing_and_is_read_again() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("policy.toml");
    std::fs::write(&file, "fautls = []").unwrap();
    let rig = Rig::with(|config| Config {
        policy: Some(file.clone()),
        ..config
    });
    let info = rig.client().get("/v1/agent").expect(200);
    assert!(info["policy"]["broken"].to_string().contains("fautls"), "{info}");
    let mut drill = Drill::open(rig.client(), "d1");
    let body = drill.body("noop", Value::Null, json!({}));
    let refusal = drill.client.call("PUT", "/v1/injections/i1", &body).expect(403);
    assert!(refusal["detail"].to_string().contains("fautls"), "{refusal}");
    std::fs::write(&file, POLICY).unwrap();
    rig.running.as_ref().unwrap().reload();
    drill.start("i1", "noop", Value::Null, json!({}));
    // Lost again: what is on stays on, and can be taken back.
    std::fs::remove_file(&file).unwrap();
    rig.running.as_ref().unwrap().reload();
    drill.client.call("PUT", "/v1/injections/i2", &body).expect(403);
    assert_eq!(drill.view("i1")["state"], "active");
    assert_eq!(
        drill.client.delete("/v1/injections/i1").expect(200)["state"],
        "reverted"
    );
}

fn too_many_requests_are_refused_but_never_an_abort() {
    let rig = Rig::new();
    let mut client = rig.client();
    let refused = (0..20_000).find(|_| client.get("/v1/injections/none").status == 429);
    assert!(refused.is_some());
    let mut starts = rig.client();
    let refused = (0..20_000).find(|_| {
        starts
            .call("POST", "/v1/preview", &json!({ "fault": "noop" }))
            .status
            == 429
    });
    assert!(refused.is_some());
    // One caller's haste is not another's.
    let mut observer = Client::new(rig.ready().listen, &rig.secret("observer-token"));
    observer.get("/v1/agent").expect(200);
    for _ in 0..50 {
        let lines = client.abort(&json!({ "latch": false }));
        assert_eq!(lines.last().unwrap()["clean"], true);
    }
    rig.second().get("/v1/agent").expect(200);
}

fn strangers_lose_their_connection_and_tokens_never_do() {
    let rig = Rig::new();
    let entry = format!("authorization: Bearer {}\r\n", rig.secret("abort-token"));
    for door in [rig.ready().listen, rig.ready().abort_listen] {
        // So many requests on one connection, and how many were answered before its end.
        let answered = |line: &str, head: &str, count: usize| {
            let mut stream = TcpStream::connect(door).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
            let request = format!("{line} HTTP/1.1\r\nhost: {door}\r\n{head}content-length: 0\r\n\r\n");
            let mut buffer = [0_u8; 16 * 1024];
            (0..count)
                .take_while(|_| {
                    stream.write_all(request.as_bytes()).is_ok()
                        && stream.read(&mut buffer).is_ok_and(|read| read > 0)
                })
                .count()
        };
        for (line, head) in [
            ("GET /v1/agent", ""),
            ("POST /v1/abort", "authorization: Bearer wrong\r\n"),
            ("GET /healthz", ""),
        ] {
            let count = answered(line, head, 20_000);
            assert!((400..20_000).contains(&count), "{line}: {count}");
        }
        assert_eq!(answered("GET /v1/agent", &entry, 800), 800);
        let mut caller = Client::new(door, &rig.secret("abort-token"));
        for _ in 0..100 {
            let lines = caller.abort(&json!({ "latch": false }));
            assert_eq!(lines.last().unwrap()["clean"], true);
        }
    }
}

fn slow_callers_at_both_doors_do_not_hold_an_abort() {
    let rig = Rig::with(with_tls);
    let token = rig.token();
    let mut drill = Drill::open(rig.tls(rig.ready().listen, &token), "d1");
    drill.start("i1", "noop", Value::Null, json!({}));
    let mut kept = rig.tls(rig.ready().abort_listen, &rig.secret("abort-token"));
    kept.get("/v1/agent").expect(200);
    // Some say nothing, some stop in the middle of a handshake.
    let slow = |address: SocketAddr, count: usize| -> Vec<TcpStream> {
        (0..count)
            .filter_map(|at| {
                let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(500)).ok()?;
                if at % 2 == 0 {
                    stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).ok()?;
                }
                Some(stream)
            })
            .collect()
    };
    let first = slow(rig.ready().listen, 500);
    let second = slow(rig.ready().abort_listen, 300);
    assert!(
        first.len() > 400 && second.len() > 200,
        "{} {}",
        first.len(),
        second.len()
    );
    let asked = Instant::now();
    let lines = kept.abort(&json!({}));
    assert_eq!(lines.last().unwrap()["clean"], true);
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    // Who comes only now gets in as well, at both doors.
    for door in [rig.ready().abort_listen, rig.ready().listen] {
        assert_eq!(
            rig.tls(door, &token).get("/v1/agent").expect(200)["latch"]["number"],
            1
        );
    }
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
}

fn the_audit_log_says_who_asked_and_from_where() {
    let rig = Rig::new();
    let ada = enroll(&rig, &["--operator", "ada"]);
    rig.running.as_ref().unwrap().reload();
    let mut drill = Drill::open(Client::new(rig.ready().listen, &ada.token), "d1");
    drill.start("i1", "noop", Value::Null, json!({}));
    Client::new(rig.ready().abort_listen, &ada.abort_token).abort(&json!({}));
    let mut client = rig.client();
    client
        .call(
            "POST",
            "/v1/release",
            &json!({ "latch": 1, "reason": "r", "who": "w" }),
        )
        .expect(200);
    until("the audit log tells all of it", || {
        let audit = rig.audit();
        let all = [
            "ada from 127.0.0.1:",
            ": POST /v1/drills",
            ": PUT /v1/injections/i1",
            "abort token from 127.0.0.1:",
            ": POST /v1/abort",
            "operator from 127.0.0.1:",
            ": POST /v1/release",
        ];
        all.iter().all(|words| audit.contains(words)).then_some(())
    });
    let audit = rig.audit();
    for secret in [&ada.token, &ada.abort_token, &rig.token()] {
        assert!(!audit.contains(secret.trim()));
    }
}

/// What `firedrill-agent enroll` prints.
fn enroll(rig: &Rig, extra: &[&str]) -> Join {
    let output = agent(&["enroll", "--state", rig.state.to_str().unwrap()])
        .args(extra)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().parse().unwrap()
}

fn a_join_string_lets_a_console_in() {
    let rig = Rig::with(with_tls);
    let join = enroll(&rig, &[]);
    let listen = rig.ready().listen;
    assert_eq!(
        (join.url(), join.abort_port),
        (format!("https://{listen}"), rig.ready().abort_listen.port())
    );
    let mut client = Client::tls(listen, &join.token, join.pin.unwrap()).unwrap();
    client
        .call("POST", "/v1/drills", &opening("d1", 60_000))
        .expect(200);
    let observer = enroll(&rig, &["--observer"]);
    assert_eq!(observer.token, rig.secret("observer-token"));
    assert_eq!(observer.abort_token, join.abort_token);
    // A name that the agent would not answer to is not printed.
    let output = agent(&[
        "enroll",
        "--state",
        rig.state.to_str().unwrap(),
        "--address",
        "elsewhere.example",
    ])
    .output()
    .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("--dns-name"), "{said}");
}

fn abort_on_the_host_goes_over_tls_when_the_socket_is_gone() {
    let temp = tempfile::tempdir().unwrap();
    let state = temp.path().join("state");
    let process = Process::start_with(&state, &["--tls"]);
    let pin = process.ready["fingerprint"].as_str().unwrap().parse().unwrap();
    let client = Client::tls(process.listen, process.token.trim(), pin).unwrap();
    let mut drill = Drill::open(client, "d1");
    drill.start("i1", "noop", Value::Null, json!({}));
    std::fs::remove_file(state.join("agent.sock")).unwrap();
    let output = agent(&["abort", "--state", state.to_str().unwrap()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("\"clean\":true"),
        "{said} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(drill.client.get("/v1/agent").expect(200)["latch"]["number"], 1);
}
