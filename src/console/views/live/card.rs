//! The SLI cards in columns, scrolled, with one time axis below; only cards in sight are drawn.

use egui::{Align2, Rect, ScrollArea, Stroke, Ui, pos2, vec2};
use firedrill_drill::SliState;
use firedrill_scene::{DrillScene, SliScene};

use super::{
    before::Before,
    plot::{GUTTER, Source, faint, plot},
    window::{Window, time_step_us},
};
use crate::{
    cx::Cx,
    theme::{medium, regular, size, space},
    widgets::{self, State, rich},
    words::{self, Scale},
};

/// Height of the time axis.
const AXIS: f32 = 22.0;
const LOWEST: f32 = 146.0;

/// What differs between Live and a look back.
#[derive(Clone, Copy)]
pub struct Look {
    /// Now, or the end.
    pub now_us: u64,
    /// Ages and fuses are shown.
    pub clock: bool,
    /// What is drawn faintly under the injection.
    pub before: Option<Before>,
}

/// Draws every card into `rect`. Gives how many samples a pixel hides at most.
pub fn cards(
    ui: &mut Ui,
    rect: Rect,
    drill: &DrillScene,
    window: &mut Window,
    look: Look,
    cx: &Cx<'_>,
) -> f64 {
    if drill.slis.is_empty() {
        return 0.0;
    }
    let grid = Grid::of(rect, drill.slis.len());
    window.cursor_us = window.cursor_us.filter(|_| ui.rect_contains_pointer(rect));
    let list = rect.with_max_y(rect.bottom() - AXIS);
    let mut hidden = 0.0_f64;
    widgets::region(ui, list, |ui| {
        ui.spacing_mut().item_spacing = vec2(0.0, 0.0);
        ScrollArea::vertical()
            .id_salt("cards")
            .auto_shrink(false)
            .show_viewport(ui, |ui, sight| {
                ui.set_height(grid.rows as f32 * (grid.height + space::M) - space::M);
                let origin = ui.min_rect().min;
                for (i, sli) in drill.slis.iter().enumerate() {
                    let place = grid.place(i);
                    if place.intersects(sight) {
                        let place = place.translate(origin.to_vec2());
                        let share = ui
                            .push_id(&sli.name, |ui| {
                                card(ui, place, &grid, sli, drill, window, look, cx)
                            })
                            .inner;
                        hidden = hidden.max(share);
                    }
                }
            });
    });
    for column in 0..grid.columns {
        let place = grid.place(column).translate(rect.min.to_vec2());
        axis(ui, place, &grid, rect.bottom(), drill, window, look, cx);
    }
    hidden
}

/// How cards are laid out.
struct Grid {
    columns: usize,
    rows: usize,
    width: f32,
    height: f32,
    /// Width of the words, left of a plot.
    words: f32,
}

impl Grid {
    fn of(rect: Rect, count: usize) -> Self {
        let fit = (rect.width() / 360.0).floor().clamp(1.0, 3.0) as usize;
        let wanted = match count {
            0..=4 => 1,
            5..=8 => 2,
            _ => 3,
        };
        let columns = wanted.min(fit);
        let rows = count.div_ceil(columns);
        let width = (rect.width() - space::M * (columns as f32 - 1.0)) / columns as f32;
        let room = (rect.height() - AXIS + space::M) / rows as f32 - space::M;
        let words = if columns == 1 {
            (width * 0.22).clamp(168.0, 220.0)
        } else {
            138.0
        };
        Self {
            columns,
            rows,
            width,
            height: room.clamp(LOWEST, 300.0).floor(),
            words,
        }
    }

    fn place(&self, i: usize) -> Rect {
        let (row, column) = (i / self.columns, i % self.columns);
        let at = pos2(
            column as f32 * (self.width + space::M),
            row as f32 * (self.height + space::M),
        );
        Rect::from_min_size(at, vec2(self.width, self.height))
    }

    /// Left and right end of the plot in a card.
    fn plot(&self, card: Rect) -> (f32, f32) {
        (card.left() + space::L + self.words, card.right() - space::M)
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "a card is the place where all of them meet"
)]
fn card(
    ui: &mut Ui,
    place: Rect,
    grid: &Grid,
    sli: &SliScene,
    drill: &DrillScene,
    window: &mut Window,
    look: Look,
    cx: &Cx<'_>,
) -> f64 {
    let scale = Scale::of_sli(sli);
    widgets::card_at(ui, place, |_| {});
    let (left, right) = grid.plot(place);
    let words = Rect::from_min_max(
        place.min + vec2(space::L, 14.0),
        pos2(left - space::M, place.bottom() - space::S),
    );
    widgets::region(ui, words, |ui| says(ui, sli, scale, look, cx));
    let area = Rect::from_min_max(pos2(left, place.top() + 14.0), pos2(right, place.bottom() - 12.0));
    let source = Source {
        sli,
        injections: &drill.injections,
        before: look.before,
        now_us: look.now_us,
        scale,
    };
    plot(ui, area, &source, window, &|us| cx.clock_of(drill, us))
}

/// Name, lines, number, state, age, fuse.
fn says(ui: &mut Ui, sli: &SliScene, scale: Scale, look: Look, cx: &Cx<'_>) {
    let t = cx.tokens;
    let compact = ui.available_height() < 150.0;
    ui.spacing_mut().item_spacing.y = if compact { 2.0 } else { 5.0 };
    widgets::one_line(ui, rich(&sli.name, medium(size::BODY), t.strong));
    let lines = rich(
        words::three_lines(cx.say, sli, scale),
        regular(size::SMALL),
        t.dim,
    );
    if compact {
        widgets::one_line(ui, lines)
    } else {
        ui.label(lines)
    };
    ui.add_space(if compact { 0.0 } else { 2.0 });
    let points = if compact { 22.0 } else { size::NUMBER };
    widgets::stat(ui, sli, scale, [points, size::BODY]);
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        widgets::pill(
            ui,
            State::from(sli.state),
            widgets::word(cx.say, sli.state),
            size::NOTE,
        );
        if look.clock
            && let Some(age) = sli.age_ms
        {
            let words = words::age(cx.say, age + cx.since_ms);
            if ui.available_width() > 48.0 || !compact {
                widgets::dim(ui, words);
            }
        }
    });
    if sli.state == SliState::NoData
        && let Some(why) = &sli.why_no_data
    {
        // The fuse below needs its place.
        let left = ui.available_height() - if sli.bad_in_row > 0 { 62.0 } else { 4.0 };
        if left > 14.0 {
            let mut job = egui::text::LayoutJob::simple(
                why.clone(),
                regular(size::SMALL),
                t.text,
                ui.available_width(),
            );
            job.wrap.max_rows = (left / 15.0).floor().max(1.0) as usize;
            ui.label(job).on_hover_text(why);
        }
    }
    if look.clock && sli.bad_in_row > 0 {
        widgets::fuse(ui, sli.bad_in_row, sli.stop.after(), compact);
    }
}

/// Clock times below a column of cards, with the cursor's.
#[expect(clippy::too_many_arguments, reason = "as for a card")]
fn axis(
    ui: &Ui,
    column: Rect,
    grid: &Grid,
    bottom: f32,
    drill: &DrillScene,
    window: &Window,
    look: Look,
    cx: &Cx<'_>,
) {
    let t = cx.tokens;
    let (left, right) = grid.plot(column);
    let right = right - GUTTER;
    let (from, until) = window.edges(look.now_us);
    let width = f64::from(right - left);
    let step = time_step_us(until - from, 96.0 / width.max(96.0));
    let origin_us = drill.origin_wall_ms * 1_000;
    let first = (origin_us + from as i64).div_euclid(step) + 1;
    let y = bottom - AXIS * 0.5;
    if look.before.is_some() {
        let sample = right + space::S..=right + space::S + 14.0;
        ui.painter().hline(sample.clone(), y, Stroke::new(1.6, faint(t)));
        let at = pos2(sample.end() + space::XS, y);
        ui.painter().text(
            at,
            Align2::LEFT_CENTER,
            cx.say.plot_before(),
            regular(size::SMALL),
            t.dim,
        );
    }
    for i in first..first + 40 {
        let mono = (i * step - origin_us) as f64;
        if mono > until {
            break;
        }
        let x = left + ((mono - from) / (until - from) * width) as f32;
        if x < left + 24.0 || x > right - 24.0 {
            continue;
        }
        let text = words::clock((i * step) / 1_000, cx.zone);
        ui.painter().text(
            pos2(x, y),
            Align2::CENTER_CENTER,
            text,
            regular(size::SMALL),
            t.dim,
        );
        ui.painter().vline(x, y - 10.0..=y - 7.0, Stroke::new(1.0, t.dim));
    }
}
