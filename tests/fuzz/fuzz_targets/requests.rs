//! Bodies of requests to an agent, one a line, whatever they are: through the wire's types into a ward, whose host
//! does at once what it is told.
//!
//! A line's first byte names the call. At the end an abort comes: everything is off after it, and whoever asked has
//! been answered once.

#![no_main]

use std::collections::BTreeSet;

use firedrill_ward::{AskId, Durable, Effect, Event, Limits, Ward};
use firedrill_wire::{AbortLine, AbortRequest, ActionRequest, Epoch, Evidence, HolderSecret, Tick, Undo};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

const MOST_LINES: usize = 64;

/// Read, and written and read once more: the same.
fn read<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(body: &[u8]) -> Option<T> {
    let first: T = serde_json::from_slice(body).ok()?;
    let text = serde_json::to_vec(&first).expect("what was read can be written");
    let again: T = serde_json::from_slice(&text).expect("what was written can be read");
    assert_eq!(first, again);
    Some(first)
}

struct Host {
    ward: Ward,
    tick: u64,
    next_ask: u64,
    waiting: BTreeSet<AskId>,
}

impl Host {
    fn ask(&mut self) -> AskId {
        self.next_ask += 1;
        self.waiting.insert(AskId(self.next_ask));
        AskId(self.next_ask)
    }

    fn line(&mut self, line: &[u8]) {
        let Some((call, body)) = line.split_first() else { return };
        let id = || "x-1".into();
        let event = match call {
            b'o' => read(body).map(|request| Event::Open {
                ask: self.ask(),
                request,
                holder: HolderSecret("s".to_owned()),
            }),
            b'n' => read(body).map(|request| Event::Renew { ask: self.ask(), request }),
            b'c' => Some(Event::Close {
                ask: self.ask(),
                epoch: Epoch(1 + u64::from(body.first().copied().unwrap_or(b'1') % 4)),
                request: read(body).unwrap_or_default(),
            }),
            b's' | b'S' => read(body).map(|request: firedrill_wire::StartRequest| Event::Start {
                ask: self.ask(),
                id: if *call == b's' { id() } else { "x-2".into() },
                claims: request.scope.route.iter().map(|route| format!("route:{route}")).collect(),
                request: Box::new(request),
                undo: if *call == b's' { Undo::ProcessHeld } else { Undo::None },
                by_hand: "by hand".to_owned(),
                needs_keeper: false,
            }),
            b'p' => read(body).map(|request| Event::Patch { ask: self.ask(), id: id(), request }),
            b'r' => Some(Event::Revert { ask: self.ask(), id: id() }),
            b'a' => Some(self.abort(body)),
            b'l' => read(body).map(|request| Event::Release { ask: self.ask(), request }),
            // Which command it runs is not the body's to say: it is read, and no more.
            b'x' => {
                read::<ActionRequest>(body);
                None
            }
            b't' => {
                self.tick += 1_000 * u64::from(body.first().copied().unwrap_or(1)).pow(2);
                Some(Event::Tick)
            }
            _ => None,
        };
        if let Some(event) = event {
            self.step(event);
        }
    }

    /// As the agent reads it: an empty or unreadable body aborts all and latches.
    fn abort(&mut self, body: &[u8]) -> Event {
        let request = read(body).unwrap_or_else(|| AbortRequest {
            latch: true,
            ..AbortRequest::default()
        });
        Event::Abort { ask: self.ask(), request }
    }

    fn step(&mut self, event: Event) {
        let mut events = vec![event];
        let mut steps = 0;
        while let Some(event) = events.pop() {
            steps += 1;
            assert!(steps < 10_000, "the ward never comes to rest");
            for effect in self.ward.step(Tick(self.tick), event) {
                match effect {
                    Effect::Save { save, .. } => events.push(Event::Saved { save, durable: true }),
                    Effect::Apply { key, .. } => events.push(Event::Applied {
                        key,
                        evidence: Evidence::default(),
                    }),
                    Effect::Adjust { key, .. } => events.push(Event::Adjusted {
                        key,
                        result: Ok(Evidence::default()),
                    }),
                    Effect::Revert { key, attempt, .. } => events.push(Event::ReadBack {
                        key,
                        attempt,
                        clean: true,
                        evidence: Evidence::default(),
                        by_hand: None,
                    }),
                    Effect::Prove { key, attempt, .. } => events.push(Event::Proved {
                        key,
                        attempt,
                        clean: true,
                        evidence: Evidence::default(),
                    }),
                    Effect::Reply { ask, .. } | Effect::HangUp { ask } => self.answered(ask),
                    Effect::AbortLine {
                        ask,
                        line: AbortLine::End { .. },
                    } => self.answered(ask),
                    Effect::AbortLine { .. } | Effect::Emit(_) | Effect::Audit { .. } | Effect::Stopped { .. } => {}
                }
            }
        }
    }

    fn answered(&mut self, ask: AskId) {
        assert!(self.waiting.remove(&ask), "{ask:?} is answered twice, or was never asked");
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (ward, _) = Ward::recover(
        Durable::default(),
        "i".into(),
        "agent".into(),
        Limits::default(),
        Tick(1_000),
    );
    let mut host = Host {
        ward,
        tick: 1_000,
        next_ask: 0,
        waiting: BTreeSet::new(),
    };
    for line in bytes.split(|byte| *byte == b'\n').take(MOST_LINES) {
        host.tick += 1_000;
        host.line(line);
    }
    host.line(b"a");
    let views = host.ward.injections(Tick(host.tick));
    assert!(views.iter().all(|view| view.state.is_off()), "on after an abort: {views:?}");
    assert!(host.waiting.is_empty(), "never answered: {:?}", host.waiting);
});
