//! Answers.

use std::convert::Infallible;

use bytes::Bytes;
use firedrill_wire::{Problem, ProblemKind, Stamp};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// The body of every answer.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// An answer.
pub type Answer = Response<Body>;

/// A refusal with who speaks.
#[derive(Serialize)]
struct Refusal<'a> {
    #[serde(flatten)]
    problem: &'a Problem,
    status: u16,
    #[serde(flatten)]
    stamp: &'a Stamp,
}

/// A body of known content.
pub fn full(content: impl Into<Bytes>) -> Body {
    Full::new(content.into()).boxed_unsync()
}

/// An answer of that status, type and body.
pub fn of(status: StatusCode, content_type: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// 200 with JSON.
pub fn json(value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(text) => of(StatusCode::OK, "application/json", full(text)),
        Err(error) => of(
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain",
            full(format!("the answer cannot be written as JSON: {error}")),
        ),
    }
}

/// 200 with text.
pub fn text(content_type: &'static str, text: impl Into<Bytes>) -> Answer {
    of(StatusCode::OK, content_type, full(text))
}

/// `application/problem+json`.
pub fn problem(problem: &Problem, stamp: &Stamp) -> Answer {
    let status = problem.kind.status();
    let refusal = Refusal {
        problem,
        status,
        stamp,
    };
    let text = serde_json::to_vec(&refusal).unwrap_or_default();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = of(status, "application/problem+json", full(text));
    if problem.kind == ProblemKind::Unauthorized {
        answer.headers_mut().insert(
            hyper::header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer"),
        );
    }
    answer
}
