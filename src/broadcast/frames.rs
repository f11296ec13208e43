//! What host and watcher say to each other: a line of JSON each, after some of the host's so many bytes as it says.

use firedrill_scene::{Look, Part, Role, Wish};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Of this protocol.
pub(crate) const VERSION: u32 = 1;
/// Longest line of a watcher, bytes.
pub(crate) const WATCHER_LINE: usize = 16 * 1024;
/// Longest line of a host, bytes.
pub(crate) const HOST_LINE: usize = 256 * 1024;
/// Longest name of a watcher, and longest text of a wish, letters.
pub(crate) const NAME: usize = 80;
pub(crate) const TEXT: usize = 2_000;

/// How much of which drill a watcher has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Have {
    /// The drill.
    pub(crate) drill: String,
    /// Whole records.
    pub(crate) records: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// The hash of the last one; empty where nothing is chained: of symptoms.
    pub(crate) hash: String,
}

/// From a watcher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "frame", rename_all = "snake_case")]
pub(crate) enum FromWatcher {
    /// The first line.
    Hello {
        version: u32,
        token: String,
        name: String,
        #[serde(default)]
        have: Option<Have>,
    },
    /// Something that is done once, however often it is sent.
    Wish { id: String, drill: String, wish: Wish },
    /// ABORT. Of the drill that was seen; without one: of whatever is on.
    Abort { id: String, drill: Option<String> },
    /// It is still there.
    Ping,
}

/// From a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "frame", rename_all = "snake_case")]
pub(crate) enum FromHost {
    /// The token fits.
    Welcome {
        version: u32,
        role: Role,
        console: String,
    },
    /// It does not, or there is no room.
    Refused { why: String, again: bool },
    /// What follows is of this drill: from the beginning, or from where the watcher left off.
    Drill {
        id: Option<String>,
        part: Part,
        resumed: bool,
    },
    /// So many bytes of whole lines follow.
    Lines { bytes: usize },
    /// As everything stands.
    Look { look: Box<Look> },
    /// A wish or an abort arrived: done, or why not.
    Ack { id: String, refused: Option<String> },
    /// Nothing follows.
    Bye { why: String },
    /// It is still there.
    Ping,
}

/// Writes one, with what follows it.
pub(crate) async fn write<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    frame: &T,
    then: &[u8],
) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(frame).map_err(std::io::Error::other)?;
    line.push(b'\n');
    line.extend_from_slice(then);
    to.write_all(&line).await?;
    to.flush().await
}

/// Reads one. `None`: the other side has ended.
///
/// Not to be dropped half way: what was read of a line is in `line` until the next call.
pub(crate) async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
    limit: usize,
) -> std::io::Result<Option<T>> {
    let left = (limit + 1).saturating_sub(line.len()) as u64;
    let mut limited = from.take(left);
    limited.read_until(b'\n', line).await?;
    if line.last() != Some(&b'\n') {
        let ended = line.len() <= limit;
        line.clear();
        return if ended {
            Ok(None)
        } else {
            Err(std::io::Error::other("a line was longer than any that is sent"))
        };
    }
    // Without the parser's words: they may quote a token.
    let read = serde_json::from_slice(line)
        .map_err(|_| std::io::Error::other("a line of it is none of this version's"));
    line.clear();
    read.map(Some)
}
