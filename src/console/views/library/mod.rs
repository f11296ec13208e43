//! Library: plans to start from. Cards at the left; of the chosen one what it tries, and a form that makes it one's
//! own.

mod form;
mod tried;

use std::collections::{BTreeMap, BTreeSet};

use egui::{Align2, CornerRadius, Rect, ScrollArea, Stroke, StrokeKind, Ui, vec2};
use firedrill_library::{Filled, Template, Values, library};
use firedrill_plan::{Action, Experiment};
use firedrill_scene::{Ask, Scene};

use crate::{
    View,
    commands::{Command, Words},
    cx::Cx,
    messages::Say,
    theme::{medium, radius, regular, size, space},
    widgets::{self, rich},
};

/// Height of a card in the list, points.
const CARD: f32 = 96.0;
/// From this width on, what is tried stands beside the form.
const ROOMY: f32 = 1_240.0;

/// What Library remembers.
#[derive(Default)]
pub struct LibraryView {
    chosen: usize,
    /// Answers as typed, by template.
    answers: BTreeMap<&'static str, Values>,
    /// What the answers of the chosen one make; made anew when one changes.
    filled: Option<(&'static str, Filled)>,
    /// The experiment to try on the demo, by template.
    experiments: BTreeMap<&'static str, String>,
}

impl LibraryView {
    /// Draws it. Gives the commands that were clicked.
    pub fn ui(&mut self, ui: &mut Ui, cx: &Cx<'_>) -> Vec<Command> {
        let mut clicked = Vec::new();
        let Some(template) = self.template() else {
            return clicked;
        };
        let whole = ui.max_rect();
        let roomy = whole.width() > ROOMY;
        let list = whole.with_max_x(whole.left() + if roomy { 330.0 } else { 230.0 });
        widgets::region(ui, list, |ui| self.list(ui));
        let mut rest = whole.with_min_x(list.right() + space::M);
        if roomy {
            let tried = rest.with_min_x(rest.right() - 400.0);
            rest.set_right(tried.left() - space::M);
            widgets::card_at(ui, tried, |ui| {
                scrolled(ui, "tried", |ui| self.tried(ui, template, cx, &mut clicked));
            });
        }
        widgets::card_at(ui, rest, |ui| {
            self.head(ui, template, cx, &mut clicked);
            ui.add_space(space::S);
            scrolled(ui, template.name, |ui| {
                widgets::text(ui, &template.words);
                ui.add_space(space::S);
                tried::needs(ui, template);
                ui.add_space(space::S);
                self.form(ui, template);
                if !roomy {
                    ui.add_space(space::M);
                    widgets::rule(ui);
                    ui.add_space(space::S);
                    self.tried(ui, template, cx, &mut clicked);
                }
            });
        });
        clicked
    }

    /// The wish to open the plan as filled in, where it is one.
    pub fn use_template(&mut self) -> Option<Ask> {
        let template = self.template()?;
        let filled = self.filled(template);
        filled.plan.is_some().then(|| Ask::NewPlan(filled.text.clone()))
    }

    /// The wish to run the chosen experiment on the demo.
    pub fn try_template(&self) -> Option<Ask> {
        let template = self.template()?;
        Some(Ask::TryTemplate {
            template: template.name.to_owned(),
            experiment: self.experiment(template)?,
        })
    }

    fn template(&self) -> Option<&'static Template> {
        library().get(self.chosen).or_else(|| library().first())
    }

    /// The experiment that would be tried: the chosen one, else the first that the demo can run.
    fn experiment(&self, template: &Template) -> Option<String> {
        let chosen = self.experiments.get(template.name);
        chosen.cloned().or_else(|| {
            let mut names = template.plan.experiments.iter().map(|it| &it.name);
            names.find(|name| template.demo.runs(name).is_ok()).cloned()
        })
    }

    fn filled(&mut self, template: &'static Template) -> &Filled {
        if self
            .filled
            .as_ref()
            .is_none_or(|(name, _)| *name != template.name)
        {
            self.filled = None;
        }
        let answers = self.answers.entry(template.name).or_default();
        let (_, filled) = self
            .filled
            .get_or_insert_with(|| (template.name, template.fill(answers)));
        filled
    }

    fn list(&mut self, ui: &mut Ui) {
        scrolled(ui, "templates", |ui| {
            ui.spacing_mut().item_spacing.y = space::S;
            for (at, template) in library().iter().enumerate() {
                if card(ui, template, at == self.chosen).clicked() {
                    self.chosen = at;
                }
            }
        });
    }

    fn head(&mut self, ui: &mut Ui, template: &'static Template, cx: &Cx<'_>, clicked: &mut Vec<Command>) {
        let t = cx.tokens;
        let filled = self.filled(template);
        let (words, ink) = match filled.wrong.len() {
            0 => (cx.say.library_no_mistakes().to_owned(), t.steady),
            mistakes => (cx.say.mistakes(mistakes), t.out),
        };
        let good = filled.plan.is_some();
        widgets::ends(
            ui,
            36.0,
            |ui| {
                widgets::one_line(ui, rich(&template.plan.title, medium(size::TITLE), t.strong));
            },
            |ui| {
                let command = Command::UseTemplate;
                let enabled = if good {
                    Ok(())
                } else {
                    Err(cx.say.why_mend_answers())
                };
                if widgets::button_if(ui, enabled, command.label(cx.say))
                    .on_hover_text(command.tip(ui))
                    .clicked()
                {
                    clicked.push(command);
                }
                ui.label(rich(words, medium(size::BODY), ink));
            },
        );
    }

    fn form(&mut self, ui: &mut Ui, template: &'static Template) {
        self.filled(template);
        let answers = self.answers.entry(template.name).or_default();
        let filled = self.filled.as_ref().map(|(_, filled)| filled);
        if form::ui(ui, template, answers, filled) {
            self.filled = None;
        }
    }

    fn tried(&mut self, ui: &mut Ui, template: &'static Template, cx: &Cx<'_>, clicked: &mut Vec<Command>) {
        let chosen = self.experiment(template);
        if let Some(chosen) = tried::experiments(ui, template, chosen.as_deref()) {
            self.experiments.insert(template.name, chosen);
        }
        ui.add_space(space::S);
        if Command::TryTemplate.button(ui, cx.scene, cx.view).clicked() {
            clicked.push(Command::TryTemplate);
        }
        ui.add_space(space::XS);
        tried::demo(ui, template);
    }
}

/// Where [`Command::UseTemplate`] and [`Command::TryTemplate`] can be given.
pub fn here(view: View) -> Result<(), Words> {
    if view == View::Library {
        Ok(())
    } else {
        Err(Say::why_only_library)
    }
}

/// Whether a template can be tried now.
pub fn can_try(scene: &Scene, view: View) -> Result<(), Words> {
    here(view).and(Command::Demo.enabled(scene, view))
}

fn scrolled(ui: &mut Ui, salt: &str, contents: impl FnOnce(&mut Ui)) {
    ScrollArea::vertical()
        .id_salt(salt)
        .auto_shrink(false)
        .show(ui, |ui| {
            // Focus rings and the bar have room of their own.
            let inside = ui.available_width() - space::M;
            ui.set_max_width(inside);
            ui.spacing_mut().item_spacing.y = 6.0;
            contents(ui);
        });
}

/// The faults of an experiment, each once.
fn faults(experiment: &Experiment) -> BTreeSet<&str> {
    let faults = experiment.steps.iter().filter_map(|step| match &step.action {
        Action::Inject(inject) => Some(inject.fault.as_str()),
        Action::Wait(_) => None,
    });
    faults.collect()
}

/// Field, title, and how much there is; as high as every other.
fn card(ui: &mut Ui, template: &Template, chosen: bool) -> egui::Response {
    let t = crate::theme::Tokens::of(ui);
    let (rect, response) = widgets::painted(ui, vec2(ui.available_width(), CARD), &template.plan.title);
    let corner = CornerRadius::same(radius::LARGE);
    let fill = if chosen || response.hovered() {
        t.raised
    } else {
        t.card
    };
    ui.painter()
        .rect(rect, corner, fill, Stroke::new(1.0, t.line), StrokeKind::Inside);
    if chosen {
        let bar = Rect::from_min_size(rect.min + vec2(0.0, 12.0), vec2(3.0, rect.height() - 24.0));
        ui.painter().rect_filled(bar, CornerRadius::same(1), t.series);
    }
    if response.has_focus() {
        ui.painter()
            .rect_stroke(rect, corner, Stroke::new(2.0, t.series), StrokeKind::Inside);
    }
    let painter = ui
        .painter()
        .with_clip_rect(rect.shrink(space::S).intersect(ui.clip_rect()));
    let at = rect.min + vec2(space::L, 10.0);
    painter.text(
        at,
        Align2::LEFT_TOP,
        &template.domain,
        regular(size::SMALL),
        t.dim,
    );
    let title = painter.layout(
        template.plan.title.clone(),
        medium(size::BODY),
        t.strong,
        rect.width() - 2.0 * space::L,
    );
    painter.galley(at + vec2(0.0, 17.0), title, t.strong);
    let (experiments, questions) = (template.plan.experiments.len(), template.parameters.len());
    let words = Say::of(ui).library_counts(experiments, questions);
    let below = rect.left_bottom() + vec2(space::L, -10.0);
    painter.text(below, Align2::LEFT_BOTTOM, words, regular(size::SMALL), t.dim);
    response
}
