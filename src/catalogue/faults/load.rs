//! Load that nobody else makes.

use super::BY_CHILD;
use crate::{FaultSpec, ParamKind, ParamSpec, Undo};

pub(super) const HTTP: FaultSpec = FaultSpec {
    name: "load.http",
    summary: "requests at a rate of their own, whether or not they are answered",
    undo: Undo::ProcessHeld,
    undo_words: BY_CHILD,
    scope: &[],
    params: &[
        ParamSpec {
            name: "url",
            summary: "where to, such as http://127.0.0.1:8080/orders or https://shop.example/orders; HTTP/1.1",
            kind: ParamKind::Text { max_len: 2048 },
            required: true,
            default: None,
        },
        ParamSpec {
            name: "rate",
            summary: "requests per second",
            kind: ParamKind::Count { min: 1, max: 50_000 },
            required: true,
            default: None,
        },
        ParamSpec {
            name: "method",
            summary: "the method of each",
            kind: ParamKind::Text { max_len: 32 },
            required: false,
            default: Some("GET"),
        },
        ParamSpec {
            name: "headers",
            summary: "more headers, `Name: value`, a line each",
            kind: ParamKind::Text { max_len: 8192 },
            required: false,
            default: None,
        },
        ParamSpec {
            name: "body",
            summary: "sent with each",
            kind: ParamKind::Text { max_len: 16_384 },
            required: false,
            default: None,
        },
        ParamSpec {
            name: "ca",
            summary: "https: a file on the target host with the certificates to trust, in PEM, in place of the host's own roots",
            kind: ParamKind::Text { max_len: 1024 },
            required: false,
            default: None,
        },
        ParamSpec {
            name: "timeout",
            summary: "how long one may take from when it was due",
            kind: ParamKind::Duration {
                min_ms: 10,
                max_ms: 60_000,
            },
            required: false,
            default: Some("10s"),
        },
        ParamSpec {
            name: "in_flight",
            summary: "most at once; what is due beyond that is given up",
            kind: ParamKind::Count { min: 1, max: 10_000 },
            required: false,
            default: Some("256"),
        },
        ParamSpec {
            name: "total",
            summary: "most in all",
            kind: ParamKind::Count {
                min: 1,
                max: 1_000_000_000,
            },
            required: false,
            default: Some("1000000"),
        },
    ],
    strength: Some("rate"),
};
