//! What an agent says of each fault it knows.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A fault's name: `family.what`, for instance `http.latency`.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct FaultName(pub String);

impl FaultName {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for FaultName {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for FaultName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub use firedrill_catalogue::Undo;

/// One fault, as `GET /v1/agent` lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultInfo {
    /// Its name.
    pub name: FaultName,
    /// One line: what the victim sees.
    pub summary: String,
    /// JSON Schema (draft 2020-12) of its parameters, an object schema.
    pub schema: serde_json::Value,
    /// The same parameters as a flat list, in the order to show them.
    pub params: Vec<ParamDoc>,
    /// Keys of [`crate::Scope`] that must be given, for instance `route`.
    pub scope: Vec<String>,
    /// How it is undone.
    pub undo: Undo,
    /// In words: what undoes it, and what to do by hand when that fails.
    pub undo_words: String,
    /// Whether it can be done on this host.
    pub available: bool,
    /// Where it cannot: why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
    /// And what would help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// One parameter of a fault, for forms and help.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParamDoc {
    /// The key, as in a plan's `with`.
    pub name: String,
    /// One line: what it does.
    pub summary: String,
    /// `duration`, `share`, `rate`, `memory`, `count`, `text` or `choice`.
    pub kind: String,
    /// The unit a number is shown in: `ms`, `%`, `bytes`, `bytes/s`, empty for text.
    pub unit: String,
    /// Whether a start without it is refused.
    pub required: bool,
    /// What it is when not given, as a plan would write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Smallest value, in `unit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest value, in `unit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The words a `choice` may be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
}
