//! Drills against an agent in this process; its keeper and its proxy are processes.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use firedrill_agent::{
    config::{Config, SelfCommand},
    server::{self, Running},
};
use firedrill_conductor::{
    AbortCard, AbortLine, Finished, Job, JournalFile, Log, conduct,
    engine::{self, Choose, Desktop, EngineHandle, Options},
};
use firedrill_drill::{Arming, At, Command, Entry, Outcome, Phase, Setup, Stamped};
use firedrill_fleet::{BoxFuture, Credentials, Driver, NativeDriver, Token};
use firedrill_scene::{AgentHealth, Ask, Ours, Review, Scene};
use tokio::sync::mpsc;

pub const PATIENCE: Duration = Duration::from_secs(40);

/// Every test, by name.
pub const TESTS: &[(&str, fn())] = &[
    (
        "a_drill_is_held_and_its_journal_sealed",
        a_drill_is_held_and_its_journal_sealed,
    ),
    (
        "no_start_is_sent_when_its_intent_is_not_on_disk",
        no_start_is_sent_when_its_intent_is_not_on_disk,
    ),
    (
        "a_press_aborts_latches_and_stops_renewals",
        a_press_aborts_latches_and_stops_renewals,
    ),
    (
        "a_person_drills_aborts_and_releases_by_the_window",
        a_person_drills_aborts_and_releases_by_the_window,
    ),
    (
        "a_window_that_is_closed_leaves_nothing_on",
        a_window_that_is_closed_leaves_nothing_on,
    ),
];

pub struct World {
    pub agent: Option<Running>,
    pub folder: tempfile::TempDir,
    pub runtime: tokio::runtime::Runtime,
    /// The value of the only SLI; above 10 it stops a drill.
    pub depth: Arc<AtomicUsize>,
    metrics: String,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::new(folder.path().join("agent"), SelfCommand::current(&[]).unwrap());
        config.labels.insert("service".into(), "payments".into());
        let agent = Some(server::start(config).unwrap());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let metrics = format!("http://{}/metrics", listener.local_addr().unwrap());
        let depth = Arc::new(AtomicUsize::new(1));
        let now = Arc::clone(&depth);
        let text =
            move || async move { format!("# TYPE depth gauge\ndepth {}\n", now.load(Ordering::SeqCst)) };
        let router = Router::new().route("/metrics", get(text));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            agent,
            folder,
            runtime,
            depth,
            metrics,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.agent.as_ref().unwrap().ready.listen)
    }

    pub fn plan(&self, seconds: u32) -> String {
        format!(
            r#"
title = "Orders"
system = "orders"
[metrics]
scrape = ["{}"]
every = "200ms"
[[sli]]
name = "Depth"
gauge = "depth"
band = {{ max = 5 }}
stop = {{ max = 10, after = 2 }}
[[agent]]
name = "payments-1"
url = "{}"
labels = {{ service = "payments" }}
[[experiment]]
name = "Nothing happens"
hypothesis = "A fault that changes nothing changes nothing."
lease = "3s"
baseline = "1s"
recover = "10s"
  [[experiment.step]]
  inject = "noop"
  target = {{ service = "payments" }}
  for = "{seconds}s"
"#,
            self.metrics,
            self.url()
        )
    }

    pub fn credentials(&self) -> Credentials {
        let file = &self.agent.as_ref().unwrap().ready.token_file;
        let mut credentials = Credentials::default();
        credentials.set_token(&self.url(), Token::new(&std::fs::read_to_string(file).unwrap()));
        credentials
    }

    pub fn driver(&self) -> NativeDriver {
        let access = self.credentials().access(&self.url());
        NativeDriver::new("payments-1", &self.url(), access).unwrap()
    }

    fn card(&self) -> PathBuf {
        self.folder.path().join("abort-card.json")
    }

    pub fn setup(&self, seconds: u32) -> Setup {
        let text = self.plan(seconds);
        let checked = firedrill_plan::check(&text);
        let mistakes: Vec<_> = checked
            .diagnostics
            .iter()
            .map(|it| it.render("plan", &text))
            .collect();
        Setup {
            drill: "d1".into(),
            plan: Arc::new(checked.plan.unwrap_or_else(|| panic!("{mistakes:#?}"))),
            plan_text: text.into(),
            version: "0.1.0".to_owned(),
            experiment: 0,
            seed: 1,
            console: "test".to_owned(),
            who: "Ada".to_owned(),
            arming: Arming::AtOnce,
        }
    }

    /// A drill to its end; `act` is told of every phase.
    fn conduct(
        &self,
        log: Box<dyn Log>,
        seconds: u32,
        act: impl Fn(Phase, &AbortLine) + Send + 'static,
    ) -> Finished {
        let line = Arc::new(AbortLine::start().unwrap());
        let job = Job {
            setup: self.setup(seconds),
            credentials: self.credentials(),
            line: Arc::clone(&line),
            log,
            card: self.card(),
            journal: None,
            first: Vec::new(),
        };
        let (_commands, receiver) = mpsc::channel::<Command>(1);
        self.runtime.block_on(async {
            let running = conduct(job, receiver, move |drill, _, _| act(drill.phase(), &line));
            tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap()
        })
    }

    fn started_by_the_drill(&self) -> usize {
        let views = self.runtime.block_on(self.driver().injections()).unwrap();
        views.iter().filter(|view| view.drill.as_str() == "d1").count()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(agent) = self.agent.take() {
            agent.stop();
        }
    }
}

fn a_drill_is_held_and_its_journal_sealed() {
    let world = World::new();
    let path = world.folder.path().join("d1.jsonl");
    let log = Box::new(JournalFile::create(&path).unwrap());
    let finished = world.conduct(log, 1, |_, _| {});
    let verdict = finished.drill.verdict().unwrap();
    assert_eq!(verdict.outcome, Outcome::Held, "{verdict:?}");
    assert!(finished.hash.is_ok());
    let journal = firedrill_journal::read(&path).unwrap();
    journal.whole().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let token = std::fs::read_to_string(&world.agent.as_ref().unwrap().ready.token_file).unwrap();
    assert!(
        !text.contains(token.trim()) && text.contains("\"holder\":\"\""),
        "no secrets"
    );
    // The intent stands before the answer to the start.
    let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what}"));
    assert!(place("\"intent\"") < place("\"reply\":\"started\""));
    let card = AbortCard::read(&world.card()).unwrap();
    assert_eq!(
        card.agents[0].address,
        world.agent.as_ref().unwrap().ready.abort_listen
    );
    assert_eq!(world.started_by_the_drill(), 1);
}

/// A disk that is full when the intent comes.
struct FullAtIntent;

impl Log for FullAtIntent {
    fn append(&mut self, record: &Stamped, _: bool) -> io::Result<()> {
        match record.entry {
            Entry::Intent { .. } => Err(io::Error::from(io::ErrorKind::StorageFull)),
            _ => Ok(()),
        }
    }

    fn close(&mut self, _: At) -> io::Result<String> {
        Ok(String::new())
    }
}

fn no_start_is_sent_when_its_intent_is_not_on_disk() {
    let world = World::new();
    let finished = world.conduct(Box::new(FullAtIntent), 5, |_, _| {});
    let verdict = finished.drill.verdict().unwrap();
    assert_eq!(verdict.outcome, Outcome::Inconclusive, "{verdict:?}");
    assert!(
        verdict.reasons.iter().any(|reason| reason.rule == "journal"),
        "{verdict:?}"
    );
    assert!(verdict.unconfirmed.is_empty(), "{verdict:?}");
    assert_eq!(finished.drill.injections().len(), 1, "the drill did ask for it");
    assert_eq!(world.started_by_the_drill(), 0, "the agent never heard of it");
}

fn a_press_aborts_latches_and_stops_renewals() {
    let world = World::new();
    let path = world.folder.path().join("d1.jsonl");
    let log = Box::new(JournalFile::create(&path).unwrap());
    let pressed = AtomicUsize::new(0);
    let finished = world.conduct(log, 30, move |phase, line| {
        if phase == Phase::Inject && pressed.fetch_add(1, Ordering::SeqCst) == 10 {
            line.handle().press("it hurts", "Ada");
        }
    });
    let verdict = finished.drill.verdict().unwrap();
    assert_eq!(verdict.outcome, Outcome::Aborted, "{verdict:?}");
    assert!(verdict.unconfirmed.is_empty(), "{verdict:?}");
    let reply = world.runtime.block_on(async {
        let gate = firedrill_fleet::Gate::new();
        world.driver().call(firedrill_drill::Call::Info, &gate).await
    });
    let firedrill_drill::Reply::Info { result: Ok(info) } = reply else {
        panic!("no info");
    };
    assert_eq!(info.latch.unwrap().reason, "it hurts");
}

pub struct NoDesktop;

impl Desktop for NoDesktop {
    fn choose(&self, _: Choose, _: Option<String>) -> BoxFuture<'static, Option<PathBuf>> {
        Box::pin(async { None })
    }

    fn show(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn picture(&self, _review: &Arc<Review>, _folder: &Path) -> Result<(), String> {
        Ok(())
    }

    fn leave(&self) {}
}

/// A console that knows the world's agent and counts its wakes.
pub fn options_in(world: &World, wakes: &Arc<AtomicUsize>) -> Options {
    let config_dir = world.folder.path().join("config");
    world
        .credentials()
        .save(&config_dir.join("credentials.json"))
        .unwrap();
    let counter = Arc::clone(wakes);
    Options {
        config_dir,
        data_dir: world.folder.path().join("data"),
        // Would be started only if something could not be proved clean.
        program: PathBuf::from("/bin/false"),
        waker: Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        }),
        desktop: Arc::new(NoDesktop),
        console: "test".to_owned(),
        who: "Ada".to_owned(),
        version: "0.1.0".to_owned(),
    }
}

pub fn engine_in(world: &World, wakes: &Arc<AtomicUsize>) -> EngineHandle {
    engine::start(options_in(world, wakes)).unwrap()
}

pub fn wait_for(engine: &EngineHandle, what: &str, is: impl Fn(&Scene) -> bool) -> Arc<Scene> {
    let begun = Instant::now();
    loop {
        let scene = engine.scene();
        if is(&scene) {
            return scene;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "{what}: {:?} {:?} {:?} {:?} {:?}",
            scene.messages,
            scene.fleet,
            scene.abort,
            scene.ours,
            scene.drill.as_ref().map(|it| (&it.phase, &it.checks, &it.log))
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn a_person_drills_aborts_and_releases_by_the_window() {
    let world = World::new();
    let plan = world.folder.path().join("plan.toml");
    std::fs::write(&plan, world.plan(30)).unwrap();
    let wakes = Arc::new(AtomicUsize::new(0));
    let engine = engine_in(&world, &wakes);
    engine.ask(Ask::OpenPlan(plan.clone()));
    let scene = wait_for(&engine, "healthy", |scene| {
        scene
            .fleet
            .first()
            .is_some_and(|it| it.health == AgentHealth::Healthy)
    });
    assert_eq!(scene.recent.as_slice(), std::slice::from_ref(&plan));

    engine.ask(Ask::Begin {
        text: world.plan(30),
        experiment: "Nothing happens".to_owned(),
    });
    let arming = |scene: &Scene| scene.drill.as_ref().is_some_and(|it| it.arming.is_some());
    let scene = wait_for(&engine, "arming", arming);
    assert!(!scene.abort.armed, "nothing to stop yet");
    engine.ask(Ask::Arm);
    let scene = wait_for(&engine, "on", |scene| {
        matches!(scene.ours, Ours::On { faults: 1, .. })
    });
    assert!(scene.abort.armed);
    assert!(wakes.load(Ordering::SeqCst) > 10);

    // What a view does: the handle, and the ask besides. It is one press.
    engine.press();
    engine.ask(Ask::Abort);
    let scene = wait_for(&engine, "proved and over", |scene| {
        scene.abort.finished && scene.abort.proved == 1 && !scene.reviews.is_empty()
    });
    let verdict = &scene.reviews[0].verdict;
    assert_eq!(verdict.outcome, Outcome::Aborted, "{verdict:?}");
    assert!(scene.reviews[0].sealed.is_ok());
    let scene = wait_for(&engine, "latched", |scene| scene.fleet[0].latch.is_some());
    let latch = scene.fleet[0].latch.clone().unwrap();
    assert_eq!(latch.number, 1, "one press latches once");

    engine.ask(Ask::DismissAbort);
    wait_for(&engine, "dismissed", |scene| scene.abort.pressed_ms.is_none());
    engine.ask(Ask::Release {
        agent: "payments-1".to_owned(),
        latch: latch.number,
        reason: "it was a test".to_owned(),
    });
    wait_for(&engine, "released", |scene| {
        scene.fleet[0].latch.is_none() && scene.fleet[0].health == AgentHealth::Healthy
    });

    // With nothing to stop, a press latches whoever is reachable.
    engine.press();
    let scene = wait_for(&engine, "latched again", |scene| scene.abort.proved == 1);
    assert_eq!(scene.abort.rows[0].words, "nothing was on");
    engine.shutdown();
}

fn a_window_that_is_closed_leaves_nothing_on() {
    let world = World::new();
    let wakes = Arc::new(AtomicUsize::new(0));
    let engine = engine_in(&world, &wakes);
    engine.ask(Ask::NewPlan(world.plan(30)));
    wait_for(&engine, "healthy", |scene| {
        scene
            .fleet
            .first()
            .is_some_and(|it| it.health == AgentHealth::Healthy)
    });
    engine.ask(Ask::TestAbort);
    wait_for(&engine, "tested", |scene| {
        matches!(scene.fleet[0].abort_test, Some(Ok(_)))
    });
    // Idle: nothing wakes the window.
    std::thread::sleep(Duration::from_millis(300));
    let before = wakes.load(Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(
        wakes.load(Ordering::SeqCst),
        before,
        "an idle console repaints nothing"
    );

    engine.ask(Ask::Begin {
        text: world.plan(30),
        experiment: "Nothing happens".to_owned(),
    });
    wait_for(&engine, "arming", |scene| {
        scene
            .drill
            .as_ref()
            .and_then(|it| it.arming.as_ref())
            .is_some_and(|it| it.ready)
    });
    engine.ask(Ask::Arm);
    wait_for(&engine, "on", |scene| matches!(scene.ours, Ours::On { .. }));
    engine.shutdown();
    let views = world.runtime.block_on(world.driver().injections()).unwrap();
    assert!(
        !views.is_empty() && views.iter().all(|view| view.state.is_off()),
        "{views:?}"
    );
}
