//! What goes over the network, and what it does to it.

use firedrill_ward::Reply;
use firedrill_wire::{
    AbortLine, AbortRequest, AgentInfo, CloseRequest, Epoch, EventKind, InjectionId, LatchView, OpenRequest,
    PatchRequest, ReleaseRequest, RenewRequest, Stamp, StartRequest,
};

use crate::world::{Happening, World};

/// Who asked, so that the answer finds its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// A call of the console's drill, by its number.
    Call(u64),
    /// A heartbeat, by its number.
    Beat(u64),
    /// The test of the abort path, by its number.
    Test(u64),
    /// The abort line: which order.
    Line(u64),
    /// A person with the abort card.
    Card,
    /// Somebody who drives an agent on their own, by their number.
    Stranger(u64),
    /// A person who releases a latch, or tries an agent at the end.
    Person,
}

impl From {
    /// The life of the console that waits for the answer.
    pub fn life(self) -> Option<u32> {
        match self {
            Self::Call(no) | Self::Beat(no) | Self::Test(no) | Self::Line(no) => {
                Some((no / LIFE) as u32).filter(|life| *life > 0)
            }
            Self::Card | Self::Stranger(_) | Self::Person => None,
        }
    }
}

/// Numbers of one console's life.
pub(crate) const LIFE: u64 = 1_000_000;

/// A request.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Info,
    /// `Info` on the abort line, of which only the stamp and the latch are read.
    Beat,
    Open(OpenRequest),
    Renew(RenewRequest),
    Close(Epoch, CloseRequest),
    Start(InjectionId, Box<StartRequest>),
    Patch(InjectionId, Box<PatchRequest>),
    Revert(InjectionId),
    Abort(AbortRequest),
    Release(ReleaseRequest),
}

/// An answer, or a part of it.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Info(Box<AgentInfo>),
    Beat {
        stamp: Stamp,
        latch: Option<LatchView>,
    },
    Reply(Reply),
    Line(AbortLine),
    /// The connection was refused or is gone.
    Torn,
}

/// The way to one agent and back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    /// Nothing gets through until then.
    pub cut_until: u64,
    /// Latest arrivals, to count what overtakes.
    there: u64,
    back: u64,
}

/// How bad the network is, in parts of 10,000.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    pub loss: u64,
    pub double: u64,
    pub slow: u64,
}

impl World {
    pub(crate) fn send(&mut self, agent: usize, from: From, body: Body) {
        let mut body = Some(body);
        let doubled = self.net.chance(self.weather.double);
        self.counts.duplicates += u64::from(doubled);
        for last in if doubled { &[false, true][..] } else { &[true] } {
            let copy = if *last { body.take() } else { body.clone() };
            let Some(body) = copy else { continue };
            let Some(at) = self.travel(agent) else { continue };
            let way = &mut self.ways[agent];
            self.counts.reorders += u64::from(at < way.there);
            way.there = way.there.max(at);
            self.push(at, Happening::Request { agent, from, body });
        }
    }

    pub(crate) fn send_back(&mut self, agent: usize, from: From, answer: Answer) {
        let Some(at) = self.travel(agent) else { return };
        let way = &mut self.ways[agent];
        self.counts.reorders += u64::from(at < way.back);
        way.back = way.back.max(at);
        self.push(at, Happening::Answer { agent, from, answer });
    }

    /// The next line of a stream: in order, or the stream is torn. Returns when it arrives.
    pub(crate) fn send_line(
        &mut self,
        agent: usize,
        from: From,
        not_before: u64,
        line: AbortLine,
    ) -> Option<u64> {
        let at = self.travel(agent)?.max(not_before);
        self.push(
            at,
            Happening::Answer {
                agent,
                from,
                answer: Answer::Line(line),
            },
        );
        Some(at)
    }

    /// To every console that listens to this agent.
    pub(crate) fn send_event(&mut self, agent: usize, kind: &EventKind) {
        if !matches!(kind, EventKind::Injection { .. } | EventKind::Latch { .. }) {
            return;
        }
        for place in 0..self.consoles.len() {
            let console = &self.consoles[place];
            let listens = console.drill.agents().get(agent).is_some_and(|it| it.needed);
            if console.ended || !listens {
                continue;
            }
            let life = console.life;
            if let Some(at) = self.travel(agent) {
                let kind = Box::new(kind.clone());
                self.push(at, Happening::Told { agent, life, kind });
            }
        }
    }

    /// When a message sent now arrives; `None`: never.
    fn travel(&mut self, agent: usize) -> Option<u64> {
        if self.now < self.ways[agent].cut_until || self.net.chance(self.weather.loss) {
            self.counts.drops += 1;
            return None;
        }
        let slow = self.net.chance(self.weather.slow);
        let us = if slow {
            self.net.between(20_000, 2_500_000)
        } else {
            self.net.between(100, 3_000)
        };
        Some(self.now + us)
    }
}
