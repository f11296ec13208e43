//! The agent's end of the control connection, and the probe from outside.
//!
//! A [`Client`] is a handle, cheap to clone. Its calls block the calling thread, each for a bounded time, and
//! need no runtime, so that a revert works while the agent's runtime is stuck.

use std::sync::Arc;
use std::time::{Duration, Instant};

use firedrill_wire::RouteProtocol;

use super::link::{Asked, Shared};
use super::probe::{self, Line, Probe, ProbeRequest};
use super::protocol::{Answer, Command, Hello, Refusal, RouteStatus, RuleReport, SetRule};

/// How long an answer may take. A removal waits for what is held, at most 2 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);

/// How long an announced probe may wait to be sent: less than the proxy expects it.
const ANNOUNCED_FOR: Duration = Duration::from_secs(3);

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

/// A probe that the proxy has been told of.
#[derive(Debug)]
pub struct Announced {
    status: RouteStatus,
    prober: probe::Prober,
    asked: Asked,
    since: Instant,
}

impl Client {
    pub(super) fn new() -> Self {
        Self {
            shared: Arc::new(Shared::new()),
        }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Who the proxy is, as it said when the connection was made; none while there is none.
    pub fn hello(&self) -> Option<Hello> {
        self.shared.hello()
    }

    /// Waits until there is a proxy.
    pub fn up(&self, patience: Duration) -> Result<Hello, ProxyError> {
        self.shared.wait_until_up(patience)
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
        Ok((self.wait(&removal).and_then(report)?, announced))
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
        Ok((self.wait(&removal).and_then(report)?, sent.ok().map(|()| line)))
    }

    fn ask_to_remove(&self, id: &str, generation: u64) -> Result<Asked, ProxyError> {
        let id = id.to_owned();
        self.shared.ask(Command::Remove { id, generation })
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
        self.wait(&self.shared.ask(command)?)
    }

    /// A sign of life to the proxy, and a moment for its answer: whoever watches hears of it.
    pub(super) fn ping(&self, patience: Duration) {
        if let Ok(asked) = self.shared.ask(Command::Ping) {
            self.shared.wait(&asked, patience).ok();
        }
    }

    fn wait(&self, asked: &Asked) -> Result<Answer, ProxyError> {
        self.shared.wait(asked, ANSWER_TIMEOUT)
    }

    fn rule(&self, command: Command) -> Result<RuleReport, ProxyError> {
        self.call(command).and_then(report)
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
        self.wait(&asked)?;
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
        self.wait(&announced.asked).ok()?;
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
        let hello = self.hello().ok_or_else(|| self.shared.down())?;
        let mut status =
            find(hello).ok_or_else(|| failed(route, "the proxy has no such route".to_owned()))?;
        if status.listening.is_none() {
            // Perhaps it listens by now.
            status = find(self.ask()?).unwrap_or(status);
        }
        let listening = status.listening;
        let listening = listening.ok_or_else(|| failed(route, "it does not listen".to_owned()))?;
        let prober = probe::Prober::bind(listening).map_err(|error| failed(route, error.to_string()))?;
        let asked = self.shared.ask(Command::ExpectProbe {
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

fn unexpected(answer: &Answer) -> ProxyError {
    ProxyError::Down(format!("it speaks another protocol: {answer:?}"))
}
