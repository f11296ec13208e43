//! What people expect of a drill, sealed before its fault, revealed and scored after it.

use egui::Ui;
use firedrill_catalogue::quantity;
use firedrill_gameday::{Prediction, RowState, Score, Sealed, clock, score};
use firedrill_scene::{Ask, GameDayAsk};

use super::{Page, before::heading, labelled};
use crate::{
    cx::Cx,
    messages::Say,
    theme::{medium, mono, regular, size, space},
    widgets::{self, choice, rich},
    words::Scale,
};

/// The form.
#[derive(Default)]
pub struct Predict {
    who: String,
    breaks: bool,
    first: Option<String>,
    worst: String,
    notice: String,
    words: String,
}

impl Predict {
    /// Draws it for a row.
    pub fn ui(&mut self, ui: &mut Ui, page: &Page<'_>, row: &str, cx: &mut Cx<'_>) {
        let Some(state) = page.scene.state.rows.iter().find(|it| it.id == row) else {
            return;
        };
        let say = cx.say;
        let right = if state.revealed {
            say.predict_revealed()
        } else {
            say.predict_sealed()
        };
        heading(ui, row, right);
        let run = state.runs.len().saturating_sub(1);
        let over = state.runs.last().is_some_and(|it| it.found.is_some());
        let began = state.runs.last().is_some_and(|it| it.found.is_none());
        let waiting = state.predictions.iter().any(|it| it.run >= state.runs.len());
        if (!over || waiting) && page.scene.state.ended_ms.is_none() {
            self.form(ui, page, row, cx);
            ui.add_space(space::S);
        }
        let shown = if waiting || began {
            state.runs.iter().filter(|it| it.found.is_some()).count()
        } else {
            run
        };
        sealed(ui, page, state, shown, cx);
        if over && !state.revealed {
            let any = !state.predictions.is_empty();
            let enabled = if any { Ok(()) } else { Err(say.predict_nobody()) };
            if widgets::button_if(ui, enabled, say.predict_reveal()).clicked() {
                cx.ask(Ask::GameDay(GameDayAsk::Reveal(row.to_owned())));
            }
        }
    }

    fn form(&mut self, ui: &mut Ui, page: &Page<'_>, row: &str, cx: &mut Cx<'_>) {
        let (t, say) = (cx.tokens, cx.say);
        labelled(ui, say.predict_who(), &mut self.who, say.your_name());
        ui.horizontal(|ui| {
            ui.label(rich(say.predict_hypothesis(), regular(size::NOTE), t.text));
            for (breaks, label) in [(false, say.predict_holds()), (true, say.predict_breaks())] {
                if choice(ui, self.breaks == breaks, label).clicked() {
                    self.breaks = breaks;
                }
            }
        });
        let slis = page.scene.slis.get(row).map_or(&[][..], Vec::as_slice);
        ui.horizontal_wrapped(|ui| {
            ui.label(rich(say.predict_first(), regular(size::NOTE), t.text));
            for (name, _) in slis {
                let chosen = self.first.as_ref() == Some(name);
                if choice(ui, chosen, name).clicked() {
                    self.first = (!chosen).then(|| name.clone());
                }
            }
        });
        let unit = slis.iter().find(|(name, _)| Some(name) == self.first.as_ref());
        let unit = unit.map_or("", |(_, unit)| unit.as_str());
        let width = (ui.available_width() - space::S) / 2.0;
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = space::S;
            for (label, value, hint) in [
                (
                    say.predict_worst(),
                    &mut self.worst,
                    if unit.is_empty() { say.a_number() } else { unit },
                ),
                (say.predict_notice(), &mut self.notice, say.predict_notice_hint()),
            ] {
                ui.vertical(|ui| {
                    ui.set_width(width);
                    labelled(ui, label, value, hint);
                });
            }
        });
        labelled(ui, say.in_a_sentence(), &mut self.words, say.predict_words_hint());
        let made = self.prediction(unit, say);
        let enabled = made.as_ref().map(|_| ()).map_err(|why| *why);
        if widgets::button_if(ui, enabled, say.predict_seal()).clicked()
            && let Ok(prediction) = made
        {
            cx.ask(Ask::GameDay(GameDayAsk::Predict {
                drill: row.to_owned(),
                prediction,
            }));
            *self = Self::default();
        }
    }

    /// What the form says; the worst value in the base unit.
    fn prediction(&self, unit: &str, say: Say) -> Result<Prediction, &'static str> {
        if self.who.trim().is_empty() {
            return Err(say.predict_say_who());
        }
        let worst = match self.worst.trim() {
            "" => None,
            _ if self.first.is_none() => return Err(say.predict_choose()),
            typed => {
                let shown: f64 = typed
                    .trim_end_matches(unit)
                    .trim()
                    .parse()
                    .map_err(|_| say.predict_worst_number())?;
                Some(shown / Scale::of(unit, &[]).factor).filter(|it| it.is_finite())
            }
        };
        let notice_ms = match self.notice.trim() {
            "" => None,
            typed => Some(quantity::duration_ms(typed).map_err(|_| say.predict_notice_written())?),
        };
        Ok(Prediction {
            who: self.who.trim().to_owned(),
            holds: !self.breaks,
            first: self.first.clone(),
            worst,
            notice_ms,
            words: self.words.trim().to_owned(),
            nonce: String::new(),
        })
    }
}

fn sealed(ui: &mut Ui, page: &Page<'_>, row: &RowState, run: usize, cx: &Cx<'_>) {
    let t = cx.tokens;
    let all: Vec<&Sealed> = row.predictions_of(run).collect();
    if all.is_empty() {
        widgets::dim(ui, cx.say.predict_none());
        return;
    }
    for it in all {
        widgets::rule(ui);
        let scored = score(row, it).filter(|_| row.revealed);
        widgets::ends(
            ui,
            24.0,
            |ui| {
                ui.label(rich(&it.prediction.who, medium(size::BODY), t.strong));
                let seal: String = it.seal.chars().take(8).collect();
                ui.label(rich(seal, mono(size::SMALL), t.dim))
                    .on_hover_text(cx.say.seal_tip());
            },
            |ui| match &scored {
                Some(scored) => drop(ui.label(rich(scored.words(), medium(size::BODY), t.people))),
                None => drop(widgets::dim(ui, cx.say.sealed_at(clock(it.at_ms, &page.zone)))),
            },
        );
        if let Some(scored) = scored {
            let said = &it.prediction;
            let holds = if said.holds {
                cx.say.said_holds()
            } else {
                cx.say.said_breaks()
            };
            let words = if said.words.is_empty() {
                holds.to_owned()
            } else {
                cx.say.namely(holds, &said.words)
            };
            widgets::text(ui, words);
            parts(ui, &scored, cx);
        }
    }
}

fn parts(ui: &mut Ui, scored: &Score, cx: &Cx<'_>) {
    let t = cx.tokens;
    for part in &scored.parts {
        let points = part
            .points
            .map_or_else(|| "–".to_owned(), |(reached, of)| cx.say.some_of(reached, of));
        widgets::ends(
            ui,
            18.0,
            |ui| {
                ui.label(rich(part.what, medium(size::SMALL), t.text));
                widgets::one_line(ui, rich(&part.words, regular(size::SMALL), t.dim));
            },
            |ui| drop(ui.label(rich(points, regular(size::SMALL), t.text))),
        );
    }
}
