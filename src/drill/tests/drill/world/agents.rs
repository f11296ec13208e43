//! One agent of the world: what it is, who it says it is, and how it takes back.

use std::collections::BTreeMap;

use firedrill_wire::{
    AgentId, AgentInfo, Evidence, FaultInfo, FaultName, InjectionState, InjectionView, Instance, LatchView,
    ProblemKind, Proof, Route, RouteProtocol, Stamp, Tick, Undo,
};

/// One agent. Fields may be changed by a test at any time.
#[derive(Clone, Debug)]
pub struct Agent {
    pub id: String,
    pub instance: String,
    pub protocol: u32,
    pub latch: Option<LatchView>,
    pub epoch: u64,
    pub open: bool,
    pub fault_available: bool,
    /// Answers nothing at all, abort line included.
    pub dead: bool,
    /// Lets renewals fall.
    pub loses_renewals: bool,
    pub refuses_open: Option<ProblemKind>,
    pub refuses_start: Option<ProblemKind>,
    /// Starts are applied but their answer is lost.
    pub loses_start_answers: bool,
    pub refuses_change: Option<ProblemKind>,
    /// Reverts do nothing and are not answered.
    pub loses_reverts: bool,
    /// Faults that it can do besides.
    pub faults: Vec<String>,
    /// Changes are made but their answer is lost.
    pub loses_change_answers: bool,
    pub abort_test_fails: bool,
    /// Read-backs do not show the fault gone.
    pub sticks: bool,
    /// Does not tell the end of injections by itself.
    pub silent_ends: bool,
    pub injections: BTreeMap<String, InjectionView>,
    /// Its allow-list.
    pub commands: Vec<String>,
}

impl Agent {
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            instance: format!("{id}-1"),
            protocol: 1,
            latch: None,
            epoch: 0,
            open: false,
            fault_available: true,
            dead: false,
            loses_renewals: false,
            refuses_open: None,
            refuses_start: None,
            loses_start_answers: false,
            refuses_change: None,
            loses_reverts: false,
            faults: Vec::new(),
            loses_change_answers: false,
            abort_test_fails: false,
            sticks: false,
            silent_ends: false,
            injections: BTreeMap::new(),
            commands: Vec::new(),
        }
    }

    pub fn stamp(&self, now_us: u64) -> Stamp {
        Stamp {
            agent: AgentId::from(self.id.as_str()),
            instance: Instance::from(self.instance.as_str()),
            tick: Tick(1_000_000_000 + now_us),
        }
    }

    pub fn info(&self, now_us: u64) -> AgentInfo {
        let fault = |name: &str, available| FaultInfo {
            name: FaultName::from(name),
            summary: String::new(),
            schema: serde_json::Value::Null,
            params: Vec::new(),
            scope: Vec::new(),
            undo: Undo::ProcessHeld,
            undo_words: String::new(),
            available,
            why_not: (!available).then(|| "no proxy".to_owned()),
            remedy: (!available).then(|| "install it".to_owned()),
        };
        AgentInfo {
            stamp: self.stamp(now_us),
            protocol: self.protocol,
            version: "0".to_owned(),
            host: "h".to_owned(),
            abort_port: None,
            labels: BTreeMap::new(),
            latch: self.latch.clone(),
            open: None,
            routes: vec![Route {
                name: "r".to_owned(),
                listen: "l".to_owned(),
                upstream: "u".to_owned(),
                protocol: RouteProtocol::Http,
            }],
            faults: [
                fault("noop", true),
                fault("http.latency", self.fault_available),
                fault("tcp.cut", true),
            ]
            .into_iter()
            .chain(self.faults.iter().map(|name| fault(name, true)))
            .collect(),
            notes: Vec::new(),
            policy: None,
            commands: self.commands.clone(),
        }
    }

    /// Takes one back, as an agent does at its end, by revert or abort.
    pub fn take_back(&mut self, id: &str, now_us: u64, reason: &str) {
        let stamp = self.stamp(now_us);
        let sticks = self.sticks;
        let Some(view) = self.injections.get_mut(id) else {
            return;
        };
        if view.state.is_off() {
            return;
        }
        view.stamp = stamp.clone();
        view.reason = Some(reason.to_owned());
        if sticks {
            view.state = InjectionState::Unconfirmed;
            view.by_hand = Some("pull the plug".to_owned());
        } else {
            view.state = InjectionState::Reverted;
            view.proved = Some(Proof {
                tick: stamp.tick,
                evidence: Evidence::default(),
            });
        }
    }
}
