//! An agent: the ward as shipped on a host with a disk, a clock and faults that are really on or not.

use std::collections::BTreeMap;

use firedrill_ward::{AskId, Durable, Effect, Event, Key, Limits, Reply, SaveId, Ward};
use firedrill_wire::{
    AbortLine, AgentId, AgentInfo, EventKind, Evidence, FaultInfo, FaultName, HolderSecret, Instance,
    OpenDrillView, PROTOCOL_VERSION, Problem, ProblemKind, Route, RouteProtocol, Stamp, Tick, Undo,
};

use crate::messages::{Answer, Body, From};
use crate::report::{Rule, Sabotage};
use crate::world::{Happening, World};

/// The faults that simulated hosts can do.
const FAULTS: [&str; 4] = ["noop", "http.latency", "cpu.burn", "tcp.cut"];

/// How a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    Fine,
    Full,
    Hangs,
}

/// What the host is doing.
#[derive(Clone, Debug)]
enum Job {
    Save(SaveId, Box<Durable>),
    Apply(Key, u64),
    Revert(Key, u32),
    Prove(Key, u32),
}

/// A fault that is really on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct On {
    /// When it must have ended at the latest, by the agent's clock.
    pub ends: Tick,
}

/// Where an answer goes.
#[derive(Clone, Copy, Debug)]
struct Asker {
    from: From,
    /// Of a stream: when its last line arrives; `None` once it is torn.
    line_at: Option<u64>,
}

pub(crate) struct Agent {
    pub name: AgentId,
    /// `None` while it is down.
    pub ward: Option<Ward>,
    pub life: u32,
    /// When its host booted, in simulated microseconds; it may be before the beginning.
    booted: i64,
    pub disk: Durable,
    pub disk_state: Disk,
    pub frozen_until: u64,
    /// Reverts find the fault still there until then.
    pub stuck_until: u64,
    pub on: BTreeMap<Key, On>,
    jobs: BTreeMap<u64, Job>,
    next_job: u64,
    saved_until: u64,
    asks: BTreeMap<AskId, Asker>,
    starts: BTreeMap<AskId, (Key, u64)>,
    next_ask: u64,
    /// When the next tick is planned.
    due: Option<u64>,
}

impl Agent {
    pub fn new(index: usize, booted: i64) -> Self {
        Self {
            name: AgentId(format!("agent-{index}")),
            ward: None,
            life: 0,
            booted,
            disk: Durable::default(),
            disk_state: Disk::Fine,
            frozen_until: 0,
            stuck_until: 0,
            on: BTreeMap::new(),
            jobs: BTreeMap::new(),
            next_job: 0,
            saved_until: 0,
            asks: BTreeMap::new(),
            starts: BTreeMap::new(),
            next_ask: 0,
            due: None,
        }
    }

    pub fn tick(&self, now: u64) -> Tick {
        Tick((i64::try_from(now).unwrap_or(i64::MAX) - self.booted).max(0) as u64)
    }

    /// Whether the host is about to put `key` on.
    pub fn applies(&self, key: &Key) -> bool {
        self.jobs
            .values()
            .any(|job| matches!(job, Job::Apply(of, _) if of == key))
    }

    pub fn instance(&self) -> Instance {
        Instance(format!("{}-life-{}", self.name, self.life))
    }

    fn ask(&mut self, from: From) -> AskId {
        self.next_ask += 1;
        let ask = AskId(self.next_ask);
        self.asks.insert(
            ask,
            Asker {
                from,
                line_at: Some(0),
            },
        );
        ask
    }

    fn info(&self, now: u64) -> Option<AgentInfo> {
        let ward = self.ward.as_ref()?;
        let tick = self.tick(now);
        let stamp = Stamp {
            agent: self.name.clone(),
            instance: self.instance(),
            tick,
        };
        let open: Option<OpenDrillView> = ward.open_drill(tick);
        let route = |name: &str| Route {
            name: name.to_owned(),
            listen: "127.0.0.1:8081".to_owned(),
            upstream: "127.0.0.1:9081".to_owned(),
            protocol: RouteProtocol::Http,
        };
        let fault = |name: &&str| FaultInfo {
            name: FaultName::from(*name),
            summary: String::new(),
            schema: serde_json::Value::Null,
            params: Vec::new(),
            scope: Vec::new(),
            undo: undo(name),
            undo_words: String::new(),
            available: true,
            why_not: None,
            remedy: None,
        };
        Some(AgentInfo {
            stamp,
            protocol: PROTOCOL_VERSION,
            version: "simulated".to_owned(),
            host: "host".to_owned(),
            labels: BTreeMap::new(),
            latch: ward.latch().cloned(),
            open,
            routes: vec![route("r1"), route("r2")],
            faults: FAULTS.iter().map(fault).collect(),
            abort_port: None,
            notes: Vec::new(),
        })
    }
}

fn undo(fault: &str) -> Undo {
    if fault == "tcp.cut" {
        Undo::None
    } else {
        Undo::ProcessHeld
    }
}

impl World {
    /// A life begins, on what is on the disk.
    pub(crate) fn agent_up(&mut self, index: usize) {
        let (now, sabotage) = (self.now, self.options.sabotage);
        let agent = &mut self.agents[index];
        agent.life += 1;
        self.counts.restarts += u64::from(agent.life > 1);
        let mut durable = agent.disk.clone();
        if sabotage == Some(Sabotage::ForgetRecords) {
            durable.records.clear();
        }
        let (ward, effects) = Ward::recover(
            durable,
            agent.instance(),
            agent.name.clone(),
            Limits::default(),
            agent.tick(now),
        );
        agent.ward = Some(ward);
        agent.due = None;
        self.trace(|world| format!("agent {index} is up, life {}", world.agents[index].life));
        self.check_recovered(index);
        self.agent_effects(index, effects);
    }

    /// The process dies: what it held is gone, and so is all that was not on disk.
    pub(crate) fn agent_crash(&mut self, index: usize, reboots: bool) {
        if self.agents[index].ward.is_none() {
            return;
        }
        self.counts.agent_crashes += 1;
        self.trace(|_| {
            format!(
                "agent {index} dies{}",
                if reboots { " with its host" } else { "" }
            )
        });
        let down_us = self.random.between(50_000, 2_500_000);
        let now = self.now;
        let agent = &mut self.agents[index];
        agent.ward = None;
        agent.jobs.clear();
        agent.starts.clear();
        agent.saved_until = 0;
        if self.options.sabotage != Some(Sabotage::ForgetRecords) {
            self.counts.reverted += agent.on.len() as u64;
            agent.on.clear();
        }
        if reboots {
            agent.booted = i64::try_from(now).unwrap_or(i64::MAX);
        }
        let askers: Vec<Asker> = std::mem::take(&mut agent.asks).into_values().collect();
        for asker in askers {
            self.send_back(index, asker.from, Answer::Torn);
        }
        self.rules.died(index);
        self.push(now + down_us, Happening::AgentUp { agent: index });
    }

    pub(crate) fn agent_request(&mut self, index: usize, from: From, body: Body) {
        let now = self.now;
        if self.agents[index].ward.is_none() {
            return self.send_back(index, from, Answer::Torn);
        }
        let agent = &mut self.agents[index];
        let event = match body {
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
                let claims = match (request.fault.as_str(), &request.scope.route) {
                    ("cpu.burn", _) => vec!["cpu".to_owned()],
                    (_, Some(route)) => vec![format!("route:{route}")],
                    _ => Vec::new(),
                };
                let undo = undo(request.fault.as_str());
                let by_hand = "restart the agent".to_owned();
                Event::Start {
                    ask,
                    id,
                    request: *request,
                    claims,
                    undo,
                    by_hand,
                    needs_keeper: false,
                }
            }
            Body::Revert(id) => Event::Revert {
                ask: agent.ask(from),
                id,
            },
            Body::Abort(request) => Event::Abort {
                ask: agent.ask(from),
                request,
            },
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
        self.rules.agent_hears(index, &event);
        let agent = &mut self.agents[index];
        let tick = agent.tick(now);
        let Some(ward) = agent.ward.as_mut() else { return };
        let effects = ward.step(tick, event);
        self.agent_effects(index, effects);
    }

    /// Runs the effects of one step in order. The process may die before any of them.
    fn agent_effects(&mut self, index: usize, effects: Vec<Effect>) {
        for effect in effects {
            if self.dies_now() {
                self.counts.at_effect_boundaries += 1;
                return self.agent_crash(index, false);
            }
            self.agent_effect(index, effect);
        }
        self.plan_due(index);
    }

    fn agent_effect(&mut self, index: usize, effect: Effect) {
        self.trace(|_| format!("agent {index} -> {}", brief(&effect)));
        match effect {
            Effect::Save { save, durable } => self.save(index, save, durable),
            Effect::Apply { key, ends_in_ms, .. } => {
                let tick = self.agents[index].tick(self.now);
                if let Err(words) = self.rules.may_apply(index, &key, tick) {
                    self.broken(Rule::AbortWins, words);
                }
                let us = self.job_us();
                self.begin(index, Job::Apply(key, ends_in_ms), us);
            }
            Effect::Adjust { key, .. } => {
                self.broken(Rule::AbortWins, format!("nobody asked to change {key:?}"));
            }
            Effect::Revert { key, attempt, .. } => {
                let us = self.job_us();
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
                    EventKind::Opened { drill, epoch } => {
                        if let Err(words) = self.rules.agent_opened(index, drill, *epoch) {
                            self.broken(Rule::Durable, words);
                        }
                    }
                    EventKind::Latch { latch: Some(_) } => self.counts.latches += 1,
                    EventKind::Latch { latch: None } => self.counts.releases += 1,
                    _ => {}
                }
                self.send_event(index, kind);
            }
            Effect::Audit { .. } | Effect::Stopped { .. } => {}
        }
    }

    /// How long the host takes: most often moments, now and then longer than it may.
    fn job_us(&mut self) -> u64 {
        let hangs = self.random.chance(self.trouble.hang);
        if hangs {
            self.random.between(1_000_000, 9_000_000)
        } else {
            self.random.between(100, 8_000)
        }
    }

    fn begin(&mut self, index: usize, job: Job, us: u64) {
        let agent = &mut self.agents[index];
        agent.next_job += 1;
        agent.jobs.insert(agent.next_job, job);
        let happening = Happening::Job {
            agent: index,
            life: agent.life,
            job: agent.next_job,
        };
        self.push(self.now + us, happening);
    }

    /// Writes end in the order they began.
    fn save(&mut self, index: usize, save: SaveId, durable: Box<Durable>) {
        let us = match self.agents[index].disk_state {
            Disk::Fine => self.random.between(100, 12_000),
            Disk::Full => 200,
            Disk::Hangs => self.random.between(3_000_000, 12_000_000),
        };
        let agent = &mut self.agents[index];
        agent.saved_until = agent.saved_until.max(self.now + us);
        let us = agent.saved_until - self.now;
        self.begin(index, Job::Save(save, durable), us);
    }

    pub(crate) fn agent_job(&mut self, index: usize, job: u64) {
        let now = self.now;
        let fails = self.random.chance(self.trouble.fail);
        let half = self.random.chance(5_000);
        let lies = self.options.sabotage;
        let agent = &mut self.agents[index];
        let Some(job) = agent.jobs.remove(&job) else {
            return;
        };
        let evidence = Evidence {
            words: "seen".to_owned(),
            ..Evidence::default()
        };
        let event = match job {
            Job::Save(save, durable) => {
                let full = agent.disk_state == Disk::Full;
                self.counts.disk_full += u64::from(full);
                if !full && lies != Some(Sabotage::ForgetDisk) {
                    agent.disk = *durable;
                }
                Event::Saved { save, durable: !full }
            }
            Job::Apply(key, ends_in_ms) => {
                let one_shot = agent.ward.as_ref().is_some_and(|ward| {
                    ward.injection(&key.id, Tick(0))
                        .is_some_and(|view| undo(view.fault.as_str()) == Undo::None)
                });
                if !fails || half {
                    self.counts.applied += 1;
                    if !one_shot {
                        let ends = agent.tick(now).plus_ms(ends_in_ms);
                        agent.on.insert(key.clone(), On { ends });
                    }
                }
                if fails {
                    let problem = Problem::new(ProblemKind::NotPossible, "it failed", "simulated", "none");
                    Event::ApplyFailed {
                        key,
                        problem,
                        half_applied: half,
                    }
                } else {
                    Event::Applied { key, evidence }
                }
            }
            Job::Revert(key, attempt) => {
                let stuck = now < agent.stuck_until;
                if lies != Some(Sabotage::ClaimReadBack) && !stuck && agent.on.remove(&key).is_some() {
                    self.counts.reverted += 1;
                }
                let clean = lies == Some(Sabotage::ClaimReadBack) || !agent.on.contains_key(&key);
                self.counts.unclean += u64::from(!clean);
                Event::ReadBack {
                    key,
                    attempt,
                    clean,
                    evidence,
                    by_hand: None,
                }
            }
            Job::Prove(key, attempt) => {
                let clean = !agent.on.contains_key(&key) || lies == Some(Sabotage::ClaimReadBack);
                Event::Proved {
                    key,
                    attempt,
                    clean,
                    evidence,
                }
            }
        };
        self.agent_event(index, event);
    }

    fn answer(&mut self, index: usize, ask: AskId, reply: Reply) {
        let agent = &mut self.agents[index];
        let start = agent.starts.remove(&ask);
        let Some(asker) = agent.asks.remove(&ask) else {
            return;
        };
        if let Reply::Refused(problem) = &reply
            && self.options.sabotage == Some(Sabotage::ForgetFence)
            && matches!(problem.kind, ProblemKind::Fenced | ProblemKind::Latched)
            && let Some((key, ends_in_ms)) = start
        {
            let tick = agent.tick(self.now);
            agent.on.insert(
                key.clone(),
                On {
                    ends: tick.plus_ms(ends_in_ms),
                },
            );
            if let Err(words) = self.rules.may_apply(index, &key, tick) {
                self.broken(Rule::AbortWins, words);
            }
        }
        if let Err(words) = self.rules.agent_says(index, &reply) {
            self.broken(Rule::Durable, words);
        }
        self.send_back(index, asker.from, Answer::Reply(reply));
    }

    fn abort_line(&mut self, index: usize, ask: AskId, line: AbortLine) {
        self.rules.agent_streams(index, &line);
        let Some(asker) = self.agents[index].asks.get(&ask).copied() else {
            return;
        };
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
        let at = u64::try_from(
            i64::try_from(due.0)
                .unwrap_or(i64::MAX)
                .saturating_add(agent.booted),
        );
        let at = at.unwrap_or(0).max(self.now);
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
