//! HTTP/2 with prior knowledge, and gRPC: each rule acts on each stream.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use firedrill_agent::proxy::protocol::{BodyChange, Only, RuleSpec, SetRule};
use firedrill_agent::proxy::{Limits, ProbeRequest};
use firedrill_wire::{Route, RouteProtocol};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::SendRequest;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::rig::{PATIENCE, Rig, Upstream, closed_port, connect, new_rule, pattern, thread, wait_until};

const PLACE: &str = "/shop.Orders/Place";

type Outgoing = BoxBody<Bytes, Infallible>;
type Sender = SendRequest<Outgoing>;

/// A body that is written bit by bit.
fn written() -> (mpsc::Sender<&'static str>, Outgoing) {
    let (writer, mut said) = mpsc::channel(4);
    let frames = futures_util::stream::poll_fn(move |cx| said.poll_recv(cx));
    let frames = frames.map(|text: &str| Ok(Frame::data(Bytes::from(text))));
    (writer, BoxBody::new(StreamBody::new(frames)))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("in time") })
}

/// A connection, and how it ends.
async fn open(to: SocketAddr) -> (Sender, JoinHandle<hyper::Result<()>>) {
    let stream = tokio::net::TcpStream::connect(to).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(connection))
}

#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    /// How it broke off.
    broken: Option<String>,
}

fn request(path: &str, kind: &str) -> hyper::http::request::Builder {
    Request::post(format!("http://shop.example{path}"))
        .header("content-type", kind)
        .header("te", "trailers")
}

/// One request on a stream of its own.
async fn send(sender: &Sender, path: &str, kind: &str, data: &[u8]) -> Result<Reply, String> {
    let body = Full::new(Bytes::copy_from_slice(data)).boxed();
    let request = request(path, kind).body(body).unwrap();
    let answer = sender.clone().send_request(request).await;
    let (head, mut body) = answer.map_err(|error| format!("{error:?}"))?.into_parts();
    let mut reply = Reply {
        status: head.status,
        headers: head.headers,
        data: Vec::new(),
        trailers: None,
        broken: None,
    };
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => reply.data.extend_from_slice(&data),
            Ok(Err(other)) => reply.trailers = other.into_trailers().ok(),
            Err(error) => {
                reply.broken = Some(format!("{error:?}"));
                break;
            }
        }
    }
    Ok(reply)
}

async fn call(sender: &Sender, path: &str, data: &[u8]) -> Reply {
    send(sender, path, "application/grpc", data).await.unwrap()
}

fn status(path: &str) -> RuleSpec {
    RuleSpec::HttpStatus {
        code: 503,
        body: "no".into(),
        only: under(path),
    }
}

fn under(path: &str) -> Only {
    Only {
        path: Some(path.to_owned()),
        ..Only::default()
    }
}

fn forged(after: bool, only: Only) -> RuleSpec {
    RuleSpec::GrpcStatus {
        code: 8,
        message: "größer than the stock".into(),
        details: "CAgSBA==".into(),
        after,
        only,
    }
}

fn is_forged(headers: &HeaderMap) {
    assert_eq!(headers["grpc-status"], "8", "{headers:?}");
    assert_eq!(headers["grpc-message"], "gr%C3%B6%C3%9Fer than the stock");
    assert_eq!(headers["grpc-status-details-bin"], "CAgSBA==");
}

#[test]
fn streams_pass_unchanged_with_their_trailers_on_one_connection() {
    let rig = Rig::new(Limits::default());
    block_on(async {
        let (sender, _) = open(rig.address("web")).await;
        let calls = (1..=40).map(|n| {
            let sender = sender.clone();
            async move {
                let sent = pattern(n * 20_000);
                let reply = call(&sender, PLACE, &sent).await;
                assert!(reply.data == sent, "{n}");
                let trailers = reply.trailers.unwrap();
                assert_eq!(
                    (&trailers["grpc-status"], &trailers["x-cost"]),
                    (&"0".parse().unwrap(), &"7".parse().unwrap())
                );
            }
        });
        join_all(calls).await;
        let seen = send(&sender, "/seen?q=%20x", "text/plain", b"").await.unwrap();
        let seen = String::from_utf8(seen.data).unwrap();
        assert!(
            seen.starts_with("POST http://shop.example/seen?q=%20x "),
            "{seen}"
        );
        assert!(seen.contains("\"te\": \"trailers\""), "{seen}");
    });
    assert_eq!(rig.upstream.accepted.load(Ordering::SeqCst), 1);
}

#[test]
fn both_sides_of_a_call_stream() {
    let rig = Rig::new(Limits::default());
    block_on(async {
        let (mut sender, _) = open(rig.address("web")).await;
        let (writer, body) = written();
        let request = request(PLACE, "application/grpc").body(body).unwrap();
        writer.send("first").await.unwrap();
        let mut answer = sender.send_request(request).await.unwrap().into_body();
        for said in ["first", "second", "third"] {
            let frame = answer.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), said);
            let next = if said == "first" { "second" } else { "third" };
            if said != "third" {
                writer.send(next).await.unwrap();
            }
        }
        drop(writer);
        let last = answer.frame().await.unwrap().unwrap();
        assert_eq!(last.into_trailers().unwrap()["grpc-status"], "0");
    });
}

#[test]
fn a_rule_acts_on_a_stream_and_not_on_its_neighbours() {
    let rig = Rig::new(Limits::default());
    let latency = RuleSpec::HttpLatency {
        delay_us: 60_000_000,
        jitter_us: 0,
        only: under("/late"),
    };
    rig.set("i1", "web", latency);
    rig.set("i2", "web", status("/no"));
    rig.set(
        "i3",
        "web",
        RuleSpec::HttpReset {
            only: under("/reset"),
        },
    );
    rig.set(
        "i4",
        "web",
        RuleSpec::HttpTruncate {
            bytes: 100_000,
            only: under("/half"),
        },
    );
    block_on(async {
        let (sender, _) = open(rig.address("web")).await;
        let late = tokio::spawn({
            let sender = sender.clone();
            async move { call(&sender, "/late", b"late").await.data }
        });
        let no = call(&sender, "/no", b"").await;
        assert_eq!((no.status.as_u16(), no.data.as_slice()), (503, &b"no"[..]));
        for _ in 0..3 {
            let reset = send(&sender, "/reset", "text/plain", b"x").await.unwrap_err();
            assert!(
                reset.contains("Reset") && reset.contains("INTERNAL_ERROR"),
                "{reset}"
            );
        }
        let sent = pattern(1_000_000);
        let half = call(&sender, "/half", &sent).await;
        assert!(
            half.broken.is_some_and(|how| how.contains("Reset")),
            "{:?}",
            half.status
        );
        assert!(half.data == sent[..100_000], "{}", half.data.len());
        assert_eq!(call(&sender, "/half", b"short").await.data, b"short");
        // All of that on the same connection, on which one request still waits.
        assert_eq!(rig.client().status("i1").unwrap().held, 1);
        rig.remove("i1");
        assert_eq!(late.await.unwrap(), b"late");
    });
    assert_eq!(rig.upstream.accepted.load(Ordering::SeqCst), 1);
    let count = |id: &str| rig.client().status(id).unwrap().counters;
    assert_eq!(
        (count("i2").answered, count("i3").reset, count("i4").truncated),
        (1, 3, 1)
    );
    assert_eq!(count("i1").delayed, 1);
}

#[test]
fn bodies_change_and_slow_down_on_streams_too() {
    let rig = Rig::new(Limits::default());
    let change = BodyChange::Replace {
        find: Some("on sale".into()),
        text: "sold out".into(),
    };
    let body = RuleSpec::HttpBody {
        change,
        only: under("/find"),
    };
    rig.set("i1", "web", body);
    let slow = RuleSpec::HttpSlowBody {
        bytes_per_s: 100_000,
        only: under("/slow"),
    };
    rig.set("i2", "web", slow);
    block_on(async {
        let (sender, _) = open(rig.address("web")).await;
        assert_eq!(
            call(&sender, "/find", b"it is on sale now").await.data,
            b"it is sold out now"
        );
        let start = Instant::now();
        let both = [20_000, 30_000].map(|size| {
            let sender = sender.clone();
            async move { assert!(call(&sender, "/slow", &pattern(size)).await.data == pattern(size)) }
        });
        join_all(both).await;
        // Side by side, each at its own rate.
        assert!(
            start.elapsed() >= Duration::from_millis(290),
            "{:?}",
            start.elapsed()
        );
    });
}

#[test]
fn a_call_ends_with_the_forged_status_and_is_not_made() {
    let rig = Rig::new(Limits::default());
    let only = Only {
        service: Some("shop.Orders".into()),
        rpc: Some("Place".into()),
        ..Only::default()
    };
    rig.set("i1", "web", forged(false, only.clone()));
    block_on(async {
        let (sender, _) = open(rig.address("web")).await;
        let reply = call(&sender, PLACE, b"order").await;
        assert_eq!(
            (reply.status, &reply.headers["content-type"]),
            (StatusCode::OK, &"application/grpc".parse().unwrap())
        );
        is_forged(&reply.headers);
        assert!(reply.data.is_empty() && reply.trailers.is_none(), "trailers only");
        assert_eq!(rig.upstream.accepted.load(Ordering::SeqCst), 0);
        for (path, kind) in [
            ("/shop.Orders/Cancel", "application/grpc"),
            (PLACE, "application/json"),
        ] {
            let other = send(&sender, path, kind, b"order").await.unwrap();
            assert_eq!(other.trailers.unwrap()["grpc-status"], "0");
        }
        assert_eq!(rig.client().status("i1").unwrap().counters.seen, 1);
        let probe = || {
            rig.client()
                .probe("web", &ProbeRequest::of(&only, true), PATIENCE)
                .unwrap()
        };
        assert_eq!(probe().rules, ["i1"]);
        rig.remove("i1");
        assert!(probe().rules.is_empty());
        assert_eq!(
            call(&sender, PLACE, b"order").await.trailers.unwrap()["grpc-status"],
            "0"
        );
    });
}

#[test]
fn a_call_is_made_and_ends_with_the_forged_status() {
    let rig = Rig::new(Limits::default());
    rig.set("i1", "web", forged(true, Only::default()));
    block_on(async {
        let (sender, _) = open(rig.address("web")).await;
        let reply = call(&sender, PLACE, b"order").await;
        assert_eq!(reply.data, b"order");
        let trailers = reply.trailers.unwrap();
        is_forged(&trailers);
        assert_eq!(trailers["x-cost"], "7", "what else was in them stays");
        // An answer that has no trailers of its own gets some, and one that is nothing but a status another.
        let bare = call(&sender, "/shop.Stock/Count", b"x").await;
        is_forged(&bare.trailers.unwrap());
        let refused = call(&sender, "/shop.Orders/Refuse", b"").await;
        is_forged(&refused.headers);
        assert!(refused.trailers.is_none());
        let page = send(&sender, PLACE, "text/html", b"x").await.unwrap();
        assert_eq!(page.trailers.unwrap()["grpc-status"], "0", "only calls are hit");
    });
    let counters = rig.client().status("i1").unwrap().counters;
    assert_eq!((counters.seen, counters.changed), (3, 3));
}

#[test]
fn a_share_is_drawn_for_each_stream_and_follows_a_change() {
    let rig = Rig::new(Limits::default());
    let with = |generation, share| SetRule {
        generation,
        ..new_rule(
            "i1",
            "web",
            forged(
                false,
                Only {
                    share,
                    ..Only::default()
                },
            ),
        )
    };
    rig.client().set(with(1, 0.25)).unwrap();
    block_on(async {
        let (sender, _) = open(rig.address("web")).await;
        let hits = async || {
            let calls = (0..200).map(|_| call(&sender, PLACE, b"x"));
            let replies = join_all(calls).await;
            replies
                .iter()
                .filter(|reply| reply.headers.contains_key("grpc-status"))
                .count()
        };
        let few = hits().await;
        rig.client().set(with(2, 0.75)).unwrap();
        let many = hits().await;
        assert!(
            (30..=75).contains(&few) && (125..=170).contains(&many),
            "{few} {many}"
        );
    });
}

fn route(to: SocketAddr) -> Rig {
    let route = Route {
        name: "web".into(),
        listen: "127.0.0.1:0".into(),
        upstream: to.to_string(),
        protocol: RouteProtocol::Http,
    };
    Rig::with_routes(vec![route], Upstream::start(), Limits::default())
}

#[test]
fn an_upstream_that_is_down_or_does_not_speak_it_is_a_502() {
    let old = TcpListener::bind("127.0.0.1:0").unwrap();
    let old_address = old.local_addr().unwrap();
    thread("old", move || {
        // Asked twice if it closes before the request has left.
        for mut stream in old.incoming().map_while(Result::ok) {
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                .unwrap();
        }
    });
    for (upstream, words) in [
        (closed_port(), "cannot be reached"),
        (old_address, "no answer over HTTP/2"),
    ] {
        let rig = route(upstream);
        block_on(async {
            let (sender, _) = open(rig.address("web")).await;
            let reply = call(&sender, PLACE, b"x").await;
            let said = String::from_utf8(reply.data).unwrap();
            assert_eq!(reply.status, StatusCode::BAD_GATEWAY, "{said}");
            assert!(said.contains(words), "{said}");
        });
    }
}

#[test]
fn an_idle_connection_is_asked_to_leave_and_a_call_under_way_is_not() {
    let rig = Rig::new(Limits {
        header_timeout: Duration::from_millis(400),
        ..Limits::default()
    });
    block_on(async {
        let (mut sender, ended) = open(rig.address("web")).await;
        let (writer, body) = written();
        let request = request(PLACE, "application/grpc").body(body).unwrap();
        let mut answer = sender.send_request(request).await.unwrap().into_body();
        // Several times as long as an idle connection may stay.
        tokio::time::sleep(Duration::from_secs(2)).await;
        writer.send("still here").await.unwrap();
        assert_eq!(
            answer.frame().await.unwrap().unwrap().into_data().unwrap(),
            "still here"
        );
        drop(writer);
        while answer.frame().await.is_some() {}
        // Asked, not cut off: the connection ends without an error.
        ended.await.unwrap().unwrap();
    });
    // One that never says anything is closed as well.
    let mut silent = connect(rig.address("web"));
    silent.write_all(b"PR").unwrap();
    assert_eq!(silent.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_cut_ends_every_stream_and_a_new_connection_passes() {
    let rig = Rig::new(Limits::default());
    rig.set(
        "i1",
        "web",
        RuleSpec::HttpLatency {
            delay_us: 60_000_000,
            jitter_us: 0,
            only: under("/late"),
        },
    );
    block_on(async {
        let (sender, _) = open(rig.address("web")).await;
        let waiting = join_all((0..5).map(|_| send(&sender, "/late", "text/plain", b"")));
        let cut = async {
            tokio::task::spawn_blocking({
                let client = rig.client();
                move || {
                    wait_until("all are held", || client.status("i1").unwrap().held == 5);
                    client.cut("web").unwrap()
                }
            })
            .await
            .unwrap()
        };
        let (ended, cut) = tokio::join!(waiting, cut);
        assert!(ended.iter().all(Result::is_err) && cut == 1, "{cut}");
        let (sender, _) = open(rig.address("web")).await;
        assert_eq!(call(&sender, PLACE, b"x").await.data, b"x");
    });
    wait_until("nothing is held", || rig.client().status("i1").unwrap().held == 0);
}
