//! Bodies of the calls that open, renew, close, start and change.
//!
//! | call | body → answer |
//! | --- | --- |
//! | `GET /v1/agent` | → [`crate::AgentInfo`] |
//! | `POST /v1/preview` | [`PreviewRequest`] → [`PreviewResponse`] |
//! | `POST /v1/drills` | [`OpenRequest`] → [`Opened`] |
//! | `POST /v1/drills/{epoch}/lease` | [`RenewRequest`] → [`Renewed`] |
//! | `DELETE /v1/drills/{epoch}` | [`CloseRequest`] → [`Closed`] |
//! | `PUT /v1/injections/{id}` | [`StartRequest`] → [`crate::InjectionView`] |
//! | `PATCH /v1/injections/{id}` | [`PatchRequest`] → [`crate::InjectionView`] |
//! | `DELETE /v1/injections/{id}` | → [`crate::InjectionView`], after the read-back |
//! | `GET /v1/injections`, `/{id}` | → `[InjectionView]`, [`crate::InjectionView`] |
//! | `POST /v1/abort` | [`crate::AbortRequest`] → lines of [`crate::AbortLine`] |
//! | `POST /v1/release` | [`crate::ReleaseRequest`] → [`crate::Released`] |
//! | `POST /v1/actions/{name}` | [`crate::ActionRequest`] → [`crate::ActionDone`] |
//! | `GET /v1/events` | → server-sent [`crate::AgentEvent`]s |
//! | `GET /metrics`, `GET /healthz` | → text |

use serde::{Deserialize, Serialize};

use crate::{Epoch, FaultName, Fence, HolderSecret, InjectionView, Scope, Stamp, Tick};

/// `POST /v1/drills`. Repeated with the same nonce: the same answer while open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenRequest {
    /// The drill's id.
    pub drill: crate::DrillId,
    /// Random, so that a repeat is known as one.
    pub nonce: String,
    /// The experiment's name, for people.
    pub experiment: String,
    /// The console that asks.
    pub console: String,
    /// The person who drives it.
    pub who: String,
    /// How long injections stay without a renewal, in milliseconds.
    pub lease_ms: u64,
}

/// The answer to an opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Who speaks.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// The drill's epoch here.
    pub epoch: Epoch,
    /// The secret that later calls show.
    pub holder: HolderSecret,
    /// When the lease ends unless it is renewed.
    pub deadline: Tick,
}

/// `POST /v1/drills/{epoch}/lease`: renews all of the drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewRequest {
    /// Who asks, for which drill.
    pub fence: Fence,
    /// The last tick seen; the new deadline is that tick plus the lease, so late repeats add nothing.
    pub seen: Tick,
}

/// The answer to a renewal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// Who speaks.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// When the lease ends now.
    pub deadline: Tick,
}

/// `DELETE /v1/drills/{epoch}`. May be empty; unknown fields are ignored: it stops.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseRequest {
    /// The hash of the journal so far, kept in the agent's audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<String>,
}

/// The answer to a close, after what was left is reverted and read back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Closed {
    /// Who speaks.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Every injection of the drill, as it ended.
    pub injections: Vec<InjectionView>,
}

/// `PUT /v1/injections/{id}`. The same id and body again: the same answer; another body: 409.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// Who asks, for which drill.
    pub fence: Fence,
    /// What to inject.
    pub fault: FaultName,
    /// Its parameters; see the fault's schema.
    #[serde(default)]
    pub parameters: serde_json::Value,
    /// Where on the host.
    #[serde(default)]
    pub scope: Scope,
    /// How long, in milliseconds from its becoming active; the ramp included.
    pub ends_in_ms: u64,
    /// How long it grows from nothing to full strength, in milliseconds.
    #[serde(default)]
    pub ramp_ms: u64,
    /// Past this tick the start is refused (412), so that a held-up start does not begin late.
    pub not_after: Tick,
}

/// `PATCH /v1/injections/{id}`: another strength. Never moves the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchRequest {
    /// Who asks, for which drill.
    pub fence: Fence,
    /// Must be higher than the one in force.
    pub revision: u64,
    /// Past this tick the change is refused (412).
    pub not_after: Tick,
    /// All parameters, as they shall be.
    pub parameters: serde_json::Value,
}

/// `POST /v1/preview`: what an injection would hit. No epoch, no id, no effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewRequest {
    /// What would be injected.
    pub fault: FaultName,
    /// Its parameters.
    #[serde(default)]
    pub parameters: serde_json::Value,
    /// Where on the host.
    #[serde(default)]
    pub scope: Scope,
}

/// The answer to a preview; a refusal is a [`crate::Problem`], as for the start itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreviewResponse {
    /// Who speaks.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// One sentence a line: `route payment-http 127.0.0.1:8081 → 127.0.0.1:9081`, `process 4211 nginx`.
    pub hits: Vec<String>,
}
