//! Text → plan: the whole file, metrics, agents and people. SLIs and experiments have files of their own.

use std::collections::BTreeMap;

use firedrill_catalogue::quantity;
use toml::de::{DeTable, DeValue};

use crate::{
    AgentEntry, Diagnostic, Driver, Metrics, People, Plan, ProbeRequest, Source,
    diagnostic::did_you_mean,
    keys::{AGENT, ALERT, EXPERIMENT, METRICS, NOT_YET, PEOPLE, PLAN, SLI},
    read_experiment::experiment,
    read_guardrails::{alert, guardrails},
    read_sli::{judge_slis, sli},
    table::{Field, Limits, Reader, Table, document, each, unique},
};

/// Largest plan, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

const MAX_SLIS: usize = 256;
const MAX_AGENTS: usize = 5_000;
const MAX_EXPERIMENTS: usize = 100;
const MAX_ALERTS: usize = 10;

/// A plan's text as checked: the plan where it can be used, and all that is wrong or doubtful.
#[derive(Clone, Debug)]
pub struct Checked {
    /// `None` if there is an error.
    pub plan: Option<Plan>,
    /// Errors and warnings, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a plan. All errors of the text at once.
pub fn parse(text: &str) -> Result<Plan, Vec<Diagnostic>> {
    let checked = check(text);
    checked.plan.ok_or(checked.diagnostics)
}

/// Reads a plan and tells warnings too.
pub fn check(text: &str) -> Checked {
    let limits = Limits {
        what: "plan",
        max_bytes: MAX_BYTES,
        later: NOT_YET,
    };
    let (plan, diagnostics) = document(text, limits, plan);
    Checked { plan, diagnostics }
}

fn plan(r: &mut Reader<'_>, root: &DeTable<'_>) -> Option<Plan> {
    let top = r.table(root, 0..0, "", "", PLAN);
    let title = r.text(top.get("title"));
    let system = r.text(top.get("system"));
    let goal = r.text(top.get("goal"));
    let metrics = top.get("metrics").and_then(|field| metrics(r, &field));
    let people = top
        .get("people")
        .and_then(|field| people(r, &field))
        .unwrap_or_default();

    let slis = each(r, &top, "sli", MAX_SLIS, |r, table, span, path| {
        let opened = r.table(table, span, path, "sli", SLI);
        sli(r, &opened, metrics.as_ref())
    });
    judge_slis(r, &top, &slis);
    let agents = each(r, &top, "agent", MAX_AGENTS, |r, table, span, path| {
        let opened = r.table(table, span, path, "agent", AGENT);
        agent(r, &opened)
    });
    let experiments = each(r, &top, "experiment", MAX_EXPERIMENTS, |r, table, span, path| {
        let opened = r.table(table, span, path, "experiment", EXPERIMENT);
        experiment(r, &opened, &agents)
    });
    let guardrails = guardrails(r, &top, &slis);
    let alerts = each(r, &top, "alert", MAX_ALERTS, |r, table, span, path| {
        let opened = r.table(table, span, path, "alert", ALERT);
        alert(r, &opened)
    });
    unique(r, &top, "sli", slis.iter().map(|sli| sli.name.as_str()));
    unique(r, &top, "agent", agents.iter().map(|agent| agent.name.as_str()));
    unique(
        r,
        &top,
        "experiment",
        experiments.iter().map(|experiment| experiment.name.as_str()),
    );
    Some(Plan {
        title: title?,
        system: system?,
        goal,
        metrics: metrics?,
        slis,
        agents,
        experiments,
        guardrails,
        alerts,
        people,
    })
}

fn metrics(r: &mut Reader<'_>, field: &Field<'_>) -> Option<Metrics> {
    let table = r.open(field, "metrics", METRICS)?;
    let every_ms = match table.get("every") {
        Some(every) => r.duration(Some(every), 100, 300_000)?,
        None => 1_000,
    };
    let given: Vec<_> = ["prometheus", "scrape", "probe"]
        .into_iter()
        .filter(|key| table.get(key).is_some())
        .collect();
    let [kind] = given[..] else {
        r.error(
            table.place(),
            &table.path,
            "exactly one of prometheus, scrape, probe is needed",
        );
        return None;
    };
    let source = match kind {
        "prometheus" => Source::Prometheus(r.parsed(table.get(kind), url)?),
        "scrape" => {
            let urls = r.texts(table.get(kind))?;
            let read: Vec<_> = urls
                .iter()
                .filter_map(|(_, place)| r.parsed(Some(place.clone()), url))
                .collect();
            if urls.is_empty() {
                r.error(table.place_of(kind), &table.path, "at least one URL is needed");
            }
            Source::Scrape(read)
        }
        _ => {
            let requests = r.texts(table.get(kind))?;
            let read = requests
                .iter()
                .filter_map(|(_, place)| r.parsed(Some(place.clone()), probe_request))
                .collect();
            if requests.is_empty() {
                r.error(
                    table.place_of(kind),
                    &table.path,
                    "at least one request is needed",
                );
            }
            Source::Probe(read)
        }
    };
    Some(Metrics { source, every_ms })
}

fn probe_request(text: &str) -> Result<ProbeRequest, String> {
    let expected =
        || format!("expected a request such as \"GET http://127.0.0.1:8080/health\", found \"{text}\"");
    let (method, address) = text.trim().split_once(char::is_whitespace).ok_or_else(expected)?;
    if !["GET", "HEAD", "POST", "OPTIONS"].contains(&method) {
        return Err(format!(
            "method \"{method}\" is not possible; GET, HEAD, POST or OPTIONS"
        ));
    }
    Ok(ProbeRequest {
        method: method.to_owned(),
        url: url(address.trim())?,
    })
}

/// An http or https address without credentials.
pub fn url(text: &str) -> Result<String, String> {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
        .ok_or_else(|| format!("expected a URL that begins with http:// or https://, found \"{text}\""))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    if authority.contains('@') {
        return Err("credentials never stand in a plan: take out what is before the @".to_owned());
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if host.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("\"{text}\" has no host, or a blank in it"));
    }
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err(format!("\"{}\" is not a port", port.unwrap_or_default()));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn agent(r: &mut Reader<'_>, table: &Table<'_>) -> Option<AgentEntry> {
    let name = r.text(table.get("name"));
    let address = r.parsed(table.get("url"), url);
    let driver = r.parsed(table.get("driver"), |text| match text {
        "native" => Ok(Driver::Native),
        "chaosblade" | "chaosd" | "toxiproxy" | "chaos-mesh" => {
            Err(format!("driver \"{text}\" is not yet supported by this version"))
        }
        other => Err(format!(
            "unknown driver \"{other}\"{}",
            did_you_mean(other, ["native"])
        )),
    });
    let labels = table
        .get("labels")
        .and_then(|field| labels(r, &field))
        .unwrap_or_default();
    Some(AgentEntry {
        name: name?,
        url: address?,
        driver: driver.unwrap_or_default(),
        labels,
    })
}

fn labels(r: &mut Reader<'_>, field: &Field<'_>) -> Option<BTreeMap<String, String>> {
    let DeValue::Table(table) = field.value else {
        r.error(
            field.span.clone(),
            &field.path,
            "expected labels such as { env = \"prod\" }",
        );
        return None;
    };
    let mut labels = BTreeMap::new();
    for (key, value) in table {
        let path = format!("{}.{}", field.path, key.get_ref());
        let place = Field {
            path,
            span: value.span(),
            value: value.get_ref(),
        };
        if let Some(text) = r.text(Some(place)) {
            labels.insert(key.get_ref().to_string(), text);
        }
    }
    Some(labels)
}

fn people(r: &mut Reader<'_>, field: &Field<'_>) -> Option<People> {
    let table = r.open(field, "people", PEOPLE)?;
    let observers = r.texts(table.get("observers")).unwrap_or_default();
    Some(People {
        facilitator: r.text(table.get("facilitator")),
        operator: r.text(table.get("operator")),
        observers: observers.into_iter().map(|(name, _)| name).collect(),
    })
}

/// `5/s`.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    quantity::per_second(text)
}
