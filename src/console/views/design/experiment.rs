//! An experiment: hypothesis, times, and its steps on a line.

use egui::{Align2, CornerRadius, Rect, Sense, Shape, Stroke, StrokeKind, Ui, pos2, vec2};
use firedrill_catalogue::{FAULTS, FaultSpec, ParamKind, ScopeKey, quantity};
use serde_json::Value;

use super::{
    form::{Form, Kind},
    parts::{fresh, two},
    step,
};
use crate::{
    cx::Cx,
    theme::{Tokens, medium, regular, size, space},
    widgets::{self, choice},
};

/// What is chosen.
#[derive(Default)]
pub struct Chosen {
    /// Index of the experiment.
    pub experiment: usize,
    /// Index of its step.
    pub step: usize,
    /// Typed into the catalogue's search.
    pub search: String,
}

/// The fault catalogue; a click appends a step.
pub fn catalogue(ui: &mut Ui, form: &mut Form<'_>, chosen: &mut Chosen, cx: &Cx<'_>) {
    let t = cx.tokens;
    widgets::title(ui, "Faults");
    widgets::field(ui, "Search faults", &mut chosen.search, "search …");
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
                let name = format!("Add {}", fault.name);
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
                    medium(13.0),
                    t.strong,
                );
                ui.painter().galley(rect.min + vec2(8.0, 23.0), words, t.dim);
                if response.on_hover_text(fault.undo_words).clicked() {
                    add(form, chosen, fault, cx);
                }
            }
            if !any {
                widgets::dim(ui, "No fault is called so.");
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
        Some(ScopeKey::Route) => format!(", route = \"{}\"", route.unwrap_or_default()),
        Some(ScopeKey::Process) => ", process = \"\"".to_owned(),
        None => String::new(),
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
        if widgets::link(ui, "Add experiment").clicked() {
            add_experiment(form, chosen);
        }
    });
    if form.draft.len(&["experiment"]) == 0 {
        widgets::card(ui, |ui| {
            widgets::title(ui, "No experiment yet");
            widgets::text(
                ui,
                "An experiment is a hypothesis and the faults that test it. Add one, or choose a fault at the left.",
            );
        });
        return;
    }
    let e = chosen.experiment.to_string();
    widgets::card(ui, |ui| head(ui, form, &e));
    widgets::card(ui, |ui| steps(ui, form, chosen, &e));
    let steps = form.draft.len(&["experiment", &e, "step"]);
    chosen.step = chosen.step.min(steps.saturating_sub(1));
    if steps > 0 {
        let s = chosen.step.to_string();
        ui.push_id(("step", &e, &s), |ui| step::step(ui, form, &e, &s, cx));
    }
}

fn head(ui: &mut Ui, form: &mut Form<'_>, e: &str) {
    form.field(
        ui,
        "Hypothesis: what can turn out wrong",
        &["experiment", e, "hypothesis"],
        "Orders stay within tolerance when payment answers 400 ms later.",
        Kind::Needed,
    );
    two(ui, form, |form, left, right| {
        form.field(
            left,
            "Experiment name",
            &["experiment", e, "name"],
            "Payment is slow",
            Kind::Needed,
        );
        form.field(
            right,
            "Steady first for",
            &["experiment", e, "baseline"],
            "60s",
            Kind::Text,
        );
    });
    two(ui, form, |form, left, right| {
        form.field(
            left,
            "Back in the band within",
            &["experiment", e, "recover"],
            "2m",
            Kind::Text,
        );
        form.field(
            right,
            "Lease: how long a fault stays without us",
            &["experiment", e, "lease"],
            "10s",
            Kind::Text,
        );
    });
}

/// One step as the line shows it.
struct Bar {
    step: usize,
    lane: String,
    label: String,
    from_ms: u64,
    until_ms: u64,
    ramp_ms: u64,
    wait: bool,
}

fn bars(form: &Form<'_>, e: &str) -> Vec<Bar> {
    let mut lanes: Vec<(String, u64)> = Vec::new();
    let mut bars = Vec::new();
    let ms = |path: &[&str]| {
        quantity::duration_ms(&form.draft.shown(path))
            .unwrap_or(0)
            .min(86_400_000)
    };
    for step in 0..form.draft.len(&["experiment", e, "step"]) {
        let s = step.to_string();
        let base = |key| ["experiment", e, "step", s.as_str(), key];
        let lane = form.draft.shown(&base("lane"));
        let lane = if lane.is_empty() { "main".to_owned() } else { lane };
        let at = lanes
            .iter()
            .position(|(name, _)| *name == lane)
            .unwrap_or(lanes.len());
        if at == lanes.len() {
            lanes.push((lane.clone(), 0));
        }
        let wait = form.draft.value(&base("wait")).is_some();
        let length = ms(&base(if wait { "wait" } else { "for" }));
        let times = form
            .draft
            .value(&["experiment", e, "step", &s, "repeat", "times"])
            .and_then(Value::as_u64)
            .unwrap_or(1);
        let every = ms(&["experiment", e, "step", &s, "repeat", "every"]).max(length);
        let from = lanes[at].1;
        let whole = every * (times.clamp(1, 1_000) - 1) + length;
        lanes[at].1 = from + whole;
        let label = if wait {
            "wait".to_owned()
        } else {
            form.draft.shown(&base("inject"))
        };
        bars.push(Bar {
            step,
            lane,
            label,
            from_ms: from,
            until_ms: from + whole,
            ramp_ms: ms(&base("ramp")),
            wait,
        });
    }
    bars
}

/// The steps on a line of time; a click chooses one.
fn steps(ui: &mut Ui, form: &mut Form<'_>, chosen: &mut Chosen, e: &str) {
    let t = Tokens::of(ui);
    let mut wait = false;
    widgets::ends(
        ui,
        24.0,
        |ui| drop(widgets::title(ui, "Steps")),
        |ui| wait = widgets::link(ui, "Add a wait").clicked(),
    );
    if wait {
        form.push(&["experiment", e, "step"], "wait = \"30s\"\n");
    }
    let bars = bars(form, e);
    if bars.is_empty() {
        widgets::text(ui, "No step yet: choose a fault at the left.");
        return;
    }
    let mut lanes: Vec<&str> = Vec::new();
    for bar in &bars {
        if !lanes.contains(&bar.lane.as_str()) {
            lanes.push(&bar.lane);
        }
    }
    let total = bars.iter().map(|bar| bar.until_ms).max().unwrap_or(0).max(1_000);
    let width = ui.available_width();
    let (area, _) = ui.allocate_exact_size(vec2(width, 22.0 + lanes.len() as f32 * 36.0), Sense::hover());
    let left = area.left() + 60.0;
    let x = |ms: u64| left + (area.right() - left) * (ms as f32 / total as f32);
    time_marks(ui, area, left, total, t);
    for (row, lane) in lanes.iter().enumerate() {
        let y = area.top() + 22.0 + row as f32 * 36.0;
        ui.painter().text(
            pos2(area.left(), y + 15.0),
            Align2::LEFT_CENTER,
            *lane,
            regular(13.0),
            t.text,
        );
        for bar in bars.iter().filter(|bar| bar.lane == *lane) {
            let rect = Rect::from_min_max(
                pos2(x(bar.from_ms), y),
                pos2(x(bar.until_ms).max(x(bar.from_ms) + 10.0) - 2.0, y + 30.0),
            );
            if step_bar(
                ui,
                rect,
                bar,
                x(bar.from_ms + bar.ramp_ms),
                bar.step == chosen.step,
                t,
            ) {
                chosen.step = bar.step;
            }
        }
    }
}

fn time_marks(ui: &Ui, area: Rect, left: f32, total_ms: u64, t: &Tokens) {
    const STEPS_S: [u64; 12] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600];
    let room = f64::from(area.right() - left);
    let step = STEPS_S
        .into_iter()
        .find(|s| room * (s * 1_000) as f64 / total_ms as f64 >= 76.0)
        .unwrap_or(7_200)
        * 1_000;
    for i in 0..=(total_ms / step) {
        let x = left + (area.right() - left) * ((i * step) as f32 / total_ms as f32);
        ui.painter()
            .vline(x, area.top() + 18.0..=area.bottom(), Stroke::new(1.0, t.line));
        let anchor = if i == 0 {
            Align2::LEFT_TOP
        } else {
            Align2::CENTER_TOP
        };
        if x < area.right() - 16.0 {
            ui.painter().text(
                pos2(x, area.top()),
                anchor,
                if i == 0 {
                    "0 s".to_owned()
                } else {
                    quantity::show_ms(i * step)
                },
                regular(size::SMALL),
                t.dim,
            );
        }
    }
}

fn step_bar(ui: &mut Ui, rect: Rect, bar: &Bar, ramp: f32, chosen: bool, t: &Tokens) -> bool {
    let name = format!("Step {}: {}", bar.step + 1, bar.label);
    let response = ui.interact(rect, ui.scope_id().with(("step bar", bar.step)), Sense::click());
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, chosen, &name));
    let painter = ui.painter();
    let (fill, ink) = if bar.wait {
        (t.raised, t.text)
    } else {
        (t.fault, t.on_fault)
    };
    let ramp = ramp.min(rect.right());
    if ramp > rect.left() + 1.0 && !bar.wait {
        let wedge = vec![
            rect.left_bottom(),
            pos2(ramp, rect.top()),
            rect.right_top(),
            rect.right_bottom(),
        ];
        painter.add(Shape::convex_polygon(wedge, fill, Stroke::NONE));
    } else {
        painter.rect_filled(rect, CornerRadius::same(4), fill);
    }
    let start = if bar.wait {
        rect.left()
    } else {
        ramp.max(rect.left())
    };
    let clip = rect.with_min_x(start).intersect(ui.clip_rect());
    painter.with_clip_rect(clip).text(
        pos2(start + 8.0, rect.center().y),
        Align2::LEFT_CENTER,
        &bar.label,
        medium(13.0),
        ink,
    );
    if chosen || response.has_focus() {
        let colour = if response.has_focus() { t.series } else { t.strong };
        painter.rect_stroke(
            rect.expand(1.0),
            CornerRadius::same(5),
            Stroke::new(2.0, colour),
            StrokeKind::Outside,
        );
    }
    response
        .on_hover_text(format!(
            "{}, from {} to {}",
            bar.label,
            quantity::show_ms(bar.from_ms),
            quantity::show_ms(bar.until_ms)
        ))
        .clicked()
}
