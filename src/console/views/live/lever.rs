//! The strength lever of a fault that is on: less acts when the hand lets go, more needs Apply.

use std::collections::BTreeMap;

use egui::{Slider, SliderClamping, Stroke, Ui, style::HandleShape};
use firedrill_catalogue::Lever;
use firedrill_scene::{Ask, InjectionScene, LeverScene};

use crate::{
    cx::Cx,
    theme::{Tokens, medium, regular, size, space},
    widgets::{self, rich},
};

/// How high a lever is, with what it says.
pub const HEIGHT: f32 = 66.0;

/// One press of an arrow key, and how finely a hand sets it: a twentieth of what the plan asked for.
const STEP: f64 = 0.05;

/// Where levers were put and what is not asked for yet, by injection.
#[derive(Default)]
pub struct Levers(BTreeMap<String, f64>);

impl Levers {
    /// Draws the lever of an injection, if it has one.
    pub fn ui(&mut self, ui: &mut Ui, injection: &InjectionScene, cx: &mut Cx<'_>) {
        let Some(scene) = &injection.lever else {
            self.0.remove(&injection.id);
            return;
        };
        let t = cx.tokens;
        let lever = &scene.lever;
        let stands = scene
            .asked
            .as_ref()
            .map_or(scene.on, |(position, _)| Some(*position))
            .unwrap_or(0.0);
        let put = self.0.get(&injection.id).copied();
        let mut position = put.unwrap_or(stands);
        let words = |position: f64| lever.words(&lever.parameters(position));
        let shown = match (put, &scene.asked) {
            (Some(put), _) => words(put),
            (None, Some((_, asked))) => asked.clone(),
            (None, None) => scene.on_words.clone(),
        };
        let mut released = false;
        widgets::ends(
            ui,
            30.0,
            |ui| {
                ui.label(rich(lever.param().name, regular(size::SMALL), t.dim));
                ui.add_space(space::XS);
                ui.spacing_mut().slider_width = ui.available_width() - 2.0;
                ui.spacing_mut().interact_size.y = 18.0;
                paint(ui, t);
                let slider = Slider::new(&mut position, 0.0..=1.0)
                    .step_by(STEP)
                    .clamping(SliderClamping::Never)
                    .trailing_fill(true)
                    .handle_shape(HandleShape::Circle)
                    .show_value(false);
                let response = widgets::focus_ring(ui, |ui| ui.add_enabled(!cx.only_looks(), slider));
                let name = cx.say.lever_name(&injection.fault, &injection.agent);
                let said = shown.clone();
                ui.ctx().accesskit_node_builder(response.id, |node| {
                    node.set_label(name);
                    node.set_value(said);
                });
                if response.changed() {
                    self.0.insert(injection.id.clone(), position.max(lever.least()));
                }
                released = response.drag_stopped() || (response.changed() && !response.dragged());
                response.on_hover_text(cx.say.lever_tip(words(1.0)));
            },
            |ui| drop(ui.label(rich(&shown, medium(size::BODY), t.strong))),
        );
        let put = self.0.get(&injection.id).copied();
        if let Some(put) = put
            && released
            && !Lever::is_more(put, stands)
        {
            self.0.remove(&injection.id);
            if Lever::is_more(stands, put) {
                ask(injection, lever, put, cx);
            }
        }
        self.below(ui, injection, scene, stands, cx);
    }

    /// What is on, what is asked for, and Apply.
    fn below(
        &mut self,
        ui: &mut Ui,
        injection: &InjectionScene,
        scene: &LeverScene,
        stands: f64,
        cx: &mut Cx<'_>,
    ) {
        let say = cx.say;
        let more = self
            .0
            .get(&injection.id)
            .copied()
            .filter(|put| Lever::is_more(*put, stands));
        if let Some(more) = more {
            let label = say.lever_apply(scene.lever.words(&scene.lever.parameters(more)));
            let free = if scene.asked.is_none() {
                Ok(())
            } else {
                Err(say.lever_waits())
            };
            ui.horizontal(|ui| {
                ui.spacing_mut().interact_size.y = 22.0;
                if widgets::button_in(ui, free, &label, cx.tokens.fault).clicked() {
                    self.0.remove(&injection.id);
                    ask(injection, &scene.lever, more, cx);
                }
                if widgets::link(ui, &say.lever_leave(&scene.on_words)).clicked() {
                    self.0.remove(&injection.id);
                }
            });
            return;
        }
        widgets::dim(
            ui,
            match &scene.asked {
                None if cx.past => say.lever_then().to_owned(),
                Some((_, asked)) => say.lever_asked(&scene.on_words, asked),
                None if cx.only_looks() => String::new(),
                None => say.lever_hint().to_owned(),
            },
        );
    }
}

/// A rail in the colour of faults, and a knob that is seen on it.
fn paint(ui: &mut Ui, t: &Tokens) {
    let visuals = ui.visuals_mut();
    visuals.selection.bg_fill = t.fault;
    let widgets = &mut visuals.widgets;
    // The rail and the knob at rest have one fill.
    widgets.inactive.bg_fill = t.raised;
    widgets.inactive.fg_stroke = Stroke::new(2.5, t.strong);
    for knob in [&mut widgets.hovered, &mut widgets.active] {
        knob.bg_fill = t.strong;
        knob.fg_stroke = Stroke::new(2.5, t.strong);
    }
}

fn ask(injection: &InjectionScene, lever: &Lever, position: f64, cx: &mut Cx<'_>) {
    cx.ask(Ask::Strength {
        injection: injection.id.clone(),
        parameters: lever.parameters(position),
    });
}
