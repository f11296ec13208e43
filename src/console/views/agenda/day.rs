//! The day's line: a box a drill, in it the time it really needs, now, and the end of the game day.

use egui::{
    Align2, CornerRadius, CursorIcon, Pos2, Rect, Role, Sense, Shape, Stroke, StrokeKind, Ui, WidgetInfo,
    pos2, vec2,
};
use firedrill_gameday::{Change, Needs, Slot, Standing, clock, length};

use super::{AgendaView, Page, change};
use crate::{
    cx::Cx,
    messages::Say,
    theme::{Tokens, medium, radius, regular, size},
    widgets::{self, State, hatching},
};

/// Steps of the axis, in minutes.
const STEPS: [i64; 6] = [5, 10, 15, 30, 60, 120];
const MINUTE_MS: i64 = 60_000;
/// Height of the axis with its labels.
const AXIS: f32 = 22.0;

/// Wall milliseconds to points.
struct Line {
    from_ms: i64,
    until_ms: i64,
    rect: Rect,
}

impl Line {
    fn of(page: &Page<'_>, rect: Rect) -> Self {
        let slots = &page.schedule.slots;
        let from = slots
            .iter()
            .map(|it| it.from_ms)
            .chain([page.day.start.wall_ms])
            .min();
        let until = page.schedule.ends_ms.max(page.day.ends_ms());
        let from_ms = from
            .unwrap_or_default()
            .min(page.scene.state.started_ms.unwrap_or(i64::MAX));
        let pad = (until.saturating_sub(from_ms) / 60).max(MINUTE_MS);
        Self {
            from_ms: from_ms.saturating_sub(pad),
            until_ms: until.saturating_add(pad),
            rect,
        }
    }

    fn x(&self, ms: i64) -> f32 {
        let all = self.until_ms.saturating_sub(self.from_ms).max(1) as f64;
        let share = ms.saturating_sub(self.from_ms) as f64 / all;
        self.rect.left() + (share as f32) * self.rect.width()
    }

    fn visible(&self, ms: i64) -> bool {
        (self.from_ms..=self.until_ms).contains(&ms)
    }
}

impl AgendaView {
    /// Draws it; a box is chosen by a click and moved by a drag.
    pub(super) fn line(&mut self, ui: &mut Ui, page: &Page<'_>, cx: &mut Cx<'_>) {
        let t = cx.tokens;
        let (rect, _) = ui.allocate_exact_size(ui.available_size(), Sense::hover());
        let line = Line::of(page, rect);
        let boxes = rect.with_max_y(rect.bottom() - AXIS);
        axis(ui, &line, page, t);
        let chosen = self.row(page);
        for slot in &page.schedule.slots {
            if matches!(slot.standing, Standing::Skipped(_)) {
                continue;
            }
            let (left, right) = (line.x(slot.from_ms), line.x(slot.until_ms));
            let place =
                Rect::from_x_y_ranges(left..=right.max(left + 6.0), boxes.y_range()).shrink2(vec2(1.5, 2.0));
            let needs = page.scene.needs_of(&slot.id);
            let response = ui.interact(
                place,
                ui.scope_id().with(("slot", &slot.id)),
                Sense::click_and_drag(),
            );
            let name = cx.say.on_days_line(&slot.id);
            response.widget_info(|| {
                WidgetInfo::selected(Role::Button, true, chosen.as_ref() == Some(&slot.id), &name)
            });
            paint(
                ui,
                place,
                &line,
                slot,
                needs,
                (chosen.as_ref() == Some(&slot.id), response.has_focus()),
                t,
            );
            if response.clicked() {
                self.chosen = Some(slot.id.clone());
            }
            if slot.standing == Standing::Planned {
                self.drag(ui, page, &line, slot, &response, cx);
            }
            response.on_hover_text(tip(slot, needs, page, cx.say));
        }
        now(ui, &line, page, t);
    }

    fn drag(
        &mut self,
        ui: &Ui,
        page: &Page<'_>,
        line: &Line,
        slot: &Slot,
        response: &egui::Response,
        cx: &mut Cx<'_>,
    ) {
        if response.dragged() {
            ui.set_cursor_icon(CursorIcon::Grabbing);
            self.chosen = Some(slot.id.clone());
        }
        let Some(at) = ui.input(|input| input.pointer.interact_pos()) else {
            return;
        };
        if !(response.dragged() || response.drag_stopped()) {
            return;
        }
        let to = place_at(page, line, &slot.id, at);
        if response.drag_stopped() {
            let from = page.schedule.slots.iter().position(|it| it.id == slot.id);
            if from != Some(to) {
                change(
                    cx,
                    Change::Move {
                        drill: slot.id.clone(),
                        to,
                    },
                );
            }
        } else {
            // Where it would come to stand.
            let others: Vec<&Slot> = page.schedule.slots.iter().filter(|it| it.id != slot.id).collect();
            let ms = others.get(to).map_or(page.schedule.ends_ms, |it| it.from_ms);
            let stroke = Stroke::new(3.0, cx.tokens.series);
            ui.painter().vline(line.x(ms), line.rect.y_range(), stroke);
        }
    }
}

/// The place in the agenda that a drop at a point means.
fn place_at(page: &Page<'_>, line: &Line, dragged: &str, at: Pos2) -> usize {
    let others = page.schedule.slots.iter().filter(|it| it.id != dragged);
    others
        .take_while(|it| {
            let middle = f32::midpoint(line.x(it.from_ms), line.x(it.until_ms));
            // What was run stays before what is to come.
            !matches!(it.standing, Standing::Planned | Standing::Skipped(_)) || middle < at.x
        })
        .count()
}

fn axis(ui: &Ui, line: &Line, page: &Page<'_>, t: &Tokens) {
    let painter = ui.painter();
    let minutes = (line.until_ms.saturating_sub(line.from_ms) / MINUTE_MS).max(1);
    let labels = (line.rect.width() / 70.0).max(2.0) as i64;
    let step = STEPS
        .into_iter()
        .find(|step| minutes / step <= labels)
        .unwrap_or(240)
        * MINUTE_MS;
    let y = line.rect.bottom() - AXIS;
    painter.hline(line.rect.x_range(), y, Stroke::new(1.0, t.line));
    let mut at = (line.from_ms / step + 1) * step;
    while at <= line.until_ms {
        let x = line.x(at);
        painter.vline(x, y..=y + 4.0, Stroke::new(1.0, t.line));
        if x > line.rect.left() + 18.0 && x < line.rect.right() - 18.0 {
            let place = pos2(x, y + 6.0);
            let text = clock(at, &page.zone);
            painter.text(place, Align2::CENTER_TOP, text, regular(size::SMALL), t.dim);
        }
        at += step;
    }
    let end = page.day.ends_ms();
    let x = line.x(end);
    let dashes = Shape::dashed_line(
        &[pos2(x, line.rect.top()), pos2(x, y)],
        Stroke::new(1.5, t.text),
        5.0,
        4.0,
    );
    painter.extend(dashes);
    let late = page.schedule.over_ms > 0;
    let (words, ink) = if late {
        (Say::of(ui).day_end_early(length(page.schedule.over_ms)), t.fault)
    } else {
        (Say::of(ui).day_end().to_owned(), t.text)
    };
    painter.text(
        pos2(x - 6.0, line.rect.top()),
        Align2::RIGHT_TOP,
        words,
        regular(size::SMALL),
        ink,
    );
}

fn paint(
    ui: &Ui,
    place: Rect,
    line: &Line,
    slot: &Slot,
    needs: Option<Needs>,
    (chosen, focus): (bool, bool),
    t: &Tokens,
) {
    let painter = ui
        .painter()
        .with_clip_rect(place.expand(3.0).intersect(ui.clip_rect()));
    let corner = CornerRadius::same(radius::SMALL);
    let edge = match &slot.standing {
        Standing::Running => t.fault,
        Standing::Over(outcome) => crate::views::live::outcome(Say::of(ui), *outcome).0.colour(t),
        _ => t.series,
    };
    painter.rect_filled(place, corner, t.raised);
    let width = if chosen { 2.0 } else { 1.0 };
    painter.rect_stroke(place, corner, Stroke::new(width, edge), StrokeKind::Inside);
    if slot.standing == Standing::Running {
        for ends in hatching(place.shrink(2.0), 9.0) {
            painter.line_segment(ends, Stroke::new(1.0, t.hatch));
        }
    }
    if let Some(needs) = needs.filter(|_| slot.standing == Standing::Planned) {
        need(&painter, place, line, slot, needs, t);
    }
    // The shape of a box that is too short has its own place.
    let short = slot.standing == Standing::Planned && needs.is_some_and(|it| it.planned_ms() > slot.box_ms);
    let right = place.right() - if short { 19.0 } else { 6.0 };
    let text = place.shrink2(vec2(6.0, 0.0)).with_max_x(right);
    let inside = painter.with_clip_rect(text.intersect(ui.clip_rect()));
    let at = place.min + vec2(9.0, 7.0);
    inside.text(at, Align2::LEFT_TOP, &slot.id, medium(size::NOTE), t.strong);
    let second = match &slot.standing {
        Standing::Over(outcome) => crate::views::live::outcome(Say::of(ui), *outcome)
            .1
            .to_lowercase(),
        Standing::Running => Say::of(ui).on_now().to_owned(),
        _ => length(slot.box_ms),
    };
    inside.text(
        at + vec2(0.0, 18.0),
        Align2::LEFT_TOP,
        second,
        regular(size::SMALL),
        t.text,
    );
    if focus {
        let stroke = Stroke::new(2.0, t.strong);
        painter.rect_stroke(place.expand(1.5), corner, stroke, StrokeKind::Middle);
    }
}

/// At the foot of a box: the time the drill needs, and hatched what a slow baseline takes.
fn need(painter: &egui::Painter, place: Rect, line: &Line, slot: &Slot, needs: Needs, t: &Tokens) {
    let at = |ms: u64| {
        line.x(slot.from_ms.saturating_add_unsigned(ms))
            .min(place.right() - 3.0)
    };
    let bar = |from: f32, until: f32| {
        Rect::from_x_y_ranges(
            from..=until.max(from),
            place.bottom() - 12.0..=place.bottom() - 5.0,
        )
    };
    let short = needs.planned_ms() > slot.box_ms;
    let ink = if short { t.out } else { t.series };
    let (left, planned, most) = (place.left() + 3.0, at(needs.planned_ms()), at(needs.most_ms()));
    painter.rect_filled(bar(left, planned), 2.0, ink);
    if most > planned {
        for ends in hatching(bar(planned, most), 4.0) {
            painter.line_segment(ends, Stroke::new(1.0, ink));
        }
    }
    if short {
        let centre = pos2(place.right() - 10.0, place.top() + 12.0);
        widgets::shape(painter, centre, 5.0, State::Bad, t);
    }
}

fn now(ui: &Ui, line: &Line, page: &Page<'_>, t: &Tokens) {
    let state = &page.scene.state;
    if state.ended_ms.is_some() || !line.visible(page.now_ms) {
        return;
    }
    let x = line.x(page.now_ms);
    let y = line.rect.bottom() - AXIS;
    ui.painter()
        .vline(x, line.rect.top() - 4.0..=y + 3.0, Stroke::new(2.0, t.strong));
    let corners = [pos2(x - 5.0, y + 9.0), pos2(x + 5.0, y + 9.0), pos2(x, y + 2.0)];
    ui.painter()
        .add(Shape::convex_polygon(corners.to_vec(), t.strong, Stroke::NONE));
}

fn tip(slot: &Slot, needs: Option<Needs>, page: &Page<'_>, say: Say) -> String {
    let (from, until) = (clock(slot.from_ms, &page.zone), clock(slot.until_ms, &page.zone));
    let tip = say.slot_tip(&slot.id, from, until, length(slot.box_ms));
    match needs {
        Some(it) => {
            let needed = say.slot_needs(length(it.planned_ms()), length(it.most_ms()), it.words());
            format!("{tip}\n{needed}")
        }
        None => tip,
    }
}
