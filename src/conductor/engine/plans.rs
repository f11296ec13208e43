//! Plans: open, save, the list of recent ones; journals and reports by dialog.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use firedrill_analysis::{Record, review};
use firedrill_fleet::{Credentials, write_private};
use firedrill_scene::{Level, PlanScene, Review};

use super::{
    Choose, PlanFileError,
    app::{App, OpenPlan, Work},
    is_newer, read_plan, save_plan,
};

use crate::reveal::with_reveal;

/// Plans remembered.
const RECENT: usize = 10;
/// Finished drills kept in the window.
const REVIEWS: usize = 30;
/// Journals read when the console starts, and how large they may be.
const PAST: usize = 10;
const PAST_BYTES: u64 = 16 * 1024 * 1024;

impl App {
    pub(crate) fn open_dialog(&self) {
        let choosing = self.options.desktop.choose(Choose::OpenPlan, None);
        self.spawn(async move {
            let path = choosing.await?;
            Some(Work::Ask(firedrill_scene::Ask::OpenPlan(path)))
        });
    }

    pub(crate) fn open(&self, path: PathBuf) {
        self.spawn(async move {
            let read = tokio::task::spawn_blocking(move || {
                let text = read_plan(&path).map_err(|error| error.to_string());
                (path, text)
            });
            let (path, text) = read.await.ok()?;
            Some(Work::PlanRead(path, text))
        });
    }

    pub(crate) fn plan_read(&mut self, path: PathBuf, text: Result<String, String>) {
        match text {
            Ok(text) => {
                self.remember(&path);
                self.show_plan(Some(path), text, None);
            }
            Err(why) => self.publisher.say(Level::Error, why),
        }
    }

    /// The plan that is open from now on.
    pub(crate) fn show_plan(&mut self, path: Option<PathBuf>, text: String, tokens: Option<Credentials>) {
        self.plan = OpenPlan {
            plan: firedrill_plan::check(&text).plan.map(Arc::new),
            revision: self.plan.revision + 1,
            path,
            text,
            tokens,
        };
        self.publish_plan(false);
        if self.running.is_none() {
            self.line.handle().dismiss();
        }
        self.new_fleet();
        self.refresh();
    }

    fn publish_plan(&self, newer_on_disk: bool) {
        let plan = PlanScene {
            path: self.plan.path.clone(),
            revision: self.plan.revision,
            text: self.plan.text.clone(),
            newer_on_disk,
        };
        self.publisher.update(|scene| scene.plan = Some(Arc::new(plan)));
    }

    pub(crate) fn save(&self, text: String, choose: bool, over_newer: bool) {
        match &self.plan.path {
            Some(path) if !choose => self.save_to(path.clone(), text, over_newer, false),
            path => {
                let name = path.as_ref().and_then(|path| path.file_name());
                let name =
                    name.map_or_else(|| "plan.toml".to_owned(), |it| it.to_string_lossy().into_owned());
                let choosing = self.options.desktop.choose(Choose::SavePlan, Some(name));
                self.spawn(async move {
                    let path = choosing.await?;
                    Some(Work::SaveAs(path, text))
                });
            }
        }
    }

    /// `chosen`: the dialog has asked already whether to replace what is there.
    pub(crate) fn save_to(&self, path: PathBuf, text: String, over_newer: bool, chosen: bool) {
        let known = (!chosen).then(|| self.plan.text.clone());
        self.spawn(async move {
            let saved = tokio::task::spawn_blocking(move || {
                let result = save_plan(&path, &text, known.as_deref(), over_newer);
                let newer = matches!(result, Err(PlanFileError::Newer(_)));
                (path, text, result.map_err(|error| error.to_string()), newer)
            });
            let (path, text, result, newer) = saved.await.ok()?;
            Some(Work::PlanSaved(path, text, result, newer))
        });
    }

    pub(crate) fn plan_saved(
        &mut self,
        path: PathBuf,
        text: String,
        result: Result<(), String>,
        newer: bool,
    ) {
        match result {
            Ok(()) => {
                self.remember(&path);
                self.publisher
                    .say(Level::Info, format!("saved {}", path.display()));
                // The demo's plan is still the demo's under a name of its own.
                let tokens = self.plan.tokens.clone();
                self.show_plan(Some(path), text, tokens);
            }
            Err(why) => {
                if newer {
                    self.publish_plan(true);
                }
                self.publisher.say(Level::Error, why);
            }
        }
    }

    fn recent_file(&self) -> PathBuf {
        self.options.data_dir.join("recent.json")
    }

    pub(crate) fn read_recent(&self) {
        let text = std::fs::read_to_string(self.recent_file()).unwrap_or_default();
        let mut recent: Vec<PathBuf> = serde_json::from_str(&text).unwrap_or_default();
        recent.truncate(RECENT);
        self.publisher.update(|scene| scene.recent = Arc::new(recent));
    }

    fn remember(&self, path: &Path) {
        self.publisher.update(|scene| {
            let recent = Arc::make_mut(&mut scene.recent);
            recent.retain(|known| known != path);
            recent.insert(0, path.to_owned());
            recent.truncate(RECENT);
        });
        let recent = Arc::clone(&self.publisher.scene().recent);
        let file = self.recent_file();
        self.spawn(async move {
            let written = tokio::task::spawn_blocking(move || {
                let text = serde_json::to_vec_pretty(&*recent).unwrap_or_default();
                write_private(&file, &text)
            });
            let why = written.await.ok()?.err()?;
            let words = format!("the list of recent plans cannot be written: {why}");
            Some(Work::Say(Level::Warning, words))
        });
    }

    /// The newest drills of this account, read beside.
    pub(crate) fn read_journals(&self) {
        // Listed now: the journal of a drill that begins from here on is not a finished one.
        let journals = newest_journals(&self.options.journals());
        let work = self.work.clone();
        let reading = move || {
            for path in journals {
                // One that cannot be read is left to `firedrill verify`.
                let Ok(review) = read_review(path) else { continue };
                let work = work.blocking_send(Work::Reviewed(Box::new(Ok(review))));
                if work.is_err() {
                    return;
                }
            }
        };
        tokio::spawn(async move {
            // The window comes first.
            tokio::time::sleep(Duration::from_secs(1)).await;
            tokio::task::spawn_blocking(reading);
        });
    }

    pub(crate) fn open_journal_dialog(&self) {
        let choosing = self.options.desktop.choose(Choose::OpenJournal, None);
        self.spawn(async move {
            let path = choosing.await?;
            let read = tokio::task::spawn_blocking(move || read_review(path))
                .await
                .ok()?;
            Some(Work::Reviewed(Box::new(read)))
        });
    }

    pub(crate) fn add_review(&self, review: Arc<Review>) {
        self.publisher.update(|scene| {
            let reviews = Arc::make_mut(&mut scene.reviews);
            reviews.retain(|known| known.drill != review.drill);
            reviews.insert(0, review);
            // Their ids begin with their time.
            reviews.sort_by(|a, b| b.drill.cmp(&a.drill));
            reviews.truncate(REVIEWS);
        });
    }

    pub(crate) fn export(&self, drill: &str) {
        let reviews = Arc::clone(&self.publisher.scene().reviews);
        let Some(review) = reviews.iter().find(|review| review.drill == drill).cloned() else {
            self.publisher
                .say(Level::Error, format!("there is no finished drill {drill}"));
            return;
        };
        if review.scene.seal.is_sealed() {
            let words = "not exported: this exercise is not revealed yet; reveal it first";
            self.publisher.say(Level::Warning, words);
            return;
        }
        let choosing = self.options.desktop.choose(Choose::ReportFolder, None);
        let desktop = Arc::clone(&self.options.desktop);
        self.spawn(async move {
            let folder = choosing.await?.join(format!("firedrill-{}", review.drill));
            let written = tokio::task::spawn_blocking(move || {
                let written = firedrill_report::write(&review, &folder).map_err(|error| error.to_string())?;
                desktop.picture(&review, &folder)?;
                // Only a kindness.
                desktop.show(&written.html).ok();
                Ok::<_, String>(folder)
            });
            Some(match written.await.ok()? {
                Ok(folder) => Work::Say(
                    Level::Info,
                    format!("HTML, Markdown, JSON, JUnit and PNG are in {}", folder.display()),
                ),
                Err(why) => Work::Say(Level::Error, why),
            })
        });
    }

    pub(crate) fn show_path(&self, path: PathBuf) {
        let desktop = Arc::clone(&self.options.desktop);
        self.spawn(async move {
            let shown = tokio::task::spawn_blocking(move || {
                let result = desktop.show(&path);
                result.map_err(|error| format!("{} cannot be shown: {error}", path.display()))
            });
            let why = shown.await.ok()?.err()?;
            Some(Work::Say(Level::Error, why))
        });
    }

    /// Whether the file on disk has another text than what was read.
    pub(crate) fn plan_is_newer(&self) -> bool {
        let path = self.plan.path.as_ref();
        path.is_some_and(|path| is_newer(path, &self.plan.text))
    }

    /// Looks whether the file on disk has become newer, and says so once.
    pub(crate) fn check_plan_on_disk(&self) {
        let shown = self
            .publisher
            .scene()
            .plan
            .as_ref()
            .is_some_and(|it| it.newer_on_disk);
        if !shown && self.plan_is_newer() {
            self.publish_plan(true);
        }
    }
}

fn newest_journals(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).into_iter().flatten();
    let mut journals: Vec<PathBuf> = files
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|it| it == "jsonl"))
        .filter(|path| std::fs::metadata(path).is_ok_and(|it| it.len() <= PAST_BYTES))
        .collect();
    // Their names begin with their time.
    journals.sort();
    journals.split_off(journals.len().saturating_sub(PAST))
}

/// A finished drill from its journal.
fn read_review(path: PathBuf) -> Result<Review, String> {
    let journal = firedrill_journal::read(&path).map_err(|error| error.to_string())?;
    let record = Record {
        path: Some(path.clone()),
        sealed: journal.whole(),
        hash: journal.hash.clone(),
    };
    review(&journal.entries, record)
        .map(with_reveal)
        .map_err(|error| format!("{}: {error}", path.display()))
}
