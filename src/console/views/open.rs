//! A drill of this account that was armed and never ended: what is still on, and abort (first) or watch.

use egui::{ScrollArea, Ui};
use firedrill_scene::{Ask, OpenDrillScene, Scene};

use crate::{
    cx::Cx,
    shell::{Places, dialog},
    theme::{Tokens, medium, regular, size, space},
    widgets::{self, State, rich},
    words,
};

/// Which of them were put aside.
#[derive(Default)]
pub struct OpenDrills {
    aside: Vec<String>,
}

impl OpenDrills {
    /// Whether there is one to ask about.
    pub fn wanted(&self, scene: &Scene) -> bool {
        scene.open.iter().any(|open| !self.aside.contains(&open.drill))
    }

    /// Draws the dialog.
    pub fn ui(&mut self, ui: &mut Ui, places: &Places, cx: &mut Cx<'_>) {
        let open = cx.scene.open.clone();
        let shown: Vec<&OpenDrillScene> = open
            .iter()
            .filter(|open| !self.aside.contains(&open.drill))
            .collect();
        let say = cx.say;
        let mut aside = false;
        let (asks, escape) = dialog(ui, places, say.open_title(), 820.0, |ui| {
            widgets::headline(ui, say.open_title());
            ui.add_space(space::S);
            let room = (ui.available_height() - 80.0).max(120.0);
            let asks = ScrollArea::vertical()
                .id_salt("open drills")
                .max_height(room)
                .show(ui, |ui| {
                    shown
                        .iter()
                        .filter_map(|open| one(ui, open, cx))
                        .collect::<Vec<_>>()
                })
                .inner;
            ui.add_space(space::M);
            widgets::ends(
                ui,
                38.0,
                |ui| drop(widgets::dim(ui, say.open_terminal())),
                |ui| aside = widgets::button(ui, say.open_not_now()).clicked(),
            );
            asks
        });
        if aside || escape {
            self.aside.extend(shown.iter().map(|open| open.drill.clone()));
        }
        for ask in asks {
            cx.ask(ask);
        }
    }
}

/// One drill: whose it is, what each agent says, and what can be done.
fn one(ui: &mut Ui, open: &OpenDrillScene, cx: &Cx<'_>) -> Option<Ask> {
    let t = Tokens::of(ui);
    let mut ask = None;
    let armed = words::clock(open.armed_ms, cx.zone);
    ui.label(rich(&open.experiment, medium(size::LARGE), t.strong));
    let whose = if open.runs {
        cx.say.open_driven()
    } else {
        cx.say.open_gone()
    };
    widgets::text(ui, cx.say.open_armed(armed, whose));
    for (agent, words, may_be_on) in &open.agents {
        ui.horizontal(|ui| {
            let (rect, _) = ui.allocate_exact_size(egui::vec2(12.0, 18.0), egui::Sense::hover());
            let state = if *may_be_on { State::Bad } else { State::Good };
            widgets::shape(ui.painter(), rect.center(), 5.0, state, t);
            ui.label(rich(agent, medium(size::BODY), t.strong));
            let ink = if *may_be_on { t.out } else { t.text };
            widgets::one_line(ui, rich(words, regular(size::NOTE), ink));
        });
    }
    ui.push_id(&open.drill, |ui| {
        ui.horizontal(|ui| {
            // Something may be on: taking it back comes first.
            if widgets::danger(ui, true, cx.say.open_abort()).clicked() {
                ask = Some(Ask::AbortOpen(open.drill.clone()));
            }
            if open.watched {
                widgets::dim(ui, cx.say.open_watched());
            } else if widgets::button(ui, cx.say.open_watch()).clicked() {
                ask = Some(Ask::WatchOpen(open.drill.clone()));
            }
        });
    });
    widgets::rule(ui);
    ask
}
