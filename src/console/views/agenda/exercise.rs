//! Three questions about the exercise itself, and what was decided.

use egui::Ui;
use firedrill_gameday::{QUESTIONS, clock};
use firedrill_scene::{Ask, GameDayAsk};

use super::{Page, before::heading, labelled};
use crate::{
    cx::Cx,
    theme::{medium, regular, size, space},
    widgets::{self, rich},
};

/// What is typed there.
#[derive(Default)]
pub struct Exercise {
    who: String,
    answers: [String; QUESTIONS.len()],
}

impl Exercise {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, page: &Page<'_>, cx: &mut Cx<'_>) {
        let t = cx.tokens;
        heading(
            ui,
            "About the exercise itself",
            "blameless; the report names who agreed",
        );
        labelled(ui, "Who answers", &mut self.who, "your name");
        for (i, question) in QUESTIONS.iter().enumerate() {
            ui.add_space(space::XS);
            ui.label(rich(*question, medium(size::BODY), t.strong));
            for answer in page.scene.state.answers.iter().filter(|it| it.question == i) {
                ui.label(rich(
                    format!("{}: {}", answer.by, answer.words),
                    regular(13.0),
                    t.text,
                ));
            }
            let words = &mut self.answers[i];
            let typed = !words.trim().is_empty();
            widgets::field(ui, question, words, "in a sentence");
            if typed
                && widgets::named(widgets::button(ui, "Keep"), &format!("Keep answer {}", i + 1)).clicked()
            {
                cx.ask(Ask::GameDay(GameDayAsk::Answer {
                    question: i,
                    who: self.who.clone(),
                    words: std::mem::take(words),
                }));
            }
        }
        let decisions = &page.scene.state.decisions;
        if decisions.is_empty() {
            return;
        }
        ui.add_space(space::S);
        heading(ui, "Decisions", "");
        for it in decisions {
            let line = format!("{}  {}: {}", clock(it.at_ms, &page.zone), it.by, it.words);
            ui.label(rich(line, regular(13.0), t.text));
        }
    }
}
