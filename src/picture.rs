//! Views drawn into PNG files by the console's own rasterizer: no display, no driver.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use firedrill_console::{Console, Frame, Prefs, Theme, TimeZone, View, raster};
use firedrill_scene::{Review, Scene};

/// What the picture in a report's folder is called.
pub const REPORT: &str = "report.png";
/// How large it is, pixels.
const REPORT_SIZE: [usize; 2] = [1600, 1000];

/// Draws a view of a scene.
pub fn draw(scene: &Scene, view: View, theme: Theme, size: [usize; 2], file: &Path) -> anyhow::Result<()> {
    let prefs = Prefs {
        theme,
        ..Prefs::default()
    };
    let mut console = Console::new(prefs, TimeZone::UTC);
    console.show(view);
    // A picture asks for nothing and stops nothing.
    let picture = raster::render(size, 1.0, |ui| {
        console.ui(
            ui,
            Frame {
                scene,
                since_ms: 0,
                ask: &mut |_| {},
                abort: &mut || {},
            },
        );
    });
    let [width, height] = picture.size.map(|pixels| pixels as u32);
    image::save_buffer(file, &picture.rgba, width, height, image::ColorType::Rgba8)
        .with_context(|| format!("cannot write the picture {}", file.display()))
}

/// Draws what Review shows of a drill.
pub fn of_review(review: &Arc<Review>, file: &Path) -> anyhow::Result<()> {
    let scene = Scene {
        wall_ms: review.scene.now.wall_ms,
        drill: Some(Arc::clone(&review.scene)),
        ours: review.scene.ours(),
        reviews: Arc::new(vec![Arc::clone(review)]),
        ..Scene::default()
    };
    draw(&scene, View::Review, Theme::Dark, REPORT_SIZE, file)
}
