//! The console's journal on a disk that may be full and a machine that may stop in the middle of a line.
//! The lines are the codec's, as shipped.

use std::collections::BTreeSet;

use firedrill_drill::{At, Entry, Stamped, replay};
use firedrill_journal::{Encoder, decode};
use firedrill_wire::InjectionId;

use crate::console::Console;
use crate::report::Rule;
use crate::world::World;

#[derive(Debug, Default)]
pub(crate) struct Paper {
    encoder: Encoder,
    text: String,
    /// Bytes that are surely on disk.
    synced: usize,
    /// Intents among them, and those on their way.
    intents: BTreeSet<InjectionId>,
    loose: Vec<InjectionId>,
    pub full: bool,
    failed: bool,
    told: bool,
    /// With its closing record.
    closed: bool,
    /// Starts that were sent.
    pub sent: BTreeSet<InjectionId>,
}

impl Paper {
    pub fn append(&mut self, at: At, entry: &Entry) -> Result<(), String> {
        if self.failed {
            return Err("an earlier record could not be written".to_owned());
        }
        let stamped = Stamped {
            at,
            entry: entry.clone(),
        };
        let line = self.encoder.encode(&stamped).map_err(|error| error.to_string())?;
        if self.full {
            // The last blocks still took a part of the line.
            self.failed = true;
            self.text.push_str(&line[..line.len() / 3]);
            return Err("no space left on device".to_owned());
        }
        self.text.push_str(&line);
        if let Entry::Intent { id, .. } = entry {
            self.loose.push(id.clone());
        }
        Ok(())
    }

    pub fn sync(&mut self) -> Result<(), String> {
        if self.failed || self.full {
            self.failed = true;
            return Err("no space left on device".to_owned());
        }
        self.intents.extend(self.loose.drain(..));
        self.synced = self.text.len();
        Ok(())
    }

    pub fn has_intent(&self, id: &InjectionId) -> bool {
        self.intents.contains(id)
    }

    /// Whether the drill has still to be told that its journal fails.
    pub fn tell_failure(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }

    /// The drill is over.
    pub fn close(&mut self, at: At) {
        if !self.failed
            && !self.full
            && let Ok(line) = self.encoder.seal(at)
        {
            self.text.push_str(&line);
            self.synced = self.text.len();
            self.closed = true;
        }
    }

    /// The machine stops: of what was not synced any part may be there.
    pub fn tear(&mut self, chance: u64) {
        let mut end = self.synced + (chance as usize) % (self.text.len() - self.synced + 1);
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        self.text.truncate(end);
    }
}

impl World {
    /// What is left of a console: its journal has every start that was sent, and rebuilds its drill.
    pub(crate) fn file(&mut self, console: &Console) {
        if let Err((rule, words)) = self.read(console) {
            self.broken(rule, words);
        }
    }

    fn read(&self, console: &Console) -> Result<(), (Rule, String)> {
        if console.paper.closed && !self.replays {
            return Ok(());
        }
        let journal = decode(console.paper.text.as_bytes());
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
