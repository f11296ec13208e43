//! A rehearsal is sealed: who is rehearsed must not learn what was injected before the reveal.

use crate::{AbortedBy, At, Drill, Effect, Phase, machine::ArmingStage};

/// An abort for this reason reveals a sealed drill at once, and stops the whole agenda of a game day.
pub const REAL_INCIDENT: &str = "real incident";

/// Whether a reason says that there is a real incident.
pub fn is_real_incident(reason: &str) -> bool {
    reason.to_lowercase().contains(REAL_INCIDENT)
}

/// Whether what a drill does may be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Seal {
    /// It never was a secret.
    #[default]
    Open,
    /// Not before the reveal.
    Sealed,
    /// It was sealed, and may be told now.
    Revealed {
        /// Since when.
        at: At,
        /// Who revealed it.
        by: String,
    },
}

impl Seal {
    /// Not yet to be told.
    pub fn is_sealed(&self) -> bool {
        *self == Self::Sealed
    }
}

impl Drill {
    /// Whether it may be told.
    pub fn seal(&self) -> &Seal {
        &self.seal
    }

    /// Before the first fault a person may make a rehearsal of any drill.
    pub(crate) fn seal_now(&mut self, by: &str) {
        let early = matches!(self.phase, Phase::Preflight | Phase::Baseline | Phase::Arming);
        if self.seal.is_sealed() || !early {
            return;
        }
        self.seal = Seal::Sealed;
        self.judge(
            "sealed",
            "rehearsal",
            format!("{by}: only an exercise until the reveal"),
        );
    }

    /// It may be told from now on; that is never taken back.
    pub(crate) fn reveal(&mut self, by: &str) {
        if !self.seal.is_sealed() {
            return;
        }
        self.seal = Seal::Revealed {
            at: self.at,
            by: by.to_owned(),
        };
        self.judge("revealed", "rehearsal", format!("by {by}"));
        if matches!(self.arming, ArmingStage::Opening(_) | ArmingStage::Done) && self.verdict.is_none() {
            // Whoever reads the abort card in another terminal may know it too.
            self.out.push(Effect::WriteAbortCard);
        }
    }

    /// In a real incident everybody must know at once what of ours is on.
    pub(crate) fn reveal_if_real(&mut self, by: &AbortedBy, reason: &str) {
        if is_real_incident(reason) {
            let who = match by {
                AbortedBy::Person(name) | AbortedBy::Signal(name) => name.as_str(),
                AbortedBy::Elsewhere => "somebody elsewhere",
            };
            self.reveal(&format!("{who}, for a real incident"));
        }
    }
}
