//! The question before a reveal while a fault is still on: whoever is rehearsed would learn what it is.

use egui::Ui;
use firedrill_scene::{Ask, Ours, Scene};

use crate::{
    commands::sealed,
    cx::Cx,
    shell::{Places, dialog},
    theme::space,
    widgets,
};

/// Whether it is asked.
#[derive(Default)]
pub struct Reveal {
    asked: bool,
}

impl Reveal {
    /// The command was given: the wish, where nothing is on; else the question is asked first.
    pub fn given(&mut self, scene: &Scene) -> Option<Ask> {
        if matches!(scene.ours, Ours::On { .. } | Ours::MayBeOn { .. }) {
            self.asked = true;
            return None;
        }
        sealed(scene).map(Ask::Reveal)
    }

    /// Whether the dialog is shown: as long as there is something to reveal.
    pub fn wanted(&self, scene: &Scene) -> bool {
        self.asked && sealed(scene).is_some()
    }

    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, places: &Places, cx: &mut Cx<'_>) {
        let say = cx.say;
        let (mut reveal, mut stay) = (false, false);
        let ((), escape) = dialog(ui, places, say.reveal_name(), 560.0, |ui| {
            widgets::headline(ui, say.reveal_title());
            widgets::text(ui, say.reveal_words());
            ui.add_space(space::M);
            widgets::ends(
                ui,
                40.0,
                |ui| stay = widgets::button(ui, say.reveal_stay()).clicked(),
                |ui| reveal = widgets::button(ui, say.reveal_now()).clicked(),
            );
        });
        if reveal && let Some(drill) = sealed(cx.scene) {
            cx.ask(Ask::Reveal(drill));
        }
        if reveal || stay || escape {
            self.asked = false;
        }
    }
}
