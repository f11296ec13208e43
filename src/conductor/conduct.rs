//! One drill, from its making to its verdict: events in, effects out.

use std::{
    collections::BTreeMap,
    future::Future,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use firedrill_drill::{AbortedBy, At, Command, Drill, Effect, Entry, Event, Reply, Setup, Stamped};
use firedrill_fleet::{Credentials, Driver, DriverError, Gate, driver};
use firedrill_plan::{ActionCall, AgentEntry, Plan};
use firedrill_scene::SceneBuilder;
use firedrill_wire::{ActionRequest, AgentInfo, CloseRequest, Epoch};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    abort::{AbortCard, AbortHandle, AbortLine, AbortTarget, AgentLine, Board, random_id, resolve},
    calls::{self, Caller},
    clock::Clock,
    ledger::{self, Alive},
    log::{Log, LogThread},
    notices::AlertNews,
};

/// Time passes for a drill this often.
const TICK: Duration = Duration::from_millis(100);
/// At most this often a scene is published; what happens in between is in the next one.
const PUBLISH: Duration = Duration::from_millis(30);
/// Events that wait for the drill.
const INBOX: usize = 256;

/// What a drill needs of the world.
pub struct Job {
    /// What it is made from.
    pub setup: Setup,
    /// Agents' tokens.
    pub credentials: Credentials,
    /// The abort line.
    pub line: Arc<AbortLine>,
    /// Where its records go.
    pub log: Box<dyn Log>,
    /// Where the abort card is written at arming; its folder is that of all drills.
    pub card: PathBuf,
    /// The journal's file, for the card.
    pub journal: Option<PathBuf>,
    /// What was commanded before the beginning: overrides, an approval.
    pub first: Vec<Command>,
}

/// A drill that is over.
pub struct Finished {
    /// Its last state.
    pub drill: Drill,
    /// What its scenes are built from.
    pub builder: SceneBuilder,
    /// When it ended.
    pub at: At,
    /// The journal's hash, or why it could not be closed.
    pub hash: Result<String, String>,
}

/// Why a drill could not even begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// A driver cannot be made.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// A thread cannot be made.
    #[error("the drill's threads cannot be started: {0}; is the limit of threads reached?")]
    Thread(#[from] std::io::Error),
    /// Its thread is gone without a word.
    #[error(
        "the drill's thread broke off: this is a defect of the console, please report it; leases end what is on"
    )]
    BrokeOff,
}

/// Runs a drill to its end; dropped before, it breaks off. `publish` is told of its state, at most at the frame rate.
///
/// Sampling, judging and every call of it are on a thread and a runtime of their own: whatever keeps the caller's
/// runtime busy does not hold a stop.
pub async fn conduct(
    job: Job,
    commands: mpsc::Receiver<Command>,
    publish: impl FnMut(&Drill, &SceneBuilder, At) + Send + 'static,
) -> Result<Finished, BeginError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut tell, told) = oneshot::channel();
    std::thread::Builder::new()
        .name("drill".to_owned())
        .spawn(move || {
            let result = runtime.block_on(async {
                tokio::select! {
                    result = run(job, commands, publish) => Some(result),
                    () = tell.closed() => None,
                }
            });
            // What blocks in there, a name that is looked up, is not waited for.
            runtime.shutdown_background();
            if let Some(result) = result {
                // Who asked may be gone by now.
                tell.send(result).ok();
            }
        })?;
    told.await.unwrap_or(Err(BeginError::BrokeOff))
}

async fn run(
    job: Job,
    mut commands: mpsc::Receiver<Command>,
    publish: impl FnMut(&Drill, &SceneBuilder, At) + Send,
) -> Result<Finished, BeginError> {
    let clock = Clock::start();
    let mut conductor = Conductor::new(job, clock, publish)?;
    conductor.begin().await;
    for command in std::mem::take(&mut conductor.commands) {
        conductor.feed(Event::Command { command }).await;
    }
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut board = conductor.handle.version();
    let mut commands_open = true;
    while !conductor.over {
        let event = tokio::select! {
            biased;
            changed = board.changed() => {
                if changed.is_ok() {
                    conductor.read_board().await;
                }
                continue;
            }
            command = commands.recv(), if commands_open => {
                let Some(command) = command else {
                    commands_open = false;
                    continue;
                };
                Event::Command { command }
            }
            why = conductor.log.failure() => Event::JournalFailed { why },
            _ = ticks.tick() => Event::Tick,
            Some(event) = conductor.inbox.recv() => {
                if conductor.gate.is_closed() && is_unsent(&event) {
                    conductor.hear_the_press().await;
                }
                event
            }
        };
        conductor.feed(event).await;
    }
    Ok(conductor.finish().await)
}

struct Conductor<P> {
    clock: Clock,
    drill: Drill,
    builder: SceneBuilder,
    first: Vec<Effect>,
    log: LogThread,
    journal_broken: bool,
    line: Arc<AbortLine>,
    handle: AbortHandle,
    gate: Gate,
    drivers: Vec<Arc<dyn Driver>>,
    credentials: Credentials,
    targets: Vec<AbortTarget>,
    card: PathBuf,
    journal: Option<PathBuf>,
    commands: Vec<Command>,
    /// From the card's writing to the drill's end.
    held: Option<Alive>,
    seen: Seen,
    sender: mpsc::Sender<Event>,
    inbox: mpsc::Receiver<Event>,
    /// Dropped with this: then everything that was spawned for the drill ends.
    alive: watch::Sender<()>,
    publish: P,
    published: Option<Instant>,
    over: bool,
}

/// What the drill was told of the abort line's board.
#[derive(Default)]
struct Seen {
    press: u64,
    /// By index in the plan.
    agents: BTreeMap<usize, Arc<AgentLine>>,
}

/// Whether it is the failure of a call that only goes through an open gate.
fn is_unsent(event: &Event) -> bool {
    let Event::Agent { reply, .. } = event else {
        return false;
    };
    matches!(
        reply,
        Reply::Opened { result: Err(_) }
            | Reply::Renewed { result: Err(_) }
            | Reply::Started { result: Err(_), .. }
            | Reply::Changed { result: Err(_), .. }
            | Reply::AbortTested { result: Err(_) }
    )
}

/// The drivers of a plan's agents, in its order.
pub(crate) fn drivers(plan: &Plan, credentials: &Credentials) -> Result<Vec<Arc<dyn Driver>>, DriverError> {
    let one = |entry: &AgentEntry| driver(entry, credentials.access(&entry.url)).map(Arc::from);
    plan.agents.iter().map(one).collect()
}

impl<P: FnMut(&Drill, &SceneBuilder, At) + Send> Conductor<P> {
    fn new(job: Job, clock: Clock, publish: P) -> Result<Self, BeginError> {
        let Job {
            setup,
            credentials,
            line,
            log,
            card,
            journal,
            first: commands,
        } = job;
        let drivers = drivers(&setup.plan, &credentials)?;
        let log = LogThread::start(log)?;
        let gate = line.begin(Some(setup.drill.clone()), clock);
        let handle = line.handle();
        let at = clock.now();
        let mut builder = SceneBuilder::new(&setup);
        let (drill, first) = Drill::new(setup, at);
        builder.feed(&drill, at, None);
        let (sender, inbox) = mpsc::channel(INBOX);
        Ok(Self {
            clock,
            drill,
            builder,
            first,
            log,
            journal_broken: false,
            line,
            handle,
            gate,
            drivers,
            credentials,
            targets: Vec::new(),
            card,
            journal,
            commands,
            held: None,
            seen: Seen::default(),
            sender,
            inbox,
            alive: watch::Sender::new(()),
            publish,
            published: None,
            over: false,
        })
    }

    async fn begin(&mut self) {
        let first = std::mem::take(&mut self.first);
        let at = self.drill.at();
        if let Some(failed) = self.carry_out(at, first).await {
            self.feed(failed).await;
        }
        self.show(true);
    }

    /// Journals an event, steps the drill, carries out what it asks for; again, while that fails.
    async fn feed(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let at = self.clock.now();
            let record = Stamped {
                at,
                entry: Entry::event(&event),
            };
            if let Err(why) = self.log.append(record)
                && !self.journal_broken
            {
                self.journal_broken = true;
                next = Some(Event::JournalFailed { why });
            }
            if matches!(event, Event::JournalFailed { .. }) {
                self.journal_broken = true;
            }
            self.heed(&event);
            let phase = self.drill.phase();
            let effects = self.drill.step(at, event.clone());
            self.builder.feed(&self.drill, at, Some(&event));
            let failed = self.carry_out(at, effects).await;
            next = next.or(failed);
            self.show(self.drill.phase() != phase);
        }
    }

    /// An agent's own word on where its abort listener is comes before its abort test.
    fn heed(&mut self, event: &Event) {
        if let Event::Agent {
            agent,
            reply: Reply::Info { result: Ok(info) },
        } = event
        {
            self.correct_target(*agent, info);
        }
    }

    fn correct_target(&mut self, agent: usize, info: &AgentInfo) {
        let Some(port) = info.abort_port else { return };
        let Some(target) = self.targets.iter_mut().find(|target| target.agent == agent) else {
            return;
        };
        if target.address.port() != port {
            target.set_port(port);
            self.line.hold(self.targets.clone());
        }
    }

    /// In order. The first failure of the journal ends it: what would have followed a record that is not on
    /// disk does not happen, but for what stops.
    async fn carry_out(&mut self, at: At, effects: Vec<Effect>) -> Option<Event> {
        let mut failed = None;
        for effect in effects {
            match effect {
                Effect::Record { entry, durable } => {
                    let written = self.record(Stamped { at, entry }, durable).await;
                    if let Err(why) = written
                        && !self.journal_broken
                    {
                        self.journal_broken = true;
                        failed.get_or_insert(Event::JournalFailed { why });
                    }
                }
                Effect::Call {
                    agent,
                    call: firedrill_drill::Call::Close(epoch, _),
                } => self.close(at, agent, epoch).await,
                Effect::Call { agent, call } => self.call(agent, call),
                Effect::Abort { latch, reason } => self.abort(latch, &reason),
                Effect::CheckSource => self.check_source(),
                Effect::TestAbort { agent, drill } => {
                    let caller = self.caller(agent);
                    if let Some(caller) = caller {
                        let line = Arc::clone(&self.line);
                        let who = (self.drill.setup().console.clone(), self.drill.setup().who.clone());
                        self.spawn(calls::test_abort(caller, line, drill, who));
                    }
                }
                Effect::HoldAbortLine { agents } => self.hold(agents).await,
                Effect::WriteAbortCard => {
                    if let Err(why) = self.write_card().await {
                        // A drill that no other terminal could abort is not started.
                        failed.get_or_insert(Event::JournalFailed { why });
                    }
                }
                Effect::CheckAlerts { url } => self.spawn(calls::open_alerts(url, self.sender.clone())),
                Effect::ReadHistory => self.spawn(calls::history(
                    self.card.clone(),
                    Arc::clone(&self.drill.setup().plan),
                    at,
                    self.sender.clone(),
                )),
                Effect::Alert { alert, stop } => {
                    let setup = self.drill.setup();
                    if let Some(target) = setup.plan.alerts.get(alert).cloned() {
                        let news = AlertNews::new(setup, stop);
                        let news = self.drill.seal().redaction().pass(news);
                        self.spawn(calls::alert(alert, target, news, self.sender.clone()));
                    }
                }
                Effect::Act { action, notice } => {
                    self.act(action, notice);
                }
                Effect::End { .. } => self.over = true,
            }
        }
        failed
    }

    async fn record(&mut self, record: Stamped, durable: bool) -> Result<(), String> {
        if self.journal_broken {
            return Err("it failed before".to_owned());
        }
        if durable {
            self.log.append_durable(record).await
        } else {
            self.log.append(record)
        }
    }

    /// An agent keeps the journal's hash in its audit log; the journal says that it was given.
    async fn close(&mut self, at: At, agent: usize, epoch: Epoch) {
        let journal = self.log.hash().await;
        if let Some(hash) = journal.clone() {
            let entry = Entry::Handed { agent, hash };
            if let Err(why) = self.record(Stamped { at, entry }, false).await {
                tracing::warn!("the journal: {why}");
            }
        }
        let request = CloseRequest { journal };
        self.call(agent, firedrill_drill::Call::Close(epoch, request));
    }

    fn call(&mut self, agent: usize, call: firedrill_drill::Call) {
        let Some(caller) = self.caller(agent) else {
            return;
        };
        // The intent of a start is not on disk: the start does not happen.
        if self.journal_broken {
            self.gate.close();
        }
        self.spawn(calls::call(caller, call));
    }

    fn caller(&self, agent: usize) -> Option<Caller> {
        Some(Caller {
            agent,
            driver: Arc::clone(self.drivers.get(agent)?),
            gate: self.gate.clone(),
            sender: self.sender.clone(),
        })
    }

    fn act(&self, action: usize, notice: usize) {
        let on_stop = self.drill.experiment().and_then(|it| it.on_stop.get(action));
        match on_stop.map(|it| it.call.clone()) {
            None => {}
            Some(ActionCall::Http(call)) => self.spawn(calls::act(notice, call, self.sender.clone())),
            Some(ActionCall::Command(command)) => {
                let setup = self.drill.setup();
                let place = setup.plan.agents.iter().position(|it| it.name == command.agent);
                let driver = place.and_then(|place| self.drivers.get(place)).cloned();
                let request = ActionRequest {
                    request: random_id(),
                    drill: Some(setup.drill.clone()),
                    who: Some(setup.who.clone()),
                };
                let sender = self.sender.clone();
                self.spawn(calls::run_command(notice, driver, command, request, sender));
            }
        }
    }

    /// The abort line first; it may have been told already, by the press itself.
    fn abort(&self, latch: bool, reason: &str) {
        let in_force = self.handle.board().press;
        if latch && !in_force.is_some_and(|press| press.latch) {
            self.handle.press(reason, &self.drill.setup().who);
        } else if !latch {
            self.handle.stop(reason);
        }
    }

    fn check_source(&self) {
        self.spawn(calls::check_source(
            Arc::clone(&self.drill.setup().plan),
            self.sender.clone(),
        ));
    }

    async fn hold(&mut self, agents: Vec<usize>) {
        let plan = Arc::clone(&self.drill.setup().plan);
        let mut targets = Vec::new();
        for agent in agents {
            let Some(entry) = plan.agents.get(agent) else {
                continue;
            };
            match resolve(entry, agent, &self.credentials).await {
                Ok(target) => targets.push(target),
                // No heartbeat will come: the drill says so, and starts nothing.
                Err(why) => tracing::warn!("{why}"),
            }
            if let Some(caller) = self.caller(agent) {
                self.spawn(calls::watch(caller));
            }
        }
        self.targets = targets;
        self.line.hold(self.targets.clone());
    }

    async fn write_card(&mut self) -> Result<(), String> {
        let setup = self.drill.setup();
        let name = self.drill.experiment().map_or("", |it| it.name.as_str());
        let wall_ms = self.clock.now().wall_ms;
        let redaction = self.drill.seal().redaction();
        let name = redaction.pass(name.to_owned());
        let mut card = AbortCard::new(setup.drill.clone(), &name, wall_ms, &self.targets);
        card.sealed = redaction.hides();
        card.journal.clone_from(&self.journal);
        let path = self.card.clone();
        let known = self.held.is_some();
        let written = tokio::task::spawn_blocking(move || {
            if let Some(drills) = path.parent() {
                std::fs::create_dir_all(drills)?;
                ledger::prune(drills, wall_ms);
            }
            // Written anew after a reveal it is held already, and one process cannot lock it twice.
            let alive = if known { None } else { Some(Alive::hold(&path)?) };
            card.write(&path)?;
            Ok::<_, std::io::Error>(alive)
        });
        let why = match written.await {
            Ok(Ok(alive)) => {
                self.held = alive.or(self.held.take());
                return Ok(());
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        Err(format!(
            "the abort card {} cannot be written: {why}",
            self.card.display()
        ))
    }

    /// Tells the drill what the abort line has seen since.
    async fn read_board(&mut self) {
        let board = self.handle.board();
        for event in self.news(&board) {
            self.feed(event).await;
        }
    }

    /// What was not sent because of a press is judged after the press: it is the reason.
    async fn hear_the_press(&mut self) {
        let handle = self.handle.clone();
        let mut changes = handle.version();
        let heard = async { while handle.board().press.is_none() && changes.changed().await.is_ok() {} };
        if self.seen.press == 0 && !self.journal_broken {
            // The gate closes a moment before the press stands on the board; other reasons have no press.
            tokio::time::timeout(Duration::from_millis(50), heard).await.ok();
        }
        self.read_board().await;
    }

    fn news(&mut self, board: &Board) -> Vec<Event> {
        let mut news = Vec::new();
        if let Some(press) = &board.press
            && press.number > self.seen.press
        {
            self.seen.press = press.number;
            if press.latch {
                let by = if press.by_signal {
                    AbortedBy::Signal(press.who.clone())
                } else {
                    AbortedBy::Person(press.who.clone())
                };
                let reason = press.reason.clone();
                let command = Command::Abort { by, reason };
                news.push(Event::Command { command });
            }
        }
        for line in &board.agents {
            let agent = line.agent;
            let before = self.seen.agents.insert(agent, Arc::clone(line));
            if before.as_ref().is_some_and(|it| Arc::ptr_eq(it, line)) {
                continue;
            }
            let before = before.as_deref();
            let mut tell = |reply| news.push(Event::Agent { agent, reply });
            if line.beats != before.map_or(0, |it| it.beats) {
                let stamp = line.stamp.clone().filter(|_| line.rtt_us.is_some());
                let rtt_us = line.rtt_us;
                tell(Reply::Heartbeat { rtt_us, stamp });
            }
            if line.latch.as_ref() != before.and_then(|it| it.latch.as_ref()) {
                let latch = line.latch.clone();
                tell(Reply::Latch { latch });
            }
            if line.abort.as_ref() != before.and_then(|it| it.abort.as_ref())
                && let Some(status) = line.abort.clone()
            {
                tell(Reply::Abort { status });
            }
        }
        news
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut alive = self.alive.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                () = work => {}
                // Fails when the drill is over.
                _ = alive.changed() => {}
            }
        });
    }

    fn show(&mut self, at_once: bool) {
        let due = self
            .published
            .is_none_or(|published| published.elapsed() >= PUBLISH);
        if due || at_once || self.over {
            self.published = Some(Instant::now());
            (self.publish)(&self.drill, &self.builder, self.clock.now());
        }
    }

    async fn finish(self) -> Finished {
        // Nothing of this drill is sent any more, whatever still waits.
        self.gate.close();
        let at = self.clock.now();
        let hash = self.log.close(at).await;
        if self.held.is_some()
            && let Err(error) = ledger::note_end(&self.card, &self.drill, at.wall_ms)
        {
            tracing::warn!(
                "the drill's end is not noted beside {}: {error}",
                self.card.display()
            );
        }
        Finished {
            at,
            drill: self.drill,
            builder: self.builder,
            hash,
        }
    }
}
