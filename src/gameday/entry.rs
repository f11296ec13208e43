//! Quick entry: a line that the facilitator types for somebody who does not have the program.
//!
//! `ana: noticed 14:03`, `ana: strike noticed`, `ana: note the pager was silent`,
//! `ana: breaks; first P95 latency; worst 820 ms; notice 90s; because the pool is small`.

use firedrill_catalogue::quantity;
use firedrill_plan::reader::did_you_mean;

use crate::{Clock, GameDay, Prediction, parse_clock};

/// Longest line, in letters.
pub const MAX_ENTRY: usize = 500;

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// In whose name.
    pub who: String,
    /// What they did or said.
    pub what: Entered,
}

/// What somebody did or said.
#[derive(Clone, Debug, PartialEq)]
pub enum Entered {
    /// A clock.
    Clock {
        /// Which.
        clock: Clock,
        /// When, wall milliseconds.
        when_ms: i64,
    },
    /// Their newest clock of this kind does not count.
    Strike(Clock),
    /// A note.
    Note {
        /// When, wall milliseconds.
        when_ms: i64,
        /// What.
        words: String,
    },
    /// A prediction; its nonce is empty.
    Predict(Prediction),
}

/// What is known where a line is read.
pub struct Known<'a> {
    /// Whose people may be named in short.
    pub day: &'a GameDay,
    /// The indicators of the drill, name and unit.
    pub slis: &'a [(String, String)],
    /// Wall milliseconds.
    pub now_ms: i64,
}

/// Reads a line. `Err` says what is wrong and how it is written.
pub fn entry(line: &str, known: &Known<'_>) -> Result<Entry, String> {
    if line.chars().count() > MAX_ENTRY {
        return Err(format!("a line has {MAX_ENTRY} letters at the most"));
    }
    let line = line.replace('：', ":").replace('；', ";");
    let (name, rest) = line
        .split_once(':')
        .ok_or("write NAME: WHAT, such as \"ana: noticed 14:03\"")?;
    if clock_word(name.trim()).is_ok() {
        return Err(
            "the name comes first, then a colon: write NAME: WHAT, such as \"ana: noticed 14:03\"".to_owned(),
        );
    }
    let who = person(name.trim(), known.day)?;
    let rest = rest.trim();
    let (first, more) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let what = match first.trim_end_matches(';').to_lowercase().as_str() {
        "" => return Err(format!("what did {who} do? Write \"{who}: noticed 14:03\"")),
        "strike" => Entered::Strike(clock_alone(more)?),
        "note" => note(more.trim(), known)?,
        "holds" | "breaks" => Entered::Predict(prediction(&who, rest, known)?),
        _ => {
            let (clock, when) = clock_word(rest)?;
            Entered::Clock {
                clock,
                when_ms: moment(when, known)?,
            }
        }
    };
    Ok(Entry { who, what })
}

/// Everybody of a day once, in the order of the roles.
pub fn everybody(day: &GameDay) -> Vec<&str> {
    let mut all: Vec<&str> = Vec::new();
    for name in day.people.roles.iter().flat_map(|(_, names)| names) {
        if !all.contains(&name.as_str()) {
            all.push(name);
        }
    }
    all
}

/// By the whole name, or by how it or one of its words begins, if only one does. Where the day names nobody, any
/// name will do.
fn person(typed: &str, day: &GameDay) -> Result<String, String> {
    if typed.is_empty() {
        return Err("who? Write NAME: WHAT, such as \"ana: noticed 14:03\"".to_owned());
    }
    let all = everybody(day);
    if all.is_empty() {
        return Ok(typed.to_owned());
    }
    let low = typed.to_lowercase();
    if let Some(name) = all.iter().find(|name| name.to_lowercase() == low) {
        return Ok((*name).to_owned());
    }
    let begins = |name: &&&str| {
        let name = name.to_lowercase();
        name.starts_with(&low) || name.split_whitespace().any(|word| word.starts_with(&low))
    };
    let found: Vec<&str> = all.iter().filter(begins).copied().collect();
    match found.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => {
            let near = did_you_mean(typed, all.iter().copied());
            let hint = if near.is_empty() {
                format!("; people of this game day: {}", all.join(", "))
            } else {
                near
            };
            Err(format!("nobody is called \"{typed}\"{hint}"))
        }
        several => Err(format!(
            "\"{typed}\" may be {}; write more of the name",
            several.join(" or ")
        )),
    }
}

/// Every word for a clock.
const WORDS: [(&str, Clock); 9] = [
    ("noticed", Clock::Noticed),
    ("paged", Clock::Paged),
    ("acknowledged", Clock::Acknowledged),
    ("ack", Clock::Acknowledged),
    ("right hypothesis", Clock::Hypothesis),
    ("hypothesis", Clock::Hypothesis),
    ("mitigated", Clock::Mitigated),
    ("recovered", Clock::Recovered),
    ("notice", Clock::Noticed),
];

/// The clock that a text begins with, and what follows it.
fn clock_word(text: &str) -> Result<(Clock, &str), String> {
    let low = text.to_lowercase();
    for (word, clock) in WORDS {
        let after = low.strip_prefix(word);
        if after.is_some_and(|after| after.is_empty() || after.starts_with(char::is_whitespace)) {
            // Every word is ASCII, so the lower case is as long.
            return Ok((clock, text.get(word.len()..).unwrap_or_default().trim()));
        }
    }
    let typed = text.split_whitespace().next().unwrap_or_default();
    let all = WORDS
        .map(|(word, _)| word)
        .into_iter()
        .chain(["strike", "note", "holds", "breaks"]);
    let near = did_you_mean(typed, all);
    Err(format!(
        "\"{typed}\" is none of noticed, paged, acknowledged, hypothesis, mitigated, recovered, strike, note, holds, breaks{near}"
    ))
}

fn clock_alone(text: &str) -> Result<Clock, String> {
    match clock_word(text.trim())? {
        (clock, "") => Ok(clock),
        (_, more) => Err(format!(
            "nothing may follow the clock that is struck, found \"{more}\""
        )),
    }
}

/// Empty: now; a time of day; or so long ago: `-2m`.
fn moment(text: &str, known: &Known<'_>) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(known.now_ms);
    }
    if let Some(ago) = text.strip_prefix(['-', '−']) {
        let ago_ms = quantity::duration_ms(ago.trim())?;
        return Ok(known.now_ms.saturating_sub_unsigned(ago_ms));
    }
    parse_clock(text, known.now_ms, &known.day.start.time_zone())
        .map_err(|why| format!("{why}, or how long ago, such as -2m"))
}

fn note(text: &str, known: &Known<'_>) -> Result<Entered, String> {
    let (first, more) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let timed = first.contains(':') || first.starts_with(['-', '−']);
    let (when_ms, words) = match moment(first, known) {
        Ok(when_ms) if timed => (when_ms, more.trim()),
        _ => (known.now_ms, text),
    };
    if words.is_empty() {
        return Err("what is to be noted? Write \"ana: note the pager was silent\"".to_owned());
    }
    Ok(Entered::Note {
        when_ms,
        words: words.to_owned(),
    })
}

fn prediction(who: &str, text: &str, known: &Known<'_>) -> Result<Prediction, String> {
    let mut parts = text.split(';').map(str::trim);
    let verdict = parts.next().unwrap_or_default().to_lowercase();
    if !matches!(verdict.as_str(), "holds" | "breaks") {
        return Err(format!(
            "after \"holds\" or \"breaks\" comes a semicolon, found \"{verdict}\""
        ));
    }
    let mut said = Prediction {
        who: who.to_owned(),
        holds: verdict == "holds",
        first: None,
        worst: None,
        notice_ms: None,
        words: String::new(),
        nonce: String::new(),
    };
    let mut worst = None;
    for part in parts.filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
        let value = value.trim();
        match key.to_lowercase().as_str() {
            "first" => said.first = Some(indicator(value, known.slis)?),
            "worst" => worst = Some(value.to_owned()),
            "notice" => said.notice_ms = Some(quantity::duration_ms(value)?),
            "because" => value.clone_into(&mut said.words),
            other => {
                return Err(format!("\"{other}\" is none of first, worst, notice, because"));
            }
        }
    }
    if let Some(value) = worst {
        let first = said
            .first
            .as_ref()
            .ok_or("a worst value needs its indicator: first NAME")?;
        let unit = known.slis.iter().find(|(name, _)| name == first);
        said.worst = Some(in_base_unit(&value, unit.map_or("", |(_, unit)| unit))?);
    }
    Ok(said)
}

fn indicator(typed: &str, slis: &[(String, String)]) -> Result<String, String> {
    let low = typed.to_lowercase();
    let found = slis.iter().find(|(name, _)| name.to_lowercase() == low);
    found.map(|(name, _)| name.clone()).ok_or_else(|| {
        let all: Vec<&str> = slis.iter().map(|(name, _)| name.as_str()).collect();
        format!(
            "no indicator of this drill is called \"{typed}\"; it has: {}",
            all.join(", ")
        )
    })
}

/// `820 ms` as it is shown to the number that is judged.
fn in_base_unit(typed: &str, unit: &str) -> Result<f64, String> {
    let number = typed.strip_suffix(unit).unwrap_or(typed).trim();
    let shown: f64 = number
        .parse()
        .ok()
        .filter(|value: &f64| value.is_finite())
        .ok_or_else(|| format!("the worst value is a number in {unit}, found \"{typed}\""))?;
    Ok(match unit {
        "%" => shown / 100.0,
        "ms" => shown / 1_000.0,
        _ => shown,
    })
}
