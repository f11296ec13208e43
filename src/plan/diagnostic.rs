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

/// Characters of a line that are shown at most.
const SHOWN: usize = 160;

/// And of these before the place.
const SHOWN_BEFORE: usize = 100;

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
        let before = self.column.saturating_sub(1);
        let hidden = before.saturating_sub(SHOWN_BEFORE);
        // Tabs are kept, so that the caret stands where the eye expects it; other control characters are not
        // for a terminal to obey.
        let shown = |c: char| {
            if c != '\t' && c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        };
        let pad: String = line
            .chars()
            .skip(hidden)
            .take(before - hidden)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let line: String = line.chars().skip(hidden).take(SHOWN).map(shown).collect();
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
pub fn did_you_mean<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(found, name), name))
        .min()
        .filter(|(distance, name)| *distance <= (name.len().max(found.len()) / 3).max(1))
        .map_or_else(String::new, |(_, name)| format!("; did you mean \"{name}\"?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_shown_around_the_place_and_obeyed_by_no_terminal() {
        let text = format!("{}\u{1b}[2J!{}", "x".repeat(5_000), "y".repeat(5_000));
        let place = text.find('!').unwrap();
        let diagnostic = Diagnostic::at(&text, place..place + 1, Severity::Error, "", "no".to_owned());
        let rendered = diagnostic.render("p.toml", &text);
        let [first, line, caret] = rendered.lines().collect::<Vec<_>>()[..] else {
            panic!("{rendered}")
        };
        assert_eq!(first, "p.toml:1:5005: error: no");
        assert!(line.chars().count() < 170 && !line.contains('\u{1b}'), "{line}");
        let at = |text: &str, c: char| text.chars().position(|found| found == c).unwrap();
        assert_eq!(at(line, '!'), at(caret, '^'));
    }
}
