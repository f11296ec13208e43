//! A server that answers at once, for whatever stands before it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Answers every request with 200 and `ok`. Ends when dropped.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
}

impl Upstream {
    /// Starts it with this body and content type as its answer.
    pub fn answering(kind: &'static str, body: &'static str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let ended = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ended);
        std::thread::Builder::new()
            .name("upstream".to_owned())
            .spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if seen.load(Ordering::SeqCst) {
                        return;
                    }
                    std::thread::Builder::new()
                        .name("upstream-connection".to_owned())
                        .spawn(move || serve(stream, kind, body))
                        .ok();
                }
            })?;
        Ok(Self { address, ended })
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

fn serve(stream: TcpStream, kind: &str, body: &str) {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.set_nodelay(true).ok();
    let mut stream = BufReader::new(stream);
    while let Some(length) = head(&mut stream) {
        let mut sent = std::io::sink();
        let read = std::io::copy(&mut stream.by_ref().take(length), &mut sent);
        if read.is_err() || stream.get_mut().write_all(answer.as_bytes()).is_err() {
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
