//! `[[sli]]`: how an indicator is computed and its three lines.

use crate::{
    Indicator, Metrics, Range, Say, Selector, Sli, Source, Stop,
    keys::{QUANTILE, RANGE, RATE, RATIO, SAY, STOP},
    read::rate,
    table::{Field, Reader, Table},
};

/// A window holds at least this many samples: Prometheus' own advice for `rate`.
pub const SAMPLES_A_WINDOW: u64 = 4;

const KINDS: &[&str] = &["ratio", "quantile", "rate", "gauge", "promql"];
const DEFAULT_AFTER: u32 = 2;

pub(crate) fn sli(r: &mut Reader<'_>, table: &Table<'_>, metrics: Option<&Metrics>) -> Option<Sli> {
    let name = r.text(table.get("name"));
    let indicator = indicator(r, table, metrics);
    let min_rate = r.parsed(table.get("min_rate"), rate);
    let band = table.get("band").and_then(|field| range(r, &field, "sli.band"));
    let tolerate = match table.get("tolerate") {
        Some(field) => range(r, &field, "sli.tolerate"),
        None => band,
    };
    let stop = stop(r, table, tolerate);
    let say = table.get("say").and_then(|field| r.open(&field, "sli.say", SAY));
    let say = say.map_or_else(Say::default, |say| Say {
        ok: r.text(say.get("ok")),
        out: r.text(say.get("out")),
    });
    let unit = match table.get("unit") {
        Some(field) => r.text(Some(field))?,
        None => default_unit(indicator.as_ref()?),
    };
    let (band, tolerate, stop) = (band?, tolerate?, stop?);
    nested(r, table, "tolerate", band, tolerate, "band");
    if let Stop::Outside { range, .. } = stop {
        nested(r, table, "stop", tolerate, range, "tolerate");
    }
    Some(Sli {
        name: name?,
        indicator: indicator?,
        unit,
        min_rate,
        band,
        tolerate,
        stop,
        say,
    })
}

fn default_unit(indicator: &Indicator) -> String {
    match indicator {
        Indicator::Ratio { .. } => "%",
        Indicator::Quantile { .. } => "ms",
        Indicator::Rate { .. } => "/s",
        Indicator::Gauge(_) | Indicator::Promql(_) => "",
    }
    .to_owned()
}

fn indicator(r: &mut Reader<'_>, table: &Table<'_>, metrics: Option<&Metrics>) -> Option<Indicator> {
    let given: Vec<_> = KINDS
        .iter()
        .copied()
        .filter(|kind| table.get(kind).is_some())
        .collect();
    let [kind] = given[..] else {
        // `consistency` has been said already; a second complaint about the same SLI would only confuse.
        if !r
            .found
            .iter()
            .any(|found| found.path == format!("{}.consistency", table.path))
        {
            let message = format!("exactly one of {} is needed", KINDS.join(", "));
            r.error(table.place(), &table.path, message);
        }
        return None;
    };
    let field = table.get(kind)?;
    match kind {
        "ratio" => {
            let inner = r.open(&field, "sli.ratio", RATIO)?;
            let window_ms = window(r, &inner, metrics);
            let (good, total) = (selector(r, inner.get("good")), selector(r, inner.get("total")));
            Some(Indicator::Ratio {
                good: good?,
                total: total?,
                window_ms: window_ms?,
            })
        }
        "quantile" => {
            let inner = r.open(&field, "sli.quantile", QUANTILE)?;
            let window_ms = window(r, &inner, metrics);
            let q = r.number(inner.get("q"));
            if let Some(q) = q.filter(|q| !(0.0 < *q && *q < 1.0)) {
                r.error(
                    inner.place_of("q"),
                    &inner.path,
                    format!("q is within 0 and 1, such as 0.95; found {q}"),
                );
            }
            let histogram = selector(r, inner.get("histogram"))?;
            if histogram.metric.ends_with("_bucket") {
                let message = format!(
                    "name the histogram without _bucket: {}",
                    &histogram.metric.trim_end_matches("_bucket")
                );
                r.error(inner.place_of("histogram"), &inner.path, message);
            }
            Some(Indicator::Quantile {
                q: q?,
                histogram,
                window_ms: window_ms?,
            })
        }
        "rate" => {
            let inner = r.open(&field, "sli.rate", RATE)?;
            let window_ms = window(r, &inner, metrics);
            Some(Indicator::Rate {
                counter: selector(r, inner.get("counter"))?,
                window_ms: window_ms?,
            })
        }
        "gauge" => Some(Indicator::Gauge(selector(r, Some(field))?)),
        _ => {
            if metrics.is_some_and(|metrics| !matches!(metrics.source, Source::Prometheus(_))) {
                let message = "raw PromQL needs a Prometheus source; ratio, quantile, rate and gauge work on every source";
                r.error(field.span.clone(), &field.path, message);
            }
            Some(Indicator::Promql(r.text(Some(field))?))
        }
    }
}

fn selector(r: &mut Reader<'_>, field: Option<Field<'_>>) -> Option<Selector> {
    r.parsed(field, str::parse::<Selector>)
}

/// A window; by scrape and probe the interval is ours, so that too short a one is known here. By Prometheus it is
/// known at preflight.
fn window(r: &mut Reader<'_>, table: &Table<'_>, metrics: Option<&Metrics>) -> Option<u64> {
    let ms = r.duration(table.get("window"), 400, 3_600_000)?;
    if let Some(metrics) = metrics {
        let ours = !matches!(metrics.source, Source::Prometheus(_));
        if ours && ms < metrics.every_ms * SAMPLES_A_WINDOW {
            let message = format!(
                "a window holds at least {SAMPLES_A_WINDOW} samples: at least {} ms with one every {} ms",
                metrics.every_ms * SAMPLES_A_WINDOW,
                metrics.every_ms
            );
            r.error(table.place_of("window"), &table.path, message);
        }
    }
    Some(ms)
}

fn range(r: &mut Reader<'_>, field: &Field<'_>, scope: &str) -> Option<Range> {
    let before = r.found.len();
    let table = r.open(field, scope, RANGE)?;
    let range = Range {
        min: r.number(table.get("min")),
        max: r.number(table.get("max")),
    };
    if r.found.len() > before {
        return None;
    }
    ordered(r, &table, range)
}

fn ordered(r: &mut Reader<'_>, table: &Table<'_>, range: Range) -> Option<Range> {
    match range {
        Range { min: None, max: None } => {
            r.error(table.place(), &table.path, "min or max is needed");
            None
        }
        Range {
            min: Some(min),
            max: Some(max),
        } if min > max => {
            r.error(
                table.place(),
                &table.path,
                format!("min {min} is above max {max}"),
            );
            None
        }
        range => Some(range),
    }
}

fn stop(r: &mut Reader<'_>, table: &Table<'_>, tolerate: Option<Range>) -> Option<Stop> {
    let Some(field) = table.get("stop") else {
        return Some(Stop::Outside {
            range: tolerate?,
            after: DEFAULT_AFTER,
        });
    };
    if let toml::de::DeValue::String(text) = field.value {
        if text == "never" {
            return Some(Stop::Never { after: DEFAULT_AFTER });
        }
        r.error(
            field.span,
            &field.path,
            format!("expected \"never\" or a table such as {{ max = 2.0, after = 2 }}, found \"{text}\""),
        );
        return None;
    }
    let inner = r.open(&field, "sli.stop", STOP)?;
    let after = match inner.get("after") {
        Some(after) => r.count(Some(after), 1, 100)?,
        None => DEFAULT_AFTER,
    };
    let own = Range {
        min: r.number(inner.get("min")),
        max: r.number(inner.get("max")),
    };
    let range = if own == Range::default() {
        tolerate?
    } else {
        ordered(r, &inner, own)?
    };
    Some(Stop::Outside { range, after })
}

/// `outer` must hold all of `inner`: a band outside of what is tolerated would make no sense.
fn nested(r: &mut Reader<'_>, table: &Table<'_>, key: &str, inner: Range, outer: Range, inner_name: &str) {
    let low = outer
        .min
        .is_some_and(|outer| inner.min.is_none_or(|inner| inner < outer));
    let high = outer
        .max
        .is_some_and(|outer| inner.max.is_none_or(|inner| inner > outer));
    if low || high {
        let path = format!("{}.{key}", table.path);
        r.error(
            table.place_of(key),
            &path,
            format!("{key} is narrower than {inner_name}; it must allow at least as much"),
        );
    }
}

/// What concerns all SLIs together.
pub(crate) fn judge_slis(r: &mut Reader<'_>, top: &Table<'_>, slis: &[Sli]) {
    if slis.is_empty() {
        return;
    }
    if slis.iter().all(|sli| matches!(sli.stop, Stop::Never { .. })) {
        r.error(
            top.place_of("sli"),
            "sli",
            "no SLI can stop a drill: give at least one a stop line other than \"never\"",
        );
    }
    if slis.iter().all(is_machine) {
        let message =
            "judged only by CPU or memory; steady state is what users get: add a success ratio or a latency";
        r.warn(top.place_of("sli"), "sli", message);
    }
}

fn is_machine(sli: &Sli) -> bool {
    let names = match &sli.indicator {
        Indicator::Ratio { good, total, .. } => format!("{} {}", good.metric, total.metric),
        Indicator::Quantile { histogram, .. } => histogram.metric.clone(),
        Indicator::Rate { counter, .. } => counter.metric.clone(),
        Indicator::Gauge(selector) => selector.metric.clone(),
        Indicator::Promql(query) => query.clone(),
    };
    let names = names.to_lowercase();
    names.contains("cpu") || names.contains("memory")
}
