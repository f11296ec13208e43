//! What a crashed console leaves is found, told and ended by the next one; a second console is told who holds the
//! fleet and may abort all the same; a journal says whether it is sealed and gives the same report again.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use firedrill_demo::Build;
use firedrill_testing::{Firedrill, PATIENCE, Rig, Times, Trial, programs, test};

const ENDS_WITHIN: Duration = Duration::from_mins(2);

pub fn tests() -> Vec<Trial> {
    vec![
        test(
            "a_crashed_consoles_drill_is_found",
            &[],
            a_crashed_consoles_drill_is_found,
        ),
        test(
            "a_second_console_is_told_who_holds_it",
            &[],
            a_second_console_is_told_who_holds_it,
        ),
        test(
            "the_report_comes_back_from_the_journal",
            &[],
            the_report_comes_back_from_the_journal,
        ),
    ]
}

fn rig(lease_s: u32, fault_s: u32) -> anyhow::Result<Rig> {
    let times = Times {
        lease_s,
        fault_s,
        ..Times::default()
    };
    Rig::start(programs!(), Build::Hardened, times)
}

fn a_crashed_consoles_drill_is_found() -> anyhow::Result<()> {
    // A lease that does not end by itself while the test looks.
    let rig = rig(60, 55)?;
    let mut console = rig.run_until_fault()?;
    let running = rig.firedrill.run(&["status"], PATIENCE)?.expect_code(0)?;
    ensure!(running.out.contains("its console runs"), "{}", running.said());
    let crashed = rig.firedrill.journal()?;
    console.process.kill()?;

    let status = rig.firedrill.run(&["status"], PATIENCE)?.expect_code(0)?;
    ensure!(
        status.out.contains("its console is GONE") && status.out.contains("firedrill abort"),
        "{}",
        status.said()
    );
    let verified = rig
        .firedrill
        .run(&["verify", crashed.to_str().context("UTF-8")?], PATIENCE)?
        .expect_code(1)?;
    ensure!(
        verified.out.contains("unsealed") || verified.out.contains("torn"),
        "{}",
        verified.said()
    );

    rig.edit_plan("for = \"55s\"", "for = \"3s\"")?;
    let next = rig.run(ENDS_WITHIN)?.expect_code(0)?;
    for expected in [
        "found open: \"Payment is slow\"",
        "aborting it",
        "nothing of it is on any more",
    ] {
        ensure!(next.out.contains(expected), "{expected}\n{}", next.said());
    }
    ensure!(
        rig.agent.latch()?.is_none(),
        "a crashed console's drill is ended without a latch"
    );
    rig.wait_until_closed()?;
    let status = rig.firedrill.run(&["status"], PATIENCE)?.expect_code(0)?;
    ensure!(!status.out.contains("GONE"), "{}", status.said());
    Ok(())
}

fn a_second_console_is_told_who_holds_it() -> anyhow::Result<()> {
    let rig = rig(5, 60)?;
    let first = rig.run_until_fault()?;
    let second = Firedrill::new(programs!())?;
    second.know(&[&rig.agent])?;
    let report = second.home().join("report");
    let words = [
        "run",
        rig.plan_arg()?,
        "--report",
        report.to_str().context("UTF-8")?,
    ];
    let refused = second.run(&words, ENDS_WITHIN)?.expect_code(4)?;
    let told = refused.out.contains("held by tests on firedrill on") && refused.out.contains("since ");
    ensure!(
        told && refused.out.contains("Payment is slow"),
        "{}",
        refused.said()
    );

    // Without a card of its own, but with the plan and its tokens.
    let abort = second
        .run(&["abort", "--plan", rig.plan_arg()?], ENDS_WITHIN)?
        .expect_code(0)?;
    ensure!(abort.out.contains("proved clean"), "{}", abort.said());
    first.finish(ENDS_WITHIN)?.expect_code(3)?;
    rig.wait_until_closed()?;
    ensure!(rig.agent.latch()?.is_some(), "a person's abort latches");
    Ok(())
}

fn the_report_comes_back_from_the_journal() -> anyhow::Result<()> {
    let rig = rig(5, 3)?;
    rig.run(ENDS_WITHIN)?.expect_code(0)?;
    let journal = rig.firedrill.journal()?;
    let journal = journal.to_str().context("UTF-8")?;
    for again in ["again-1", "again-2"] {
        let folder = rig.firedrill.home().join(again);
        let words = ["report", journal, "--report", folder.to_str().context("UTF-8")?];
        rig.firedrill.run(&words, PATIENCE)?.expect_code(0)?;
        for file in ["report.html", "report.md", "report.json", "junit.xml"] {
            let (then, now) = (
                std::fs::read(rig.report().join(file))?,
                std::fs::read(folder.join(file))?,
            );
            ensure!(then == now, "{file} is another one from the journal");
        }
    }

    // Its hash stands in the agent's audit log; another log does not have it.
    let audit = rig.agent.state.join("audit.log");
    let verify = |audit: &std::path::Path| -> anyhow::Result<_> {
        let words = ["verify", journal, "--audit", audit.to_str().context("UTF-8")?];
        rig.firedrill.run(&words, PATIENCE)
    };
    let sealed = verify(&audit)?.expect_code(0)?;
    ensure!(
        sealed.out.contains("the audit logs have 1 of the 1 hashes"),
        "{}",
        sealed.said()
    );
    let empty = rig.firedrill.file("empty.log", "")?;
    let unsealed = verify(&empty)?.expect_code(1)?;
    ensure!(unsealed.out.contains("unsealed"), "{}", unsealed.said());
    Ok(())
}
