//! Before a plan with unsaved changes is replaced: save, discard, or stay.

use egui::Ui;
use firedrill_scene::{Ask, GameDayAsk};

use super::design::Design;
use crate::{
    View,
    cx::Cx,
    messages::Say,
    shell::{Places, dialog},
    theme::space,
    widgets,
};

/// Asks whether the window may close with changes that are not saved; gives the answer.
pub fn before_close(ui: &Ui, say: Say) -> Option<bool> {
    let mut answer = None;
    egui::Window::new(say.leave_title())
        .collapsible(false)
        .resizable(false)
        .anchor(egui::Align2::CENTER_CENTER, egui::Vec2::ZERO)
        .show(ui.ctx(), |ui| {
            widgets::text(ui, say.close_words());
            ui.horizontal(|ui| {
                if widgets::button(ui, say.close_stay()).clicked() {
                    answer = Some(false);
                }
                if widgets::button(ui, say.close_anyway()).clicked() {
                    answer = Some(true);
                }
            });
        });
    answer
}

/// A wish that waits for the answer.
#[derive(Default)]
pub struct Leave {
    held: Option<Ask>,
    /// The answer was to let the next one through.
    discard: bool,
}

impl Leave {
    /// Whether the dialog is shown.
    pub fn wanted(&self) -> bool {
        self.held.is_some()
    }

    /// Gives the wish back, unless it would replace a plan that is not saved: then it waits.
    pub fn hold(&mut self, wish: Ask, design: &Design) -> Option<Ask> {
        let replaces = matches!(
            wish,
            Ask::StartDemo
                | Ask::TryTemplate { .. }
                | Ask::OpenPlanDialog
                | Ask::OpenPlan(_)
                | Ask::NewPlan(_)
                | Ask::GameDay(GameDayAsk::Begin(_))
        );
        if replaces && design.unsaved() && !std::mem::take(&mut self.discard) {
            self.held = Some(wish);
            return None;
        }
        Some(wish)
    }

    /// Draws the dialog.
    pub fn ui(&mut self, ui: &mut Ui, places: &Places, cx: &mut Cx<'_>, design: &mut Design) {
        let say = cx.say;
        let (mut save, mut discard, mut stay) = (false, false, false);
        let ((), escape) = dialog(ui, places, say.leave_name(), 560.0, |ui| {
            widgets::headline(ui, say.leave_title());
            widgets::text(ui, say.leave_words());
            ui.add_space(space::M);
            widgets::ends(
                ui,
                40.0,
                |ui| {
                    save = widgets::button(ui, say.leave_save()).clicked();
                    discard = widgets::button(ui, say.leave_discard()).clicked();
                },
                |ui| stay = widgets::button(ui, say.leave_stay()).clicked(),
            );
        });
        if save {
            self.held = None;
            let ask = design.save(cx.scene);
            cx.ask(ask);
            cx.goto = Some(View::Design);
        } else if discard {
            self.discard = true;
            if let Some(wish) = self.held.take() {
                cx.ask(wish);
            }
        } else if stay || escape {
            self.held = None;
            cx.goto = Some(View::Design);
        }
    }
}
