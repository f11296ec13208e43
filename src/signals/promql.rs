//! Typed indicators in PromQL.

use firedrill_plan::{Indicator, MatchOp, Matcher, Selector, Sli};

use crate::evaluate::buckets_of;
use crate::promql_names;

/// The PromQL that gives an SLI's value on a Prometheus source.
///
/// A good part without a series counts as 0 while there is traffic; without traffic the result is empty: no data.
pub fn explain(sli: &Sli) -> String {
    Compiled::new(&sli.indicator).value.trim().to_owned()
}

/// What is asked of a server for one SLI. Every expression gives one number, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compiled {
    pub(crate) value: String,
    /// Events per second.
    pub(crate) rate: Option<String>,
    /// Something when there are samples over three quarters of the window.
    pub(crate) full: Option<String>,
    /// The selectors whose samples make a new sample of the SLI; none: each look does.
    pub(crate) clocks: Vec<String>,
    /// The buckets of a histogram.
    pub(crate) buckets: Option<String>,
}

impl Compiled {
    pub(crate) fn new(indicator: &Indicator) -> Self {
        match indicator {
            Indicator::Ratio {
                good,
                total,
                window_ms,
            } => {
                let window = duration(*window_ms);
                let traffic = format!("sum(rate({total}[{window}]))");
                Self {
                    value: format!("(sum(rate({good}[{window}])) or vector(0)) / ({traffic} > 0)"),
                    rate: Some(traffic),
                    full: Some(full(total, *window_ms)),
                    clocks: vec![total.to_string()],
                    buckets: None,
                }
            }
            Indicator::Quantile {
                q,
                histogram,
                window_ms,
            } => {
                let window = duration(*window_ms);
                let buckets = buckets_of(histogram);
                let all = up_to_infinity(&buckets);
                Self {
                    value: format!("histogram_quantile({q}, sum by (le) (rate({buckets}[{window}])))"),
                    rate: Some(format!("sum(rate({all}[{window}]))")),
                    full: Some(full(&all, *window_ms)),
                    clocks: vec![all.to_string()],
                    buckets: Some(buckets.to_string()),
                }
            }
            Indicator::Rate { counter, window_ms } => {
                let traffic = format!("sum(rate({counter}[{}]))", duration(*window_ms));
                Self {
                    value: traffic.clone(),
                    rate: Some(traffic),
                    full: Some(full(counter, *window_ms)),
                    clocks: vec![counter.to_string()],
                    buckets: None,
                }
            }
            Indicator::Gauge(gauge) => Self {
                value: format!("sum({gauge})"),
                rate: None,
                full: None,
                clocks: vec![gauge.to_string()],
                buckets: None,
            },
            Indicator::Promql(promql) => Self {
                // A comment at its end must not take what follows with it.
                value: format!("{promql}\n"),
                rate: None,
                full: None,
                clocks: promql_names::selectors(promql),
                buckets: None,
            },
        }
    }
}

/// The bucket that counts every observation.
fn up_to_infinity(buckets: &Selector) -> Selector {
    let mut all = buckets.clone();
    all.matchers.push(Matcher {
        label: "le".to_owned(),
        op: MatchOp::Equal,
        value: "+Inf".to_owned(),
    });
    all
}

fn full(selector: &Selector, window_ms: u64) -> String {
    format!("count({selector} offset {})", duration(window_ms * 3 / 4))
}

/// A PromQL duration. Never empty: windows are at least some hundred milliseconds.
fn duration(ms: u64) -> String {
    if ms.is_multiple_of(1_000) {
        format!("{}s", ms / 1_000)
    } else {
        format!("{ms}ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(text: &str) -> Selector {
        text.parse().unwrap()
    }

    #[test]
    fn a_missing_good_part_is_zero_and_no_traffic_is_nothing() {
        let compiled = Compiled::new(&Indicator::Ratio {
            good: selector(r#"r{code!~"5.."}"#),
            total: selector("r"),
            window_ms: 30_000,
        });
        assert_eq!(
            compiled.value,
            r#"(sum(rate(r{code!~"5.."}[30s])) or vector(0)) / (sum(rate(r[30s])) > 0)"#
        );
        assert_eq!(compiled.full.as_deref(), Some("count(r offset 22500ms)"));
        assert_eq!(compiled.clocks, ["r"]);
    }

    #[test]
    fn a_quantile_keeps_the_edges_apart() {
        let compiled = Compiled::new(&Indicator::Quantile {
            q: 0.95,
            histogram: selector(r#"h{job="a"}"#),
            window_ms: 2_500,
        });
        assert_eq!(
            compiled.value,
            r#"histogram_quantile(0.95, sum by (le) (rate(h_bucket{job="a"}[2500ms])))"#
        );
        assert_eq!(
            compiled.rate.as_deref(),
            Some(r#"sum(rate(h_bucket{job="a",le="+Inf"}[2500ms]))"#)
        );
    }

    #[test]
    fn values_stay_quoted() {
        let gauge = selector(r#"g{path="a\\b\"c"}"#);
        assert_eq!(
            Compiled::new(&Indicator::Gauge(gauge)).value,
            r#"sum(g{path="a\\b\"c"})"#
        );
    }
}
