//! A world for one drill in virtual time: agents, a source, an abort line and a journal that answer as the
//! real ones do, unless a test says otherwise.

mod agents;
mod answers;

use firedrill_drill::{
    AbortedBy, Arming, At, Call, Command, Drill, Effect, Entry, Event, Phase, Reading, Reply, Sample, Setup,
    Spent, Stamped, Verdict,
};
use firedrill_wire::{DrillId, InjectionId, OpenDrillView};

pub use agents::Agent;

/// Two SLIs, two agents, one fault for 10 s on one of them; baseline 4 s, recovery within 10 s.
pub const PLAN: &str = r#"
title = "Shop"
system = "shop"
[metrics]
prometheus = "http://127.0.0.1:9090"
every = "1s"
[[sli]]
name = "Success"
ratio = { good = 'http_requests_total{code!~"5.."}', total = 'http_requests_total', window = "5s" }
unit = "%"
min_rate = "5/s"
band = { min = 0.99 }
tolerate = { min = 0.95 }
stop = { min = 0.90, after = 2 }
[[sli]]
name = "Latency"
quantile = { q = 0.95, histogram = 'http_request_duration_seconds', window = "5s" }
unit = "ms"
band = { max = 0.3 }
tolerate = { max = 0.8 }
stop = { max = 2.0, after = 3 }
[[agent]]
name = "a"
url = "http://127.0.0.1:1"
labels = { service = "payments" }
[[agent]]
name = "b"
url = "http://127.0.0.1:2"
labels = { service = "payments" }
[guardrails]
max_targets = 2
[[experiment]]
name = "slow"
hypothesis = "it holds"
lease = "4s"
baseline = "4s"
recover = "10s"
[[experiment.step]]
inject = "http.latency"
target = { service = "payments", mode = "all", route = "r" }
with = { delay = "400ms" }
for = "10s"
"#;

pub const ONE: f64 = 0.999;
pub const QUICK: f64 = 0.1;

type ReadFn = Box<dyn FnMut(usize, u64) -> Option<Reading>>;

/// What is due at a time.
enum Due {
    Feed(Event),
    /// An injection's own end on its agent.
    End(usize, InjectionId),
}

pub struct World {
    pub drill: Drill,
    pub now_us: u64,
    pub agents: Vec<Agent>,
    /// What the source has at a time; `None`: no new sample.
    pub read: ReadFn,
    pub source: Result<Vec<String>, String>,
    /// Open alerts.
    pub alerts: Result<Vec<String>, String>,
    /// What earlier drills spent.
    pub spent: Result<Spent, String>,
    /// What alerts and actions are answered with; `None`: nothing.
    pub noticed: Option<Result<String, String>>,
    /// Agents that the drill does not need say that they are in this one.
    pub neighbour_drill: Option<OpenDrillView>,
    /// Everything the drill asked for, with the time.
    pub effects: Vec<(u64, Effect)>,
    /// What a journal would hold.
    pub journal: Vec<Stamped>,
    sampling: bool,
    beating: Vec<usize>,
    queue: Vec<(u64, u64, Due)>,
    queued: u64,
}

pub fn setup(plan: &str, arming: Arming) -> Setup {
    Setup {
        drill: DrillId::from("d"),
        plan: firedrill_plan::parse(plan).expect("the test's plan").into(),
        plan_text: plan.into(),
        version: "0".to_owned(),
        experiment: 0,
        seed: 7,
        console: "desk".to_owned(),
        who: "Ada".to_owned(),
        arming,
    }
}

fn value(value: f64) -> Reading {
    Reading::Value {
        value,
        rate: Some(40.0),
    }
}

/// Samples as all is well.
pub fn healthy(sli: usize) -> Reading {
    value(if sli == 0 { ONE } else { QUICK })
}

impl World {
    pub fn new(plan: &str, arming: Arming) -> Self {
        Self::prepared(plan, arming, |_| {})
    }

    /// A world that was changed before the drill began.
    pub fn prepared(plan: &str, arming: Arming, prepare: impl FnOnce(&mut Self)) -> Self {
        Self::of(setup(plan, arming), prepare)
    }

    pub fn of(setup: Setup, prepare: impl FnOnce(&mut Self)) -> Self {
        let agents = setup.plan.agents.iter().map(|it| Agent::new(&it.name)).collect();
        let at = At {
            mono_us: 0,
            wall_ms: 1_000,
        };
        let (drill, effects) = Drill::new(setup, at);
        let mut world = Self {
            drill,
            now_us: 0,
            agents,
            read: Box::new(|sli, _| Some(healthy(sli))),
            source: Ok(Vec::new()),
            alerts: Ok(Vec::new()),
            spent: Ok(Spent::default()),
            noticed: Some(Ok("200 OK".to_owned())),
            neighbour_drill: None,
            effects: Vec::new(),
            journal: Vec::new(),
            sampling: false,
            beating: Vec::new(),
            queue: Vec::new(),
            queued: 0,
        };
        prepare(&mut world);
        world.carry_out(effects);
        world
    }

    pub fn at(&self) -> At {
        At {
            mono_us: self.now_us,
            wall_ms: 1_000 + (self.now_us / 1_000).cast_signed(),
        }
    }

    /// Feeds one event now.
    pub fn feed(&mut self, event: Event) {
        let over = self.drill.phase() == Phase::Verdict;
        if !over {
            self.journal.push(Stamped {
                at: self.at(),
                entry: Entry::event(&event),
            });
        }
        let effects = self.drill.step(self.at(), event);
        self.carry_out(effects);
    }

    pub fn command(&mut self, command: Command) {
        self.feed(Event::Command { command });
    }

    pub fn abort(&mut self) {
        self.command(Command::Abort {
            by: AbortedBy::Person("Ada".to_owned()),
            reason: "enough".to_owned(),
        });
    }

    fn later(&mut self, after_us: u64, agent: usize, reply: Reply) {
        self.at_time(self.now_us + after_us, Event::Agent { agent, reply });
    }

    pub fn at_time(&mut self, at_us: u64, event: Event) {
        self.due(at_us, Due::Feed(event));
    }

    fn due(&mut self, at_us: u64, due: Due) {
        self.queued += 1;
        self.queue.push((at_us, self.queued, due));
    }

    /// An injection's own end: it happens whether or not anybody hears of it.
    fn end(&mut self, index: usize, id: &InjectionId) {
        let agent = &mut self.agents[index];
        agent.take_back(id.as_str(), self.now_us, "end");
        if agent.dead || agent.silent_ends {
            return;
        }
        let view = Box::new(agent.injections[id.as_str()].clone());
        let reply = Reply::Injection { view };
        self.feed(Event::Agent { agent: index, reply });
    }

    /// Runs for so many milliseconds, or until the verdict.
    pub fn run(&mut self, ms: u64) {
        let until = self.now_us + ms * 1_000;
        self.run_while(until, |_| true);
    }

    /// Runs until the phase is reached; at most ten minutes.
    pub fn run_to(&mut self, phase: Phase) {
        let limit = self.now_us + 600_000_000;
        self.run_while(limit, |world| world.drill.phase() != phase);
        assert_eq!(self.drill.phase(), phase, "{:#?}", self.drill.judgements());
    }

    pub fn verdict(&mut self) -> Verdict {
        self.run_to(Phase::Verdict);
        self.drill.verdict().expect("a verdict").clone()
    }

    fn run_while(&mut self, until_us: u64, go_on: impl Fn(&Self) -> bool) {
        while self.drill.phase() != Phase::Verdict && go_on(self) {
            let next_tick = self.now_us / 250_000 * 250_000 + 250_000;
            let due = self
                .queue
                .iter()
                .enumerate()
                .min_by_key(|(_, (at, number, _))| (*at, *number))
                .map(|(index, (at, ..))| (index, *at));
            match due {
                Some((index, at)) if at <= next_tick => {
                    if at > until_us {
                        break;
                    }
                    let (at, _, due) = self.queue.remove(index);
                    self.now_us = self.now_us.max(at);
                    match due {
                        Due::Feed(event) => self.feed(event),
                        Due::End(agent, id) => self.end(agent, &id),
                    }
                }
                _ => {
                    if next_tick > until_us {
                        break;
                    }
                    self.now_us = next_tick;
                    if self.now_us % 1_000_000 == 500_000 {
                        self.beat();
                        self.sample();
                    }
                    self.feed(Event::Tick);
                }
            }
        }
        self.now_us = if go_on(self) && self.drill.phase() != Phase::Verdict {
            until_us
        } else {
            self.now_us
        };
    }

    fn beat(&mut self) {
        for agent in self.beating.clone() {
            let dead = self.agents[agent].dead;
            let rtt_us = (!dead).then_some(300);
            let stamp = (!dead).then(|| self.agents[agent].stamp(self.now_us));
            self.later(400, agent, Reply::Heartbeat { rtt_us, stamp });
        }
    }

    fn sample(&mut self) {
        if !self.sampling {
            return;
        }
        let now_us = self.now_us;
        let slis = self.drill.plan().slis.len();
        let samples: Vec<Sample> = (0..slis)
            .filter_map(|sli| {
                Some(Sample {
                    sli,
                    source_ms: 5_000_000 + (now_us / 1_000).cast_signed(),
                    age_ms: 10,
                    reading: (self.read)(sli, now_us)?,
                })
            })
            .collect();
        if !samples.is_empty() {
            self.feed(Event::Samples { samples });
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.effects.push((self.now_us, effect.clone()));
            match effect {
                Effect::Record { entry, .. } => {
                    let at = self.at();
                    self.journal.push(Stamped { at, entry });
                }
                Effect::CheckSource => {
                    self.sampling = true;
                    let result = self.source.clone();
                    self.at_time(self.now_us + 5_000, Event::SourceChecked { result });
                }
                Effect::HoldAbortLine { agents } => self.beating = agents,
                Effect::TestAbort { agent, .. } => self.test_abort(agent),
                Effect::Abort { latch, .. } => self.carry_out_abort(latch),
                Effect::Call { agent, call } => self.carry_out_call(agent, call),
                Effect::CheckAlerts { .. } => {
                    let result = self.alerts.clone();
                    self.at_time(self.now_us + 5_000, Event::AlertsChecked { result });
                }
                Effect::ReadHistory => {
                    let result = self.spent.clone();
                    self.at_time(self.now_us + 5_000, Event::HistoryRead { result });
                }
                Effect::Alert { alert, .. } => {
                    if let Some(result) = self.noticed.clone() {
                        self.at_time(self.now_us + 5_000, Event::Alerted { alert, result });
                    }
                }
                Effect::Act { notice, .. } => {
                    if let Some(result) = self.noticed.clone() {
                        self.at_time(self.now_us + 5_000, Event::Acted { notice, result });
                    }
                }
                Effect::WriteAbortCard | Effect::End { .. } => {}
            }
        }
    }

    /// The phases it was in.
    pub fn phases(&self) -> Vec<Phase> {
        self.drill.phases().iter().map(|(phase, _)| *phase).collect()
    }

    /// When it asked for what `choose` picks.
    pub fn times<T>(&self, choose: impl Fn(&Effect) -> Option<T>) -> Vec<(u64, T)> {
        let all = self.effects.iter();
        all.filter_map(|(at, effect)| Some((*at, choose(effect)?)))
            .collect()
    }

    /// When and on which agent it asked for starts.
    pub fn starts(&self) -> Vec<(u64, usize)> {
        self.times(|effect| match effect {
            Effect::Call {
                agent,
                call: Call::Start(..),
            } => Some(*agent),
            _ => None,
        })
    }

    /// The aborts it asked for: whether each latches.
    pub fn aborts(&self) -> Vec<bool> {
        let all = self.times(|effect| match effect {
            Effect::Abort { latch, .. } => Some(*latch),
            _ => None,
        });
        all.into_iter().map(|(_, latch)| latch).collect()
    }
}

/// The words of the first reason, with its rule.
pub fn first(verdict: &Verdict) -> String {
    verdict
        .reasons
        .first()
        .map_or_else(String::new, |it| format!("{}: {}", it.rule, it.words))
}
