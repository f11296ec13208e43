//! The tour: a newcomer lives through a drill within a minute, then through the fix, then compares.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use firedrill_analysis::compare;
use firedrill_demo::Build;
use firedrill_drill::{Command, Outcome, Phase};
use firedrill_library::Template;
use firedrill_scene::{Level, Review, TourScene};

use super::{
    app::{App, Work},
    drills::Begun,
};
use crate::demo::{Demo, DemoError};

/// The start confirms itself after this long, so that a newcomer who only watches sees all of it.
const COUNTDOWN: Duration = Duration::from_secs(3);

/// Where the tour is.
pub(crate) struct Tour {
    pub(crate) demo: Option<Demo>,
    build: Build,
    /// A template is tried: nobody is guided, and the person confirms the start.
    trial: bool,
    fragile: Option<Arc<Review>>,
    starting: bool,
    starts: Option<Instant>,
    armed: bool,
}

impl App {
    pub(crate) fn start_demo(&mut self, build: Build) {
        self.start_system(build, None);
    }

    /// Runs an experiment of a template that ships on the demo's order system.
    pub(crate) fn try_template(&mut self, name: &str, experiment: String) {
        let Some(template) = firedrill_library::find(name) else {
            self.publisher
                .say(Level::Error, format!("the library has no template {name}"));
            return;
        };
        self.start_system(Build::of(&template.demo.build), Some((template, experiment)));
    }

    fn start_system(&mut self, build: Build, trial: Option<(&'static Template, String)>) {
        if self.running.is_some() {
            self.publisher
                .say(Level::Warning, "a drill runs; finish it before the demo");
            return;
        }
        if self.tour.as_ref().is_some_and(|tour| tour.starting) {
            return;
        }
        let before = self.tour.take();
        let (old, fragile) = before.map_or((None, None), |tour| (tour.demo, tour.fragile));
        self.tour = Some(Tour {
            demo: None,
            build,
            trial: trial.is_some(),
            fragile: fragile.filter(|_| build == Build::Hardened && trial.is_none()),
            starting: true,
            starts: None,
            armed: false,
        });
        self.show_tour(|tour| {
            *tour = TourScene {
                now: "Starting the order system and an agent on this computer".to_owned(),
                build: build.word().to_owned(),
                ..TourScene::default()
            };
        });
        let program = self.options.program.clone();
        self.spawn(async move {
            if let Some(old) = old {
                crate::tour::end(old).await;
            }
            let started = match trial {
                None => crate::tour::start(build, program).await,
                Some((template, experiment)) => {
                    crate::tour::start_template(template, experiment, program).await
                }
            };
            Some(Work::DemoStarted(Box::new(started)))
        });
    }

    pub(crate) fn demo_started(&mut self, started: Result<Demo, DemoError>) {
        let demo = match started {
            Ok(demo) => demo,
            Err(error) => {
                self.tour = None;
                self.publisher.update(|scene| scene.tour = None);
                self.publisher
                    .say(Level::Error, format!("the demo did not start: {error}"));
                return;
            }
        };
        let words = demo.words.clone();
        let trial = self.tour.as_ref().is_some_and(|tour| tour.trial);
        let now = trial.then(|| format!("{}, tried on the demo", demo.plan.title));
        self.show_tour(|tour| {
            tour.words = words;
            tour.now = now.unwrap_or_else(|| std::mem::take(&mut tour.now));
        });
        let (plan, text) = (Arc::clone(&demo.plan), demo.text.clone());
        let (experiment, credentials) = (demo.experiment, demo.credentials.clone());
        self.show_plan(None, text.clone(), Some(credentials.clone()));
        if let Some(tour) = &mut self.tour {
            tour.demo = Some(demo);
            tour.starting = false;
        }
        self.begin_drill(Begun {
            plan,
            text,
            experiment,
            credentials,
            journals: self.options.journals(),
            row: None,
            rehearsal: false,
        });
    }

    /// The drill is begun once more: its confirmation counts down again.
    pub(crate) fn tour_again(&mut self) {
        if let Some(tour) = &mut self.tour {
            tour.starts = None;
            tour.armed = false;
        }
    }

    /// Says what happens now, and confirms the start when the countdown is over.
    pub(crate) fn guide(&mut self) {
        let scene = self.publisher.scene();
        let (Some(tour), Some(drill)) = (&mut self.tour, &scene.drill) else {
            return;
        };
        if tour.trial {
            return;
        }
        if drill.verdict.is_some() {
            // Still the one before; what its end means is said already.
            return;
        }
        let mut confirm = false;
        let now = match (&drill.arming, drill.phase) {
            (Some(arming), _) if arming.ready => {
                let starts = *tour.starts.get_or_insert_with(|| Instant::now() + COUNTDOWN);
                let left = starts.saturating_duration_since(Instant::now());
                confirm = left.is_zero() && !tour.armed;
                tour.armed |= confirm;
                let seconds = left.as_millis().div_ceil(1_000);
                format!("This is the confirmation. It starts by itself in {seconds} s; or press the button")
            }
            (Some(_), _) => {
                tour.starts = None;
                "Before anything is injected, every row must be good".to_owned()
            }
            (None, phase) => says(phase, tour.build).to_owned(),
        };
        if scene.tour.as_ref().is_none_or(|shown| shown.now != now) {
            self.show_tour(|tour| tour.now = now);
        }
        if confirm {
            self.command(Command::Arm);
        }
    }

    /// A drill is over; `None`: it could not be reviewed.
    pub(crate) fn tour_finished(&mut self, review: Option<Arc<Review>>) {
        let Some(tour) = &mut self.tour else { return };
        let Some(review) = review else { return };
        let rows = match (tour.build, &tour.fragile) {
            (Build::Hardened, Some(fragile)) => compare(fragile, &review),
            _ => Vec::new(),
        };
        if tour.trial {
            return;
        }
        let now = ended(tour.build, review.verdict.outcome);
        let offers_fix = tour.build == Build::Fragile;
        if offers_fix {
            tour.fragile = Some(review);
        }
        self.show_tour(|tour| {
            now.clone_into(&mut tour.now);
            tour.offers_fix = offers_fix;
            tour.comparison = rows;
        });
    }

    fn show_tour(&self, change: impl FnOnce(&mut TourScene)) {
        self.publisher.update(|scene| {
            let mut tour = scene.tour.as_deref().cloned().unwrap_or_default();
            change(&mut tour);
            scene.tour = Some(Arc::new(tour));
        });
    }
}

fn says(phase: Phase, build: Build) -> &'static str {
    match (phase, build) {
        (Phase::Preflight, _) => {
            "Preflight: the agent answers, the numbers are fresh, and ABORT is tried out"
        }
        (Phase::Baseline, _) => "Baseline: is the system steady? A system that is not is not experimented on",
        (Phase::Arming, _) => "The agent is opened for this drill",
        (Phase::Inject, Build::Fragile) => {
            "Payment answers 400 ms later. Watch the latency climb: two bad samples in a row stop the drill"
        }
        (Phase::Inject, Build::Hardened) => {
            "The same fault again. Deadlines, a circuit breaker and a fallback are at work"
        }
        (Phase::Closing, _) => "The fault is taken back, and read back that it is gone",
        (Phase::Recover, _) => "Recovery: until every number is back in its band",
        (Phase::Verdict, _) => "The verdict stands",
    }
}

fn ended(build: Build, outcome: Outcome) -> &'static str {
    match (build, outcome) {
        (Build::Fragile, Outcome::Broken) => {
            "The hypothesis is broken, and the drill stopped by itself. Run the fix: the same drill on the hardened build"
        }
        (Build::Hardened, Outcome::Held) => {
            "The hypothesis held. Compare the two drills; then write a plan for a system of your own"
        }
        (_, Outcome::Aborted) => {
            "You stopped it: nothing is on. The agent is latched until somebody releases it under Fleet"
        }
        (_, Outcome::Inconclusive) => "Nothing can be said this time; the reasons are in Review",
        (_, Outcome::Held | Outcome::Broken) => "The verdict and its reasons are in Review",
    }
}
