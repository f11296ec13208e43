//! Text → game day, and what each row needs of the plans it names.

use std::{collections::BTreeMap, sync::Arc};

use firedrill_drill::MAX_SURPRISE_MS;
use firedrill_plan::{
    Diagnostic, Hours, Plan,
    reader::{DeTable, Field, Limits, Reader, Table, did_you_mean, document, each, schema_of, url},
    time_zone,
};
use jiff::tz::TimeZone;
use serde_json::Value as Json;

use crate::{
    Check, Fit, GameDay, Go, Lot, Needs, People, Role, Row, Slot, Start, State,
    keys::{CHECK, DRILL, GAMEDAY, GO, PEOPLE, SURPRISE},
    needs, schedule,
    words::{clock, length, start},
};

/// Largest `gameday.toml`, in bytes.
pub const MAX_BYTES: usize = 256 * 1024;

/// Longest agenda.
pub const MAX_DRILLS: usize = 50;

const MAX_CHECKS: usize = 100;
const MAX_GOES: usize = 50;
const MAX_PEOPLE: usize = 200;
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
const BETWEEN_MS: u64 = 5 * MINUTE_MS;

/// A folder's texts as checked: the day where it can be used, and all that is wrong or doubtful.
#[derive(Clone, Debug)]
pub struct Checked {
    /// `None` if there is an error in `gameday.toml` itself, or a row has no such plan or experiment.
    pub day: Option<GameDay>,
    /// What each row needs, in the order of the file.
    pub needs: Vec<Needs>,
    /// The plans it names, by their paths in the folder.
    pub plans: BTreeMap<String, Arc<Plan>>,
    /// Errors and warnings, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a game day and tells warnings too. `plan` gives the plan at a path in the folder (once for each), or says
/// why there is none.
pub fn check(text: &str, plan: &dyn Fn(&str) -> Result<Arc<Plan>, String>) -> Checked {
    let limits = Limits {
        what: "game day",
        max_bytes: MAX_BYTES,
        later: &[],
    };
    let mut plans = Plans {
        read: plan,
        known: BTreeMap::new(),
    };
    let (read, diagnostics) = document(text, limits, |r, root| day(r, root, &mut plans));
    let (day, needs) = read.map_or((None, Vec::new()), |(day, needs)| (Some(day), needs));
    let plans = plans
        .known
        .into_iter()
        .filter_map(|(path, plan)| Some((path, plan.ok()?)));
    Checked {
        day,
        needs,
        plans: plans.collect(),
        diagnostics,
    }
}

/// The JSON Schema of `gameday.toml`.
pub fn schema() -> Json {
    schema_of("Firedrill game day", GAMEDAY)
}

/// The plans that rows name, each read once.
struct Plans<'p> {
    read: &'p dyn Fn(&str) -> Result<Arc<Plan>, String>,
    known: BTreeMap<String, Result<Arc<Plan>, String>>,
}

impl Plans<'_> {
    fn get(&mut self, path: &str) -> &Result<Arc<Plan>, String> {
        let read = self.read;
        self.known.entry(path.to_owned()).or_insert_with(|| read(path))
    }
}

fn day(r: &mut Reader<'_>, root: &DeTable<'_>, plans: &mut Plans<'_>) -> Option<(GameDay, Vec<Needs>)> {
    let top = r.table(root, 0..0, "", "", GAMEDAY);
    let title = r.text(top.get("title"));
    let goal = r.text(top.get("goal"));
    let start = r.parsed(top.get("start"), start);
    let for_ms = r.duration(top.get("for"), MINUTE_MS, DAY_MS);
    let place = r.text(top.get("place"));
    let call = r.parsed(top.get("call"), url);
    let segment = r.text(top.get("segment"));
    let between_ms = match top.get("between") {
        Some(field) => r.duration(Some(field), 1, DAY_MS),
        None => Some(BETWEEN_MS),
    };
    let people = top
        .get("people")
        .and_then(|field| people(r, &field))
        .unwrap_or_default();
    let mut rows = Vec::new();
    let drills = each(r, &top, "drill", MAX_DRILLS, |r, table, span, path| {
        let opened = r.table(table, span, path, "drill", DRILL);
        let (row, place) = row(r, &opened, plans)?;
        rows.push(place);
        Some(row)
    });
    twice(r, &drills, &rows);
    let checks = named(r, &top, "check", MAX_CHECKS, CHECK, "how");
    let goes = named(r, &top, "go", MAX_GOES, GO, "about");
    let id = r.text(top.get("id"));
    let (title, start, for_ms, between_ms) = (title?, start?, for_ms?, between_ms?);
    let day = GameDay {
        id: id.unwrap_or_else(|| made_up(&title, &start)),
        title,
        goal,
        start,
        for_ms,
        place,
        call,
        segment,
        between_ms,
        people,
        drills,
        checks: checks
            .into_iter()
            .map(|(name, how)| Check { name, how })
            .collect(),
        goes: goes.into_iter().map(|(name, about)| Go { name, about }).collect(),
    };
    let needs = judge_times(r, &top, &day, &rows, &plans.known)?;
    Some((day, needs))
}

/// The same title at the same time is the same day.
fn made_up(title: &str, start: &Start) -> String {
    let text = format!("{title}\n{}", start.wall_ms);
    blake3::hash(text.as_bytes()).to_hex().chars().take(16).collect()
}

/// Where a row's things stand in the text.
struct Places {
    path: String,
    id: std::ops::Range<usize>,
    time_box: std::ops::Range<usize>,
}

fn row(r: &mut Reader<'_>, table: &Table<'_>, plans: &mut Plans<'_>) -> Option<(Row, Places)> {
    let plan = r.parsed(table.get("plan"), inside);
    let experiment = r.text(table.get("experiment"));
    let id = r.text(table.get("id"));
    let box_ms = r.duration(table.get("box"), MINUTE_MS, DAY_MS);
    let skip = r.flag(table.get("skip")).unwrap_or(false);
    let rehearsal = r.flag(table.get("rehearsal")).unwrap_or(false);
    let lot = table.get("surprise").and_then(|field| surprise(r, &field));
    let (plan, experiment) = (plan?, experiment?);
    let named = table.get("plan")?;
    match plans.get(&plan) {
        Err(why) => r.error(named.span, &named.path, format!("{plan} cannot be used: {why}")),
        Ok(read) => {
            let names = || read.experiments.iter().map(|it| it.name.as_str());
            if let Some(field) = table.get("experiment")
                && !names().any(|name| name == experiment)
            {
                let near = did_you_mean(&experiment, names());
                let hint = if near.is_empty() {
                    let all: Vec<_> = names().collect();
                    format!("; it has: {}", all.join(", "))
                } else {
                    near
                };
                r.error(
                    field.span,
                    &field.path,
                    format!("{plan} has no experiment \"{experiment}\"{hint}"),
                );
            }
        }
    }
    let id_place = table.get("id").or_else(|| table.get("experiment"))?;
    let places = Places {
        path: id_place.path,
        id: id_place.span,
        time_box: table.place_of("box"),
    };
    let row = Row {
        id: id.unwrap_or_else(|| experiment.clone()),
        plan,
        experiment,
        box_ms: box_ms?,
        skip,
        rehearsal,
        surprise: lot,
    };
    Some((row, places))
}

fn surprise(r: &mut Reader<'_>, field: &Field<'_>) -> Option<Lot> {
    let table = r.open(field, "surprise", SURPRISE)?;
    let earliest_ms = r.duration(table.get("earliest"), 0, MAX_SURPRISE_MS);
    let latest_ms = r.duration(table.get("latest"), 1_000, MAX_SURPRISE_MS);
    let blind = r.flag(table.get("blind")).unwrap_or(false);
    let (earliest_ms, latest_ms) = (earliest_ms?, latest_ms?);
    if earliest_ms > latest_ms {
        let message = format!(
            "the earliest moment, {}, is after the latest, {}",
            length(earliest_ms),
            length(latest_ms)
        );
        r.error(field.span.clone(), &field.path, message);
        return None;
    }
    Some(Lot {
        earliest_ms,
        latest_ms,
        blind,
    })
}

/// A path that stays in the folder, wherever the folder is.
fn inside(text: &str) -> Result<String, String> {
    let odd = text.contains(['\\', ':', '\0']) || text.chars().any(char::is_control);
    let parts: Vec<&str> = text.split('/').collect();
    if odd
        || parts
            .iter()
            .any(|part| part.is_empty() || *part == "." || *part == "..")
    {
        return Err(format!(
            "\"{text}\" must be a relative path inside this folder, such as \"plans/orders.toml\""
        ));
    }
    Ok(text.to_owned())
}

fn twice(r: &mut Reader<'_>, drills: &[Row], places: &[Places]) {
    for (i, (row, place)) in drills.iter().zip(places).enumerate() {
        if drills[..i].iter().any(|before| before.id == row.id) {
            let message = format!(
                "another drill is called \"{}\"; give this one an id of its own",
                row.id
            );
            r.error(place.id.clone(), &place.path, message);
        }
    }
}

/// `[[check]]` and `[[go]]`: a unique name and a sentence.
fn named(
    r: &mut Reader<'_>,
    top: &Table<'_>,
    key: &str,
    at_most: usize,
    keys: &[firedrill_plan::reader::Key],
    sentence: &str,
) -> Vec<(String, Option<String>)> {
    let mut known: Vec<String> = Vec::new();
    each(r, top, key, at_most, |r, table, span, path| {
        let opened = r.table(table, span, path, key, keys);
        let field = opened.get("name")?;
        let name = r.text(Some(field.clone()))?;
        let said = r.text(opened.get(sentence));
        if known.contains(&name) {
            let message = format!("the name \"{name}\" is taken by another {key}");
            r.error(field.span, &field.path, message);
        }
        known.push(name.clone());
        Some((name, said))
    })
}

fn people(r: &mut Reader<'_>, field: &Field<'_>) -> Option<People> {
    let table = r.open(field, "people", PEOPLE)?;
    let mut roles = Vec::new();
    let mut all = Vec::new();
    for (role, key) in Role::ALL {
        let names = names(r, table.get(key));
        all.extend(names.iter().map(|(name, _)| name.clone()));
        if !names.is_empty() {
            roles.push((role, names.into_iter().map(|(name, _)| name).collect()));
        }
    }
    if all.len() > MAX_PEOPLE {
        r.error(
            field.span.clone(),
            &field.path,
            format!("{} people; at most {MAX_PEOPLE}", all.len()),
        );
    }
    let agreed = names(r, table.get("named"));
    for (name, place) in &agreed {
        if !all.contains(name) {
            let near = did_you_mean(name, all.iter().map(String::as_str));
            let message = format!("\"{name}\" has no role here{near}");
            r.error(place.span.clone(), &place.path, message);
        }
    }
    Some(People {
        roles,
        named: agreed.into_iter().map(|(name, _)| name).collect(),
    })
}

fn names<'a>(r: &mut Reader<'_>, field: Option<Field<'a>>) -> Vec<(String, Field<'a>)> {
    r.texts(field).unwrap_or_default()
}

/// What each row needs, and whether it fits; `None` if a row has no plan.
fn judge_times(
    r: &mut Reader<'_>,
    top: &Table<'_>,
    day: &GameDay,
    places: &[Places],
    plans: &BTreeMap<String, Result<Arc<Plan>, String>>,
) -> Option<Vec<Needs>> {
    let plan_of = |row: &Row| plans.get(&row.plan)?.as_ref().ok();
    let of = |row: &Row| {
        let plan = plan_of(row)?;
        let experiment = plan.experiments.iter().find(|it| it.name == row.experiment)?;
        Some(Needs {
            surprise_ms: row.surprise.map_or(0, |lot| lot.latest_ms),
            ..needs(plan, experiment, day.between_ms)
        })
    };
    let needs: Vec<Needs> = day.drills.iter().map(of).collect::<Option<_>>()?;
    for ((row, needs), place) in day.drills.iter().zip(&needs).zip(places) {
        if !row.skip && needs.fit(row.box_ms) == Fit::TooShort {
            let message = format!(
                "\"{}\" has {}, but needs {}: {}",
                row.id,
                length(row.box_ms),
                length(needs.planned_ms()),
                needs.words()
            );
            r.warn(place.time_box.clone(), &place.path, message);
        }
    }
    let schedule = schedule(day, &State::new(day), day.start.wall_ms);
    for ((row, slot), place) in day.drills.iter().zip(&schedule.slots).zip(places) {
        let why = plan_of(row)
            .filter(|_| !row.skip)
            .and_then(|plan| hours(plan, slot));
        if let Some(why) = why {
            r.warn(
                place.time_box.clone(),
                &place.path,
                format!("\"{}\" {why}", row.id),
            );
        }
    }
    let over_ms = schedule.over_ms;
    if over_ms > 0
        && let Some(field) = top.get("for")
    {
        let message = format!("the boxes take {} longer than the game day", length(over_ms));
        r.warn(field.span, &field.path, message);
    }
    Some(needs)
}

/// Why the guardrails of a plan will refuse its drill at that time of the day, or end it.
fn hours(plan: &Plan, slot: &Slot) -> Option<String> {
    let rails = &plan.guardrails;
    let times = [slot.from_ms, slot.until_ms.saturating_sub(1)];
    let zone = |hours: &Hours| time_zone(hours.zone()).unwrap_or(TimeZone::UTC);
    if let Some(staffed) = &rails.staffed
        && let Some(at) = times.into_iter().find(|at| !staffed.contains(*at))
    {
        return Some(format!(
            "is on at {}, which its plan calls not staffed ({staffed})",
            clock(at, &zone(staffed))
        ));
    }
    if let Some(peak) = &rails.peak
        && let Some(at) = times.into_iter().find(|at| peak.contains(*at))
    {
        return Some(format!(
            "is on at {}, which its plan calls a peak hour ({peak})",
            clock(at, &zone(peak))
        ));
    }
    None
}
