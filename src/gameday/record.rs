//! Lines of `events.jsonl`: written whole, read with whatever a crash left.

use crate::Record;

/// Largest `events.jsonl`, in bytes.
pub const MAX_LOG_BYTES: usize = 16 * 1024 * 1024;

/// Longest record, in bytes.
pub const MAX_EVENT_BYTES: usize = 64 * 1024;

/// What was read of `events.jsonl`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lines {
    /// Every record that could be read, in the order of the file.
    pub records: Vec<Record>,
    /// What could not, a sentence each.
    pub problems: Vec<String>,
    /// The last line has no end: a write was cut off. The next one begins on a new line.
    pub torn: bool,
}

/// Reads the file's bytes. A line that is no record is left out and said, wherever it is: a torn line stays in the
/// file, and what was appended after it counts.
pub fn lines(bytes: &[u8]) -> Lines {
    let mut read = Lines {
        torn: !bytes.is_empty() && !bytes.ends_with(b"\n"),
        ..Lines::default()
    };
    for (i, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        if line.len() > MAX_EVENT_BYTES {
            let problem = format!(
                "line {} is longer than {MAX_EVENT_BYTES} bytes and is left out",
                i + 1
            );
            read.problems.push(problem);
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(record) => read.records.push(record),
            Err(error) => {
                let problem = format!("line {} is no record and is left out: {error}", i + 1);
                read.problems.push(problem);
            }
        }
    }
    read
}

/// A record as a line, its end included. `Err`: it is too long, in words.
pub fn line(record: &Record) -> Result<String, String> {
    let mut line = serde_json::to_string(record).map_err(|error| error.to_string())?;
    line.push('\n');
    if line.len() > MAX_EVENT_BYTES {
        return Err(format!(
            "this is {} bytes long; at most {MAX_EVENT_BYTES} are kept",
            line.len()
        ));
    }
    Ok(line)
}
