//! Live: a card for each SLI with its plot, the log, the fault that is on, the timeline.

mod banner;
mod before;
mod card;
mod lever;
mod pair;
mod plot;
mod side;
mod timeline;
mod trace;
mod window;

pub use banner::{check_row, outcome, tour, tour_height};
pub use before::Before;
pub use card::{Look, cards};
pub use pair::{Half, inks as pair_inks, pair, pair_axis};
pub use plot::{Dress, Source as PlotSource, bare as bare_plot};
pub use side::{Filter, log_lines, people};
pub use timeline::{Axis, PHASES, height as timeline_height, marks, phases as phase_bars, ui as timeline};
pub use window::Window;

use egui::{Rect, Ui, pos2, vec2};
use firedrill_drill::Phase;
use firedrill_scene::{DrillScene, Scene};

use crate::{
    View,
    commands::Command,
    cx::Cx,
    theme::space,
    widgets::{self, button},
};

/// What Live remembers.
#[derive(Default)]
pub struct Live {
    window: Window,
    side: side::Side,
    /// The drill that the window belongs to.
    drill: String,
}

impl Live {
    /// The note field gets the focus in the next frame.
    pub fn focus_note(&mut self) {
        self.side.focus = true;
    }

    /// What wheel and drag do, by keys.
    pub fn moved(&mut self, command: Command, scene: &Scene, since_ms: u64) {
        let now_us = scene.drill.as_ref().map_or(0, |drill| drill.now.mono_us) + since_ms * 1_000;
        match command {
            Command::ZoomIn => self.window.zoom(0.5, 0.5, now_us),
            Command::ZoomOut => self.window.zoom(2.0, 0.5, now_us),
            Command::Earlier => self.window.pan(0.25, now_us),
            Command::Later => self.window.pan(-0.25, now_us),
            Command::Follow => self.window.follow(),
            _ => {}
        }
    }

    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let Some(drill) = cx.scene.drill.clone() else {
            nothing(ui, cx);
            return;
        };
        if self.drill != drill.id {
            self.drill.clone_from(&drill.id);
            self.window = Window::default();
        }
        let whole = ui.max_rect();
        let side_width = if whole.width() > 1300.0 { 320.0 } else { 268.0 };
        let (left, right) = whole.split_left_right_at_x(whole.right() - side_width);
        let left = left.with_max_x(left.right() - space::M);
        self.side.ui(ui, right, &drill, cx);
        self.centre(ui, left, &drill, cx);
    }

    fn centre(&mut self, ui: &mut Ui, rect: Rect, drill: &DrillScene, cx: &mut Cx<'_>) {
        let mut rest = rect;
        if let Some(tour) = cx.scene.tour.clone() {
            let brief = drill.phase > Phase::Arming;
            take_top(&mut rest, tour_height(&tour, rect.width(), brief), |place| {
                banner::tour(ui, place, &tour, brief, cx);
            });
        }
        if let Some(verdict) = &drill.verdict {
            let height = banner::verdict_height(verdict, rest.height());
            take_top(&mut rest, height, |place| {
                banner::verdict(ui, place, verdict, drill, cx);
            });
        }
        if let Some(hold) = &drill.hold {
            take_top(&mut rest, banner::HELD_HEIGHT, |place| {
                banner::held(ui, place, hold, drill, cx);
            });
        }
        if drill.phase == Phase::Preflight
            || (drill.verdict.is_some() && drill.phases.len() <= 2 && !drill.checks.is_empty())
        {
            let height = banner::checks_height(drill).min(rest.height() * 0.55);
            take_top(&mut rest, height, |place| banner::checks(ui, place, drill));
        }
        let height = timeline_height(drill, rect.height() > 620.0);
        let foot = Rect::from_min_max(pos2(rest.left(), rest.bottom() - height), rest.max);
        rest.set_bottom(foot.top() - space::M);
        let now_us = cx.drill_now_us(drill);
        let look = Look {
            now_us,
            clock: drill.verdict.is_none(),
            before: Before::of(drill),
        };
        let hidden = cards(ui, rest, drill, &mut self.window, look, cx);
        timeline(ui, foot, drill, now_us, &self.window, hidden, cx);
    }
}

/// Cuts `height` off the top of `rest`, with a gap below.
fn take_top(rest: &mut Rect, height: f32, draw: impl FnOnce(Rect)) {
    let place = Rect::from_min_size(rest.min, vec2(rest.width(), height));
    rest.set_top(place.bottom() + space::M);
    draw(place);
}

fn nothing(ui: &mut Ui, cx: &mut Cx<'_>) {
    let say = cx.say;
    if cx.scene.watch.is_some() {
        widgets::empty(ui, say.stage_no_drill(), say.watch_no_drill(), |_| {});
        return;
    }
    widgets::empty(ui, say.live_empty(), say.live_empty_words(), |ui| {
        ui.horizontal(|ui| {
            ui.add_space((ui.available_width() - 260.0).max(0.0) / 2.0);
            if button(ui, say.go_to_design()).clicked() {
                cx.goto = Some(View::Design);
            }
            if button(ui, Command::Demo.label(say)).clicked() {
                cx.ask(firedrill_scene::Ask::StartDemo);
            }
        });
    });
}
