//! What a service says of itself at `/metrics`: Prometheus exposition text 0.0.4.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::iter;
use std::time::Duration;

use axum::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The content type that goes with [`Metrics::text`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Bucket edges, seconds: close together where the plan's lines are (0.3, 0.8, 2.0), and a line on an edge,
/// so that a quantile near a line is exact.
const EDGES: [f64; 31] = [
    0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0,
    1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 25.0, 40.0,
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Code {
    code: u16,
}

/// The metrics of one service. Every series has the label `job` with the service's name.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Code, Counter>,
    duration: Histogram,
}

impl Metrics {
    /// `more` registers what only this service has.
    pub(crate) fn new(job: &'static str, more: impl FnOnce(&mut Registry)) -> Self {
        let mut registry = Registry::with_labels(iter::once((Cow::Borrowed("job"), Cow::Borrowed(job))));
        let requests = Family::<Code, Counter>::default();
        // There from the first scrape on: a counter that appears later loses its first increase.
        for code in [200, 202, 502, 503, 504] {
            drop(requests.get_or_create(&Code { code }));
        }
        let duration = Histogram::new(EDGES);
        registry.register(
            "http_requests",
            "Requests answered, by status code",
            requests.clone(),
        );
        registry.register(
            "http_request_duration_seconds",
            "Time from a request's arrival to its answer, waiting included",
            duration.clone(),
        );
        more(&mut registry);
        Self {
            registry,
            requests,
            duration,
        }
    }

    /// One request was answered.
    pub(crate) fn observe(&self, status: StatusCode, took: Duration) {
        self.requests
            .get_or_create(&Code {
                code: status.as_u16(),
            })
            .inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// The exposition text; `None` if the encoder fails.
    pub(crate) fn text(&self) -> Option<String> {
        let mut open_metrics = String::new();
        encode(&mut open_metrics, &self.registry).ok()?;
        Some(to_prometheus_text(&open_metrics))
    }
}

/// The encoder writes OpenMetrics, in which a counter's HELP and TYPE lack the `_total` of its samples and
/// the text ends with a mark. The older text format, which every reader knows, wants the full name and no
/// mark.
fn to_prometheus_text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len() + 256);
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "# EOF" {
            continue;
        }
        // HELP comes right before the TYPE that says what it is.
        let describes = line
            .strip_prefix("# HELP ")
            .or_else(|| line.strip_prefix("# TYPE "));
        let type_line = if line.starts_with("# HELP ") {
            lines.peek().copied().unwrap_or("")
        } else {
            line
        };
        match describes.and_then(|rest| rest.split_once(' ')) {
            Some((name, rest)) if type_line.starts_with("# TYPE ") && type_line.ends_with(" counter") => {
                write!(text, "{}{name}_total {rest}", &line[..7]).ok();
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// Registers `process_cpu_seconds_total`, on Linux; elsewhere there is no such series.
pub(crate) fn register_cpu(registry: &mut Registry) {
    #[cfg(target_os = "linux")]
    registry.register_collector(Box::new(cpu::Cpu));
    #[cfg(not(target_os = "linux"))]
    let _ = registry;
}

#[cfg(target_os = "linux")]
mod cpu {
    //! Processor time of the process the demo runs in, from /proc.

    use std::fmt;

    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
    use prometheus_client::metrics::counter::ConstCounter;

    /// The kernel counts in hundredths of a second towards programs on every Linux that Rust's std runs on.
    const TICKS_PER_SECOND: f64 = 100.0;

    /// Says `process_cpu_seconds_total` at each scrape.
    #[derive(Debug)]
    pub(super) struct Cpu;

    impl Collector for Cpu {
        fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
            let Some(seconds) = std::fs::read_to_string("/proc/self/stat")
                .ok()
                .as_deref()
                .and_then(seconds_in)
            else {
                return Ok(());
            };
            let counter = ConstCounter::new(seconds);
            let metric = encoder.encode_descriptor(
                "process_cpu_seconds",
                "Processor time of the whole process that the demo runs in",
                None,
                counter.metric_type(),
            )?;
            counter.encode(metric)
        }
    }

    /// User and system time in a line of /proc/PID/stat. The program's name, in parentheses, may hold
    /// anything.
    fn seconds_in(stat: &str) -> Option<f64> {
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some((user + system) as f64 / TICKS_PER_SECOND)
    }

    #[cfg(test)]
    mod tests {
        use super::seconds_in;

        #[test]
        fn a_name_with_parentheses_does_not_shift_the_fields() {
            let stat = "7 (a) 9 b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 100 1 1";
            assert_eq!(seconds_in(stat), Some(3.0));
            assert_eq!(seconds_in("7 (a) S 1"), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_have_their_full_name_in_every_line() {
        let metrics = Metrics::new("orders", |_| {});
        metrics.observe(StatusCode::OK, Duration::from_millis(7));
        let text = metrics.text().unwrap();
        assert!(text.contains("# TYPE http_requests_total counter\n"), "{text}");
        assert!(
            text.contains("# HELP http_requests_total Requests answered"),
            "{text}"
        );
        assert!(
            text.contains("http_requests_total{job=\"orders\",code=\"200\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("# TYPE http_request_duration_seconds histogram\n"),
            "{text}"
        );
        assert!(
            text.contains("http_request_duration_seconds_bucket{job=\"orders\",le=\"0.01\"} 1\n"),
            "{text}"
        );
        assert!(!text.contains("EOF"), "{text}");
    }

    #[test]
    fn the_lines_of_the_plan_lie_on_bucket_edges() {
        for line in [0.3, 0.8, 2.0] {
            assert!(EDGES.contains(&line));
        }
        assert!(EDGES.is_sorted());
    }
}
