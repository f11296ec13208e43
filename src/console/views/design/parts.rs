//! The form's parts but the experiment: the plan itself, its indicators, its agents.

use egui::Ui;
use serde_json::Value;

use super::form::{Form, Kind};
use crate::{
    theme::space,
    widgets::{self, choice},
};

/// Title, system, goal, source, people.
pub fn plan(ui: &mut Ui, form: &mut Form<'_>) {
    widgets::card(ui, |ui| {
        widgets::title(ui, "Plan");
        form.field(
            ui,
            "Title",
            &["title"],
            "Orders: payment provider slows down",
            Kind::Needed,
        );
        two(ui, form, |form, left, right| {
            form.field(left, "System", &["system"], "orders", Kind::Needed);
            form.field(right, "Goal", &["goal"], "what is to be learned", Kind::Text);
        });
    });
    widgets::card(ui, |ui| {
        widgets::title(ui, "Where indicators come from");
        let kinds = [
            (
                "scrape",
                "Scrape",
                "exposition text of your services, evaluated here",
            ),
            ("prometheus", "Prometheus", "anything that speaks its HTTP API"),
            ("probe", "Probe", "requests sent from here"),
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
                "Base URL",
                &["metrics", "prometheus"],
                "http://127.0.0.1:9090",
                Kind::Needed,
            ),
            "scrape" => form.field(
                ui,
                "URLs, between commas",
                &["metrics", "scrape"],
                "http://127.0.0.1:8080/metrics",
                Kind::List,
            ),
            "probe" => form.field(
                ui,
                "Requests, between commas",
                &["metrics", "probe"],
                "GET http://127.0.0.1:8080/health",
                Kind::List,
            ),
            _ => drop(widgets::dim(ui, "Choose one.")),
        }
        form.field(ui, "Every", &["metrics", "every"], "1s", Kind::Text);
    });
    widgets::card(ui, |ui| {
        widgets::title(ui, "People");
        two(ui, form, |form, left, right| {
            form.field(
                left,
                "Facilitator",
                &["people", "facilitator"],
                "leads the room",
                Kind::Text,
            );
            form.field(
                right,
                "Operator",
                &["people", "operator"],
                "drives the console",
                Kind::Text,
            );
        });
        form.field(
            ui,
            "Observers, between commas",
            &["people", "observers"],
            "watch, and write notes",
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

const INDICATORS: [(&str, &str, &str); 5] = [
    ("ratio", "Ratio", "good events over all events in a window"),
    ("quantile", "Quantile", "a quantile of a histogram in a window"),
    ("rate", "Rate", "events per second in a window"),
    ("gauge", "Gauge", "the sum of gauges as they are"),
    ("promql", "PromQL", "raw PromQL; for a Prometheus source only"),
];

/// Every SLI.
pub fn indicators(ui: &mut Ui, form: &mut Form<'_>) {
    for i in 0..form.draft.len(&["sli"]) {
        let index = i.to_string();
        ui.push_id(("sli", i), |ui| {
            widgets::card(ui, |ui| indicator(ui, form, &index));
        });
    }
    if widgets::button(ui, "Add indicator").clicked() {
        let name = fresh(form, "sli", "Success");
        let body = format!(
            "name = \"{name}\"\nratio = {{ good = 'http_requests_total{{code!~\"5..\"}}', total = 'http_requests_total', window = \"30s\" }}\n\
             unit = \"%\"\nband     = {{ min = 0.999 }}\ntolerate = {{ min = 0.99 }}\nstop     = {{ min = 0.95, after = 2 }}\n"
        );
        form.push(&["sli"], &body);
    }
}

fn indicator(ui: &mut Ui, form: &mut Form<'_>, i: &str) {
    let name = form.draft.shown(&["sli", i, "name"]);
    let mut remove = false;
    widgets::ends(
        ui,
        24.0,
        |ui| drop(widgets::title(ui, name)),
        |ui| remove = widgets::link(ui, "Remove").clicked(),
    );
    if remove {
        form.remove(&["sli", i]);
        return;
    }
    two(ui, form, |form, left, right| {
        form.field(left, "Name", &["sli", i, "name"], "Order success", Kind::Needed);
        form.field(
            right,
            "Unit: how it is shown",
            &["sli", i, "unit"],
            "%, ms, s, /s or a word",
            Kind::Text,
        );
    });
    let now = INDICATORS
        .iter()
        .find(|(key, ..)| form.draft.value(&["sli", i, key]).is_some())
        .map_or("", |k| k.0);
    ui.horizontal_wrapped(|ui| {
        for (key, label, tip) in INDICATORS {
            if choice(ui, now == key, label).on_hover_text(tip).clicked() && now != key {
                turn_into(form, i, now, key);
            }
        }
    });
    match now {
        "ratio" => {
            form.field(
                ui,
                "Good events",
                &["sli", i, "ratio", "good"],
                "http_requests_total{code!~\"5..\"}",
                Kind::Needed,
            );
            form.field(
                ui,
                "All events",
                &["sli", i, "ratio", "total"],
                "http_requests_total",
                Kind::Needed,
            );
            form.field(ui, "Window", &["sli", i, "ratio", "window"], "30s", Kind::Needed);
        }
        "quantile" => {
            form.field(
                ui,
                "Histogram",
                &["sli", i, "quantile", "histogram"],
                "http_request_duration_seconds",
                Kind::Needed,
            );
            two(ui, form, |form, left, right| {
                form.field(
                    left,
                    "Quantile",
                    &["sli", i, "quantile", "q"],
                    "0.95",
                    Kind::Number,
                );
                form.field(
                    right,
                    "Window",
                    &["sli", i, "quantile", "window"],
                    "30s",
                    Kind::Needed,
                );
            });
        }
        "rate" => {
            form.field(
                ui,
                "Counter",
                &["sli", i, "rate", "counter"],
                "http_requests_total",
                Kind::Needed,
            );
            form.field(ui, "Window", &["sli", i, "rate", "window"], "30s", Kind::Needed);
        }
        "gauge" => form.field(ui, "Gauge", &["sli", i, "gauge"], "queue_depth", Kind::Needed),
        "promql" => form.field(
            ui,
            "PromQL",
            &["sli", i, "promql"],
            "sum(queue_depth)",
            Kind::Needed,
        ),
        _ => {}
    }
    lines(ui, form, i);
}

/// The three lines. In the source's base unit, so the form says which that is.
fn lines(ui: &mut Ui, form: &mut Form<'_>, i: &str) {
    let unit = form.draft.shown(&["sli", i, "unit"]);
    let base = match unit.as_str() {
        "%" => "as a share: 0.999 is 99.9 %",
        "ms" => "in seconds: 0.3 is 300 ms",
        _ => "in the source's unit",
    };
    widgets::dim(
        ui,
        format!("Lines, {base}. Empty is open; tolerate and stop may be left out."),
    );
    for (key, label) in [("band", "Steady"), ("tolerate", "Tolerated")] {
        line(ui, form, i, key, label);
    }
    stop(ui, form, i);
    two(ui, form, |form, left, right| {
        form.field(
            left,
            "Traffic below this is no data",
            &["sli", i, "min_rate"],
            "5/s",
            Kind::Text,
        );
        form.field(
            right,
            "Said while it is in tolerance",
            &["sli", i, "say", "ok"],
            "Orders are fine",
            Kind::Text,
        );
    });
    form.field(
        ui,
        "Said while it is out",
        &["sli", i, "say", "out"],
        "Orders fail",
        Kind::Text,
    );
}

fn line(ui: &mut Ui, form: &mut Form<'_>, i: &str, key: &str, label: &str) {
    two(ui, form, |form, left, right| {
        let from = format!("{label} from");
        form.field(left, &from, &["sli", i, key, "min"], "", Kind::Number);
        let to = format!("{label} to");
        form.field(right, &to, &["sli", i, key, "max"], "", Kind::Number);
    });
}

/// Where safety ends the drill: as tolerated, at a line of its own, or never by its values.
fn stop(ui: &mut Ui, form: &mut Form<'_>, i: &str) {
    use firedrill_plan::edit::inline;
    let path = ["sli", i, "stop"];
    let now = match form.draft.value(&path) {
        None => 0,
        Some(Value::String(_)) => 2,
        Some(_) => 1,
    };
    widgets::dim(ui, "Stops the drill");
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        let mut clicked = |number, label, tip| {
            choice(ui, now == number, label).on_hover_text(tip).clicked() && now != number
        };
        if clicked(
            0,
            "Out of tolerance",
            "two bad samples in a row outside of what is tolerated",
        ) {
            form.remove(&path);
        }
        if clicked(
            1,
            "At a line of its own",
            "so many samples in a row outside of this line",
        ) {
            form.set(&path, inline([("after", 2.into())]));
        }
        if clicked(
            2,
            "Never",
            "its values never stop the drill; samples without data do",
        ) {
            form.set(&path, "never");
        }
    });
    if now == 1 {
        line(ui, form, i, "stop", "Stop");
        form.field(
            ui,
            "After so many bad samples in a row",
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
    for i in 0..form.draft.len(&["agent"]) {
        let index = i.to_string();
        ui.push_id(("agent", i), |ui| widgets::card(ui, |ui| agent(ui, form, &index)));
    }
    if widgets::button(ui, "Add agent").clicked() {
        let number = form.draft.len(&["agent"]) + 1;
        let port = 7430 + number;
        let body = format!(
            "name = \"agent-{number}\"\nurl = \"http://127.0.0.1:{port}\"\nlabels = {{ service = \"payments\" }}\n"
        );
        form.push(&["agent"], &body);
    }
    ui.add_space(space::XS);
    widgets::dim(
        ui,
        "Tokens are kept apart, in a file that only you can read: see Fleet.",
    );
}

fn agent(ui: &mut Ui, form: &mut Form<'_>, i: &str) {
    let name = form.draft.shown(&["agent", i, "name"]);
    let mut remove = false;
    widgets::ends(
        ui,
        24.0,
        |ui| drop(widgets::title(ui, name)),
        |ui| remove = widgets::link(ui, "Remove").clicked(),
    );
    if remove {
        form.remove(&["agent", i]);
        return;
    }
    two(ui, form, |form, left, right| {
        form.field(
            left,
            "Agent name",
            &["agent", i, "name"],
            "payments-1",
            Kind::Needed,
        );
        form.field(
            right,
            "Address",
            &["agent", i, "url"],
            "http://127.0.0.1:7431",
            Kind::Needed,
        );
    });
    labels(ui, form, i);
}

/// Labels as `service = payments, zone = a`.
fn labels(ui: &mut Ui, form: &mut Form<'_>, i: &str) {
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
    widgets::dim(ui, "Labels: what targets choose by");
    let edit = egui::TextEdit::singleline(&mut value)
        .id(id)
        .desired_width(ui.available_width())
        .margin(egui::Margin::symmetric(10, 6));
    let response = widgets::named(ui.add(edit), "Labels");
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
