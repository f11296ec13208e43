//! Draws egui's triangles on the CPU: no window, no driver, the same bytes on every machine.
//!
//! Vertex positions are fixed point (1/256 pixel) and edges follow the top-left rule, so that triangles that
//! share an edge neither overlap nor leave a gap. Colours are multiplied and blended premultiplied in gamma
//! space, as egui's shaders do; textures are fetched bilinearly. Smooth edges are egui's own feathering.

use std::collections::HashMap;

use egui::{
    ClippedPrimitive, Color32, ImageData, Pos2, RawInput, Rect, TextureId, TexturesDelta, Ui,
    epaint::{Mesh, Primitive, Vertex, WHITE_UV},
    vec2,
};

/// A finished picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Width and height in pixels.
    pub size: [usize; 2],
    /// Rows from the top, four bytes a pixel: red, green, blue, alpha (always opaque where egui painted).
    pub rgba: Vec<u8>,
}

/// Draws `draw` on a picture of `size` points times `pixels_per_point`, with the console's fonts.
///
/// Runs as many frames as layout needs to settle; `draw` is called once for each.
pub fn render(size: [usize; 2], pixels_per_point: f32, mut draw: impl FnMut(&mut Ui)) -> Picture {
    const FRAMES: usize = 4;
    let context = egui::Context::default();
    crate::install(&context);
    let points = vec2(size[0] as f32, size[1] as f32);
    let pixels = [
        (points.x * pixels_per_point).round() as usize,
        (points.y * pixels_per_point).round() as usize,
    ];
    let mut raster = Raster::default();
    let mut picture = Picture {
        size: pixels,
        rgba: Vec::new(),
    };
    for frame in 0..FRAMES {
        let mut input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, points)),
            time: Some(frame as f64 / 60.0),
            focused: false,
            ..RawInput::default()
        };
        if let Some(viewport) = input.viewports.get_mut(&input.viewport_id) {
            viewport.native_pixels_per_point = Some(pixels_per_point);
        }
        let mut output = context.run_ui(input, &mut draw);
        raster.update(&mut output.textures_delta);
        if frame + 1 == FRAMES {
            let primitives = context.tessellate(output.shapes, output.pixels_per_point);
            picture = raster.paint(pixels, output.pixels_per_point, &primitives);
        }
    }
    picture
}

/// The textures that triangles refer to. Keep one for the life of a context.
#[derive(Default)]
pub struct Raster {
    textures: HashMap<TextureId, Texture>,
    /// Freed by the last update, still used by the frame that came with it.
    freed: Vec<TextureId>,
}

struct Texture {
    size: [usize; 2],
    texels: Vec<Color32>,
}

impl Raster {
    /// Takes in what changed; leaves `delta` empty.
    pub fn update(&mut self, delta: &mut TexturesDelta) {
        for id in self.freed.drain(..) {
            self.textures.remove(&id);
        }
        for (id, changes) in delta.set.drain() {
            for change in changes {
                let ImageData::Color(image) = &change.image;
                match change.pos {
                    None => {
                        let texture = Texture {
                            size: image.size,
                            texels: image.pixels.clone(),
                        };
                        self.textures.insert(id, texture);
                    }
                    Some(at) => {
                        if let Some(texture) = self.textures.get_mut(&id) {
                            texture.patch(at, image.size, &image.pixels);
                        }
                    }
                }
            }
        }
        self.freed.extend(delta.free.drain());
    }

    /// Paints tessellated shapes over black.
    pub fn paint(&self, size: [usize; 2], pixels_per_point: f32, primitives: &[ClippedPrimitive]) -> Picture {
        let mut canvas = Canvas {
            size,
            pixels: vec![Color32::BLACK; size[0] * size[1]],
        };
        for ClippedPrimitive { clip_rect, primitive } in primitives {
            // Paint callbacks need a graphics driver; the console has none.
            let Primitive::Mesh(mesh) = primitive else {
                continue;
            };
            let Some(texture) = self.textures.get(&mesh.texture_id) else {
                continue;
            };
            let clip = canvas.clip(*clip_rect, pixels_per_point);
            canvas.mesh(mesh, texture, clip, pixels_per_point);
        }
        let rgba = canvas.pixels.iter().flat_map(Color32::to_array).collect();
        Picture { size, rgba }
    }
}

impl Texture {
    fn patch(&mut self, at: [usize; 2], size: [usize; 2], pixels: &[Color32]) {
        if at[0] + size[0] > self.size[0] || at[1] + size[1] > self.size[1] || size[0] == 0 {
            return;
        }
        for (row, source) in pixels.chunks_exact(size[0]).enumerate() {
            let start = (at[1] + row) * self.size[0] + at[0];
            self.texels[start..start + size[0]].copy_from_slice(source);
        }
    }

    /// Bilinear, clamped to the edge; channels 0 to 255.
    fn fetch(&self, uv: [f32; 2]) -> [f32; 4] {
        let place = |coordinate: f32, length: usize| {
            let at = (coordinate * length as f32 - 0.5).clamp(0.0, (length - 1) as f32);
            let low = at.floor();
            (low as usize, (low as usize + 1).min(length - 1), at - low)
        };
        let (x0, x1, fx) = place(uv[0], self.size[0]);
        let (y0, y1, fy) = place(uv[1], self.size[1]);
        let texel = |x: usize, y: usize| self.texels[y * self.size[0] + x].to_array();
        let (a, b, c, d) = (texel(x0, y0), texel(x1, y0), texel(x0, y1), texel(x1, y1));
        std::array::from_fn(|i| {
            let top = f32::from(a[i]) + (f32::from(b[i]) - f32::from(a[i])) * fx;
            let bottom = f32::from(c[i]) + (f32::from(d[i]) - f32::from(c[i])) * fx;
            top + (bottom - top) * fy
        })
    }
}

/// Pixels that may be painted: `x0 <= x < x1`, `y0 <= y < y1`.
#[derive(Clone, Copy)]
struct Clip {
    x0: i64,
    y0: i64,
    x1: i64,
    y1: i64,
}

struct Canvas {
    size: [usize; 2],
    pixels: Vec<Color32>,
}

const FRACTION: i64 = 256;

impl Canvas {
    fn clip(&self, rect: Rect, pixels_per_point: f32) -> Clip {
        let edge = |points: f32, limit: usize| {
            ((points * pixels_per_point).round() as i64).clamp(0, limit.cast_signed() as i64)
        };
        Clip {
            x0: edge(rect.min.x, self.size[0]),
            y0: edge(rect.min.y, self.size[1]),
            x1: edge(rect.max.x, self.size[0]),
            y1: edge(rect.max.y, self.size[1]),
        }
    }

    fn mesh(&mut self, mesh: &Mesh, texture: &Texture, clip: Clip, pixels_per_point: f32) {
        for corner in mesh.indices.chunks_exact(3) {
            let vertex = |i: usize| mesh.vertices.get(corner[i] as usize);
            if let (Some(a), Some(b), Some(c)) = (vertex(0), vertex(1), vertex(2)) {
                self.triangle([a, b, c], texture, clip, pixels_per_point);
            }
        }
    }

    fn triangle(&mut self, vertices: [&Vertex; 3], texture: &Texture, clip: Clip, pixels_per_point: f32) {
        let Some(shape) = Shape::new(vertices, pixels_per_point) else {
            return;
        };
        let shade = Shade::new(&shape, texture);
        for y in shape.top.max(clip.y0)..(shape.bottom + 1).min(clip.y1) {
            let (from, until) = shape.span(y, clip.x0, clip.x1);
            if from >= until {
                continue;
            }
            let start = y as usize * self.size[0];
            let row = &mut self.pixels[start + from as usize..start + until as usize];
            match shade.flat {
                Some(colour) if colour.a() == 255 => row.fill(colour),
                Some(colour) => row.iter_mut().for_each(|pixel| *pixel = over(colour, *pixel)),
                None => {
                    for (x, pixel) in (from..until).zip(row) {
                        *pixel = over(shade.at(x, y, texture), *pixel);
                    }
                }
            }
        }
    }
}

/// Premultiplied `top` over opaque `bottom`.
fn over(top: Color32, bottom: Color32) -> Color32 {
    let rest = 255 - u32::from(top.a());
    if rest == 0 {
        return top;
    }
    let [r, g, b, a] = top.to_array();
    let [r0, g0, b0, a0] = bottom.to_array();
    let mix = |new: u8, old: u8| (u32::from(new) + (u32::from(old) * rest + 127) / 255).min(255) as u8;
    rgba(mix(r, r0), mix(g, g0), mix(b, b0), mix(a, a0))
}

fn rgba(r: u8, g: u8, b: u8, a: u8) -> Color32 {
    #[expect(clippy::disallowed_methods, reason = "the result of blending is no token")]
    Color32::from_rgba_premultiplied(r, g, b, a)
}

/// A triangle's edges: a pixel centre is inside where all three are at least 0.
struct Shape {
    vertices: [Vertex; 3],
    at: [[i64; 2]; 3],
    /// Twice its area, positive, in fixed point squared.
    area: i64,
    top: i64,
    bottom: i64,
}

impl Shape {
    fn new(vertices: [&Vertex; 3], pixels_per_point: f32) -> Option<Self> {
        // Far outside any screen; keeps the products within 64 bits.
        const LIMIT: f32 = 1e6;
        let fixed = |p: Pos2| {
            let one = |points: f32| {
                ((points * pixels_per_point).clamp(-LIMIT, LIMIT) * FRACTION as f32).round() as i64
            };
            [one(p.x), one(p.y)]
        };
        let mut vertices = vertices.map(|vertex| *vertex);
        let mut at = vertices.map(|vertex| fixed(vertex.pos));
        let twice = |p: &[[i64; 2]; 3]| {
            (p[1][0] - p[0][0]) * (p[2][1] - p[0][1]) - (p[1][1] - p[0][1]) * (p[2][0] - p[0][0])
        };
        let mut area = twice(&at);
        if area < 0 {
            vertices.swap(1, 2);
            at.swap(1, 2);
            area = -area;
        }
        let ys = at.map(|p| p[1]);
        let top = ys.iter().min()?.div_euclid(FRACTION);
        let bottom = ys.iter().max()?.div_euclid(FRACTION);
        (area > 0).then_some(Self {
            vertices,
            at,
            area,
            top,
            bottom,
        })
    }

    /// Pixels of row `y` whose centres are inside, within `[x0, x1)`.
    fn span(&self, y: i64, x0: i64, x1: i64) -> (i64, i64) {
        let (mut from, mut until) = (x0, x1);
        let centre_y = y * FRACTION + FRACTION / 2;
        for i in 0..3 {
            let (a, b) = (self.at[i], self.at[(i + 1) % 3]);
            let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
            // Clockwise on screen: the inside is to the right. A pixel centre exactly on an edge belongs to the
            // triangle only if that edge is a left or a top one.
            let top_left = dy < 0 || (dy == 0 && dx > 0);
            let bias = i64::from(!top_left);
            // dx·(py − ay) − dy·(px − ax) − bias ≥ 0, with px = x·F + F/2
            let constant = dx * (centre_y - a[1]) - dy * (FRACTION / 2 - a[0]) - bias;
            let slope = -dy * FRACTION;
            match slope {
                0 if constant < 0 => return (0, 0),
                0 => {}
                1.. => from = from.max(-constant.div_euclid(slope)),
                _ => until = until.min(constant.div_euclid(-slope) + 1),
            }
        }
        (from, until)
    }
}

/// How a triangle's pixels are coloured.
struct Shade {
    /// One colour everywhere.
    flat: Option<Color32>,
    origin: [f32; 2],
    /// Red, green, blue, alpha, u, v at the origin, and their change a pixel right and a pixel down.
    base: [f32; 6],
    right: [f32; 6],
    down: [f32; 6],
    untextured: bool,
}

impl Shade {
    fn new(shape: &Shape, texture: &Texture) -> Self {
        let [first, second, third] = &shape.vertices;
        let same_uv = first.uv == second.uv && second.uv == third.uv;
        let untextured = same_uv && first.uv == WHITE_UV;
        let flat = (first.color == second.color && second.color == third.color && same_uv).then(|| {
            if untextured {
                first.color
            } else {
                modulate(
                    first.color.to_array().map(f32::from),
                    texture.fetch(first.uv.into()),
                )
            }
        });
        let values = |v: &Vertex| {
            let [red, green, blue, alpha] = v.color.to_array().map(f32::from);
            [red, green, blue, alpha, v.uv.x, v.uv.y]
        };
        let (va, vb, vc) = (values(first), values(second), values(third));
        let pixel = |p: [i64; 2]| p.map(|c| (c as f64 / FRACTION as f64) as f32);
        let [pa, pb, pc] = shape.at.map(pixel);
        let area = (shape.area as f64 / (FRACTION * FRACTION) as f64) as f32;
        let (abx, aby, acx, acy) = (pb[0] - pa[0], pb[1] - pa[1], pc[0] - pa[0], pc[1] - pa[1]);
        Self {
            flat,
            origin: pa,
            base: va,
            right: std::array::from_fn(|i| ((vb[i] - va[i]) * acy - (vc[i] - va[i]) * aby) / area),
            down: std::array::from_fn(|i| ((vc[i] - va[i]) * abx - (vb[i] - va[i]) * acx) / area),
            untextured,
        }
    }

    fn at(&self, x: i64, y: i64, texture: &Texture) -> Color32 {
        let (dx, dy) = (x as f32 + 0.5 - self.origin[0], y as f32 + 0.5 - self.origin[1]);
        let value = |i: usize| self.base[i] + self.right[i] * dx + self.down[i] * dy;
        let colour = [value(0), value(1), value(2), value(3)];
        let texel = if self.untextured {
            [255.0; 4]
        } else {
            texture.fetch([value(4), value(5)])
        };
        modulate(colour, texel)
    }
}

fn modulate(colour: [f32; 4], texel: [f32; 4]) -> Color32 {
    let channel = |i: usize| (colour[i] * texel[i] / 255.0 + 0.5).clamp(0.0, 255.0) as u8;
    rgba(channel(0), channel(1), channel(2), channel(3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui::pos2;

    fn white() -> Texture {
        Texture {
            size: [1, 1],
            texels: vec![Color32::WHITE],
        }
    }

    fn painted(mesh: &Mesh, size: [usize; 2]) -> Vec<Color32> {
        let mut canvas = Canvas {
            size,
            pixels: vec![Color32::BLACK; size[0] * size[1]],
        };
        let clip = Clip {
            x0: 0,
            y0: 0,
            x1: size[0].cast_signed() as i64,
            y1: size[1].cast_signed() as i64,
        };
        canvas.mesh(mesh, &white(), clip, 1.0);
        canvas.pixels
    }

    #[test]
    fn two_triangles_of_a_rectangle_cover_each_pixel_once() {
        let half = Color32::WHITE.gamma_multiply(0.5);
        for (x, y) in [(1.0, 1.0), (1.5, 1.5), (0.25, 2.75), (1.4999, 0.5001)] {
            let mut mesh = Mesh::default();
            mesh.add_colored_rect(Rect::from_min_size(pos2(x, y), vec2(5.0, 4.0)), half);
            let pixels = painted(&mesh, [10, 10]);
            let lit: Vec<_> = pixels.iter().filter(|p| **p != Color32::BLACK).collect();
            assert_eq!(lit.len(), 20, "at {x},{y}");
            assert!(lit.iter().all(|p| p.r() == lit[0].r()), "a seam at {x},{y}");
        }
    }

    #[test]
    fn a_fan_around_a_point_has_no_seam() {
        let half = Color32::WHITE.gamma_multiply(0.5);
        let mut mesh = Mesh::default();
        mesh.colored_vertex(pos2(10.0, 10.0), half);
        for i in 0..7u16 {
            let angle = f32::from(i) / 7.0 * std::f32::consts::TAU;
            mesh.colored_vertex(pos2(10.0 + 8.3 * angle.cos(), 10.0 + 8.3 * angle.sin()), half);
        }
        for i in 0..7 {
            mesh.add_triangle(0, 1 + i, 1 + (i + 1) % 7);
        }
        let pixels = painted(&mesh, [20, 20]);
        assert!(
            pixels
                .iter()
                .all(|p| *p == Color32::BLACK || p.r() == pixels[10 * 20 + 10].r())
        );
    }

    #[test]
    fn colours_run_between_corners_and_clip_holds() {
        let mut mesh = Mesh::default();
        mesh.colored_vertex(pos2(0.0, 0.0), Color32::BLACK);
        mesh.colored_vertex(pos2(16.0, 0.0), Color32::WHITE);
        mesh.colored_vertex(pos2(0.0, 16.0), Color32::BLACK);
        mesh.add_triangle(0, 1, 2);
        let pixels = painted(&mesh, [16, 16]);
        assert!(pixels[1].r() < pixels[7].r() && pixels[7].r() < pixels[14].r());
        let mut canvas = Canvas {
            size: [16, 16],
            pixels: vec![Color32::BLACK; 256],
        };
        canvas.mesh(
            &mesh,
            &white(),
            Clip {
                x0: 4,
                y0: 2,
                x1: 8,
                y1: 4,
            },
            1.0,
        );
        let lit = (0..256).filter(|i| canvas.pixels[*i] != Color32::BLACK);
        assert!(
            lit.into_iter()
                .all(|i| (4..8).contains(&(i % 16)) && (2..4).contains(&(i / 16)))
        );
    }

    #[test]
    fn a_label_is_drawn_the_same_twice() {
        let draw = || render([200, 60], 1.0, |ui| drop(ui.heading("99.94 %")));
        let picture = draw();
        assert_eq!(picture.size, [200, 60]);
        assert_eq!(picture, draw());
        let bright = picture.rgba.chunks(4).filter(|p| p[0] > 150).count();
        assert!(bright > 50, "{bright} bright pixels");
    }
}
