//! The real window starts, draws, takes the hot key of ABORT, aborts by a signal, by the ABORT window and from the Stage,
//! and closes, on a display without a screen and without a driver; without any display the demo says so and goes on in
//! the terminal.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use firedrill_demo::Build;
use firedrill_testing::{
    Console, Display, Firedrill, PATIENCE, Peer, Rig, Times, programs, run, test, wait_until,
};
use nix::sys::signal::Signal;

const XVFB: &[Peer] = &[Peer::Xvfb];

fn main() -> ExitCode {
    run(
        3,
        vec![
            test("the_window_starts_and_closes", XVFB, the_window_starts_and_closes),
            test("sigterm_on_the_window_is_an_abort", XVFB, sigterm_is_an_abort),
            test("the_abort_window_aborts", XVFB, the_abort_window_aborts),
            test(
                "the_stage_is_a_window_that_aborts_too",
                XVFB,
                the_stage_is_a_window_that_aborts_too,
            ),
            test("ctrl_c_on_an_idle_window_only_closes_it", XVFB, idle_only_closes),
            test(
                "the_demo_goes_on_without_a_display",
                &[],
                the_demo_goes_on_without_a_display,
            ),
        ],
    )
}

fn the_window_starts_and_closes() -> anyhow::Result<()> {
    let firedrill = Firedrill::new(programs!())?;
    let display = Display::start(firedrill.home())?;
    let mut console = firedrill.start_command("window", display.command(&firedrill, &[]))?;
    let window = display.wait_for_window("^Firedrill$")?;
    display.wait_until_drawn(&window)?;
    let place = display.run("xwininfo", &["-id", &window])?;
    ensure!(place.contains("IsViewable"), "{place}");

    // Without a window manager nobody gives the window the focus.
    display.run("xdotool", &["windowfocus", "--sync", &window])?;
    display.run("xdotool", &["key", "ctrl+shift+x"])?;
    display.run(
        "xdotool",
        &["mousemove", "--window", &window, "200", "300", "click", "1"],
    )?;
    std::thread::sleep(Duration::from_secs(1));
    ensure!(
        console.process.is_running(),
        "it has ended: {}",
        console.process.stderr()
    );
    display.wait_until_drawn(&window)?;

    display.close(&window)?;
    let finished = console.finish(PATIENCE)?.expect_code(0)?;
    ensure!(!finished.err.contains("panicked"), "{}", finished.err);
    Ok(())
}

/// Long after an abort, long before the fault's end or its lease.
const SOON: Duration = Duration::from_secs(3);

/// A window whose drill has a fault on for a minute, felt by a client of the route.
fn drill_in_a_window() -> anyhow::Result<(Rig, Display, Console)> {
    let times = Times {
        fault_s: 60,
        lease_s: 30,
        ..Times::default()
    };
    let rig = Rig::start(programs!(), Build::Hardened, times)?;
    let display = Display::start(rig.firedrill.home())?;
    let command = display.command(&rig.firedrill, &["open", rig.plan_arg()?]);
    let mut console = rig.firedrill.start_command("window", command)?;
    let window = display.wait_for_window("^Firedrill$")?;
    display.wait_until_drawn(&window)?;
    // Without a window manager nobody gives the window the focus.
    display.run("xdotool", &["windowfocus", "--sync", &window])?;
    // The plan is read beside the window: keys that come too early do nothing, so they are pressed again.
    let keys = |words: &[&str]| display.run("xdotool", &[&["key", "--delay", "80"], words].concat());
    let felt = wait_until(Duration::from_secs(90), "the fault is felt by a client", || {
        ensure!(console.process.is_running(), "the window has closed");
        keys(&["ctrl+Return", "ctrl+shift+Return"])?;
        std::thread::sleep(Duration::from_millis(300));
        Ok((rig.pay()?.1 > Duration::from_millis(250)).then_some(()))
    });
    felt.with_context(|| console.process.stderr())?;
    Ok((rig, display, console))
}

fn sigterm_is_an_abort() -> anyhow::Result<()> {
    let (rig, _display, mut console) = drill_in_a_window()?;
    console.process.signal(Signal::SIGTERM)?;
    rig.wait_until_normal(SOON)?;
    // Everything is proved clean, so the process ends without another signal.
    console.finish(PATIENCE)?.expect_code(0)?;
    rig.wait_until_closed()?;
    let latch = rig.agent.latch()?.context("an abort latches")?;
    ensure!(latch["reason"] == "SIGTERM", "{latch}");
    let journal = std::fs::read_to_string(rig.firedrill.journal()?)?;
    ensure!(journal.contains("SIGTERM"), "the journal does not say who");
    rig.wait_until_orders_work()?;
    Ok(())
}

/// Above other programs, beside the console: it comes with the fault.
fn the_abort_window_aborts() -> anyhow::Result<()> {
    let (rig, display, console) = drill_in_a_window()?;
    let small = display.wait_for_window("^ABORT")?;
    display.wait_until_drawn(&small)?;
    display.run(
        "xdotool",
        &["mousemove", "--window", &small, "150", "85", "click", "1"],
    )?;
    aborted_and_closed(&rig, &display, console)
}

/// Opened by its key, and closed by another; the hot key works in it as it does in the console.
fn the_stage_is_a_window_that_aborts_too() -> anyhow::Result<()> {
    let (rig, display, console) = drill_in_a_window()?;
    display.run("xdotool", &["key", "F11"])?;
    let stage = display.wait_for_window("^Stage")?;
    display.wait_until_drawn(&stage)?;
    display.run("xdotool", &["windowfocus", "--sync", &stage])?;
    display.run("xdotool", &["key", "ctrl+shift+x"])?;
    rig.wait_until_normal(SOON)?;
    display.run("xdotool", &["key", "Escape"])?;
    wait_until(PATIENCE, "the Stage is closed", || {
        let found = display.run("xdotool", &["search", "--onlyvisible", "--name", "^Stage"]);
        Ok(found.is_err().then_some(()))
    })?;
    aborted_and_closed(&rig, &display, console)
}

/// Nothing of the drill is on, the agent is latched by a person, and the window closes without a question.
fn aborted_and_closed(rig: &Rig, display: &Display, console: Console) -> anyhow::Result<()> {
    rig.wait_until_normal(SOON)?;
    rig.wait_until_closed()?;
    ensure!(rig.agent.latch()?.is_some(), "an abort latches");
    display.close(&display.wait_for_window("^Firedrill$")?)?;
    let finished = console.finish(PATIENCE)?.expect_code(0)?;
    ensure!(!finished.err.contains("panicked"), "{}", finished.err);
    rig.wait_until_orders_work()?;
    Ok(())
}

fn idle_only_closes() -> anyhow::Result<()> {
    let rig = Rig::start(programs!(), Build::Hardened, Times::default())?;
    let display = Display::start(rig.firedrill.home())?;
    let command = display.command(&rig.firedrill, &["open", rig.plan_arg()?]);
    let mut console = rig.firedrill.start_command("window", command)?;
    let window = display.wait_for_window("^Firedrill$")?;
    display.wait_until_drawn(&window)?;
    console.process.signal(Signal::SIGINT)?;
    console.finish(PATIENCE)?.expect_code(0)?;
    ensure!(rig.agent.latch()?.is_none(), "an idle window latches nobody");
    Ok(())
}

fn the_demo_goes_on_without_a_display() -> anyhow::Result<()> {
    let firedrill = Firedrill::new(programs!())?;
    let mut console = firedrill.start(&["demo"])?;
    let first = console.process.line(PATIENCE)?;
    ensure!(first.contains("no display"), "the first line is: {first}");
    // It goes on: what runs on this computer is said, then the drill begins.
    let mut said = String::new();
    while !said.contains("127.0.0.1") {
        said.push_str(&console.process.line(PATIENCE)?);
    }
    console.process.signal(Signal::SIGINT)?;
    console.finish(Duration::from_secs(30))?.expect_code(3)?;
    Ok(())
}
