//! Lanes, waits, repeats; injections from their intent to the agent's word that they are off.

use firedrill_plan::Action;
use firedrill_wire::{
    Evidence, FaultName, InjectionId, InjectionState, InjectionView, ProblemKind, StartRequest,
};

use crate::{
    AbortStatus, AbortedInjection, At, Call, Drill, Effect, Entry, Failure, Injection, Phase, SliState,
    Strength,
    machine::RevertTrack,
    words::{count, show_ms},
};

/// A start that reaches the agent later than this after it was sent is refused there.
const START_WITHIN_MS: u64 = 3_000;

/// A start without an answer, or `starting` for this long, in milliseconds, stops the drill.
const STARTED_MS: u64 = 8_000;

/// After its end an injection has this long, in microseconds, to be told as off; then its revert is asked.
const END_GRACE_US: u64 = 500_000;

/// A revert without an answer is asked again after this long, in microseconds.
const REVERT_ANSWER_US: u64 = 5_000_000;

/// A revert that was answered, but not with "off", is asked again after this long, in microseconds.
const REVERT_AGAIN_US: u64 = 1_000_000;

/// Reverts wait for the disk at most this often, in microseconds, but for the last.
const SYNC_US: u64 = 100_000;

/// An injection that is not read back this long, in milliseconds, after its revert was asked stops the drill.
const REVERTED_MS: u64 = 10_000;

/// One start that is wanted.
pub(crate) struct Wish {
    pub step: usize,
    pub run: u32,
    pub agent: usize,
    pub parameters: serde_json::Value,
    pub for_ms: u64,
    pub ramp_ms: u64,
}

impl Drill {
    pub(crate) fn begin_inject(&mut self) {
        let words = format!(
            "{} open, {} to go",
            count(self.needed().len(), "agent"),
            count(self.experiment().map_or(0, |it| it.steps.len()), "step")
        );
        self.enter(Phase::Inject, words);
    }

    /// Starts what is due; when every lane is through and nothing is on, the drill recovers.
    pub(crate) fn advance_lanes(&mut self) {
        if self.phase != Phase::Inject || self.hold().is_some() {
            return;
        }
        let mut through = true;
        if self.ending.is_none() {
            for lane in 0..self.lanes.len() {
                through &= self.advance_lane(lane);
            }
        }
        let now = self.at;
        let finished = self.ending.is_some();
        let over = |it: &Injection| {
            if finished { it.is_off() } else { !it.counts_at(now) }
        };
        if through && self.injections.iter().all(over) {
            let off = self.injections.iter().filter(|it| it.active.is_some()).count();
            let words = format!("{} read back as off", count(off, "injection"));
            self.begin_recover(words);
        }
    }

    /// Whether the lane is through.
    fn advance_lane(&mut self, index: usize) -> bool {
        let now_us = self.at.mono_us;
        loop {
            let lane = &self.lanes[index];
            let Some(&step) = lane.steps.get(lane.place) else {
                return true;
            };
            let begun_us = lane.began_us.unwrap_or(now_us);
            self.lanes[index].began_us = Some(begun_us);
            let action = self
                .experiment()
                .and_then(|it| it.steps.get(step))
                .map(|it| it.action.clone());
            let over = match action {
                None => true,
                Some(Action::Wait(ms)) => now_us >= begun_us.saturating_add(ms.saturating_mul(1_000)),
                Some(Action::Inject(inject)) => {
                    let every_us = inject.repeat.every_ms.saturating_mul(1_000);
                    self.advance_runs(index, step, inject.repeat.times.max(1), every_us)
                }
            };
            if !over {
                return false;
            }
            let lane = &mut self.lanes[index];
            lane.place += 1;
            lane.began_us = None;
            lane.runs = 0;
        }
    }

    /// Start to start, but never before the run before is off. Whether all runs are over.
    fn advance_runs(&mut self, lane: usize, step: usize, times: u32, every_us: u64) -> bool {
        let now = self.at;
        let over = self
            .injections
            .iter()
            .filter(|it| it.step == step)
            .all(|it| !it.counts_at(now));
        let (runs, run_began_us) = (self.lanes[lane].runs, self.lanes[lane].run_began_us);
        if runs >= times {
            return over;
        }
        let due = runs == 0 || now.mono_us >= run_began_us.saturating_add(every_us);
        if over && due && self.may_start() && self.sees(lane) {
            self.start_run(step, runs);
            let lane = &mut self.lanes[lane];
            lane.runs += 1;
            lane.run_began_us = now.mono_us;
        }
        false
    }

    /// Nothing is started while an SLI has no data. A start is held up for one lease at the most: whoever sees
    /// nothing for so long has lost sight.
    fn sees(&mut self, lane: usize) -> bool {
        let blind = self.slis.iter().position(|it| it.state == SliState::NoData);
        let Some(sli) = blind else {
            self.lanes[lane].held_since_us = None;
            return true;
        };
        let now_us = self.at.mono_us;
        let since_us = *self.lanes[lane].held_since_us.get_or_insert(now_us);
        let lease_ms = self.experiment().map_or(0, |it| it.lease_ms);
        if now_us.saturating_sub(since_us) >= lease_ms.saturating_mul(1_000) {
            let name = self.setup.plan.slis.get(sli).map_or("?", |it| &it.name);
            let words = format!(
                "{name} has had no data for {}, nothing more is started",
                show_ms(lease_ms)
            );
            self.stop_blind("no data", words);
        }
        false
    }

    /// Nothing is started without contact to every agent, without a lease, or once an end is decided.
    pub(crate) fn may_start(&self) -> bool {
        let leased = |it: &crate::AgentStatus| {
            it.opened.is_some()
                && !it.closed
                && it.lease_until_us.is_some_and(|until| until > self.at.mono_us)
        };
        self.phase == Phase::Inject
            && self.ending.is_none()
            && self.in_contact()
            && self.agents.iter().all(|it| !it.needed || leased(it))
    }

    fn start_run(&mut self, step: usize, run: u32) {
        let Some(inject) = self.inject_of(step).cloned() else {
            return;
        };
        let wish = |agent| Wish {
            step,
            run,
            agent,
            parameters: inject.parameters.clone(),
            for_ms: inject.for_ms,
            ramp_ms: inject.ramp_ms,
        };
        let wishes = self.hit_by(step).into_iter().map(wish).collect();
        self.start_all(wishes);
    }

    /// The intents are on disk, with one wait for all, before any agent hears of theirs.
    pub(crate) fn start_all(&mut self, wishes: Vec<Wish>) {
        let starts: Vec<_> = wishes.into_iter().filter_map(|it| self.intend(it)).collect();
        let last = starts.len().saturating_sub(1);
        for (place, (agent, id, request)) in starts.iter().enumerate() {
            let intent = Entry::Intent {
                agent: *agent,
                id: id.clone(),
                start: without_secret(request),
            };
            self.record(intent, place == last);
        }
        for (agent, id, request) in starts {
            self.call(agent, Call::Start(id, Box::new(request)));
        }
    }

    fn intend(&mut self, wish: Wish) -> Option<(usize, InjectionId, StartRequest)> {
        let agent = wish.agent;
        let (inject, opened) = (self.inject_of(wish.step)?, self.agents[agent].opened.as_ref()?);
        let id = InjectionId(format!("{}-{}", self.setup.drill, self.injections.len() + 1));
        let request = StartRequest {
            fence: self.fence(opened),
            fault: FaultName(inject.fault.clone()),
            parameters: wish.parameters,
            scope: inject.target.scope.clone(),
            ends_in_ms: wish.for_ms,
            ramp_ms: wish.ramp_ms,
            not_after: self.links[agent]
                .tick_at(self.at.mono_us)
                .plus_ms(START_WITHIN_MS),
        };
        self.injections.push(Injection {
            id: id.clone(),
            step: wish.step,
            run: wish.run,
            agent,
            fault: request.fault.clone(),
            scope: request.scope.clone(),
            parameters: request.parameters.clone(),
            strength: Strength::started(request.parameters.clone()),
            for_ms: request.ends_in_ms,
            ramp_ms: request.ramp_ms,
            state: None,
            proved: None,
            asked: self.at,
            active: None,
            reverting: None,
            off: None,
            evidence: Evidence::default(),
            by_hand: None,
            problem: None,
        });
        self.reverts.push(RevertTrack::default());
        Some((agent, id, request))
    }

    /// Neither is an end decided nor is everything being taken back for a hold.
    fn goes_on(&self) -> bool {
        self.ending.is_none() && self.hold().is_none()
    }

    pub(crate) fn started(
        &mut self,
        agent: usize,
        id: &InjectionId,
        result: Result<Box<InjectionView>, Failure>,
    ) {
        let Some(index) = self.find(agent, id) else { return };
        match result {
            Ok(view) => self.merge(agent, &view),
            Err(Failure::NoAnswer { why }) => {
                let words = format!("the start of {} was not answered: {why}", self.label(index));
                self.injections[index].problem.get_or_insert(why);
                // At a finish its revert is under way, and leaves a tombstone if it comes first.
                if self.goes_on() {
                    self.stop_blind("contact", words);
                }
            }
            Err(Failure::Refused { problem }) => {
                let words = format!(
                    "{} refused {}: {problem}",
                    self.name(agent),
                    self.injections[index].fault
                );
                if self.injections[index].state.is_none() {
                    self.set_off(index, InjectionState::Refused);
                }
                self.injections[index].problem = Some(problem.to_string());
                if problem.kind == ProblemKind::Latched {
                    self.stop_elsewhere(words);
                } else if self.goes_on() {
                    self.stop_blind("start refused", words);
                }
            }
        }
    }

    /// What an agent says of an injection, if it may be believed: from the life that started it, or from a
    /// later one of the same agent that names it as over. A state never goes back.
    pub(crate) fn merge(&mut self, agent: usize, view: &InjectionView) {
        let Some(index) = self.find(agent, &view.id) else {
            return;
        };
        let Some(opened) = &self.agents[agent].opened else {
            return;
        };
        let same_start = view.drill == self.setup.drill
            && view.epoch == opened.epoch
            && view.started_by == opened.stamp.instance
            && view.stamp.agent == opened.stamp.agent;
        let same_life = view.stamp.instance == opened.stamp.instance;
        if !same_start || !(same_life || is_end(view.state)) {
            return;
        }
        let stamp = view.stamp.clone();
        self.heard(agent, &stamp);
        if view.state == InjectionState::Active {
            self.take_strength(index, view);
        }
        let news = AbortedInjection {
            id: view.id.clone(),
            state: view.state,
            proved: view.proved.is_some().then_some(true),
            evidence: view.evidence.clone(),
            by_hand: view.by_hand.clone(),
        };
        let moved = self.believe(index, news);
        if let Some(reason) = &view.reason
            && view.state != InjectionState::Active
        {
            self.injections[index].problem = Some(reason.clone());
        }
        if moved && self.ending.is_none() && self.phase == Phase::Inject {
            self.weigh(index, view.reason.as_deref());
        }
    }

    /// Whether the state moved on.
    fn believe(&mut self, index: usize, news: AbortedInjection) -> bool {
        let now = self.at;
        let injection = &mut self.injections[index];
        let (was, is) = (injection.state.map_or(0, rank), rank(news.state));
        if is < was || (was == is && injection.state != Some(news.state)) {
            return false;
        }
        if news.evidence != Evidence::default() {
            injection.evidence = news.evidence;
        }
        if news.by_hand.is_some() {
            injection.by_hand = news.by_hand;
        }
        if news.proved.is_some() {
            injection.proved = news.proved;
        }
        if is == was {
            return false;
        }
        match news.state {
            InjectionState::Active | InjectionState::Done => {
                injection.active.get_or_insert(now);
            }
            InjectionState::Reverting => {
                injection.reverting.get_or_insert(now);
            }
            _ => {}
        }
        injection.state = Some(news.state);
        if news.state.is_off() {
            injection.off.get_or_insert(now);
        }
        self.judge_state(index, news.state);
        true
    }

    /// A revert is on disk once it is known; many at a time share a wait for it, and none waits long.
    fn judge_state(&mut self, index: usize, state: InjectionState) {
        let words = format!("{} is {}", self.label(index), state_word(state));
        self.judge("injection", "read back", words);
        let due = self.at.mono_us >= self.synced_us.saturating_add(SYNC_US);
        let last = self.injections.iter().all(Injection::is_off);
        if is_end(state) && (due || last) {
            self.synced_us = self.at.mono_us;
            if let Some(Effect::Record { durable, .. }) = self.out.last_mut() {
                *durable = true;
            }
        }
    }

    /// What a new state means for the drill while it runs and nothing was asked to end.
    fn weigh(&mut self, index: usize, reason: Option<&str>) {
        let injection = &self.injections[index];
        let why = reason.unwrap_or("the agent does not say why").to_owned();
        let label = self.label(index);
        match injection.state {
            Some(InjectionState::Refused | InjectionState::Failed) if self.goes_on() => {
                self.stop_blind("start refused", format!("{label} did not begin: {why}"));
            }
            Some(InjectionState::Unconfirmed) => {
                self.stop_blind("revert", format!("{label} is not read back as gone: {why}"));
            }
            Some(InjectionState::Reverting | InjectionState::Reverted) if reason == Some("abort") => {
                self.stop_elsewhere(format!("{label} was aborted on its agent"));
            }
            Some(InjectionState::Reverting | InjectionState::Reverted) => {
                let asked = self.reverts[index].tries > 0;
                let early = self.at.mono_us + END_GRACE_US < self.ends_us(injection);
                if early && !asked && reason != Some("end") {
                    self.stop_blind("lease", format!("{label} ended before its time: {why}"));
                }
            }
            _ => {}
        }
    }

    pub(crate) fn reverted(
        &mut self,
        agent: usize,
        id: &InjectionId,
        result: Result<Box<InjectionView>, Failure>,
    ) {
        let Some(index) = self.find(agent, id) else { return };
        self.reverts[index].sent_us = None;
        self.reverts[index].again_us = self.at.mono_us + REVERT_AGAIN_US;
        match result {
            Ok(view) => self.merge(agent, &view),
            // It has written down every start before it was applied, and what it does not know it will not
            // start: the open epoch has a tombstone now, a dead one starts nothing.
            Err(Failure::Refused { problem })
                if problem.kind == ProblemKind::Unknown && self.injections[index].state.is_none() =>
            {
                self.set_off(index, InjectionState::Refused);
                self.injections[index].problem = Some("it never reached the agent".to_owned());
            }
            Err(failure) => self.injections[index].problem = Some(failure.words()),
        }
    }

    fn set_off(&mut self, index: usize, state: InjectionState) {
        self.injections[index].state = Some(state);
        self.injections[index].off = Some(self.at);
        self.judge_state(index, state);
    }

    /// Asks for a revert, unless one runs or was just answered. A revert may always be repeated.
    pub(crate) fn ask_revert(&mut self, index: usize) {
        let now_us = self.at.mono_us;
        let track = &mut self.reverts[index];
        let running = track
            .sent_us
            .is_some_and(|sent| now_us.saturating_sub(sent) < REVERT_ANSWER_US);
        if running || now_us < track.again_us {
            return;
        }
        track.sent_us = Some(now_us);
        track.tries += 1;
        let now = self.at;
        let injection = &mut self.injections[index];
        injection.reverting.get_or_insert(now);
        let (agent, id) = (injection.agent, injection.id.clone());
        self.call(agent, Call::Revert(id));
    }

    /// Ends that were not told, starts that were not answered, reverts that do not come.
    pub(crate) fn watch_injections(&mut self) {
        let finishing = !self.goes_on();
        for index in 0..self.injections.len() {
            let injection = &self.injections[index];
            if injection.is_off() {
                continue;
            }
            let ends_us = self.ends_us(injection);
            let asked = injection.asked;
            let reverting = injection.reverting;
            let begun = injection.active.is_some() || reverting.is_some();
            if finishing || self.at.mono_us >= ends_us.saturating_add(END_GRACE_US) {
                self.ask_revert(index);
            }
            if !begun && self.at.ms_since(asked) > STARTED_MS {
                let words = format!(
                    "{} did not become active within {}",
                    self.label(index),
                    show_ms(STARTED_MS)
                );
                self.stop_blind("start refused", words);
                return;
            }
            if reverting.is_some_and(|since| self.at.ms_since(since) > REVERTED_MS) {
                let words = format!(
                    "{} was not read back as off within {} of its revert",
                    self.label(index),
                    show_ms(REVERTED_MS)
                );
                self.stop_blind("revert", words);
                return;
            }
        }
    }

    /// The abort line's news: how far it is, and each injection that the agent named in its answer.
    pub(crate) fn abort_status(&mut self, agent: usize, status: AbortStatus) {
        let foreign_latch = status.latch.is_some() && !self.latched_by_us();
        let life = self.agents[agent]
            .opened
            .as_ref()
            .map(|it| it.stamp.instance.clone());
        for news in &status.injections {
            let Some(index) = self.find(agent, &news.id) else {
                continue;
            };
            let same_life = life.is_some() && life == status.instance;
            let known = life.is_some() && status.instance.is_some();
            if same_life || (known && is_end(news.state)) {
                self.believe(index, news.clone());
            }
        }
        self.agents[agent].abort = Some(status);
        if foreign_latch && self.ending.is_some() {
            let words = format!("{} was latched from elsewhere", self.name(agent));
            self.stop_elsewhere(words);
        }
    }

    pub(crate) fn find(&self, agent: usize, id: &InjectionId) -> Option<usize> {
        self.injections
            .iter()
            .position(|it| it.agent == agent && it.id == *id)
    }

    /// `http.latency on payments-1`.
    pub(crate) fn label(&self, index: usize) -> String {
        let injection = &self.injections[index];
        format!("{} on {}", injection.fault, self.name(injection.agent))
    }

    pub(crate) fn inject_progress(&self, now: At) -> (f32, String) {
        let planned_us = self
            .planned()
            .iter()
            .map(|it| it.until_us)
            .max()
            .unwrap_or(0)
            .max(1);
        let since = self.began(Phase::Inject).unwrap_or(now);
        let passed_us = now.mono_us.saturating_sub(since.mono_us + self.stood_us(now));
        let on = self.injections.iter().filter(|it| !it.is_off()).count();
        let clock = format!(
            "{} of {}",
            show_ms(passed_us.min(planned_us) / 1_000),
            show_ms(planned_us / 1_000)
        );
        let running = || format!("{} on, {clock}", count(on, "fault"));
        (
            (passed_us as f32 / planned_us as f32).min(1.0),
            self.hold_words(now, &clock).unwrap_or_else(running),
        )
    }
}

/// Whether a later life may say this of what an earlier one started.
fn is_end(state: InjectionState) -> bool {
    state.is_off() || state == InjectionState::Unconfirmed
}

fn rank(state: InjectionState) -> u8 {
    match state {
        InjectionState::Starting => 1,
        InjectionState::Active => 2,
        InjectionState::Reverting => 3,
        InjectionState::Unconfirmed => 4,
        InjectionState::Reverted
        | InjectionState::Refused
        | InjectionState::Failed
        | InjectionState::Done => 5,
    }
}

pub(crate) fn state_word(state: InjectionState) -> &'static str {
    match state {
        InjectionState::Starting => "starting",
        InjectionState::Active => "on",
        InjectionState::Reverting => "being reverted",
        InjectionState::Reverted => "reverted and read back",
        InjectionState::Refused => "refused: it never began",
        InjectionState::Failed => "failed: nothing is left of it",
        InjectionState::Done => "done",
        InjectionState::Unconfirmed => "unconfirmed: it may be on",
    }
}

/// The start as the journal keeps it.
fn without_secret(request: &StartRequest) -> serde_json::Value {
    let mut value = serde_json::to_value(request).unwrap_or_default();
    if let Some(fence) = value.get_mut("fence").and_then(serde_json::Value::as_object_mut) {
        fence.remove("holder");
    }
    value
}
