//! Places of a plan, as templates write them: `sli[Order success].ratio.good`, `experiment[*].step[*].target.service`.

use serde_json::Value as Json;

/// One part of a pattern.
enum Part<'p> {
    Key(&'p str),
    /// An entry of an array: each, the one with this number, the one with this name.
    Each,
    Number(usize),
    Named(&'p str),
}

/// Every path of `values` that a pattern means, with what is there. The last key need not be there in all of them.
pub(crate) fn resolve<'v>(values: &'v Json, pattern: &str) -> Vec<(Vec<String>, &'v Json)> {
    let mut found = vec![(Vec::new(), values)];
    for part in parts(pattern) {
        found = found
            .into_iter()
            .flat_map(|(path, value)| step(&path, value, &part))
            .collect();
    }
    found
}

fn parts(pattern: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for piece in pattern.split('.') {
        let Some((key, rest)) = piece.split_once('[') else {
            parts.push(Part::Key(piece));
            continue;
        };
        parts.push(Part::Key(key));
        let chosen = rest.trim_end_matches(']');
        parts.push(match (chosen, chosen.parse()) {
            ("*", _) => Part::Each,
            (_, Ok(number)) => Part::Number(number),
            (name, Err(_)) => Part::Named(name),
        });
    }
    parts
}

fn step<'v>(path: &[String], value: &'v Json, part: &Part<'_>) -> Vec<(Vec<String>, &'v Json)> {
    let longer = |key: String| [path, &[key]].concat();
    if let Part::Key(key) = part {
        return value
            .get(key)
            .map(|inner| (longer((*key).to_owned()), inner))
            .into_iter()
            .collect();
    }
    let entries = value.as_array().into_iter().flatten().enumerate();
    let wanted = entries.filter(|(at, entry)| match part {
        Part::Number(number) => at == number,
        Part::Named(name) => entry.get("name").and_then(Json::as_str) == Some(name),
        Part::Each | Part::Key(_) => true,
    });
    wanted
        .map(|(at, entry)| (longer(at.to_string()), entry))
        .collect()
}

/// `experiment[0].step[1].with`: a path as the plan's reader writes it.
pub(crate) fn dotted(path: &[String]) -> String {
    let mut text = String::new();
    for key in path {
        if key.bytes().all(|byte| byte.is_ascii_digit()) {
            text.extend(["[", key, "]"]);
        } else {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(key);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_find_what_they_mean() {
        let values = json!({
            "sli": [{ "name": "A b", "gauge": "x" }, { "name": "C", "gauge": "y" }],
            "experiment": [{ "step": [{ "target": { "service": "s" } }, { "wait": "1s" }] }],
        });
        let found = |pattern| {
            let found = resolve(&values, pattern);
            found.iter().map(|(path, _)| dotted(path)).collect::<Vec<_>>()
        };
        assert_eq!(found("sli[C].gauge"), ["sli[1].gauge"]);
        assert_eq!(found("sli[A b].gauge"), ["sli[0].gauge"]);
        assert_eq!(found("sli[*].gauge"), ["sli[0].gauge", "sli[1].gauge"]);
        assert_eq!(
            found("experiment[*].step[*].target.service"),
            ["experiment[0].step[0].target.service"]
        );
        assert!(found("sli[2].gauge").is_empty() && found("none").is_empty());
    }
}
