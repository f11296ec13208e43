//! What is wrong with a plan's text, and where.

use std::{fmt, ops::Range};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The plan cannot be used.
    Error,
    /// It can, but somebody should look.
    Warning,
}

/// One mistake: where, what was found, what is expected, and the nearest right name where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The same place as bytes of the text.
    pub span: Range<usize>,
    /// The key concerned: `experiment[0].step[1].with.delay`; empty for the whole file.
    pub path: String,
    /// In one sentence.
    pub message: String,
}

impl Diagnostic {
    /// A diagnostic at `span` of `text`.
    pub fn at(text: &str, span: Range<usize>, severity: Severity, path: &str, message: String) -> Self {
        let (line, column) = line_and_column(text, span.start);
        Self {
            severity,
            line,
            column,
            span,
            path: path.to_owned(),
            message,
        }
    }

    /// `plan.toml:14:10: error: …`, the line itself and a caret below the place.
    pub fn render(&self, file: &str, text: &str) -> String {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let line = text.lines().nth(self.line.saturating_sub(1)).unwrap_or("");
        // Tabs are kept, so that the caret stands where the eye expects it.
        let pad: String = line
            .chars()
            .take(self.column - 1)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        format!(
            "{file}:{}:{}: {word}: {}\n {number} | {line}\n {gutter} | {pad}^",
            self.line, self.column, self.message
        )
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

/// Line and column (in characters) of a byte offset, both from 1.
pub(crate) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

/// `; did you mean "…"?` for the nearest of `known`, if one is near.
pub(crate) fn did_you_mean<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(found, name), name))
        .min()
        .filter(|(distance, name)| *distance <= (name.len().max(found.len()) / 3).max(1))
        .map_or_else(String::new, |(_, name)| format!("; did you mean \"{name}\"?"))
}
