//! The state of a game day: a pure fold over its records, in the order of the file.

use firedrill_drill::{Outcome, Redaction, is_real_incident};

use crate::{Change, Clock, Event, Finding, Found, GameDay, Prediction, QUESTIONS, REAL_INCIDENT, Record};

/// How the day stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// When it started.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Why the rest of the agenda is off.
    pub stopped: Option<Stopped>,
    /// The agenda as it is now. Rows that are no longer in the file but were run come last.
    pub rows: Vec<RowState>,
    /// The preparation, in the order of the file.
    pub checks: Vec<Ticked>,
    /// Who says go, in the order of the file.
    pub goes: Vec<Said>,
    /// What people said and saw, in the order it was written down.
    pub notes: Vec<Remark>,
    /// Findings, in the order they were noted.
    pub findings: Vec<Noted>,
    /// Answers to the questions about the exercise.
    pub answers: Vec<Answer>,
    /// What was decided about the agenda, in order: changes, starts, stops.
    pub decisions: Vec<Decision>,
}

/// The rest of the agenda is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Since when, wall milliseconds.
    pub at_ms: i64,
    /// Who said so.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Stopped {
    /// There is a real incident.
    pub fn is_real(&self) -> bool {
        is_real_incident(&self.reason)
    }
}

/// A row of the agenda.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowState {
    /// Its id.
    pub id: String,
    /// Its box as it is now, milliseconds.
    pub box_ms: u64,
    /// Not run, with the reason where one was given.
    pub skipped: Option<Option<String>>,
    /// Every run, the last one last.
    pub runs: Vec<Run>,
    /// What was predicted, in order.
    pub predictions: Vec<Sealed>,
    /// They may be seen, and what it was.
    pub revealed: bool,
    /// Until then nobody but the crew is told what it is.
    pub rehearsal: bool,
    /// Human clocks, in order, struck ones too.
    pub clocks: Vec<Stamp>,
    /// It is in the file.
    pub planned: bool,
}

/// One run of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The drill's id.
    pub id: String,
    /// When it began, wall milliseconds.
    pub began_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// What it found.
    pub found: Option<Found>,
}

/// A prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Sealed {
    /// When it was made.
    pub at_ms: i64,
    /// Which run of the row it is of, from 0.
    pub run: usize,
    /// What was said: not to be shown before the reveal.
    pub prediction: Prediction,
    /// Its seal, hex.
    pub seal: String,
    /// The seal is of what stands here.
    pub whole: bool,
    /// The same person said something else later.
    pub replaced: bool,
}

/// A human clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its id.
    pub id: String,
    /// Which run of the row it is of, from 0.
    pub run: usize,
    /// What people did.
    pub clock: Clock,
    /// When, wall milliseconds.
    pub when_ms: i64,
    /// When it was written down.
    pub at_ms: i64,
    /// Who wrote it.
    pub by: String,
    /// Whose it is, where somebody else wrote it down.
    pub who: Option<String>,
    /// It does not count: who struck it, and why.
    pub struck: Option<(String, Option<String>)>,
}

/// Something that somebody said or saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Its id.
    pub id: String,
    /// The row whose drill was on.
    pub drill: Option<String>,
    /// When, wall milliseconds.
    pub when_ms: i64,
    /// When it was written down.
    pub at_ms: i64,
    /// Who, where somebody else wrote it down.
    pub who: Option<String>,
    /// Who wrote it.
    pub by: String,
    /// What.
    pub words: String,
}

/// Something of the preparation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticked {
    /// Its name.
    pub name: String,
    /// Who ticked it, and when.
    pub done: Option<(String, i64)>,
}

/// Somebody who says go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The person.
    pub name: String,
    /// Go or no-go, when, and what was added.
    pub said: Option<(bool, i64, Option<String>)>,
}

/// A finding with its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Its id.
    pub id: String,
    /// As it is now.
    pub finding: Finding,
    /// Who noted it first.
    pub by: String,
    /// When.
    pub at_ms: i64,
    /// When it was dealt with, by whom, how.
    pub closed: Option<(i64, String, String)>,
}

/// An answer to a question about the exercise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which of [`QUESTIONS`].
    pub question: usize,
    /// Who.
    pub by: String,
    /// What.
    pub words: String,
}

/// Something that was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// When, wall milliseconds.
    pub at_ms: i64,
    /// Who.
    pub by: String,
    /// What, in a sentence.
    pub words: String,
}

impl State {
    /// Before anything happened.
    pub fn new(day: &GameDay) -> Self {
        Self {
            rows: day
                .drills
                .iter()
                .map(|row| RowState {
                    id: row.id.clone(),
                    box_ms: row.box_ms,
                    skipped: row.skip.then_some(None),
                    rehearsal: row.rehearsal,
                    planned: true,
                    ..RowState::default()
                })
                .collect(),
            checks: day
                .checks
                .iter()
                .map(|check| Ticked {
                    name: check.name.clone(),
                    done: None,
                })
                .collect(),
            goes: day
                .goes
                .iter()
                .map(|go| Said {
                    name: go.name.clone(),
                    said: None,
                })
                .collect(),
            ..Self::default()
        }
    }

    /// After all of these.
    pub fn of<'r>(day: &GameDay, records: impl IntoIterator<Item = &'r Record>) -> Self {
        let mut state = Self::new(day);
        for record in records {
            state.apply(record);
        }
        state
    }

    /// One more record. What makes no sense here (a clock of a drill that never began, a second copy) changes
    /// nothing: the file was written by other versions, or merged by hand.
    pub fn apply(&mut self, record: &Record) {
        let Record { at_ms, by, event } = record;
        match event {
            Event::Started => {
                if self.started_ms.is_none() {
                    self.started_ms = Some(*at_ms);
                    self.decided(record, "the game day starts".to_owned());
                }
            }
            Event::Ended => {
                if self.ended_ms.is_none() {
                    self.ended_ms = Some(*at_ms);
                    self.decided(record, "the game day is over".to_owned());
                }
            }
            Event::Changed(change) => self.change(record, change),
            Event::Checked { check, done } => {
                if let Some(known) = self.checks.iter_mut().find(|it| it.name == *check) {
                    known.done = done.then(|| (by.clone(), *at_ms));
                }
            }
            Event::Went { name, go, words } => {
                if let Some(known) = self.goes.iter_mut().find(|it| it.name == *name) {
                    known.said = Some((*go, *at_ms, words.clone()));
                }
            }
            Event::DrillBegan { drill, run, sealed } => self.began(drill, run, *sealed, *at_ms),
            Event::DrillEnded { drill, run, found } => self.ended(record, drill, run, found),
            Event::Predicted {
                drill,
                prediction,
                seal,
            } => self.row(drill).predicted(*at_ms, prediction, seal),
            Event::Revealed { drill } => self.row(drill).revealed = true,
            Event::Clock {
                id,
                drill,
                clock,
                when_ms,
                who,
            } => {
                let known = self
                    .rows
                    .iter()
                    .any(|row| row.clocks.iter().any(|it| it.id == *id));
                let row = self.row(drill);
                if !known {
                    row.clocks.push(Stamp {
                        id: id.clone(),
                        run: row.runs.len().saturating_sub(1),
                        clock: *clock,
                        when_ms: *when_ms,
                        at_ms: *at_ms,
                        by: by.clone(),
                        who: who.clone(),
                        struck: None,
                    });
                }
            }
            Event::Note {
                id,
                drill,
                when_ms,
                who,
                words,
            } => {
                if self.notes.iter().all(|it| it.id != *id) {
                    self.notes.push(Remark {
                        id: id.clone(),
                        drill: drill.clone(),
                        when_ms: *when_ms,
                        at_ms: *at_ms,
                        who: who.clone(),
                        by: by.clone(),
                        words: words.clone(),
                    });
                }
            }
            Event::Struck { id, why } => {
                let clocks = self.rows.iter_mut().flat_map(|row| &mut row.clocks);
                for stamp in clocks.filter(|it| it.id == *id && it.struck.is_none()) {
                    stamp.struck = Some((by.clone(), why.clone()));
                }
            }
            Event::Finding { id, finding } => self.found(record, id, finding),
            Event::Closed { id, words } => {
                if let Some(noted) = self.findings.iter_mut().find(|it| it.id == *id) {
                    noted.closed = Some((*at_ms, by.clone(), words.clone()));
                }
            }
            Event::Reopened { id } => {
                if let Some(noted) = self.findings.iter_mut().find(|it| it.id == *id) {
                    noted.closed = None;
                }
            }
            Event::Answered { question, words } => self.answered(*question, by, words),
            Event::Stopped { reason } => self.stop(record, reason),
            Event::Resumed { reason } => {
                if self.stopped.take().is_some() {
                    self.decided(record, format!("the agenda goes on: {reason}"));
                }
            }
        }
    }

    /// The row of that id; one that is not in the file is added, so that no history is lost.
    fn row(&mut self, id: &str) -> &mut RowState {
        let at = self.rows.iter().position(|row| row.id == id);
        let at = at.unwrap_or_else(|| {
            self.rows.push(RowState {
                id: id.to_owned(),
                ..RowState::default()
            });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    fn change(&mut self, record: &Record, change: &Change) {
        let Some(at) = self.rows.iter().position(|row| row.id == change.drill()) else {
            return;
        };
        let id = change.drill();
        let words = match change {
            Change::Move { to, .. } => {
                let row = self.rows.remove(at);
                let to = (*to).min(self.rows.len());
                self.rows.insert(to, row);
                format!("\"{id}\" is moved to place {}", to + 1)
            }
            Change::Box { box_ms, .. } => {
                self.rows[at].box_ms = *box_ms;
                format!("\"{id}\" gets {}", crate::length(*box_ms))
            }
            Change::Skip { why, .. } => {
                self.rows[at].skipped = Some(why.clone());
                let why = why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
                format!("\"{id}\" is skipped{why}")
            }
            Change::Unskip { .. } => {
                self.rows[at].skipped = None;
                format!("\"{id}\" is run after all")
            }
        };
        self.decided(record, words);
    }

    fn began(&mut self, drill: &str, run: &str, sealed: bool, at_ms: i64) {
        let known = self.rows.iter().any(|row| row.runs.iter().any(|it| it.id == run));
        if !known {
            let row = self.row(drill);
            if sealed {
                // What was revealed of an earlier run does not tell of this one.
                (row.rehearsal, row.revealed) = (true, false);
            }
            row.runs.push(Run {
                id: run.to_owned(),
                began_ms: at_ms,
                ended_ms: None,
                found: None,
            });
        }
    }

    fn ended(&mut self, record: &Record, drill: &str, run: &str, found: &Found) {
        self.began(drill, run, false, record.at_ms);
        let runs = self.rows.iter_mut().flat_map(|row| &mut row.runs);
        for known in runs.filter(|it| it.id == run && it.found.is_none()) {
            known.ended_ms = Some(record.at_ms);
            known.found = Some(found.clone());
        }
        // Whoever aborted, from whatever terminal: a real incident ends the day's agenda.
        let real = |reason: &String| is_real_incident(reason);
        if found.outcome == Outcome::Aborted && found.reasons.iter().any(real) {
            self.stop(record, REAL_INCIDENT);
        }
    }

    fn found(&mut self, record: &Record, id: &str, finding: &Finding) {
        if let Some(noted) = self.findings.iter_mut().find(|it| it.id == id) {
            noted.finding = finding.clone();
            return;
        }
        self.findings.push(Noted {
            id: id.to_owned(),
            finding: finding.clone(),
            by: record.by.clone(),
            at_ms: record.at_ms,
            closed: None,
        });
    }

    /// A person's answer replaces their earlier one.
    fn answered(&mut self, question: usize, by: &str, words: &str) {
        if question >= QUESTIONS.len() {
            return;
        }
        let known = |it: &&mut Answer| it.question == question && it.by == by;
        match self.answers.iter_mut().find(known) {
            Some(answer) => words.clone_into(&mut answer.words),
            None => self.answers.push(Answer {
                question,
                by: by.to_owned(),
                words: words.to_owned(),
            }),
        }
    }

    fn stop(&mut self, record: &Record, reason: &str) {
        if self.stopped.is_none() {
            self.stopped = Some(Stopped {
                at_ms: record.at_ms,
                by: record.by.clone(),
                reason: reason.to_owned(),
            });
            self.decided(record, format!("the whole agenda is stopped: {reason}"));
        }
    }

    fn decided(&mut self, record: &Record, words: String) {
        self.decisions.push(Decision {
            at_ms: record.at_ms,
            by: record.by.clone(),
            words,
        });
    }

    /// What is in the way of the start, a sentence each; nothing: it may start.
    pub fn in_the_way(&self) -> Vec<String> {
        let mut all = Vec::new();
        for check in self.checks.iter().filter(|it| it.done.is_none()) {
            all.push(format!("not ticked: {}", check.name));
        }
        for go in &self.goes {
            match &go.said {
                Some((true, ..)) => {}
                Some((false, _, words)) => {
                    let words = words.as_ref().map_or_else(String::new, |it| format!(": {it}"));
                    all.push(format!("{} says no-go{words}", go.name));
                }
                None => all.push(format!("{} has not said go", go.name)),
            }
        }
        all
    }

    /// Why no drill of the agenda can begin now; `None`: one can.
    pub fn no_drill_because(&self) -> Option<String> {
        if let Some(stopped) = &self.stopped {
            return Some(format!("the agenda is stopped: {}", stopped.reason));
        }
        if self.started_ms.is_none() {
            return Some("the game day has not started".to_owned());
        }
        if self.ended_ms.is_some() {
            return Some("the game day is over".to_owned());
        }
        let running = self.running()?;
        Some(format!("\"{}\" is on", running.id))
    }

    /// The row whose drill is on.
    pub fn running(&self) -> Option<&RowState> {
        self.rows
            .iter()
            .find(|row| row.runs.last().is_some_and(|run| run.found.is_none()))
    }
}

impl RowState {
    /// What it is may be told to the crew only.
    pub fn is_sealed(&self) -> bool {
        self.rehearsal && !self.revealed
    }

    /// What it asks of everything that leaves the console.
    pub fn redaction(&self) -> Redaction {
        Redaction::default().or(self.is_sealed())
    }

    /// Runs that are over.
    fn over(&self) -> usize {
        self.runs.iter().filter(|run| run.found.is_some()).count()
    }

    /// A prediction is of the run that is on or comes next. A person's later one replaces theirs.
    fn predicted(&mut self, at_ms: i64, prediction: &Prediction, seal: &str) {
        if self.predictions.iter().any(|it| it.seal == seal) {
            return;
        }
        let run = self.over();
        for before in &mut self.predictions {
            before.replaced |= before.run == run && before.prediction.who == prediction.who;
        }
        self.predictions.push(Sealed {
            at_ms,
            run,
            whole: prediction.seal() == seal,
            prediction: prediction.clone(),
            seal: seal.to_owned(),
            replaced: false,
        });
    }

    /// Clocks of a run that count, each kind once: the earliest that was not struck.
    pub fn clock(&self, run: usize, clock: Clock) -> Option<&Stamp> {
        self.clocks
            .iter()
            .filter(|it| it.run == run && it.clock == clock && it.struck.is_none())
            .min_by_key(|it| it.when_ms)
    }

    /// Predictions of a run that count.
    pub fn predictions_of(&self, run: usize) -> impl Iterator<Item = &Sealed> {
        self.predictions
            .iter()
            .filter(move |it| it.run == run && !it.replaced)
    }
}
