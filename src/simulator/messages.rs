//! What goes over the network, and what it does to it.

use firedrill_ward::Reply;
use firedrill_wire::{
    AbortLine, AbortRequest, AgentInfo, CloseRequest, Epoch, EventKind, InjectionId, OpenRequest,
    ReleaseRequest, RenewRequest, StartRequest,
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
    /// A person who releases a latch, or tries an agent at the end.
    Person,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Info,
    Open(OpenRequest),
    Renew(RenewRequest),
    Close(Epoch, CloseRequest),
    Start(InjectionId, Box<StartRequest>),
    Revert(InjectionId),
    Abort(AbortRequest),
    Release(ReleaseRequest),
}

/// An answer, or a part of it.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Info(Box<AgentInfo>),
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
        let copies = if self.random.chance(self.weather.double) {
            2
        } else {
            1
        };
        self.counts.duplicates += copies - 1;
        for _ in 0..copies {
            let Some(at) = self.travel(agent) else { continue };
            let way = &mut self.ways[agent];
            self.counts.reorders += u64::from(at < way.there);
            way.there = way.there.max(at);
            self.push(
                at,
                Happening::Request {
                    agent,
                    from,
                    body: body.clone(),
                },
            );
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

    pub(crate) fn send_event(&mut self, agent: usize, kind: EventKind) {
        if let Some(at) = self.travel(agent) {
            self.push(at, Happening::Told { agent, kind });
        }
    }

    /// When a message sent now arrives; `None`: never.
    fn travel(&mut self, agent: usize) -> Option<u64> {
        if self.now < self.ways[agent].cut_until || self.random.chance(self.weather.loss) {
            self.counts.drops += 1;
            return None;
        }
        let slow = self.random.chance(self.weather.slow);
        let us = if slow {
            self.random.between(20_000, 2_500_000)
        } else {
            self.random.between(100, 3_000)
        };
        Some(self.now + us)
    }
}
