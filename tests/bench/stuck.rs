//! Stops of a console that is stuck, against those of the same console idle, in the same run.
//!
//! The engine of the window runs in this process, with a real agent. Stuck: every worker of its main runtime is taken
//! by work that never gives it back, and the UI thread draws nothing, asks nothing and holds whoever would wake it for
//! 5 s. A breach is measured from the answer that holds the second bad sample, `firedrill abort` from just before
//! its process is started; both until the agent's word that the injection is read back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use firedrill_conductor::engine::{Choose, Desktop, EngineHandle, Options, start};
use firedrill_fleet::BoxFuture;
use firedrill_scene::{Ask, Ours, Review, Scene};
use firedrill_testing::{Agent, Firedrill, PATIENCE, Upstream, programs, wait_until};
use parking_lot::{Mutex, MutexGuard};
use serde_json::json;

use crate::Effort;
use crate::measure::{Row, Samples};
use crate::prometheus::Prometheus;
use crate::stop::plan;
use crate::tap::Tap;

/// Consoles side by side: most of a drill is waiting. Only one of them is measured at a time.
const SIDE_BY_SIDE: usize = 6;

const SLIS: usize = 4;

const STUCK: Duration = Duration::from_secs(5);

/// No round is begun after this.
const AT_MOST: Duration = Duration::from_mins(5);

/// A breach and an abort by another process, each of an idle and of a stuck console.
#[derive(Default)]
struct Stops {
    breach: [Samples; 2],
    elsewhere: [Samples; 2],
}

pub fn measure(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let until = Instant::now() + if effort.quick { AT_MOST / 5 } else { AT_MOST };
    let stage = Arc::new(Mutex::new(()));
    let work = |number: usize| -> anyhow::Result<JoinHandle<anyhow::Result<Stops>>> {
        let lane = Lane::start(Arc::clone(&stage))?;
        let thread = Builder::new().name(format!("drills-{number}"));
        Ok(thread.spawn(move || lane.run(until))?)
    };
    let lanes = (0..SIDE_BY_SIDE).map(work).collect::<anyhow::Result<Vec<_>>>()?;
    // All of them first: what a lane has started ends with its thread.
    let ended: Vec<_> = lanes.into_iter().map(JoinHandle::join).collect();
    let mut all = Stops::default();
    for lane in ended {
        let lane = lane.map_err(|_| anyhow!("a lane panicked"))??;
        for (all, more) in [
            (&mut all.breach, lane.breach),
            (&mut all.elsewhere, lane.elsewhere),
        ] {
            for (all, more) in all.iter_mut().zip(more) {
                all.append(more);
            }
        }
    }
    let row = |what: &str, [idle, stuck]: &[Samples; 2]| {
        Row::at_most(
            format!("{what} → read back, console stuck, in p99 of idle"),
            "×",
            stuck.p99() / idle.p99(),
            1.5,
        )
        .with(json!({ "idle_ms": idle.json(), "stuck_ms": stuck.json() }))
    };
    Ok(vec![
        row("stop by breach", &all.breach),
        row("`firedrill abort`", &all.elsewhere),
    ])
}

/// Takes every worker of the runtime that asks it for a file.
#[derive(Clone, Default)]
struct Hog(Arc<Hogging>);

#[derive(Default)]
struct Hogging {
    on: AtomicBool,
    /// Workers of the engine's runtime, once that is known, and how many of them are taken.
    workers: AtomicUsize,
    taken: AtomicUsize,
}

impl Hogging {
    fn take(&self) {
        self.taken.fetch_add(1, Ordering::SeqCst);
        while self.on.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        self.taken.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Desktop for Hog {
    fn choose(&self, _: Choose, _: Option<String>) -> BoxFuture<'static, Option<PathBuf>> {
        let hog = self.clone();
        Box::pin(async move {
            let workers = tokio::runtime::Handle::current().metrics().num_workers();
            hog.0.workers.store(workers, Ordering::SeqCst);
            for _ in 0..workers * 4 {
                let hog = hog.clone();
                tokio::spawn(async move { hog.0.take() });
            }
            hog.0.take();
            None
        })
    }

    fn show(&self, _: &Path) -> std::io::Result<()> {
        Ok(())
    }

    fn picture(&self, _review: &Arc<Review>, _folder: &Path) -> Result<(), String> {
        Ok(())
    }

    fn leave(&self) {
        std::process::exit(130);
    }
}

/// A console where one drill after another is stopped.
struct Lane {
    engine: EngineHandle,
    hog: Hog,
    /// Held while the UI thread is stuck.
    ui: Arc<Mutex<()>>,
    stage: Arc<Mutex<()>>,
    prometheus: Prometheus,
    tap: Tap,
    agent: Agent,
    account: Firedrill,
    plan: String,
    _upstream: Upstream,
}

impl Lane {
    fn start(stage: Arc<Mutex<()>>) -> anyhow::Result<Self> {
        let upstream = Upstream::start()?;
        let agent = Agent::build(programs!())
            .label("service=web")
            .http_route("web", upstream.address())?
            .start()?;
        let tap = Tap::start(agent.listen, agent.abort_listen)?;
        let prometheus = Prometheus::start()?;
        let account = Firedrill::new(programs!())?;
        let url = format!("http://{}", tap.address);
        account.know_at(&[(url.clone(), &agent)])?;
        let hog = Hog::default();
        let ui = Arc::new(Mutex::new(()));
        let drawing = Arc::clone(&ui);
        let engine = start(Options {
            config_dir: account.home().join("config/firedrill"),
            data_dir: account.home().join("data/firedrill"),
            program: programs!().firedrill.into(),
            waker: Arc::new(move || drop(drawing.lock())),
            desktop: Arc::new(hog.clone()),
            console: "bench".to_owned(),
            who: "bench".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })?;
        let plan = plan(&url, &prometheus.plan(SLIS));
        engine.ask(Ask::NewPlan(plan.clone()));
        Ok(Self {
            engine,
            hog,
            ui,
            stage,
            prometheus,
            tap,
            agent,
            account,
            plan,
            _upstream: upstream,
        })
    }

    fn run(self, until: Instant) -> anyhow::Result<Stops> {
        let mut stops = Stops::default();
        let mut number = 0;
        while Instant::now() < until {
            for stuck in [false, true] {
                // Another moment between two looks each time.
                let wait = Duration::from_millis(number * 37 % 200);
                stops.breach[usize::from(stuck)].add(self.stop(stuck, wait, Self::breach)?);
                stops.elsewhere[usize::from(stuck)].add(self.stop(stuck, wait, Self::abort)?);
                number += 1;
            }
        }
        self.engine.shutdown();
        Ok(stops)
    }

    /// One drill up to its end.
    fn stop(
        &self,
        stuck: bool,
        wait: Duration,
        stop: fn(&Self) -> anyhow::Result<Duration>,
    ) -> anyhow::Result<Duration> {
        self.begin()?;
        let alone = self.stage.lock();
        let since = Instant::now();
        let ui = stuck.then(|| self.get_stuck());
        std::thread::sleep(wait);
        let took = stop(self);
        self.hog.0.on.store(false, Ordering::SeqCst);
        drop(alone);
        if let Some(ui) = ui {
            std::thread::sleep(STUCK.saturating_sub(since.elapsed()));
            drop(ui?);
        }
        let took = took?;
        self.prometheus.turn_good();
        self.wait_for("the drill is over and the abort proved", |scene| {
            let over = scene.drill.as_ref().is_some_and(|it| it.verdict.is_some());
            over && (scene.abort.finished || scene.abort.pressed_ms.is_none())
        })?;
        if self.agent.latch()?.is_some() {
            self.agent.release()?;
        }
        self.engine.ask(Ask::DismissAbort);
        Ok(took)
    }

    fn begin(&self) -> anyhow::Result<()> {
        let id = |scene: &Scene| scene.drill.as_ref().map(|it| it.id.clone());
        let before = id(&self.engine.scene());
        wait_until(PATIENCE, "a drill begins", || {
            let scene = self.engine.scene();
            if id(&scene) != before {
                return Ok(Some(()));
            }
            // Refused for two seconds after a stop.
            self.engine.ask(Ask::Begin {
                text: self.plan.clone(),
                experiment: "Web is slow".to_owned(),
            });
            std::thread::sleep(Duration::from_millis(300));
            Ok(None)
        })?;
        self.wait_for("ready to arm", |scene| {
            let arming = scene.drill.as_ref().and_then(|it| it.arming.as_ref());
            arming.is_some_and(|it| it.ready)
        })?;
        self.engine.ask(Ask::Arm);
        self.wait_for("the fault is on", |scene| matches!(scene.ours, Ours::On { .. }))
    }

    /// What the UI thread sees.
    fn wait_for(&self, what: &str, is: impl Fn(&Scene) -> bool) -> anyhow::Result<()> {
        wait_until(PATIENCE * 2, what, || {
            // Seldom: other consoles are being measured meanwhile.
            std::thread::sleep(Duration::from_millis(50));
            let scene = self.engine.scene();
            if is(&scene) {
                return Ok(Some(()));
            }
            let drill = scene.drill.as_ref().map(|it| (it.phase, it.log.back().cloned()));
            anyhow::bail!("{drill:?} {:?}", scene.messages.last())
        })
        .map(drop)
    }

    /// Until the hog lets go, and the guard is dropped.
    fn get_stuck(&self) -> anyhow::Result<MutexGuard<'_, ()>> {
        self.hog.0.on.store(true, Ordering::SeqCst);
        self.engine.ask(Ask::OpenPlanDialog);
        let ui = self.ui.lock();
        wait_until(PATIENCE, "every worker is taken", || {
            let (taken, workers) = (&self.hog.0.taken, &self.hog.0.workers);
            let taken = taken.load(Ordering::SeqCst);
            Ok((taken > 0 && taken >= workers.load(Ordering::SeqCst)).then_some(()))
        })?;
        Ok(ui)
    }

    fn breach(&self) -> anyhow::Result<Duration> {
        self.prometheus.turn_bad(0);
        let second = self.prometheus.second_bad(PATIENCE)?;
        Ok(self.tap.reverted_after(second, PATIENCE)? - second)
    }

    fn abort(&self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let aborting = self.account.start(&["abort", "--reason", "measured"])?;
        let reverted = self.tap.reverted_after(began, PATIENCE)?;
        aborting
            .finish(PATIENCE)?
            .expect_code(0)
            .context("firedrill abort")?;
        Ok(reverted - began)
    }
}
