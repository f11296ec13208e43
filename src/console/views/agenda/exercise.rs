//! Three questions about the exercise itself, and what was decided.

use egui::Ui;
use firedrill_gameday::{QUESTIONS, clock};
use firedrill_scene::{Ask, GameDayAsk};

use super::{Page, before::heading, labelled};
use crate::{
    cx::Cx,
    messages::Say,
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
        let say = cx.say;
        heading(ui, say.exercise_title(), say.exercise_hint());
        labelled(ui, say.exercise_who(), &mut self.who, say.your_name());
        for (i, question) in QUESTIONS.iter().enumerate() {
            ui.add_space(space::XS);
            let question = question_words(i, say).unwrap_or(question);
            ui.label(rich(question, medium(size::BODY), t.strong));
            for answer in page.scene.state.answers.iter().filter(|it| it.question == i) {
                ui.label(rich(
                    format!("{}: {}", answer.by, answer.words),
                    regular(size::NOTE),
                    t.text,
                ));
            }
            let words = &mut self.answers[i];
            let typed = !words.trim().is_empty();
            widgets::field(ui, question, words, say.in_a_sentence_hint());
            if typed && widgets::named(widgets::button(ui, say.keep()), &say.keep_answer(i + 1)).clicked() {
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
        heading(ui, say.decisions(), "");
        for it in decisions {
            let line = format!("{}  {}: {}", clock(it.at_ms, &page.zone), it.by, it.words);
            ui.label(rich(line, regular(size::NOTE), t.text));
        }
    }
}

/// The questions as they are asked; the report has them as `gameday` words them.
fn question_words(i: usize, say: Say) -> Option<&'static str> {
    [say.question_first(), say.question_second(), say.question_third()]
        .get(i)
        .copied()
}
