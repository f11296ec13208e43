//! What is read off at a glance: a number with its unit, the fuse, what is left of a lease.

use egui::{Align2, Rect, Sense, Stroke, StrokeKind, Ui, pos2, vec2};
use firedrill_drill::SliState;
use firedrill_scene::SliScene;

use super::{dim, one_line, rich};
use crate::{
    messages::Say,
    theme::{Tokens, regular, size, space},
    words::{self, Scale},
};

/// An indicator's newest value with its unit; `points`: the sizes of both. Faint without fresh data.
pub fn stat(ui: &mut Ui, sli: &SliScene, scale: Scale, points: [f32; 2]) {
    let t = Tokens::of(ui);
    let fresh = sli.state != SliState::NoData;
    let (text, ink) = match sli.value {
        Some(value) => (scale.number(value), if fresh { t.strong } else { t.dim }),
        None => ("–".to_owned(), t.dim),
    };
    let [large, small] = points;
    ui.horizontal(|ui| {
        let gap = space::XS.max(large * 0.1);
        ui.spacing_mut().item_spacing.x = gap;
        let number = ui.label(rich(text, regular(large), ink));
        let at = pos2(
            number.rect.right() + gap,
            number.rect.bottom() - large * 0.24 + (small - size::BODY) * 0.24,
        );
        let unit = ui
            .painter()
            .text(at, Align2::LEFT_BOTTOM, &sli.unit, regular(small), t.dim);
        ui.add_space(unit.width());
    });
}

/// `1 of 2 bad samples: the next one stops the drill`, and a bar for each.
pub fn fuse(ui: &mut Ui, bad: u32, after: u32, compact: bool) {
    const MOST: u32 = 6;
    let (t, say) = (Tokens::of(ui), Say::of(ui));
    let bad = bad.min(after);
    ui.add_space(2.0);
    let shown = after.min(MOST);
    let width = ((ui.available_width().min(120.0)) / shown.max(1) as f32 - 4.0).max(6.0);
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 7.0), Sense::hover());
    for i in 0..shown {
        let at = pos2(rect.left() + i as f32 * (width + 4.0), rect.top());
        let bar = Rect::from_min_size(at, vec2(width, 7.0));
        if i < bad {
            ui.painter().rect_filled(bar, 3.0, t.out);
        } else {
            ui.painter()
                .rect_stroke(bar, 3.0, Stroke::new(1.5, t.out), StrokeKind::Inside);
        }
    }
    if compact {
        let words = if bad + 1 == after {
            say.fuse_short_next(bad, after)
        } else {
            say.fuse_short(bad, after)
        };
        one_line(ui, rich(words, regular(size::SMALL), t.strong));
        return;
    }
    let words = say.fuse((after - bad) as usize, bad, after);
    ui.label(rich(words, regular(size::SMALL), t.strong));
}

/// What happens without us, and when.
pub fn lease(ui: &mut Ui, left_ms: u64) {
    let say = Say::of(ui);
    dim(ui, say.lease_words(words::span_ms(say, left_ms)));
}
