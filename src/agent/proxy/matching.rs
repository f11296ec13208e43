//! Which requests a rule on requests is for.

use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::protocol::Only;

/// Longest path, method or header that is looked for, in bytes.
const MAX_TEXT_LEN: usize = 8 * 1024;

/// [`Only`], checked and ready to be looked at for each request.
#[derive(Debug)]
pub struct Matcher {
    path: Option<String>,
    method: Option<String>,
    header: Option<(HeaderName, Option<HeaderValue>)>,
    /// Service and method of gRPC calls; none: every request.
    grpc: Option<(Option<String>, Option<String>)>,
    /// Share of those that are hit, within [0, 1].
    pub share: f64,
}

impl Matcher {
    /// Of a rule; `grpc` if it is for gRPC calls alone.
    pub fn new(only: &Only, grpc: bool) -> Result<Self, String> {
        let Only {
            path,
            method,
            header,
            service,
            rpc,
            share,
        } = only.clone();
        let texts = [&path, &method, &header, &service, &rpc];
        if !(0.0..=1.0).contains(&share) || texts.into_iter().flatten().any(|text| text.len() > MAX_TEXT_LEN)
        {
            return Err(format!(
                "the share is within 0 and 1, what is looked for at most {MAX_TEXT_LEN} bytes long"
            ));
        }
        Ok(Self {
            path,
            method,
            header: header.as_deref().map(header_line).transpose()?,
            grpc: (grpc || service.is_some() || rpc.is_some()).then_some((service, rpc)),
            share,
        })
    }

    /// Whether it is for this request.
    pub fn is_for(&self, method: &str, path: &str, headers: &HeaderMap) -> bool {
        self.path.as_deref().is_none_or(|prefix| path.starts_with(prefix))
            && self
                .method
                .as_deref()
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.header.as_ref().is_none_or(|(name, value)| match value {
                None => headers.contains_key(name),
                Some(value) => headers.get_all(name).iter().any(|is| is == value),
            })
            && self
                .grpc
                .as_ref()
                .is_none_or(|(service, rpc)| is_call(service.as_deref(), rpc.as_deref(), path, headers))
    }
}

/// Whether a request is a call of this gRPC method: `POST /package.Service/Method`.
fn is_call(service: Option<&str>, rpc: Option<&str>, path: &str, headers: &HeaderMap) -> bool {
    let grpc = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let Some((of, name)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else {
        return false;
    };
    grpc && service.is_none_or(|service| service == of) && rpc.is_none_or(|rpc| rpc == name)
}

/// `name` or `name: value`.
pub fn header_line(text: &str) -> Result<(HeaderName, Option<HeaderValue>), String> {
    let (name, value) = match text.split_once(':') {
        Some((name, value)) => (name, Some(value.trim())),
        None => (text, None),
    };
    let name = name
        .trim()
        .parse()
        .map_err(|_| format!("\"{text}\" is no header: give its name, or `name: value`"))?;
    let value = value
        .map(|value| {
            HeaderValue::from_str(value).map_err(|_| format!("\"{value}\" cannot be the value of a header"))
        })
        .transpose()?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_for(only: &Only, method: &str, path: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let pairs = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Matcher::new(only, false)
            .unwrap()
            .is_for(method, path, &pairs.collect())
    }

    #[test]
    fn path_and_method_both_have_to_match() {
        let only = |path: Option<&str>, method: Option<&str>| Only {
            path: path.map(str::to_owned),
            method: method.map(str::to_owned),
            ..Only::default()
        };
        assert!(is_for(&Only::default(), "GET", "/", &[]));
        assert!(is_for(&only(Some("/pay"), None), "GET", "/payments/1", &[]));
        assert!(!is_for(&only(Some("/pay"), None), "GET", "/orders/pay", &[]));
        assert!(is_for(&only(None, Some("post")), "POST", "/", &[]));
        assert!(!is_for(&only(Some("/"), Some("POST")), "GET", "/", &[]));
    }

    #[test]
    fn a_header_is_there_or_has_the_value() {
        let only = |header: &str| Only {
            header: Some(header.to_owned()),
            ..Only::default()
        };
        let blue = [("x-tenant", "red"), ("x-tenant", "blue")];
        assert!(is_for(&only("X-Tenant"), "GET", "/", &blue));
        assert!(is_for(&only("X-Tenant: blue "), "GET", "/", &blue));
        assert!(!is_for(&only("x-tenant: Blue"), "GET", "/", &blue));
        assert!(!is_for(&only("x-tenant"), "GET", "/", &[]));
        for wrong in ["", "two words: 1", "x: a\nb"] {
            assert!(Matcher::new(&only(wrong), false).is_err(), "{wrong}");
        }
    }

    #[test]
    fn calls_are_told_by_service_and_method() {
        let only = |service: Option<&str>, rpc: Option<&str>| Only {
            service: service.map(str::to_owned),
            rpc: rpc.map(str::to_owned),
            ..Only::default()
        };
        let grpc = [("content-type", "application/grpc+proto")];
        let path = "/shop.Orders/Place";
        assert!(is_for(&only(Some("shop.Orders"), None), "POST", path, &grpc));
        assert!(is_for(&only(None, Some("Place")), "POST", path, &grpc));
        assert!(!is_for(&only(Some("shop.Order"), None), "POST", path, &grpc));
        assert!(!is_for(
            &only(Some("shop.Orders"), Some("Plac")),
            "POST",
            path,
            &grpc
        ));
        assert!(!is_for(&only(None, Some("Place")), "POST", path, &[]));
        let every = Matcher::new(&Only::default(), true).unwrap();
        assert!(!every.is_for("POST", path, &HeaderMap::new()));
    }
}
