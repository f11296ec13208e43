//! Labels and mode choose agents, by the journalled seed.

use firedrill_plan::{Action, Experiment, Plan, Target};

use crate::{Chosen, random::Random};

/// What every step of injections hits. Chosen once for the drill, so that every run of a step hits the same.
pub(crate) fn choose_all(plan: &Plan, experiment: &Experiment, seed: u64) -> Vec<Chosen> {
    let steps = experiment.steps.iter().enumerate();
    steps
        .filter_map(|(step, it)| match &it.action {
            Action::Inject(inject) => Some(choose(plan, &inject.target, seed, step)),
            Action::Wait(_) => None,
        })
        .collect()
}

/// What one step hits. Fewer agents than `fixed` asks for: those that there are; preflight says so.
fn choose(plan: &Plan, target: &Target, seed: u64, step: usize) -> Chosen {
    let mut agents: Vec<usize> = target.matching(&plan.agents).map(|(index, _)| index).collect();
    let matching = agents.len();
    let want = target.mode.count(matching).min(matching);
    let mut random = Random::new(seed, step as u64 + 1);
    for place in 0..want {
        let other = place + random.below(matching - place);
        agents.swap(place, other);
    }
    agents.truncate(want);
    agents.sort_unstable();
    Chosen {
        step,
        agents,
        matching,
    }
}
