//! What is refused before anything is done, and in which words.

use firedrill_wire::{DrillId, Fence, LatchView, OpenRequest, Problem, ProblemKind, StartRequest};
use subtle::ConstantTimeEq as _;

use crate::Limits;

/// Longest id, nonce or name in bytes.
const NAME_BYTES: usize = 128;
/// Longest text for people in bytes.
const TEXT_BYTES: usize = 512;
/// Largest parameters of a fault as JSON text, in bytes: they are in every snapshot.
const PARAMETER_BYTES: usize = 4 * 1024;
/// Most claims of one injection.
const CLAIMS: usize = 16;

/// Whether `text` can be a name here.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_BYTES
}

/// `text`, cut to what is kept of words for people.
pub(crate) fn clip(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

pub(crate) fn fenced(title: &str, detail: String) -> Problem {
    Problem::new(
        ProblemKind::Fenced,
        title,
        detail,
        "stop this drill; a new one needs a new opening",
    )
}

pub(crate) fn latched(latch: &LatchView) -> Problem {
    Problem::new(
        ProblemKind::Latched,
        "the agent is latched",
        format!(
            "latch {} was set by {}: {}",
            latch.number, latch.who, latch.reason
        ),
        format!("when it is safe, release latch {} with a reason", latch.number),
    )
}

pub(crate) fn dead_drill(drill: &DrillId) -> Problem {
    fenced(
        "this drill has ended",
        format!("drill {drill} was closed, aborted, or its lease lapsed"),
    )
}

pub(crate) fn too_many(what: &str, most: usize) -> Problem {
    Problem::new(
        ProblemKind::TooMany,
        format!("too many {what}"),
        format!("this agent keeps at most {most}"),
        "wait for some to end, or close the drill",
    )
}

pub(crate) fn disk(what: &str) -> Problem {
    Problem::new(
        ProblemKind::Unavailable,
        "the agent's disk does not take it",
        format!("{what} is not on disk, so nothing was done"),
        "make room on, or repair, the disk of the agent's state folder",
    )
}

pub(crate) fn stopping() -> Problem {
    Problem::new(
        ProblemKind::Unavailable,
        "the agent is stopping",
        "it starts nothing more",
        "start it again",
    )
}

fn parameters(title: &str, mistakes: &[String], remedy: &str) -> Result<(), Problem> {
    if mistakes.is_empty() {
        return Ok(());
    }
    Err(Problem::new(
        ProblemKind::Parameters,
        title,
        mistakes.join("; "),
        remedy,
    ))
}

pub(crate) fn opening(request: &OpenRequest) -> Result<(), Problem> {
    let mut mistakes = Vec::new();
    for (path, text) in [("drill", request.drill.as_str()), ("nonce", &request.nonce)] {
        if !is_name(text) {
            mistakes.push(format!(
                "{path}: {} bytes, expected 1 to {NAME_BYTES}",
                text.len()
            ));
        }
    }
    if !firedrill_wire::LEASE_MS.contains(&request.lease_ms) {
        let (least, most) = firedrill_wire::LEASE_MS.into_inner();
        mistakes.push(format!(
            "lease_ms: {}, expected {least} to {most}",
            request.lease_ms
        ));
    }
    parameters(
        "the opening has mistakes",
        &mistakes,
        "correct them and open again",
    )
}

pub(crate) fn start(
    id: &str,
    request: &StartRequest,
    claims: &[String],
    limits: &Limits,
) -> Result<(), Problem> {
    let mut mistakes = Vec::new();
    if !is_name(id) {
        mistakes.push(format!("id: {} bytes, expected 1 to {NAME_BYTES}", id.len()));
    }
    if request.ends_in_ms == 0 {
        mistakes.push("ends_in_ms: 0, expected at least 1".to_owned());
    }
    if request.ramp_ms > request.ends_in_ms {
        mistakes.push(format!(
            "ramp_ms: {}, expected at most ends_in_ms {}",
            request.ramp_ms, request.ends_in_ms
        ));
    }
    let bytes = parameter_bytes(&request.parameters);
    if bytes > PARAMETER_BYTES {
        mistakes.push(format!(
            "parameters: {bytes} bytes, expected at most {PARAMETER_BYTES}"
        ));
    }
    if claims.len() > CLAIMS {
        mistakes.push(format!(
            "scope: takes {} resources, expected at most {CLAIMS}",
            claims.len()
        ));
    }
    parameters(
        "the start has mistakes",
        &mistakes,
        "correct them and start under a new id",
    )?;
    if request.ends_in_ms > limits.injection_ms {
        return Err(Problem::new(
            ProblemKind::Policy,
            "longer than this agent allows",
            format!(
                "ends_in_ms: {}, this agent's limit is {}",
                request.ends_in_ms, limits.injection_ms
            ),
            "shorten the injection, or raise the limit in the agent's own configuration",
        ));
    }
    Ok(())
}

pub(crate) fn change(values: &serde_json::Value) -> Result<(), Problem> {
    let bytes = parameter_bytes(values);
    let mistakes = (bytes > PARAMETER_BYTES)
        .then(|| format!("parameters: {bytes} bytes, expected at most {PARAMETER_BYTES}"));
    parameters(
        "the change has mistakes",
        mistakes.as_slice(),
        "correct them and change again",
    )
}

fn parameter_bytes(value: &serde_json::Value) -> usize {
    value.to_string().len()
}

/// Compares every part before it answers, the secret in constant time.
pub(crate) fn same_fence(shown: &Fence, held: &Fence) -> Result<(), Problem> {
    if shown.instance != held.instance {
        let detail = format!(
            "the call is for life {}, this is {}",
            shown.instance, held.instance
        );
        return Err(fenced("the agent has restarted", detail));
    }
    let secret: bool = shown.holder.0.as_bytes().ct_eq(held.holder.0.as_bytes()).into();
    if shown.drill != held.drill || shown.epoch != held.epoch || !secret {
        let detail = format!(
            "drill {} with epoch {} does not hold this agent now",
            shown.drill, shown.epoch
        );
        return Err(fenced("a dead epoch or another holder", detail));
    }
    Ok(())
}
