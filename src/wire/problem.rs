//! Errors on the wire: `application/problem+json` (RFC 9457).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which rule refused. Each has one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// 400: parameters, all at once, each with its path.
    Parameters,
    /// 401: no or a wrong token.
    Unauthorized,
    /// 403: the agent's own policy or bounds; never clamped in silence.
    Policy,
    /// 404: not known here.
    Unknown,
    /// 409: somebody holds the agent, or the kernel resource is claimed, or the id is taken.
    Held,
    /// 412: a dead epoch, a late start, another life or another holder.
    Fenced,
    /// 413: the body is too large.
    TooLarge,
    /// 422: this host cannot do it.
    NotPossible,
    /// 423: latched.
    Latched,
    /// 429: too many requests.
    TooMany,
    /// 503: starting, stopping, or something needed is missing.
    Unavailable,
}

impl ProblemKind {
    /// Its HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::Parameters => 400,
            Self::Unauthorized => 401,
            Self::Policy => 403,
            Self::Unknown => 404,
            Self::Held => 409,
            Self::Fenced => 412,
            Self::TooLarge => 413,
            Self::NotPossible => 422,
            Self::Latched => 423,
            Self::TooMany => 429,
            Self::Unavailable => 503,
        }
    }
}

/// A refusal: what happened, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Which rule.
    #[serde(rename = "type")]
    pub kind: ProblemKind,
    /// A short sentence.
    pub title: String,
    /// What exactly, with the values concerned.
    pub detail: String,
    /// What would satisfy the rule.
    pub remedy: String,
}

impl Problem {
    /// A problem of `kind`.
    pub fn new(
        kind: ProblemKind,
        title: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            title: title.into(),
            detail: detail.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.title, self.detail, self.remedy)
    }
}

impl std::error::Error for Problem {}
