//! A file that grows, or bytes that do: read from where a watcher left off, whole lines only.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
    sync::Arc,
};

use parking_lot::Mutex;

use crate::frames::Have;

/// Bytes of one piece, unless a single line is longer.
const PIECE: usize = 64 * 1024;
/// Before a hash of a record, and after it.
const BEFORE: &str = ",\"hash\":\"";
const AFTER: &str = "\"}\n";

/// Lines that only ever grow.
#[derive(Clone, Debug)]
pub(crate) enum Lines {
    /// A journal.
    File(Arc<Path>),
    /// Made by the host.
    Made(Arc<Mutex<Vec<u8>>>),
}

impl Lines {
    /// The whole lines from `offset` on, about [`PIECE`] bytes of them; nothing: none yet. Blocks.
    pub(crate) fn piece(&self, offset: u64) -> io::Result<Vec<u8>> {
        let mut read = match self {
            Self::File(path) => from_file(path, offset)?,
            Self::Made(made) => {
                let made = made.lock();
                let rest = made.get(offset as usize..).unwrap_or_default();
                let end = rest.len().min(PIECE);
                let whole = rest[..end].iter().rposition(|byte| *byte == b'\n');
                rest[..whole.map_or(0, |it| it + 1)].to_vec()
            }
        };
        let whole = read.iter().rposition(|byte| *byte == b'\n');
        read.truncate(whole.map_or(0, |it| it + 1));
        Ok(read)
    }

    /// Whether a watcher's records are the first ones of these lines. Blocks.
    pub(crate) fn begin_with(&self, have: &Have) -> bool {
        match self {
            Self::Made(made) => {
                let made = made.lock();
                let have = have.bytes as usize;
                have == 0 || made.get(have - 1) == Some(&b'\n')
            }
            Self::File(path) => has_hash(path, have).unwrap_or(false),
        }
    }
}

fn from_file(path: &Path, offset: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut read = Vec::with_capacity(PIECE);
    let mut limit = PIECE;
    // A line that is longer than a piece: a plan's.
    while limit <= 2 * firedrill_journal::MAX_LINE_BYTES {
        (&file).take((limit - read.len()) as u64).read_to_end(&mut read)?;
        if read.contains(&b'\n') || read.len() < limit {
            return Ok(read);
        }
        limit *= 4;
    }
    Err(io::Error::other(
        "a line of the journal is longer than any that is written",
    ))
}

/// The chain's hash stands at the end of the watcher's last record: all before it is the same then.
fn has_hash(path: &Path, have: &Have) -> io::Result<bool> {
    if have.bytes == 0 {
        return Ok(true);
    }
    let tail = format!("{BEFORE}{}{AFTER}", have.hash);
    let Some(start) = have.bytes.checked_sub(tail.len() as u64) else {
        return Ok(false);
    };
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut found = vec![0; tail.len()];
    match file.read_exact(&mut found) {
        Ok(()) => Ok(found == tail.as_bytes()),
        // It is shorter: another one.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn only_whole_lines_are_given_from_wherever_it_is_asked() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "one\ntwo\nthr").unwrap();
        let lines = Lines::File(file.path().into());
        assert_eq!(lines.piece(0).unwrap(), b"one\ntwo\n");
        assert_eq!(lines.piece(4).unwrap(), b"two\n");
        assert_eq!(lines.piece(8).unwrap(), b"");
        writeln!(file, "ee").unwrap();
        assert_eq!(lines.piece(8).unwrap(), b"three\n");
        let made = Lines::Made(Arc::new(Mutex::new(b"a\nb\nc".to_vec())));
        assert_eq!(made.piece(2).unwrap(), b"b\n");
        assert_eq!(made.piece(99).unwrap(), b"");
    }

    #[test]
    fn a_line_longer_than_a_piece_comes_whole() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let long = "x".repeat(5 * PIECE);
        write!(file, "{long}\nnext\n").unwrap();
        let read = Lines::File(file.path().into()).piece(0).unwrap();
        assert!(read.starts_with(format!("{long}\n").as_bytes()));
    }

    #[test]
    fn another_journal_is_known_by_its_hash() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let text = format!("{{\"seq\":0{BEFORE}{a}{AFTER}{{\"seq\":1{BEFORE}{b}{AFTER}");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "{text}").unwrap();
        let lines = Lines::File(file.path().into());
        let have = |bytes: usize, hash: &str| Have {
            bytes: bytes as u64,
            hash: hash.to_owned(),
            ..Have::default()
        };
        let first = text.find('\n').unwrap() + 1;
        assert!(lines.begin_with(&have(0, "")));
        assert!(lines.begin_with(&have(first, &a)) && lines.begin_with(&have(text.len(), &b)));
        assert!(!lines.begin_with(&have(first, &b)) && !lines.begin_with(&have(first + 1, &a)));
        assert!(!lines.begin_with(&have(text.len() + 100, &b)));
    }
}
