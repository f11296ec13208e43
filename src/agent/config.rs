//! What an agent is started with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};
use firedrill_wire::{Route, RouteProtocol};

/// Everything an agent must be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; loopback only. With port 0 the kernel chooses, and for the abort listener too.
    pub listen: SocketAddr,
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
    /// How to start the agent's own program again, for the proxy and for what burns.
    pub program: SelfCommand,
}

impl Config {
    /// An agent on a free port of loopback, with nothing but a state folder.
    pub fn new(state: PathBuf, program: SelfCommand) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            state,
            name: None,
            labels: BTreeMap::new(),
            routes: Vec::new(),
            retire_proxy: false,
            program,
        }
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
    fn labels_are_read() {
        assert_eq!(
            parse_label("env=a=b").unwrap(),
            ("env".to_owned(), "a=b".to_owned())
        );
        assert!(parse_label("env").is_err() && parse_label("=x").is_err() && parse_label("a b=x").is_err());
    }
}
