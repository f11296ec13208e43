//! Others who talk to agents besides the consoles: who changes an injection's strength from another terminal, who
//! drives an agent without a console, who releases a latch that is not there any more.

use firedrill_ward::Reply;
use firedrill_wire::{
    CloseRequest, DrillId, EventKind, Fence, InjectionId, InjectionState, OpenRequest, PatchRequest,
    ReleaseRequest, Scope, StartRequest,
};

use crate::messages::{Body, From};
use crate::world::{Happening, World};

impl World {
    /// After a start: somebody may turn it up or down while it is on.
    pub(crate) fn may_be_changed(&mut self, life: u32, agent: usize) {
        if self.random.chance(2_500) {
            let us = self.random.between(10_000, 900_000);
            self.push(self.now + us, Happening::Change { life, agent });
        }
    }

    /// With the console's own secret, as a second window on its drill has it; a revision of its own each time. Often
    /// another change follows at once, and one of the two may overtake the other.
    pub(crate) fn changes_strength(&mut self, life: u32, agent: usize) {
        let tick = self.agents[agent].tick(self.now);
        let Some(console) = self.console(life).filter(|console| !console.gate_closed) else {
            return;
        };
        let status = &console.drill.agents()[agent];
        let newest = console
            .drill
            .injections()
            .iter()
            .rev()
            .find(|it| it.agent == agent);
        let (Some(opened), Some(injection)) = (&status.opened, newest) else {
            return;
        };
        if injection.state != Some(InjectionState::Active) {
            return;
        }
        let fence = Fence {
            drill: console.id.clone(),
            epoch: opened.epoch,
            instance: opened.stamp.instance.clone(),
            holder: opened.holder.clone(),
        };
        let id = injection.id.clone();
        self.others += 1;
        let request = PatchRequest {
            fence,
            revision: self.others,
            not_after: tick.plus_ms(self.random.between(100, 3_000)),
            parameters: self.others.into(),
        };
        let change = (id, Box::new(request));
        let console = self.console(life);
        let older = console.and_then(|it| it.last_change.replace(change.clone()));
        // An earlier one comes once more, behind it or before it.
        let older = older.filter(|_| self.random.chance(4_000));
        for (id, request) in older.into_iter().chain([change]) {
            let mut body = Body::Patch(id, request);
            if self.random.chance(1_000) {
                self.forge(&mut body);
            }
            self.transmit(life, agent, From::Call(0), body);
        }
        if self.random.chance(5_000) {
            let us = self.random.between(200, 300_000);
            self.push(self.now + us, Happening::Change { life, agent });
        }
    }

    /// What an agent tells gives others an idea.
    pub(crate) fn bystanders(&mut self, agent: usize, kind: &EventKind) {
        if self.healed {
            return;
        }
        match kind {
            EventKind::Ended { .. } if self.random.chance(300) => self.stranger_comes(agent),
            EventKind::Latch { latch: Some(latch) } if self.random.chance(2_000) => {
                // Of a former latch, or of one that nobody has set yet.
                let latch = if latch.number > 1 && self.random.chance(5_000) {
                    latch.number - 1
                } else {
                    latch.number + 1
                };
                let body = Body::Release(ReleaseRequest {
                    latch,
                    reason: "checked".to_owned(),
                    who: "carl".to_owned(),
                });
                self.send(agent, From::Call(0), body);
            }
            _ => {}
        }
    }

    /// An agent that has just become free is taken at once by somebody with a script.
    fn stranger_comes(&mut self, agent: usize) {
        self.others += 1;
        let number = self.others;
        let request = OpenRequest {
            drill: stranger(number),
            nonce: "script".to_owned(),
            experiment: "script".to_owned(),
            console: "script".to_owned(),
            who: "carl".to_owned(),
            lease_ms: 2_000,
        };
        self.send(agent, From::Stranger(number), Body::Open(request));
    }

    pub(crate) fn stranger_hears(&mut self, agent: usize, number: u64, reply: Reply) {
        match reply {
            Reply::Opened(opened) => {
                let start = StartRequest {
                    fence: Fence {
                        drill: stranger(number),
                        epoch: opened.epoch,
                        instance: opened.stamp.instance,
                        holder: opened.holder,
                    },
                    fault: "http.latency".into(),
                    parameters: serde_json::Value::Null,
                    scope: Scope {
                        route: Some("r1".to_owned()),
                        ..Scope::default()
                    },
                    ends_in_ms: self.random.between(100, 1_500),
                    ramp_ms: 0,
                    not_after: opened.stamp.tick.plus_ms(3_000),
                };
                let id = InjectionId(format!("{}-1", stranger(number)));
                self.send(agent, From::Stranger(number), Body::Start(id, Box::new(start)));
            }
            // Or it is left to its lease.
            Reply::Injection(view) if self.random.chance(6_000) => {
                let body = Body::Close(view.epoch, CloseRequest::default());
                self.send(agent, From::Stranger(number), body);
            }
            _ => {}
        }
    }
}

fn stranger(number: u64) -> DrillId {
    DrillId(format!("stranger-{number}"))
}
