//! The house's widgets, each in each of its states, drawn from sample data. For who builds views; reached from the
//! palette only.

pub mod sample;

use egui::{Rect, ScrollArea, Ui, pos2, vec2};
use firedrill_scene::DrillScene;

use super::live::{Dress, PlotSource, Window, bare_plot, timeline, timeline_height};
use crate::{
    cx::Cx,
    theme::{size, space},
    widgets::{self, State},
    words::Scale,
};

/// Draws it.
pub fn ui(ui: &mut Ui, cx: &mut Cx<'_>) {
    ScrollArea::vertical()
        .id_salt("gallery")
        .auto_shrink(false)
        .show(ui, |ui| {
            let whole = ui.available_rect_before_wrap();
            let left = whole.with_max_x(whole.left() + (whole.width() * 0.36).max(330.0));
            let right = whole.with_min_x(left.right() + space::M);
            let tall = |rect: Rect| Rect::from_min_size(rect.min, vec2(rect.width(), 2_000.0));
            widgets::region(ui, tall(left), small_things);
            widgets::region(ui, tall(right), |ui| {
                plots(ui);
                timelines(ui, cx);
                agents(ui);
            });
        });
}

fn small_things(ui: &mut Ui) {
    ui.spacing_mut().item_spacing.y = space::S;
    section(ui, "Status pill", |ui| {
        for points in [13.0, 17.0] {
            ui.horizontal_wrapped(|ui| {
                for (state, word) in STATES {
                    widgets::pill(ui, state, word, points);
                }
            });
        }
    });
    section(ui, "Stat", |ui| {
        ui.horizontal_top(|ui| {
            for sli in sample::slis() {
                widgets::stat(ui, &sli, Scale::of_sli(&sli), [size::NUMBER, size::BODY]);
                ui.add_space(space::M);
            }
        });
    });
    section(ui, "Fuse", |ui| {
        for (bad, after, compact) in [(1, 3, false), (1, 2, false), (2, 2, false), (1, 2, true)] {
            widgets::fuse(ui, bad, after, compact);
        }
    });
    section(ui, "Lease countdown", |ui| {
        for left_ms in [18_000, 8_200, 400] {
            widgets::lease(ui, left_ms);
        }
    });
    section(ui, "Buttons", |ui| {
        ui.horizontal_wrapped(|ui| {
            widgets::button(ui, "Ordinary");
            widgets::button_if(ui, Err("Nothing to do"), "Out of order");
            widgets::choice(ui, true, "chosen");
            widgets::choice(ui, false, "not chosen");
            widgets::link(ui, "Secondary");
        });
        ui.horizontal_wrapped(|ui| {
            widgets::danger(ui, true, "Begins a fault");
            widgets::danger(ui, false, "Not ready");
        });
    });
}

fn agents(ui: &mut Ui) {
    section(ui, "Agent card", |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        for (i, agent) in sample::agents().iter().enumerate() {
            widgets::agent_card(ui, agent, i == 0, 54.0);
        }
    });
}

const STATES: [(State, &str); 6] = [
    (State::Good, "steady"),
    (State::Tolerated, "tolerated"),
    (State::Bad, "OUT"),
    (State::Unknown, "no data"),
    (State::Fault, "fault on"),
    (State::Waiting, "waiting"),
];

fn section(ui: &mut Ui, name: &str, contents: impl FnOnce(&mut Ui)) {
    widgets::card(ui, |ui| {
        widgets::title(ui, name);
        contents(ui);
    });
}

/// At a desk, and as the Stage draws them.
fn plots(ui: &mut Ui) {
    ui.spacing_mut().item_spacing.y = space::S;
    let drill = sample::drill(false);
    section(ui, "Band plot", |ui| {
        let width = (ui.available_width() - space::M) / 2.0;
        for row in drill.slis.chunks(2) {
            let (place, _) = ui.allocate_exact_size(vec2(ui.available_width(), 98.0), egui::Sense::hover());
            for (i, sli) in row.iter().enumerate() {
                let left = place.left() + i as f32 * (width + space::M);
                let area = Rect::from_min_size(pos2(left, place.top()), vec2(width, place.height()));
                let source = PlotSource {
                    sli,
                    injections: &drill.injections,
                    before: None,
                    now_us: drill.now.mono_us,
                    scale: Scale::of_sli(sli),
                };
                let window = Window::whole(drill.now.mono_us);
                ui.push_id(("plot", &sli.name), |ui| {
                    bare_plot(ui, area, &source, &window, Dress::DESK);
                });
            }
        }
    });
}

fn timelines(ui: &mut Ui, cx: &Cx<'_>) {
    for over in [false, true] {
        let drill: DrillScene = sample::drill(over);
        let height = timeline_height(&drill, true);
        let place = Rect::from_min_size(ui.cursor().min, vec2(ui.available_width(), height));
        let window = Window::whole(drill.now.mono_us);
        widgets::region(ui, place, |ui| {
            ui.set_min_height(height);
            timeline(ui, place, &drill, drill.now.mono_us, &window, 1.0, cx);
        });
    }
}
