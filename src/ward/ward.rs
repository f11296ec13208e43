//! The state machine's face.

use firedrill_wire::{AgentId, InjectionId, InjectionView, Instance, LatchView, OpenDrillView, Tick};

use crate::{Durable, Effect, Event, Limits};

/// One agent's core in one life.
#[derive(Debug)]
pub struct Ward {
    durable: Durable,
}

impl Ward {
    /// The first step of a life.
    pub fn recover(
        durable: Durable,
        _instance: Instance,
        _agent: AgentId,
        _limits: Limits,
        _now: Tick,
    ) -> (Self, Vec<Effect>) {
        (Self { durable }, Vec::new())
    }

    /// One event at one tick.
    pub fn step(&mut self, _now: Tick, _event: Event) -> Vec<Effect> {
        Vec::new()
    }

    /// When the next [`Event::Tick`] is due at the latest.
    pub fn next_deadline(&self) -> Option<Tick> {
        None
    }

    /// The latch in force.
    pub fn latch(&self) -> Option<&LatchView> {
        self.durable.latch.as_ref()
    }

    /// The drill that holds the agent.
    pub fn open_drill(&self, _now: Tick) -> Option<OpenDrillView> {
        None
    }

    /// One injection: that of the newest epoch of this name.
    pub fn injection(&self, _id: &InjectionId, _now: Tick) -> Option<InjectionView> {
        None
    }

    /// All that are known, oldest epoch first.
    pub fn injections(&self, _now: Tick) -> Vec<InjectionView> {
        Vec::new()
    }
}
