//! Design: the plan as a form and as text, side by side. The text is the one truth.

mod draft;
mod editor;
mod experiment;
mod form;
mod lanes;
mod moving;
mod parts;
mod past;
mod rails;
mod step;

use std::collections::HashMap;

use draft::Draft;
use egui::{Rect, ScrollArea, Ui, pos2};
use experiment::Chosen;
use firedrill_scene::{Ask, Scene};
use form::Form;

use crate::{
    View,
    commands::{Command, Words},
    cx::Cx,
    messages::Say,
    theme::{medium, regular, size, space},
    widgets::{self, choice, rich},
};

/// Where a new plan starts.
pub const TEMPLATE: &str = r#"# What may fail, how well users must be served meanwhile, and who injects.
title = "New plan"
system = "my-system"

[metrics]
scrape = ["http://127.0.0.1:8080/metrics"]
every = "1s"
"#;

/// Parts of the form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    Plan,
    Indicators,
    Agents,
    #[default]
    Experiments,
}

const PARTS: [(Part, Words); 4] = [
    (Part::Plan, Say::plan_part),
    (Part::Indicators, Say::indicators_part),
    (Part::Agents, Say::agents_part),
    (Part::Experiments, Say::experiments_part),
];

/// What Design remembers.
#[derive(Default)]
pub struct Design {
    draft: Draft,
    typed: HashMap<String, String>,
    part: Part,
    chosen: Chosen,
    jump: Option<usize>,
}

impl Design {
    /// The text as it is now.
    pub fn text(&self) -> &str {
        self.draft.text()
    }

    /// It is not what is on disk.
    pub fn unsaved(&self) -> bool {
        self.draft.unsaved()
    }

    /// Takes a plan that was opened or saved.
    pub fn take(&mut self, scene: &Scene) {
        if let Some(plan) = &scene.plan
            && self.draft.take(plan)
        {
            self.typed.clear();
            self.chosen = Chosen::default();
        }
    }

    /// Takes the last edit back.
    pub fn undo(&mut self) {
        self.typed.clear();
        self.draft.undo();
    }

    /// Makes it again.
    pub fn redo(&mut self) {
        self.typed.clear();
        self.draft.redo();
    }

    /// The wish to save.
    pub fn save(&mut self, scene: &Scene) -> Ask {
        let choose = scene.plan.as_ref().is_none_or(|plan| plan.path.is_none());
        self.draft.save(choose, false)
    }

    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        if cx.scene.plan.is_none() && self.draft.text().is_empty() {
            nothing(ui, cx);
            return;
        }
        let whole = ui.max_rect();
        let bar = whole.with_max_y(whole.top() + 38.0);
        widgets::region(ui, bar, |ui| self.bar(ui, cx));
        let mut rest = whole.with_min_y(bar.bottom() + space::S);
        if let Some(plan) = cx.scene.plan.clone().filter(|plan| plan.newer_on_disk) {
            let place = rest.with_max_y(rest.top() + 62.0);
            widgets::card_at(ui, place, |ui| self.newer(ui, plan.path.clone(), cx));
            rest.set_top(place.bottom() + space::M);
        }
        let (text_width, list_width) = if rest.width() > 1300.0 {
            (430.0, 180.0)
        } else {
            (320.0, 158.0)
        };
        let text = rest.with_min_x(rest.right() - text_width);
        let mut middle = rest.with_max_x(text.left() - space::M);
        if self.part == Part::Experiments && !self.draft.broken() {
            let list = middle.with_max_x(middle.left() + list_width);
            middle.set_left(list.right() + space::M);
            widgets::card_at(ui, list, |ui| {
                let mut form = Form {
                    draft: &mut self.draft,
                    typed: &mut self.typed,
                    now_s: ui.input(|i| i.time),
                };
                experiment::catalogue(ui, &mut form, &mut self.chosen, cx);
            });
        }
        widgets::region(ui, middle, |ui| self.form(ui, cx));
        let file = cx.scene.plan.as_ref().and_then(|plan| plan.path.as_ref());
        let file = file
            .and_then(|path| path.file_name())
            .map(|name| name.to_string_lossy().into_owned());
        widgets::card_at(ui, text, |ui| {
            editor::editor(ui, &mut self.draft, file.as_deref(), &mut self.jump);
        });
    }

    /// Parts at the left, what can be done with the plan at the right.
    fn bar(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let (t, say) = (cx.tokens, cx.say);
        let mistakes = self.draft.mistakes();
        let startable = self.startable(cx.scene).map_err(|why| why(cx.say));
        let (mut start, mut check, mut save) = (false, false, false);
        let parts = |part: &mut Part, ui: &mut Ui| {
            for (each, label) in PARTS {
                if choice(ui, *part == each, label(say)).clicked() {
                    *part = each;
                }
            }
        };
        let draft = &mut self.draft;
        let (mut undo, mut redo) = (false, false);
        let part = &mut self.part;
        widgets::ends(
            ui,
            36.0,
            |ui| parts(part, ui),
            |ui| {
                start = widgets::button_if(ui, startable, Command::Begin.label(cx.say))
                    .on_hover_text(Command::Begin.tip(ui))
                    .clicked();
                check = widgets::button(ui, say.check_plan())
                    .on_hover_text(say.check_plan_tip())
                    .clicked();
                let saved = if draft.unsaved() {
                    Ok(())
                } else {
                    Err(say.nothing_to_save())
                };
                save = widgets::button_if(ui, saved, Command::Save.label(say))
                    .on_hover_text(Command::Save.tip(ui))
                    .clicked();
                let can = |can| if can { Ok(()) } else { Err(say.nothing_there()) };
                redo = widgets::button_if(ui, can(draft.can_redo()), Command::Redo.label(say))
                    .on_hover_text(Command::Redo.tip(ui))
                    .clicked();
                undo = widgets::button_if(ui, can(draft.can_undo()), Command::Undo.label(say))
                    .on_hover_text(Command::Undo.tip(ui))
                    .clicked();
                let (words, ink) = match mistakes {
                    0 => (say.no_mistakes().to_owned(), t.steady),
                    n => (cx.say.mistakes(n), t.out),
                };
                ui.label(rich(words, medium(size::BODY), ink));
            },
        );
        match (undo, redo) {
            (true, _) => self.undo(),
            (_, true) => self.redo(),
            _ => {}
        }
        if save {
            let ask = self.save(cx.scene);
            cx.ask(ask);
        }
        if check {
            self.jump = self.draft.diagnostics().first().map(|found| found.span.start);
        }
        if start && let Some(wish) = self.begin(cx.scene) {
            cx.ask(wish);
            cx.goto = Some(View::Live);
        }
    }

    /// The wish to begin a drill of the chosen experiment, where that can be.
    pub fn begin(&self, scene: &Scene) -> Option<Ask> {
        self.startable(scene).ok()?;
        Some(Ask::Begin {
            text: self.draft.text().to_owned(),
            experiment: self.experiment()?,
        })
    }

    fn startable(&self, scene: &Scene) -> Result<(), Words> {
        if self.draft.plan().is_none() {
            return Err(Say::why_mistakes);
        }
        Command::Begin.enabled(scene, View::Design)
    }

    /// The chosen experiment's name.
    fn experiment(&self) -> Option<String> {
        let plan = self.draft.plan()?;
        plan.experiments
            .get(self.chosen.experiment)
            .or_else(|| plan.experiments.first())
            .map(|e| e.name.clone())
    }

    fn form(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let say = cx.say;
        if self.draft.broken() {
            widgets::card(ui, |ui| {
                widgets::title(ui, say.form_waits());
                let first = self.draft.diagnostics().first();
                widgets::text(ui, say.no_toml());
                if let Some(found) = first {
                    widgets::text(ui, say.mistake_line(found.line, &found.message));
                }
            });
            return;
        }
        let mut form = Form {
            draft: &mut self.draft,
            typed: &mut self.typed,
            now_s: ui.input(|input| input.time),
        };
        let (part, chosen) = (self.part, &mut self.chosen);
        // What is being typed is not asked for with every letter.
        let asks = !form.draft.unsaved();
        let mut wishes = Vec::new();
        ScrollArea::vertical()
            .id_salt(("form", part as u8))
            .auto_shrink(false)
            .show(ui, |ui| {
                ui.spacing_mut().item_spacing.y = 10.0;
                match part {
                    Part::Plan => parts::plan(ui, &mut form),
                    Part::Indicators => wishes = parts::indicators(ui, &mut form, asks, cx),
                    Part::Agents => parts::agents(ui, &mut form),
                    Part::Experiments => experiment::experiment(ui, &mut form, chosen, cx),
                }
            });
        for wish in wishes {
            cx.ask(wish);
        }
    }

    fn newer(&mut self, ui: &mut Ui, path: Option<std::path::PathBuf>, cx: &mut Cx<'_>) {
        let (t, say) = (cx.tokens, cx.say);
        let (mut again, mut over) = (false, false);
        widgets::ends(
            ui,
            30.0,
            |ui| {
                drop(widgets::one_line(
                    ui,
                    rich(say.file_newer(), regular(size::BODY), t.fault),
                ));
            },
            |ui| {
                over = widgets::button(ui, say.save_over()).clicked();
                again = widgets::button(ui, say.read_again()).clicked();
            },
        );
        match (again, over, path) {
            (true, _, Some(path)) => cx.ask(Ask::OpenPlan(path)),
            (_, true, _) => {
                let ask = self.draft.save(false, true);
                cx.ask(ask);
            }
            _ => {}
        }
    }
}

fn nothing(ui: &mut Ui, cx: &mut Cx<'_>) {
    let say = cx.say;
    widgets::empty(ui, say.design_empty(), say.design_empty_words(), |ui| {
        let top = ui.cursor().top();
        let place = Rect::from_min_max(
            pos2(ui.max_rect().center().x - 190.0, top),
            pos2(ui.max_rect().center().x + 230.0, top + 40.0),
        );
        widgets::region(ui, place, |ui| {
            ui.horizontal(|ui| {
                if widgets::button(ui, say.new_plan()).clicked() {
                    cx.ask(Ask::NewPlan(TEMPLATE.to_owned()));
                }
                if widgets::button(ui, cx.say.library_start()).clicked() {
                    cx.goto = Some(View::Library);
                }
                if Command::Open.button(ui, cx.scene, cx.view).clicked() {
                    cx.ask(Ask::OpenPlanDialog);
                }
            });
        });
    });
}
