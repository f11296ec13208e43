//! From bytes of somebody at an address to an agent's answer, or to the reason why it is none.

use std::time::Duration;

use firedrill_drill::Failure;
use firedrill_wire::{PROTOCOL_VERSION, Problem};
use reqwest::{Response, StatusCode, header::CONTENT_TYPE};
use serde::de::DeserializeOwned;

/// No agent says more than this in one answer.
pub(crate) const MAX_ANSWER_BYTES: usize = 2 * 1024 * 1024;

/// The failure "no answer": what went wrong, where, and what to do.
pub(crate) fn no_answer(why: impl Into<String>) -> Failure {
    Failure::NoAnswer { why: why.into() }
}

/// Why nothing came back at all.
pub(crate) fn not_reached(error: &reqwest::Error, url: &str, limit: Duration) -> Failure {
    if error.is_timeout() {
        return late(url, limit);
    }
    if let Some(wrong) = firedrill_trust::wrong_pin(error) {
        return no_answer(format!("{url} is not believed: {wrong}"));
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let what = if error.is_connect() {
        "cannot be reached"
    } else {
        "broke off"
    };
    no_answer(format!(
        "{url} {what}: {deepest}; is the agent running there (firedrill-agent serve), and can this computer reach it?"
    ))
}

/// Nothing came back within the limit.
pub(crate) fn late(url: &str, limit: Duration) -> Failure {
    no_answer(format!(
        "{url} did not answer within {} s; is the host overloaded or the network slow? Look at the agent with: curl {url}/healthz",
        limit.as_secs_f32()
    ))
}

/// Decodes an answer: JSON of the expected form, or the agent's refusal.
pub(crate) async fn decode<T: DeserializeOwned>(mut response: Response, url: &str) -> Result<T, Failure> {
    let status = response.status();
    let kind = content_type(&response);
    if !kind.ends_with("json") {
        return Err(not_an_agent(status, &kind, url));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| not_reached(&error, url, Duration::ZERO))?
    {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(no_answer(format!(
                "{url} answers with more than {MAX_ANSWER_BYTES} bytes, which no agent does; check the address in the plan"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    if !status.is_success() {
        return Err(match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Failure::Refused { problem },
            Err(_) => not_an_agent(status, &kind, url),
        });
    }
    other_protocol(&body, url)?;
    serde_json::from_slice(&body).map_err(|error| {
        no_answer(format!(
            "{url} answers, but not as an agent of this protocol does: {error}; check that agent and console are of the same release"
        ))
    })
}

fn content_type(response: &Response) -> String {
    let value = response.headers().get(CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = value.split(';').next().unwrap_or("").trim();
    kind.to_ascii_lowercase()
}

fn not_an_agent(status: StatusCode, kind: &str, url: &str) -> Failure {
    let kind = if kind.is_empty() {
        "something without a type"
    } else {
        kind
    };
    no_answer(format!(
        "{url} answers {status} with {kind}: that is not a Firedrill agent; check the address in the plan (an agent's default port is {})",
        firedrill_wire::DEFAULT_PORT
    ))
}

/// An agent of another protocol says its number before anything else is understood.
fn other_protocol(body: &[u8], url: &str) -> Result<(), Failure> {
    #[derive(serde::Deserialize)]
    struct Spoken {
        protocol: Option<u32>,
    }
    match serde_json::from_slice::<Spoken>(body) {
        Ok(Spoken {
            protocol: Some(other),
        }) if other != PROTOCOL_VERSION => Err(no_answer(format!(
            "{url} speaks protocol {other}, this console speaks {PROTOCOL_VERSION}: it can be aborted and watched, not driven; install the same release on both"
        ))),
        _ => Ok(()),
    }
}
