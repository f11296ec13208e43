//! The folder of drills: for each an abort card, a lock while its console lives, and a note of how it ended.
//!
//! It answers three questions at the start of a console: which drills of this account were never ended, whose
//! console still lives, and what the drills of the last 24 hours have spent of the budgets.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use firedrill_drill::{Drill, Spent, Stamped, replay};
use firedrill_fleet::write_private;
use serde::{Deserialize, Serialize};

use crate::abort::AbortCard;

const DAY_MS: i64 = 24 * 3_600_000;
/// What is over for longer is forgotten.
const KEPT_MS: i64 = 7 * DAY_MS;
/// Cards that are looked at; the newest count.
const CARDS: usize = 500;
/// Journals of drills that were cut short are only replayed for their harm up to this size, in bytes.
const JOURNAL_BYTES: u64 = 256 << 20;

/// How a drill ended, as the folder keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Ended {
    wall_ms: i64,
    system: String,
    outcome: String,
    /// Injections that nobody has read back.
    unconfirmed: usize,
    harm_ms: u64,
    /// The SLI of the error budget, and what was spent of it.
    sli: Option<String>,
    error_ms: f64,
}

/// A drill of this account that was armed and never ended.
#[derive(Clone, Debug)]
pub struct OpenDrill {
    /// Its card's file.
    pub path: PathBuf,
    /// Its card.
    pub card: AbortCard,
    /// Its console lives: it is not abandoned.
    pub runs: bool,
}

/// Where a drill's card is.
pub fn card_path(drills: &Path, drill: &str) -> PathBuf {
    drills.join(format!("{drill}.json"))
}

fn lock_path(card: &Path) -> PathBuf {
    card.with_extension("lock")
}

fn ended_path(card: &Path) -> PathBuf {
    card.with_extension("ended")
}

/// Says that a drill's console lives, for as long as it does: the system lets go of it when the process ends.
#[derive(Debug)]
pub(crate) struct Alive(File);

impl Alive {
    pub(crate) fn hold(card: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let file = options.open(lock_path(card))?;
        file.try_lock().map_err(io::Error::from)?;
        Ok(Self(file))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        // Closing the file lets go as well.
        self.0.unlock().ok();
    }
}

fn is_alive(card: &Path) -> bool {
    let Ok(file) = File::open(lock_path(card)) else {
        return false;
    };
    match file.try_lock_shared() {
        Ok(()) => false,
        Err(fs::TryLockError::WouldBlock) => true,
        Err(fs::TryLockError::Error(error)) => {
            tracing::warn!(
                "whether the console of {} lives is not known: {error}",
                card.display()
            );
            false
        }
    }
}

/// Notes how a drill ended. Only a drill that was armed has a card, and so a note.
pub(crate) fn note_end(card: &Path, drill: &Drill, wall_ms: i64) -> io::Result<()> {
    if !card.exists() {
        return Ok(());
    }
    let Some(verdict) = drill.verdict() else {
        return Ok(());
    };
    let budget = drill.plan().guardrails.error_budget.as_ref();
    let sli = budget.and_then(|it| drill.plan().slis.get(it.sli));
    let ended = Ended {
        wall_ms,
        system: drill.plan().system.clone(),
        outcome: verdict.outcome.word().to_owned(),
        unconfirmed: verdict.unconfirmed.len(),
        harm_ms: drill.harm_ms(),
        sli: sli.map(|it| it.name.clone()),
        error_ms: drill.error_ms(),
    };
    write_private(
        &ended_path(card),
        &serde_json::to_vec(&ended).map_err(io::Error::other)?,
    )
}

/// Somebody aborted it from outside, and every agent is proved clean: it is no longer open.
pub fn note_aborted(path: &Path, card: &AbortCard) -> io::Result<()> {
    if ended(path).is_some_and(|it| it.unconfirmed == 0) {
        return Ok(());
    }
    let drill = journal_of(card).and_then(|entries| replay(&entries, |_, _, _| {}).ok());
    let (system, harm_ms, error_ms) = drill.as_ref().map_or((String::new(), 0, 0.0), |drill| {
        (drill.plan().system.clone(), drill.harm_ms(), drill.error_ms())
    });
    let budget = drill
        .as_ref()
        .and_then(|it| Some((it, it.plan().guardrails.error_budget.as_ref()?)));
    let sli = budget.and_then(|(drill, budget)| Some(drill.plan().slis.get(budget.sli)?.name.clone()));
    let ended = Ended {
        wall_ms: card.wall_ms,
        system,
        outcome: "aborted".to_owned(),
        unconfirmed: 0,
        harm_ms,
        sli,
        error_ms,
    };
    write_private(
        &ended_path(path),
        &serde_json::to_vec(&ended).map_err(io::Error::other)?,
    )
}

fn ended(card: &Path) -> Option<Ended> {
    serde_json::from_slice(&fs::read(ended_path(card)).ok()?).ok()
}

/// The entries of a card's journal, as far as they are whole.
fn journal_of(card: &AbortCard) -> Option<Vec<Stamped>> {
    let path = card.journal.as_ref()?;
    let small = fs::metadata(path).is_ok_and(|it| it.len() <= JOURNAL_BYTES);
    let journal = firedrill_journal::read(path).ok().filter(|_| small)?;
    Some(journal.entries)
}

/// Every card, the newest first: names begin with their time.
pub fn cards(drills: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(drills).into_iter().flatten().flatten();
    let mut cards: Vec<PathBuf> = files
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|it| it == "json"))
        .collect();
    cards.sort();
    cards.reverse();
    cards.truncate(CARDS);
    cards
}

/// Drills that were armed and never ended, the newest first.
pub fn open_drills(drills: &Path) -> Vec<OpenDrill> {
    let open = |path: PathBuf| {
        if ended(&path).is_some_and(|it| it.unconfirmed == 0) {
            return None;
        }
        let card = match AbortCard::read(&path) {
            Ok(card) => card,
            Err(error) => {
                tracing::warn!("{error}");
                return None;
            }
        };
        let runs = is_alive(&path);
        Some(OpenDrill { path, card, runs })
    };
    cards(drills).into_iter().filter_map(open).collect()
}

/// What the drills of the last 24 hours on this system spent; of the error budget, those on the same SLI.
pub(crate) fn spent(drills: &Path, system: &str, sli: Option<&str>, now_ms: i64) -> Result<Spent, String> {
    if let Err(error) = fs::read_dir(drills)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(format!("{}: {error}", drills.display()));
    }
    let mut spent = Spent::default();
    let mut add = |it_system: &str, it_sli: Option<&str>, harm_ms: u64, error_ms: f64| {
        if it_system == system {
            spent.harm_ms = spent.harm_ms.saturating_add(harm_ms);
            if it_sli == sli {
                spent.error_ms += error_ms;
            }
        }
    };
    for path in cards(drills) {
        if let Some(ended) = ended(&path) {
            if now_ms.saturating_sub(ended.wall_ms) < DAY_MS {
                add(&ended.system, ended.sli.as_deref(), ended.harm_ms, ended.error_ms);
            }
            continue;
        }
        // Cut short: its journal tells.
        let card = AbortCard::read(&path).map_err(|error| error.to_string())?;
        if now_ms.saturating_sub(card.wall_ms) >= DAY_MS {
            continue;
        }
        let drill = journal_of(&card).and_then(|entries| replay(&entries, |_, _, _| {}).ok());
        if let Some(drill) = drill {
            let budget = drill.plan().guardrails.error_budget.as_ref();
            let of = budget.and_then(|it| drill.plan().slis.get(it.sli));
            let of = of.map(|it| it.name.as_str());
            add(&drill.plan().system, of, drill.harm_ms(), drill.error_ms());
        }
    }
    Ok(spent)
}

/// Forgets what ended long ago. What is open is kept.
pub(crate) fn prune(drills: &Path, now_ms: i64) {
    for path in cards(drills) {
        let old =
            ended(&path).is_some_and(|it| it.unconfirmed == 0 && now_ms.saturating_sub(it.wall_ms) > KEPT_MS);
        if old {
            // What cannot be removed is only left lying.
            for file in [lock_path(&path), ended_path(&path), path] {
                fs::remove_file(file).ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended_at(wall_ms: i64, system: &str, harm_ms: u64) -> Ended {
        Ended {
            wall_ms,
            system: system.to_owned(),
            outcome: "held".to_owned(),
            unconfirmed: 0,
            harm_ms,
            sli: Some("Success".to_owned()),
            error_ms: 10.0,
        }
    }

    fn card(drills: &Path, name: &str, ended: Option<&Ended>) -> PathBuf {
        let path = card_path(drills, name);
        AbortCard::new(name.into(), "slow", 5, &[]).write(&path).unwrap();
        if let Some(ended) = ended {
            fs::write(ended_path(&path), serde_json::to_vec(ended).unwrap()).unwrap();
        }
        path
    }

    #[test]
    fn each_drill_has_its_card_and_only_what_never_ended_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let drills = folder.path();
        card(drills, "1", Some(&ended_at(1, "shop", 1)));
        let unconfirmed = Ended {
            unconfirmed: 2,
            ..ended_at(1, "shop", 1)
        };
        card(drills, "2", Some(&unconfirmed));
        let path = card(drills, "3", None);
        let alive = Alive::hold(&path).unwrap();
        let open = open_drills(drills);
        let told: Vec<_> = open
            .iter()
            .map(|it| (it.card.drill.to_string(), it.runs))
            .collect();
        assert_eq!(told, [("3".to_owned(), true), ("2".to_owned(), false)]);
        drop(alive);
        assert!(!open_drills(drills)[0].runs, "its console is gone");
        note_aborted(&path, &open[0].card).unwrap();
        assert_eq!(open_drills(drills).len(), 1);
    }

    #[test]
    fn a_day_of_one_system_is_added_up_and_a_week_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let drills = folder.path();
        let now = 30 * DAY_MS;
        card(drills, "1", Some(&ended_at(now - 1_000, "shop", 700)));
        card(drills, "2", Some(&ended_at(now - DAY_MS + 1_000, "shop", 70)));
        card(drills, "3", Some(&ended_at(now - DAY_MS - 1_000, "shop", 7_000)));
        card(drills, "4", Some(&ended_at(now, "bank", 7_000)));
        let old = card(drills, "5", Some(&ended_at(now - 8 * DAY_MS, "shop", 1)));
        let found = spent(drills, "shop", Some("Success"), now).unwrap();
        assert_eq!(found.harm_ms, 770);
        assert!((found.error_ms - 20.0).abs() < 1e-9);
        assert!(spent(drills, "shop", Some("P95"), now).unwrap().error_ms < 1e-9);
        prune(drills, now);
        assert!(!old.exists() && cards(drills).len() == 4);
        assert_eq!(
            spent(&drills.join("none"), "shop", None, now),
            Ok(Spent::default())
        );
    }
}
