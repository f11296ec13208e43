//! The driver for Firedrill's own agents.

use std::{net::IpAddr, sync::OnceLock, time::Duration};

use firedrill_drill::{Call, Failure, Reply};
use firedrill_trust::PinnedTls;
use firedrill_wire::{
    ActionDone, ActionRequest, AgentId, AgentInfo, InjectionView, Problem, ProblemKind, ReleaseRequest,
    Released, Stamp,
};
use reqwest::{Client, Method, RequestBuilder, Url, redirect::Policy};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc::Sender;

use crate::{
    ACTION_WITHIN, Access, BoxFuture, Driver, DriverError, Gate, Token,
    answer::{decode, late, no_answer, not_reached},
    events, time_out,
};

/// Speaks HTTP and JSON to one `firedrill-agent`.
#[derive(Debug)]
pub struct NativeDriver {
    client: Client,
    /// Without a slash at the end.
    base: String,
    token: Option<Token>,
    /// Who answered first. Somebody else at the same address is not believed.
    agent: OnceLock<AgentId>,
}

impl NativeDriver {
    /// A driver for the agent at `url`. Connects when it is first called.
    pub fn new(name: &str, url: &str, access: Access) -> Result<Self, DriverError> {
        let base = checked_base(url).map_err(|why| DriverError::Address {
            agent: name.to_owned(),
            url: url.to_owned(),
            why,
        })?;
        let failed = |why: String| DriverError::Client {
            agent: name.to_owned(),
            why,
        };
        // Installed once in a process; the error only says that it is there already.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut builder = Client::builder();
        if base.starts_with("https:") {
            let pin = access.pin.ok_or_else(|| DriverError::NotEnrolled {
                agent: name.to_owned(),
                url: url.to_owned(),
            })?;
            let tls = PinnedTls::new(pin).config();
            builder = builder.tls_backend_preconfigured(tls.as_ref().clone());
        }
        let client = builder
            // A token goes to the agent and to nobody else.
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(2))
            .tcp_nodelay(true)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            client,
            base,
            token: access.token,
            agent: OnceLock::new(),
        })
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token.secret()),
            None => request,
        }
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        limit: Duration,
    ) -> Result<T, Failure> {
        let work = async {
            let response = request
                .send()
                .await
                .map_err(|error| not_reached(&error, &self.base, limit))?;
            decode(response, &self.base).await
        };
        match tokio::time::timeout(limit, work).await {
            Ok(answer) => answer,
            Err(_) => Err(late(&self.base, limit)),
        }
    }

    /// Sends what only goes through an open gate. A press while it is on its way lets go of it: whether it
    /// arrived is then unknown, and the abort that follows kills its epoch.
    async fn send_gated<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        limit: Duration,
        gate: &Gate,
    ) -> Result<T, Failure> {
        if gate.is_closed() {
            // A refusal of our own: it is certain that nothing was sent.
            return Err(Failure::Refused {
                problem: Problem::new(
                    ProblemKind::Unavailable,
                    "not sent",
                    format!("{}: the drill is being stopped", self.base),
                    "nothing; begin another drill when this one is over",
                ),
            });
        }
        tokio::select! {
            biased;
            () = gate.closed() => Err(no_answer(format!("{}: let go of, the drill is being stopped", self.base))),
            answer = self.send(request, limit) => answer,
        }
    }

    /// Believes an answer only from the agent that answered first.
    fn same_agent<T>(&self, answer: T, stamp: impl Fn(&T) -> &Stamp) -> Result<T, Failure> {
        let said = &stamp(&answer).agent;
        let known = self.agent.get_or_init(|| said.clone());
        if known == said {
            return Ok(answer);
        }
        Err(no_answer(format!(
            "{} is now another agent ({said}, before {known}); was the host or its state folder replaced? Begin the drill anew",
            self.base
        )))
    }

    pub(crate) async fn info(&self) -> Result<Box<AgentInfo>, Failure> {
        let limit = time_out(&Call::Info);
        let answer: AgentInfo = self.send(self.request(Method::GET, "/v1/agent"), limit).await?;
        self.same_agent(answer, |info| &info.stamp).map(Box::new)
    }

    pub(crate) async fn all_injections(&self) -> Result<Vec<InjectionView>, Failure> {
        let limit = time_out(&Call::Info);
        let request = self.request(Method::GET, "/v1/injections");
        let views: Vec<InjectionView> = self.send(request, limit).await?;
        views
            .into_iter()
            .map(|view| self.same_agent(view, |view| &view.stamp))
            .collect()
    }

    async fn carry_out(&self, call: Call, gate: &Gate) -> Reply {
        let limit = time_out(&call);
        match call {
            Call::Info => Reply::Info {
                result: self.info().await,
            },
            Call::Open(body) => {
                let request = self.request(Method::POST, "/v1/drills").json(&body);
                let result = self.send_gated(request, limit, gate).await;
                Reply::Opened {
                    result: result
                        .and_then(|opened| self.same_agent(opened, |o: &firedrill_wire::Opened| &o.stamp)),
                }
            }
            Call::Renew(body) => {
                let path = format!("/v1/drills/{}/lease", body.fence.epoch);
                let request = self.request(Method::POST, &path).json(&body);
                let result = self.send_gated(request, limit, gate).await;
                Reply::Renewed {
                    result: result
                        .and_then(|renewed| self.same_agent(renewed, |r: &firedrill_wire::Renewed| &r.stamp)),
                }
            }
            Call::Start(id, body) => {
                let result = match self.injection(Method::PUT, id.as_str(), Some(&*body)) {
                    Ok(request) => self.send_gated(request, limit, gate).await,
                    Err(failure) => Err(failure),
                };
                Reply::Started {
                    id,
                    result: result.and_then(|view| self.view(view)),
                }
            }
            Call::Change(id, body) => {
                let revision = body.revision;
                let result = match self.injection(Method::PATCH, id.as_str(), Some(&*body)) {
                    Ok(request) => self.send_gated(request, limit, gate).await,
                    Err(failure) => Err(failure),
                };
                Reply::Changed {
                    id,
                    revision,
                    result: result.and_then(|view| self.view(view)),
                }
            }
            Call::Revert(id) => {
                let result = match self.injection::<()>(Method::DELETE, id.as_str(), None) {
                    Ok(request) => self.send(request, limit).await,
                    Err(failure) => Err(failure),
                };
                Reply::Reverted {
                    id,
                    result: result.and_then(|view| self.view(view)),
                }
            }
            Call::Close(epoch, given) => {
                let path = format!("/v1/drills/{epoch}");
                let request = self.request(Method::DELETE, &path).json(&given);
                let result = self.send(request, limit).await;
                Reply::Closed {
                    result: result
                        .and_then(|closed| self.same_agent(closed, |c: &firedrill_wire::Closed| &c.stamp)),
                }
            }
        }
    }

    fn view(&self, view: InjectionView) -> Result<Box<InjectionView>, Failure> {
        self.same_agent(view, |view| &view.stamp).map(Box::new)
    }

    fn injection<B: Serialize>(
        &self,
        method: Method,
        id: &str,
        body: Option<&B>,
    ) -> Result<RequestBuilder, Failure> {
        let request = self.request(method, &in_path("/v1/injections/", id)?);
        Ok(match body {
            Some(body) => request.json(body),
            None => request,
        })
    }
}

/// A path with an id at its end.
fn in_path(before: &str, id: &str) -> Result<String, Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if id.is_empty() || id.len() > 200 || !id.chars().all(plain) {
        return Err(no_answer(format!(
            "not sent: {id:?} cannot stand in an address; this is a defect of the console, please report it"
        )));
    }
    Ok(format!("{before}{id}"))
}

impl Driver for NativeDriver {
    fn call<'a>(&'a self, call: Call, gate: &'a Gate) -> BoxFuture<'a, Reply> {
        Box::pin(self.carry_out(call, gate))
    }

    fn release(&self, request: ReleaseRequest) -> BoxFuture<'_, Result<Released, Failure>> {
        Box::pin(async move {
            let sent = self.request(Method::POST, "/v1/release").json(&request);
            let released = self.send(sent, Duration::from_secs(3)).await?;
            self.same_agent(released, |r: &Released| &r.stamp)
        })
    }

    fn act<'a>(
        &'a self,
        name: &'a str,
        request: ActionRequest,
    ) -> BoxFuture<'a, Result<ActionDone, Failure>> {
        Box::pin(async move {
            let path = in_path("/v1/actions/", name)?;
            let sent = self.request(Method::POST, &path).json(&request);
            let done = self.send(sent, ACTION_WITHIN).await?;
            self.same_agent(done, |it: &ActionDone| &it.stamp)
        })
    }

    fn injections(&self) -> BoxFuture<'_, Result<Vec<InjectionView>, Failure>> {
        Box::pin(self.all_injections())
    }

    fn watch(&self, tell: Sender<Reply>) -> BoxFuture<'_, ()> {
        Box::pin(events::follow(self, tell))
    }
}

/// Whether a URL's host is this computer: nobody on the way can listen.
fn is_here(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

/// An agent's base address, without a slash at its end.
fn checked_base(text: &str) -> Result<String, String> {
    let url = Url::parse(text.trim()).map_err(|error| error.to_string())?;
    let Some(host) = url.host_str() else {
        return Err("it names no host".to_owned());
    };
    match url.scheme() {
        "https" => {}
        "http" if is_here(host) => {}
        "http" => {
            return Err(
                "agents of other hosts speak TLS alone: write https://, and enroll it with the line that `firedrill-agent enroll` prints there"
                    .to_owned(),
            );
        }
        other => return Err(format!("{other}:// is nothing an agent speaks")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("credentials never stand in an address; enter the token under Fleet".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() || !matches!(url.path(), "" | "/") {
        return Err("it has more than a host and a port".to_owned());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_and_ports() {
        assert_eq!(
            checked_base(" http://127.0.0.1:7431/ ").unwrap(),
            "http://127.0.0.1:7431"
        );
        assert_eq!(checked_base("https://a:1").unwrap(), "https://a:1");
        for here in ["http://localhost:1", "http://[::1]:1", "http://127.9.9.9:1"] {
            assert_eq!(checked_base(here).unwrap(), here);
        }
        for away in ["http://10.0.0.7:7431", "http://a", "http://localhost.a:1"] {
            assert!(checked_base(away).unwrap_err().contains("TLS"), "{away}");
        }
        for wrong in [
            "127.0.0.1:7431",
            "ftp://a",
            "http://",
            "http://u:p@a",
            "http://a/x",
            "http://a?b",
        ] {
            assert!(checked_base(wrong).is_err(), "{wrong}");
        }
    }
}
