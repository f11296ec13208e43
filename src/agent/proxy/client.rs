//! The agent's end of the control connection, and the probe from outside.
//!
//! A [`Client`] is a handle, cheap to clone. Its calls block the calling thread, each for a bounded time, and
//! need no runtime, so that a revert works while the agent's runtime is stuck. The answers are read by the
//! supervisor's thread.

use std::collections::HashMap;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use firedrill_wire::RouteProtocol;
use parking_lot::{Condvar, Mutex};

use super::probe::{self, Line, Probe, ProbeRequest};
use super::protocol::{
    Answer, Command, Hello, MAX_LINE_BYTES, Outcome, Refusal, RefusalKind, Request, RouteStatus, RuleReport,
    SetRule,
};

/// How long an answer may take. A removal waits for what is held, at most 2 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);

/// How long an announced probe may wait to be sent: less than the proxy expects it.
const ANNOUNCED_FOR: Duration = Duration::from_secs(3);

/// Most commands under way at once.
const MAX_PENDING: usize = 1024;

/// Why the proxy did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// There is no proxy now; it is being started again. No rule is set.
    #[error("the proxy is not running ({0}); it is started again within a second, without rules")]
    Down(String),
    /// The proxy said no.
    #[error("the proxy refused: {}", .0.detail)]
    Refused(Refusal),
    /// No answer in time: what it did is not known.
    #[error("the proxy gave no answer within {} s; if it hangs, end its process: its rules end with it", ANSWER_TIMEOUT.as_secs())]
    Silent,
    /// A probe did not come through.
    #[error("the probe of route \"{route}\" failed: {reason}")]
    Probe {
        /// The route's name.
        route: String,
        /// What happened.
        reason: String,
    },
}

/// A handle on the proxy.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

/// A command whose answer is still to come.
#[derive(Debug)]
struct Asked {
    seq: u64,
    answer: Receiver<Result<Answer, ProxyError>>,
}

/// A probe that the proxy has been told of.
#[derive(Debug)]
pub struct Announced {
    status: RouteStatus,
    prober: probe::Prober,
    asked: Asked,
    since: Instant,
}

type Waiter = SyncSender<Result<Answer, ProxyError>>;

/// What handles and the supervisor's thread share.
#[derive(Debug)]
pub(super) struct Shared {
    link: Mutex<Link>,
    next: AtomicU64,
    came_up: Condvar,
}

#[derive(Debug)]
struct Link {
    up: Option<(UnixStream, Hello)>,
    why_down: String,
    waiting: HashMap<u64, Waiter>,
}

impl Client {
    pub(super) fn new() -> Self {
        let link = Link {
            up: None,
            why_down: "it has not started yet".to_owned(),
            waiting: HashMap::new(),
        };
        let shared = Shared {
            link: Mutex::new(link),
            next: AtomicU64::new(1),
            came_up: Condvar::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Who the proxy is, as it said when the connection was made; none while there is none.
    pub fn hello(&self) -> Option<Hello> {
        self.shared
            .link
            .lock()
            .up
            .as_ref()
            .map(|(_, hello)| hello.clone())
    }

    /// Waits until there is a proxy.
    pub fn up(&self, patience: Duration) -> Result<Hello, ProxyError> {
        let deadline = Instant::now() + patience;
        let mut link = self.shared.link.lock();
        loop {
            if let Some((_, hello)) = &link.up {
                return Ok(hello.clone());
            }
            if self.shared.came_up.wait_until(&mut link, deadline).timed_out() {
                return Err(ProxyError::Down(link.why_down.clone()));
            }
        }
    }

    /// Who the proxy is now, its routes' state included.
    pub fn ask(&self) -> Result<Hello, ProxyError> {
        match self.call(Command::Hello)? {
            Answer::Hello(hello) => Ok(hello),
            other => Err(unexpected(&other)),
        }
    }

    /// Sets a rule, or replaces it by a higher generation.
    pub fn set(&self, set: SetRule) -> Result<RuleReport, ProxyError> {
        self.rule(Command::Set(Box::new(set)))
    }

    /// Takes a rule away and waits until it holds nothing.
    pub fn remove(&self, id: &str, generation: u64) -> Result<RuleReport, ProxyError> {
        self.rule(Command::Remove {
            id: id.to_owned(),
            generation,
        })
    }

    /// The same, and announces the probe that is to prove it right behind, so that it need not wait for the
    /// announcement later. None: it could not be announced.
    pub fn remove_and_announce(
        &self,
        id: &str,
        generation: u64,
        route: &str,
    ) -> Result<(RuleReport, Option<Announced>), ProxyError> {
        let removal = self.ask_to_remove(id, generation)?;
        let announced = self.announce(route).ok();
        Ok((self.wait(removal).and_then(report)?, announced))
    }

    /// The same, and sends the probe right behind, on a line: see [`Self::probe_sent`]. No line comes back if it
    /// could not be sent.
    pub fn remove_and_probe(
        &self,
        id: &str,
        generation: u64,
        mut line: Line,
        request: &ProbeRequest,
    ) -> Result<(RuleReport, Option<Line>), ProxyError> {
        let removal = self.ask_to_remove(id, generation)?;
        let sent = line.send_after(id, request);
        Ok((self.wait(removal).and_then(report)?, sent.ok().map(|()| line)))
    }

    fn ask_to_remove(&self, id: &str, generation: u64) -> Result<Asked, ProxyError> {
        let id = id.to_owned();
        self.ask_for(Command::Remove { id, generation })
    }

    /// Where a rule is and what it has done, also after its removal.
    pub fn status(&self, id: &str) -> Result<RuleReport, ProxyError> {
        self.rule(Command::Status { id: id.to_owned() })
    }

    /// Takes every rule away.
    pub fn clear(&self) -> Result<Vec<RuleReport>, ProxyError> {
        match self.call(Command::Clear)? {
            Answer::Cleared(reports) => Ok(reports),
            other => Err(unexpected(&other)),
        }
    }

    /// Resets every open connection of a route, once; returns how many.
    pub fn cut(&self, route: &str) -> Result<u64, ProxyError> {
        match self.call(Command::Cut {
            route: route.to_owned(),
        })? {
            Answer::Cut(connections) => Ok(connections),
            other => Err(unexpected(&other)),
        }
    }

    /// Sends one command.
    pub fn call(&self, command: Command) -> Result<Answer, ProxyError> {
        self.wait(self.ask_for(command)?)
    }

    fn ask_for(&self, command: Command) -> Result<Asked, ProxyError> {
        let seq = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let answer = self.shared.send(seq, command)?;
        Ok(Asked { seq, answer })
    }

    fn wait(&self, Asked { seq, answer }: Asked) -> Result<Answer, ProxyError> {
        match answer.recv_timeout(ANSWER_TIMEOUT) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Disconnected) => Err(self.down()),
            Err(RecvTimeoutError::Timeout) => {
                self.shared.link.lock().waiting.remove(&seq);
                Err(ProxyError::Silent)
            }
        }
    }

    fn rule(&self, command: Command) -> Result<RuleReport, ProxyError> {
        self.wait(self.ask_for(command)?).and_then(report)
    }

    fn down(&self) -> ProxyError {
        ProxyError::Down(self.shared.link.lock().why_down.clone())
    }

    /// Goes through the route like a client and measures it; the target is not touched. What takes longer
    /// than `patience` is an error, a refused connection too.
    pub fn probe(
        &self,
        route: &str,
        request: &ProbeRequest,
        patience: Duration,
    ) -> Result<Probe, ProxyError> {
        self.probe_announced(self.announce(route)?, request, patience)
    }

    /// The same with a probe that the proxy has been told of.
    pub fn probe_announced(
        &self,
        announced: Announced,
        request: &ProbeRequest,
        patience: Duration,
    ) -> Result<Probe, ProxyError> {
        let Announced {
            status,
            prober,
            asked,
            ..
        } = announced;
        self.wait(asked)?;
        prober
            .go(status.route.protocol, request, patience)
            .map_err(|error| failed(&status.route.name, error.to_string()))
    }

    /// Opens a connection through an `http` route that a probe will use. None: it could not be opened, or the route
    /// carries something else.
    pub fn line(&self, route: &str, patience: Duration) -> Option<Line> {
        let announced = self.announce(route).ok()?;
        if announced.status.route.protocol != RouteProtocol::Http {
            return None;
        }
        self.wait(announced.asked).ok()?;
        announced.prober.line(patience).ok()
    }

    /// What the probe saw that was sent behind a removal.
    pub fn probe_sent(&self, line: Line, route: &str, patience: Duration) -> Result<Probe, ProxyError> {
        line.answer(patience)
            .map_err(|error| failed(route, error.to_string()))
    }

    /// Tells the proxy of a probe, without waiting for its answer.
    fn announce(&self, route: &str) -> Result<Announced, ProxyError> {
        let find = |hello: Hello| hello.routes.into_iter().find(|status| status.route.name == route);
        let hello = self.hello().ok_or_else(|| self.down())?;
        let mut status =
            find(hello).ok_or_else(|| failed(route, "the proxy has no such route".to_owned()))?;
        if status.listening.is_none() {
            // Perhaps it listens by now.
            status = find(self.ask()?).unwrap_or(status);
        }
        let listening = status.listening;
        let listening = listening.ok_or_else(|| failed(route, "it does not listen".to_owned()))?;
        let prober = probe::Prober::bind(listening).map_err(|error| failed(route, error.to_string()))?;
        let asked = self.ask_for(Command::ExpectProbe {
            route: route.to_owned(),
            from: prober.from(),
        })?;
        Ok(Announced {
            status,
            prober,
            asked,
            since: Instant::now(),
        })
    }
}

impl Announced {
    /// Whether the proxy still expects it.
    pub fn is_expected(&self) -> bool {
        self.since.elapsed() < ANNOUNCED_FOR
    }
}

fn failed(route: &str, reason: String) -> ProxyError {
    ProxyError::Probe {
        route: route.to_owned(),
        reason,
    }
}

fn report(answer: Answer) -> Result<RuleReport, ProxyError> {
    match answer {
        Answer::Rule(report) => Ok(report),
        other => Err(unexpected(&other)),
    }
}

impl Shared {
    fn send(&self, seq: u64, command: Command) -> Result<Receiver<Result<Answer, ProxyError>>, ProxyError> {
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
        let (waiter, answer) = sync_channel(1);
        let mut link = self.link.lock();
        let link = &mut *link;
        let Some((stream, _)) = &mut link.up else {
            return Err(ProxyError::Down(link.why_down.clone()));
        };
        if link.waiting.len() >= MAX_PENDING {
            return Err(ProxyError::Silent);
        }
        link.waiting.insert(seq, waiter);
        if let Err(error) = stream.write_all(&line) {
            link.waiting.remove(&seq);
            return Err(ProxyError::Down(error.to_string()));
        }
        Ok(answer)
    }

    /// A sign of life to the proxy; its answer is of no interest.
    pub(super) fn ping(&self) {
        drop(self.send(self.next.fetch_add(1, Ordering::Relaxed), Command::Ping));
    }

    /// Whether anybody waits for an answer.
    pub(super) fn is_waiting(&self) -> bool {
        !self.link.lock().waiting.is_empty()
    }

    /// Gives an answer to whom it is for.
    pub(super) fn deliver(&self, seq: u64, outcome: Outcome) {
        let Some(waiter) = self.link.lock().waiting.remove(&seq) else {
            return;
        };
        let answer = match outcome {
            Outcome::Ok(answer) => Ok(answer),
            Outcome::Error(refusal) => Err(ProxyError::Refused(refusal)),
        };
        // Whoever asked may have given up.
        drop(waiter.send(answer));
    }

    /// The connection is there.
    pub(super) fn set_up(&self, stream: UnixStream, hello: Hello) {
        self.link.lock().up = Some((stream, hello));
        self.came_up.notify_all();
    }

    /// The connection is gone, and everybody who waits hears it.
    pub(super) fn set_down(&self, why: &str) {
        let waiting = {
            let mut link = self.link.lock();
            link.up = None;
            why.clone_into(&mut link.why_down);
            std::mem::take(&mut link.waiting)
        };
        for waiter in waiting.into_values() {
            drop(waiter.send(Err(ProxyError::Down(why.to_owned()))));
        }
    }

    /// Breaks the connection off; the supervisor's thread sees its end.
    pub(super) fn break_off(&self) {
        if let Some((stream, _)) = &self.link.lock().up
            && let Err(error) = stream.shutdown(std::net::Shutdown::Both)
        {
            tracing::debug!(%error, "control connection");
        }
    }
}

fn unexpected(answer: &Answer) -> ProxyError {
    ProxyError::Down(format!("it speaks another protocol: {answer:?}"))
}
