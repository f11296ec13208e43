//! Scenes for others than the person at the console.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use firedrill_drill::{EXERCISE, Outgoing, Phase, Redact, Redaction};
use firedrill_gameday::{RowState, Run, State};
use firedrill_plan::{Range, Say, Stop};

use crate::{AbortScene, DrillScene, GameDayScene, SafetyScene, Scene, SliScene};

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// Runs the exercise and knows: facilitator, operator, observer, approver.
    Crew,
    /// Sees the Stage, or stands in the room: until the reveal, that there is an exercise.
    Room,
    /// Is rehearsed: until the reveal, the symptoms.
    Responder,
}

/// A scene as one viewer may see it.
#[derive(Clone, Debug)]
pub struct Told {
    /// It.
    pub scene: Scene,
    /// For whom.
    pub viewer: Viewer,
}

impl Scene {
    /// What everything that leaves the console must go through now: `by_hand`, somebody sealed it at the console.
    ///
    /// `scene.redaction(false).pass(words)` gives words that may be sent to anybody.
    pub fn redaction(&self, by_hand: bool) -> Redaction {
        let sealed = self.drill.as_ref().map(|drill| drill.seal.redaction());
        sealed.unwrap_or_default().or(by_hand)
    }

    /// What `viewer` may see of it: every window that others see and every follower (`firedrill watch`) is drawn from
    /// this, so that what is hidden is not there. After the reveal it is the whole scene.
    ///
    /// Safety is never hidden: a redacted scene's ABORT looks armed, always.
    pub fn told(&self, viewer: Viewer, by_hand: bool) -> Outgoing<Told> {
        let redaction = match viewer {
            Viewer::Crew => Redaction::Nothing,
            Viewer::Room | Viewer::Responder => self.redaction(by_hand),
        };
        redaction.pass(Told {
            scene: self.clone(),
            viewer,
        })
    }
}

impl Redact for Told {
    fn redacted(self) -> Self {
        let Self { scene, viewer } = self;
        let drill = match viewer {
            Viewer::Responder => scene.drill.as_deref().map(|drill| Arc::new(symptoms(drill))),
            Viewer::Crew | Viewer::Room => None,
        };
        let gameday = match viewer {
            Viewer::Responder => scene.gameday.as_deref().and_then(clocks).map(Arc::new),
            Viewer::Crew | Viewer::Room => None,
        };
        let scene = Scene {
            wall_ms: scene.wall_ms,
            drill,
            gameday,
            abort: AbortScene {
                armed: true,
                pressed_ms: scene.abort.pressed_ms,
                finished: scene.abort.finished,
                ..AbortScene::default()
            },
            ..Scene::default()
        };
        Self { scene, viewer }
    }
}

/// Of a game day the clocks of the drill that is meant, and nothing of its agenda.
fn clocks(day: &GameDayScene) -> Option<GameDayScene> {
    let state = &day.state;
    let sealed = || {
        state
            .rows
            .iter()
            .rfind(|row| row.is_sealed() && !row.runs.is_empty())
    };
    let row = state.running().or_else(sealed)?;
    let run = Run {
        id: String::new(),
        began_ms: 0,
        ended_ms: None,
        found: None,
    };
    let row = RowState {
        id: EXERCISE.to_owned(),
        // As many as there are, so that clocks are of the same run.
        runs: vec![run; row.runs.len()],
        clocks: row.clocks.clone(),
        ..RowState::default()
    };
    Some(GameDayScene {
        folder: PathBuf::new(),
        day: None,
        mistakes: Vec::new(),
        state: State {
            rows: vec![row],
            ..State::default()
        },
        needs: Vec::new(),
        slis: BTreeMap::new(),
    })
}

/// What people on call would see of a drill by their own monitoring. Field by field, so that a new one is decided upon.
fn symptoms(drill: &DrillScene) -> DrillScene {
    DrillScene {
        id: drill.id.clone(),
        experiment: EXERCISE.to_owned(),
        console: String::new(),
        hypothesis: String::new(),
        say: None,
        now: drill.now,
        origin_wall_ms: drill.origin_wall_ms,
        // The same all the time: a phase would tell when the fault begins, and when it is taken back.
        phase: Phase::Baseline,
        phases: Vec::new(),
        progress: None,
        slis: drill.slis.iter().map(symptom).collect(),
        injections: Vec::new(),
        planned: Vec::new(),
        holds: Vec::new(),
        hold: None,
        log: Arc::default(),
        lease_left_ms: None,
        agents: 0,
        people: None,
        checks: Vec::new(),
        safety: SafetyScene::default(),
        arming: None,
        verdict: None,
        seal: drill.seal.clone(),
        fired: Arc::clone(&drill.fired),
    }
}

fn symptom(sli: &SliScene) -> SliScene {
    SliScene {
        name: sli.name.clone(),
        unit: sli.unit.clone(),
        // What the plan says when it is out may tell what was expected.
        say: Say::default(),
        band: sli.band,
        tolerate: Range::default(),
        stop: Stop::Never { after: 1 },
        state: sli.state,
        value: sli.value,
        age_ms: sli.age_ms,
        // It quotes addresses.
        why_no_data: None,
        // Samples are bad only while a fault is on.
        bad_in_row: 0,
        series: sli.series.clone(),
        bad: Arc::default(),
    }
}
