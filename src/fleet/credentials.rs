//! Agents' tokens and certificates by URL, in a file of their own that only its owner may read.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use firedrill_trust::{Fingerprint, Join};
use serde::{Deserialize, Serialize};

/// Larger files are not ours.
const MAX_BYTES: u64 = 1024 * 1024;

/// A bearer token. Never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// From its text; surrounding space is not part of it.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The text, for the header and nothing else.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What is known for one agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// For every call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<Token>,
    /// For aborts alone; it stands on the abort card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    abort_token: Option<Token>,
    /// The certificate it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pin: Option<Fingerprint>,
    /// Where aborts go, if not to the next port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    abort_port: Option<u16>,
}

/// What lets us in at one agent, and what it is known by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The token to show.
    pub token: Option<Token>,
    /// The certificate to accept; none: no TLS.
    pub pin: Option<Fingerprint>,
}

/// Agents' tokens by URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    agents: BTreeMap<String, Entry>,
}

/// Why the file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The disk.
    #[error("the credentials file {path} cannot be {what}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// `read` or `written`.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read it.
    #[error("the credentials file {path} can be read by others (mode {mode:03o}); run: chmod 600 {path}")]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is not what we wrote.
    #[error(
        "the credentials file {path} is not one: {why}; mend it, or remove it and enter the tokens again under Fleet"
    )]
    Form {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl Credentials {
    /// Reads the file; a missing one is empty.
    pub fn load(path: &Path) -> Result<Self, CredentialsError> {
        let failed = |source| CredentialsError::Io {
            path: path.to_owned(),
            what: "read",
            source,
        };
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(error)),
        };
        check_mode(path, &file).map_err(|error| error.unwrap_or_else(failed))?;
        let mut text = String::new();
        file.take(MAX_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(failed)?;
        let form = |why: String| CredentialsError::Form {
            path: path.to_owned(),
            why,
        };
        if text.len() as u64 > MAX_BYTES {
            return Err(form("it is larger than 1 MiB".to_owned()));
        }
        // The parser's words may quote what it found, which may be a token: the place is enough.
        let agents = serde_json::from_str::<BTreeMap<String, Entry>>(&text)
            .map_err(|error| form(format!("line {}, column {}", error.line(), error.column())))?;
        Ok(Self { agents })
    }

    /// Writes the file whole (a new file, fsync, rename), readable by its owner alone.
    pub fn save(&self, path: &Path) -> Result<(), CredentialsError> {
        let text = serde_json::to_string_pretty(&self.agents).unwrap_or_default();
        write_private(path, text.as_bytes()).map_err(|source| CredentialsError::Io {
            path: path.to_owned(),
            what: "written",
            source,
        })
    }

    /// The token for every call to this agent.
    pub fn token(&self, url: &str) -> Option<&Token> {
        self.agents.get(&key(url))?.token.as_ref()
    }

    /// The token for aborts alone; where none is known, the one for every call.
    pub fn abort_token(&self, url: &str) -> Option<&Token> {
        let entry = self.agents.get(&key(url))?;
        entry.abort_token.as_ref().or(entry.token.as_ref())
    }

    /// For every call to this agent.
    pub fn access(&self, url: &str) -> Access {
        Access {
            token: self.token(url).cloned(),
            pin: self.pin(url),
        }
    }

    /// The certificate that this agent shows.
    pub fn pin(&self, url: &str) -> Option<Fingerprint> {
        self.agents.get(&key(url))?.pin
    }

    /// Where this agent takes aborts, if not at the next port.
    pub fn abort_port(&self, url: &str) -> Option<u16> {
        self.agents.get(&key(url))?.abort_port
    }

    /// Takes in all that a join string says; what was known of this address before is forgotten.
    pub fn enroll(&mut self, join: &Join) {
        let entry = Entry {
            token: Some(Token::new(&join.token)),
            abort_token: Some(Token::new(&join.abort_token)),
            pin: join.pin,
            abort_port: Some(join.abort_port),
        };
        self.agents.insert(key(&join.url()), entry);
    }

    /// Sets the token for every call.
    pub fn set_token(&mut self, url: &str, token: Token) {
        self.agents.entry(key(url)).or_default().token = Some(token);
    }

    /// Sets the token for aborts alone.
    pub fn set_abort_token(&mut self, url: &str, token: Token) {
        self.agents.entry(key(url)).or_default().abort_token = Some(token);
    }
}

/// One spelling for one address.
fn key(url: &str) -> String {
    url.trim().trim_end_matches('/').to_ascii_lowercase()
}

/// Writes a file whole that only its owner may read: a new file beside it, fsync, rename. Used for everything
/// that holds a token.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}", std::process::id()));
    let written = create_private(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&beside, path));
    if renamed.is_err() {
        // The half-written file is of no use; that it cannot be removed either adds nothing to the error.
        fs::remove_file(&beside).ok();
    }
    renamed
}

#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    // A left-over of a crash may have another mode.
    fs::remove_file(path).ok();
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
}

#[cfg(unix)]
fn check_mode(path: &Path, file: &fs::File) -> Result<(), Result<CredentialsError, io::Error>> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata().map_err(Err)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Ok(CredentialsError::Open {
            path: path.to_owned(),
            mode,
        }));
    }
    Ok(())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature as on unix")]
fn check_mode(_path: &Path, _file: &fs::File) -> Result<(), Result<CredentialsError, io::Error>> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_and_are_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/credentials.json");
        assert_eq!(Credentials::load(&path).unwrap(), Credentials::default());
        let mut credentials = Credentials::default();
        credentials.set_token("http://127.0.0.1:7431/", Token::new(" s3cret\n"));
        credentials.save(&path).unwrap();
        let read = Credentials::load(&path).unwrap();
        assert_eq!(read.token("HTTP://127.0.0.1:7431").unwrap().secret(), "s3cret");
        assert_eq!(
            read.abort_token("http://127.0.0.1:7431").unwrap().secret(),
            "s3cret"
        );
        assert!(!format!("{read:?}").contains("s3cret"));
        assert!(read.token("http://127.0.0.1:7432").is_none());
    }

    #[test]
    fn an_enrolled_agent_is_known_by_its_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials.json");
        let join = Join {
            name: "db".to_owned(),
            host: "Db.internal".to_owned(),
            port: 7431,
            abort_port: 9000,
            pin: Some(Fingerprint::of(b"certificate")),
            token: "s3cret".to_owned(),
            abort_token: "s3cret-too".to_owned(),
            role: None,
        };
        let mut credentials = Credentials::default();
        credentials.set_token("https://db.internal:7431", Token::new("old"));
        credentials.enroll(&join);
        credentials.save(&path).unwrap();
        let read = Credentials::load(&path).unwrap();
        let access = read.access("https://db.internal:7431/");
        assert_eq!((access.token.unwrap().secret(), access.pin), ("s3cret", join.pin));
        assert_eq!(
            read.abort_token("https://db.internal:7431").unwrap().secret(),
            "s3cret-too"
        );
        assert_eq!(read.abort_port("https://db.internal:7431"), Some(9000));
        assert_eq!(read.access("http://db.internal:7431"), Access::default());
        assert!(!format!("{read:?}").contains("s3cret"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials.json");
        Credentials::default().save(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = Credentials::load(&path).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }

    #[test]
    fn a_mangled_file_is_said_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials.json");
        write_private(&path, b"{\"http://a\": \"s3cret\"}").unwrap();
        let refused = Credentials::load(&path).unwrap_err().to_string();
        assert!(
            refused.contains("line 1") && !refused.contains("s3cret"),
            "{refused}"
        );
    }
}
