//! An indicator's last hour with its lines over it: dragged, moved with the arrow keys, or typed below.

use egui::{Align2, EventFilter, Key, Modifiers, Rect, Sense, Shape, Stroke, Ui, pos2, vec2};
use firedrill_drill::show_value;
use firedrill_plan::{Range, Sli, Source, Stop};
use firedrill_scene::{Ask, PastScene, Remembered};

use super::form::Form;
use crate::{
    cx::Cx,
    messages::Say,
    theme::{Tokens, medium, regular, size, space},
    widgets::{self, rich},
};

/// Height of the plot, points.
const HEIGHT: f32 = 150.0;
/// Room for the lines' names at the right.
const NAMES: f32 = 124.0;
/// How far from a line it is still taken hold of.
const HOLD: f32 = 5.0;
/// The plot shows this much more than values and lines reach.
const ROOM: f64 = 0.08;
/// Values are written with so many digits that count.
const DIGITS: usize = 3;
/// Arrow keys move a line by this much of the plot's height.
const STEP: f64 = 0.01;

/// One end of one of the three lines.
struct Line {
    key: &'static str,
    end: &'static str,
    name: String,
    value: f64,
}

/// Where the values that are drawn are from.
enum Shown<'a> {
    Hour(&'a [(i64, f64)]),
    Drill(Vec<(i64, f64)>),
    Nothing(String),
}

/// Draws it, where the indicator can be read. Wishes for its past when `asks`, and when the person wants it.
pub fn plot(ui: &mut Ui, form: &mut Form<'_>, i: usize, asks: bool, cx: &Cx<'_>) -> Option<Ask> {
    let plan = form.draft.plan()?;
    let sli = plan.slis.get(i)?.clone();
    let of = Remembered {
        metrics: plan.metrics.clone(),
        sli: sli.clone(),
    };
    let past = cx.scene.pasts.iter().find(|past| past.of.same_values(&of));
    let can = matches!(of.metrics.source, Source::Prometheus(_));
    let mut wish = (can && past.is_none() && asks).then(|| Ask::Past(Box::new(of.clone())));
    let shown = shown(past, &sli, can, cx);
    let t = cx.tokens;
    widgets::ends(
        ui,
        24.0,
        |ui| {
            let words = match &shown {
                Shown::Hour(points) => cx.say.past_hour(points.len()),
                Shown::Drill(points) => cx.say.past_drill(points.len()),
                Shown::Nothing(why) => why.clone(),
            };
            let words = format!("{words} · {}", cx.say.past_drag());
            widgets::one_line(ui, rich(words, regular(size::SMALL), t.dim));
        },
        |ui| {
            let label = if past.is_some() {
                cx.say.past_again()
            } else {
                cx.say.past_ask()
            };
            if can && widgets::link(ui, label).clicked() {
                wish = Some(Ask::Past(Box::new(of.clone())));
            }
        },
    );
    let points: &[(i64, f64)] = match &shown {
        Shown::Hour(points) => points,
        Shown::Drill(points) => points,
        Shown::Nothing(_) => &[],
    };
    let lines = lines(&sli, cx.say);
    if !points.is_empty() || !lines.is_empty() {
        draw(ui, form, i, &sli, points, &lines);
    }
    wish
}

fn shown<'a>(past: Option<&'a PastScene>, sli: &Sli, can: bool, cx: &Cx<'_>) -> Shown<'a> {
    match past.map(|past| &past.said) {
        Some(Some(Ok(points))) => return Shown::Hour(points),
        Some(Some(Err(why))) => return Shown::Nothing(cx.say.past_none(why)),
        Some(None) => return Shown::Nothing(cx.say.past_asking().to_owned()),
        None => {}
    }
    if can {
        return Shown::Nothing(cx.say.past_not_asked().to_owned());
    }
    let drill = cx.scene.drill.as_ref();
    let samples = drill.and_then(|drill| drill.slis.iter().find(|it| it.name == sli.name));
    let points: Vec<(i64, f64)> = samples.map_or_else(Vec::new, |it| {
        let until = it.series.last().map_or(0, |last| last.time_us);
        let drawn = it.series.decimated(0, until + 1, 600);
        let points = drawn.runs.iter().flatten();
        points
            .map(|(us, value)| ((us / 1_000).cast_signed(), *value))
            .collect()
    });
    if points.is_empty() {
        Shown::Nothing(cx.say.past_nothing().to_owned())
    } else {
        Shown::Drill(points)
    }
}

/// The ends that the indicator's lines have, from the widest to the narrowest.
fn lines(sli: &Sli, say: Say) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |key, word, range: Range| {
        for (end, sign, value) in [("min", "≥", range.min), ("max", "≤", range.max)] {
            lines.extend(value.map(|value| Line {
                key,
                end,
                name: format!("{word} {sign} {}", show_value(&sli.unit, value)),
                value,
            }));
        }
    };
    if let Stop::Outside { range, .. } = sli.stop {
        add("stop", say.past_line_stop(), range);
    }
    add("tolerate", say.past_line_tolerated(), sli.tolerate);
    add("band", say.past_line_steady(), sli.band);
    lines
}

/// What of the values and lines is seen.
struct Scale {
    low: f64,
    high: f64,
    plot: Rect,
}

impl Scale {
    fn new(plot: Rect, points: &[(i64, f64)], lines: &[Line]) -> Self {
        let all = points
            .iter()
            .map(|it| it.1)
            .chain(lines.iter().map(|it| it.value));
        let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let span = (high - low).max(high.abs() * 1e-3).max(1e-9);
        Self {
            low: low - span * ROOM,
            high: high + span * ROOM,
            plot,
        }
    }

    fn y(&self, value: f64) -> f32 {
        let share = (value - self.low) / (self.high - self.low);
        self.plot.bottom() - share as f32 * self.plot.height()
    }

    fn moved(&self, value: f64, points: f32) -> f64 {
        value - f64::from(points / self.plot.height()) * (self.high - self.low)
    }
}

fn draw(ui: &mut Ui, form: &mut Form<'_>, i: usize, sli: &Sli, points: &[(i64, f64)], lines: &[Line]) {
    let t = Tokens::of(ui);
    let (area, _) = ui.allocate_exact_size(vec2(ui.available_width(), HEIGHT), Sense::hover());
    let plot = area
        .with_max_x(area.right() - NAMES)
        .shrink2(vec2(0.0, space::XS));
    let scale = Scale::new(plot, points, lines);
    ui.painter().rect_filled(plot, 4.0, t.field);
    band(ui, &scale, sli.band, t);
    series(ui, &scale, points, t);
    for x in [plot.left(), plot.right()] {
        ui.painter().vline(x, plot.y_range(), Stroke::new(1.0, t.line));
    }
    let mut beneath = f32::NEG_INFINITY;
    let mut ordered: Vec<&Line> = lines.iter().collect();
    ordered.sort_by(|a, b| b.value.total_cmp(&a.value));
    for line in ordered {
        let at = (scale.y(line.value) - 8.0).max(beneath).min(area.bottom() - 16.0);
        beneath = at + 15.0;
        if let Some(value) = handle(ui, &scale, line, at, t) {
            let path = ["sli", &i.to_string(), line.key, line.end];
            // A line that the plan does not write is that of the next narrower one: writing it makes it its own.
            form.set(&path, rounded(value, scale.high - scale.low));
        }
    }
}

fn band(ui: &Ui, scale: &Scale, band: Range, t: &Tokens) {
    let top = band.max.map_or(scale.plot.top(), |value| scale.y(value));
    let bottom = band.min.map_or(scale.plot.bottom(), |value| scale.y(value));
    let rect = Rect::from_min_max(pos2(scale.plot.left(), top), pos2(scale.plot.right(), bottom));
    ui.painter().rect_filled(rect.intersect(scale.plot), 0.0, t.band);
}

fn series(ui: &Ui, scale: &Scale, points: &[(i64, f64)], t: &Tokens) {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return;
    };
    let span = (last.0 - first.0).max(1) as f32;
    let place = |point: &(i64, f64)| {
        let share = (point.0 - first.0) as f32 / span;
        pos2(scale.plot.left() + share * scale.plot.width(), scale.y(point.1))
    };
    let painter = ui.painter().with_clip_rect(scale.plot.intersect(ui.clip_rect()));
    painter.add(Shape::line(
        points.iter().map(place).collect(),
        Stroke::new(1.5, t.series),
    ));
}

/// One end of a line with its name; gives where it was moved to.
fn handle(ui: &mut Ui, scale: &Scale, line: &Line, name_at: f32, t: &Tokens) -> Option<f64> {
    let y = scale.y(line.value);
    let ink = match line.key {
        "band" => t.steady,
        "tolerate" => t.strong,
        _ => t.out,
    };
    let rect = Rect::from_x_y_ranges(scale.plot.x_range(), y - HOLD..=y + HOLD);
    let id = ui.scope_id().with(("line", line.key, line.end));
    let response = ui.interact(rect, id, Sense::click_and_drag());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Slider, true, &line.name));
    if response.hovered() || response.dragged() {
        ui.set_cursor_icon(egui::CursorIcon::ResizeVertical);
    }
    let strong = response.hovered() || response.has_focus() || response.dragged();
    let stroke = Stroke::new(if strong { 2.5 } else { 1.5 }, ink);
    if line.key == "tolerate" {
        let ends = [pos2(rect.left(), y), pos2(rect.right(), y)];
        ui.painter().extend(Shape::dashed_line(&ends, stroke, 6.0, 4.0));
    } else {
        ui.painter().hline(rect.x_range(), y, stroke);
    }
    let font = if strong {
        medium(size::SMALL)
    } else {
        regular(size::SMALL)
    };
    let at = pos2(scale.plot.right() + 8.0, name_at);
    ui.painter().text(at, Align2::LEFT_TOP, &line.name, font, ink);
    if response.dragged() {
        return Some(scale.moved(line.value, response.drag_delta().y)).filter(|to| to != &line.value);
    }
    if response.clicked() {
        response.request_focus();
    }
    if !response.has_focus() {
        return None;
    }
    let filter = EventFilter {
        vertical_arrows: true,
        ..EventFilter::default()
    };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(id, filter));
    let by = ui.input_mut(|input| {
        let up = input.count_and_consume_key(Modifiers::NONE, Key::ArrowUp);
        let down = input.count_and_consume_key(Modifiers::NONE, Key::ArrowDown);
        up as f64 - down as f64
    });
    (by != 0.0).then_some(line.value + by * STEP * (scale.high - scale.low))
}

/// As a person would write it: to a thousandth of what is seen.
fn rounded(value: f64, span: f64) -> f64 {
    let digits = (DIGITS as f64 - span.abs().log10()).ceil().clamp(0.0, 9.0);
    let scale = 10_f64.powf(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn lines_are_written_as_fine_as_they_are_seen() {
        assert_eq!(rounded(0.299_870_1, 2.0), 0.3);
        assert_eq!(rounded(0.971_234_567, 0.1), 0.971_2);
        assert_eq!(rounded(1_234.56, 4_000.0), 1_235.0);
    }
}
