//! What a template needs, what it tries, and how it runs on the demo.

use egui::{CornerRadius, Rect, Sense, Stroke, StrokeKind, Ui, vec2};
use firedrill_library::Template;

use super::faults;
use crate::{
    messages::Say,
    theme::{Tokens, medium, mono, radius, regular, size, space},
    widgets::{self, State, rich},
};

/// What must be there, a line each.
pub fn needs(ui: &mut Ui, template: &Template) {
    widgets::title(ui, Say::of(ui).library_needs());
    for words in &template.needs {
        bullet(ui, words);
    }
}

/// Its experiments, of which one is chosen for the demo; gives another that was chosen.
pub fn experiments(ui: &mut Ui, template: &Template, chosen: Option<&str>) -> Option<String> {
    let mut wish = None;
    widgets::title(ui, Say::of(ui).library_tries());
    for experiment in &template.plan.experiments {
        let runs = template.demo.runs(&experiment.name);
        let faults: Vec<&str> = faults(experiment).into_iter().collect();
        let row = Row {
            name: &experiment.name,
            faults: &faults.join("  "),
            words: &experiment.hypothesis,
            not_here: runs.err(),
            chosen: chosen == Some(experiment.name.as_str()),
        };
        if row.ui(ui) && runs.is_ok() {
            wish = Some(experiment.name.clone());
        }
    }
    wish
}

/// What of the demo stands in for what, and what it cannot have.
pub fn demo(ui: &mut Ui, template: &Template) {
    let (t, say) = (Tokens::of(ui), Say::of(ui));
    ui.label(rich(
        say.library_on_demo(&template.demo.build),
        medium(size::NOTE),
        t.text,
    ));
    for words in &template.demo.words {
        bullet(ui, words);
    }
    for left in &template.demo.without {
        let (what, name) = left.what();
        if what != "experiment" {
            bullet(ui, &say.library_without(name, &left.why));
        }
    }
    bullet(ui, say.library_short());
}

fn bullet(ui: &mut Ui, words: &str) {
    let t = Tokens::of(ui);
    let width = ui.available_width();
    let galley = ui
        .painter()
        .layout(words.to_owned(), regular(size::NOTE), t.text, width - 14.0);
    let (rect, response) = ui.allocate_exact_size(vec2(width, galley.size().y + 2.0), Sense::hover());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, words));
    ui.painter().circle_filled(rect.min + vec2(3.0, 9.0), 2.0, t.dim);
    ui.painter().galley(rect.min + vec2(14.0, 0.0), galley, t.text);
}

/// An experiment of the list.
struct Row<'a> {
    name: &'a str,
    faults: &'a str,
    words: &'a str,
    not_here: Option<&'a str>,
    chosen: bool,
}

impl Row<'_> {
    /// Draws it; gives whether it was clicked.
    fn ui(&self, ui: &mut Ui) -> bool {
        let t = Tokens::of(ui);
        let width = ui.available_width();
        let inside = width - 2.0 * space::M - 20.0;
        let painter = ui.painter().clone();
        let lay = |words: &str, font, ink| painter.layout(words.to_owned(), font, ink, inside);
        let mut lines = vec![
            (lay(self.name, medium(size::BODY), t.strong), t.strong),
            (lay(self.faults, mono(size::SMALL), t.fault), t.fault),
            (lay(self.words, regular(size::NOTE), t.text), t.text),
        ];
        if let Some(why) = self.not_here {
            let words = Say::of(ui).library_not_on_demo(why);
            lines.push((lay(&words, regular(size::SMALL), t.dim), t.dim));
        }
        let height: f32 = lines.iter().map(|(galley, _)| galley.size().y + 3.0).sum();
        let (rect, response) = widgets::painted(ui, vec2(width, height + 2.0 * space::S), self.name);
        let corner = CornerRadius::same(radius::MEDIUM);
        if self.chosen || response.hovered() {
            ui.painter().rect_filled(rect, corner, t.raised);
        }
        if response.has_focus() {
            ui.painter()
                .rect_stroke(rect, corner, Stroke::new(2.0, t.series), StrokeKind::Inside);
        }
        let mark = Rect::from_min_size(rect.min + vec2(space::S, space::S), vec2(16.0, 18.0));
        let state = match (self.not_here, self.chosen) {
            (Some(_), _) => State::Unknown,
            (None, true) => State::Good,
            (None, false) => State::Waiting,
        };
        widgets::shape(ui.painter(), mark.center(), 4.5, state, t);
        let mut at = rect.min + vec2(space::M + 18.0, space::S);
        for (galley, ink) in lines {
            let high = galley.size().y + 3.0;
            ui.painter().galley(at, galley, ink);
            at.y += high;
        }
        response.clicked()
    }
}
