//! The keeper: somebody outside this process who ends what is on when this process cannot.

use firedrill_wire::{Problem, ProblemKind, Tick};

use crate::Ward;
use crate::injection::Injection;

impl Ward {
    /// Nobody watches over this process: what only it can end is taken back, and nothing new begins.
    pub(crate) fn on_unkept(&mut self, why: &str) {
        self.cx.audit(format!("no keeper: {why}"));
        self.unkept = Some(why.to_owned());
        for injection in self.injections.values_mut() {
            if injection.record.needs_keeper {
                injection.condemn("keeper", &format!("the agent has no keeper: {why}"), &mut self.cx);
            }
        }
    }

    pub(crate) fn on_kept(&mut self) {
        if self.unkept.take().is_some() {
            self.cx.audit("the keeper is there".to_owned());
        }
    }

    /// Why nobody watches over this process; `None` when somebody does.
    pub fn unkept(&self) -> Option<&str> {
        self.unkept.as_deref()
    }

    /// Refuses while there is no keeper.
    pub(crate) fn kept(&self) -> Result<(), Problem> {
        match &self.unkept {
            None => Ok(()),
            Some(why) => Err(without_keeper(why)),
        }
    }

    /// By when the ward will have made another step, because something is on that must end or be looked at;
    /// `None` while nothing is on. A host that has made none by then hangs, and its keeper ends it.
    pub fn heard_by(&self) -> Option<Tick> {
        let on: Vec<_> = self
            .injections
            .values()
            .filter(|it| !it.state().is_off())
            .collect();
        let lease = self
            .open
            .as_ref()
            .filter(|open| on.iter().any(|it| it.record.epoch == open.fence.epoch))
            .map(|open| open.deadline);
        lease
            .into_iter()
            .chain(on.into_iter().filter_map(Injection::deadline))
            .min()
    }
}

pub(crate) fn without_keeper(why: &str) -> Problem {
    Problem::new(
        ProblemKind::Unavailable,
        "the agent has no keeper",
        format!("nobody would end the injection if the agent hung or died: {why}"),
        "it is started again within a second; if not, run `firedrill-agent doctor` on the host",
    )
}
