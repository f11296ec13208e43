//! The agenda as a list: each drill with its box and what it needs; move, shorten, skip, start.

use egui::{
    Align2, CornerRadius, CursorIcon, EventFilter, Key, Modifiers, Rect, Role, ScrollArea, Sense, Stroke,
    StrokeKind, Ui, WidgetInfo, pos2, vec2,
};
use firedrill_gameday::{Change, Fit, Slot, Standing, clock, length};
use firedrill_scene::{Ask, GameDayAsk};

use super::{AgendaView, Page, change};
use crate::{
    View,
    cx::Cx,
    messages::Say,
    theme::{medium, radius, regular, size, space},
    views::live::outcome,
    widgets::{self, State, rich},
};

const ROW: f32 = 62.0;
/// One press of a key makes a box this much longer or shorter.
const STEP_MS: u64 = 300_000;
const LEAST_MS: u64 = 60_000;

/// Shape and word of a row.
fn standing(slot: &Slot, say: Say) -> (State, &'static str) {
    match &slot.standing {
        Standing::Planned => (State::Waiting, say.slot_to_come()),
        Standing::Running => (State::Fault, say.slot_on()),
        Standing::Over(it) => outcome(say, *it),
        Standing::Skipped(_) => (State::Waiting, say.slot_skipped()),
    }
}

impl AgendaView {
    /// Draws it.
    pub(super) fn list(&mut self, ui: &mut Ui, page: &Page<'_>, cx: &mut Cx<'_>) {
        let t = cx.tokens;
        let ended = clock(page.schedule.ends_ms, &page.zone);
        widgets::ends(
            ui,
            24.0,
            |ui| drop(widgets::title(ui, cx.say.command_agenda())),
            |ui| {
                let left = page.day.ends_ms().saturating_sub(page.schedule.ends_ms);
                let words = if let Some(over) = page.scene.state.ended_ms {
                    cx.say.over_at(clock(over, &page.zone))
                } else if left < 0 {
                    cx.say.ends_late(ended, length(left.unsigned_abs()))
                } else {
                    cx.say.ends_spare(ended, length(left.unsigned_abs()))
                };
                let ink = if left < 0 { t.fault } else { t.dim };
                ui.label(rich(words, regular(size::NOTE), ink));
            },
        );
        let chosen = self.row(page);
        let foot = 44.0;
        let all = ui.available_rect_before_wrap();
        let place = all.with_max_y(all.bottom() - foot);
        widgets::region(ui, place, |ui| {
            ScrollArea::vertical()
                .id_salt("drills")
                .auto_shrink(false)
                .show(ui, |ui| {
                    ui.spacing_mut().item_spacing.y = space::XS;
                    let top = ui.cursor().top();
                    for (i, slot) in page.schedule.slots.iter().enumerate() {
                        self.one(ui, page, i, slot, chosen.as_ref() == Some(&slot.id), top, cx);
                    }
                });
        });
        let foot = all.with_min_y(place.bottom() + space::S);
        widgets::region(ui, foot, |ui| {
            if let Some(slot) = page
                .schedule
                .slots
                .iter()
                .find(|it| Some(&it.id) == chosen.as_ref())
            {
                ui.horizontal(|ui| actions(ui, page, slot, cx));
            }
        });
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one row: what it is, where it is, how it is"
    )]
    fn one(
        &mut self,
        ui: &mut Ui,
        page: &Page<'_>,
        i: usize,
        slot: &Slot,
        chosen: bool,
        top: f32,
        cx: &mut Cx<'_>,
    ) {
        let (rect, response) =
            ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::click_and_drag());
        let label = format!("{}. {}", i + 1, slot.id);
        response.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, &label));
        if response.clicked() || response.gained_focus() {
            self.chosen = Some(slot.id.clone());
        }
        paint(ui, rect, page, i, slot, (chosen, &response), cx);
        if response.has_focus() {
            keys(ui, &response, page, i, slot, cx);
        }
        if slot.standing == Standing::Planned {
            self.drag_row(ui, page, slot, &response, top, cx);
        }
        response.on_hover_text(cx.say.slot_keys());
    }

    fn drag_row(
        &mut self,
        ui: &Ui,
        page: &Page<'_>,
        slot: &Slot,
        response: &egui::Response,
        top: f32,
        cx: &mut Cx<'_>,
    ) {
        if response.drag_started() {
            self.dragged = Some(slot.id.clone());
        }
        if self.dragged.as_ref() != Some(&slot.id) {
            return;
        }
        let Some(at) = ui.input(|input| input.pointer.interact_pos()) else {
            return;
        };
        let step = ROW + space::XS;
        let gap = ((at.y - top) / step)
            .round()
            .clamp(0.0, page.schedule.slots.len() as f32);
        let from = page
            .schedule
            .slots
            .iter()
            .position(|it| it.id == slot.id)
            .unwrap_or(0);
        // Without the row itself, what is below it is one place higher.
        let to = if gap as usize > from {
            gap as usize - 1
        } else {
            gap as usize
        };
        if response.drag_stopped() {
            self.dragged = None;
            if to != from {
                change(
                    cx,
                    Change::Move {
                        drill: slot.id.clone(),
                        to,
                    },
                );
            }
        } else {
            ui.set_cursor_icon(CursorIcon::Grabbing);
            let y = top + gap * step - space::XS / 2.0;
            ui.painter()
                .hline(response.rect.x_range(), y, Stroke::new(3.0, cx.tokens.series));
        }
    }
}

fn paint(
    ui: &Ui,
    rect: Rect,
    page: &Page<'_>,
    i: usize,
    slot: &Slot,
    (chosen, response): (bool, &egui::Response),
    cx: &Cx<'_>,
) {
    let (t, say) = (cx.tokens, cx.say);
    let painter = ui
        .painter()
        .with_clip_rect(rect.expand(2.0).intersect(ui.clip_rect()));
    let corner = CornerRadius::same(radius::SMALL);
    if chosen || response.hovered() {
        let fill = if chosen {
            t.raised
        } else {
            t.raised.gamma_multiply(0.5)
        };
        painter.rect_filled(rect, corner, fill);
    }
    if response.has_focus() {
        painter.rect_stroke(rect, corner, Stroke::new(2.0, t.series), StrokeKind::Inside);
    }
    let skipped = matches!(slot.standing, Standing::Skipped(_));
    let ink = if skipped { t.dim } else { t.strong };
    let number = pos2(rect.left() + 22.0, rect.center().y);
    painter.circle_stroke(number, 13.0, Stroke::new(1.5, t.line));
    painter.text(
        number,
        Align2::CENTER_CENTER,
        (i + 1).to_string(),
        medium(size::NOTE),
        ink,
    );
    let right = 250.0_f32.min(rect.width() * 0.46);
    let text = painter.with_clip_rect(rect.with_max_x(rect.right() - right).intersect(ui.clip_rect()));
    let at = rect.min + vec2(48.0, 11.0);
    text.text(at, Align2::LEFT_TOP, &slot.id, medium(size::LEAD), ink);
    let times = if skipped {
        match &slot.standing {
            Standing::Skipped(Some(why)) => say.not_run_because(why),
            _ => say.not_run().to_owned(),
        }
    } else {
        say.range_between(clock(slot.from_ms, &page.zone), clock(slot.until_ms, &page.zone))
    };
    let plan = page
        .day
        .row(&slot.id)
        .map_or(say.not_in_file(), |(_, row)| row.plan.as_str());
    let second = format!("{times} · {plan}");
    text.text(
        at + vec2(0.0, 21.0),
        Align2::LEFT_TOP,
        second,
        regular(size::NOTE),
        t.dim,
    );
    fit(&painter, rect, right, page, slot, cx);
}

/// The box, what the drill needs, and whether it fits; or how it went.
fn fit(painter: &egui::Painter, rect: Rect, right: f32, page: &Page<'_>, slot: &Slot, cx: &Cx<'_>) {
    let (t, say) = (cx.tokens, cx.say);
    let left = rect.right() - right;
    let (state, word) = standing(slot, say);
    let planned = slot.standing == Standing::Planned;
    let needs = page.scene.needs_of(&slot.id).filter(|_| planned);
    let (shape, first, second) = match needs {
        None => {
            let second = match slot.standing {
                Standing::Over(_) => {
                    let took = length(slot.until_ms.abs_diff(slot.from_ms));
                    say.slot_took(took, length(slot.box_ms))
                }
                _ => say.slot_box(length(slot.box_ms)),
            };
            (state, word.to_owned(), second)
        }
        Some(needs) => {
            let (shape, word) = match needs.fit(slot.box_ms) {
                Fit::Fits => (State::Good, say.fits()),
                Fit::IfSteady => (State::Tolerated, say.fits_if_steady()),
                Fit::TooShort => (State::Bad, say.too_short()),
            };
            let second = say.slot_box_needs(length(slot.box_ms), length(needs.planned_ms()));
            (shape, word.to_owned(), second)
        }
    };
    let ink = if shape == State::Waiting {
        t.dim
    } else {
        shape.colour(t)
    };
    widgets::shape(painter, pos2(left + 6.0, rect.top() + 21.0), 5.0, shape, t);
    painter.text(
        pos2(left + 18.0, rect.top() + 21.0),
        Align2::LEFT_CENTER,
        first,
        medium(size::NOTE),
        ink,
    );
    painter.text(
        pos2(left + 18.0, rect.top() + 42.0),
        Align2::LEFT_CENTER,
        second,
        regular(size::SMALL),
        t.text,
    );
}

/// Keys of the row that has the focus.
fn keys(ui: &Ui, response: &egui::Response, page: &Page<'_>, i: usize, slot: &Slot, cx: &mut Cx<'_>) {
    // Arrows move the row, not the focus, while Alt is held.
    let filter = EventFilter {
        vertical_arrows: ui.input(|input| input.modifiers.alt),
        ..EventFilter::default()
    };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
    let pressed = |modifiers: Modifiers, key: Key| ui.input_mut(|input| input.consume_key(modifiers, key));
    let drill = slot.id.clone();
    let last = page.schedule.slots.len().saturating_sub(1);
    if pressed(Modifiers::ALT, Key::ArrowUp) && i > 0 {
        change(cx, Change::Move { drill, to: i - 1 });
    } else if pressed(Modifiers::ALT, Key::ArrowDown) && i < last {
        change(cx, Change::Move { drill, to: i + 1 });
    } else if pressed(Modifiers::NONE, Key::Minus) {
        change(cx, shorter(slot));
    } else if pressed(Modifiers::NONE, Key::Plus) || pressed(Modifiers::NONE, Key::Equals) {
        change(cx, longer(slot));
    } else if pressed(Modifiers::NONE, Key::S) {
        change(cx, skip(slot));
    }
}

fn shorter(slot: &Slot) -> Change {
    Change::Box {
        drill: slot.id.clone(),
        box_ms: slot.box_ms.saturating_sub(STEP_MS).max(LEAST_MS),
    }
}

fn longer(slot: &Slot) -> Change {
    Change::Box {
        drill: slot.id.clone(),
        box_ms: slot.box_ms.saturating_add(STEP_MS) / STEP_MS * STEP_MS,
    }
}

fn skip(slot: &Slot) -> Change {
    let drill = slot.id.clone();
    if matches!(slot.standing, Standing::Skipped(_)) {
        Change::Unskip { drill }
    } else {
        Change::Skip { drill, why: None }
    }
}

/// What can be done with the chosen drill, by mouse.
fn actions(ui: &mut Ui, page: &Page<'_>, slot: &Slot, cx: &mut Cx<'_>) {
    let say = cx.say;
    let place = page
        .schedule
        .slots
        .iter()
        .position(|it| it.id == slot.id)
        .unwrap_or(0);
    let last = page.schedule.slots.len().saturating_sub(1);
    let open = match slot.standing {
        _ if page.scene.state.ended_ms.is_some() => Err(say.gameday_is_over()),
        Standing::Planned | Standing::Skipped(_) => Ok(()),
        Standing::Running => Err(say.it_is_on()),
        Standing::Over(_) => Err(say.it_is_over()),
    };
    let drill = || slot.id.clone();
    let up = if place == 0 { Err(say.it_is_first()) } else { open };
    let down = if place == last {
        Err(say.it_is_last())
    } else {
        open
    };
    let skipped = matches!(slot.standing, Standing::Skipped(_));
    let skip_label = if skipped { say.run_after_all() } else { say.skip() };
    for (enabled, label, wish) in [
        (
            up,
            say.command_earlier(),
            Change::Move {
                drill: drill(),
                to: place.saturating_sub(1),
            },
        ),
        (
            down,
            say.command_later(),
            Change::Move {
                drill: drill(),
                to: place + 1,
            },
        ),
        (open, say.five_less(), shorter(slot)),
        (open, say.five_more(), longer(slot)),
        (open, skip_label, skip(slot)),
    ] {
        if widgets::button_if(ui, enabled, label).clicked() {
            change(cx, wish);
        }
    }
    let why = page.scene.state.no_drill_because();
    let enabled = why.as_deref().map_or(Ok(()), Err);
    let label = if matches!(slot.standing, Standing::Over(_)) {
        say.run_again()
    } else {
        say.start_this()
    };
    if widgets::button_if(ui, enabled, label).clicked() {
        cx.ask(Ask::GameDay(GameDayAsk::Begin(slot.id.clone())));
        cx.goto = Some(View::Live);
    }
}
