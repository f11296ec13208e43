//! What a drill found, from its journal alone: the verdict with numbers before, during and after, the measured
//! times, two drills side by side, and the window as it was at any moment of it.
//!
//! Pure: a journal's entries are stepped through a fresh drill, so the same journal gives the same review.
//! Uses `drill`, `scene` and `series`.

mod compare;
mod numbers;
mod replay;
mod side_by_side;

use std::{path::PathBuf, sync::Arc};

use firedrill_drill::{At, Drill, Outcome, Reason, ReplayError, Stamped, Verdict, replay};
use firedrill_scene::{
    AbortScene, AgentHealth, AgentScene, DrillScene, Ours, PlanScene, Review, Scene, SceneBuilder, ours,
};

pub use compare::compare;
use numbers::{Spans, numbers};
pub use replay::{Following, Replay};
pub use side_by_side::{Difference, SideBySide, side_by_side};

/// What is known of the journal itself.
#[derive(Clone, Debug)]
pub struct Record {
    /// Where it is.
    pub path: Option<PathBuf>,
    /// Whether its chain is whole and closed: `Err` says where it is not.
    pub sealed: Result<(), String>,
    /// The chain's last hash, hex.
    pub hash: String,
}

/// Rebuilds a finished drill from its journal's entries.
pub fn review(entries: &[Stamped], record: Record) -> Result<Review, ReplayError> {
    let (drill, scene) = replayed(entries, None)?;
    let spans = Spans::of(&drill, scene.now);
    let verdict = drill
        .verdict()
        .cloned()
        .unwrap_or_else(|| unfinished(&drill, scene.now));
    Ok(Review {
        drill: scene.id.clone(),
        title: drill.plan().title.clone(),
        system: drill.plan().system.clone(),
        journal: record.path,
        sealed: record.sealed,
        hash: record.hash,
        numbers: scene.slis.iter().map(|sli| numbers(sli, &spans)).collect(),
        time_to_break_ms: spans.time_to_break_ms(&scene),
        time_to_stop_ms: spans.time_to_stop_ms(&drill),
        time_to_recover_ms: drill.recovered_after_ms(),
        bad_samples: drill.bad_samples().len(),
        verdict,
        scene: Arc::new(scene),
    })
}

/// The window as it was at `until_us` (microseconds since the drill was made), or at the drill's end, as far as
/// the journal knows.
pub fn scene_at(entries: &[Stamped], until_us: Option<u64>) -> Result<Scene, ReplayError> {
    let (drill, scene) = replayed(entries, until_us)?;
    Ok(window(&drill, scene))
}

/// The whole window around a drill of a journal.
fn window(drill: &Drill, scene: DrillScene) -> Scene {
    let text = drill.setup().plan_text.to_string();
    let ours = ours(drill, scene.now);
    let armed = matches!(ours, Ours::On { .. } | Ours::MayBeOn { .. });
    Scene {
        wall_ms: scene.now.wall_ms,
        plan: Some(Arc::new(PlanScene {
            text,
            revision: 1,
            ..PlanScene::default()
        })),
        ours,
        fleet: Arc::new(fleet(drill)),
        abort: AbortScene {
            armed,
            ..AbortScene::default()
        },
        drill: Some(Arc::new(scene)),
        ..Scene::default()
    }
}

/// The clocks at `until_us`, after `last` was the last that had happened: they went on until something did. At and
/// after the end they stand.
fn clocks(last: At, until_us: u64, end_us: u64) -> At {
    let until_us = until_us.min(end_us).max(last.mono_us);
    At {
        mono_us: until_us,
        wall_ms: last
            .wall_ms
            .saturating_add_unsigned((until_us - last.mono_us) / 1_000),
    }
}

fn fleet(drill: &Drill) -> Vec<AgentScene> {
    let agents = drill.plan().agents.iter().zip(drill.agents());
    agents
        .map(|(entry, status)| AgentScene {
            name: entry.name.clone(),
            url: entry.url.clone(),
            health: match (&status.problem, &status.info) {
                (Some(problem), _) if !status.contact => AgentHealth::Unreachable(problem.clone()),
                (_, Some(_)) => AgentHealth::Healthy,
                (_, None) => AgentHealth::Unknown,
            },
            rtt_us: status.rtt_us,
            heard_ms: status
                .heard_us
                .map(|us| drill.at().wall_ms - (drill.at().mono_us.saturating_sub(us) / 1_000).cast_signed()),
            info: status.info.clone(),
            latch: status.info.as_ref().and_then(|info| info.latch.clone()),
            abort_test: status.abort_test.as_ref().map(|(_, result)| result.clone()),
        })
        .collect()
}

fn replayed(entries: &[Stamped], until_us: Option<u64>) -> Result<(Drill, DrillScene), ReplayError> {
    let until_us = until_us.unwrap_or(u64::MAX);
    let end_us = entries.iter().map(|entry| entry.at.mono_us).max().unwrap_or(0);
    let end = entries
        .iter()
        .position(|entry| entry.at.mono_us > until_us)
        .unwrap_or(entries.len());
    let entries = &entries[..end.max(entries.len().min(1))];
    let mut builder: Option<SceneBuilder> = None;
    let drill = replay(entries, |drill, at, event| {
        builder
            .get_or_insert_with(|| SceneBuilder::new(drill.setup()))
            .feed(drill, at, event);
    })?;
    let last = entries.last().map_or(drill.at(), |entry| entry.at);
    let now = clocks(last, until_us, end_us);
    let builder = builder.unwrap_or_else(|| SceneBuilder::new(drill.setup()));
    let scene = builder.scene(&drill, now);
    Ok((drill, scene))
}

/// A journal that ends before its verdict: the console died. What was never read back may be on.
fn unfinished(drill: &Drill, now: At) -> Verdict {
    let words =
        "the journal ends before a verdict: the console ended without one; ask the agents (firedrill status)";
    Verdict {
        outcome: Outcome::Inconclusive,
        reasons: vec![Reason {
            at: now,
            rule: "journal".to_owned(),
            words: words.to_owned(),
        }],
        unconfirmed: drill.unconfirmed(),
    }
}
