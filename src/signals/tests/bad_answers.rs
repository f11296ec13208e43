//! Whatever a source answers becomes no data with a sentence that names the remedy; it never ends the sampler.

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Saying, first_why, gauge, is_value, next, plan, said, serve, sli, text, value, why};
use firedrill_plan::{Indicator, Plan, Source};
use firedrill_signals::{Sampler, check_source};

const JSON: &str = "application/json";

/// A success whose result is this vector.
fn vector(result: &str) -> Saying {
    result_of("vector", result)
}

fn result_of(kind: &str, result: &str) -> Saying {
    let body = format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":[{result}]}}}}"#);
    said(200, JSON, &body)
}

/// One series of the common request, of SLI 0.
fn part(part: &str, more: &str, evaluated: f64, number: &str) -> String {
    format!(r#"{{"metric":{{"firedrill_part":"0/{part}"{more}}},"value":[{evaluated},"{number}"]}}"#)
}

/// A newest sample of this time and its value.
fn sample(evaluated: f64, newest: f64, number: &str) -> Saying {
    vector(&format!(
        "{},{}",
        part("time0", "", evaluated, &newest.to_string()),
        part("value", "", evaluated, number)
    ))
}

/// What a server with a sample every 15 s up to second 1,000 answers when asked for its interval.
fn interval_of_15_s(body: &str) -> Option<Saying> {
    if body.contains("topk") {
        return Some(vector(
            r#"{"metric":{"__name__":"queue_depth"},"value":[1000,"1"]}"#,
        ));
    }
    let raw = r#"{"metric":{},"values":[[955,"1"],[970,"1"],[985,"1"],[1000,"1"]]}"#;
    body.ends_with("%5B5m%5D").then(|| result_of("matrix", raw))
}

fn of_prometheus(url: &str) -> Plan {
    let queue = sli("Queue", gauge("queue_depth"));
    plan(Source::Prometheus(url.to_owned()), 100, vec![queue])
}

fn of_scrape(url: &str) -> Plan {
    let queue = sli("Queue", gauge("queue_depth"));
    plan(Source::Scrape(vec![format!("{url}/metrics")]), 100, vec![queue])
}

#[tokio::test]
async fn answers_of_a_prometheus_that_are_no_data() {
    let many = format!(
        "{},{},{}",
        part("time0", "", 100.0, "99"),
        part("value", r#","a":"1""#, 100.0, "1"),
        part("value", r#","a":"2""#, 100.0, "2")
    );
    for (answer, expected) in [
        (
            said(
                400,
                JSON,
                r#"{"status":"error","errorType":"bad_data","error":"1:4: parse error"}"#,
            ),
            "the query of \"Queue\" is refused: 1:4: parse error",
        ),
        (
            said(
                422,
                JSON,
                r#"{"status":"error","errorType":"execution","error":"many-to-many matching"}"#,
            ),
            "many-to-many matching",
        ),
        (
            said(
                503,
                JSON,
                r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#,
            ),
            "is the server overloaded",
        ),
        (
            said(503, "text/plain", "Service Unavailable"),
            "answers 503 \"Service Unavailable\"",
        ),
        (
            said(200, "text/html", "<html><h1>Welcome</h1>"),
            "is this the address of a Prometheus server?",
        ),
        (
            said(404, "text/plain", "404 page not found"),
            "give the base address",
        ),
        (
            said(200, JSON, "{\"status\":\"succ"),
            "JSON that is not Prometheus'",
        ),
        (said(200, JSON, ""), "JSON that is not Prometheus'"),
        (vector(""), "no series is chosen by queue_depth"),
        (sample(100.0, 99.0, "NaN"), "gives NaN, which is no value"),
        (sample(100.0, 99.0, "+Inf"), "gives inf, which is no value"),
        (vector(&part("time0", "", 100.0, "99")), "gives nothing"),
        (
            vector(&many),
            "2 series where one is expected: {a=\"1\"}, {a=\"2\"}; put sum(…)",
        ),
        (Saying::Endless, "more than 8 MiB"),
        (said(302, "text/plain", ""), "answers 302"),
    ] {
        let answer = Mutex::new(Some(answer));
        let server = serve(move |_, _, _| answer.lock().unwrap().take().unwrap_or_else(|| vector(""))).await;
        let why = first_why(&of_prometheus(&server.url)).await;
        assert!(why.contains(expected), "{expected:?} is not in {why:?}");
    }
}

#[tokio::test]
async fn no_answer_within_the_time_out_and_no_server_are_no_data() {
    let silent = serve(|_, _, _| Saying::Nothing).await;
    let why = first_why(&of_prometheus(&silent.url)).await;
    assert!(why.contains("did not answer to the end within 2000 ms"), "{why}");
    let problem = check_source(&of_prometheus(&silent.url)).await.unwrap_err();
    assert!(problem.contains("did not answer"), "{problem}");

    // Bound, so that nobody else is there, and never listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    for plan in [of_prometheus(&url), of_scrape(&url)] {
        let why = first_why(&plan).await;
        assert!(why.contains("cannot be reached"), "{why}");
        let problem = check_source(&plan).await.unwrap_err();
        assert!(problem.contains("cannot be reached"), "{problem}");
    }
}

#[tokio::test]
async fn redirects_end() {
    let server = serve(|_, _, _| Saying::Redirect("/again")).await;
    for plan in [of_prometheus(&server.url), of_scrape(&server.url)] {
        let why = first_why(&plan).await;
        assert!(why.contains("redirects more than 3 times"), "{why}");
    }
}

#[tokio::test]
async fn one_query_that_is_refused_does_not_take_the_others_with_it() {
    // Refuses every request that holds the bad query, as a server does with a union.
    let server = serve(|number, _, body| {
        if body.contains("broken") {
            return said(
                400,
                JSON,
                r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#,
            );
        }
        let now = 100.0 + number as f64;
        if body.contains("topk") {
            vector("")
        } else {
            sample(now, now, "7")
        }
    })
    .await;
    let mut plan = of_prometheus(&server.url);
    plan.slis
        .push(sli("Broken", Indicator::Promql("broken(".to_owned())));
    let (_sampler, mut samples) = Sampler::start(&plan).unwrap();
    assert_eq!(value(&next(&mut samples, 0, is_value).await), 7.0);
    let refused = next(&mut samples, 1, |_| true).await;
    assert!(
        why(&refused).unwrap().contains("\"Broken\" is refused"),
        "{refused:?}"
    );
    assert_eq!(value(&next(&mut samples, 0, is_value).await), 7.0);
}

/// How a server treats the query `hung`, beside one for all that is answered at once.
#[derive(Clone, Copy, PartialEq)]
enum Together {
    /// It hangs, and what it is asked with.
    Hangs,
    /// It is refused with others, and hangs alone.
    Refused,
}

#[tokio::test]
async fn one_query_that_hangs_does_not_hold_the_others() {
    for together in [Together::Hangs, Together::Refused] {
        let (held, hangs) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
        let (count, still) = (Arc::clone(&held), Arc::clone(&hangs));
        let server = serve(move |number, _, body| {
            let now = 100.0 + number as f64;
            if body.contains("topk") {
                return vector("");
            }
            if !body.contains("hung") {
                return sample(now, now, "7");
            }
            if body.contains("queue_depth") && together == Together::Refused {
                return said(
                    400,
                    JSON,
                    r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#,
                );
            }
            if still.load(Ordering::SeqCst) {
                count.fetch_add(1, Ordering::SeqCst);
                return Saying::Nothing;
            }
            let of = |part: &str, number: String| {
                format!(r#"{{"metric":{{"firedrill_part":"{part}"}},"value":[{now},"{number}"]}}"#)
            };
            let hung = [of("1/value", "8".to_owned()), of("1/time", now.to_string())];
            let queue = [of("0/value", "7".to_owned()), of("0/time0", now.to_string())];
            vector(&[hung, queue].concat().join(","))
        })
        .await;
        let mut plan = of_prometheus(&server.url);
        plan.slis.push(sli("Hung", Indicator::Promql("hung".to_owned())));
        let (_sampler, mut samples) = Sampler::start(&plan).unwrap();
        for _ in 0..30 {
            assert_eq!(value(&next(&mut samples, 0, is_value).await), 7.0);
        }
        // Each is held until its time-out, for many looks at the other.
        let held = held.load(Ordering::SeqCst);
        assert!((1..=10).contains(&held), "{held} were held during 30 looks");
        let waits = next(&mut samples, 1, |_| true).await;
        assert!(why(&waits).unwrap().contains("answer"), "{waits:?}");
        // It is asked with the others again, or alone, once it answers.
        hangs.store(false, Ordering::SeqCst);
        assert_eq!(value(&next(&mut samples, 1, is_value).await), 8.0);
        assert_eq!(value(&next(&mut samples, 0, is_value).await), 7.0);
    }
}

#[tokio::test]
async fn a_sample_is_one_however_often_one_asks() {
    let server = serve(|number, _, body| {
        interval_of_15_s(body).unwrap_or_else(|| {
            if number < 20 {
                sample(1_001.0, 1_000.0, "1")
            } else {
                sample(1_016.0, 1_015.0, "2")
            }
        })
    })
    .await;
    let (_sampler, mut samples) = Sampler::start(&of_prometheus(&server.url)).unwrap();
    let first = next(&mut samples, 0, |_| true).await;
    assert_eq!((first.source_ms, value(&first)), (1_000_000, 1.0));
    assert!(
        first.age_ms >= 1_000,
        "age is by the server's clock: {}",
        first.age_ms
    );
    let second = next(&mut samples, 0, |_| true).await;
    assert_eq!((second.source_ms, value(&second)), (1_015_000, 2.0));
}

#[tokio::test]
async fn an_old_sample_is_no_data() {
    let server =
        serve(|_, _, body| interval_of_15_s(body).unwrap_or_else(|| sample(1_040.0, 1_000.0, "1"))).await;
    let why = first_why(&of_prometheus(&server.url)).await;
    assert!(
        why.contains("one every 15 s; is the target still scraped?"),
        "{why}"
    );
    let problem = check_source(&of_prometheus(&server.url)).await.unwrap_err();
    assert!(
        problem.contains("old, but the source has one every 15 s"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_server_that_goes_is_no_data_once_its_newest_sample_is_old() {
    let server = serve(|number, _, body| {
        let now = 100.0 + number as f64;
        match number {
            _ if body.contains("topk") => vector(""),
            0..20 => sample(now, now, "7"),
            _ => said(502, "text/plain", "Bad Gateway"),
        }
    })
    .await;
    let (_sampler, mut samples) = Sampler::start(&of_prometheus(&server.url)).unwrap();
    next(&mut samples, 0, is_value).await;
    let gone = next(&mut samples, 0, |sample| !is_value(sample)).await;
    let why = why(&gone).unwrap();
    assert!(why.contains("the server behind it does not answer"), "{why}");
}

#[tokio::test]
async fn texts_of_a_scrape_that_are_no_data() {
    for (answer, expected) in [
        (said(500, "text/plain", "oops"), "answers 500 \"oops\""),
        (said(200, "text/html", "<html>"), "answers a web page"),
        (text("<html>"), "line 1: expected a metric's name"),
        (text("queue_depth 1\nqueue_"), "line 2: "),
        (
            said(
                200,
                "application/openmetrics-text; version=1.0.0",
                "queue_depth 1\n",
            ),
            "it was cut",
        ),
        (text(""), "no series is chosen by queue_depth"),
        (text("queue_depth NaN\n"), "is not a number"),
        (Saying::Endless, "more than 8 MiB"),
        (Saying::Nothing, "did not answer to the end within 2000 ms"),
    ] {
        let answer = Mutex::new(Some(answer));
        let server = serve(move |_, _, _| answer.lock().unwrap().take().unwrap_or(Saying::Nothing)).await;
        let why = first_why(&of_scrape(&server.url)).await;
        assert!(why.contains(expected), "{expected:?} is not in {why:?}");
    }
}

#[tokio::test]
async fn an_address_is_asked_again_only_when_it_has_answered() {
    // Later than a look waits.
    let late = Duration::from_millis(250);
    let server = serve(move |_, _, _| Saying::Late(late, "queue_depth 1\n".to_owned())).await;
    let mut plan = of_scrape(&server.url);
    plan.metrics.source = Source::Scrape((0..8).map(|i| format!("{}/{i}", server.url)).collect());
    let (_sampler, mut samples) = Sampler::start(&plan).unwrap();
    for _ in 0..3 {
        let sample = next(&mut samples, 0, |_| true).await;
        assert_eq!(
            value(&sample),
            8.0,
            "the same series at each address is one of each"
        );
    }
    let most = server.most.load(Ordering::SeqCst);
    assert!((2..=8).contains(&most), "{most} at a time, of eight addresses");
}
