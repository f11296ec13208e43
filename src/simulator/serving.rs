//! An agent at work: requests become events of its ward, and the ward's effects are carried out.

use firedrill_ward::{AskId, Effect, Event, Key, Reply, Ward};
use firedrill_wire::{AbortLine, EventKind, HolderSecret, ProblemKind, Scope};
use serde_json::Value;

use crate::agent::AbortAsked;
use crate::host::{Job, On, claims_of, needs_keeper, undo};
use crate::lives::Death;
use crate::messages::{Answer, Body, From};
use crate::report::Sabotage;
use crate::world::{Happening, World};

impl World {
    pub(crate) fn agent_request(&mut self, index: usize, from: From, body: Body) {
        let now = self.now;
        if self.agents[index].ward.is_none() {
            return self.send_back(index, from, Answer::Torn);
        }
        let agent = &mut self.agents[index];
        let event = match body {
            Body::Beat => {
                let latch = agent.ward.as_ref().and_then(Ward::latch).cloned();
                let stamp = agent.stamp(now);
                return self.send_back(index, from, Answer::Beat { stamp, latch });
            }
            Body::Info => {
                if let Some(info) = agent.info(now) {
                    self.send_back(index, from, Answer::Info(Box::new(info)));
                }
                return;
            }
            Body::Open(request) => {
                let ask = agent.ask(from);
                let holder = HolderSecret(format!("secret-{}-{}-{}", index, agent.life, ask.0));
                Event::Open { ask, request, holder }
            }
            Body::Renew(request) => Event::Renew {
                ask: agent.ask(from),
                request,
            },
            Body::Close(epoch, request) => Event::Close {
                ask: agent.ask(from),
                epoch,
                request,
            },
            Body::Start(id, request) => {
                let ask = agent.ask(from);
                let key = Key {
                    epoch: request.fence.epoch,
                    id: id.clone(),
                };
                agent.starts.insert(ask, (key, request.ends_in_ms));
                let claims = claims_of(request.fault.as_str(), &request.scope);
                let undo = undo(request.fault.as_str());
                let needs_keeper = needs_keeper(request.fault.as_str());
                let by_hand = "restart the agent".to_owned();
                Event::Start {
                    ask,
                    id,
                    request,
                    claims,
                    undo,
                    by_hand,
                    needs_keeper,
                }
            }
            Body::Patch(id, request) => {
                let ask = agent.ask(from);
                if let Some(asker) = agent.asks.get_mut(&ask) {
                    asker.changes = true;
                }
                Event::Patch {
                    ask,
                    id,
                    request: *request,
                }
            }
            Body::Revert(id) => Event::Revert {
                ask: agent.ask(from),
                id,
            },
            Body::Abort(request) => {
                let ask = agent.ask(from);
                let up_to = agent.book.newest();
                if let Some(asker) = agent.asks.get_mut(&ask) {
                    asker.abort = Some(AbortAsked {
                        drill: request.drill.clone(),
                        everything: request.latch && !agent.book.knows(&request),
                        up_to,
                        number: agent.book.next_abort(),
                    });
                }
                Event::Abort { ask, request }
            }
            Body::Release(request) => Event::Release {
                ask: agent.ask(from),
                request,
            },
        };
        self.agent_event(index, event);
    }

    pub(crate) fn agent_event(&mut self, index: usize, event: Event) {
        let now = self.now;
        self.trace(|_| format!("agent {index} <- {}", brief(&event)));
        self.keeper_has_no_cause(index);
        let agent = &mut self.agents[index];
        let tick = agent.tick(now);
        agent.book.hears(&event, tick, &agent.instance);
        let Some(ward) = agent.ward.as_mut() else { return };
        let effects = ward.step(tick, event);
        self.agent_effects(index, effects);
    }

    /// Runs the effects of one step in order. The process may die before any of them.
    pub(crate) fn agent_effects(&mut self, index: usize, effects: Vec<Effect>) {
        for effect in effects {
            if self.dies_now() {
                self.counts.at_effect_boundaries += 1;
                return self.agent_dies(index, Death::Alone);
            }
            self.agent_effect(index, effect);
        }
        let agent = &mut self.agents[index];
        agent
            .keeper
            .vigil
            .heard(agent.ward.as_ref().and_then(Ward::heard_by));
        self.plan_due(index);
    }

    fn agent_effect(&mut self, index: usize, effect: Effect) {
        self.trace(|_| format!("agent {index} -> {}", brief(&effect)));
        match effect {
            Effect::Save { save, durable } => self.save(index, save, durable),
            Effect::Apply {
                key,
                ends_in_ms,
                fault,
                parameters,
                scope,
                ..
            } => {
                if let Err((rule, words)) = self.check_apply(index, &key) {
                    self.broken(rule, format!("agent {index}: {words}"));
                }
                let us = self.job_us();
                let on = On::new(fault.as_str(), &scope, parameters, ends_in_ms);
                self.begin(index, Job::Apply(key, on), us);
            }
            Effect::Adjust { key, parameters } => self.adjust(index, key, parameters),
            Effect::Revert { key, attempt, .. } => {
                let us = self.revert_us();
                self.begin(index, Job::Revert(key, attempt), us);
            }
            Effect::Prove { key, attempt, .. } => {
                let us = self.job_us();
                self.begin(index, Job::Prove(key, attempt), us);
            }
            Effect::Reply { ask, reply } => self.answer(index, ask, reply),
            Effect::AbortLine { ask, line } => self.abort_line(index, ask, line),
            Effect::HangUp { ask } => {
                if let Some(asker) = self.agents[index].asks.remove(&ask) {
                    self.send_back(index, asker.from, Answer::Torn);
                }
            }
            Effect::Emit(kind) => {
                match &kind {
                    EventKind::Ended { why, .. } if why == "lease" => self.counts.lapses += 1,
                    EventKind::Latch { latch: Some(_) } => self.counts.latches += 1,
                    EventKind::Latch { latch: None } => self.counts.releases += 1,
                    _ => {}
                }
                let agent = &mut self.agents[index];
                let (tick, on_disk) = (agent.tick(self.now), agent.disk.epoch);
                let told = agent.book.tells(&kind, tick, on_disk);
                if let Err((rule, words)) = told.and_then(|()| self.check_told(index, &kind)) {
                    self.broken(rule, format!("agent {index}: {words}"));
                }
                self.bystanders(index, &kind);
                self.send_event(index, &kind);
            }
            Effect::Audit { .. } | Effect::Stopped { .. } => {}
        }
    }

    fn adjust(&mut self, index: usize, key: Key, parameters: Value) {
        if let Err((rule, words)) = self.check_adjust(index, &key, &parameters) {
            self.broken(rule, format!("agent {index}: {words}"));
        }
        let us = self.job_us();
        if let Some(on) = self.agents[index].on.get(&key).cloned() {
            self.begin(index, Job::Adjust(key, on, parameters), us);
        }
    }

    fn answer(&mut self, index: usize, ask: AskId, reply: Reply) {
        let agent = &mut self.agents[index];
        let start = agent.starts.remove(&ask);
        let Some(asker) = agent.asks.remove(&ask) else {
            return;
        };
        self.counts.changes_refused += u64::from(asker.changes && matches!(reply, Reply::Refused(_)));
        if let Reply::Refused(problem) = &reply
            && self.options.sabotage == Some(Sabotage::ForgetFence)
            && matches!(problem.kind, ProblemKind::Fenced | ProblemKind::Latched)
            && let Some((key, ends_in_ms)) = start
        {
            let tick = agent.tick(self.now);
            let mut on = On::new("noop", &Scope::default(), Value::Null, ends_in_ms);
            on.ends = tick.plus_ms(ends_in_ms);
            agent.on.insert(key.clone(), on);
            if let Err((rule, words)) = agent.book.may_apply(&key, tick) {
                self.broken(rule, words);
            }
        }
        let said = self.agents[index]
            .book
            .says(&reply)
            .and_then(|()| self.check_reply(index, &reply));
        if let Err((rule, words)) = said {
            self.broken(rule, format!("agent {index}: {words}"));
        }
        self.send_back(index, asker.from, Answer::Reply(reply));
    }

    fn abort_line(&mut self, index: usize, ask: AskId, line: AbortLine) {
        let Some(asker) = self.agents[index].asks.get(&ask).cloned() else {
            return;
        };
        if let Some(asked) = &asker.abort {
            self.agents[index].book.streams(asked, &line);
        }
        if let Some(asked) = &asker.abort
            && let Err((rule, words)) = self.check_line(index, asked, &line)
        {
            self.broken(rule, format!("agent {index}: {words}"));
        }
        let ends = matches!(line, AbortLine::End { .. });
        // A stream that lost a line is torn for good.
        let arrives = asker
            .line_at
            .and_then(|last| self.send_line(index, asker.from, last, line));
        if ends {
            self.agents[index].asks.remove(&ask);
        } else if let Some(asker) = self.agents[index].asks.get_mut(&ask) {
            asker.line_at = arrives;
        }
    }

    /// The host calls the ward no later than it asks to be called.
    fn plan_due(&mut self, index: usize) {
        if self.options.sabotage == Some(Sabotage::ForgetDeadlines) {
            return;
        }
        let agent = &mut self.agents[index];
        let Some(due) = agent.ward.as_ref().and_then(Ward::next_deadline) else {
            return;
        };
        // Not at once: a clock that drifts is met a little late rather than early.
        let at = agent.when(due).max(self.now + 200);
        if agent.due.is_none_or(|planned| at < planned) {
            agent.due = Some(at);
            let happening = Happening::AgentDue {
                agent: index,
                life: agent.life,
            };
            self.push(at, happening);
        }
    }

    pub(crate) fn agent_due(&mut self, index: usize) {
        let agent = &mut self.agents[index];
        agent.due = None;
        let tick = agent.tick(self.now);
        let due = agent.ward.as_ref().and_then(Ward::next_deadline);
        if due.is_some_and(|due| due <= tick) {
            self.agent_event(index, Event::Tick);
        } else {
            self.plan_due(index);
        }
    }
}

/// One line of a trace, cut to what fits.
pub(crate) fn brief(what: &impl std::fmt::Debug) -> String {
    let mut text = format!("{what:?}");
    if text.len() > 400 {
        let mut end = 400;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}
