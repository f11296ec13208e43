//! A game day's folder on disk: read whole, appended to, and a preflight of its whole agenda.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use firedrill_analysis::{Record as Chain, review};
use firedrill_drill::Outcome;
use firedrill_gameday::{
    Checked, EVENTS, Event, FILE, Found, JOURNALS, Lines, MAX_BYTES, MAX_LOG_BYTES, PLANS, REPORTS, Record,
    SliFound, State, line, lines,
};
use firedrill_plan::{Plan, Range, Severity};
use firedrill_scene::{Review, SliScene};

use crate::{clock::wall_ms, engine::read_plan, reveal::with_reveal};

/// What went wrong with a folder.
#[derive(Debug, thiserror::Error)]
pub enum GameDayError {
    /// The disk.
    #[error("{path} cannot be {what}: {source}", path = path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// `read`, `written`, `made`.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// What was to be kept is too long.
    #[error("not kept: {0}")]
    TooLong(String),
    /// A new game day is never written over another.
    #[error("{path} is there already; choose another folder", path = .0.display())]
    There(PathBuf),
}

/// A folder as read.
#[derive(Clone, Debug)]
pub struct ReadDay {
    /// The folder.
    pub folder: PathBuf,
    /// The text of `gameday.toml`.
    pub text: String,
    /// What it says, and what is wrong with it.
    pub checked: Checked,
    /// What happened.
    pub lines: Lines,
}

impl ReadDay {
    /// The state after everything that happened; `None`: `gameday.toml` has mistakes.
    pub fn state(&self) -> Option<State> {
        let day = self.checked.day.as_ref()?;
        Some(State::of(day, &self.lines.records))
    }
}

fn failed(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> GameDayError {
    let path = path.to_owned();
    move |source| GameDayError::Io { path, what, source }
}

/// Reads a folder: `gameday.toml`, the plans it names, and `events.jsonl`.
pub fn read_gameday(folder: &Path) -> Result<ReadDay, GameDayError> {
    let path = folder.join(FILE);
    let text = read_limited(&path, MAX_BYTES)
        .and_then(|bytes| String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8 text")));
    let text = text.map_err(failed(&path, "read"))?;
    let checked = firedrill_gameday::check(&text, &|path| plan_in(folder, path));
    let events = folder.join(EVENTS);
    let bytes = match read_limited(&events, MAX_LOG_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read.map_err(failed(&events, "read"))?,
    };
    Ok(ReadDay {
        folder: folder.to_owned(),
        text,
        checked,
        lines: lines(&bytes),
    })
}

/// At most so many bytes: what claims to be short, or is no file at all, may never end.
fn read_limited(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::other(format!("it is longer than {limit} bytes")));
    }
    Ok(bytes)
}

/// A plan of the folder. A link that leads out of the folder is not followed.
pub fn plan_text_in(folder: &Path, path: &str) -> Result<String, String> {
    let inside = fs::canonicalize(folder).map_err(|error| error.to_string())?;
    let file = fs::canonicalize(folder.join(path)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such file in this folder".to_owned(),
        _ => error.to_string(),
    })?;
    if !file.starts_with(&inside) {
        return Err("it leads out of this folder; put the plan itself into it".to_owned());
    }
    read_plan(&file).map_err(|error| error.to_string())
}

fn plan_in(folder: &Path, path: &str) -> Result<Arc<Plan>, String> {
    let text = plan_text_in(folder, path)?;
    let checked = firedrill_plan::check(&text);
    checked.plan.map(Arc::new).ok_or_else(|| {
        let mut errors = checked
            .diagnostics
            .iter()
            .filter(|it| it.severity == Severity::Error);
        let first = errors.next().map_or_else(String::new, ToString::to_string);
        match errors.count() {
            0 => format!("it has a mistake at {first}"),
            more => format!("it has {} mistakes; the first at {first}", more + 1),
        }
    })
}

/// Appends records to `events.jsonl`; they are on disk when this returns. What is there is never changed: after a
/// torn line the next one begins on a line of its own.
pub fn append(folder: &Path, records: &[Record]) -> Result<(), GameDayError> {
    let mut text = String::new();
    for record in records {
        text.push_str(&line(record).map_err(GameDayError::TooLong)?);
    }
    let path = folder.join(EVENTS);
    append_text(&path, &text).map_err(failed(&path, "written"))
}

fn append_text(path: &Path, text: &str) -> io::Result<()> {
    let new = !path.exists();
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)?;
    let length = file.metadata()?.len();
    let mut whole = String::new();
    if length > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            whole.push('\n');
        }
    }
    whole.push_str(text);
    if length + whole.len() as u64 > MAX_LOG_BYTES as u64 {
        return Err(io::Error::other(format!(
            "it would be longer than {MAX_LOG_BYTES} bytes"
        )));
    }
    // One write: two consoles on one folder do not mix their lines.
    file.write_all(whole.as_bytes())?;
    file.sync_all()?;
    if new && let Some(parent) = path.parent() {
        // The name is on disk too. Folders cannot be opened everywhere.
        if let Ok(parent) = File::open(parent) {
            parent.sync_all().ok();
        }
    }
    Ok(())
}

/// Makes a new folder of `gameday.toml` and plans, each with its path in the folder. Nothing that is there is
/// written over.
pub fn make_gameday(folder: &Path, text: &str, plans: &[(String, String)]) -> Result<(), GameDayError> {
    for inner in ["", PLANS, JOURNALS, REPORTS] {
        let path = folder.join(inner);
        fs::create_dir_all(&path).map_err(failed(&path, "made"))?;
    }
    let files = plans.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    for (name, text) in files.chain([(FILE, text)]) {
        let path = folder.join(name);
        let made = OpenOptions::new().write(true).create_new(true).open(&path);
        let mut file = match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(GameDayError::There(path));
            }
            made => made.map_err(failed(&path, "made"))?,
        };
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(failed(&path, "written"))?;
    }
    Ok(())
}

/// A finished drill of the folder, from its journal.
pub fn review_in(folder: &Path, run: &str) -> Result<Review, String> {
    let name = run
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if !name || run.is_empty() {
        return Err(format!("\"{run}\" is no drill's id"));
    }
    let path = folder.join(JOURNALS).join(format!("{run}.jsonl"));
    let journal = firedrill_journal::read(&path).map_err(|error| error.to_string())?;
    let chain = Chain {
        path: Some(path.clone()),
        sealed: journal.whole(),
        hash: journal.hash.clone(),
    };
    review(&journal.entries, chain)
        .map(with_reveal)
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Who runs a drill writes its journal at least this often.
const QUIET: Duration = Duration::from_secs(30);

/// Whether somebody still writes the journal of a drill.
fn is_written(folder: &Path, run: &str) -> bool {
    let path = folder.join(JOURNALS).join(format!("{run}.jsonl"));
    let written = fs::metadata(path).and_then(|it| it.modified());
    let age = written.ok().and_then(|it| it.elapsed().ok());
    age.is_some_and(|age| age < QUIET)
}

/// Drills that began and whose end was never written down, because the console died: their ends, from their journals.
/// `runs`: those that are still on somewhere.
pub fn missing_ends(folder: &Path, state: &State, runs: &dyn Fn(&str) -> bool) -> Vec<Record> {
    let mut missing = Vec::new();
    for row in &state.rows {
        for run in row.runs.iter().filter(|it| it.found.is_none() && !runs(&it.id)) {
            let found = match review_in(folder, &run.id) {
                // Before its arming a drill has no card: its journal tells that it is alive.
                Ok(review) if review.sealed.is_err() && is_written(folder, &run.id) => continue,
                Ok(review) => found(&review),
                Err(why) => Found {
                    outcome: Outcome::Inconclusive,
                    reasons: vec![format!(
                        "the console ended without a verdict, and of its journal: {why}"
                    )],
                    fault_ms: None,
                    off_ms: None,
                    slis: Vec::new(),
                },
            };
            missing.push(Record {
                at_ms: wall_ms(),
                by: "firedrill".to_owned(),
                event: Event::DrillEnded {
                    drill: row.id.clone(),
                    run: run.id.clone(),
                    found,
                },
            });
        }
    }
    missing
}

/// What a review says for predictions and the report.
pub fn found(review: &Review) -> Found {
    let scene = &review.scene;
    let wall = |us: u64| scene.origin_wall_ms.saturating_add_unsigned(us / 1_000);
    let on_us = scene.injections.iter().filter_map(|it| it.from_us).min();
    let off_us = scene.injections.iter().filter_map(|it| it.until_us).max();
    let until_us = off_us.unwrap_or(scene.now.mono_us);
    let slis = on_us.map_or_else(Vec::new, |on_us| {
        scene
            .slis
            .iter()
            .map(|sli| sli_found(sli, on_us, until_us, wall))
            .collect()
    });
    Found {
        outcome: review.verdict.outcome,
        reasons: review
            .verdict
            .reasons
            .iter()
            .map(|reason| format!("{}: {}", reason.rule, reason.words))
            .collect(),
        fault_ms: on_us.map(wall),
        off_ms: off_us.map(wall),
        slis,
    }
}

fn sli_found(sli: &SliScene, on_us: u64, until_us: u64, wall: impl Fn(u64) -> i64) -> SliFound {
    let mut worst: Option<(f64, f64)> = None;
    let mut out_ms = None;
    for point in sli.series.range(on_us, until_us) {
        let Some(value) = point.value else { continue };
        let deep = depth(value, sli.band);
        if worst.is_none_or(|(known, _)| deep > known) {
            worst = Some((deep, value));
        }
        if out_ms.is_none() && !sli.tolerate.contains(value) {
            out_ms = Some(wall(point.time_us));
        }
    }
    SliFound {
        name: sli.name.clone(),
        unit: sli.unit.clone(),
        band: sli.band,
        out_ms,
        worst: worst.map(|(_, value)| value),
    }
}

/// How far outside its band a value is; below 0: how far inside.
fn depth(value: f64, band: Range) -> f64 {
    let below = band.min.map_or(f64::NEG_INFINITY, |min| min - value);
    let above = band.max.map_or(f64::NEG_INFINITY, |max| value - max);
    below.max(above)
}
