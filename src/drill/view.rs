//! What others may read of a drill.

use firedrill_plan::{Action, Experiment, Plan};
use firedrill_wire::InjectionId;

use crate::{
    AgentStatus, ArmingFacts, At, BadSample, Check, Chosen, Drill, Injection, Judgement, Phase, Planned,
    Setup, SliStatus, Verdict,
};

impl Drill {
    /// What it was made from.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Its plan.
    pub fn plan(&self) -> &Plan {
        &self.setup.plan
    }

    /// Its experiment; `None` only for a setup that names one the plan does not have.
    pub fn experiment(&self) -> Option<&Experiment> {
        self.setup.plan.experiments.get(self.setup.experiment)
    }

    /// When it was last stepped.
    pub fn at(&self) -> At {
        self.at
    }

    /// Where it is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Every phase it has been in, with its begin, in order; after a stop, `Closing` comes before `Recover`.
    pub fn phases(&self) -> &[(Phase, At)] {
        &self.phases
    }

    /// When it first came into `phase`.
    pub fn began(&self, phase: Phase) -> Option<At> {
        self.phases.iter().find(|(it, _)| *it == phase).map(|(_, at)| *at)
    }

    /// Preflight's checks.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// What preflight noted about the source.
    pub fn source_notes(&self) -> &[String] {
        &self.source_notes
    }

    /// Every SLI, in the plan's order.
    pub fn slis(&self) -> &[SliStatus] {
        &self.slis
    }

    /// Every agent of the plan, in its order; those with `needed` take part.
    pub fn agents(&self) -> &[AgentStatus] {
        &self.agents
    }

    /// Every injection asked for so far, in order.
    pub fn injections(&self) -> &[Injection] {
        &self.injections
    }

    /// Injections that are not known to be off.
    pub fn unconfirmed(&self) -> Vec<InjectionId> {
        let open = self.injections.iter().filter(|it| !it.is_off());
        open.map(|it| it.id.clone()).collect()
    }

    /// When an injection ends by itself, by our monotonic clock in microseconds: known once it is active.
    pub fn ends_us(&self, injection: &Injection) -> u64 {
        let from = injection.active.unwrap_or(injection.asked);
        from.mono_us
            .saturating_add(injection.for_ms.saturating_mul(1_000))
    }

    /// What each step of injections hits.
    pub fn chosen(&self) -> &[Chosen] {
        &self.chosen
    }

    /// Every judgement so far, in order.
    pub fn judgements(&self) -> &[Judgement] {
        &self.judgements
    }

    /// Every bad sample so far, in order.
    pub fn bad_samples(&self) -> &[BadSample] {
        &self.bad
    }

    /// How long, while an injection was not read back as reverted, an SLI was out of tolerance or without
    /// data, in milliseconds.
    pub fn harm_ms(&self) -> u64 {
        self.harm_us / 1_000
    }

    /// Milliseconds from the begin of the recovery (every injection was read back as off) to the moment since
    /// which every SLI was inside its band; `None`: that was not reached.
    pub fn recovered_after_ms(&self) -> Option<u64> {
        let back_us = self.back_us?;
        Some(back_us.saturating_sub(self.recover_since_us?) / 1_000)
    }

    /// A stop, an abort or a finish was decided: nothing more is started.
    pub fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// An injection is not read back as off (or a one-shot's time is not over): samples are judged by `stop`.
    pub fn fault_is_on(&self) -> bool {
        self.injections.iter().any(|it| it.counts_at(self.at))
    }

    /// What is left of the shortest lease in milliseconds, while one is held.
    pub fn lease_left_ms(&self, now: At) -> Option<u64> {
        let held = self
            .agents
            .iter()
            .filter(|it| it.needed && !it.closed && self.holds_leases());
        let ends = held.filter_map(|it| it.lease_until_us);
        ends.min().map(|end| end.saturating_sub(now.mono_us) / 1_000)
    }

    /// The verdict, when it stands.
    pub fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    /// The steps as planned.
    pub fn planned(&self) -> Vec<Planned> {
        let Some(experiment) = self.experiment() else {
            return Vec::new();
        };
        let mut planned = Vec::new();
        for lane in &self.lanes {
            let mut from_us = 0_u64;
            for &step in &lane.steps {
                let Some(it) = experiment.steps.get(step) else {
                    continue;
                };
                let agents = self.hit_by(step);
                let row = |run, from_us, ms: u64| Planned {
                    step,
                    run,
                    lane: lane.name.clone(),
                    agents: agents.clone(),
                    from_us,
                    until_us: from_us + ms.saturating_mul(1_000),
                };
                match &it.action {
                    Action::Wait(ms) => {
                        planned.push(row(0, from_us, *ms));
                        from_us = from_us.saturating_add(ms.saturating_mul(1_000));
                    }
                    Action::Inject(inject) => {
                        let every_ms = inject.repeat.every_ms.max(inject.for_ms);
                        let times = inject.repeat.times.max(1);
                        for run in 0..times {
                            let begin =
                                from_us + u64::from(run).saturating_mul(every_ms).saturating_mul(1_000);
                            planned.push(row(run, begin, inject.for_ms));
                        }
                        let length_ms = u64::from(times - 1).saturating_mul(every_ms) + inject.for_ms;
                        from_us = from_us.saturating_add(length_ms.saturating_mul(1_000));
                    }
                }
            }
        }
        planned
    }

    /// What a person must know before confirming the start.
    pub fn arming(&self) -> ArmingFacts {
        let checks = self.arming_checks();
        let tests = self
            .agents
            .iter()
            .filter(|it| it.needed)
            .map(|it| match &it.abort_test {
                Some((at, Ok(_))) => Some(*at),
                _ => None,
            });
        ArmingFacts {
            chosen: self.chosen.clone(),
            abort_tested: tests.min().flatten(),
            ready: self.waits_for_arm() && checks.iter().all(|it| it.ok == Some(true)),
            checks,
        }
    }

    /// How far the phase is, 0 to 1, and in words: `steady for 4 of 6 s`.
    pub fn progress(&self, now: At) -> Option<(f32, String)> {
        match self.phase {
            Phase::Preflight => Some(self.preflight_progress()),
            Phase::Baseline => Some(self.baseline_progress(now)),
            Phase::Arming => Some(self.arming_progress(now)),
            Phase::Inject => Some(self.inject_progress(now)),
            Phase::Recover => Some(self.recover_progress(now)),
            Phase::Closing => Some(self.closing_progress()),
            Phase::Verdict => None,
        }
    }
}
