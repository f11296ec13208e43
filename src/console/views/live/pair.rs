//! One indicator of two drills in one plot, on a time axis that begins with the first injection of each: the first
//! drill solid, the second dashed.

use egui::{Align2, Color32, Rect, Sense, Stroke, StrokeKind, Ui, pos2, vec2};
use egui_plot::{Plot, PlotBounds, VLine};
use firedrill_scene::{InjectionScene, SliScene};

use super::{
    plot::{Dress, GUTTER, Ground, Source, height, labels, limits, numbers},
    trace::{Trace, columns},
    window::time_step_us,
};
use crate::{
    messages::Say,
    theme::{Tokens, regular, size},
    widgets,
    words::Scale,
};

/// One of the two.
pub struct Half<'a> {
    /// The indicator.
    pub sli: &'a SliScene,
    /// Every injection of its drill.
    pub injections: &'a [InjectionScene],
    /// Zero of the common axis, microseconds since its drill was made.
    pub zero_us: u64,
    /// Its drill's end, likewise.
    pub end_us: u64,
}

impl Half<'_> {
    fn zero_s(&self) -> f64 {
        self.zero_us as f64 / 1e6
    }

    /// A time of the common axis by its drill's clock.
    fn us(&self, seconds: f64) -> u64 {
        ((seconds + self.zero_s()) * 1e6).max(0.0) as u64
    }

    fn source(&self, scale: Scale) -> Source<'_> {
        Source {
            sli: self.sli,
            injections: self.injections,
            before: None,
            now_us: self.end_us,
            scale,
        }
    }
}

/// The colour of each drill's line.
pub fn inks(t: &Tokens) -> [Color32; 2] {
    [t.series, t.strong]
}

/// Draws both between two times of the common axis, in seconds; the pointer moves the cursor.
pub fn pair(
    ui: &mut Ui,
    rect: Rect,
    halves: &[Half<'_>; 2],
    (from, until): (f64, f64),
    cursor: &mut Option<f64>,
    say: Say,
) {
    let t = Tokens::of(ui);
    let area = rect.with_max_x(rect.right() - GUTTER);
    let scale = Scale::of_sli(halves[0].sli);
    let sources = halves.each_ref().map(|half| half.source(scale));
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for (half, source) in halves.iter().zip(&sources) {
        let (least, most) = height(source, &(half.us(from)..=half.us(until)), area.height());
        (low, high) = (low.min(least), high.max(most));
    }
    let bounds = PlotBounds::from_min_max([from, low], [until, high]);
    let columns = columns(area.width());
    let drawn = halves
        .each_ref()
        .map(|half| half.sli.series.decimated(half.us(from), half.us(until), columns));
    let response = widgets::region(ui, area, |ui| {
        Plot::new(("pair", &halves[0].sli.name))
            .width(area.width())
            .height(area.height())
            .show_axes(false)
            .show_grid(false)
            .show_background(false)
            .show_x(false)
            .show_y(false)
            .allow_zoom(false)
            .allow_drag(false)
            .allow_scroll(false)
            .allow_boxed_zoom(false)
            .allow_double_click_reset(false)
            .set_margin_fraction(egui::Vec2::ZERO)
            .sense(Sense::hover())
            .show(ui, |plot| {
                plot.set_plot_bounds(bounds);
                plot.add(Ground::of(&sources[0], 1.0, t).earlier(halves[0].zero_s()));
                limits(plot, &sources[0], 1.0, t);
                let [first, second] = inks(t);
                let line = |i: usize, ink| {
                    Trace::new(
                        ["first", "second"][i],
                        &drawn[i],
                        -halves[i].zero_s(),
                        scale.factor,
                        ink,
                    )
                };
                plot.add(line(0, first));
                plot.add(line(1, second).dashed());
                if let Some(cursor) = *cursor {
                    plot.vline(
                        VLine::new("cursor", cursor)
                            .color(t.dim)
                            .width(1.0)
                            .allow_hover(false),
                    );
                }
            })
            .response
    });
    let name = say.compare_plot(&halves[0].sli.name);
    let response = widgets::named(response, &name);
    second_bars(ui, area, &halves[1], (from, until), t);
    labels(ui, area, &sources[0], (low, high), Dress::DESK, t);
    numbers(ui, area, low, high, t);
    if let Some(at) = response.hover_pos() {
        let share = f64::from((at.x - area.left()) / area.width());
        *cursor = Some(from + (until - from) * share);
    }
    if let Some(at) = *cursor {
        let share = ((at - from) / (until - from)) as f32;
        read_out(ui, area, halves, scale, (at, share), say);
    }
}

/// When faults of the second drill were on: hollow bars below the first one's.
fn second_bars(ui: &Ui, area: Rect, half: &Half<'_>, (from, until): (f64, f64), t: &Tokens) {
    let x = |us: u64| {
        let share = ((us as f64 / 1e6 - half.zero_s() - from) / (until - from)).clamp(0.0, 1.0);
        area.left() + area.width() * share as f32
    };
    for injection in half.injections {
        let Some(on) = injection.from_us else { continue };
        let off = injection.until_us.unwrap_or(half.end_us);
        let bar = Rect::from_min_max(pos2(x(on), area.top() + 7.0), pos2(x(off), area.top() + 12.0));
        ui.painter()
            .rect_stroke(bar, 1.0, Stroke::new(1.0, t.fault), StrokeKind::Inside);
    }
}

fn read_out(ui: &Ui, area: Rect, halves: &[Half<'_>; 2], scale: Scale, (at, share): (f64, f32), say: Say) {
    let t = Tokens::of(ui);
    let value = |half: &Half<'_>| {
        let inside = at + half.zero_s() >= 0.0 && half.us(at) <= half.end_us;
        let point = half.sli.series.latest_at(half.us(at)).filter(|_| inside);
        match point.map(|it| it.value) {
            Some(Some(value)) => scale.with_unit(value, &half.sli.unit),
            Some(None) => say.state_no_data().to_owned(),
            None => say.compare_beyond().to_owned(),
        }
    };
    let words = format!(
        "{}  {}",
        since(at),
        say.compare_values(value(&halves[0]), value(&halves[1]))
    );
    let galley = ui.painter().layout_no_wrap(words, regular(size::SMALL), t.strong);
    let x = area.left() + area.width() * share;
    let left = if x + galley.size().x + 20.0 > area.right() {
        x - galley.size().x - 14.0
    } else {
        x + 6.0
    };
    let place = Rect::from_min_size(pos2(left, area.top() + 16.0), galley.size()).expand2(vec2(5.0, 2.0));
    ui.painter().rect_filled(place, 4.0, t.raised);
    ui.painter().galley(place.min + vec2(5.0, 2.0), galley, t.strong);
}

/// `+ 12.0 s` after the first injection, `− 3.5 s` before it.
fn since(seconds: f64) -> String {
    let sign = if seconds < 0.0 { "\u{2212}" } else { "+" };
    format!("{sign} {:.1} s", seconds.abs())
}

/// Times after the first injection, below a plot.
pub fn pair_axis(ui: &Ui, rect: Rect, (from, until): (f64, f64), y: f32, say: Say) {
    let t = Tokens::of(ui);
    let (left, right) = (rect.left(), rect.right() - GUTTER);
    let width = f64::from(right - left).max(1.0);
    let step = time_step_us((until - from) * 1e6, 70.0 / width) as f64 / 1e6;
    let first = (from / step).ceil() as i64;
    for i in first..first + 60 {
        let at = i as f64 * step;
        if at > until {
            break;
        }
        let x = left + ((at - from) / (until - from) * width) as f32;
        let words = match i {
            0 => say.compare_zero().to_owned(),
            _ if step < 1.0 => since(at),
            _ => format!("{} {:.0} s", if at < 0.0 { "\u{2212}" } else { "+" }, at.abs()),
        };
        ui.painter().text(
            pos2(x, y),
            Align2::CENTER_CENTER,
            words,
            regular(size::SMALL),
            t.dim,
        );
        ui.painter().vline(x, y - 12.0..=y - 8.0, Stroke::new(1.0, t.dim));
    }
}
