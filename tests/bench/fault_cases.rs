//! Faults that a victim sees again and again, in words of its own: what it does, and what it sees then.

use serde_json::{Value, json};

/// A fault and its victim.
pub struct Case {
    pub fault: &'static str,
    /// Which form of it, or empty.
    form: &'static str,
    /// What the victim does.
    pub victim: &'static str,
    pub to: To,
    /// From the port that it goes to.
    pub parameters: fn(u16) -> Value,
    /// What it sees when it is hit.
    pub hit: &'static str,
}

/// Where a victim goes to, and with that how the fault is aimed: at its cgroup, at its network namespace, at a route.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum To {
    Hello,
    Echo,
    Datagrams,
    Resolver,
    Nowhere,
    /// In a network namespace of its own.
    Itself,
    HttpRoute,
    TcpRoute,
}

/// What every victim says when all is well.
pub const WELL: &str = "ok";

impl Case {
    pub fn name(&self) -> String {
        [self.fault, self.form].join(" ").trim_end().to_owned()
    }

    /// The route that is hit, if one is.
    pub fn route(&self) -> Option<&'static str> {
        match self.to {
            To::HttpRoute => Some("web"),
            To::TcpRoute => Some("raw"),
            _ => None,
        }
    }
}

const ON_CGROUP: Case = Case {
    fault: "",
    form: "",
    victim: "pings",
    to: To::Datagrams,
    parameters: |port| json!({ "port": port }),
    hit: "late",
};
const ON_PACKETS: Case = Case {
    victim: "pings-alone",
    to: To::Itself,
    ..ON_CGROUP
};
const ON_ROUTE: Case = Case {
    form: "on a route",
    victim: "asks",
    to: To::HttpRoute,
    ..ON_CGROUP
};

pub const CASES: &[Case] = &[
    Case {
        fault: "network.refuse",
        victim: "connects",
        to: To::Echo,
        hit: "no",
        ..ON_CGROUP
    },
    Case {
        fault: "network.loss",
        parameters: |port| json!({ "port": port, "share": "100%" }),
        ..ON_CGROUP
    },
    Case {
        fault: "network.partition",
        parameters: |port| json!({ "port": port, "peer": "127.0.0.1" }),
        ..ON_CGROUP
    },
    Case {
        fault: "dns.hijack",
        victim: "resolves",
        to: To::Resolver,
        parameters: |_| json!({ "names": "a.b", "answer": "10.9.9.9" }),
        hit: "hijacked",
        ..ON_CGROUP
    },
    Case {
        fault: "dns.fail",
        victim: "resolves",
        to: To::Resolver,
        parameters: |_| json!({ "names": "*" }),
        hit: "nxdomain",
        ..ON_CGROUP
    },
    Case {
        fault: "tls.fail",
        victim: "shakes",
        to: To::Echo,
        parameters: |port| json!({ "port": port, "how": "alert" }),
        hit: "alert",
        ..ON_CGROUP
    },
    Case {
        fault: "packet.latency",
        parameters: |_| json!({ "delay": "30ms" }),
        ..ON_PACKETS
    },
    Case {
        fault: "packet.loss",
        parameters: |_| json!({ "share": "100%" }),
        ..ON_PACKETS
    },
    Case {
        fault: "packet.duplicate",
        parameters: |_| json!({ "share": "100%" }),
        hit: "twice",
        ..ON_PACKETS
    },
    Case {
        fault: "packet.rate",
        parameters: |_| json!({ "rate": "1KB/s" }),
        ..ON_PACKETS
    },
    Case {
        fault: "packet.drop",
        parameters: |_| json!({}),
        ..ON_PACKETS
    },
    Case {
        fault: "packet.reset",
        victim: "connects-alone",
        parameters: |_| json!({}),
        hit: "no",
        ..ON_PACKETS
    },
    Case {
        fault: "http.latency",
        parameters: |_| json!({ "delay": "300ms" }),
        ..ON_ROUTE
    },
    Case {
        fault: "http.status",
        parameters: |_| json!({ "code": 503 }),
        hit: "503",
        ..ON_ROUTE
    },
    Case {
        fault: "http.reset",
        parameters: |_| json!({}),
        hit: "no",
        ..ON_ROUTE
    },
    Case {
        fault: "tcp.latency",
        to: To::TcpRoute,
        parameters: |_| json!({ "delay": "300ms" }),
        ..ON_ROUTE
    },
    Case {
        fault: "tcp.refuse",
        to: To::TcpRoute,
        parameters: |_| json!({}),
        hit: "no",
        ..ON_ROUTE
    },
    Case {
        fault: "http.status",
        form: "without a route",
        victim: "asks",
        to: To::Hello,
        parameters: |port| json!({ "port": port, "code": 503 }),
        hit: "503",
    },
    Case {
        fault: "http.latency",
        form: "without a route",
        victim: "asks",
        to: To::Hello,
        parameters: |port| json!({ "port": port, "delay": "300ms" }),
        ..ON_CGROUP
    },
    Case {
        fault: "fd.exhaust",
        victim: "opens",
        to: To::Nowhere,
        parameters: |_| json!({}),
        hit: "no",
        ..ON_CGROUP
    },
];
