//! Finds the series that a raw PromQL expression reads, so that new samples of them can be told from old ones.

/// Words that stand where a metric's name could.
const KEYWORDS: [&str; 9] = [
    "and", "or", "unless", "bool", "offset", "inf", "nan", "start", "end",
];

/// Words before a list of labels in parentheses.
const GROUPINGS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// Aggregations, which may be followed by `by (…)` instead of their argument.
const AGGREGATIONS: [&str; 12] = [
    "sum",
    "avg",
    "min",
    "max",
    "count",
    "group",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "quantile",
    "count_values",
];

/// The vector selectors in `promql`, without windows and offsets, each once, in order. Light-handed: what it cannot
/// read it leaves out, and an expression without selectors is taken to be new at each look.
pub(crate) fn selectors(promql: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut rest = promql;
    while let Some(c) = rest.chars().next() {
        if matches!(c, '"' | '\'' | '`') {
            rest = after_quoted(rest, c);
        } else if c == '#' {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if c == '[' {
            rest = rest.find(']').map_or("", |end| &rest[end + 1..]);
        } else if c == '{' {
            let braces = braces(rest);
            rest = &rest[braces.len()..];
            push(&mut found, braces.to_owned());
        } else if c.is_ascii_digit() {
            // A number, a duration, or both: `5m`, `1e3`, `0x1F`.
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else if is_name(c) {
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let name = &rest[..end];
            rest = rest[end..].trim_start();
            let lower = name.to_ascii_lowercase();
            if GROUPINGS.contains(&lower.as_str()) {
                if rest.starts_with('(') {
                    rest = rest.find(')').map_or("", |end| &rest[end + 1..]);
                }
                continue;
            }
            let called = rest.starts_with('(') || aggregates(&lower, rest);
            if !called && !KEYWORDS.contains(&lower.as_str()) {
                let braces = braces(rest);
                rest = &rest[braces.len()..];
                push(&mut found, format!("{name}{braces}"));
            }
        } else {
            rest = &rest[c.len_utf8()..];
        }
    }
    found
}

fn push(found: &mut Vec<String>, selector: String) {
    if !found.contains(&selector) {
        found.push(selector);
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

fn aggregates(name: &str, rest: &str) -> bool {
    AGGREGATIONS.contains(&name) && (rest.starts_with("by") || rest.starts_with("without"))
}

/// `{…}` at the begin of `text`, with what is quoted inside; empty when there is none or it does not end.
fn braces(text: &str) -> &str {
    if !text.starts_with('{') {
        return "";
    }
    let mut rest = &text[1..];
    while let Some(c) = rest.chars().next() {
        match c {
            '}' => return &text[..=text.len() - rest.len()],
            '"' | '\'' | '`' => rest = after_quoted(rest, c),
            c => rest = &rest[c.len_utf8()..],
        }
    }
    text
}

/// What follows the quoted text that `text` begins with.
fn after_quoted(text: &str, quote: char) -> &str {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return &text[at + 1..];
        }
        if c == '\\' && quote != '`' {
            chars.next();
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn selectors_are_found_whatever_is_around_them() {
        for (promql, expected) in [
            (
                r#"sum(queue_depth{job="orders"})"#,
                vec![r#"queue_depth{job="orders"}"#],
            ),
            ("a / b", vec!["a", "b"]),
            ("a + a", vec!["a"]),
            ("sum by (job) (rate(x_total[5m] offset 1m))", vec!["x_total"]),
            ("sum(x) by (le)", vec!["x"]),
            ("sum without (a, b) (x)", vec!["x"]),
            ("a * on (job) group_left (b) c", vec!["a", "c"]),
            ("histogram_quantile(0.95, h_bucket)", vec!["h_bucket"]),
            (r#"x{a="}", b='{"'} > bool 5"#, vec![r#"x{a="}", b='{"'}"#]),
            (r#"{__name__=~"a|b"}"#, vec![r#"{__name__=~"a|b"}"#]),
            (r#"label_replace(x, "d", "y", "s", "(.*)")"#, vec!["x"]),
            ("x unless y # z", vec!["x", "y"]),
            ("job:x:rate5m", vec!["job:x:rate5m"]),
            ("x[5m:1s]", vec!["x"]),
            ("vector(1) + 1e3 + 0x1F + Inf", vec![]),
            ("time()", vec![]),
            ("quantile", vec!["quantile"]),
            ("x @ start()", vec!["x"]),
        ] {
            assert_eq!(selectors(promql), expected, "{promql}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn nothing_panics(promql in "([a-z{}()\\[\\]\"'`\\\\=, #\n5é]|\\PC){0,60}") {
            drop(selectors(&promql));
        }
    }
}
