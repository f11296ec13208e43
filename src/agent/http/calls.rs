//! The calls of the protocol.

use std::sync::Arc;

use bytes::Bytes;
use firedrill_ward::{AskId, Event, Key, Reply};
use firedrill_wire::{
    AbortRequest, ActionDone, ActionRequest, CloseRequest, Epoch, HolderSecret, InjectionId, OpenRequest,
    PatchRequest, PreviewRequest, PreviewResponse, Problem, ProblemKind, ReleaseRequest, RenewRequest,
    StartRequest,
};
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request};
use serde::de::DeserializeOwned;

use super::answer::{self, Answer};
use super::guard;
use super::listen::Busy;
use super::rate::Kind;
use super::{App, Door, streams};
use crate::access::{Caller, Role};
use crate::commands::Outcome;
use crate::faults::Prepared;
use crate::policy::Asked;
use crate::{check, clock};

/// Longest injection id or drill id in a path.
const MAX_ID_BYTES: usize = 256;

/// Answers one request.
pub async fn answer(app: &Arc<App>, door: Door, port: u16, request: Request<Incoming>, busy: Busy) -> Answer {
    let mut answer = match call(app, door, port, request, busy).await {
        Ok(answer) => answer,
        Err(problem) => {
            app.host.metrics.refused(problem.kind);
            answer::problem(&problem, &app.host.stamp())
        }
    };
    let stamp = app.host.stamp();
    let headers = answer.headers_mut();
    for (name, value) in [
        ("firedrill-agent", stamp.agent.0),
        ("firedrill-instance", stamp.instance.0),
        ("firedrill-tick", stamp.tick.0.to_string()),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    answer
}

async fn call(
    app: &Arc<App>,
    door: Door,
    port: u16,
    request: Request<Incoming>,
    busy: Busy,
) -> Result<Answer, Problem> {
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let method = request.method().clone();
    if (&method, parts.as_slice()) == (&Method::GET, &["healthz"]) {
        busy.connection().strange();
        return Ok(answer::text("text/plain", "ok\n"));
    }
    let caller = admit(app, door, port, &request).inspect_err(|it| {
        busy.connection().strange();
        app.turn_away(it, &method, &path);
    })?;
    busy.connection().authorize();
    if (&method, parts.as_slice()) == (&Method::POST, &["v1", "abort"]) && caller.role != Role::Observer {
        return Ok(abort(app, &caller, request, busy).await);
    }
    may(&caller, &method, &parts).inspect_err(|it| app.turn_away(it, &method, &path))?;
    if door == Door::First
        && let Some(kind) = limited(&method, &parts)
    {
        let counted = app.rates.take(&caller.name, kind, clock::tick());
        counted.inspect_err(|it| app.turn_away(it, &method, &path))?;
    }
    match (&method, parts.as_slice()) {
        (&Method::GET, ["v1", "agent"]) if request.uri().query() == Some("brief") => {
            return Ok(answer::json(&app.brief()));
        }
        (&Method::GET, ["v1", "agent"]) => return Ok(answer::json(&app.info())),
        (&Method::POST, ["v1", "drills", epoch, "lease"]) => {
            let body: RenewRequest = parse(&guard::body(request).await?)?;
            return renew(app, epoch_of(epoch)?, body).await;
        }
        _ if door != Door::First => return Err(not_here(&method, &path)),
        _ => {}
    }
    if method != Method::GET && parts != ["v1", "preview"] {
        app.note(&caller, busy.connection(), &method, &path);
    }
    first_only(app, &caller, (&method, &path), &parts, request, busy).await
}

/// Whether the caller may come in, and who it is. The file of the socket is guard enough.
fn admit(app: &App, door: Door, port: u16, request: &Request<Incoming>) -> Result<Caller, Problem> {
    if door == Door::Socket {
        return Ok(Caller::of_socket());
    }
    app.names.check(request, port)?;
    guard::caller(request.headers(), &app.access())
}

/// Whether the caller's role allows this call.
fn may(caller: &Caller, method: &Method, parts: &[&str]) -> Result<(), Problem> {
    match caller.role {
        Role::Operator => Ok(()),
        Role::Observer if method == Method::GET => Ok(()),
        Role::Abort if (method, parts) == (&Method::GET, &["v1", "agent"]) => Ok(()),
        Role::Observer => Err(only("read", "an observer's")),
        Role::Abort => Err(only("abort", "the abort token")),
    }
}

/// How often it may be asked; `None`: as often as needed.
fn limited(method: &Method, parts: &[&str]) -> Option<Kind> {
    match (method, parts) {
        (&Method::GET, _) => Some(Kind::Read),
        (&Method::PUT | &Method::PATCH, _)
        | (&Method::POST, ["v1", "preview" | "drills"] | ["v1", "actions", _]) => Some(Kind::Start),
        _ => None,
    }
}

/// The calls of the first listener alone.
async fn first_only(
    app: &Arc<App>,
    caller: &Caller,
    (method, path): (&Method, &str),
    parts: &[&str],
    request: Request<Incoming>,
    busy: Busy,
) -> Result<Answer, Problem> {
    match (method, parts) {
        (&Method::POST, ["v1", "preview"]) => {
            preview(app, caller, parse(&guard::body(request).await?)?).await
        }
        (&Method::POST, ["v1", "drills"]) => open(app, parse(&guard::body(request).await?)?).await,
        (&Method::DELETE, ["v1", "drills", epoch]) => {
            let epoch = epoch_of(epoch)?;
            close(app, epoch, &guard::body(request).await?).await
        }
        (&Method::PUT, ["v1", "injections", id]) => {
            let id = id_of(id)?;
            start(app, caller, id, parse(&guard::body(request).await?)?).await
        }
        (&Method::PATCH, ["v1", "injections", id]) => {
            let id = id_of(id)?;
            patch(app, caller, id, parse(&guard::body(request).await?)?).await
        }
        (&Method::DELETE, ["v1", "injections", id]) => {
            let id = id_of(id)?;
            reply(app, |ask| Event::Revert { ask, id }).await
        }
        (&Method::GET, ["v1", "injections"]) => Ok(answer::json(&app.host.injections())),
        (&Method::GET, ["v1", "injections", id]) => {
            let id = id_of(id)?;
            let view = app.host.injection(&id).ok_or_else(|| unknown(&id))?;
            Ok(answer::json(&view))
        }
        (&Method::POST, ["v1", "release"]) => {
            let request: ReleaseRequest = parse(&guard::body(request).await?)?;
            reply(app, |ask| Event::Release { ask, request }).await
        }
        (&Method::POST, ["v1", "actions", name]) => {
            act(app, caller, name, parse(&guard::body(request).await?)?).await
        }
        (&Method::GET, ["v1", "events"]) => {
            let last = request.headers().get("last-event-id");
            streams::events(app, last.and_then(|value| value.to_str().ok()), busy)
        }
        (&Method::GET, ["metrics"]) => Ok(answer::text(
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            app.host.metrics.text(),
        )),
        _ => Err(not_here(method, path)),
    }
}

async fn abort(app: &Arc<App>, caller: &Caller, request: Request<Incoming>, busy: Busy) -> Answer {
    let body = guard::abort_body(request).await;
    let read = body.as_deref().map(serde_json::from_slice::<AbortRequest>);
    let request = match (read, body.as_deref()) {
        (Some(Ok(request)), _) => request,
        (_, Some([])) => everything("an abort without a body"),
        _ => everything("an abort whose body could not be read"),
    };
    let lines = app.host.abort(request);
    // After the reverts are on their way.
    app.note(caller, busy.connection(), &Method::POST, "/v1/abort");
    streams::abort_lines(lines, busy).await
}

fn everything(why: &str) -> AbortRequest {
    AbortRequest {
        latch: true,
        reason: Some(why.to_owned()),
        ..AbortRequest::default()
    }
}

async fn renew(app: &Arc<App>, epoch: Epoch, request: RenewRequest) -> Result<Answer, Problem> {
    if request.fence.epoch != epoch {
        return Err(guard::unreadable(format!(
            "fence.epoch is {}, the path says {epoch}",
            request.fence.epoch
        )));
    }
    reply(app, |ask| Event::Renew { ask, request }).await
}

async fn open(app: &Arc<App>, request: OpenRequest) -> Result<Answer, Problem> {
    let secret = crate::state::random_hex::<32>().map_err(|error| {
        Problem::new(
            ProblemKind::Unavailable,
            "no secret",
            error.to_string(),
            "wait until the kernel has gathered randomness",
        )
    })?;
    let holder = HolderSecret(secret);
    reply(app, |ask| Event::Open { ask, request, holder }).await
}

async fn close(app: &Arc<App>, epoch: Epoch, body: &[u8]) -> Result<Answer, Problem> {
    // A call that stops is obeyed whatever its body says.
    let request: CloseRequest = serde_json::from_slice(body).unwrap_or_default();
    reply(app, |ask| Event::Close { ask, epoch, request }).await
}

async fn preview(app: &Arc<App>, caller: &Caller, request: PreviewRequest) -> Result<Answer, Problem> {
    let who = caller.name.clone();
    let prepared = prepare(app, move |app| {
        let checked = check::injection(&app.host, &request.fault, &request.parameters, &request.scope, 0)?;
        check::policy(&app.access().policy, &who, &checked, &request.scope, None)?;
        Ok(checked.prepared)
    })
    .await?;
    Ok(answer::json(&PreviewResponse {
        stamp: app.host.stamp(),
        hits: prepared.hits,
    }))
}

async fn start(
    app: &Arc<App>,
    caller: &Caller,
    id: InjectionId,
    request: StartRequest,
) -> Result<Answer, Problem> {
    let key = Key {
        epoch: request.fence.epoch,
        id: id.clone(),
    };
    let (asked, who) = (request.clone(), caller.name.clone());
    let checked = prepare(app, move |app| {
        let checked = check::injection(
            &app.host,
            &asked.fault,
            &asked.parameters,
            &asked.scope,
            asked.ramp_ms,
        )?;
        let policy = &app.access().policy;
        check::policy(policy, &who, &checked, &asked.scope, Some(asked.ends_in_ms))?;
        Ok(checked.prepared)
    })
    .await;
    // A repeat gets the answer of the first, whatever has become of its target since.
    let known = app
        .host
        .injection(&id)
        .is_some_and(|view| view.epoch == key.epoch);
    let prepared = match checked {
        Err(problem) if !known => {
            app.host.audit(format!(
                "refused {}: start {} as {id}: {problem}",
                problem.kind.status(),
                request.fault
            ));
            return Err(problem);
        }
        checked => checked.unwrap_or_default(),
    };
    let spec = app.host.fault(&request.fault).map(|fault| fault.spec());
    let event = |ask| Event::Start {
        ask,
        id,
        request: Box::new(request),
        claims: prepared.claims.clone(),
        undo: spec
            .filter(|_| !prepared.goes_on)
            .map_or(firedrill_wire::Undo::ProcessHeld, |spec| spec.undo),
        by_hand: spec.map_or_else(String::new, |spec| spec.undo_words.to_owned()),
        needs_keeper: prepared.needs_keeper,
    };
    tell(app.host.ask_start(key, prepared.clone(), event).await)
}

/// Checks look at `/proc`: not on a thread that serves others.
async fn prepare(
    app: &Arc<App>,
    check: impl FnOnce(&App) -> Result<Prepared, Problem> + Send + 'static,
) -> Result<Prepared, Problem> {
    let app = Arc::clone(app);
    tokio::task::spawn_blocking(move || check(&app))
        .await
        .unwrap_or_else(|error| {
            Err(Problem::new(
                ProblemKind::Unavailable,
                "the check failed",
                error.to_string(),
                "look at the agent's log",
            ))
        })
}

async fn patch(
    app: &Arc<App>,
    caller: &Caller,
    id: InjectionId,
    request: PatchRequest,
) -> Result<Answer, Problem> {
    if let Some(view) = app
        .host
        .injection(&id)
        .filter(|view| view.epoch == request.fence.epoch)
    {
        let (spec, parameters) = check::change(&app.host, &view.fault, &request.parameters)?;
        app.access().policy.check(Asked {
            who: &caller.name,
            spec,
            parameters: &parameters,
            route: view.scope.route.as_deref(),
            prepared: None,
            ends_in_ms: None,
        })?;
    }
    reply(app, |ask| Event::Patch { ask, id, request }).await
}

/// Runs a command of the host's allow-list, and answers when it has ended.
async fn act(app: &Arc<App>, caller: &Caller, name: &str, request: ActionRequest) -> Result<Answer, Problem> {
    let access = app.access();
    let begun = access
        .policy
        .command(name, &caller.name)
        .and_then(|allowed| app.actions.begin(name, allowed, &request.request));
    let (mut outcome, new) = begun.inspect_err(|problem| {
        let kind = problem.kind.status();
        app.host.audit(format!("refused {kind}: action: {problem}"));
    })?;
    if new {
        let drill = request.drill.as_ref().map_or("no drill", |drill| drill.as_str());
        let who = request.who.as_deref().unwrap_or("nobody named");
        let line = format!("action {name} begins for {}: {drill}, {who}", caller.name);
        app.host.audit(line.replace(char::is_control, " "));
        // Told whether or not somebody still waits for the answer.
        let (host, mut outcome, name) = (Arc::clone(&app.host), outcome.clone(), name.to_owned());
        tokio::spawn(async move {
            if let Ok(outcome) = outcome.wait_for(Option::is_some).await {
                host.audit(format!("action {name}: {}", ended_words(outcome.as_ref())));
            }
        });
    }
    let ended = outcome.wait_for(Option::is_some).await;
    let ended = ended
        .ok()
        .and_then(|it| it.clone())
        .unwrap_or_else(|| Err("the agent ends".to_owned()));
    let ended = ended.map_err(|why| {
        Problem::new(
            ProblemKind::NotPossible,
            "the command cannot be started",
            why,
            format!("look at [command.{name}] in the policy of this host, and at the program it names"),
        )
    })?;
    Ok(answer::json(&ActionDone {
        stamp: app.host.stamp(),
        action: name.to_owned(),
        request: request.request,
        exit: ended.exit,
        timed_out: ended.timed_out,
        ms: ended.ms,
        output: ended.output,
        cut: ended.cut,
    }))
}

fn ended_words(outcome: Option<&Outcome>) -> String {
    match outcome {
        None => "it was ended with the agent".to_owned(),
        Some(Err(why)) => format!("it cannot be started: {why}"),
        Some(Ok(ended)) if ended.timed_out => format!("ended by its time limit after {} ms", ended.ms),
        Some(Ok(ended)) => match ended.exit {
            Some(code) => format!("exit code {code} after {} ms", ended.ms),
            None => format!("ended by a signal after {} ms", ended.ms),
        },
    }
}

async fn reply(app: &Arc<App>, event: impl FnOnce(AskId) -> Event) -> Result<Answer, Problem> {
    tell(app.host.ask(event).await)
}

fn tell(reply: Reply) -> Result<Answer, Problem> {
    match reply {
        Reply::Opened(it) => Ok(answer::json(&it)),
        Reply::Renewed(it) => Ok(answer::json(&it)),
        Reply::Closed(it) => Ok(answer::json(&it)),
        Reply::Injection(it) => Ok(answer::json(&it)),
        Reply::Released(it) => Ok(answer::json(&it)),
        Reply::Refused(problem) => Err(problem),
    }
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| guard::unreadable(error.to_string()))
}

fn epoch_of(text: &str) -> Result<Epoch, Problem> {
    let number = text.parse().map(Epoch);
    number.map_err(|_| guard::unreadable(format!("the path names epoch {text:?}, which is no number")))
}

fn id_of(text: &str) -> Result<InjectionId, Problem> {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"._-:~".contains(&b);
    if (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(known) {
        return Ok(InjectionId::from(text));
    }
    Err(guard::unreadable(format!(
        "an injection's id has 1 to {MAX_ID_BYTES} of the characters a-z A-Z 0-9 . _ - : ~"
    )))
}

fn unknown(id: &InjectionId) -> Problem {
    Problem::new(
        ProblemKind::Unknown,
        "no such injection",
        format!("this agent knows no injection {id}"),
        "see `GET /v1/injections`",
    )
}

fn only(what: &str, whose: &str) -> Problem {
    Problem::new(
        ProblemKind::Policy,
        format!("this token may only {what}"),
        format!("it is {whose}"),
        "use an operator's token: on the agent's host `firedrill-agent enroll` prints a join string with one",
    )
}

fn not_here(method: &Method, path: &str) -> Problem {
    let path: String = path.chars().take(128).collect();
    Problem::new(
        ProblemKind::Unknown,
        "no such call",
        format!("{method} {path}"),
        "the calls are listed in the protocol; the second listener serves only abort, lease and agent",
    )
}
