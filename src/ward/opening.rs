//! Opening, renewing and closing a drill.

use firedrill_wire::{
    CloseRequest, Closed, Epoch, EventKind, HolderSecret, InjectionId, OpenRequest, Opened, Problem,
    ProblemKind, RenewRequest, Renewed,
};

use crate::stopping::Closer;
use crate::ward::Open;
use crate::{AskId, Reply, SaveId, Ward, checks};

impl Ward {
    pub(crate) fn on_open(&mut self, ask: AskId, request: OpenRequest, holder: HolderSecret) {
        if let Err(problem) = self.may_open(&request) {
            let what = format!("open drill {}", checks::clip(request.drill.as_str()));
            return self.refuse(ask, &what, &checks::clip(&request.who), problem);
        }
        if let Some(open) = &mut self.open {
            // `may_open` has found the same drill and nonce: a repeat.
            match &mut open.opening {
                Some((_, asks)) if asks.len() < self.cx.limits.asks => asks.push(ask),
                Some(_) => {
                    let problem = checks::too_many("repeats of one opening", self.cx.limits.asks);
                    self.reply(ask, Reply::Refused(problem));
                }
                None => self.answer_opening(ask),
            }
            return;
        }
        self.epoch = Epoch(self.epoch.0 + 1);
        let save = self.save();
        self.cx.audit(format!(
            "{} opens drill {} as epoch {} from {}: {}",
            checks::clip(&request.who),
            request.drill,
            self.epoch,
            checks::clip(&request.console),
            checks::clip(&request.experiment)
        ));
        self.open = Some(Open {
            fence: self.fence(request.drill, holder),
            nonce: request.nonce,
            experiment: checks::clip(&request.experiment),
            console: checks::clip(&request.console),
            who: checks::clip(&request.who),
            since: self.cx.now,
            lease_ms: request.lease_ms,
            deadline: self.cx.now.plus_ms(self.cx.limits.disk_ms),
            opening: Some((save, vec![ask])),
            tombstones: std::collections::BTreeSet::<InjectionId>::new(),
        });
    }

    /// `Ok` when nobody holds the agent, or this very opening does.
    fn may_open(&self, request: &OpenRequest) -> Result<(), Problem> {
        checks::opening(request)?;
        if self.shut_down.is_some() {
            return Err(checks::stopping());
        }
        if self.dead_drills.contains(&request.drill) {
            return Err(checks::dead_drill(&request.drill));
        }
        if let Some(latch) = &self.latch {
            return Err(checks::latched(latch));
        }
        match &self.open {
            Some(open) if open.fence.drill != request.drill || open.nonce != request.nonce => {
                Err(Problem::new(
                    ProblemKind::Held,
                    "another drill holds this agent",
                    format!(
                        "{} holds it from {} with drill {} ({}) for {} s",
                        open.who,
                        open.console,
                        open.fence.drill,
                        open.experiment,
                        self.cx.now.ms_since(open.since) / 1_000
                    ),
                    "wait for its end, or ask its holder to finish it",
                ))
            }
            _ => Ok(()),
        }
    }

    fn answer_opening(&mut self, ask: AskId) {
        let Some(open) = &self.open else { return };
        let opened = Opened {
            stamp: self.stamp(),
            epoch: open.fence.epoch,
            holder: open.fence.holder.clone(),
            deadline: open.deadline,
        };
        self.reply(ask, Reply::Opened(opened));
    }

    /// The save that an opening waits for has ended.
    pub(crate) fn opening_saved(&mut self, save: SaveId, durable: bool) {
        let now = self.cx.now;
        let Some(open) = self.open.as_mut() else { return };
        let Some((_, asks)) = open.opening.take_if(|(waits_for, _)| *waits_for == save) else {
            return;
        };
        if !durable {
            // Nobody was told the epoch: it is used up, and the drill may try again.
            self.open = None;
            self.cx.unsaved = true;
            for ask in asks {
                self.reply(ask, Reply::Refused(checks::disk("the opening")));
            }
            return;
        }
        open.deadline = now.plus_ms(open.lease_ms);
        open.since = now;
        let kind = EventKind::Opened {
            drill: open.fence.drill.clone(),
            epoch: open.fence.epoch,
        };
        self.cx.out.push(crate::Effect::Emit(kind));
        for ask in asks {
            self.answer_opening(ask);
        }
    }

    /// The open drill, if `fence` is its.
    pub(crate) fn held_by(&self, fence: &firedrill_wire::Fence) -> Result<&Open, Problem> {
        match self.open.as_ref().filter(|open| open.opening.is_none()) {
            Some(open) => checks::same_fence(fence, &open.fence).map(|()| open),
            None if fence.instance != self.instance => Err(checks::fenced(
                "the agent has restarted",
                format!(
                    "the call is for life {}, this is {}",
                    fence.instance, self.instance
                ),
            )),
            None => {
                let detail = format!("no drill holds this agent now; epoch {} is dead", fence.epoch);
                Err(checks::fenced("a dead epoch", detail))
            }
        }
    }

    pub(crate) fn on_renew(&mut self, ask: AskId, request: &RenewRequest) {
        let now = self.cx.now;
        let checked = self.held_by(&request.fence).map(|_| ()).and_then(|()| {
            if request.seen <= now {
                return Ok(());
            }
            let detail = format!("tick {} was not yet seen here, it is {}", request.seen.0, now.0);
            Err(checks::fenced("a tick from the future", detail))
        });
        if let Err(problem) = checked {
            let who = self.driver();
            return self.refuse(ask, "renew", &who, problem);
        }
        let Some(open) = &mut self.open else { return };
        // Late and repeated renewals add nothing, and none takes away.
        open.deadline = open.deadline.max(request.seen.plus_ms(open.lease_ms));
        let renewed = Renewed {
            deadline: open.deadline,
            stamp: self.stamp(),
        };
        self.reply(ask, Reply::Renewed(renewed));
    }

    pub(crate) fn on_close(&mut self, ask: AskId, epoch: Epoch, request: &CloseRequest) {
        if epoch > self.epoch || epoch == Epoch(0) {
            let problem = Problem::new(
                ProblemKind::Unknown,
                "no such epoch",
                format!("this agent has given out no epoch {epoch}"),
                "close with the epoch that the opening was answered with",
            );
            return self.refuse(ask, &format!("close epoch {epoch}"), "its caller", problem);
        }
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.fence.epoch == epoch && open.opening.is_none())
        {
            self.kill_epoch("close", "the drill was closed");
        }
        let journal = request.journal.as_deref().map(checks::clip);
        self.cx.audit(format!(
            "close of epoch {epoch}, journal so far {}",
            journal.as_deref().unwrap_or("not given")
        ));
        if self.closers.len() >= self.cx.limits.asks {
            let problem = checks::too_many("closes at once", self.cx.limits.asks);
            return self.reply(ask, Reply::Refused(problem));
        }
        self.closers.push(Closer { ask, epoch, journal });
    }

    /// Answers the closes whose read-backs have all ended.
    pub(crate) fn answer_closers(&mut self) {
        let unsettled = |epoch| {
            self.injections
                .iter()
                .any(|(key, it)| key.epoch == epoch && !it.settled())
        };
        let (wait, ready): (Vec<_>, Vec<_>) = std::mem::take(&mut self.closers)
            .into_iter()
            .partition(|closer| unsettled(closer.epoch));
        self.closers = wait;
        for Closer { ask, epoch, journal } in ready {
            let mut injections = self.injections(self.cx.now);
            injections.retain(|view| view.epoch == epoch);
            let off = injections.iter().filter(|view| view.state.is_off()).count();
            self.cx.audit(format!(
                "closed: epoch {epoch}, {off} of {} injections off, journal {}",
                injections.len(),
                journal.as_deref().unwrap_or("not given")
            ));
            let stamp = self.stamp();
            self.reply(ask, Reply::Closed(Closed { stamp, injections }));
        }
    }
}
