//! A drill in the window: begin, commands, what is shown of it, its end.

use std::{path::PathBuf, sync::Arc};

use firedrill_drill::{AgentStatus, Arming, At, Command, Drill, Phase};
use firedrill_fleet::Credentials;
use firedrill_plan::{Plan, Severity};
use firedrill_scene::{AgentHealth, AgentScene, GameDayAsk, Level, Ours, Review, Scene, SceneBuilder, ours};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    app::{App, Work},
    publish::Publisher,
};
use crate::{
    abort::AbortHandle,
    conduct::{Finished, Job, conduct},
    headless::{Headless, journal_path, reviewed, setup},
    ledger::card_path,
    log::JournalFile,
};

/// Commands that wait for a drill.
const COMMANDS: usize = 64;

/// The drill that runs.
pub(crate) struct Running {
    commands: mpsc::Sender<Command>,
    task: JoinHandle<()>,
}

/// What a drill is begun from.
#[derive(Clone)]
pub(crate) struct Begun {
    pub(crate) plan: Arc<Plan>,
    pub(crate) text: String,
    pub(crate) experiment: usize,
    pub(crate) credentials: Credentials,
    /// The folder of its journal.
    pub(crate) journals: PathBuf,
    /// Of the game day's agenda, its row.
    pub(crate) row: Option<String>,
    /// Sealed, whatever its plan says.
    pub(crate) rehearsal: bool,
}

impl Running {
    pub(crate) fn is_over(&self) -> bool {
        self.task.is_finished()
    }
}

impl App {
    /// Begins a drill of the open plan from the text in the editor.
    pub(crate) fn begin(&mut self, text: String, experiment: &str) {
        let checked = firedrill_plan::check(&text);
        let Some(plan) = checked.plan else {
            let errors = checked
                .diagnostics
                .iter()
                .filter(|it| it.severity == Severity::Error);
            let first = checked
                .diagnostics
                .iter()
                .find(|it| it.severity == Severity::Error);
            let first = first.map_or_else(String::new, |it| it.render("plan", &text));
            let words = format!(
                "not begun: the plan has {} mistakes; the first: {first}",
                errors.count()
            );
            self.publisher.say(Level::Error, words);
            return;
        };
        let Some(index) = plan.experiments.iter().position(|it| it.name == experiment) else {
            let words = format!("not begun: the plan has no experiment \"{experiment}\"");
            self.publisher.say(Level::Error, words);
            return;
        };
        let credentials = self.credentials();
        self.begin_drill(Begun {
            plan: Arc::new(plan),
            text,
            experiment: index,
            credentials,
            journals: self.options.journals(),
            row: None,
            rehearsal: false,
        });
    }

    /// Begins a drill. Gives its id; `None`: it was not begun, and why is said.
    pub(crate) fn begin_drill(&mut self, begun: Begun) -> Option<String> {
        if let Some(why) = self.in_the_way() {
            self.publisher.say(Level::Warning, format!("not begun: {why}"));
            return None;
        }
        self.begun = Some(begun.clone());
        let options = &self.options;
        let headless = Headless {
            plan: begun.plan,
            text: begun.text,
            experiment: begun.experiment,
            credentials: begun.credentials,
            journals: begun.journals,
            drills: options.drills(),
            first: begun
                .rehearsal
                .then(|| Command::Seal {
                    by: options.who.clone(),
                })
                .into_iter()
                .collect(),
            console: options.console.clone(),
            who: options.who.clone(),
            version: options.version.clone(),
            program: options.program.clone(),
            share: None,
        };
        let setup = setup(&headless, Arming::Ask);
        let journal = journal_path(&headless.journals, &setup);
        let log = std::fs::create_dir_all(&headless.journals)
            .map_err(|error| error.to_string())
            .and_then(|()| JournalFile::create(&journal).map_err(|error| error.to_string()));
        let log = match log {
            Ok(log) => log,
            Err(why) => {
                self.publisher.say(Level::Error, format!("not begun: {why}"));
                return None;
            }
        };
        let drill = setup.drill.to_string();
        let (commands, receiver) = mpsc::channel(COMMANDS);
        self.share_drill(&drill, journal.clone());
        let card = card_path(&headless.drills, setup.drill.as_str());
        let job = Job {
            card: card.clone(),
            journal: Some(journal.clone()),
            first: headless.first,
            setup,
            credentials: headless.credentials,
            line: Arc::clone(&self.line),
            log: Box::new(log),
        };
        let publisher = Arc::clone(&self.publisher);
        let handle = self.line.handle();
        let work = self.work.clone();
        let task = tokio::spawn(async move {
            let show = move |drill: &Drill, builder: &SceneBuilder, at: At| {
                publish(&publisher, &handle, drill, builder, at);
            };
            let result = match conduct(job, receiver, show).await {
                Ok(finished) => reviewing(journal, finished).await,
                Err(error) => Err(error.to_string()),
            };
            // The loop may have ended.
            work.send(Work::Finished(Box::new(result))).await.ok();
        });
        self.card = Some(card);
        self.running = Some(Running { commands, task });
        Some(drill)
    }

    /// Begins what was begun last once more, as it was: for a drill of which nothing can be said.
    pub(crate) fn retry(&mut self) {
        let Some(begun) = self.begun.clone() else {
            self.publisher.say(
                Level::Warning,
                "not begun: this console has run no drill yet; choose an experiment in Design",
            );
            return;
        };
        if let Some(row) = begun.row {
            // The agenda has the first word.
            self.gameday_asked(GameDayAsk::Begin(row));
            return;
        }
        self.tour_again();
        self.begin_drill(begun);
    }

    /// Why no drill can begin now.
    fn in_the_way(&self) -> Option<&'static str> {
        if self.running.is_some() {
            return Some("a drill runs; finish it first");
        }
        let board = self.line.handle().board();
        if board.is_aborting() {
            return Some("an abort is not proved clean on every agent");
        }
        let just_now = board
            .pressed
            .is_some_and(|pressed| pressed.elapsed().as_secs() < 2);
        just_now.then_some("ABORT was pressed a moment ago")
    }

    pub(crate) fn command(&self, command: Command) {
        let Some(running) = &self.running else {
            return;
        };
        if running.commands.try_send(command).is_err() {
            self.publisher
                .say(Level::Warning, "the drill is over or busy and did not take that");
        }
    }

    pub(crate) fn finished(&mut self, result: Result<Review, String>) {
        self.running = None;
        self.gameday_drill_ended(result.as_ref());
        let review = match result {
            Ok(review) => {
                let review = Arc::new(review);
                self.add_review(Arc::clone(&review));
                Some(review)
            }
            Err(why) => {
                self.publisher.say(Level::Error, why);
                None
            }
        };
        self.publisher.update(|scene| scene.abort.armed = false);
        self.tour_finished(review);
        self.refresh();
    }
}

/// A long journal takes a while: not on the runtime's few threads.
async fn reviewing(journal: PathBuf, finished: Finished) -> Result<Review, String> {
    let read = tokio::task::spawn_blocking(move || reviewed(&journal, &finished));
    match read.await {
        Ok(review) => review.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// What the window shows of a drill that runs.
fn publish(publisher: &Publisher, handle: &AbortHandle, drill: &Drill, builder: &SceneBuilder, now: At) {
    let shown = builder.scene(drill, now);
    let ours = ours(drill, now);
    let board = handle.board();
    let armed = drill.phase() == Phase::Inject
        || !matches!(ours, Ours::Nothing { .. } | Ours::Unknown)
        || board.is_aborting();
    publisher.update(|scene| {
        scene.drill = Some(Arc::new(shown));
        scene.ours = ours;
        scene.abort = board.scene(armed);
        show_agents(scene, drill, now);
    });
}

/// The drill's own word on its agents.
fn show_agents(scene: &mut Scene, drill: &Drill, now: At) {
    let entries = &drill.plan().agents;
    if scene.fleet.len() != entries.len() {
        return;
    }
    let fleet = Arc::make_mut(&mut scene.fleet);
    for ((agent, entry), status) in fleet.iter_mut().zip(entries).zip(drill.agents()) {
        if status.needed && agent.name == entry.name {
            show_agent(agent, status, now);
        }
    }
}

fn show_agent(agent: &mut AgentScene, status: &AgentStatus, now: At) {
    agent.rtt_us = status.rtt_us.or(agent.rtt_us);
    if let Some(heard_us) = status.heard_us {
        let ago_ms = now.mono_us.saturating_sub(heard_us) / 1_000;
        agent.heard_ms = Some(now.wall_ms - ago_ms.cast_signed());
    }
    if let Some(info) = &status.info {
        agent.latch.clone_from(&info.latch);
        if agent.info.as_ref() != Some(info) {
            agent.info = Some(info.clone());
        }
        agent.health = AgentHealth::Healthy;
    }
    if let Some((_, result)) = &status.abort_test {
        agent.abort_test = Some(result.clone());
    }
    if let Some(problem) = &status.problem {
        agent.health = if status.contact {
            AgentHealth::Unusable(problem.clone())
        } else {
            AgentHealth::Unreachable(problem.clone())
        };
    }
}
