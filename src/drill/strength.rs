//! How strong an injection is: less acts at once, more only with every guardrail and after its intent is on disk.

use firedrill_catalogue::Lever;
use firedrill_plan::Rule;
use firedrill_wire::{InjectionId, InjectionState, InjectionView, PatchRequest, ProblemKind};
use serde_json::Value;

use crate::{
    Call, Change, Drill, Entry, Failure, Phase, SliState, Strength, found::clipped, steps::state_word,
};

/// A change that reaches the agent later than this after it was sent is refused there.
const CHANGE_WITHIN_MS: u64 = 3_000;

/// Less that was not answered is asked for this often in all.
const TRIES: u32 = 3;

/// Why nothing is changed: the rule, and a sentence.
type Refusal = (String, String);

impl Strength {
    /// As started with these parameters.
    pub(crate) fn started(parameters: Value) -> Self {
        Self {
            now: parameters,
            ..Self::default()
        }
    }
}

impl Drill {
    /// The lever of an injection: from its least to what the plan asked for. `None`: it is on or off.
    pub fn lever(&self, injection: &crate::Injection) -> Option<Lever> {
        Lever::of(
            injection.fault.as_str(),
            &self.inject_of(injection.step)?.parameters,
        )
    }

    /// A person asks for another strength.
    pub(crate) fn change_strength(&mut self, id: &InjectionId, parameters: &Value, by: &str) {
        let by = clipped(by);
        let Some(index) = self.injections.iter().position(|it| it.id == *id) else {
            let words = format!("{by}: this drill has no injection {}", clipped(id.as_str()));
            self.judge("not changed", "strength", words);
            return;
        };
        match self.may_change(index, parameters) {
            Ok(true) => self.send_change(index, parameters.clone(), true, by, 1),
            Ok(false) if self.injections[index].strength.asked.is_some() => {
                self.injections[index].strength.next = Some((parameters.clone(), by));
            }
            Ok(false) => self.send_change(index, parameters.clone(), false, by, 1),
            Err((rule, words)) => {
                let words = format!("{}, asked for by {by}: {words}", self.label(index));
                self.judge("not changed", &rule, words);
            }
        }
    }

    /// Whether it is more than what may be on; or why it may not be.
    fn may_change(&self, index: usize, parameters: &Value) -> Result<bool, Refusal> {
        let no = |rule: &str, words: String| Err((rule.to_owned(), words));
        let injection = &self.injections[index];
        if self.phase != Phase::Inject || self.ending.is_some() || self.hold().is_some() {
            return no(
                "strength",
                "only while the drill injects and is not held".to_owned(),
            );
        }
        if injection.state != Some(InjectionState::Active) {
            let state = injection.state.map_or("not answered yet", state_word);
            return no(
                "strength",
                format!("only what is on can be changed, it is {state}"),
            );
        }
        let Some(lever) = self.lever(injection) else {
            return no("strength", "it has no strength, it is on or off".to_owned());
        };
        let wanted = match lever.position(parameters) {
            Ok(wanted) => wanted,
            Err(words) => return no("plan", words),
        };
        let strength = &injection.strength;
        let on = strength.asked.as_ref().map_or(&strength.now, |it| &it.parameters);
        // What somebody else made of it and we cannot read counts as nothing: whatever is asked for is more.
        if !Lever::is_more(wanted, lever.position(on).unwrap_or(0.0)) {
            return Ok(false);
        }
        self.may_strengthen(index).map(|()| true)
    }

    /// More is a start in small: everything that a start needs, and every guardrail as it stands now.
    fn may_strengthen(&self, index: usize) -> Result<(), Refusal> {
        let no = |rule: &str, words: &str| Err((rule.to_owned(), words.to_owned()));
        if self.injections[index].strength.asked.is_some() {
            return no("strength", "a change is on its way; wait for its answer");
        }
        if !self.may_start() {
            return no(
                "contact",
                "nothing is made stronger without contact and a lease on every agent",
            );
        }
        if let Some(sli) = self.slis.iter().position(|it| it.state == SliState::NoData) {
            let name = self.setup.plan.slis.get(sli).map_or("?", |it| &it.name);
            return no(
                "no data",
                &format!("nothing is made stronger while {name} has no data"),
            );
        }
        // Neighbours were asked before the start and are not while it is on.
        let mut violations = self.violations().into_iter();
        match violations.find(|(rule, _)| *rule != Rule::Shared) {
            None => Ok(()),
            Some((rule, words)) => Err((format!("guardrail {rule}"), words)),
        }
    }

    fn send_change(&mut self, index: usize, parameters: Value, stronger: bool, by: String, tries: u32) {
        let injection = &self.injections[index];
        let Some(opened) = self.agents[injection.agent].opened.as_ref() else {
            return;
        };
        let (agent, id) = (injection.agent, injection.id.clone());
        let revision = injection.strength.revision.max(injection.strength.sent) + 1;
        let request = PatchRequest {
            fence: self.fence(opened),
            revision,
            not_after: self.links[agent]
                .tick_at(self.at.mono_us)
                .plus_ms(CHANGE_WITHIN_MS),
            parameters: parameters.clone(),
        };
        let from = injection.strength.now.clone();
        let change = Entry::Change {
            agent,
            id: id.clone(),
            revision,
            from: from.clone(),
            to: parameters.clone(),
            stronger,
            by: by.clone(),
        };
        // More: on disk before the agent hears of it. Less: sent first.
        if stronger {
            self.record(change, true);
            self.call(agent, Call::Change(id, Box::new(request)));
        } else {
            self.call(agent, Call::Change(id, Box::new(request)));
            self.record(change, false);
        }
        let words = format!(
            "{by} turns {} {}: {} to {}",
            self.label(index),
            if stronger { "up" } else { "down" },
            self.strength_words(index, &from),
            self.strength_words(index, &parameters)
        );
        self.judge("strength", "strength", words);
        let strength = &mut self.injections[index].strength;
        strength.sent = revision;
        strength.asked = Some(Change {
            revision,
            parameters,
            stronger,
            by,
            tries,
        });
    }

    pub(crate) fn changed(
        &mut self,
        agent: usize,
        id: &InjectionId,
        revision: u64,
        result: Result<Box<InjectionView>, Failure>,
    ) {
        let Some(index) = self.find(agent, id) else { return };
        if let Ok(view) = &result {
            self.merge(agent, view);
        }
        let strength = &mut self.injections[index].strength;
        let Some(asked) = strength.asked.take_if(|it| it.revision == revision) else {
            return;
        };
        match result {
            Ok(_) if self.injections[index].strength.revision >= revision => {
                let words = format!(
                    "{} is at {}, as {} asked",
                    self.label(index),
                    self.strength_words(index, &self.injections[index].strength.now),
                    asked.by
                );
                let reason = self.judge("strength", "strength", words);
                self.reasons.held.push(reason);
            }
            // It was taken back meanwhile.
            Ok(_) => {}
            Err(failure) => self.not_changed(index, asked, failure),
        }
        self.change_next(index);
    }

    fn not_changed(&mut self, index: usize, asked: Change, failure: Failure) {
        let words = format!(
            "{} to {}: {}",
            self.label(index),
            self.strength_words(index, &asked.parameters),
            failure.words()
        );
        if let Failure::Refused { problem } = &failure
            && problem.kind == ProblemKind::Latched
        {
            return self.stop_elsewhere(words);
        }
        self.judge("not changed", "agent", words);
        let lost = matches!(failure, Failure::NoAnswer { .. });
        let waits = self.injections[index].strength.next.is_some();
        if lost && !waits && asked.tries < TRIES && self.may_change(index, &asked.parameters) == Ok(false) {
            self.send_change(index, asked.parameters, false, asked.by, asked.tries + 1);
        }
    }

    /// What was asked for meanwhile, if it is still less.
    fn change_next(&mut self, index: usize) {
        let strength = &mut self.injections[index].strength;
        if strength.asked.is_none()
            && let Some((parameters, by)) = strength.next.take()
            && self.may_change(index, &parameters) == Ok(false)
        {
            self.send_change(index, parameters, false, by, 1);
        }
    }

    /// What an agent says of an injection's strength, in the order of its revisions.
    pub(crate) fn take_strength(&mut self, index: usize, view: &InjectionView) {
        let strength = &mut self.injections[index].strength;
        if view.revision > strength.revision {
            strength.revision = view.revision;
            strength.now = view.parameters.clone();
        }
    }

    fn strength_words(&self, index: usize, parameters: &Value) -> String {
        let lever = self.lever(&self.injections[index]);
        lever.map_or_else(|| parameters.to_string(), |it| it.words(parameters))
    }
}
