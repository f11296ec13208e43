//! Where Firedrill keeps its own files, and the settings of the window.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use firedrill_console::Prefs;

/// The folder of drills in the data folder: abort cards, and how each drill ended.
pub const DRILLS: &str = "drills";

/// Agents' tokens, in the config folder.
pub const CREDENTIALS: &str = "credentials.json";

/// The platform's folders for this program.
pub struct Folders {
    /// Settings and credentials.
    pub config: PathBuf,
    /// Journals, reports and the folder of drills.
    pub data: PathBuf,
}

/// The platform's folders (XDG on Linux), made if they are missing.
pub fn folders() -> anyhow::Result<Folders> {
    let dirs = directories::ProjectDirs::from("", "", "firedrill")
        .context("no home folder is known for this user; set HOME")?;
    let folders = Folders {
        config: dirs.config_dir().to_owned(),
        data: dirs.data_dir().to_owned(),
    };
    for folder in [&folders.config, &folders.data] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    Ok(folders)
}

/// The window's settings; the defaults where there are none or they cannot be read.
pub fn load(config: &Path) -> Prefs {
    fs::read_to_string(file(config))
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

/// Keeps the window's settings.
pub fn save(config: &Path, prefs: Prefs) -> io::Result<()> {
    fs::write(file(config), serde_json::to_string_pretty(&prefs)?)
}

fn file(config: &Path) -> PathBuf {
    config.join("settings.json")
}
