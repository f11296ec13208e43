//! The report of the game day that is open, as it would be written now.

use std::sync::Arc;

use egui::{Rect, ScrollArea, Ui};
use firedrill_gameday::report;
use firedrill_scene::GameDayScene;

use super::markdown::{self, Block};
use crate::{
    cx::Cx,
    theme::{regular, size, space},
    widgets::{self, rich},
};

/// The report as it was made last.
#[derive(Default)]
pub struct DayPage {
    made: Option<(Arc<GameDayScene>, i64, Vec<Block>)>,
}

impl DayPage {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, rect: Rect, cx: &Cx<'_>) {
        let Some(scene) = cx.scene.gameday.clone() else {
            let words = cx.say.review_day_none();
            widgets::region(ui, rect, |ui| {
                widgets::empty(ui, cx.say.review_day_none_title(), words, |_| {});
            });
            return;
        };
        widgets::card_at(ui, rect, |ui| {
            let words = cx.say.review_day_words();
            widgets::one_line(ui, rich(words, regular(size::NOTE), cx.tokens.dim));
            ui.add_space(space::S);
            let minute = cx.now_ms().div_euclid(60_000);
            let blocks = self.blocks(&scene, minute);
            ScrollArea::vertical()
                .id_salt("report")
                .auto_shrink(false)
                .show(ui, |ui| {
                    // Longer lines are hard to read.
                    ui.set_max_width(ui.available_width().min(1_120.0) - size::SMALL);
                    markdown::ui(ui, blocks);
                });
        });
    }

    /// Made anew when something happened, and once a minute: it says what time it is.
    fn blocks(&mut self, scene: &Arc<GameDayScene>, minute: i64) -> &[Block] {
        let same =
            |made: &(Arc<GameDayScene>, i64, Vec<Block>)| Arc::ptr_eq(&made.0, scene) && made.1 == minute;
        let made = self.made.take().filter(same).unwrap_or_else(|| {
            let text = scene.day.as_ref().map_or_else(String::new, |day| {
                report(day, &scene.needs, &scene.state, minute * 60_000)
            });
            (Arc::clone(scene), minute, markdown::blocks(&text))
        });
        &self.made.insert(made).2
    }
}
