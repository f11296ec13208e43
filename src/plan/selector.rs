//! Selectors as PromQL writes them: `name{label="value",other!~"5.."}`.

use std::fmt;

use crate::{MatchOp, Matcher, Selector};

impl fmt::Display for MatchOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Matches => "=~",
            Self::NotMatches => "!~",
        })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.metric)?;
        if self.matchers.is_empty() {
            return Ok(());
        }
        f.write_str("{")?;
        for (i, matcher) in self.matchers.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let value = matcher
                .value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            write!(f, "{comma}{}{}\"{value}\"", matcher.label, matcher.op)?;
        }
        f.write_str("}")
    }
}

impl std::str::FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut rest = text.trim();
        let metric = name(&mut rest, true).ok_or_else(|| {
            format!(
                "expected a metric's name such as http_requests_total{{job=\"orders\"}}, found \"{text}\""
            )
        })?;
        let mut matchers = Vec::new();
        rest = rest.trim_start();
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside.trim_start();
            while !rest.starts_with('}') {
                matchers.push(matcher(&mut rest)?);
                rest = rest.trim_start();
                match rest.strip_prefix(',') {
                    Some(more) => rest = more.trim_start(),
                    None if rest.starts_with('}') => {}
                    None => return Err(format!("expected , or }} before \"{rest}\"")),
                }
            }
            rest = rest[1..].trim_start();
        }
        if rest.is_empty() {
            return Ok(Self { metric, matchers });
        }
        Err(format!(
            "expected the end of the selector, found \"{rest}\"; functions and windows are written by the SLI's kind, \
             not in the selector"
        ))
    }
}

fn name(rest: &mut &str, colon: bool) -> Option<String> {
    let good = |i: usize, c: char| {
        c.is_ascii_alphabetic() || c == '_' || (colon && c == ':') || (i > 0 && c.is_ascii_digit())
    };
    let end = rest
        .char_indices()
        .find(|(i, c)| !good(*i, *c))
        .map_or(rest.len(), |(i, _)| i);
    let (name, tail) = rest.split_at(end);
    *rest = tail;
    (!name.is_empty()).then(|| name.to_owned())
}

fn matcher(rest: &mut &str) -> Result<Matcher, String> {
    let label = name(rest, false).ok_or_else(|| format!("expected a label's name before \"{rest}\""))?;
    *rest = rest.trim_start();
    // The longer operators first: `=~` also begins with `=`.
    let ops = [
        ("=~", MatchOp::Matches),
        ("!~", MatchOp::NotMatches),
        ("!=", MatchOp::NotEqual),
        ("=", MatchOp::Equal),
    ];
    let (tail, op) = ops
        .into_iter()
        .find_map(|(sign, op)| rest.strip_prefix(sign).map(|tail| (tail, op)))
        .ok_or_else(|| format!("expected =, !=, =~ or !~ after \"{label}\""))?;
    *rest = tail.trim_start();
    let value = quoted(rest).ok_or_else(|| format!("expected text in quotes after \"{label}{op}\""))?;
    if matches!(op, MatchOp::Matches | MatchOp::NotMatches) {
        anchored(&value).map_err(|why| format!("\"{value}\" is not a regular expression: {why}"))?;
    }
    Ok(Matcher { label, op, value })
}

/// The expression of `=~` and `!~`, anchored at both ends as Prometheus does.
pub fn anchored(pattern: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(&format!("^(?s:{pattern})$"))
        .size_limit(1 << 20)
        .build()
        .map_err(|error| {
            error
                .to_string()
                .lines()
                .last()
                .unwrap_or("not understood")
                .to_owned()
        })
}

fn quoted(rest: &mut &str) -> Option<String> {
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut value = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                other => value.push(other),
            },
            c if c == quote => {
                *rest = &rest[at + 1..];
                return Some(value);
            }
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_what_prometheus_does() {
        let text = r#"http_requests_total{job="orders",code!~"5..",path=~"/a|/b",x!="\"q\""}"#;
        let selector: Selector = text.parse().unwrap();
        assert_eq!(selector.matchers.len(), 4);
        assert_eq!(selector.to_string(), text);
        assert_eq!("up".parse::<Selector>().unwrap().to_string(), "up");
        assert_eq!("up{ }".parse::<Selector>().unwrap().matchers, []);
        assert_eq!("up{a='b',}".parse::<Selector>().unwrap().matchers.len(), 1);
    }

    #[test]
    fn says_what_it_expected() {
        for (text, expected) in [
            ("", "metric's name"),
            ("up{", "label's name"),
            ("up{a}", "expected =, !="),
            ("up{a=b}", "quotes"),
            ("up{a=~\"(\"}", "regular expression"),
            ("rate(up[5m])", "expected the end"),
            ("up{a=\"b\" c=\"d\"}", "expected , or }"),
        ] {
            let error = text.parse::<Selector>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}") {
            drop(text.parse::<Selector>());
        }

        #[test]
        fn written_selectors_read_the_same(label in "[a-z_]{1,8}", value in "[^\\r\\t]{0,12}") {
            let selector = Selector { metric: "m".into(), matchers: vec![Matcher { label, op: MatchOp::Equal, value }] };
            proptest::prop_assert_eq!(selector.to_string().parse::<Selector>(), Ok(selector));
        }
    }
}
