//! A server that speaks Prometheus' HTTP API for a plan of many SLIs, and is told when to turn bad.
//!
//! It evaluates no PromQL: from the marks that the sampler puts on each part of its request it knows which SLI and
//! which part is asked for. The answers have the shape that a real server gives them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use firedrill_testing::{Upstream, wait_until};
use parking_lot::Mutex;

/// From one sample to the next at the source, in milliseconds.
const INTERVAL_MS: u64 = 200;

/// A mark in a request's form, percent-encoded: `"firedrill_part", "`, and its end.
const MARK: &str = "%22firedrill_part%22%2C%20%22";
const MARK_END: &str = "%22";

/// A Prometheus of one plan.
pub struct Prometheus {
    server: Upstream,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Whose values are bad, and from which source time on: a sample that was answered once does not change.
    bad: Option<(usize, u64)>,
    /// The source times of bad samples that were answered, and when each was written first.
    told: Vec<(u64, Instant)>,
}

impl Prometheus {
    pub fn start() -> anyhow::Result<Self> {
        let state = Arc::new(Mutex::new(State::default()));
        let seen = Arc::clone(&state);
        let server = Upstream::serving("application/json", move |form| answer(form, &seen))?;
        Ok(Self { server, state })
    }

    /// The `[metrics]` and so many SLIs of a plan: all kinds of indicators, each with a stop line after two bad
    /// samples.
    pub fn plan(&self, slis: usize) -> String {
        let mut text = format!(
            "[metrics]\nprometheus = \"http://{}\"\nevery = \"100ms\"\n",
            self.server.address()
        );
        for index in 0..slis {
            let job = format!("job=\"s{index:02}\"");
            let (kind, lines) = match index % 4 {
                0 => (
                    format!(
                        "ratio = {{ good = 'http_requests_total{{{job},code!~\"5..\"}}', total = 'http_requests_total{{{job}}}', window = \"2s\" }}"
                    ),
                    "band = { min = 0.9 }\nstop = { min = 0.5, after = 2 }",
                ),
                1 => (
                    format!(
                        "quantile = {{ q = 0.95, histogram = 'http_request_duration_seconds{{{job}}}', window = \"2s\" }}"
                    ),
                    "band = { max = 1.0 }\nstop = { max = 2.0, after = 2 }",
                ),
                2 => (
                    format!("rate = {{ counter = 'orders_total{{{job}}}', window = \"2s\" }}"),
                    "band = { max = 1.0 }\nstop = { max = 5.0, after = 2 }",
                ),
                _ => (
                    format!("promql = 'max(queue_depth{{{job}}})'"),
                    "band = { max = 1.0 }\nstop = { max = 5.0, after = 2 }",
                ),
            };
            // Writing to a string cannot fail.
            write!(text, "[[sli]]\nname = \"SLI {index}\"\n{kind}\n{lines}\n").ok();
        }
        text
    }

    /// From the next source sample on, this SLI's values are beyond its stop line.
    pub fn turn_bad(&self, sli: usize) {
        *self.state.lock() = State {
            bad: Some((sli, newest_ms(now_ms()) + INTERVAL_MS)),
            told: Vec::new(),
        };
    }

    /// All is well again.
    pub fn turn_good(&self) {
        *self.state.lock() = State::default();
    }

    /// When the answer with the second bad source sample began to be written.
    pub fn second_bad(&self, limit: Duration) -> anyhow::Result<Instant> {
        let (at, _) = wait_until(limit, "two bad samples are asked for", || {
            Ok(self.state.lock().told.get(1).map(|(_, at)| *at))
        })?;
        Ok(at)
    }
}

/// The value of an SLI that is well, or far beyond its stop line.
fn value(sli: usize, bad: bool) -> &'static str {
    match (sli.is_multiple_of(4), bad) {
        (true, false) => "0.999",
        (true, true) => "0.1",
        (false, false) => "0.25",
        (false, true) => "9.5",
    }
}

/// By the server's clock.
fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}

/// The time of the newest source sample.
fn newest_ms(now_ms: u64) -> u64 {
    now_ms / INTERVAL_MS * INTERVAL_MS
}

fn answer(form: &str, state: &Mutex<State>) -> String {
    let now_ms = now_ms();
    let newest_ms = newest_ms(now_ms);
    let bad = state.lock().bad.filter(|(_, from_ms)| newest_ms >= *from_ms);
    let bad = bad.map(|(sli, _)| sli);
    let mut series = Vec::new();
    for rest in form.split(MARK).skip(1) {
        let mark = rest
            .split(MARK_END)
            .next()
            .unwrap_or_default()
            .replace("%2F", "/");
        let Some((sli, part)) = mark.split_once('/') else {
            continue;
        };
        let sli: usize = sli.parse().unwrap_or(0);
        let number = match part {
            "value" => value(sli, bad == Some(sli)).to_owned(),
            "rate" => "40".to_owned(),
            "full" => "1".to_owned(),
            // Samples of the time or of a series.
            _ => seconds(newest_ms),
        };
        series.push(format!(
            "{{\"metric\":{{\"firedrill_part\":\"{mark}\"}},\"value\":[{},\"{number}\"]}}",
            seconds(now_ms)
        ));
    }
    let text = if !series.is_empty() {
        success("vector", &series)
    } else if form.starts_with("query=topk") {
        let one = "{\"metric\":{\"__name__\":\"a\",\"job\":\"s\"},\"value\":[1,\"1\"]}";
        success("vector", &[one.to_owned()])
    } else if form.ends_with("%5B5m%5D") {
        let samples: Vec<String> = (0..20)
            .rev()
            .map(|back| format!("[{},\"1\"]", seconds(newest_ms - back * INTERVAL_MS)))
            .collect();
        success(
            "matrix",
            &[format!("{{\"metric\":{{}},\"values\":[{}]}}", samples.join(","))],
        )
    } else {
        let edges = ["0.1", "1.0", "5.0", "+Inf"]
            .map(|edge| format!("{{\"metric\":{{\"le\":\"{edge}\"}},\"value\":[1,\"1\"]}}"));
        success("vector", &edges)
    };
    if bad.is_some() && !series.is_empty() {
        let mut state = state.lock();
        if state.told.last().is_none_or(|(told_ms, _)| *told_ms != newest_ms) {
            state.told.push((newest_ms, Instant::now()));
        }
    }
    text
}

fn success(kind: &str, result: &[String]) -> String {
    format!(
        "{{\"status\":\"success\",\"data\":{{\"resultType\":\"{kind}\",\"result\":[{}]}}}}",
        result.join(",")
    )
}

/// As Prometheus writes times.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}
