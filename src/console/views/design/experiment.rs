//! An experiment: hypothesis, times, and its steps on a line.

use egui::{Align2, Stroke, StrokeKind, Ui, vec2};
use firedrill_catalogue::{FAULTS, FaultSpec, ParamKind, ScopeKey};
use serde_json::Value;

use super::{
    form::{Form, Kind},
    lanes::{self, Drag},
    parts::{fresh, two},
    rails::Rails,
    step,
};
use crate::{
    cx::Cx,
    messages::Say,
    theme::{medium, regular, size, space},
    widgets::{self, choice},
};

/// What is chosen.
#[derive(Default)]
pub struct Chosen {
    /// Index of the experiment.
    pub experiment: usize,
    /// Index of its step.
    pub step: usize,
    /// The step that is being dragged.
    pub drag: Option<Drag>,
    /// Typed into the catalogue's search.
    pub search: String,
    /// The guardrails as found last.
    pub rails: Rails,
}

/// The fault catalogue; a click appends a step.
pub fn catalogue(ui: &mut Ui, form: &mut Form<'_>, chosen: &mut Chosen, cx: &Cx<'_>) {
    let say = Say::of(ui);
    let t = cx.tokens;
    widgets::title(ui, say.design_faults());
    widgets::field(ui, say.search_faults(), &mut chosen.search, say.search_hint());
    ui.add_space(space::XS);
    let wanted = chosen.search.to_lowercase();
    let found = |fault: &&FaultSpec| {
        fault.name.to_lowercase().contains(&wanted) || fault.summary.to_lowercase().contains(&wanted)
    };
    let mut any = false;
    egui::ScrollArea::vertical()
        .id_salt("catalogue")
        .auto_shrink(false)
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            for fault in FAULTS.iter().filter(found) {
                any = true;
                let words = ui.painter().layout(
                    fault.summary.to_owned(),
                    regular(size::SMALL),
                    t.dim,
                    ui.available_width() - 16.0,
                );
                let name = say.add_fault(fault.name);
                let (rect, response) =
                    widgets::painted(ui, vec2(ui.available_width(), words.size().y + 30.0), &name);
                if response.hovered() || response.has_focus() {
                    ui.painter().rect_filled(rect, 8.0, t.raised);
                }
                if response.has_focus() {
                    ui.painter()
                        .rect_stroke(rect, 8.0, Stroke::new(2.0, t.series), StrokeKind::Inside);
                }
                ui.painter().text(
                    rect.min + vec2(8.0, 6.0),
                    Align2::LEFT_TOP,
                    fault.name,
                    medium(size::NOTE),
                    t.strong,
                );
                ui.painter().galley(rect.min + vec2(8.0, 23.0), words, t.dim);
                if response.on_hover_text(fault.undo_words).clicked() {
                    add(form, chosen, fault, cx);
                }
            }
            if !any {
                widgets::dim(ui, say.no_such_fault_name());
            }
        });
}

/// Appends a step with this fault to the chosen experiment.
fn add(form: &mut Form<'_>, chosen: &mut Chosen, fault: &FaultSpec, cx: &Cx<'_>) {
    if form.draft.len(&["experiment"]) == 0 {
        add_experiment(form, chosen);
    }
    let label = form
        .draft
        .value(&["agent", "0", "labels"])
        .and_then(Value::as_object)
        .and_then(|labels| {
            labels
                .iter()
                .next()
                .map(|(key, value)| format!("{key} = \"{}\", ", value.as_str().unwrap_or_default()))
        });
    let route = cx.scene.fleet.iter().find_map(|agent| {
        agent
            .info
            .as_ref()?
            .routes
            .first()
            .map(|route| route.name.clone())
    });
    let scope = match fault.scope.first() {
        Some(ScopeKey::Route | ScopeKey::Traffic) => format!(", route = \"{}\"", route.unwrap_or_default()),
        Some(ScopeKey::Process | ScopeKey::Cgroup) => ", process = \"\"".to_owned(),
        Some(ScopeKey::Netns) | None => String::new(),
    };
    let with: Vec<String> = fault
        .params
        .iter()
        .filter(|param| param.required)
        .map(|param| format!("{} = {}", param.name, first_value(param.kind)))
        .collect();
    let with = if with.is_empty() {
        String::new()
    } else {
        format!("with = {{ {} }}\n", with.join(", "))
    };
    let body = format!(
        "inject = \"{}\"\ntarget = {{ {}mode = \"one\"{scope} }}\n{with}for = \"30s\"\n",
        fault.name,
        label.unwrap_or_default()
    );
    let experiment = chosen.experiment.to_string();
    form.push(&["experiment", &experiment, "step"], &body);
    chosen.step = form
        .draft
        .len(&["experiment", &experiment, "step"])
        .saturating_sub(1);
}

fn first_value(kind: ParamKind) -> String {
    match kind {
        ParamKind::Duration { min_ms, max_ms } => format!("\"{}ms\"", 200.clamp(min_ms, max_ms)),
        ParamKind::Share => "\"100%\"".to_owned(),
        ParamKind::Bandwidth { .. } => "\"64KB/s\"".to_owned(),
        ParamKind::Count { min, max } => 503.clamp(min, max).to_string(),
        ParamKind::Memory { .. } => "\"25%\"".to_owned(),
        ParamKind::Choice(words) => format!("\"{}\"", words.first().unwrap_or(&"")),
        ParamKind::Text { .. } => "\"\"".to_owned(),
    }
}

fn add_experiment(form: &mut Form<'_>, chosen: &mut Chosen) {
    let name = fresh(form, "experiment", "Payment is slow");
    let body = format!(
        "name = \"{name}\"\nhypothesis = \"Users stay within tolerance meanwhile.\"\nlease = \"10s\"\nbaseline = \"60s\"\nrecover = \"2m\"\n"
    );
    form.push(&["experiment"], &body);
    chosen.experiment = form.draft.len(&["experiment"]).saturating_sub(1);
    chosen.step = 0;
}

/// The chosen experiment.
pub fn experiment(ui: &mut Ui, form: &mut Form<'_>, chosen: &mut Chosen, cx: &Cx<'_>) {
    let say = Say::of(ui);
    let count = form.draft.len(&["experiment"]);
    chosen.experiment = chosen.experiment.min(count.saturating_sub(1));
    ui.horizontal_wrapped(|ui| {
        for i in 0..count {
            let name = form.draft.shown(&["experiment", &i.to_string(), "name"]);
            if choice(ui, i == chosen.experiment, &name).clicked() {
                chosen.experiment = i;
                chosen.step = 0;
            }
        }
        if widgets::link(ui, say.add_experiment()).clicked() {
            add_experiment(form, chosen);
        }
    });
    if form.draft.len(&["experiment"]) == 0 {
        widgets::card(ui, |ui| {
            widgets::title(ui, say.no_experiment());
            widgets::text(ui, say.no_experiment_words());
        });
        return;
    }
    let e = chosen.experiment.to_string();
    widgets::card(ui, |ui| head(ui, form, &e));
    widgets::card(ui, |ui| lanes::steps(ui, form, chosen, &e));
    let steps = form.draft.len(&["experiment", &e, "step"]);
    chosen.step = chosen.step.min(steps.saturating_sub(1));
    if steps > 0 {
        let s = chosen.step.to_string();
        ui.push_id(("step", &e, &s), |ui| step::step(ui, form, chosen, (&e, &s), cx));
    }
}

fn head(ui: &mut Ui, form: &mut Form<'_>, e: &str) {
    let say = Say::of(ui);
    form.field(
        ui,
        say.hypothesis_label(),
        &["experiment", e, "hypothesis"],
        "Orders stay within tolerance when payment answers 400 ms later.",
        Kind::Needed,
    );
    form.field(
        ui,
        say.experiment_say(),
        &["experiment", e, "say"],
        "Payment is slow on {n} of {all} hosts.",
        Kind::Text,
    );
    two(ui, form, |form, left, right| {
        form.field(
            left,
            say.experiment_name(),
            &["experiment", e, "name"],
            "Payment is slow",
            Kind::Needed,
        );
        form.field(
            right,
            say.experiment_baseline(),
            &["experiment", e, "baseline"],
            "60s",
            Kind::Text,
        );
    });
    two(ui, form, |form, left, right| {
        form.field(
            left,
            say.experiment_recover(),
            &["experiment", e, "recover"],
            "2m",
            Kind::Text,
        );
        form.field(
            right,
            say.experiment_lease(),
            &["experiment", e, "lease"],
            "10s",
            Kind::Text,
        );
    });
}
