//! A series as it is drawn: a line where its samples stand apart, the ground that a line through them would cover
//! where a pixel hides several. Either way it costs pixels.

use std::ops::RangeInclusive;

use egui::{Color32, Mesh, Pos2, Shape, Stroke, Ui, pos2};
use egui_plot::{PlotBounds, PlotGeometry, PlotItem, PlotItemBase, PlotTransform};
use firedrill_series::Decimated;

/// Width of the line, points.
const WIDTH: f32 = 1.6;
/// The edge fades over this, points.
const FADE: f32 = 1.0;
/// Width of a column of the ground that stands for a line, points. As wide as a line that is seen, so that many
/// samples cost no more than few.
const COLUMN: f32 = 2.0;

/// Of a dashed line, points; whole columns.
const DASH: f32 = 8.0;
const GAP: f32 = 4.0;

/// How many columns a plot of that width, in points, is decimated to: what shares one is drawn as one.
pub fn columns(width: f32) -> usize {
    (width / COLUMN).ceil().max(1.0) as usize
}

/// How many samples a point of the width hides, of what was decimated to [`columns`].
pub fn samples_per_point(drawn: &Decimated) -> f64 {
    drawn.samples_per_pixel / f64::from(COLUMN)
}

/// One series of a plot whose time is in seconds.
pub struct Trace<'a> {
    base: PlotItemBase,
    drawn: &'a Decimated,
    /// Later by this, seconds.
    shift: f64,
    /// From the base unit to the shown one.
    factor: f64,
    colour: Color32,
    /// The line's width, times this.
    bold: f32,
    /// With gaps, so that two series differ by more than their colour.
    dashed: bool,
}

impl<'a> Trace<'a> {
    /// Of what was decimated to the [`columns`] of this plot's width, drawn `shift` seconds later.
    pub fn new(name: &str, drawn: &'a Decimated, shift: f64, factor: f64, colour: Color32) -> Self {
        Self {
            base: PlotItemBase::new(name.to_owned()),
            drawn,
            shift,
            factor,
            colour,
            bold: 1.0,
            dashed: false,
        }
    }

    /// The same with another line.
    pub fn bold(self, bold: f32) -> Self {
        Self { bold, ..self }
    }

    /// The same with gaps.
    pub fn dashed(self) -> Self {
        Self { dashed: true, ..self }
    }
}

impl PlotItem for Trace<'_> {
    fn shapes(&self, _ui: &Ui, transform: &PlotTransform, shapes: &mut Vec<Shape>) {
        let origin = transform.position_from_point(&egui_plot::PlotPoint::new(0.0, 0.0));
        let [across, down] = transform.dpos_dvalue();
        // The origin may be far to the left: subtract before it becomes 32 bits.
        let (left, first) = (transform.frame().left(), transform.bounds().min()[0]);
        let place = |&(us, value): &(u64, f64)| {
            let x = (us as f64 / 1e6 + self.shift - first) * across;
            let y = value * self.factor * down;
            pos2(left + x as f32, origin.y + y as f32)
        };
        for run in &self.drawn.runs {
            let points = run.iter().map(place);
            if self.dashed && run.len() > 1 {
                let points: Vec<Pos2> = points.collect();
                let stroke = Stroke::new(WIDTH * self.bold, self.colour);
                if samples_per_point(self.drawn) > 1.0 {
                    let dashes = dashes(&points);
                    shapes
                        .extend(dashes.map(|it| strip(it.iter().copied(), self.colour, stroke.width).into()));
                } else {
                    shapes.extend(Shape::dashed_line(&points, stroke, DASH, GAP));
                }
                continue;
            }
            shapes.push(match run.len() {
                1 => Shape::circle_filled(place(&run[0]), 1.5 * self.bold, self.colour),
                _ if samples_per_point(self.drawn) > 1.0 => {
                    strip(points, self.colour, WIDTH * self.bold).into()
                }
                _ => Shape::line(points.collect(), Stroke::new(WIDTH * self.bold, self.colour)),
            });
        }
    }

    fn initialize(&mut self, _x_range: RangeInclusive<f64>) {}

    fn color(&self) -> Color32 {
        self.colour
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

/// Where several samples are on a pixel a dash is as long as that across: along the line it would be lost in it.
fn dashes(points: &[Pos2]) -> impl Iterator<Item = &[Pos2]> {
    fn turn(point: Pos2) -> f32 {
        (point.x / (DASH + GAP)).floor()
    }
    fn on(point: Pos2) -> bool {
        point.x - turn(point) * (DASH + GAP) < DASH
    }
    points
        .chunk_by(|a, b| on(*a) == on(*b) && turn(*a) == turn(*b))
        .filter(|dash| dash.first().is_some_and(|first| on(*first)))
}

/// What a line through `points`, which go to the right, covers: from the highest to the lowest in each column, and a
/// line's width more.
fn strip(points: impl DoubleEndedIterator<Item = Pos2> + Clone, colour: Color32, width: f32) -> Mesh {
    let mut mesh = Mesh::default();
    if let (Some(first), Some(last)) = (points.clone().next(), points.clone().next_back()) {
        // At once: growing it would copy it again and again, in every frame.
        let columns = ((last.x - first.x).max(0.0) / COLUMN) as usize + 2;
        mesh.reserve_vertices(4 * columns);
        mesh.reserve_triangles(6 * columns);
    }
    let mut column: Option<Column> = None;
    for point in points {
        match &mut column {
            Some(open) if point.x < open.end => open.take(point.y),
            Some(open) => {
                open.draw(&mut mesh, colour, width);
                let begin = begin(point.x);
                if begin > open.end {
                    // Nothing in between: a line, not a wedge.
                    Column::at(open.end, open.last).draw(&mut mesh, colour, width);
                    Column::at(begin - COLUMN, point.y).draw(&mut mesh, colour, width);
                    *open = Column::at(begin, point.y);
                } else {
                    *open = Column::at(begin, open.last);
                    open.take(point.y);
                }
            }
            None => column = Some(Column::at(begin(point.x), point.y)),
        }
    }
    if let Some(open) = column {
        open.draw(&mut mesh, colour, width);
    }
    mesh
}

/// Where the column begins that holds `x`.
fn begin(x: f32) -> f32 {
    (x / COLUMN).floor() * COLUMN
}

/// What is covered of one column.
struct Column {
    end: f32,
    top: f32,
    bottom: f32,
    last: f32,
}

impl Column {
    fn at(begin: f32, y: f32) -> Self {
        Self {
            end: begin + COLUMN,
            top: y,
            bottom: y,
            last: y,
        }
    }

    fn take(&mut self, y: f32) {
        self.top = self.top.min(y);
        self.bottom = self.bottom.max(y);
        self.last = y;
    }

    /// Adds four vertices, and the quads that join them to the column before.
    fn draw(&self, mesh: &mut Mesh, colour: Color32, width: f32) {
        let (solid, faded) = ((width - FADE) / 2.0, f32::midpoint(width, FADE));
        let x = self.end - COLUMN / 2.0;
        let first = mesh.vertices.len() as u32;
        for (y, ink) in [
            (self.top - faded, Color32::TRANSPARENT),
            (self.top - solid, colour),
            (self.bottom + solid, colour),
            (self.bottom + faded, Color32::TRANSPARENT),
        ] {
            mesh.colored_vertex(pos2(x, y), ink);
        }
        let Some(before) = first.checked_sub(4) else {
            return;
        };
        for i in 0..3 {
            mesh.add_triangle(before + i, before + i + 1, first + i);
            mesh.add_triangle(before + i + 1, first + i, first + i + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(mesh: &Mesh, column: usize) -> (f32, f32) {
        let solid = (WIDTH - FADE) / 2.0;
        let four = &mesh.vertices[column * 4..column * 4 + 4];
        (four[1].pos.y + solid, four[2].pos.y - solid)
    }

    #[test]
    fn a_strip_covers_every_column_once_and_joins_them() {
        let points = [
            (0.2, 5.0),
            (1.0, 9.0),
            (1.8, 7.0),
            (2.4, 3.0),
            (2.6, 4.0),
            (5.0, 4.0),
        ];
        let mesh = strip(points.into_iter().map(|(x, y)| pos2(x, y)), Color32::WHITE, WIDTH);
        assert_eq!(mesh.vertices.len(), 3 * 4);
        assert_eq!(mesh.indices.len(), 2 * 18);
        assert_eq!(covered(&mesh, 0), (5.0, 9.0));
        // From where the first column ended.
        assert_eq!(covered(&mesh, 1), (3.0, 7.0));
        assert_eq!(covered(&mesh, 2), (4.0, 4.0));
    }

    #[test]
    fn dashes_leave_gaps_and_nothing_else_out() {
        let points: Vec<Pos2> = (0..220).map(|i| pos2(i as f32 / 10.0, 0.0)).collect();
        let found: Vec<(f32, f32)> = dashes(&points)
            .map(|dash| (dash[0].x, dash[dash.len() - 1].x))
            .collect();
        assert_eq!(found, [(0.0, 7.9), (12.0, 19.9)]);
    }

    #[test]
    fn a_strip_costs_columns_and_not_points() {
        let many = |n: u32| {
            let points = (0..n).map(|i| pos2(i as f32 * 100.0 / n as f32, (i % 7) as f32));
            strip(points, Color32::WHITE, WIDTH).vertices.len()
        };
        assert_eq!(many(1_000), 200);
        assert_eq!(many(10_000), 200);
    }

    #[test]
    fn columns_without_points_are_crossed_by_a_line() {
        let points = [(0.0, 0.0), (1.0, 9.0), (20.0, 9.0), (21.0, 0.0)];
        let mesh = strip(points.into_iter().map(|(x, y)| pos2(x, y)), Color32::WHITE, WIDTH);
        assert_eq!(mesh.vertices.len(), 4 * 4);
        assert_eq!(covered(&mesh, 1), (9.0, 9.0));
        assert_eq!(covered(&mesh, 2), (9.0, 9.0));
    }
}
