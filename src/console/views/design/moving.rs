//! Moving a step of a plan: text to text, comments kept.

use firedrill_plan::edit::{self, EditError};

/// The lane of a step that names none.
pub const MAIN: &str = "main";

/// One step as the line of time shows it. Waits are steps too; they stand where they are in the file.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Its index in the file.
    pub step: usize,
    /// Its lane.
    pub lane: String,
    /// Its fault, or `wait`.
    pub label: String,
    /// When it begins.
    pub from_ms: u64,
    /// When its last run ends.
    pub until_ms: u64,
    /// How long each run grows.
    pub ramp_ms: u64,
    /// How long each run takes.
    pub length_ms: u64,
    /// Start to start.
    pub every_ms: u64,
    /// How many runs.
    pub times: u64,
    /// It only waits.
    pub wait: bool,
}

/// The text with `step` beginning at `at_ms` in `lane`, as near as the steps before it let it, and the step's new
/// index. The steps of a lane run one after another: what is to begin later gets a wait before it, and what is
/// dragged beyond the middle of another changes places with it.
pub fn moved(
    text: &str,
    e: &str,
    bars: &[Bar],
    step: usize,
    lane: &str,
    at_ms: u64,
) -> Result<(String, usize), EditError> {
    let nowhere = || EditError::NoSuchPlace(format!("experiment.{e}.step.{step}"));
    let bar = bars.get(step).ok_or_else(nowhere)?;
    let before = |bar: &Bar, skip: Option<usize>| {
        let mut earlier = bars[..bar.step].iter().rev();
        earlier.find(|other| other.lane == bar.lane && Some(other.step) != skip)
    };
    let wait = before(bar, None)
        .filter(|other| other.wait && !bar.wait)
        .map(|it| it.step);
    let rest: Vec<&Bar> = bars
        .iter()
        .filter(|it| it.lane == lane && it.step != step && Some(it.step) != wait)
        .collect();
    let (ahead, end_ms) = ahead(&rest, at_ms);
    let gap_ms = if bar.wait { 0 } else { at_ms.saturating_sub(end_ms) };
    let stays = bar.lane == lane && before(bar, wait).map(|it| it.step) == ahead;

    let mut steps = Steps {
        text: text.to_owned(),
        e,
        order: (0..bars.len()).collect(),
    };
    if bar.lane != lane {
        steps.set_lane(step, lane)?;
    }
    if !stays {
        if let Some(ahead) = ahead {
            steps.put(step, ahead, 1)?;
        } else if let Some(first) = rest.first() {
            steps.put(step, first.step, 0)?;
        }
    }
    match (wait, gap_ms) {
        (Some(wait), 0) => steps.remove(wait)?,
        (Some(wait), _) => {
            steps.set(wait, "wait", &written(gap_ms))?;
            if bar.lane != lane {
                steps.set_lane(wait, lane)?;
            }
            if !stays || bar.lane != lane {
                steps.put(wait, step, 0)?;
            }
        }
        (None, 0) => {}
        (None, _) => {
            let fresh = steps.push(lane, gap_ms)?;
            steps.put(fresh, step, 0)?;
        }
    }
    let place = steps.place(step)?;
    Ok((steps.text, place))
}

/// Behind which of the others, which close up without the moved one, it comes, and when that one ends. A wait
/// belongs to the step behind it.
fn ahead(rest: &[&Bar], at_ms: u64) -> (Option<usize>, u64) {
    let (mut ahead, mut end_ms, mut waits_ms) = (None, 0, 0);
    for (i, other) in rest.iter().enumerate() {
        let length = other.until_ms - other.from_ms;
        if other.wait && i + 1 < rest.len() {
            waits_ms += length;
            continue;
        }
        if end_ms + waits_ms + length / 2 > at_ms {
            break;
        }
        ahead = Some(other.step);
        end_ms += waits_ms + length;
        waits_ms = 0;
    }
    (ahead, end_ms)
}

/// The steps of an experiment while they are moved: the text, and which step stands where.
struct Steps<'e> {
    text: String,
    e: &'e str,
    /// Old indices in the new order; new steps have numbers beyond the old ones.
    order: Vec<usize>,
}

impl Steps<'_> {
    fn place(&self, step: usize) -> Result<usize, EditError> {
        let place = self.order.iter().position(|it| *it == step);
        place.ok_or_else(|| EditError::NoSuchPlace(format!("experiment.{}.step.{step}", self.e)))
    }

    /// Puts a step directly before (`behind` is 0) or behind (1) another.
    fn put(&mut self, step: usize, other: usize, behind: usize) -> Result<(), EditError> {
        let from = self.place(step)?;
        let gap = self.place(other)? + behind;
        let to = if from < gap { gap - 1 } else { gap };
        if from != to {
            self.text = edit::move_entry(&self.text, &["experiment", self.e, "step"], from, to)?;
            let moved = self.order.remove(from);
            self.order.insert(to, moved);
        }
        Ok(())
    }

    fn set(&mut self, step: usize, key: &str, value: &str) -> Result<(), EditError> {
        let place = self.place(step)?.to_string();
        self.text = edit::set(&self.text, &["experiment", self.e, "step", &place, key], value)?;
        Ok(())
    }

    fn set_lane(&mut self, step: usize, lane: &str) -> Result<(), EditError> {
        if lane != MAIN {
            return self.set(step, "lane", lane);
        }
        let place = self.place(step)?.to_string();
        self.text = edit::remove(&self.text, &["experiment", self.e, "step", &place, "lane"])?;
        Ok(())
    }

    fn remove(&mut self, step: usize) -> Result<(), EditError> {
        let place = self.place(step)?;
        self.text = edit::remove(&self.text, &["experiment", self.e, "step", &place.to_string()])?;
        self.order.remove(place);
        Ok(())
    }

    /// Appends a wait; its number.
    fn push(&mut self, lane: &str, ms: u64) -> Result<usize, EditError> {
        let body = format!("wait = \"{}\"\n", written(ms));
        self.text = edit::push_table(&self.text, &["experiment", self.e, "step"], &body)?;
        let number = self.order.iter().max().map_or(0, |last| last + 1);
        self.order.push(number);
        self.set_lane(number, lane)?;
        Ok(number)
    }
}

/// As a plan writes it.
pub fn written(ms: u64) -> String {
    if ms.is_multiple_of(1_000) {
        format!("{}s", ms / 1_000)
    } else {
        format!("{ms}ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a` for 10 s, a wait of 5 s, `b` for 20 s in `main`; `c` for 10 s in `side`.
    const TEXT: &str = r#"[[experiment]]
name = "e"

# why a
[[experiment.step]]
inject = "a"

[[experiment.step]]
wait = "5s" # breathe

# why b
[[experiment.step]]
inject = "b"

[[experiment.step]]
inject = "c"
lane = "side" # apart
"#;

    fn bars() -> Vec<Bar> {
        let bar = |step, lane: &str, label: &str, from_s: u64, length_s: u64| Bar {
            step,
            lane: lane.to_owned(),
            label: label.to_owned(),
            from_ms: from_s * 1_000,
            until_ms: (from_s + length_s) * 1_000,
            ramp_ms: 0,
            length_ms: length_s * 1_000,
            every_ms: length_s * 1_000,
            times: 1,
            wait: label == "wait",
        };
        vec![
            bar(0, "main", "a", 0, 10),
            bar(1, "main", "wait", 10, 5),
            bar(2, "main", "b", 15, 20),
            bar(3, "side", "c", 0, 10),
        ]
    }

    /// `lane:a wait5s b …` in the order of the file.
    fn told(text: &str) -> String {
        let values = edit::values(text).unwrap();
        let steps = values["experiment"][0]["step"].as_array().unwrap().clone();
        let word = |step: &serde_json::Value| {
            let lane = step["lane"]
                .as_str()
                .map_or_else(String::new, |lane| format!("{lane}:"));
            match step["inject"].as_str() {
                Some(fault) => format!("{lane}{fault}"),
                None => format!("{lane}wait{}", step["wait"].as_str().unwrap()),
            }
        };
        steps.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    fn after(step: usize, lane: &str, at_s: u64) -> (String, usize) {
        let (text, place) = moved(TEXT, "0", &bars(), step, lane, at_s * 1_000).unwrap();
        assert!(text.contains("# why a\n") && text.contains("# why b\n"), "{text}");
        (told(&text), place)
    }

    #[test]
    fn along_the_time_the_wait_before_changes() {
        assert_eq!(after(2, "main", 18), ("a wait8s b side:c".into(), 2));
        assert_eq!(after(2, "main", 10), ("a b side:c".into(), 1));
        assert_eq!(after(0, "main", 3), ("wait3s a wait5s b side:c".into(), 1));
        assert_eq!(after(3, "side", 2), ("a wait5s b side:wait2s side:c".into(), 4));
        assert_eq!(after(2, "main", 15), ("a wait5s b side:c".into(), 2));
    }

    #[test]
    fn beyond_the_middle_of_another_they_change_places() {
        // The wait before b goes with it, or away.
        assert_eq!(after(2, "main", 0), ("b a side:c".into(), 0));
        assert_eq!(after(2, "main", 4), ("wait4s b a side:c".into(), 1));
        assert_eq!(after(0, "main", 40), ("wait5s b wait15s a side:c".into(), 3));
    }

    #[test]
    fn to_another_lane() {
        assert_eq!(after(3, "main", 0), ("c a wait5s b".into(), 0));
        assert_eq!(after(3, "main", 12), ("a wait2s c wait5s b".into(), 2));
        assert_eq!(after(0, "side", 10), ("wait5s b side:c side:a".into(), 3));
        assert_eq!(
            after(2, "lane 2", 7),
            ("a lane 2:wait7s lane 2:b side:c".into(), 2)
        );
    }

    #[test]
    fn what_stays_is_written_as_it_was() {
        let (text, _) = moved(TEXT, "0", &bars(), 2, "main", 15_000).unwrap();
        assert_eq!(text, TEXT);
        let (text, _) = moved(TEXT, "0", &bars(), 2, "main", 17_000).unwrap();
        assert_eq!(text, TEXT.replace("\"5s\" # breathe", "\"7s\" # breathe"));
    }
}
