//! Baseline is reached: the confirmation, the abort test made fresh, the abort card, the openings.

use firedrill_wire::{Epoch, OpenRequest, Opened, ProblemKind, Renewed};

use crate::{
    ABORT_TEST_GOOD_MS, Arming, At, Call, Check, Drill, Effect, Failure, PREFLIGHT_MS, Phase, SliState,
    machine::ArmingStage,
    random::Random,
    words::{count, show_ms},
};

/// An opening without an answer is sent this often in all, with the same nonce.
const OPEN_TRIES: u32 = 3;

/// An opening or renewal that was not answered in this time, in microseconds, counts as not answered.
const ANSWER_US: u64 = 10_000_000;

/// A heartbeat older than this, in microseconds, is no contact.
const BEAT_US: u64 = 3_000_000;

impl Drill {
    pub(crate) fn begin_arming(&mut self, words: impl Into<String>) {
        self.enter(Phase::Arming, words);
        self.arming = ArmingStage::Waiting;
    }

    /// A person confirms the start. What is in the way is said, and the drill goes on waiting.
    pub(crate) fn arm(&mut self) {
        if !self.waits_for_arm() {
            return;
        }
        let missing = self.missing();
        if missing.is_empty() {
            self.test_before_opening();
        } else {
            self.judge("not started", "arming", missing);
        }
    }

    /// What is in the way of a start, in words; empty: nothing is.
    pub(crate) fn missing(&self) -> String {
        let missing: Vec<String> = self
            .arming_checks()
            .into_iter()
            .filter(|it| it.ok != Some(true))
            .map(|it| format!("{}: {}", it.what, it.words))
            .collect();
        missing.join("; ")
    }

    pub(crate) fn advance_arming(&mut self) {
        if self.ending.is_some() {
            return;
        }
        match self.arming.clone() {
            ArmingStage::Waiting if self.setup.arming == Arming::AtOnce => self.arm_at_once(),
            ArmingStage::Waiting => self.advance_surprise(),
            ArmingStage::Done => {}
            ArmingStage::Testing => self.advance_testing(),
            ArmingStage::Opening(_) => {}
        }
        if let ArmingStage::Opening(_) = self.arming {
            self.advance_opening();
        }
    }

    /// Without a person nobody waits: a guardrail in the way ends the drill.
    fn arm_at_once(&mut self) {
        let violations = self.violations();
        if violations.is_empty() {
            self.test_before_opening();
        }
        for (rule, words) in violations {
            self.stop_blind(&format!("guardrail {rule}"), words);
        }
    }

    pub(crate) fn test_before_opening(&mut self) {
        let old: Vec<usize> = self
            .needed()
            .into_iter()
            .filter(|agent| !self.test_is_good(*agent))
            .collect();
        if old.is_empty() {
            self.begin_opening();
            return;
        }
        self.arming = ArmingStage::Testing;
        for agent in old {
            self.test_abort(agent);
        }
    }

    fn test_is_good(&self, agent: usize) -> bool {
        matches!(&self.agents[agent].abort_test, Some((at, Ok(_))) if self.at.ms_since(*at) <= ABORT_TEST_GOOD_MS)
    }

    fn advance_testing(&mut self) {
        let needed = self.needed();
        for &agent in &needed {
            let words = match (&self.links[agent].test_sent_us, &self.agents[agent].abort_test) {
                (Some(sent), _) if self.at.mono_us.saturating_sub(*sent) > PREFLIGHT_MS * 1_000 => {
                    format!("no result within {}", show_ms(PREFLIGHT_MS))
                }
                (None, Some((_, Err(why)))) => why.clone(),
                _ => continue,
            };
            let words = format!("the abort test of {} failed: {words}", self.name(agent));
            self.stop_blind("abort test", words);
            return;
        }
        if needed.iter().all(|agent| self.test_is_good(*agent)) {
            self.begin_opening();
        }
    }

    /// In the order of the agents' ids, so that two consoles cannot each hold half.
    fn begin_opening(&mut self) {
        self.out.push(Effect::WriteAbortCard);
        let mut order = self.needed();
        order.sort_by(|a, b| {
            let id = |agent: &usize| self.agents[*agent].info.as_ref().map(|it| &it.stamp.agent);
            id(b).cmp(&id(a))
        });
        self.arming = ArmingStage::Opening(order);
    }

    fn advance_opening(&mut self) {
        let ArmingStage::Opening(order) = &self.arming else {
            return;
        };
        let Some(&agent) = order.last() else {
            self.arming = ArmingStage::Done;
            self.begin_inject();
            return;
        };
        match self.links[agent].open_sent_us {
            Some(sent) if self.at.mono_us.saturating_sub(sent) > ANSWER_US => {
                let why = format!("no answer within {}", show_ms(ANSWER_US / 1_000));
                self.opened(agent, Err(Failure::NoAnswer { why }));
            }
            Some(_) => {}
            None if self.in_contact() => self.open(agent),
            None => {}
        }
    }

    fn open(&mut self, agent: usize) {
        let Some(experiment) = self.experiment() else {
            return;
        };
        let mut random = Random::new(self.setup.seed, 1_000_003 + agent as u64);
        let request = OpenRequest {
            drill: self.setup.drill.clone(),
            nonce: format!("{:016x}{:016x}", random.next(), random.next()),
            // Agents tell it to other consoles and keep it in their audit logs.
            experiment: self.seal.redaction().pass(experiment.name.clone()).into_inner(),
            console: self.setup.console.clone(),
            who: self.setup.who.clone(),
            lease_ms: experiment.lease_ms,
        };
        self.links[agent].open_sent_us = Some(self.at.mono_us);
        self.links[agent].open_tries += 1;
        self.call(agent, Call::Open(request));
    }

    pub(crate) fn opened(&mut self, agent: usize, result: Result<Opened, Failure>) {
        let Some(sent_us) = self.links[agent].open_sent_us.take() else {
            return;
        };
        match result {
            Ok(opened) => self.take_opening(agent, opened, sent_us),
            Err(_) if self.ending.is_some() => {}
            Err(Failure::NoAnswer { .. }) if self.links[agent].open_tries < OPEN_TRIES => {}
            Err(Failure::NoAnswer { why }) => {
                let words = format!("opening {} was not answered: {why}", self.name(agent));
                self.stop_blind("start refused", words);
            }
            Err(Failure::Refused { problem }) => {
                let words = format!("{} refused the opening: {problem}", self.name(agent));
                self.agents[agent].problem = Some(words.clone());
                if problem.kind == ProblemKind::Latched {
                    self.stop_elsewhere(words);
                } else {
                    self.stop_closing("start refused", words);
                }
            }
        }
    }

    /// The deadline in our time is pessimistic: counted from the send, not from the answer.
    fn take_opening(&mut self, agent: usize, opened: Opened, sent_us: u64) {
        let expected = self.agents[agent]
            .info
            .as_ref()
            .map(|it| it.stamp.instance.clone());
        let lease_ms = opened.deadline.ms_since(opened.stamp.tick);
        let stamp = opened.stamp.clone();
        let status = &mut self.agents[agent];
        status.lease_until_us = Some(sent_us + lease_ms * 1_000);
        status.opened = Some(opened);
        self.links[agent].renewed_us = sent_us;
        self.heard(agent, &stamp);
        if self.ending.is_some() {
            return;
        }
        if expected.is_some_and(|it| it != stamp.instance) {
            let words = format!(
                "{} was restarted between preflight and its opening; begin again",
                self.name(agent)
            );
            self.stop_blind("contact", words);
            return;
        }
        if let ArmingStage::Opening(order) = &mut self.arming {
            order.retain(|it| *it != agent);
        }
    }

    pub(crate) fn renewed(&mut self, agent: usize, result: Result<Renewed, Failure>) {
        let Some(sent_us) = self.links[agent].renew_sent_us.take() else {
            return;
        };
        let words = match result {
            Ok(renewed) => {
                let same = self.agents[agent]
                    .opened
                    .as_ref()
                    .is_some_and(|it| it.stamp.instance == renewed.stamp.instance);
                if same {
                    let left_us = renewed.deadline.0.saturating_sub(renewed.stamp.tick.0);
                    let until_us = sent_us + left_us;
                    let status = &mut self.agents[agent];
                    status.lease_until_us = status.lease_until_us.max(Some(until_us));
                    self.heard(agent, &renewed.stamp);
                    return;
                }
                format!("another life of {} answered the renewal", self.name(agent))
            }
            // Tried again with the next tick; the lease's end decides.
            Err(Failure::NoAnswer { why }) => {
                self.agents[agent].problem = Some(why);
                self.links[agent].renewed_us = 0;
                return;
            }
            Err(Failure::Refused { problem }) => {
                format!("{} refused the renewal: {problem}", self.name(agent))
            }
        };
        self.agents[agent].problem = Some(words.clone());
        if self.guards_contact() {
            self.stop_blind("lease", words);
        }
    }

    /// Every third of a lease, from the drill's own tick and after its samples were judged.
    pub(crate) fn renew(&mut self) {
        if !self.holds_leases() {
            return;
        }
        let Some(lease_ms) = self.experiment().map(|it| it.lease_ms) else {
            return;
        };
        let now_us = self.at.mono_us;
        let third_us = lease_ms * 1_000 / 3;
        for agent in self.needed() {
            let link = &self.links[agent];
            let status = &self.agents[agent];
            let closing = status.closed || link.close_tries > 0;
            let running = link
                .renew_sent_us
                .is_some_and(|sent| now_us.saturating_sub(sent) < third_us);
            if closing || running || now_us.saturating_sub(link.renewed_us) < third_us {
                continue;
            }
            let (Some(opened), Some((seen, _))) = (&status.opened, link.tick) else {
                continue;
            };
            let request = firedrill_wire::RenewRequest {
                fence: self.fence(opened),
                seen,
            };
            self.links[agent].renew_sent_us = Some(now_us);
            self.links[agent].renewed_us = now_us;
            self.call(agent, Call::Renew(request));
        }
    }

    pub(crate) fn fence(&self, opened: &Opened) -> firedrill_wire::Fence {
        firedrill_wire::Fence {
            drill: self.setup.drill.clone(),
            epoch: opened.epoch,
            instance: opened.stamp.instance.clone(),
            holder: opened.holder.clone(),
        }
    }

    /// Whether the abort line has contact to every agent of the drill.
    pub(crate) fn in_contact(&self) -> bool {
        let now_us = self.at.mono_us;
        // By the beats' own age too: after a suspension other events come before the tick that takes contact away.
        let fresh = |beat_us: Option<u64>| beat_us.is_some_and(|at| now_us.saturating_sub(at) <= BEAT_US);
        let mut all = self.agents.iter().zip(&self.links);
        all.all(|(agent, link)| !agent.needed || (agent.contact && fresh(link.beat_us)))
    }

    /// Whether something may be on or held: then lost contact or a lost lease stops the drill.
    pub(crate) fn guards_contact(&self) -> bool {
        let opening =
            self.phase == Phase::Arming && matches!(self.arming, ArmingStage::Opening(_) | ArmingStage::Done);
        self.ending.is_none() && (opening || self.phase == Phase::Inject)
    }

    pub(crate) fn watch_contact(&mut self) {
        let lease_us = self.experiment().map_or(0, |it| it.lease_ms * 1_000);
        for agent in self.needed() {
            let beat_us = self.links[agent].beat_us.unwrap_or(0);
            let silent_us = self.at.mono_us.saturating_sub(beat_us);
            if silent_us > BEAT_US {
                self.agents[agent].contact = false;
            }
            if silent_us > lease_us && self.guards_contact() {
                let words = format!(
                    "the abort line to {} has been silent for {}, longer than the lease of {}",
                    self.name(agent),
                    show_ms(silent_us / 1_000),
                    show_ms(lease_us / 1_000)
                );
                self.stop_blind("contact", words);
            }
        }
    }

    pub(crate) fn watch_leases(&mut self) {
        for agent in self.needed() {
            let lapsed = self.agents[agent]
                .lease_until_us
                .is_some_and(|until| self.at.mono_us >= until);
            if lapsed && self.guards_contact() {
                let words = format!(
                    "the lease on {} was not renewed in time; {}",
                    self.name(agent),
                    self.agents[agent]
                        .problem
                        .as_deref()
                        .unwrap_or("this console was too slow or the network lost the renewals")
                );
                self.stop_blind("lease", words);
            }
        }
    }

    pub(crate) fn arming_checks(&self) -> Vec<Check> {
        let unsteady: Vec<String> = self
            .slis
            .iter()
            .zip(&self.setup.plan.slis)
            .filter(|(status, _)| status.state != SliState::Steady)
            .map(|(status, sli)| format!("{} is {}", sli.name, status.state.word()))
            .collect();
        let mut checks = vec![Check {
            what: "Steady state".to_owned(),
            ok: Some(unsteady.is_empty()),
            words: if unsteady.is_empty() {
                format!("{} inside the band", count(self.slis.len(), "SLI"))
            } else {
                format!("{}; wait until it is back in its band", unsteady.join(", "))
            },
        }];
        for agent in self.needed() {
            let mut check = self.abort_check(agent);
            if let Some((at, Ok(_))) = &self.agents[agent].abort_test {
                check.words = format!("{}, {} ago", check.words, show_ms(self.at.ms_since(*at)));
            }
            if !self.agents[agent].contact {
                check.ok = Some(false);
                "the abort line has no contact; see whether the agent runs and is reachable"
                    .clone_into(&mut check.words);
            }
            checks.push(check);
        }
        checks.extend(self.guardrail_checks());
        checks
    }

    pub(crate) fn arming_progress(&self, now: At) -> (f32, String) {
        let all = self.needed().len();
        match &self.arming {
            ArmingStage::Waiting => {
                let surprise = self.surprise_words(now);
                let words = surprise.unwrap_or_else(|| "waiting for the confirmed start".to_owned());
                (0.0, words)
            }
            ArmingStage::Testing => (0.3, "repeating the abort test".to_owned()),
            ArmingStage::Opening(left) => {
                let done = all - left.len();
                (
                    0.5 + 0.5 * done as f32 / all.max(1) as f32,
                    format!("opened {done} of {}", count(all, "agent")),
                )
            }
            ArmingStage::Done => (1.0, "all agents are open".to_owned()),
        }
    }

    /// The epochs that are open, by agent.
    pub(crate) fn open_epochs(&self) -> Vec<(usize, Epoch)> {
        let all = self.agents.iter().enumerate();
        all.filter(|(_, it)| !it.closed)
            .filter_map(|(agent, it)| Some((agent, it.opened.as_ref()?.epoch)))
            .collect()
    }
}
