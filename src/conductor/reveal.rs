//! The reveal of a drill that is over. Its journal is closed and never changed, so it is noted beside it.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use firedrill_drill::{At, Seal};
use firedrill_fleet::write_private;
use firedrill_scene::Review;
use serde::{Deserialize, Serialize};

/// No note is longer, in bytes.
const MAX_BYTES: u64 = 16 * 1024;

#[derive(Serialize, Deserialize)]
struct Note {
    at_ms: i64,
    by: String,
}

/// Where the reveal of a journal's drill is noted.
pub fn reveal_path(journal: &Path) -> PathBuf {
    journal.with_extension("revealed")
}

/// Notes it; it is on disk when this returns. A second one changes nothing. `Err`: why not, in words.
pub fn note_reveal(journal: &Path, by: &str, at_ms: i64) -> Result<(), String> {
    let path = reveal_path(journal);
    if read(&path).is_some() {
        return Ok(());
    }
    let note = Note {
        at_ms,
        by: by.to_owned(),
    };
    let text = serde_json::to_vec(&note).map_err(|error| error.to_string())?;
    write_private(&path, &text).map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

fn read(path: &Path) -> Option<Note> {
    let mut text = Vec::new();
    let file = File::open(path).ok()?;
    file.take(MAX_BYTES).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// A review with the reveal that came after its drill.
#[must_use]
pub fn with_reveal(mut review: Review) -> Review {
    let noted = review.journal.as_deref().map(reveal_path);
    let noted = noted.filter(|_| review.scene.seal.is_sealed());
    if let Some(Note { at_ms, by }) = noted.and_then(|path| read(&path)) {
        let scene = Arc::make_mut(&mut review.scene);
        let at = At {
            wall_ms: at_ms,
            ..scene.now
        };
        scene.seal = Seal::Revealed { at, by };
    }
    review
}
