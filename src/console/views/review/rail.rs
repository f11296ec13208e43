//! The scrubber: the whole drill on one line with what happened in it, and the moment that is shown.

use egui::{
    CornerRadius, EventFilter, Key, Modifiers, Rect, Response, Role, Sense, Shape, Stroke, StrokeKind, Ui,
    WidgetInfo, pos2, vec2,
};
use firedrill_scene::Review;

use super::bookmarks::{Mark, MarkKind};
use crate::{
    cx::Cx,
    theme::Tokens,
    views::live::{Axis, PHASES, marks as people_and_bad, phase_bars},
};

/// Height of all of it, points.
pub const HEIGHT: f32 = PHASES + FAULT + 2.0 * LINE + 6.0;
const FAULT: f32 = 6.0;
const LINE: f32 = 18.0;
/// The handle reaches over the ends by this, points.
const MARGIN: f32 = 8.0;

/// Times and places, both ways.
pub struct Rail {
    axis: Axis,
}

impl Rail {
    /// The whole of a drill of this length in a rectangle.
    pub fn of(rect: Rect, end_us: u64) -> Self {
        Self {
            axis: Axis {
                left: rect.left() + MARGIN,
                right: (rect.right() - MARGIN).max(rect.left() + MARGIN + 1.0),
                total_us: end_us.max(1),
            },
        }
    }

    /// Where a moment stands.
    pub fn x(&self, us: u64) -> f32 {
        self.axis.x(us)
    }

    /// The moment at a place; beyond the ends, the ends.
    pub fn us(&self, x: f32) -> u64 {
        let Axis {
            left,
            right,
            total_us,
        } = self.axis;
        let share = f64::from(((x - left) / (right - left)).clamp(0.0, 1.0));
        (total_us as f64 * share).round() as u64
    }
}

/// What a hand or a key did to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Show this moment.
    Seek(u64),
    /// Go to the next event, or to the one before.
    Step(bool),
    /// Go on, or stand still.
    Toggle,
}

/// What is on it.
pub struct Shown<'a> {
    /// The drill.
    pub review: &'a Review,
    /// What is worth a look.
    pub marks: &'a [Mark],
    /// The moment that is shown.
    pub at_us: u64,
    /// Its end.
    pub end_us: u64,
    /// The moment as a clock says it.
    pub words: &'a str,
}

/// Draws it over `rect` and says what was done to it.
pub fn ui(ui: &mut Ui, rect: Rect, shown: &Shown<'_>, cx: &Cx<'_>) -> Option<Act> {
    let rail = Rail::of(rect, shown.end_us);
    let response = ui.allocate_rect(rect, Sense::click_and_drag());
    paint(ui, rect, &rail, shown, &response, cx);
    name(&response, shown, cx);
    if response.clicked() && response.interact_pointer_pos().is_none() {
        return Some(Act::Toggle);
    }
    if let Some(at) = response.interact_pointer_pos() {
        // The button that is held down shows what is under the hand at once, a click too.
        return Some(Act::Seek(rail.us(at.x)));
    }
    keys(ui, &response)
}

/// With the focus on it, its arrows are its own.
fn keys(ui: &Ui, response: &Response) -> Option<Act> {
    if !response.has_focus() {
        return None;
    }
    let filter = EventFilter {
        horizontal_arrows: true,
        ..EventFilter::default()
    };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
    ui.input_mut(|input| {
        if input.consume_key(Modifiers::NONE, Key::ArrowRight) {
            Some(Act::Step(true))
        } else if input.consume_key(Modifiers::NONE, Key::ArrowLeft) {
            Some(Act::Step(false))
        } else {
            None
        }
    })
}

fn name(response: &Response, shown: &Shown<'_>, cx: &Cx<'_>) {
    let moment = cx.say.replay_moment();
    let seconds = shown.at_us as f64 / 1e6;
    response.widget_info(|| WidgetInfo::slider(true, seconds, moment));
    response.ctx.accesskit_node_builder(response.id, |node| {
        node.set_role(Role::Slider);
        node.set_label(moment);
        node.set_value(shown.words);
    });
}

fn paint(ui: &Ui, rect: Rect, rail: &Rail, shown: &Shown<'_>, response: &Response, cx: &Cx<'_>) {
    let t = cx.tokens;
    let scene = &shown.review.scene;
    let bars = rect.top() + LINE;
    phase_bars(ui, &rail.axis, bars, scene, shown.end_us, cx);
    let faults = bars + PHASES + 1.0;
    for injection in &scene.injections {
        let Some(from) = injection.from_us else { continue };
        let until = injection.until_us.unwrap_or(shown.end_us);
        let bar = Rect::from_min_max(
            pos2(rail.x(from), faults),
            pos2(rail.x(until).max(rail.x(from) + 2.0), faults + FAULT),
        );
        ui.painter().rect_filled(bar, 1.0, t.fault);
    }
    people_and_bad(ui, &rail.axis, faults + FAULT + LINE * 0.5 + 1.0, scene, t);
    for mark in shown.marks {
        let drawn = matches!(mark.kind, MarkKind::Note | MarkKind::Verdict);
        if !drawn {
            flag(ui, pos2(rail.x(mark.at_us), bars), mark.kind, t);
        }
    }
    handle(ui, rect, rail.x(shown.at_us), response, t);
}

/// What a mark is, by shape and colour: its word stands on its button below.
pub fn sign(ui: &Ui, centre: egui::Pos2, kind: MarkKind, t: &Tokens) {
    let painter = ui.painter();
    let square = Rect::from_center_size(centre, vec2(8.0, 8.0));
    match kind {
        MarkKind::Start => {
            let corners = [vec2(-4.0, -5.0), vec2(5.0, 0.0), vec2(-4.0, 5.0)].map(|by| centre + by);
            painter.add(Shape::convex_polygon(corners.to_vec(), t.fault, Stroke::NONE));
        }
        MarkKind::Out => {
            painter.rect_stroke(
                square,
                CornerRadius::ZERO,
                Stroke::new(1.5, t.out),
                StrokeKind::Inside,
            );
        }
        MarkKind::Stop => drop(painter.rect_filled(square, CornerRadius::ZERO, t.strong)),
        MarkKind::Reverted => drop(painter.circle_filled(centre, 4.5, t.steady)),
        MarkKind::Verdict => drop(painter.circle_filled(centre, 4.5, t.strong)),
        MarkKind::Note => drop(painter.circle_filled(centre, 4.5, t.people)),
        MarkKind::Person => {
            // A flag on its pole.
            let pole = [centre + vec2(-4.0, 6.0), centre + vec2(-4.0, -6.0)];
            painter.line_segment(pole, Stroke::new(1.5, t.people));
            let cloth = [vec2(-4.0, -6.0), vec2(5.0, -3.0), vec2(-4.0, 0.5)].map(|by| centre + by);
            painter.add(Shape::convex_polygon(cloth.to_vec(), t.people, Stroke::NONE));
        }
    }
}

fn flag(ui: &Ui, foot: egui::Pos2, kind: MarkKind, t: &Tokens) {
    ui.painter()
        .vline(foot.x, foot.y - 3.0..=foot.y + PHASES, Stroke::new(1.0, t.dim));
    sign(ui, foot - vec2(0.0, LINE * 0.5), kind, t);
}

fn handle(ui: &Ui, rect: Rect, x: f32, response: &Response, t: &Tokens) {
    let painter = ui.painter();
    painter.vline(x, rect.top() + 8.0..=rect.bottom(), Stroke::new(2.0, t.strong));
    let knob = pos2(x, rect.bottom() - 8.0);
    painter.circle(knob, 7.0, t.strong, Stroke::new(2.0, t.card));
    if response.has_focus() || response.dragged() {
        painter.circle_stroke(knob, 10.0, Stroke::new(2.0, t.series));
    }
}

#[cfg(test)]
mod tests {
    use egui::{Rect, pos2};

    use super::Rail;

    fn rail(width: f32, end_us: u64) -> Rail {
        Rail::of(
            Rect::from_min_max(pos2(100.0, 0.0), pos2(100.0 + width, 40.0)),
            end_us,
        )
    }

    #[test]
    fn a_moment_is_found_again_where_it_was_put() {
        for width in [40.0, 333.3, 1_400.0] {
            for end_us in [1, 999, 126_000_000, 86_400_000_000] {
                let rail = rail(width, end_us);
                let pixel = (end_us as f64 / f64::from(width - 16.0)).ceil() as u64 + 1;
                for share in 0..=100 {
                    let us = end_us / 100 * share;
                    assert!(rail.us(rail.x(us)).abs_diff(us) <= pixel, "{us} of {end_us}");
                }
            }
        }
    }

    #[test]
    fn further_right_is_never_earlier_and_the_ends_are_the_ends() {
        let rail = rail(700.0, 3_600_000_000);
        let times: Vec<u64> = (0..1_000).map(|x| rail.us(x as f32)).collect();
        assert!(times.is_sorted());
        assert_eq!((times[0], times[999]), (0, 3_600_000_000));
        assert_eq!(rail.us(f32::NEG_INFINITY), 0);
        assert_eq!(rail.us(f32::INFINITY), 3_600_000_000);
    }
}
