//! The join string: all that a console must know of an agent, in one line to paste.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::Fingerprint;

/// What every join string of this version begins with.
const PREFIX: &str = "firedrill1_";

/// Bytes of the check at its end.
const CHECK_BYTES: usize = 6;

/// Longest join string that is read.
const MAX_LEN: usize = 8 * 1024;

/// How a console reaches an agent, knows it, and gets in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// What the agent's host is called, for people.
    #[serde(rename = "n")]
    pub name: String,
    /// A name or an address of the host, an IPv6 one without brackets.
    #[serde(rename = "h")]
    pub host: String,
    /// Port of the first listener.
    #[serde(rename = "p")]
    pub port: u16,
    /// Port of the second one, for aborts.
    #[serde(rename = "a")]
    pub abort_port: u16,
    /// The certificate; none: the agent speaks without TLS, on loopback alone.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Fingerprint>,
    /// The operator's or the observer's token.
    #[serde(rename = "t")]
    pub token: String,
    /// The token for aborts alone.
    #[serde(rename = "b")]
    pub abort_token: String,
    /// What the token is for, as its host says: `operator`, `operator ada`, `observer`. For people: the agent knows.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// Why a text is no join string.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// It begins differently.
    #[error(
        "this is not a join string of this version: it would begin with {PREFIX}; print one on the agent's host with: firedrill-agent enroll"
    )]
    Prefix,
    /// The check does not match.
    #[error(
        "the join string is cut or changed; copy the whole line that `firedrill-agent enroll` printed, from {PREFIX} to its end"
    )]
    Damaged,
    /// It is whole, and says what cannot be.
    #[error(
        "the join string is whole, but {0}; print another one on the agent's host with: firedrill-agent enroll"
    )]
    Content(String),
}

impl Join {
    /// The agent's address as plans write it.
    pub fn url(&self) -> String {
        let scheme = if self.pin.is_some() { "https" } else { "http" };
        if self.host.contains(':') {
            format!("{scheme}://[{}]:{}", self.host, self.port)
        } else {
            format!("{scheme}://{}:{}", self.host, self.port)
        }
    }

    fn check(self) -> Result<Self, JoinError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        let word = |text: &str, most: usize| (1..=most).contains(&text.len()) && text.chars().all(plain);
        let role = self.role.as_deref().unwrap_or_default();
        let wrong = if !word(&self.host, 255) {
            "it names no host"
        } else if self.port == 0 || self.abort_port == 0 {
            "a port of it is 0"
        } else if !word(&self.token, 256) || !word(&self.abort_token, 256) {
            "a token of it is none"
        } else if self.name.len() > 255 || self.name.chars().any(char::is_control) {
            "its name is none"
        } else if role.len() > 128 || role.chars().any(char::is_control) {
            "its role is none"
        } else {
            return Ok(self);
        };
        Err(JoinError::Content(wrong.to_owned()))
    }
}

impl fmt::Display for Join {
    /// The join string itself: a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = serde_json::to_vec(self).map_err(|_| fmt::Error)?;
        let check = blake3::hash(&bytes);
        bytes.extend_from_slice(&check.as_bytes()[..CHECK_BYTES]);
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Join {
    type Err = JoinError;

    /// Space and line breaks in it do no harm: terminals wrap, and so do chats.
    fn from_str(text: &str) -> Result<Self, JoinError> {
        if text.len() > MAX_LEN {
            return Err(JoinError::Damaged);
        }
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let coded = text.strip_prefix(PREFIX).ok_or(JoinError::Prefix)?;
        let bytes = URL_SAFE_NO_PAD.decode(coded).map_err(|_| JoinError::Damaged)?;
        let (content, check) = bytes
            .split_last_chunk::<CHECK_BYTES>()
            .ok_or(JoinError::Damaged)?;
        if blake3::hash(content).as_bytes()[..CHECK_BYTES] != *check {
            return Err(JoinError::Damaged);
        }
        // Without the parser's words: they may quote a token.
        let join: Self = serde_json::from_slice(content)
            .map_err(|_| JoinError::Content("this version does not know its form".to_owned()))?;
        join.check()
    }
}

impl fmt::Debug for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Join({}, {:?})", self.url(), self.pin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn join() -> Join {
        Join {
            name: "payments-1".to_owned(),
            host: "10.0.0.7".to_owned(),
            port: 7431,
            abort_port: 7432,
            pin: Some(Fingerprint::of(b"certificate")),
            token: "s3cret-of-the-operator".to_owned(),
            abort_token: "s3cret-of-the-abort".to_owned(),
            role: Some("observer".to_owned()),
        }
    }

    #[test]
    fn it_comes_back_whole_and_shows_no_secret() {
        let text = join().to_string();
        assert!(
            text.chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)),
            "{text}"
        );
        let wrapped = format!("  {}\r\n {}\n", &text[..40], &text[40..]);
        assert_eq!(wrapped.parse(), Ok(join()));
        assert_eq!(join().url(), "https://10.0.0.7:7431");
        assert!(!format!("{:?}", join()).contains("s3cret"));
        let plain = Join {
            pin: None,
            host: "::1".to_owned(),
            ..join()
        };
        assert_eq!(plain.url(), "http://[::1]:7431");
        assert_eq!(plain.to_string().parse(), Ok(plain));
    }

    #[test]
    fn what_cannot_be_is_refused_without_its_secrets() {
        let no_host = Join {
            host: "a/b".to_owned(),
            ..join()
        };
        let refused = no_host.to_string().parse::<Join>().unwrap_err().to_string();
        assert!(
            refused.contains("no host") && !refused.contains("s3cret"),
            "{refused}"
        );
        assert_eq!("firedrill2_abc".parse::<Join>(), Err(JoinError::Prefix));
        assert_eq!("firedrill1_".parse::<Join>(), Err(JoinError::Damaged));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn one_wrong_letter_is_noticed(at in 0_usize..1_000, letter in "[a-zA-Z0-9_-]") {
            let text = join().to_string();
            let at = at % text.len();
            let changed = format!("{}{letter}{}", &text[..at], &text[at + 1..]);
            if changed == text {
                prop_assert_eq!(changed.parse(), Ok(join()));
            } else {
                prop_assert!(changed.parse::<Join>().is_err());
            }
            prop_assert!(text[..at].parse::<Join>().is_err());
        }
    }
}
