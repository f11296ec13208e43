//! What people expect of a drill, sealed before its fault, revealed and scored after it.

use egui::Ui;
use firedrill_catalogue::quantity;
use firedrill_gameday::{Prediction, RowState, Score, Sealed, clock, score};
use firedrill_scene::{Ask, GameDayAsk};

use super::{Page, before::heading, labelled};
use crate::{
    cx::Cx,
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
        let right = if state.revealed {
            "revealed and scored"
        } else {
            "sealed until the reveal"
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
            let enabled = if any {
                Ok(())
            } else {
                Err("Nobody predicted anything")
            };
            if widgets::button_if(ui, enabled, "Reveal and score").clicked() {
                cx.ask(Ask::GameDay(GameDayAsk::Reveal(row.to_owned())));
            }
        }
    }

    fn form(&mut self, ui: &mut Ui, page: &Page<'_>, row: &str, cx: &mut Cx<'_>) {
        let t = cx.tokens;
        labelled(ui, "Who predicts", &mut self.who, "your name");
        ui.horizontal(|ui| {
            ui.label(rich("The hypothesis", regular(13.0), t.text));
            for (breaks, label) in [(false, "holds"), (true, "breaks")] {
                if choice(ui, self.breaks == breaks, label).clicked() {
                    self.breaks = breaks;
                }
            }
        });
        let slis = page.scene.slis.get(row).map_or(&[][..], Vec::as_slice);
        ui.horizontal_wrapped(|ui| {
            ui.label(rich("First to leave", regular(13.0), t.text));
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
                    "Worst value",
                    &mut self.worst,
                    if unit.is_empty() { "a number" } else { unit },
                ),
                ("Time to notice", &mut self.notice, "90s or 2m"),
            ] {
                ui.vertical(|ui| {
                    ui.set_width(width);
                    labelled(ui, label, value, hint);
                });
            }
        });
        labelled(ui, "In a sentence", &mut self.words, "what will happen, and why");
        let made = self.prediction(unit);
        let enabled = made.as_ref().map(|_| ()).map_err(|why| *why);
        if widgets::button_if(ui, enabled, "Seal it").clicked()
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
    fn prediction(&self, unit: &str) -> Result<Prediction, &'static str> {
        if self.who.trim().is_empty() {
            return Err("Say who predicts");
        }
        let worst = match self.worst.trim() {
            "" => None,
            _ if self.first.is_none() => return Err("Choose the indicator that the worst value is of"),
            typed => {
                let shown: f64 = typed
                    .trim_end_matches(unit)
                    .trim()
                    .parse()
                    .map_err(|_| "The worst value is a number")?;
                Some(shown / Scale::of(unit, &[]).factor).filter(|it| it.is_finite())
            }
        };
        let notice_ms = match self.notice.trim() {
            "" => None,
            typed => Some(
                quantity::duration_ms(typed).map_err(|_| "The time to notice is written like 90s or 2m")?,
            ),
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
        widgets::dim(
            ui,
            "Nobody has predicted anything yet. What is sealed is shown to nobody before the reveal.",
        );
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
                    .on_hover_text("The seal: note it down, and nobody can change your words unseen");
            },
            |ui| match &scored {
                Some(scored) => drop(ui.label(rich(scored.words(), medium(size::BODY), t.people))),
                None => drop(widgets::dim(
                    ui,
                    format!("sealed {}", clock(it.at_ms, &page.zone)),
                )),
            },
        );
        if let Some(scored) = scored {
            let said = &it.prediction;
            let holds = if said.holds { "Holds" } else { "Breaks" };
            let words = if said.words.is_empty() {
                format!("{holds}.")
            } else {
                format!("{holds}: {}", said.words)
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
            .map_or_else(|| "–".to_owned(), |(reached, of)| format!("{reached} of {of}"));
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
