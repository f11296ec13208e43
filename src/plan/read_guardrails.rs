//! `[guardrails]`, `[[alert]]` and `[[experiment.on_stop]]`.

use firedrill_catalogue as catalogue;

use crate::{
    ActionCall, AgentCommand, AgentEntry, AlertKind, AlertTarget, ErrorBudget, Guardrails, HarmBudget, Hours,
    HttpCall, OnStop, Sli,
    diagnostic::did_you_mean,
    keys::{AGENT_COMMAND, ERROR_BUDGET, GUARDRAILS, HARM_BUDGET, HTTP_CALL},
    read::url,
    table::{Field, Reader, Table},
};

const DAY_MS: u64 = 24 * 3_600_000;
const MAX_BODY: usize = 16_384;
const MAX_NAME: usize = 64;

pub(crate) fn guardrails(r: &mut Reader<'_>, top: &Table<'_>, slis: &[Sli]) -> Guardrails {
    let opened = top
        .get("guardrails")
        .and_then(|field| r.open(&field, "guardrails", GUARDRAILS));
    let Some(table) = opened else {
        return Guardrails::default();
    };
    let staffed = r.parsed(table.get("staffed"), |text| Hours::read(text, None));
    let zone = staffed.as_ref().map(Hours::zone);
    let peak = r.parsed(table.get("peak"), |text| Hours::read(text, zone));
    Guardrails {
        max_targets: r.count(table.get("max_targets"), 1, 5_000),
        max_share: r.share(table.get("max_share")),
        max_duration_ms: r.duration(table.get("max_duration"), 100, 3_600_000),
        forbid: table.get("forbid").map(|field| forbid(r, &field)),
        staffed,
        peak,
        alertmanager: r.parsed(table.get("alertmanager"), url),
        approval: r.flag(table.get("approval")).unwrap_or_default(),
        harm_budget: table.get("harm_budget").and_then(|field| harm_budget(r, &field)),
        error_budget: table
            .get("error_budget")
            .and_then(|field| error_budget(r, &field, slis)),
    }
}

/// A name that this version does not know forbids nothing: a slip of the pen is an error, another word a warning.
fn forbid(r: &mut Reader<'_>, field: &Field<'_>) -> Vec<String> {
    let names = r.texts(Some(field.clone())).unwrap_or_default();
    let known = || catalogue::FAULTS.iter().map(|fault| fault.name);
    for (name, place) in &names {
        let family = name.strip_suffix('*');
        let stands = match family {
            Some(prefix) => known().any(|fault| fault.starts_with(prefix)),
            None => known().any(|fault| fault == name),
        };
        if stands {
            continue;
        }
        let near = did_you_mean(name, known());
        if near.is_empty() {
            let message = format!("this version has no fault \"{name}\": nothing of it can be forbidden yet");
            r.warn(place.span.clone(), &place.path, message);
        } else {
            r.error(
                place.span.clone(),
                &place.path,
                format!("unknown fault \"{name}\"{near}"),
            );
        }
    }
    names.into_iter().map(|(name, _)| name).collect()
}

fn harm_budget(r: &mut Reader<'_>, field: &Field<'_>) -> Option<HarmBudget> {
    let table = r.open(field, "guardrails.harm_budget", HARM_BUDGET)?;
    if table.get("per_drill").is_none() && table.get("per_day").is_none() {
        r.error(
            table.place(),
            &table.path,
            "one of per_drill, per_day is needed, such as per_drill = \"90s\"",
        );
    }
    let per_drill_ms = r.duration(table.get("per_drill"), 100, DAY_MS);
    let per_day_ms = r.duration(table.get("per_day"), 100, DAY_MS);
    if let (Some(drill), Some(day)) = (per_drill_ms, per_day_ms)
        && drill > day
    {
        let message = "per_drill is more than per_day, which one drill would then use up";
        r.error(table.place_of("per_drill"), &table.path, message);
    }
    Some(HarmBudget {
        per_drill_ms,
        per_day_ms,
    })
}

fn error_budget(r: &mut Reader<'_>, field: &Field<'_>, slis: &[Sli]) -> Option<ErrorBudget> {
    let table = r.open(field, "guardrails.error_budget", ERROR_BUDGET)?;
    let sli = r.parsed(table.get("sli"), |name| {
        let found = slis.iter().position(|sli| sli.name == name);
        found.ok_or_else(|| {
            let near = did_you_mean(name, slis.iter().map(|sli| sli.name.as_str()));
            format!("the plan has no SLI \"{name}\"{near}")
        })
    });
    let objective = r.number(table.get("objective"));
    if let Some(objective) = objective
        && !(objective > 0.0 && objective < 1.0)
    {
        let message = format!("expected an objective within 0 and 1, such as 0.999, found {objective}");
        r.error(table.place_of("objective"), &table.path, message);
    }
    let window_ms = r.duration(table.get("window"), 60_000, 366 * DAY_MS);
    let spend_at_most = r.share(table.get("spend_at_most"));
    Some(ErrorBudget {
        sli: sli?,
        objective: objective?,
        window_ms: window_ms?,
        spend_at_most: spend_at_most?,
    })
}

pub(crate) fn alert(r: &mut Reader<'_>, table: &Table<'_>) -> Option<AlertTarget> {
    let kind = r.parsed(table.get("kind"), |text| match text {
        "webhook" => Ok(AlertKind::Webhook),
        "alertmanager" => Ok(AlertKind::Alertmanager),
        other => Err(format!(
            "unknown kind \"{other}\"{}; expected webhook or alertmanager",
            did_you_mean(other, ["webhook", "alertmanager"])
        )),
    });
    let address = r.parsed(table.get("url"), url);
    Some(AlertTarget {
        kind: kind?,
        url: address?,
    })
}

pub(crate) fn on_stop(r: &mut Reader<'_>, table: &Table<'_>, agents: &[AgentEntry]) -> Option<OnStop> {
    let (mut on_breach, mut on_abort) = (false, false);
    match table.get("when") {
        None => on_breach = true,
        Some(field) => {
            let words = r.texts(Some(field.clone())).unwrap_or_default();
            if words.is_empty() {
                r.error(
                    field.span,
                    &field.path,
                    "expected a list of breach, abort: an action without a when is never sent",
                );
            }
            for (word, place) in words {
                match word.as_str() {
                    "breach" => on_breach = true,
                    "abort" => on_abort = true,
                    other => {
                        let near = did_you_mean(other, ["breach", "abort"]);
                        let message = format!("unknown \"{other}\"{near}; expected breach or abort");
                        r.error(place.span, &place.path, message);
                    }
                }
            }
        }
    }
    let call = match (table.get("http"), table.get("command")) {
        (Some(field), None) => http_call(r, &field).map(ActionCall::Http),
        (None, Some(field)) => agent_command(r, &field, agents).map(ActionCall::Command),
        _ => {
            let message =
                "an emergency action is either a request or a command: exactly one of http, command";
            r.error(table.place(), &table.path, message);
            None
        }
    };
    Some(OnStop {
        on_breach,
        on_abort,
        call: call?,
    })
}

fn agent_command(r: &mut Reader<'_>, field: &Field<'_>, agents: &[AgentEntry]) -> Option<AgentCommand> {
    let table = r.open(field, "experiment.on_stop.command", AGENT_COMMAND)?;
    let agent = r.parsed(table.get("agent"), |name| {
        let names = || agents.iter().map(|it| it.name.as_str());
        if names().any(|known| known == name) {
            return Ok(name.to_owned());
        }
        Err(format!(
            "the plan has no agent \"{name}\"{}",
            did_you_mean(name, names())
        ))
    });
    let name = r.parsed(table.get("name"), |name| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if (1..=MAX_NAME).contains(&name.len()) && name.chars().all(plain) {
            Ok(name.to_owned())
        } else {
            Err(format!(
                "a command's name has 1 to {MAX_NAME} of the characters a-z A-Z 0-9 . _ -; program and arguments stand in the host's policy alone"
            ))
        }
    });
    Some(AgentCommand {
        agent: agent?,
        name: name?,
    })
}

fn http_call(r: &mut Reader<'_>, field: &Field<'_>) -> Option<HttpCall> {
    let table = r.open(field, "experiment.on_stop.http", HTTP_CALL)?;
    let method = r.parsed(table.get("method"), |text| {
        if ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&text) {
            Ok(text.to_owned())
        } else {
            Err(format!(
                "method \"{text}\" is not possible; GET, POST, PUT, PATCH or DELETE"
            ))
        }
    });
    let address = r.parsed(table.get("url"), url);
    let body = r.parsed(table.get("body"), |text| {
        if text.len() <= MAX_BODY {
            Ok(text.to_owned())
        } else {
            Err(format!("the body has {} bytes; at most {MAX_BODY}", text.len()))
        }
    });
    Some(HttpCall {
        method: method.unwrap_or_else(|| "POST".to_owned()),
        url: address?,
        body,
    })
}
