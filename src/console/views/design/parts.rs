//! The form's parts but the experiment: the plan itself, its indicators, its agents.

use egui::Ui;
use firedrill_scene::Ask;
use serde_json::Value;

use super::{
    form::{Form, Kind},
    past,
};
use crate::{
    commands::Words,
    cx::Cx,
    messages::Say,
    theme::space,
    widgets::{self, choice},
};

/// Title, system, goal, source, people.
pub fn plan(ui: &mut Ui, form: &mut Form<'_>) {
    let say = Say::of(ui);
    widgets::card(ui, |ui| {
        widgets::title(ui, say.plan_part());
        form.field(
            ui,
            say.plan_title(),
            &["title"],
            "Orders: payment provider slows down",
            Kind::Needed,
        );
        two(ui, form, |form, left, right| {
            form.field(left, say.plan_system(), &["system"], "orders", Kind::Needed);
            form.field(
                right,
                say.plan_goal(),
                &["goal"],
                say.plan_goal_hint(),
                Kind::Text,
            );
        });
    });
    widgets::card(ui, |ui| {
        widgets::title(ui, say.metrics_from());
        let kinds = [
            ("scrape", say.metrics_scrape(), say.metrics_scrape_tip()),
            ("prometheus", "Prometheus", say.metrics_prometheus_tip()),
            ("probe", say.metrics_probe(), say.metrics_probe_tip()),
        ];
        let now = kinds
            .iter()
            .find(|(key, ..)| form.draft.value(&["metrics", key]).is_some())
            .map_or("", |k| k.0);
        ui.horizontal_wrapped(|ui| {
            for (key, label, tip) in kinds {
                if choice(ui, now == key, label).on_hover_text(tip).clicked() && now != key {
                    if !now.is_empty() {
                        form.remove(&["metrics", now]);
                    }
                    match key {
                        "prometheus" => form.set(&["metrics", key], "http://127.0.0.1:9090"),
                        "scrape" => form.set(
                            &["metrics", key],
                            firedrill_plan::edit::texts(["http://127.0.0.1:8080/metrics"]),
                        ),
                        _ => form.set(
                            &["metrics", key],
                            firedrill_plan::edit::texts(["GET http://127.0.0.1:8080/health"]),
                        ),
                    }
                }
            }
        });
        match now {
            "prometheus" => form.field(
                ui,
                say.metrics_url(),
                &["metrics", "prometheus"],
                "http://127.0.0.1:9090",
                Kind::Needed,
            ),
            "scrape" => form.field(
                ui,
                say.metrics_urls(),
                &["metrics", "scrape"],
                "http://127.0.0.1:8080/metrics",
                Kind::List,
            ),
            "probe" => form.field(
                ui,
                say.metrics_requests(),
                &["metrics", "probe"],
                "GET http://127.0.0.1:8080/health",
                Kind::List,
            ),
            _ => drop(widgets::dim(ui, say.choose_one())),
        }
        form.field(ui, say.metrics_every(), &["metrics", "every"], "1s", Kind::Text);
    });
    widgets::card(ui, |ui| {
        widgets::title(ui, say.people());
        two(ui, form, |form, left, right| {
            form.field(
                left,
                say.facilitator(),
                &["people", "facilitator"],
                say.facilitator_hint(),
                Kind::Text,
            );
            form.field(
                right,
                say.operator(),
                &["people", "operator"],
                say.operator_hint(),
                Kind::Text,
            );
        });
        form.field(
            ui,
            say.observers(),
            &["people", "observers"],
            say.observers_hint(),
            Kind::List,
        );
    });
}

/// Two halves of a row.
pub fn two(ui: &mut Ui, form: &mut Form<'_>, draw: impl FnOnce(&mut Form<'_>, &mut Ui, &mut Ui)) {
    ui.columns(2, |columns| {
        if let [left, right] = columns {
            draw(form, left, right);
        }
    });
}

const INDICATORS: [(&str, Words, Words); 5] = [
    ("ratio", Say::kind_ratio, Say::kind_ratio_tip),
    ("quantile", Say::quantile, Say::kind_quantile_tip),
    ("rate", Say::kind_rate, Say::kind_rate_tip),
    ("gauge", Say::gauge, Say::kind_gauge_tip),
    ("promql", |_| "PromQL", Say::kind_promql_tip),
];

/// Every SLI. Gives the wishes for what sources remember; `asks`: also where nobody pressed for it.
pub fn indicators(ui: &mut Ui, form: &mut Form<'_>, asks: bool, cx: &Cx<'_>) -> Vec<Ask> {
    let say = cx.say;
    let mut wishes = Vec::new();
    for i in 0..form.draft.len(&["sli"]) {
        ui.push_id(("sli", i), |ui| {
            widgets::card(ui, |ui| wishes.extend(indicator(ui, form, i, asks, cx)));
        });
    }
    if widgets::button(ui, say.add_indicator()).clicked() {
        let name = fresh(form, "sli", "Success");
        let body = format!(
            "name = \"{name}\"\nratio = {{ good = 'http_requests_total{{code!~\"5..\"}}', total = 'http_requests_total', window = \"30s\" }}\n\
             unit = \"%\"\nband     = {{ min = 0.999 }}\ntolerate = {{ min = 0.99 }}\nstop     = {{ min = 0.95, after = 2 }}\n"
        );
        form.push(&["sli"], &body);
    }
    wishes
}

fn indicator(ui: &mut Ui, form: &mut Form<'_>, number: usize, asks: bool, cx: &Cx<'_>) -> Option<Ask> {
    let i = number.to_string();
    let i = i.as_str();
    let say = cx.say;
    let name = form.draft.shown(&["sli", i, "name"]);
    let mut remove = false;
    widgets::ends(
        ui,
        24.0,
        |ui| drop(widgets::title(ui, name)),
        |ui| remove = widgets::link(ui, say.remove()).clicked(),
    );
    if remove {
        form.remove(&["sli", i]);
        return None;
    }
    two(ui, form, |form, left, right| {
        form.field(
            left,
            say.indicator_name(),
            &["sli", i, "name"],
            "Order success",
            Kind::Needed,
        );
        form.field(
            right,
            say.indicator_unit(),
            &["sli", i, "unit"],
            say.indicator_unit_hint(),
            Kind::Text,
        );
    });
    let now = INDICATORS
        .iter()
        .find(|(key, ..)| form.draft.value(&["sli", i, key]).is_some())
        .map_or("", |k| k.0);
    ui.horizontal_wrapped(|ui| {
        for (key, label, tip) in INDICATORS {
            let chosen = choice(ui, now == key, label(say)).on_hover_text(tip(say));
            if chosen.clicked() && now != key {
                turn_into(form, i, now, key);
            }
        }
    });
    match now {
        "ratio" => {
            form.field(
                ui,
                say.good_events(),
                &["sli", i, "ratio", "good"],
                "http_requests_total{code!~\"5..\"}",
                Kind::Needed,
            );
            form.field(
                ui,
                say.all_events(),
                &["sli", i, "ratio", "total"],
                "http_requests_total",
                Kind::Needed,
            );
            form.field(
                ui,
                say.window(),
                &["sli", i, "ratio", "window"],
                "30s",
                Kind::Needed,
            );
        }
        "quantile" => {
            form.field(
                ui,
                say.histogram(),
                &["sli", i, "quantile", "histogram"],
                "http_request_duration_seconds",
                Kind::Needed,
            );
            two(ui, form, |form, left, right| {
                form.field(
                    left,
                    say.quantile(),
                    &["sli", i, "quantile", "q"],
                    "0.95",
                    Kind::Number,
                );
                form.field(
                    right,
                    say.window(),
                    &["sli", i, "quantile", "window"],
                    "30s",
                    Kind::Needed,
                );
            });
        }
        "rate" => {
            form.field(
                ui,
                say.counter(),
                &["sli", i, "rate", "counter"],
                "http_requests_total",
                Kind::Needed,
            );
            form.field(
                ui,
                say.window(),
                &["sli", i, "rate", "window"],
                "30s",
                Kind::Needed,
            );
        }
        "gauge" => form.field(ui, say.gauge(), &["sli", i, "gauge"], "queue_depth", Kind::Needed),
        "promql" => form.field(
            ui,
            "PromQL",
            &["sli", i, "promql"],
            "sum(queue_depth)",
            Kind::Needed,
        ),
        _ => {}
    }
    let wish = past::plot(ui, form, number, asks, cx);
    lines(ui, form, i);
    wish
}

/// The three lines. In the source's base unit, so the form says which that is.
fn lines(ui: &mut Ui, form: &mut Form<'_>, i: &str) {
    let say = Say::of(ui);
    let unit = form.draft.shown(&["sli", i, "unit"]);
    let base = match unit.as_str() {
        "%" => say.lines_share(),
        "ms" => say.lines_seconds(),
        _ => say.lines_source(),
    };
    widgets::dim(ui, say.lines_in(base));
    for (key, label) in [
        ("band", say.line_of_band()),
        ("tolerate", say.line_of_tolerance()),
    ] {
        line(ui, form, i, key, label);
    }
    stop(ui, form, i);
    two(ui, form, |form, left, right| {
        form.field(left, say.min_rate(), &["sli", i, "min_rate"], "5/s", Kind::Text);
        form.field(
            right,
            say.say_ok(),
            &["sli", i, "say", "ok"],
            "Orders are fine",
            Kind::Text,
        );
    });
    form.field(
        ui,
        say.say_out(),
        &["sli", i, "say", "out"],
        "Orders fail",
        Kind::Text,
    );
}

fn line(ui: &mut Ui, form: &mut Form<'_>, i: &str, key: &str, label: &str) {
    let say = Say::of(ui);
    two(ui, form, |form, left, right| {
        let from = say.line_from(label);
        form.field(left, &from, &["sli", i, key, "min"], "", Kind::Number);
        let to = say.line_to(label);
        form.field(right, &to, &["sli", i, key, "max"], "", Kind::Number);
    });
}

/// Where safety ends the drill: as tolerated, at a line of its own, or never by its values.
fn stop(ui: &mut Ui, form: &mut Form<'_>, i: &str) {
    let say = Say::of(ui);
    use firedrill_plan::edit::inline;
    let path = ["sli", i, "stop"];
    let now = match form.draft.value(&path) {
        None => 0,
        Some(Value::String(_)) => 2,
        Some(_) => 1,
    };
    widgets::dim(ui, say.stops_drill());
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        let mut clicked = |number, label, tip| {
            choice(ui, now == number, label).on_hover_text(tip).clicked() && now != number
        };
        if clicked(0, say.stop_tolerance(), say.stop_tolerance_tip()) {
            form.remove(&path);
        }
        if clicked(1, say.stop_own(), say.stop_own_tip()) {
            form.set(&path, inline([("after", 2.into())]));
        }
        if clicked(2, say.stop_never(), say.stop_never_tip()) {
            form.set(&path, "never");
        }
    });
    if now == 1 {
        line(ui, form, i, "stop", say.line_of_stop());
        form.field(
            ui,
            say.stop_after(),
            &["sli", i, "stop", "after"],
            "2",
            Kind::Whole,
        );
    }
}

fn turn_into(form: &mut Form<'_>, i: &str, old: &str, new: &str) {
    use firedrill_plan::edit::inline;
    if !old.is_empty() {
        form.remove(&["sli", i, old]);
    }
    let path = ["sli", i, new];
    match new {
        "ratio" => form.set(
            &path,
            inline([
                ("good", "http_requests_total{code!~\"5..\"}".into()),
                ("total", "http_requests_total".into()),
                ("window", "30s".into()),
            ]),
        ),
        "quantile" => form.set(
            &path,
            inline([
                ("q", 0.95.into()),
                ("histogram", "http_request_duration_seconds".into()),
                ("window", "30s".into()),
            ]),
        ),
        "rate" => form.set(
            &path,
            inline([
                ("counter", "http_requests_total".into()),
                ("window", "30s".into()),
            ]),
        ),
        "gauge" => form.set(&path, "queue_depth"),
        _ => form.set(&path, "sum(queue_depth)"),
    }
}

/// A name that no entry of `list` has yet.
pub fn fresh(form: &Form<'_>, list: &str, wanted: &str) -> String {
    let taken = |name: &str| {
        let entries = form.draft.value(&[list]).and_then(Value::as_array);
        entries.is_some_and(|entries| entries.iter().any(|entry| entry["name"] == name))
    };
    if !taken(wanted) {
        return wanted.to_owned();
    }
    (2..1_000)
        .map(|n| format!("{wanted} {n}"))
        .find(|name| !taken(name))
        .unwrap_or_else(|| wanted.to_owned())
}

/// Every agent.
pub fn agents(ui: &mut Ui, form: &mut Form<'_>) {
    let say = Say::of(ui);
    for i in 0..form.draft.len(&["agent"]) {
        let index = i.to_string();
        ui.push_id(("agent", i), |ui| widgets::card(ui, |ui| agent(ui, form, &index)));
    }
    if widgets::button(ui, say.add_agent()).clicked() {
        let number = form.draft.len(&["agent"]) + 1;
        let port = 7430 + number;
        let body = format!(
            "name = \"agent-{number}\"\nurl = \"http://127.0.0.1:{port}\"\nlabels = {{ service = \"payments\" }}\n"
        );
        form.push(&["agent"], &body);
    }
    ui.add_space(space::XS);
    widgets::dim(ui, say.tokens_apart());
}

fn agent(ui: &mut Ui, form: &mut Form<'_>, i: &str) {
    let say = Say::of(ui);
    let name = form.draft.shown(&["agent", i, "name"]);
    let mut remove = false;
    widgets::ends(
        ui,
        24.0,
        |ui| drop(widgets::title(ui, name)),
        |ui| remove = widgets::link(ui, say.remove()).clicked(),
    );
    if remove {
        form.remove(&["agent", i]);
        return;
    }
    two(ui, form, |form, left, right| {
        form.field(
            left,
            say.agent_name(),
            &["agent", i, "name"],
            "payments-1",
            Kind::Needed,
        );
        form.field(
            right,
            say.agent_address(),
            &["agent", i, "url"],
            "http://127.0.0.1:7431",
            Kind::Needed,
        );
    });
    labels(ui, form, i);
}

/// Labels as `service = payments, zone = a`.
fn labels(ui: &mut Ui, form: &mut Form<'_>, i: &str) {
    let say = Say::of(ui);
    let path = ["agent", i, "labels"];
    let pairs = form
        .draft
        .value(&path)
        .and_then(Value::as_object)
        .map_or_else(String::new, |labels| {
            let pairs = labels
                .iter()
                .map(|(key, value)| format!("{key} = {}", value.as_str().unwrap_or_default()));
            pairs.collect::<Vec<_>>().join(", ")
        });
    let key = format!("labels {i}");
    let id = egui::Id::unique(("plan labels", i));
    let focused = ui.ctx().memory(|memory| memory.has_focus(id));
    let mut value = if focused {
        form.typed.remove(&key).unwrap_or(pairs)
    } else {
        pairs
    };
    widgets::dim(ui, say.labels_tip());
    let edit = egui::TextEdit::singleline(&mut value)
        .id(id)
        .desired_width(ui.available_width())
        .margin(egui::Margin::symmetric(10, 6));
    let response = widgets::named(ui.add(edit), say.labels());
    if response.changed() {
        let read: Vec<(&str, &str)> = value
            .split(',')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.trim(), value.trim()))
            .filter(|(key, _)| !key.is_empty())
            .collect();
        form.set(
            &path,
            firedrill_plan::edit::inline(read.into_iter().map(|(key, value)| (key, value.into()))),
        );
    }
    if focused {
        form.typed.insert(key, value);
    }
}
