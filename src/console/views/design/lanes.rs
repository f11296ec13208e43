//! The steps on a line of time, a row a lane: chosen by a click, moved by dragging or by arrow keys.

use egui::{
    Align2, CornerRadius, EventFilter, Key, Modifiers, Rect, Sense, Shape, Stroke, StrokeKind, Ui, Vec2,
    pos2, vec2,
};
use firedrill_catalogue::quantity;
use serde_json::Value;

use super::{
    experiment::Chosen,
    form::Form,
    moving::{Bar, MAIN, moved},
};
use crate::{
    messages::Say,
    theme::{Tokens, medium, regular, size},
    widgets,
};

/// Height of a row, its gap included.
const ROW: f32 = 36.0;
const BAR: f32 = 30.0;
const MARKS: f32 = 22.0;
/// Room for the lanes' names.
const NAMES: f32 = 64.0;

/// A step on its way to another place.
#[derive(Clone, Copy, Debug)]
pub struct Drag {
    step: usize,
    by: Vec2,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Drag,
    Keys,
}

/// Where a step is to begin.
struct Target {
    by: By,
    step: usize,
    lane: String,
    at_ms: u64,
}

fn bars(form: &Form<'_>, e: &str) -> Vec<Bar> {
    let mut lanes: Vec<(String, u64)> = Vec::new();
    let mut bars = Vec::new();
    let ms = |path: &[&str]| {
        quantity::duration_ms(&form.draft.shown(path))
            .unwrap_or(0)
            .min(86_400_000)
    };
    for step in 0..form.draft.len(&["experiment", e, "step"]) {
        let s = step.to_string();
        let base = |key| ["experiment", e, "step", s.as_str(), key];
        let lane = form.draft.shown(&base("lane"));
        let lane = if lane.is_empty() { MAIN.to_owned() } else { lane };
        let at = lanes
            .iter()
            .position(|(name, _)| *name == lane)
            .unwrap_or(lanes.len());
        if at == lanes.len() {
            lanes.push((lane.clone(), 0));
        }
        let wait = form.draft.value(&base("wait")).is_some();
        let length = ms(&base(if wait { "wait" } else { "for" }));
        let times = form
            .draft
            .value(&["experiment", e, "step", &s, "repeat", "times"])
            .and_then(Value::as_u64)
            .unwrap_or(1);
        let every = ms(&["experiment", e, "step", &s, "repeat", "every"]).max(length);
        let from = lanes[at].1;
        let times = times.clamp(1, 1_000);
        let whole = every * (times - 1) + length;
        lanes[at].1 = from + whole;
        let label = if wait {
            "wait".to_owned()
        } else {
            form.draft.shown(&base("inject"))
        };
        bars.push(Bar {
            step,
            lane,
            label,
            from_ms: from,
            until_ms: from + whole,
            ramp_ms: ms(&base("ramp")),
            length_ms: length,
            every_ms: every,
            times,
            wait,
        });
    }
    bars
}

/// The plan's time on the screen.
struct Line {
    left: f32,
    right: f32,
    total_ms: u64,
    /// Steps begin at multiples of this.
    grid_ms: u64,
}

impl Line {
    fn new(left: f32, right: f32, bars: &[Bar]) -> Self {
        const GRIDS_MS: [u64; 9] = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];
        let end = bars.iter().map(|bar| bar.until_ms).max().unwrap_or(0).max(1_000);
        // Room to drag something to the right.
        let total_ms = end + end / 6;
        let a_pixel = total_ms as f32 / (right - left).max(1.0);
        let fits = |grid: &u64| *grid as f32 >= 4.0 * a_pixel;
        Self {
            left,
            right,
            total_ms,
            grid_ms: GRIDS_MS.into_iter().find(fits).unwrap_or(300_000),
        }
    }

    fn x(&self, ms: u64) -> f32 {
        self.left + (self.right - self.left) * (ms as f32 / self.total_ms as f32)
    }

    /// On the grid, `points` to the right of a time.
    fn moved(&self, from_ms: u64, points: f32) -> u64 {
        let ms = from_ms as f32 + points * self.total_ms as f32 / (self.right - self.left).max(1.0);
        (ms.max(0.0) / self.grid_ms as f32).round() as u64 * self.grid_ms
    }
}

/// Draws them.
pub fn steps(ui: &mut Ui, form: &mut Form<'_>, chosen: &mut Chosen, e: &str) {
    let say = Say::of(ui);
    let t = Tokens::of(ui);
    let mut wait = false;
    widgets::ends(
        ui,
        24.0,
        |ui| drop(widgets::title(ui, say.steps())),
        |ui| wait = widgets::link(ui, say.add_wait()).clicked(),
    );
    if wait {
        form.push(&["experiment", e, "step"], "wait = \"30s\"\n");
    }
    let bars = bars(form, e);
    if bars.is_empty() {
        widgets::text(ui, say.no_step());
        return;
    }
    let lanes = rows(&bars);
    let height = MARKS + lanes.len() as f32 * ROW + 20.0;
    let (area, _) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::hover());
    let line = Line::new(area.left() + NAMES, area.right(), &bars);
    time_marks(ui, area, &line, t);
    let mut target = None;
    for (row, lane) in lanes.iter().enumerate() {
        let y = area.top() + MARKS + row as f32 * ROW;
        let clip = Rect::from_min_max(pos2(area.left(), y), pos2(line.left - 6.0, y + BAR));
        let name = ui.painter().with_clip_rect(clip.intersect(ui.clip_rect()));
        name.text(
            clip.left_center(),
            Align2::LEFT_CENTER,
            *lane,
            regular(size::NOTE),
            t.text,
        );
        for bar in bars.iter().filter(|bar| bar.lane == *lane) {
            let right = line.x(bar.until_ms).max(line.x(bar.from_ms) + 10.0) - 2.0;
            let rect = Rect::from_min_max(pos2(line.x(bar.from_ms), y), pos2(right, y + BAR));
            let wish = step_bar(ui, rect, bar, &line, &lanes, row, chosen, t);
            target = wish.or(target);
        }
    }
    let words = say.lanes_tip();
    let foot = pos2(line.left, area.bottom() - 8.0);
    ui.painter()
        .text(foot, Align2::LEFT_CENTER, words, regular(size::SMALL), t.dim);
    if let Some(target) = target {
        go(ui, form, chosen, e, &bars, &target);
    }
}

/// The lanes from top to bottom: the main one, then as the file names them.
fn rows(bars: &[Bar]) -> Vec<&str> {
    let mut lanes: Vec<&str> = Vec::new();
    let main = bars
        .iter()
        .map(|bar| bar.lane.as_str())
        .filter(|lane| *lane == MAIN);
    for lane in main.chain(bars.iter().map(|bar| bar.lane.as_str())) {
        if !lanes.contains(&lane) {
            lanes.push(lane);
        }
    }
    lanes
}

fn go(ui: &Ui, form: &mut Form<'_>, chosen: &mut Chosen, e: &str, bars: &[Bar], target: &Target) {
    let now_s = form.now_s;
    let mut place = target.step;
    let edit = |text: &str| {
        let (text, step) = moved(text, e, bars, target.step, &target.lane, target.at_ms)?;
        place = step;
        Ok(text)
    };
    // Keys that are pressed one after another are one step of undo; every drag is one of its own.
    let field = match target.by {
        By::Keys => "step moved".to_owned(),
        By::Drag => format!("step {} to {} {}", target.step, target.lane, target.at_ms),
    };
    form.draft.edit(edit, &field, now_s);
    form.typed.clear();
    chosen.step = place;
    let id = bar_id(ui, target.step);
    if ui.ctx().memory(|memory| memory.has_focus(id)) {
        ui.ctx()
            .memory_mut(|memory| memory.request_focus(bar_id(ui, place)));
    }
}

fn bar_id(ui: &Ui, step: usize) -> egui::Id {
    ui.scope_id().with(("step bar", step))
}

fn time_marks(ui: &Ui, area: Rect, line: &Line, t: &Tokens) {
    const STEPS_S: [u64; 12] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600];
    let (room, total_ms) = (f64::from(line.right - line.left), line.total_ms);
    let step = STEPS_S
        .into_iter()
        .find(|s| room * (s * 1_000) as f64 / total_ms as f64 >= 76.0)
        .unwrap_or(7_200)
        * 1_000;
    for i in 0..=(total_ms / step) {
        let x = line.x(i * step);
        ui.painter().vline(
            x,
            area.top() + 18.0..=area.bottom() - 20.0,
            Stroke::new(1.0, t.line),
        );
        let anchor = if i == 0 {
            Align2::LEFT_TOP
        } else {
            Align2::CENTER_TOP
        };
        if x < area.right() - 16.0 {
            ui.painter().text(
                pos2(x, area.top()),
                anchor,
                if i == 0 {
                    "0 s".to_owned()
                } else {
                    quantity::show_ms(i * step)
                },
                regular(size::SMALL),
                t.dim,
            );
        }
    }
}

/// One step; gives where it is to go.
#[expect(
    clippy::too_many_arguments,
    reason = "a bar is where step, line and lanes meet"
)]
fn step_bar(
    ui: &mut Ui,
    rect: Rect,
    bar: &Bar,
    line: &Line,
    lanes: &[&str],
    row: usize,
    chosen: &mut Chosen,
    t: &Tokens,
) -> Option<Target> {
    let say = Say::of(ui);
    let name = say.step_name(bar.step + 1, &bar.label);
    let is_chosen = bar.step == chosen.step;
    let response = ui.interact(rect, bar_id(ui, bar.step), Sense::click_and_drag());
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, is_chosen, &name));
    paint_bar(ui, rect, bar, line, t);
    if is_chosen || response.has_focus() {
        let colour = if response.has_focus() { t.series } else { t.strong };
        let stroke = Stroke::new(2.0, colour);
        ui.painter().rect_stroke(
            rect.expand(1.0),
            CornerRadius::same(5),
            stroke,
            StrokeKind::Outside,
        );
    }
    if response.clicked() || response.drag_started() {
        chosen.step = bar.step;
        response.request_focus();
    }
    if let Some(by) = response.total_drag_delta() {
        chosen.drag = Some(Drag { step: bar.step, by });
    }
    let dragged = chosen.drag.filter(|drag| drag.step == bar.step);
    let wished = dragged.map(|drag| {
        let row = (row as f32 + drag.by.y / ROW).round().max(0.0) as usize;
        Target {
            by: By::Drag,
            step: bar.step,
            lane: lane_at(lanes, row),
            at_ms: line.moved(bar.from_ms, drag.by.x),
        }
    });
    if let (Some(wished), Some(drag)) = (&wished, dragged) {
        let rows = (drag.by.y / ROW)
            .round()
            .clamp(-(row as f32), (lanes.len() - row) as f32);
        let place = rect.translate(vec2(line.x(wished.at_ms) - rect.left(), rows * ROW));
        preview(ui, place, wished, t);
    }
    if response.drag_stopped() {
        chosen.drag = None;
        return wished;
    }
    if dragged.is_none() {
        let (from, until) = (quantity::show_ms(bar.from_ms), quantity::show_ms(bar.until_ms));
        let words = say.step_tip(&bar.label, from, until);
        let moved = keys(ui, &response, bar, line, lanes, row);
        response.on_hover_text(words);
        return moved;
    }
    None
}

/// What the arrow keys wish for: time by the grid, another lane.
fn keys(
    ui: &Ui,
    response: &egui::Response,
    bar: &Bar,
    line: &Line,
    lanes: &[&str],
    row: usize,
) -> Option<Target> {
    if !response.has_focus() {
        return None;
    }
    let arrows = EventFilter {
        horizontal_arrows: true,
        vertical_arrows: true,
        ..EventFilter::default()
    };
    ui.ctx()
        .memory_mut(|memory| memory.set_focus_lock_filter(response.id, arrows));
    let pressed = |key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
    let grid = line.grid_ms.max(1_000);
    let to = |lane: String, at_ms| Target {
        by: By::Keys,
        step: bar.step,
        lane,
        at_ms,
    };
    let here = || bar.lane.clone();
    if pressed(Key::ArrowRight) {
        Some(to(here(), bar.from_ms + grid))
    } else if pressed(Key::ArrowLeft) {
        Some(to(here(), bar.from_ms.saturating_sub(grid)))
    } else if pressed(Key::ArrowUp) {
        Some(to(lane_at(lanes, row.checked_sub(1)?), bar.from_ms))
    } else if pressed(Key::ArrowDown) {
        Some(to(lane_at(lanes, row + 1), bar.from_ms))
    } else {
        None
    }
}

/// The lane of a row; below the last one begins a new one.
fn lane_at(lanes: &[&str], row: usize) -> String {
    if let Some(lane) = lanes.get(row) {
        return (*lane).to_owned();
    }
    // One of so many is free.
    let fresh = (2..=lanes.len() + 2)
        .map(|number| format!("lane {number}"))
        .find(|name| !lanes.contains(&name.as_str()));
    if lanes.contains(&MAIN) {
        fresh.unwrap_or_default()
    } else {
        MAIN.to_owned()
    }
}

/// Where a dragged step would begin.
fn preview(ui: &Ui, place: Rect, target: &Target, t: &Tokens) {
    let painter = ui.painter();
    painter.rect_stroke(
        place,
        CornerRadius::same(4),
        Stroke::new(2.0, t.series),
        StrokeKind::Inside,
    );
    let words = Say::of(ui).step_target(quantity::show_ms(target.at_ms), &target.lane);
    let galley = painter.layout_no_wrap(words, medium(size::SMALL), t.strong);
    let ground = Rect::from_min_size(place.min + vec2(4.0, 6.0), galley.size()).expand2(vec2(4.0, 2.0));
    painter.rect_filled(ground, CornerRadius::same(3), t.raised);
    painter.galley(ground.min + vec2(4.0, 2.0), galley, t.strong);
}

fn paint_bar(ui: &Ui, rect: Rect, bar: &Bar, line: &Line, t: &Tokens) {
    let painter = ui.painter();
    let (fill, ink) = if bar.wait {
        (t.raised, t.text)
    } else {
        (t.fault, t.on_fault)
    };
    // Each run of a step that repeats is a bar of its own.
    for run in 0..bar.times.min(50) {
        let from_ms = bar.from_ms + run * bar.every_ms;
        let left = line.x(from_ms);
        let right = (line.x(from_ms + bar.length_ms) - 2.0)
            .max(left + 4.0)
            .min(rect.right());
        let one = Rect::from_min_max(pos2(left, rect.top()), pos2(right, rect.bottom()));
        let ramp = line.x(from_ms + bar.ramp_ms).min(right);
        if ramp > left + 1.0 && !bar.wait {
            let wedge = vec![
                one.left_bottom(),
                pos2(ramp, one.top()),
                one.right_top(),
                one.right_bottom(),
            ];
            painter.add(Shape::convex_polygon(wedge, fill, Stroke::NONE));
        } else {
            painter.rect_filled(one, CornerRadius::same(4), fill);
        }
    }
    let start = if bar.wait {
        rect.left()
    } else {
        line.x(bar.from_ms + bar.ramp_ms).clamp(rect.left(), rect.right())
    };
    let first = line.x(bar.from_ms + bar.length_ms).max(rect.left() + 10.0);
    let clip = rect.with_min_x(start).with_max_x(first).intersect(ui.clip_rect());
    painter.with_clip_rect(clip).text(
        pos2(start + 8.0, rect.center().y),
        Align2::LEFT_CENTER,
        &bar.label,
        medium(size::NOTE),
        ink,
    );
}
