//! A ward on a bench: requests go in, effects come out, and the test plays the host.

use firedrill_ward::{AskId, Durable, Effect, Event, Key, Limits, Reply, SaveId, Ward};
use firedrill_wire::{
    AbortLine, AbortRequest, AgentId, CloseRequest, DrillId, Epoch, EventKind, Evidence, Fence, HolderSecret,
    InjectionId, InjectionState, InjectionView, Instance, OpenRequest, Opened, PatchRequest, Problem,
    ProblemKind, ReleaseRequest, RenewRequest, Scope, StartRequest, Tick, Undo,
};

pub struct Bench {
    pub ward: Ward,
    pub now: Tick,
    asks: u64,
    /// Every effect so far that no test has taken.
    pub effects: Vec<Effect>,
    /// Whether saves are answered at once, and how.
    pub disk: Disk,
    /// The newest snapshot that is on disk.
    pub on_disk: Durable,
    lives: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    Fast,
    Full,
    Hangs,
}

pub fn limits() -> Limits {
    Limits {
        injections: 16,
        tombstones: 4,
        dead_drills: 4,
        aborts: 4,
        asks: 4,
        ..Limits::default()
    }
}

impl Bench {
    pub fn new() -> Self {
        Self::on(Durable::default(), limits())
    }

    pub fn on(durable: Durable, limits: Limits) -> Self {
        let now = Tick(1_000_000);
        let (ward, effects) = Ward::recover(durable.clone(), life(1), "agent-1".into(), limits, now);
        let mut bench = Self {
            ward,
            now,
            asks: 0,
            effects: Vec::new(),
            disk: Disk::Fast,
            on_disk: durable,
            lives: 1,
        };
        bench.take_in(effects);
        bench
    }

    /// The process dies and comes back on what is on disk.
    pub fn restart(&mut self) {
        self.lives += 1;
        self.effects.clear();
        let agent = AgentId("agent-1".to_owned());
        let (ward, effects) =
            Ward::recover(self.on_disk.clone(), life(self.lives), agent, limits(), self.now);
        self.ward = ward;
        self.take_in(effects);
    }

    fn take_in(&mut self, effects: Vec<Effect>) {
        let ranks: Vec<u8> = effects.iter().map(rank).collect();
        assert!(
            ranks.is_sorted(),
            "reverts first, the disk and the audit log last: {effects:#?}"
        );
        for effect in effects {
            let saved = match &effect {
                Effect::Save { save, durable } if self.disk != Disk::Hangs => Some((*save, durable.clone())),
                _ => None,
            };
            self.effects.push(effect);
            if let Some((save, durable)) = saved {
                let fine = self.disk == Disk::Fast;
                if fine {
                    self.on_disk = *durable;
                }
                self.step(Event::Saved { save, durable: fine });
            }
        }
    }

    pub fn step(&mut self, event: Event) {
        let effects = self.ward.step(self.now, event);
        self.take_in(effects);
    }

    pub fn pass_ms(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.step(Event::Tick);
    }

    pub fn ask(&mut self) -> AskId {
        self.asks += 1;
        AskId(self.asks)
    }

    /// The answer to `ask`, if it has come; there is never a second one.
    pub fn answer(&self, ask: AskId) -> Option<Reply> {
        let mut answers = self.effects.iter().filter_map(|effect| match effect {
            Effect::Reply { ask: asked, reply } if *asked == ask => Some(reply.clone()),
            _ => None,
        });
        let answer = answers.next();
        assert_eq!(answers.next(), None, "{ask:?} was answered twice");
        answer
    }

    pub fn refusal(&self, ask: AskId) -> Problem {
        match self.answer(ask) {
            Some(Reply::Refused(problem)) => problem,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    pub fn kind(&self, ask: AskId) -> ProblemKind {
        self.refusal(ask).kind
    }

    pub fn view(&self, ask: AskId) -> InjectionView {
        match self.answer(ask) {
            Some(Reply::Injection(view)) => *view,
            other => panic!("expected an injection, got {other:?}"),
        }
    }

    pub fn state(&self, id: &str) -> InjectionState {
        match self.ward.injection(&id.into(), self.now) {
            Some(view) => view.state,
            None => panic!("no injection {id}"),
        }
    }

    pub fn lines(&self, ask: AskId) -> Vec<AbortLine> {
        let lines = self.effects.iter().filter_map(|effect| match effect {
            Effect::AbortLine { ask: asked, line } if *asked == ask => Some(line.clone()),
            _ => None,
        });
        lines.collect()
    }

    /// Whether the abort has told its end, and whether that was clean; nothing follows it.
    pub fn end(&self, ask: AskId) -> Option<bool> {
        let lines = self.lines(ask);
        let ends: Vec<_> = lines
            .iter()
            .filter_map(|line| match line {
                AbortLine::End { clean, .. } => Some(*clean),
                _ => None,
            })
            .collect();
        assert!(ends.len() <= 1);
        assert!(
            ends.is_empty() || matches!(lines.last(), Some(AbortLine::End { .. })),
            "nothing follows the end"
        );
        ends.first().copied()
    }

    /// What the abort has told of the disk.
    pub fn durable(&self, ask: AskId) -> Option<bool> {
        self.lines(ask).iter().find_map(|line| match line {
            AbortLine::Received { durable, .. } => Some(*durable),
            _ => None,
        })
    }

    pub fn last_save(&self) -> SaveId {
        let save = self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Save { save, .. } => Some(*save),
            _ => None,
        });
        match save {
            Some(save) => save,
            None => panic!("nothing was saved"),
        }
    }

    /// How often the host was asked to apply `id`.
    pub fn applies(&self, id: &str) -> usize {
        self.count(|effect| matches!(effect, Effect::Apply { key, .. } if key.id.as_str() == id))
    }

    /// The attempts of reverts of `id`.
    pub fn reverts(&self, id: &str) -> Vec<u32> {
        let attempts = self.effects.iter().filter_map(|effect| match effect {
            Effect::Revert { key, attempt, .. } if key.id.as_str() == id => Some(*attempt),
            _ => None,
        });
        attempts.collect()
    }

    pub fn count(&self, wanted: impl Fn(&Effect) -> bool) -> usize {
        self.effects.iter().filter(|effect| wanted(effect)).count()
    }

    pub fn ended(&self) -> Vec<String> {
        let whys = self.effects.iter().filter_map(|effect| match effect {
            Effect::Emit(EventKind::Ended { why, .. }) => Some(why.clone()),
            _ => None,
        });
        whys.collect()
    }

    pub fn open_as(&mut self, drill: &str, nonce: &str) -> AskId {
        let ask = self.ask();
        let holder = HolderSecret(format!("secret-{}", ask.0));
        self.step(Event::Open {
            ask,
            request: open_request(drill, nonce),
            holder,
        });
        ask
    }

    pub fn opened(&self, ask: AskId) -> Opened {
        match self.answer(ask) {
            Some(Reply::Opened(opened)) => opened,
            other => panic!("expected an opening, got {other:?}"),
        }
    }

    /// Opens a drill and returns its fence.
    pub fn open(&mut self, drill: &str) -> Fence {
        let ask = self.open_as(drill, drill);
        let opened = self.opened(ask);
        Fence {
            drill: drill.into(),
            epoch: opened.epoch,
            instance: opened.stamp.instance,
            holder: opened.holder,
        }
    }

    pub fn start_with(&mut self, id: &str, request: StartRequest, claim: &str, undo: Undo) -> AskId {
        let ask = self.ask();
        let (id, claims) = (id.into(), vec![claim.to_owned()]);
        self.step(Event::Start {
            ask,
            id,
            request: Box::new(request),
            claims,
            undo,
            by_hand: "take it back by hand".to_owned(),
            needs_keeper: claim.starts_with("pid:"),
        });
        ask
    }

    pub fn start(&mut self, fence: &Fence, id: &str) -> AskId {
        let request = self.start_request(fence);
        self.start_with(id, request, &format!("route:{id}"), Undo::ProcessHeld)
    }

    pub fn start_request(&self, fence: &Fence) -> StartRequest {
        StartRequest {
            fence: fence.clone(),
            fault: "http.latency".into(),
            parameters: serde_json::json!({ "delay": "100ms" }),
            scope: Scope {
                route: Some("payment-http".to_owned()),
                ..Scope::default()
            },
            ends_in_ms: 60_000,
            ramp_ms: 0,
            not_after: self.now.plus_ms(1_000),
        }
    }

    /// Starts `id` and lets the host apply it.
    pub fn active(&mut self, fence: &Fence, id: &str) {
        self.start(fence, id);
        self.applied(fence.epoch, id);
        assert_eq!(self.state(id), InjectionState::Active);
    }

    pub fn applied(&mut self, epoch: Epoch, id: &str) {
        self.step(Event::Applied {
            key: key(epoch, id),
            evidence: words("on"),
        });
    }

    pub fn read_back(&mut self, epoch: Epoch, id: &str, clean: bool) {
        let Some(attempt) = self.reverts(id).last().copied() else {
            panic!("{id} was not reverted")
        };
        self.read_back_of(epoch, id, attempt, clean);
    }

    pub fn read_back_of(&mut self, epoch: Epoch, id: &str, attempt: u32, clean: bool) {
        let by_hand = (!clean).then(|| "restart the proxy".to_owned());
        let evidence = words(if clean {
            "0 requests held"
        } else {
            "2 requests held"
        });
        self.step(Event::ReadBack {
            key: key(epoch, id),
            attempt,
            clean,
            evidence,
            by_hand,
        });
    }

    pub fn proved(&mut self, epoch: Epoch, id: &str, clean: bool) {
        let mut attempts = self.effects.iter().filter_map(|effect| match effect {
            Effect::Prove { key, attempt, .. } if key.id.as_str() == id => Some(*attempt),
            _ => None,
        });
        let Some(attempt) = attempts.next_back() else {
            panic!("no proof of {id} was asked for")
        };
        self.step(Event::Proved {
            key: key(epoch, id),
            attempt,
            clean,
            evidence: words("probe answers in 0.4 ms"),
        });
    }

    pub fn revert(&mut self, id: &str) -> AskId {
        let ask = self.ask();
        self.step(Event::Revert { ask, id: id.into() });
        ask
    }

    pub fn renew(&mut self, fence: &Fence, seen: Tick) -> AskId {
        let ask = self.ask();
        self.step(Event::Renew {
            ask,
            request: RenewRequest {
                fence: fence.clone(),
                seen,
            },
        });
        ask
    }

    pub fn deadline(&self, ask: AskId) -> Tick {
        match self.answer(ask) {
            Some(Reply::Renewed(renewed)) => renewed.deadline,
            other => panic!("expected a renewal, got {other:?}"),
        }
    }

    pub fn close(&mut self, epoch: Epoch) -> AskId {
        let ask = self.ask();
        let request = CloseRequest {
            journal: Some("blake3:cafe".to_owned()),
        };
        self.step(Event::Close { ask, epoch, request });
        ask
    }

    pub fn patch(&mut self, fence: &Fence, id: &str, revision: u64) -> AskId {
        let ask = self.ask();
        let request = PatchRequest {
            fence: fence.clone(),
            revision,
            not_after: self.now.plus_ms(1_000),
            parameters: serde_json::json!({ "delay": format!("{revision}00ms") }),
        };
        self.step(Event::Patch {
            ask,
            id: id.into(),
            request,
        });
        ask
    }

    pub fn abort(&mut self, abort: Option<&str>, drill: Option<&str>, latch: bool) -> AskId {
        let ask = self.ask();
        let request = AbortRequest {
            abort: abort.map(str::to_owned),
            drill: drill.map(DrillId::from),
            latch,
            reason: Some("smoke".to_owned()),
            who: Some("ann".to_owned()),
        };
        self.step(Event::Abort { ask, request });
        ask
    }

    pub fn release(&mut self, latch: u64) -> AskId {
        let ask = self.ask();
        let request = ReleaseRequest {
            latch,
            reason: "checked".to_owned(),
            who: "bob".to_owned(),
        };
        self.step(Event::Release { ask, request });
        ask
    }
}

pub fn life(n: u32) -> Instance {
    Instance(format!("life-{n}"))
}

pub fn key(epoch: Epoch, id: &str) -> Key {
    Key {
        epoch,
        id: InjectionId::from(id),
    }
}

pub fn words(text: &str) -> Evidence {
    Evidence {
        words: text.to_owned(),
        ..Evidence::default()
    }
}

pub fn open_request(drill: &str, nonce: &str) -> OpenRequest {
    OpenRequest {
        drill: drill.into(),
        nonce: nonce.to_owned(),
        experiment: "payment is slow".to_owned(),
        console: "desk-1".to_owned(),
        who: "ann".to_owned(),
        lease_ms: 10_000,
    }
}

fn rank(effect: &Effect) -> u8 {
    match effect {
        Effect::Revert { .. } => 0,
        Effect::Save { .. } => 2,
        Effect::Audit { .. } => 3,
        Effect::Stopped { .. } => 4,
        _ => 1,
    }
}
