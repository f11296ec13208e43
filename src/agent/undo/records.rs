//! The folder of records: `undo/` in the state folder, one file each.
//!
//! A file is a line of JSON and the line's hash, put in place by a rename after an fsync: it is there whole or
//! not at all. One that cannot be read is set aside, told, and never guessed at.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use firedrill_ward::Key;

use super::{Here, Record, Undone};
use crate::state::{keep, read_small};

/// Most records; the ward has fewer injections at once.
const MAX_RECORDS: usize = 1_024;

/// Largest record, in bytes.
const MAX_RECORD_BYTES: usize = 64 * 1024;

/// The records of one state folder.
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    /// Where they are run.
    pub here: Here,
}

/// What the folder holds.
#[derive(Debug, Default)]
pub struct Found {
    /// Those that can be read, by epoch and name.
    pub records: Vec<Record>,
    /// Those that cannot, and why.
    pub unreadable: Vec<(PathBuf, String)>,
}

impl Records {
    /// The records in an agent's state folder. Makes the folder of them if it is not there.
    pub fn open(state: &Path) -> anyhow::Result<Self> {
        let records = Self::look(state)?;
        let made = DirBuilder::new().mode(0o700).create(&records.path);
        if let Err(error) = made
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error).with_context(|| format!("cannot make {}", records.path.display()));
        }
        Ok(records)
    }

    /// The same without making anything.
    pub fn look(state: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            path: state.join("undo"),
            here: Here::new(state)?,
        })
    }

    fn file(&self, key: &Key) -> PathBuf {
        self.path.join(name(key))
    }

    /// Puts a record on disk, in place of a former one of the same injection. It is durable when this returns.
    pub fn write(&self, record: &Record) -> anyhow::Result<()> {
        let mut text = serde_json::to_string(record)?;
        if text.len() > MAX_RECORD_BYTES {
            bail!("the undo record of {} has {} bytes", record.key.id, text.len());
        }
        let hash = blake3::hash(text.as_bytes()).to_hex();
        text.push('\n');
        text.push_str(&hash);
        text.push('\n');
        keep(&self.path, &name(&record.key), text.as_bytes())
    }

    /// Forgets a record. Should it be there again after a crash, it is run again, to no harm.
    pub fn remove(&self, key: &Key) {
        let path = self.file(key);
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::error!(path = %path.display(), %error, "an undo record cannot be removed");
        }
    }

    /// The record of one injection, if there is one that can be read.
    pub fn of(&self, key: &Key) -> Option<Record> {
        read(&self.file(key)).ok()
    }

    /// All of them.
    pub fn find(&self) -> anyhow::Result<Found> {
        let entries = match std::fs::read_dir(&self.path) {
            Ok(entries) => entries,
            // The folder is gone, or was never made.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::default()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", self.path.display())),
        };
        let mut found = Found::default();
        for entry in entries.take(2 * MAX_RECORDS) {
            let path = entry?.path();
            if path.extension().is_none_or(|it| it != "json") {
                continue;
            }
            match read(&path) {
                Ok(record) => found.records.push(record),
                Err(error) => found.unreadable.push((path, format!("{error:#}"))),
            }
        }
        found.records.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    /// Runs those that `wanted` names and nobody has seen gone, and notes on disk which are gone now. What came
    /// of each.
    pub fn run(&self, wanted: impl Fn(&Record) -> bool) -> anyhow::Result<Vec<(Record, Undone)>> {
        let mut results = Vec::new();
        let open = self.find()?.records.into_iter();
        for mut record in open.filter(|it| it.undone.is_none() && wanted(it)) {
            let undone = record.run(&self.here);
            if undone.gone {
                record.undone = Some(undone.words.clone());
                if let Err(error) = self.write(&record) {
                    // The next one finds it gone too.
                    tracing::warn!("{error:#}");
                }
            }
            results.push((record, undone));
        }
        Ok(results)
    }

    /// Sets those aside that cannot be read, for whoever wants to know what was on. Why, of each.
    pub fn set_aside(&self) -> anyhow::Result<Vec<String>> {
        let mut told = Vec::new();
        for (path, why) in self.find()?.unreadable {
            let aside = path.with_extension("unreadable");
            std::fs::rename(&path, &aside).with_context(|| format!("cannot set {} aside", path.display()))?;
            told.push(format!("{} ({why})", aside.display()));
        }
        Ok(told)
    }
}

/// The file of an injection's record. Names from the wire may be any text, a file's may not.
fn name(key: &Key) -> String {
    let id = blake3::hash(key.id.as_str().as_bytes()).to_hex();
    format!("{}-{}.json", key.epoch.0, &id[..16])
}

fn read(path: &Path) -> anyhow::Result<Record> {
    let text = read_small(path)?;
    let mut lines = text.lines();
    let (line, hash) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    if blake3::hash(line.as_bytes()).to_hex().as_str() != hash {
        bail!("its hash does not match: it was changed or cut");
    }
    Ok(serde_json::from_str(line)?)
}
