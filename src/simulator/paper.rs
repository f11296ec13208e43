//! The console's journal on a disk that may be full and a machine that may stop in the middle of a line.
//! The lines are the codec's, as shipped.

use std::collections::BTreeSet;

use firedrill_drill::{At, Entry, Event, Stamped, replay};
use firedrill_journal::{Encoder, decode};
use firedrill_wire::InjectionId;

use crate::console::Console;
use crate::report::Rule;
use crate::world::World;

#[derive(Debug, Default)]
pub(crate) struct Paper {
    /// The records written. They become lines when somebody reads them: most journals nobody reads.
    records: Vec<Stamped>,
    /// Nobody will read it, so that only intents are kept.
    unread: bool,
    /// How many of them are surely on disk.
    synced: usize,
    /// The record that a full disk took a part of.
    part: Option<Stamped>,
    /// Records and a part of one more, of which the machine's stop left what was not synced to chance.
    torn: Option<u64>,
    sealed: Option<At>,
    /// Intents among them, and those on their way.
    intents: BTreeSet<InjectionId>,
    loose: Vec<InjectionId>,
    /// The same of changes of strength.
    changes: BTreeSet<(InjectionId, u64)>,
    loose_changes: Vec<(InjectionId, u64)>,
    pub full: bool,
    failed: bool,
    told: bool,
    /// Starts that were sent.
    pub sent: BTreeSet<InjectionId>,
}

impl Paper {
    pub fn new(unread: bool) -> Self {
        Self {
            unread,
            ..Self::default()
        }
    }

    /// Writes an event down.
    pub fn event(&mut self, at: At, event: &Event) -> Result<(), String> {
        if self.unread && !self.full && !self.failed {
            return Ok(());
        }
        self.append(at, Entry::event(event))
    }

    pub fn append(&mut self, at: At, entry: Entry) -> Result<(), String> {
        if self.failed {
            return Err("an earlier record could not be written".to_owned());
        }
        if self.full {
            // The last blocks still took a part of the line.
            self.failed = true;
            self.part = Some(Stamped { at, entry });
            return Err("no space left on device".to_owned());
        }
        match &entry {
            Entry::Intent { id, .. } => self.loose.push(id.clone()),
            Entry::Change { id, revision, .. } => self.loose_changes.push((id.clone(), *revision)),
            _ => {}
        }
        if !self.unread {
            self.records.push(Stamped { at, entry });
        }
        Ok(())
    }

    pub fn sync(&mut self) -> Result<(), String> {
        if self.failed || self.full {
            self.failed = true;
            return Err("no space left on device".to_owned());
        }
        self.intents.extend(self.loose.drain(..));
        self.changes.extend(self.loose_changes.drain(..));
        self.synced = self.records.len();
        Ok(())
    }

    pub fn has_intent(&self, id: &InjectionId) -> bool {
        self.intents.contains(id)
    }

    pub fn has_change(&self, id: &InjectionId, revision: u64) -> bool {
        self.changes.contains(&(id.clone(), revision))
    }

    /// Whether the drill has still to be told that its journal fails.
    pub fn tell_failure(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }

    /// The drill is over.
    pub fn close(&mut self, at: At) {
        if !self.failed && !self.full {
            self.sealed = Some(at);
            self.synced = self.records.len();
        }
    }

    /// The machine stops: of what was not synced any part may be there. Whether something was not.
    pub fn tear(&mut self, chance: u64) -> bool {
        self.torn = Some(chance);
        self.sealed.is_none() && (self.records.len() > self.synced || self.part.is_some())
    }

    /// What is on the disk, as the codec writes it.
    fn text(&self) -> Result<String, String> {
        let mut encoder = Encoder::default();
        let mut text = String::new();
        let mut sure = 0;
        for (number, record) in self.records.iter().enumerate() {
            text.push_str(&encoder.encode(record).map_err(|error| error.to_string())?);
            if number + 1 == self.synced {
                sure = text.len();
            }
        }
        if let Some(part) = &self.part {
            let line = encoder.encode(part).map_err(|error| error.to_string())?;
            text.push_str(&line[..cut(&line, line.len() / 3)]);
        }
        if let Some(at) = self.sealed {
            text.push_str(&encoder.seal(at).map_err(|error| error.to_string())?);
            sure = text.len();
        }
        if let Some(chance) = self.torn {
            let end = sure + (chance as usize) % (text.len() - sure + 1);
            text.truncate(cut(&text, end));
        }
        Ok(text)
    }
}

/// The last place for a cut at or before `end`.
fn cut(text: &str, mut end: usize) -> usize {
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}

impl World {
    /// What is left of a console: its journal has every start that was sent, and rebuilds its drill.
    pub(crate) fn file(&mut self, console: &Console) {
        if let Err((rule, words)) = self.read(console) {
            self.broken(rule, words);
        }
    }

    fn read(&self, console: &Console) -> Result<(), (Rule, String)> {
        if console.paper.unread || (console.paper.sealed.is_some() && !self.replays) {
            return Ok(());
        }
        let text = console.paper.text().map_err(|why| (Rule::Explained, why))?;
        let journal = decode(text.as_bytes());
        if let Some(broken) = &journal.broken {
            return Err((Rule::Explained, format!("the journal is broken: {broken:?}")));
        }
        let written: BTreeSet<&InjectionId> = journal
            .entries
            .iter()
            .filter_map(|stamped| match &stamped.entry {
                Entry::Intent { id, .. } => Some(id),
                _ => None,
            })
            .collect();
        if let Some(id) = console.paper.sent.iter().find(|id| !written.contains(id)) {
            return Err((
                Rule::JournalFirst,
                format!("{id} was sent and the journal does not have it"),
            ));
        }
        // Of what a crash has cut off nothing can be said; what is whole must give the same drill.
        if !journal.sealed {
            return Ok(());
        }
        let rebuilt =
            replay(&journal.entries, |_, _, _| {}).map_err(|error| (Rule::Explained, error.to_string()))?;
        let drill = &console.drill;
        let differs = [
            ("phases", rebuilt.phases() != drill.phases()),
            ("verdict", rebuilt.verdict() != drill.verdict()),
            ("injections", rebuilt.injections() != drill.injections()),
            ("judgements", rebuilt.judgements() != drill.judgements()),
            ("SLIs", rebuilt.slis() != drill.slis()),
        ];
        match differs.iter().find(|(_, differs)| *differs) {
            None => Ok(()),
            Some((what, _)) => Err((Rule::Explained, format!("the journal gives other {what}"))),
        }
    }
}
