//! `firedrill prove` tries the promises with real processes and prints its table: a short run of it, from outside.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use firedrill_testing::{Firedrill, programs, run, test};

fn main() -> ExitCode {
    run(1, vec![test("a_short_proof", &[], a_short_proof)])
}

fn a_short_proof() -> anyhow::Result<()> {
    let firedrill = Firedrill::new(programs!())?;
    let words = [
        "prove",
        "--minutes",
        "1",
        "--rounds",
        "1",
        "--agents",
        "2",
        "--seed",
        "7",
    ];
    let finished = firedrill.run(&words, Duration::from_mins(3))?.expect_code(0)?;
    println!("{}", finished.out);
    for row in [
        "simulated schedules",
        "agent killed",
        "keeper killed",
        "proxy killed",
        "console killed",
        "console and agent killed",
        "ABORT pressed",
    ] {
        let line = finished
            .out
            .lines()
            .filter(|line| line.starts_with(row))
            .find(|line| line.ends_with(" 0"));
        ensure!(
            line.is_some(),
            "no row {row} without a violation:\n{}",
            finished.out
        );
    }
    Ok(())
}
