//! Icons of views and commands, drawn as lines on a square of 20 points: one set, no font, sharp at every size and in
//! every colour. They repeat what a word beside them says.

use std::f32::consts::TAU;

use egui::{Color32, CornerRadius, Painter, Pos2, Rect, Shape, Stroke, StrokeKind, pos2, vec2};

/// What has an icon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    /// A flag at the start.
    Welcome,
    /// A sheet of a calendar.
    Agenda,
    /// A pencil.
    Design,
    /// A pulse.
    Live,
    /// A clock that goes back.
    Review,
    /// Two hosts.
    Fleet,
    /// Books on a shelf.
    Library,
    /// A projector's screen.
    Stage,
    /// The sun.
    Light,
    /// The moon.
    Dark,
    /// A question mark's ring.
    Help,
}

/// The square that icons are drawn on.
const GRID: f32 = 20.0;

struct Pen<'a> {
    painter: &'a Painter,
    place: Rect,
    stroke: Stroke,
}

impl Pen<'_> {
    fn at(&self, x: f32, y: f32) -> Pos2 {
        self.place.min + vec2(x, y) * (self.place.width() / GRID)
    }

    fn line(&self, points: &[(f32, f32)]) {
        let points = points.iter().map(|(x, y)| self.at(*x, *y)).collect();
        self.painter.add(Shape::line(points, self.stroke));
    }

    fn closed(&self, points: &[(f32, f32)]) {
        let points = points.iter().map(|(x, y)| self.at(*x, *y)).collect();
        self.painter.add(Shape::closed_line(points, self.stroke));
    }

    fn frame(&self, from: (f32, f32), to: (f32, f32)) {
        let rect = Rect::from_min_max(self.at(from.0, from.1), self.at(to.0, to.1));
        self.painter
            .rect_stroke(rect, CornerRadius::same(2), self.stroke, StrokeKind::Middle);
    }

    fn dot(&self, x: f32, y: f32, radius: f32) {
        let radius = radius * self.place.width() / GRID;
        self.painter
            .circle_filled(self.at(x, y), radius, self.stroke.color);
    }

    /// A part of a circle, in turns from the right, clockwise.
    fn arc(&self, centre: (f32, f32), radius: f32, from: f32, to: f32) {
        const PIECES: u8 = 24;
        let points: Vec<(f32, f32)> = (0..=PIECES)
            .map(|i| {
                let turn = from + (to - from) * f32::from(i) / f32::from(PIECES);
                let (sin, cos) = (turn * TAU).sin_cos();
                (centre.0 + radius * cos, centre.1 + radius * sin)
            })
            .collect();
        self.line(&points);
    }
}

impl Icon {
    /// Draws it into `place`, a square.
    pub fn paint(self, painter: &Painter, place: Rect, ink: Color32) {
        let stroke = Stroke::new(1.5 * place.width() / GRID, ink);
        let pen = Pen {
            painter,
            place,
            stroke,
        };
        match self {
            Self::Welcome => {
                pen.line(&[(5.0, 17.5), (5.0, 3.0)]);
                pen.closed(&[(5.0, 3.5), (15.5, 3.5), (12.8, 7.2), (15.5, 11.0), (5.0, 11.0)]);
            }
            Self::Agenda => {
                pen.frame((3.0, 4.5), (17.0, 17.0));
                pen.line(&[(3.0, 8.5), (17.0, 8.5)]);
                pen.line(&[(7.0, 2.5), (7.0, 6.0)]);
                pen.line(&[(13.0, 2.5), (13.0, 6.0)]);
                pen.dot(7.0, 12.6, 1.3);
            }
            Self::Design => {
                pen.closed(&[(3.2, 16.8), (4.0, 12.8), (13.6, 3.2), (16.8, 6.4), (7.2, 16.0)]);
                pen.line(&[(11.4, 5.4), (14.6, 8.6)]);
            }
            Self::Live => pen.line(&[
                (2.0, 10.5),
                (5.6, 10.5),
                (8.2, 4.0),
                (12.0, 16.0),
                (14.4, 10.5),
                (18.0, 10.5),
            ]),
            Self::Review => {
                pen.arc((10.5, 10.0), 7.0, 0.55, 1.42);
                pen.line(&[(1.6, 6.0), (3.9, 8.0), (6.4, 6.4)]);
                pen.line(&[(10.5, 6.0), (10.5, 10.3), (13.6, 12.0)]);
            }
            Self::Fleet => {
                pen.frame((3.0, 3.5), (17.0, 9.0));
                pen.frame((3.0, 11.0), (17.0, 16.5));
                pen.dot(6.2, 6.3, 1.1);
                pen.dot(6.2, 13.8, 1.1);
            }
            Self::Library => {
                pen.frame((3.0, 3.5), (7.0, 16.5));
                pen.frame((7.0, 5.5), (11.0, 16.5));
                pen.closed(&[(12.0, 5.2), (14.8, 4.4), (17.6, 15.4), (14.8, 16.2)]);
            }
            Self::Stage => {
                pen.frame((2.5, 3.5), (17.5, 13.0));
                pen.line(&[(10.0, 13.0), (10.0, 15.0)]);
                pen.line(&[(6.2, 17.5), (10.0, 15.0), (13.8, 17.5)]);
            }
            Self::Light => {
                pen.arc((10.0, 10.0), 3.6, 0.0, 1.0);
                for i in 0..8_u8 {
                    let (sin, cos) = (f32::from(i) / 8.0 * TAU).sin_cos();
                    let ray = |from: f32| (10.0 + from * cos, 10.0 + from * sin);
                    pen.line(&[ray(6.0), ray(8.0)]);
                }
            }
            Self::Dark => {
                pen.arc((10.0, 10.0), 7.0, 0.03, 0.72);
                pen.arc((14.6, 5.4), 5.8, 0.12, 0.63);
            }
            Self::Help => {
                pen.arc((10.0, 10.0), 7.5, 0.0, 1.0);
                pen.arc((10.0, 8.2), 2.6, 0.5, 1.12);
                pen.line(&[(11.8, 10.0), (10.0, 11.2), (10.0, 12.2)]);
                pen.dot(10.0, 14.6, 1.0);
            }
        }
    }

    /// A square of `points` around a point.
    pub fn around(centre: Pos2, points: f32) -> Rect {
        Rect::from_center_size(pos2(centre.x, centre.y), vec2(points, points))
    }
}
