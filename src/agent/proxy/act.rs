//! What a rule does to a request or to its answer, checked and ready to be done.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

use super::grpc;
use super::matching::{Matcher, header_line};
use super::protocol::{BodyChange, RuleSpec, Side};

/// Longest body that a rule brings along, in bytes.
const MAX_BODY_LEN: usize = 8 * 1024;

/// Most headers that a rule sets, and that it removes.
const MAX_HEADERS: usize = 16;

/// A rule on requests.
#[derive(Debug)]
pub struct OnRequests {
    /// Which.
    pub matcher: Matcher,
    /// What is done to them.
    pub act: Act,
}

/// What is done.
#[derive(Debug)]
pub enum Act {
    /// The request waits.
    Delay,
    /// It is answered here.
    Answer(StatusCode, Bytes),
    /// It is taken to its end, answered here, and lost.
    Lose(StatusCode, Bytes),
    /// The client's connection or stream is reset.
    Reset,
    /// Its headers are changed.
    RequestHeaders(Headers),
    /// The answer's headers are.
    AnswerHeaders(Headers),
    /// The answer's body is another text, or the text that is found in it is.
    Replace {
        /// What is looked for; none: the whole body.
        find: Option<Bytes>,
        /// What is there instead.
        text: Bytes,
    },
    /// Bits of the answer's body are flipped.
    Corrupt {
        /// One byte of so many.
        every: u64,
    },
    /// The answer breaks off.
    Truncate {
        /// After so many bytes of its body.
        bytes: u64,
    },
    /// The answer's body comes slowly: see [`super::rule::Rule::rate`].
    Slow,
    /// The call ends with a gRPC status.
    Grpc {
        /// The headers or trailers that say so.
        status: HeaderMap,
        /// After the answer, not in its stead.
        after: bool,
    },
}

/// Changes of headers.
#[derive(Debug)]
pub struct Headers {
    set: Vec<(HeaderName, HeaderValue)>,
    remove: Vec<HeaderName>,
}

impl Headers {
    fn new(set: &[String], remove: &[String]) -> Result<Self, String> {
        if set.len().max(remove.len()) > MAX_HEADERS || set.len() + remove.len() == 0 {
            return Err(format!("1 to {MAX_HEADERS} headers are set, or removed"));
        }
        let changes = |name: HeaderName| {
            let framing = [
                CONNECTION,
                CONTENT_LENGTH,
                TE,
                TRAILER,
                TRANSFER_ENCODING,
                UPGRADE,
            ];
            if framing.contains(&name) {
                return Err(format!(
                    "{name} says where a message ends: it cannot be changed; see http.truncate and http.reset"
                ));
            }
            Ok(name)
        };
        let set = set.iter().map(|line| match header_line(line)? {
            (name, Some(value)) => Ok((changes(name)?, value)),
            (name, None) => Err(format!("{name} has no value to set: give `name: value`")),
        });
        let remove = remove.iter().map(|line| match header_line(line)? {
            (name, None) => changes(name),
            (name, Some(_)) => Err(format!("{name} is removed whatever its value is: give its name")),
        });
        Ok(Self {
            set: set.collect::<Result<_, _>>()?,
            remove: remove.collect::<Result<_, _>>()?,
        })
    }

    /// Makes the changes.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
    }
}

impl OnRequests {
    /// Of a rule; none for rules that do not work on requests. The error says what of it cannot be done.
    pub fn new(rule: &RuleSpec) -> Result<Option<Self>, String> {
        let Some(only) = rule.only() else {
            return Ok(None);
        };
        let matcher = Matcher::new(only, matches!(rule, RuleSpec::GrpcStatus { .. }))?;
        let act = match rule {
            RuleSpec::HttpLatency { .. } => Act::Delay,
            RuleSpec::HttpStatus { code, body, .. } => {
                let (status, body) = answer(*code, 400..=599, body)?;
                Act::Answer(status, body)
            }
            RuleSpec::HttpLose { code, body, .. } => {
                let (status, body) = answer(*code, 200..=299, body)?;
                Act::Lose(status, body)
            }
            RuleSpec::HttpReset { .. } => Act::Reset,
            RuleSpec::HttpHeaders {
                side, set, remove, ..
            } => match (side, Headers::new(set, remove)?) {
                (Side::Request, headers) => Act::RequestHeaders(headers),
                (Side::Answer, headers) => Act::AnswerHeaders(headers),
            },
            RuleSpec::HttpBody { change, .. } => body(change)?,
            RuleSpec::HttpTruncate { bytes, .. } => Act::Truncate { bytes: *bytes },
            RuleSpec::HttpSlowBody { .. } => Act::Slow,
            RuleSpec::GrpcStatus {
                code,
                message,
                details,
                after,
                ..
            } => Act::Grpc {
                status: grpc::status(*code, message, details)?,
                after: *after,
            },
            RuleSpec::TcpLatency { .. } | RuleSpec::TcpBandwidth { .. } | RuleSpec::TcpRefuse {} => {
                return Ok(None);
            }
        };
        Ok(Some(Self { matcher, act }))
    }
}

fn answer(
    code: u16,
    codes: std::ops::RangeInclusive<u16>,
    body: &str,
) -> Result<(StatusCode, Bytes), String> {
    let status = StatusCode::from_u16(code).ok().filter(|_| codes.contains(&code));
    match status {
        Some(status) if body.len() <= MAX_BODY_LEN => Ok((status, Bytes::from(body.to_owned()))),
        _ => Err(format!(
            "the status is {} to {} and the body at most {MAX_BODY_LEN} bytes",
            codes.start(),
            codes.end()
        )),
    }
}

fn body(change: &BodyChange) -> Result<Act, String> {
    match change {
        BodyChange::Replace { find, text } => {
            let longest = text.len().max(find.as_ref().map_or(0, String::len));
            if longest > MAX_BODY_LEN || find.as_ref().is_some_and(String::is_empty) {
                return Err(format!(
                    "what is looked for has at least 1 byte, and it and the text at most {MAX_BODY_LEN}"
                ));
            }
            Ok(Act::Replace {
                find: find.clone().map(Bytes::from),
                text: Bytes::from(text.clone()),
            })
        }
        BodyChange::Corrupt { every: 0 } => Err("one byte of at least 1 is changed".to_owned()),
        BodyChange::Corrupt { every } => Ok(Act::Corrupt { every: *every }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_removed_and_set() {
        let change = Headers::new(
            &["X-Plan: gold".into(), "via: ".into()],
            &["authorization".into(), "via".into()],
        )
        .unwrap();
        let mut headers = HeaderMap::new();
        for name in ["authorization", "via", "x-plan", "x-other"] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("2"));
        }
        change.apply(&mut headers);
        let get = |name: &str| -> Vec<&HeaderValue> { headers.get_all(name).iter().collect() };
        assert_eq!(get("x-plan"), ["gold"]);
        assert_eq!(get("via"), [""]);
        assert_eq!(get("x-other"), ["1", "2"]);
        assert!(get("authorization").is_empty());
    }

    #[test]
    fn headers_that_cannot_be_changed_are_refused() {
        let new = |set: &[&str], remove: &[&str]| {
            let own = |lines: &[&str]| -> Vec<String> { lines.iter().map(|it| (*it).to_owned()).collect() };
            Headers::new(&own(set), &own(remove))
        };
        for (set, remove) in [
            (&[][..], &[][..]),
            (&["x"], &[]),
            (&[], &["x: 1"]),
            (&["Content-Length: 3"], &[]),
            (&[], &["transfer-encoding"]),
            (&["a b: 1"], &[]),
            (&["x: 1"; 17], &[]),
        ] {
            assert!(new(set, remove).is_err(), "{set:?} {remove:?}");
        }
    }
}
