//! Rules that change answers and requests, or end them, over HTTP/1.1.

use std::io::{ErrorKind, Read as _, Write as _};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use firedrill_agent::proxy::protocol::{BodyChange, Counters, Only, RuleSpec, SetRule, Side};
use firedrill_agent::proxy::{Limits, ProbeRequest, ProxyError};

use crate::rig::{PATIENCE, Rig, ask, connect, get, new_rule, pattern, thread, wait_until};

fn counters(rig: &Rig) -> Counters {
    rig.client().status("i1").unwrap().counters
}

fn body(change: BodyChange) -> RuleSpec {
    RuleSpec::HttpBody {
        change,
        only: Only::default(),
    }
}

fn text(find: Option<&str>, text: &str) -> RuleSpec {
    body(BodyChange::Replace {
        find: find.map(str::to_owned),
        text: text.to_owned(),
    })
}

fn truncate(bytes: u64) -> RuleSpec {
    RuleSpec::HttpTruncate {
        bytes,
        only: Only::default(),
    }
}

/// All that arrives of an answer, and how it ends.
fn raw(rig: &Rig, request: &str) -> (String, std::io::Result<usize>) {
    let mut stream = connect(rig.address("web"));
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer);
    (String::from_utf8_lossy(&answer).into_owned(), end)
}

#[test]
fn a_header_chooses_the_requests() {
    let rig = Rig::new(Limits::default());
    let only = Only {
        header: Some("X-Tenant: blue".into()),
        ..Only::default()
    };
    let rule = RuleSpec::HttpStatus {
        code: 503,
        body: String::new(),
        only: only.clone(),
    };
    rig.set("i1", "web", rule);
    let web = rig.address("web");
    assert_eq!(ask(web, "GET /", "x-tenant: blue\r\n", b"").status, 503);
    assert_eq!(ask(web, "GET /", "x-tenant: red\r\n", b"").status, 200);
    assert_eq!(get(web, "/").status, 200);
    assert_eq!((counters(&rig).seen, counters(&rig).answered), (1, 1));
    let probe = |request| rig.client().probe("web", &request, PATIENCE).unwrap().rules;
    assert_eq!(probe(ProbeRequest::of(&only, false)), ["i1"]);
    assert!(probe(ProbeRequest::default()).is_empty());
}

#[test]
fn headers_change_on_the_side_that_was_asked_for() {
    let rig = Rig::new(Limits::default());
    let headers = |side| RuleSpec::HttpHeaders {
        side,
        set: vec!["X-Plan: gold".into()],
        remove: vec!["x-mine".into(), "content-type".into()],
        only: Only::default(),
    };
    let web = rig.address("web");
    let plain = ask(web, "GET /seen", "x-mine: 1\r\n", b"");
    assert!(plain.head.contains("content-type: ") && plain.text().contains("\"x-mine\": \"1\""));
    rig.set("i1", "web", headers(Side::Request));
    let asked = ask(web, "GET /seen", "x-mine: 1\r\n", b"");
    assert!(asked.text().contains("\"x-plan\": \"gold\""), "{}", asked.text());
    assert!(!asked.text().contains("x-mine") && asked.head.contains("content-type: "));
    assert_eq!(counters(&rig).changed, 1);
    rig.remove("i1");
    rig.set("i2", "web", headers(Side::Answer));
    let answered = ask(web, "GET /seen", "x-mine: 1\r\n", b"");
    assert!(
        answered.text().contains("\"x-mine\": \"1\""),
        "{}",
        answered.text()
    );
    assert!(answered.head.contains("x-plan: gold") && !answered.head.contains("content-type"));
    rig.remove("i2");
    assert!(!get(web, "/seen").head.contains("x-plan"));
}

#[test]
fn a_body_is_replaced_and_its_connection_kept() {
    let rig = Rig::new(Limits::default());
    rig.set("i1", "web", text(None, "sold out"));
    let mut stream = connect(rig.address("web"));
    for size in [10, 300_000, 10] {
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"
        )
        .unwrap();
        stream.write_all(&pattern(size)).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"sold out") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        let head = String::from_utf8(answer).unwrap();
        assert!(head.contains("content-length: 8\r\n"), "{head}");
        assert!(head.contains("cache-control: no-store\r\n"), "{head}");
    }
    assert_eq!(counters(&rig).changed, 3);
    assert_eq!(rig.upstream.accepted.load(Ordering::SeqCst), 1);
    rig.remove("i1");
    assert_eq!(ask(rig.address("web"), "POST /", "", b"yes").body, b"yes");
    rig.set("i2", "web", text(None, "sold out"));
    let head = raw(
        &rig,
        "HEAD /seen HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .0;
    assert!(
        head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
}

#[test]
fn a_text_is_found_wherever_it_is() {
    let rig = Rig::new(Limits::default());
    rig.set("i1", "web", text(Some("\"stock\":1"), "\"stock\":0"));
    let web = rig.address("web");
    let item = "{\"id\":17,\"stock\":1},";
    // Far more than one read takes, so that some of them are cut in two.
    let many = item.repeat(50_000);
    let answer = ask(web, "POST /", "", many.as_bytes());
    assert_eq!(answer.text(), many.replace("\"stock\":1", "\"stock\":0"));
    for (sent, wanted) in [
        ("\"stock\":1", "\"stock\":0"),
        ("\"stock\":", "\"stock\":"),
        ("", ""),
    ] {
        assert_eq!(ask(web, "POST /", "", sent.as_bytes()).text(), wanted);
    }
    let seen = ask(web, "GET /seen", "Accept-Encoding: gzip\r\n", b"").text();
    assert!(seen.contains("\"accept-encoding\": \"identity\""), "{seen}");
}

#[test]
fn corruption_flips_bits_and_keeps_the_length() {
    let rig = Rig::new(Limits::default());
    rig.set("i1", "web", body(BodyChange::Corrupt { every: 1_000 }));
    let web = rig.address("web");
    let sent = pattern(1_000_000);
    let got = ask(web, "POST /", "", &sent).body;
    assert_eq!(got.len(), sent.len());
    let bits: Vec<u32> = got.iter().zip(&sent).map(|(a, b)| (a ^ b).count_ones()).collect();
    assert!(bits.iter().all(|bits| *bits <= 1));
    let flipped: u32 = bits.iter().sum();
    assert!((800..1_200).contains(&flipped), "{flipped}");
    assert_ne!(
        ask(web, "POST /", "", b"x").body,
        b"x",
        "a short one is hit as well"
    );
    rig.remove("i1");
    assert!(ask(web, "POST /", "", &sent).body == sent);
}

#[test]
fn an_answer_breaks_off_exactly_there() {
    let rig = Rig::new(Limits::default());
    let sent = "0123456789".repeat(200_000);
    let request = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{sent}",
        sent.len()
    );
    for (generation, bytes) in [(1, 0), (2, 7), (3, 1_500_000)] {
        let set = SetRule {
            generation,
            ..new_rule("i1", "web", truncate(bytes))
        };
        rig.client().set(set).unwrap();
        let (answer, _) = raw(&rig, &request);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 200") && head.contains("content-length: 2000000"),
            "{head}"
        );
        assert_eq!(body.len() as u64, bytes);
        assert!(sent.starts_with(body));
    }
    assert_eq!(ask(rig.address("web"), "POST /", "", b"short").body, b"short");
    assert_eq!((counters(&rig).seen, counters(&rig).truncated), (4, 3));
    rig.remove("i1");
    assert_eq!(
        ask(rig.address("web"), "POST /", "", sent.as_bytes()).text(),
        sent
    );
}

#[test]
fn an_answer_that_is_not_read_does_not_hold_a_revert_up() {
    let rig = Rig::new(Limits::default());
    rig.set("i1", "web", truncate(30_000_000));
    let mut stream = connect(rig.address("web"));
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000000\r\n\r\n"
    )
    .unwrap();
    let mut writer = stream.try_clone().unwrap();
    // Nobody reads the answer, so it does not end before the test does.
    let writing = thread("upload", move || writer.write_all(&pattern(40_000_000)).ok());
    wait_until("it is under way", || counters(&rig).seen == 1);
    rig.remove("i1");
    drop(stream.shutdown(std::net::Shutdown::Both));
    writing.join().unwrap();
}

#[test]
fn a_slow_body_takes_its_time_and_a_change_is_felt_at_once() {
    let rig = Rig::new(Limits::default());
    let slow = |bytes_per_s| RuleSpec::HttpSlowBody {
        bytes_per_s,
        only: Only::default(),
    };
    rig.set("i1", "web", slow(100_000));
    let web = rig.address("web");
    let answer = ask(web, "POST /", "", &pattern(40_000));
    assert!(answer.body == pattern(40_000));
    assert!(answer.took >= Duration::from_millis(390), "{:?}", answer.took);
    assert_eq!(counters(&rig).delayed, 1);
    // It would take an hour; after the change it is done in no time.
    let set = |generation, rate| SetRule {
        generation,
        replace: true,
        ..new_rule("i1", "web", slow(rate))
    };
    rig.client().set(set(2, 100)).unwrap();
    let trickling = thread("client", move || ask(web, "POST /", "", &pattern(360_000)));
    wait_until("it is held", || rig.client().status("i1").unwrap().held == 1);
    rig.client().set(set(3, 1_000_000_000)).unwrap();
    assert!(trickling.join().unwrap().took < PATIENCE);
    // And so it is after a revert.
    rig.client().set(set(4, 100)).unwrap();
    let trickling = thread("client", move || ask(web, "POST /", "", &pattern(360_000)));
    wait_until("it is held", || rig.client().status("i1").unwrap().held == 1);
    rig.remove("i1");
    assert!(trickling.join().unwrap().body == pattern(360_000));
}

#[test]
fn a_reset_is_a_reset_and_a_probe_is_told_of_it() {
    let rig = Rig::new(Limits::default());
    let only = Only {
        path: Some("/pay".into()),
        ..Only::default()
    };
    rig.set("i1", "web", RuleSpec::HttpReset { only: only.clone() });
    let request = "GET /pay HTTP/1.1\r\nHost: a\r\n\r\n";
    let (answer, end) = raw(&rig, request);
    assert_eq!(
        (answer.as_str(), end.unwrap_err().kind()),
        ("", ErrorKind::ConnectionReset)
    );
    assert_eq!(get(rig.address("web"), "/").status, 200);
    assert_eq!((counters(&rig).seen, counters(&rig).reset), (1, 1));
    let probe = || {
        rig.client()
            .probe("web", &ProbeRequest::of(&only, false), PATIENCE)
            .unwrap()
    };
    assert_eq!(probe().rules, ["i1"]);
    rig.remove("i1");
    assert!(probe().rules.is_empty());
    assert_eq!(get(rig.address("web"), "/pay").status, 200);
}

#[test]
fn what_is_lost_is_taken_and_answered_and_never_arrives() {
    let rig = Rig::new(Limits::default());
    let only = Only {
        method: Some("POST".into()),
        ..Only::default()
    };
    let lose = RuleSpec::HttpLose {
        code: 201,
        body: "{\"ok\":true}".into(),
        only,
    };
    rig.set("i1", "web", lose);
    let web = rig.address("web");
    let answer = ask(web, "POST /orders", "", &pattern(2_000_000));
    assert_eq!((answer.status, answer.text().as_str()), (201, "{\"ok\":true}"));
    assert!(answer.head.contains("cache-control: no-store"), "{}", answer.head);
    assert_eq!(rig.upstream.accepted.load(Ordering::SeqCst), 0);
    assert_eq!(get(web, "/").status, 200);
    assert_eq!((counters(&rig).seen, counters(&rig).lost), (1, 1));
    rig.remove("i1");
    assert_eq!(ask(web, "POST /orders", "", b"x").body, b"x");
}

#[test]
fn a_ramp_grows_the_share_and_the_slowness() {
    let rig = Rig::new(Limits::default());
    let ramp = |id: &str, rule| {
        let set = SetRule {
            ramp_ms: 60_000,
            ..new_rule(id, "web", rule)
        };
        rig.client().set(set).unwrap();
    };
    ramp(
        "i1",
        RuleSpec::HttpReset {
            only: Only::default(),
        },
    );
    ramp(
        "i2",
        RuleSpec::HttpSlowBody {
            bytes_per_s: 100,
            only: Only::default(),
        },
    );
    // At the beginning hardly anything is hit: each tenth of a second is 1/600 of the whole.
    let start = Instant::now();
    let mut passed = 0;
    for _ in 0..10 {
        let mut stream = connect(rig.address("web"));
        let request = b"GET /seen HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        stream.write_all(request).unwrap();
        passed += u32::from(stream.read_to_end(&mut Vec::new()).is_ok());
    }
    assert!(passed >= 5 || start.elapsed() > PATIENCE, "{passed}");
}

#[test]
fn rules_that_cannot_be_done_are_refused_in_words() {
    let rig = Rig::new(Limits::default());
    let header = Only {
        header: Some("not a header".into()),
        ..Only::default()
    };
    for rule in [
        RuleSpec::HttpReset { only: header },
        text(Some(""), "x"),
        body(BodyChange::Corrupt { every: 0 }),
        RuleSpec::HttpLose {
            code: 302,
            body: String::new(),
            only: Only::default(),
        },
        RuleSpec::HttpHeaders {
            side: Side::Answer,
            set: vec!["content-length: 1".into()],
            remove: Vec::new(),
            only: Only::default(),
        },
    ] {
        let refused = rig.client().set(new_rule("i1", "web", rule.clone()));
        assert!(
            matches!(refused, Err(ProxyError::Refused(_))),
            "{rule:?}: {refused:?}"
        );
    }
    assert_eq!(get(rig.address("web"), "/").status, 200);
}
