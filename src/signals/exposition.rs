//! Exposition text, line by line: Prometheus' 0.0.4 and OpenMetrics.
//!
//! As strict as Prometheus: one line that is not exposition spoils the whole text, because a text that is cut or
//! is something else must not pass for a system without errors.

use std::borrow::Cow;

use crate::selector::Label;

const LINE_LIMIT: usize = 64 << 10;
const LABEL_LIMIT: usize = 128;
const SAMPLE_LIMIT: usize = 200_000;

/// Which of the two forms a text has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Times are milliseconds.
    Text,
    /// Times are seconds, exemplars may follow, and `# EOF` ends it.
    OpenMetrics,
}

/// One series' value.
#[derive(Debug)]
pub(crate) struct Line<'a, 'b> {
    pub(crate) name: &'a str,
    pub(crate) labels: &'b mut Vec<Label<'a>>,
    pub(crate) value: f64,
    /// The source's own time, where it says one.
    pub(crate) time_ms: Option<i64>,
}

impl Format {
    /// By an answer's content type.
    pub(crate) fn of(content_type: &str) -> Self {
        if content_type.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }
}

/// Gives every series in `text` to `each`. The error names the line.
pub(crate) fn read(
    text: &str,
    format: Format,
    mut each: impl FnMut(Line<'_, '_>) -> Result<(), String>,
) -> Result<(), String> {
    let mut samples = 0;
    let mut ended = false;
    for (number, line) in text.lines().enumerate() {
        let at = |why: String| format!("line {}: {why}", number + 1);
        if line.len() > LINE_LIMIT {
            return Err(at(format!("longer than {} KiB", LINE_LIMIT >> 10)));
        }
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            ended |= line == "# EOF";
            continue;
        }
        // A quoted name, which no plan's selector can have.
        if line.starts_with('{') {
            continue;
        }
        samples += 1;
        if samples > SAMPLE_LIMIT {
            return Err(at(format!("more than {SAMPLE_LIMIT} series")));
        }
        let mut labels = Vec::new();
        let (name, value, time_ms) = sample(line, format, &mut labels).map_err(at)?;
        each(Line {
            name,
            labels: &mut labels,
            value,
            time_ms,
        })
        .map_err(at)?;
    }
    if format == Format::OpenMetrics && !ended {
        return Err("the text ends without \"# EOF\": it was cut".to_owned());
    }
    Ok(())
}

fn sample<'a>(
    line: &'a str,
    format: Format,
    labels: &mut Vec<Label<'a>>,
) -> Result<(&'a str, f64, Option<i64>), String> {
    let end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .unwrap_or(line.len());
    let (name, mut rest) = line.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("expected a metric's name, found {}", shown(line)));
    }
    if let Some(inside) = rest.trim_start().strip_prefix('{') {
        rest = label_set(inside, labels)?;
    } else if !rest.starts_with([' ', '\t']) {
        return Err(format!(
            "expected labels or a value after {name}, found {}",
            shown(rest)
        ));
    }
    if format == Format::OpenMetrics
        && let Some((before, _exemplar)) = rest.split_once(" # ")
    {
        rest = before;
    }
    let mut words = rest.split_ascii_whitespace();
    let value = words.next().unwrap_or_default();
    let value: f64 = value
        .parse()
        .map_err(|_| format!("the value of {name} is not a number: {}", shown(value)))?;
    let time_ms = words.next().map(|word| time(word, format)).transpose()?;
    if let Some(more) = words.next() {
        return Err(format!("expected the end of the line, found {}", shown(more)));
    }
    Ok((name, value, time_ms))
}

fn time(word: &str, format: Format) -> Result<i64, String> {
    let bad = || format!("expected a time, found {}", shown(word));
    match format {
        Format::Text => word.parse().map_err(|_| bad()),
        Format::OpenMetrics => {
            let seconds: f64 = word.parse().map_err(|_| bad())?;
            if !seconds.is_finite() {
                return Err(bad());
            }
            Ok((seconds * 1_000.0).round() as i64)
        }
    }
}

/// Reads `name="value",…}` and gives what follows.
fn label_set<'a>(mut rest: &'a str, labels: &mut Vec<Label<'a>>) -> Result<&'a str, String> {
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('}') {
            return Ok(after);
        }
        let (name, after) = rest
            .split_once('=')
            .ok_or_else(|| format!("expected a label, found {}", shown(rest)))?;
        let name = name.trim_end();
        let well_formed = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        // A quoted label name is one that no plan's selector can have; its value is still read.
        let quoted = name.starts_with('"') && name.ends_with('"');
        if !(well_formed || quoted) {
            return Err(format!("expected a label's name, found {}", shown(name)));
        }
        let quoted = after
            .trim_start()
            .strip_prefix('"')
            .ok_or_else(|| format!("expected a quoted value of {name}, found {}", shown(after)))?;
        let (value, after) = text_value(quoted)?;
        if labels.len() == LABEL_LIMIT {
            return Err(format!("more than {LABEL_LIMIT} labels"));
        }
        labels.push((name, value));
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next,
            None if after.starts_with('}') => after,
            None => return Err(format!("expected , or }} after a label, found {}", shown(after))),
        };
    }
}

/// Reads up to the closing quote and gives what follows.
fn text_value(text: &str) -> Result<(Cow<'_, str>, &str), String> {
    let end = text
        .find(['"', '\\'])
        .ok_or_else(|| "a label's value has no closing quote".to_owned())?;
    if text.as_bytes()[end] == b'"' {
        return Ok((Cow::Borrowed(&text[..end]), &text[end + 1..]));
    }
    let mut value = text[..end].to_owned();
    let mut chars = text[end..].char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((Cow::Owned(value), &text[end + at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                Some((_, other)) => {
                    value.push('\\');
                    value.push(other);
                }
                None => break,
            },
            c => value.push(c),
        }
    }
    Err("a label's value has no closing quote".to_owned())
}

fn shown(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Owned = (String, Vec<(String, String)>, f64, Option<i64>);

    fn lines(text: &str, format: Format) -> Result<Vec<Owned>, String> {
        let mut lines = Vec::new();
        read(text, format, |line| {
            let labels = line
                .labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.to_string()))
                .collect();
            lines.push((line.name.to_owned(), labels, line.value, line.time_ms));
            Ok(())
        })?;
        Ok(lines)
    }

    fn one(text: &str, format: Format) -> Owned {
        lines(text, format).unwrap().pop().unwrap()
    }

    fn label(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn lines_with_and_without_labels_values_and_times() {
        let text =
            "# HELP a text\n# TYPE a counter\na 1\nb{x=\"1\", y=\"2\",} 2.5e+09 1700000000123\n\n c{} +Inf\n";
        let read = lines(text, Format::Text).unwrap();
        assert_eq!(read[0], ("a".to_owned(), vec![], 1.0, None));
        assert_eq!(
            read[1],
            (
                "b".to_owned(),
                vec![label("x", "1"), label("y", "2")],
                2.5e9,
                Some(1_700_000_000_123)
            )
        );
        assert_eq!(read[2].2, f64::INFINITY);
        assert!(one("a NaN\n", Format::Text).2.is_nan());
    }

    #[test]
    fn values_are_unescaped() {
        let read = one("a{p=\"c:\\\\d\\n\\\"q\\\" ü, }\",z=\"\"} 1", Format::Text);
        assert_eq!(read.1, [label("p", "c:\\d\n\"q\" ü, }"), label("z", "")]);
    }

    #[test]
    fn openmetrics_has_seconds_exemplars_and_an_end() {
        let text = "a_bucket{le=\"0.1\"} 8 1700000000.5 # {trace_id=\"x # y\"} 0.05 1700000000.4\n# EOF\n";
        assert_eq!(one(text, Format::OpenMetrics).3, Some(1_700_000_000_500));
        assert!(lines("a 1\n", Format::OpenMetrics).unwrap_err().contains("EOF"));
        assert_eq!(
            Format::of("application/openmetrics-text; version=1.0.0"),
            Format::OpenMetrics
        );
        assert_eq!(Format::of("text/plain; version=0.0.4"), Format::Text);
    }

    #[test]
    fn what_is_not_exposition_is_an_error_with_its_line() {
        for (text, expected) in [
            ("<html>", "line 1: expected a metric's name"),
            ("a 1\nb one", "line 2: the value of b is not a number"),
            ("a{x=\"1} 1", "no closing quote"),
            ("a{x=1} 1", "expected a quoted value of x"),
            ("a{x=\"1\" y=\"2\"} 1", "expected , or }"),
            ("a{=\"1\"} 1", "expected a label's name"),
            ("a{x", "expected a label"),
            ("a", "expected labels or a value after a"),
            ("a ", "expected labels or a value after a"),
            ("a 1 2 3", "expected the end of the line"),
            ("a 1 soon", "expected a time"),
            ("1a 1", "expected a metric's name"),
        ] {
            let error = lines(text, Format::Text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn size_and_number_are_limited() {
        let long = format!("a{{x=\"{}\"}} 1", "y".repeat(LINE_LIMIT));
        assert!(
            lines(&long, Format::Text)
                .unwrap_err()
                .contains("longer than 64 KiB")
        );
        let many = "a 1\n".repeat(SAMPLE_LIMIT + 1);
        assert!(
            lines(&many, Format::Text)
                .unwrap_err()
                .contains("more than 200000 series")
        );
        let labels = (0..=LABEL_LIMIT).fold(String::new(), |all, i| all + &format!("x{i}=\"\","));
        assert!(
            lines(&format!("a{{{labels}}} 1"), Format::Text)
                .unwrap_err()
                .contains("128 labels")
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn nothing_panics(text in "([a{}\"\\\\=, #\n1.eé<]|\\PC){0,80}") {
            drop(lines(&text, Format::Text));
            drop(lines(&text, Format::OpenMetrics));
        }

        #[test]
        fn what_is_written_is_read(value in "\\PC{0,20}(\n|\"|\\\\)?\\PC{0,5}", number in any::<f64>()) {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let (_, labels, read, _) = one(&format!("a{{l=\"{escaped}\"}} {number}\n"), Format::Text);
            prop_assert_eq!(&labels[0].1, &value);
            prop_assert!(read == number || (read.is_nan() && number.is_nan()));
        }
    }
}
