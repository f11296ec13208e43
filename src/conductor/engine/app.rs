//! The engine's loop: asks in, scenes out. Nothing in it waits for a network or a disk: tasks do, and tell.

use std::{path::PathBuf, sync::Arc, time::Duration};

use firedrill_fleet::{Credentials, Gate};
use firedrill_plan::Plan;
use firedrill_scene::{Ask, Level, OpenDrillScene, Ours, PastScene, Review, Wish};
use firedrill_wire::AgentInfo;
use tokio::sync::mpsc;

use super::{
    Options,
    drills::{Begun, Running},
    gameday::GameDays,
    gameday_disk::GameDayWork,
    publish::Publisher,
    replays::Replays,
    share::Shared,
    tour::Tour,
};
use crate::{
    abort::AbortLine,
    clock::Clock,
    demo::{Demo, DemoError},
    headless::leave_aborter,
};

/// What the loop hears.
pub(crate) enum Work {
    /// From a person.
    Ask(Ask),
    /// A file was chosen to save this text to.
    SaveAs(PathBuf, String),
    /// A plan was read, or not.
    PlanRead(PathBuf, Result<String, String>),
    /// A plan was saved, or not.
    PlanSaved(PathBuf, String, Result<(), String>, bool),
    /// An agent of the open plan said who it is, after this many microseconds.
    Heard(u64, usize, Result<(Box<AgentInfo>, u64), (bool, String)>),
    /// The abort path to an agent of the open plan was exercised.
    Tested(u64, usize, Result<u64, String>),
    /// The drill is over.
    Finished(Box<Result<Review, String>>),
    /// A drill that is over was revealed, or why that is not on disk.
    Revealed(String, Result<(), String>),
    /// A journal was read.
    Reviewed(Box<Result<Review, String>>),
    /// Half of the demo was started.
    DemoStarted(Box<Result<Demo, DemoError>>),
    /// Drills that were never ended.
    OpenFound(Vec<OpenDrillScene>),
    /// To be looked for again.
    LookForOpen,
    /// What a source remembers, or why not.
    Past(Box<PastScene>),
    /// Something to say.
    Say(Level, String),
    /// Of a game day.
    GameDay(Box<GameDayWork>),
    /// Somebody who follows wished something.
    Wished(String, Box<Wish>),
    /// Who follows, or what is known of the way here, has changed.
    ShareChanged,
    /// The window is closed.
    End,
}

/// The plan that is open.
#[derive(Default)]
pub(crate) struct OpenPlan {
    pub(crate) path: Option<PathBuf>,
    pub(crate) text: String,
    pub(crate) plan: Option<Arc<Plan>>,
    /// The demo's tokens; a file's plans use the credentials file.
    pub(crate) tokens: Option<Credentials>,
    /// Grows with every load and save.
    pub(crate) revision: u64,
}

pub(crate) struct App {
    pub(crate) options: Options,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) line: Arc<AbortLine>,
    pub(crate) work: mpsc::Sender<Work>,
    pub(crate) plan: OpenPlan,
    /// For calls to the plan's agents while no drill runs.
    pub(crate) gate: Gate,
    pub(crate) running: Option<Running>,
    /// The card of the drill that runs, or ran last.
    pub(crate) card: Option<PathBuf>,
    pub(crate) tour: Option<Tour>,
    /// What was begun last.
    pub(crate) begun: Option<Begun>,
    pub(crate) gamedays: GameDays,
    pub(crate) replays: Replays,
    pub(crate) shared: Shared,
}

impl App {
    pub(crate) fn new(
        options: Options,
        publisher: Arc<Publisher>,
        line: Arc<AbortLine>,
        work: mpsc::Sender<Work>,
    ) -> Self {
        Self {
            options,
            publisher,
            line,
            work,
            plan: OpenPlan::default(),
            gate: Gate::new(),
            running: None,
            card: None,
            tour: None,
            begun: None,
            gamedays: GameDays::default(),
            replays: Replays::default(),
            shared: Shared::default(),
        }
    }

    pub(crate) async fn run(mut self, mut queue: mpsc::Receiver<Work>) {
        self.read_recent();
        self.read_journals();
        self.look_for_open();
        self.start_gamedays();
        let mut board = self.line.handle().version();
        let mut guide = tokio::time::interval(Duration::from_millis(200));
        guide.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let counting = self.tour.is_some() && self.running.is_some();
            tokio::select! {
                biased;
                changed = board.changed() => if changed.is_ok() {
                    self.show_abort();
                },
                work = queue.recv() => match work {
                    Some(Work::End) | None => break,
                    Some(work) => self.handle(work),
                },
                // Only while the tour counts down: idle, nothing wakes.
                _ = guide.tick(), if counting => self.guide(),
            }
        }
        self.end().await;
    }

    /// The panel, when what it shows has changed: a heartbeat is nothing to repaint for.
    fn show_abort(&self) {
        let board = self.line.handle().board();
        let scene = self.publisher.scene();
        let abort = board.scene(scene.abort.armed);
        if abort != scene.abort {
            self.publisher.update(|scene| scene.abort = abort);
        }
    }

    fn handle(&mut self, work: Work) {
        match work {
            Work::Ask(ask) => self.asked(ask),
            Work::SaveAs(path, text) => self.save_to(path, text, false, true),
            Work::PlanRead(path, text) => self.plan_read(path, text),
            Work::PlanSaved(path, text, result, newer) => self.plan_saved(path, text, result, newer),
            Work::Heard(revision, agent, result) => self.heard(revision, agent, result),
            Work::Tested(revision, agent, result) => self.tested(revision, agent, result),
            Work::Finished(result) => self.finished(*result),
            Work::Revealed(drill, result) => self.revealed(&drill, result),
            Work::Reviewed(result) => match *result {
                Ok(review) => self.add_review(Arc::new(review)),
                Err(why) => self.publisher.say(Level::Error, why),
            },
            Work::DemoStarted(result) => self.demo_started(*result),
            Work::OpenFound(found) => self.open_found(found),
            Work::LookForOpen => {
                self.rest();
                self.look_for_open();
            }
            Work::Past(past) => self.show_past(*past),
            Work::Say(level, words) => self.publisher.say(level, words),
            Work::GameDay(work) => self.gameday_work(*work),
            Work::Wished(who, wish) => self.wished(&who, *wish),
            Work::ShareChanged => self.show_share(),
            Work::End => {}
        }
    }

    fn asked(&mut self, ask: Ask) {
        match ask {
            Ask::StartDemo => self.start_demo(firedrill_demo::Build::Fragile),
            Ask::RunFix => self.start_demo(firedrill_demo::Build::Hardened),
            Ask::TryTemplate { template, experiment } => self.try_template(&template, experiment),
            Ask::OpenPlanDialog => self.open_dialog(),
            Ask::OpenPlan(path) => self.open(path),
            Ask::NewPlan(text) => self.show_plan(None, text, None),
            Ask::SavePlan {
                text,
                choose,
                over_newer,
            } => self.save(text, choose, over_newer),
            Ask::Begin { text, experiment } => self.begin(text, &experiment),
            Ask::Arm => self.command(firedrill_drill::Command::Arm),
            Ask::ArmBetween {
                earliest_ms,
                latest_ms,
                blind,
            } => self.command(firedrill_drill::Command::ArmBetween {
                earliest_ms,
                latest_ms,
                blind,
                by: self.options.who.clone(),
            }),
            Ask::Reveal(drill) => self.reveal(&drill),
            // Before the first injection an early end has nothing to take back.
            Ask::Back | Ask::Finish => self.command(firedrill_drill::Command::Finish),
            Ask::Hold => self.command(firedrill_drill::Command::Hold {
                by: self.options.who.clone(),
            }),
            Ask::Resume => self.command(firedrill_drill::Command::Resume {
                by: self.options.who.clone(),
            }),
            Ask::Strength {
                injection,
                parameters,
            } => self.command(firedrill_drill::Command::Strength {
                injection: injection.into(),
                parameters,
                by: self.options.who.clone(),
            }),
            Ask::Retry => self.retry(),
            // The handle was pressed before the ask came here.
            Ask::Abort => {}
            Ask::DismissAbort => {
                self.line.handle().dismiss();
                self.show_abort();
                self.rest();
            }
            Ask::Note(text) => self.command(firedrill_drill::Command::Note {
                author: self.options.who.clone(),
                text: text.chars().take(2_000).collect(),
            }),
            Ask::Override { rule, reason } => self.command(firedrill_drill::Command::Override {
                rule,
                reason,
                by: self.options.who.clone(),
            }),
            Ask::Approve { by } => self.command(firedrill_drill::Command::Approve { by }),
            Ask::RunAction(action) => self.command(firedrill_drill::Command::Act {
                action,
                by: self.options.who.clone(),
            }),
            Ask::AbortOpen(drill) => self.abort_open(&drill),
            Ask::WatchOpen(drill) => self.watch_open(&drill),
            Ask::Release { agent, latch, reason } => self.release(&agent, latch, reason),
            Ask::Past(of) => self.remember_past(*of),
            Ask::RefreshFleet => self.refresh(),
            Ask::TestAbort => self.test_abort(),
            Ask::SetToken { url, token } => self.set_token(&url, &token),
            Ask::Enroll(line) => self.enroll(&line),
            Ask::OpenJournalDialog => self.open_journal_dialog(),
            Ask::ExportReport(drill) => self.export(&drill),
            Ask::Replay(ask) => self.replay_asked(ask),
            Ask::Show(path) => self.show_path(path),
            Ask::Dismiss(id) => self.publisher.update(|scene| {
                Arc::make_mut(&mut scene.messages).retain(|message| message.id != id);
            }),
            Ask::GameDay(ask) => self.gameday_asked(ask),
            Ask::Share(ask) => self.share_asked(ask),
            // This console follows nobody.
            Ask::Watcher(_) => {}
        }
    }

    /// Runs something beside the loop that tells it its outcome.
    pub(crate) fn spawn(&self, task: impl Future<Output = Option<Work>> + Send + 'static) {
        let work = self.work.clone();
        tokio::spawn(async move {
            if let Some(told) = task.await {
                // The loop may have ended.
                work.send(told).await.ok();
            }
        });
    }

    /// Everything that may be on is taken back before this process ends; what is not proved in time is left to
    /// another.
    async fn end(mut self) {
        let handle = self.line.handle();
        let may_be_on = matches!(
            self.publisher.scene().ours,
            Ours::On { .. } | Ours::MayBeOn { .. }
        );
        let drills = self.running.is_some();
        if (drills && may_be_on) && !handle.board().is_aborting() {
            handle.press("the console's window was closed", &self.options.who);
        } else if drills {
            self.command(firedrill_drill::Command::Finish);
        }
        let quiet = async {
            while handle.board().is_aborting() || self.running.as_ref().is_some_and(|it| !it.is_over()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(3), quiet).await.is_ok();
        if (handle.board().is_aborting() || (may_be_on && !in_time))
            && let Some(card) = &self.card
        {
            leave_aborter(&self.options.program, card);
        }
        self.end_sharing();
        if let Some(demo) = self.tour.take().and_then(|tour| tour.demo) {
            crate::tour::end(demo).await;
        }
    }

    /// No drill runs: the abort line is held to the plan's agents, without connections, so that a press latches
    /// whoever is reachable. An abort panel that is open is left alone.
    pub(crate) fn rest(&mut self) {
        let handle = self.line.handle();
        if self.running.is_some() || handle.board().press.is_some() {
            return;
        }
        self.gate = self.line.begin(None, Clock::start());
        let Some(plan) = self.plan.plan.clone() else {
            self.line.hold(Vec::new());
            return;
        };
        let credentials = self.credentials();
        let line = Arc::clone(&self.line);
        let fleet = Arc::clone(&self.publisher.scene().fleet);
        tokio::spawn(async move {
            let mut targets = Vec::new();
            for (index, entry) in plan.agents.iter().enumerate() {
                let Ok(mut target) = crate::abort::resolve(entry, index, &credentials).await else {
                    continue;
                };
                let info = fleet.get(index).and_then(|agent| agent.info.as_ref());
                if let Some(port) = info.and_then(|info| info.abort_port) {
                    target.set_port(port);
                }
                targets.push(target);
            }
            line.hold_if_resting(targets);
        });
    }

    /// The open plan's tokens.
    pub(crate) fn credentials(&self) -> Credentials {
        if let Some(tokens) = &self.plan.tokens {
            return tokens.clone();
        }
        match Credentials::load(&self.options.credentials()) {
            Ok(credentials) => credentials,
            Err(error) => {
                self.publisher.say(Level::Error, error.to_string());
                Credentials::default()
            }
        }
    }
}
