//! Two drills side by side: every indicator that both have in one plot, zero at the first injection of each, and a
//! table of every difference.

use std::sync::Arc;

use egui::{Align2, Rect, ScrollArea, Sense, Stroke, Ui, pos2, vec2};
use firedrill_analysis::{Difference, SideBySide, side_by_side};
use firedrill_scene::Review;

use super::named;
use crate::{
    cx::Cx,
    theme::{Tokens, medium, regular, size, space},
    views::live::{Half, pair, pair_axis, pair_inks},
    widgets::{self, choice, rich},
    words::{self, Scale},
};

/// What a comparison remembers.
#[derive(Default)]
pub struct Pair {
    /// The second drill; the next older one until one is chosen.
    other: Option<String>,
    /// The pointer's time, seconds after the first injection.
    cursor_s: Option<f64>,
    /// What was made of which two drills.
    made: Option<([String; 2], Arc<SideBySide>)>,
}

/// A card's height at least, points.
const LOWEST: f32 = 150.0;
const AXIS: f32 = 24.0;

impl Pair {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, rect: Rect, reviews: &[Arc<Review>], first: &Arc<Review>, cx: &Cx<'_>) {
        let Some(second) = self.second(reviews, first) else {
            widgets::region(ui, rect, |ui| {
                widgets::empty(ui, cx.say.compare_one_title(), cx.say.compare_one(), |_| {});
            });
            return;
        };
        let mut both = [first, &second];
        // What was earlier is the first: differences are read as what became of it.
        both.sort_by_key(|it| it.scene.origin_wall_ms);
        let made = self.made(both);
        let row = rect.with_max_y(rect.top() + 68.0);
        widgets::card_at(ui, row, |_| {});
        widgets::region(ui, row.shrink2(vec2(space::L, space::S)), |ui| {
            legend(ui, both, cx);
            self.choose(ui, reviews, first, &second, cx);
        });
        let rest = rect.with_min_y(row.bottom() + space::M);
        let side = if rest.width() > 1300.0 { 500.0 } else { 400.0 };
        let (left, right) = rest.split_left_right_at_x(rest.right() - side);
        self.plots(ui, left.with_max_x(left.right() - space::M), both, &made, cx);
        widgets::card_at(ui, right, |ui| table(ui, &made, cx));
    }

    fn second(&self, reviews: &[Arc<Review>], first: &Review) -> Option<Arc<Review>> {
        let mut others = reviews.iter().filter(|it| it.drill != first.drill);
        let chosen = others.clone().find(|it| Some(&it.drill) == self.other.as_ref());
        // Another run of the same experiment says most.
        let same = others
            .clone()
            .find(|it| it.scene.experiment == first.scene.experiment);
        chosen.or(same).or_else(|| others.next()).cloned()
    }

    /// Made once for two drills, not in every frame.
    fn made(&mut self, both: [&Arc<Review>; 2]) -> Arc<SideBySide> {
        let ids = both.map(|it| it.drill.clone());
        if let Some((of, made)) = &self.made
            && *of == ids
        {
            return Arc::clone(made);
        }
        let made = Arc::new(side_by_side(both[0], both[1]));
        self.made = Some((ids, Arc::clone(&made)));
        made
    }

    /// Which other drill it is.
    fn choose(&mut self, ui: &mut Ui, reviews: &[Arc<Review>], shown: &Review, other: &Review, cx: &Cx<'_>) {
        let chips = |ui: &mut Ui| {
            ui.label(rich(cx.say.compare_with(), regular(size::NOTE), cx.tokens.text));
            ScrollArea::horizontal().id_salt("second").show(ui, |ui| {
                ui.horizontal(|ui| {
                    for review in reviews.iter().filter(|it| it.drill != shown.drill) {
                        let label = named(review, cx);
                        let chip = choice(ui, review.drill == other.drill, &label);
                        if widgets::named(chip, &cx.say.compare_choose(&label)).clicked() {
                            self.other = Some(review.drill.clone());
                        }
                    }
                });
            });
        };
        widgets::ends(ui, 24.0, chips, |_| {});
    }

    fn plots(&mut self, ui: &mut Ui, rect: Rect, both: [&Arc<Review>; 2], made: &SideBySide, cx: &Cx<'_>) {
        if made.common.is_empty() {
            widgets::region(ui, rect, |ui| {
                widgets::empty(
                    ui,
                    cx.say.compare_nothing_title(),
                    cx.say.compare_nothing(),
                    |_| {},
                );
            });
            return;
        }
        let range = axis(both, made);
        self.cursor_s = self.cursor_s.filter(|_| ui.rect_contains_pointer(rect));
        let list = rect.with_max_y(rect.bottom() - AXIS);
        let room = (list.height() + space::M) / made.common.len() as f32 - space::M;
        let height = room.clamp(LOWEST, 300.0);
        let words = (rect.width() * 0.22).clamp(150.0, 220.0);
        widgets::region(ui, list, |ui| {
            ScrollArea::vertical()
                .id_salt("pairs")
                .auto_shrink(false)
                .show(ui, |ui| {
                    let apart = height + space::M;
                    ui.set_height(made.common.len() as f32 * apart - space::M);
                    let origin = ui.min_rect().min;
                    for (row, [i, j]) in made.common.iter().enumerate() {
                        let at = origin + vec2(0.0, row as f32 * apart);
                        let place = Rect::from_min_size(at, vec2(rect.width(), height));
                        if !ui.is_rect_visible(place) {
                            continue;
                        }
                        let halves = [
                            half(both[0], *i, made.zero_us[0]),
                            half(both[1], *j, made.zero_us[1]),
                        ];
                        self.card(ui, place, words, &halves, range, cx);
                    }
                });
        });
        let plot = rect
            .with_min_x(rect.left() + space::L + words)
            .with_max_x(rect.right() - space::M);
        pair_axis(ui, plot, range, rect.bottom() - AXIS * 0.5, cx.say);
    }

    fn card(
        &mut self,
        ui: &mut Ui,
        place: Rect,
        words: f32,
        halves: &[Half<'_>; 2],
        range: (f64, f64),
        cx: &Cx<'_>,
    ) {
        widgets::card_at(ui, place, |_| {});
        let left = place.left() + space::L + words;
        let says = Rect::from_min_max(
            place.min + vec2(space::L, 14.0),
            pos2(left - space::M, place.bottom() - space::S),
        );
        widgets::region(ui, says, |ui| lines(ui, halves, cx));
        let area = Rect::from_min_max(
            pos2(left, place.top() + 14.0),
            pos2(place.right() - space::M, place.bottom() - 12.0),
        );
        pair(ui, area, halves, range, &mut self.cursor_s, cx.say);
    }
}

fn half(review: &Review, sli: usize, zero_us: u64) -> Half<'_> {
    Half {
        sli: &review.scene.slis[sli],
        injections: &review.scene.injections,
        zero_us,
        end_us: review.scene.now.mono_us,
    }
}

/// From the earlier begin to the later end, in seconds after the first injection.
fn axis(both: [&Arc<Review>; 2], made: &SideBySide) -> (f64, f64) {
    let zero = made.zero_us.map(|us| us as f64 / 1e6);
    let end = both.map(|it| it.scene.now.mono_us as f64 / 1e6);
    let from = (-zero[0]).min(-zero[1]);
    let until = (end[0] - zero[0]).max(end[1] - zero[1]);
    (from, until.max(from + 1.0))
}

/// Name and lines; where the second drill was judged by others, those too.
fn lines(ui: &mut Ui, halves: &[Half<'_>; 2], cx: &Cx<'_>) {
    let t = cx.tokens;
    let [first, second] = halves.each_ref().map(|half| half.sli);
    ui.spacing_mut().item_spacing.y = 4.0;
    widgets::one_line(ui, rich(&first.name, medium(size::BODY), t.strong));
    let said = |sli| words::three_lines(cx.say, sli, Scale::of_sli(sli));
    widgets::small(ui, said(first), t.dim);
    if (first.band, first.tolerate, first.stop) != (second.band, second.tolerate, second.stop) {
        widgets::small(ui, cx.say.compare_others(said(second)), t.text);
    }
}

/// Which line is which drill.
fn legend(ui: &mut Ui, both: [&Arc<Review>; 2], cx: &Cx<'_>) {
    ui.spacing_mut().item_spacing.y = 2.0;
    let t = cx.tokens;
    let lines = |ui: &mut Ui| {
        for (which, word) in [cx.say.compare_first(), cx.say.compare_second()]
            .into_iter()
            .enumerate()
        {
            sample(ui, which, t);
            let words = cx.say.compare_line(word, named(both[which], cx));
            ui.label(rich(words, medium(size::NOTE), t.strong));
            ui.add_space(space::L);
        }
    };
    widgets::ends(ui, 24.0, lines, |_| {});
}

/// A piece of a drill's line.
fn sample(ui: &mut Ui, which: usize, t: &Tokens) {
    let (rect, _) = ui.allocate_exact_size(vec2(30.0, 16.0), Sense::hover());
    let stroke = Stroke::new(2.0, pair_inks(t)[which]);
    let ends = [rect.left_center(), rect.right_center()];
    if which == 0 {
        ui.painter().line_segment(ends, stroke);
    } else {
        ui.painter()
            .extend(egui::Shape::dashed_line(&ends, stroke, 7.0, 4.0));
    }
}

const ROW: f32 = 25.0;

/// Every measure of both, and how they differ.
fn table(ui: &mut Ui, made: &SideBySide, cx: &Cx<'_>) {
    let (t, say) = (cx.tokens, cx.say);
    widgets::title(ui, say.compare_title());
    let width = ui.available_width() - 8.0;
    let columns = [0.0, width * 0.6, width * 0.8, width];
    let (head, _) = ui.allocate_exact_size(vec2(width, 20.0), Sense::hover());
    for (word, right) in [say.compare_first(), say.compare_second(), say.compare_change()]
        .into_iter()
        .zip(&columns[1..])
    {
        let at = pos2(head.left() + right, head.center().y);
        ui.painter()
            .text(at, Align2::RIGHT_CENTER, word, regular(size::SMALL), t.dim);
    }
    ScrollArea::vertical()
        .id_salt("differences")
        .auto_shrink(false)
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            let mut of = "";
            for row in &made.rows {
                if row.of != of {
                    of = &row.of;
                    ui.add_space(space::XS);
                    widgets::one_line(ui, rich(of, medium(size::NOTE), t.strong));
                }
                difference(ui, row, &columns, cx);
            }
            for (name, which) in &made.alone {
                let words = if *which == 0 {
                    say.compare_alone_first(name)
                } else {
                    say.compare_alone_second(name)
                };
                widgets::small(ui, words, t.text);
            }
        });
}

fn difference(ui: &mut Ui, row: &Difference, columns: &[f32; 4], cx: &Cx<'_>) {
    let t = cx.tokens;
    let (rect, response) = ui.allocate_exact_size(vec2(columns[3], ROW), Sense::hover());
    let painter = ui.painter();
    painter.hline(rect.x_range(), rect.top(), Stroke::new(1.0, t.line));
    let y = rect.center().y;
    painter.text(
        pos2(rect.left(), y),
        Align2::LEFT_CENTER,
        &row.measure,
        regular(size::NOTE),
        t.text,
    );
    let [first, second] = &row.values;
    for (cell, right) in [first, second, &row.change].into_iter().zip(&columns[1..]) {
        let ink = if row.change.is_empty() && first == second {
            t.dim
        } else {
            t.strong
        };
        painter.text(
            pos2(rect.left() + right, y),
            Align2::RIGHT_CENTER,
            cell,
            regular(size::NOTE),
            ink,
        );
    }
    let name = cx
        .say
        .compare_row(&row.of, &row.measure, first, second, &row.change);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, &name));
}
