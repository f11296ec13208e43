//! `load.http`: requests at a rate of their own, whether or not the ones before are answered, from a child process that
//! cannot outlive the agent ([`super::child`]).

use std::net::{SocketAddr, ToSocketAddrs as _};

use firedrill_catalogue::quantity::show_ms;
use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, ProblemKind, Scope};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Uri};

use super::child::{self, HeldChild, cannot};
use super::load_http_child::{Order as Line, Report};
use super::load_tls::Trust;
use super::process::not_possible;
use super::{Failure, Fault, Held, NotHere, Order, Prepared, ReadBack, words};
use crate::config::SelfCommand;
use crate::undo::Undo;

/// The fault.
#[derive(Debug)]
pub struct LoadHttp {
    /// Its line in the catalogue.
    pub spec: &'static FaultSpec,
    /// How the agent's own program is started.
    pub program: SelfCommand,
}

impl Fault for LoadHttp {
    fn spec(&self) -> &'static FaultSpec {
        self.spec
    }

    fn available(&self) -> Result<(), NotHere> {
        child::available(&self.program)
    }

    fn prepare(&self, parameters: &Parameters, _scope: &Scope) -> Result<Prepared, Problem> {
        let line = line(parameters)?;
        Ok(Prepared {
            claims: vec![format!("load:{}", line.address)],
            hits: vec![format!(
                "{} requests a second, {} {} at {}{}, {} at once and {} in all at most, {} each",
                line.rate,
                line.method,
                line.uri,
                line.address,
                if line.tls.is_some() { " over TLS" } else { "" },
                line.in_flight,
                line.total,
                show_ms(line.timeout_ms)
            )],
            ..Prepared::default()
        })
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        let nothing = |problem| Failure {
            problem,
            half_applied: false,
        };
        let line = line(order.parameters).map_err(nothing)?;
        let text = text(&line).map_err(nothing)?;
        let child = HeldChild::begin(&self.program, "load", &text, order)?;
        let evidence = words(format!("{} requests a second to {}", line.rate, line.address));
        let held = Load {
            child,
            line: Some(line),
            report: None,
        };
        Ok((Box::new(held), evidence))
    }

    fn adopt(&self, _key: &Key, _scope: &Scope, undo: Option<&Undo>) -> Box<dyn Held> {
        Box::new(Load {
            child: HeldChild::adopt(undo),
            line: None,
            report: None,
        })
    }
}

fn wrong(key: &str, why: impl std::fmt::Display) -> Problem {
    Problem::new(
        ProblemKind::Parameters,
        "the parameters are not right",
        format!("parameters.{key}: {why}"),
        "see the schema of load.http in `GET /v1/agent`",
    )
}

/// The order to the child.
fn line(parameters: &Parameters) -> Result<Line, Problem> {
    let url = parameters.text("url").unwrap_or_default();
    let uri: Uri = url.parse().map_err(|error| wrong("url", error))?;
    let is_tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(wrong("url", "it begins with http:// or https://")),
    };
    let authority = uri.authority().ok_or_else(|| wrong("url", "it has no host"))?;
    // What a policy allows by its beginning must be where it goes.
    if authority.as_str().contains('@') {
        return Err(wrong("url", "a user in front of the host is not taken"));
    }
    let path = uri.path_and_query().map_or("/", |it| it.as_str()).to_owned();
    let count = |key: &str| parameters.count(key).unwrap_or(1);
    let usual = if is_tls { 443 } else { 80 };
    Ok(Line {
        address: address(authority.host(), authority.port_u16().unwrap_or(usual))?,
        tls: trust(is_tls, authority.host(), parameters)?,
        host: authority.to_string(),
        uri: path,
        method: method(parameters)?,
        headers: headers(parameters.text("headers").unwrap_or_default())?,
        body: parameters.text("body").unwrap_or_default().to_owned(),
        rate: count("rate"),
        in_flight: count("in_flight"),
        total: count("total"),
        timeout_ms: parameters.duration_us("timeout") / 1_000,
    })
}

/// Who is trusted, looked at before the child is.
fn trust(is_tls: bool, host: &str, parameters: &Parameters) -> Result<Option<Trust>, Problem> {
    let ca = parameters.text("ca").map(str::to_owned);
    if !is_tls {
        return match ca {
            None => Ok(None),
            Some(_) => Err(wrong("ca", "without TLS it means nothing: take https://")),
        };
    }
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let trust = Trust { name, ca };
    match trust.open() {
        Ok(_) => Ok(Some(trust)),
        Err(why) => Err(not_possible(
            format!("no TLS with {host}: {why:#}"),
            "give ca: a file on this host with the certificate, in PEM, that the server or its issuer has",
        )),
    }
}

fn method(parameters: &Parameters) -> Result<String, Problem> {
    let method = parameters.text("method").unwrap_or("GET");
    Method::from_bytes(method.as_bytes()).map_err(|error| wrong("method", error))?;
    Ok(method.to_owned())
}

fn headers(text: &str) -> Result<Vec<(String, String)>, Problem> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| wrong("headers", format!("\"{line}\" is not `Name: value`")))?;
            let (name, value) = (name.trim(), value.trim());
            HeaderName::from_bytes(name.as_bytes()).map_err(|error| wrong("headers", error))?;
            HeaderValue::from_str(value).map_err(|error| wrong("headers", error))?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Resolved once: what people read is where it goes.
fn address(host: &str, port: u16) -> Result<SocketAddr, Problem> {
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    let found = (plain, port).to_socket_addrs().map(|mut all| all.next());
    match found {
        Ok(Some(address)) => Ok(address),
        Ok(None) => Err(not_possible(
            format!("{host} has no address"),
            "give another host",
        )),
        Err(error) => Err(not_possible(
            format!("{host}: {error}"),
            "give a host that this one can resolve",
        )),
    }
}

fn text(line: &Line) -> Result<String, Problem> {
    serde_json::to_string(line).map_err(|error| cannot(error.to_string()))
}

#[derive(Debug)]
struct Load {
    child: HeldChild,
    /// `None`: another life's.
    line: Option<Line>,
    /// The newest that the child has said.
    report: Option<Report>,
}

impl Load {
    fn seen(&mut self) -> Option<Evidence> {
        if let Some(said) = self.child.last_said() {
            self.report = serde_json::from_str(&said).ok().or(self.report.take());
        }
        self.report.as_ref().map(Report::evidence)
    }
}

impl Held for Load {
    fn adjust(&mut self, parameters: &Parameters) -> Result<Evidence, Problem> {
        let Some(now) = &self.line else {
            return Err(cannot("it was begun by a former life of the agent"));
        };
        let next = line(parameters)?;
        if (Line {
            rate: now.rate,
            ..next.clone()
        }) != *now
        {
            return Err(not_possible(
                "nothing but the rate can change",
                "start another injection",
            ));
        }
        self.child.order(&text(&next)?).map_err(cannot)?;
        let told = words(format!("{} requests a second to {}", next.rate, next.address));
        self.line = Some(next);
        Ok(told)
    }

    fn revert(&mut self) -> ReadBack {
        let found = self.child.revert();
        let mut evidence = found.evidence;
        if let Some(seen) = self.seen() {
            evidence.words = format!("{}; {}", evidence.words, seen.words);
            evidence.counts = seen.counts;
        }
        ReadBack { evidence, ..found }
    }

    fn prove(&mut self) -> (bool, Evidence) {
        self.child.prove()
    }

    fn observe(&mut self) -> Option<Evidence> {
        self.seen()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn given(given: &serde_json::Value) -> Result<Line, Problem> {
        let spec = firedrill_catalogue::find("load.http").unwrap();
        let mut given = given.clone();
        given["rate"] = json!(1);
        line(&firedrill_catalogue::check(spec, &given).unwrap())
    }

    #[test]
    fn where_it_goes_is_what_the_url_says() {
        let line = given(&json!({ "url": "http://127.0.0.1:81/a?b=c", "headers": "X-A: 1\nB:2" })).unwrap();
        assert_eq!(line.address, SocketAddr::from(([127, 0, 0, 1], 81)));
        assert_eq!(
            (line.uri.as_str(), line.host.as_str()),
            ("/a?b=c", "127.0.0.1:81")
        );
        assert_eq!(
            line.headers,
            [("X-A".into(), "1".into()), ("B".into(), "2".into())]
        );
        let six = given(&json!({ "url": "http://[::1]/" })).unwrap();
        assert_eq!(six.address.to_string(), "[::1]:80");
        for wrong in [
            json!({ "url": "ftp://127.0.0.1/" }),
            json!({ "url": "http://127.0.0.1/", "ca": "/nowhere" }),
            json!({ "url": "https://127.0.0.1/", "ca": "/nowhere" }),
            json!({ "url": "http://127.0.0.1:80@192.0.2.1/" }),
            json!({ "url": "/only/a/path" }),
            json!({ "url": "http://127.0.0.1/", "headers": "no colon" }),
            json!({ "url": "http://127.0.0.1/", "headers": "a b: 1" }),
            json!({ "url": "http://127.0.0.1/", "method": "G T" }),
        ] {
            assert!(given(&wrong).is_err(), "{wrong}");
        }
    }
}
