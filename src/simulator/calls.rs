//! Calls of a drill as messages, and answers as the drill hears them.

use firedrill_drill::{Call, Failure, Reply};
use firedrill_wire::{DrillId, Epoch, Fence, HolderSecret, Instance, Scope, StartRequest, Tick};

use crate::messages::{Answer, Body};

/// A start of `noop`, to be filled in.
pub(crate) fn empty_start() -> StartRequest {
    StartRequest {
        fence: Fence {
            drill: DrillId(String::new()),
            epoch: Epoch(0),
            instance: Instance(String::new()),
            holder: HolderSecret(String::new()),
        },
        fault: "noop".into(),
        parameters: serde_json::Value::Null,
        scope: Scope::default(),
        ends_in_ms: 0,
        ramp_ms: 0,
        not_after: Tick(0),
    }
}

pub(crate) fn into_body(call: Call) -> Body {
    match call {
        Call::Info => Body::Info,
        Call::Open(request) => Body::Open(request),
        Call::Renew(request) => Body::Renew(request),
        Call::Start(id, request) => Body::Start(id, request),
        Call::Change(id, request) => Body::Patch(id, request),
        Call::Revert(id) => Body::Revert(id),
        Call::Close(epoch, request) => Body::Close(epoch, request),
    }
}

/// As the shipped driver has it.
pub(crate) fn time_out_ms(call: &Call) -> u64 {
    match call {
        Call::Info | Call::Open(_) | Call::Renew(_) => 2_000,
        Call::Start(..) | Call::Change(..) => 5_000,
        Call::Revert(_) => 10_000,
        Call::Close(..) => 15_000,
    }
}

pub(crate) fn unanswered(call: &Call, why: &str) -> Reply {
    failed(call, Failure::NoAnswer { why: why.to_owned() })
}

fn failed(call: &Call, failure: Failure) -> Reply {
    match call {
        Call::Info => Reply::Info { result: Err(failure) },
        Call::Open(_) => Reply::Opened { result: Err(failure) },
        Call::Renew(_) => Reply::Renewed { result: Err(failure) },
        Call::Start(id, _) => Reply::Started {
            id: id.clone(),
            result: Err(failure),
        },
        Call::Change(id, request) => Reply::Changed {
            id: id.clone(),
            revision: request.revision,
            result: Err(failure),
        },
        Call::Revert(id) => Reply::Reverted {
            id: id.clone(),
            result: Err(failure),
        },
        Call::Close(..) => Reply::Closed { result: Err(failure) },
    }
}

pub(crate) fn answered(call: &Call, answer: Answer) -> Reply {
    use firedrill_ward::Reply as Said;
    match (call, answer) {
        (_, Answer::Reply(Said::Refused(problem))) => failed(call, Failure::Refused { problem }),
        (Call::Info, Answer::Info(info)) => Reply::Info { result: Ok(info) },
        (Call::Open(_), Answer::Reply(Said::Opened(opened))) => Reply::Opened { result: Ok(opened) },
        (Call::Renew(_), Answer::Reply(Said::Renewed(renewed))) => Reply::Renewed { result: Ok(renewed) },
        (Call::Start(id, _), Answer::Reply(Said::Injection(view))) => Reply::Started {
            id: id.clone(),
            result: Ok(view),
        },
        (Call::Change(id, request), Answer::Reply(Said::Injection(view))) => Reply::Changed {
            id: id.clone(),
            revision: request.revision,
            result: Ok(view),
        },
        (Call::Revert(id), Answer::Reply(Said::Injection(view))) => Reply::Reverted {
            id: id.clone(),
            result: Ok(view),
        },
        (Call::Close(..), Answer::Reply(Said::Closed(closed))) => Reply::Closed { result: Ok(closed) },
        _ => unanswered(call, "the connection is gone"),
    }
}
