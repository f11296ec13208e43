//! The keeper's side of the watch: when an agent that does not speak counts as hung.

use firedrill_wire::Tick;

/// How long after its time a stopped agent is ended, in milliseconds.
const GRACE_STOPPED_MS: u64 = 250;

/// How long after its time one is ended that may only be slow, in milliseconds: ending it ends the drill.
const GRACE_SLOW_MS: u64 = 2_000;

/// What a keeper knows of its agent. Pure, so that the keeper that ships is the one that is simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vigil {
    heard_by: Option<Tick>,
}

impl Vigil {
    /// The agent has spoken: it will again by `heard_by`, see [`crate::Ward::heard_by`]; `None`: nothing is on, there
    /// may be silence.
    pub fn heard(&mut self, heard_by: Option<Tick>) {
        self.heard_by = heard_by;
    }

    /// From when on its silence means that it hangs; `None`: it may be silent. `stopped`: by a signal or a debugger,
    /// which is no slowness.
    pub fn overdue_at(&self, stopped: bool) -> Option<Tick> {
        let grace_ms = if stopped { GRACE_STOPPED_MS } else { GRACE_SLOW_MS };
        self.heard_by.map(|tick| tick.plus_ms(grace_ms))
    }

    /// Whether it hangs: then it is killed, and what it left on is undone.
    pub fn overdue(&self, now: Tick, stopped: bool) -> bool {
        self.overdue_at(stopped).is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_a_hang_after_a_grace_that_is_short_for_a_stopped_agent() {
        let mut vigil = Vigil::default();
        assert!(!vigil.overdue(Tick(u64::MAX), true), "nothing is on");
        vigil.heard(Some(Tick(1_000_000)));
        assert!(!vigil.overdue(Tick(1_249_999), true));
        assert!(vigil.overdue(Tick(1_250_000), true));
        assert!(!vigil.overdue(Tick(2_999_999), false));
        assert!(vigil.overdue(Tick(3_000_000), false));
        vigil.heard(None);
        assert!(!vigil.overdue(Tick(u64::MAX), true), "nothing is on any more");
    }
}
