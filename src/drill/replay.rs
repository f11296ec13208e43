//! From a journal's entries back to the drill.

use std::sync::Arc;

use crate::{At, Drill, Entry, Event, Setup, Stamped};

/// Why entries are not a drill.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The first entry must say what the drill was made from.
    #[error("the journal does not begin with how the drill was made; it is not a drill's journal")]
    NotMade,
    /// The plan in it cannot be read.
    #[error("the plan in the journal cannot be read: {0}; was it written by a newer release?")]
    Plan(String),
}

impl Setup {
    /// What the first entry of a journal says.
    pub fn from_made(made: &Entry) -> Result<Self, ReplayError> {
        let Entry::Made {
            drill,
            plan,
            experiment,
            seed,
            console,
            who,
            arming,
            version,
        } = made
        else {
            return Err(ReplayError::NotMade);
        };
        let read = firedrill_plan::parse(plan).map_err(|mistakes| {
            let first = mistakes.first().map(ToString::to_string);
            ReplayError::Plan(first.unwrap_or_else(|| "it is not a plan".to_owned()))
        })?;
        if *experiment >= read.experiments.len() {
            return Err(ReplayError::Plan(format!(
                "it has no experiment {}",
                experiment + 1
            )));
        }
        Ok(Self {
            drill: drill.clone(),
            plan: Arc::new(read),
            plan_text: plan.as_str().into(),
            version: version.clone(),
            experiment: *experiment,
            seed: *seed,
            console: console.clone(),
            who: who.clone(),
            arming: *arming,
        })
    }
}

/// Steps a fresh drill through a journal's events. `watch` sees the drill after each of them (and once
/// before the first, with `None`): what a scene is built from. Records other than events are what the drill
/// itself asked for; they are rebuilt, not read.
pub fn replay(
    entries: &[Stamped],
    mut watch: impl FnMut(&Drill, At, Option<&Event>),
) -> Result<Drill, ReplayError> {
    let first = entries.first().ok_or(ReplayError::NotMade)?;
    let setup = Setup::from_made(&first.entry)?;
    let (mut drill, _) = Drill::new(setup, first.at);
    watch(&drill, first.at, None);
    for stamped in &entries[1..] {
        if let Entry::Event { event } = &stamped.entry {
            drill.step(stamped.at, event.clone());
            watch(&drill, stamped.at, Some(event));
        }
    }
    Ok(drill)
}
