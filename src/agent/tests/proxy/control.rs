//! The control connection: who may, what is refused, who is forgotten.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use firedrill_agent::proxy::protocol::{
    Answer, Command, Only, Outcome, RefusalKind, Reply, Request, RuleSpec, SetRule,
};
use firedrill_agent::proxy::{Config, Limits, ProxyError, serve};

use crate::rig::{PATIENCE, Rig, get, http_latency, new_rule, tcp_latency};

/// A control connection by hand.
struct Raw {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Raw {
    fn connect(folder: &Path) -> Self {
        let stream = UnixStream::connect(folder.join("proxy.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Self { stream, reader }
    }

    fn send(&mut self, line: &[u8]) {
        self.stream.write_all(line).unwrap();
        self.stream.write_all(b"\n").unwrap();
    }

    /// The next line; none at the end.
    fn receive(&mut self) -> Option<Reply> {
        let mut line = String::new();
        self.reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        Some(serde_json::from_str(&line).unwrap())
    }

    fn command(&mut self, command: Command) -> Outcome {
        self.send(&serde_json::to_vec(&Request { seq: 7, command }).unwrap());
        let reply = self.receive().unwrap();
        assert_eq!(reply.seq, 7);
        reply.outcome
    }
}

fn refused(error: Result<impl std::fmt::Debug, ProxyError>) -> RefusalKind {
    match error.unwrap_err() {
        ProxyError::Refused(refusal) => refusal.kind,
        other => panic!("{other}"),
    }
}

#[test]
fn lines_that_are_no_commands_are_refused_and_change_nothing() {
    let mut rig = Rig::new(Limits::default());
    rig.agent.take().unwrap().detach();
    let mut raw = Raw::connect(rig.folder.path());
    let lines: &[&[u8]] = &[
        b"",
        b"{}",
        b"\xff\xfe",
        b"[1,2]",
        br#"{"seq":1,"command":"explode"}"#,
        br#"{"seq":1,"command":{"remove":{"id":"x"}}}"#,
        br#"{"seq":1,"command":"ping","extra":1}"#,
        br#"{"seq":-1,"command":"ping"}"#,
    ];
    for line in lines {
        raw.send(line);
        match raw.receive().unwrap() {
            Reply {
                seq: 0,
                outcome: Outcome::Error(refusal),
            } => assert_eq!(refusal.kind, RefusalKind::Bad),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(raw.command(Command::Ping), Outcome::Ok(Answer::Done));
}

#[test]
fn a_line_without_end_closes_the_connection() {
    let mut rig = Rig::new(Limits::default());
    rig.agent.take().unwrap().detach();
    let mut raw = Raw::connect(rig.folder.path());
    // The proxy may close before it has taken all of it.
    drop(raw.stream.write_all(&vec![b'x'; 80 * 1024]));
    let last = std::iter::from_fn(|| raw.receive()).last();
    assert!(
        matches!(
            last,
            None | Some(Reply {
                outcome: Outcome::Error(_),
                ..
            })
        ),
        "{last:?}"
    );
    rig.attach();
}

#[test]
fn a_second_agent_is_turned_away() {
    let rig = Rig::new(Limits::default());
    let mut second = Raw::connect(rig.folder.path());
    match second.receive().unwrap().outcome {
        Outcome::Error(refusal) => assert_eq!(refusal.kind, RefusalKind::Busy),
        other @ Outcome::Ok(_) => panic!("{other:?}"),
    }
    assert!(second.receive().is_none());
    assert!(rig.client().ask().is_ok());
}

#[test]
fn a_second_proxy_does_not_take_the_place() {
    let rig = Rig::new(Limits::default());
    let config = Config {
        socket: rig.folder.path().join("proxy.sock"),
        routes: Vec::new(),
        orphan_exit: None,
        limits: Limits::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let error = runtime.block_on(serve(config)).unwrap_err();
    assert!(error.to_string().contains("another proxy"), "{error}");
    assert!(rig.client().ask().is_ok());
}

#[test]
fn the_socket_is_for_its_owner_only() {
    let rig = Rig::new(Limits::default());
    let mode = std::fs::metadata(rig.folder.path().join("proxy.sock"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_silent_agent_loses_its_rules() {
    let limits = Limits {
        silence: Duration::from_millis(300),
        ..Limits::default()
    };
    let mut rig = Rig::new(limits);
    let web = rig.address("web");
    rig.agent.take().unwrap().detach();
    let mut raw = Raw::connect(rig.folder.path());
    let set = raw.command(Command::Set(Box::new(new_rule(
        "i1",
        "web",
        http_latency(60_000),
    ))));
    assert!(matches!(set, Outcome::Ok(_)), "{set:?}");
    // Held by the rule until the proxy has had enough of the silence.
    assert_eq!(get(web, "/").status, 200);
    assert!(raw.receive().is_none());
}

#[test]
fn what_comes_late_or_twice_starts_nothing() {
    let rig = Rig::new(Limits::default());
    let client = rig.client();
    rig.set("i1", "web", http_latency(1));
    assert_eq!(
        refused(client.set(new_rule("i1", "web", http_latency(2)))),
        RefusalKind::Stale
    );
    rig.remove("i1");
    let late = SetRule {
        generation: 5,
        ..new_rule("i1", "web", http_latency(2))
    };
    assert_eq!(refused(client.set(late)), RefusalKind::Stale);
    // A removal that overtakes its start.
    let report = client.remove("i2", u64::MAX).unwrap();
    assert!(report.is_off());
    assert_eq!(
        refused(client.set(new_rule("i2", "web", http_latency(2)))),
        RefusalKind::Stale
    );
    assert!(!client.status("i2").unwrap().present);
}

#[test]
fn rules_that_cannot_be_are_refused() {
    let rig = Rig::new(Limits::default());
    let client = rig.client();
    let set = |route: &str, rule| refused(client.set(new_rule("i1", route, rule)));
    assert_eq!(set("nowhere", http_latency(1)), RefusalKind::Route);
    assert_eq!(set("raw", http_latency(1)), RefusalKind::Route);
    assert_eq!(set("web", http_latency(61_000)), RefusalKind::Bad);
    assert_eq!(
        set("raw", RuleSpec::TcpBandwidth { bytes_per_s: 0 }),
        RefusalKind::Bad
    );
    let only = Only {
        share: 1.5,
        ..Only::default()
    };
    assert_eq!(
        set(
            "web",
            RuleSpec::HttpStatus {
                code: 503,
                body: String::new(),
                only
            }
        ),
        RefusalKind::Bad
    );
    let ramped = SetRule {
        ramp_ms: 10,
        ..new_rule("i1", "raw", RuleSpec::TcpRefuse {})
    };
    assert_eq!(refused(client.set(ramped)), RefusalKind::Bad);
    let endless = SetRule {
        ends_in_ms: 0,
        ..new_rule("i1", "raw", tcp_latency(1))
    };
    assert_eq!(refused(client.set(endless)), RefusalKind::Bad);
    rig.set("i2", "raw", tcp_latency(1));
    assert_eq!(set("raw", tcp_latency(1)), RefusalKind::Taken);
    let other = SetRule {
        generation: 2,
        ..new_rule("i2", "web", tcp_latency(1))
    };
    assert_eq!(refused(client.set(other)), RefusalKind::Taken);
    let long = RuleSpec::HttpStatus {
        code: 503,
        body: "x".repeat(70_000),
        only: Only::default(),
    };
    assert_eq!(set("web", long), RefusalKind::Bad);
}

#[test]
fn many_callers_read_each_others_answers() {
    let rig = Rig::new(Limits::default());
    rig.set("i1", "web", http_latency(1));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for caller in 0..8 {
            let client = rig.client();
            scope.spawn(move || {
                for number in 0..200 {
                    let id = format!("none-{caller}-{number}");
                    assert_eq!(
                        client.status(&id).unwrap().id,
                        id,
                        "the answer to another question"
                    );
                    assert!(client.status("i1").unwrap().present);
                }
            });
        }
    });
    // One that is not woken when its answer was read sleeps until its patience is over: four seconds for each.
    let took = began.elapsed();
    assert!(took < PATIENCE, "{took:?}");
    rig.remove("i1");
}

#[test]
fn clear_takes_everything() {
    let rig = Rig::new(Limits::default());
    rig.set("i1", "web", http_latency(60_000));
    rig.set("i2", "raw", tcp_latency(60_000));
    rig.set("i3", "raw", RuleSpec::TcpRefuse {});
    let mut cleared = rig.client().clear().unwrap();
    cleared.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(
        cleared
            .iter()
            .map(|report| report.id.as_str())
            .collect::<Vec<_>>(),
        ["i1", "i2", "i3"]
    );
    assert!(
        cleared
            .iter()
            .all(firedrill_agent::proxy::protocol::RuleReport::is_off),
        "{cleared:?}"
    );
}
