//! A console: the drill as shipped, with a conductor around it that does what the effects say.

use std::collections::BTreeMap;

use firedrill_drill::{
    ABORT_TEST_GOOD_MS, Arming, At, Call, Command, Drill, Effect, Entry, Event, Phase, Reading, Reply,
    Sample, Setup,
};
use firedrill_wire::{DrillId, InjectionId, InjectionState, PatchRequest, StartRequest};

use crate::calls::{answered, into_body, time_out_ms, unanswered};
use crate::line::{Order, Test};
use crate::messages::{Answer, Body, From, LIFE};
use crate::paper::Paper;
use crate::plans;
use crate::report::{Rule, Sabotage};
use crate::serving::brief;
use crate::sight::Sight;
use crate::world::{Happening, World};

/// Between two ticks of a drill.
const TICK_US: u64 = 400_000;
/// The wall clock at the beginning of the world.
const WALL_MS: i64 = 1_790_000_000_000;

/// A call that was sent and not answered.
#[derive(Clone, Debug)]
struct Sent {
    agent: usize,
    call: Call,
}

pub(crate) struct Console {
    pub life: u32,
    /// Its place: after a crash another may take it.
    pub slot: usize,
    pub drill: Drill,
    pub id: DrillId,
    made_us: u64,
    /// Its person is away from the window for so long.
    arms_after_us: u64,
    /// Its clock's drift, in millionths.
    drift: i64,
    pub sight: Sight,
    /// The flag that a press of ABORT sets: nothing that starts, strengthens or renews is sent any more.
    pub gate_closed: bool,
    calls: BTreeMap<u64, Sent>,
    pub beats: BTreeMap<usize, (u64, u64)>,
    pub tests: BTreeMap<u64, Test>,
    pub order: Option<Order>,
    sampling: bool,
    last_value: f64,
    last_ms: i64,
    pub paper: Paper,
    pub frozen_until: u64,
    wall_jump_ms: i64,
    pub ended: bool,
    /// Its person turns faults up and down, and how often it still holds the drill.
    pub turns: bool,
    pub holds: u32,
    pub last_start: Option<(usize, InjectionId, Box<StartRequest>)>,
    /// The last change of an injection's strength under this console's name.
    pub last_change: Option<(InjectionId, Box<PatchRequest>)>,
    next_no: u64,
}

impl Console {
    pub fn no(&mut self) -> u64 {
        self.next_no += 1;
        // Numbers of different lives differ, so that a late answer finds nobody.
        u64::from(self.life) * LIFE + self.next_no
    }

    pub fn at(&self, now: u64) -> At {
        let passed = (now - self.made_us).cast_signed();
        let wall_ms = WALL_MS + (now / 1_000).cast_signed() + self.wall_jump_ms;
        At {
            mono_us: (passed + passed * self.drift / 1_000_000).max(0).cast_unsigned(),
            wall_ms,
        }
    }

    /// Nothing keeps this process any more.
    pub fn is_over(&self) -> bool {
        let told = self.order.as_ref().is_none_or(Order::is_clean);
        self.ended && told
    }
}

impl World {
    pub(crate) fn console_up(&mut self, slot: usize) {
        if self.healed || self.consoles.iter().any(|it| it.slot == slot) {
            return;
        }
        self.lives += 1;
        let life = self.lives;
        let fleet = self.fleets[slot];
        let (plan, plan_text) = plans::choose(&mut self.random, self.agents.len(), fleet);
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
            wall_ms: WALL_MS + (self.now / 1_000).cast_signed(),
        };
        let (drill, effects) = Drill::new(setup, at);
        self.consoles.push(Console {
            life,
            slot,
            drift: self.random.between(0, 1_000).cast_signed() - 500,
            sight: Sight::default(),
            drill,
            id,
            made_us: self.now,
            // Now and then until the abort test has become too old.
            arms_after_us: u64::from(self.random.chance(200)) * (ABORT_TEST_GOOD_MS + 5_000) * 1_000,
            gate_closed: false,
            calls: BTreeMap::new(),
            beats: BTreeMap::new(),
            tests: BTreeMap::new(),
            order: None,
            sampling: false,
            last_value: plans::GOOD,
            last_ms: 0,
            paper: Paper::new(!self.replays && !self.consoles_die),
            frozen_until: 0,
            wall_jump_ms: 0,
            ended: false,
            turns: self.hands.chance(4_000),
            holds: u32::from(self.hands.chance(1_200)),
            last_start: None,
            last_change: None,
            next_no: 0,
        });
        self.trace(|_| format!("console {life} begins"));
        self.push(self.now + TICK_US, Happening::Tick { life });
        self.console_effects(life, effects);
    }

    pub(crate) fn console_crash(&mut self, life: u32) {
        let Some(place) = self.consoles.iter().position(|it| it.life == life) else {
            return;
        };
        let mut console = self.consoles.remove(place);
        self.counts.console_crashes += 1;
        self.trace(|_| format!("console {} dies", console.life));
        let torn = self.random.next();
        self.counts.torn += u64::from(console.paper.tear(torn));
        self.file(&console);
        if self.random.chance(5_000) && !self.healed {
            let us = self.random.between(200_000, 5_000_000);
            self.push(self.now + us, Happening::ConsoleUp { slot: console.slot });
        }
    }

    /// Journal first, then the drill, then what it asks for.
    pub(crate) fn console_event(&mut self, life: u32, event: Event) {
        let now = self.now;
        if self.console(life).is_none_or(|console| console.ended) {
            return;
        }
        self.trace(|_| format!("console {life} <- {}", brief(&event)));
        let Some(console) = self.console(life) else {
            return;
        };
        let at = console.at(now);
        let failed = matches!(event, Event::JournalFailed { .. });
        let written = console.paper.event(at, &event);
        let effects = console.drill.step(at, event);
        let goes_on = failed && console.drill.verdict().is_none() && !console.drill.is_ending();
        if goes_on {
            self.broken(
                Rule::JournalFirst,
                "the journal cannot be written and the drill goes on".to_owned(),
            );
        }
        if let Err(why) = written {
            self.journal_failed(life, why);
        }
        self.console_effects(life, effects);
    }

    fn journal_failed(&mut self, life: u32, why: String) {
        self.counts.disk_full += 1;
        let Some(console) = self.console(life) else {
            return;
        };
        if console.paper.tell_failure() {
            self.push(
                self.now,
                Happening::Event {
                    life,
                    event: Box::new(Event::JournalFailed { why }),
                },
            );
        }
    }

    fn console_effects(&mut self, life: u32, mut effects: Vec<Effect>) {
        let now = self.now;
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
        if let Some(console) = self.console(life) {
            let ending = console.drill.is_ending();
            if let Err((rule, words)) = console.sight.effects(now, &effects, ending) {
                self.broken(rule, format!("console {life}: {words}"));
            }
        }
        let mut unwritten = false;
        for effect in effects {
            if self.dies_now() {
                self.counts.at_effect_boundaries += 1;
                return self.console_crash(life);
            }
            self.trace(|_| format!("console {life} -> {}", brief(&effect)));
            match effect {
                Effect::Record { entry, durable } => unwritten |= !self.record(life, entry, durable),
                // What the journal does not have is not done.
                Effect::Call {
                    agent,
                    call: call @ (Call::Start(..) | Call::Change(..)),
                } if unwritten => {
                    self.no_answer(life, agent, &call, "the journal cannot be written");
                }
                Effect::Call { agent, call } => self.call(life, agent, call),
                Effect::CheckSource => {
                    self.push(self.now + 20_000, Happening::SourceChecked { life });
                }
                Effect::TestAbort { agent, drill } => self.begin_test(life, agent, drill),
                Effect::HoldAbortLine { agents } => {
                    for agent in agents {
                        self.push(self.now, Happening::Beat { life, agent });
                    }
                }
                Effect::Abort { latch, reason } => self.order(life, latch, reason),
                Effect::WriteAbortCard => {
                    let card = self.console(life).map(|console| console.id.clone());
                    self.cards.extend(card);
                }
                // Its plans name no Alertmanager, no budget, no alert and no action.
                Effect::CheckAlerts { .. }
                | Effect::ReadHistory
                | Effect::Alert { .. }
                | Effect::Act { .. } => {}
                Effect::End { verdict } => {
                    self.counts.verdicts[verdict.outcome as usize] += 1;
                    if let Some(console) = self.console(life) {
                        console.ended = true;
                        let at = console.at(now);
                        console.paper.close(at);
                    }
                    self.check_verdict(life, &verdict);
                }
            }
        }
    }

    /// Whether it is where it was asked to be.
    fn record(&mut self, life: u32, entry: Entry, durable: bool) -> bool {
        let now = self.now;
        let Some(console) = self.console(life) else {
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
                self.journal_failed(life, why);
                false
            }
        }
    }

    fn call(&mut self, life: u32, agent: usize, call: Call) {
        let now = self.now;
        let Some(console) = self.console(life) else {
            return;
        };
        let gated = matches!(
            call,
            Call::Open(_) | Call::Start(..) | Call::Change(..) | Call::Renew(_)
        );
        if gated && console.gate_closed {
            return self.no_answer(life, agent, &call, "an abort was pressed");
        }
        let no = console.no();
        let limit_ms = time_out_ms(&call);
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
            let contact = console.sight.starts(now, &console.drill);
            if !console.paper.has_intent(id) {
                self.broken(
                    Rule::JournalFirst,
                    format!("{id} is sent before its intent is on disk"),
                );
            }
            if let Err((rule, words)) = contact {
                self.broken(rule, format!("console {life}: {words}"));
            }
            self.may_be_changed(life, agent);
            self.trouble_at_start(agent);
        }
        if let Call::Change(id, request) = &call {
            self.changes(life, id, request);
        }
        self.push(self.now + limit_ms * 1_000, Happening::CallLimit { life, no });
        self.transmit(life, agent, From::Call(no), into_body(call));
    }

    /// The last moment before a message leaves the console.
    pub(crate) fn transmit(&mut self, life: u32, agent: usize, from: From, body: Body) {
        let starts = matches!(
            body,
            Body::Open(_) | Body::Start(..) | Body::Patch(..) | Body::Renew(_)
        );
        if starts && self.console(life).is_some_and(|console| console.gate_closed) {
            self.broken(Rule::AbortWins, format!("sent after the abort: {}", brief(&body)));
        }
        self.remember(agent, &body);
        self.send(agent, from, body);
    }

    fn no_answer(&mut self, life: u32, agent: usize, call: &Call, why: &str) {
        let reply = unanswered(call, why);
        self.push(
            self.now,
            Happening::Event {
                life,
                event: Box::new(Event::Agent { agent, reply }),
            },
        );
    }

    pub(crate) fn call_limit(&mut self, life: u32, no: u64) {
        let sent = self.console(life).and_then(|console| console.calls.remove(&no));
        let Some(Sent { agent, call }) = sent else {
            return;
        };
        let event = Event::Agent {
            agent,
            reply: unanswered(&call, "no answer within the time-out"),
        };
        self.console_event(life, event);
    }

    pub(crate) fn console_answer(&mut self, agent: usize, from: From, answer: Answer) {
        let Some(life) = from.life() else { return };
        match from {
            From::Call(no) => {
                let sent = self.console(life).and_then(|console| console.calls.remove(&no));
                if let Some(Sent { agent, call }) = sent {
                    let reply = answered(&call, answer);
                    self.console_event(life, Event::Agent { agent, reply });
                }
            }
            From::Beat(no) => self.beaten(life, agent, no, answer),
            From::Test(no) => self.test_answer(life, no, answer),
            From::Line(no) => self.line_answer(life, agent, no, answer),
            From::Card | From::Stranger(_) | From::Person => {}
        }
    }

    pub(crate) fn told(&mut self, agent: usize, life: u32, kind: firedrill_wire::EventKind) {
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
        self.console_event(life, Event::Agent { agent, reply });
    }

    pub(crate) fn console_tick(&mut self, life: u32) {
        let now = self.now;
        let Some(console) = self.console(life).filter(|console| !console.ended) else {
            return;
        };
        let asks = console.drill.phase() == Phase::Arming && console.drill.setup().arming == Arming::Ask;
        let arms = asks && console.drill.arming().ready;
        self.push(self.now + TICK_US, Happening::Tick { life });
        self.console_event(life, Event::Tick);
        if let Some(console) = self.console(life)
            && let Err((rule, words)) = console.sight.ticks(now, &console.drill)
        {
            self.broken(rule, format!("console {life}: {words}"));
        }
        let in_time = self
            .console(life)
            .is_some_and(|it| now >= it.made_us + it.arms_after_us);
        if arms && in_time && self.random.chance(5_000) {
            let command = Command::Arm;
            self.console_event(life, Event::Command { command });
        }
        self.at_the_lever(life);
        // Nobody waits for ever for what stands in the way of a start.
        if asks && !arms && self.healed && self.random.chance(1_000) {
            let command = Command::Finish;
            self.console_event(life, Event::Command { command });
        }
    }

    pub(crate) fn source_checked(&mut self, life: u32) {
        let silent = self.now < self.source.silent_until;
        let result = if silent {
            Err("the source does not answer".to_owned())
        } else {
            Ok(Vec::new())
        };
        let Some(console) = self.console(life) else {
            return;
        };
        let begins = !console.sampling;
        console.sampling = true;
        if begins {
            self.push(self.now, Happening::Sample { life });
        }
        self.console_event(life, Event::SourceChecked { result });
    }

    pub(crate) fn sample(&mut self, life: u32) {
        let silent = self.now < self.source.silent_until;
        let bad = self.now < self.source.bad_until;
        let repeats = self.options.sabotage == Some(Sabotage::RepeatSamples);
        let now = self.now;
        let source_ms = WALL_MS + (now / 1_000).cast_signed();
        if self.console(life).is_none_or(|console| console.ended) {
            return;
        }
        let us = plans::EVERY_MS * 1_000 + self.random.between(0, 20_000);
        self.push(now + us, Happening::Sample { life });
        let Some(console) = self.console(life) else {
            return;
        };
        // A source that has nothing new says nothing, fails, or says the same again.
        let how = if repeats { 2 } else { source_ms % 3 };
        if silent && how == 0 {
            return;
        }
        let reading = if silent && how == 1 {
            Reading::NoData {
                why: "the source does not answer".to_owned(),
            }
        } else {
            if !silent {
                console.last_value = if bad { plans::BAD } else { plans::GOOD };
                console.last_ms = source_ms;
            }
            Reading::Value {
                value: console.last_value,
                rate: None,
            }
        };
        if !silent {
            console.sight.sampled(now, bad, &console.drill);
        }
        // The sabotage passes old values off as new.
        let same = silent && how == 2 && !repeats;
        let samples = vec![Sample {
            sli: 0,
            source_ms: if same { console.last_ms } else { source_ms },
            age_ms: 5,
            reading,
        }];
        self.console_event(life, Event::Samples { samples });
    }

    pub(crate) fn wall_jumps(&mut self, life: u32) {
        let ms = self.random.between(0, 7_200_000).cast_signed() - 3_600_000;
        self.counts.clock_jumps += 1;
        if let Some(console) = self.console(life) {
            console.wall_jump_ms += ms;
        }
    }
}
