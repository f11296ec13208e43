//! A drill's journal stands for itself: it is sealed, replays to the same verdict, shows every change of a byte,
//! and can be drawn without a display or a driver.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use firedrill_demo::Build;
use firedrill_testing::{Firedrill, PATIENCE, Rig, Times, Trial, programs, test};

/// Drawing without a driver takes a while in a debug build.
const DRAWN_WITHIN: Duration = Duration::from_mins(1);

pub fn tests() -> Vec<Trial> {
    vec![test("a_real_drills_journal", &[], a_real_drills_journal)]
}

fn a_real_drills_journal() -> anyhow::Result<()> {
    let times = Times {
        fault_s: 4,
        ..Times::default()
    };
    let rig = Rig::start(programs!(), Build::Hardened, times)?;
    rig.run(Duration::from_mins(2))?.expect_code(0)?;
    rig.wait_until_normal(Duration::from_secs(5))?;
    let journal = rig.firedrill.journal()?;
    let report = rig.report_json()?;
    ensure!(report["journal"]["sealed"] == true, "{}", report["journal"]);

    let verified = call(&rig.firedrill, "verify", &journal)?.expect_code(0)?;
    let hash = report["journal"]["hash"].as_str().context("no hash")?;
    ensure!(
        verified.out.contains(hash),
        "another hash than the report's {hash}: {}",
        verified.out
    );
    let replayed = call(&rig.firedrill, "replay", &journal)?.expect_code(0)?;
    ensure!(replayed.out.contains("held"), "{}", replayed.out);
    intents_come_first(&journal)?;
    no_secrets(&rig, &journal)?;
    changes_are_found(&rig.firedrill, &journal)?;
    a_torn_tail_is_said(&rig.firedrill, &journal)?;
    moments(&rig.firedrill, &journal)?;
    an_export_is_whole(&rig.firedrill, &journal)?;
    pictures(&rig.firedrill, &journal)
}

/// Three moments, out of order, as Review replays them: each has the lines that `firedrill replay` prints up to then,
/// and no other; and there is a verdict at the end only.
fn moments(firedrill: &Firedrill, journal: &Path) -> anyhow::Result<()> {
    let told = call(firedrill, "replay", journal)?.expect_code(0)?.out;
    let told: Vec<&str> = told.lines().take_while(|line| !line.is_empty()).collect();
    ensure!(told.len() > 8, "a drill has more to tell: {told:?}");
    let mut replay = firedrill_analysis::Replay::new(firedrill_journal::read(journal)?.entries)?;
    let end_us = replay.end_us();
    for us in [end_us / 4 * 3, end_us / 4, end_us] {
        let drill = replay.at(us).drill.context("a moment has a drill")?;
        let shown: Vec<String> = drill
            .log
            .iter()
            .map(|line| {
                let seconds = line.at.mono_us as f64 / 1e6;
                format!("{seconds:>9.3} s  {:<14} {}", line.title, line.words)
            })
            .collect();
        ensure!(
            !shown.is_empty() && told.starts_with(&shown.iter().map(String::as_str).collect::<Vec<_>>()[..]),
            "at {us} of {end_us} the replay shows {shown:?}, and the journal tells {told:?}"
        );
        if let Some(next) = told.get(shown.len()) {
            let seconds: f64 = next.split_whitespace().next().context("a time")?.parse()?;
            ensure!(
                seconds * 1e6 > us as f64 - 1e3,
                "at {us} the line is missing: {next}"
            );
        }
        ensure!(
            drill.verdict.is_some() == (us == end_us),
            "a verdict at {us} of {end_us}"
        );
        ensure!(drill.now.mono_us == us, "{} instead of {us}", drill.now.mono_us);
    }
    Ok(())
}

/// `firedrill report` writes for people, for pasting, for machines, and a picture.
fn an_export_is_whole(firedrill: &Firedrill, journal: &Path) -> anyhow::Result<()> {
    let folder = firedrill.home().join("exported");
    let (from, to) = (journal.to_str(), folder.to_str());
    let (from, to) = (from.context("UTF-8")?, to.context("UTF-8")?);
    firedrill
        .run(&["report", from, "--report", to], DRAWN_WITHIN)?
        .expect_code(0)?;
    for name in ["report.html", "report.md", "report.json", "junit.xml"] {
        ensure!(fs::metadata(folder.join(name))?.len() > 200, "{name} is empty");
    }
    is_picture(&folder.join("report.png"))
}

fn call(firedrill: &Firedrill, command: &str, journal: &Path) -> anyhow::Result<firedrill_testing::Finished> {
    firedrill.run(
        &[command, journal.to_str().context("the path is UTF-8")?],
        PATIENCE,
    )
}

/// No start without its intent before it.
fn intents_come_first(journal: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(journal)?;
    let intent = text
        .find("http.latency")
        .context("the injection is not in the journal")?;
    let active = text.find("\"active\"").context("no word of its being on")?;
    ensure!(intent < active, "on before its intent");
    Ok(())
}

fn no_secrets(rig: &Rig, journal: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(journal)?;
    let abort_token = fs::read_to_string(rig.agent.state.join("abort-token"))?;
    ensure!(
        !text.contains(&rig.agent.token) && !text.contains(abort_token.trim()),
        "a token is in the journal"
    );
    Ok(())
}

/// One byte, anywhere.
fn changes_are_found(firedrill: &Firedrill, journal: &Path) -> anyhow::Result<()> {
    let whole = fs::read(journal)?;
    let copy = firedrill.home().join("changed.journal");
    for place in [whole.len() / 7, whole.len() / 2, whole.len() * 9 / 10] {
        let mut changed = whole.clone();
        changed[place] = if changed[place] == b'7' { b'8' } else { b'7' };
        fs::write(&copy, &changed)?;
        let verified = call(firedrill, "verify", &copy)?;
        ensure!(
            verified.code.is_some_and(|code| code == 1 || code == 2),
            "byte {place} of {} was changed, and verify says: {}",
            whole.len(),
            verified.said()
        );
    }
    Ok(())
}

fn a_torn_tail_is_said(firedrill: &Firedrill, journal: &Path) -> anyhow::Result<()> {
    let whole = fs::read(journal)?;
    let copy = firedrill.home().join("torn.journal");
    fs::write(&copy, &whole[..whole.len() - 40])?;
    let verified = call(firedrill, "verify", &copy)?.expect_code(1)?;
    ensure!(verified.said().contains("torn"), "{}", verified.said());
    // What is left can still be read.
    let replayed = call(firedrill, "replay", &copy)?;
    ensure!(replayed.out.contains("held"), "{}", replayed.said());
    Ok(())
}

fn pictures(firedrill: &Firedrill, journal: &Path) -> anyhow::Result<()> {
    let journal = journal.to_str().context("the path is UTF-8")?;
    let views = [
        ("live", None),
        ("review", None),
        ("replay", Some("4s")),
        ("replay", Some("9s")),
    ];
    let mut drawn = Vec::new();
    for (view, at) in views {
        let out = firedrill
            .home()
            .join(format!("{view}{}.png", at.unwrap_or_default()));
        let file = out.to_str().context("the path is UTF-8")?;
        let mut words = vec![
            "render",
            "--view",
            view,
            "--size",
            "1600x1000",
            "--out",
            file,
            journal,
        ];
        words.extend(at.into_iter().flat_map(|at| ["--at", at]));
        firedrill.run(&words, DRAWN_WITHIN)?.expect_code(0)?;
        is_picture(&out)?;
        drawn.push(fs::read(&out)?);
    }
    ensure!(drawn[2] != drawn[3], "two moments look the same");
    Ok(())
}

fn is_picture(file: &Path) -> anyhow::Result<()> {
    let png = fs::read(file)?;
    let file = file.display();
    ensure!(png.starts_with(b"\x89PNG\r\n\x1a\n"), "{file}: not a PNG");
    let size = [16, 20].map(|at| u32::from_be_bytes([png[at], png[at + 1], png[at + 2], png[at + 3]]));
    ensure!(size == [1600, 1000], "{file}: {size:?}");
    // A blank picture of this size is a few kilobytes.
    ensure!(
        png.len() > 30_000,
        "{file}: {} bytes, nothing is on it",
        png.len()
    );
    Ok(())
}
