//! Reads what the services answer: single requests, and `/metrics`.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One request on a connection of its own: status, head, body.
pub fn request(to: SocketAddr, method: &str, path: &str, json: &str) -> io::Result<(u16, String, String)> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{json}",
        json.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or(io::ErrorKind::InvalidData)?;
    Ok((status, head.to_owned(), body.to_owned()))
}

/// The samples of one scrape: series as written, and value.
pub struct Samples(Vec<(String, f64)>);

impl Samples {
    /// Reads `/metrics`; every line must be as the text format 0.0.4 has it.
    pub fn of(service: SocketAddr) -> Self {
        let (status, head, text) = request(service, "GET", "/metrics", "").unwrap();
        assert_eq!(status, 200);
        assert!(head.contains("text/plain; version=0.0.4"), "{head}");
        assert!(text.ends_with('\n'));
        let mut typed = Vec::new();
        let mut samples = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                typed.push(name.to_owned());
            } else if !line.starts_with("# HELP ") {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let name = series.split('{').next().unwrap();
                assert!(
                    typed.iter().any(|typed| name.starts_with(typed.as_str())),
                    "{line} has no type"
                );
                samples.push((series.to_owned(), value.parse().unwrap()));
            }
        }
        Self(samples)
    }

    /// The sum of the series whose text holds all of `parts`; there must be one.
    pub fn sum(&self, parts: &[&str]) -> f64 {
        let found: Vec<_> = self
            .0
            .iter()
            .filter(|(series, _)| parts.iter().all(|part| series.contains(part)))
            .collect();
        assert!(!found.is_empty(), "no series with {parts:?} among {:?}", self.0);
        found.iter().map(|(_, value)| value).sum()
    }

    /// Requests answered so far, and of those the ones that took longer than the bucket edge `le`.
    pub fn slower_than(&self, le: &str) -> (f64, f64) {
        let all = self.sum(&["http_request_duration_seconds_count"]);
        let quick = self.sum(&["http_request_duration_seconds_bucket", &format!("le=\"{le}\"")]);
        (all, all - quick)
    }
}
