//! States by shape, word and colour: ● steady, ◇ tolerated, ■ OUT, hatched no data. Painted, not typed.

use egui::{
    Color32, CornerRadius, Painter, Pos2, Rect, Response, Role, Sense, Shape, Stroke, StrokeKind, Ui,
    WidgetInfo, pos2, vec2,
};
use firedrill_drill::SliState;

use crate::{
    messages::Say,
    theme::{Tokens, medium},
};

/// What a shape can say; SLI states, and the same shapes for checks and agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// ●
    Good,
    /// ◇
    Tolerated,
    /// ■
    Bad,
    /// Hatched.
    Unknown,
    /// ● in the colour of a fault.
    Fault,
    /// ○
    Waiting,
}

impl From<SliState> for State {
    fn from(state: SliState) -> Self {
        match state {
            SliState::Steady => Self::Good,
            SliState::Tolerated => Self::Tolerated,
            SliState::Out => Self::Bad,
            SliState::NoData => Self::Unknown,
        }
    }
}

impl State {
    /// Its colour.
    pub fn colour(self, tokens: &Tokens) -> Color32 {
        match self {
            Self::Good | Self::Tolerated => tokens.steady,
            Self::Bad => tokens.out,
            Self::Unknown => tokens.no_data,
            Self::Fault => tokens.fault,
            Self::Waiting => tokens.dim,
        }
    }
}

/// An SLI's state as a word.
pub fn word(say: Say, state: SliState) -> &'static str {
    match state {
        SliState::Steady => say.state_steady(),
        SliState::Tolerated => say.state_tolerated(),
        SliState::Out => say.state_out(),
        SliState::NoData => say.state_no_data(),
    }
}

/// Paints the shape of a state around `centre`; `r` is half its width.
pub fn shape(painter: &Painter, centre: Pos2, r: f32, state: State, tokens: &Tokens) {
    let colour = state.colour(tokens);
    // Large shapes are drawn with broader lines.
    let line = Stroke::new((r * 0.2).max(1.5), colour);
    match state {
        State::Good | State::Fault => drop(painter.circle_filled(centre, r, colour)),
        State::Waiting => drop(painter.circle_stroke(centre, r - 0.5, line)),
        State::Tolerated => {
            let r = r + 1.0;
            let corners = [(0.0, -r), (r, 0.0), (0.0, r), (-r, 0.0)].map(|(x, y)| centre + vec2(x, y));
            painter.add(Shape::closed_line(corners.to_vec(), line));
        }
        State::Bad => {
            let square = Rect::from_center_size(centre, vec2(2.0, 2.0) * (r - 0.5));
            painter.rect_filled(square, CornerRadius::ZERO, colour);
        }
        State::Unknown => {
            let square = Rect::from_center_size(centre, vec2(2.0, 2.0) * r);
            painter.rect_stroke(
                square,
                CornerRadius::ZERO,
                Stroke::new(1.0, colour),
                StrokeKind::Inside,
            );
            hatch(
                painter,
                square,
                (r * 0.6).max(4.0),
                Stroke::new((r * 0.15).max(1.0), colour),
            );
        }
    }
}

/// Diagonal lines over `rect`, `gap` apart.
pub fn hatch(painter: &Painter, rect: Rect, gap: f32, stroke: Stroke) {
    painter.extend(hatching(rect, gap).map(|ends| Shape::line_segment(ends, stroke)));
}

/// The ends of those lines. Anchored to the screen, so that the pattern stands still while windows move over it.
pub fn hatching(rect: Rect, gap: f32) -> impl Iterator<Item = [Pos2; 2]> {
    let first = ((rect.left() + rect.top()) / gap).ceil() as i64;
    let last = ((rect.right() + rect.bottom()) / gap).floor() as i64;
    // On each line x + y is the same.
    (first..=last).map(move |i| {
        let sum = i as f32 * gap;
        let (left, right) = (
            rect.left().max(sum - rect.bottom()),
            rect.right().min(sum - rect.top()),
        );
        [pos2(left, sum - left), pos2(right, sum - right)]
    })
}

/// A tick.
pub fn check(painter: &Painter, centre: Pos2, r: f32, colour: Color32) {
    let points = [(-r, 0.1 * r), (-0.3 * r, 0.8 * r), (r, -0.7 * r)].map(|(x, y)| centre + vec2(x, y));
    painter.add(Shape::line(points.to_vec(), Stroke::new(2.0, colour)));
}

/// A pill: outline, shape and word of a state.
pub fn pill(ui: &mut Ui, state: State, word: &str, points: f32) -> Response {
    let tokens = Tokens::of(ui);
    let colour = state.colour(tokens);
    let galley = ui
        .painter()
        .layout_no_wrap(word.to_owned(), medium(points), colour);
    let height = points + 12.0;
    let wanted = vec2(galley.size().x + points + height, height);
    let (rect, response) = ui.allocate_exact_size(wanted, Sense::hover());
    let radius = CornerRadius::same((height / 2.0) as u8);
    ui.painter()
        .rect_stroke(rect, radius, Stroke::new(1.5, colour), StrokeKind::Inside);
    let centre = pos2(rect.left() + height * 0.5 + 2.0, rect.center().y);
    shape(ui.painter(), centre, points * 0.36, state, tokens);
    let at = pos2(
        centre.x + points * 0.36 + 6.0,
        rect.center().y - galley.size().y / 2.0,
    );
    ui.painter().galley(at, galley, colour);
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, word));
    response
}
