//! The windows beside the console's: the Stage for the projector, the responder's, and ABORT above other programs.
//!
//! They are drawn on their own, also while the console's window is minimized or covered. So each fetches the newest
//! scene itself whenever it is drawn, and its ABORT needs nothing of the console's window.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use egui::{Context, Pos2, Ui, Vec2, ViewportBuilder, ViewportCommand, ViewportId, vec2};
use firedrill_scene::{Ask, GameDayAsk, Ours, Scene};
use jiff::tz::TimeZone;

use crate::{
    Console, Size, Theme,
    commands::Command,
    messages::Say,
    shell, theme,
    views::{responder, stage},
};

/// Gives the newest scene and how many milliseconds ago it was published.
type Newest = dyn Fn() -> (Arc<Scene>, u64) + Send + Sync;

/// What a window that is drawn on its own works with. Nothing of it may wait.
#[derive(Clone)]
pub struct Feed {
    /// The newest scene.
    pub scene: Arc<Newest>,
    /// Takes a wish.
    pub ask: Arc<dyn Fn(Ask) + Send + Sync>,
    /// Stops everything now.
    pub abort: Arc<dyn Fn() + Send + Sync>,
    /// The same, for a real incident.
    pub incident: Arc<dyn Fn() + Send + Sync>,
}

impl Feed {
    fn press(&self) {
        (self.abort)();
        (self.ask)(Ask::Abort);
    }

    /// What is on first; what is written second.
    fn real_incident(&self) {
        (self.incident)();
        (self.ask)(Ask::GameDay(GameDayAsk::RealIncident));
    }
}

/// Which of them are open.
#[derive(Default)]
pub struct Windows {
    /// The Stage is open.
    pub stage: bool,
    /// The responder's window is open.
    pub responder: bool,
    /// Nothing that others see says more than that there is an exercise.
    pub sealed: bool,
    /// The ABORT window was asked for.
    wished: bool,
    /// It was closed; it comes again with the next fault.
    dismissed: bool,
    /// The ABORT window is open.
    abort: bool,
    /// Where it was opened. It is not moved while it is open, but by a person.
    abort_place: Option<Pos2>,
    /// Set by the windows themselves.
    closed: Arc<Closed>,
    /// What they were told last.
    look: Option<(bool, Theme, Size, Say)>,
}

#[derive(Default)]
struct Closed {
    stage: AtomicBool,
    responder: AtomicBool,
    abort: AtomicBool,
}

impl Windows {
    /// The command: there or away.
    pub fn wish_abort(&mut self, scene: &Scene) {
        self.wished = !self.shows_abort(scene);
        self.dismissed = !self.wished;
    }

    /// While the Stage is sealed it stands there all the time: its coming would tell that a fault began.
    fn shows_abort(&self, scene: &Scene) -> bool {
        let sealed = scene.redaction(self.sealed).hides() && (self.stage || self.responder || !self.sealed);
        self.wished || ((is_on(scene) || sealed) && !self.dismissed)
    }
}

/// Whether something of ours is on, or may be.
fn is_on(scene: &Scene) -> bool {
    matches!(scene.ours, Ours::On { .. } | Ours::MayBeOn { .. })
}

fn stage_id() -> ViewportId {
    ViewportId::from_hash_of("stage")
}

fn responder_id() -> ViewportId {
    ViewportId::from_hash_of("responder")
}

fn abort_id() -> ViewportId {
    ViewportId::from_hash_of("abort window")
}

/// The ABORT window's inside, points.
const ABORT_SIZE: Vec2 = vec2(300.0, 132.0);

impl Console {
    /// Shows the windows beside the console's, after [`Console::ui`], in the same frame. Where the platform has one
    /// window only, the Stage is drawn in that by [`Console::ui`], and ABORT stands there already.
    pub fn windows(&mut self, ctx: &Context, feed: &Feed) {
        if ctx.embed_viewports() {
            return;
        }
        let (scene, _) = (feed.scene)();
        let windows = &mut self.windows;
        if windows.closed.stage.swap(false, Ordering::AcqRel) {
            windows.stage = false;
        }
        if windows.closed.responder.swap(false, Ordering::AcqRel) {
            windows.responder = false;
        }
        if windows.closed.abort.swap(false, Ordering::AcqRel) {
            (windows.wished, windows.dismissed) = (false, true);
        }
        if !is_on(&scene) && !scene.redaction(windows.sealed).hides() {
            windows.dismissed = false;
        }
        if windows.stage {
            self.show_stage(ctx, feed.clone());
        }
        if self.windows.responder {
            self.show_responder(ctx, feed.clone());
        }
        if self.windows.shows_abort(&scene) {
            self.show_abort(ctx, feed.clone());
        } else {
            self.windows.abort = false;
        }
        let look = Some((self.windows.sealed, self.prefs.theme, self.prefs.size, self.say()));
        if self.windows.look != look {
            self.windows.look = look;
            self.wake(ctx);
        }
    }

    /// Has the open windows drawn anew: a new scene is there. On the window's thread.
    pub fn wake(&self, ctx: &Context) {
        if ctx.embed_viewports() {
            return;
        }
        if self.windows.stage {
            ctx.request_repaint_of(stage_id());
        }
        if self.windows.responder {
            ctx.request_repaint_of(responder_id());
        }
        if self.windows.abort {
            ctx.request_repaint_of(abort_id());
        }
    }

    fn show_stage(&self, ctx: &Context, feed: Feed) {
        let builder = ViewportBuilder::default()
            .with_title(self.say().stage_title())
            .with_app_id("firedrill")
            .with_inner_size([1280.0, 720.0])
            .with_min_inner_size([640.0, 360.0]);
        let (zone, sealed) = (self.zone.clone(), self.windows.sealed);
        let closed = Arc::clone(&self.windows.closed);
        ctx.show_viewport_deferred(stage_id(), builder, move |ui, _| {
            stage_window(ui, &feed, &zone, sealed, &closed);
        });
    }

    fn show_responder(&self, ctx: &Context, feed: Feed) {
        let builder = ViewportBuilder::default()
            .with_title(self.say().responder_title())
            .with_app_id("firedrill")
            .with_inner_size([1280.0, 800.0])
            .with_min_inner_size([900.0, 600.0]);
        let (zone, sealed) = (self.zone.clone(), self.windows.sealed);
        let closed = Arc::clone(&self.windows.closed);
        ctx.show_viewport_deferred(responder_id(), builder, move |ui, _| {
            responder_window(ui, &feed, &zone, sealed, &closed);
        });
    }

    fn show_abort(&mut self, ctx: &Context, feed: Feed) {
        if !std::mem::replace(&mut self.windows.abort, true) {
            let kept = self.prefs.abort_window;
            self.windows.abort_place = kept.map(|[x, y]| Pos2::new(x as f32, y as f32));
        }
        let mut builder = ViewportBuilder::default()
            .with_title(self.say().abort_window_title())
            .with_app_id("firedrill")
            .with_inner_size(ABORT_SIZE)
            .with_resizable(false)
            .with_minimize_button(false)
            .with_maximize_button(false)
            // It comes by itself: whoever types goes on typing.
            .with_active(false)
            .with_always_on_top();
        if let Some(place) = self.windows.abort_place {
            builder = builder.with_position(place);
        }
        let stands = ctx.input(|input| {
            input
                .raw
                .viewports
                .get(&abort_id())
                .and_then(|info| info.outer_rect)
        });
        if let Some(stands) = stands {
            self.prefs.abort_window = Some([stands.left() as i32, stands.top() as i32]);
        }
        let (zone, sealed) = (self.zone.clone(), self.windows.sealed);
        let closed = Arc::clone(&self.windows.closed);
        ctx.show_viewport_deferred(abort_id(), builder, move |ui, _| {
            abort_window(ui, &feed, &zone, sealed, &closed);
        });
    }

    /// The Stage or the responder's window in the console's own, where there is no other. Gives whether ABORT was
    /// pressed.
    pub(crate) fn embedded(
        &mut self,
        ui: &mut Ui,
        scene: &Scene,
        since_ms: u64,
        wishes: &mut Vec<Ask>,
    ) -> bool {
        let sealed = self.windows.sealed;
        let (abort, close) = if self.windows.stage {
            let acts = stage::ui(ui, scene, since_ms, &self.zone, sealed);
            (acts.abort, acts.close)
        } else {
            let acts = responder::ui(ui, scene, since_ms, &self.zone, sealed);
            wishes.extend(acts.asks);
            if acts.incident {
                wishes.push(Ask::GameDay(GameDayAsk::RealIncident));
            }
            (acts.abort, acts.close)
        };
        // What changes only the window goes on working.
        let commands = Command::pressed(ui, scene, self.view, Command::above_dialogs);
        for command in commands {
            self.run(command, scene, since_ms, &mut Vec::new());
        }
        if close {
            (self.windows.stage, self.windows.responder) = (false, false);
        }
        abort
    }
}

fn responder_window(ui: &mut Ui, feed: &Feed, zone: &TimeZone, sealed: bool, closed: &Closed) {
    let hot = shell::hot_key(ui);
    if hot {
        feed.press();
    }
    let (scene, since_ms) = (feed.scene)();
    let acts = responder::ui(ui, &scene, since_ms, zone, sealed);
    if acts.incident {
        feed.real_incident();
    }
    if acts.abort && !hot {
        feed.press();
    }
    for ask in acts.asks {
        (feed.ask)(ask);
    }
    close(ui, acts.close, &closed.responder);
}

fn stage_window(ui: &mut Ui, feed: &Feed, zone: &TimeZone, sealed: bool, closed: &Closed) {
    let hot = shell::hot_key(ui);
    if hot {
        feed.press();
    }
    let (scene, since_ms) = (feed.scene)();
    let acts = stage::ui(ui, &scene, since_ms, zone, sealed);
    if acts.abort && !hot {
        feed.press();
    }
    if acts.fill {
        let filled = ui.input(|input| input.viewport().fullscreen.unwrap_or(false));
        ui.send_viewport_cmd(ViewportCommand::Fullscreen(!filled));
    }
    close(ui, acts.close, &closed.stage);
}

fn abort_window(ui: &mut Ui, feed: &Feed, zone: &TimeZone, sealed: bool, closed: &Closed) {
    let hot = shell::hot_key(ui);
    if hot {
        feed.press();
    }
    let (scene, since_ms) = (feed.scene)();
    if stage::abort_only(ui, &scene, since_ms, zone, sealed) && !hot {
        feed.press();
    }
    if is_on(&scene) {
        // Its sentence counts down.
        ui.ctx().request_repaint_after(theme::motion::TICK);
    }
    close(ui, false, &closed.abort);
}

fn close(ui: &Ui, wished: bool, closed: &AtomicBool) {
    if wished || ui.input(|input| input.viewport().close_requested()) {
        closed.store(true, Ordering::Release);
        ui.ctx().request_repaint_of(ViewportId::ROOT);
    }
}
