//! HTTP with limits: two requests at a time to one address, a time-out, a size.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder, Response};
use tokio::sync::Semaphore;

use crate::SetupError;

/// Never more requests than this to one address.
const IN_FLIGHT: usize = 2;
/// No answer is read further than this.
pub(crate) const BODY_LIMIT: usize = 8 << 20;
const REDIRECTS: usize = 3;

/// What limits the requests to each address in use: a sampler and a check of the same source share it.
static PERMITS: LazyLock<Mutex<HashMap<String, Weak<Semaphore>>>> = LazyLock::new(Mutex::default);

/// A client for one address.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client,
    permits: Arc<Semaphore>,
    timeout: Duration,
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
    /// From the request's sending to the end of its answer.
    pub(crate) took: Duration,
}

impl Http {
    /// A client with this time-out for every request.
    pub(crate) fn new(address: &str, timeout: Duration) -> Result<Self, SetupError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Both mains install it first; if somebody else did meanwhile, theirs serves as well.
            rustls::crypto::ring::default_provider().install_default().ok();
        }
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::limited(REDIRECTS))
            .connect_timeout(timeout)
            .timeout(timeout)
            .user_agent(concat!("firedrill/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| SetupError::Client(root(&error)))?;
        Ok(Self {
            client,
            permits: permits(address),
            timeout,
        })
    }

    /// The same client with the limit of another address: what hangs there holds nobody else.
    pub(crate) fn for_address(&self, address: &str) -> Self {
        Self {
            client: self.client.clone(),
            permits: permits(address),
            timeout: self.timeout,
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Sends `request` and reads its whole answer, whatever its status. The error is a sentence with a remedy.
    pub(crate) async fn send(&self, url: &str, request: RequestBuilder) -> Result<Answer, String> {
        // Never closed, so this only waits.
        let _permit = self.permits.acquire().await.ok();
        let began = Instant::now();
        let response = request.send().await.map_err(|error| self.words(url, &error))?;
        let status = response.status().as_u16();
        let content_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_ascii_lowercase();
        let body = self.body(url, response).await?;
        Ok(Answer {
            status,
            content_type,
            body,
            took: began.elapsed(),
        })
    }

    /// Sends `request` and reads what it answers to the end without keeping it. Gives the status, and how long the
    /// whole took once it was sent: waiting for other requests is not the service's time.
    pub(crate) async fn send_and_discard(
        &self,
        url: &str,
        request: RequestBuilder,
    ) -> (Result<u16, String>, Duration) {
        let _permit = self.permits.acquire().await.ok();
        let began = Instant::now();
        let status = discard(request).await.map_err(|error| self.words(url, &error));
        (status, began.elapsed())
    }

    async fn body(&self, url: &str, mut response: Response) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.words(url, &error))? {
            if body.len() + chunk.len() > BODY_LIMIT {
                return Err(format!(
                    "{url} answers more than {} MiB, and reading was cut off; is it the address of metrics? If it is, give one that says less",
                    BODY_LIMIT >> 20
                ));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn words(&self, url: &str, error: &reqwest::Error) -> String {
        if error.is_timeout() {
            return format!(
                "{url} did not answer to the end within {} ms; is it overloaded, or the address wrong?",
                self.timeout.as_millis()
            );
        }
        if error.is_connect() {
            return format!(
                "{url} cannot be reached ({}); is it running, and is the address in [metrics] right?",
                root(error)
            );
        }
        if error.is_redirect() {
            return format!(
                "{url} redirects more than {REDIRECTS} times; give the final address in [metrics]"
            );
        }
        if error.is_builder() {
            return format!(
                "{url} is not an address that can be asked ({}); correct it in [metrics]",
                root(error)
            );
        }
        format!(
            "{url} broke off its answer ({}); is there a proxy or a restart between?",
            root(error)
        )
    }
}

fn permits(address: &str) -> Arc<Semaphore> {
    let mut all = PERMITS.lock();
    all.retain(|_, permits| permits.strong_count() > 0);
    let known = all.get(address).and_then(Weak::upgrade);
    known.unwrap_or_else(|| {
        let new = Arc::new(Semaphore::new(IN_FLIGHT));
        all.insert(address.to_owned(), Arc::downgrade(&new));
        new
    })
}

async fn discard(request: RequestBuilder) -> reqwest::Result<u16> {
    let mut response = request.send().await?;
    let status = response.status().as_u16();
    let mut length = 0;
    while let Some(chunk) = response.chunk().await? {
        length += chunk.len();
        if length > BODY_LIMIT {
            break;
        }
    }
    Ok(status)
}

/// How long to wait for one answer: some intervals, within sense.
pub(crate) fn timeout(every_ms: u64) -> Duration {
    Duration::from_millis((2 * every_ms).clamp(2_000, 10_000))
}

/// The innermost cause: the outer ones only repeat the address.
fn root(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// `key=value&…`, percent-encoded.
pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    let mut form = String::new();
    for (key, value) in pairs {
        if !form.is_empty() {
            form.push('&');
        }
        form.push_str(key);
        form.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                form.push(char::from(byte));
            } else {
                // Writing to a string cannot fail.
                write!(form, "%{byte:02X}").ok();
            }
        }
    }
    form
}

/// The begin of an answer that was not what was asked for, for a sentence.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(400)]);
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() > 120 {
        words = words.chars().take(120).collect::<String>() + "…";
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_keeps_every_byte() {
        assert_eq!(
            form(&[("query", "a{b=\"ü\"}+1"), ("x", "")]),
            "query=a%7Bb%3D%22%C3%BC%22%7D%2B1&x="
        );
    }

    #[test]
    fn clients_of_one_address_share_its_limit() {
        let (one, same, other) = (permits("http://a"), permits("http://a"), permits("http://b"));
        assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
    }

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt(b"<html>\n  <b>no</b>\xff"), "<html> <b>no</b>\u{fffd}");
        assert_eq!(excerpt(&[b'x'; 10_000]).chars().count(), 121);
    }
}
