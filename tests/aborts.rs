//! An abort ends everything now and latches: by Ctrl-C, by `firedrill abort` from another process, and by
//! `firedrill-agent abort` on the host; nothing starts until a person releases it.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use firedrill_demo::Build;
use firedrill_testing::{Rig, Times, Trial, programs, test};
use nix::sys::signal::Signal;

/// An aborted drill has little left to do.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// Until a client is served normally again; the figure is in the benchmark, here it only must not wait for a
/// lease or an end.
const NORMAL_WITHIN: Duration = Duration::from_secs(3);

pub fn tests() -> Vec<Trial> {
    vec![
        test("ctrl_c_aborts_latches_and_a_release_lifts_it", &[], ctrl_c),
        test("firedrill_abort_from_another_process", &[], from_another_process),
        test("firedrill_agent_abort_on_the_host", &[], on_the_host),
    ]
}

fn rig() -> anyhow::Result<Rig> {
    // A lease and an end far beyond what is waited for: it is the abort that ends the fault.
    let times = Times {
        fault_s: 60,
        lease_s: 30,
        ..Times::default()
    };
    let rig = Rig::start(programs!(), Build::Hardened, times)?;
    Ok(rig)
}

fn ctrl_c() -> anyhow::Result<()> {
    let rig = rig()?;
    let mut console = rig.run_until_fault()?;
    console.process.signal(Signal::SIGINT)?;
    rig.wait_until_normal(NORMAL_WITHIN)?;
    let finished = console.finish(ENDS_WITHIN)?.expect_code(3)?;
    ensure!(finished.said().contains("aborted"), "{}", finished.said());
    rig.wait_until_closed()?;
    let report = rig.report_json()?;
    ensure!(report["outcome"] == "aborted", "{}", report["reasons"]);
    ensure!(
        report["reasons"].to_string().contains("Ctrl-C"),
        "{}",
        report["reasons"]
    );
    ensure!(rig.agent.latch()?.is_some(), "a person's abort latches");

    // Latched: a start is refused, says so, and says what would help.
    let refused = rig.run(ENDS_WITHIN)?.expect_code(4)?;
    ensure!(
        refused.said().to_lowercase().contains("latch"),
        "{}",
        refused.said()
    );
    rig.wait_until_normal(NORMAL_WITHIN)?;

    let release = ["release", rig.plan_arg()?, "--reason", "looked at it"];
    rig.firedrill.run(&release, ENDS_WITHIN)?.expect_code(0)?;
    ensure!(rig.agent.latch()?.is_none(), "still latched");
    rig.wait_until_orders_work()?;
    Ok(())
}

fn from_another_process() -> anyhow::Result<()> {
    let rig = rig()?;
    let console = rig.run_until_fault()?;
    let card = rig.firedrill.abort_card();
    let mode = std::fs::metadata(&card)
        .context("no abort card")?
        .permissions()
        .mode();
    ensure!(mode & 0o777 == 0o600, "the card's mode is {mode:o}");
    let text = std::fs::read_to_string(&card)?;
    ensure!(
        !text.contains(&rig.agent.token),
        "the card carries the token for everything"
    );
    let status = rig.firedrill.run(&["status"], ENDS_WITHIN)?.expect_code(0)?;
    ensure!(status.out.contains("Payment is slow"), "{}", status.said());
    // The header's own sentence.
    ensure!(status.out.starts_with("1 fault of ours on "), "{}", status.said());

    let began = Instant::now();
    let abort = rig
        .firedrill
        .start(&["abort", "--reason", "smoke in the kitchen"])?;
    rig.wait_until_normal(NORMAL_WITHIN)?;
    let abort = abort.finish(ENDS_WITHIN)?.expect_code(0)?;
    ensure!(abort.out.contains("proved clean"), "{}", abort.said());
    console.finish(ENDS_WITHIN)?.expect_code(3)?;
    ensure!(
        began.elapsed() < ENDS_WITHIN,
        "the drill went on for {:?}",
        began.elapsed()
    );
    rig.wait_until_closed()?;
    let latch = rig.agent.latch()?.context("a person's abort latches")?;
    ensure!(
        latch["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("smoke in the kitchen")),
        "{latch}"
    );
    let status = rig.firedrill.run(&["status"], ENDS_WITHIN)?.expect_code(0)?;
    ensure!(status.out.to_lowercase().contains("latched"), "{}", status.said());
    ensure!(
        status.out.starts_with("nothing of ours on, proved "),
        "{}",
        status.said()
    );
    rig.wait_until_orders_work()?;
    has_its_copy(&rig)
}

/// The agent keeps the hash of an aborted drill's journal too.
fn has_its_copy(rig: &Rig) -> anyhow::Result<()> {
    let journal = rig.firedrill.journal()?;
    let journal = journal.to_str().context("the path is UTF-8")?;
    let audit = rig.agent.state.join("audit.log");
    let audit = audit.to_str().context("the path is UTF-8")?;
    let compared = rig
        .firedrill
        .run(&["verify", journal, "--audit", audit], ENDS_WITHIN)?
        .expect_code(0)?;
    ensure!(
        compared.out.contains("the audit logs have 1 of the 1 hashes"),
        "{}",
        compared.said()
    );
    let alone = rig
        .firedrill
        .run(&["verify", journal], ENDS_WITHIN)?
        .expect_code(0)?;
    ensure!(
        alone.out.contains("not compared with the agents' copies"),
        "{}",
        alone.said()
    );
    Ok(())
}

fn on_the_host() -> anyhow::Result<()> {
    let rig = rig()?;
    let console = rig.run_until_fault()?;
    let output = Command::new(programs!().agent)
        .args(["abort", "--reason", "by hand", "--state"])
        .arg(&rig.agent.state)
        .arg("--address")
        .arg(rig.agent.abort_listen.to_string())
        .output()?;
    rig.wait_until_normal(NORMAL_WITHIN)?;
    ensure!(
        output.status.code() == Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    console.finish(ENDS_WITHIN)?.expect_code(3)?;
    rig.wait_until_closed()?;
    ensure!(rig.agent.latch()?.is_some(), "a person's abort latches");
    rig.wait_until_orders_work()?;
    Ok(())
}
