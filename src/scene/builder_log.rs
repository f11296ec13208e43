//! The log: from what a drill judged and what became of its injections to lines for people.

use std::{collections::VecDeque, sync::Arc};

use firedrill_drill::{AbortedBy, At, Command, Drill, Event, Injection, Judgement, Outcome};
use firedrill_wire::InjectionState;

use crate::{
    LogKind, LogLine,
    builder_words::{span, strength, took},
};

/// Lines kept.
const MAX_LINES: usize = 2_000;

/// Writes the log, and remembers how far it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    lines: Arc<VecDeque<LogLine>>,
    judged: usize,
    injections: Vec<(Option<InjectionState>, bool)>,
    /// Received, proved: by agent.
    aborts: Vec<(bool, bool)>,
    verdict: bool,
}

impl Log {
    pub(crate) fn lines(&self) -> Arc<VecDeque<LogLine>> {
        Arc::clone(&self.lines)
    }

    pub(crate) fn feed(&mut self, drill: &Drill, at: At, event: Option<&Event>) {
        if let Some(Event::Command { command }) = event {
            self.command(at, command);
        }
        self.judgements(drill);
        self.injections(drill, at);
        self.aborts(drill, at);
        if let Some(verdict) = drill.verdict()
            && !self.verdict
        {
            self.verdict = true;
            let words = verdict.reasons.first().map_or("", |reason| &reason.words);
            self.push(at, LogKind::End, outcome(verdict.outcome), words);
        }
    }

    fn push(&mut self, at: At, kind: LogKind, title: impl Into<String>, words: impl Into<String>) {
        let lines = Arc::make_mut(&mut self.lines);
        if lines.len() >= MAX_LINES {
            lines.pop_front();
        }
        lines.push_back(LogLine {
            at,
            kind,
            title: title.into(),
            words: words.into(),
        });
    }

    fn command(&mut self, at: At, command: &Command) {
        match command {
            Command::Arm => self.push(at, LogKind::Person, "start", "the start was confirmed"),
            Command::Finish => self.push(at, LogKind::Person, "finish", "ended early, politely"),
            Command::Abort { by, reason } => {
                let who = match by {
                    AbortedBy::Person(name) => name.as_str(),
                    AbortedBy::Signal(name) => name.as_str(),
                    AbortedBy::Elsewhere => "somebody elsewhere",
                };
                self.push(at, LogKind::End, format!("ABORT · {who}"), reason);
            }
            Command::Note { author, text } => {
                self.push(at, LogKind::Person, format!("note · {author}"), text);
            }
            // What became of them is judged, and said below.
            Command::Override { .. }
            | Command::Approve { .. }
            | Command::Act { .. }
            | Command::Strength { .. }
            | Command::Hold { .. }
            | Command::Resume { .. }
            | Command::ArmBetween { .. }
            | Command::Seal { .. }
            | Command::Reveal { .. } => {}
        }
    }

    fn judgements(&mut self, drill: &Drill) {
        let all = drill.judgements();
        let new: Vec<Judgement> = all.get(self.judged..).unwrap_or_default().to_vec();
        self.judged = all.len();
        for Judgement { what, reason } in new {
            let (kind, title) = match what.as_str() {
                "phase" => (LogKind::Phase, reason.rule),
                "bad sample" => (LogKind::Sample, what),
                "tolerance" => (LogKind::Sample, "tolerance left".to_owned()),
                "stop" => (LogKind::End, format!("stop · {}", reason.rule)),
                "not recovered" | "not started" => (LogKind::End, what),
                "recovered" => (LogKind::Phase, what),
                "finish" => (LogKind::End, what),
                "override" | "not overridden" | "approval" | "not approved" | "hold" | "not held"
                | "resume" | "not resumed" | "sealed" | "revealed" | "surprise" => (LogKind::Person, what),
                "held" | "resumed" => (LogKind::Phase, what),
                "strength" => (LogKind::Fault, what),
                "not changed" => (LogKind::Person, format!("strength {what}")),
                "alert" | "alert failed" | "action" | "action failed" | "not sent" => (LogKind::End, what),
                // What became of injections is said below, with the agent's evidence.
                "injection" => continue,
                _ => (LogKind::Agent, what),
            };
            self.push(reason.at, kind, title, reason.words);
        }
    }

    fn injections(&mut self, drill: &Drill, at: At) {
        for (index, injection) in drill.injections().iter().enumerate() {
            let name = agent(drill, injection.agent);
            if self.injections.len() <= index {
                self.injections.push((None, false));
                let ramp = if injection.ramp_ms > 0 {
                    format!(", ramp {}", span(injection.ramp_ms))
                } else {
                    String::new()
                };
                let strength = strength(&injection.parameters);
                let comma = if strength.is_empty() { "" } else { ", " };
                let words = format!("{} on {name}{comma}{strength}{ramp}", injection.fault);
                self.push(injection.asked, LogKind::Fault, "inject", words);
            }
            let proved = injection.proved == Some(true);
            let (state, was_proved) = self.injections[index];
            self.injections[index] = (injection.state, proved);
            if injection.state != state
                && let Some(now) = injection.state
            {
                self.state(name, injection, now, at);
            }
            if proved && !was_proved {
                let words = format!("{name}: {} is proved gone", injection.fault);
                self.push(at, LogKind::Agent, "proved clean", words);
            }
        }
    }

    fn state(&mut self, name: &str, injection: &Injection, state: InjectionState, at: At) {
        let seen = |words: String| {
            if injection.evidence.words.is_empty() {
                words
            } else {
                format!("{words}, {}", injection.evidence.words)
            }
        };
        let why = || {
            let why = injection.problem.as_deref().unwrap_or("no reason given");
            match &injection.by_hand {
                Some(by_hand) => format!("{name}: {why}; by hand: {by_hand}"),
                None => format!("{name}: {why}"),
            }
        };
        match state {
            InjectionState::Starting => {}
            InjectionState::Active => {
                let after = at.mono_us.saturating_sub(injection.asked.mono_us);
                let words = seen(format!("{name}: active after {}", took(after)));
                self.push(at, LogKind::Agent, "agent", words);
            }
            InjectionState::Reverting => {
                let words = format!("{name}: {} is being taken back", injection.fault);
                self.push(at, LogKind::Fault, "reverting", words);
            }
            InjectionState::Reverted => {
                let words = seen(format!("{name}: {} is off, read back", injection.fault));
                self.push(at, LogKind::Agent, "reverted", words);
            }
            InjectionState::Done => {
                let words = seen(format!("{name}: {} has happened", injection.fault));
                self.push(at, LogKind::Agent, "done", words);
            }
            InjectionState::Refused => self.push(at, LogKind::End, "refused", why()),
            InjectionState::Failed => self.push(at, LogKind::End, "failed", why()),
            InjectionState::Unconfirmed => self.push(at, LogKind::End, "unconfirmed", why()),
        }
    }

    fn aborts(&mut self, drill: &Drill, at: At) {
        self.aborts.resize(drill.agents().len(), (false, false));
        for (index, status) in drill.agents().iter().enumerate() {
            let Some(abort) = &status.abort else { continue };
            let name = agent(drill, index);
            let (received, proved) = self.aborts[index];
            if let Some(us) = abort.received_us
                && !received
            {
                let words = format!("{name}: received after {}", took(us));
                self.push(at, LogKind::Agent, "abort", words);
            }
            if let Some(us) = abort.proved_us
                && !proved
            {
                let words = format!("{name}: proved clean after {}", took(us));
                self.push(at, LogKind::Agent, "abort", words);
            }
            self.aborts[index] = (abort.received_us.is_some(), abort.proved_us.is_some());
        }
    }
}

fn agent(drill: &Drill, index: usize) -> &str {
    drill.plan().agents.get(index).map_or("?", |agent| &agent.name)
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Held => "held",
        Outcome::Broken => "broken",
        Outcome::Inconclusive => "inconclusive",
        Outcome::Aborted => "aborted",
    }
}
