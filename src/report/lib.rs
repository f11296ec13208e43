//! What a drill leaves for people and machines: self-contained HTML, Markdown, JUnit XML and JSON.
//!
//! Every function is pure (a [`Review`] gives text), so that a journal gives the same report byte for byte;
//! only [`write`] touches the disk. Uses `scene`, `drill` and `series`.

mod html;
mod json;
mod junit;
mod markdown;
mod svg;
mod words;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use firedrill_scene::Review;

pub use html::html;
pub use json::json;
pub use junit::junit;
pub use markdown::markdown;

/// Where the report was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// For people, with the plots.
    pub html: PathBuf,
    /// For people, to paste.
    pub markdown: PathBuf,
    /// For CI.
    pub junit: PathBuf,
    /// For machines.
    pub json: PathBuf,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file could not be written.
    #[error("cannot write {path}: {source}; choose another folder or make room", path = path.display())]
    Disk {
        /// Which file.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// Nobody may read what it was yet.
    #[error("this exercise is not revealed yet; reveal it first: firedrill reveal JOURNAL")]
    Sealed,
}

/// Writes `report.html`, `report.md`, `junit.xml` and `report.json` into `folder`, which is made if missing.
/// Their names are always these: a folder of reports tells nothing. Of a sealed drill nothing is written.
pub fn write(review: &Review, folder: &Path) -> Result<Written, WriteError> {
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |source| WriteError::Disk { path, source }
    };
    if review.scene.seal.is_sealed() {
        return Err(WriteError::Sealed);
    }
    fs::create_dir_all(folder).map_err(fail(folder))?;
    let file = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(fail(&path))?;
        Ok(path)
    };
    Ok(Written {
        html: file("report.html", html(review))?,
        markdown: file("report.md", markdown(review))?,
        junit: file("junit.xml", junit(review))?,
        json: file("report.json", json(review))?,
    })
}
