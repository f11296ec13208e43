//! What a person asks for besides starting and aborting: to override, approve, act by hand, and to end what a console
//! left behind; and a console that is stuck.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, routing::post};
use firedrill_conductor::{
    AbortLine, Job, JournalFile, card_path, conduct,
    engine::{self, Choose, Desktop, EngineHandle},
    open_drills,
};
use firedrill_fleet::{BoxFuture, Driver};
use firedrill_plan::Rule;
use firedrill_scene::{AgentHealth, Ask, Ours, Review, Scene};
use firedrill_wire::InjectionView;
use tokio::sync::mpsc;

use crate::drills::{NoDesktop, PATIENCE, World, engine_in, options_in, wait_for};

/// Every test, by name.
pub const TESTS: &[(&str, fn())] = &[
    (
        "an_override_needs_a_reason_and_is_journaled",
        an_override_needs_a_reason_and_is_journaled,
    ),
    (
        "an_approval_is_by_a_second_person",
        an_approval_is_by_a_second_person,
    ),
    (
        "an_emergency_action_goes_out_by_hand_and_only_then",
        an_emergency_action_goes_out_by_hand_and_only_then,
    ),
    (
        "a_drill_that_a_crash_left_open_is_found_and_aborted",
        a_drill_that_a_crash_left_open_is_found_and_aborted,
    ),
    (
        "a_drill_that_a_crash_left_open_is_watched_to_its_end",
        a_drill_that_a_crash_left_open_is_watched_to_its_end,
    ),
    (
        "neither_a_busy_runtime_nor_a_stuck_window_holds_a_stop",
        neither_a_busy_runtime_nor_a_stuck_window_holds_a_stop,
    ),
];

fn console(world: &World) -> EngineHandle {
    engine_in(world, &Arc::new(AtomicUsize::new(0)))
}

/// Begins the plan's drill, and waits until it asks to be armed.
fn begin(engine: &EngineHandle, plan: &str) -> Arc<Scene> {
    engine.ask(Ask::NewPlan(plan.to_owned()));
    wait_for(engine, "healthy", |scene| {
        let agent = scene.fleet.first();
        agent.is_some_and(|it| it.health == AgentHealth::Healthy)
    });
    engine.ask(Ask::Begin {
        text: plan.to_owned(),
        experiment: "Nothing happens".to_owned(),
    });
    wait_for(engine, "arming", |scene| {
        scene.drill.as_ref().is_some_and(|it| it.arming.is_some())
    })
}

fn is_ready(scene: &Scene) -> bool {
    let arming = scene.drill.as_ref().and_then(|it| it.arming.as_ref());
    arming.is_some_and(|it| it.ready)
}

fn says(scene: &Scene, title: &str, words: &str) -> bool {
    let drill = scene.drill.as_ref();
    drill.is_some_and(|it| {
        it.log
            .iter()
            .any(|line| line.title == title && line.words.contains(words))
    })
}

fn is_on(scene: &Scene) -> bool {
    matches!(scene.ours, Ours::On { .. })
}

fn guarded(world: &World, rules: &str) -> String {
    world
        .plan(30)
        .replace("[[agent]]", &format!("[guardrails]\n{rules}\n[[agent]]"))
}

/// The only journal of the world's console.
fn journal(world: &World) -> String {
    let mut files = std::fs::read_dir(world.folder.path().join("data/journals")).unwrap();
    let path = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none());
    std::fs::read_to_string(path).unwrap()
}

fn an_override_needs_a_reason_and_is_journaled() {
    let world = World::new();
    let engine = console(&world);
    let scene = begin(&engine, &guarded(&world, "peak = \"00:00-24:00 UTC\""));
    assert!(!is_ready(&scene), "a peak hour is in the way");
    let over = |reason: &str| Ask::Override {
        rule: Rule::Peak,
        reason: reason.to_owned(),
    };
    engine.ask(over("  "));
    let scene = wait_for(&engine, "refused", |scene| {
        says(scene, "not overridden", "for a reason only")
    });
    assert!(!is_ready(&scene));

    engine.ask(over("nobody sleeps here"));
    let scene = wait_for(&engine, "overridden", is_ready);
    let rows = &scene.drill.as_ref().unwrap().safety.guardrails;
    let row = rows.iter().find(|it| it.rule == Rule::Peak).unwrap();
    assert!(
        row.overridden.as_ref().unwrap().contains("nobody sleeps here"),
        "{row:?}"
    );
    engine.ask(Ask::Arm);
    wait_for(&engine, "on", is_on);
    engine.shutdown();
    assert!(journal(&world).contains("Ada overrides the guardrail peak: nobody sleeps here"));
}

fn an_approval_is_by_a_second_person() {
    let world = World::new();
    let engine = console(&world);
    let scene = begin(&engine, &guarded(&world, "approval = true"));
    assert!(!is_ready(&scene), "nobody has approved");
    let approve = |by: &str| Ask::Approve { by: by.to_owned() };
    // Whoever drives is no second person, however it is written.
    engine.ask(approve("ADA "));
    let scene = wait_for(&engine, "refused", |scene| {
        says(scene, "not approved", "by a second person")
    });
    assert!(!is_ready(&scene));
    // Nor is a reason one.
    engine.ask(Ask::Override {
        rule: Rule::Approval,
        reason: "no time".to_owned(),
    });
    let scene = wait_for(&engine, "not overridden", |scene| {
        says(scene, "not overridden", "second person")
    });
    assert!(!is_ready(&scene));

    engine.ask(approve("Grace"));
    let scene = wait_for(&engine, "approved", is_ready);
    let approval = scene.drill.as_ref().unwrap().safety.approval.clone();
    assert_eq!(approval.unwrap().by.as_deref(), Some("Grace"));
    engine.ask(Ask::Arm);
    wait_for(&engine, "on", is_on);
    engine.shutdown();
    assert!(journal(&world).contains("Grace approves the start"));
}

fn an_emergency_action_goes_out_by_hand_and_only_then() {
    let world = World::new();
    let bodies = Arc::new(Mutex::new(Vec::<String>::new()));
    let told = Arc::clone(&bodies);
    let take = move |body: String| async move { told.lock().unwrap().push(body) };
    let listener = world
        .runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/scale", post(take));
    world
        .runtime
        .spawn(async move { axum::serve(listener, router).await });
    let plan = format!(
        "{}\n  [[experiment.on_stop]]\n  when = [\"breach\"]\n  \
         http = {{ method = \"POST\", url = \"http://{address}/scale\", body = \"three\" }}\n",
        world.plan(30)
    );
    let engine = console(&world);
    let scene = begin(&engine, &plan);
    assert_eq!(
        scene.drill.as_ref().unwrap().safety.actions.len(),
        1,
        "shown before"
    );
    engine.ask(Ask::Arm);
    wait_for(&engine, "on", is_on);
    assert!(bodies.lock().unwrap().is_empty());

    engine.ask(Ask::RunAction(0));
    let scene = wait_for(&engine, "answered", |scene| {
        let actions = scene.drill.as_ref().map(|it| &it.safety.actions);
        actions.is_some_and(|all| all[0].sent.iter().any(|it| it.contains("done")))
    });
    let action = &scene.drill.as_ref().unwrap().safety.actions[0];
    assert!(
        action.sent.len() == 1 && action.sent[0].contains("Ada"),
        "{action:?}"
    );
    assert!(is_on(&scene), "the drill goes on");
    engine.ask(Ask::Finish);
    wait_for(&engine, "over", |scene| !scene.reviews.is_empty());
    engine.shutdown();
    assert_eq!(*bodies.lock().unwrap(), ["three"], "never at a normal end");
    assert!(journal(&world).contains("Ada sends POST"));
}

/// A console whose process ends while its fault is on: nothing is sent any more, nothing is closed. With this lease.
fn crash(world: &World, lease: &str) {
    let mut setup = world.setup(30);
    let text = setup
        .plan_text
        .replace("lease = \"3s\"", &format!("lease = \"{lease}\""));
    setup.plan = Arc::new(firedrill_plan::parse(&text).unwrap());
    setup.plan_text = text.into();
    let data = world.folder.path().join("data");
    std::fs::create_dir_all(data.join("journals")).unwrap();
    let journal = data.join("journals/d1.jsonl");
    let job = Job {
        setup,
        credentials: world.credentials(),
        line: Arc::new(AbortLine::start().unwrap()),
        log: Box::new(JournalFile::create(&journal).unwrap()),
        card: card_path(&data.join("drills"), "d1"),
        journal: Some(journal),
        first: Vec::new(),
    };
    let (_commands, receiver) = mpsc::channel(1);
    let (tell, mut on) = mpsc::channel(1);
    world.runtime.block_on(async {
        let running = conduct(job, receiver, move |drill, _, _| {
            if drill.injections().iter().any(|it| it.active.is_some()) {
                tell.try_send(()).ok();
            }
        });
        tokio::select! {
            finished = running => panic!("over: {:?}", finished.map(|it| it.drill.verdict().cloned())),
            on = tokio::time::timeout(PATIENCE, on.recv()) => on.unwrap().unwrap(),
        }
    });
    // Its thread lets go of the card.
    let begun = Instant::now();
    while open_drills(&data.join("drills")).iter().any(|it| it.runs) {
        assert!(begun.elapsed() < PATIENCE, "the console still lives");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What the crashed drill left on the agent.
fn left(world: &World) -> InjectionView {
    let views = world.runtime.block_on(world.driver().injections()).unwrap();
    views
        .into_iter()
        .find(|view| view.drill.as_str() == "d1")
        .unwrap()
}

fn found(engine: &EngineHandle) {
    let scene = wait_for(engine, "found", |scene| scene.open.len() == 1);
    let open = &scene.open[0];
    assert_eq!((open.drill.as_str(), open.runs), ("d1", false));
    assert!(open.agents.len() == 1 && open.agents[0].2, "{:?}", open.agents);
}

fn said(engine: &EngineHandle, words: &str) {
    wait_for(engine, words, |scene| {
        scene.open.is_empty() && scene.messages.iter().any(|it| it.words.contains(words))
    });
}

fn a_drill_that_a_crash_left_open_is_found_and_aborted() {
    let world = World::new();
    // Longer than this test may take: the lease does not end it.
    crash(&world, "60s");
    assert!(!left(&world).state.is_off());
    let engine = console(&world);
    found(&engine);
    engine.ask(Ask::AbortOpen("d1".to_owned()));
    said(&engine, "is aborted; every agent is proved clean");
    assert!(left(&world).state.is_off());
    let info = world.runtime.block_on(async {
        let gate = firedrill_fleet::Gate::new();
        world.driver().call(firedrill_drill::Call::Info, &gate).await
    });
    let firedrill_drill::Reply::Info { result: Ok(info) } = info else {
        panic!("no info");
    };
    assert!(
        info.latch.is_none(),
        "nobody asked for the targets to stay closed"
    );
    engine.shutdown();
}

fn a_drill_that_a_crash_left_open_is_watched_to_its_end() {
    let world = World::new();
    crash(&world, "5s");
    let engine = console(&world);
    found(&engine);
    engine.ask(Ask::WatchOpen("d1".to_owned()));
    wait_for(&engine, "watched", |scene| {
        scene.open.first().is_some_and(|it| it.watched)
    });
    said(&engine, "is on any more");
    let left = left(&world);
    assert!(left.state.is_off());
    assert!(
        left.reason.as_ref().is_some_and(|it| it.contains("lease")),
        "watching ends nothing: {left:?}"
    );
    engine.shutdown();
}

/// Takes every worker of the runtime that asks it for a file.
#[derive(Clone, Default)]
struct Hog {
    released: Arc<AtomicBool>,
    taken: Arc<AtomicUsize>,
    workers: Arc<AtomicUsize>,
}

impl Hog {
    fn take(&self) {
        self.taken.fetch_add(1, Ordering::SeqCst);
        while !self.released.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn has_all(&self) -> bool {
        let taken = self.taken.load(Ordering::SeqCst);
        taken > 0 && taken >= self.workers.load(Ordering::SeqCst)
    }
}

impl Desktop for Hog {
    fn choose(&self, _: Choose, _: Option<String>) -> BoxFuture<'static, Option<PathBuf>> {
        let hog = self.clone();
        Box::pin(async move {
            let workers = tokio::runtime::Handle::current().metrics().num_workers();
            hog.workers.store(workers, Ordering::SeqCst);
            for _ in 0..workers * 4 {
                let hog = hog.clone();
                tokio::spawn(async move { hog.take() });
            }
            hog.take();
            None
        })
    }

    fn show(&self, path: &Path) -> io::Result<()> {
        NoDesktop.show(path)
    }

    fn picture(&self, _review: &Arc<Review>, _folder: &Path) -> Result<(), String> {
        Ok(())
    }

    fn leave(&self) {}
}

fn neither_a_busy_runtime_nor_a_stuck_window_holds_a_stop() {
    let world = World::new();
    let mut options = options_in(&world, &Arc::default());
    let stuck = Arc::new(Mutex::new(()));
    let waker = Arc::clone(&stuck);
    options.waker = Arc::new(move || drop(waker.lock()));
    let hog = Hog::default();
    options.desktop = Arc::new(hog.clone());
    let engine = engine::start(options).unwrap();
    // Longer than this test may take: the lease does not end it.
    let plan = world.plan(30).replace("lease = \"3s\"", "lease = \"60s\"");
    begin(&engine, &plan);
    engine.ask(Ask::Arm);
    wait_for(&engine, "on", is_on);
    let on_agent = |world: &World| {
        let views = world.runtime.block_on(world.driver().injections()).unwrap();
        views
            .iter()
            .filter(|it| it.fault.as_str() == "noop" && !it.state.is_off())
            .count()
    };
    assert_eq!(on_agent(&world), 1);

    let held = stuck.lock().unwrap();
    engine.ask(Ask::OpenPlanDialog);
    let begun = Instant::now();
    while !hog.has_all() {
        assert!(begun.elapsed() < PATIENCE, "not every worker is taken");
        std::thread::sleep(Duration::from_millis(5));
    }
    world.depth.store(20, Ordering::SeqCst);
    let begun = Instant::now();
    while on_agent(&world) > 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "the breach stopped nothing"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    hog.released.store(true, Ordering::SeqCst);
    drop(held);
    world.depth.store(1, Ordering::SeqCst);
    let scene = wait_for(&engine, "over", |scene| !scene.reviews.is_empty());
    let verdict = &scene.reviews[0].verdict;
    assert!(
        verdict.reasons.iter().any(|it| it.rule == "stop condition"),
        "{verdict:?}"
    );
    engine.shutdown();
}
