//! The window's inside, in egui: views draw a [`Scene`] and send [`Ask`]s.
//!
//! No eframe, no tokio, no I/O, no waiting, no locks. What a view remembers (a chosen tab, a typed text) is in
//! [`Console`]; everything else is in the scene. The glue calls [`install`] once for its context, then
//! [`Console::ui`] each frame, and [`Console::windows`] after it for the windows beside the console's. ABORT calls
//! [`Frame::abort`] directly, in the frame of the press, and sends [`Ask::Abort`] besides. The console asks for
//! repaints only while a drill or an abort moves; the glue wakes it when a new scene is there.
//!
//! Uses `scene` and the rooms whose types it shows.

mod commands;
mod cx;
mod messages;
mod notices;
mod ours;
pub mod raster;
mod shell;
mod theme;
mod views;
mod widgets;
mod windows;
mod words;

pub use firedrill_scene::{Ask, Outgoing, Scene};
pub use jiff::tz::TimeZone;
pub use messages::{Language, Titles};
pub use notices::{Attention, Notice};
pub use theme::install;
pub use windows::Feed;

use commands::Command;
use cx::Cx;
use firedrill_scene::{GameDayAsk, Level, Message};
use messages::Say;
use serde::{Deserialize, Serialize};

/// One of the console's views.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum View {
    /// Start here: the demo, a plan, recent plans.
    #[default]
    Welcome,
    /// Edit a plan.
    Design,
    /// The game day.
    Agenda,
    /// The drill that runs.
    Live,
    /// Drills that are over.
    Review,
    /// The agents.
    Fleet,
    /// Plans to start from.
    Library,
    /// The console's own widgets in each state. From the palette only.
    Gallery,
}

impl View {
    /// Every view of the navigation, in its order.
    pub const ALL: [Self; 7] = [
        Self::Welcome,
        Self::Agenda,
        Self::Design,
        Self::Live,
        Self::Review,
        Self::Fleet,
        Self::Library,
    ];
}

/// What the person chose once and expects to find again. The glue keeps it in the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Prefs {
    /// Dark unless chosen otherwise.
    pub theme: Theme,
    /// How large everything is.
    pub size: Size,
    /// The system's, unless chosen otherwise.
    pub language: Option<Language>,
    /// Where the ABORT window stood last, points of the desktop.
    pub abort_window: Option<[i32; 2]>,
    /// The console's window as it was left.
    pub window: Option<WindowSize>,
}

/// How large a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    /// Of its inside while it does not fill the screen, points.
    pub width: u16,
    /// Likewise.
    pub height: u16,
    /// It fills the screen.
    pub maximized: bool,
}

/// How large everything is drawn, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "u16", into = "u16")]
pub struct Size(u16);

impl Size {
    /// What can be chosen.
    const STEPS: [u16; 8] = [75, 90, 100, 110, 125, 150, 175, 200];

    /// The factor, 1.0 at first.
    pub fn factor(self) -> f32 {
        f32::from(self.0) / 100.0
    }

    fn larger(self) -> Self {
        Self(
            Self::STEPS
                .into_iter()
                .find(|step| *step > self.0)
                .unwrap_or(self.0),
        )
    }

    fn smaller(self) -> Self {
        let step = Self::STEPS.into_iter().rev().find(|step| *step < self.0);
        Self(step.unwrap_or(self.0))
    }
}

impl Default for Size {
    fn default() -> Self {
        Self(100)
    }
}

impl From<u16> for Size {
    /// A file may say anything: the nearest size there is.
    fn from(percent: u16) -> Self {
        let nearest = Self::STEPS.into_iter().min_by_key(|step| step.abs_diff(percent));
        Self(nearest.unwrap_or(100))
    }
}

impl From<Size> for u16 {
    fn from(size: Size) -> Self {
        size.0
    }
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

impl Theme {
    fn other(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light => Self::Dark,
        }
    }
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
    /// Of this computer.
    system: Language,
    view: View,
    agenda: views::agenda::AgendaView,
    live: views::live::Live,
    design: views::design::Design,
    review: views::review::ReviewView,
    fleet: views::fleet::FleetView,
    library: views::library::LibraryView,
    /// Height that messages took in the last frame.
    messages: f32,
    leave: views::leave::Leave,
    palette: views::palette::Palette,
    help: views::help::Help,
    open: views::open::OpenDrills,
    safety: views::safety::Safety,
    share: views::share::Share,
    watch: views::watch::Watch,
    surprise: views::arming::Surprise,
    reveal: views::reveal::Reveal,
    windows: windows::Windows,
    notices: notices::Notices,
    /// Of the window itself: what no engine knows.
    own: Vec<Message>,
}

/// Numbers of the window's own messages; the engine's count from 0.
const OWN: u64 = 1 << 63;

/// The least room that every view is drawn for, points.
const LEAST: egui::Vec2 = egui::vec2(1_024.0, 640.0);

/// What is shown above the view.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialog {
    None,
    Aborting,
    Arming,
    Open,
    Reveal,
    Leave,
    Palette,
    Help,
    Share,
}

impl Console {
    /// A console that shows times in `zone`, in English unless the settings have a language.
    pub fn new(prefs: Prefs, zone: TimeZone) -> Self {
        Self {
            prefs,
            zone,
            system: Language::default(),
            view: View::Welcome,
            agenda: views::agenda::AgendaView::default(),
            live: views::live::Live::default(),
            design: views::design::Design::default(),
            review: views::review::ReviewView::default(),
            fleet: views::fleet::FleetView::default(),
            library: views::library::LibraryView::default(),
            messages: 0.0,
            leave: views::leave::Leave::default(),
            palette: views::palette::Palette::default(),
            help: views::help::Help::default(),
            open: views::open::OpenDrills::default(),
            safety: views::safety::Safety::default(),
            share: views::share::Share::default(),
            watch: views::watch::Watch::default(),
            surprise: views::arming::Surprise::default(),
            reveal: views::reveal::Reveal::default(),
            windows: windows::Windows::default(),
            notices: notices::Notices::default(),
            own: Vec::new(),
        }
    }

    /// Shows a message until it is dismissed: `wall_ms` is when it came.
    pub fn warn(&mut self, words: String, wall_ms: i64) {
        self.own.push(Message {
            id: OWN + self.own.len() as u64,
            wall_ms,
            level: Level::Warning,
            words,
        });
    }

    /// In this language unless the settings have one.
    pub fn with_system_language(self, system: Language) -> Self {
        Self { system, ..self }
    }

    /// The words of the language that everything is shown in.
    fn say(&self) -> Say {
        Say(self.prefs.language.unwrap_or(self.system))
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

    /// The plan's text as in the editor, with what is not saved.
    pub fn text(&self) -> &str {
        self.design.text()
    }

    /// Whether the editor holds what is not on disk: ask before the window is closed.
    pub fn unsaved(&self) -> bool {
        self.design.unsaved()
    }

    /// The language that everything is shown in.
    pub fn language(&self) -> Language {
        self.say().0
    }

    /// Asks whether the window may close though the editor holds what is not on disk; gives the answer. The question
    /// covers neither ABORT nor anything else.
    pub fn ask_before_close(&self, ui: &egui::Ui) -> Option<bool> {
        views::leave::before_close(ui, self.say())
    }

    /// What the desktop is to do at this scene. For each scene once, also while no window is drawn.
    pub fn attention(&mut self, scene: &Scene) -> Attention {
        let say = self.say();
        self.notices.of(scene, self.windows.sealed, say)
    }

    /// Draws one frame over the whole window, whatever margin `ui` has.
    pub fn ui(&mut self, ui: &mut egui::Ui, frame: Frame<'_>) {
        let Frame {
            scene,
            since_ms,
            ask,
            abort,
        } = frame;
        if shell::hot_key(ui) {
            abort();
            ask(Ask::Abort);
        }
        self.apply_prefs(ui);
        self.note_size(ui);
        self.design.take(scene);
        let window = ui.ctx().content_rect();
        ui.set_clip_rect(window);
        if ui.ctx().embed_viewports() && (self.windows.stage || self.windows.responder) {
            // No second window here: the other one takes this one.
            let mut wishes = Vec::new();
            if self.embedded(ui, scene, since_ms, &mut wishes) {
                abort();
                ask(Ask::Abort);
            }
            wishes.into_iter().for_each(ask);
            return;
        }
        if scene.watch.is_some() {
            // Who follows sees the drill, and nothing else of a console.
            self.view = View::Live;
        }
        let places = shell::Places::of(window);
        let zone = self.zone.clone();
        let mut wishes = Vec::new();
        let mut cx = Cx {
            scene,
            since_ms,
            zone: &zone,
            tokens: theme::Tokens::of(ui),
            say: self.say(),
            view: self.view,
            past: false,
            goto: None,
            language: None,
            wishes: &mut wishes,
        };
        if let Some(role) = scene.watch.as_ref().and_then(|watch| watch.role)
            && !views::watch::is_framed(scene)
        {
            if self.watch.whole(ui, role, &mut cx) {
                abort();
                ask(Ask::Abort);
            }
            for command in Command::pressed(ui, scene, View::Live, Command::above_dialogs) {
                self.run(command, scene, since_ms, &mut wishes);
            }
            ui.ctx().request_repaint_after(theme::motion::TICK);
            return;
        }
        let dialog = self.dialog(scene);
        let mut commands = Command::pressed(ui, scene, self.view, |command| {
            dialog == Dialog::None || command.above_dialogs()
        });
        commands.extend(shell::surround(ui, &places, &cx));
        commands.extend(self.show_view(ui, &places, &mut cx));
        match dialog {
            Dialog::Aborting => views::aborting::ui(ui, &places, &mut cx),
            Dialog::Arming => {
                views::arming::ui(ui, &places, &mut cx, &mut self.safety, &mut self.surprise);
            }
            Dialog::Open => self.open.ui(ui, &places, &mut cx),
            Dialog::Reveal => self.reveal.ui(ui, &places, &mut cx),
            Dialog::Leave => self.leave.ui(ui, &places, &mut cx, &mut self.design),
            Dialog::Palette => commands.extend(self.palette.ui(ui, &places, &cx)),
            Dialog::Help => self.help.ui(ui, &places),
            Dialog::Share => self.share.ui(ui, &places, &mut cx),
            Dialog::None => {}
        }
        if shell::abort(ui, places.abort, &cx) {
            abort();
            ask(Ask::Abort);
        }
        let moving = cx.running() || (scene.abort.pressed_ms.is_some() && !scene.abort.finished);
        if let Some(view) = cx.goto {
            self.view = view;
        }
        self.prefs.language = cx.language.or(self.prefs.language);
        for command in commands {
            if command == Command::CopyOurs {
                ours::copy(ui, scene, since_ms, &zone, self.windows.sealed);
            }
            self.run(command, scene, since_ms, &mut wishes);
        }
        for wish in wishes {
            if let Ask::Dismiss(id @ OWN..) = wish {
                self.own.retain(|message| message.id != id);
                continue;
            }
            // A plan that is about to be replaced and is not saved is asked about first.
            if let Some(wish) = self.leave.hold(wish, &self.design) {
                ask(wish);
            }
        }
        if moving {
            // Clocks, ages and what is left of leases go on between two scenes.
            ui.ctx().request_repaint_after(theme::motion::TICK);
        }
    }

    /// The one dialog that is shown: what concerns a fault first.
    fn dialog(&self, scene: &Scene) -> Dialog {
        if scene.abort.pressed_ms.is_some() {
            Dialog::Aborting
        } else if scene.watch.is_none() && views::arming::wanted(scene) {
            Dialog::Arming
        } else if self.open.wanted(scene) {
            Dialog::Open
        } else if self.reveal.wanted(scene) {
            Dialog::Reveal
        } else if self.leave.wanted() {
            Dialog::Leave
        } else if self.palette.wanted() {
            Dialog::Palette
        } else if self.help.wanted() {
            Dialog::Help
        } else if self.share.wanted() {
            Dialog::Share
        } else {
            Dialog::None
        }
    }

    /// Gives the commands that were clicked in it.
    fn show_view(&mut self, ui: &mut egui::Ui, places: &shell::Places, cx: &mut Cx<'_>) -> Vec<Command> {
        let mut clicked = Vec::new();
        let content = places.content.shrink(theme::space::M);
        let content = content.with_max_y(content.bottom() - self.messages);
        let content = self.watch.above(ui, content, cx);
        widgets::region(ui, content, |ui| match self.view {
            View::Welcome => views::welcome::ui(ui, cx),
            View::Agenda => self.agenda.ui(ui, cx),
            View::Design => self.design.ui(ui, cx),
            View::Live => self.live.ui(ui, cx),
            View::Review => self.review.ui(ui, cx),
            View::Fleet => self.fleet.ui(ui, cx),
            View::Library => clicked = self.library.ui(ui, cx),
            View::Gallery => views::gallery::ui(ui, cx),
        });
        let taken = shell::messages(ui, places, &self.own, cx);
        if taken != self.messages {
            // The view makes room in the next frame.
            self.messages = taken;
            ui.ctx().request_repaint();
        }
        clicked
    }

    fn run(&mut self, command: Command, scene: &Scene, since_ms: u64, wishes: &mut Vec<Ask>) {
        match command {
            // Its keys and its button have a way of their own; what is copied was copied by the shell.
            Command::Abort | Command::CopyOurs => {}
            Command::Show(view) => self.view = view,
            Command::Note => {
                self.view = View::Live;
                self.live.focus_note();
            }
            Command::Finish => wishes.push(Ask::Finish),
            Command::Hold => wishes.push(Ask::Hold),
            Command::Resume => wishes.push(Ask::Resume),
            Command::Retry => {
                wishes.push(Ask::Retry);
                self.view = View::Live;
            }
            Command::Theme => self.prefs.theme = self.prefs.theme.other(),
            Command::Speak(language) => self.prefs.language = Some(language),
            Command::SpeakAsSystem => self.prefs.language = None,
            Command::Open => wishes.push(Ask::OpenPlanDialog),
            Command::Save => wishes.push(self.design.save(scene)),
            Command::Undo => self.design.undo(),
            Command::Redo => self.design.redo(),
            Command::Palette => self.palette.open(),
            Command::Help => self.help.open(),
            Command::Stage => self.windows.stage = !self.windows.stage,
            Command::Responder => self.windows.responder = !self.windows.responder,
            Command::Reveal => wishes.extend(self.reveal.given(scene)),
            Command::Enter => {
                self.view = View::Agenda;
                self.agenda.enter();
            }
            Command::NextPerson => {
                self.view = View::Agenda;
                if let Some(day) = &scene.gameday {
                    self.agenda.next_person(day);
                }
            }
            Command::Seal => self.windows.sealed = !self.windows.sealed,
            Command::Share => self.share.open(),
            Command::AbortWindow => self.windows.wish_abort(scene),
            Command::Larger => self.prefs.size = self.prefs.size.larger(),
            Command::Smaller => self.prefs.size = self.prefs.size.smaller(),
            Command::FirstSize => self.prefs.size = Size::default(),
            Command::Arm => wishes.push(Ask::Arm),
            Command::Demo => {
                wishes.push(Ask::StartDemo);
                self.view = View::Live;
            }
            Command::Begin => {
                if let Some(wish) = self.design.begin(scene) {
                    wishes.push(wish);
                    self.view = View::Live;
                }
            }
            Command::TestAbort => wishes.push(Ask::TestAbort),
            Command::UseTemplate => {
                if let Some(wish) = self.library.use_template() {
                    wishes.push(wish);
                    self.view = View::Design;
                }
            }
            Command::TryTemplate => {
                if let Some(wish) = self.library.try_template() {
                    wishes.push(wish);
                    self.view = View::Live;
                }
            }
            Command::OpenGameDay => {
                wishes.push(Ask::GameDay(GameDayAsk::OpenDialog));
                self.view = View::Agenda;
            }
            Command::Clock(clock) => wishes.push(Ask::GameDay(GameDayAsk::Clock {
                clock,
                drill: None,
                when: String::new(),
                who: self.agenda.whose().filter(|_| self.view == View::Agenda),
            })),
            Command::Play | Command::PreviousEvent | Command::NextEvent | Command::Mark | Command::Export => {
                self.review.given(command, scene, wishes);
            }
            Command::ZoomIn | Command::ZoomOut | Command::Earlier | Command::Later | Command::Follow => {
                if self.view == View::Review {
                    self.review.given(command, scene, wishes);
                } else {
                    self.live.moved(command, scene, since_ms);
                }
            }
        }
    }

    /// Keeps how large the window is now.
    fn note_size(&mut self, ui: &egui::Ui) {
        let (inside, maximized, covered) = ui.input(|input| {
            let info = input.viewport();
            let covered = info.minimized.unwrap_or(false) || info.fullscreen.unwrap_or(false);
            (info.inner_rect, info.maximized.unwrap_or(false), covered)
        });
        let Some(inside) = inside.filter(|_| !covered) else {
            return;
        };
        let size = inside.size() * ui.ctx().zoom_factor();
        let now = WindowSize {
            width: size.x.round() as u16,
            height: size.y.round() as u16,
            maximized,
        };
        // What fills the screen goes back to the size that it had.
        let before = self.prefs.window.filter(|_| maximized);
        self.prefs.window = Some(before.map_or(now, |it| WindowSize { maximized, ..it }));
    }

    fn apply_prefs(&self, ui: &mut egui::Ui) {
        self.say().settle(ui.ctx());
        // Larger only as far as there is room left for a view.
        let before = ui.ctx().zoom_factor();
        let room = ui.ctx().content_rect().size() * before / LEAST;
        let factor = self.prefs.size.factor().min(room.min_elem().max(1.0));
        if (before - factor).abs() > 0.005 {
            ui.ctx().set_zoom_factor(factor);
        }
        let wanted = match self.prefs.theme {
            Theme::Dark => egui::Theme::Dark,
            Theme::Light => egui::Theme::Light,
        };
        if ui.ctx().options(|options| options.theme_preference) != wanted.into() {
            ui.ctx().set_theme(wanted);
            // A style is taken at the begin of a frame; this frame's is the other theme's.
            ui.ctx().request_repaint();
        }
        if ui.visuals().dark_mode != (wanted == egui::Theme::Dark) {
            ui.set_style(ui.ctx().style_of(wanted));
        }
    }
}
