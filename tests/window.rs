//! The real window starts, draws, takes the hot key of ABORT, and closes, on a display without a screen and
//! without a driver; without any display the demo says so and goes on in the terminal.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use firedrill_testing::{Display, Firedrill, PATIENCE, Peer, programs, run, test};
use nix::sys::signal::Signal;

const XVFB: &[Peer] = &[Peer::Xvfb];

fn main() -> ExitCode {
    run(
        2,
        vec![
            test("the_window_starts_and_closes", XVFB, the_window_starts_and_closes),
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
    let window = display.wait_for_window("Firedrill")?;
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
