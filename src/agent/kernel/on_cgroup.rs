//! What a fault of the kernel holds while it is on, and how it is seen to be gone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use firedrill_catalogue::Parameters;
use firedrill_wire::{Evidence, Problem};

use super::bpf::{Cells, Hook, Link, Program, attached};
use super::{Programs, dice};
use crate::faults::network::not_taken;
use crate::faults::process::not_possible;
use crate::faults::{Failure, Held, Order, ReadBack};
use crate::targets::cgroups::Cgroup;
use crate::undo::{Exactly, Undo};

/// Counters are looked at twice, so far apart, to see that they stand still.
const STILL_FOR: Duration = Duration::from_millis(5);

/// How long those that were led to a responder are still answered after nobody is led there any more.
const ANSWERED_WITHIN: Duration = Duration::from_millis(10);

/// What a fault counts: names for [`Evidence::counts`], in the order of the programs' cells.
pub type Counters = &'static [&'static str];

/// Something in the agent that a program leads connections or datagrams to. It ends when it is dropped.
pub trait Responder {
    /// What it did, for the evidence.
    fn counts(&self) -> Vec<(&'static str, f64)>;
    /// Another share or answer.
    fn adjust(&self, parameters: &Parameters);
}

/// What programs to load, and how to speak of them.
pub struct Wanted<'a> {
    /// The victim.
    pub cgroup: &'a Cgroup,
    /// Made with the settings and the counters.
    pub programs: &'a dyn Fn(&Cells, &Cells) -> Programs,
    /// What the programs count.
    pub counters: Counters,
    /// Where the programs lead.
    pub responder: Option<Box<dyn Responder>>,
    /// For people: what happens to whom.
    pub words: String,
}

/// Programs on a cgroup.
pub struct OnCgroup {
    cgroup: PathBuf,
    /// The kernel's numbers of the programs, and where they were attached.
    programs: Vec<(Hook, u32)>,
    links: Vec<Link>,
    settings: Option<Cells>,
    counters: Option<Cells>,
    names: Counters,
    responder: Option<Box<dyn Responder>>,
    /// As it began.
    parameters: Option<Parameters>,
    /// What else is known: of what happened once, and the responder's last counts once it is gone.
    more: Vec<(&'static str, f64)>,
    words: String,
}

impl OnCgroup {
    /// Loads, writes the record, attaches. On a failure nothing is left attached.
    pub fn begin(order: &Order<'_>, wanted: Wanted<'_>) -> Result<(Self, Evidence), Failure> {
        let taken = |error: io::Error| not_taken(&error);
        let settings = Cells::new(1).map_err(taken)?;
        let counters = Cells::new(wanted.counters.len().max(2)).map_err(taken)?;
        settings
            .write(&dice(order.parameters.share("share")))
            .map_err(taken)?;
        let programs = load(&wanted, &settings, &counters).map_err(taken)?;
        let holder = Exactly::own()
            .map_err(|error| Failure::nothing(not_possible(error.to_string(), "mount /proc")))?;
        let numbers: Vec<_> = programs.iter().map(|it| (it.hook(), it.id())).collect();
        order.pen.write(Undo::Linked {
            holder,
            cgroup: wanted.cgroup.folder.clone(),
            programs: numbers.clone(),
        })?;
        // Dropped on the way out of a failure, and what was attached is gone with it.
        let links = attach(&wanted.cgroup.folder, &programs).map_err(taken)?;
        let held = Self {
            cgroup: wanted.cgroup.folder.clone(),
            programs: numbers,
            links,
            settings: Some(settings),
            counters: Some(counters),
            names: wanted.counters,
            responder: wanted.responder,
            parameters: Some(order.parameters.clone()),
            more: Vec::new(),
            words: wanted.words,
        };
        let seen = held.seen();
        Ok((held, seen))
    }

    /// What a former life or a failed start may have left.
    pub fn adopt(undo: Option<&Undo>) -> Self {
        let (cgroup, programs) = match undo {
            Some(Undo::Linked { cgroup, programs, .. }) => (cgroup.clone(), programs.clone()),
            _ => (PathBuf::new(), Vec::new()),
        };
        Self {
            cgroup,
            programs,
            links: Vec::new(),
            settings: None,
            counters: None,
            names: &[],
            responder: None,
            parameters: None,
            more: Vec::new(),
            words: "nothing is held".to_owned(),
        }
    }

    /// One more number for the evidence, which stays as it is.
    pub fn also(&mut self, name: &'static str, number: f64, evidence: &mut Evidence) {
        self.more.push((name, number));
        evidence.counts.insert(name.to_owned(), number);
    }

    fn counts(&self) -> BTreeMap<String, f64> {
        let cells = self
            .counters
            .as_ref()
            .and_then(|it| it.read().ok())
            .unwrap_or_default();
        let answered = self.responder.as_ref().map(|it| it.counts()).unwrap_or_default();
        self.names
            .iter()
            .zip(cells)
            .map(|(name, number)| (*name, number as f64))
            .chain(answered)
            .chain(self.more.clone())
            .map(|(name, number)| (name.to_owned(), number))
            .collect()
    }

    fn seen(&self) -> Evidence {
        Evidence {
            words: self.words.clone(),
            counts: self.counts(),
        }
    }
}

fn load(wanted: &Wanted<'_>, settings: &Cells, counters: &Cells) -> io::Result<Vec<Program>> {
    let programs = (wanted.programs)(settings, counters).map_err(io::Error::other)?;
    programs
        .iter()
        .map(|(hook, code)| {
            tracing::debug!(?hook, "eBPF program:\n{}", code.listing());
            Program::load(*hook, "firedrill", code)
        })
        .collect()
}

fn attach(cgroup: &Path, programs: &[Program]) -> io::Result<Vec<Link>> {
    let words = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", cgroup.display()));
    let folder = File::open(cgroup).map_err(words)?;
    programs
        .iter()
        .map(|program| program.attach(&folder).map_err(words))
        .collect()
}

impl Held for OnCgroup {
    fn adjust(&mut self, parameters: &Parameters) -> Result<Evidence, Problem> {
        let (Some(settings), Some(before)) = (&self.settings, &self.parameters) else {
            return Err(not_possible(
                "the fault is of a former life of the agent",
                "start it anew",
            ));
        };
        if !before.same_but(&["share"], parameters) {
            return Err(not_possible(
                "what is hit is part of the program: while it is on, the share alone can change",
                "start another injection",
            ));
        }
        settings
            .write(&dice(parameters.share("share")))
            .map_err(|error| not_possible(error.to_string(), "revert it"))?;
        if let Some(responder) = &self.responder {
            responder.adjust(parameters);
        }
        Ok(self.seen())
    }

    /// The links are closed; then the kernel is asked what hangs on the cgroup.
    fn revert(&mut self) -> ReadBack {
        // First what leads away; then those that were led have a moment to be answered, with their own addresses.
        let back = self.programs.iter().take_while(|(hook, _)| hook.puts_back());
        self.links.truncate(back.count());
        if self.responder.is_some() {
            std::thread::sleep(ANSWERED_WITHIN);
        }
        self.links.clear();
        if let Some(responder) = self.responder.take() {
            self.more.extend(responder.counts());
        }
        let counts = self.counts();
        let (seen, words) = look(&self.cgroup, &self.programs, false);
        let clean = seen == Seen::Gone;
        ReadBack {
            clean,
            evidence: Evidence { words, counts },
            by_hand: (!clean).then(|| BY_HAND.to_owned()),
        }
    }

    /// After the revert the cgroup's own list was read; here what the kernel runs for it, programs of cgroups above
    /// included, and whether the counters stand still.
    fn prove(&mut self) -> (bool, Evidence) {
        let (seen, words) = look(&self.cgroup, &self.programs, true);
        let before = self.counts();
        std::thread::sleep(STILL_FOR);
        let counts = self.counts();
        let still = before == counts;
        let words = match (self.counters.is_some(), still) {
            (false, _) => words,
            (true, true) => format!("{words}; its counters stand still"),
            (true, false) => format!("{words}; but its counters still count"),
        };
        (seen == Seen::Gone && still, Evidence { words, counts })
    }

    fn observe(&mut self) -> Option<Evidence> {
        Some(self.seen())
    }
}

/// For a program that stays although its link is closed.
const BY_HAND: &str = "end the agent's process: the kernel then drops the programs";

/// What the kernel says of programs on a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// None of them is there.
    Gone,
    /// Some are.
    There,
    /// It does not say: asking needs CAP_NET_ADMIN.
    Unknown,
}

/// Asks the kernel whether any of the programs is on the cgroup, and the words for it. `effective`: whether it runs
/// for the cgroup, wherever it hangs.
pub fn look(cgroup: &Path, programs: &[(Hook, u32)], effective: bool) -> (Seen, String) {
    let shown = cgroup.display();
    if programs.is_empty() {
        return (Seen::Gone, "nothing was attached".to_owned());
    }
    let folder = match File::open(cgroup) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return (
                Seen::Gone,
                format!("{shown} is gone, and with it all that hung on it"),
            );
        }
        Err(error) => return (Seen::Unknown, format!("{shown}: {error}")),
    };
    let mut still = 0;
    for (hook, number) in programs {
        match attached(&folder, *hook, effective) {
            Ok(found) => still += usize::from(found.contains(number)),
            Err(error) => {
                return (
                    Seen::Unknown,
                    format!("the kernel does not list what hangs on {shown}: {error}"),
                );
            }
        }
    }
    let whose = if effective { "run for" } else { "hang on" };
    let seen = if still == 0 { Seen::Gone } else { Seen::There };
    (
        seen,
        format!("{still} of {} programs {whose} {shown}", programs.len()),
    )
}
