//! `POST /v1/actions/{name}`: a command of the host's own allow-list, for emergencies.

use serde::{Deserialize, Serialize};

use crate::{DrillId, Stamp};

/// Longest that a command of an allow-list may run, in milliseconds.
pub const ACTION_MS: u64 = 30_000;

/// So much of what a command says is kept, its end, in bytes.
pub const ACTION_OUTPUT_BYTES: usize = 4 * 1024;

/// Which command runs is the path's name and the host's file; nothing of the caller's becomes an argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionRequest {
    /// Random, so that a repeat is known as one: it runs nothing and has the answer of the first. Within one life
    /// of the agent.
    pub request: String,
    /// The drill that asks, for the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillId>,
    /// The person, for the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
}

/// How the command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionDone {
    /// Who speaks.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Its name.
    pub action: String,
    /// Whose answer this is.
    pub request: String,
    /// Its exit code; absent: it was ended by a signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// The host's time limit ended it, with all processes of its group.
    pub timed_out: bool,
    /// How long it ran, in milliseconds.
    pub ms: u64,
    /// The end of what it said, at most [`ACTION_OUTPUT_BYTES`].
    pub output: String,
    /// It said more.
    pub cut: bool,
}

impl ActionDone {
    /// Whether it did what it is for.
    pub fn succeeded(&self) -> bool {
        self.exit == Some(0)
    }

    /// In one line: `exit code 3 after 120 ms: no such unit`.
    pub fn words(&self) -> String {
        let how = match self.exit {
            _ if self.timed_out => format!("ended by its time limit after {} ms", self.ms),
            Some(code) => format!("exit code {code} after {} ms", self.ms),
            None => format!("ended by a signal after {} ms", self.ms),
        };
        let last = self.output.lines().map(str::trim).rfind(|line| !line.is_empty());
        match last {
            Some(said) if !self.succeeded() => {
                let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
                format!("{how}: {said}")
            }
            _ => how,
        }
    }
}
