//! The abort line against agents that answer, late, in pieces, or not at all.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use firedrill_conductor::{AbortLine, AbortTarget, Board, Clock};
use firedrill_scene::AbortStage;
use futures_util::StreamExt;
use serde_json::json;

/// An agent on a runtime of its own, ended with the test.
struct Peer {
    address: SocketAddr,
    aborts: Arc<Mutex<Vec<serde_json::Value>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Peer {
    /// `answer` gets the number of the attempt, from 1.
    fn new<A, F>(answer: A) -> Self
    where
        A: Fn(usize) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let aborts = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&aborts);
        let info = json!({"agent": "a", "instance": "i", "tick": 1, "protocol": 1, "latch": null});
        let router = Router::new()
            .route("/v1/agent", get(move || async move { Json(info) }))
            .route(
                "/v1/abort",
                post(move |body: Bytes| {
                    let number = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(serde_json::from_slice(&body).unwrap());
                        seen.len()
                    };
                    answer(number)
                }),
            );
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            aborts,
            _runtime: runtime,
        }
    }

    fn target(&self, agent: usize) -> AbortTarget {
        AbortTarget {
            agent,
            name: format!("agent-{agent}"),
            address: self.address,
            host: self.address.to_string(),
            token: None,
            tls: None,
        }
    }

    fn aborts(&self) -> Vec<serde_json::Value> {
        self.aborts.lock().unwrap().clone()
    }
}

fn received(injections: &[&str]) -> String {
    let latch = json!({"number": 4, "reason": "r", "who": "w", "since": 1});
    let line = json!({
        "line": "received", "agent": "a", "instance": "i", "tick": 1, "durable": true, "latch": latch,
        "injections": injections,
    });
    format!("{line}\n")
}

fn reverted(id: &str) -> String {
    let line = json!({
        "line": "reverted", "injection": id, "state": "reverted", "tick": 2, "evidence": {"words": "gone"},
    });
    format!("{line}\n")
}

fn proved(id: &str) -> String {
    let line = json!({
        "line": "proved", "injection": id, "clean": true, "tick": 3, "evidence": {"words": "seen gone"},
    });
    format!("{line}\n")
}

fn end() -> String {
    format!("{}\n", json!({"line": "end", "clean": true, "tick": 4}))
}

fn lines(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/jsonl")], text).into_response()
}

fn whole() -> Response {
    lines(received(&["x"]) + &reverted("x") + &proved("x") + &end())
}

/// Waits until the board is as asked for.
fn wait_for(line: &AbortLine, what: &str, is: impl Fn(&Board) -> bool) -> Board {
    let begun = Instant::now();
    loop {
        let board = line.handle().board();
        if is(&board) {
            return board;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}: {board:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn held(peers: &[&Peer]) -> AbortLine {
    let line = AbortLine::start().unwrap();
    line.begin(Some("d1".into()), Clock::start());
    let targets = peers.iter().enumerate().map(|(agent, peer)| peer.target(agent));
    line.hold(targets.collect());
    wait_for(&line, "heartbeats", |board| {
        board.agents.len() == peers.len() && board.agents.iter().all(|line| line.beats > 0)
    });
    line
}

fn all_clean(board: &Board) -> bool {
    !board.agents.is_empty() && board.agents.iter().all(|line| line.clean)
}

#[test]
fn a_press_closes_the_gate_and_reports_each_stage() {
    let peers = [Peer::new(|_| async { whole() }), Peer::new(|_| async { whole() })];
    let line = AbortLine::start().unwrap();
    let gate = line.begin(Some("d1".into()), Clock::start());
    line.hold(vec![peers[0].target(0), peers[1].target(1)]);
    wait_for(&line, "heartbeats", |board| {
        board.agents.len() == 2 && board.agents.iter().all(|line| line.rtt_us.is_some())
    });
    assert!(!gate.is_closed());
    line.handle().press("it hurts", "Ada");
    assert!(gate.is_closed(), "closed before press returns");
    let board = wait_for(&line, "clean", all_clean);
    for (peer, line) in peers.iter().zip(&board.agents) {
        let aborts = peer.aborts();
        assert_eq!(aborts.len(), 1, "one send is enough where the agent answers");
        assert_eq!(aborts[0]["latch"], true);
        assert_eq!(aborts[0]["drill"], "d1");
        assert_eq!(aborts[0]["reason"], "it hurts");
        let status = line.abort.as_ref().unwrap();
        assert!(status.received_us <= status.reverted_us && status.reverted_us <= status.proved_us);
        assert_eq!(status.latch, Some(4));
        assert_eq!(status.injections[0].proved, Some(true));
    }
    let scene = board.scene(false);
    assert!(scene.finished && scene.proved == 2);
    assert!(scene.rows.iter().all(|row| row.words == "seen gone"));
}

#[test]
fn an_answer_that_breaks_off_is_asked_for_again_under_the_same_id() {
    let peer = Peer::new(|number| async move {
        if number < 3 {
            let torn = received(&["x"]) + &reverted("x") + "{\"line\":\"pro";
            lines(torn)
        } else {
            whole()
        }
    });
    let line = held(&[&peer]);
    line.handle().press("torn", "Ada");
    wait_for(&line, "clean", all_clean);
    let aborts = peer.aborts();
    assert!(aborts.len() >= 3, "{aborts:?}");
    assert!(aborts.iter().all(|abort| abort["abort"] == aborts[0]["abort"]));
}

#[test]
fn a_silent_agent_is_tried_on_a_second_connection_after_200_ms() {
    let peer = Peer::new(|number| async move {
        if number == 1 {
            std::future::pending::<()>().await;
        }
        whole()
    });
    let line = held(&[&peer]);
    line.handle().press("silent", "Ada");
    let board = wait_for(&line, "clean", all_clean);
    let took = board.agents[0].abort.as_ref().unwrap().proved_us.unwrap();
    assert!((200_000..2_000_000).contains(&took), "{took}");
}

#[test]
fn an_agent_that_answers_late_is_waited_for() {
    let peer = Peer::new(|_| async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        whole()
    });
    let line = held(&[&peer]);
    line.handle().press("late", "Ada");
    wait_for(&line, "unconfirmed", |board| {
        let rows = board.scene(true).rows;
        rows.iter().any(|row| row.stage == AbortStage::Unconfirmed)
    });
    let board = wait_for(&line, "clean", all_clean);
    assert!(board.agents[0].abort.as_ref().unwrap().sent > 3);
}

#[test]
fn endless_bodies_and_other_protocols_are_never_believed() {
    let endless = Peer::new(|_| async {
        let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
        let stream = futures_util::stream::repeat(chunk).map(Ok::<_, std::io::Error>);
        Body::from_stream(stream).into_response()
    });
    let html = Peer::new(|_| async { axum::response::Html("<h1>It works!</h1>").into_response() });
    let line = held(&[&endless, &html]);
    line.handle().press("strange", "Ada");
    let board = wait_for(&line, "problems", |board| {
        board.agents.iter().all(|line| {
            let problem = line.abort.as_ref().and_then(|abort| abort.problem.as_deref());
            problem.is_some_and(|problem| problem.contains("firedrill-agent abort"))
        })
    });
    assert!(board.is_aborting() && !board.agents.iter().any(|line| line.clean));
}

#[test]
fn what_is_gone_is_retried_until_it_is_back() {
    let peer = Peer::new(|_| async { whole() });
    let target = peer.target(0);
    let line = held(&[&peer]);
    drop(peer);
    line.handle().press("gone", "Ada");
    wait_for(&line, "retries", |board| {
        board.agents[0]
            .abort
            .as_ref()
            .is_some_and(|abort| abort.sent >= 3)
    });
    // Back at the same address: the abort reaches it without another press.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind(target.address))
        .unwrap();
    let router = Router::new().route("/v1/abort", post(|| async { whole() }));
    runtime.spawn(async move { axum::serve(listener, router).await });
    wait_for(&line, "clean", all_clean);
}

#[test]
fn an_order_reaches_agents_that_are_held_later() {
    let peer = Peer::new(|_| async { whole() });
    let line = AbortLine::start().unwrap();
    let gate = line.begin(Some("d1".into()), Clock::start());
    line.handle().press("early", "Ada");
    assert!(gate.is_closed());
    line.hold(vec![peer.target(0)]);
    wait_for(&line, "clean", all_clean);
}

/// Without a drill there are no heartbeats that would wake a line that missed a press.
#[test]
fn a_press_right_behind_a_begin_is_never_missed() {
    let peer = Peer::new(|_| async { whole() });
    let line = AbortLine::start().unwrap();
    line.hold(vec![peer.target(0)]);
    for presses in 1..=20 {
        line.begin(None, Clock::start());
        line.handle().press("again", "Ada");
        wait_for(&line, "clean", all_clean);
        assert_eq!(peer.aborts().len(), presses);
    }
}

#[test]
fn a_breach_does_not_latch_and_a_press_after_it_does() {
    let peer = Peer::new(|_| async { whole() });
    let line = held(&[&peer]);
    line.handle().stop("P95 latency");
    wait_for(&line, "clean", all_clean);
    line.handle().press("and now me", "Ada");
    wait_for(&line, "clean again", |board| {
        all_clean(board) && board.press.as_ref().is_some_and(|press| press.latch)
    });
    let aborts = peer.aborts();
    assert_eq!(aborts[0]["latch"], false);
    assert_eq!(aborts.last().unwrap()["latch"], true);
    assert_ne!(aborts[0]["abort"], aborts.last().unwrap()["abort"]);
}

#[test]
fn the_abort_path_is_exercised_without_a_latch() {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let peer = Peer::new(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        async { whole() }
    });
    let line = held(&[&peer]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let took = runtime.block_on(line.test(0, "test-1".into())).unwrap();
    assert!(took > 0);
    let abort = &peer.aborts()[0];
    assert_eq!(
        (&abort["latch"], &abort["drill"]),
        (&json!(false), &json!("test-1"))
    );
    let missing = runtime.block_on(line.test(7, "test-1".into()));
    assert!(missing.unwrap_err().contains("not held"));
}
