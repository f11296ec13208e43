//! The disk's thread of game days: folders are read, records appended, files written, in the order it was asked.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc as std_mpsc},
};

use firedrill_fleet::write_private;
use firedrill_gameday::{FILE, Record, Row, today};
use firedrill_plan::Plan;
use firedrill_scene::{RecentGameDay, Review};
use tokio::sync::mpsc;

use super::{app::Work, save_plan};
use crate::{
    clock::wall_ms,
    gameday::{ReadDay, append, missing_ends, plan_text_in, read_gameday, review_in},
    ledger::open_drills,
};

/// Folders remembered.
pub(crate) const RECENT: usize = 12;

/// What the disk's thread is asked.
pub(crate) enum Job {
    Open(PathBuf),
    Append(PathBuf, Vec<Record>),
    /// Folder, the new text of `gameday.toml`, the text it was made from.
    Save(PathBuf, String, String),
    /// Folder and row: the plan as it is now.
    Plan(PathBuf, Row),
    /// Folder, files with their texts; the first is shown.
    Write(PathBuf, Vec<(&'static str, String)>),
    /// The list of folders is in this file.
    Load(PathBuf),
    /// Look at them anew.
    Refresh,
    /// The list as it is now, for that file.
    Remember(PathBuf, Vec<PathBuf>),
}

/// What the loop is told by it.
pub(crate) enum GameDayWork {
    /// A folder was read, with the ends that its events lack, and the reviews of its drills.
    Read(Box<ReadDay>, Vec<Record>, Vec<Review>),
    /// Records are on disk.
    Appended(PathBuf, Vec<Record>),
    /// The plan of a row, with its text.
    Plan(Row, String, Arc<Plan>),
    /// Files were written; this one is shown.
    Written(PathBuf),
    /// Game days that were opened before.
    Recent(Vec<RecentGameDay>),
    /// The folders of those.
    Remembered(Vec<PathBuf>),
    /// It did not work.
    Failed(String),
}

/// The disk's thread: one job after another, until the engine is gone.
pub(crate) fn serve(jobs: &std_mpsc::Receiver<Job>, work: &mpsc::Sender<Work>, drills: &Path) {
    let mut known: Vec<PathBuf> = Vec::new();
    for job in jobs {
        for told in done(job, drills, &mut known) {
            if work.blocking_send(Work::GameDay(Box::new(told))).is_err() {
                return;
            }
        }
    }
}

fn done(job: Job, drills: &Path, known: &mut Vec<PathBuf>) -> Vec<GameDayWork> {
    let failed = |why: String| vec![GameDayWork::Failed(why)];
    match job {
        Job::Open(folder) => opened(&folder, drills).map_or_else(failed, |told| vec![told]),
        Job::Append(folder, records) => match append(&folder, &records) {
            Ok(()) => vec![GameDayWork::Appended(folder, records)],
            Err(error) => failed(format!("not kept: {error}")),
        },
        Job::Save(folder, text, from) => {
            let saved = save_plan(&folder.join(FILE), &text, Some(&from), false);
            let mut told: Vec<_> = saved
                .err()
                .map(|error| GameDayWork::Failed(error.to_string()))
                .into_iter()
                .collect();
            // Read again also where somebody else changed it: the window shows what is there.
            told.extend(opened(&folder, drills).map_or_else(failed, |read| vec![read]));
            told
        }
        Job::Plan(folder, row) => match plan_text_in(&folder, &row.plan) {
            Ok(text) => match firedrill_plan::check(&text).plan {
                Some(plan) => vec![GameDayWork::Plan(row, text, Arc::new(plan))],
                None => failed(format!(
                    "not begun: {} has mistakes now; open it in Design",
                    row.plan
                )),
            },
            Err(why) => failed(format!("not begun: {}: {why}", row.plan)),
        },
        Job::Write(folder, files) => {
            written(&folder, &files).map_or_else(failed, |path| vec![GameDayWork::Written(path)])
        }
        Job::Load(file) => {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            *known = serde_json::from_str(&text).unwrap_or_default();
            known.truncate(RECENT);
            vec![
                GameDayWork::Remembered(known.clone()),
                GameDayWork::Recent(recent(known)),
            ]
        }
        Job::Refresh => vec![GameDayWork::Recent(recent(known))],
        Job::Remember(file, folders) => {
            let text = serde_json::to_vec_pretty(&folders).unwrap_or_default();
            *known = folders;
            let mut told = vec![GameDayWork::Recent(recent(known))];
            if let Err(why) = write_private(&file, &text) {
                told.push(GameDayWork::Failed(format!(
                    "the list of game days cannot be written: {why}"
                )));
            }
            told
        }
    }
}

/// A folder with its finished drills, and the ends that are missing in its events.
fn opened(folder: &Path, drills: &Path) -> Result<GameDayWork, String> {
    let read = read_gameday(folder).map_err(|error| error.to_string())?;
    let state = read.state().unwrap_or_default();
    let open = open_drills(drills);
    let runs = |run: &str| open.iter().any(|it| it.runs && it.card.drill.as_str() == run);
    let ends = missing_ends(folder, &state, &runs);
    let runs = state.rows.iter().flat_map(|row| &row.runs);
    let reviews = runs.filter_map(|run| review_in(folder, &run.id).ok());
    let reviews = reviews.collect();
    Ok(GameDayWork::Read(Box::new(read), ends, reviews))
}

fn written(folder: &Path, files: &[(&'static str, String)]) -> Result<PathBuf, String> {
    let failed =
        |path: &Path, error: std::io::Error| format!("{} cannot be written: {error}", path.display());
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
    }
    Ok(match files {
        [(name, _)] => folder.join(name),
        _ => folder.to_owned(),
    })
}

/// Overdue findings stand first, then the newest.
fn recent(folders: &[PathBuf]) -> Vec<RecentGameDay> {
    let mut all: Vec<RecentGameDay> = folders.iter().map(|folder| recent_one(folder)).collect();
    all.sort_by_key(|it| (it.overdue.is_empty(), std::cmp::Reverse(it.start_ms)));
    all
}

fn recent_one(folder: &Path) -> RecentGameDay {
    let name = folder
        .file_name()
        .map_or_else(String::new, |it| it.to_string_lossy().into_owned());
    let unreadable = RecentGameDay {
        folder: folder.to_owned(),
        title: name,
        start_ms: None,
        open: 0,
        overdue: Vec::new(),
    };
    let Ok(read) = read_gameday(folder) else {
        return unreadable;
    };
    let (Some(day), Some(state)) = (&read.checked.day, read.state()) else {
        return unreadable;
    };
    let today = today(wall_ms(), &day.start.time_zone());
    let overdue = firedrill_gameday::due_first(&state.findings)
        .into_iter()
        .filter(|it| it.is_overdue(today));
    RecentGameDay {
        title: day.title.clone(),
        start_ms: Some(day.start.wall_ms),
        open: state.findings.iter().filter(|it| it.closed.is_none()).count(),
        overdue: overdue
            .map(|it| {
                (
                    it.finding.symptom.clone(),
                    it.finding.owner.clone(),
                    it.finding.due.clone(),
                )
            })
            .collect(),
        ..unreadable
    }
}
