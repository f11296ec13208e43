//! Starting and strengthening.

use firedrill_wire::{
    Evidence, InjectionId, InjectionState, PatchRequest, Problem, ProblemKind, StartRequest, Undo,
};

use crate::injection::{Injection, Work};
use crate::keeping::without_keeper;
use crate::timers::late;
use crate::{AskId, Effect, Key, Reply, SaveId, UndoRecord, Ward, checks};

/// What the host has found out about a start.
pub(crate) struct Plan {
    pub claims: Vec<String>,
    pub undo: Undo,
    pub by_hand: String,
    pub needs_keeper: bool,
}

impl Ward {
    pub(crate) fn on_start(&mut self, ask: AskId, id: InjectionId, request: StartRequest, plan: Plan) {
        let Plan {
            claims,
            undo,
            by_hand,
            needs_keeper,
        } = plan;
        let what = format!("start {} as {}", request.fault, checks::clip(id.as_str()));
        let who = self.driver();
        let key = Key {
            epoch: request.fence.epoch,
            id,
        };
        if self
            .known(&key)
            .is_some_and(|it| it.request.as_ref() == Some(&request))
        {
            // Also of a dead epoch: a refusal would be taken for "it never began".
            self.recall(|it| it.epoch == key.epoch && it.id == key.id);
            return self.repeat_start(ask, &key);
        }
        if let Err(problem) = self.may_address(&request, &key) {
            return self.refuse(ask, &what, &who, problem);
        }
        if !self.make_room() {
            let problem = checks::too_many("injections", self.cx.limits.injections);
            return self.refuse(ask, &what, &who, problem);
        }
        let verdict = self.may_start(&request, &claims);
        self.cx
            .audit(format!("{who} asks for {what} on {}", scope_words(&request)));
        let record = UndoRecord {
            id: key.id.clone(),
            drill: request.fence.drill.clone(),
            epoch: key.epoch,
            started_by: self.instance.clone(),
            fault: request.fault.clone(),
            scope: request.scope.clone(),
            parameters: request.parameters.clone(),
            revision: 0,
            undo,
            claims,
            needs_keeper,
            state: InjectionState::Starting,
            active_since: None,
            ends_at: self.cx.now.plus_ms(request.ends_in_ms),
            changed: self.cx.now,
            by_hand,
            reason: None,
            evidence: Evidence::default(),
            proved: None,
        };
        // The refused ones are kept too, so that a repeat that comes when the way is free is refused alike.
        let mut injection = Injection::new(record, Some(request), Work::Idle);
        injection.starters.push(ask);
        match verdict {
            Ok(()) => {
                injection.work = Work::Saving(self.save());
                self.abandon_proofs(&injection.record.claims);
            }
            Err(problem) => {
                injection.edit().claims.clear();
                injection.refuse(problem, &mut self.cx);
            }
        }
        self.injections.insert(key, injection);
    }

    /// Whether the caller may speak of this id at all: a refusal here leaves no trace but the audit log.
    fn may_address(&self, request: &StartRequest, key: &Key) -> Result<(), Problem> {
        if self.shut_down.is_some() {
            return Err(checks::stopping());
        }
        if let Some(latch) = &self.latch {
            return Err(checks::latched(latch));
        }
        let open = self.held_by(&request.fence)?;
        if !checks::is_name(key.id.as_str()) {
            checks::start(key.id.as_str(), request, &[], &self.cx.limits)?;
        }
        if self.injections.contains_key(key) {
            return Err(Problem::new(
                ProblemKind::Held,
                "the id is taken",
                format!("{} was started with another body", key.id),
                "give every injection an id of its own; repeat a start byte for byte",
            ));
        }
        if open.tombstones.contains(&key.id) {
            let detail = format!("{} was reverted before its start came", key.id);
            return Err(checks::fenced("a revert came first", detail));
        }
        // With no room for another tombstone a revert might not be remembered: nothing new starts.
        if open.tombstones.len() >= self.cx.limits.tombstones {
            return Err(checks::too_many(
                "reverts of unknown injections",
                self.cx.limits.tombstones,
            ));
        }
        Ok(())
    }

    fn repeat_start(&mut self, ask: AskId, key: &Key) {
        let most = self.cx.limits.asks;
        match self.injections.get_mut(key) {
            Some(injection) if injection.starters.len() < most => injection.starters.push(ask),
            // Too many wait already: this one hears how it stands now.
            _ => self.reply_view(ask, key),
        }
    }

    /// Whether a start under the right fence may begin now.
    fn may_start(&self, request: &StartRequest, claims: &[String]) -> Result<(), Problem> {
        if self.cx.now > request.not_after {
            return Err(self.too_late(request));
        }
        checks::start("-", request, claims, &self.cx.limits)?;
        self.kept()?;
        let undoing = |it: &&Injection| it.request.is_none() && it.state() == InjectionState::Reverting;
        if let Some(former) = self.injections.values().find(undoing) {
            return Err(Problem::new(
                ProblemKind::Unavailable,
                "the agent is still undoing its former life",
                format!(
                    "{} of drill {} is not yet read back",
                    former.record.id, former.record.drill
                ),
                "wait until its injections are reverted",
            ));
        }
        for claim in claims {
            let holder = self
                .injections
                .values()
                .find(|it| it.holds_claims() && it.record.claims.contains(claim));
            if let Some(holder) = holder {
                return Err(Problem::new(
                    ProblemKind::Held,
                    "the resource is claimed",
                    format!(
                        "{claim} is held by {} of drill {}, which is {:?}",
                        holder.record.id,
                        holder.record.drill,
                        holder.state()
                    ),
                    "one injection a resource: wait for its end, or revert it",
                ));
            }
        }
        Ok(())
    }

    fn too_late(&self, request: &StartRequest) -> Problem {
        late(&format!(
            "it was good until tick {}, it is {}",
            request.not_after.0, self.cx.now.0
        ))
    }

    /// The proof of what was on a resource says nothing once something new takes it.
    fn abandon_proofs(&mut self, claims: &[String]) {
        for injection in self.injections.values_mut() {
            let proving = matches!(injection.work, Work::Proving { .. }) && !injection.suspect;
            if proving && injection.record.claims.iter().any(|claim| claims.contains(claim)) {
                injection.work = Work::Idle;
                injection.proof_abandoned = true;
            }
        }
    }

    /// The save that starts wait for has ended: everything is looked at again before anything is applied.
    pub(crate) fn starts_saved(&mut self, save: SaveId, durable: bool) {
        let open = self.open.as_ref().map(|open| open.fence.epoch);
        let now = self.cx.now;
        let unkept = self.unkept.as_deref().map(without_keeper);
        for (key, injection) in &mut self.injections {
            if injection.work != Work::Saving(save) {
                continue;
            }
            if Some(key.epoch) != open || self.latch.is_some() {
                // An epoch condemns what it leaves behind; this is the second look.
                injection.condemn("dead", "the epoch died before the start began", &mut self.cx);
            } else if !durable {
                injection.refuse(checks::disk("the undo record"), &mut self.cx);
            } else if let Some(problem) = &unkept {
                injection.refuse(problem.clone(), &mut self.cx);
            } else if injection
                .request
                .as_ref()
                .is_some_and(|request| now > request.not_after)
            {
                injection.refuse(late("the disk was slower than the start may wait"), &mut self.cx);
            } else {
                injection.apply(&mut self.cx);
            }
        }
    }

    pub(crate) fn answer_starters(&mut self) {
        let stamp = self.stamp();
        let lease_end = self.open.as_ref().map(|open| (open.fence.epoch, open.deadline));
        for (key, it) in &mut self.injections {
            let waits_for_read_back = it.failing.is_some() && it.state() == InjectionState::Reverting;
            let known = it.answer.is_some() || it.state() != InjectionState::Starting;
            if it.starters.is_empty() || !known || (it.answer.is_none() && waits_for_read_back) {
                continue;
            }
            let left = lease_end
                .filter(|(epoch, _)| *epoch == key.epoch)
                .map_or(0, |(_, end)| end.ms_since(stamp.tick));
            for ask in std::mem::take(&mut it.starters) {
                let reply = match &it.answer {
                    Some(problem) => Reply::Refused(problem.clone()),
                    None => Reply::Injection(Box::new(it.view(stamp.clone(), left))),
                };
                self.cx.out.push(Effect::Reply { ask, reply });
            }
        }
    }

    pub(crate) fn on_patch(&mut self, ask: AskId, id: InjectionId, request: PatchRequest) {
        match self.may_change(&id, &request) {
            Ok(Change::Begin(key)) => self.begin_change(ask, &key, request),
            Ok(Change::Join(key)) => {
                if let Some(injection) = self.injections.get_mut(&key) {
                    injection.changers.push(ask);
                }
            }
            Ok(Change::Repeat(key)) => self.reply_view(ask, &key),
            Err(problem) => {
                let who = self.driver();
                let what = format!(
                    "change {} to revision {}",
                    checks::clip(id.as_str()),
                    request.revision
                );
                self.refuse(ask, &what, &who, problem);
            }
        }
    }

    fn may_change(&self, id: &InjectionId, request: &PatchRequest) -> Result<Change, Problem> {
        if let Some(latch) = &self.latch {
            return Err(checks::latched(latch));
        }
        let epoch = self.held_by(&request.fence)?.fence.epoch;
        let key = Key {
            epoch,
            id: id.clone(),
        };
        let Some(injection) = self.injections.get(&key) else {
            return Err(unknown(id));
        };
        if injection.state() != InjectionState::Active {
            let detail = format!("{id} is {:?}", injection.state());
            return Err(Problem::new(
                ProblemKind::Fenced,
                "only an active injection can be changed",
                detail,
                "read its state",
            ));
        }
        if let Work::Adjusting { .. } = injection.work {
            if injection.change.as_ref() == Some(request) && injection.changers.len() < self.cx.limits.asks {
                return Ok(Change::Join(key));
            }
            return Err(Problem::new(
                ProblemKind::Held,
                "another change is under way",
                format!("{id} is being changed"),
                "wait for its answer, then change again with a higher revision",
            ));
        }
        if injection.change.as_ref() == Some(request) {
            return Ok(Change::Repeat(key));
        }
        if request.revision <= injection.record.revision {
            let detail = format!(
                "revision {} is not above {}",
                request.revision, injection.record.revision
            );
            return Err(Problem::new(
                ProblemKind::Fenced,
                "an old change",
                detail,
                "use a higher revision",
            ));
        }
        if self.cx.now > request.not_after {
            let detail = format!(
                "it was good until tick {}, it is {}",
                request.not_after.0, self.cx.now.0
            );
            return Err(late(&detail));
        }
        checks::change(&request.parameters)?;
        Ok(Change::Begin(key))
    }

    fn begin_change(&mut self, ask: AskId, key: &Key, request: PatchRequest) {
        let until = self.cx.now.plus_ms(self.cx.limits.operation_ms);
        let who = self.driver();
        let Some(injection) = self.injections.get_mut(key) else {
            return;
        };
        self.cx.audit(format!(
            "{who} changes {} to revision {}",
            key.id, request.revision
        ));
        injection.work = Work::Adjusting { until };
        injection.changers.push(ask);
        let parameters = request.parameters.clone();
        injection.change = Some(request);
        self.cx.out.push(Effect::Adjust {
            key: key.clone(),
            parameters,
        });
    }

    /// Answers those whose change has been made; refusals were answered where they arose.
    pub(crate) fn answer_changers(&mut self) {
        let done: Vec<Key> = self
            .injections
            .iter()
            .filter(|(_, it)| !it.changers.is_empty() && !matches!(it.work, Work::Adjusting { .. }))
            .map(|(key, _)| key.clone())
            .collect();
        for key in done {
            let asks = self
                .injections
                .get_mut(&key)
                .map(|it| std::mem::take(&mut it.changers));
            for ask in asks.unwrap_or_default() {
                self.reply_view(ask, &key);
            }
        }
    }

    pub(crate) fn reply_view(&mut self, ask: AskId, key: &Key) {
        let reply = match self.view_of(key) {
            Some(view) => Reply::Injection(Box::new(view)),
            None => Reply::Refused(unknown(&key.id)),
        };
        self.reply(ask, reply);
    }
}

/// What to do with a change that is allowed.
enum Change {
    Begin(Key),
    Join(Key),
    Repeat(Key),
}

pub(crate) fn unknown(id: &InjectionId) -> Problem {
    Problem::new(
        ProblemKind::Unknown,
        "no such injection",
        format!("{} is not known here", checks::clip(id.as_str())),
        "list the injections with GET /v1/injections",
    )
}

fn scope_words(request: &StartRequest) -> String {
    let words = request.scope.words();
    if words.is_empty() {
        "the host".to_owned()
    } else {
        words
    }
}
