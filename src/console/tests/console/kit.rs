//! A console in a harness, fed with scenes, whose wishes are kept; pictures by the shipped CPU rasterizer.

use egui::{Key, Modifiers, accesskit::Role, vec2};
use egui_kittest::{Harness, TestRenderer, kittest::Queryable as _};
use firedrill_console::{Ask, Console, Frame, Prefs, Scene, Theme, TimeZone, View, install, raster::Raster};

/// A large window.
pub const SIZE: [f32; 2] = [1600.0, 1000.0];

/// What a test's frame works on.
pub struct State {
    pub console: Console,
    pub scene: Scene,
    pub asks: Vec<Ask>,
    pub aborts: usize,
}

struct Cpu(Raster);

impl TestRenderer for Cpu {
    fn handle_delta(&mut self, delta: &mut egui::TexturesDelta) {
        self.0.update(delta);
    }

    fn render(&mut self, ctx: &egui::Context, output: &egui::FullOutput) -> Result<image::RgbaImage, String> {
        let scale = output.pixels_per_point;
        let size = ctx.content_rect().size() * scale;
        let size = [size.x.round() as usize, size.y.round() as usize];
        let primitives = ctx.tessellate(output.shapes.clone(), scale);
        let picture = self.0.paint(size, scale, &primitives);
        image::RgbaImage::from_raw(size[0] as u32, size[1] as u32, picture.rgba)
            .ok_or_else(|| "size".to_owned())
    }
}

/// A console that shows `view` of `scene` in a window of `size`.
pub fn console(scene: Scene, view: View, theme: Theme, size: [f32; 2]) -> Harness<'static, State> {
    let prefs = Prefs {
        theme,
        ..Prefs::default()
    };
    harness(scene, view, Console::new(prefs, TimeZone::UTC), size)
}

/// The same for a console as somebody left it.
pub fn harness(scene: Scene, view: View, mut console: Console, size: [f32; 2]) -> Harness<'static, State> {
    console.show(view);
    let state = State {
        console,
        scene,
        asks: Vec::new(),
        aborts: 0,
    };
    let mut harness = Harness::builder()
        .with_size(vec2(size[0], size[1]))
        .with_max_steps(12)
        .with_step_dt(1.0 / 60.0)
        .with_context_setup(install)
        .renderer(Cpu(Raster::default()))
        .build_ui_state(
            |ui, state: &mut State| {
                let State {
                    console,
                    scene,
                    asks,
                    aborts,
                } = state;
                let frame = Frame {
                    scene,
                    since_ms: 0,
                    ask: &mut |ask| asks.push(ask),
                    abort: &mut || *aborts += 1,
                };
                console.ui(ui, frame);
            },
            state,
        );
    harness.run();
    harness
}

pub fn click(harness: &mut Harness<'_, State>, label: &str) {
    harness.get_by_role_and_label(Role::Button, label).click();
    harness.run();
}

pub fn type_into(harness: &mut Harness<'_, State>, label: &str, text: &str) {
    fill(harness, Role::TextInput, label, text);
}

/// The same for a field of another role.
pub fn fill(harness: &mut Harness<'_, State>, role: Role, label: &str, text: &str) {
    harness.get_by_role_and_label(role, label).focus();
    harness.run();
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.get_by_role_and_label(role, label).type_text(text);
    harness.run();
}

pub fn says(harness: &Harness<'_, State>, words: &str) -> bool {
    harness.query_all_by_label_contains(words).next().is_some()
}
