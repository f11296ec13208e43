//! `firedrill-agent enroll`: one line that makes a console trust this agent.

use std::io::{IsTerminal as _, Write as _};
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context as _, bail};
use firedrill_trust::Join;

use crate::access::{Whose, give_out};
use crate::cli::EnrollArgs;
use crate::server::{READY, Ready};
use crate::state::read_small;

/// Prints the join string, and to a person what to do with it.
pub fn run(args: &EnrollArgs) -> anyhow::Result<()> {
    let ready = ready(&args.state)?;
    let whose = match (&args.operator, args.observer) {
        (Some(name), _) => Whose::Named(name.clone()),
        (None, true) => Whose::Observer,
        (None, false) => Whose::Operator,
    };
    let host = host(&ready, args.address.as_deref())?;
    let (token, abort_token, new) = give_out(&args.state, &whose)?;
    let join = Join {
        name: ready.name.clone(),
        host,
        port: ready.listen.port(),
        abort_port: ready.abort_listen.port(),
        pin: ready.fingerprint,
        token,
        abort_token,
        role: Some(match &whose {
            Whose::Operator => "operator".to_owned(),
            Whose::Named(name) => format!("operator {name}"),
            Whose::Observer => "observer".to_owned(),
        }),
    };
    writeln!(std::io::stdout(), "{join}")?;
    let url = join.url();
    let mut words = format!(
        "firedrill-agent: this line holds tokens of {url}: give it to nobody else. On the console: firedrill enroll LINE"
    );
    if new {
        words.push_str("\nfiredrill-agent: the token is new: the agent knows it after a restart, or after SIGHUP where it has a config");
    }
    // Standard output may be a pipe, with somebody before it who reads.
    if std::io::stderr().is_terminal() || new {
        eprintln!("{words}");
    }
    Ok(())
}

/// Where the agent of this state folder listens, or did last.
pub fn ready(state: &Path) -> anyhow::Result<Ready> {
    let path = state.join(READY);
    let text = read_small(&path).with_context(|| {
        format!(
            "cannot read {}: start the agent once (firedrill-agent serve), or give its state folder with --state",
            path.display()
        )
    })?;
    serde_json::from_str(&text).with_context(|| format!("{} is not what an agent writes", path.display()))
}

/// How consoles reach it; only what the agent answers to.
fn host(ready: &Ready, given: Option<&str>) -> anyhow::Result<String> {
    let listen = ready.listen.ip();
    let Some(given) = given else {
        if !listen.is_unspecified() {
            return Ok(listen.to_string());
        }
        return ready.dns_names.first().cloned().with_context(
            || "the agent listens on every address of this host: say which one consoles reach, with --address",
        );
    };
    let bare = given.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) if address.is_loopback() != listen.is_loopback() && !listen.is_unspecified() => {
            bail!("{address} is not where the agent listens, which is {listen}")
        }
        Ok(address) => Ok(address.to_string()),
        Err(_) if bare == "localhost" && (listen.is_loopback() || listen.is_unspecified()) => {
            Ok(bare.to_owned())
        }
        Err(_) if ready.dns_names.iter().any(|name| name.eq_ignore_ascii_case(bare)) => Ok(bare.to_owned()),
        Err(_) => bail!(
            "the agent does not answer to the name {bare:?}: start it with --dns-name {bare} (or dns_names in its config); it knows: {}",
            ready.dns_names.join(", ")
        ),
    }
}
