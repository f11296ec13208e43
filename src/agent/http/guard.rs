//! Who may ask, and how large a question may be.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use firedrill_wire::{MAX_BODY_BYTES, Problem, ProblemKind};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use hyper::{HeaderMap, Request};

use crate::access::{Access, Caller};

/// How long a body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// How long the body of an abort may take: what has not come by then is unreadable, and aborts all.
const ABORT_BODY_WITHIN: Duration = Duration::from_millis(500);

/// Who may ask, by the token shown.
pub fn caller(headers: &HeaderMap, access: &Access) -> Result<Caller, Problem> {
    let shown = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, shown)| shown.trim());
    shown.and_then(|shown| access.caller(shown)).ok_or_else(|| {
        Problem::new(
            ProblemKind::Unauthorized,
            "no entry",
            if shown.is_some() {
                "the token is not this agent's"
            } else {
                "no token was shown"
            },
            "send `Authorization: Bearer TOKEN`; on its host `firedrill-agent enroll` prints a join string with one",
        )
    })
}

/// The names that an agent answers to.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Other hosts reach it: by any address then, which no name service can bend, and by `dns`.
    pub off_loopback: bool,
    /// Names of this host, besides `localhost`.
    pub dns: Vec<String>,
}

impl Names {
    /// Refuses names that are not this host's, so that no web page can talk to the agent by a name that it
    /// makes point here (DNS rebinding).
    pub fn check<B>(&self, request: &Request<B>, port: u16) -> Result<(), Problem> {
        let host = request
            .headers()
            .get(HOST)
            .and_then(|value| value.to_str().ok())
            .or_else(|| request.uri().authority().map(hyper::http::uri::Authority::as_str));
        if host.is_some_and(|host| self.are(host, port)) {
            return Ok(());
        }
        let mut remedy = format!("address the agent as 127.0.0.1:{port} or localhost:{port}");
        if self.off_loopback {
            remedy = format!(
                "address it by an address of its host; for a name give the agent `--dns-name NAME` (now: {})",
                self.dns.join(", ")
            );
        }
        Err(Problem::new(
            ProblemKind::Policy,
            "not for this host",
            format!("the Host header is {:?}", host.unwrap_or("missing")),
            remedy,
        ))
    }

    fn are(&self, host: &str, port: u16) -> bool {
        let (name, shown_port) = match host.rsplit_once(':') {
            Some((name, digits)) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                (name, digits.parse::<u16>().ok())
            }
            _ => (host, Some(80)),
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let known = match bare.parse::<IpAddr>() {
            Ok(address) => address.is_loopback() || self.off_loopback,
            Err(_) => {
                name.eq_ignore_ascii_case("localhost")
                    || self.dns.iter().any(|known| known.eq_ignore_ascii_case(name))
            }
        };
        known && shown_port == Some(port)
    }
}

/// The body of a call; JSON by its content type unless it is empty.
pub async fn body(request: Request<Incoming>) -> Result<Bytes, Problem> {
    let (parts, body) = request.into_parts();
    let declared = parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        return Err(too_large());
    }
    let collected = tokio::time::timeout(BODY_WITHIN, Limited::new(body, MAX_BODY_BYTES).collect()).await;
    let bytes = match collected {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
        Ok(Err(error)) => return Err(unreadable(format!("the body broke off: {error}"))),
        Err(_) => {
            return Err(unreadable(format!(
                "the body did not arrive within {} s",
                BODY_WITHIN.as_secs()
            )));
        }
    };
    if !bytes.is_empty() && !is_json(&parts.headers) {
        return Err(Problem::new(
            ProblemKind::Parameters,
            "not JSON",
            "the content type is not application/json",
            "send `Content-Type: application/json`",
        ));
    }
    Ok(bytes)
}

/// The body of an abort; `None` when it cannot be read, which aborts all.
pub async fn abort_body(request: Request<Incoming>) -> Option<Bytes> {
    let read = Limited::new(request.into_body(), MAX_BODY_BYTES).collect();
    let collected = tokio::time::timeout(ABORT_BODY_WITHIN, read).await;
    Some(collected.ok()?.ok()?.to_bytes())
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = value
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

fn too_large() -> Problem {
    Problem::new(
        ProblemKind::TooLarge,
        "the body is too large",
        format!("more than {MAX_BODY_BYTES} bytes"),
        "send less",
    )
}

/// 400 for a body that is not what the call takes.
pub fn unreadable(detail: impl Into<String>) -> Problem {
    Problem::new(
        ProblemKind::Parameters,
        "the body cannot be read",
        detail,
        "see the protocol: every call's body is a JSON object",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_pass_on_loopback() {
        let names = Names::default();
        for good in [
            "127.0.0.1:7431",
            "localhost:7431",
            "LOCALHOST:7431",
            "[::1]:7431",
            "127.0.0.9:7431",
        ] {
            assert!(names.are(good, 7431), "{good}");
        }
        for bad in [
            "evil.example:7431",
            "127.0.0.1",
            "127.0.0.1:7432",
            "localhost.evil.example:7431",
            "10.0.0.1:7431",
            "",
            ":7431",
            "127.0.0.1:99999",
        ] {
            assert!(!names.are(bad, 7431), "{bad}");
        }
    }

    #[test]
    fn off_loopback_addresses_and_known_names_pass() {
        let names = Names {
            off_loopback: true,
            dns: vec!["db.internal".to_owned()],
        };
        for good in [
            "10.0.0.1:7431",
            "[fe80::1]:7431",
            "DB.internal:7431",
            "localhost:7431",
        ] {
            assert!(names.are(good, 7431), "{good}");
        }
        for bad in [
            "evil.example:7431",
            "10.0.0.1:7432",
            "10.0.0.1",
            "db.internal.evil:7431",
        ] {
            assert!(!names.are(bad, 7431), "{bad}");
        }
    }
}
