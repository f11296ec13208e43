//! Process start → the window stands, on a display without a screen and without a driver.

use std::time::{Duration, Instant};

use firedrill_testing::{Display, Firedrill, Peer, programs};

use crate::Effort;
use crate::measure::{Row, Samples};

pub fn measure(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    if let Some(missing) = Peer::Xvfb.missing() {
        anyhow::bail!(missing);
    }
    let firedrill = Firedrill::new(programs!())?;
    let display = Display::start(firedrill.home())?;
    let mut samples = Samples::default();
    for _ in 0..effort.samples(50).min(10) {
        let began = Instant::now();
        let mut console = firedrill.start_command("window", display.command(&firedrill, &[]))?;
        let window = display.wait_for_window("Firedrill")?;
        display.wait_until_drawn(&window)?;
        samples.add(began.elapsed());
        console.process.kill()?;
        std::thread::sleep(Duration::from_millis(200));
    }
    let row = Row::at_most(
        "process start → the window is drawn, p50",
        "ms",
        samples.p50(),
        400.0,
    );
    Ok(vec![row.with(samples.json())])
}
