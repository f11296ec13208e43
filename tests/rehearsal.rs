//! A rehearsal by the real programs: until its reveal nothing that leaves the console says more than "exercise", and
//! a real incident reveals it at once.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use firedrill_demo::{AGENT_NAME, Build, EXPERIMENT_NAME, PAYMENT_ROUTE};
use firedrill_testing::{Rig, Trial, test};

use crate::guardrails::{Recorder, rig};

const ENDS_WITHIN: Duration = Duration::from_mins(2);
const CALL: Duration = Duration::from_secs(20);

/// The fault, the target, the plan, the experiment.
const SECRETS: [&str; 6] = [
    "http.latency",
    AGENT_NAME,
    PAYMENT_ROUTE,
    EXPERIMENT_NAME,
    "/api/payment",
    "stop condition",
];

pub fn tests() -> Vec<Trial> {
    vec![
        test(
            "only_an_exercise_leaves_it_until_the_reveal",
            &[],
            only_an_exercise_leaves_it_until_the_reveal,
        ),
        test("a_real_incident_reveals_it", &[], a_real_incident_reveals_it),
    ]
}

fn sealed(more: &str) -> anyhow::Result<Rig> {
    let rig = rig(Build::Fragile, 40, more)?;
    rig.edit_plan("hypothesis =", "rehearsal = true\nhypothesis =")?;
    Ok(rig)
}

fn keeps_it(what: &str, words: &str) -> anyhow::Result<()> {
    for secret in SECRETS {
        ensure!(!words.contains(secret), "{what} tells \"{secret}\": {words}");
    }
    ensure!(
        words.contains("exercise"),
        "{what} does not even say that: {words}"
    );
    Ok(())
}

fn journal(rig: &Rig) -> anyhow::Result<PathBuf> {
    let files = std::fs::read_dir(rig.report())?;
    let paths = files
        .map(|file| Ok(file?.path()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(
        paths.len() == 1,
        "besides the journal there is more than that: {paths:?}"
    );
    let path = paths.into_iter().next().context("no journal")?;
    keeps_it("the journal's name", &format!("exercise {}", path.display()))?;
    Ok(path)
}

fn only_an_exercise_leaves_it_until_the_reveal() -> anyhow::Result<()> {
    let recorder = Recorder::start()?;
    let to = recorder.address;
    let rig = sealed(&format!(
        "[[alert]]\nkind = \"webhook\"\nurl = \"http://{to}/hook\"\n\
         [[alert]]\nkind = \"alertmanager\"\nurl = \"http://{to}\"\n"
    ))?;
    let console = rig.run_until_fault()?;
    // Another terminal of this account, and whoever asks the agent.
    let status = rig.firedrill.run(&["status"], CALL)?;
    keeps_it("status", &status.said())?;
    let info = rig.agent.info()?;
    ensure!(info["open"]["experiment"] == "exercise", "{}", info["open"]);
    let broken = console.finish(ENDS_WITHIN)?.expect_code(1)?;
    keeps_it("run", &broken.said())?;
    let heard = recorder.heard();
    ensure!(heard.len() == 2, "two were to be told: {heard:?}");
    for (path, body) in &heard {
        keeps_it(path, body)?;
    }
    let journal = journal(&rig)?;
    let journal = journal.to_str().context("the path is UTF-8")?;
    let (report, picture) = (rig.report(), rig.firedrill.home().join("live.png"));
    let report = report.to_str().context("the path is UTF-8")?;
    let picture = picture.to_str().context("the path is UTF-8")?;
    for words in [
        &["report", journal, "--report", report][..],
        &["replay", journal],
        &["render", journal, "--out", picture],
    ] {
        let refused = rig.firedrill.run(words, CALL)?.expect_code(2)?;
        keeps_it("what is refused", &refused.said())?;
        ensure!(refused.err.contains("firedrill reveal"), "{}", refused.said());
    }

    let told = rig
        .firedrill
        .run(&["reveal", journal, "--report", report], CALL)?
        .expect_code(0)?;
    ensure!(told.out.contains(EXPERIMENT_NAME), "{}", told.said());
    ensure!(told.out.contains("stop condition"), "{}", told.said());
    let json = rig.report_json()?;
    ensure!(json.to_string().contains("http.latency"), "{json}");
    let again = rig
        .firedrill
        .run(&["report", journal, "--report", report], CALL)?;
    again.expect_code(0)?;
    Ok(())
}

fn a_real_incident_reveals_it() -> anyhow::Result<()> {
    let rig = sealed("")?;
    let console = rig.run_until_fault()?;
    let words = ["abort", "--reason", "real incident: the shop is down"];
    let abort = rig.firedrill.run(&words, CALL)?.expect_code(0)?;
    ensure!(abort.out.contains(AGENT_NAME), "{}", abort.said());
    let aborted = console.finish(ENDS_WITHIN)?.expect_code(3)?;
    ensure!(aborted.out.contains(EXPERIMENT_NAME), "{}", aborted.said());
    ensure!(
        rig.report_json()?.to_string().contains("http.latency"),
        "the report tells at once"
    );
    rig.agent.release()?;
    Ok(())
}
