//! The same on files.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
};

use firedrill_drill::{At, Stamped};

use crate::{EncodeError, Encoder, Journal, MAX_LINE_BYTES, codec::Decoder};

/// Largest journal that is read: a day of 64 SLIs at 1 Hz has about half a gigabyte.
pub const MAX_FILE_BYTES: u64 = 4 << 30;

/// What went wrong with a journal's file, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk or the system refused.
    #[error("cannot {doing} the journal {}: {source}; {}", path.display(), remedy(source))]
    Io {
        /// `create`, `write to`, `read`.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The entry cannot be written.
    #[error("cannot write to the journal {}: {source}", path.display())]
    Encode {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: EncodeError,
    },
    /// An earlier write failed.
    #[error("the journal {} was given up after a write failed; a journal with a hole would not replay", path.display())]
    GivenUp {
        /// Which file.
        path: PathBuf,
    },
    /// Too large to be read.
    #[error("the journal {} has {bytes} bytes, at most {MAX_FILE_BYTES} are read; is it a journal?", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// How large.
        bytes: u64,
    },
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "free some space there or choose another folder, then begin again"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "give this account the right to it or choose another folder"
        }
        io::ErrorKind::AlreadyExists => "journals are never overwritten: choose another name",
        io::ErrorKind::NotFound => "see whether the path is right and its folder is there",
        _ => "see whether the disk is well",
    }
}

/// Appends to one new journal.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
    encoder: Encoder,
    /// Bytes of whole records.
    good_bytes: u64,
    failed: bool,
    /// Written, but not yet known to be on disk.
    unsynced: bool,
}

impl Writer {
    /// A new file, for its owner's eyes only; an existing one is never touched.
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        let failed = |source| JournalError::Io {
            doing: "create",
            path: path.to_owned(),
            source,
        };
        let mut options = OpenOptions::new();
        options.append(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let file = options.open(path).map_err(failed)?;
        sync_folder(path).map_err(failed)?;
        Ok(Self {
            file,
            path: path.to_owned(),
            encoder: Encoder::new(),
            good_bytes: 0,
            failed: false,
            unsynced: false,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The chain's hash so far, in hex.
    pub fn hash(&self) -> &str {
        self.encoder.hash()
    }

    /// Appends one record; with `durable`, this and all before it are on disk when it returns.
    pub fn append(&mut self, stamped: &Stamped, durable: bool) -> Result<(), JournalError> {
        self.check()?;
        let line = self.encoder.encode(stamped);
        self.write(line, durable)
    }

    /// Everything written so far is on disk when it returns.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.check()?;
        if !self.unsynced {
            return Ok(());
        }
        match self.file.sync_data() {
            Ok(()) => {
                self.unsynced = false;
                Ok(())
            }
            Err(source) => Err(self.give_up(source)),
        }
    }

    /// Writes the closing record and gives back the closing hash, in hex.
    pub fn seal(mut self, at: At) -> Result<String, JournalError> {
        self.check()?;
        let line = self.encoder.seal(at);
        self.write(line, true)?;
        Ok(self.encoder.hash().to_owned())
    }

    fn check(&self) -> Result<(), JournalError> {
        if self.failed {
            let path = self.path.clone();
            return Err(JournalError::GivenUp { path });
        }
        Ok(())
    }

    fn write(&mut self, line: Result<String, EncodeError>, durable: bool) -> Result<(), JournalError> {
        let line = match line {
            Ok(line) => line,
            Err(source) => {
                self.failed = true;
                let path = self.path.clone();
                return Err(JournalError::Encode { path, source });
            }
        };
        if let Err(source) = self.file.write_all(line.as_bytes()) {
            return Err(self.give_up(source));
        }
        self.good_bytes += line.len() as u64;
        self.unsynced = true;
        if durable { self.sync() } else { Ok(()) }
    }

    /// What a failed write left of its line is taken away, if the disk lets us; a reader cuts it off else.
    fn give_up(&mut self, source: io::Error) -> JournalError {
        self.failed = true;
        let path = self.path.clone();
        let source = match self.file.set_len(self.good_bytes) {
            Ok(()) => source,
            Err(also) => io::Error::new(source.kind(), format!("{source}; its torn line stays: {also}")),
        };
        JournalError::Io {
            doing: "write to",
            path,
            source,
        }
    }
}

/// The file's name is on disk too.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Reads a journal, however it looks: `Err` only if the file cannot be read at all.
pub fn read(path: &Path) -> Result<Journal, JournalError> {
    let failed = |source| JournalError::Io {
        doing: "read",
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(JournalError::TooLarge {
            path: path.to_owned(),
            bytes,
        });
    }
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut decoder = Decoder::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = reader.by_ref().take(MAX_LINE_BYTES as u64 + 1);
        let length = limited.read_until(b'\n', &mut line).map_err(failed)?;
        if length == 0 {
            break;
        }
        if !decoder.line(&line) {
            break;
        }
    }
    Ok(decoder.finish())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use firedrill_drill::{Entry, Event};

    use super::*;

    /// `/dev/full` takes no byte, as a full disk.
    #[test]
    fn a_full_disk_is_said_with_its_remedy_and_the_journal_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.journal");
        let mut writer = Writer::create(&path).unwrap();
        let tick = Stamped {
            at: At::default(),
            entry: Entry::event(&Event::Tick),
        };
        writer.append(&tick, true).unwrap();
        writer.file = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let words = writer.append(&tick, true).unwrap_err().to_string();
        assert!(
            words.contains("d.journal") && words.contains("free some space"),
            "{words}"
        );
        let again = writer.append(&tick, true).unwrap_err();
        assert!(matches!(again, JournalError::GivenUp { .. }), "{again}");
        let journal = read(&path).unwrap();
        assert_eq!(journal.entries.len(), 1);
        assert!(journal.broken.is_none() && journal.torn.is_none() && !journal.sealed);
    }
}
