//! Every way a drill ends: the last step, a finish, a stop, an abort; and the closing of the agents.

use firedrill_wire::{CloseRequest, Closed};

use crate::{
    AbortedBy, At, Call, Drill, Effect, Failure, Outcome, Phase, Reason, UNCONFIRMED_MS, machine::Ending,
    notices::StopKind, words::count,
};

/// A close that was not answered is sent this often in all.
const CLOSE_TRIES: u32 = 3;

/// A close has this long for its answer, in microseconds. The agent's lease ends what a lost close left.
const CLOSE_ANSWER_US: u64 = 4_000_000;

/// An opening that runs while the drill ends has this long, in microseconds, to be answered.
const OPENING_WAIT_US: u64 = 5_000_000;

/// With every injection off, an agent that does not confirm the abort is waited for this long, in
/// milliseconds; the abort line goes on without the drill.
const ABORT_QUIET_MS: u64 = 5_000;

impl Drill {
    /// Whether this drill's own abort latched the agents.
    pub(crate) fn latched_by_us(&self) -> bool {
        self.ending.as_ref().is_some_and(|it| it.latched)
    }

    fn aborting(&self) -> bool {
        self.ending.as_ref().is_some_and(|it| it.abort)
    }

    /// Whether an agent may hold this drill: an opening was sent.
    fn holds_anything(&self) -> bool {
        self.links.iter().any(|it| it.open_tries > 0)
    }

    /// In front of everything else of this step: the agents hear it before the journal.
    fn tell_abort_line(&mut self, latch: bool, reason: &str) {
        self.out.insert(
            0,
            Effect::Abort {
                latch,
                reason: reason.to_owned(),
            },
        );
    }

    /// Nothing can be said any more: stop on all.
    pub(crate) fn stop_blind(&mut self, rule: &str, words: impl Into<String>) {
        let words = words.into();
        let again = self.aborting();
        let known = self
            .reasons
            .inconclusive
            .iter()
            .any(|it| it.rule == rule && it.words == words);
        if self.verdict.is_some() || known {
            return;
        }
        let abort = self.holds_anything();
        if abort && !again {
            self.tell_abort_line(false, &format!("{rule}: {words}"));
        }
        let reason = self.judge("stop", rule, words.clone());
        self.reasons.inconclusive.push(reason);
        if !again {
            if abort {
                self.notify(StopKind::Breach, rule, &words);
            }
            self.end(Outcome::Inconclusive, abort, false);
        }
    }

    /// A guardrail no longer holds. An automatic stop: nothing latches.
    pub(crate) fn stop_guardrail(&mut self, rule: firedrill_plan::Rule, words: String) {
        if self.ending.is_some() {
            return;
        }
        let rule = format!("guardrail {rule}");
        self.tell_abort_line(false, &format!("{rule}: {words}"));
        let reason = self.judge("stop", &rule, words.clone());
        self.reasons.aborted.push(reason);
        self.notify(StopKind::Guardrail, &rule, &words);
        self.end(Outcome::Aborted, true, false);
    }

    /// A stop condition.
    pub(crate) fn stop_breach(&mut self, words: String, at: At) {
        if self.aborting() {
            return;
        }
        self.tell_abort_line(false, &format!("stop condition: {words}"));
        let reason = self.judge("stop", "stop condition", words.clone());
        self.reasons.broken.insert(0, Reason { at, ..reason });
        self.notify(StopKind::Breach, "stop condition", &words);
        self.end(Outcome::Broken, true, true);
    }

    /// A person, a signal: whatever goes on, the abort line is told first.
    pub(crate) fn stop_aborted(&mut self, latch: bool, words: String) {
        self.tell_abort_line(latch, &words);
        if self.latched_by_us() {
            // Pressed again: told again, which changes nothing.
            return;
        }
        let reason = self.judge("stop", "abort", words.clone());
        self.reasons.aborted.push(reason);
        self.notify(StopKind::Person, "abort", &words);
        let decided = self
            .ending
            .as_ref()
            .is_some_and(|it| it.abort && it.outcome == Some(Outcome::Broken));
        let outcome = if decided {
            Outcome::Broken
        } else {
            Outcome::Aborted
        };
        self.end(outcome, true, false);
        if let Some(ending) = &mut self.ending {
            ending.latched |= latch;
        }
    }

    /// Somebody else aborted on an agent: stop on the others too, and leave the latches to them.
    pub(crate) fn stop_elsewhere(&mut self, words: String) {
        // A latch from before this drill is no incident of now.
        if self.holds_anything() {
            self.reveal_if_real(&AbortedBy::Elsewhere, &words);
        }
        match &mut self.ending {
            Some(ending) if ending.abort => {
                if ending.outcome == Some(Outcome::Inconclusive) {
                    ending.outcome = Some(Outcome::Aborted);
                    let reason = self.judge("stop", "abort", words);
                    self.reasons.aborted.push(reason);
                }
            }
            _ => self.stop_aborted(false, words),
        }
    }

    /// A refusal before anything was started: what is open is closed politely.
    pub(crate) fn stop_closing(&mut self, rule: &str, words: impl Into<String>) {
        let reason = self.judge("stop", rule, words);
        self.reasons.inconclusive.push(reason);
        self.ending = Some(self.ending_of(Some(Outcome::Inconclusive)));
        self.begin_close("closing what was opened");
    }

    /// Ends early and politely.
    pub(crate) fn finish(&mut self) {
        if self.ending.is_some() {
            return;
        }
        match self.phase {
            Phase::Preflight | Phase::Baseline | Phase::Arming => {
                self.stop_closing("finish", "ended by a person before anything was injected");
            }
            Phase::Inject => {
                let reason = self.judge("finish", "finish", "ended early by a person");
                self.reasons.held.push(reason);
                self.ending = Some(self.ending_of(None));
            }
            Phase::Recover | Phase::Closing | Phase::Verdict => {}
        }
    }

    fn ending_of(&self, outcome: Option<Outcome>) -> Ending {
        Ending {
            outcome,
            since_us: self.at.mono_us,
            abort: false,
            latched: false,
            recover: false,
        }
    }

    fn end(&mut self, outcome: Outcome, abort: bool, recover: bool) {
        let latched = self.latched_by_us();
        if abort && !self.aborting() {
            // What was heard before is of another abort.
            for agent in &mut self.agents {
                agent.abort = None;
            }
        }
        self.ending = Some(Ending {
            abort,
            latched,
            recover,
            ..self.ending_of(Some(outcome))
        });
        if !abort {
            // Nothing is held: the verdict follows in this step.
            self.phase = Phase::Closing;
        } else if self.phase != Phase::Closing {
            self.enter(Phase::Closing, "aborting on every agent and reading back");
        }
    }

    /// SLIs are back, or their time is over.
    pub(crate) fn recovered(&mut self) {
        if self.aborting() {
            self.recovery_over = true;
            self.conclude_when_told();
        } else {
            self.begin_close("closing the agents");
        }
    }

    /// The end of an aborted drill: the journal has the answers of alerts and actions before it is closed, and
    /// the agents that the abort line has reached have its hash.
    pub(crate) fn conclude_when_told(&mut self) {
        if self.notices_are_done() && self.copies_are_given() {
            self.conclude();
        }
    }

    /// An abort has killed the epochs; they are closed all the same, once, for the journal's hash in the agents'
    /// audit logs. Whether nobody's answer is waited for any more.
    fn copies_are_given(&mut self) -> bool {
        let now_us = self.at.mono_us;
        let mut waiting = false;
        for (agent, epoch) in self.open_epochs() {
            let reached = self.agents[agent].abort.as_ref().is_some_and(|it| it.ended);
            let link = &mut self.links[agent];
            if link.close_tries == 0 && reached {
                link.close_tries = 1;
                link.close_sent_us = Some(now_us);
                self.call(agent, Call::Close(epoch, CloseRequest::default()));
                waiting = true;
            } else if let Some(sent) = link.close_sent_us {
                waiting |= now_us.saturating_sub(sent) < CLOSE_ANSWER_US;
            }
        }
        !waiting
    }

    fn begin_close(&mut self, words: &str) {
        if self.open_epochs().is_empty() && !self.opening_runs() {
            self.phase = Phase::Closing;
        } else {
            self.enter(Phase::Closing, words);
        }
        self.advance_closing();
    }

    pub(crate) fn advance_closing(&mut self) {
        if self.aborting() {
            self.advance_abort();
        } else {
            self.advance_close();
        }
    }

    fn advance_abort(&mut self) {
        let Some(ending) = self.ending.clone() else { return };
        for index in 0..self.injections.len() {
            let injection = &self.injections[index];
            let heard = self.agents[injection.agent]
                .abort
                .as_ref()
                .is_some_and(|it| it.received_us.is_some());
            if !injection.is_off() && heard {
                self.ask_revert(index);
            }
        }
        let ended = |it: &crate::AgentStatus| it.abort.as_ref().is_some_and(|abort| abort.ended);
        let all_ended = self.agents.iter().all(|it| !it.needed || ended(it));
        let all_off = self.unconfirmed().is_empty();
        let waited_ms = self.at.mono_us.saturating_sub(ending.since_us) / 1_000;
        let limit_ms = if all_off { ABORT_QUIET_MS } else { UNCONFIRMED_MS };
        if !(all_ended && all_off) && waited_ms < limit_ms {
            return;
        }
        if ending.recover && all_off {
            self.begin_recover("every injection is read back as off");
        } else {
            self.conclude_when_told();
        }
    }

    fn advance_close(&mut self) {
        let now_us = self.at.mono_us;
        let mut waiting = self.opening_runs();
        for (agent, epoch) in self.open_epochs() {
            let link = &mut self.links[agent];
            let running = link
                .close_sent_us
                .is_some_and(|sent| now_us.saturating_sub(sent) < CLOSE_ANSWER_US);
            if running {
                waiting = true;
            } else if link.close_tries < CLOSE_TRIES {
                waiting = true;
                link.close_tries += 1;
                link.close_sent_us = Some(now_us);
                self.call(agent, Call::Close(epoch, CloseRequest::default()));
            }
        }
        if !waiting && self.notices_are_done() {
            self.say_what_is_not_closed();
            self.conclude();
        }
    }

    /// An opening was sent and may still be answered: it is closed when it is.
    fn opening_runs(&self) -> bool {
        let waits = |sent: u64| self.at.mono_us.saturating_sub(sent) < OPENING_WAIT_US;
        self.links.iter().any(|it| it.open_sent_us.is_some_and(waits))
    }

    fn say_what_is_not_closed(&mut self) {
        for (agent, _) in self.open_epochs() {
            let words = format!(
                "{} did not answer its closing; its lease ends there by itself",
                self.name(agent)
            );
            let reason = self.judge("not closed", "close", words);
            self.reasons.held.push(reason);
        }
    }

    pub(crate) fn closed(&mut self, agent: usize, result: Result<Closed, Failure>) {
        self.links[agent].close_sent_us = None;
        match result {
            Ok(closed) => {
                for view in &closed.injections {
                    self.merge(agent, view);
                }
                self.agents[agent].closed = true;
            }
            Err(Failure::Refused { problem }) => {
                // Its epoch is dead already, or it knows nothing of it: nothing is left to close.
                self.agents[agent].problem = Some(problem.to_string());
                self.agents[agent].closed = true;
            }
            Err(Failure::NoAnswer { why }) => self.agents[agent].problem = Some(why),
        }
    }

    pub(crate) fn closing_progress(&self) -> (f32, String) {
        let needed: Vec<&crate::AgentStatus> = self.agents.iter().filter(|it| it.needed).collect();
        let (done, what) = if self.aborting() {
            let ended = |it: &&&crate::AgentStatus| it.abort.as_ref().is_some_and(|abort| abort.ended);
            (needed.iter().filter(ended).count(), "read back")
        } else {
            (needed.iter().filter(|it| it.closed).count(), "closed")
        };
        (
            done as f32 / needed.len().max(1) as f32,
            format!("{done} of {} {what}", count(needed.len(), "agent")),
        )
    }
}
