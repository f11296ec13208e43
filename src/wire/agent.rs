//! `GET /v1/agent`: who an agent is and what it can do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{AgentId, DrillId, Epoch, FaultInfo, Instance, LatchView, Tick};

/// On every answer: who speaks, in which life, and when by its own clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The agent's id.
    pub agent: AgentId,
    /// Its life.
    pub instance: Instance,
    /// Its clock as it answered.
    pub tick: Tick,
}

/// The answer to `GET /v1/agent`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// Who speaks.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// [`crate::PROTOCOL_VERSION`] of the agent.
    pub protocol: u32,
    /// The agent's release.
    pub version: String,
    /// Its host's name.
    pub host: String,
    /// Labels that plans choose agents by.
    pub labels: BTreeMap<String, String>,
    /// Set: nothing is on and nothing starts until it is released.
    pub latch: Option<LatchView>,
    /// Who holds the agent now.
    pub open: Option<OpenDrillView>,
    /// Paths of traffic through the agent's proxy.
    pub routes: Vec<Route>,
    /// The faults this build knows, each with whether it can be done here.
    pub faults: Vec<FaultInfo>,
    /// Where abort, renewal and this call are served a second time; absent: on the next port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort_port: Option<u16>,
    /// What an operator should know of this agent's limits (for instance: no keeper in this version).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The host's own policy, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyView>,
    /// The commands of its allow-list, by name: emergency actions may run these and no others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
}

/// The answer to `GET /v1/agent?brief`: of [`AgentInfo`] what changes from moment to moment. An abort line asks for it
/// each second, on the thread that an abort needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentBrief {
    /// Who speaks.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// [`crate::PROTOCOL_VERSION`] of the agent.
    pub protocol: u32,
    /// Set: nothing is on and nothing starts until it is released.
    pub latch: Option<LatchView>,
    /// Who holds the agent now.
    pub open: Option<OpenDrillView>,
}

/// The host's own policy: it beats every console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyView {
    /// Its file on the host.
    pub file: String,
    /// Its rules, one a line: `longest: 10m`, `strongest."http.latency".delay: "500ms"`.
    pub rules: Vec<String>,
    /// Why it cannot be read: then nothing may start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

/// The drill that holds an agent; never its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenDrillView {
    /// The drill's id.
    pub drill: DrillId,
    /// Its epoch here.
    pub epoch: Epoch,
    /// The experiment's name.
    pub experiment: String,
    /// The console that opened it.
    pub console: String,
    /// The person who drives it.
    pub who: String,
    /// When it was opened.
    pub since: Tick,
    /// What is left of its lease, in milliseconds.
    pub lease_left_ms: u64,
    /// What of it is on; `None` from an agent that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<OnView>,
}

/// What of a drill is on, or may be: whatever is not read back as off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnView {
    /// How many injections.
    pub injections: u32,
    /// When the last of them ends by itself, in milliseconds from now.
    pub ends_in_ms: u64,
}

/// What a route carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RouteProtocol {
    /// HTTP/1.1: rules see requests. `tcp.*` faults work here too, on the connections below.
    Http,
    /// Any TCP stream.
    Tcp,
}

/// A path of traffic through the agent's proxy: agent configuration, there before and after drills.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The name that injections use.
    pub name: String,
    /// Where the proxy listens, `ip:port`.
    pub listen: String,
    /// Where it sends, `host:port`.
    pub upstream: String,
    /// What it carries.
    pub protocol: RouteProtocol,
}
