//! One world: time, what is going to happen, and who is in it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use firedrill_drill::Event;
use firedrill_ward::Reply;
use firedrill_wire::{DrillId, EventKind};

use crate::agent::Agent;
use crate::console::Console;
use crate::counts::Counts;
use crate::messages::{Answer, Body, From, Way, Weather};
use crate::people::Misfortune;
use crate::random::Random;
use crate::report::{Options, Report, Rule, Violation};
use crate::schedule::Schedule;

/// When all trouble is over at the latest, in simulated microseconds.
pub(crate) const HEALED_US: u64 = 9_000_000;
/// After that: when whoever is still waiting waits for ever.
const PATIENCE_US: u64 = 150_000_000;
/// More events than any schedule has: a world that spins.
const MOST_EVENTS: u64 = 60_000;

/// Something that is going to happen.
#[derive(Debug)]
pub(crate) enum Happening {
    Request {
        agent: usize,
        from: From,
        body: Body,
    },
    Answer {
        agent: usize,
        from: From,
        answer: Answer,
    },
    Told {
        agent: usize,
        life: u32,
        kind: Box<EventKind>,
    },
    AgentUp {
        agent: usize,
    },
    /// The keeper that an agent has started is there.
    KeeperUp {
        agent: usize,
        life: u32,
    },
    /// The keeper of this life is missed by its agent.
    KeeperMissed {
        agent: usize,
        life: u32,
    },
    /// It looks whether its agent has spoken in time.
    KeeperLooks {
        agent: usize,
        life: u32,
    },
    /// Its agent is dead: it runs the records.
    KeeperRuns {
        agent: usize,
        life: u32,
    },
    /// Somebody at another terminal changes how strong an injection is.
    Change {
        life: u32,
        agent: usize,
    },
    AgentDue {
        agent: usize,
        life: u32,
    },
    Job {
        agent: usize,
        life: u32,
        job: u64,
    },
    ConsoleUp {
        slot: usize,
    },
    Event {
        life: u32,
        event: Box<Event>,
    },
    SourceChecked {
        life: u32,
    },
    Tick {
        life: u32,
    },
    Beat {
        life: u32,
        agent: usize,
    },
    Sample {
        life: u32,
    },
    CallLimit {
        life: u32,
        no: u64,
    },
    TestLimit {
        life: u32,
        no: u64,
    },
    Line {
        life: u32,
        agent: usize,
        order: u64,
    },
    Misfortune(Misfortune),
    Heal,
}

/// What goes wrong on its own, in parts of 10,000 of each job or effect.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trouble {
    /// What comes in the moment of a start.
    pub timely: u64,
    pub hang: u64,
    pub fail: u64,
    pub crash: u64,
}

/// The source of the SLI.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Source {
    pub silent_until: u64,
    pub bad_until: u64,
}

pub(crate) struct World {
    schedule: Schedule,
    pub options: Options,
    /// Simulated microseconds since the beginning.
    pub now: u64,
    next: u64,
    queue: BinaryHeap<Reverse<(u64, u64, usize)>>,
    /// What the queue's entries stand for, and places that are free again: a heap moves its entries a lot.
    planned: Vec<Option<Happening>>,
    free: Vec<usize>,
    /// Chance in the network, on hosts, and for everything else: apart, so that what is taken away from one leaves the
    /// others as they were.
    pub net: Random,
    pub hosts: Random,
    pub random: Random,
    /// Chance at the levers of consoles.
    pub hands: Random,
    pub weather: Weather,
    pub trouble: Trouble,
    pub source: Source,
    pub ways: Vec<Way>,
    pub agents: Vec<Agent>,
    pub consoles: Vec<Console>,
    /// Consoles so far: each has a life of its own.
    pub lives: u32,
    /// Which agents the console of a place drives; bits.
    pub fleets: Vec<u8>,
    /// The abort cards that were written.
    pub cards: Vec<DrillId>,
    /// Messages of the past, to come again.
    pub old: Vec<(usize, Body)>,
    /// Changes and strangers so far, for names that are used once.
    pub others: u64,
    /// The last answer to a person.
    pub said: Option<Reply>,
    pub counts: Counts,
    pub healed: bool,
    /// Whether journals that were closed are read and stepped through a fresh drill; torn ones are always read.
    pub replays: bool,
    /// Consoles may die: what they wrote is read then.
    pub consoles_die: bool,
    trace: Option<Vec<String>>,
    violation: Option<(Rule, String)>,
}

impl World {
    pub fn new(schedule: Schedule, options: Options, traced: bool) -> Self {
        let mut random = Random::new(schedule.seed);
        // Three agents and two consoles are the least; one more of either now and then.
        let agents = schedule.agents.unwrap_or(3 + usize::from(random.chance(2_500)));
        let consoles = schedule.consoles.unwrap_or(2 + usize::from(random.chance(1_500)));
        let calm = random.chance(1_500);
        let stormy = random.chance(3_000);
        let mut pick = |name: &str, most: u64| {
            let parts = random.between(0, most);
            if calm || !schedule.has(name) { 0 } else { parts }
        };
        let weather = Weather {
            loss: pick("loss", if stormy { 1_500 } else { 100 }),
            double: pick("double", 1_000),
            slow: pick("slow", if stormy { 2_000 } else { 300 }),
        };
        let trouble = Trouble {
            timely: pick("timely", 800),
            hang: pick("hang", 200),
            fail: pick("fail", 400),
            crash: pick("crash", 30) * u64::from(random.chance(5_000)),
        };
        let agent = |index| {
            let booted = -random.between(0, 1 << 40).cast_signed();
            // Clocks run up to half a thousandth apart.
            let drift = random.between(0, 1_000).cast_signed() - 500;
            Agent::new(index, booted, drift)
        };
        let agents: Vec<Agent> = (0..agents).map(agent).collect();
        let fleets = fleets(&mut random, consoles, agents.len());
        Self {
            options,
            now: 0,
            next: 0,
            queue: BinaryHeap::new(),
            planned: Vec::new(),
            free: Vec::new(),
            weather,
            trouble,
            source: Source::default(),
            ways: vec![Way::default(); agents.len()],
            agents,
            net: Random::new(schedule.seed ^ 0x6e65_7477_6f72_6b21),
            hosts: Random::new(schedule.seed ^ 0x686f_7374_7321_2121),
            hands: Random::new(schedule.seed ^ 0x6c65_7665_7273_2121),
            random,
            consoles: Vec::new(),
            lives: 0,
            fleets,
            cards: Vec::new(),
            old: Vec::new(),
            others: 0,
            said: None,
            counts: Counts::default(),
            healed: false,
            replays: schedule.has("replays") && schedule.seed.is_multiple_of(16),
            consoles_die: trouble.crash > 0,
            trace: traced.then(Vec::new),
            violation: None,
            schedule,
        }
    }

    pub fn run(mut self) -> Result<Report, Violation> {
        for agent in 0..self.agents.len() {
            self.agent_up(agent);
        }
        self.draw_misfortunes(&self.schedule.clone());
        for slot in 0..self.fleets.len() {
            let us = if slot == 0 {
                0
            } else {
                self.random.between(0, 3_000_000)
            };
            self.push(us, Happening::ConsoleUp { slot });
        }
        let healed_us = self.schedule.healed_us;
        self.push(healed_us, Happening::Heal);
        while self.violation.is_none() && self.step(healed_us + PATIENCE_US) {
            if self.counts.events > MOST_EVENTS {
                self.broken(Rule::ComesToAnEnd, format!("more than {MOST_EVENTS} events"));
            }
            if self.healed && self.consoles.iter().any(Console::is_over) {
                self.consoles_leave();
            }
        }
        if self.violation.is_none() {
            if let Some(console) = self.consoles.first() {
                let words = format!("console {} does not come to its end", console.life);
                self.broken(Rule::ComesToAnEnd, words);
            }
            self.check_end();
        }
        self.counts.simulated_ms = self.now / 1_000;
        match self.violation {
            None => Ok(Report {
                schedule: self.schedule,
                counts: self.counts,
            }),
            Some((rule, words)) => {
                let trace = self.trace.unwrap_or_default();
                Err(Violation {
                    schedule: self.schedule,
                    events: self.counts.events,
                    rule,
                    words,
                    trace,
                })
            }
        }
    }

    fn consoles_leave(&mut self) {
        let (over, left) = std::mem::take(&mut self.consoles)
            .into_iter()
            .partition(Console::is_over);
        self.consoles = left;
        let over: Vec<Console> = over;
        for console in over {
            self.trace(|_| format!("console {} is done", console.life));
            self.file(&console);
        }
    }

    /// A console that lives.
    pub fn console(&mut self, life: u32) -> Option<&mut Console> {
        self.consoles.iter_mut().find(|it| it.life == life)
    }

    /// Runs what is due within `us` from now.
    pub fn settle(&mut self, us: u64) {
        let until = self.now + us;
        while self.violation.is_none() && self.step(until) {}
        self.now = self.now.max(until);
    }

    /// The next thing, if there is one until then.
    fn step(&mut self, until: u64) -> bool {
        if self.queue.peek().is_none_or(|Reverse((at, ..))| *at > until) {
            return false;
        }
        let Some(Reverse((at, _, place))) = self.queue.pop() else {
            return false;
        };
        self.free.push(place);
        let Some(happening) = self.planned[place].take() else {
            return false;
        };
        self.now = at;
        self.counts.events += 1;
        if let Some((until, happening)) = self.held_up(happening) {
            self.push(until, happening);
        }
        self.check();
        true
    }

    /// Does it, or says until when it has to wait because whom it concerns is frozen.
    fn held_up(&mut self, happening: Happening) -> Option<(u64, Happening)> {
        use Happening as H;
        let console = match &happening {
            H::Request { agent, .. }
            | H::AgentDue { agent, .. }
            | H::Job { agent, .. }
            | H::KeeperUp { agent, .. }
            | H::KeeperMissed { agent, .. }
                if self.agents[*agent].frozen_until > self.now =>
            {
                return Some((self.agents[*agent].frozen_until, happening));
            }
            H::Answer { from, .. } => from.life(),
            H::Told { life, .. }
            | H::Event { life, .. }
            | H::SourceChecked { life }
            | H::Tick { life }
            | H::Beat { life, .. }
            | H::CallLimit { life, .. }
            | H::TestLimit { life, .. }
            | H::Sample { life } => Some(*life),
            _ => None,
        };
        if let Some(life) = console {
            // Of a console that is gone nothing is left.
            let until = self.console(life)?.frozen_until;
            if until > self.now {
                return Some((until, happening));
            }
        }
        match happening {
            H::Request { agent, from, body } => self.agent_request(agent, from, body),
            H::Answer {
                from: From::Person,
                answer: Answer::Reply(reply),
                ..
            } => self.said = Some(reply),
            H::Answer {
                agent,
                from: From::Stranger(number),
                answer: Answer::Reply(reply),
            } => self.stranger_hears(agent, number, reply),
            H::Answer { agent, from, answer } => self.console_answer(agent, from, answer),
            H::Told { agent, life, kind } => self.told(agent, life, *kind),
            H::AgentUp { agent } => self.agent_up(agent),
            H::KeeperUp { agent, life } if self.agents[agent].life == life => self.keeper_up(agent),
            H::KeeperMissed { agent, life } => self.keeper_missed(agent, life),
            H::KeeperLooks { agent, life } => self.keeper_looks(agent, life),
            H::KeeperRuns { agent, life } => self.keeper_runs(agent, life),
            H::Change { life, agent } => self.changes_strength(life, agent),
            H::AgentDue { agent, life } if self.agents[agent].life == life => self.agent_due(agent),
            H::Job { agent, life, job } if self.agents[agent].life == life => self.agent_job(agent, job),
            H::ConsoleUp { slot } => self.console_up(slot),
            H::Event { life, event } => self.console_event(life, *event),
            H::SourceChecked { life } => self.source_checked(life),
            H::Tick { life } => self.console_tick(life),
            H::Beat { life, agent } => self.beat(life, agent),
            H::Sample { life } => self.sample(life),
            H::CallLimit { life, no } => self.call_limit(life, no),
            H::TestLimit { life, no } => self.end_test(life, no, Err("no end within 5 s".to_owned())),
            H::Line { life, agent, order } => self.line(life, agent, order),
            H::Misfortune(misfortune) if !self.healed || matches!(misfortune, Misfortune::DiskFine(_)) => {
                self.befall(misfortune);
            }
            H::Heal => self.heal(),
            _ => {}
        }
        None
    }

    pub fn push(&mut self, at: u64, happening: Happening) {
        self.next += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.planned.push(None);
            self.planned.len() - 1
        });
        self.planned[place] = Some(happening);
        self.queue.push(Reverse((at.max(self.now), self.next, place)));
    }

    /// Whether the process at work ends before its next effect.
    pub fn dies_now(&mut self) -> bool {
        self.trouble.crash > 0 && self.hosts.chance(self.trouble.crash)
    }

    /// The first broken rule ends the schedule.
    pub fn broken(&mut self, rule: Rule, words: String) {
        self.trace(|_| format!("BROKEN {rule:?}: {words}"));
        self.violation.get_or_insert((rule, words));
    }

    pub fn trace(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let line = format!("{:>11.6} {}", self.now as f64 / 1_000_000.0, line(self));
            if let Some(trace) = &mut self.trace {
                trace.push(line);
            }
        }
    }
}

/// Who drives which agents: all the same ones, or each its own, sometimes with one that two of them want.
fn fleets(random: &mut Random, consoles: usize, agents: usize) -> Vec<u8> {
    let all = (1_u8 << agents) - 1;
    let apart = random.chance(6_000);
    let shared = random.below(2 * agents);
    (0..consoles)
        .map(|slot| {
            if !apart || agents == 1 {
                return all;
            }
            let own: u8 = (0..agents)
                .filter(|agent| agent % consoles == slot)
                .map(|agent| 1 << agent)
                .sum();
            let both = if shared < agents { 1 << shared } else { 0 };
            // Somebody drives something in any case.
            if own | both == 0 { 1 } else { own | both }
        })
        .collect()
}
