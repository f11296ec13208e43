//! The state folder: who the agent is, what must outlive it, and who may talk to it.
//!
//! `id`, `durable.json`, `token`, `observer-token`, `abort-token`, `operators/`, `identity.pem`, `certificate.pem`,
//! `ready.json`, `audit.log`, `lock`, `agent.sock`; all for the owner only.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use firedrill_ward::Durable;
use firedrill_wire::AgentId;
use nix::fcntl::{Flock, FlockArg};

use crate::undo::Exactly;

/// Largest file that is read back, in bytes.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// The folder, held by one agent at a time.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    /// Held as long as the agent lives.
    _lock: Flock<File>,
}

impl StateFolder {
    /// Makes the folder if it is not there, and takes it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        make_private(path)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))
            .with_context(|| format!("cannot open the lock in {}", path.display()))?;
        match Flock::lock(lock, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                // For whoever looks at the host: who holds it.
                lock.set_len(0)?;
                lock.rewind()?;
                lock.write_all(&serde_json::to_vec(&Exactly::own()?)?)?;
                Ok(Self {
                    path: path.to_owned(),
                    _lock: lock,
                })
            }
            Err((_, error)) => bail!(
                "another agent uses the state folder {} ({error}); end it, or give this one a folder of its own with --state",
                path.display()
            ),
        }
    }

    /// The agent that took the folder last, whether or not it lives.
    pub fn holder(path: &Path) -> Option<Exactly> {
        serde_json::from_str(&read_small(&path.join("lock")).ok()?).ok()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The agent's id, made at its first start.
    pub fn agent_id(&self) -> anyhow::Result<AgentId> {
        let path = self.path.join("id");
        match read_small(&path) {
            Ok(id) if is_word(id.trim()) => Ok(AgentId(id.trim().to_owned())),
            Ok(_) => bail!(
                "{} is not an agent id; remove it to get a new one",
                path.display()
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let id = format!("a-{}", random_hex::<8>()?);
                self.keep("id", id.as_bytes())?;
                Ok(AgentId(id))
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// A secret of that file name, made at the first start. The second value tells whether it is new.
    pub fn secret(&self, name: &str) -> anyhow::Result<(String, bool)> {
        match self.read_secret(name)? {
            Some(secret) if is_word(secret.trim()) && secret.trim().len() >= 32 => {
                Ok((secret.trim().to_owned(), false))
            }
            Some(_) => bail!(
                "{} holds no token of 32 characters or more; remove it and restart: a new one is made",
                self.path.join(name).display()
            ),
            None => {
                let secret = random_hex::<32>()?;
                self.keep(name, secret.as_bytes())?;
                Ok((secret, true))
            }
        }
    }

    /// A file that only its owner may read, if it is there.
    pub fn read_secret(&self, name: &str) -> anyhow::Result<Option<String>> {
        read_secret(&self.path.join(name))
    }

    /// What the former life left. Lost or unreadable: latched, because nobody knows what was on.
    pub fn load(&self) -> Durable {
        let path = self.path.join("durable.json");
        let fresh = !self.path.join("audit.log").exists();
        match read_small(&path) {
            Ok(text) => serde_json::from_str(&text).unwrap_or_else(|error| {
                tracing::error!(path = %path.display(), %error, "the state is unreadable: the agent latches");
                // Kept for whoever wants to know what was on.
                std::fs::rename(&path, self.path.join("durable.unreadable.json")).ok();
                Durable::lost(&format!("{} is unreadable", path.display()))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound && fresh => Durable::default(),
            Err(error) => Durable::lost(&format!("{}: {error}", path.display())),
        }
    }

    /// Puts a snapshot on disk, or leaves the former one as it was.
    pub fn save<R: serde::Serialize>(&self, durable: &Durable<R>) -> anyhow::Result<()> {
        self.keep("durable.json", &serde_json::to_vec(durable)?)
    }

    /// Opens the audit log for appending.
    pub fn audit_log(&self) -> anyhow::Result<File> {
        let path = self.path.join("audit.log");
        append_private(&path).with_context(|| format!("cannot open {}", path.display()))
    }

    /// Writes a file of the folder, see [`keep`].
    pub fn keep(&self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        keep(&self.path, name, content)
    }
}

/// Writes a file whole, for the owner alone: a new file, fsync, rename.
pub fn keep(folder: &Path, name: &str, content: &[u8]) -> anyhow::Result<()> {
    let (path, temporary) = (folder.join(name), folder.join(format!("{name}.new")));
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)?;
        File::open(folder)?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Opens a file to append to, for the owner alone.
pub fn append_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// Makes a folder for the owner alone, and refuses one that is not.
pub fn make_private(path: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make the state folder {}", path.display()))?;
    let found = std::fs::metadata(path)?;
    if found.uid() != nix::unistd::geteuid().as_raw() {
        bail!(
            "the state folder {} belongs to user {}; run the agent as that user, or give it another folder with --state",
            path.display(),
            found.uid()
        );
    }
    if found.permissions().mode() & 0o077 != 0 {
        bail!(
            "the state folder {} is open to others (mode {:o}); `chmod 700` it, or give another one with --state",
            path.display(),
            found.permissions().mode() & 0o777
        );
    }
    Ok(())
}

/// A file that only its owner may read, if it is there; open to others it is refused.
pub fn read_secret(path: &Path) -> anyhow::Result<Option<String>> {
    match read_small(path) {
        Ok(text) => {
            let mode = std::fs::metadata(path)?.permissions().mode();
            if mode & 0o077 != 0 {
                bail!(
                    "{} can be read by others (mode {:o}), who may have copied it; remove it and restart, so that a new one is made, or, if nobody else uses this host, `chmod 600` it",
                    path.display(),
                    mode & 0o777
                );
            }
            Ok(Some(text))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Reads a text file of at most [`MAX_FILE_BYTES`].
pub fn read_small(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other("larger than any file of an agent"));
    }
    Ok(text)
}

/// `N` random bytes in hexadecimal.
pub fn random_hex<const N: usize>() -> anyhow::Result<String> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the kernel gives no random bytes: {error}"))?;
    let mut text = String::with_capacity(2 * N);
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    Ok(text)
}

fn is_word(text: &str) -> bool {
    (1..=256).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("state");
        (temp, path)
    }

    #[test]
    fn a_second_agent_is_turned_away() {
        let (_temp, path) = folder();
        let first = StateFolder::open(&path).unwrap();
        let refusal = StateFolder::open(&path).unwrap_err().to_string();
        assert!(refusal.contains("another agent"), "{refusal}");
        drop(first);
        StateFolder::open(&path).unwrap();
    }

    #[test]
    fn secrets_and_id_stay_and_are_private() {
        let (_temp, path) = folder();
        let state = StateFolder::open(&path).unwrap();
        let (token, new) = state.secret("token").unwrap();
        assert!(new && token.len() == 64);
        assert_eq!(state.secret("token").unwrap(), (token, false));
        assert_eq!(state.agent_id().unwrap(), state.agent_id().unwrap());
        let mode = std::fs::metadata(path.join("token"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::set_permissions(path.join("token"), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(
            state
                .secret("token")
                .unwrap_err()
                .to_string()
                .contains("read by others")
        );
    }

    #[test]
    fn an_open_folder_is_refused() {
        let (_temp, path) = folder();
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(
            StateFolder::open(&path)
                .unwrap_err()
                .to_string()
                .contains("open to others")
        );
    }

    #[test]
    fn a_torn_state_latches() {
        let (_temp, path) = folder();
        let state = StateFolder::open(&path).unwrap();
        assert_eq!(state.load(), Durable::default());
        let durable = Durable {
            latch_number: 7,
            ..Durable::default()
        };
        state.save(&durable).unwrap();
        assert_eq!(state.load(), durable);
        std::fs::write(path.join("durable.json"), b"{\"epoch\":").unwrap();
        assert!(state.load().latch.is_some());
        // An agent that has lived but whose state is gone.
        drop(state.audit_log().unwrap());
        std::fs::remove_file(path.join("durable.json")).ok();
        assert!(state.load().latch.is_some());
    }
}
