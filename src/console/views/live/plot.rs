//! One SLI's plot: band as ground and edge, tolerance, stop, injection windows, the series, bad samples, cursor.

use std::ops::RangeInclusive;

use egui::{Align2, Color32, Rect, Response, Sense, Shape, Stroke, Ui, pos2, vec2};
use egui_plot::{
    HLine, LineStyle, MarkerShape, Plot, PlotBounds, PlotGeometry, PlotItem, PlotItemBase, PlotTransform,
    Points, VLine,
};
use firedrill_plan::Stop;
use firedrill_scene::{InjectionScene, SliScene};
use firedrill_series::Decimated;

use super::{
    before::{Before, Ghost},
    trace::{Trace, columns, samples_per_point},
    window::{Window, ticks},
};
use crate::{
    messages::Say,
    theme::{Tokens, regular, size, space},
    widgets,
    words::Scale,
};

/// Room for the numbers at the right, points.
pub const GUTTER: f32 = 52.0;
/// Height of the bar over an injection window.
const BAR: f32 = 5.0;

/// What a plot is drawn from.
pub struct Source<'a> {
    /// The SLI.
    pub sli: &'a SliScene,
    /// Every injection of the drill.
    pub injections: &'a [InjectionScene],
    /// The steady state to compare with.
    pub before: Option<Before>,
    /// Now, or the end.
    pub now_us: u64,
    /// How values are shown.
    pub scale: Scale,
}

/// How large a plot's marks are.
#[derive(Clone, Copy)]
pub struct Dress {
    /// The names of lines, points.
    pub letters: f32,
    /// Every stroke, times this.
    pub bold: f32,
}

impl Dress {
    /// At a desk.
    pub const DESK: Self = Self {
        letters: size::SMALL,
        bold: 1.0,
    };
}

/// The series as it is, and as it was.
struct Drawn {
    now: Decimated,
    before: Option<Ghost>,
}

/// Draws the plot into `rect` and lets the pointer move `window`. Gives how many samples a pixel hides.
pub fn plot(
    ui: &mut Ui,
    rect: Rect,
    source: &Source<'_>,
    window: &mut Window,
    clock: &dyn Fn(u64) -> String,
) -> f64 {
    let (t, say) = (Tokens::of(ui), Say::of(ui));
    let area = rect.with_max_x(rect.right() - GUTTER);
    let (from, until) = window.edges(source.now_us);
    let sight = Sight {
        cursor_us: window.cursor_us,
        dress: Dress::DESK,
        sense: Sense::click_and_drag(),
    };
    let (drawn, (low, high), response) = draw(ui, area, source, window, sight, t);
    let response = widgets::named(response, &say.plot_of(&source.sli.name));
    numbers(ui, area, low, high, t);
    pointer(ui, &response, area, window, source.now_us);
    if let Some(cursor) = window.cursor_us {
        read_out(
            ui,
            area,
            source,
            (cursor - from) / (until - from),
            cursor,
            clock,
            t,
        );
    }
    samples_per_point(&drawn.now)
}

/// The plot without digits, over the whole of `rect`; the pointer moves nothing.
pub fn bare(ui: &mut Ui, rect: Rect, source: &Source<'_>, window: &Window, dress: Dress) {
    let sight = Sight {
        cursor_us: None,
        dress,
        sense: Sense::hover(),
    };
    draw(ui, rect, source, window, sight, Tokens::of(ui));
}

/// What differs between one plot and another.
#[derive(Clone, Copy)]
struct Sight {
    cursor_us: Option<f64>,
    dress: Dress,
    sense: Sense,
}

/// The plot and the names of its lines. Gives what was drawn, the lowest and highest value in sight, the response.
fn draw(
    ui: &mut Ui,
    area: Rect,
    source: &Source<'_>,
    window: &Window,
    sight: Sight,
    t: &Tokens,
) -> (Drawn, (f64, f64), Response) {
    let (from, until) = window.edges(source.now_us);
    let edges = from.max(0.0) as u64..=until.max(0.0) as u64;
    let columns = columns(area.width());
    let series = &source.sli.series;
    let drawn = Drawn {
        now: series.decimated(*edges.start(), *edges.end(), columns),
        before: source
            .before
            .and_then(|before| before.ghost(series, (from, until), columns)),
    };
    let (low, high) = height(source, &edges, area.height());
    let bounds = PlotBounds::from_min_max([from / 1e6, low], [until / 1e6, high]);
    let response = show(ui, area, source, bounds, &drawn, sight, t);
    labels(ui, area, source, (low, high), sight.dress, t);
    (drawn, (low, high), response)
}

fn show(
    ui: &mut Ui,
    area: Rect,
    source: &Source<'_>,
    bounds: PlotBounds,
    drawn: &Drawn,
    sight: Sight,
    t: &Tokens,
) -> Response {
    let factor = source.scale.factor;
    let bold = sight.dress.bold;
    widgets::region(ui, area, |ui| {
        Plot::new(("sli", &source.sli.name))
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
            .sense(sight.sense)
            .show(ui, |plot| {
                plot.set_plot_bounds(bounds);
                plot.add(Ground::of(source, bold, t));
                limits(plot, source, bold, t);
                if let Some(ghost) = &drawn.before {
                    plot.add(Trace::new("before", &ghost.drawn, ghost.shift, factor, faint(t)).bold(bold));
                }
                plot.add(Trace::new("series", &drawn.now, 0.0, factor, t.series).bold(bold));
                bad(plot, source, bounds, bold, t);
                if let Some(cursor) = sight.cursor_us {
                    plot.vline(
                        VLine::new("cursor", cursor / 1e6)
                            .color(t.dim)
                            .width(1.0)
                            .allow_hover(false),
                    );
                }
            })
            .response
    })
}

/// What was before.
pub fn faint(t: &Tokens) -> Color32 {
    t.series.gamma_multiply(0.4)
}

/// Edge of the band solid, tolerance dashed, stop dotted.
pub(super) fn limits(plot: &mut egui_plot::PlotUi<'_>, source: &Source<'_>, bold: f32, t: &Tokens) {
    for line in limit_lines(source) {
        let (style, width, colour) = match line.kind {
            Limit::Steady => (LineStyle::Solid, 1.5, t.steady),
            Limit::Tolerated => (LineStyle::dashed_loose(), 1.5, t.steady),
            Limit::Stop => (LineStyle::Dotted { spacing: 5.0 * bold }, 1.0, t.out),
        };
        let name = format!("{:?} {}", line.kind, line.at);
        plot.hline(
            HLine::new(name, line.at)
                .style(style)
                .width(width * bold)
                .color(colour)
                .allow_hover(false),
        );
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Steady,
    Tolerated,
    Stop,
}

impl Limit {
    fn word(self, say: Say) -> &'static str {
        match self {
            Self::Steady => say.state_steady(),
            Self::Tolerated => say.state_tolerated(),
            Self::Stop => say.limit_stop(),
        }
    }
}

struct LimitLine {
    kind: Limit,
    /// In the shown unit.
    at: f64,
}

fn limit_lines(source: &Source<'_>) -> Vec<LimitLine> {
    let sli = source.sli;
    let mut lines = Vec::new();
    let mut add = |kind, ends: [Option<f64>; 2]| {
        lines.extend(ends.into_iter().flatten().map(|at| LimitLine {
            kind,
            at: at * source.scale.factor,
        }));
    };
    add(Limit::Steady, [sli.band.min, sli.band.max]);
    if sli.tolerate != sli.band {
        add(Limit::Tolerated, [sli.tolerate.min, sli.tolerate.max]);
    }
    if let Stop::Outside { range, .. } = sli.stop {
        add(Limit::Stop, [range.min, range.max]);
    }
    lines
}

/// Bad samples as hollow squares where they were, crosses at the foot where there was no data.
fn bad(plot: &mut egui_plot::PlotUi<'_>, source: &Source<'_>, bounds: PlotBounds, bold: f32, t: &Tokens) {
    let (from, until) = (bounds.min()[0], bounds.max()[0]);
    let foot = bounds.min()[1] + (bounds.max()[1] - bounds.min()[1]) * 0.04;
    let in_sight = |us: u64| (from..=until).contains(&(us as f64 / 1e6));
    let (mut seen, mut blind) = (Vec::new(), Vec::new());
    for (us, value) in source.sli.bad.iter().filter(|(us, _)| in_sight(*us)) {
        let x = *us as f64 / 1e6;
        match value {
            Some(value) => seen.push([x, value * source.scale.factor]),
            None => blind.push([x, foot]),
        }
    }
    let seen = Points::new("bad", seen)
        .shape(MarkerShape::Square)
        .filled(false)
        .radius(5.0 * bold);
    plot.points(seen.color(t.out).allow_hover(false));
    let blind = Points::new("no data", blind)
        .shape(MarkerShape::Cross)
        .radius(4.0 * bold);
    plot.points(blind.color(t.no_data).allow_hover(false));
}

/// From the lowest to the highest that must be seen, in the shown unit.
pub(super) fn height(source: &Source<'_>, edges: &RangeInclusive<u64>, points: f32) -> (f64, f64) {
    let (sli, factor) = (source.sli, source.scale.factor);
    let data = sli.series.min_max(*edges.start(), *edges.end());
    let judged = [sli.band.min, sli.band.max, sli.tolerate.min, sli.tolerate.max];
    let mut seen: Vec<f64> = judged
        .into_iter()
        .flatten()
        .chain(data.into_iter().flat_map(|(a, b)| [a, b]))
        .collect();
    if let Stop::Outside { range, .. } = sli.stop {
        // A stop line far away would flatten everything: it comes into sight once values leave tolerance.
        let (least, most) = data.unwrap_or((f64::INFINITY, f64::NEG_INFINITY));
        let lowest = seen.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = seen.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let near = (highest - lowest) * 0.8;
        let below = sli.tolerate.min.is_some_and(|line| least < line);
        let above = sli.tolerate.max.is_some_and(|line| most > line);
        seen.extend(range.min.filter(|stop| below || lowest - stop <= near));
        seen.extend(range.max.filter(|stop| above || stop - highest <= near));
    }
    let low = seen.iter().copied().fold(f64::INFINITY, f64::min) * factor;
    let high = seen.iter().copied().fold(f64::NEG_INFINITY, f64::max) * factor;
    if !(low.is_finite() && high.is_finite()) {
        return (0.0, 1.0);
    }
    let span = if high > low {
        high - low
    } else {
        high.abs().max(1.0) * 0.2
    };
    // The highest mark stays clear of the bar of an injection.
    let above = span * f64::from((16.0 / points.max(40.0)).max(0.08));
    let low = if low >= 0.0 && low < high * 0.5 {
        0.0
    } else {
        low - span * 0.08
    };
    (low, high + above)
}

/// The band's ground, and over it bar and hatch of every injection.
pub(super) struct Ground {
    base: PlotItemBase,
    band: (f64, f64),
    windows: Vec<(f64, f64)>,
    band_colour: Color32,
    fault: Color32,
    hatch: Color32,
    bold: f32,
}

impl Ground {
    pub(super) fn of(source: &Source<'_>, bold: f32, t: &Tokens) -> Self {
        let factor = source.scale.factor;
        let band = source.sli.band;
        let end = |until: Option<u64>| until.unwrap_or(source.now_us) as f64 / 1e6;
        Self {
            base: PlotItemBase::new("ground".to_owned()),
            band: (
                band.min.map_or(f64::NEG_INFINITY, |min| min * factor),
                band.max.map_or(f64::INFINITY, |max| max * factor),
            ),
            windows: source
                .injections
                .iter()
                .filter_map(|injection| Some((injection.from_us? as f64 / 1e6, end(injection.until_us))))
                .collect(),
            band_colour: t.band,
            fault: t.fault,
            hatch: t.hatch,
            bold,
        }
    }

    /// The same with every injection earlier by so many seconds.
    pub(super) fn earlier(mut self, seconds: f64) -> Self {
        for (from, until) in &mut self.windows {
            *from -= seconds;
            *until -= seconds;
        }
        self
    }
}

impl PlotItem for Ground {
    fn shapes(&self, _ui: &Ui, transform: &PlotTransform, shapes: &mut Vec<Shape>) {
        let frame = *transform.frame();
        let y = |value: f64, open: f32| {
            if value.is_finite() {
                transform
                    .position_from_point_y(value)
                    .clamp(frame.top(), frame.bottom())
            } else {
                open
            }
        };
        let band = Rect::from_min_max(
            pos2(frame.left(), y(self.band.1, frame.top())),
            pos2(frame.right(), y(self.band.0, frame.bottom())),
        );
        if self.band.0.is_finite() || self.band.1.is_finite() {
            shapes.push(Shape::rect_filled(band, 0.0, self.band_colour));
        }
        // Windows one over the other would be hatched twice; each is painted, cut to what is in sight.
        for (from, until) in &self.windows {
            let x = |value: f64| {
                transform
                    .position_from_point_x(value)
                    .clamp(frame.left(), frame.right())
            };
            let rect = Rect::from_min_max(pos2(x(*from), frame.top()), pos2(x(*until), frame.bottom()));
            if rect.width() < 0.5 {
                continue;
            }
            let hatch = Stroke::new(self.bold, self.hatch);
            shapes.extend(
                widgets::hatching(rect, 9.0 * self.bold).map(|ends| Shape::line_segment(ends, hatch)),
            );
            let bar = Rect::from_min_size(rect.min, vec2(rect.width(), BAR * self.bold));
            shapes.push(Shape::rect_filled(bar, 1.0, self.fault));
            if rect.left() > frame.left() {
                let edge = [pos2(rect.left(), rect.top()), pos2(rect.left(), rect.bottom())];
                shapes.push(Shape::line_segment(
                    edge,
                    Stroke::new(1.5 * self.bold, self.fault),
                ));
            }
        }
    }

    fn initialize(&mut self, _x_range: RangeInclusive<f64>) {}

    fn color(&self) -> Color32 {
        self.fault
    }

    fn geometry(&self) -> PlotGeometry<'_> {
        PlotGeometry::None
    }

    fn bounds(&self) -> PlotBounds {
        PlotBounds::NOTHING
    }

    fn base(&self) -> &PlotItemBase {
        &self.base
    }

    fn base_mut(&mut self) -> &mut PlotItemBase {
        &mut self.base
    }
}

/// `steady`, `tolerated`, `stop` on their lines; one that would lie on another moves to the right of it.
pub(super) fn labels(
    ui: &Ui,
    area: Rect,
    source: &Source<'_>,
    (low, high): (f64, f64),
    dress: Dress,
    t: &Tokens,
) {
    let painter = ui
        .painter()
        .with_clip_rect(area.expand(1.0).intersect(ui.clip_rect()));
    let mut taken: Vec<Rect> = Vec::new();
    for line in limit_lines(source) {
        let colour = if line.kind == Limit::Stop { t.out } else { t.steady };
        let share = ((line.at - low) / (high - low)) as f32;
        let in_sight = (-0.001..=1.001).contains(&share);
        if !in_sight {
            continue;
        }
        let words = line.kind.word(Say::of(ui)).to_owned();
        let y = area.bottom() - share.clamp(0.0, 1.0) * area.height();
        let galley = painter.layout_no_wrap(words, regular(dress.letters), colour);
        let wanted = galley.size();
        // Above its line; below it where there is no room above.
        let top = if y - wanted.y - 2.0 < area.top() + BAR * dress.bold {
            y + 3.0
        } else {
            y - wanted.y - 1.0
        };
        let top = top.min(area.bottom() - wanted.y);
        let mut place = Rect::from_min_size(pos2(area.left() + space::S, top), wanted);
        while let Some(other) = taken.iter().find(|other| other.intersects(place)) {
            place = Rect::from_min_size(pos2(other.right() + space::M, top), wanted);
        }
        painter.galley(place.min, galley, colour);
        taken.push(place);
    }
}

/// Round values at the right.
pub(super) fn numbers(ui: &Ui, area: Rect, low: f64, high: f64, t: &Tokens) {
    let wanted = f64::from((area.height() / 40.0).clamp(3.0, 6.0));
    let (step, marks) = ticks(low, high, wanted);
    let digits = |step: f64| {
        (0..4)
            .find(|digits| (step * 10_f64.powi(*digits)).fract() < 1e-6)
            .unwrap_or(4) as usize
    };
    let decimals = digits(step);
    for mark in marks {
        let y = area.bottom() - ((mark - low) / (high - low)) as f32 * area.height();
        let y = y.clamp(area.top() + 6.0, area.bottom() - 6.0);
        let text = format!("{mark:.decimals$}");
        ui.painter().text(
            pos2(area.right() + space::S, y),
            Align2::LEFT_CENTER,
            text,
            regular(size::SMALL),
            t.dim,
        );
    }
}

/// Wheel zooms, drag pans, double click follows again.
fn pointer(ui: &Ui, response: &Response, area: Rect, window: &mut Window, now_us: u64) {
    let share = |x: f32| f64::from((x - area.left()) / area.width());
    let (from, until) = window.edges(now_us);
    if response.double_clicked() {
        window.follow();
    } else if response.dragged() {
        window.pan(f64::from(response.drag_delta().x / area.width()), now_us);
    }
    if let Some(at) = response.hover_pos() {
        window.cursor_us = Some(from + (until - from) * share(at.x));
        let wheel = ui.input_mut(|input| {
            // The list of cards must not scroll as well.
            let turned = input.smooth_scroll_delta.y + 200.0 * (input.zoom_delta() - 1.0);
            input.smooth_scroll_delta = egui::Vec2::ZERO;
            turned
        });
        if wheel != 0.0 {
            window.zoom((-f64::from(wheel) / 300.0).exp(), share(at.x), now_us);
        }
    }
}

/// Time and value under the cursor.
fn read_out(
    ui: &Ui,
    area: Rect,
    source: &Source<'_>,
    share: f64,
    cursor_us: f64,
    clock: &dyn Fn(u64) -> String,
    t: &Tokens,
) {
    if cursor_us < 0.0 || !(0.0..=1.0).contains(&share) {
        return;
    }
    let say = Say::of(ui);
    let at = cursor_us as u64;
    let value = source.sli.series.latest_at(at).map(|point| match point.value {
        Some(value) => source.scale.with_unit(value, &source.sli.unit),
        None => say.state_no_data().to_owned(),
    });
    let before = source
        .before
        .and_then(|before| before.value(&source.sli.series, at))
        .map(|value| say.read_out_before(source.scale.with_unit(value, &source.sli.unit)));
    let value = value.unwrap_or_else(|| say.no_sample().to_owned());
    let before = before.map_or_else(String::new, |before| format!("  · {before}"));
    let words = format!("{}  {value}{before}", clock(at));
    let galley = ui.painter().layout_no_wrap(words, regular(size::SMALL), t.strong);
    let x = area.left() + area.width() * share as f32;
    let left = if x + galley.size().x + 20.0 > area.right() {
        x - galley.size().x - 14.0
    } else {
        x + 6.0
    };
    let place =
        Rect::from_min_size(pos2(left, area.top() + BAR + 4.0), galley.size()).expand2(vec2(5.0, 2.0));
    ui.painter().rect_filled(place, 4.0, t.raised);
    ui.painter().galley(place.min + vec2(5.0, 2.0), galley, t.strong);
}

/// How many samples a pixel hides, in words.
pub fn samples_words(say: Say, per_pixel: f64) -> String {
    if per_pixel <= 1.0 {
        say.samples_all().to_owned()
    } else {
        say.samples_hidden(format_args!("{per_pixel:.1}"))
    }
}
