//! The native driver against agents, and against what is none.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use firedrill_drill::{Call, Failure, Reply};
use firedrill_fleet::{Access, Driver, Gate, NativeDriver, Token};
use firedrill_trust::Fingerprint;
use firedrill_wire::{Epoch, Fence, OpenRequest, PatchRequest, Problem, ProblemKind, RenewRequest, Tick};
use serde_json::json;

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

fn driver(url: &str) -> NativeDriver {
    NativeDriver::new("a", url, access(None)).unwrap()
}

fn access(pin: Option<Fingerprint>) -> Access {
    Access {
        token: Some(Token::new("t0ken")),
        pin,
    }
}

fn info(agent: &str, protocol: u32) -> serde_json::Value {
    json!({
        "agent": agent, "instance": "i", "tick": 1, "protocol": protocol, "version": "0.1.0", "host": "h",
        "labels": {}, "latch": null, "open": null, "routes": [], "faults": [],
    })
}

fn open() -> Call {
    Call::Open(OpenRequest {
        drill: "d".into(),
        nonce: "n".into(),
        experiment: "e".into(),
        console: "c".into(),
        who: "w".into(),
        lease_ms: 5_000,
    })
}

async fn why_not(driver: &NativeDriver) -> String {
    match driver.call(Call::Info, &Gate::new()).await {
        Reply::Info {
            result: Err(Failure::NoAnswer { why }),
        } => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_agent_is_heard_and_gets_the_token() {
    let router = Router::new().route(
        "/v1/agent",
        get(|headers: HeaderMap| async move {
            assert_eq!(headers[header::AUTHORIZATION], "Bearer t0ken");
            Json(info("one", 1))
        }),
    );
    let driver = driver(&serve(router).await);
    let Reply::Info { result: Ok(info) } = driver.call(Call::Info, &Gate::new()).await else {
        panic!("no info");
    };
    assert_eq!(info.stamp.agent.as_str(), "one");
    assert!(!format!("{driver:?}").contains("t0ken"));
}

#[tokio::test]
async fn a_refusal_keeps_the_agents_words() {
    let router = Router::new().route(
        "/v1/drills",
        any(|| async {
            let problem = Problem::new(ProblemKind::Latched, "latched", "by Ada", "release it");
            let headers = [(header::CONTENT_TYPE, "application/problem+json")];
            (
                StatusCode::LOCKED,
                headers,
                serde_json::to_string(&problem).unwrap(),
            )
        }),
    );
    let driver = driver(&serve(router).await);
    let Reply::Opened {
        result: Err(Failure::Refused { problem }),
    } = driver.call(open(), &Gate::new()).await
    else {
        panic!("not refused");
    };
    assert_eq!(problem.kind, ProblemKind::Latched);
    assert_eq!(problem.remedy, "release it");
}

#[tokio::test]
async fn what_is_no_agent_is_said_with_a_remedy() {
    async fn answer(response: Response) -> String {
        let body = Arc::new(parking(response).await);
        let router = Router::new().route("/v1/agent", get(move || async move { (*body).clone() }));
        why_not(&driver(&serve(router).await)).await
    }
    async fn parking(response: Response) -> (StatusCode, HeaderMap, Vec<u8>) {
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (parts.status, parts.headers, bytes.to_vec())
    }
    let html = axum::response::Html("<h1>It works!</h1>").into_response();
    assert!(answer(html).await.contains("not a Firedrill agent"));
    let lost = (StatusCode::NOT_FOUND, Json(json!({"error": "no route"}))).into_response();
    assert!(answer(lost).await.contains("check the address in the plan"));
    let strange = Json(json!({"agent": 7})).into_response();
    assert!(answer(strange).await.contains("same release"));
    let newer = Json(json!({"protocol": 2, "everything": "else"})).into_response();
    assert!(answer(newer).await.contains("speaks protocol 2"));
    let huge = Json(json!({"agent": "x".repeat(3_000_000)})).into_response();
    assert!(answer(huge).await.contains("more than"));
    let elsewhere = axum::response::Redirect::temporary("http://127.0.0.1:1/v1/agent").into_response();
    assert!(answer(elsewhere).await.contains("not a Firedrill agent"));
}

#[tokio::test]
async fn nobody_there_and_nobody_answering() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    let begun = Instant::now();
    assert!(
        why_not(&driver(&silent))
            .await
            .contains("did not answer within 2 s")
    );
    assert!(begun.elapsed() < Duration::from_secs(4));
    drop(listener);
    assert!(why_not(&driver(&silent)).await.contains("cannot be reached"));
}

#[tokio::test]
async fn another_agent_at_the_same_address_is_not_believed() {
    let count = Arc::new(AtomicUsize::new(0));
    let router = Router::new().route(
        "/v1/agent",
        get(move || {
            let names = ["one", "one", "two"];
            let name = names[count.fetch_add(1, Ordering::SeqCst).min(2)];
            async move { Json(info(name, 1)) }
        }),
    );
    let driver = driver(&serve(router).await);
    for _ in 0..2 {
        let reply = driver.call(Call::Info, &Gate::new()).await;
        assert!(matches!(reply, Reply::Info { result: Ok(_) }));
    }
    assert!(
        why_not(&driver)
            .await
            .contains("now another agent (two, before one)")
    );
}

#[tokio::test]
async fn a_closed_gate_lets_nothing_through() {
    let heard = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&heard);
    let router = Router::new().fallback(move || {
        counter.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<()>()
    });
    let driver = driver(&serve(router).await);
    let gate = Gate::new();
    // On its way when the gate closes: let go of at once, far before its time-out.
    let begun = Instant::now();
    let open = open();
    let (reply, ()) = tokio::join!(driver.call(open, &gate), async {
        while heard.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        gate.close();
    });
    assert!(matches!(reply, Reply::Opened { result: Err(_) }));
    assert!(begun.elapsed() < Duration::from_secs(1));
    let fence = Fence {
        drill: "d".into(),
        epoch: Epoch(1),
        instance: "i".into(),
        holder: firedrill_wire::HolderSecret("s".to_owned()),
    };
    let change = PatchRequest {
        fence: fence.clone(),
        revision: 1,
        not_after: Tick(1),
        parameters: json!({ "delay": "400ms" }),
    };
    let change = driver
        .call(Call::Change("i-1".into(), Box::new(change)), &gate)
        .await;
    let Reply::Changed {
        revision: 1,
        result: Err(Failure::Refused { problem }),
        ..
    } = change
    else {
        panic!("went through: {change:?}");
    };
    assert_eq!(problem.title, "not sent");
    let renewal = Call::Renew(RenewRequest { fence, seen: Tick(1) });
    let Reply::Renewed {
        result: Err(Failure::Refused { problem }),
    } = driver.call(renewal, &gate).await
    else {
        panic!("went through");
    };
    assert_eq!(problem.title, "not sent");
    assert_eq!(heard.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_happens_on_an_agent_is_told() {
    let router = Router::new()
        .route("/v1/agent", get(|| async { Json(info("one", 1)) }))
        .route("/v1/injections", get(|| async { Json(json!([])) }))
        .route(
            "/v1/events",
            get(|| async {
                let latch = json!({
                    "agent": "one", "instance": "i", "tick": 2, "n": 1, "event": "latch",
                    "latch": {"number": 7, "reason": "r", "who": "w", "since": 2},
                });
                let text = format!("id: i:1\ndata: {latch}\n\n");
                ([(header::CONTENT_TYPE, "text/event-stream")], text)
            }),
        );
    let driver = driver(&serve(router).await);
    let (tell, mut told) = tokio::sync::mpsc::channel(8);
    let watching = driver.watch(tell);
    let hearing = async {
        assert_eq!(told.recv().await.unwrap(), Reply::Latch { latch: None });
        match told.recv().await.unwrap() {
            Reply::Latch { latch: Some(latch) } => assert_eq!(latch.number, 7),
            other => panic!("{other:?}"),
        }
        drop(told);
    };
    tokio::time::timeout(Duration::from_secs(10), async { tokio::join!(watching, hearing) })
        .await
        .unwrap();
}

/// An agent that shows a certificate of its own, its fingerprint, and how many requests it has heard.
async fn serve_tls() -> (String, Fingerprint, Arc<AtomicUsize>) {
    let made = rcgen::generate_simple_self_signed(vec!["anything".to_owned()]).unwrap();
    let fingerprint = Fingerprint::of(made.cert.der());
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(firedrill_trust::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let heard = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&heard);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, counter) = (acceptor.clone(), Arc::clone(&counter));
            tokio::spawn(async move {
                use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut head = vec![0; 4096];
                while stream.read(&mut head).await.is_ok_and(|read| read > 0) {
                    counter.fetch_add(1, Ordering::SeqCst);
                    let body = info("one", 1).to_string();
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (url, fingerprint, heard)
}

#[tokio::test]
async fn the_enrolled_certificate_is_believed_and_no_other() {
    let (url, fingerprint, heard) = serve_tls().await;
    let known = NativeDriver::new("a", &url, access(Some(fingerprint))).unwrap();
    let Reply::Info { result: Ok(info) } = known.call(Call::Info, &Gate::new()).await else {
        panic!("no info");
    };
    assert_eq!(
        (info.stamp.agent.as_str(), heard.load(Ordering::SeqCst)),
        ("one", 1)
    );
    let other = Fingerprint::of(b"another certificate");
    let wrong = NativeDriver::new("a", &url, access(Some(other))).unwrap();
    let why = why_not(&wrong).await;
    for words in [
        &*url,
        &fingerprint.to_string(),
        &other.to_string(),
        "firedrill-agent enroll",
    ] {
        assert!(why.contains(words), "{words}: {why}");
    }
    assert!(!why.contains("t0ken"));
    assert_eq!(heard.load(Ordering::SeqCst), 1, "nobody else gets the token");
}

#[tokio::test]
async fn without_an_enrolment_nothing_is_sent() {
    let refused = NativeDriver::new("a", "https://10.0.0.7:7431", access(None)).unwrap_err();
    assert!(refused.to_string().contains("firedrill enroll"), "{refused}");
    let plain = NativeDriver::new("a", "http://10.0.0.7:7431", access(None)).unwrap_err();
    assert!(plain.to_string().contains("TLS"), "{plain}");
}
