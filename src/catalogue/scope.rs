//! The target on the host: which keys there are, and which of them a fault takes.

use serde::{Deserialize, Serialize};

use crate::FaultSpec;

/// A key of an injection's scope on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeKey {
    /// A route of the agent's proxy.
    Route,
    /// Traffic: a route of the agent's proxy, or the connections of a cgroup that are led to the agent.
    Traffic,
    /// One process, by any key that names it: see [`Scope::NAMES`].
    Process,
    /// A cgroup (version 2): itself, or the one of the process that is named.
    Cgroup,
    /// A network namespace, by its name or by a process in it; the agent's own when nothing is named.
    Netns,
}

impl ScopeKey {
    /// The key's name, as an agent publishes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Traffic => "traffic",
            Self::Process => "process",
            Self::Cgroup => "cgroup",
            Self::Netns => "netns",
        }
    }

    /// What to write, for people.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Route => "a route of the agent's proxy: route = \"…\"",
            Self::Traffic => {
                "a route of the agent's proxy: route = \"…\"; or, with the parameter port, the connections of a cgroup's processes to that port: one of cgroup = \"path\", unit = \"shop.service\", container = \"id\", or a process in it: process, pid, command or port"
            }
            Self::Process => {
                "a process: one of process = \"name\", pid = 4211, command = \"part of its command line\", port = 8080 (it listens there), unit = \"nginx.service\", container = \"id\", cgroup = \"path\""
            }
            Self::Cgroup => {
                "a cgroup: one of cgroup = \"path\", unit = \"nginx.service\", container = \"id\", or a process in it: process, pid, command or port"
            }
            Self::Netns => "a network namespace: netns = \"name\", or a process in it",
        }
    }
}

/// The target on the host. Which keys a fault needs is in [`FaultSpec::scope`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// A route of the agent's proxy, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// A process id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// A process by its executable's name (`comm` or the file name of argv 0); must match exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// A process by a part of its command line (arguments joined by spaces); must match exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The process that listens on this TCP port; must be exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// A cgroup of version 2: its path below the hierarchy's root, `system.slice/nginx.service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// A systemd unit, by its cgroup: `nginx.service`, or `nginx` for the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// A container, by its cgroup: the id or its first 12 digits or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// A network namespace by its name, as in `ip netns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
}

impl Scope {
    /// Every key, as written in a plan.
    pub const KEYS: [&str; 9] = [
        "route",
        "pid",
        "process",
        "command",
        "port",
        "cgroup",
        "unit",
        "container",
        "netns",
    ];

    /// The keys that name a process, or the cgroup or network namespace that it is in.
    pub const NAMES: [&str; 7] = ["pid", "process", "command", "port", "cgroup", "unit", "container"];

    /// The keys that are given, with their values.
    pub fn given(&self) -> Vec<(&'static str, String)> {
        let Self {
            route,
            pid,
            process,
            command,
            port,
            cgroup,
            unit,
            container,
            netns,
        } = self;
        let values = [
            route.clone(),
            pid.map(|pid| pid.to_string()),
            process.clone(),
            command.clone(),
            port.map(|port| port.to_string()),
            cgroup.clone(),
            unit.clone(),
            container.clone(),
            netns.clone(),
        ];
        let given = Self::KEYS.into_iter().zip(values);
        given
            .filter_map(|(key, value)| value.map(|value| (key, value)))
            .collect()
    }

    /// In words: `route payment-http`, `process nginx`; empty when nothing is named.
    pub fn words(&self) -> String {
        let words: Vec<_> = self
            .given()
            .into_iter()
            .map(|(key, value)| match key {
                "pid" => format!("process {value}"),
                "port" => format!("the listener of port {value}"),
                key => format!("{key} {value}"),
            })
            .collect();
        words.join(", ")
    }

    /// What is wrong with it for a fault; empty when it fits.
    pub fn problems(&self, spec: &FaultSpec) -> Vec<String> {
        let takes = |key: &str| {
            spec.scope.iter().any(|wanted| match wanted {
                ScopeKey::Route => key == "route",
                ScopeKey::Traffic => key == "route" || Self::NAMES.contains(&key),
                ScopeKey::Process | ScopeKey::Cgroup => Self::NAMES.contains(&key),
                ScopeKey::Netns => key == "netns" || Self::NAMES.contains(&key),
            })
        };
        let given = self.given();
        let (fit, extra): (Vec<_>, Vec<_>) = given.into_iter().partition(|(key, _)| takes(key));
        let mut wrong: Vec<_> = extra
            .iter()
            .map(|(key, _)| format!("{key}: \"{}\" takes no such key", spec.name))
            .collect();
        for wanted in spec.scope {
            let names: Vec<_> = fit
                .iter()
                .map(|(key, _)| *key)
                .filter(|key| {
                    *wanted == ScopeKey::Traffic || (*key == "route") == (*wanted == ScopeKey::Route)
                })
                .collect();
            match (&names[..], wanted) {
                ([], ScopeKey::Netns) | ([_], _) => {}
                ([], wanted) => wrong.push(format!("\"{}\" needs {}", spec.name, wanted.remedy())),
                (several, _) => wrong.push(format!("only one of {}, not all", several.join(", "))),
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find;

    fn problems(fault: &str, scope: &Scope) -> Vec<String> {
        scope.problems(find(fault).unwrap())
    }

    #[test]
    fn every_key_is_listed_once() {
        let full = Scope {
            route: Some("a".into()),
            pid: Some(7),
            process: Some("b".into()),
            command: Some("c".into()),
            port: Some(8),
            cgroup: Some("d".into()),
            unit: Some("e".into()),
            container: Some("f".into()),
            netns: Some("g".into()),
        };
        let keys: Vec<_> = full.given().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, Scope::KEYS);
        let on_wire = serde_json::to_value(&full).unwrap();
        assert_eq!(on_wire.as_object().unwrap().len(), Scope::KEYS.len());
        for key in Scope::KEYS {
            assert!(on_wire.get(key).is_some(), "{key}");
        }
    }

    #[test]
    fn a_scope_fits_or_says_why_not() {
        let by = |port| Scope {
            port,
            ..Scope::default()
        };
        assert!(problems("process.pause", &by(Some(80))).is_empty());
        assert!(problems("process.pause", &by(None))[0].contains("needs a process"));
        assert!(problems("noop", &by(Some(80)))[0].contains("takes no such key"));
        let two = Scope {
            pid: Some(1),
            ..by(Some(80))
        };
        assert_eq!(
            problems("process.pause", &two),
            ["only one of pid, port, not all"]
        );
        let wrong = Scope {
            route: Some("r".into()),
            ..two
        };
        assert_eq!(problems("process.pause", &wrong).len(), 2);
        assert_eq!(problems("noop", &wrong).len(), 3);
        assert!(problems("http.latency", &Scope::default())[0].contains("route"));
        let route = || Scope {
            route: Some("r".into()),
            ..Scope::default()
        };
        assert!(problems("http.latency", &route()).is_empty());
        assert!(problems("http.latency", &by(Some(80))).is_empty());
        let both = Scope {
            port: Some(80),
            ..route()
        };
        assert_eq!(
            problems("http.latency", &both),
            ["only one of route, port, not all"]
        );
        assert!(problems("tcp.refuse", &by(Some(80)))[0].contains("takes no such key"));
    }

    #[test]
    fn words_name_what_is_meant() {
        let scope = Scope {
            unit: Some("nginx".into()),
            ..Scope::default()
        };
        assert_eq!(scope.words(), "unit nginx");
        assert_eq!(Scope::default().words(), "");
    }
}
