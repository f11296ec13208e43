//! A display without a screen, with a number of its own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use x11rb::protocol::xproto::{ClientMessageEvent, ConnectionExt as _, EventMask};

use crate::{Firedrill, PATIENCE, Process, wait_until};

/// A picture with fewer colours has nothing on it: a window that is not drawn has one or two.
const COLOURS: u32 = 16;

/// A running Xvfb, ended when dropped.
#[derive(Debug)]
pub struct Display {
    number: u32,
    _process: Process,
}

impl Display {
    /// Starts one on a number that is free.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new("Xvfb");
        command.args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            "1600x1000x24",
            "-nolisten",
            "tcp",
            "-noreset",
        ]);
        let mut process = Process::start("xvfb", command, folder)?;
        let number = process.line(PATIENCE)?.trim().parse()?;
        Ok(Self {
            number,
            _process: process,
        })
    }

    /// As in `DISPLAY`.
    pub fn name(&self) -> String {
        format!(":{}", self.number)
    }

    /// `firedrill` on this display, drawn by software.
    pub fn command(&self, firedrill: &Firedrill, words: &[&str]) -> Command {
        let mut command = firedrill.command(words);
        command
            .env("DISPLAY", self.name())
            .env("LIBGL_ALWAYS_SOFTWARE", "1");
        command
    }

    /// Runs a program that looks at the display or presses its keys; its standard output.
    pub fn run(&self, program: &str, words: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(program)
            .args(words)
            .env("DISPLAY", self.name())
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{program} {words:?}: {}: {said}",
            output.status
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Waits for a visible window of that name; its id.
    pub fn wait_for_window(&self, name: &str) -> anyhow::Result<String> {
        let (id, _) = wait_until(PATIENCE, "the window is there", || {
            let found = self.run("xdotool", &["search", "--onlyvisible", "--name", name])?;
            Ok(found.lines().next().map(str::to_owned))
        })?;
        Ok(id)
    }

    /// Asks a window to close, as a window manager's button does.
    pub fn close(&self, window: &str) -> anyhow::Result<()> {
        let (connection, _) = x11rb::connect(Some(&self.name()))?;
        let atom = |name: &str| -> anyhow::Result<u32> {
            Ok(connection.intern_atom(false, name.as_bytes())?.reply()?.atom)
        };
        let window = window.parse()?;
        let data = [atom("WM_DELETE_WINDOW")?, x11rb::CURRENT_TIME, 0, 0, 0];
        let message = ClientMessageEvent::new(32, window, atom("WM_PROTOCOLS")?, data);
        connection
            .send_event(false, window, EventMask::NO_EVENT, message)?
            .check()?;
        Ok(())
    }

    /// How many colours a window shows.
    pub fn colours(&self, window: &str) -> anyhow::Result<u32> {
        let count = self.run(
            "import",
            &["-silent", "-window", window, "-format", "%k", "info:-"],
        )?;
        count.trim().parse().with_context(|| format!("no count: {count}"))
    }

    /// Waits until something is drawn in a window.
    pub fn wait_until_drawn(&self, window: &str) -> anyhow::Result<Duration> {
        wait_until(PATIENCE, "something is drawn", || {
            Ok((self.colours(window)? >= COLOURS).then_some(()))
        })
        .map(|((), took)| took)
    }
}
