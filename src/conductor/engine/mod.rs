//! The engine behind the window: every ask of a person, on threads of its own.

mod app;
mod drills;
mod fleet;
mod gameday;
mod gameday_disk;
mod gameday_said;
mod leave;
mod open;
mod past;
mod plan_file;
mod plans;
mod publish;
mod replays;
mod reveal;
mod share;
mod tour;
mod watching;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc as std_mpsc},
    time::Duration,
};

use firedrill_drill::REAL_INCIDENT;
use firedrill_fleet::BoxFuture;
use firedrill_scene::{Ask, Level, Review, Scene};
use parking_lot::Mutex;
pub use plan_file::{PlanFileError, is_newer, read_plan, save_plan};
use publish::Publisher;
pub use publish::Waker;
use tokio::sync::mpsc;
pub use watching::{WatchHandle, watch};

use self::app::{App, Work};
use crate::{
    abort::{AbortHandle, AbortLine},
    clock::wall_ms,
    headless::runtime,
    sharing::press_once,
    signals::listen,
};

/// Asks that wait for the engine.
const ASKS: usize = 64;
/// At the end the engine has this long to take everything back; then a process is left that goes on.
const END_LIMIT: Duration = Duration::from_secs(12);

/// A file or folder to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choose {
    /// A plan to open.
    OpenPlan,
    /// Where to save a plan.
    SavePlan,
    /// A drill's journal.
    OpenJournal,
    /// A folder for a report.
    ReportFolder,
    /// A game day's folder.
    OpenGameDay,
}

/// What only the desktop can do. Nothing of it is called on the window's thread.
pub trait Desktop: Send + Sync + 'static {
    /// Lets the person choose with the system's dialog; `suggested` is a file's name. `None`: cancelled.
    fn choose(&self, what: Choose, suggested: Option<String>) -> BoxFuture<'static, Option<PathBuf>>;

    /// Shows a file or folder with the system's program.
    fn show(&self, path: &Path) -> io::Result<()>;

    /// Draws a finished drill into `report.png` in a folder: whoever has the window can draw it.
    fn picture(&self, review: &Arc<Review>, folder: &Path) -> Result<(), String>;

    /// Closes the window, whatever it would ask first.
    fn leave(&self);
}

/// What an engine is started with.
#[derive(Clone)]
pub struct Options {
    /// The platform's folder for settings; the credentials are in it.
    pub config_dir: PathBuf,
    /// The platform's folder for data: journals, reports, the folder of drills.
    pub data_dir: PathBuf,
    /// This program: the demo's agent, and what is left behind to go on aborting.
    pub program: PathBuf,
    /// Wakes the window.
    pub waker: Waker,
    /// Dialogs and the like.
    pub desktop: Arc<dyn Desktop>,
    /// This console, for the agents.
    pub console: String,
    /// Who drives.
    pub who: String,
    /// The program's version.
    pub version: String,
}

impl Options {
    pub(crate) fn credentials(&self) -> PathBuf {
        self.config_dir.join("credentials.json")
    }

    pub(crate) fn drills(&self) -> PathBuf {
        self.data_dir.join("drills")
    }

    pub(crate) fn journals(&self) -> PathBuf {
        self.data_dir.join("journals")
    }
}

/// An engine that runs. Dropping it without [`EngineHandle::shutdown`] leaves agents to their leases.
pub struct EngineHandle {
    publisher: Arc<Publisher>,
    work: mpsc::Sender<Work>,
    abort: AbortHandle,
    who: String,
    /// Behind a lock so that windows of other threads can hold the engine too; only the end takes it.
    ended: Mutex<std_mpsc::Receiver<()>>,
}

/// Starts an engine: its threads, and nothing else yet. From now on SIGINT, SIGTERM and SIGHUP abort what runs
/// and then close the window, and a second one closes it at once.
pub fn start(options: Options) -> io::Result<EngineHandle> {
    let runtime = runtime()?;
    let line = Arc::new(AbortLine::start()?);
    let abort = line.handle();
    let who = options.who.clone();
    let publisher = Arc::new(Publisher::new(Arc::clone(&options.waker))?);
    let (work, queue) = mpsc::channel(ASKS);
    let (tell, ended) = std_mpsc::sync_channel(1);
    // Caught before anything can be on.
    let listening = {
        let desktop = Arc::clone(&options.desktop);
        let (abort, publisher) = (abort.clone(), Arc::clone(&publisher));
        listen(|signals| leave::on_signals(signals, abort, publisher, desktop))?
    };
    let app = App::new(options, Arc::clone(&publisher), line, work.clone());
    std::thread::Builder::new()
        .name("engine".to_owned())
        .spawn(move || {
            runtime.block_on(app.run(queue));
            drop(listening);
            runtime.shutdown_timeout(Duration::from_secs(1));
            // Nobody may be waiting.
            tell.send(()).ok();
        })?;
    Ok(EngineHandle {
        publisher,
        work,
        abort,
        who,
        ended: Mutex::new(ended),
    })
}

impl EngineHandle {
    /// The newest scene; never waits. The abort panel is read from the abort line itself, so that it is right
    /// also while the engine is busy.
    pub fn scene(&self) -> Arc<Scene> {
        let scene = self.publisher.scene();
        let abort = self.abort.board().scene(scene.abort.armed);
        if abort == scene.abort {
            return scene;
        }
        let mut scene = Scene::clone(&scene);
        scene.abort = abort;
        scene.wall_ms = wall_ms();
        Arc::new(scene)
    }

    /// Asks for something; never waits.
    pub fn ask(&self, ask: Ask) {
        if ask == Ask::Abort {
            // Whoever forgets the handle is not forgotten.
            self.press();
        }
        if self.work.try_send(Work::Ask(ask)).is_err() {
            self.publisher.say(
                Level::Error,
                "the engine is busy and did not take that; ABORT works all the same",
            );
        }
    }

    /// Presses ABORT: needs no queue, and nothing of the engine. A second press while the first one works is
    /// the same press.
    pub fn press(&self) {
        press_once(&self.abort, "ABORT was pressed", &self.who);
    }

    /// The same for a real incident: a drill that runs is aborted, and with that reason revealed. Where nothing runs
    /// nobody is latched.
    pub fn press_for_incident(&self) {
        let scene = self.publisher.scene();
        if scene.drill.as_ref().is_some_and(|drill| drill.verdict.is_none()) {
            self.abort.press(REAL_INCIDENT, &self.who);
        }
    }

    /// To press ABORT from elsewhere.
    pub fn abort(&self) -> AbortHandle {
        self.abort.clone()
    }

    /// Ends it: whatever may be on is aborted, and what cannot be proved clean in time is left to a process that
    /// goes on aborting. Blocks for some seconds at the most.
    pub fn shutdown(&self) {
        if self.work.blocking_send(Work::End).is_err() {
            return;
        }
        if self.ended.lock().recv_timeout(END_LIMIT).is_err() {
            tracing::error!("the engine did not end in time; run: firedrill status");
        }
    }
}
