//! The preparation: what must be so, and who says go. The day does not start before.

use std::collections::BTreeMap;

use egui::Ui;
use firedrill_gameday::clock;
use firedrill_scene::{Ask, GameDayAsk};

use super::Page;
use crate::{
    cx::Cx,
    theme::{medium, regular, size, space},
    widgets::{self, State, rich},
};

/// What is typed there.
#[derive(Default)]
pub struct Before {
    /// What somebody adds to their go or no-go, by name.
    words: BTreeMap<String, String>,
}

impl Before {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, page: &Page<'_>, cx: &mut Cx<'_>) {
        let say = cx.say;
        let started = page.scene.state.started_ms.is_some();
        let state = &page.scene.state;
        let done = state.checks.iter().filter(|it| it.done.is_some()).count();
        heading(ui, say.checklist(), &say.some_of(done, state.checks.len()));
        if state.checks.is_empty() {
            widgets::dim(ui, say.checklist_none());
        }
        for (check, planned) in state.checks.iter().zip(&page.day.checks) {
            let said = check
                .done
                .as_ref()
                .map(|(by, at)| format!("{by}, {}", clock(*at, &page.zone)));
            let how = said.as_deref().or(planned.how.as_deref()).unwrap_or_default();
            let shape = if check.done.is_some() {
                State::Good
            } else {
                State::Waiting
            };
            let label = if check.done.is_some() {
                say.untick()
            } else {
                say.tick()
            };
            let enabled = if started {
                Err(say.gameday_has_started())
            } else {
                Ok(())
            };
            row(ui, shape, &check.name, how, cx, |ui, cx| {
                let button = widgets::button_if(ui, enabled, label);
                if widgets::named(button, &say.namely(label, &check.name)).clicked() {
                    cx.ask(Ask::GameDay(GameDayAsk::Check {
                        check: check.name.clone(),
                        done: check.done.is_none(),
                    }));
                }
            });
        }
        ui.add_space(space::S);
        let go = state
            .goes
            .iter()
            .filter(|it| matches!(it.said, Some((true, ..))))
            .count();
        heading(ui, say.goes(), &say.some_of(go, state.goes.len()));
        if state.goes.is_empty() {
            widgets::dim(ui, say.goes_none());
        }
        for (said, planned) in state.goes.iter().zip(&page.day.goes) {
            let (shape, words) = match &said.said {
                None => (State::Waiting, planned.about.clone().unwrap_or_default()),
                Some((true, at, words)) => (State::Good, answer(say.said_go(), *at, words.as_ref(), page)),
                Some((false, at, words)) => (State::Bad, answer(say.said_no_go(), *at, words.as_ref(), page)),
            };
            row(ui, shape, &said.name, &words, cx, |ui, cx| {
                for (go, label) in [(false, say.no_go()), (true, say.go())] {
                    let button = widgets::button(ui, label);
                    if widgets::named(button, &say.namely(label, &said.name)).clicked() {
                        cx.ask(Ask::GameDay(GameDayAsk::Go {
                            name: said.name.clone(),
                            go,
                            words: self.words.remove(&said.name).unwrap_or_default(),
                        }));
                    }
                }
            });
            if !matches!(said.said, Some((true, ..))) && !started {
                let words = self.words.entry(said.name.clone()).or_default();
                widgets::field(ui, &say.go_adds(&said.name), words, say.go_adds_hint());
            }
        }
    }
}

fn answer(word: &str, at_ms: i64, words: Option<&String>, page: &Page<'_>) -> String {
    let more = words.map_or_else(String::new, |it| format!(": {it}"));
    format!("{word}, {}{more}", clock(at_ms, &page.zone))
}

pub(super) fn heading(ui: &mut Ui, words: &str, right: &str) {
    widgets::ends(
        ui,
        22.0,
        |ui| drop(widgets::title(ui, words)),
        |ui| drop(widgets::dim(ui, right)),
    );
}

/// A shape, a name with a sentence below it, and buttons.
fn row(
    ui: &mut Ui,
    shape: State,
    name: &str,
    words: &str,
    cx: &mut Cx<'_>,
    buttons: impl FnOnce(&mut Ui, &mut Cx<'_>),
) {
    let t = cx.tokens;
    widgets::ends(
        ui,
        42.0,
        |ui| {
            let (rect, _) = ui.allocate_exact_size(egui::vec2(16.0, 16.0), egui::Sense::hover());
            widgets::shape(ui.painter(), rect.center(), 5.0, shape, t);
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 1.0;
                ui.add_space(if words.is_empty() { 10.0 } else { 2.0 });
                widgets::one_line(ui, rich(name, medium(size::BODY), t.strong));
                if !words.is_empty() {
                    widgets::one_line(ui, rich(words, regular(size::SMALL), t.dim));
                }
            });
        },
        |ui| buttons(ui, cx),
    );
}
