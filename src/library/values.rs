//! What a parameter's value is: typed text towards people, a value of the right type towards the plan.

use firedrill_catalogue::Scope;
use firedrill_plan::{Selector, edit, reader};
use serde::Deserialize;
use serde_json::Value as Json;

/// Longest value, in bytes.
const MAX_BYTES: usize = 4_096;
/// Numbers are written with so many digits that count: 0.7 times 3 is 2.1.
const DIGITS: usize = 7;

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Any words, a name, a duration: the plan's reader knows what is right there.
    Text,
    /// An http or https address.
    Url,
    /// Where SLIs come from: a Prometheus' address, or `scrape` and the addresses of exposition text.
    Source,
    /// A metric with its labels.
    Selector,
    /// A number.
    Number,
    /// A whole number.
    Count,
    /// Which process on the host, or its cgroup: `process nginx`, `unit nginx.service`, `port 8080`.
    Process,
}

/// A change of the plan's text.
pub(crate) enum Change {
    /// A value at a path.
    Set(Vec<String>, edit::Value),
    /// Nothing at it.
    Remove(Vec<String>),
}

impl Kind {
    /// What to write, for people.
    pub fn expects(self) -> &'static str {
        match self {
            Self::Text => "words",
            Self::Url => "an address, http://… or https://…",
            Self::Source => "the address of a Prometheus, or: scrape http://…/metrics http://…/metrics",
            Self::Selector => "a metric with its labels: http_requests_total{job=\"orders\"}",
            Self::Number => "a number",
            Self::Count => "a whole number",
            Self::Process => {
                "which process: process NAME, pid N, command PART, port N, cgroup PATH, unit NAME or container ID"
            }
        }
    }

    /// The plan's value as people type it.
    pub(crate) fn show(self, value: &Json) -> Option<String> {
        match self {
            Self::Text | Self::Url | Self::Selector => value.as_str().map(str::to_owned),
            Self::Number | Self::Count => value.is_number().then(|| value.to_string()),
            Self::Source => show_source(value),
            Self::Process => Scope::NAMES.iter().find_map(|key| {
                let named = value.get(key)?;
                let named = named.as_str().map_or_else(|| named.to_string(), str::to_owned);
                Some(format!("{key} {named}"))
            }),
        }
    }

    /// Whether a typed text is such a value; the plan's reader may still find more.
    pub fn check(self, typed: &str) -> Result<(), String> {
        self.changes(typed, &[], 1.0).map(drop)
    }

    /// What a typed text changes at a place; a number is written `times` as large.
    pub(crate) fn changes(self, typed: &str, at: &[String], times: f64) -> Result<Vec<Change>, String> {
        let typed = typed.trim();
        if typed.is_empty() {
            return Err(format!("expected {}", self.expects()));
        }
        if typed.len() > MAX_BYTES || typed.chars().any(char::is_control) {
            return Err(format!(
                "expected one line of at most {MAX_BYTES} bytes without control characters"
            ));
        }
        let set = |value: edit::Value| Ok(vec![Change::Set(at.to_vec(), value)]);
        match self {
            Self::Text => set(typed.into()),
            Self::Url => set(reader::url(typed)?.into()),
            Self::Selector => {
                let selector: Selector = typed.parse()?;
                set(selector.to_string().into())
            }
            Self::Number => match typed.parse::<f64>() {
                Ok(number) if number.is_finite() => set(round(number * times).into()),
                _ => Err(format!("expected a number, found \"{typed}\"")),
            },
            Self::Count => match typed.parse::<i64>() {
                Ok(number) => set(number.into()),
                Err(_) => Err(format!("expected a whole number, found \"{typed}\"")),
            },
            Self::Source => source(typed, at),
            Self::Process => process(typed, at),
        }
    }
}

fn show_source(metrics: &Json) -> Option<String> {
    if let Some(url) = metrics.get("prometheus") {
        return url.as_str().map(str::to_owned);
    }
    let urls = metrics.get("scrape")?.as_array()?;
    let urls: Vec<_> = urls.iter().filter_map(Json::as_str).collect();
    Some(format!("scrape {}", urls.join(" ")))
}

fn source(typed: &str, at: &[String]) -> Result<Vec<Change>, String> {
    let mut words = typed.split_whitespace();
    let first = words.next().unwrap_or_default();
    let path = |key: &str| [at, &[key.to_owned()]].concat();
    if first == "scrape" {
        let urls: Vec<String> = words.map(reader::url).collect::<Result<_, _>>()?;
        if urls.is_empty() {
            return Err(format!("expected {}", Kind::Source.expects()));
        }
        return Ok(vec![
            Change::Remove(path("prometheus")),
            Change::Set(path("scrape"), edit::texts(urls.iter().map(String::as_str))),
        ]);
    }
    if words.next().is_some() {
        return Err(format!("expected {}", Kind::Source.expects()));
    }
    Ok(vec![
        Change::Remove(path("scrape")),
        Change::Set(path("prometheus"), reader::url(first)?.into()),
    ])
}

fn process(typed: &str, at: &[String]) -> Result<Vec<Change>, String> {
    let wrong = || format!("expected {}; found \"{typed}\"", Kind::Process.expects());
    let (key, named) = typed.split_once(char::is_whitespace).ok_or_else(wrong)?;
    let key = Scope::NAMES
        .into_iter()
        .find(|known| *known == key)
        .ok_or_else(wrong)?;
    let named = named.trim();
    let value: edit::Value = match key {
        "pid" | "port" => named.parse::<i64>().map_err(|_| wrong())?.into(),
        _ => named.into(),
    };
    let path = |key: &str| [at, &[key.to_owned()]].concat();
    let others = Scope::NAMES.into_iter().filter(|other| *other != key);
    let mut changes: Vec<_> = others.map(|other| Change::Remove(path(other))).collect();
    changes.push(Change::Set(path(key), value));
    Ok(changes)
}

/// Without the dust of binary fractions.
pub(crate) fn round(number: f64) -> f64 {
    format!("{number:.*e}", DIGITS - 1).parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_dust() {
        assert_eq!(round(3.0 * 0.7), 2.1);
        assert_eq!(round(50.0 * 1.001), 50.05);
        assert_eq!(round(0.0), 0.0);
    }

    #[test]
    fn what_is_no_value_says_what_is() {
        for (kind, typed) in [
            (Kind::Url, "ftp://x"),
            (Kind::Url, "http://user:secret@host"),
            (Kind::Selector, "up{job="),
            (Kind::Number, "many"),
            (Kind::Number, "inf"),
            (Kind::Count, "1.5"),
            (Kind::Source, "scrape"),
            (Kind::Source, "http://a http://b"),
            (Kind::Process, "nginx"),
            (Kind::Process, "port http"),
            (Kind::Text, " "),
            (Kind::Text, "a\nb"),
        ] {
            assert!(kind.check(typed).is_err(), "{kind:?} {typed:?}");
        }
        for (kind, typed) in [
            (Kind::Url, "https://10.0.0.7:7431"),
            (Kind::Selector, "up{job=\"a\",code!~\"5..\"}"),
            (Kind::Number, "-0.25"),
            (Kind::Count, "3"),
            (Kind::Source, "scrape http://a/metrics http://b/metrics"),
            (Kind::Source, "http://prometheus:9090"),
            (Kind::Process, "port 8080"),
            (Kind::Process, "command java -jar shop.jar"),
        ] {
            assert_eq!(kind.check(typed), Ok(()), "{kind:?} {typed:?}");
        }
    }
}
