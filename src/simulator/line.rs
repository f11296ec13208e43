//! The abort line: heartbeats, the test of the abort path, and aborts that go on until they are proved clean.

use std::collections::BTreeMap;

use firedrill_drill::{AbortFold, AbortedBy, Command, Event, Reply};
use firedrill_wire::{AbortLine, AbortRequest, DrillId, Fence, InjectionId, OpenRequest, StartRequest};

use crate::calls::empty_start;
use crate::messages::{Answer, Body, From};
use crate::report::Sabotage;
use crate::world::{Happening, World};

/// The abort path, exercised.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    agent: usize,
    drill: DrillId,
    aborted_us: Option<u64>,
}

/// An abort that the abort line carries out until every agent has proved it clean.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    no: u64,
    request: AbortRequest,
    pressed_us: u64,
    folds: BTreeMap<usize, (AbortFold, u64)>,
}

impl Order {
    /// Every agent has proved it clean.
    pub fn is_clean(&self) -> bool {
        self.folds.values().all(|(fold, _)| fold.clean())
    }
}

impl World {
    pub(crate) fn beat(&mut self, life: u32, agent: usize) {
        let now = self.now;
        if self.console(life).is_none_or(|console| console.is_over()) {
            return;
        }
        self.push(now + 1_000_000, Happening::Beat { life, agent });
        let Some(console) = self.console(life).filter(|console| !console.is_over()) else {
            return;
        };
        let no = console.no();
        // The one before was not answered within its second.
        let missed = console.beats.insert(agent, (no, now)).is_some();
        let ended = console.ended;
        if missed && !ended {
            let reply = Reply::Heartbeat {
                rtt_us: None,
                stamp: None,
            };
            self.console_event(life, Event::Agent { agent, reply });
        }
        self.send(agent, From::Beat(no), Body::Beat);
    }

    pub(crate) fn beaten(&mut self, life: u32, agent: usize, no: u64, answer: Answer) {
        let now = self.now;
        let Some(console) = self.console(life).filter(|console| !console.ended) else {
            return;
        };
        let Some((_, sent)) = console
            .beats
            .get(&agent)
            .copied()
            .filter(|(sent_no, _)| *sent_no == no)
        else {
            return;
        };
        let Answer::Beat { stamp, latch } = answer else {
            return;
        };
        console.beats.remove(&agent);
        console.sight.beaten.insert(agent, now);
        let reply = Reply::Heartbeat {
            rtt_us: Some(now - sent),
            stamp: Some(stamp),
        };
        self.console_event(life, Event::Agent { agent, reply });
        if latch.is_some() {
            let reply = Reply::Latch { latch };
            self.console_event(life, Event::Agent { agent, reply });
        }
    }

    pub(crate) fn begin_test(&mut self, life: u32, agent: usize, drill: DrillId) {
        let Some(console) = self.console(life) else {
            return;
        };
        let no = console.no();
        console.tests.insert(
            no,
            Test {
                agent,
                drill: drill.clone(),
                aborted_us: None,
            },
        );
        self.push(self.now + 5_000_000, Happening::TestLimit { life, no });
        let request = OpenRequest {
            nonce: format!("nonce-{drill}"),
            drill,
            experiment: "abort test".to_owned(),
            console: "console".to_owned(),
            who: "ann".to_owned(),
            lease_ms: 2_000,
        };
        if self.console(life).is_some_and(|console| console.gate_closed) {
            return self.end_test(life, no, Err("an abort came in between".to_owned()));
        }
        self.transmit(life, agent, From::Test(no), Body::Open(request));
    }

    pub(crate) fn end_test(&mut self, life: u32, no: u64, result: Result<u64, String>) {
        let now = self.now;
        let Some(console) = self.console(life) else {
            return;
        };
        let Some(Test { agent, drill, .. }) = console.tests.remove(&no) else {
            return;
        };
        if result.is_ok() {
            console.sight.tested.insert(agent, now);
        } else {
            // What it may have left is taken back.
            self.send(agent, From::Test(no), Body::Abort(test_abort(&drill)));
        }
        let reply = Reply::AbortTested { result };
        self.console_event(life, Event::Agent { agent, reply });
    }

    pub(crate) fn test_answer(&mut self, life: u32, no: u64, answer: Answer) {
        use firedrill_ward::Reply as Said;
        let now = self.now;
        let Some(console) = self.console(life) else {
            return;
        };
        let gate_closed = console.gate_closed;
        let Some(test) = console.tests.get_mut(&no) else {
            return;
        };
        let (agent, drill) = (test.agent, test.drill.clone());
        match answer {
            Answer::Reply(Said::Opened(_) | Said::Injection(_)) if gate_closed => {
                self.end_test(life, no, Err("an abort came in between".to_owned()));
            }
            Answer::Reply(Said::Opened(opened)) => {
                let fence = Fence {
                    drill: drill.clone(),
                    epoch: opened.epoch,
                    instance: opened.stamp.instance,
                    holder: opened.holder,
                };
                let not_after = opened.stamp.tick.plus_ms(3_000);
                let request = StartRequest {
                    fence,
                    ends_in_ms: 2_000,
                    not_after,
                    ..empty_start()
                };
                self.transmit(
                    life,
                    agent,
                    From::Test(no),
                    Body::Start(InjectionId(format!("{drill}-noop")), Box::new(request)),
                );
            }
            Answer::Reply(Said::Injection(_)) if test.aborted_us.is_none() => {
                test.aborted_us = Some(now);
                self.send(agent, From::Test(no), Body::Abort(test_abort(&drill)));
            }
            Answer::Line(AbortLine::End { clean, .. }) => {
                let us = test.aborted_us.map(|sent| now - sent);
                let result = us.filter(|_| clean).ok_or_else(|| "not proved clean".to_owned());
                self.end_test(life, no, result);
            }
            Answer::Reply(Said::Refused(problem)) => self.end_test(life, no, Err(problem.to_string())),
            Answer::Torn => self.end_test(life, no, Err("the connection is gone".to_owned())),
            _ => {}
        }
    }

    /// The press of ABORT, or the drill's own stop: the flag first, then the agents; the drill hears of it later.
    pub(crate) fn order(&mut self, life: u32, latch: bool, reason: String) {
        let now = self.now;
        self.counts.aborts += 1;
        let Some(console) = self.console(life) else {
            return;
        };
        console.gate_closed = true;
        let no = console.no();
        let request = AbortRequest {
            abort: Some(format!("order-{no}")),
            drill: Some(console.id.clone()),
            latch,
            reason: Some(reason),
            who: Some("ann".to_owned()),
        };
        let needed: Vec<usize> = console
            .drill
            .agents()
            .iter()
            .enumerate()
            .filter(|(_, status)| status.needed)
            .map(|(agent, _)| agent)
            .collect();
        let fold = AbortFold::new(console.at(now));
        let folds = needed.iter().map(|agent| (*agent, (fold.clone(), now))).collect();
        console.order = Some(Order {
            no,
            request,
            pressed_us: now,
            folds,
        });
        for agent in needed {
            self.push(
                now,
                Happening::Line {
                    life,
                    agent,
                    order: no,
                },
            );
        }
        if self.options.sabotage == Some(Sabotage::SendAfterAbort)
            && let Some((agent, id, start)) =
                self.console(life).and_then(|console| console.last_start.clone())
        {
            self.transmit(life, agent, From::Call(0), Body::Start(id, start));
        }
    }

    /// A person at the window presses ABORT; the drill's loop hears of it when it comes to it.
    pub(crate) fn person_presses(&mut self, life: u32) {
        if self.console(life).is_none_or(|console| console.ended) {
            return;
        }
        self.order(life, true, "a person pressed ABORT".to_owned());
        let us = self.random.between(0, 400_000);
        let by = AbortedBy::Person("ann".to_owned());
        let command = Command::Abort {
            by,
            reason: "smoke".to_owned(),
        };
        self.push(
            self.now + us,
            Happening::Event {
                life,
                event: Box::new(Event::Command { command }),
            },
        );
    }

    /// Sends the abort to one agent, and again until it is proved clean.
    pub(crate) fn line(&mut self, life: u32, agent: usize, order_no: u64) {
        let now = self.now;
        let Some(order) = self.console(life).and_then(|console| console.order.as_mut()) else {
            return;
        };
        if order.no != order_no {
            return;
        }
        let pressed_us = order.pressed_us;
        let Some((fold, heard_us)) = order.folds.get_mut(&agent) else {
            return;
        };
        if fold.clean() {
            return;
        }
        let silent_us = now - *heard_us;
        let unheard = fold.status().received_us.is_none();
        let unclean = fold.status().ended && silent_us >= 1_000_000;
        if unheard || unclean || silent_us >= 3_000_000 {
            fold.sent();
            *heard_us = now;
            let request = order.request.clone();
            self.send(agent, From::Line(order_no), Body::Abort(request));
        }
        let wait_us = if now - pressed_us < 2_000_000 {
            200_000
        } else {
            1_000_000
        };
        self.push(
            now + wait_us,
            Happening::Line {
                life,
                agent,
                order: order_no,
            },
        );
    }

    pub(crate) fn line_answer(&mut self, life: u32, agent: usize, order_no: u64, answer: Answer) {
        let now = self.now;
        let Some(console) = self.console(life) else {
            return;
        };
        let Some(order) = console.order.as_mut().filter(|order| order.no == order_no) else {
            return;
        };
        let Answer::Line(line) = answer else { return };
        let us = now - order.pressed_us;
        let Some((fold, heard_us)) = order.folds.get_mut(&agent) else {
            return;
        };
        *heard_us = now;
        fold.line(line, us);
        let status = fold.status().clone();
        let reply = Reply::Abort { status };
        self.console_event(life, Event::Agent { agent, reply });
    }
}

fn test_abort(drill: &DrillId) -> AbortRequest {
    AbortRequest {
        abort: Some(format!("test-{drill}")),
        drill: Some(drill.clone()),
        latch: false,
        reason: Some("abort test".to_owned()),
        who: Some("ann".to_owned()),
    }
}
