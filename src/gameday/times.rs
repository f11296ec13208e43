//! What a drill really takes, and the day as it stands: a slot a drill on one line.

use std::collections::BTreeMap;

use firedrill_drill::{BASELINE_TIMES, Outcome, PREFLIGHT_MS};
use firedrill_plan::{Action, Experiment, Plan};

use crate::{GameDay, State, words::length};

/// The time an experiment takes by its plan, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// At the most: agents answer within it, or there is no drill.
    pub preflight_ms: u64,
    /// Steady without a break; a system that is not takes up to [`BASELINE_TIMES`] times as long.
    pub baseline_ms: u64,
    /// The longest lane.
    pub steps_ms: u64,
    /// At the most: back in the band by then, or the hypothesis is broken.
    pub recover_ms: u64,
    /// Until the latest moment of a surprise; 0: none.
    pub surprise_ms: u64,
    /// To talk about it, and to make ready for the next one.
    pub between_ms: u64,
}

/// Whether a time box is long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Also where the baseline takes as long as it may.
    Fits,
    /// Where the system is steady at once.
    IfSteady,
    /// Not even then.
    TooShort,
}

impl Needs {
    /// With a system that is steady at once.
    pub fn planned_ms(&self) -> u64 {
        self.preflight_ms
            + self.baseline_ms
            + self.surprise_ms
            + self.steps_ms
            + self.recover_ms
            + self.between_ms
    }

    /// With a baseline that takes as long as it may.
    pub fn most_ms(&self) -> u64 {
        self.planned_ms() + self.baseline_ms * (BASELINE_TIMES - 1)
    }

    /// In a box.
    pub fn fit(&self, box_ms: u64) -> Fit {
        if box_ms >= self.most_ms() {
            Fit::Fits
        } else if box_ms >= self.planned_ms() {
            Fit::IfSteady
        } else {
            Fit::TooShort
        }
    }

    /// `preflight 15 s, baseline 1 min, steps 1 min, recovery 2 min, between 5 min`.
    pub fn words(&self) -> String {
        let surprise = if self.surprise_ms > 0 {
            format!(", surprise {}", length(self.surprise_ms))
        } else {
            String::new()
        };
        format!(
            "preflight {}, baseline {}{surprise}, steps {}, recovery {}, between {}",
            length(self.preflight_ms),
            length(self.baseline_ms),
            length(self.steps_ms),
            length(self.recover_ms),
            length(self.between_ms)
        )
    }
}

/// What an experiment of a plan needs.
pub fn needs(plan: &Plan, experiment: &Experiment, between_ms: u64) -> Needs {
    debug_assert!(
        plan.experiments.iter().any(|it| it.name == experiment.name),
        "of this plan"
    );
    let mut lanes: BTreeMap<&str, u64> = BTreeMap::new();
    for step in &experiment.steps {
        let length_ms = match &step.action {
            Action::Wait(ms) => *ms,
            Action::Inject(inject) => {
                let every_ms = inject.repeat.every_ms.max(inject.for_ms);
                u64::from(inject.repeat.times.max(1) - 1).saturating_mul(every_ms) + inject.for_ms
            }
        };
        let lane = lanes.entry(&step.lane).or_default();
        *lane = lane.saturating_add(length_ms);
    }
    Needs {
        preflight_ms: PREFLIGHT_MS,
        baseline_ms: experiment.baseline_ms,
        steps_ms: lanes.into_values().max().unwrap_or(0),
        recover_ms: experiment.recover_ms,
        surprise_ms: 0,
        between_ms,
    }
}

/// How a drill of the agenda stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// To come.
    Planned,
    /// On.
    Running,
    /// Over.
    Over(Outcome),
    /// Not run, with the reason where one was given.
    Skipped(Option<String>),
}

/// A drill on the day's line. Times are wall milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The row's id.
    pub id: String,
    /// How it stands.
    pub standing: Standing,
    /// When it begins or began.
    pub from_ms: i64,
    /// When its box ends; of a drill that is over, when it ended.
    pub until_ms: i64,
    /// The box as it is now.
    pub box_ms: u64,
}

/// The day as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// A slot a row, in the agenda's order.
    pub slots: Vec<Slot>,
    /// When the last one ends.
    pub ends_ms: i64,
    /// How much later than the game day that is; 0: it is not.
    pub over_ms: u64,
}

impl Schedule {
    /// The next drill to come.
    pub fn next(&self) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.standing == Standing::Planned)
    }
}

/// Lays the agenda out: what is over where it was, what is on from its begin, what is to come one after another
/// from then on, and not before `now_ms` once the day has started.
pub fn schedule(day: &GameDay, state: &State, now_ms: i64) -> Schedule {
    let mut cursor = state.started_ms.unwrap_or(day.start.wall_ms);
    let not_before = if state.started_ms.is_some() {
        now_ms
    } else {
        i64::MIN
    };
    let mut slots = Vec::new();
    let mut ends_ms = cursor;
    // What was and is comes first: a drill that was run out of turn pushes those before it.
    for row in &state.rows {
        if let Some(run) = row.runs.last() {
            let until = run.ended_ms.map_or_else(
                || run.began_ms.saturating_add_unsigned(row.box_ms).max(not_before),
                |ended| ended.saturating_add_unsigned(day.between_ms.min(row.box_ms)),
            );
            cursor = cursor.max(until);
        }
    }
    for row in &state.rows {
        let slot = match (row.runs.last(), &row.skipped) {
            (Some(run), _) => Slot {
                id: row.id.clone(),
                standing: run
                    .found
                    .as_ref()
                    .map_or(Standing::Running, |it| Standing::Over(it.outcome)),
                from_ms: run.began_ms,
                until_ms: run
                    .ended_ms
                    .unwrap_or_else(|| run.began_ms.saturating_add_unsigned(row.box_ms)),
                box_ms: row.box_ms,
            },
            (None, Some(why)) => Slot {
                id: row.id.clone(),
                standing: Standing::Skipped(why.clone()),
                from_ms: cursor,
                until_ms: cursor,
                box_ms: row.box_ms,
            },
            (None, None) if state.ended_ms.is_some() => Slot {
                id: row.id.clone(),
                standing: Standing::Skipped(Some("the game day was over".to_owned())),
                from_ms: cursor,
                until_ms: cursor,
                box_ms: row.box_ms,
            },
            (None, None) => {
                let from_ms = cursor.max(not_before);
                cursor = from_ms.saturating_add_unsigned(row.box_ms);
                Slot {
                    id: row.id.clone(),
                    standing: Standing::Planned,
                    from_ms,
                    until_ms: cursor,
                    box_ms: row.box_ms,
                }
            }
        };
        ends_ms = ends_ms.max(slot.until_ms);
        slots.push(slot);
    }
    let over_ms = ends_ms.saturating_sub(day.ends_ms()).max(0).cast_unsigned();
    Schedule {
        slots,
        ends_ms,
        over_ms,
    }
}
