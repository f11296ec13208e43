//! What a drill found: the verdict with its reasons, numbers before, during and after, the plots, the log, the journal.

use egui::{Align2, Rect, ScrollArea, Sense, Stroke, Ui, pos2, vec2};
use firedrill_scene::{Ask, Numbers, Review, SliNumbers};

use super::super::live::{Before, Filter, Look, Window, cards, log_lines, outcome, people};
use crate::{
    cx::Cx,
    messages::Say,
    theme::{Tokens, medium, mono, regular, size, space},
    widgets::{self, State, rich},
    words::{self, Scale},
};

/// What it remembers: which part of which drill the plots show.
#[derive(Default)]
pub struct Found {
    window: Option<(String, Window)>,
}

impl Found {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, rect: Rect, review: &Review, cx: &mut Cx<'_>) {
        let side = if rect.width() > 1300.0 { 380.0 } else { 330.0 };
        let (left, right) = rect.split_left_right_at_x(rect.right() - side);
        let left = left.with_max_x(left.right() - space::M);
        let head = left.with_max_y(left.top() + head_height(review));
        widgets::card_at(ui, head, |ui| verdict(ui, review, cx));
        let table = (70.0 + 26.0 * (review.numbers.len().max(1) as f32 + 1.0)).min(rect.height() * 0.34);
        let foot = left.with_min_y(left.bottom() - table);
        let plots = Rect::from_min_max(
            pos2(left.left(), head.bottom() + space::M),
            pos2(left.right(), foot.top() - space::M),
        );
        self.plots(ui, plots, review, cx);
        widgets::card_at(ui, foot, |ui| numbers(ui, review));
        aside(ui, right, review, cx);
    }

    fn plots(&mut self, ui: &mut Ui, rect: Rect, review: &Review, cx: &Cx<'_>) {
        let end = review.scene.now.mono_us;
        let mut window = match self.window.take() {
            Some((drill, window)) if drill == review.drill && !window.follows() => window,
            _ => Window::whole(end),
        };
        let look = Look {
            now_us: end,
            clock: false,
            before: Before::of(&review.scene),
        };
        cards(ui, rect, &review.scene, &mut window, look, cx);
        self.window = Some((review.drill.clone(), window));
    }
}

fn head_height(review: &Review) -> f32 {
    const SHOWN: usize = 4;
    96.0 + review.verdict.reasons.len().clamp(1, SHOWN) as f32 * 21.0
}

fn verdict(ui: &mut Ui, review: &Review, cx: &Cx<'_>) {
    let t = cx.tokens;
    let (state, word) = outcome(cx.say, review.verdict.outcome);
    ui.spacing_mut().item_spacing.y = 4.0;
    widgets::ends(
        ui,
        36.0,
        |ui| {
            widgets::pill(ui, state, word, size::HEADING);
            ui.add_space(space::S);
            widgets::one_line(ui, rich(&review.scene.experiment, medium(size::TITLE), t.strong));
        },
        |ui| {
            drop(widgets::dim(
                ui,
                words::date(cx.say, review.scene.origin_wall_ms, cx.zone),
            ));
        },
    );
    widgets::one_line(ui, rich(&review.scene.hypothesis, regular(size::BODY), t.text));
    ScrollArea::vertical()
        .id_salt("reasons")
        .auto_shrink(false)
        .show(ui, |ui| {
            ui.spacing_mut().interact_size.y = 18.0;
            ui.spacing_mut().item_spacing.y = 3.0;
            for reason in &review.verdict.reasons {
                ui.horizontal(|ui| {
                    ui.label(rich(
                        words::clock(reason.at.wall_ms, cx.zone),
                        mono(size::SMALL),
                        t.dim,
                    ));
                    ui.label(rich(&reason.rule, medium(size::NOTE), state.colour(t)));
                    widgets::one_line(ui, rich(&reason.words, regular(size::NOTE), t.text));
                });
            }
            if review.verdict.reasons.is_empty() {
                widgets::dim(ui, cx.say.no_reason());
            }
        });
}

/// The share of the table's width that names take.
const NAMES: f32 = 0.24;

/// Before, during and after: median, 95 of 100, worst side, samples.
fn numbers(ui: &mut Ui, review: &Review) {
    let say = Say::of(ui);
    let t = Tokens::of(ui);
    widgets::title(ui, say.numbers_title());
    let width = ui.available_width();
    let spans = [say.span_before(), say.span_during(), say.span_after()];
    let x = |column: usize| width * NAMES + column as f32 * width * (1.0 - NAMES) / 9.0;
    let (rect, _) = ui.allocate_exact_size(vec2(width, 36.0), Sense::hover());
    for (i, span) in spans.into_iter().enumerate() {
        let (left, right) = (rect.left() + x(i * 3) + 10.0, rect.left() + x(i * 3 + 3) - 8.0);
        let at = pos2(f32::midpoint(left, right), rect.top() + 7.0);
        ui.painter()
            .text(at, Align2::CENTER_CENTER, span, medium(size::SMALL), t.text);
        ui.painter()
            .hline(left..=right, rect.top() + 16.0, Stroke::new(1.0, t.line));
        for (j, word) in [say.median(), "95 %", say.maximum()].into_iter().enumerate() {
            let at = pos2(rect.left() + x(i * 3 + j + 1) - 8.0, rect.top() + 26.0);
            ui.painter()
                .text(at, Align2::RIGHT_CENTER, word, regular(size::SMALL), t.dim);
        }
    }
    ScrollArea::vertical()
        .id_salt("numbers")
        .auto_shrink(false)
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            for row in &review.numbers {
                let scale = review
                    .scene
                    .slis
                    .iter()
                    .find(|sli| sli.name == row.name)
                    .map_or_else(|| Scale::of(&row.unit, &[]), Scale::of_sli);
                number_row(ui, row, scale, width, &x);
            }
        });
}

fn number_row(ui: &mut Ui, row: &SliNumbers, scale: Scale, width: f32, x: &dyn Fn(usize) -> f32) {
    let t = Tokens::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(width, 26.0), Sense::hover());
    let painter = ui.painter();
    painter.hline(rect.x_range(), rect.top(), Stroke::new(1.0, t.line));
    let name = format!("{}, {}", row.name, row.unit);
    let galley = painter.layout_no_wrap(name.clone(), medium(size::NOTE), t.strong);
    let clip = rect.with_max_x(rect.left() + width * NAMES + 6.0);
    painter
        .with_clip_rect(clip.intersect(painter.clip_rect()))
        .galley(
            pos2(rect.left(), rect.center().y - galley.size().y / 2.0),
            galley,
            t.strong,
        );
    for (i, span) in [row.before, row.during, row.after].into_iter().enumerate() {
        let cells = span
            .filter(|n| n.samples > 0)
            .map(|n| [n.median, n.p95, n.max].map(|v| scale.number(v)));
        let cells = cells.unwrap_or_else(|| std::array::from_fn(|_| "–".to_owned()));
        for (j, cell) in cells.into_iter().enumerate() {
            let at = pos2(rect.left() + x(i * 3 + j + 1) - 8.0, rect.center().y);
            let ink = if i == 1 { t.strong } else { t.text };
            painter.text(at, Align2::RIGHT_CENTER, cell, regular(size::NOTE), ink);
        }
    }
    let samples = |n: Option<Numbers>| n.map_or(0, |n| n.samples);
    let (before, during, after) = (samples(row.before), samples(row.during), samples(row.after));
    response.on_hover_text(Say::of(ui).samples_of(name, before, during, after));
}

fn aside(ui: &mut Ui, rect: Rect, review: &Review, cx: &mut Cx<'_>) {
    let (facts, log) = rect.split_top_bottom_at_y(rect.top() + 262.0);
    widgets::card_at(ui, facts, |ui| times(ui, review, cx));
    let log = log.with_min_y(log.top() + space::M);
    widgets::card_at(ui, log, |ui| {
        widgets::title(ui, cx.say.log());
        people(ui, &review.scene);
        ui.add_space(space::XS);
        let place = ui.available_rect_before_wrap();
        widgets::region(ui, place, |ui| log_lines(ui, &review.scene, Filter::All, cx));
    });
}

fn times(ui: &mut Ui, review: &Review, cx: &mut Cx<'_>) {
    let (t, say) = (cx.tokens, cx.say);
    ui.spacing_mut().item_spacing.y = 5.0;
    widgets::title(ui, say.times_title());
    let ms = |value: Option<u64>, none: &str| {
        value.map_or_else(|| none.to_owned(), |ms| words::span_ms(Say::of(ui), ms))
    };
    let stop = review
        .time_to_stop_ms
        .map_or_else(|| say.no_stop().to_owned(), |ms| words::took_us(ms * 1_000));
    let rows = [
        (
            say.time_to_break(),
            ms(review.time_to_break_ms, say.never_broke()),
        ),
        (say.time_to_stop(), stop),
        (
            say.time_to_recover(),
            ms(review.time_to_recover_ms, say.not_reached()),
        ),
        (say.bad_samples(), review.bad_samples.to_string()),
    ];
    for (what, value) in rows {
        widgets::ends(
            ui,
            20.0,
            |ui| drop(ui.label(rich(what, regular(size::NOTE), t.text))),
            |ui| drop(ui.label(rich(value, medium(size::BODY), t.strong))),
        );
    }
    widgets::rule(ui);
    ui.horizontal(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(12.0, 16.0), Sense::hover());
        let state = if review.sealed.is_ok() {
            State::Good
        } else {
            State::Bad
        };
        widgets::shape(ui.painter(), rect.center(), 5.0, state, t);
        match &review.sealed {
            Ok(()) => drop(ui.label(rich(say.journal_sealed(), regular(size::NOTE), t.text))),
            Err(why) => drop(widgets::one_line(
                ui,
                rich(say.journal_broken(why), regular(size::NOTE), t.out),
            )),
        }
    });
    let short: String = review.hash.chars().take(24).collect();
    if !short.is_empty() {
        ui.label(rich(format!("{short} …"), mono(size::SMALL), t.dim))
            .on_hover_text(&review.hash);
    }
    ui.add_space(2.0);
    if let Some(path) = &review.journal
        && widgets::button(ui, say.show_journal()).clicked()
    {
        cx.ask(Ask::Show(path.clone()));
    }
}
