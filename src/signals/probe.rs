//! Requests that we send ourselves, counted as a service would count them and read by the same way as a scrape.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use firedrill_drill::Sample;
use firedrill_plan::{Indicator, ProbeRequest, Range, Sli, Stop};
use parking_lot::Mutex;
use reqwest::Method;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::SetupError;
use crate::evaluate::{Evaluator, Origin};
use crate::exposition::Format;
use crate::http::Http;
use crate::sampler::Clock;

/// A probe that takes longer is counted as without an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Seconds. The lines of the plan are added, so that a quantile near a line is exact.
const EDGES: [f64; 19] = [
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 2.0, 3.0,
    5.0,
];

/// Counters of these are there from the begin: a counter that appears later loses its first increase.
const USUAL_CODES: [u16; 20] = [
    0, 200, 201, 202, 204, 301, 302, 304, 400, 401, 403, 404, 408, 409, 429, 500, 501, 502, 503, 504,
];

/// A probe source; stops sending when dropped.
pub(crate) struct Probe {
    tallies: Arc<Vec<Mutex<Tally>>>,
    evaluator: Evaluator,
    clock: Clock,
    /// Aborts the senders when dropped.
    _senders: JoinSet<()>,
}

/// What one probe has counted since its begin.
struct Tally {
    method: String,
    url: String,
    by_code: BTreeMap<u16, u64>,
    /// Upper edges in seconds, and how many answers were at most so late; cumulative.
    buckets: Vec<(f64, u64)>,
    count: u64,
    sum_s: f64,
}

impl Probe {
    /// Begins to send, on the runtime of the caller. No more than one request of a probe is under way at a time: a
    /// service that hangs is probed less often, never more, and holds no other probe.
    pub(crate) fn start(requests: &[ProbeRequest], slis: &[Sli], every_ms: u64) -> Result<Self, SetupError> {
        let edges = edges(slis);
        let mut methods = Vec::new();
        let mut tallies = Vec::new();
        for ProbeRequest { method, url } in requests {
            methods
                .push(Method::from_bytes(method.as_bytes()).map_err(|_| SetupError::Method(method.clone()))?);
            tallies.push(Mutex::new(Tally::new(method, url, &edges)));
        }
        let evaluator = Evaluator::new(slis)?;
        let http = Http::new("", TIMEOUT)?;
        let tallies = Arc::new(tallies);
        let mut senders = JoinSet::new();
        for (index, method) in methods.into_iter().enumerate() {
            let url = requests[index].url.clone();
            senders.spawn(send(
                http.for_address(&url),
                method,
                url,
                Duration::from_millis(every_ms.max(1)),
                Arc::clone(&tallies),
                index,
            ));
        }
        Ok(Self {
            tallies,
            evaluator,
            clock: Clock::new(),
            _senders: senders,
        })
    }

    pub(crate) fn look(&mut self) -> Vec<Sample> {
        let mut text = String::new();
        for tally in self.tallies.iter() {
            tally.lock().write(&mut text);
        }
        let now_ms = self.clock.now_ms();
        self.evaluator.begin(now_ms);
        if let Err(why) = self
            .evaluator
            .take(&text, Format::Text, &Origin::default(), now_ms)
        {
            self.evaluator
                .failed(format!("the probes' own counts cannot be read: {why}"));
        }
        self.evaluator.finish()
    }

    pub(crate) fn evaluator(&self) -> &Evaluator {
        &self.evaluator
    }
}

async fn send(
    http: Http,
    method: Method,
    url: String,
    every: Duration,
    tallies: Arc<Vec<Mutex<Tally>>>,
    index: usize,
) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let request = http.client().request(method.clone(), &url);
        let (answer, took) = http.send_and_discard(&url, request).await;
        let code = answer.unwrap_or_else(|why| {
            tracing::debug!(why, "no answer to a probe");
            0
        });
        tallies[index].lock().count(code, took);
    }
}

/// The usual edges and all lines of SLIs that are quantiles.
fn edges(slis: &[Sli]) -> Vec<f64> {
    let mut edges = EDGES.to_vec();
    for sli in slis {
        if !matches!(sli.indicator, Indicator::Quantile { .. }) {
            continue;
        }
        let stop = match sli.stop {
            Stop::Outside { range, .. } => range,
            Stop::Never { .. } => Range::default(),
        };
        for Range { min, max } in [sli.band, sli.tolerate, stop] {
            edges.extend([min, max].into_iter().flatten().filter(|edge| edge.is_finite()));
        }
    }
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    edges
}

impl Tally {
    fn new(method: &str, url: &str, edges: &[f64]) -> Self {
        Self {
            method: escaped(method),
            url: escaped(url),
            by_code: USUAL_CODES.into_iter().map(|code| (code, 0)).collect(),
            buckets: edges.iter().map(|&edge| (edge, 0)).collect(),
            count: 0,
            sum_s: 0.0,
        }
    }

    fn count(&mut self, code: u16, took: Duration) {
        let took_s = took.as_secs_f64();
        *self.by_code.entry(code).or_insert(0) += 1;
        for (edge, count) in &mut self.buckets {
            *count += u64::from(took_s <= *edge);
        }
        self.count += 1;
        self.sum_s += took_s;
    }

    /// As exposition text. Writing to a string cannot fail.
    fn write(&self, text: &mut String) {
        let Self {
            method,
            url,
            by_code,
            buckets,
            count,
            sum_s,
        } = self;
        let labels = format!("job=\"probe\",method=\"{method}\",url=\"{url}\"");
        for (code, count) in by_code {
            writeln!(text, "http_requests_total{{{labels},code=\"{code}\"}} {count}").ok();
        }
        let name = "http_request_duration_seconds";
        for (edge, count) in buckets {
            writeln!(text, "{name}_bucket{{{labels},le=\"{edge}\"}} {count}").ok();
        }
        writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}").ok();
        writeln!(text, "{name}_count{{{labels}}} {count}").ok();
        writeln!(text, "{name}_sum{{{labels}}} {sum_s}").ok();
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exposition_text() {
        let mut tally = Tally::new("GET", "http://a/\"q\"", &[0.1, 0.2]);
        tally.count(200, Duration::from_millis(150));
        tally.count(0, Duration::from_secs(5));
        let mut text = String::new();
        tally.write(&mut text);
        let labels = r#"job="probe",method="GET",url="http://a/\"q\"""#;
        for line in [
            format!("http_requests_total{{{labels},code=\"200\"}} 1\n"),
            format!("http_requests_total{{{labels},code=\"0\"}} 1\n"),
            format!("http_requests_total{{{labels},code=\"503\"}} 0\n"),
            format!("http_request_duration_seconds_bucket{{{labels},le=\"0.1\"}} 0\n"),
            format!("http_request_duration_seconds_bucket{{{labels},le=\"0.2\"}} 1\n"),
            format!("http_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 2\n"),
            format!("http_request_duration_seconds_sum{{{labels}}} 5.15\n"),
        ] {
            assert!(text.contains(&line), "{line} is not in {text}");
        }
    }
}
