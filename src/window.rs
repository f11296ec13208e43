//! The native window.
use std::{path::PathBuf, process::ExitCode};

/// What the window opens with.
pub enum Start {
    /// The tour.
    Demo,
    /// A plan.
    Plan(PathBuf),
}

/// Whether a window can be opened.
pub fn has_display() -> bool {
    false
}

/// Opens the window.
pub fn run(_start: Option<Start>) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not yet")
}
