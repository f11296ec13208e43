//! Design: the plan as a form and as text, side by side. The text is the one truth.

mod draft;
mod editor;

use draft::Draft;
use egui::Ui;
use firedrill_scene::{Ask, Scene};

use crate::{cx::Cx, widgets};

/// Where a new plan starts.
pub const TEMPLATE: &str = "title = \"New plan\"\n";

/// What Design remembers.
#[derive(Default)]
pub struct Design {
    draft: Draft,
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
        if let Some(plan) = &scene.plan {
            self.draft.take(plan);
        }
    }

    /// Takes the last edit back.
    pub fn undo(&mut self) {
        self.draft.undo();
    }

    /// Makes it again.
    pub fn redo(&mut self) {
        self.draft.redo();
    }

    /// The wish to save.
    pub fn save(&mut self) -> Ask {
        self.draft.save(false, false)
    }

    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, _cx: &mut Cx<'_>) {
        let rect = ui.max_rect();
        widgets::card_at(ui, rect, |ui| {
            editor::editor(ui, &mut self.draft, "plan", &mut self.jump)
        });
    }
}
