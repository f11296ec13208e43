//! A new `gameday.toml` from plans: every experiment with a box that is long enough.

use std::fmt::Write as _;

use firedrill_plan::Plan;

use crate::{change::duration, needs};

const BETWEEN_MS: u64 = 300_000;
/// Boxes are whole numbers of these.
const ROUND_MS: u64 = 300_000;
const HALF_HOUR_MS: u64 = 1_800_000;

/// What a new game day is made from.
#[derive(Clone, Copy, Debug)]
pub struct New<'a> {
    /// What it is called.
    pub title: &'a str,
    /// Random, for calendars.
    pub id: &'a str,
    /// `2026-12-03 10:00 Europe/Berlin`.
    pub start: &'a str,
    /// Who makes it.
    pub who: &'a str,
    /// Each plan with its path in the folder.
    pub plans: &'a [(String, Plan)],
}

/// The text of a new `gameday.toml`.
pub fn from_plans(new: New<'_>) -> String {
    let mut boxes = String::new();
    let mut all_ms = 0;
    let mut known: Vec<&str> = Vec::new();
    for (path, plan) in new.plans {
        for experiment in &plan.experiments {
            let needs = needs(plan, experiment, BETWEEN_MS);
            let box_ms = needs.most_ms().div_ceil(ROUND_MS) * ROUND_MS;
            all_ms += box_ms;
            let id = if known.contains(&experiment.name.as_str()) {
                format!("id = {}\n", text(&format!("{path}: {}", experiment.name)))
            } else {
                String::new()
            };
            known.push(&experiment.name);
            // Into a text: this cannot fail.
            write!(
                boxes,
                "\n[[drill]]                                  # {}\n{id}plan = {}\nexperiment = {}\nbox = \"{}\"\n",
                needs.words(),
                text(path),
                text(&experiment.name),
                duration(box_ms)
            )
            .ok();
        }
    }
    let for_ms = (all_ms + HALF_HOUR_MS).div_ceil(HALF_HOUR_MS) * HALF_HOUR_MS;
    let (title, id, start, who) = (text(new.title), text(new.id), text(new.start), text(new.who));
    format!(
        r#"# A game day: agenda, preparation, people. Firedrill writes what happens into events.jsonl beside this file,
# the drills' journals into journals/ and reports into reports/. Commit the folder, zip it, move it: it is all there.

title = {title}                            # everybody reads it: it gives nothing away
id = {id}                                  # tells a calendar that a new invitation is the same day
# goal = "Checkout stays usable while something behind it is slow."
start = {start}
for = "{length}"
# place = "Room 4"
# call = "https://meet.example.com/gameday"
# segment = "staging, shard 3"             # what may be hit; not told to responders
between = "5m"                             # from one drill's end to the next one's begin, inside the box

[people]
facilitator = [{who}]
# operator = ["…"]
# observers = ["…"]
# responders = ["…"]                       # are rehearsed: they are told nothing of the faults
# stakeholders = ["…"]
# on_call = ["…"]                          # for real, meanwhile
# named = [{who}]                          # who agreed to stand in reports by name
{boxes}
# The day does not start before each of these is ticked …
[[check]]
name = "The segment is isolated"
how = "No customer outside of it can reach what is hit."

[[check]]
name = "Backups are fresh and were restored once"

[[check]]
name = "Dashboards and alerts are open and work"

[[check]]
name = "Who is on call knows"

[[check]]
name = "Support and stakeholders know"

[[check]]
name = "firedrill gameday check --live passed"

# … and each of these people has said go.
[[go]]
name = {who}
about = "no real incident is on, and nobody deploys"
"#,
        length = duration(for_ms.min(24 * 3_600_000)),
    )
}

/// A TOML text.
fn text(words: &str) -> String {
    firedrill_plan::edit::Value::from(words)
        .to_string()
        .trim()
        .to_owned()
}
