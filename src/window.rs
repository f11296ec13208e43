//! The native window: eframe around the console, the system's dialogs, the settings. No logic of its own.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use eframe::egui;
use firedrill_broadcast::Link;
use firedrill_conductor::engine::{Choose, Desktop, EngineHandle, Options, Waker, WatchHandle, start};
use firedrill_console::{Console, Feed, Frame, Language, Prefs, TimeZone, View};
use firedrill_fleet::BoxFuture;
use firedrill_scene::{Ask, Review, Scene};

use crate::{
    cli,
    desktop::Attendant,
    fonts,
    settings::{self, Folders, Keeper},
};

const TITLE: &str = "Firedrill";

/// The window's first size, and the least that every view is drawn for.
const SIZE: [f32; 2] = [1600.0, 1000.0];
const LEAST: [f32; 2] = [1000.0, 640.0];

/// Where the disk is behind, changed settings are offered to it again after this.
const KEEP_AGAIN: Duration = Duration::from_millis(200);

/// What the window opens with.
pub enum Start {
    /// The tour.
    Demo,
    /// A plan.
    Plan(PathBuf),
    /// Another console, by its link, as this person.
    Watch(Link, String),
}

/// What is behind the window.
enum Engine {
    /// Runs drills.
    Own(EngineHandle),
    /// Follows another console.
    Follows(WatchHandle),
}

impl Engine {
    fn scene(&self) -> Arc<Scene> {
        match self {
            Self::Own(engine) => engine.scene(),
            Self::Follows(watch) => watch.scene(),
        }
    }

    fn ask(&self, ask: Ask) {
        match self {
            Self::Own(engine) => engine.ask(ask),
            Self::Follows(watch) => watch.ask(ask),
        }
    }

    fn press(&self) {
        match self {
            Self::Own(engine) => engine.press(),
            Self::Follows(watch) => watch.press(),
        }
    }

    fn press_for_incident(&self) {
        match self {
            Self::Own(engine) => engine.press_for_incident(),
            Self::Follows(watch) => watch.press(),
        }
    }

    fn shutdown(&self) {
        if let Self::Own(engine) = self {
            engine.shutdown();
        }
    }
}

/// Opens the window on another console's drill.
pub fn watch(link: Link, name: String) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        has_display(),
        "there is no display; without a window: firedrill watch LINK --headless"
    );
    run(Some(Start::Watch(link, name)))
}

/// Whether a window can be opened: on Linux and the BSDs a display is named by the environment.
pub fn has_display() -> bool {
    let named = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(any(target_os = "macos", windows)) || named("DISPLAY") || named("WAYLAND_DISPLAY")
}

/// Opens the window and stays until it is closed.
pub fn run(begin: Option<Start>) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        has_display(),
        "there is no display (DISPLAY and WAYLAND_DISPLAY are not set); without a window: firedrill run PLAN --report DIR"
    );
    let folders = settings::folders()?;
    let program = std::env::current_exe().context("where this program is cannot be found out")?;
    let (prefs, unread) = settings::load(&folders.config);
    let kept = Kept { prefs, unread };
    let options = eframe::NativeOptions {
        viewport: viewport(&prefs),
        ..eframe::NativeOptions::default()
    };
    let opened = eframe::run_native(
        TITLE,
        options,
        Box::new(move |created| {
            Ok(Box::new(Window::new(
                &created.egui_ctx,
                folders,
                kept,
                program,
                begin,
            )?))
        }),
    );
    opened.map_err(|error| {
        anyhow::anyhow!("the window cannot be opened: {error}; firedrill demo --headless needs none")
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The settings as they were found.
struct Kept {
    prefs: Prefs,
    /// Why they are the first ones.
    unread: Option<String>,
}

/// The window as it was left, where a screen may have it so; where it stands is the desktop's to say.
fn viewport(prefs: &Prefs) -> egui::ViewportBuilder {
    const MOST: f32 = 8_192.0;
    let [width, height] = prefs
        .window
        .map_or(SIZE, |it| [f32::from(it.width), f32::from(it.height)]);
    let size = [width.clamp(LEAST[0], MOST), height.clamp(LEAST[1], MOST)];
    egui::ViewportBuilder::default()
        .with_title(TITLE)
        .with_app_id("firedrill")
        .with_inner_size(size)
        .with_min_inner_size(LEAST)
        .with_maximized(prefs.window.is_some_and(|it| it.maximized))
}

/// The newest scene and when it was first asked for: views count on from there.
struct Seen(Mutex<(Arc<Scene>, Instant)>);

impl Seen {
    /// It, and how many milliseconds ago that was. The lock is held for as long as it takes to compare.
    fn newest(&self, engine: &Engine) -> (Arc<Scene>, u64) {
        let scene = engine.scene();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&scene, &seen.0) {
            *seen = (scene, Instant::now());
        }
        (Arc::clone(&seen.0), seen.1.elapsed().as_millis() as u64)
    }
}

/// What the windows beside the console's work with.
fn feed(engine: &Arc<Engine>, seen: &Arc<Seen>) -> Feed {
    let (for_scene, for_ask, for_abort) = (Arc::clone(engine), Arc::clone(engine), Arc::clone(engine));
    let for_incident = Arc::clone(engine);
    let seen = Arc::clone(seen);
    Feed {
        scene: Arc::new(move || seen.newest(&for_scene)),
        ask: Arc::new(move |ask| for_ask.ask(ask)),
        abort: Arc::new(move || for_abort.press()),
        incident: Arc::new(move || for_incident.press_for_incident()),
    }
}

struct Window {
    console: Console,
    engine: Arc<Engine>,
    seen: Arc<Seen>,
    feed: Feed,
    /// The scene that the windows and the desktop were told of last.
    told: Arc<Scene>,
    attendant: Attendant,
    /// For the desktop's dialogs.
    language: Arc<Mutex<Language>>,
    keeper: Keeper,
    closing: Closing,
    /// The process was told to end.
    leave: Arc<AtomicBool>,
}

/// Whether the window may close though the editor holds what is not on disk.
#[derive(PartialEq, Eq)]
enum Closing {
    No,
    Asked,
    Confirmed,
}

impl Window {
    fn new(
        context: &egui::Context,
        folders: Folders,
        kept: Kept,
        program: PathBuf,
        begin: Option<Start>,
    ) -> anyhow::Result<Self> {
        firedrill_console::install(context);
        fonts::install(context);
        let wake = context.clone();
        let leave = Arc::new(AtomicBool::new(false));
        let language = Arc::new(Mutex::new(Language::default()));
        let desktop = Dialogs {
            context: context.clone(),
            language: Arc::clone(&language),
            leave: Arc::clone(&leave),
        };
        let Kept { prefs, unread } = kept;
        let keeper = Keeper::start(folders.config.clone(), prefs)
            .context("the thread that keeps the settings cannot be started")?;
        let waker: Waker = Arc::new(move || wake.request_repaint());
        let engine = if let Some(Start::Watch(link, name)) = &begin {
            let watch = firedrill_conductor::engine::watch(link.clone(), name, waker);
            Engine::Follows(watch.context("the connection's thread cannot be started")?)
        } else {
            let options = Options {
                config_dir: folders.config,
                data_dir: folders.data,
                program,
                waker,
                desktop: Arc::new(desktop),
                console: cli::console(),
                who: cli::who(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            };
            let engine = start(options);
            Engine::Own(engine.context("the engine cannot be started; is the limit of threads reached?")?)
        };
        let system = sys_locale::get_locale().map_or(Language::default(), |tag| Language::of_locale(&tag));
        let mut console = Console::new(prefs, TimeZone::system()).with_system_language(system);
        if let Some(words) = unread {
            tracing::warn!("{words}");
            console.warn(words, engine.scene().wall_ms);
        }
        match begin {
            Some(Start::Demo) => {
                engine.ask(Ask::StartDemo);
                console.show(View::Live);
            }
            Some(Start::Plan(path)) => {
                engine.ask(Ask::OpenPlan(path));
                console.show(View::Design);
            }
            Some(Start::Watch(..)) => console.show(View::Live),
            None => {}
        }
        let engine = Arc::new(engine);
        let seen = Arc::new(Seen(Mutex::new((engine.scene(), Instant::now()))));
        Ok(Self {
            console,
            feed: feed(&engine, &seen),
            told: Arc::default(),
            attendant: Attendant::start().context("the desktop's thread cannot be started")?,
            seen,
            engine,
            keeper,
            language,
            closing: Closing::No,
            leave,
        })
    }

    /// A plan that is not saved is asked for once. The question covers neither ABORT nor anything else.
    fn ask_before_close(&mut self, ui: &egui::Ui) {
        let wants = ui.input(|input| input.viewport().close_requested());
        if wants && self.closing != Closing::Confirmed && self.console.unsaved() {
            ui.send_viewport_cmd(egui::ViewportCommand::CancelClose);
            self.closing = Closing::Asked;
        }
        if self.closing != Closing::Asked {
            return;
        }
        match self.console.ask_before_close(ui) {
            Some(true) => {
                self.closing = Closing::Confirmed;
                ui.send_viewport_cmd(egui::ViewportCommand::Close);
            }
            Some(false) => self.closing = Closing::No,
            None => {}
        }
    }
}

impl eframe::App for Window {
    /// Also while the window is hidden.
    fn logic(&mut self, context: &egui::Context, _frame: &mut eframe::Frame) {
        if self.leave.load(Ordering::Acquire) {
            // Who ends the process from outside is not asked about a plan that is not saved.
            self.closing = Closing::Confirmed;
            context.send_viewport_cmd(egui::ViewportCommand::Close);
        }
        let (scene, _) = self.seen.newest(&self.engine);
        if !Arc::ptr_eq(&scene, &self.told) {
            self.attendant.tell(self.console.attention(&scene));
            self.told = scene;
            // Windows beside this one are drawn on their own.
            self.console.wake(context);
        }
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let (scene, since_ms) = self.seen.newest(&self.engine);
        let engine = &self.engine;
        let frame = Frame {
            scene: &scene,
            since_ms,
            ask: &mut |ask| engine.ask(ask),
            abort: &mut || engine.press(),
        };
        self.console.ui(ui, frame);
        self.console.windows(ui.ctx(), &self.feed);
        self.ask_before_close(ui);
        *self.language.lock().unwrap_or_else(PoisonError::into_inner) = self.console.language();
        if !self.keeper.tell(self.console.prefs()) {
            ui.ctx().request_repaint_after(KEEP_AGAIN);
        }
    }

    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        self.engine.shutdown();
    }
}

/// The system's own dialogs; never on the window's thread.
struct Dialogs {
    context: egui::Context,
    /// That everything is shown in.
    language: Arc<Mutex<Language>>,
    leave: Arc<AtomicBool>,
}

impl Desktop for Dialogs {
    fn choose(&self, what: Choose, suggested: Option<String>) -> BoxFuture<'static, Option<PathBuf>> {
        let titles = self
            .language
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .titles();
        let mut dialog = rfd::AsyncFileDialog::new();
        if let Some(name) = suggested {
            dialog = dialog.set_file_name(name);
        }
        Box::pin(async move {
            let chosen = match what {
                Choose::OpenPlan => {
                    dialog
                        .set_title(titles.open_plan)
                        .add_filter(titles.plans, &["toml"])
                        .pick_file()
                        .await
                }
                Choose::SavePlan => {
                    dialog
                        .set_title(titles.save_plan)
                        .add_filter(titles.plans, &["toml"])
                        .save_file()
                        .await
                }
                Choose::OpenJournal => {
                    dialog
                        .set_title(titles.open_journal)
                        .add_filter(titles.journals, &["jsonl"])
                        .pick_file()
                        .await
                }
                Choose::ReportFolder => dialog.set_title(titles.report_folder).pick_folder().await,
                Choose::OpenGameDay => dialog.set_title(titles.open_gameday).pick_folder().await,
            };
            chosen.map(|file| file.path().to_owned())
        })
    }

    fn show(&self, path: &Path) -> io::Result<()> {
        open::that_detached(path)
    }

    fn picture(&self, review: &Arc<Review>, folder: &Path) -> Result<(), String> {
        let file = folder.join(crate::picture::REPORT);
        crate::picture::of_review(review, &file).map_err(|error| format!("{error:#}"))
    }

    fn leave(&self) {
        self.leave.store(true, Ordering::Release);
        self.context.request_repaint();
    }
}
