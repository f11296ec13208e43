//! The questions of a template. What is wrong with an answer stands below it as it is typed.

use egui::{Margin, Stroke, TextEdit, Ui, vec2};
use firedrill_library::{Filled, Parameter, Template, Values};

use crate::{
    messages::Say,
    theme::{Tokens, medium, regular, size, space},
    widgets::{self, rich},
};

/// From this width on, two questions stand side by side.
const TWO: f32 = 640.0;

/// Draws them; gives whether an answer has changed.
pub fn ui(ui: &mut Ui, template: &Template, answers: &mut Values, filled: Option<&Filled>) -> bool {
    let t = Tokens::of(ui);
    let mut changed = false;
    widgets::ends(
        ui,
        26.0,
        |ui| {
            let words = Say::of(ui).library_your_system();
            ui.label(rich(words, medium(size::BODY), t.strong));
        },
        |ui| {
            if !answers.is_empty() && widgets::link(ui, Say::of(ui).library_as_it_ships()).clicked() {
                answers.clear();
                changed = true;
            }
        },
    );
    for wrong in filled.into_iter().flat_map(|it| &it.wrong) {
        if wrong.parameter.is_none() {
            widgets::small(ui, &wrong.words, t.out);
        }
    }
    let columns = if ui.available_width() > TWO { 2 } else { 1 };
    for row in template.parameters.chunks(columns) {
        ui.spacing_mut().item_spacing = vec2(space::L, space::M);
        ui.columns(columns, |columns| {
            for (ui, parameter) in columns.iter_mut().zip(row) {
                let wrong = filled.and_then(|it| it.wrong_with(&parameter.name));
                let wrong = wrong.map(|it| it.words.as_str());
                // A column would spread the words over its width.
                changed |= ui.vertical(|ui| question(ui, parameter, answers, wrong)).inner;
            }
        });
    }
    changed
}

fn question(ui: &mut Ui, parameter: &Parameter, answers: &mut Values, wrong: Option<&str>) -> bool {
    let t = Tokens::of(ui);
    let mut answer = answers.get(&parameter.name).unwrap_or(&parameter.default).clone();
    ui.spacing_mut().item_spacing.y = 3.0;
    ui.label(rich(&parameter.ask, regular(size::NOTE), t.text));
    let response = ui
        .scope(|ui| {
            if wrong.is_some() {
                let line = Stroke::new(1.5, t.out);
                let widgets = &mut ui.visuals_mut().widgets;
                (widgets.inactive.bg_stroke, widgets.hovered.bg_stroke) = (line, line);
            }
            let width = ui.available_width();
            let edit = TextEdit::singleline(&mut answer)
                .id(egui::Id::unique(("answer", &parameter.name)))
                .desired_width(width)
                .margin(Margin::symmetric(10, 6))
                .text_color(t.strong);
            widgets::named(ui.add(edit), &parameter.ask)
        })
        .inner;
    if let Some(words) = wrong {
        widgets::small(ui, words, t.out);
    } else if !parameter.hint.is_empty() {
        widgets::dim(ui, &parameter.hint);
    }
    if !response.changed() {
        return false;
    }
    if answer == parameter.default {
        answers.remove(&parameter.name);
    } else {
        answers.insert(parameter.name.clone(), answer);
    }
    true
}
