//! Findings as files for others: CSV and Markdown, overdue ones first.

use std::fmt::Write as _;

use jiff::{civil::Date, tz::TimeZone};

use crate::{
    Names, Noted,
    words::{date, markdown, zoned},
};

/// Open ones before closed ones; of the open ones the overdue first, then by due date, those without one last.
pub fn due_first(findings: &[Noted]) -> Vec<&Noted> {
    let mut all: Vec<&Noted> = findings.iter().collect();
    all.sort_by_key(|noted| {
        let due = noted.finding.due_on().unwrap_or(Date::MAX);
        (noted.closed.is_some(), due, noted.at_ms)
    });
    all
}

impl Noted {
    /// Open, and its due date is over.
    pub fn is_overdue(&self, today: Date) -> bool {
        self.closed.is_none() && self.finding.due_on().is_some_and(|due| due < today)
    }

    /// `overdue`, `open`, `closed`.
    pub fn standing(&self, today: Date) -> &'static str {
        match (&self.closed, self.is_overdue(today)) {
            (Some(_), _) => "closed",
            (None, true) => "overdue",
            (None, false) => "open",
        }
    }
}

const COLUMNS: [&str; 13] = [
    "id",
    "standing",
    "symptom",
    "cause",
    "impact",
    "owner",
    "due",
    "ticket",
    "drill",
    "game day",
    "evidence from",
    "evidence until",
    "closed",
];

/// As CSV (RFC 4180), with a header. A cell that a spreadsheet would take for a formula begins with an apostrophe.
pub fn csv(findings: &[Noted], title: &str, today: Date) -> String {
    let mut out = row(&COLUMNS.map(str::to_owned));
    for noted in due_first(findings) {
        let finding = &noted.finding;
        let time = |ms: i64| zoned(ms, &TimeZone::UTC, "%Y-%m-%dT%H:%M:%SZ");
        let (from, until) = finding
            .evidence_ms
            .map_or_else(Default::default, |(from, until)| (time(from), time(until)));
        out.push_str(&row(&[
            noted.id.clone(),
            noted.standing(today).to_owned(),
            finding.symptom.clone(),
            finding.cause.clone(),
            finding.impact.clone(),
            finding.owner.clone(),
            finding.due.clone(),
            finding.ticket.clone(),
            finding.drill.clone().unwrap_or_default(),
            finding.from.clone().unwrap_or_else(|| title.to_owned()),
            from,
            until,
            noted
                .closed
                .as_ref()
                .map_or_else(String::new, |(_, _, words)| words.clone()),
        ]));
    }
    out
}

fn row(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
    format!("{}\r\n", cells.join(","))
}

fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if formula {
        format!("'{cell}")
    } else {
        cell.to_owned()
    };
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

/// As Markdown: a heading and a list a finding.
pub fn findings_markdown(
    findings: &[Noted],
    title: &str,
    today: Date,
    zone: &TimeZone,
    names: &Names,
) -> String {
    let mut out = format!("# Findings of {}\n", markdown(title));
    if findings.is_empty() {
        out.push_str("\nNone.\n");
    }
    for noted in due_first(findings) {
        out.push('\n');
        out.push_str(&one(noted, "##", today, zone, names));
    }
    out
}

/// One finding under a heading of that level.
pub(crate) fn one(noted: &Noted, heading: &str, today: Date, zone: &TimeZone, names: &Names) -> String {
    let finding = &noted.finding;
    let mut out = format!(
        "{heading} {} ({})\n\n",
        markdown(&finding.symptom),
        noted.standing(today)
    );
    let mut line = |what: &str, words: &str| {
        if !words.is_empty() {
            // Into a text: this cannot fail.
            writeln!(out, "- {what}: {words}").ok();
        }
    };
    line("Cause", &markdown(&finding.cause));
    line("Impact", &markdown(&finding.impact));
    if let Some((from, until)) = finding.evidence_ms {
        let format = "%H:%M:%S";
        let words = format!(
            "{} {} to {}",
            date(from, zone),
            zoned(from, zone, format),
            zoned(until, zone, format)
        );
        line("Evidence", &words);
    }
    if !finding.owner.is_empty() {
        line("Owner", &markdown(&names.call_or_keep(&finding.owner)));
    }
    line("Due", &finding.due);
    if !finding.ticket.is_empty() {
        line("Ticket", &format!("<{}>", finding.ticket));
    }
    line(
        "Found by",
        &markdown(finding.drill.as_deref().unwrap_or_default()),
    );
    line("From", &markdown(finding.from.as_deref().unwrap_or_default()));
    if let Some((at, _, words)) = &noted.closed {
        line("Closed", &format!("{}, {}", date(*at, zone), markdown(words)));
    }
    out
}
