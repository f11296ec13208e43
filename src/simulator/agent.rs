//! An agent: the ward as shipped on a host with a disk, a clock and faults that are really on or not.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_ward::{AskId, Durable, Effect, Event, Key, Limits, Reply, SaveId, Ward};
use firedrill_wire::{
    AbortLine, AgentId, AgentInfo, DrillId, Epoch, EventKind, Evidence, FaultInfo, FaultName, HolderSecret,
    InjectionId, Instance, OpenDrillView, PROTOCOL_VERSION, Problem, ProblemKind, Route, RouteProtocol,
    Stamp, Tick, Undo,
};

use crate::books::Book;
use crate::messages::{Answer, Body, From};
use crate::report::Sabotage;
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
    Apply(Key, On),
    Revert(Key, u32),
    Prove(Key, u32),
}

/// A fault that is really on.
#[derive(Clone, Debug)]
pub(crate) struct On {
    /// When it must have ended at the latest, by the agent's clock.
    pub ends: Tick,
    /// What of the host it holds.
    pub claims: Vec<String>,
    /// It happens once and is not on afterwards.
    one_shot: bool,
    ends_in_ms: u64,
}

/// What an abort asked for that is being answered.
#[derive(Clone, Debug)]
pub(crate) struct AbortAsked {
    pub drill: Option<DrillId>,
    /// Whatever is on, as it latches.
    pub everything: bool,
    /// The newest epoch when it came.
    pub up_to: Epoch,
}

/// Where an answer goes.
#[derive(Clone, Debug)]
struct Asker {
    from: From,
    /// Of a stream: when its last line arrives; `None` once it is torn.
    line_at: Option<u64>,
    abort: Option<AbortAsked>,
}

pub(crate) struct Agent {
    pub name: AgentId,
    /// `None` while it is down.
    pub ward: Option<Ward>,
    pub life: u32,
    /// When its host booted, in simulated microseconds; it may be before the beginning.
    booted: i64,
    /// Its clock's drift, in millionths.
    drift: i64,
    instance: Instance,
    /// All that does not change of what it says of itself.
    info: AgentInfo,
    pub book: Book,
    /// What a second look has found gone, by name: names are not used twice.
    pub proved: BTreeSet<InjectionId>,
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
    pub fn new(index: usize, booted: i64, drift: i64) -> Self {
        let name = AgentId(format!("agent-{index}"));
        Self {
            info: info(&name),
            instance: Instance(String::new()),
            drift,
            book: Book::default(),
            proved: BTreeSet::new(),
            name,
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
        let passed = i64::try_from(now).unwrap_or(i64::MAX) - self.booted;
        Tick((passed + passed / 1_000_000 * self.drift).max(0) as u64)
    }

    /// The first simulated microsecond at which its clock shows `tick`, or a little later.
    fn when(&self, tick: Tick) -> u64 {
        let tick = i64::try_from(tick.0).unwrap_or(i64::MAX / 4);
        // A drift of thousandths: one correction is exact to less than a second's drift.
        let passed = tick - tick / 1_000_000 * self.drift;
        let passed = passed + passed / 1_000_000 * self.drift * self.drift / 1_000_000 + 1_000;
        u64::try_from(passed.saturating_add(self.booted)).unwrap_or(0)
    }

    /// Whether nothing is on, nor about to be.
    pub fn is_idle(&self) -> bool {
        self.on.is_empty() && self.jobs.is_empty()
    }

    /// What the host is about to put on, with what of the host it holds.
    pub fn applying(&self) -> impl Iterator<Item = (&Key, &Vec<String>)> {
        self.jobs.values().filter_map(|job| match job {
            Job::Apply(key, on) if !on.one_shot => Some((key, &on.claims)),
            _ => None,
        })
    }

    /// Whether the host is about to put `key` on.
    pub fn applies(&self, key: &Key) -> bool {
        self.applying().any(|(of, _)| of == key)
    }

    pub fn instance(&self) -> Instance {
        self.instance.clone()
    }

    pub fn stamp(&self, now: u64) -> Stamp {
        Stamp {
            agent: self.name.clone(),
            instance: self.instance.clone(),
            tick: self.tick(now),
        }
    }

    fn ask(&mut self, from: From) -> AskId {
        self.next_ask += 1;
        let ask = AskId(self.next_ask);
        self.asks.insert(
            ask,
            Asker {
                from,
                line_at: Some(0),
                abort: None,
            },
        );
        ask
    }

    fn info(&self, now: u64) -> Option<AgentInfo> {
        let ward = self.ward.as_ref()?;
        let open: Option<OpenDrillView> = ward.open_drill(self.tick(now));
        Some(AgentInfo {
            stamp: self.stamp(now),
            latch: ward.latch().cloned(),
            open,
            ..self.info.clone()
        })
    }
}

fn info(agent: &AgentId) -> AgentInfo {
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
    AgentInfo {
        stamp: Stamp {
            agent: agent.clone(),
            instance: Instance(String::new()),
            tick: Tick(0),
        },
        protocol: PROTOCOL_VERSION,
        version: "simulated".to_owned(),
        host: "host".to_owned(),
        labels: BTreeMap::new(),
        latch: None,
        open: None,
        routes: vec![route("r1"), route("r2")],
        faults: FAULTS.iter().map(fault).collect(),
        abort_port: None,
        notes: Vec::new(),
        policy: None,
        commands: Vec::new(),
    }
}

/// What of the host a fault holds.
pub(crate) fn claims_of(fault: &str, route: Option<&str>) -> Vec<String> {
    match (fault, route) {
        ("cpu.burn", _) => vec!["cpu".to_owned()],
        (_, Some(route)) => vec![format!("route:{route}")],
        _ => Vec::new(),
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
        agent.instance = Instance(format!("{}-life-{}", agent.name, agent.life));
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
        let agent = &mut self.agents[index];
        let latch = agent.ward.as_ref().and_then(Ward::latch);
        if let Err((rule, words)) = agent.book.recovered(latch) {
            self.broken(rule, format!("agent {index}: {words}"));
        }
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
        self.writes_land(index);
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
        self.agents[index].book.died();
        self.push(now + down_us, Happening::AgentUp { agent: index });
    }

    /// Of the writes under way when a process dies some are whole on the disk, and nobody was told.
    fn writes_land(&mut self, index: usize) {
        let agent = &mut self.agents[index];
        let writes: Vec<Box<Durable>> = std::mem::take(&mut agent.jobs)
            .into_values()
            .filter_map(|job| match job {
                Job::Save(_, durable) => Some(durable),
                _ => None,
            })
            .collect();
        if writes.is_empty() || agent.disk_state != Disk::Fine {
            return;
        }
        self.counts.torn += 1;
        let landed = self.random.below(writes.len() + 1);
        if let Some(durable) = writes.into_iter().take(landed).next_back()
            && self.options.sabotage != Some(Sabotage::ForgetDisk)
        {
            self.agents[index].disk = *durable;
        }
    }

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
                let claims = claims_of(request.fault.as_str(), request.scope.route.as_deref());
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
            Body::Abort(request) => {
                let ask = agent.ask(from);
                let up_to = agent.book.newest();
                if let Some(asker) = agent.asks.get_mut(&ask) {
                    asker.abort = Some(AbortAsked {
                        drill: request.drill.clone(),
                        everything: request.latch && !agent.book.knows(&request),
                        up_to,
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
        let agent = &mut self.agents[index];
        let tick = agent.tick(now);
        agent.book.hears(&event, tick, &agent.instance);
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
            Effect::Apply {
                key,
                ends_in_ms,
                fault,
                scope,
                ..
            } => {
                if let Err((rule, words)) = self.check_apply(index, &key) {
                    self.broken(rule, format!("agent {index}: {words}"));
                }
                let us = self.job_us();
                let on = On {
                    ends: Tick(0),
                    claims: claims_of(fault.as_str(), scope.route.as_deref()),
                    one_shot: undo(fault.as_str()) == Undo::None,
                    ends_in_ms,
                };
                self.begin(index, Job::Apply(key, on), us);
            }
            Effect::Adjust { key, .. } => {
                self.broken(
                    crate::report::Rule::AbortWins,
                    format!("nobody asked to change {key:?}"),
                );
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
                    EventKind::Latch { latch: Some(_) } => self.counts.latches += 1,
                    EventKind::Latch { latch: None } => self.counts.releases += 1,
                    _ => {}
                }
                let agent = &mut self.agents[index];
                let (tick, on_disk) = (agent.tick(self.now), agent.disk.epoch);
                if let Err((rule, words)) = agent.book.tells(&kind, tick, on_disk) {
                    self.broken(rule, format!("agent {index}: {words}"));
                }
                self.send_event(index, &kind);
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
            Job::Apply(key, mut on) => {
                if !fails || half {
                    self.counts.applied += 1;
                    if !on.one_shot {
                        on.ends = agent.tick(now).plus_ms(on.ends_in_ms);
                        agent.on.insert(key.clone(), on);
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
                if clean {
                    agent.proved.insert(key.id.clone());
                }
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
            let on = On {
                ends: tick.plus_ms(ends_in_ms),
                claims: Vec::new(),
                one_shot: false,
                ends_in_ms,
            };
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
        self.agents[index].book.streams(&line);
        let Some(asker) = self.agents[index].asks.get(&ask).cloned() else {
            return;
        };
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
