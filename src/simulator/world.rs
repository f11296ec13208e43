//! One world: time, what is going to happen, and who is in it.

use std::collections::BTreeMap;

use firedrill_drill::Event;
use firedrill_ward::Reply;
use firedrill_wire::{DrillId, EventKind};

use crate::agent::Agent;
use crate::console::Console;
use crate::messages::{Answer, Body, From, Way, Weather};
use crate::people::Misfortune;
use crate::random::Random;
use crate::report::{Counts, Options, Report, Rule, Violation};
use crate::rules::Rules;

/// When all trouble is over, and when whoever is still waiting waits for ever, in microseconds.
const HEALED_US: u64 = 20_000_000;
const END_US: u64 = HEALED_US + 150_000_000;
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
        kind: EventKind,
    },
    AgentUp {
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
    ConsoleUp,
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
    seed: u64,
    pub options: Options,
    /// Simulated microseconds since the beginning.
    pub now: u64,
    next: u64,
    queue: BTreeMap<(u64, u64), Happening>,
    pub random: Random,
    pub weather: Weather,
    pub trouble: Trouble,
    pub source: Source,
    pub ways: Vec<Way>,
    pub agents: Vec<Agent>,
    pub console: Option<Console>,
    pub console_life: u32,
    /// The abort card, once it is written.
    pub card: Option<DrillId>,
    /// Messages of the past, to come again.
    pub old: Vec<(usize, Body)>,
    /// The last answer to a person.
    pub said: Option<Reply>,
    pub rules: Rules,
    pub counts: Counts,
    pub healed: bool,
    /// Whether journals that were closed are read and stepped through a fresh drill; torn ones are always read.
    pub replays: bool,
    trace: Option<Vec<String>>,
    violation: Option<(Rule, String)>,
}

impl World {
    pub fn new(seed: u64, options: Options, traced: bool) -> Self {
        let mut random = Random::new(seed);
        let agents = 1 + random.below(3);
        let calm = random.chance(1_500);
        let stormy = random.chance(3_000);
        let pick = |random: &mut Random, most: u64| if calm { 0 } else { random.between(0, most) };
        let weather = Weather {
            loss: pick(&mut random, if stormy { 1_500 } else { 100 }),
            double: pick(&mut random, 1_000),
            slow: pick(&mut random, if stormy { 2_000 } else { 300 }),
        };
        let trouble = Trouble {
            hang: pick(&mut random, 200),
            fail: pick(&mut random, 400),
            crash: if calm || random.chance(5_000) {
                0
            } else {
                random.between(1, 30)
            },
        };
        Self {
            seed,
            options,
            now: 0,
            next: 0,
            queue: BTreeMap::new(),
            weather,
            trouble,
            source: Source::default(),
            ways: vec![Way::default(); agents],
            agents: (0..agents)
                .map(|index| Agent::new(index, -random.between(0, 1 << 40).cast_signed()))
                .collect(),
            random,
            console: None,
            console_life: 0,
            card: None,
            old: Vec::new(),
            said: None,
            rules: Rules::new(agents),
            counts: Counts::default(),
            healed: false,
            replays: seed.is_multiple_of(4),
            trace: traced.then(Vec::new),
            violation: None,
        }
    }

    pub fn run(mut self) -> Result<Report, Violation> {
        for agent in 0..self.agents.len() {
            self.agent_up(agent);
        }
        self.console_up();
        self.draw_misfortunes();
        self.push(HEALED_US, Happening::Heal);
        while self.violation.is_none() && self.step(END_US) {
            if self.counts.events > MOST_EVENTS {
                self.broken(Rule::ComesToAnEnd, format!("more than {MOST_EVENTS} events"));
            }
            if self.healed && self.console.as_ref().is_some_and(Console::is_over) {
                self.console_leaves();
            }
        }
        if self.violation.is_none() {
            if self.console.is_some() {
                self.broken(
                    Rule::ComesToAnEnd,
                    "the console does not come to its end".to_owned(),
                );
            }
            self.check_end();
        }
        self.counts.simulated_ms = self.now / 1_000;
        match self.violation {
            None => Ok(Report {
                seed: self.seed,
                counts: self.counts,
            }),
            Some((rule, words)) => {
                let trace = self.trace.unwrap_or_default();
                Err(Violation {
                    seed: self.seed,
                    rule,
                    words,
                    trace,
                })
            }
        }
    }

    fn console_leaves(&mut self) {
        if let Some(console) = self.console.take() {
            self.trace(|_| format!("console {} is done", console.life));
            self.file(&console);
        }
    }

    /// Runs what is due within `us` from now.
    pub fn settle(&mut self, us: u64) {
        let until = self.now + us;
        while self.violation.is_none() && self.step(until) {}
        self.now = self.now.max(until);
    }

    /// The next thing, if there is one until then.
    fn step(&mut self, until: u64) -> bool {
        let Some(entry) = self.queue.first_entry() else {
            return false;
        };
        if entry.key().0 > until {
            return false;
        }
        let ((at, _), happening) = entry.remove_entry();
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
        let console_life = self.console.as_ref().map(|console| console.life);
        match &happening {
            H::Request { agent, .. } | H::AgentDue { agent, .. } | H::Job { agent, .. }
                if self.agents[*agent].frozen_until > self.now =>
            {
                return Some((self.agents[*agent].frozen_until, happening));
            }
            H::Answer { .. }
            | H::Told { .. }
            | H::Event { .. }
            | H::SourceChecked { .. }
            | H::Tick { .. }
            | H::Beat { .. }
            | H::CallLimit { .. }
            | H::TestLimit { .. }
            | H::Sample { .. } => {
                let until = self.console.as_ref().map_or(0, |console| console.frozen_until);
                if until > self.now {
                    return Some((until, happening));
                }
            }
            _ => {}
        }
        let alive = |life: u32| console_life == Some(life);
        match happening {
            H::Request { agent, from, body } => self.agent_request(agent, from, body),
            H::Answer {
                from: From::Person,
                answer: Answer::Reply(reply),
                ..
            } => self.said = Some(reply),
            H::Answer { agent, from, answer } => self.console_answer(agent, from, answer),
            H::Told { agent, kind } => self.told(agent, kind),
            H::AgentUp { agent } => self.agent_up(agent),
            H::AgentDue { agent, life } if self.agents[agent].life == life => self.agent_due(agent),
            H::Job { agent, life, job } if self.agents[agent].life == life => self.agent_job(agent, job),
            H::ConsoleUp if self.console.is_none() => self.console_up(),
            H::Event { life, event } if alive(life) => self.console_event(*event),
            H::SourceChecked { life } if alive(life) => self.source_checked(),
            H::Tick { life } if alive(life) => self.console_tick(life),
            H::Beat { life, agent } if alive(life) => self.beat(life, agent),
            H::Sample { life } if alive(life) => self.sample(life),
            H::CallLimit { life, no } if alive(life) => self.call_limit(no),
            H::TestLimit { life, no } if alive(life) => {
                self.end_test(no, Err("no end within 5 s".to_owned()));
            }
            H::Line { life, agent, order } if alive(life) => self.line(life, agent, order),
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
        self.queue.insert((at.max(self.now), self.next), happening);
    }

    /// Whether the process at work ends before its next effect.
    pub fn dies_now(&mut self) -> bool {
        self.trouble.crash > 0 && self.random.chance(self.trouble.crash)
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
