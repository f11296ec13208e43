//! What the faults on packets have in common: a table of rules that this injection's own socket owns, and for a delay
//! the thread that lets the packets go ([`crate::packets`]).

use std::collections::BTreeMap;

use firedrill_catalogue::{FaultSpec, Parameters};
use firedrill_ward::Key;
use firedrill_wire::{Evidence, Problem, ProblemKind, Scope};

use super::process::not_possible;
use super::{Failure, Fault, Held, NotHere, Order, Prepared, ReadBack, words};
use crate::packets::nft::{self, Asker, Family, Rules, Table};
use crate::packets::queue::{self, Queue};
use crate::packets::{Action, Filter, Pace, Reader, Space, own_ports, queue_by};
use crate::undo::{Exactly, Undo};

const BY_HAND: &str = "end the agent's process: the kernel then drops its table and its queue";

/// What a fault does with packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They come later.
    Delay,
    /// They come one after the other.
    Rate,
    /// They do not come, all or a share.
    Lose,
    /// They come twice.
    Duplicate,
    /// Their TCP connection is reset.
    Reset,
}

impl Kind {
    fn action(self, parameters: &Parameters) -> Action {
        let share = parameters.share("share");
        match self {
            Self::Delay => Action::Wait(Pace::Delay {
                delay_us: parameters.duration_us("delay"),
                jitter_us: parameters.duration_us("jitter"),
            }),
            Self::Rate => Action::Wait(Pace::Rate {
                bytes_per_s: parameters.bandwidth("rate").unwrap_or(u64::MAX),
            }),
            Self::Lose => Action::Lose { share },
            Self::Duplicate => Action::Duplicate { share },
            Self::Reset => Action::Reset,
        }
    }

    /// One to ask the kernel about.
    fn example(self) -> Action {
        match self {
            Self::Delay | Self::Rate => Action::Wait(Pace::NONE),
            Self::Lose => Action::Lose { share: 0.5 },
            Self::Duplicate => Action::Duplicate { share: 0.5 },
            Self::Reset => Action::Reset,
        }
    }
}

/// A fault on packets.
#[derive(Debug)]
pub struct PacketFault {
    /// Its line in the catalogue.
    pub spec: &'static FaultSpec,
    /// What it does.
    pub kind: Kind,
}

impl Fault for PacketFault {
    fn spec(&self) -> &'static FaultSpec {
        self.spec
    }

    fn available(&self) -> Result<(), NotHere> {
        self.kind.example().available()
    }

    fn prepare(&self, parameters: &Parameters, scope: &Scope) -> Result<Prepared, Problem> {
        let filter = Filter::of(parameters)?;
        let space = Space::of(scope)?;
        let spared = spared(&filter, &space)?;
        let mut hits = vec![format!("{filter}, in {}", space.words)];
        if !spared.is_empty() {
            let ports: Vec<_> = spared.iter().map(ToString::to_string).collect();
            hits.push(format!("not the agent's own TCP ports {}", ports.join(", ")));
        }
        Ok(Prepared {
            claims: vec![self.claim(&filter, &space)],
            hits,
            needs_keeper: true,
            ..Prepared::default()
        })
    }

    fn apply(&self, order: &Order<'_>) -> Result<(Box<dyn Held>, Evidence), Failure> {
        let no = |problem| Failure {
            problem,
            half_applied: false,
        };
        let filter = Filter::of(order.parameters).map_err(no)?;
        let space = Space::of(order.scope).map_err(no)?;
        if !order.prepared.claims.contains(&self.claim(&filter, &space)) {
            let detail = format!("{} is another one than when it was checked", space.words);
            return Err(no(not_possible(detail, "start it again")));
        }
        let spared = spared(&filter, &space).map_err(no)?;
        space.enter().map_err(no)?;
        let holder = Exactly::own().map_err(|error| no(not_possible(error.to_string(), "mount /proc")))?;
        let mut held = Packets::new(order.key, self.kind);
        let what = format!("table {} of nftables", held.name);
        order.pen.write(Undo::Held { holder, what })?;
        let action = self.kind.action(order.parameters);
        // What it holds goes when it is dropped on the way out.
        held.begin(action, filter, spared)
            .map_err(|why| no(cannot(&why)))?;
        let evidence = held.evidence();
        Ok((Box::new(held), evidence))
    }

    fn adopt(&self, key: &Key, scope: &Scope, undo: Option<&Undo>) -> Box<dyn Held> {
        let mut held = Packets::new(key, self.kind);
        let entered = Space::of(scope).and_then(|space| space.enter());
        held.lost = entered.err().map(|problem| problem.detail);
        // Whose process has ended has nothing any more, wherever it was.
        if let Some(Undo::Held { holder, .. }) = undo
            && !holder.runs()
        {
            held.lost = None;
        }
        Box::new(held)
    }
}

impl PacketFault {
    fn claim(&self, filter: &Filter, space: &Space) -> String {
        format!("netns:{}:{}:{filter}", space.number, self.spec.name)
    }
}

/// The ports that these packets must not be of. A fault on them alone is refused.
fn spared(filter: &Filter, space: &Space) -> Result<Vec<u16>, Problem> {
    if !space.is_own() {
        return Ok(Vec::new());
    }
    let ports = own_ports();
    match filter.port {
        Some(port) if ports.contains(&port) => Err(Problem::new(
            ProblemKind::Policy,
            "these packets may not be hit",
            format!("the agent itself listens on port {port}: nobody could end it"),
            "name the port of a service",
        )),
        _ => Ok(ports),
    }
}

fn cannot(why: &str) -> Problem {
    not_possible(
        why,
        "run the agent as root or with CAP_NET_ADMIN, and see `firedrill-agent doctor`",
    )
}

/// Everything that is on.
#[derive(Debug)]
struct On {
    /// Goes first when it is dropped: no packet comes to a queue that is gone.
    table: Table,
    reader: Option<Reader>,
    /// Packets that end go here.
    unread: Option<Queue>,
    action: Action,
    filter: Filter,
    spared: Vec<u16>,
}

impl On {
    fn begin(name: &str, action: Action, filter: Filter, spared: Vec<u16>) -> Result<Self, String> {
        let mut reader = None;
        let mut unread = None;
        match action {
            Action::Wait(pace) => {
                reader = Some(Reader::start(pace).map_err(|error| error.to_string())?);
            }
            Action::Lose { .. } if queue_by().is_ok() => {
                unread = Some(Queue::hold().map_err(|refused| refused.to_string())?);
            }
            _ => {}
        }
        let number = queue_number(reader.as_ref(), unread.as_ref());
        let table = Table::begin(name, action.families(), |family| {
            rules(&filter, action, family, &spared, number)
        })
        .map_err(|refused| refused.to_string())?;
        Ok(Self {
            table,
            reader,
            unread,
            action,
            filter,
            spared,
        })
    }

    fn change(&mut self, action: Action, filter: Filter) -> Result<(), String> {
        if filter.port.is_some_and(|port| self.spared.contains(&port)) {
            return Err("the agent itself listens on that port".to_owned());
        }
        let number = queue_number(self.reader.as_ref(), self.unread.as_ref());
        let same_rules = matches!(action, Action::Wait(_)) && filter == self.filter;
        if !same_rules {
            let changed = self
                .table
                .change(|family| rules(&filter, action, family, &self.spared, number));
            changed.map_err(|refused| refused.to_string())?;
        }
        if let (Action::Wait(pace), Some(reader)) = (action, &self.reader) {
            reader.set(pace);
        }
        (self.action, self.filter) = (action, filter);
        Ok(())
    }

    /// Takes it all back, in the order that loses no packet. What could not be done.
    fn end(&mut self) -> Option<String> {
        let mut wrong = None;
        if let Some(reader) = &mut self.reader {
            // At once: nothing waits any more. A table that goes would end what waits.
            reader.set(Pace::NONE);
            if let Err(refused) = self.table.change(|_| Rules::default()) {
                wrong = Some(refused.to_string());
            }
            if !reader.stop() {
                wrong = Some("the thread that delays packets hangs".to_owned());
            }
        }
        match self.table.end() {
            Ok(()) => wrong,
            Err(refused) => Some(refused.to_string()),
        }
    }

    fn counts(&mut self) -> BTreeMap<String, f64> {
        let mut counts = BTreeMap::new();
        let mut put = |name: &str, count: f64| counts.extend([(name.to_owned(), count)]);
        if let Ok([matched, hit]) = self.table.counts() {
            put("packets_matched", matched as f64);
            put(self.action.counts(), hit as f64);
        }
        if let Some(reader) = &self.reader {
            let delayed = reader.delayed();
            put("packets_delayed", delayed.packets as f64);
            put("packets_waiting", delayed.waiting as f64);
            put("added_ms", delayed.added_ms);
            put("packets_dropped", delayed.lost as f64);
        }
        counts
    }
}

fn queue_number(reader: Option<&Reader>, unread: Option<&Queue>) -> Option<u16> {
    let read = reader.map(|reader| reader.number);
    read.or(unread.map(|queue| queue.number))
}

fn rules(filter: &Filter, action: Action, family: Family, spared: &[u16], number: Option<u16>) -> Rules {
    let queue = number.zip(queue_by().as_ref().ok().copied());
    Rules {
        find: filter.rules(family, spared),
        hit: action.rules(family, queue),
    }
}

/// One injection.
#[derive(Debug)]
struct Packets {
    kind: Kind,
    name: String,
    /// `None`: off, or another life's.
    on: Option<On>,
    /// What was on: its sockets are closed after the answer, because the kernel takes its time for that.
    ended: Option<On>,
    asker: Option<Asker>,
    /// Why nobody can look where it was.
    lost: Option<String>,
    /// The queue it had, which must be gone.
    number: Option<u16>,
    /// As they were last read.
    counts: BTreeMap<String, f64>,
}

impl Packets {
    fn new(key: &Key, kind: Kind) -> Self {
        Self {
            kind,
            name: nft::name_of(key.epoch.0, key.id.as_str()),
            on: None,
            ended: None,
            asker: None,
            lost: None,
            number: None,
            counts: BTreeMap::new(),
        }
    }

    fn begin(&mut self, action: Action, filter: Filter, spared: Vec<u16>) -> Result<(), String> {
        self.asker()?;
        let on = On::begin(&self.name, action, filter, spared)?;
        self.number = queue_number(on.reader.as_ref(), on.unread.as_ref());
        self.on = Some(on);
        Ok(())
    }

    fn asker(&mut self) -> Result<&mut Asker, String> {
        if let Some(lost) = &self.lost {
            return Err(lost.clone());
        }
        if self.asker.is_none() {
            self.asker = Some(Asker::new().map_err(|refused| refused.to_string())?);
        }
        self.asker.as_mut().ok_or_else(|| "nobody to ask".to_owned())
    }

    /// Whether it is among all tables there are.
    fn is_listed(&mut self) -> Result<bool, String> {
        let tables = self.asker()?.tables().map_err(|refused| refused.to_string())?;
        Ok(tables.contains(&self.name))
    }

    /// What the kernel still knows of it when it is asked by name, and what its list of queues, made for people, tells.
    fn is_known(&mut self) -> Result<Option<String>, String> {
        // The sockets go now, if they have not yet, and the queue with them.
        self.ended = None;
        let (name, families) = (self.name.clone(), self.kind.example().families());
        let asked = self.asker()?.knows(&name, families);
        if asked.map_err(|refused| refused.to_string())? {
            return Ok(Some(format!("the kernel knows table {name}")));
        }
        let numbers = queue::numbers().map_err(|error| format!("the list of queues: {error}"))?;
        let held = self.number.filter(|number| numbers.contains(number));
        Ok(held.map(|number| format!("queue {number} is held")))
    }

    fn read_counts(&mut self) {
        if let Some(on) = &mut self.on {
            self.counts = on.counts();
        }
    }

    fn with_counts(&self, words: String) -> Evidence {
        Evidence {
            words,
            counts: self.counts.clone(),
        }
    }

    /// What is on, in words and numbers.
    fn evidence(&mut self) -> Evidence {
        self.read_counts();
        let Some(on) = &self.on else {
            return words("nothing is on");
        };
        let count = |name: &str| self.counts.get(name).copied().unwrap_or(0.0);
        let what = match on.action {
            Action::Wait(_) if on.reader.as_ref().is_some_and(Reader::reads) => format!(
                "{} packets were delayed, by {:.1} ms on average; {} wait; {} found the line too long and were dropped",
                count("packets_delayed"),
                count("added_ms"),
                count("packets_waiting"),
                count("packets_dropped")
            ),
            Action::Wait(_) => "nobody reads the queue: packets pass undelayed".to_owned(),
            action => {
                let name = action.counts();
                let did = name.trim_start_matches("packets_");
                format!(
                    "{} of {} packets were {did}",
                    count(name),
                    count("packets_matched")
                )
            }
        };
        self.with_counts(format!("{}: {what}", on.filter))
    }
}

impl Held for Packets {
    fn adjust(&mut self, parameters: &Parameters) -> Result<Evidence, Problem> {
        let filter = Filter::of(parameters)?;
        let action = self.kind.action(parameters);
        let on = self
            .on
            .as_mut()
            .ok_or_else(|| not_possible("it is not on", "start another"))?;
        on.change(action, filter).map_err(|why| cannot(&why))?;
        Ok(self.evidence())
    }

    /// Asks with another socket than the one that owned the table, which lists all tables there are.
    fn revert(&mut self) -> ReadBack {
        self.read_counts();
        let mut wrong = None;
        if let Some(mut on) = self.on.take() {
            wrong = on.end();
            self.ended = Some(on);
        }
        let left = match self.is_listed() {
            Ok(true) => Some("it is among the kernel's tables".to_owned()),
            Ok(false) => None,
            Err(why) => Some(why),
        };
        let (clean, words) = match wrong.or(left) {
            None => (true, "it is not among the kernel's tables".to_owned()),
            Some(why) => (false, why),
        };
        ReadBack {
            clean,
            evidence: self.with_counts(format!("table {}: {words}", self.name)),
            by_hand: (!clean).then(|| BY_HAND.to_owned()),
        }
    }

    fn prove(&mut self) -> (bool, Evidence) {
        match self.is_known() {
            Ok(None) => {
                let known = format!("the kernel knows no table {} and no queue of it", self.name);
                (true, words(known))
            }
            Ok(Some(why)) | Err(why) => (false, words(why)),
        }
    }

    fn observe(&mut self) -> Option<Evidence> {
        self.on.is_some().then(|| self.evidence())
    }
}
