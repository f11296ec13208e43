//! Agents answer and can do it, the source is fresh, the abort path is exercised. Also every later word of an
//! agent about itself.

use std::collections::HashMap;

use firedrill_plan::Mode;
use firedrill_wire::{AgentInfo, DrillId, LatchView, PROTOCOL_VERSION, Stamp};

use crate::{
    Call, Check, Drill, Effect, Failure, PREFLIGHT_MS, Phase,
    words::{count, show_ms},
};

/// An agent that did not answer is asked again after this long.
const ASK_AGAIN_US: u64 = 1_000_000;

/// What the abort test needs of every agent.
const NOOP: &str = "noop";

impl Drill {
    /// The abort line first: it is there before any opening.
    pub(crate) fn begin_preflight(&mut self) {
        let agents = self.needed();
        self.out.push(Effect::HoldAbortLine {
            agents: agents.clone(),
        });
        for agent in agents {
            self.ask_info(agent);
        }
        self.out.push(Effect::CheckSource);
        self.begin_guardrails();
        self.ask_runners();
        self.checks = self.preflight_checks();
    }

    fn ask_info(&mut self, agent: usize) {
        self.links[agent].info_asked_us = Some(self.at.mono_us);
        self.links[agent].info_again_us = None;
        self.call(agent, Call::Info);
    }

    pub(crate) fn source_checked(&mut self, result: Result<Vec<String>, String>) {
        match result {
            Ok(notes) => {
                self.source_notes = notes;
                self.source = Some(Ok(()));
            }
            Err(why) => self.source = Some(Err(why)),
        }
    }

    pub(crate) fn info(&mut self, agent: usize, result: Result<Box<AgentInfo>, Failure>) {
        self.links[agent].info_asked_us = None;
        let info = match result {
            Ok(info) => info,
            Err(failure) => {
                if matches!(failure, Failure::NoAnswer { .. }) {
                    self.links[agent].info_again_us = Some(self.at.mono_us + ASK_AGAIN_US);
                }
                self.agents[agent].problem = Some(failure.words());
                return;
            }
        };
        if let Some(opened) = &self.agents[agent].opened
            && opened.stamp.instance != info.stamp.instance
        {
            self.restarted(agent);
            return;
        }
        let known = self.agents[agent].info.as_ref();
        if known.is_some_and(|it| it.stamp.instance != info.stamp.instance) {
            self.links[agent].tick = None;
        }
        let stamp = info.stamp.clone();
        let latch = info.latch.clone();
        self.agents[agent].problem = None;
        self.agents[agent].info = Some(info);
        self.heard(agent, &stamp);
        if self.phase == Phase::Preflight {
            self.test_abort_if_new(agent);
        } else if latch.is_some() {
            self.latch(agent, latch);
        }
    }

    fn restarted(&mut self, agent: usize) {
        let words = format!(
            "{} was restarted while it held this drill; it has taken back what was on, and its epoch is dead",
            self.name(agent)
        );
        self.agents[agent].problem = Some(words.clone());
        if self.guards_contact() {
            self.stop_blind("contact", words);
        }
    }

    fn test_abort_if_new(&mut self, agent: usize) {
        let info = self.agents[agent].info.as_ref();
        let usable = info.is_some_and(|it| self.unusable(it).is_none());
        if usable && self.links[agent].tests == 0 {
            self.test_abort(agent);
        }
    }

    /// Each test has a drill id of its own: one that was aborted opens no more.
    pub(crate) fn test_abort(&mut self, agent: usize) {
        self.links[agent].tests += 1;
        self.links[agent].test_sent_us = Some(self.at.mono_us);
        let mut id = format!("{}-preflight-{}", self.setup.drill, self.name(agent));
        if self.links[agent].tests > 1 {
            id = format!("{id}-{}", self.links[agent].tests);
        }
        self.out.push(Effect::TestAbort {
            agent,
            drill: DrillId(id),
        });
    }

    pub(crate) fn abort_tested(&mut self, agent: usize, result: Result<u64, String>) {
        if self.links[agent].test_sent_us.take().is_none() {
            return;
        }
        if result.is_ok() {
            self.agents[agent].contact = true;
            self.links[agent].beat_us = Some(self.at.mono_us);
        }
        self.agents[agent].abort_test = Some((self.at, result));
    }

    pub(crate) fn heartbeat(&mut self, agent: usize, rtt_us: Option<u64>, stamp: Option<&Stamp>) {
        self.agents[agent].contact = rtt_us.is_some();
        if rtt_us.is_some() {
            self.agents[agent].rtt_us = rtt_us;
            self.agents[agent].heard_us = Some(self.at.mono_us);
            self.links[agent].beat_us = Some(self.at.mono_us);
        }
        let Some(stamp) = stamp else { return };
        let opened = self.agents[agent].opened.as_ref();
        if opened.is_some_and(|it| it.stamp.instance != stamp.instance) {
            self.restarted(agent);
        } else {
            self.heard(agent, stamp);
        }
    }

    /// A latch that this drill did not set: somebody aborted.
    pub(crate) fn latch(&mut self, agent: usize, latch: Option<LatchView>) {
        if let Some(info) = &mut self.agents[agent].info {
            info.latch.clone_from(&latch);
        }
        let Some(latch) = latch else { return };
        if self.phase == Phase::Preflight || self.latched_by_us() {
            return;
        }
        let words = format!(
            "{} was latched by {}: {}",
            self.name(agent),
            latch.who,
            latch.reason
        );
        self.stop_elsewhere(words);
    }

    pub(crate) fn advance_preflight(&mut self, tick: bool) {
        // A thousand agents give thousands of answers: rows are written when the last has come, and with ticks.
        if self.ending.is_some() || (!tick && self.preflight_waits()) {
            return;
        }
        let now_us = self.at.mono_us;
        for agent in self.needed() {
            if self.links[agent]
                .info_again_us
                .is_some_and(|again| now_us >= again)
            {
                self.ask_info(agent);
            }
        }
        self.checks = self.preflight_checks();
        let late = self.at.ms_since(self.phases[0].1) >= PREFLIGHT_MS;
        if !late && self.checks.iter().any(|it| it.ok.is_none()) {
            return;
        }
        let violations = self.violations();
        let rows = self.checks.len() - self.guardrails().len();
        let passed = self.checks.iter().take(rows).all(|it| it.ok == Some(true));
        if passed && (violations.is_empty() || self.guardrails_may_wait()) {
            let mut words = format!("preflight passed, {}", count(self.checks.len(), "check"));
            if !violations.is_empty() {
                let rules: Vec<String> = violations.iter().map(|(rule, _)| rule.to_string()).collect();
                words = format!("{words}; in the way of the start: {}", rules.join(", "));
            }
            self.begin_baseline(words);
            return;
        }
        let problems: Vec<String> = self
            .checks
            .iter()
            .take(rows)
            .filter(|it| it.ok != Some(true))
            .map(|it| {
                let late = if it.ok.is_none() {
                    format!(" (no result within {})", show_ms(PREFLIGHT_MS))
                } else {
                    String::new()
                };
                format!("{}: {}{late}", it.what, it.words)
            })
            .collect();
        for words in problems {
            self.stop_blind("preflight", words);
        }
        for (rule, words) in violations {
            self.stop_blind(&format!("guardrail {rule}"), words);
        }
    }

    /// Whether an answer is still to come.
    fn preflight_waits(&self) -> bool {
        let waits = |link: &crate::machine::Link| {
            link.info_asked_us.is_some() || link.info_again_us.is_some() || link.test_sent_us.is_some()
        };
        self.source.is_none()
            || self.links.iter().any(waits)
            || self.guardrails().iter().any(|it| it.ok.is_none())
    }

    pub(crate) fn preflight_progress(&self) -> (f32, String) {
        let done = self.checks.iter().filter(|it| it.ok == Some(true)).count();
        let all = self.checks.len().max(1);
        let share = done as f32 / all as f32;
        (share, format!("{done} of {} passed", count(all, "check")))
    }

    /// Every check as it stands.
    fn preflight_checks(&self) -> Vec<Check> {
        let mut checks = vec![self.target_check()];
        let mut known = HashMap::new();
        for agent in self.needed() {
            let info = self.agents[agent].info.as_ref();
            let twin = info.and_then(|it| {
                let first = *known.entry(&it.stamp.agent).or_insert(agent);
                (first != agent).then(|| {
                    format!(
                        "is the same agent as {}; name each agent once in the plan",
                        self.name(first)
                    )
                })
            });
            let in_the_way = info.and_then(|it| self.unusable(it)).or(twin);
            checks.push(self.agent_check(agent, in_the_way.as_deref()));
            checks.push(self.fault_check(agent));
            let mut abort = self.abort_check(agent);
            if abort.ok.is_none() && in_the_way.is_some() {
                abort.ok = Some(false);
                "not tested on an agent that cannot be used".clone_into(&mut abort.words);
            }
            checks.push(abort);
        }
        let (ok, words) = match &self.source {
            None => (None, "asking the source for every SLI".to_owned()),
            Some(Ok(())) if self.source_notes.is_empty() => {
                (Some(true), "answers, is fresh and has traffic".to_owned())
            }
            Some(Ok(())) => (Some(true), self.source_notes.join("; ")),
            Some(Err(why)) => (Some(false), why.clone()),
        };
        checks.push(Check {
            what: "SLI source".to_owned(),
            ok,
            words,
        });
        checks.extend(self.command_checks());
        checks.extend(self.guardrail_checks());
        checks
    }

    fn target_check(&self) -> Check {
        let mut problems = Vec::new();
        for row in &self.chosen {
            let Some(inject) = self.inject_of(row.step) else {
                continue;
            };
            let fewer = matches!(inject.target.mode, Mode::Fixed(n) if n as usize > row.matching);
            if row.agents.is_empty() {
                problems.push(format!(
                    "no agent matches the target of {} (step {}); give an agent these labels or change the target",
                    inject.fault,
                    row.step + 1
                ));
            } else if fewer {
                problems.push(format!(
                    "the target of {} (step {}) asks for more agents than the {} that match",
                    inject.fault,
                    row.step + 1,
                    row.matching
                ));
            }
        }
        if self.chosen.is_empty() {
            problems.push("this experiment injects nothing; give it a step with `inject`".to_owned());
        }
        let hit = self.needed().len();
        let all = self.agents.len();
        Check {
            what: "Targets".to_owned(),
            ok: Some(problems.is_empty()),
            words: if problems.is_empty() {
                format!("hits {hit} of {}", count(all, "agent"))
            } else {
                problems.join("; ")
            },
        }
    }

    fn agent_check(&self, agent: usize, in_the_way: Option<&str>) -> Check {
        let status = &self.agents[agent];
        let waits = self.links[agent].info_asked_us.is_some() || self.links[agent].info_again_us.is_some();
        let (ok, words) = match (&status.info, &status.problem) {
            (Some(info), _) => match in_the_way {
                Some(why) => (Some(false), why.to_owned()),
                None => (
                    Some(true),
                    format!("{} on {}, version {}", info.stamp.agent, info.host, info.version),
                ),
            },
            (None, Some(problem)) if waits => (None, problem.clone()),
            (None, Some(problem)) => (Some(false), problem.clone()),
            (None, None) => (None, "asking who it is".to_owned()),
        };
        Check {
            what: format!("Agent {}", self.name(agent)),
            ok,
            words,
        }
    }

    /// What is in the way of a drill on an agent that answers.
    fn unusable(&self, info: &AgentInfo) -> Option<String> {
        if info.protocol != PROTOCOL_VERSION {
            return Some(format!(
                "speaks protocol {}, this console {PROTOCOL_VERSION}: it may only abort and watch; install matching releases",
                info.protocol
            ));
        }
        if let Some(latch) = &info.latch {
            return Some(format!(
                "latched by {} ({}); release the latch with a reason first",
                latch.who, latch.reason
            ));
        }
        self.held_by_other(info)
    }

    /// Who else holds it, in words.
    fn held_by_other(&self, info: &AgentInfo) -> Option<String> {
        let open = info.open.as_ref()?;
        let ours = open.drill.as_str().strip_prefix(self.setup.drill.as_str());
        if ours.is_some_and(|rest| rest.is_empty() || rest.starts_with("-preflight-")) {
            return None;
        }
        Some(format!(
            "held by {} on {} for \"{}\", since {} ago; wait until that drill is over, or end it there (an abort from here works all the same)",
            open.who,
            open.console,
            open.experiment,
            show_ms(info.stamp.tick.ms_since(open.since))
        ))
    }

    fn fault_check(&self, agent: usize) -> Check {
        let mut names = vec![NOOP];
        let mut problems = Vec::new();
        let info = self.agents[agent].info.as_ref();
        for row in self.chosen.iter().filter(|it| it.agents.contains(&agent)) {
            let Some(inject) = self.inject_of(row.step) else {
                continue;
            };
            if !names.contains(&inject.fault.as_str()) {
                names.push(&inject.fault);
            }
            if let (Some(info), Some(route)) = (info, &inject.target.scope.route)
                && !info.routes.iter().any(|it| it.name == *route)
            {
                let there: Vec<&str> = info.routes.iter().map(|it| it.name.as_str()).collect();
                let there = if there.is_empty() {
                    "none".to_owned()
                } else {
                    there.join(", ")
                };
                problems.push(format!("has no route \"{route}\" (it has: {there})"));
            }
        }
        if let Some(info) = info {
            for name in &names {
                match info.faults.iter().find(|it| it.name.as_str() == *name) {
                    None => problems.push(format!("does not know {name}; update the agent")),
                    Some(it) if !it.available => problems.push(format!(
                        "cannot do {name}: {}; {}",
                        it.why_not.as_deref().unwrap_or("it does not say why"),
                        it.remedy.as_deref().unwrap_or("see its page in Fleet")
                    )),
                    Some(_) => {}
                }
            }
        }
        problems.dedup();
        Check {
            what: format!("Faults on {}", self.name(agent)),
            ok: info.map(|_| problems.is_empty()),
            words: if problems.is_empty() {
                names.retain(|it| *it != NOOP);
                names.join(", ")
            } else {
                problems.join("; ")
            },
        }
    }

    pub(crate) fn abort_check(&self, agent: usize) -> Check {
        let (ok, words) = match &self.agents[agent].abort_test {
            Some((_, Ok(us))) => (
                Some(true),
                format!("noop aborted in {:.1} ms", *us as f64 / 1_000.0),
            ),
            Some((_, Err(why))) => (Some(false), why.clone()),
            None => (None, "starting and aborting noop".to_owned()),
        };
        Check {
            what: format!("Abort path of {}", self.name(agent)),
            ok,
            words,
        }
    }
}

impl Failure {
    /// In one sentence.
    pub fn words(&self) -> String {
        match self {
            Self::Refused { problem } => problem.to_string(),
            Self::NoAnswer { why } => why.clone(),
        }
    }
}
