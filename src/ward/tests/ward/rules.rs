//! Random orders of requests, results, time, hangs, full disks and restarts; after every step the rules.

use std::collections::BTreeMap;

use firedrill_ward::{AskId, Event, Key, Ward};
use firedrill_wire::{
    AbortRequest, CloseRequest, Epoch, Fence, HolderSecret, InjectionState as S, Instance, PatchRequest,
    ReleaseRequest, RenewRequest, Scope, StartRequest, Tick, Undo,
};
use proptest::prelude::*;

use crate::bench::{life, limits, open_request};
use crate::host::{Host, Job, Outcome};

#[derive(Clone, Debug)]
enum Op {
    Open(u8),
    Renew {
        back_ms: u64,
    },
    Close {
        back: u64,
    },
    Start {
        id: u8,
        claim: u8,
        drill_back: usize,
        late: bool,
    },
    Repeat(usize),
    Patch {
        id: u8,
        revision: u64,
        drill_back: usize,
    },
    Revert(u8),
    Abort {
        abort: Option<u8>,
        drill: Option<u8>,
        latch: bool,
    },
    Release {
        back: u64,
    },
    End(usize, Outcome),
    Pass(u64),
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let outcome =
        prop_oneof![8 => Just(Outcome::Fine), 1 => Just(Outcome::Fails), 1 => Just(Outcome::FailsHalfWay)];
    prop_oneof![
        4 => (0..6u8).prop_map(Op::Open),
        3 => (0..12_000u64).prop_map(|back_ms| Op::Renew { back_ms }),
        1 => (0..2u64).prop_map(|back| Op::Close { back }),
        9 => (0..6u8, 0..4u8, prop_oneof![6 => Just(0), 1 => Just(1usize)], prop::bool::weighted(0.05))
            .prop_map(|(id, claim, drill_back, late)| Op::Start { id, claim, drill_back, late }),
        3 => any::<usize>().prop_map(Op::Repeat),
        2 => (0..6u8, 0..4u64, 0..2usize)
            .prop_map(|(id, revision, drill_back)| Op::Patch { id, revision, drill_back }),
        2 => (0..6u8).prop_map(Op::Revert),
        2 => (proptest::option::of(0..4u8), proptest::option::of(0..6u8), prop::bool::weighted(0.3))
            .prop_map(|(abort, drill, latch)| Op::Abort { abort, drill, latch }),
        3 => (0..2u64).prop_map(|back| Op::Release { back }),
        24 => (any::<usize>(), outcome).prop_map(|(nth, outcome)| Op::End(nth, outcome)),
        4 => prop_oneof![4 => 0..800u64, 2 => 800..6_000u64, 1 => 6_000..70_000u64].prop_map(Op::Pass),
        1 => Just(Op::Restart),
    ]
}

/// A ward, its host, and what must be true of both.
struct World {
    ward: Ward,
    host: Host,
    now: Tick,
    lives: u32,
    asks: u64,
    /// Requests of this life that are not streams, and streams.
    asked: Vec<AskId>,
    streams: Vec<AskId>,
    fences: Vec<Fence>,
    starts: Vec<(String, StartRequest, Vec<String>)>,
    /// Every epoch up to here is dead by an abort, a close, a lapse or a restart.
    dead: Epoch,
    states: BTreeMap<Key, S>,
    /// What was asked with each start, and which of them the ward went on with.
    start_asks: BTreeMap<AskId, (Key, StartRequest)>,
    accepted: BTreeMap<Key, StartRequest>,
}

impl World {
    fn new() -> Self {
        let host = Host::default();
        let (ward, _) = Ward::recover(
            host.on_disk.clone(),
            life(1),
            "agent-1".into(),
            limits(),
            Tick(1_000_000),
        );
        Self {
            ward,
            host,
            now: Tick(1_000_000),
            lives: 1,
            asks: 0,
            asked: Vec::new(),
            streams: Vec::new(),
            fences: Vec::new(),
            starts: Vec::new(),
            dead: Epoch(0),
            states: BTreeMap::new(),
            start_asks: BTreeMap::new(),
            accepted: BTreeMap::new(),
        }
    }

    fn ask(&mut self) -> AskId {
        self.asks += 1;
        self.asked.push(AskId(self.asks));
        AskId(self.asks)
    }

    fn newest_epoch(&self) -> Epoch {
        self.fences
            .iter()
            .map(|fence| fence.epoch)
            .max()
            .unwrap_or_default()
    }

    fn fence(&self, back: usize) -> Fence {
        let known = self
            .fences
            .len()
            .checked_sub(1 + back)
            .and_then(|nth| self.fences.get(nth));
        known.cloned().unwrap_or(Fence {
            drill: "d0".into(),
            epoch: Epoch(1),
            instance: Instance("life-1".to_owned()),
            holder: HolderSecret("guessed".to_owned()),
        })
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Open(n) => {
                let ask = self.ask();
                let drill = format!("d{}-{}", n, self.newest_epoch().0 / 2);
                let request = open_request(&drill, &format!("nonce-{drill}"));
                self.step(Event::Open {
                    ask,
                    request,
                    holder: HolderSecret(format!("secret-{}", ask.0)),
                });
                if let Some(opened) = self.host.opened.pop()
                    && opened.epoch > self.newest_epoch()
                {
                    self.learn(&opened, &drill);
                }
            }
            Op::Renew { back_ms } => {
                let seen = Tick(self.now.0.saturating_sub(back_ms * 1_000));
                let (ask, fence) = (self.ask(), self.fence(0));
                self.step(Event::Renew {
                    ask,
                    request: RenewRequest { fence, seen },
                });
            }
            Op::Close { back } => {
                let epoch = Epoch(self.newest_epoch().0.saturating_sub(back));
                self.dead = self.dead.max(epoch);
                let ask = self.ask();
                self.step(Event::Close {
                    ask,
                    epoch,
                    request: CloseRequest::default(),
                });
            }
            Op::Start {
                id,
                claim,
                drill_back,
                late,
            } => {
                let request = StartRequest {
                    fence: self.fence(drill_back),
                    fault: "http.latency".into(),
                    parameters: serde_json::Value::Null,
                    scope: Scope::default(),
                    ends_in_ms: 20_000,
                    ramp_ms: 0,
                    not_after: if late { Tick(1) } else { self.now.plus_ms(1_500) },
                };
                // The last claim stands for a one-shot.
                self.start((format!("i{id}"), request, vec![format!("claim-{claim}")]));
            }
            Op::Repeat(nth) => {
                if let Some(start) = self.starts.get(nth % self.starts.len().max(1)).cloned() {
                    self.start(start);
                }
            }
            Op::Patch {
                id,
                revision,
                drill_back,
            } => {
                let request = PatchRequest {
                    fence: self.fence(drill_back),
                    revision,
                    not_after: self.now.plus_ms(500),
                    parameters: serde_json::Value::Null,
                };
                let ask = self.ask();
                self.step(Event::Patch {
                    ask,
                    id: format!("i{id}").as_str().into(),
                    request,
                });
            }
            Op::Revert(id) => {
                let ask = self.ask();
                self.step(Event::Revert {
                    ask,
                    id: format!("i{id}").as_str().into(),
                });
            }
            Op::Abort { abort, drill, latch } => self.abort(abort, drill, latch),
            Op::Release { back } => {
                let latch = self
                    .ward
                    .latch()
                    .map_or(0, |latch| latch.number.saturating_sub(back));
                let request = ReleaseRequest {
                    latch,
                    reason: "checked".to_owned(),
                    who: "bob".to_owned(),
                };
                let ask = self.ask();
                self.step(Event::Release { ask, request });
            }
            Op::End(nth, outcome) => {
                if let Some(event) = self.host.end(nth, outcome) {
                    self.step(event);
                }
            }
            Op::Pass(ms) => {
                let until = self.now.plus_ms(ms);
                while let Some(due) = self.ward.next_deadline().filter(|due| *due <= until) {
                    self.now = self.now.max(due);
                    self.step(Event::Tick);
                }
                self.now = until;
                self.step(Event::Tick);
            }
            Op::Restart => self.restart(),
        }
    }

    fn learn(&mut self, opened: &firedrill_wire::Opened, drill: &str) {
        assert!(opened.epoch > self.dead, "a dead epoch was given out again");
        self.fences.push(Fence {
            drill: drill.into(),
            epoch: opened.epoch,
            instance: opened.stamp.instance.clone(),
            holder: opened.holder.clone(),
        });
    }

    fn start(&mut self, start: (String, StartRequest, Vec<String>)) {
        self.starts.push(start.clone());
        let (id, request, claims) = start;
        let undo = if claims == ["claim-3"] {
            Undo::None
        } else {
            Undo::ProcessHeld
        };
        let ask = self.ask();
        let by_hand = String::new();
        let key = Key {
            epoch: request.fence.epoch,
            id: id.as_str().into(),
        };
        self.start_asks.insert(ask, (key.clone(), request.clone()));
        self.step(Event::Start {
            ask,
            id: id.as_str().into(),
            request: Box::new(request.clone()),
            claims,
            undo,
            by_hand,
            needs_keeper: false,
        });
        if !self.host.answered.contains_key(&ask) {
            self.accepted.entry(key).or_insert(request);
        }
    }

    fn abort(&mut self, abort: Option<u8>, drill: Option<u8>, latch: bool) {
        let drill = drill.map(|n| format!("d{}-{}", n, self.newest_epoch().0 / 2));
        let open = self.ward.open_drill(self.now);
        let hits = open.filter(|open| drill.as_ref().is_none_or(|named| *named == open.drill.0));
        // A repeat of an id may spare a newer drill; only a fresh abort must hit.
        if let Some(open) = hits.filter(|_| abort.is_none()) {
            self.dead = self.dead.max(open.epoch);
        }
        self.asks += 1;
        let ask = AskId(self.asks);
        self.streams.push(ask);
        let request = AbortRequest {
            abort: abort.map(|n| format!("a{n}")),
            drill: drill.map(Into::into),
            latch,
            reason: None,
            who: None,
        };
        self.step(Event::Abort { ask, request });
        if abort.is_none() && latch {
            assert!(self.ward.latch().is_some());
        }
    }

    fn restart(&mut self) {
        self.dead = self.dead.max(self.newest_epoch());
        self.lives += 1;
        // Faults are held by the process; what was on its way is gone with it.
        self.host.on.clear();
        self.host.jobs.clear();
        self.states.clear();
        self.asked.clear();
        self.streams.clear();
        let durable = self.host.on_disk.clone();
        let (ward, effects) = Ward::recover(durable, life(self.lives), "agent-1".into(), limits(), self.now);
        self.ward = ward;
        let stronger = self.host.take_in(effects);
        assert!(stronger.is_empty());
        self.check();
    }

    fn step(&mut self, event: Event) {
        let ends_epoch = self
            .ward
            .open_drill(self.now)
            .filter(|open| open.lease_left_ms == 0);
        let effects = self.ward.step(self.now, event);
        if let Some(lapsed) = ends_epoch {
            self.dead = self.dead.max(lapsed.epoch);
        }
        let stronger = self.host.take_in(effects);
        for key in &stronger {
            assert!(
                key.epoch > self.dead,
                "abort wins: {key:?} is stronger after {:?} died",
                self.dead
            );
            assert!(self.ward.latch().is_none(), "{key:?} under the latch");
            assert!(
                self.ward
                    .open_drill(self.now)
                    .is_some_and(|open| open.epoch == key.epoch),
                "{key:?} without its drill"
            );
        }
        // An opening that waited for the disk may be answered in any step.
        while let Some(opened) = self.host.opened.pop() {
            let open = self.ward.open_drill(self.now);
            if let Some(open) =
                open.filter(|open| open.epoch == opened.epoch && open.epoch > self.newest_epoch())
            {
                self.learn(&opened, &open.drill.0);
            }
        }
        self.check();
    }

    fn check(&mut self) {
        if let Some(due) = self.ward.next_deadline() {
            assert!(due > self.now, "a deadline that has passed would spin");
        }
        let views = self.ward.injections(self.now);
        assert!(views.len() <= limits().injections);
        let latched = self.ward.latch().is_some();
        for view in &views {
            let key = Key {
                epoch: view.epoch,
                id: view.id.clone(),
            };
            let applying = self
                .host
                .jobs
                .iter()
                .any(|job| matches!(job, Job::Apply(of) | Job::Adjust(of) if *of == key));
            let one_shot = self.host.on.contains(&key) && view.state == S::Done;
            if view.state.is_off() && !one_shot {
                assert!(!self.host.on.contains(&key), "{key:?} is {:?} but on", view.state);
                assert!(
                    !applying || view.state == S::Done,
                    "{key:?} is {:?} but may come on",
                    view.state
                );
            }
            if latched || view.epoch <= self.dead {
                assert!(view.state != S::Active, "{key:?} is on although latched or dead");
            }
            if let Some(before) = self.states.insert(key.clone(), view.state) {
                assert!(
                    may_follow(before, view.state),
                    "{key:?}: {before:?} -> {:?}",
                    view.state
                );
            }
        }
        for ask in std::mem::take(&mut self.host.refused) {
            let Some((key, request)) = self.start_asks.get(&ask) else {
                continue;
            };
            let applying = self
                .host
                .jobs
                .iter()
                .any(|job| matches!(job, Job::Apply(of) if of == key));
            let on = self.host.on.contains(key) || applying;
            assert!(
                !on || self.accepted.get(key) != Some(request),
                "{key:?} is refused, but on"
            );
        }
        for (ask, times) in &self.host.answered {
            assert_eq!(*times, 1, "{ask:?}");
        }
        assert!(self.host.on_disk.dead_drills.len() <= limits().dead_drills);
        assert!(self.host.on_disk.aborts.len() <= limits().aborts);
    }

    /// The host answers everything and time passes: all questions are answered and all faults are off.
    fn settle(&mut self) {
        for round in 0..200 {
            while !self.host.jobs.is_empty() {
                self.run(Op::End(0, Outcome::Fine));
            }
            let pending = self
                .ward
                .injections(self.now)
                .iter()
                .any(|view| !view.state.is_off());
            if round > 3 && !pending && self.ward.next_deadline().is_none() {
                break;
            }
            self.run(Op::Pass(60_000));
        }
        for view in self.ward.injections(self.now) {
            assert!(view.state.is_off(), "every injection ends: {view:?}");
        }
        for ask in &self.asked {
            assert_eq!(self.host.answered.get(ask), Some(&1), "{ask:?} was not answered");
        }
        for ask in &self.streams {
            assert!(self.host.ended_streams.contains(ask), "{ask:?} has no end");
        }
    }
}

fn may_follow(before: S, after: S) -> bool {
    let rank = |state| match state {
        S::Starting => 0,
        S::Active => 1,
        S::Reverting => 2,
        S::Unconfirmed => 3,
        S::Reverted | S::Refused | S::Failed | S::Done => 4,
    };
    before == after
        || match before {
            S::Unconfirmed => after == S::Reverted,
            S::Active | S::Reverting => rank(after) > rank(before) && after != S::Refused && after != S::Done,
            _ => rank(after) > rank(before),
        }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_hold_in_every_order(ops in proptest::collection::vec(op(), 1..160)) {
        let mut world = World::new();
        for op in ops {
            world.run(op);
        }
        world.settle();
    }
}

/// The random orders must reach the places where the rules bite, or they prove nothing.
#[test]
fn random_orders_reach_what_they_are_to_check() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut applied, mut unconfirmed, mut reverted, mut latched, mut lapsed) = (0, 0, 0, 0, 0);
    for _ in 0..100 {
        let ops = proptest::collection::vec(op(), 100..160)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let mut world = World::new();
        for op in ops {
            world.run(op);
            let views = world.ward.injections(world.now);
            unconfirmed += usize::from(views.iter().any(|view| view.state == S::Unconfirmed));
            lapsed += usize::from(views.iter().any(|view| view.reason.as_deref() == Some("lease")));
            latched += usize::from(world.ward.latch().is_some());
            reverted += usize::from(views.iter().any(|view| view.state == S::Reverted));
        }
        applied += world.host.applied.len();
    }
    for (what, times) in [
        ("applied", applied),
        ("unconfirmed", unconfirmed),
        ("reverted", reverted),
        ("latched", latched),
        ("lapsed", lapsed),
    ] {
        assert!(times >= 50, "{what} only {times} times");
    }
}
