//! A server that answers at once, for whatever stands before it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest body that is read, in bytes.
const MAX_BODY: u64 = 1 << 20;

/// What is answered to a request's body; written right after it is given.
type Answer = dyn Fn(&str) -> String + Send + Sync;

/// Answers every request with 200 and one kind of content. Ends when dropped.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
}

impl Upstream {
    /// Starts it; each request's body gets its answer, which goes out in one write.
    pub fn serving(
        kind: &'static str,
        answer: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let ended = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ended);
        let answer: Arc<Answer> = Arc::new(answer);
        std::thread::Builder::new()
            .name("upstream".to_owned())
            .spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if seen.load(Ordering::SeqCst) {
                        return;
                    }
                    let answer = Arc::clone(&answer);
                    std::thread::Builder::new()
                        .name("upstream-connection".to_owned())
                        .spawn(move || serve(stream, kind, &*answer))
                        .ok();
                }
            })?;
        Ok(Self { address, ended })
    }

    /// Starts it with this body and content type as its answer.
    pub fn answering(kind: &'static str, body: &'static str) -> anyhow::Result<Self> {
        Self::serving(kind, move |_| body.to_owned())
    }

    /// Starts it with `ok` as its answer.
    pub fn start() -> anyhow::Result<Self> {
        Self::answering("text/plain", "ok")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it has ended.
        TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).ok();
    }
}

fn serve(stream: TcpStream, kind: &str, answer: &Answer) {
    stream.set_nodelay(true).ok();
    let mut stream = BufReader::new(stream);
    while let Some(length) = head(&mut stream) {
        let mut sent = String::new();
        let read = stream
            .by_ref()
            .take(length.min(MAX_BODY))
            .read_to_string(&mut sent);
        if read.is_err() {
            return;
        }
        let body = answer(&sent);
        let whole = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.get_mut().write_all(whole.as_bytes()).is_err() {
            return;
        }
    }
}

/// Reads a request's head; returns the length of its body, or `None` when there is no more request.
fn head(stream: &mut BufReader<TcpStream>) -> Option<u64> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            return Some(length);
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
}
