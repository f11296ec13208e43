//! What can be made of a journal: `replay`, `verify`, `report`, `render`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use firedrill_analysis::{Record, review, scene_at};
use firedrill_catalogue::quantity;
use firedrill_conductor::{note_reveal, wall_ms, with_reveal};
use firedrill_console::{Theme, View};
use firedrill_drill::Entry;
use firedrill_journal::{Journal, handed};
use firedrill_scene::{ReplayMoment, ReplayScene, ReplaySpeed, ReplayStage, Review, Scene};

use crate::picture;

#[derive(Args)]
pub struct RenderArguments {
    /// The drill's journal
    journal: PathBuf,
    /// Which view
    #[arg(long, value_enum, default_value_t = ViewName::Live)]
    view: ViewName,
    /// Width and height in pixels
    #[arg(long, value_parser = size, default_value = "1600x1000")]
    size: [usize; 2],
    /// Dark or light
    #[arg(long, value_enum, default_value_t = ThemeName::Dark)]
    theme: ThemeName,
    /// The moment of the drill that is drawn, such as 12.5s; its end when not given
    #[arg(long, value_parser = quantity::duration_us)]
    at: Option<u64>,
    /// Where to write the PNG file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum ViewName {
    Welcome,
    Design,
    Live,
    Review,
    /// Review's replay, at the moment
    Replay,
    Fleet,
}

#[derive(Clone, Copy, ValueEnum)]
enum ThemeName {
    Dark,
    Light,
}

/// Reads a journal and rebuilds its drill. Of one that is sealed nothing is told.
fn rebuilt(path: &Path) -> anyhow::Result<(Journal, Review)> {
    let journal = firedrill_journal::read(path)?;
    let record = Record {
        path: Some(path.to_owned()),
        sealed: journal.whole(),
        hash: journal.hash.clone(),
    };
    let review = review(&journal.entries, record)
        .with_context(|| format!("{} is not a drill's journal", path.display()))?;
    let review = with_reveal(review);
    anyhow::ensure!(
        !review.scene.seal.is_sealed(),
        "this exercise is not revealed yet; reveal it first: firedrill reveal {}",
        path.display()
    );
    Ok((journal, review))
}

/// `firedrill verify JOURNAL [--audit FILE]…`: 0 only for a whole and sealed chain, whose hash the given audit logs
/// have.
pub fn verify(path: &Path, audits: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let journal = firedrill_journal::read(path)?;
    let records = journal.entries.len();
    let found = journal.whole().and_then(|()| compared(&journal, audits));
    match found {
        Ok(words) => {
            println!(
                "{}: whole and sealed, {records} records, chain {}\n{words}",
                path.display(),
                journal.hash
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(why) => {
            println!("{}: {why} ({records} records stand)", path.display());
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Whether the copies of the journal's hash are where agents keep them: whoever writes a journal anew can seal it
/// anew, but not change those.
fn compared(journal: &Journal, audits: &[PathBuf]) -> Result<String, String> {
    let given = handed(journal);
    if given.is_empty() {
        let words = "no agent was given its hash: none that the drill had opened could be reached at its end";
        return if audits.is_empty() {
            Ok(words.to_owned())
        } else {
            Err(format!("unsealed: {words}"))
        };
    }
    if audits.is_empty() {
        return Ok(format!(
            "not compared with the agents' copies: its hash was given to {} of them; compare with --audit FILE (an agent's audit log)",
            given.len()
        ));
    }
    let mut logs = String::new();
    for audit in audits {
        let text = std::fs::read(audit).map_err(|error| format!("{}: {error}", audit.display()))?;
        logs.push_str(&String::from_utf8_lossy(&text));
    }
    let missing = given.iter().filter(|(_, hash)| !logs.contains(hash)).count();
    if missing == given.len() {
        return Err(
            "unsealed: the audit log does not have the hash that this journal says was given".to_owned(),
        );
    }
    Ok(format!(
        "the audit logs have {} of the {} hashes that agents were given",
        given.len() - missing,
        given.len()
    ))
}

/// `firedrill replay JOURNAL`: the log and the verdict as the engine judges them again; 1 where the verdict in the
/// journal is another one.
pub fn replay(path: &Path) -> anyhow::Result<ExitCode> {
    let (journal, review) = rebuilt(path)?;
    for line in review.scene.log.iter() {
        println!(
            "{:>9.3} s  {:<14} {}",
            line.at.mono_us as f64 / 1e6,
            line.title,
            line.words
        );
    }
    println!("\nverdict: {}", review.verdict.outcome.word());
    for reason in &review.verdict.reasons {
        println!("  {}: {}", reason.rule, reason.words);
    }
    if let Err(why) = &review.sealed {
        println!("the journal is {why}");
    }
    let written = journal
        .entries
        .iter()
        .rev()
        .find_map(|stamped| match &stamped.entry {
            Entry::Verdict { verdict } => Some(verdict),
            _ => None,
        });
    if written.is_some_and(|written| *written != review.verdict) {
        println!("the verdict in the journal is another one: it was written by another release");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// `firedrill report JOURNAL --report DIR`.
pub fn report(path: &Path, folder: &Path) -> anyhow::Result<ExitCode> {
    let (_, review) = rebuilt(path)?;
    let written = firedrill_report::write(&review, folder)?;
    picture::of_review(&Arc::new(review), &folder.join(picture::REPORT))?;
    println!("{}", written.html.display());
    Ok(ExitCode::SUCCESS)
}

/// `firedrill reveal JOURNAL [--report DIR]`: what the drill was may be told from now on.
pub fn reveal(path: &Path, folder: Option<&Path>) -> anyhow::Result<ExitCode> {
    // What is no drill's journal is not revealed, and one that is still written is revealed by its console.
    let journal = firedrill_journal::read(path)?;
    anyhow::ensure!(
        journal.sealed,
        "the drill still runs, or was cut short; reveal it in its window, or end it first: firedrill abort"
    );
    note_reveal(path, &super::who(), wall_ms()).map_err(anyhow::Error::msg)?;
    let (_, review) = rebuilt(path)?;
    println!("{}", super::run::verdict(&review));
    folder.map_or(Ok(ExitCode::SUCCESS), |folder| report(path, folder))
}

/// `firedrill render --view live --out FILE.png JOURNAL`.
pub fn render(arguments: RenderArguments) -> anyhow::Result<ExitCode> {
    let (journal, review) = rebuilt(&arguments.journal)?;
    let mut scene = scene_at(&journal.entries, arguments.at)?;
    if matches!(arguments.view, ViewName::Replay) {
        scene = replayed(scene, &review);
    }
    scene.reviews = Arc::new(vec![Arc::new(review)]);
    let theme = match arguments.theme {
        ThemeName::Dark => Theme::Dark,
        ThemeName::Light => Theme::Light,
    };
    let view = match arguments.view {
        ViewName::Welcome => View::Welcome,
        ViewName::Design => View::Design,
        ViewName::Live => View::Live,
        ViewName::Review | ViewName::Replay => View::Review,
        ViewName::Fleet => View::Fleet,
    };
    picture::draw(&scene, view, theme, arguments.size, &arguments.out)?;
    println!("{}", arguments.out.display());
    Ok(ExitCode::SUCCESS)
}

/// A window that replays the drill, and stands at the moment of `then`.
fn replayed(then: Scene, review: &Review) -> Scene {
    let moment = ReplayMoment {
        at_us: then.drill.as_ref().map_or(0, |drill| drill.now.mono_us),
        end_us: review.scene.now.mono_us,
        playing: false,
        speed: ReplaySpeed::default(),
        bookmarks: Arc::default(),
        scene: Arc::new(then),
    };
    Scene {
        wall_ms: review.scene.now.wall_ms,
        drill: Some(Arc::clone(&review.scene)),
        ours: review.scene.ours(),
        replay: Some(Arc::new(ReplayScene {
            drill: review.drill.clone(),
            stage: ReplayStage::Open(moment),
        })),
        ..Scene::default()
    }
}

fn size(text: &str) -> Result<[usize; 2], String> {
    let parsed = text
        .split_once('x')
        .and_then(|(w, h)| Some([w.parse().ok()?, h.parse().ok()?]));
    parsed
        .filter(|size: &[usize; 2]| size.iter().all(|pixels| (320..=8_000).contains(pixels)))
        .ok_or_else(|| "expected WIDTHxHEIGHT, each from 320 to 8000, such as 1600x1000".to_owned())
}
