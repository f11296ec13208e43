//! The real window on a display without a screen and without a driver: process start → the welcome button is there
//! for a screen reader; and what a window costs that nobody touches.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use firedrill_testing::{Accessibility, Display, Firedrill, PATIENCE, Peer, programs, wait_for};
use serde_json::json;

use crate::Effort;
use crate::measure::{Row, Samples};

/// The large button of the welcome screen.
const BUTTON: &str = "Start the demo";
/// The system counts a process' time in steps of this.
const TICK_MS: f64 = 10.0;
const SETTLED_AFTER: Duration = Duration::from_secs(3);
const WATCHED: Duration = Duration::from_secs(15);

pub fn measure(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    for peer in [Peer::Xvfb, Peer::AtSpi] {
        if let Some(missing) = peer.missing() {
            anyhow::bail!(missing);
        }
    }
    let firedrill = Firedrill::new(programs!())?;
    let display = Display::start(firedrill.home())?;
    let mut samples = Samples::default();
    for _ in 0..effort.samples(50).min(10) {
        // A bus of its own each: nothing of the window before is on it.
        let reader = Accessibility::start(firedrill.home())?;
        let mut command = display.command(&firedrill, &[]);
        reader.offer(&mut command);
        let began = Instant::now();
        let mut console = firedrill.start_command("window", command)?;
        wait_for(PATIENCE, "the button is in the tree", || reader.shows(BUTTON))?;
        samples.add(began.elapsed());
        console.process.kill()?;
    }
    let start = Row::at_most(
        "process start → the welcome button in the AccessKit tree, p50",
        "ms",
        samples.p50(),
        400.0,
    );
    Ok(vec![start.with(samples.json()), idle(&firedrill, &display)?])
}

/// A repaint of a whole window in software takes more than a tick: without a tick there was none.
fn idle(firedrill: &Firedrill, display: &Display) -> anyhow::Result<Row> {
    let mut console = firedrill.start_command("window", display.command(firedrill, &[]))?;
    let window = display.wait_for_window("^Firedrill$")?;
    display.wait_until_drawn(&window)?;
    let drawn = ticks(console.process.pid())?;
    std::thread::sleep(SETTLED_AFTER);
    let before = ticks(console.process.pid())?;
    std::thread::sleep(WATCHED);
    let spent = ticks(console.process.pid())? - before;
    console.process.kill()?;
    let details = json!({ "ticks_until_drawn": drawn, "ticks": spent, "tick_ms": TICK_MS });
    let row = Row::at_most(
        "idle window, 15 s: CPU time (less than one repaint in software)",
        "ms",
        spent as f64 * TICK_MS,
        0.0,
    );
    Ok(row.with(details))
}

/// Time of a process on the processor, its threads and the system's part included.
fn ticks(pid: u32) -> anyhow::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |at: usize| -> anyhow::Result<u64> { Ok(fields.get(at).context("stat is short")?.parse()?) };
    // The 14th and 15th of all, counted from the state, which is the third.
    Ok(field(11)? + field(12)?)
}
