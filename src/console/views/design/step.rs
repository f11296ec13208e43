//! One step: its fault's parameters with units and limits, and its target with what would be hit.

use egui::{Ui, vec2};
use firedrill_catalogue::{FaultSpec, ParamKind, ParamSpec, Scope, ScopeKey, find, quantity};
use firedrill_plan::edit;
use firedrill_scene::AgentHealth;
use serde_json::Value;

use super::{
    experiment::Chosen,
    form::{Form, Kind},
};
use crate::{
    cx::Cx,
    messages::Say,
    theme::{Tokens, medium, regular, size, space},
    widgets::{self, State, choice, rich},
};

/// Most agents that are listed by name.
const SHOWN: usize = 12;
/// Most labels that can be clicked; others are typed in the text.
const LABELS: usize = 40;
/// Keys of a target that are no labels.
/// What a first click on say.by_pid() or say.by_port() writes: some number, to be typed over.
const FIRST_PID: i64 = 4211;
const FIRST_PORT: i64 = 8080;

/// Draws the chosen step: parameters and target side by side where there is room.
pub fn step(ui: &mut Ui, form: &mut Form<'_>, chosen: &mut Chosen, (e, s): (&str, &str), cx: &Cx<'_>) {
    const SIDE: f32 = 290.0;
    let experiment = chosen.experiment;
    let rails = &mut chosen.rails;
    let base = ["experiment", e, "step", s];
    let wait = form.draft.value(&[&base[..], &["wait"]].concat()).is_some();
    let width = ui.available_width();
    if wait || width < 680.0 {
        widgets::card(ui, |ui| what(ui, form, &base, wait, cx));
        if !wait && form.draft.value(&base).is_some() {
            widgets::card(ui, |ui| target(ui, form, &base, cx));
        }
        widgets::card(ui, |ui| rails.ui(ui, form.draft, experiment, cx));
        return;
    }
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = space::M;
        let sized = |ui: &mut Ui, width: f32, draw: &mut dyn FnMut(&mut Ui)| {
            ui.allocate_ui_with_layout(vec2(width, 0.0), egui::Layout::top_down(egui::Align::Min), |ui| {
                ui.spacing_mut().item_spacing = vec2(space::S, space::S);
                widgets::card(ui, |ui| draw(ui));
            });
        };
        sized(ui, width - SIDE - space::M, &mut |ui| {
            what(ui, form, &base, wait, cx);
        });
        if form.draft.value(&base).is_some() {
            ui.vertical(|ui| {
                sized(ui, SIDE, &mut |ui| target(ui, form, &base, cx));
                sized(ui, SIDE, &mut |ui| rails.ui(ui, form.draft, experiment, cx));
            });
        }
    });
}

/// The fault with its parameters, or the wait.
fn what(ui: &mut Ui, form: &mut Form<'_>, base: &[&str], wait: bool, cx: &Cx<'_>) {
    let say = Say::of(ui);
    let mut remove = false;
    let name = if wait {
        say.step_wait().to_owned()
    } else {
        form.draft.shown(&[base, &["inject"]].concat())
    };
    let t = cx.tokens;
    widgets::ends(
        ui,
        24.0,
        |ui| drop(ui.label(rich(&name, medium(size::LARGE), t.strong))),
        |ui| remove = widgets::link(ui, say.remove_step()).clicked(),
    );
    if remove {
        form.remove(base);
    } else if wait {
        super::parts::two(ui, form, |form, left, right| {
            form.field(
                left,
                say.step_for_wait(),
                &[base, &["wait"]].concat(),
                "30s",
                Kind::Needed,
            );
            lane(right, form, base);
        });
    } else {
        match find(&name) {
            Some(fault) => parameters(ui, form, base, fault),
            None => drop(widgets::small(ui, say.no_such_fault(), t.out)),
        }
    }
}

fn parameters(ui: &mut Ui, form: &mut Form<'_>, base: &[&str], fault: &FaultSpec) {
    let say = Say::of(ui);
    widgets::dim(ui, format!("{}. {}", fault.summary, fault.undo_words));
    let at = |keys: &[&'static str]| -> Vec<String> {
        base.iter()
            .map(|key| (*key).to_owned())
            .chain(keys.iter().map(|key| (*key).to_owned()))
            .collect()
    };
    let mut fields: Vec<(String, Vec<String>, String, Kind)> = vec![
        (say.step_for().into(), at(&["for"]), "30s".into(), Kind::Needed),
        (
            say.step_ramp().into(),
            at(&["ramp"]),
            say.step_at_once().into(),
            Kind::Text,
        ),
    ];
    let without_route = is_named(form, &[base, &["target"]].concat());
    let params = || {
        let all = fault.params.iter();
        all.filter(move |param| without_route || !fault.is_only_without_route(param))
    };
    for param in params().filter(|param| choices(param).is_none()) {
        let kind = match param.kind {
            ParamKind::Count { .. } => Kind::Whole,
            _ if param.required => Kind::Needed,
            _ => Kind::Text,
        };
        fields.push((label(param), at(&["with", param.name]), hint(param), kind));
    }
    for pair in fields.chunks(2) {
        super::parts::two(ui, form, |form, left, right| {
            for ((label, path, hint, kind), ui) in pair.iter().zip([left, right]) {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                form.field(ui, label, &path, hint, *kind);
            }
        });
    }
    for param in params() {
        if let Some(words) = choices(param) {
            one_of(ui, form, &[base, &["with", param.name]].concat(), param, words);
        }
    }
    repeat(ui, form, base);
    lane(ui, form, base);
}

/// The words that a parameter may be.
fn choices(param: &ParamSpec) -> Option<&'static [&'static str]> {
    match param.kind {
        ParamKind::Choice(words) => Some(words),
        _ => None,
    }
}

/// A click chooses one of them.
fn one_of(ui: &mut Ui, form: &mut Form<'_>, path: &[&str], param: &ParamSpec, words: &[&str]) {
    widgets::dim(ui, label(param));
    let shown = form.draft.shown(path);
    let now = if shown.is_empty() {
        param.default.unwrap_or_default()
    } else {
        &shown
    };
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(4.0, 4.0);
        for word in words {
            if choice(ui, *word == now, word).clicked() && *word != now {
                form.set(path, *word);
            }
        }
    });
    let wrong = form.draft.wrong(path).map(|found| found.message.clone());
    if let Some(words) = wrong {
        widgets::small(ui, words, Tokens::of(ui).out);
    }
}

/// Steps of one lane run one after another, lanes side by side.
fn lane(ui: &mut Ui, form: &mut Form<'_>, base: &[&str]) {
    let say = Say::of(ui);
    form.field(
        ui,
        say.step_lane(),
        &[base, &["lane"]].concat(),
        super::moving::MAIN,
        Kind::Text,
    );
}

/// Once, or how often and how far apart.
fn repeat(ui: &mut Ui, form: &mut Form<'_>, base: &[&str]) {
    let say = Say::of(ui);
    let path = [base, &["repeat"]].concat();
    let repeats = form.draft.value(&path).is_some();
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        if choice(ui, !repeats, say.runs_once()).clicked() && repeats {
            form.remove(&path);
        }
        if choice(ui, repeats, say.repeats()).clicked() && !repeats {
            let length = form.draft.shown(&[base, &["for"]].concat());
            let every_ms = quantity::duration_ms(&length).map_or(60_000, |ms| (ms * 2).max(1_000));
            form.set(
                &path,
                edit::inline([
                    ("times", 2.into()),
                    ("every", super::moving::written(every_ms).into()),
                ]),
            );
        }
    });
    if repeats {
        super::parts::two(ui, form, |form, left, right| {
            let times = [&path[..], &["times"]].concat();
            form.field(left, say.runs_in_all(), &times, "2", Kind::Whole);
            let every = [&path[..], &["every"]].concat();
            form.field(right, say.start_to_start(), &every, "2m", Kind::Needed);
        });
    }
}

fn label(param: &ParamSpec) -> String {
    let limits = match param.kind {
        ParamKind::Duration { min_ms, max_ms } => {
            format!(", {} to {}", quantity::show_ms(min_ms), quantity::show_ms(max_ms))
        }
        ParamKind::Share => ", up to 100 %".to_owned(),
        ParamKind::Count { min, max } => format!(", {min} to {max}"),
        ParamKind::Choice(_)
        | ParamKind::Bandwidth { .. }
        | ParamKind::Memory { .. }
        | ParamKind::Text { .. } => String::new(),
    };
    format!("{}: {}{limits}", param.name, param.summary)
}

fn hint(param: &ParamSpec) -> String {
    match (param.default, param.kind) {
        (Some(default), _) => default.to_owned(),
        (None, ParamKind::Duration { .. }) => "400ms".to_owned(),
        (None, ParamKind::Bandwidth { .. }) => "64KB/s".to_owned(),
        (None, ParamKind::Memory { .. }) => "25%".to_owned(),
        (None, ParamKind::Text { .. }) => "any".to_owned(),
        (None, ParamKind::Share | ParamKind::Count { .. } | ParamKind::Choice(_)) => String::new(),
    }
}

/// An agent of the plan, as far as a target is concerned.
struct Agent {
    name: String,
    url: String,
    labels: Vec<(String, String)>,
}

fn agents(form: &Form<'_>) -> Vec<Agent> {
    let entries = form
        .draft
        .value(&["agent"])
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    entries
        .iter()
        .map(|entry| Agent {
            name: entry["name"].as_str().unwrap_or_default().to_owned(),
            url: entry["url"].as_str().unwrap_or_default().to_owned(),
            labels: pairs(&entry["labels"]),
        })
        .collect()
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    value.as_object().map_or_else(Vec::new, |map| {
        map.iter().map(|(k, v)| (k.clone(), text(v))).collect()
    })
}

/// How many of `matching` agents a mode hits.
fn hits(mode: &str, matching: usize) -> usize {
    let number = |text: &str| text.trim().parse::<usize>().unwrap_or(0);
    match mode.split_once(':') {
        Some(("fixed", n)) => number(n).min(matching),
        Some(("percent", p)) => (matching * number(p).min(100)).div_ceil(100),
        _ if mode == "all" => matching,
        _ => matching.min(1),
    }
}

fn target(ui: &mut Ui, form: &mut Form<'_>, base: &[&str], cx: &Cx<'_>) {
    let say = Say::of(ui);
    let t = cx.tokens;
    let agents = agents(form);
    let path = [base, &["target"]].concat();
    let chosen: Vec<(String, String)> = form
        .draft
        .value(&path)
        .map(pairs)
        .unwrap_or_default()
        .into_iter()
        .filter(|(key, _)| key != "mode" && !Scope::KEYS.contains(&key.as_str()))
        .collect();
    let mode = form.draft.shown(&[&path[..], &["mode"]].concat());
    let matching: Vec<&Agent> = agents
        .iter()
        .filter(|agent| chosen.iter().all(|pair| agent.labels.contains(pair)))
        .collect();
    let hit = hits(&mode, matching.len());
    widgets::ends(
        ui,
        22.0,
        |ui| drop(widgets::title(ui, say.target())),
        |ui| {
            let words = say.hits(hit, say.hosts(agents.len()));
            ui.label(rich(
                words,
                medium(size::BODY),
                if hit > 0 { t.fault } else { t.out },
            ));
        },
    );
    label_choices(ui, form, &path, &agents, &chosen);
    let mode_path = [&path[..], &["mode"]].concat();
    form.choose(
        ui,
        say.how_many(),
        &mode_path,
        &[
            ("one", say.mode_one()),
            ("all", say.mode_all()),
            ("fixed:2", say.mode_two()),
            ("percent:50", say.mode_half()),
        ],
    );
    let fault = find(&form.draft.shown(&[base, &["inject"]].concat()));
    if let Some(fault) = fault {
        scope(ui, form, &path, fault, cx);
    }
    ui.add_space(space::XS);
    if hit > 0 && hit < matching.len() {
        let names: Vec<&str> = matching.iter().take(SHOWN).map(|it| it.name.as_str()).collect();
        widgets::dim(ui, cx.say.target_by_lot(hit, names.join(", ")));
    }
    let route = form.draft.shown(&[&path[..], &["route"]].concat());
    for agent in agents.iter().take(SHOWN) {
        let inside = matching.iter().any(|other| other.name == agent.name);
        let surely = hit == matching.len();
        let live = live(cx, agent, fault.map_or("", |it| it.name), &route);
        agent_row(ui, agent, (inside, surely), &live, t);
    }
    if agents.len() > SHOWN {
        widgets::dim(ui, say.and_more(agents.len() - SHOWN));
    }
    if agents.is_empty() {
        widgets::dim(ui, say.no_agents_yet());
    }
}

/// Every `key = value` that some agent has; a click narrows the target or widens it.
fn label_choices(
    ui: &mut Ui,
    form: &mut Form<'_>,
    path: &[&str],
    agents: &[Agent],
    chosen: &[(String, String)],
) {
    let mut all: Vec<&(String, String)> = agents.iter().flat_map(|agent| &agent.labels).collect();
    all.sort();
    all.dedup();
    widgets::dim(ui, Say::of(ui).hosts_with());
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(4.0, 4.0);
        for pair in all.into_iter().take(LABELS) {
            let (key, value) = pair;
            let on = chosen.contains(pair);
            if choice(ui, on, &format!("{key} = {value}")).clicked() {
                let at = [path, &[key.as_str()]].concat();
                if on {
                    form.remove(&at);
                } else {
                    form.set(&at, value.as_str());
                }
            }
        }
    });
}

fn scope(ui: &mut Ui, form: &mut Form<'_>, path: &[&str], fault: &FaultSpec, cx: &Cx<'_>) {
    for key in fault.scope {
        match key {
            ScopeKey::Route => route(ui, form, path, cx),
            ScopeKey::Traffic => {
                let is_routed = !form.draft.shown(&[path, &["route"]].concat()).is_empty();
                if !is_routed {
                    let keys: Vec<_> = ["route"].into_iter().chain(Scope::NAMES).collect();
                    named(ui, form, path, &keys);
                }
                if is_routed || !is_named(form, path) {
                    route(ui, form, path, cx);
                }
            }
            ScopeKey::Process | ScopeKey::Cgroup => named(ui, form, path, &Scope::NAMES),
            ScopeKey::Netns => {
                let keys: Vec<_> = ["netns"].into_iter().chain(Scope::NAMES).collect();
                named(ui, form, path, &keys);
            }
        }
    }
}

/// Whether the target is a process or the cgroup of one.
fn is_named(form: &Form<'_>, path: &[&str]) -> bool {
    Scope::NAMES
        .iter()
        .any(|key| form.draft.value(&[path, &[*key]].concat()).is_some())
}

fn route(ui: &mut Ui, form: &mut Form<'_>, path: &[&str], cx: &Cx<'_>) {
    let at = [path, &["route"]].concat();
    let mut known: Vec<&str> = cx
        .scene
        .fleet
        .iter()
        .filter_map(|a| a.info.as_ref())
        .flat_map(|i| &i.routes)
        .map(|r| r.name.as_str())
        .collect();
    known.sort_unstable();
    known.dedup();
    let options: Vec<(&str, &str)> = known.into_iter().map(|name| (name, name)).collect();
    if !options.is_empty() {
        form.choose(ui, cx.say.routes_known(), &at, &options);
    }
    form.field(ui, cx.say.route_label(), &at, "payment-http", Kind::Needed);
}

/// Which process, cgroup or network namespace: how it is named, and its name.
fn named(ui: &mut Ui, form: &mut Form<'_>, path: &[&str], keys: &[&'static str]) {
    let say = Say::of(ui);
    let is_given = |form: &Form<'_>, key: &str| form.draft.value(&[path, &[key]].concat()).is_some();
    let given = keys.iter().copied().find(|key| is_given(form, key));
    widgets::dim(ui, say.named_by());
    let mut chosen = None;
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(4.0, 4.0);
        for &key in keys {
            if choice(ui, given == Some(key), named_by(say, key)).clicked() && given != Some(key) {
                chosen = Some(key);
            }
        }
    });
    if let Some(key) = chosen {
        if let Some(old) = given {
            form.remove(&[path, &[old]].concat());
        }
        let at = [path, &[key]].concat();
        match key {
            "pid" => form.set(&at, FIRST_PID),
            "port" => form.set(&at, FIRST_PORT),
            _ => form.set(&at, ""),
        }
    } else if let Some(key) = given.filter(|key| *key != "route") {
        let (hint, kind) = match key {
            "pid" => ("4211", Kind::Whole),
            "port" => ("8080", Kind::Whole),
            "command" => ("java -jar payments.jar", Kind::Needed),
            "cgroup" => ("system.slice/nginx.service", Kind::Needed),
            "unit" => ("nginx.service", Kind::Needed),
            "container" => ("3f4e1a2b5c6d", Kind::Needed),
            "netns" => ("blue", Kind::Needed),
            _ => ("nginx", Kind::Needed),
        };
        form.field(ui, named_by(say, key), &[path, &[key]].concat(), hint, kind);
    }
}

/// A scope key as people say it.
fn named_by(say: Say, key: &'static str) -> &'static str {
    match key {
        "pid" => say.by_pid(),
        "process" => say.by_process(),
        "command" => say.by_command(),
        "port" => say.by_port(),
        "unit" => say.by_unit(),
        "netns" => say.by_netns(),
        key => key,
    }
}

/// What the agent itself says to this, as far as it was asked.
enum Live {
    /// It answers, and can do this.
    Ready,
    /// It is not known.
    Unknown(String),
    /// It could not be hit now, and why.
    Cannot(String),
}

/// What an agent of the open plan said last; one that was written since then is not known.
fn live(cx: &Cx<'_>, agent: &Agent, fault: &str, route: &str) -> Live {
    let say = cx.say;
    let mut fleet = cx.scene.fleet.iter();
    let Some(known) = fleet.find(|it| it.name == agent.name && it.url == agent.url) else {
        return Live::Unknown(say.target_not_in_fleet().to_owned());
    };
    match &known.health {
        AgentHealth::Unknown => return Live::Unknown(say.target_not_asked().to_owned()),
        AgentHealth::Unreachable(_) => return Live::Cannot(say.target_no_answer().to_owned()),
        AgentHealth::Unusable(why) => return Live::Cannot(why.clone()),
        AgentHealth::Healthy => {}
    }
    if known.latch.is_some() {
        return Live::Cannot(say.target_latched().to_owned());
    }
    let Some(info) = &known.info else {
        return Live::Unknown(say.target_says_nothing().to_owned());
    };
    match info.faults.iter().find(|it| it.name.as_str() == fault) {
        None => return Live::Cannot(say.target_unknown_fault(fault)),
        Some(it) if !it.available => {
            let why = it.why_not.clone();
            return Live::Cannot(why.unwrap_or_else(|| say.target_cannot().to_owned()));
        }
        Some(_) => {}
    }
    if !route.is_empty() && !info.routes.iter().any(|it| it.name == route) {
        return Live::Cannot(say.target_no_route(route));
    }
    Live::Ready
}

fn agent_row(ui: &mut Ui, agent: &Agent, (inside, surely): (bool, bool), live: &Live, t: &Tokens) {
    let say = Say::of(ui);
    ui.spacing_mut().interact_size.y = 20.0;
    ui.horizontal(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(12.0, 18.0), egui::Sense::hover());
        let state = if inside { State::Fault } else { State::Waiting };
        widgets::shape(ui.painter(), rect.center(), 4.5, state, t);
        let ink = if inside { t.strong } else { t.dim };
        ui.label(rich(&agent.name, regular(size::BODY), ink));
        let words = match (inside, surely) {
            (true, true) => say.is_hit(),
            (true, false) => say.may_be_hit(),
            (false, _) => say.is_not_hit(),
        };
        widgets::dim(ui, words);
        match live {
            Live::Ready => drop(widgets::dim(ui, format!("· {}", Say::of(ui).target_ready()))),
            Live::Unknown(why) if inside => drop(widgets::dim(ui, format!("· {why}"))),
            Live::Unknown(_) | Live::Cannot(_) => {}
        }
    });
    // What is in the way of a host that is not hit is no matter here.
    if let (Live::Cannot(why), true) = (live, inside) {
        widgets::small(ui, format!("{}: {why}", agent.name), t.out);
    }
}

#[cfg(test)]
mod tests {
    use super::hits;

    #[test]
    fn modes_hit_what_they_say() {
        assert_eq!(
            ["one", "", "all", "fixed:2", "percent:50", "percent:1"].map(|mode| hits(mode, 3)),
            [1, 1, 3, 2, 2, 1]
        );
        assert_eq!(hits("one", 0), 0);
    }
}
