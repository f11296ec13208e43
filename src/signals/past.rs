//! What a source remembers of an SLI, to set its lines by.

use std::time::Duration;

use firedrill_plan::{Metrics, Sli, Source};

use crate::http::Http;
use crate::promql::explain;
use crate::query::query;

/// An answer over an hour takes a server longer than one of now.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Points at the most.
const POINTS: u64 = 240;

/// The SLI's values over the last `past_ms`: wall milliseconds by the source's clock, and value. `Err`: why there are
/// none, in a sentence.
pub async fn past(metrics: &Metrics, sli: &Sli, past_ms: u64) -> Result<Vec<(i64, f64)>, String> {
    let base = match &metrics.source {
        Source::Prometheus(base) => base.trim_end_matches('/'),
        Source::Scrape(_) => {
            return Err("exposition text says what is now: this source has no past".to_owned());
        }
        Source::Probe(_) => return Err("requests say what is now: this source has no past".to_owned()),
    };
    let http = Http::new(base, TIMEOUT).map_err(|error| error.to_string())?;
    let (range_s, step_s) = (past_ms.div_ceil(1_000), (past_ms / 1_000 / POINTS).max(1));
    // A comment at the end of raw PromQL must not take the bracket with it.
    let promql = format!("({}\n)[{range_s}s:{step_s}s]", explain(sli));
    let found = query(&http, base, &promql).await;
    let found = found.map_err(|error| error.words().to_owned())?;
    let [series] = &found.items[..] else {
        return Err(match found.items.len() {
            0 => "the source has no values of it in the last hour".to_owned(),
            series => format!("{series} series where one is expected; narrow the selection or sum it"),
        });
    };
    let numbers = series.values.iter().filter(|(_, value)| value.is_finite());
    Ok(numbers
        .map(|(at_s, value)| ((at_s * 1_000.0).round() as i64, *value))
        .collect())
}
