//! SLIs by scrape and by probe, from real HTTP servers through the sampler, and what preflight says of them.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{
    Saying, gauge, is_value, next, plan, quantile, rate, ratio, said, serve, sli, text, value, why,
};
use firedrill_drill::Reading;
use firedrill_plan::{ProbeRequest, Range, Source, Stop};
use firedrill_signals::{Sampler, check_source};

/// Counters after so many scrapes: 3 of 4 requests are good, half of them within 0.1 s, all within 0.5 s.
fn counters(scrapes: usize) -> Saying {
    let of = |n: usize| 1_000 + n * scrapes;
    text(&format!(
        "r{{job=\"orders\",code=\"200\"}} {}\nr{{job=\"orders\",code=\"503\"}} {}\nqueue_depth 5\n\
         h_bucket{{le=\"0.1\"}} {}\nh_bucket{{le=\"0.5\"}} {}\nh_bucket{{le=\"+Inf\"}} {}\n",
        of(3),
        of(1),
        of(2),
        of(4),
        of(4)
    ))
}

fn slis() -> Vec<firedrill_plan::Sli> {
    vec![
        sli("Success", ratio(r#"r{code!~"5.."}"#, "r", 1_000)),
        sli("None good", ratio(r#"r{code="418"}"#, "r", 1_000)),
        sli("Median", quantile(0.5, "h", 1_000)),
        sli("Requests", rate(r#"r{job="orders"}"#, 1_000)),
        sli("Queue", gauge("queue_depth")),
    ]
}

#[tokio::test]
async fn a_scrape_gives_all_kinds_of_indicators() {
    let server = serve(|number, _, _| counters(number)).await;
    let plan = plan(
        Source::Scrape(vec![format!("{}/metrics", server.url)]),
        100,
        slis(),
    );
    let (_sampler, mut samples) = Sampler::start(&plan).unwrap();
    let first = next(&mut samples, 0, |_| true).await;
    assert!(
        why(&first).is_some_and(|why| why.contains("not full yet")),
        "{first:?}"
    );
    for (sli, expected) in [(0, 0.75), (1, 0.0), (2, 0.1), (4, 5.0)] {
        let sample = next(&mut samples, sli, is_value).await;
        assert!((value(&sample) - expected).abs() < 1e-9, "SLI {sli}: {sample:?}");
        let Reading::Value { rate, .. } = sample.reading else {
            unreachable!()
        };
        assert_eq!(rate.is_some(), sli != 4, "traffic is known but for gauges");
    }
    // 4 requests a scrape, at most ten scrapes a second.
    let requests = value(&next(&mut samples, 3, is_value).await);
    assert!(requests > 0.0 && requests < 60.0, "{requests}");
    let (earlier, later) = (
        next(&mut samples, 4, |_| true).await,
        next(&mut samples, 4, |_| true).await,
    );
    assert!(later.source_ms > earlier.source_ms);
}

#[tokio::test]
async fn a_dropped_sampler_stops_asking() {
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let server = serve(move |number, _, _| {
        seen.store(true, Ordering::SeqCst);
        counters(number)
    })
    .await;
    let plan = plan(Source::Scrape(vec![server.url.clone()]), 100, slis());
    let (sampler, mut samples) = Sampler::start(&plan).unwrap();
    next(&mut samples, 4, is_value).await;
    assert!(asked.load(Ordering::SeqCst));
    drop(sampler);
    // Its end of the channel goes with it, after what was still in it.
    while samples.recv().await.is_some() {}
}

#[tokio::test]
async fn a_target_that_fails_is_no_data_until_it_is_back() {
    let down = Arc::new(AtomicBool::new(false));
    let is_down = Arc::clone(&down);
    let server = serve(move |number, _, _| {
        if is_down.load(Ordering::SeqCst) {
            said(503, "text/plain", "restarting")
        } else {
            counters(number)
        }
    })
    .await;
    let plan = plan(Source::Scrape(vec![server.url.clone()]), 100, slis());
    let (_sampler, mut samples) = Sampler::start(&plan).unwrap();
    next(&mut samples, 0, is_value).await;
    down.store(true, Ordering::SeqCst);
    let gone = next(&mut samples, 0, |sample| !is_value(sample)).await;
    assert!(why(&gone).unwrap().contains("503 \"restarting\""), "{gone:?}");
    down.store(false, Ordering::SeqCst);
    next(&mut samples, 0, is_value).await;
}

#[tokio::test]
async fn an_address_that_hangs_holds_up_only_its_own_slis() {
    let hangs = Arc::new(AtomicBool::new(false));
    let is_hung = Arc::clone(&hangs);
    let well = serve(|number, _, _| counters(number)).await;
    let other = serve(move |_, _, _| {
        if is_hung.load(Ordering::SeqCst) {
            Saying::Nothing
        } else {
            text("temperature 20\nqueue_depth 2\n")
        }
    })
    .await;
    let mut slis = slis();
    slis.push(sli("Temperature", gauge("temperature")));
    let (well_only, sum, hung_only) = (0, 4, 5);
    // Two of three addresses hang: more than might be asked at a time, if they shared a limit.
    let silent = format!("{}/silent", other.url);
    let urls = [&well.url, &other.url, &silent].map(Clone::clone).to_vec();
    let plan = plan(Source::Scrape(urls), 100, slis);
    let (_sampler, mut samples) = Sampler::start(&plan).unwrap();
    let all = |sample: &firedrill_drill::Sample| is_value(sample) && value(sample) == 9.0;
    next(&mut samples, sum, all).await;
    next(&mut samples, well_only, is_value).await;
    hangs.store(true, Ordering::SeqCst);
    // The time-out is 2 s: until then nothing is known of the address, and others have a sample a look.
    let mut of_well = 0;
    let why_not = tokio::time::timeout(common::PATIENCE, async {
        loop {
            let batch = samples.recv().await.unwrap();
            let of = |sli| batch.iter().find(|sample| sample.sli == sli);
            if let Some(why) = of(hung_only).and_then(why) {
                return why;
            }
            of_well += usize::from(of(well_only).is_some_and(is_value));
            // Half a sum is none.
            assert!(of(sum).is_none_or(all), "{batch:?}");
        }
    })
    .await
    .unwrap();
    assert!(
        why_not.contains("did not answer to the end within 2000 ms"),
        "{why_not}"
    );
    assert!(of_well >= 5, "only {of_well} samples of an address that answers");
    hangs.store(false, Ordering::SeqCst);
    next(&mut samples, hung_only, is_value).await;
}

#[tokio::test]
async fn a_probe_counts_what_it_sends() {
    // Every fourth request fails.
    let server = serve(|number, path, _| {
        assert_eq!(path, "/health");
        if number % 4 == 3 {
            said(500, "text/plain", "no")
        } else {
            text("yes")
        }
    })
    .await;
    let url = format!("{}/health", server.url);
    let probe = |url: &str| ProbeRequest {
        method: "GET".to_owned(),
        url: url.to_owned(),
    };
    // Bound, so that nobody else is there, and never listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let nobody = format!("http://{}/health", socket.local_addr().unwrap());
    let of = |url: &str, code: &str| format!("http_requests_total{{job=\"probe\",url=\"{url}\"{code}}}");
    let mut latency = sli(
        "Latency",
        quantile(
            0.5,
            &format!("http_request_duration_seconds{{url=\"{url}\"}}"),
            4_000,
        ),
    );
    latency.stop = Stop::Outside {
        range: Range {
            min: None,
            max: Some(1.25),
        },
        after: 2,
    };
    let plan = plan(
        Source::Probe(vec![probe(&url), probe(&nobody)]),
        100,
        vec![
            sli("Up", ratio(&of(&url, ",code=~\"2..\""), &of(&url, ""), 4_000)),
            latency,
            sli(
                "Nobody",
                ratio(&of(&nobody, ",code!=\"0\""), &of(&nobody, ""), 4_000),
            ),
        ],
    );
    let (_sampler, mut samples) = Sampler::start(&plan).unwrap();
    let up = value(&next(&mut samples, 0, is_value).await);
    assert!(up > 0.6 && up < 0.9, "{up}");
    let latency = value(&next(&mut samples, 1, is_value).await);
    assert!(latency > 0.0 && latency < 5.0, "{latency}");
    assert_eq!(value(&next(&mut samples, 2, is_value).await), 0.0);

    let notes = check_source(&plan).await.unwrap();
    assert!(
        notes.is_empty(),
        "a line of the plan is an edge of the probe's histogram: {notes:?}"
    );
}

#[tokio::test]
async fn preflight_passes_a_good_source_and_notes_lines_between_edges() {
    let server = serve(|number, _, _| counters(number)).await;
    let mut slis = slis();
    slis[2].tolerate = Range {
        min: None,
        max: Some(0.3),
    };
    let plan = plan(Source::Scrape(vec![server.url.clone()]), 100, slis);
    let notes = check_source(&plan).await.unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].contains("tolerate at 0.3 lies between the bucket edges 0.1 and 0.5"),
        "{notes:?}"
    );
}

#[tokio::test]
async fn preflight_names_everything_that_is_wrong() {
    // Nothing grows.
    let server = serve(|_, _, _| counters(7)).await;
    let mut slis = slis();
    slis.push(sli("Typo", gauge("queue_dept")));
    slis.push(sli("Short", rate("r", 350)));
    slis[2].stop = Stop::Outside {
        range: Range {
            min: None,
            max: Some(2.0),
        },
        after: 2,
    };
    let plan = plan(Source::Scrape(vec![server.url.clone()]), 100, slis);
    let problems = check_source(&plan).await.unwrap_err();
    for expected in [
        "\"Success\": no traffic: r did not grow",
        "\"Typo\": no series is chosen by queue_dept",
        "\"Short\": a window of 0.35 s is too short",
        "\"Median\": stop can never be left",
    ] {
        assert!(problems.contains(expected), "{expected:?} is not in {problems}");
    }
}
