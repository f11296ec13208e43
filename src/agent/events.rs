//! What `GET /v1/events` tells: a ring of the newest events, read by each listener at its own pace.

use std::collections::VecDeque;
use std::sync::Arc;

use firedrill_wire::{AgentEvent, AgentId, EventKind, Instance, Stamp, Tick};
use parking_lot::Mutex;
use tokio::sync::watch;

/// Events kept for those who read slowly or come back.
pub const KEPT: usize = 1_024;

/// An event as the frame of server-sent events, with id, name and data. Written for each listener when it
/// is sent and not when it happens: nothing but the event itself is made under the core's lock.
pub fn frame(event: &AgentEvent) -> String {
    let name = match &event.kind {
        EventKind::Opened { .. } => "opened",
        EventKind::Ended { .. } => "ended",
        EventKind::Injection { .. } => "injection",
        EventKind::Latch { .. } => "latch",
        EventKind::Gap { .. } => "gap",
    };
    let data = serde_json::to_string(event).unwrap_or_default();
    let (instance, n) = (&event.stamp.instance, event.n);
    format!("id: {instance}:{n}\nevent: {name}\ndata: {data}\n\n")
}

/// The ring.
#[derive(Debug)]
pub struct EventLog {
    agent: AgentId,
    instance: Instance,
    ring: Mutex<VecDeque<Arc<AgentEvent>>>,
    newest: watch::Sender<u64>,
}

impl EventLog {
    /// An empty one.
    pub fn new(agent: AgentId, instance: Instance) -> Self {
        Self {
            agent,
            instance,
            ring: Mutex::new(VecDeque::new()),
            newest: watch::Sender::new(0),
        }
    }

    /// Numbers and keeps an event.
    pub fn push(&self, tick: Tick, kind: EventKind) {
        let mut ring = self.ring.lock();
        let n = *self.newest.borrow() + 1;
        ring.push_back(Arc::new(self.event(n, tick, kind)));
        if ring.len() > KEPT {
            ring.pop_front();
        }
        self.newest.send_replace(n);
    }

    /// The number of the newest event; 0 before the first.
    pub fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// Tells of new events.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// The events after number `last`, and how many of them are no longer there.
    pub fn after(&self, last: u64) -> (u64, Vec<Arc<AgentEvent>>) {
        let ring = self.ring.lock();
        let oldest = ring.front().map_or(last + 1, |event| event.n);
        let dropped = oldest.saturating_sub(last + 1);
        (
            dropped,
            ring.iter().filter(|event| event.n > last).cloned().collect(),
        )
    }

    /// Where a listener goes on that last saw `id` (`instance:n`): the number, and whether it belongs to
    /// this life. Anything else is from another life, and starts with a gap.
    pub fn resume(&self, id: &str) -> (u64, bool) {
        let n = id
            .strip_prefix(self.instance.as_str())
            .and_then(|rest| rest.strip_prefix(':'))
            .and_then(|n| n.parse::<u64>().ok());
        match n {
            Some(n) if n <= self.newest() => (n, true),
            _ => (0, false),
        }
    }

    /// The frame that announces `dropped` missing events before number `before`.
    pub fn gap(&self, tick: Tick, before: u64, dropped: u64) -> String {
        frame(&self.event(before.saturating_sub(1), tick, EventKind::Gap { dropped }))
    }

    fn event(&self, n: u64, tick: Tick, kind: EventKind) -> AgentEvent {
        let stamp = Stamp {
            agent: self.agent.clone(),
            instance: self.instance.clone(),
            tick,
        };
        AgentEvent { stamp, n, kind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> EventLog {
        EventLog::new(AgentId("a".into()), Instance("i".into()))
    }

    #[test]
    fn a_listener_gets_what_came_after() {
        let log = log();
        for _ in 0..3 {
            log.push(Tick(1), EventKind::Latch { latch: None });
        }
        let (dropped, events) = log.after(1);
        assert_eq!(
            (dropped, events.iter().map(|e| e.n).collect::<Vec<_>>()),
            (0, vec![2, 3])
        );
        assert_eq!(log.after(3).1.len(), 0);
    }

    #[test]
    fn what_fell_out_of_the_ring_is_counted() {
        let log = log();
        for _ in 0..KEPT + 5 {
            log.push(Tick(1), EventKind::Latch { latch: None });
        }
        let (dropped, events) = log.after(2);
        assert_eq!((dropped, events.len(), events[0].n), (3, KEPT, 6));
    }

    #[test]
    fn ids_of_another_life_start_with_a_gap() {
        let log = log();
        log.push(Tick(1), EventKind::Latch { latch: None });
        assert_eq!(log.resume("i:1"), (1, true));
        for id in ["j:1", "i:2", "i", "", "i:x"] {
            assert_eq!(log.resume(id), (0, false), "{id}");
        }
    }
}
