//! What would have rung a bell: indicators that go out of tolerance or vanish, alerts that others open.

use std::sync::Arc;

use firedrill_drill::{At, Drill, SliState};

use crate::{Fired, MAX_FIRED};

/// Keeps what rang, and what was so when it looked last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bells {
    fired: Arc<Vec<Fired>>,
    states: Vec<SliState>,
    /// Alerts that are open at the Alertmanager; `None`: it was not asked yet.
    alerts: Option<Vec<String>>,
}

impl Bells {
    pub(crate) fn all(&self) -> Arc<Vec<Fired>> {
        Arc::clone(&self.fired)
    }

    pub(crate) fn feed(&mut self, drill: &Drill, at: At) {
        let now: Vec<SliState> = drill.slis().iter().map(|it| it.state).collect();
        let before = std::mem::replace(&mut self.states, now.clone());
        let names = &drill.plan().slis;
        for ((sli, before), now) in names.iter().zip(before).zip(now) {
            // No data at the very first is no news: nothing was measured yet.
            let rings = match (before, now) {
                (before, SliState::Out) => before != SliState::Out,
                (SliState::Steady | SliState::Tolerated, SliState::NoData) => true,
                _ => false,
            };
            if rings {
                self.ring(at, sli.name.clone(), Some(now));
            }
        }
        let Some(open) = drill.open_alerts() else { return };
        let known = self.alerts.replace(open.to_vec());
        for name in open {
            // What was open when it was asked first fired before this drill.
            if known.as_ref().is_some_and(|known| !known.contains(name)) {
                self.ring(at, name.clone(), None);
            }
        }
    }

    fn ring(&mut self, at: At, what: String, state: Option<SliState>) {
        if self.fired.len() < MAX_FIRED {
            Arc::make_mut(&mut self.fired).push(Fired {
                at_us: at.mono_us,
                what,
                state,
            });
        }
    }
}
