//! One guardrail as found, and the words that several of them share.

use crate::{types::BudgetLeft, words::show_ms};

/// The longest reason or name that is kept, in bytes.
const MAX_WORDS: usize = 2_000;

/// One rule as found: whether it holds, what was found, what would satisfy it.
pub(crate) struct Found {
    pub ok: Option<bool>,
    pub words: String,
    pub remedy: String,
    pub left: Option<BudgetLeft>,
}

impl Found {
    pub(crate) fn good(words: impl Into<String>) -> Self {
        Self::new(Some(true), words, "")
    }

    pub(crate) fn waiting(words: impl Into<String>) -> Self {
        Self::new(None, words, "")
    }

    pub(crate) fn bad(words: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Some(false), words, remedy)
    }

    fn new(ok: Option<bool>, words: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            ok,
            words: words.into(),
            remedy: remedy.into(),
            left: None,
        }
    }
}

pub(crate) fn budget_found(what: &str, limit_ms: u64, used_ms: u64, key: &str) -> Found {
    let left_ms = limit_ms.saturating_sub(used_ms);
    let words = format!("{} left of {} {what}", show_ms(left_ms), show_ms(limit_ms));
    let mut found = if left_ms > 0 {
        Found::good(words)
    } else {
        Found::bad(
            format!("nothing left of {} {what}", show_ms(limit_ms)),
            format!("wait until earlier drills are 24 hours past, or raise {key} in [guardrails]"),
        )
    };
    found.left = Some(BudgetLeft {
        left_ms,
        of_ms: limit_ms,
    });
    found
}

pub(crate) fn unknown_history(why: &str) -> Found {
    Found::bad(
        format!("what earlier drills spent is not known: {why}"),
        "see whether the folder of drills can be read",
    )
}

/// The one that is nearer to its end; what is not known comes before both.
pub(crate) fn tighter(one: Found, other: Found) -> Found {
    let rank = |it: &Found| match it.ok {
        Some(false) => 0,
        None => 1,
        Some(true) => 2,
    };
    let share = |it: &Found| it.left.map_or(0.0, BudgetLeft::share);
    let first = rank(&one)
        .cmp(&rank(&other))
        .then(share(&one).total_cmp(&share(&other)));
    if first.is_le() { one } else { other }
}

/// Whether an entry of `forbid` names the fault: its name, or a family such as `network.*`.
pub(crate) fn names_fault(entry: &str, fault: &str) -> bool {
    match entry.strip_suffix('*') {
        Some(prefix) => fault.starts_with(prefix),
        None => entry == fault,
    }
}

pub(crate) fn when(next: Option<String>) -> String {
    next.unwrap_or_else(|| "not within a week".to_owned())
}

pub(crate) fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

pub(crate) fn clipped(text: &str) -> String {
    let text = text.trim();
    let mut end = text.len().min(MAX_WORDS);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Whether a fault is of this sort, in whichever family: `process.kill`, `container.kill`.
pub(crate) fn is_a(fault: &str, sort: &str) -> bool {
    fault.rsplit('.').next() == Some(sort)
}
