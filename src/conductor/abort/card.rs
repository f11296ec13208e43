//! The abort card: what `firedrill abort` needs from any terminal, when the console is gone.

use std::{
    fs,
    io::{self, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use firedrill_drill::Redaction;
use firedrill_fleet::{Access, Token, write_private};
use firedrill_trust::{Fingerprint, PinnedTls};
use firedrill_wire::DrillId;
use serde::{Deserialize, Serialize};

use super::AbortTarget;

/// Larger files are not cards.
const MAX_BYTES: u64 = 1024 * 1024;

/// Written at arming, readable by its owner alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbortCard {
    /// Version of this form.
    pub version: u32,
    /// The drill.
    pub drill: DrillId,
    /// The experiment, for people.
    pub experiment: String,
    /// When it was written, milliseconds since 1970 UTC.
    pub wall_ms: i64,
    /// The drill's journal, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<PathBuf>,
    /// Nobody who reads it is to be told more than that there is an exercise.
    #[serde(default)]
    pub sealed: bool,
    /// Every agent of the drill.
    pub agents: Vec<CardAgent>,
}

/// One agent on the card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardAgent {
    /// Its name in the plan.
    pub name: String,
    /// Its abort listener, resolved.
    pub address: SocketAddr,
    /// For the Host header.
    pub host: String,
    /// The abort-only token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// Its certificate; none: no TLS, on this computer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Fingerprint>,
}

impl CardAgent {
    /// Its abort listener's address, as a plan would write it.
    pub fn url(&self) -> String {
        let scheme = if self.pin.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// What the card lets in with.
    pub fn access(&self) -> Access {
        Access {
            token: self.token.clone(),
            pin: self.pin,
        }
    }
}

/// Why there is no card.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// The disk.
    #[error(
        "the abort card {path} cannot be read: {source}; is a drill armed from this account? Otherwise, on each host run: firedrill-agent abort"
    )]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not a card.
    #[error("{path} is not an abort card: {why}; on each host run: firedrill-agent abort")]
    Form {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl AbortCard {
    /// The card for these agents.
    pub fn new(drill: DrillId, experiment: &str, wall_ms: i64, targets: &[AbortTarget]) -> Self {
        let agents = targets.iter().map(|target| CardAgent {
            name: target.name.clone(),
            address: target.address,
            host: target.host.clone(),
            token: target.token.clone(),
            pin: target.tls.as_ref().map(PinnedTls::pin),
        });
        Self {
            version: 1,
            drill,
            experiment: experiment.to_owned(),
            wall_ms,
            journal: None,
            sealed: false,
            agents: agents.collect(),
        }
    }

    /// What it asks of everything that is told of the drill.
    pub fn redaction(&self) -> Redaction {
        Redaction::default().or(self.sealed)
    }

    /// Whom to abort.
    pub fn targets(&self) -> Vec<AbortTarget> {
        let target = |(agent, card): (usize, &CardAgent)| AbortTarget {
            agent,
            name: card.name.clone(),
            address: card.address,
            host: card.host.clone(),
            token: card.token.clone(),
            tls: card.pin.map(PinnedTls::new),
        };
        self.agents.iter().enumerate().map(target).collect()
    }

    /// Writes it whole: a new file with mode 0600, fsync, rename.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        write_private(path, &text)
    }

    /// Reads it.
    pub fn read(path: &Path) -> Result<Self, CardError> {
        let io = |source| CardError::Io {
            path: path.to_owned(),
            source,
        };
        let form = |why: String| CardError::Form {
            path: path.to_owned(),
            why,
        };
        let mut text = String::new();
        let file = fs::File::open(path).map_err(io)?;
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(io)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(form("it is larger than 1 MiB".to_owned()));
        }
        // Without the parser's words: they may quote a token.
        let card: Self = serde_json::from_str(&text)
            .map_err(|error| form(format!("line {}, column {}", error.line(), error.column())))?;
        if card.version != 1 {
            return Err(form(format!(
                "its version is {}, this program knows 1",
                card.version
            )));
        }
        Ok(card)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_comes_back_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abort-card.json");
        let targets = vec![AbortTarget {
            agent: 0,
            name: "payments-1".to_owned(),
            address: "127.0.0.1:7432".parse().unwrap(),
            host: "127.0.0.1:7432".to_owned(),
            token: Some(Token::new("s3cret")),
            tls: Some(PinnedTls::new(Fingerprint::of(b"certificate"))),
        }];
        let card = AbortCard::new("d1".into(), "Payment is slow", 5, &targets);
        card.write(&path).unwrap();
        let read = AbortCard::read(&path).unwrap();
        assert_eq!(read, card);
        assert_eq!(read.targets(), targets);
        assert!(!format!("{read:?}").contains("s3cret"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        fs::write(&path, "{\"version\": 1}").unwrap();
        assert!(
            AbortCard::read(&path)
                .unwrap_err()
                .to_string()
                .contains("firedrill-agent abort")
        );
        assert!(AbortCard::read(&folder.path().join("none")).is_err());
    }
}
