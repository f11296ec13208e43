//! A plan's file: read with a limit, written whole, never over a newer one unasked.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use firedrill_plan::MAX_BYTES;

/// Why a plan's file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    /// The file on disk is not the one that was read.
    #[error("{path} was changed on disk since it was read here; save over it, or save under another name", path = .0.display())]
    Newer(PathBuf),
    /// The disk.
    #[error("{path} cannot be {what}: {source}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// `read` or `written`.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Reads a plan's text.
pub fn read_plan(path: &Path) -> Result<String, PlanFileError> {
    let failed = |source| PlanFileError::Io {
        path: path.to_owned(),
        what: "read",
        source,
    };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(MAX_BYTES as u64 + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() > MAX_BYTES {
        let why = format!("it is longer than {MAX_BYTES} bytes, which no plan is");
        return Err(failed(io::Error::other(why)));
    }
    Ok(text)
}

/// Writes a plan's text: a new file beside it, fsync, rename. `known` is the text that was read or saved last;
/// another text on disk is newer, and is only written over with `over_newer`.
pub fn save_plan(
    path: &Path,
    text: &str,
    known: Option<&str>,
    over_newer: bool,
) -> Result<(), PlanFileError> {
    if let Some(known) = known
        && !over_newer
        && is_newer(path, known)
    {
        return Err(PlanFileError::Newer(path.to_owned()));
    }
    write(path, text).map_err(|source| PlanFileError::Io {
        path: path.to_owned(),
        what: "written",
        source,
    })
}

/// Whether the file has another text than the one that is known. A file that is gone or unreadable is not newer.
pub fn is_newer(path: &Path, known: &str) -> bool {
    read_plan(path).is_ok_and(|text| text != known)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    // A link stays one: what it points to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}.new", std::process::id()));
    let result = fs::File::create(&beside).and_then(|mut file| {
        if let Ok(old) = fs::metadata(&path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let result = result.and_then(|()| fs::rename(&beside, &path));
    if result.is_err() {
        // Half a file is of no use; the error says enough.
        fs::remove_file(&beside).ok();
    }
    result?;
    // The name is on disk too. Folders cannot be opened everywhere.
    if let Ok(folder) = fs::File::open(folder) {
        folder.sync_all().ok();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_over_a_newer_file_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.toml");
        save_plan(&path, "a", None, false).unwrap();
        save_plan(&path, "b", Some("a"), false).unwrap();
        fs::write(&path, "by somebody else").unwrap();
        let refused = save_plan(&path, "c", Some("b"), false).unwrap_err();
        assert!(matches!(refused, PlanFileError::Newer(_)), "{refused}");
        assert_eq!(read_plan(&path).unwrap(), "by somebody else");
        save_plan(&path, "c", Some("b"), true).unwrap();
        assert_eq!(read_plan(&path).unwrap(), "c");
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_that_is_no_plan_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.toml");
        assert!(read_plan(&path).is_err());
        fs::write(&path, vec![b'#'; MAX_BYTES + 1]).unwrap();
        assert!(read_plan(&path).unwrap_err().to_string().contains("longer than"));
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(read_plan(&path).is_err());
        assert!(save_plan(&folder.path().join("no/such/plan.toml"), "x", None, false).is_err());
    }
}
