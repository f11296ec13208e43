//! Packets that are held for a while: in the order of their time, and those of one flow in the order they came; and
//! a link of some bytes per second.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

/// Flows that are told apart; two that share a place keep each other's order, which harms neither.
const FLOWS: usize = 1_024;

/// A packet that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Packet {
    /// The kernel's number for it.
    pub id: u32,
    /// When it came.
    pub came: Duration,
}

/// Packets in the order they are due. Time is since any fixed moment.
#[derive(Debug)]
pub struct Line {
    /// When due, then as they came.
    waiting: BinaryHeap<Reverse<(Duration, u64, Packet)>>,
    /// When the last packet of each flow is due.
    last: Vec<Duration>,
    came: u64,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            waiting: BinaryHeap::new(),
            last: vec![Duration::ZERO; FLOWS],
            came: 0,
        }
    }
}

impl Line {
    /// One more packet, due at that time or, if an earlier one of its flow is due later, with that.
    pub fn push(&mut self, packet: Packet, flow: u64, due: Duration) {
        let place = (flow % FLOWS as u64) as usize;
        let mut due = due;
        if let Some(last) = self.last.get_mut(place) {
            due = due.max(*last);
            *last = due;
        }
        self.came += 1;
        self.waiting.push(Reverse((due, self.came, packet)));
    }

    /// When the next is due.
    pub fn next(&self) -> Option<Duration> {
        self.waiting.peek().map(|Reverse((due, ..))| *due)
    }

    /// Takes the next one that is due.
    pub fn take(&mut self, now: Duration) -> Option<Packet> {
        if self.next()? > now {
            return None;
        }
        self.waiting.pop().map(|Reverse((.., packet))| packet)
    }

    /// Nothing waits longer than until then: the delay has become shorter.
    pub fn hasten(&mut self, latest: Duration) {
        for last in &mut self.last {
            *last = latest.min(*last);
        }
        self.waiting = std::mem::take(&mut self.waiting)
            .into_iter()
            .map(|Reverse((due, came, packet))| Reverse((due.min(latest), came, packet)))
            .collect();
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// A link of some bytes per second: each packet leaves it when all before it and itself have gone over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link {
    free_at: Duration,
}

impl Link {
    /// When a packet that comes now has gone over; `None`: too many wait before it, and it is lost.
    pub fn due(&mut self, now: Duration, bytes: u64, bytes_per_s: u64) -> Option<Duration> {
        if self.free_at > now + BACKLOG {
            return None;
        }
        let takes_us = bytes.saturating_mul(1_000_000) / bytes_per_s.max(1);
        self.free_at = self.free_at.max(now) + Duration::from_micros(takes_us);
        Some(self.free_at)
    }
}

/// How long packets wait before a [`Link`] at most, but for the one that goes over.
pub const BACKLOG: Duration = Duration::from_millis(500);

/// How many bytes a packet has, by its own header.
pub fn length(head: &[u8]) -> u64 {
    let number = |at: usize| {
        let bytes = head.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u64::from(u16::from_be_bytes(*bytes)))
    };
    if head.first().is_some_and(|first| first >> 4 == 6) {
        40 + number(4)
    } else {
        number(2)
    }
}

/// Tells flows apart: a number from the addresses, the protocol and the ports at the head of a packet, and the hook.
pub fn flow(hook: u8, head: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hook.hash(&mut hasher);
    let first = head.first().copied().unwrap_or_default();
    let parts = if first >> 4 == 6 {
        [6..7, 8..40, 40..44]
    } else {
        let ports = usize::from(first & 0xf) * 4;
        [9..10, 12..20, ports..ports + 4]
    };
    for part in parts {
        head.get(part).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn packet(id: u32) -> Packet {
        let came = Duration::ZERO;
        Packet { id, came }
    }

    fn drained(line: &mut Line) -> Vec<u32> {
        std::iter::from_fn(|| line.take(Duration::MAX))
            .map(|packet| packet.id)
            .collect()
    }

    #[test]
    fn what_is_due_first_goes_first_but_not_past_its_own_flow() {
        let mut line = Line::default();
        line.push(packet(1), 1, 50 * MS);
        line.push(packet(2), 2, 20 * MS);
        line.push(packet(3), 1, 30 * MS);
        assert_eq!(line.next(), Some(20 * MS));
        assert_eq!((line.take(19 * MS), line.take(20 * MS)), (None, Some(packet(2))));
        assert_eq!(line.take(49 * MS), None, "3 waits behind 1");
        assert_eq!(drained(&mut line), [1, 3]);
    }

    #[test]
    fn a_shorter_delay_holds_for_those_that_wait() {
        let mut line = Line::default();
        line.push(packet(1), 1, 60_000 * MS);
        line.hasten(5 * MS);
        line.push(packet(2), 1, 3 * MS);
        assert_eq!(line.take(5 * MS), Some(packet(1)));
        assert_eq!(line.take(5 * MS), Some(packet(2)));
        assert_eq!(line.len(), 0);
    }

    #[test]
    fn flows_are_told_apart_by_ports_and_hooks() {
        let with = |port: u8| {
            let mut head = vec![0_u8; 28];
            (head[0], head[9], head[23]) = (0x45, 17, port);
            head
        };
        assert_eq!(flow(1, &with(1)), flow(1, &with(1)));
        assert_ne!(flow(1, &with(1)), flow(1, &with(2)));
        assert_ne!(flow(1, &with(1)), flow(3, &with(1)));
    }

    #[test]
    fn a_link_takes_its_time_and_loses_what_it_cannot_hold() {
        let mut link = Link::default();
        // 1,000 bytes at 10,000 a second: 100 ms each, one behind the other.
        let due: Vec<_> = (0..7).map(|_| link.due(MS, 1_000, 10_000)).collect();
        let expected = [101, 201, 301, 401, 501, 601].map(|ms| Some(ms * MS));
        assert_eq!(due[..6], expected);
        assert_eq!(due[6], None, "600 ms of packets wait before it");
        assert_eq!(
            link.due(2_000 * MS, 1_000, 10_000),
            Some(2_100 * MS),
            "an idle link saves nothing up"
        );
        let mut v4 = vec![0x45, 0, 5, 220];
        v4.resize(64, 0);
        assert_eq!(length(&v4), 1_500);
        assert_eq!(length(&[0x60, 0, 0, 0, 0, 100]), 140);
        assert_eq!((length(&[]), length(&[0x45])), (0, 0));
    }

    proptest! {
        #[test]
        fn every_packet_comes_out_once_and_flows_keep_their_order(
            packets in prop::collection::vec((0_u64..4, 0_u64..100, prop::option::of(0_u64..100)), 0..100),
        ) {
            let mut line = Line::default();
            for (id, (flow, due, hasten)) in packets.iter().enumerate() {
                line.push(packet(id as u32), *flow, Duration::from_millis(*due));
                if let Some(latest) = hasten {
                    line.hasten(Duration::from_millis(*latest));
                }
            }
            let out = drained(&mut line);
            prop_assert_eq!(out.len(), packets.len());
            for flow in 0..4 {
                let of: Vec<_> = out.iter().filter(|id| packets[**id as usize].0 == flow).collect();
                prop_assert!(of.is_sorted(), "flow {}: {:?}", flow, out);
            }
        }
    }
}
