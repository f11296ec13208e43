//! What an agent is started with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use firedrill_wire::{Route, RouteProtocol};
use serde::Deserialize;

use crate::state::read_small;

/// Everything an agent must be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Off loopback always over TLS. With port 0 the kernel chooses, and for the abort listener
    /// too.
    pub listen: SocketAddr,
    /// TLS on loopback too.
    pub tls: bool,
    /// Names that other hosts may call this one by, besides its own.
    pub dns_names: Vec<String>,
    /// The host's policy. None: on loopback every fault is allowed, off loopback what can be taken back.
    pub policy: Option<PathBuf>,
    /// The state folder.
    pub state: PathBuf,
    /// What the host is called; the kernel's name for it if not given.
    pub name: Option<String>,
    /// Labels that plans choose agents by.
    pub labels: BTreeMap<String, String>,
    /// Paths of traffic through the proxy.
    pub routes: Vec<Route>,
    /// End the proxy with the agent.
    pub retire_proxy: bool,
    /// The keeper is a service of its own, and not a child.
    pub separate_keeper: bool,
    /// How to start the agent's own program again, for the proxy and for what burns.
    pub program: SelfCommand,
}

impl Config {
    /// An agent on a free port of loopback, with nothing but a state folder.
    pub fn new(state: PathBuf, program: SelfCommand) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: false,
            dns_names: Vec::new(),
            policy: None,
            state,
            name: None,
            labels: BTreeMap::new(),
            routes: Vec::new(),
            retire_proxy: false,
            separate_keeper: false,
            program,
        }
    }

    /// Whether other hosts can reach it.
    pub fn off_loopback(&self) -> bool {
        !self.listen.ip().is_loopback()
    }
}

/// The config file, TOML. What the command line says comes before it.
///
/// ```toml
/// listen = "0.0.0.0:7431"
/// name = "payments-1"
/// dns_names = ["payments-1.internal"]
/// labels = { env = "prod", service = "payments" }
/// routes = ["payments=127.0.0.1:8081=127.0.0.1:9081:http"]
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// See [`Config::listen`].
    pub listen: Option<SocketAddr>,
    /// See [`Config::tls`].
    #[serde(default)]
    pub tls: bool,
    /// See [`Config::dns_names`].
    #[serde(default)]
    pub dns_names: Vec<String>,
    /// See [`Config::state`].
    pub state: Option<PathBuf>,
    /// See [`Config::name`].
    pub name: Option<String>,
    /// See [`Config::labels`].
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Routes as on the command line.
    #[serde(default)]
    pub routes: Vec<String>,
    /// See [`Config::retire_proxy`].
    #[serde(default)]
    pub retire_proxy: bool,
    /// See [`Config::separate_keeper`].
    #[serde(default)]
    pub separate_keeper: bool,
}

impl ConfigFile {
    /// Reads it.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = read_small(path).with_context(|| format!("cannot read the config {}", path.display()))?;
        let file: Self = toml_edit::de::from_str(&text)
            .with_context(|| format!("the config {} has a mistake", path.display()))?;
        for (key, value) in &file.labels {
            parse_label(&format!("{key}={value}"))?;
        }
        Ok(file)
    }

    /// Its routes.
    pub fn routes(&self) -> anyhow::Result<Vec<Route>> {
        self.routes.iter().map(|route| parse_route(route)).collect()
    }
}

/// The agent's own program, with the words before a subcommand: `firedrill agent` is the same as
/// `firedrill-agent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfCommand {
    /// The executable.
    pub program: PathBuf,
    /// The words.
    pub words: Vec<String>,
}

impl SelfCommand {
    /// The program that runs now, with the words before its subcommands.
    pub fn current(words: &[&str]) -> anyhow::Result<Self> {
        Ok(Self {
            program: std::env::current_exe().context("the program does not know its own place")?,
            words: words.iter().map(|word| (*word).to_owned()).collect(),
        })
    }

    /// A command that starts it with a subcommand.
    pub fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.words).arg(subcommand);
        command
    }

    /// The words before a subcommand's own arguments.
    pub fn subcommand(&self, subcommand: &str) -> Vec<String> {
        let mut words = self.words.clone();
        words.push(subcommand.to_owned());
        words
    }
}

/// Parses `name=listen=upstream[:http|tcp]`, for instance `payments=127.0.0.1:8081=127.0.0.1:9081:http`.
/// Without a protocol it is `tcp`.
pub fn parse_route(text: &str) -> anyhow::Result<Route> {
    let parts: Vec<_> = text.splitn(3, '=').collect();
    let [name, listen, rest] = parts[..] else {
        bail!(
            "route \"{text}\" is not name=listen=upstream[:http|tcp], as in payments=127.0.0.1:8081=127.0.0.1:9081:http"
        );
    };
    let (upstream, protocol) = match rest.rsplit_once(':') {
        Some((upstream, "http")) => (upstream, RouteProtocol::Http),
        Some((upstream, "tcp")) => (upstream, RouteProtocol::Tcp),
        _ => (rest, RouteProtocol::Tcp),
    };
    if !is_name(name) {
        bail!("route \"{text}\": the name has 1 to 64 of the characters a-z A-Z 0-9 . _ -");
    }
    listen
        .parse::<SocketAddr>()
        .with_context(|| format!("route \"{text}\": {listen} is not ip:port"))?;
    let port = upstream
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none_or(|port| port == 0) {
        bail!("route \"{text}\": {upstream} is not host:port");
    }
    Ok(Route {
        name: name.to_owned(),
        listen: listen.to_owned(),
        upstream: upstream.to_owned(),
        protocol,
    })
}

/// Parses a host's name.
pub fn parse_dns_name(text: &str) -> anyhow::Result<String> {
    if text.len() > 253 || !text.split('.').all(is_name) {
        bail!("\"{text}\" is not a host's name, as in payments-1.internal");
    }
    Ok(text.to_owned())
}

/// Parses `key=value`.
pub fn parse_label(text: &str) -> anyhow::Result<(String, String)> {
    match text.split_once('=') {
        Some((key, value)) if is_name(key) && value.len() <= 256 && !value.chars().any(char::is_control) => {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => bail!("label \"{text}\" is not key=value, as in env=staging"),
    }
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read() {
        let route = parse_route("pay=127.0.0.1:8081=localhost:9081:http").unwrap();
        assert_eq!(
            (route.name.as_str(), route.listen.as_str()),
            ("pay", "127.0.0.1:8081")
        );
        assert_eq!(
            (route.upstream.as_str(), route.protocol),
            ("localhost:9081", RouteProtocol::Http)
        );
        let route = parse_route("db=[::1]:0=10.0.0.1:5432").unwrap();
        assert_eq!(
            (route.upstream.as_str(), route.protocol),
            ("10.0.0.1:5432", RouteProtocol::Tcp)
        );
        for wrong in [
            "",
            "a=b",
            "a=b=c",
            "a=127.0.0.1:1=host",
            "=127.0.0.1:1=h:1",
            "a=127.0.0.1:1=h:0",
        ] {
            assert!(parse_route(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_config_file_is_read_and_its_mistakes_are_named() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("agent.toml");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            ConfigFile::read(&path).map_err(|error| format!("{error:#}"))
        };
        let file = read("listen = \"0.0.0.0:7431\"\ntls = true\nlabels = { env = \"prod\" }\nroutes = [\"a=127.0.0.1:1=h:2\"]").unwrap();
        assert_eq!(file.listen.unwrap().port(), 7431);
        assert!(file.tls && file.labels["env"] == "prod" && file.routes().unwrap()[0].name == "a");
        for (text, words) in [
            ("listn = 1", "listn"),
            ("listen = \"here\"", "listen"),
            ("labels = { \"a b\" = \"x\" }", "label"),
        ] {
            let refusal = read(text).unwrap_err();
            assert!(
                refusal.contains(words) && (refusal.contains("agent.toml") || words == "label"),
                "{refusal}"
            );
        }
    }

    #[test]
    fn labels_are_read() {
        assert_eq!(
            parse_label("env=a=b").unwrap(),
            ("env".to_owned(), "a=b".to_owned())
        );
        assert!(parse_label("env").is_err() && parse_label("=x").is_err() && parse_label("a b=x").is_err());
    }
}
