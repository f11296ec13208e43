//! One table of all that was tried.

use std::fmt::Write as _;

/// One kind of trial.
pub struct Row {
    /// What was tried.
    pub what: String,
    /// How often.
    pub tried: u64,
    /// What each took, in milliseconds; nothing where no time is measured.
    pub took_ms: Vec<f64>,
    /// The longest that is allowed.
    pub limit_ms: Option<f64>,
    /// What broke a promise, in words.
    pub violations: Vec<String>,
}

/// The table, and under it every violation in full.
pub fn show(rows: &[Row]) -> String {
    let mut text = format!(
        "\n{:<58} {:>9} {:>10} {:>10} {:>10} {:>10} {:>11}\n",
        "what was tried", "how often", "median", "p99", "worst", "allowed", "violations"
    );
    for row in rows {
        let Row {
            what,
            tried,
            took_ms,
            limit_ms,
            violations,
        } = row;
        let mut sorted = took_ms.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = (share * sorted.len() as f64).ceil().max(1.0) as usize - 1;
            sorted.get(place).map_or_else(String::new, |ms| millis(*ms))
        };
        let limit = limit_ms.map_or_else(String::new, millis);
        // Writing to a string does not fail.
        writeln!(
            text,
            "{what:<58} {tried:>9} {:>10} {:>10} {:>10} {limit:>10} {:>11}",
            at(0.5),
            at(0.99),
            at(1.0),
            violations.len()
        )
        .ok();
    }
    for row in rows {
        for violation in &row.violations {
            writeln!(text, "\nBROKEN, {}: {violation}", row.what).ok();
        }
    }
    text
}

fn millis(ms: f64) -> String {
    if ms < 100.0 {
        format!("{ms:.1} ms")
    } else {
        format!("{ms:.0} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_its_quantiles_and_a_violation_its_words() {
        let row = Row {
            what: "a kill".to_owned(),
            tried: 200,
            took_ms: (1..=200).map(f64::from).collect(),
            limit_ms: Some(1_000.0),
            violations: vec!["round 7: still on".to_owned()],
        };
        let text = show(&[row]);
        let line = text.lines().find(|line| line.starts_with("a kill")).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(
            words[2..],
            ["200", "100", "ms", "198", "ms", "200", "ms", "1000", "ms", "1"]
        );
        assert!(text.contains("BROKEN, a kill: round 7: still on"));
    }
}
