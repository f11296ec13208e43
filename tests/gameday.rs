//! A game day as a folder, with the real program: made from a plan, checked offline and live, invited to without
//! spoilers, its findings carried over, its report; and what a folder must not do.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use firedrill_demo::Build;
use firedrill_testing::{Finished, Rig, Times, Trial, programs, test};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_mins(2);
/// 2026-12-03 09:00 UTC.
const START_MS: i64 = 1_796_288_400_000;

pub fn tests() -> Vec<Trial> {
    vec![
        test("made_checked_and_invited_to", &[], made_checked_and_invited_to),
        test("every_mistake_at_once", &[], every_mistake_at_once),
        test(
            "preflighted_live_with_noop_only",
            &[],
            preflighted_live_with_noop_only,
        ),
        test(
            "what_happened_makes_the_report",
            &[],
            what_happened_makes_the_report,
        ),
    ]
}

struct Day {
    rig: Rig,
    folder: PathBuf,
}

impl Day {
    /// A game day made from the demo's plan.
    fn new() -> anyhow::Result<Self> {
        let rig = Rig::start(programs!(), Build::Hardened, Times::default())?;
        let folder = rig.firedrill.home().join("quarter-4");
        let day = Self { rig, folder };
        let plan = day.rig.plan_arg()?;
        let start = "2026-12-03 10:00 Europe/Berlin";
        let made = day
            .gameday("new", &["--plan", plan, "--start", start, "--title", "Quarter 4"])?
            .expect_code(0)?;
        ensure!(made.out.contains("a game day of 1 drill"), "{}", made.said());
        Ok(day)
    }

    /// `firedrill gameday COMMAND FOLDER …`.
    fn gameday(&self, command: &str, more: &[&str]) -> anyhow::Result<Finished> {
        let folder = self.folder.to_str().context("the path is UTF-8")?;
        let words: Vec<&str> = ["gameday", command, folder]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        self.rig.firedrill.run(&words, LIMIT)
    }

    fn file(&self, name: &str) -> anyhow::Result<String> {
        let path = self.folder.join(name);
        fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))
    }

    fn edit(&self, old: &str, new: &str) -> anyhow::Result<()> {
        let text = self.file("gameday.toml")?;
        ensure!(text.contains(old), "gameday.toml does not say {old}: {text}");
        Ok(fs::write(
            self.folder.join("gameday.toml"),
            text.replace(old, new),
        )?)
    }

    /// Appends to `events.jsonl` as it is, torn or not.
    fn append(&self, text: &str) -> anyhow::Result<()> {
        let path = self.folder.join("events.jsonl");
        let before = fs::read_to_string(&path).unwrap_or_default();
        Ok(fs::write(path, before + text)?)
    }
}

fn record(minute: i64, by: &str, event: &Value) -> String {
    let mut record = json!({ "at_ms": START_MS + minute * 60_000, "by": by });
    if let (Some(record), Some(event)) = (record.as_object_mut(), event.as_object()) {
        record.extend(event.clone());
    }
    format!("{record}\n")
}

fn made_checked_and_invited_to() -> anyhow::Result<()> {
    let day = Day::new()?;
    // 15 s of preflight, 3 s of baseline, 20 s of fault, 30 s of recovery, 5 min between.
    let checked = day.gameday("check", &[])?.expect_code(0)?;
    for expected in [
        "Quarter 4: Thu 3 Dec 2026, 10:00 Europe/Berlin",
        "10:00–10:10  Payment is slow",
        "box 10 min, needs 6 min 8 s to 6 min 20 s: fits",
        "preflight 15 s, baseline 3 s, steps 20 s, recovery 30 s, between 5 min",
        "before the start: not ticked: The segment is isolated",
        "before the start: tests has not said go",
    ] {
        ensure!(checked.out.contains(expected), "{expected}\n{}", checked.said());
    }
    ensure!(checked.err.is_empty(), "{}", checked.err);

    day.gameday("invite", &[])?.expect_code(0)?;
    let (everybody, calendar) = (
        day.file("reports/invitation.md")?,
        day.file("reports/invitation.ics")?,
    );
    let unfolded = calendar.replace("\r\n ", "");
    for text in [&everybody, &unfolded] {
        ensure!(text.contains("10:00 to 10:10: drill 1"), "{text}");
        for spoiler in ["Payment", "plan.toml", "latency", "slow"] {
            ensure!(!text.contains(spoiler), "{spoiler}: {text}");
        }
    }
    ensure!(
        unfolded.contains("\r\nDTSTART:20261203T090000Z\r\n"),
        "{unfolded}"
    );
    ensure!(
        day.file("reports/crew.md")?.contains("Payment is slow"),
        "the crew is told"
    );

    // Nothing is written over: not the game day, and not what people changed in it.
    day.edit("title = \"Quarter 4\"", "title = \"Ours\"")?;
    let again = day
        .gameday("new", &["--plan", day.rig.plan_arg()?])?
        .expect_code(2)?;
    ensure!(again.err.contains("is there already"), "{}", again.said());
    ensure!(
        day.file("gameday.toml")?.contains("\"Ours\""),
        "it was written over"
    );

    // It moves: all that it needs is in it.
    let moved = day.folder.with_file_name("elsewhere");
    fs::rename(&day.folder, &moved)?;
    fs::remove_file(&day.rig.plan)?;
    let folder = moved.to_str().context("the path is UTF-8")?;
    day.rig
        .firedrill
        .run(&["gameday", "check", folder], LIMIT)?
        .expect_code(0)?;
    let schema = day
        .rig
        .firedrill
        .run(&["schema", "gameday"], LIMIT)?
        .expect_code(0)?;
    let schema: Value = serde_json::from_str(&schema.out)?;
    ensure!(schema["title"] == "Firedrill game day", "{schema}");
    Ok(())
}

fn every_mistake_at_once() -> anyhow::Result<()> {
    let day = Day::new()?;
    fs::write(day.folder.with_file_name("outside.toml"), day.rig.plan_text()?)?;
    day.edit("box = \"10m\"", "box = \"10\"")?;
    day.edit(
        "experiment = \"Payment is slow\"",
        "experiment = \"Payment is low\"",
    )?;
    day.edit("between = \"5m\"", "betwen = \"5m\"")?;
    std::os::unix::fs::symlink("../../outside.toml", day.folder.join("plans/link.toml"))?;
    let more = "\n[[drill]]\nplan = \"plans/link.toml\"\nexperiment = \"Payment is slow\"\nbox = \"10m\"\n\
                \n[[drill]]\nplan = \"../outside.toml\"\nexperiment = \"x\"\nbox = \"10m\"\n";
    let text = day.file("gameday.toml")?;
    fs::write(day.folder.join("gameday.toml"), text + more)?;
    let wrong = day.gameday("check", &[])?.expect_code(2)?;
    for expected in [
        "gameday.toml:12:1: error: unknown key \"betwen\"; did you mean \"between\"?",
        "plans/plan.toml has no experiment \"Payment is low\"; did you mean \"Payment is slow\"?",
        "\"10\"",
        "plans/link.toml cannot be used: it leads out of this folder",
        "\"../outside.toml\" must be a relative path inside this folder",
        "firedrill: 5 mistakes in",
    ] {
        ensure!(wrong.err.contains(expected), "{expected}\n{}", wrong.said());
    }
    Ok(())
}

fn preflighted_live_with_noop_only() -> anyhow::Result<()> {
    let day = Day::new()?;
    let passed = day.gameday("check", &["--live"])?.expect_code(0)?;
    for expected in [
        "Preflight of \"Payment is slow\"",
        "● Abort path of payments-1",
        "noop aborted in",
        "● SLI source",
        "nothing was injected but noop",
    ] {
        ensure!(passed.out.contains(expected), "{expected}\n{}", passed.said());
    }
    day.rig.wait_until_closed()?;
    let injected: Vec<String> = day
        .rig
        .agent
        .injections()?
        .iter()
        .map(|it| it["fault"].as_str().unwrap_or_default().to_owned())
        .collect();
    ensure!(injected.iter().all(|fault| fault == "noop"), "{injected:?}");
    ensure!(
        day.rig.agent.latch()?.is_none(),
        "the preflight latched the agent"
    );
    // The record of it is in the folder, whole, and is no drill's.
    let records: Vec<_> = fs::read_dir(day.folder.join("preflights"))?.collect::<Result<_, _>>()?;
    ensure!(records.len() == 1, "{records:?}");
    let journal = records[0].path();
    let journal = journal.to_str().context("the path is UTF-8")?;
    day.rig
        .firedrill
        .run(&["verify", journal], LIMIT)?
        .expect_code(0)?;
    ensure!(
        fs::read_dir(day.folder.join("journals"))?.next().is_none(),
        "a preflight is no drill"
    );

    // The same of a plan alone; and where the agent is gone, it says so.
    let plan = day.rig.plan_arg()?;
    day.rig
        .firedrill
        .run(&["check", plan, "--live"], LIMIT)?
        .expect_code(0)?;
    let text = day
        .file("plans/plan.toml")?
        .replace(&day.rig.agent.url(), "http://127.0.0.1:9");
    fs::write(day.folder.join("plans/plan.toml"), text)?;
    let failed = day.gameday("check", &["--live"])?.expect_code(4)?;
    ensure!(failed.out.contains("■ Agent payments-1"), "{}", failed.said());
    Ok(())
}

/// One real drill in the folder, whose console then dies before it writes the drill's end down.
fn what_happened_makes_the_report() -> anyhow::Result<()> {
    let day = Day::new()?;
    day.edit("# named = [\"tests\"]", "responders = [\"Barbara\"] #")?;
    let journals = day.folder.join("journals");
    let folder = journals.to_str().context("the path is UTF-8")?;
    let words = ["run", day.rig.plan_arg()?, "--report", folder];
    day.rig.firedrill.run(&words, LIMIT)?.expect_code(0)?;
    let run = drill_of(&journals)?;
    for text in [
        record(0, "tests", &json!({ "event": "started" })),
        record(
            1,
            "tests",
            &json!({ "event": "drill_began", "drill": "Payment is slow", "run": run }),
        ),
        record(
            2,
            "tests",
            &json!({
                "event": "clock", "id": "c1", "drill": "Payment is slow", "clock": "noticed", "when_ms": START_MS,
            }),
        ),
        record(
            3,
            "tests",
            &json!({
                "event": "finding", "id": "f1",
                "finding": { "symptom": "The breaker opens late", "owner": "Barbara", "due": "2020-01-01" },
            }),
        ),
        "{\"at_ms\": 1, \"by\": \"torn".to_owned(),
    ] {
        day.append(&text)?;
    }
    let written = day.gameday("report", &[])?.expect_code(0)?;
    ensure!(
        written.err.contains("line 5 is no record and is left out"),
        "{}",
        written.said()
    );
    let report = day.file("reports/gameday.md")?;
    for expected in [
        "- Verdict: **held**",
        "- Held: started Thu 3 Dec 2026, 10:00",
        "- facilitator: 1",
        "| noticed, dated back | 10:00:00 |",
        "### The breaker opens late (overdue)",
        "- Owner: the responder",
    ] {
        ensure!(report.contains(expected), "{expected}\n{report}");
    }
    ensure!(!report.contains("Barbara"), "Barbara did not agree: {report}");

    let csv = day.gameday("findings", &["--csv"])?.expect_code(0)?;
    ensure!(
        csv.out.contains("f1,overdue,The breaker opens late,"),
        "{}",
        csv.said()
    );
    let listed = day.gameday("findings", &[])?.expect_code(0)?;
    ensure!(
        listed.out.contains("## The breaker opens late (overdue)"),
        "{}",
        listed.said()
    );

    // What is open carries over, with where it is from, and stays the same finding.
    let next = day.folder.with_file_name("quarter-1");
    let (old, new) = (path(&day.folder)?, path(&next)?);
    let words = [
        "gameday",
        "new",
        new,
        "--plan",
        day.rig.plan_arg()?,
        "--from",
        old,
    ];
    let made = day.rig.firedrill.run(&words, LIMIT)?.expect_code(0)?;
    ensure!(
        made.out.contains("carried over: 1 open finding"),
        "{}",
        made.said()
    );
    let carried = day
        .rig
        .firedrill
        .run(&["gameday", "findings", new, "--csv"], LIMIT)?
        .expect_code(0)?;
    ensure!(
        carried
            .out
            .contains("f1,overdue,The breaker opens late,,,Barbara,2020-01-01,,,Quarter 4,"),
        "{}",
        carried.said()
    );
    Ok(())
}

fn path(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("the path is UTF-8")
}

/// The id of the only drill of a folder.
fn drill_of(journals: &Path) -> anyhow::Result<String> {
    let files: Vec<_> = fs::read_dir(journals)?.collect::<Result<_, _>>()?;
    let mut ids = files
        .iter()
        .map(fs::DirEntry::path)
        .filter(|path| path.extension().is_some_and(|it| it == "jsonl"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
    ids.next().context("no journal")
}
