//! What the tests share: plans, and little HTTP servers that answer whatever a test wants.

#![expect(dead_code, reason = "each test file uses its own part")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot set itself up fails"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::response::Response;
use firedrill_drill::{Reading, Sample};
use firedrill_plan::{Indicator, Metrics, People, Plan, Range, Say, Sli, Source, Stop};
use firedrill_signals::Sampler;
use tokio::net::TcpListener;
use tokio::sync::mpsc::Receiver;

/// Long enough for anything that must come on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A server on loopback that ends with it.
pub struct Server {
    pub url: String,
    /// The most requests that were under way at a time.
    pub most: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a server answers.
pub enum Saying {
    /// Status, content type, body.
    This(u16, &'static str, String),
    /// This text, this much later.
    Late(Duration, String),
    /// Go there.
    Redirect(&'static str),
    /// A body that never ends.
    Endless,
    /// Nothing.
    Nothing,
}

/// Serves what `answer` gives for the number of the request (from 0), its path, and its body.
pub async fn serve(answer: impl Fn(usize, &str, &str) -> Saying + Send + Sync + 'static) -> Server {
    let answer = Arc::new(answer);
    let count = Arc::new(AtomicUsize::new(0));
    let now = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let most_of_server = Arc::clone(&most);
    let app = Router::new().fallback(move |request: axum::extract::Request| {
        let (answer, count) = (Arc::clone(&answer), Arc::clone(&count));
        let (now, most) = (Arc::clone(&now), Arc::clone(&most_of_server));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let path = request.uri().path().to_owned();
            let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
            let number = count.fetch_add(1, Ordering::SeqCst);
            let said = answer(number, &path, &String::from_utf8_lossy(&body));
            let response = respond(said).await;
            now.fetch_sub(1, Ordering::SeqCst);
            response
        }
    });
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Server {
        url: format!("http://{address}"),
        most,
        task,
    }
}

async fn respond(said: Saying) -> Response {
    let response = Response::builder();
    match said {
        Saying::This(status, kind, body) => response
            .status(status)
            .header(CONTENT_TYPE, kind)
            .body(Body::from(body)),
        Saying::Late(after, body) => {
            tokio::time::sleep(after).await;
            response.header(CONTENT_TYPE, "text/plain").body(Body::from(body))
        }
        Saying::Redirect(to) => response.status(302).header(LOCATION, to).body(Body::empty()),
        Saying::Endless => {
            let lines = Bytes::from(vec![b'#'; 64 << 10]);
            let stream = futures_util::stream::repeat_with(move || Ok::<_, std::io::Error>(lines.clone()));
            response
                .header(CONTENT_TYPE, "application/json")
                .body(Body::from_stream(stream))
        }
        Saying::Nothing => std::future::pending().await,
    }
    .unwrap()
}

pub fn said(status: u16, kind: &'static str, body: &str) -> Saying {
    Saying::This(status, kind, body.to_owned())
}

/// Exposition text.
pub fn text(body: &str) -> Saying {
    said(200, "text/plain; version=0.0.4", body)
}

pub fn sli(name: &str, indicator: Indicator) -> Sli {
    Sli {
        name: name.to_owned(),
        indicator,
        unit: String::new(),
        min_rate: None,
        band: Range::default(),
        tolerate: Range::default(),
        stop: Stop::Never { after: 2 },
        say: Say::default(),
    }
}

pub fn ratio(good: &str, total: &str, window_ms: u64) -> Indicator {
    Indicator::Ratio {
        good: good.parse().unwrap(),
        total: total.parse().unwrap(),
        window_ms,
    }
}

pub fn quantile(q: f64, histogram: &str, window_ms: u64) -> Indicator {
    Indicator::Quantile {
        q,
        histogram: histogram.parse().unwrap(),
        window_ms,
    }
}

pub fn rate(counter: &str, window_ms: u64) -> Indicator {
    Indicator::Rate {
        counter: counter.parse().unwrap(),
        window_ms,
    }
}

pub fn gauge(selector: &str) -> Indicator {
    Indicator::Gauge(selector.parse().unwrap())
}

pub fn plan(source: Source, every_ms: u64, slis: Vec<Sli>) -> Plan {
    Plan {
        title: String::new(),
        system: String::new(),
        goal: None,
        metrics: Metrics { source, every_ms },
        slis,
        agents: Vec::new(),
        experiments: Vec::new(),
        guardrails: firedrill_plan::Guardrails::default(),
        alerts: Vec::new(),
        people: People::default(),
    }
}

/// The next sample of an SLI for which `wanted` holds.
pub async fn next(
    samples: &mut Receiver<Vec<Sample>>,
    sli: usize,
    wanted: impl Fn(&Sample) -> bool,
) -> Sample {
    let mut last = None;
    let found = async {
        loop {
            let batch = samples.recv().await.expect("the sampler ended");
            for sample in batch.into_iter().filter(|sample| sample.sli == sli) {
                if wanted(&sample) {
                    return sample;
                }
                last = Some(sample);
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, found).await.ok();
    found.unwrap_or_else(|| panic!("no such sample came; the last one was {last:?}"))
}

/// The first reason why there is no data.
pub async fn first_why(plan: &Plan) -> String {
    let (sampler, mut samples) = Sampler::start(plan).unwrap();
    let sample = next(&mut samples, 0, |_| true).await;
    drop(sampler);
    why(&sample).unwrap_or_else(|| panic!("{sample:?} instead of no data"))
}

pub fn why(sample: &Sample) -> Option<String> {
    match &sample.reading {
        Reading::NoData { why } => Some(why.clone()),
        Reading::Value { .. } => None,
    }
}

pub fn is_value(sample: &Sample) -> bool {
    matches!(sample.reading, Reading::Value { .. })
}

pub fn value(sample: &Sample) -> f64 {
    match &sample.reading {
        Reading::Value { value, .. } => *value,
        Reading::NoData { why } => panic!("no data: {why}"),
    }
}
