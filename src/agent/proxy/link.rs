//! The control connection as its callers share it.
//!
//! Whoever waits for an answer reads the connection itself, for the others too: a revert is not to wait until another
//! thread has been woken to hand its answer on. One reads at a time; the rest sleep until theirs has come. Nobody
//! reads while nobody waits: the supervisor only watches for the connection's end.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::client::ProxyError;
use super::protocol::{
    Answer, Command, Hello, MAX_LINE_BYTES, Outcome, Refusal, RefusalKind, Reply, Request,
};

/// How long it may take to read what was said before a connection ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Most commands under way at once.
const MAX_PENDING: usize = 1024;

/// What callers and the supervisor share.
#[derive(Debug)]
pub struct Shared {
    link: Mutex<Link>,
    next: AtomicU64,
    changed: Condvar,
}

#[derive(Debug)]
struct Link {
    up: Option<Up>,
    why_down: String,
    /// The commands whose answer somebody wants; `Some`: it has come.
    waiting: HashMap<u64, Option<Result<Answer, ProxyError>>>,
}

/// A connection to a proxy.
#[derive(Debug)]
struct Up {
    hello: Hello,
    writer: UnixStream,
    /// None: somebody reads just now, or it is broken.
    reader: Option<Reader>,
    /// Tells it from the one before.
    number: u64,
    heard: Instant,
    /// Read to its end.
    ended: Option<Ended>,
}

/// The reading end.
#[derive(Debug)]
struct Reader {
    stream: BufReader<UnixStream>,
    /// What has come of a line.
    line: Vec<u8>,
}

/// There will be no more answers.
#[derive(Debug)]
struct Ended {
    /// What was wrong with the last one; none: the proxy closed the connection.
    broken: Option<String>,
}

/// A command whose answer is still to come. Dropped, nobody wants it any more.
#[derive(Debug)]
pub struct Asked {
    seq: u64,
    shared: Arc<Shared>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.shared.link.lock().waiting.remove(&self.seq);
    }
}

impl Shared {
    /// Without a proxy, so far.
    pub fn new() -> Self {
        let link = Link {
            up: None,
            why_down: "it has not started yet".to_owned(),
            waiting: HashMap::new(),
        };
        Self {
            link: Mutex::new(link),
            next: AtomicU64::new(1),
            changed: Condvar::new(),
        }
    }

    /// Who the proxy is, as it said when the connection was made; none while there is none.
    pub fn hello(&self) -> Option<Hello> {
        self.link.lock().up.as_ref().map(|up| up.hello.clone())
    }

    /// Waits until there is a proxy.
    pub fn wait_until_up(&self, patience: Duration) -> Result<Hello, ProxyError> {
        let deadline = Instant::now() + patience;
        let mut link = self.link.lock();
        loop {
            if let Some(up) = &link.up {
                return Ok(up.hello.clone());
            }
            if self.changed.wait_until(&mut link, deadline).timed_out() {
                return Err(link.down());
            }
        }
    }

    /// Why there is none.
    pub fn down(&self) -> ProxyError {
        self.link.lock().down()
    }

    /// Sends a command.
    pub fn ask(self: &Arc<Self>, command: Command) -> Result<Asked, ProxyError> {
        let seq = self.next.fetch_add(1, Ordering::Relaxed);
        let line = to_line(seq, command)?;
        let mut link = self.link.lock();
        let link = &mut *link;
        let Some(up) = &mut link.up else {
            return Err(link.down());
        };
        if link.waiting.len() >= MAX_PENDING {
            return Err(ProxyError::Silent);
        }
        up.writer
            .write_all(&line)
            .map_err(|error| ProxyError::Down(error.to_string()))?;
        link.waiting.insert(seq, None);
        Ok(Asked {
            seq,
            shared: Arc::clone(self),
        })
    }

    /// Waits for the answer, and reads meanwhile unless another one does.
    pub fn wait(&self, asked: &Asked, patience: Duration) -> Result<Answer, ProxyError> {
        let deadline = Instant::now() + patience;
        let mut link = self.link.lock();
        loop {
            if let Some(answer) = link.waiting.get_mut(&asked.seq).and_then(Option::take) {
                return answer;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ProxyError::Silent);
            }
            self.read_or_sleep(&mut link, left);
        }
    }

    /// Reads one answer, or waits until another has read one.
    fn read_or_sleep(&self, link: &mut MutexGuard<'_, Link>, at_most: Duration) {
        match link.take_reader() {
            Some((number, mut reader)) => {
                let read = MutexGuard::unlocked(link, || reader.next(at_most));
                link.took(number, reader, read);
                self.changed.notify_all();
            }
            None => drop(self.changed.wait_for(link, at_most)),
        }
    }

    /// The connection is there.
    pub fn set_up(&self, stream: UnixStream, hello: Hello) -> io::Result<()> {
        let writer = stream.try_clone()?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.link.lock().up = Some(Up {
            hello,
            writer,
            reader: Some(Reader {
                stream: BufReader::new(stream),
                line: Vec::new(),
            }),
            number,
            heard: Instant::now(),
            ended: None,
        });
        self.changed.notify_all();
        Ok(())
    }

    /// The connection is gone, and everybody who waits hears it.
    pub fn set_down(&self, why: &str) {
        let mut link = self.link.lock();
        let link = &mut *link;
        link.up = None;
        why.clone_into(&mut link.why_down);
        for answer in link.waiting.values_mut().filter(|answer| answer.is_none()) {
            *answer = Some(Err(ProxyError::Down(why.to_owned())));
        }
        self.changed.notify_all();
    }

    /// When the proxy was last heard of.
    pub fn heard(&self) -> Option<Instant> {
        self.link.lock().up.as_ref().map(|up| up.heard)
    }

    /// The connection has ended: what was said before reaches those who wait. What was wrong with it, if anything.
    pub fn read_to_the_end(&self) -> Option<String> {
        let deadline = Instant::now() + LAST_WORDS;
        let mut link = self.link.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match &link.up {
                Some(up) if up.ended.is_none() && !left.is_zero() => self.read_or_sleep(&mut link, left),
                Some(up) => return up.ended.as_ref()?.broken.clone(),
                None => return None,
            }
        }
    }

    /// Whether anybody waits for an answer.
    pub fn is_waiting(&self) -> bool {
        self.link.lock().waiting.values().any(Option::is_none)
    }

    /// Breaks the connection off; whoever reads or watches it sees its end.
    pub fn break_off(&self) {
        if let Some(up) = &self.link.lock().up {
            up.break_off();
        }
    }
}

impl Link {
    fn down(&self) -> ProxyError {
        ProxyError::Down(self.why_down.clone())
    }

    fn take_reader(&mut self) -> Option<(u64, Reader)> {
        let up = self.up.as_mut()?;
        Some((up.number, up.reader.take()?))
    }

    /// Gives what was read to whom it is for, and the reading end back.
    fn took(&mut self, number: u64, reader: Reader, read: Result<Option<Reply>, Ended>) {
        // Of a connection that is gone meanwhile nothing is of use.
        let Some(up) = self.up.as_mut().filter(|up| up.number == number) else {
            return;
        };
        match read {
            Ok(reply) => {
                up.reader = Some(reader);
                let Some(Reply { seq, outcome }) = reply else {
                    return;
                };
                up.heard = Instant::now();
                // Whoever asked may have given up.
                if let Some(answer) = self.waiting.get_mut(&seq) {
                    *answer = Some(match outcome {
                        Outcome::Ok(answer) => Ok(answer),
                        Outcome::Error(refusal) => Err(ProxyError::Refused(refusal)),
                    });
                }
            }
            Err(ended) => {
                up.ended = Some(ended);
                up.break_off();
            }
        }
    }
}

impl Up {
    fn break_off(&self) {
        if let Err(error) = self.writer.shutdown(std::net::Shutdown::Both) {
            tracing::debug!(%error, "control connection");
        }
    }
}

impl Reader {
    /// The next answer; none: not within the time.
    fn next(&mut self, within: Duration) -> Result<Option<Reply>, Ended> {
        let broken = |why: String| Ended { broken: Some(why) };
        let read = self
            .stream
            .get_ref()
            .set_read_timeout(Some(within))
            .and_then(|()| read_line(&mut self.stream, &mut self.line));
        match read {
            Ok(true) => {
                let reply = serde_json::from_slice(&self.line);
                self.line.clear();
                reply
                    .map(Some)
                    .map_err(|error| broken(format!("its answer cannot be read: {error}")))
            }
            Ok(false) => Err(Ended { broken: None }),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(None)
            }
            Err(error) => Err(broken(error.to_string())),
        }
    }
}

fn to_line(seq: u64, command: Command) -> Result<Vec<u8>, ProxyError> {
    let mut line = serde_json::to_vec(&Request { seq, command })
        .map_err(|error| ProxyError::Down(format!("a command that cannot be written: {error}")))?;
    line.push(b'\n');
    if line.len() > MAX_LINE_BYTES {
        let detail = format!("the command is longer than {MAX_LINE_BYTES} bytes");
        return Err(ProxyError::Refused(Refusal {
            kind: RefusalKind::Bad,
            detail,
        }));
    }
    Ok(line)
}

/// Reads a whole line into `line`, which keeps what came before a time-out. False: the connection has ended.
pub fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    let room = (MAX_LINE_BYTES * 16).saturating_sub(line.len());
    reader.take(room as u64).read_until(b'\n', line)?;
    match line.last() {
        Some(b'\n') => Ok(true),
        _ if line.len() >= MAX_LINE_BYTES * 16 => Err(io::Error::other("its answer is too long")),
        _ => Ok(false),
    }
}
