//! The clocks of people against fault and detection, in the order of time.

use crate::{Clock, RowState, words::length};

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When, wall milliseconds.
    pub at_ms: i64,
    /// What.
    pub what: What,
    /// Milliseconds after the fault began; below 0: before it. `None`: no fault was on.
    pub after_ms: Option<i64>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The first fault was active.
    Fault,
    /// The first indicator left its tolerance: what a monitor could have seen first.
    Out(String),
    /// People did something.
    Clock {
        /// What.
        clock: Clock,
        /// Whose clock it is, where somebody else wrote it down.
        who: Option<String>,
        /// It was written down later.
        back: bool,
    },
    /// The last fault was read back as off.
    Off,
}

impl Moment {
    /// How long after the fault's begin: `45 s`, `3 s before`, `–` without a fault.
    pub fn after_words(&self) -> String {
        match self.after_ms {
            None => "–".to_owned(),
            Some(ms @ ..0) => format!("{} before", length(ms.unsigned_abs())),
            Some(ms) => length(ms.unsigned_abs()),
        }
    }
}

/// Of a run, from 0. Clocks count once each: the earliest that was not struck.
pub fn timeline(row: &RowState, run: usize) -> Vec<Moment> {
    let found = row.runs.get(run).and_then(|it| it.found.as_ref());
    let fault_ms = found.and_then(|it| it.fault_ms);
    let mut all: Vec<(i64, What)> = Vec::new();
    all.extend(fault_ms.map(|at| (at, What::Fault)));
    let out = found.and_then(|it| it.first_out());
    all.extend(out.and_then(|sli| Some((sli.out_ms?, What::Out(sli.name.clone())))));
    for clock in Clock::ALL {
        all.extend(row.clock(run, clock).map(|stamp| {
            let what = What::Clock {
                clock,
                who: stamp.who.clone(),
                back: stamp.when_ms != stamp.at_ms,
            };
            (stamp.when_ms, what)
        }));
    }
    all.extend(found.and_then(|it| it.off_ms).map(|at| (at, What::Off)));
    // What is at the same moment stays in this order.
    all.sort_by_key(|(at, _)| *at);
    let moment = |(at_ms, what): (i64, What)| Moment {
        at_ms,
        what,
        after_ms: fault_ms.map(|fault| at_ms.saturating_sub(fault)),
    };
    all.into_iter().map(moment).collect()
}
