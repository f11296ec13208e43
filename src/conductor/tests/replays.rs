//! Finished drills in the engine: replayed at any moment, marked, exported. No agent is needed, and none is asked.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what panics in a helper of these tests fails the test"
)]

/// The drill's own world in virtual time: agents, a source, an abort line, a journal.
#[expect(dead_code, reason = "the drill's tests use all of it")]
#[path = "../../drill/tests/drill/world/mod.rs"]
mod world;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use firedrill_analysis::scene_at;
use firedrill_conductor::engine::{Choose, Desktop, EngineHandle, Options, start};
use firedrill_drill::{Arming, Phase, Stamped};
use firedrill_fleet::BoxFuture;
use firedrill_journal::Encoder;
use firedrill_scene::{Ask, Bookmark, ReplayAsk, ReplayMoment, ReplaySpeed, ReplayStage, Review, Scene};
use world::{PLAN, World};

const PATIENCE: Duration = Duration::from_mins(1);

/// Chooses a folder and draws a word.
struct Folder(PathBuf);

impl Desktop for Folder {
    fn choose(&self, what: Choose, _: Option<String>) -> BoxFuture<'static, Option<PathBuf>> {
        assert_eq!(what, Choose::ReportFolder);
        let folder = self.0.clone();
        Box::pin(async move { Some(folder) })
    }

    fn show(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn picture(&self, review: &Arc<Review>, folder: &Path) -> Result<(), String> {
        let file = folder.join("report.png");
        fs::write(file, &review.drill).map_err(|error| error.to_string())
    }

    fn leave(&self) {}
}

fn engine(folder: &Path) -> EngineHandle {
    start(Options {
        config_dir: folder.join("config"),
        data_dir: folder.join("data"),
        program: PathBuf::from("/bin/false"),
        waker: Arc::new(|| {}),
        desktop: Arc::new(Folder(folder.to_owned())),
        console: "test".to_owned(),
        who: "Ada".to_owned(),
        version: "0.1.0".to_owned(),
    })
    .unwrap()
}

/// A drill to its verdict in virtual time, its journal where an engine finds it.
fn drilled(folder: &Path) -> Vec<Stamped> {
    let mut world = World::new(PLAN, Arming::AtOnce);
    world.run_to(Phase::Verdict);
    let mut encoder = Encoder::new();
    let mut text = String::new();
    for entry in &world.journal {
        text += &encoder.encode(entry).unwrap();
    }
    text += &encoder.seal(world.at()).unwrap();
    let journals = folder.join("data/journals");
    fs::create_dir_all(&journals).unwrap();
    let path = journals.join("d.jsonl");
    fs::write(&path, text).unwrap();
    firedrill_journal::read(&path).unwrap().entries
}

fn wait_for(engine: &EngineHandle, what: &str, is: impl Fn(&Scene) -> bool) -> Arc<Scene> {
    let begun = Instant::now();
    loop {
        let scene = engine.scene();
        if is(&scene) {
            return scene;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "{what}: {:?} {:?}",
            scene.messages,
            scene.replay
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn moment(scene: &Scene) -> Option<&ReplayMoment> {
    match &scene.replay.as_ref()?.stage {
        ReplayStage::Open(moment) => Some(moment),
        _ => None,
    }
}

fn ask(engine: &EngineHandle, ask: ReplayAsk) {
    engine.ask(Ask::Replay(ask));
}

/// An engine that replays the drill of its journal.
fn replaying(folder: &Path) -> EngineHandle {
    let engine = engine(folder);
    wait_for(&engine, "read", |scene| !scene.reviews.is_empty());
    ask(&engine, ReplayAsk::Open("d".to_owned()));
    wait_for(&engine, "open", |scene| moment(scene).is_some());
    engine
}

#[test]
fn every_moment_is_the_one_that_the_journal_tells() {
    let folder = tempfile::tempdir().unwrap();
    let entries = drilled(folder.path());
    let engine = replaying(folder.path());
    let end_us = entries.last().unwrap().at.mono_us;
    for us in [0, 9_500_000, end_us, 3_000_000, 12_345_678, end_us + 9] {
        ask(&engine, ReplayAsk::Seek(us));
        let at_us = us.min(end_us);
        let scene = wait_for(&engine, "there", |scene| {
            moment(scene).is_some_and(|it| it.at_us == at_us)
        });
        let shown = moment(&scene).unwrap();
        assert_eq!(shown.end_us, end_us);
        let told = scene_at(&entries, Some(at_us)).unwrap();
        assert_eq!(format!("{:?}", shown.scene), format!("{told:?}"), "at {us}");
    }
    // What is shown of then is not what is on now.
    assert!(engine.scene().drill.is_none());
    ask(&engine, ReplayAsk::Close);
    wait_for(&engine, "closed", |scene| scene.replay.is_none());
    engine.shutdown();
}

#[test]
fn it_plays_to_the_end_and_from_there_from_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    drilled(folder.path());
    let engine = replaying(folder.path());
    ask(&engine, ReplayAsk::Speed(ReplaySpeed::Thirty));
    ask(&engine, ReplayAsk::Play(true));
    wait_for(&engine, "on its way", |scene| {
        moment(scene).is_some_and(|it| it.playing && it.at_us > 0 && it.at_us < it.end_us)
    });
    wait_for(&engine, "at the end", |scene| {
        moment(scene).is_some_and(|it| !it.playing && it.at_us == it.end_us)
    });
    ask(&engine, ReplayAsk::Play(true));
    wait_for(&engine, "again", |scene| {
        moment(scene).is_some_and(|it| it.playing && it.at_us < it.end_us / 2)
    });
    ask(&engine, ReplayAsk::Play(false));
    wait_for(&engine, "still", |scene| {
        moment(scene).is_some_and(|it| !it.playing)
    });
    engine.shutdown();
}

#[test]
fn bookmarks_outlive_the_console_and_leave_the_journal_alone() {
    let folder = tempfile::tempdir().unwrap();
    drilled(folder.path());
    let journal = folder.path().join("data/journals/d.jsonl");
    let sealed = fs::read(&journal).unwrap();
    let first = replaying(folder.path());
    let mark = Bookmark {
        at_us: 9_000_000,
        words: "it begins".to_owned(),
    };
    ask(&first, ReplayAsk::Mark(mark.clone()));
    let there = |scene: &Scene| moment(scene).is_some_and(|it| *it.bookmarks == [mark.clone()]);
    wait_for(&first, "marked", there);
    first.shutdown();
    let second = replaying(folder.path());
    wait_for(&second, "kept", there);
    ask(&second, ReplayAsk::Unmark(9_000_000));
    wait_for(&second, "removed", |scene| {
        moment(scene).is_some_and(|it| it.bookmarks.is_empty())
    });
    second.shutdown();
    assert_eq!(fs::read(&journal).unwrap(), sealed);
}

#[test]
fn a_journal_that_is_gone_fails_with_words() {
    let folder = tempfile::tempdir().unwrap();
    drilled(folder.path());
    let engine = engine(folder.path());
    wait_for(&engine, "read", |scene| !scene.reviews.is_empty());
    fs::remove_file(folder.path().join("data/journals/d.jsonl")).unwrap();
    ask(&engine, ReplayAsk::Open("d".to_owned()));
    wait_for(&engine, "failed", |scene| {
        let stage = scene.replay.as_ref().map(|it| &it.stage);
        matches!(stage, Some(ReplayStage::Failed(why)) if why.contains("d.jsonl"))
    });
    ask(&engine, ReplayAsk::Open("no such drill".to_owned()));
    wait_for(&engine, "said", |scene| {
        scene
            .messages
            .iter()
            .any(|it| it.words.contains("no finished drill"))
    });
    engine.shutdown();
}

#[test]
fn an_export_is_all_of_it_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    drilled(folder.path());
    let engine = engine(folder.path());
    wait_for(&engine, "read", |scene| !scene.reviews.is_empty());
    engine.ask(Ask::ExportReport("d".to_owned()));
    let written = folder.path().join("firedrill-d");
    let scene = wait_for(&engine, "written", |scene| !scene.messages.is_empty());
    let words = &scene.messages[0].words;
    assert!(words.contains(written.to_str().unwrap()), "{words}");
    for name in [
        "report.html",
        "report.md",
        "report.json",
        "junit.xml",
        "report.png",
    ] {
        assert!(fs::metadata(written.join(name)).unwrap().len() > 0, "{name}");
    }
    engine.shutdown();
}
