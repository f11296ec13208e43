//! One query to a Prometheus server, and whatever it may answer.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::http::{Answer, Http, excerpt, form};

/// Why a query gave no result; sentences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum QueryError {
    /// The server does not want this query: it would refuse it again.
    Refused(String),
    /// The server did not answer it.
    Unanswered(String),
}

impl QueryError {
    pub(crate) fn words(&self) -> &str {
        match self {
            Self::Refused(why) | Self::Unanswered(why) => why,
        }
    }
}

/// A result.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) items: Vec<Item>,
    pub(crate) took: Duration,
}

/// One series of a result: time in seconds and value.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) metric: BTreeMap<String, String>,
    /// Of an instant vector; `None`: a native histogram.
    pub(crate) value: Option<(f64, f64)>,
    /// Of a range vector.
    pub(crate) values: Vec<(f64, f64)>,
}

#[derive(Deserialize)]
struct Envelope {
    status: String,
    data: Option<Data>,
    #[serde(rename = "errorType")]
    error_type: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Series>),
    Matrix(Vec<Series>),
    Scalar(IgnoredAny),
    String(IgnoredAny),
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    value: Option<(f64, String)>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

/// Asks for the value of `promql` now.
pub(crate) async fn query(http: &Http, base: &str, promql: &str) -> Result<Found, QueryError> {
    let url = format!("{base}/api/v1/query");
    let request = http
        .client()
        .post(&url)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form(&[("query", promql)]));
    let answer = http.send(&url, request).await.map_err(QueryError::Unanswered)?;
    let took = answer.took;
    let items = items(&url, answer)?;
    Ok(Found { items, took })
}

/// How often one series of `selector` has a sample, in milliseconds; `None`: it has too few to tell.
pub(crate) async fn interval(http: &Http, base: &str, selector: &str) -> Result<Option<u64>, QueryError> {
    let one = query(http, base, &format!("topk(1, {selector})")).await?;
    let Some(series) = one.items.first() else {
        return Ok(None);
    };
    let raw = query(http, base, &series_query(&series.metric, "5m")).await?;
    Ok(raw.items.first().and_then(|item| interval_of(&item.values)))
}

/// A JSON answer with status 200, as if it had come from a server.
#[cfg(feature = "fuzz")]
pub(crate) fn read_answer(body: Vec<u8>) -> Result<Found, QueryError> {
    let answer = Answer {
        status: 200,
        content_type: "application/json".to_owned(),
        body,
        took: Duration::ZERO,
    };
    let items = items("http://127.0.0.1:9090/api/v1/query", answer)?;
    Ok(Found {
        items,
        took: Duration::ZERO,
    })
}

fn items(url: &str, answer: Answer) -> Result<Vec<Item>, QueryError> {
    let Answer {
        status,
        content_type,
        body,
        took: _,
    } = answer;
    let unanswered = |why: String| Err(QueryError::Unanswered(why));
    if !content_type.contains("json") {
        let remedy = match status {
            401 | 403 => "it wants credentials, which no plan carries; give an address that needs none",
            404 | 405 => "give the base address of a Prometheus server in [metrics], without /api/v1",
            502..=504 => "the server behind it does not answer; is it up?",
            _ => "is this the address of a Prometheus server?",
        };
        return unanswered(format!(
            "{url} answers {status} \"{}\" instead of JSON: {remedy}",
            excerpt(&body)
        ));
    }
    let envelope: Envelope = match serde_json::from_slice(&body) {
        Ok(envelope) => envelope,
        Err(error) => {
            return unanswered(format!(
                "{url} answers {status} with JSON that is not Prometheus' ({error}); is this the address of a Prometheus server?"
            ));
        }
    };
    if envelope.status != "success" || !(200..300).contains(&status) {
        let kind = envelope.error_type.unwrap_or_default();
        let error = envelope.error.unwrap_or_else(|| excerpt(&body));
        return match status {
            400 | 422 => Err(QueryError::Refused(format!("{error} ({status} {kind})"))),
            _ => unanswered(format!(
                "{url} answers {status} {kind}: {error}; is the server overloaded or just starting?"
            )),
        };
    }
    match envelope.data {
        Some(Data::Vector(series) | Data::Matrix(series)) => Ok(series.into_iter().map(item).collect()),
        Some(Data::Scalar(_) | Data::String(_)) => Err(QueryError::Refused(
            "the result is not a vector; put vector(…) around the query".to_owned(),
        )),
        None => unanswered(format!(
            "{url} answers success without data; is this a Prometheus server?"
        )),
    }
}

fn item(series: Series) -> Item {
    // What is no number is NaN: no value, whatever it was meant to be.
    let number = |(time, text): (f64, String)| (time, text.parse().unwrap_or(f64::NAN));
    Item {
        metric: series.metric,
        value: series.value.map(number),
        values: series.values.into_iter().map(number).collect(),
    }
}

/// Exactly this series, over `range`.
pub(crate) fn series_query(metric: &BTreeMap<String, String>, range: &str) -> String {
    format!("{}[{range}]", shown(metric))
}

/// A label set as PromQL writes it.
pub(crate) fn shown(metric: &BTreeMap<String, String>) -> String {
    let mut text = String::from("{");
    for (name, value) in metric {
        if text.len() > 1 {
            text.push(',');
        }
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        // Writing to a string cannot fail.
        write!(text, "{name}=\"{value}\"").ok();
    }
    text.push('}');
    text
}

/// The median time between samples, in milliseconds; `None` with fewer than three.
pub(crate) fn interval_of(values: &[(f64, f64)]) -> Option<u64> {
    if values.len() < 3 {
        return None;
    }
    let mut gaps: Vec<f64> = values
        .windows(2)
        .map(|pair| (pair[1].0 - pair[0].0) * 1_000.0)
        .filter(|gap| gap.is_finite() && *gap > 0.0)
        .collect();
    gaps.sort_by(f64::total_cmp);
    gaps.get(gaps.len() / 2).map(|gap| gap.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, content_type: &str, body: &str) -> Result<Vec<Item>, QueryError> {
        items(
            "http://p/api/v1/query",
            Answer {
                status,
                content_type: content_type.to_owned(),
                body: body.as_bytes().to_vec(),
                took: Duration::ZERO,
            },
        )
    }

    #[test]
    fn values_are_text_times_are_numbers() {
        let body = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"a":"b"},"value":[1700000000,"+Inf"]},{"metric":{},"value":[1700000000.5,"1e+09"]},
            {"metric":{},"histogram":[1,{"count":"3"}]}]},"warnings":["w"]}"#;
        let items = answer(200, "application/json", body).unwrap();
        assert_eq!(items[0].value, Some((1_700_000_000.0, f64::INFINITY)));
        assert_eq!(items[1].value, Some((1_700_000_000.5, 1e9)));
        assert_eq!(items[2].value, None);
    }

    #[test]
    fn whatever_else_comes_is_a_sentence() {
        let error = r#"{"status":"error","errorType":"bad_data","error":"1:4: parse error"}"#;
        for (status, content_type, body, refused, expected) in [
            (400, "application/json", error, true, "1:4: parse error"),
            (422, "application/json", error, true, "parse error"),
            (503, "application/json", error, false, "overloaded"),
            (200, "text/html", "<html>hi</html>", false, "<html>hi</html>"),
            (404, "text/plain", "404 page not found", false, "base address"),
            (401, "text/plain", "no", false, "credentials"),
            (200, "application/json", "{", false, "not Prometheus'"),
            (200, "application/json", "[1]", false, "not Prometheus'"),
            (
                200,
                "application/json",
                r#"{"status":"success"}"#,
                false,
                "without data",
            ),
            (
                200,
                "application/json",
                r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#,
                true,
                "not a vector",
            ),
        ] {
            let error = answer(status, content_type, body).unwrap_err();
            assert_eq!(matches!(error, QueryError::Refused(_)), refused, "{body}");
            assert!(error.words().contains(expected), "{}", error.words());
        }
    }

    #[test]
    fn a_series_is_named_exactly() {
        let metric = [("__name__", "x"), ("p", "a\"b\\")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(
            series_query(&metric.into(), "5m"),
            r#"{__name__="x",p="a\"b\\"}[5m]"#
        );
    }

    #[test]
    fn a_missed_scrape_does_not_change_the_interval() {
        let at = |times: &[f64]| times.iter().map(|&t| (t, 1.0)).collect::<Vec<_>>();
        assert_eq!(interval_of(&at(&[0.0, 15.0, 30.0, 60.0, 75.0])), Some(15_000));
        assert_eq!(interval_of(&at(&[0.0, 15.0])), None);
        assert_eq!(interval_of(&at(&[0.0, 0.0, 0.0])), None);
    }
}
