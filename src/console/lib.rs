//! The window's inside, in egui: views draw a [`Scene`] and send [`Ask`]s.
//!
//! No eframe, no tokio, no I/O, no waiting, no locks. What a view remembers (a chosen tab, a typed text) is in
//! [`Console`]; everything else is in the scene. The glue calls [`install`] once for its context, then
//! [`Console::ui`] each frame. ABORT calls [`Frame::abort`] directly, in the frame of the press, and sends
//! [`Ask::Abort`] besides. The console asks for repaints only while a drill or an abort moves; the glue wakes
//! it when a new scene is there.
//!
//! Uses `scene` and the rooms whose types it shows.

pub mod raster;
mod theme;

pub use firedrill_scene::{Ask, Scene};
pub use jiff::tz::TimeZone;
pub use theme::install;

use serde::{Deserialize, Serialize};

/// One of the console's views.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum View {
    /// Start here: the demo, a plan, recent plans.
    #[default]
    Welcome,
    /// Edit a plan.
    Design,
    /// The drill that runs.
    Live,
    /// Drills that are over.
    Review,
    /// The agents.
    Fleet,
}

impl View {
    /// Every view, in the order of the navigation.
    pub const ALL: [Self; 5] = [Self::Welcome, Self::Design, Self::Live, Self::Review, Self::Fleet];
}

/// What the person chose once and expects to find again. The glue keeps it in the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefs {
    /// Dark unless chosen otherwise.
    pub theme: Theme,
}

/// A look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// For a desk.
    #[default]
    Dark,
    /// For a projector in a bright room.
    Light,
}

/// What one frame is drawn from, and where its wishes go.
pub struct Frame<'a> {
    /// The newest scene.
    pub scene: &'a Scene,
    /// Milliseconds since that scene was published.
    pub since_ms: u64,
    /// Takes every wish, in order. Must not wait.
    pub ask: &'a mut dyn FnMut(Ask),
    /// Stops everything now; called in the frame of the press, before anything else. Must not wait.
    pub abort: &'a mut dyn FnMut(),
}

/// The window's own memory.
pub struct Console {
    prefs: Prefs,
    zone: TimeZone,
    view: View,
}

impl Console {
    /// A console that shows times in `zone`.
    pub fn new(prefs: Prefs, zone: TimeZone) -> Self {
        Self { prefs, zone, view: View::Welcome }
    }

    /// What to keep for the next start.
    pub fn prefs(&self) -> Prefs {
        self.prefs
    }

    /// The view that is shown.
    pub fn view(&self) -> View {
        self.view
    }

    /// Shows another view.
    pub fn show(&mut self, view: View) {
        self.view = view;
    }

    /// Draws one frame into the whole of `ui`, which has no margin.
    pub fn ui(&mut self, ui: &mut egui::Ui, frame: Frame<'_>) {
        let pressed = ui.input(|input| {
            input.events.iter().any(|event| {
                matches!(event, egui::Event::Key { key: egui::Key::X, pressed: true, repeat: false, modifiers, .. }
                    if modifiers.shift && modifiers.command)
            })
        });
        if pressed {
            (frame.abort)();
            (frame.ask)(Ask::Abort);
        }
    }
}
