//! A plan's selector, ready to be held against many series.

use std::borrow::Cow;

use firedrill_plan::{MatchOp, Selector};
use regex::Regex;

use crate::SetupError;

/// Compiled expressions are kept this small.
const REGEX_LIMIT: usize = 1 << 20;

/// A label and its value.
pub(crate) type Label<'a> = (&'a str, Cow<'a, str>);

/// A selector whose regular expressions are compiled.
#[derive(Debug)]
pub(crate) struct Chooser {
    metric: String,
    tests: Vec<(String, Test)>,
}

#[derive(Debug)]
enum Test {
    Is(String),
    IsNot(String),
    Matches(Regex),
    DoesNotMatch(Regex),
}

impl Chooser {
    pub(crate) fn new(selector: &Selector) -> Result<Self, SetupError> {
        let tests = selector
            .matchers
            .iter()
            .map(|matcher| {
                let value = matcher.value.clone();
                let test = match matcher.op {
                    MatchOp::Equal => Test::Is(value),
                    MatchOp::NotEqual => Test::IsNot(value),
                    MatchOp::Matches => Test::Matches(anchored(selector, &value)?),
                    MatchOp::NotMatches => Test::DoesNotMatch(anchored(selector, &value)?),
                };
                Ok((matcher.label.clone(), test))
            })
            .collect::<Result<_, SetupError>>()?;
        Ok(Self {
            metric: selector.metric.clone(),
            tests,
        })
    }

    pub(crate) fn metric(&self) -> &str {
        &self.metric
    }

    /// Whether a series of this metric with these labels is chosen. A missing label is the empty text.
    pub(crate) fn chooses(&self, labels: &[Label<'_>]) -> bool {
        self.tests.iter().all(|(label, test)| {
            let value = if label == "__name__" {
                &self.metric
            } else {
                labels
                    .iter()
                    .find(|(name, _)| name == label)
                    .map_or("", |(_, value)| value)
            };
            match test {
                Test::Is(expected) => value == expected,
                Test::IsNot(unwanted) => value != unwanted,
                Test::Matches(regex) => regex.is_match(value),
                Test::DoesNotMatch(regex) => !regex.is_match(value),
            }
        })
    }
}

/// As Prometheus does: the whole value, and a dot is any character.
fn anchored(selector: &Selector, pattern: &str) -> Result<Regex, SetupError> {
    regex::RegexBuilder::new(&format!("^(?s:{pattern})$"))
        .size_limit(REGEX_LIMIT)
        .build()
        .map_err(|error| SetupError::Regex {
            selector: selector.to_string(),
            why: error.to_string().lines().last().unwrap_or_default().to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chooses(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels: Vec<Label<'_>> = labels
            .iter()
            .map(|&(name, value)| (name, Cow::Borrowed(value)))
            .collect();
        Chooser::new(&selector.parse().unwrap()).unwrap().chooses(&labels)
    }

    #[test]
    fn all_matchers_must_hold() {
        let selector = r#"http_requests_total{job="orders",code!~"5.."}"#;
        assert!(chooses(selector, &[("job", "orders"), ("code", "200")]));
        assert!(!chooses(selector, &[("job", "orders"), ("code", "503")]));
        assert!(!chooses(selector, &[("job", "cart"), ("code", "200")]));
    }

    #[test]
    fn expressions_are_anchored_at_both_ends() {
        assert!(!chooses(r#"x{a=~"b"}"#, &[("a", "bc")]));
        assert!(!chooses(r#"x{a=~"b|c"}"#, &[("a", "cd")]));
        assert!(chooses(r#"x{a=~"b.*"}"#, &[("a", "b\nc")]));
    }

    #[test]
    fn a_missing_label_is_empty() {
        assert!(chooses(r#"x{a=""}"#, &[]));
        assert!(chooses(r#"x{a!="b"}"#, &[]));
        assert!(!chooses(r#"x{a!=""}"#, &[]));
        assert!(chooses(r#"x{a=~"|b"}"#, &[]));
    }

    #[test]
    fn an_expression_that_is_none_or_too_large_is_refused() {
        for pattern in ["(", "(?:a{1000}){1000}"] {
            let selector = Selector {
                metric: "x".to_owned(),
                matchers: vec![firedrill_plan::Matcher {
                    label: "a".to_owned(),
                    op: MatchOp::Matches,
                    value: pattern.to_owned(),
                }],
            };
            let error = Chooser::new(&selector).unwrap_err().to_string();
            assert!(error.contains("cannot be used"), "{error}");
        }
    }
}
