//! Records to lines and back. Pure.

use std::{collections::VecDeque, fmt::Write as _};

use firedrill_drill::{At, Entry, Stamped};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

/// Longest line. A plan has at most 1 MiB, which JSON may write six times as long.
pub const MAX_LINE_BYTES: usize = 8 << 20;

/// The key that [`Entry`] is tagged by; a record calls it `kind`.
const TAG: &str = "entry";

/// The kind of the last record.
const CLOSED: &str = "closed";

/// `,"hash":"` + 64 hex digits + `"}`.
const HASH_KEY: &str = ",\"hash\":\"";
const HASH_DIGITS: usize = 64;
const TAIL_BYTES: usize = HASH_KEY.len() + HASH_DIGITS + 2;

/// A record without its hash, as read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadRecord<'a> {
    seq: u64,
    wall_ms: i64,
    mono_us: u64,
    kind: String,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// What the closing record says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Closing {
    /// Records before it.
    records: u64,
    /// The chain's hash before it.
    chain: String,
}

/// Why an entry cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Not expressible in JSON.
    #[error("record {seq} cannot be written as JSON: {source}")]
    Json {
        /// Which.
        seq: u64,
        /// Why.
        source: serde_json::Error,
    },
    /// Longer than [`MAX_LINE_BYTES`].
    #[error("record {seq} has {bytes} bytes, a line has at most {MAX_LINE_BYTES}")]
    TooLong {
        /// Which.
        seq: u64,
        /// How long.
        bytes: usize,
    },
    /// Not tagged by its kind: a defect of this build.
    #[error("record {seq} does not say of what kind it is")]
    Untagged {
        /// Which.
        seq: u64,
    },
    /// The closing record is written.
    #[error("the journal is closed; nothing follows its closing record")]
    Closed,
}

/// Makes the lines of one journal, one after the other.
#[derive(Clone, Debug)]
pub struct Encoder {
    seq: u64,
    hash: String,
    closed: bool,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// For an empty journal.
    pub fn new() -> Self {
        Self {
            seq: 0,
            hash: "0".repeat(HASH_DIGITS),
            closed: false,
        }
    }

    /// The chain's hash so far, in hex.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// How many records there are.
    pub fn records(&self) -> u64 {
        self.seq
    }

    /// The next line, with its newline.
    pub fn encode(&mut self, stamped: &Stamped) -> Result<String, EncodeError> {
        let json = |source| EncodeError::Json {
            seq: self.seq,
            source,
        };
        let entry = serde_json::to_string(&stamped.entry).map_err(json)?;
        let (kind, fields) = tagged(&entry).ok_or(EncodeError::Untagged { seq: self.seq })?;
        self.line(stamped.at, kind, fields)
    }

    /// The closing record; nothing follows it.
    pub fn seal(&mut self, at: At) -> Result<String, EncodeError> {
        let closing = Closing {
            records: self.seq,
            chain: self.hash.clone(),
        };
        let seq = self.seq;
        let payload = serde_json::to_string(&closing).map_err(|source| EncodeError::Json { seq, source })?;
        let line = self.line(at, CLOSED, &payload[1..])?;
        self.closed = true;
        Ok(line)
    }

    /// `fields`: the payload as JSON without its opening brace.
    fn line(&mut self, at: At, kind: &str, fields: &str) -> Result<String, EncodeError> {
        if self.closed {
            return Err(EncodeError::Closed);
        }
        let (seq, At { wall_ms, mono_us }) = (self.seq, at);
        let mut line = format!(
            "{{\"seq\":{seq},\"wall_ms\":{wall_ms},\"mono_us\":{mono_us},\"kind\":\"{kind}\",\"payload\":{{{fields}}}"
        );
        let bytes = line.len() + TAIL_BYTES;
        if bytes > MAX_LINE_BYTES {
            return Err(EncodeError::TooLong { seq, bytes });
        }
        let hash = chain(&self.hash, line.as_bytes());
        line.pop();
        line.push_str(HASH_KEY);
        line.push_str(&hash);
        line.push_str("\"}\n");
        self.hash = hash;
        self.seq += 1;
        Ok(line)
    }
}

/// An entry's kind, and its other fields as JSON without the opening brace. A tag is written first.
fn tagged(entry: &str) -> Option<(&str, &str)> {
    let rest = entry
        .strip_prefix("{\"")?
        .strip_prefix(TAG)?
        .strip_prefix("\":\"")?;
    let (kind, rest) = rest.split_once('"')?;
    Some((kind, rest.strip_prefix(',').unwrap_or(rest)))
}

/// The hash of a record: over the one before and the line without its own.
fn chain(before: &str, body: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before.as_bytes());
    hasher.update(body);
    hasher.finalize().to_hex().to_string()
}

/// A journal as read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Journal {
    /// Every entry up to the first thing that is wrong.
    pub entries: Vec<Stamped>,
    /// The closing record is there and right.
    pub sealed: bool,
    /// The hash of the last record that is right, in hex; of a sealed journal, its closing hash.
    pub hash: String,
    /// The last line is not whole and was cut off.
    pub torn: Option<Torn>,
    /// The chain is broken: nothing from there on is believed.
    pub broken: Option<Broken>,
}

/// A last line that is not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Its number, from 1.
    pub line: usize,
    /// How many bytes were cut off.
    pub bytes: usize,
}

/// A line that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl Journal {
    /// Whether all of it is there, as it was written; in words what is not.
    pub fn whole(&self) -> Result<(), String> {
        if let Some(Broken { line, why }) = &self.broken {
            return Err(format!(
                "the chain is broken at line {line}: {why}; nothing from there on is believed"
            ));
        }
        if let Some(Torn { line, bytes }) = &self.torn {
            return Err(format!(
                "line {line} is torn: its {bytes} bytes were cut off; the drill was cut short while it was written"
            ));
        }
        if !self.sealed {
            return Err(
                "unsealed: there is no closing record: the drill was cut short, or it still runs".to_owned(),
            );
        }
        Ok(())
    }
}

/// What agents were given with their closing: index in the plan, and the hash, which their audit logs keep.
pub fn handed(journal: &Journal) -> Vec<(usize, &str)> {
    let given = journal.entries.iter().filter_map(|it| match &it.entry {
        Entry::Handed { agent, hash } => Some((*agent, hash.as_str())),
        _ => None,
    });
    given.collect()
}

/// Reads a whole journal, however it looks.
pub fn decode(bytes: &[u8]) -> Journal {
    let mut decoder = Decoder::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if !decoder.line(line) {
            break;
        }
    }
    decoder.finish()
}

/// Reads line by line, also while the journal grows: what it has read can be taken out on the way.
pub struct Decoder {
    journal: Journal,
    lines: usize,
    /// Whole records so far, the closing one not among them.
    records: u64,
    /// The newest hashes of the chain: a hash that was given to an agent is one of them.
    recent: VecDeque<String>,
}

/// So many records may stand between a hash and the record that it was given away.
const RECENT: usize = 64;

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// At the beginning of a journal.
    pub fn new() -> Self {
        let mut journal = Journal::default();
        Encoder::new().hash().clone_into(&mut journal.hash);
        Self {
            journal,
            lines: 0,
            records: 0,
            recent: VecDeque::new(),
        }
    }

    /// One line with its newline, or the rest of the file. Whether more is wanted; if not, [`Self::journal`] says why.
    pub fn line(&mut self, line: &[u8]) -> bool {
        if line.len() > MAX_LINE_BYTES {
            self.too_long();
            return false;
        }
        self.lines += 1;
        let Some(text) = line.strip_suffix(b"\n") else {
            self.journal.torn = Some(Torn {
                line: self.lines,
                bytes: line.len(),
            });
            return false;
        };
        match self.record(text) {
            Ok(()) => true,
            Err(why) => {
                self.break_off(why);
                false
            }
        }
    }

    /// A line that is longer than any that is written.
    pub(crate) fn too_long(&mut self) {
        self.lines += 1;
        self.break_off(format!("it has more than {MAX_LINE_BYTES} bytes"));
    }

    fn break_off(&mut self, why: String) {
        self.journal.sealed = false;
        self.journal.broken = Some(Broken {
            line: self.lines,
            why,
        });
    }

    /// What was read and not taken, with how far the chain holds.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// How many whole records there were, the closing one not among them.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The entries since they were taken last.
    pub fn take(&mut self) -> Vec<Stamped> {
        std::mem::take(&mut self.journal.entries)
    }

    pub(crate) fn finish(self) -> Journal {
        self.journal
    }

    fn record(&mut self, line: &[u8]) -> Result<(), String> {
        if self.journal.sealed {
            return Err("something follows the closing record".to_owned());
        }
        let (body, hash) = split(line)?;
        if chain(&self.journal.hash, body.as_bytes()) != hash {
            return Err("its hash does not fit the line and the one before".to_owned());
        }
        let read: ReadRecord =
            serde_json::from_str(&body).map_err(|error| format!("it is not a record: {error}"))?;
        let at = At {
            mono_us: read.mono_us,
            wall_ms: read.wall_ms,
        };
        let due = self.records;
        if read.seq != due {
            return Err(format!("it has the number {}, {due} is due", read.seq));
        }
        if read.kind == CLOSED {
            self.close(read.payload, due)?;
        } else {
            let entry = entry(&read.kind, read.payload)?;
            if let Entry::Handed { hash, .. } = &entry
                && !self.recent.contains(hash)
            {
                return Err("the hash that was given to an agent is not of this journal".to_owned());
            }
            self.journal.entries.push(Stamped { at, entry });
            self.records += 1;
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(hash.clone());
        self.journal.hash = hash;
        Ok(())
    }

    fn close(&mut self, payload: &RawValue, records: u64) -> Result<(), String> {
        let closing: Closing =
            serde_json::from_str(payload.get()).map_err(|error| format!("a bad closing record: {error}"))?;
        if closing.records != records || closing.chain != self.journal.hash {
            return Err("the closing record is of another journal".to_owned());
        }
        self.journal.sealed = true;
        Ok(())
    }
}

/// The line without its hash, and the hash.
fn split(line: &[u8]) -> Result<(String, String), String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
    let without = || "it has no hash at its end".to_owned();
    let place = text.len().checked_sub(TAIL_BYTES).ok_or_else(without)?;
    let (body, tail) = text.split_at_checked(place).ok_or_else(without)?;
    let hash = tail.strip_prefix(HASH_KEY).and_then(|it| it.strip_suffix("\"}"));
    let hash = hash.ok_or_else(without)?;
    let mut whole = String::with_capacity(body.len() + 1);
    write!(whole, "{body}}}").map_err(|error| error.to_string())?;
    Ok((whole, hash.to_owned()))
}

fn entry(kind: &str, payload: &RawValue) -> Result<Entry, String> {
    let fields = payload.get().strip_prefix('{').map(str::trim_start);
    let fields = fields.ok_or("its payload is no object")?;
    let comma = if fields.starts_with('}') { "" } else { "," };
    let tag = Value::from(kind);
    serde_json::from_str(&format!("{{\"{TAG}\":{tag}{comma}{fields}")).map_err(|error| {
        format!("a record of kind `{kind}` cannot be read: {error}; was it written by a newer release?")
    })
}
