//! A console: the drill as shipped, with a conductor around it that does what the effects say.

use std::collections::BTreeMap;

use firedrill_drill::{
    AbortedBy, Arming, At, Call, Command, Drill, Effect, Entry, Event, Failure, Phase, Reading, Reply,
    Sample, Setup,
};
use firedrill_wire::{
    AbortLine, AbortRequest, CloseRequest, DrillId, Fence, InjectionId, InjectionState, OpenRequest, Scope,
    StartRequest,
};

use crate::agent::brief;
use crate::fold::Fold;
use crate::messages::{Answer, Body, From};
use crate::paper::Paper;
use crate::plans;
use crate::report::{Rule, Sabotage};
use crate::world::{Happening, World};

/// The wall clock at the beginning of the world.
const WALL_MS: i64 = 1_790_000_000_000;

/// A call that was sent and not answered.
#[derive(Clone, Debug)]
struct Sent {
    agent: usize,
    call: Call,
}

/// The abort path, exercised.
#[derive(Clone, Debug)]
struct Test {
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
    folds: BTreeMap<usize, (Fold, u64)>,
}

pub(crate) struct Console {
    pub life: u32,
    pub drill: Drill,
    id: DrillId,
    made_us: u64,
    /// The flag that a press of ABORT sets: nothing that starts, strengthens or renews is sent any more.
    pub gate_closed: bool,
    calls: BTreeMap<u64, Sent>,
    beats: BTreeMap<usize, (u64, u64)>,
    tests: BTreeMap<u64, Test>,
    order: Option<Order>,
    sampling: bool,
    last_value: f64,
    pub paper: Paper,
    pub frozen_until: u64,
    wall_jump_ms: i64,
    pub ended: bool,
    last_start: Option<(usize, InjectionId, Box<StartRequest>)>,
    next_no: u64,
}

impl Console {
    fn no(&mut self) -> u64 {
        self.next_no += 1;
        // Numbers of different lives differ, so that a late answer finds nobody.
        u64::from(self.life) * 1_000_000 + self.next_no
    }

    pub fn at(&self, now: u64) -> At {
        let wall_ms = WALL_MS + (now / 1_000) as i64 + self.wall_jump_ms;
        At {
            mono_us: now - self.made_us,
            wall_ms,
        }
    }

    /// Nothing keeps this process any more.
    pub fn is_over(&self) -> bool {
        let told = self
            .order
            .as_ref()
            .is_none_or(|order| order.folds.values().all(|(fold, _)| fold.clean));
        self.ended && told
    }
}

impl World {
    pub(crate) fn console_up(&mut self) {
        self.console_life += 1;
        let life = self.console_life;
        let (plan, plan_text) = plans::choose(&mut self.random, self.agents.len());
        let id = DrillId(format!("drill-{life}"));
        let setup = Setup {
            drill: id.clone(),
            plan,
            plan_text,
            version: "simulated".to_owned(),
            experiment: 0,
            seed: self.random.next(),
            console: format!("console-{life}"),
            who: "ann".to_owned(),
            arming: if self.random.chance(7_000) {
                Arming::AtOnce
            } else {
                Arming::Ask
            },
        };
        let at = At {
            mono_us: 0,
            wall_ms: WALL_MS + (self.now / 1_000) as i64,
        };
        let (drill, effects) = Drill::new(setup, at);
        self.console = Some(Console {
            life,
            drill,
            id,
            made_us: self.now,
            gate_closed: false,
            calls: BTreeMap::new(),
            beats: BTreeMap::new(),
            tests: BTreeMap::new(),
            order: None,
            sampling: false,
            last_value: plans::GOOD,
            paper: Paper::default(),
            frozen_until: 0,
            wall_jump_ms: 0,
            ended: false,
            last_start: None,
            next_no: 0,
        });
        self.rules.console_begins();
        self.trace(|_| format!("console {life} begins"));
        self.push(self.now + 250_000, Happening::Tick { life });
        self.console_effects(effects);
    }

    pub(crate) fn console_crash(&mut self) {
        let Some(mut console) = self.console.take() else {
            return;
        };
        self.counts.console_crashes += 1;
        self.trace(|_| format!("console {} dies", console.life));
        let torn = self.random.next();
        console.paper.tear(torn);
        self.file(&console);
        if self.random.chance(5_000) && !self.healed {
            let us = self.random.between(200_000, 5_000_000);
            self.push(self.now + us, Happening::ConsoleUp);
        }
    }

    /// Journal first, then the drill, then what it asks for.
    pub(crate) fn console_event(&mut self, event: Event) {
        if self.console.as_ref().is_none_or(|console| console.ended) {
            return;
        }
        self.trace(|_| format!("console <- {}", brief(&event)));
        let now = self.now;
        let Some(console) = self.console.as_mut() else {
            return;
        };
        let at = console.at(now);
        let written = console.paper.append(at, &Entry::event(&event));
        let effects = console.drill.step(at, event);
        if let Err(why) = written {
            self.journal_failed(why);
        }
        self.console_effects(effects);
    }

    fn journal_failed(&mut self, why: String) {
        self.counts.disk_full += 1;
        let Some(console) = self.console.as_mut() else {
            return;
        };
        if console.paper.tell_failure() {
            let life = console.life;
            self.push(
                self.now,
                Happening::Event {
                    life,
                    event: Box::new(Event::JournalFailed { why }),
                },
            );
        }
    }

    fn console_effects(&mut self, mut effects: Vec<Effect>) {
        if self.options.sabotage == Some(Sabotage::IntentLater) {
            for at in 1..effects.len() {
                if matches!(
                    &effects[at - 1],
                    Effect::Record {
                        entry: Entry::Intent { .. },
                        ..
                    }
                ) {
                    effects.swap(at - 1, at);
                }
            }
        }
        let mut unwritten = false;
        for effect in effects {
            if self.dies_now() {
                self.counts.at_effect_boundaries += 1;
                return self.console_crash();
            }
            self.trace(|_| format!("console -> {}", brief(&effect)));
            match effect {
                Effect::Record { entry, durable } => unwritten |= !self.record(&entry, durable),
                // What the journal does not have is not done.
                Effect::Call {
                    agent,
                    call: Call::Start(id, _),
                } if unwritten => {
                    self.no_answer(
                        agent,
                        &Call::Start(id, Box::new(empty_start())),
                        "the journal cannot be written",
                    );
                }
                Effect::Call { agent, call } => self.call(agent, call),
                Effect::CheckSource => {
                    let life = self.console_life;
                    self.push(self.now + 20_000, Happening::SourceChecked { life });
                }
                Effect::TestAbort { agent, drill } => self.begin_test(agent, drill),
                Effect::HoldAbortLine { agents } => {
                    let life = self.console_life;
                    for agent in agents {
                        self.push(self.now, Happening::Beat { life, agent });
                    }
                }
                Effect::Abort { latch, reason } => self.order(latch, reason),
                Effect::WriteAbortCard => self.card = self.console.as_ref().map(|console| console.id.clone()),
                Effect::End { verdict } => {
                    self.counts.verdicts[verdict.outcome as usize] += 1;
                    if let Some(console) = self.console.as_mut() {
                        console.ended = true;
                        let at = console.at(self.now);
                        console.paper.close(at);
                    }
                    self.check_verdict(&verdict);
                }
            }
        }
    }

    /// Whether it is where it was asked to be.
    fn record(&mut self, entry: &Entry, durable: bool) -> bool {
        let now = self.now;
        let Some(console) = self.console.as_mut() else {
            return false;
        };
        let at = console.at(now);
        let mut written = console.paper.append(at, entry);
        if durable {
            written = written.and_then(|()| console.paper.sync());
        }
        match written {
            Ok(()) => true,
            Err(why) => {
                self.journal_failed(why);
                false
            }
        }
    }

    fn call(&mut self, agent: usize, call: Call) {
        let Some(console) = self.console.as_mut() else {
            return;
        };
        let gated = matches!(call, Call::Open(_) | Call::Start(..) | Call::Renew(_));
        if gated && console.gate_closed {
            return self.no_answer(agent, &call, "an abort was pressed");
        }
        let no = console.no();
        let (life, limit_ms) = (console.life, time_out_ms(&call));
        console.calls.insert(
            no,
            Sent {
                agent,
                call: call.clone(),
            },
        );
        if let Call::Start(id, request) = &call {
            console.last_start = Some((agent, id.clone(), request.clone()));
            console.paper.sent.insert(id.clone());
            if !console.paper.has_intent(id) {
                self.broken(
                    Rule::JournalFirst,
                    format!("{id} is sent before its intent is on disk"),
                );
            }
        }
        self.push(self.now + limit_ms * 1_000, Happening::CallLimit { life, no });
        self.transmit(agent, From::Call(no), into_body(call));
    }

    /// The last moment before a message leaves the console.
    fn transmit(&mut self, agent: usize, from: From, body: Body) {
        let starts = matches!(body, Body::Open(_) | Body::Start(..) | Body::Renew(_));
        if starts && self.console.as_ref().is_some_and(|console| console.gate_closed) {
            self.broken(Rule::AbortWins, format!("sent after the abort: {}", brief(&body)));
        }
        self.remember(agent, &body);
        self.send(agent, from, body);
    }

    fn no_answer(&mut self, agent: usize, call: &Call, why: &str) {
        let life = self.console_life;
        let reply = unanswered(call, why);
        self.push(
            self.now,
            Happening::Event {
                life,
                event: Box::new(Event::Agent { agent, reply }),
            },
        );
    }

    pub(crate) fn call_limit(&mut self, no: u64) {
        let Some(Sent { agent, call }) = self
            .console
            .as_mut()
            .and_then(|console| console.calls.remove(&no))
        else {
            return;
        };
        self.console_event(Event::Agent {
            agent,
            reply: unanswered(&call, "no answer within the time-out"),
        });
    }

    pub(crate) fn console_answer(&mut self, agent: usize, from: From, answer: Answer) {
        match from {
            From::Call(no) => {
                let sent = self
                    .console
                    .as_mut()
                    .and_then(|console| console.calls.remove(&no));
                if let Some(Sent { agent, call }) = sent {
                    let reply = answered(&call, answer);
                    self.console_event(Event::Agent { agent, reply });
                }
            }
            From::Beat(no) => self.beaten(agent, no, answer),
            From::Test(no) => self.test_answer(no, answer),
            From::Line(no) => self.line_answer(agent, no, answer),
            From::Card | From::Person => {}
        }
    }

    pub(crate) fn told(&mut self, agent: usize, kind: firedrill_wire::EventKind) {
        let reply = match kind {
            firedrill_wire::EventKind::Injection { injection: mut view } => {
                let believes = self.options.sabotage == Some(Sabotage::BelieveReverting);
                if believes && view.state == InjectionState::Reverting {
                    view.state = InjectionState::Reverted;
                }
                Reply::Injection { view }
            }
            firedrill_wire::EventKind::Latch { latch } => Reply::Latch { latch },
            _ => return,
        };
        if self.console.as_ref().is_some_and(|console| !console.ended) {
            self.console_event(Event::Agent { agent, reply });
        }
    }

    pub(crate) fn console_tick(&mut self, life: u32) {
        let Some(console) = self.console.as_ref().filter(|console| !console.ended) else {
            return;
        };
        let arms = console.drill.phase() == Phase::Arming
            && console.drill.setup().arming == Arming::Ask
            && console.drill.arming().ready;
        self.push(self.now + 250_000, Happening::Tick { life });
        self.console_event(Event::Tick);
        self.check_samples();
        if arms && self.random.chance(5_000) {
            self.console_event(Event::Command {
                command: Command::Arm,
            });
        }
    }

    pub(crate) fn source_checked(&mut self) {
        let silent = self.now < self.source.silent_until;
        let result = if silent {
            Err("the source does not answer".to_owned())
        } else {
            Ok(Vec::new())
        };
        let Some(console) = self.console.as_mut() else {
            return;
        };
        let begins = !console.sampling;
        console.sampling = true;
        let life = console.life;
        if begins {
            self.push(self.now, Happening::Sample { life });
        }
        self.console_event(Event::SourceChecked { result });
    }

    pub(crate) fn sample(&mut self, life: u32) {
        let us = plans::EVERY_MS * 1_000 + self.random.between(0, 20_000);
        self.push(self.now + us, Happening::Sample { life });
        let silent = self.now < self.source.silent_until;
        let bad = self.now < self.source.bad_until;
        let repeats = self.options.sabotage == Some(Sabotage::RepeatSamples);
        let source_ms = WALL_MS + (self.now / 1_000) as i64;
        let Some(console) = self.console.as_mut().filter(|console| !console.ended) else {
            return;
        };
        let reading = if silent && !repeats {
            if source_ms % 2 == 0 {
                // It does not even fail.
                return;
            }
            Reading::NoData {
                why: "the source does not answer".to_owned(),
            }
        } else {
            if !silent {
                console.last_value = if bad { plans::BAD } else { plans::GOOD };
            }
            Reading::Value {
                value: console.last_value,
                rate: None,
            }
        };
        if !silent {
            self.rules.sampled(self.now, bad, &console.drill);
        }
        let samples = vec![Sample {
            sli: 0,
            source_ms,
            age_ms: 5,
            reading,
        }];
        self.console_event(Event::Samples { samples });
    }

    pub(crate) fn beat(&mut self, life: u32, agent: usize) {
        self.push(self.now + 1_000_000, Happening::Beat { life, agent });
        let now = self.now;
        let Some(console) = self.console.as_mut().filter(|console| !console.is_over()) else {
            return;
        };
        let no = console.no();
        // The one before was not answered within its second.
        let missed = console.beats.insert(agent, (no, now)).is_some();
        let ended = console.ended;
        if missed && !ended {
            self.console_event(Event::Agent {
                agent,
                reply: Reply::Heartbeat {
                    rtt_us: None,
                    stamp: None,
                },
            });
        }
        self.send(agent, From::Beat(no), Body::Info);
    }

    fn beaten(&mut self, agent: usize, no: u64, answer: Answer) {
        let now = self.now;
        let Some(console) = self.console.as_mut().filter(|console| !console.ended) else {
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
        let Answer::Info(info) = answer else { return };
        console.beats.remove(&agent);
        let latch = info.latch.clone();
        self.console_event(Event::Agent {
            agent,
            reply: Reply::Heartbeat {
                rtt_us: Some(now - sent),
                stamp: Some(info.stamp.clone()),
            },
        });
        if latch.is_some() {
            self.console_event(Event::Agent {
                agent,
                reply: Reply::Latch { latch },
            });
        }
    }

    fn begin_test(&mut self, agent: usize, drill: DrillId) {
        let Some(console) = self.console.as_mut() else {
            return;
        };
        let (no, life) = (console.no(), console.life);
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
        if self.console.as_ref().is_some_and(|console| console.gate_closed) {
            return self.end_test(no, Err("an abort came in between".to_owned()));
        }
        self.transmit(agent, From::Test(no), Body::Open(request));
    }

    pub(crate) fn end_test(&mut self, no: u64, result: Result<u64, String>) {
        let Some(test) = self
            .console
            .as_mut()
            .and_then(|console| console.tests.remove(&no))
        else {
            return;
        };
        if result.is_err() {
            // What it may have left is taken back.
            self.send(test.agent, From::Test(no), Body::Abort(test_abort(&test.drill)));
        }
        self.console_event(Event::Agent {
            agent: test.agent,
            reply: Reply::AbortTested { result },
        });
    }

    fn test_answer(&mut self, no: u64, answer: Answer) {
        use firedrill_ward::Reply as Said;
        let now = self.now;
        let Some(console) = self.console.as_mut() else {
            return;
        };
        let gate_closed = console.gate_closed;
        let Some(test) = console.tests.get_mut(&no) else {
            return;
        };
        let (agent, drill) = (test.agent, test.drill.clone());
        match answer {
            Answer::Reply(Said::Opened(_) | Said::Injection(_)) if gate_closed => {
                self.end_test(no, Err("an abort came in between".to_owned()));
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
                self.end_test(no, result);
            }
            Answer::Reply(Said::Refused(problem)) => self.end_test(no, Err(problem.to_string())),
            Answer::Torn => self.end_test(no, Err("the connection is gone".to_owned())),
            _ => {}
        }
    }

    /// The press of ABORT, or the drill's own stop: the flag first, then the agents; the drill hears of it later.
    pub(crate) fn order(&mut self, latch: bool, reason: String) {
        let now = self.now;
        let life = self.console_life;
        self.counts.aborts += 1;
        let Some(console) = self.console.as_mut() else {
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
        let fold = Fold::new(console.at(now));
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
        let again = self
            .console
            .as_ref()
            .and_then(|console| console.last_start.clone());
        if let (Some(Sabotage::SendAfterAbort), Some((agent, id, start))) = (self.options.sabotage, again) {
            self.transmit(agent, From::Call(0), Body::Start(id, start));
        }
    }

    /// A person at the window presses ABORT; the drill's loop hears of it when it comes to it.
    pub(crate) fn person_presses(&mut self) {
        let Some(life) = self
            .console
            .as_ref()
            .filter(|console| !console.ended)
            .map(|console| console.life)
        else {
            return;
        };
        self.order(true, "a person pressed ABORT".to_owned());
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
        let Some(order) = self.console.as_mut().and_then(|console| console.order.as_mut()) else {
            return;
        };
        if order.no != order_no {
            return;
        }
        let pressed_us = order.pressed_us;
        let Some((fold, heard_us)) = order.folds.get_mut(&agent) else {
            return;
        };
        if fold.clean {
            return;
        }
        let silent_us = now - *heard_us;
        let unheard = fold.status.received_us.is_none();
        let unclean = fold.status.ended && silent_us >= 1_000_000;
        if unheard || unclean || silent_us >= 3_000_000 {
            fold.status.sent += 1;
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

    fn line_answer(&mut self, agent: usize, order_no: u64, answer: Answer) {
        let now = self.now;
        let Some(console) = self.console.as_mut() else {
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
        let status = fold.status.clone();
        if !console.ended {
            self.console_event(Event::Agent {
                agent,
                reply: Reply::Abort { status },
            });
        }
    }

    pub(crate) fn wall_jumps(&mut self) {
        let ms = self.random.between(0, 7_200_000) as i64 - 3_600_000;
        self.counts.clock_jumps += 1;
        if let Some(console) = self.console.as_mut() {
            console.wall_jump_ms += ms;
        }
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

fn empty_start() -> StartRequest {
    StartRequest {
        fence: Fence {
            drill: DrillId(String::new()),
            epoch: firedrill_wire::Epoch(0),
            instance: firedrill_wire::Instance(String::new()),
            holder: firedrill_wire::HolderSecret(String::new()),
        },
        fault: "noop".into(),
        parameters: serde_json::Value::Null,
        scope: Scope::default(),
        ends_in_ms: 0,
        ramp_ms: 0,
        not_after: firedrill_wire::Tick(0),
    }
}

fn into_body(call: Call) -> Body {
    match call {
        Call::Info => Body::Info,
        Call::Open(request) => Body::Open(request),
        Call::Renew(request) => Body::Renew(request),
        Call::Start(id, request) => Body::Start(id, request),
        Call::Revert(id) => Body::Revert(id),
        Call::Close(epoch) => Body::Close(epoch, CloseRequest::default()),
    }
}

/// As the shipped driver has it.
fn time_out_ms(call: &Call) -> u64 {
    match call {
        Call::Info | Call::Open(_) | Call::Renew(_) => 2_000,
        Call::Start(..) => 5_000,
        Call::Revert(_) => 10_000,
        Call::Close(_) => 15_000,
    }
}

fn unanswered(call: &Call, why: &str) -> Reply {
    failed(call, Failure::NoAnswer { why: why.to_owned() })
}

fn failed(call: &Call, failure: Failure) -> Reply {
    match call {
        Call::Info => Reply::Info { result: Err(failure) },
        Call::Open(_) => Reply::Opened { result: Err(failure) },
        Call::Renew(_) => Reply::Renewed { result: Err(failure) },
        Call::Start(id, _) => Reply::Started {
            id: id.clone(),
            result: Err(failure),
        },
        Call::Revert(id) => Reply::Reverted {
            id: id.clone(),
            result: Err(failure),
        },
        Call::Close(_) => Reply::Closed { result: Err(failure) },
    }
}

fn answered(call: &Call, answer: Answer) -> Reply {
    use firedrill_ward::Reply as Said;
    match (call, answer) {
        (_, Answer::Reply(Said::Refused(problem))) => failed(call, Failure::Refused { problem }),
        (Call::Info, Answer::Info(info)) => Reply::Info { result: Ok(info) },
        (Call::Open(_), Answer::Reply(Said::Opened(opened))) => Reply::Opened { result: Ok(opened) },
        (Call::Renew(_), Answer::Reply(Said::Renewed(renewed))) => Reply::Renewed { result: Ok(renewed) },
        (Call::Start(id, _), Answer::Reply(Said::Injection(view))) => Reply::Started {
            id: id.clone(),
            result: Ok(view),
        },
        (Call::Revert(id), Answer::Reply(Said::Injection(view))) => Reply::Reverted {
            id: id.clone(),
            result: Ok(view),
        },
        (Call::Close(_), Answer::Reply(Said::Closed(closed))) => Reply::Closed { result: Ok(closed) },
        _ => unanswered(call, "the connection is gone"),
    }
}
