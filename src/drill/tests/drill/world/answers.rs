//! How the world answers what a drill asks of agents and of the abort line.

use firedrill_drill::{AbortStatus, AbortedInjection, Call, Event, Failure, Reply};
use firedrill_wire::{
    Closed, Epoch, Evidence, HolderSecret, InjectionId, InjectionState, InjectionView, Instance, LatchView,
    Opened, Problem, ProblemKind, Renewed, StartRequest, Tick,
};

use super::{Due, World};

impl World {
    pub(super) fn test_abort(&mut self, agent: usize) {
        if self.agents[agent].dead {
            return;
        }
        let result = if self.agents[agent].abort_test_fails {
            Err("noop did not go".to_owned())
        } else {
            Ok(1_500)
        };
        self.later(2_000, agent, Reply::AbortTested { result });
    }

    pub(super) fn carry_out_abort(&mut self, latch: bool) {
        let now_us = self.now_us;
        let at = self.at();
        for (index, agent) in self.agents.iter_mut().enumerate() {
            if agent.dead || !self.beating.contains(&index) {
                continue;
            }
            agent.open = false;
            if latch && agent.latch.is_none() {
                agent.latch = Some(LatchView {
                    number: 1,
                    reason: "abort".to_owned(),
                    who: "Ada".to_owned(),
                    since: Tick(0),
                });
            }
            let on: Vec<String> = agent
                .injections
                .iter()
                .filter(|(_, it)| !it.state.is_off())
                .map(|(id, _)| id.clone())
                .collect();
            for id in &on {
                agent.take_back(id, now_us, "abort");
            }
            let injections: Vec<AbortedInjection> = on
                .iter()
                .map(|id| AbortedInjection {
                    id: InjectionId::from(id.as_str()),
                    state: agent.injections[id].state,
                    proved: Some(true),
                    evidence: Evidence::default(),
                    by_hand: agent.injections[id].by_hand.clone(),
                })
                .collect();
            let status = AbortStatus {
                requested: at,
                received_us: Some(700),
                durable: Some(true),
                latch: agent.latch.as_ref().map(|it| it.number),
                reverted_us: Some(900),
                proved_us: Some(950),
                instance: Some(Instance::from(agent.instance.as_str())),
                injections,
                ended: true,
                sent: 1,
                problem: None,
            };
            let reply = Reply::Abort { status };
            self.queued += 1;
            let due = Due::Feed(Event::Agent { agent: index, reply });
            self.queue.push((now_us + 1_000, self.queued, due));
        }
    }

    pub(super) fn carry_out_call(&mut self, index: usize, call: Call) {
        let now_us = self.now_us;
        let gone = || Failure::NoAnswer {
            why: "no answer within 2 s".to_owned(),
        };
        let refused = |kind| Failure::Refused {
            problem: Problem::new(kind, "no", "no", "none"),
        };
        let agent = &mut self.agents[index];
        let dead = agent.dead;
        let delay = if dead { 2_000_000 } else { 1_000 };
        let reply = match call {
            Call::Info => Reply::Info {
                result: if dead {
                    Err(gone())
                } else {
                    let mut info = agent.info(now_us);
                    let needed = self.drill.agents()[index].needed;
                    info.open = self.neighbour_drill.clone().filter(|_| !needed);
                    Ok(Box::new(info))
                },
            },
            Call::Open(_) if dead => Reply::Opened { result: Err(gone()) },
            Call::Open(request) => {
                let result = if let Some(kind) = agent.refuses_open {
                    Err(refused(kind))
                } else {
                    if !agent.open {
                        agent.epoch += 1;
                    }
                    agent.open = true;
                    let stamp = agent.stamp(now_us);
                    Ok(Opened {
                        deadline: stamp.tick.plus_ms(request.lease_ms),
                        stamp,
                        epoch: Epoch(agent.epoch),
                        holder: HolderSecret("s3cret".to_owned()),
                    })
                };
                Reply::Opened { result }
            }
            Call::Renew(request) => {
                let stamp = agent.stamp(now_us);
                let result = if dead || agent.loses_renewals {
                    Err(gone())
                } else if !agent.open || request.fence.instance.as_str() != agent.instance {
                    Err(refused(ProblemKind::Fenced))
                } else {
                    Ok(Renewed {
                        deadline: request.seen.plus_ms(4_000),
                        stamp,
                    })
                };
                Reply::Renewed { result }
            }
            Call::Start(id, request) => return self.start(index, id, &request),
            Call::Change(id, request) => {
                let revision = request.revision;
                let loses = agent.loses_change_answers;
                let result = match (agent.refuses_change, agent.injections.get_mut(id.as_str())) {
                    _ if dead => Err(gone()),
                    (Some(kind), _) => Err(refused(kind)),
                    (None, Some(view)) if view.state == InjectionState::Active => {
                        assert_eq!(request.fence.holder.0, "s3cret");
                        assert!(revision > view.revision, "an old change");
                        view.revision = revision;
                        view.parameters = request.parameters;
                        if loses {
                            Err(gone())
                        } else {
                            Ok(Box::new(view.clone()))
                        }
                    }
                    (None, _) => Err(refused(ProblemKind::Fenced)),
                };
                Reply::Changed { id, revision, result }
            }
            Call::Revert(_) if agent.loses_reverts => return,
            Call::Revert(id) => {
                agent.take_back(id.as_str(), now_us, "revert");
                let result = match agent.injections.get(id.as_str()) {
                    _ if dead => Err(gone()),
                    Some(view) => Ok(Box::new(view.clone())),
                    None => Err(refused(ProblemKind::Unknown)),
                };
                Reply::Reverted { id, result }
            }
            Call::Close(..) => {
                agent.open = false;
                let result = if dead {
                    Err(gone())
                } else {
                    Ok(Closed {
                        stamp: agent.stamp(now_us),
                        injections: agent.injections.values().cloned().collect(),
                    })
                };
                Reply::Closed { result }
            }
        };
        self.later(delay, index, reply);
    }

    fn start(&mut self, index: usize, id: InjectionId, request: &StartRequest) {
        let now_us = self.now_us;
        let agent = &mut self.agents[index];
        let refusal = match agent.refuses_start {
            _ if agent.dead => Some(Failure::NoAnswer {
                why: "connection refused".to_owned(),
            }),
            Some(kind) => Some(Failure::Refused {
                problem: Problem::new(kind, "no", "no", "none"),
            }),
            None => None,
        };
        if let Some(failure) = refusal {
            let result = Err(failure);
            return self.later(1_000, index, Reply::Started { id, result });
        }
        assert_eq!(request.fence.holder.0, "s3cret");
        assert!(
            request.not_after.0 > agent.stamp(now_us).tick.0,
            "a start that is late at once"
        );
        let one_shot = request.fault.as_str() == "tcp.cut";
        let stamp = agent.stamp(now_us);
        let view = InjectionView {
            ends_at: stamp.tick.plus_ms(request.ends_in_ms),
            active_since: Some(stamp.tick),
            started_by: stamp.instance.clone(),
            stamp,
            id: id.clone(),
            drill: request.fence.drill.clone(),
            epoch: request.fence.epoch,
            fault: request.fault.clone(),
            scope: request.scope.clone(),
            parameters: request.parameters.clone(),
            revision: 0,
            state: if one_shot {
                InjectionState::Done
            } else {
                InjectionState::Active
            },
            ends_in_ms: request.ends_in_ms,
            lease_left_ms: 4_000,
            undone: None,
            by_hand: None,
            reason: None,
            evidence: Evidence::default(),
            proved: None,
        };
        agent.injections.insert(id.to_string(), view.clone());
        let result = if agent.loses_start_answers {
            Err(Failure::NoAnswer {
                why: "timed out".to_owned(),
            })
        } else {
            Ok(Box::new(view.clone()))
        };
        if !one_shot {
            let after_us = request.ends_in_ms * 1_000 + 2_000;
            self.due(now_us + after_us, Due::End(index, id.clone()));
        }
        self.later(1_000, index, Reply::Started { id, result });
    }
}
