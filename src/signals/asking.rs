//! Which SLIs of a server are asked with which, in which lane, and which requests are under way.
//!
//! One request asks for all, as long as it is answered in time. What spoils it for the others is asked alone,
//! beside it: a query that the server refuses, and one that takes longer than a look. Each kind has a lane of its
//! own with its own limit ([`Http`]), so that what hangs takes no other's turn.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::SetupError;
use crate::http::{Http, timeout};
use crate::query::{Found, QueryError, query};

/// How an SLI's query has been answered lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// In time.
    InTime,
    /// The common request with it in it was not answered in time: it is asked alone, once, to find out whose fault
    /// that was.
    Suspect,
    /// Not in time when asked alone: it is not waited for, until it is in time again.
    Slow,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    pace: Pace,
    /// The server refused it: it would spoil the common request again.
    refused: bool,
}

/// What has come back.
pub(crate) enum Heard {
    /// The answer to a request for these SLIs, and when it came.
    Answer(Vec<usize>, Result<Found, QueryError>, Instant),
    /// How often the series of this selector have a sample, in milliseconds, where that can be told.
    Interval(String, Option<u64>),
}

enum Done {
    Answer {
        number: u64,
        answer: Result<Found, QueryError>,
        sent: Instant,
        came: Instant,
    },
    Interval(String, Option<u64>),
}

struct UnderWay {
    slis: Vec<usize>,
    task: AbortHandle,
}

/// The requests to one server.
pub(crate) struct Asking {
    base: String,
    common: Http,
    alone: Http,
    slow: Http,
    timeout: Duration,
    every: Duration,
    members: Vec<Member>,
    number: u64,
    under_way: HashMap<u64, UnderWay>,
    /// Selectors whose interval is being asked for, and whether this look waits for it.
    learning: HashMap<String, bool>,
    /// They end with this.
    tasks: JoinSet<Done>,
}

impl Asking {
    pub(crate) fn new(base: &str, slis: usize, every_ms: u64) -> Result<Self, SetupError> {
        let timeout = timeout(every_ms);
        let common = Http::new(base, timeout)?;
        let member = Member {
            pace: Pace::InTime,
            refused: false,
        };
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            // No address has a space in it.
            alone: common.for_address(&format!("{base} alone")),
            slow: common.for_address(&format!("{base} slow")),
            common,
            timeout,
            every: Duration::from_millis(every_ms.max(1)),
            members: vec![member; slis],
            number: 0,
            under_way: HashMap::new(),
            learning: HashMap::new(),
            tasks: JoinSet::new(),
        })
    }

    /// For a query that is no look.
    pub(crate) fn http(&self) -> (&Http, &str) {
        (&self.common, &self.base)
    }

    /// Asks for every SLI that is not being asked for; `promql` writes the query for some of them.
    pub(crate) fn ask(&mut self, promql: impl Fn(&[usize]) -> String) {
        let free = (0..self.members.len()).filter(|&index| !self.is_under_way(index));
        let (together, alone): (Vec<_>, Vec<_>) = free.partition(|&index| {
            let member = self.members[index];
            member.pace == Pace::InTime && !member.refused
        });
        if !together.is_empty() {
            let promql = promql(&together);
            self.send(self.common.clone(), together, promql);
        }
        for index in alone {
            self.ask_alone(index, promql(&[index]));
        }
    }

    /// Asks for one, beside the others.
    pub(crate) fn ask_alone(&mut self, sli: usize, promql: String) {
        let lane = if self.members[sli].pace == Pace::Slow {
            &self.slow
        } else {
            &self.alone
        };
        self.send(lane.clone(), vec![sli], promql);
    }

    fn send(&mut self, http: Http, slis: Vec<usize>, promql: String) {
        self.number += 1;
        let (number, base) = (self.number, self.base.clone());
        let task = self.tasks.spawn(async move {
            let sent = Instant::now();
            let answer = query(&http, &base, &promql).await;
            Done::Answer {
                number,
                answer,
                sent,
                came: Instant::now(),
            }
        });
        self.under_way.insert(number, UnderWay { slis, task });
    }

    /// Asks how often the series of a selector have a sample, unless that is being asked.
    pub(crate) fn ask_interval(&mut self, selector: &str) {
        if self.learning.contains_key(selector) {
            return;
        }
        self.learning.insert(selector.to_owned(), true);
        let (http, base, selector) = (self.alone.clone(), self.base.clone(), selector.to_owned());
        self.tasks.spawn(async move {
            let found = crate::query::interval(&http, &base, &selector).await;
            Done::Interval(selector, found.ok().flatten())
        });
    }

    pub(crate) fn is_under_way(&self, sli: usize) -> bool {
        self.under_way.values().any(|it| it.slis.contains(&sli))
    }

    /// Whether anything is under way that this look waits for.
    pub(crate) fn is_waited_for(&self) -> bool {
        let waited = |index: &usize| self.members[*index].pace != Pace::Slow;
        self.learning.values().any(|&waited| waited)
            || self.under_way.values().any(|it| it.slis.iter().any(waited))
    }

    /// Whether anything is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// The next that comes back; `None` when nothing is under way.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        while let Some(done) = self.tasks.join_next().await {
            if let Some(heard) = done.ok().and_then(|done| self.hear(done)) {
                return Some(heard);
            }
        }
        self.under_way.clear();
        None
    }

    /// What has come back since.
    pub(crate) fn ended(&mut self) -> Option<Heard> {
        while let Some(done) = self.tasks.try_join_next() {
            if let Some(heard) = done.ok().and_then(|done| self.hear(done)) {
                return Some(heard);
            }
        }
        None
    }

    fn hear(&mut self, done: Done) -> Option<Heard> {
        match done {
            Done::Interval(selector, found) => {
                self.learning.remove(&selector);
                Some(Heard::Interval(selector, found))
            }
            Done::Answer {
                number,
                answer,
                sent,
                came,
            } => {
                // One that was given up is not heard any more.
                let UnderWay { slis, .. } = self.under_way.remove(&number)?;
                let timed_out = matches!(answer, Err(QueryError::Unanswered(_)))
                    && came.duration_since(sent) >= self.timeout;
                match slis.as_slice() {
                    &[index] => self.paced(index, &answer, timed_out),
                    all if timed_out => self.suspect(all),
                    _ => {}
                }
                Some(Heard::Answer(slis, answer, came))
            }
        }
    }

    fn paced(&mut self, index: usize, answer: &Result<Found, QueryError>, timed_out: bool) {
        let every = self.every;
        let member = &mut self.members[index];
        member.refused |= matches!(answer, Err(QueryError::Refused(_)));
        member.pace = match answer {
            _ if timed_out => Pace::Slow,
            // One at the edge does not come and go.
            Ok(found) if member.pace == Pace::Slow && found.took > every / 2 => Pace::Slow,
            _ => Pace::InTime,
        };
    }

    fn suspect(&mut self, slis: &[usize]) {
        for &index in slis {
            self.members[index].pace = Pace::Suspect;
        }
    }

    /// A look is over: what it still waits for is late. A common request is given up, and each of its SLIs is asked
    /// alone by the next look.
    pub(crate) fn end_look(&mut self) {
        self.learning.values_mut().for_each(|waited| *waited = false);
        let mut given_up = Vec::new();
        self.under_way.retain(|_, it| {
            if it.slis.len() > 1 {
                it.task.abort();
                given_up.append(&mut it.slis);
                return false;
            }
            true
        });
        self.suspect(&given_up);
        for it in self.under_way.values() {
            for &index in &it.slis {
                self.members[index].pace = Pace::Slow;
            }
        }
    }
}
