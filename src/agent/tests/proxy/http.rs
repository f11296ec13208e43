//! Requests: passed on unchanged, delayed, answered, woken.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use firedrill_agent::proxy::protocol::{Only, RuleSpec, SetRule};
use firedrill_agent::proxy::{Limits, ProbeRequest};
use firedrill_wire::{Route, RouteProtocol};

use crate::rig::{
    PATIENCE, Rig, Upstream, ask, closed_port, connect, get, http_latency, new_rule, pattern, thread,
    wait_until,
};

#[test]
fn bodies_pass_unchanged_both_ways() {
    let rig = Rig::new(Limits::default());
    let body = pattern(3_000_000);
    let answer = ask(rig.address("web"), "POST /echo", "", &body);
    assert_eq!(answer.status, 200);
    assert!(answer.body == body);
}

#[test]
fn chunked_requests_pass_unchanged() {
    let rig = Rig::new(Limits::default());
    let mut stream = connect(rig.address("web"));
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream
        .write_all(b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    assert_eq!(crate::rig::dechunk(&answer[end + 4..]), b"firstsecond");
}

#[test]
fn end_to_end_headers_stay_and_hop_by_hop_ones_go() {
    let rig = Rig::new(Limits::default());
    let headers = "X-Mine: 1\r\nConnection: X-Secret, content-length\r\nX-Secret: 2\r\nKeep-Alive: 3\r\nTE: trailers\r\n";
    let seen = ask(rig.address("web"), "PUT /seen?q=%20x", headers, b"").text();
    assert!(seen.starts_with("PUT /seen?q=%20x "), "{seen}");
    assert!(
        seen.contains("\"host\": \"shop.example\"") && seen.contains("\"x-mine\": \"1\""),
        "{seen}"
    );
    for gone in ["x-secret", "keep-alive", "\"te\"", "connection"] {
        assert!(!seen.contains(gone), "{gone} in {seen}");
    }
    let absolute = ask(rig.address("web"), "GET http://other.example/seen", "", b"").text();
    assert!(
        absolute.starts_with("GET /seen ") && absolute.contains("\"host\": \"other.example\""),
        "{absolute}"
    );
}

#[test]
fn heads_alone_and_old_clients_are_served() {
    let rig = Rig::new(Limits::default());
    let raw = |request: &str| {
        let mut stream = connect(rig.address("web"));
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let head = raw("HEAD /seen HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert!(head.contains("content-length: "), "{head}");
    let old = raw("GET /seen HTTP/1.0\r\n\r\n");
    assert!(old.contains(" 200 "), "{old}");
    // HTTP/1.1 towards the upstream needs a host.
    assert!(
        old.contains(&format!("\"host\": \"{}\"", rig.upstream.http)),
        "{old}"
    );
    let expecting = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
    let expecting = raw(expecting);
    assert!(
        expecting.contains("HTTP/1.1 200") && expecting.ends_with("hi"),
        "{expecting}"
    );
}

#[test]
fn connections_are_kept_on_both_sides() {
    let rig = Rig::new(Limits::default());
    let mut stream = connect(rig.address("web"));
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for _ in 0..5 {
        stream
            .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
            .unwrap();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert_ne!(
                reader.read_line(&mut line).unwrap(),
                0,
                "the proxy closed the connection"
            );
        }
        let mut body = [0; 2];
        reader.read_exact(&mut body).unwrap();
        assert_eq!(&body, b"hi");
    }
    for _ in 0..20 {
        assert_eq!(get(rig.address("web"), "/").status, 200);
    }
    let accepted = rig.upstream.accepted.load(Ordering::SeqCst);
    assert!(
        accepted <= 4,
        "{accepted} connections for 25 requests one after the other"
    );
}

/// Answers at once with more than any buffers take, while it reads what it is sent; says how much that was.
fn early_and_endless() -> (SocketAddr, Receiver<u64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = sync_channel(1);
    thread("early", move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert_ne!(reader.read_line(&mut line).unwrap(), 0);
        }
        thread("answer", move || {
            let mut writer = stream;
            write!(writer, "HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").unwrap();
            // It is never read to its end.
            writer.write_all(&pattern(LARGE as usize)).ok();
        });
        let read = std::io::copy(&mut reader.take(LARGE), &mut std::io::sink());
        tell.send(read.unwrap()).unwrap();
    });
    (address, told)
}

const LARGE: u64 = 64 * 1024 * 1024;

#[test]
fn an_upload_goes_on_while_nobody_reads_the_answer() {
    let (upstream, uploaded) = early_and_endless();
    let route = Route {
        name: "early".into(),
        listen: "127.0.0.1:0".into(),
        upstream: upstream.to_string(),
        protocol: RouteProtocol::Http,
    };
    let rig = Rig::with_routes(vec![route], Upstream::start(), Limits::default());
    let mut stream = connect(rig.address("early"));
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n"
    )
    .unwrap();
    stream.write_all(&pattern(LARGE as usize)).unwrap();
    assert_eq!(uploaded.recv_timeout(PATIENCE).unwrap(), LARGE);
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
}

#[test]
fn an_upstream_that_is_down_is_a_502_in_our_name() {
    let upstream = Upstream::start();
    let route = Route {
        name: "dead".into(),
        listen: "127.0.0.1:0".into(),
        upstream: closed_port().to_string(),
        protocol: RouteProtocol::Http,
    };
    let rig = Rig::with_routes(vec![route], upstream, Limits::default());
    let answer = get(rig.address("dead"), "/");
    assert_eq!(answer.status, 502);
    assert!(
        answer
            .text()
            .starts_with("firedrill proxy, route \"dead\": upstream 127.0.0.1:"),
        "{}",
        answer.text()
    );
}

#[test]
fn upgrades_are_refused_in_words() {
    let rig = Rig::new(Limits::default());
    let answer = ask(rig.address("web"), "GET /ws", "Upgrade: websocket\r\n", b"");
    assert_eq!(answer.status, 501);
    assert!(answer.text().contains("tcp route"));
}

#[test]
fn latency_hits_the_requests_it_is_for_and_no_others() {
    let rig = Rig::new(Limits::default());
    let only = Only {
        path: Some("/slow".into()),
        method: Some("post".into()),
        ..Only::default()
    };
    rig.set(
        "i1",
        "web",
        RuleSpec::HttpLatency {
            delay_us: 200_000,
            jitter_us: 0,
            only,
        },
    );
    let web = rig.address("web");
    let slow = ask(web, "POST /slow/1", "", b"x");
    assert_eq!(slow.body, b"x");
    assert!(slow.took >= Duration::from_millis(200), "{:?}", slow.took);
    // They would be late without an end if the rule hit them.
    for other in [ask(web, "GET /slow/1", "", b""), ask(web, "POST /fast", "", b"")] {
        assert_eq!(other.status, 200);
    }
    let counters = rig.client().status("i1").unwrap().counters;
    assert_eq!((counters.seen, counters.delayed), (1, 1));
    assert!((200_000..2_000_000).contains(&counters.added_us), "{counters:?}");
    rig.remove("i1");
    assert_eq!(rig.client().status("i1").unwrap().counters.delayed, 1);
}

#[test]
fn a_revert_wakes_every_delayed_request() {
    let rig = Rig::new(Limits::default());
    rig.set("i1", "web", http_latency(60_000));
    let web = rig.address("web");
    let waiting: Vec<_> = (0..20).map(|_| thread("client", move || get(web, "/"))).collect();
    wait_until("all are held", || rig.client().status("i1").unwrap().held == 20);
    let start = Instant::now();
    rig.remove("i1");
    for client in waiting {
        assert_eq!(client.join().unwrap().status, 200);
    }
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn the_agents_end_drops_the_rules_and_wakes_the_requests() {
    let mut rig = Rig::new(Limits::default());
    rig.set("i1", "web", http_latency(60_000));
    rig.set("i2", "raw", RuleSpec::TcpRefuse {});
    let web = rig.address("web");
    let waiting: Vec<_> = (0..5).map(|_| thread("client", move || get(web, "/"))).collect();
    wait_until("all are held", || rig.client().status("i1").unwrap().held == 5);
    rig.agent.take().unwrap().detach();
    for client in waiting {
        assert_eq!(client.join().unwrap().status, 200);
    }
    assert_eq!(get(web, "/").status, 200);
    rig.attach();
    for id in ["i1", "i2"] {
        let report = rig.client().status(id).unwrap();
        assert!(report.is_off() && report.generation == 0, "{report:?}");
    }
    assert!(
        rig.client()
            .probe("raw", &ProbeRequest::default(), PATIENCE)
            .is_ok()
    );
}

#[test]
fn status_answers_a_share_and_forwards_the_rest() {
    let rig = Rig::new(Limits::default());
    let only = Only {
        share: 0.5,
        ..Only::default()
    };
    rig.set(
        "i1",
        "web",
        RuleSpec::HttpStatus {
            code: 503,
            body: "no".into(),
            only,
        },
    );
    let web = rig.address("web");
    let answers: Vec<_> = (0..200).map(|_| ask(web, "POST /", "", b"yes")).collect();
    let hit = answers
        .iter()
        .filter(|answer| answer.status == 503 && answer.body == b"no")
        .count();
    let passed = answers
        .iter()
        .filter(|answer| answer.status == 200 && answer.body == b"yes")
        .count();
    assert_eq!(hit + passed, 200);
    // The lots are drawn from the rule's id, so this is the same in each run.
    assert!((70..130).contains(&hit), "{hit} of 200");
    assert_eq!(rig.client().status("i1").unwrap().counters.answered, hit as u64);
    rig.remove("i1");
    assert_eq!(ask(web, "POST /", "", b"yes").status, 200);
}

#[test]
fn a_probe_meets_the_rules_and_not_the_target() {
    let rig = Rig::new(Limits::default());
    let only = Only {
        path: Some("/pay".into()),
        method: Some("POST".into()),
        share: 0.01,
        ..Only::default()
    };
    rig.set(
        "i1",
        "web",
        RuleSpec::HttpLatency {
            delay_us: 150_000,
            jitter_us: 0,
            only,
        },
    );
    let request = ProbeRequest {
        method: Some("POST".into()),
        path: Some("/pay".into()),
        bytes: 1,
        ..ProbeRequest::default()
    };
    let probe = || rig.client().probe("web", &request, PATIENCE).unwrap();
    let on = probe();
    assert_eq!((on.status, on.rules), (Some(204), vec!["i1".to_owned()]));
    assert!(on.took >= Duration::from_millis(150), "{:?}", on.took);
    assert_eq!(
        rig.client().status("i1").unwrap().counters.seen,
        0,
        "a probe is not traffic"
    );
    rig.remove("i1");
    let off = probe();
    assert_eq!((off.status, off.rules), (Some(204), Vec::new()));
    assert_eq!(rig.upstream.accepted.load(Ordering::SeqCst), 0);
}

#[test]
fn a_probe_sent_behind_a_removal_waits_for_it_and_is_no_traffic() {
    let rig = Rig::new(Limits::default());
    let client = rig.client();
    let (request, none) = (ProbeRequest::default(), Vec::<String>::new());
    rig.set("i1", "web", http_latency(1));
    let mut line = client.line("web", PATIENCE).unwrap();
    line.send_after("i1", &request).unwrap();
    assert_eq!(client.cut("web").unwrap(), 0, "it is not cut with the traffic");
    std::thread::sleep(Duration::from_millis(200));
    assert!(line.is_open(), "an answer before the removal");
    rig.remove("i1");
    let probe = client.probe_sent(line, "web", PATIENCE).unwrap();
    assert_eq!((probe.status, &probe.rules), (Some(204), &none));

    // In one go, as reverts do it; a rule that is not the one that goes is met.
    rig.set("i2", "web", http_latency(30_000));
    rig.set("i3", "web", http_latency(1));
    let line = client.line("web", PATIENCE).unwrap();
    let (report, line) = client.remove_and_probe("i2", u64::MAX, line, &request).unwrap();
    assert!(report.is_off());
    let probe = client.probe_sent(line.unwrap(), "web", PATIENCE).unwrap();
    assert_eq!(probe.rules, ["i3"]);

    // A removal that never comes: the rule is met.
    let mut line = client.line("web", PATIENCE).unwrap();
    line.send_after("i3", &request).unwrap();
    assert_eq!(client.probe_sent(line, "web", PATIENCE).unwrap().rules, ["i3"]);
    rig.remove("i3");
    assert_eq!(rig.upstream.accepted.load(Ordering::SeqCst), 0);
    let line = client.line("web", PATIENCE).unwrap();
    assert!(line.is_open());
    drop(rig);
    wait_until("its end is seen", || !line.is_open());
}

#[test]
fn a_replaced_rule_keeps_its_counters_and_its_held_requests() {
    let rig = Rig::new(Limits::default());
    rig.set("i1", "web", http_latency(60_000));
    let web = rig.address("web");
    let held = thread("client", move || get(web, "/"));
    wait_until("it is held", || rig.client().status("i1").unwrap().held == 1);
    let weaker = SetRule {
        generation: 2,
        ..new_rule("i1", "web", http_latency(1))
    };
    assert_eq!(rig.client().set(weaker).unwrap().generation, 2);
    assert_eq!(get(web, "/").status, 200);
    let report = rig.client().status("i1").unwrap();
    assert_eq!(
        (report.held, report.counters.seen, report.counters.delayed),
        (1, 2, 1)
    );
    rig.remove("i1");
    assert_eq!(held.join().unwrap().status, 200);
}

#[test]
fn a_rule_ends_by_itself() {
    let rig = Rig::new(Limits::default());
    rig.client()
        .set(SetRule {
            ends_in_ms: 300,
            ..new_rule("i1", "web", http_latency(60_000))
        })
        .unwrap();
    let answer = get(rig.address("web"), "/");
    assert_eq!(answer.status, 200);
    wait_until("the rule is gone", || rig.client().status("i1").unwrap().is_off());
}
