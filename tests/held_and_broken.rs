//! A drill ends with the right verdict, and the target answers normally again afterwards: the fragile build is
//! stopped by its breach, the hardened one holds, and the demo runs and compares both.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use firedrill_demo::Build;
use firedrill_testing::{Firedrill, Rig, Times, Trial, programs, test};

/// A drill takes about half a minute; on a busy machine it may wait for its baseline.
const A_DRILL: Duration = Duration::from_secs(150);

pub fn tests() -> Vec<Trial> {
    vec![
        test(
            "the_demo_compares_both_builds",
            &[],
            the_demo_compares_both_builds,
        ),
        test(
            "fragile_is_stopped_by_its_breach",
            &[],
            fragile_is_stopped_by_its_breach,
        ),
        test("hardened_holds", &[], hardened_holds),
    ]
}

fn fragile_is_stopped_by_its_breach() -> anyhow::Result<()> {
    let rig = Rig::start(programs!(), Build::Fragile, Times::default())?;
    let finished = rig.run(A_DRILL)?.expect_code(1)?;
    rig.wait_until_normal(Duration::from_secs(5))?;
    rig.wait_until_closed()?;
    ensure!(
        rig.agent.latch()?.is_none(),
        "the automatic stop of a breach does not latch"
    );
    let report = rig.report_json()?;
    ensure!(report["outcome"] == "broken", "{}", report["reasons"]);
    ensure!(
        report["reasons"][0]["rule"] == "stop condition",
        "not stopped by its breach: {}",
        report["reasons"]
    );
    ensure!(report["time_to_stop_ms"].is_number(), "{report:#}");
    let during = &report["stability_probe"]["during"]["latency_95ms"];
    let before = &report["stability_probe"]["before"]["latency_95ms"];
    ensure!(
        during.as_f64() > before.as_f64().map(|before| before * 4.0),
        "{before} before, {during} during"
    );
    expect_report(&rig.report())?;
    ensure!(finished.said().contains("broken"), "{}", finished.said());
    rig.wait_until_orders_work()?;
    Ok(())
}

fn hardened_holds() -> anyhow::Result<()> {
    let rig = Rig::start(programs!(), Build::Hardened, Times::default())?;
    let finished = rig.run(A_DRILL)?.expect_code(0)?;
    rig.wait_until_normal(Duration::from_secs(5))?;
    rig.wait_until_closed()?;
    let report = rig.report_json()?;
    ensure!(report["outcome"] == "held", "{}", report["reasons"]);
    let injection = &report["injections"][0];
    ensure!(
        injection["fault"] == "http.latency" && injection["state"] == "reverted",
        "{injection}"
    );
    let on_us = injection["until_us"].as_u64().unwrap_or(0) - injection["from_us"].as_u64().unwrap_or(0);
    ensure!(
        (19_000_000..25_000_000).contains(&on_us),
        "on for {on_us} us instead of 20 s"
    );
    expect_report(&rig.report())?;
    ensure!(finished.said().contains("held"), "{}", finished.said());
    rig.wait_until_orders_work()?;
    Ok(())
}

fn the_demo_compares_both_builds() -> anyhow::Result<()> {
    let firedrill = Firedrill::new(programs!())?;
    let folder = firedrill.home().join("report");
    let words = [
        "demo",
        "--headless",
        "--report",
        folder.to_str().unwrap_or_default(),
    ];
    let finished = firedrill.run(&words, 2 * A_DRILL)?.expect_code(0)?;
    for word in ["fragile", "hardened", "broken", "held"] {
        ensure!(
            finished.out.contains(word),
            "{word} is not in the comparison: {}",
            finished.said()
        );
    }
    for build in [Build::Fragile, Build::Hardened] {
        expect_report(&folder.join(build.word()))?;
    }
    Ok(())
}

/// The four forms of a report, each with something in it.
fn expect_report(folder: &Path) -> anyhow::Result<()> {
    for (name, must) in [
        ("report.html", "<svg"),
        ("report.md", "#"),
        ("junit.xml", "<testsuite"),
        ("report.json", "stability_probe"),
    ] {
        let text = std::fs::read_to_string(folder.join(name))
            .map_err(|error| anyhow::anyhow!("{}: {error}", folder.join(name).display()))?;
        ensure!(text.contains(must), "{name} has no {must}");
    }
    Ok(())
}
