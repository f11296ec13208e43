//! A gRPC status as it stands in headers or trailers.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// The status's number; always there.
pub const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// Longest message and details, in bytes: clients take 8 KiB of headers.
const MAX_LEN: usize = 4 * 1024;

/// The headers of a status; `details` in base64. The error says what is wrong with it.
pub fn status(code: u8, message: &str, details: &str) -> Result<HeaderMap, String> {
    if !(1..=16).contains(&code) || message.len().max(details.len()) > MAX_LEN {
        return Err(format!(
            "the status is 1 to 16, message and details at most {MAX_LEN} bytes each"
        ));
    }
    let value = |text: &str| HeaderValue::from_str(text).map_err(|error| error.to_string());
    let mut headers = HeaderMap::new();
    headers.insert(STATUS, HeaderValue::from(u16::from(code)));
    if !message.is_empty() {
        headers.insert(MESSAGE, value(&percent_encoded(message))?);
    }
    if !details.is_empty() {
        if !is_base64(details) {
            return Err("the details are not base64".to_owned());
        }
        headers.insert(DETAILS, value(details)?);
    }
    Ok(headers)
}

/// Puts a status in the place of the one that is there, if there is one.
pub fn forge(headers: &mut HeaderMap, status: &HeaderMap) {
    for name in [STATUS, MESSAGE, DETAILS] {
        match status.get(&name) {
            Some(value) => drop(headers.insert(name, value.clone())),
            None => drop(headers.remove(name)),
        }
    }
}

/// As the protocol wants a message: what is not printable ASCII, and the percent sign, as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (0x20..0x7f).contains(&byte) && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            let digits =
                [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            encoded.push('%');
            encoded.extend(digits);
        }
    }
    encoded
}

/// With its padding or without.
pub fn is_base64(text: &str) -> bool {
    let bare = text.trim_end_matches('=');
    let padding = text.len() - bare.len();
    let whole = match padding {
        0 => bare.len() % 4 != 1,
        1 | 2 => text.len().is_multiple_of(4),
        _ => false,
    };
    whole
        && bare
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_written_as_the_protocol_wants_it() {
        let headers = status(8, "100 % sold out: größer\n", "CAgSBA==").unwrap();
        assert_eq!(headers["grpc-status"], "8");
        assert_eq!(headers["grpc-message"], "100 %25 sold out: gr%C3%B6%C3%9Fer%0A");
        assert_eq!(headers["grpc-status-details-bin"], "CAgSBA==");
        assert_eq!(status(14, "", "").unwrap().len(), 1);
        for (code, details) in [(0, ""), (17, ""), (1, "a"), (1, "a-b_"), (1, "abc=="), (1, "ab=")] {
            assert!(status(code, "", details).is_err(), "{code} {details}");
        }
    }

    #[test]
    fn nothing_of_the_former_status_stays() {
        let mut headers = status(1, "old", "abcd").unwrap();
        headers.insert("x-mine", HeaderValue::from_static("1"));
        forge(&mut headers, &status(14, "new", "").unwrap());
        assert_eq!(headers["grpc-status"], "14");
        assert_eq!(headers["grpc-message"], "new");
        assert_eq!(headers["x-mine"], "1");
        assert!(!headers.contains_key("grpc-status-details-bin"));
    }
}
