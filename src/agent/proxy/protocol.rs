//! The control protocol's types. The words around them are in the head of [`super`].

use std::net::SocketAddr;

use firedrill_wire::Route;
use serde::{Deserialize, Serialize};

/// The control protocol's number. A proxy with another one is asked to leave and started anew.
pub const CONTROL_VERSION: u32 = 2;

/// Longest control line in bytes, either way.
pub const MAX_LINE_BYTES: usize = 64 * 1024;

/// A line from the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Repeated in the answer.
    pub seq: u64,
    /// What to do.
    pub command: Command,
}

/// What an agent may ask. Every command is answered, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Who is there: answered with [`Answer::Hello`].
    Hello,
    /// A sign of life, both ways.
    Ping,
    /// Set a rule, or replace one of the same id by a higher generation.
    Set(Box<SetRule>),
    /// Take a rule away, wake what it holds, and answer when nothing is held any more.
    Remove {
        /// The rule's id.
        id: String,
        /// Later `set`s of this id with this generation or a lower one are refused.
        generation: u64,
    },
    /// Take every rule away.
    Clear,
    /// Where a rule is and what it did; also for removed ones.
    Status {
        /// The rule's id.
        id: String,
    },
    /// Reset every open connection of a route, once.
    Cut {
        /// The route's name.
        route: String,
    },
    /// The next connection to the route from this address is a probe: it goes through the rules and ends
    /// in the proxy.
    ExpectProbe {
        /// The route's name.
        route: String,
        /// The probe's own address.
        from: SocketAddr,
    },
    /// Close the listeners, wait for what is under way, and exit.
    Retire {
        /// How long to wait for requests and connections under way, in milliseconds.
        drain_ms: u64,
    },
}

/// A rule to set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetRule {
    /// The rule's id: the injection's.
    pub id: String,
    /// Must be higher than any before for this id.
    pub generation: u64,
    /// The route's name.
    pub route: String,
    /// What it does.
    pub rule: RuleSpec,
    /// Milliseconds in which the strength grows from nothing to full, counted from the first `set` of this
    /// id. Only for rules that have a strength.
    #[serde(default)]
    pub ramp_ms: u64,
    /// Milliseconds after which the proxy drops the rule by itself, counted from the first `set` of this id.
    pub ends_in_ms: u64,
    /// Only in place of a rule of this id that is there: one that was lost meanwhile does not begin anew.
    #[serde(default)]
    pub replace: bool,
}

/// Which requests a rule hits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Only {
    /// Requests whose path begins with this; none: every path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Requests with this method, case ignored; none: every method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Requests with this header: `name`, or `name: value`; none: whatever headers they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Calls of this gRPC service, with its package: `shop.Orders`; none: every service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Calls of the gRPC method of this name; none: every method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpc: Option<String>,
    /// Share of those that are hit, within [0, 1].
    #[serde(default = "all")]
    pub share: f64,
}

fn all() -> f64 {
    1.0
}

impl Default for Only {
    fn default() -> Self {
        Self {
            path: None,
            method: None,
            header: None,
            service: None,
            rpc: None,
            share: 1.0,
        }
    }
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum RuleSpec {
    /// Requests wait before they are forwarded.
    #[serde(rename = "http.latency")]
    HttpLatency {
        /// How long, in microseconds.
        delay_us: u64,
        /// Uniform, plus or minus; at most the delay.
        #[serde(default)]
        jitter_us: u64,
        /// Which requests.
        #[serde(default)]
        only: Only,
    },
    /// Requests are answered here and not forwarded.
    #[serde(rename = "http.status")]
    HttpStatus {
        /// The status, 400 to 599.
        code: u16,
        /// The answer's body.
        #[serde(default)]
        body: String,
        /// Which requests.
        #[serde(default)]
        only: Only,
    },
    /// Headers are removed and set.
    #[serde(rename = "http.headers")]
    HttpHeaders {
        /// Whose.
        side: Side,
        /// Lines of `name: value`; those of the same name are replaced.
        #[serde(default)]
        set: Vec<String>,
        /// Names.
        #[serde(default)]
        remove: Vec<String>,
        /// Which requests.
        #[serde(default)]
        only: Only,
    },
    /// Answers have other bodies.
    #[serde(rename = "http.body")]
    HttpBody {
        /// How they differ.
        change: BodyChange,
        /// Which requests.
        #[serde(default)]
        only: Only,
    },
    /// Answers longer than this break off after it.
    #[serde(rename = "http.truncate")]
    HttpTruncate {
        /// Bytes of the body that arrive.
        bytes: u64,
        /// Which requests.
        #[serde(default)]
        only: Only,
    },
    /// Each answer's body arrives slowly.
    #[serde(rename = "http.slow_body")]
    HttpSlowBody {
        /// Bytes per second, for each answer.
        bytes_per_s: u64,
        /// Which requests.
        #[serde(default)]
        only: Only,
    },
    /// The client's connection is reset instead of an answer; over HTTP/2 the stream.
    #[serde(rename = "http.reset")]
    HttpReset {
        /// Which requests.
        #[serde(default)]
        only: Only,
    },
    /// Requests are taken, answered as if they had been done, and lost.
    #[serde(rename = "http.lose")]
    HttpLose {
        /// The status, 200 to 299.
        code: u16,
        /// The answer's body.
        #[serde(default)]
        body: String,
        /// Which requests.
        #[serde(default)]
        only: Only,
    },
    /// gRPC calls end with a status.
    #[serde(rename = "grpc.status")]
    GrpcStatus {
        /// The status, 1 to 16.
        code: u8,
        /// Its message.
        #[serde(default)]
        message: String,
        /// `grpc-status-details-bin`, in base64.
        #[serde(default)]
        details: String,
        /// Whether the call is passed on first and its answer comes before the status.
        #[serde(default)]
        after: bool,
        /// Which requests.
        #[serde(default)]
        only: Only,
    },
    /// Bytes of the answer arrive later.
    #[serde(rename = "tcp.latency")]
    TcpLatency {
        /// How long, in microseconds.
        delay_us: u64,
        /// Uniform, plus or minus; at most the delay. Bytes never overtake each other.
        #[serde(default)]
        jitter_us: u64,
    },
    /// A slow link for the whole route, both directions together.
    #[serde(rename = "tcp.bandwidth")]
    TcpBandwidth {
        /// Bytes per second.
        bytes_per_s: u64,
    },
    /// New connections are refused by the kernel; open ones go on.
    #[serde(rename = "tcp.refuse")]
    TcpRefuse {},
}

/// Whose headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The request's, before it is passed on.
    Request,
    /// The answer's.
    Answer,
}

/// How a body is changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BodyChange {
    /// Another text in its place.
    Replace {
        /// Only where this is found; none: the whole body.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        find: Option<String>,
        /// What is there instead.
        #[serde(default)]
        text: String,
    },
    /// One bit is flipped in one byte of so many, and at least in one of each body.
    Corrupt {
        /// Of how many.
        every: u64,
    },
}

impl RuleSpec {
    /// The fault's name, as in the catalogue.
    pub fn name(&self) -> &'static str {
        match self {
            Self::HttpLatency { .. } => "http.latency",
            Self::HttpStatus { .. } => "http.status",
            Self::HttpHeaders { .. } => "http.headers",
            Self::HttpBody { .. } => "http.body",
            Self::HttpTruncate { .. } => "http.truncate",
            Self::HttpSlowBody { .. } => "http.slow_body",
            Self::HttpReset { .. } => "http.reset",
            Self::HttpLose { .. } => "http.lose",
            Self::GrpcStatus { .. } => "grpc.status",
            Self::TcpLatency { .. } => "tcp.latency",
            Self::TcpBandwidth { .. } => "tcp.bandwidth",
            Self::TcpRefuse {} => "tcp.refuse",
        }
    }

    /// Which requests it hits; none: it does not work on requests.
    pub fn only(&self) -> Option<&Only> {
        match self {
            Self::HttpLatency { only, .. }
            | Self::HttpStatus { only, .. }
            | Self::HttpHeaders { only, .. }
            | Self::HttpBody { only, .. }
            | Self::HttpTruncate { only, .. }
            | Self::HttpSlowBody { only, .. }
            | Self::HttpReset { only }
            | Self::HttpLose { only, .. }
            | Self::GrpcStatus { only, .. } => Some(only),
            Self::TcpLatency { .. } | Self::TcpBandwidth { .. } | Self::TcpRefuse {} => None,
        }
    }

    /// Whether it works on requests, and so only on `http` routes.
    pub fn needs_http(&self) -> bool {
        self.only().is_some()
    }

    /// Whether a ramp has something to grow.
    pub fn has_strength(&self) -> bool {
        !matches!(self, Self::TcpRefuse {})
    }

    /// Whether a ramp grows the share of the requests that are hit; otherwise how hard each is hit.
    pub fn grows_by_share(&self) -> bool {
        self.needs_http() && !matches!(self, Self::HttpLatency { .. } | Self::HttpSlowBody { .. })
    }
}

/// A line to the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The request's number; 0 for a line that had none.
    pub seq: u64,
    /// How it went.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a command went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done.
    Ok(Answer),
    /// Not done; nothing has changed.
    Error(Refusal),
}

/// What a command answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To `hello`.
    Hello(Hello),
    /// To `set`, `remove` and `status`.
    Rule(RuleReport),
    /// To `clear`: every rule that was there.
    Cleared(Vec<RuleReport>),
    /// To `cut`: how many connections were reset.
    Cut(u64),
    /// To the others.
    Done,
}

/// Why a command was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which kind.
    pub kind: RefusalKind,
    /// In words.
    pub detail: String,
}

/// Kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The line is not a command, or its values are out of range.
    Bad,
    /// No such route, or one of the wrong protocol.
    Route,
    /// The generation is not higher than one seen before.
    Stale,
    /// Another rule of this kind is on this route, or too many rules are.
    Taken,
    /// Another agent holds the control connection.
    Busy,
    /// The kernel said no.
    System,
}

/// Who a proxy is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`CONTROL_VERSION`].
    pub control: u32,
    /// The release of the program.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Its routes.
    pub routes: Vec<RouteStatus>,
}

impl Hello {
    /// The address a route really listens on: the one to give to clients where its configuration says port 0.
    pub fn address(&self, route: &str) -> Option<SocketAddr> {
        self.routes
            .iter()
            .find(|status| status.route.name == route)?
            .listening
    }
}

/// A route as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteStatus {
    /// As configured.
    pub route: Route,
    /// Where it listens; none: it cannot, see `problem`.
    pub listening: Option<SocketAddr>,
    /// Why it does not listen. The proxy tries again each second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Open connections.
    pub connections: u64,
    /// Connections turned away because too many were open.
    pub turned_away: u64,
}

/// A rule as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleReport {
    /// The rule's id.
    pub id: String,
    /// Whether it is in the table.
    pub present: bool,
    /// Its generation; 0: never seen.
    pub generation: u64,
    /// Requests, and directions of connections, that it holds back now.
    pub held: u64,
    /// What it has done.
    pub counters: Counters,
    /// What went wrong in taking it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl RuleReport {
    /// Whether the rule is gone and holds nothing: the read-back of a revert.
    pub fn is_off(&self) -> bool {
        !self.present && self.held == 0 && self.problem.is_none()
    }
}

/// What a rule has done since it was first set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Requests that it is for, or pieces of streams that it saw.
    pub seen: u64,
    /// Those it delayed.
    pub delayed: u64,
    /// Requests it answered itself.
    pub answered: u64,
    /// Requests or answers that it changed.
    pub changed: u64,
    /// Answers that it broke off.
    pub truncated: u64,
    /// Requests whose connection or stream it reset.
    pub reset: u64,
    /// Requests that it lost.
    pub lost: u64,
    /// Bytes that passed it (`tcp.latency`, `tcp.bandwidth`).
    pub bytes: u64,
    /// Sum of the delays it gave, in microseconds.
    pub added_us: u64,
}
