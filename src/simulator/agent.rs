//! An agent as it stands: the ward as shipped, its disk, its clock, what is really on, and who asks it something.
//!
//! [`crate::lives`] starts and ends it, [`crate::serving`] brings requests to the ward and carries out its effects,
//! [`crate::host`] is what its faults do, [`crate::keeper`] is who watches over it.

use std::collections::{BTreeMap, BTreeSet};

use firedrill_ward::{AskId, Durable, Key, Ward};
use firedrill_wire::{
    AgentId, AgentInfo, DrillId, Epoch, FaultInfo, FaultName, InjectionId, Instance, OpenDrillView,
    PROTOCOL_VERSION, Route, RouteProtocol, Stamp, Tick,
};

use crate::books::Book;
use crate::host::{Disk, Job, On, undo};
use crate::keeper::Keeper;
use crate::messages::From;

/// The faults that simulated hosts can do.
const FAULTS: [&str; 5] = ["noop", "http.latency", "cpu.burn", "tcp.cut", "process.pause"];

/// What an abort asked for that is being answered.
#[derive(Clone, Debug)]
pub(crate) struct AbortAsked {
    pub drill: Option<DrillId>,
    /// Whatever is on, as it latches.
    pub everything: bool,
    /// The newest epoch when it came.
    pub up_to: Epoch,
    /// The how many-eth abort it is here.
    pub number: u64,
}

/// Where an answer goes.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pub from: From,
    /// Of a stream: when its last line arrives; `None` once it is torn.
    pub line_at: Option<u64>,
    pub abort: Option<AbortAsked>,
    /// It asked for another strength.
    pub changes: bool,
}

pub(crate) struct Agent {
    pub name: AgentId,
    /// `None` while it is down.
    pub ward: Option<Ward>,
    pub life: u32,
    /// When its host booted, in simulated microseconds; it may be before the beginning.
    pub booted: i64,
    /// Its clock's drift, in millionths.
    drift: i64,
    pub instance: Instance,
    /// All that does not change of what it says of itself.
    info: AgentInfo,
    pub book: Book,
    /// What a second look has found gone, by name: names are not used twice.
    pub proved: BTreeSet<InjectionId>,
    pub disk: Durable,
    pub disk_state: Disk,
    /// Until then its process does nothing.
    pub frozen_until: u64,
    /// Its process alone hangs; else its host stands still, and its keeper with it.
    pub hangs: bool,
    pub keeper: Keeper,
    /// When it died, while it is dead.
    pub died_us: Option<u64>,
    /// The newest epoch of lives of the past.
    pub former: Epoch,
    /// Reverts find the fault still there until then.
    pub stuck_until: u64,
    pub on: BTreeMap<Key, On>,
    pub jobs: BTreeMap<u64, Job>,
    pub next_job: u64,
    pub saved_until: u64,
    pub asks: BTreeMap<AskId, Asker>,
    pub starts: BTreeMap<AskId, (Key, u64)>,
    next_ask: u64,
    /// When the next tick is planned.
    pub due: Option<u64>,
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
            hangs: false,
            keeper: Keeper::default(),
            died_us: None,
            former: Epoch(0),
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
        Tick((passed + passed * self.drift / 1_000_000).max(0) as u64)
    }

    /// The first simulated microsecond at which its clock shows `tick`, or a little later.
    pub fn when(&self, tick: Tick) -> u64 {
        let tick = i64::try_from(tick.0).unwrap_or(i64::MAX).min(1 << 50);
        // A drift of thousandths: two corrections are exact to a second's drift of the drift.
        let passed = tick - tick * self.drift / 1_000_000;
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
            // A change that hangs may put back what was taken away meanwhile.
            Job::Adjust(key, on, _) => Some((key, &on.claims)),
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

    pub fn ask(&mut self, from: From) -> AskId {
        self.next_ask += 1;
        let ask = AskId(self.next_ask);
        self.asks.insert(
            ask,
            Asker {
                from,
                line_at: Some(0),
                abort: None,
                changes: false,
            },
        );
        ask
    }

    pub fn info(&self, now: u64) -> Option<AgentInfo> {
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
