//! Drills that are over: what each found, its replay, two of them side by side, and the report of the game day.

mod bookmarks;
mod compare;
mod day;
mod markdown;
mod rail;
mod replay;
mod verdict;

use std::sync::Arc;

use egui::{Rect, ScrollArea, Ui};
use firedrill_scene::{Ask, GameDayAsk, ReplayAsk, Review, Scene};

use super::live::{outcome, tour, tour_height};
use crate::{
    commands::Command,
    cx::Cx,
    theme::space,
    widgets::{self, choice},
    words,
};
pub use replay::moment;

/// What Review remembers.
#[derive(Default)]
pub struct ReviewView {
    /// The drill that is shown; the newest until one is chosen.
    chosen: Option<String>,
    mode: Mode,
    found: verdict::Found,
    player: replay::Player,
    pair: compare::Pair,
    day: day::DayPage,
}

/// What is shown of a drill. Whether it is replayed stands in the scene: the engine does that.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Found,
    Compare,
    Day,
}

/// Height of the row above everything, points.
const ROW: f32 = 34.0;

impl ReviewView {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let reviews = cx.scene.reviews.clone();
        let review = self.shown(&reviews);
        if review.is_none() && cx.scene.gameday.is_none() {
            nothing(ui, cx);
            return;
        }
        let mut rest = ui.max_rect();
        let replayed = cx.scene.replay.clone().filter(|_| review.is_some());
        let step = cx.scene.tour.clone();
        let step = step.filter(|tour| tour.offers_fix || !tour.comparison.is_empty());
        if let Some(step) = step.filter(|_| replayed.is_none()) {
            let place = rest.with_max_y(rest.top() + tour_height(&step, rest.width(), true));
            tour(ui, place, &step, true, cx);
            rest.set_top(place.bottom() + space::M);
        }
        let row = rest.with_max_y(rest.top() + ROW);
        self.row(ui, row, &reviews, review.as_deref(), cx);
        rest.set_top(row.bottom() + space::S);
        match (review, replayed) {
            (Some(review), Some(replay)) => self.player.ui(ui, rest, &review, &replay, cx),
            (Some(review), None) if self.mode == Mode::Found => self.found.ui(ui, rest, &review, cx),
            (Some(review), None) if self.mode == Mode::Compare => {
                self.pair.ui(ui, rest, &reviews, &review, cx);
            }
            _ => self.day.ui(ui, rest, cx),
        }
    }

    fn shown(&self, reviews: &[Arc<Review>]) -> Option<Arc<Review>> {
        let chosen = self
            .chosen
            .as_ref()
            .and_then(|id| reviews.iter().find(|review| review.drill == *id));
        chosen.or_else(|| reviews.first()).cloned()
    }

    /// What is shown of which drill, and the export.
    fn row(
        &mut self,
        ui: &mut Ui,
        row: Rect,
        reviews: &[Arc<Review>],
        shown: Option<&Review>,
        cx: &mut Cx<'_>,
    ) {
        let mut wishes = Vec::new();
        let mut export = false;
        widgets::region(ui, row, |ui| {
            widgets::ends(
                ui,
                30.0,
                |ui| {
                    let Some(shown) = shown else { return };
                    self.modes(ui, reviews, shown, cx, &mut wishes);
                    if reviews.len() > 1 {
                        ui.separator();
                        self.choose(ui, reviews, shown, cx, &mut wishes);
                    }
                },
                |ui| export = Command::Export.button(ui, cx.scene, cx.view).clicked(),
            );
        });
        if export {
            wishes.extend(self.export(cx.scene));
        }
        cx.wishes.extend(wishes);
    }

    fn modes(
        &mut self,
        ui: &mut Ui,
        reviews: &[Arc<Review>],
        shown: &Review,
        cx: &Cx<'_>,
        wishes: &mut Vec<Ask>,
    ) {
        let (scene, say) = (cx.scene, cx.say);
        let replayed = scene.replay.is_some();
        let day = scene.gameday.as_ref().is_some_and(|it| it.day.is_some());
        ui.spacing_mut().item_spacing.x = 2.0;
        let modes = [
            (Some(Mode::Found), say.review_found(), true),
            (None, say.review_replay(), true),
            (Some(Mode::Compare), say.review_compare(), reviews.len() > 1),
            (Some(Mode::Day), say.review_day(), day),
        ];
        for (mode, label, _) in modes.into_iter().filter(|(.., there)| *there) {
            let chosen = mode.map_or(replayed, |mode| !replayed && self.mode == mode);
            if !choice(ui, chosen, label).clicked() {
                continue;
            }
            match mode {
                Some(mode) => {
                    self.mode = mode;
                    wishes.extend(replayed.then_some(Ask::Replay(ReplayAsk::Close)));
                }
                None if !replayed => wishes.push(Ask::Replay(ReplayAsk::Open(shown.drill.clone()))),
                None => {}
            }
        }
    }

    fn choose(
        &mut self,
        ui: &mut Ui,
        reviews: &[Arc<Review>],
        shown: &Review,
        cx: &Cx<'_>,
        wishes: &mut Vec<Ask>,
    ) {
        ScrollArea::horizontal().id_salt("reviews").show(ui, |ui| {
            ui.horizontal(|ui| {
                for review in reviews {
                    if choice(ui, review.drill == shown.drill, &named(review, cx)).clicked() {
                        self.chosen = Some(review.drill.clone());
                        if cx.scene.replay.is_some() {
                            wishes.push(Ask::Replay(ReplayAsk::Open(review.drill.clone())));
                        }
                    }
                }
            });
        });
    }

    /// What the command to export writes: the drill that is shown, or the game day's report where that is shown.
    fn export(&self, scene: &Scene) -> Option<Ask> {
        if self.mode == Mode::Day && scene.replay.is_none() && scene.gameday.is_some() {
            return Some(Ask::GameDay(GameDayAsk::Report));
        }
        let shown = self.shown(&scene.reviews)?;
        Some(Ask::ExportReport(shown.drill.clone()))
    }

    /// Does what a command of Review says.
    pub fn given(&mut self, command: Command, scene: &Scene, wishes: &mut Vec<Ask>) {
        if command == Command::Export {
            wishes.extend(self.export(scene));
        } else if let Some(review) = self.shown(&scene.reviews) {
            self.player.given(command, &review, scene, wishes);
        }
    }
}

/// `14:02:53  Payment is slow · broken`.
fn named(review: &Review, cx: &Cx<'_>) -> String {
    let time = words::clock(review.scene.origin_wall_ms, cx.zone);
    let word = outcome(cx.say, review.verdict.outcome).1.to_lowercase();
    format!("{time}  {} · {word}", review.scene.experiment)
}

fn nothing(ui: &mut Ui, cx: &mut Cx<'_>) {
    let say = cx.say;
    widgets::empty(ui, say.review_none_title(), say.review_none(), |ui| {
        ui.horizontal(|ui| {
            ui.add_space((ui.available_width() - 150.0).max(0.0) / 2.0);
            if widgets::button(ui, say.review_open_journal()).clicked() {
                cx.ask(Ask::OpenJournalDialog);
            }
        });
    });
}
