//! The game day in the window: asks become records, which count once they are on disk.
//!
//! One thread ([`super::gameday_disk`]) reads and writes game days' folders, in the order it was asked; the loop waits
//! for none of it.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc as std_mpsc},
};

use firedrill_drill::{Command, Outcome, Seal};
use firedrill_gameday::{
    Audience, Change, Event, FILE, Found, GameDay, JOURNALS, REAL_INCIDENT, REPORTS, Record, Row, State, ics,
    invitation, report,
};
use firedrill_plan::Plan;
use firedrill_scene::{GameDayAsk, GameDayScene, Level, Review};

use super::{
    Choose,
    app::{App, Work},
    drills::Begun,
    gameday_disk::{GameDayWork, Job, RECENT, serve},
    gameday_said::{clocked, entered, of_drill, predicted, reveal, short_id, slis, some},
};
use crate::{
    clock::wall_ms,
    gameday::{ReadDay, found},
};

/// Jobs that wait for the disk.
const JOBS: usize = 64;
/// Texts of people are cut off here.
pub(super) const TEXT: usize = 2_000;

/// What the loop knows of game days.
#[derive(Default)]
pub(crate) struct GameDays {
    disk: Option<std_mpsc::SyncSender<Job>>,
    open: Option<OpenDay>,
    recent: Vec<PathBuf>,
}

/// The game day that is open.
pub(super) struct OpenDay {
    pub(super) read: ReadDay,
    pub(super) state: State,
    /// The row and the id of its drill that runs in this window.
    runs: Option<(String, String)>,
}

impl App {
    /// Starts the disk's thread and looks at the game days that were opened before.
    pub(crate) fn start_gamedays(&mut self) {
        let (disk, jobs) = std_mpsc::sync_channel(JOBS);
        let work = self.work.clone();
        let drills = self.options.drills();
        let started = std::thread::Builder::new()
            .name("game day".to_owned())
            .spawn(move || serve(&jobs, &work, &drills));
        match started {
            Ok(_) => self.gamedays.disk = Some(disk),
            Err(why) => {
                self.publisher.say(
                    Level::Error,
                    format!("game days cannot be opened: no thread could be started: {why}"),
                );
            }
        }
        self.disk(Job::Load(self.recent_gamedays()));
    }

    fn recent_gamedays(&self) -> PathBuf {
        self.options.data_dir.join("gamedays.json")
    }

    fn disk(&self, job: Job) {
        let Some(disk) = &self.gamedays.disk else { return };
        if disk.try_send(job).is_err() {
            self.publisher
                .say(Level::Error, "the disk is busy and did not take that; try again");
        }
    }

    pub(crate) fn gameday_work(&mut self, work: GameDayWork) {
        match work {
            GameDayWork::Read(read, ends, reviews) => self.gameday_read(*read, ends, reviews),
            GameDayWork::Appended(folder, records) => self.appended(&folder, &records),
            GameDayWork::Plan(row, text, plan) => self.begin_row(&row, text, plan),
            GameDayWork::Written(path) => {
                self.publisher
                    .say(Level::Info, format!("written: {}", path.display()));
                self.show_path(path);
            }
            GameDayWork::Recent(recent) => {
                self.publisher.update(|scene| scene.gamedays = Arc::new(recent));
            }
            GameDayWork::Remembered(recent) => self.gamedays.recent = recent,
            GameDayWork::Failed(why) => self.publisher.say(Level::Error, why),
        }
    }

    fn gameday_read(&mut self, read: ReadDay, mut ends: Vec<Record>, reviews: Vec<Review>) {
        let folder = read.folder.clone();
        for problem in &read.lines.problems {
            self.publisher.say(
                Level::Warning,
                format!("{}: {problem}", folder.join(firedrill_gameday::EVENTS).display()),
            );
        }
        let before = self.gamedays.open.take().filter(|it| it.read.folder == folder);
        let state = read.state().unwrap_or_default();
        let runs = before.and_then(|it| it.runs);
        // The drill of this window has not ended: who writes its end knows more.
        ends.retain(|end| {
            let ours = |run: &String| runs.as_ref().is_some_and(|(_, it)| it == run);
            !matches!(&end.event, Event::DrillEnded { run, .. } if ours(run))
        });
        self.gamedays.open = Some(OpenDay { read, state, runs });
        for review in reviews {
            self.add_review(Arc::new(review));
        }
        self.publish_gameday();
        if !ends.is_empty() {
            self.disk(Job::Append(folder.clone(), ends));
        }
        let recent = &mut self.gamedays.recent;
        recent.retain(|known| *known != folder);
        recent.insert(0, folder);
        recent.truncate(RECENT);
        self.disk(Job::Remember(
            self.recent_gamedays(),
            self.gamedays.recent.clone(),
        ));
    }

    fn publish_gameday(&self) {
        let scene = self.gamedays.open.as_ref().map(|open| Arc::new(scene(open)));
        self.publisher.update(|it| it.gameday = scene);
    }

    fn appended(&mut self, folder: &Path, records: &[Record]) {
        let Some(open) = &mut self.gamedays.open else {
            return;
        };
        if open.read.folder == folder {
            for record in records {
                open.state.apply(record);
            }
            self.publish_gameday();
        }
        let findings = |it: &Record| {
            matches!(
                it.event,
                Event::Finding { .. } | Event::Closed { .. } | Event::Reopened { .. }
            )
        };
        if records.iter().any(findings) {
            self.disk(Job::Refresh);
        }
    }

    fn record(&self, by: &str, event: Event) {
        let Some(open) = &self.gamedays.open else { return };
        let record = Record {
            at_ms: wall_ms(),
            by: by.to_owned(),
            event,
        };
        self.disk(Job::Append(open.read.folder.clone(), vec![record]));
    }

    pub(crate) fn gameday_asked(&mut self, ask: GameDayAsk) {
        match ask {
            GameDayAsk::OpenDialog => {
                let choosing = self.options.desktop.choose(Choose::OpenGameDay, None);
                self.spawn(async move {
                    let folder = choosing.await?;
                    Some(Work::Ask(firedrill_scene::Ask::GameDay(GameDayAsk::Open(folder))))
                });
            }
            GameDayAsk::Open(folder) => self.disk(Job::Open(folder)),
            GameDayAsk::RealIncident => {
                // What is on first; what is written second.
                self.real_incident();
                if self.gamedays.open.is_some()
                    && let Err(why) = self.of_the_day(GameDayAsk::RealIncident)
                {
                    self.publisher.say(Level::Warning, why);
                }
            }
            GameDayAsk::Remark { who, words } => {
                self.drill_note(who.as_deref(), &words);
                if self.gamedays.open.is_some()
                    && let Err(why) = self.of_the_day(GameDayAsk::Remark { who, words })
                {
                    self.publisher.say(Level::Warning, why);
                }
            }
            // Without a game day the drill's own journal keeps it.
            GameDayAsk::Clock { clock, who, .. }
                if self.gamedays.open.is_none() && self.running.is_some() =>
            {
                self.drill_note(who.as_deref(), clock.word());
            }
            ask => {
                if let Err(why) = self.of_the_day(ask) {
                    self.publisher.say(Level::Warning, why);
                }
            }
        }
    }

    /// Stops whatever is on, and tells everybody what it was.
    fn real_incident(&self) {
        if self.running.is_some() {
            self.line.handle().press(REAL_INCIDENT, &self.options.who);
            // The press may be the second one, with the first one's reason.
            self.command(Command::Reveal {
                by: format!("{}, for a real incident", self.options.who),
            });
        } else if let Some(drill) = self.publisher.scene().drill.as_ref()
            && drill.seal.is_sealed()
        {
            self.work
                .try_send(Work::Ask(firedrill_scene::Ask::Reveal(drill.id.clone())))
                .ok();
        }
    }

    /// In the journal of the drill that runs.
    fn drill_note(&self, who: Option<&str>, words: &str) {
        if self.running.is_some() {
            self.command(Command::Note {
                author: who.unwrap_or(&self.options.who).to_owned(),
                text: words.chars().take(TEXT).collect(),
            });
        }
    }

    /// Asks of the game day that is open.
    fn of_the_day(&mut self, ask: GameDayAsk) -> Result<(), String> {
        let open = self.gamedays.open.as_ref().ok_or("no game day is open")?;
        if let GameDayAsk::Close = ask {
            if open.runs.is_some() {
                return Err("a drill of this game day runs; finish it first".to_owned());
            }
            self.gamedays.open = None;
            self.publish_gameday();
            return Ok(());
        }
        let day = open.read.checked.day.as_ref();
        let day = day.ok_or("gameday.toml has mistakes; mend them first")?;
        let who = self.options.who.clone();
        let mut by = who.clone();
        let event = match ask {
            GameDayAsk::OpenDialog | GameDayAsk::Open(_) | GameDayAsk::Close => return Ok(()),
            GameDayAsk::Change(change) => match self.change(open, day, change)? {
                Some(event) => event,
                None => return Ok(()),
            },
            GameDayAsk::Check { check, done } => Event::Checked { check, done },
            GameDayAsk::Go { name, go, words } => {
                by.clone_from(&name);
                Event::Went {
                    name,
                    go,
                    words: some(&words),
                }
            }
            GameDayAsk::Start => match open.state.in_the_way().first() {
                None => Event::Started,
                Some(first) => return Err(format!("the game day does not start: {first}")),
            },
            GameDayAsk::Begin(drill) => return self.begin_of_day(&drill),
            GameDayAsk::Predict { drill, prediction } => predicted(open, drill, prediction)?,
            GameDayAsk::Reveal(drill) => {
                let event = reveal(open, drill.clone())?;
                let sealed = open
                    .state
                    .rows
                    .iter()
                    .find(|row| row.id == drill && row.is_sealed());
                if let Some(run) = sealed.and_then(|row| row.runs.last()).map(|run| run.id.clone()) {
                    // What it was comes with what was expected of it; the record follows once that is on disk.
                    self.reveal(&run);
                    return Ok(());
                }
                event
            }
            GameDayAsk::Clock {
                clock,
                drill,
                when,
                who: whose,
            } => clocked(open, day, clock, drill, &when, whose)?,
            GameDayAsk::Enter { line, drill } => entered(open, day, &line, drill)?,
            GameDayAsk::Remark { who: whose, words } => {
                let words = some(&words).ok_or("the note is empty")?;
                Event::Note {
                    id: short_id(),
                    drill: of_drill(open, None),
                    when_ms: wall_ms(),
                    who: whose,
                    words,
                }
            }
            GameDayAsk::Strike { id, why } => Event::Struck { id, why: some(&why) },
            GameDayAsk::Finding { id, finding } => {
                if let Some(mistake) = finding.mistake() {
                    return Err(mistake.to_owned());
                }
                let id = id.unwrap_or_else(short_id);
                Event::Finding { id, finding }
            }
            GameDayAsk::CloseFinding { id, words } => Event::Closed {
                id,
                words: some(&words).ok_or("say how the finding was dealt with")?,
            },
            GameDayAsk::ReopenFinding(id) => Event::Reopened { id },
            GameDayAsk::Answer { question, who, words } => {
                by = some(&who).unwrap_or(by);
                let words = some(&words).ok_or("the answer is empty")?;
                Event::Answered { question, words }
            }
            GameDayAsk::RealIncident => Event::Stopped {
                reason: REAL_INCIDENT.to_owned(),
            },
            GameDayAsk::Resume(reason) => Event::Resumed {
                reason: some(&reason).ok_or("say why it is safe again")?,
            },
            GameDayAsk::End => match open.state.running() {
                None => Event::Ended,
                Some(row) => return Err(format!("\"{}\" is on; finish it first", row.id)),
            },
            GameDayAsk::Invite => {
                let files = vec![
                    ("invitation.md", invitation(day, Audience::Everybody)),
                    ("invitation.ics", ics(day, wall_ms())),
                    ("crew.md", invitation(day, Audience::Crew)),
                ];
                self.disk(Job::Write(open.read.folder.join(REPORTS), files));
                return Ok(());
            }
            GameDayAsk::Report => {
                let text = report(day, &open.read.checked.needs, &open.state, wall_ms());
                self.disk(Job::Write(
                    open.read.folder.join(REPORTS),
                    vec![("gameday.md", text)],
                ));
                return Ok(());
            }
        };
        self.record(&by, event);
        Ok(())
    }

    /// Before the start the file is changed, after it an event is written: the file stays what was planned.
    fn change(&self, open: &OpenDay, day: &GameDay, change: Change) -> Result<Option<Event>, String> {
        if let Change::Box { box_ms: 0, .. } = change {
            return Err("a box is a minute long at the least".to_owned());
        }
        if open.state.started_ms.is_some() {
            return Ok(Some(Event::Changed(change)));
        }
        let text =
            firedrill_gameday::apply(&open.read.text, day, &change).map_err(|error| error.to_string())?;
        let folder = open.read.folder.clone();
        self.disk(Job::Save(folder, text, open.read.text.clone()));
        Ok(None)
    }

    fn begin_of_day(&self, drill: &str) -> Result<(), String> {
        let open = self.gamedays.open.as_ref().ok_or("no game day is open")?;
        let why_not = open.state.no_drill_because();
        if let Some(why) = why_not {
            return Err(format!("not begun: {why}"));
        }
        let day = open.read.checked.day.as_ref();
        let (_, row) = day
            .and_then(|day| day.row(drill))
            .ok_or_else(|| format!("gameday.toml no longer has \"{drill}\""))?;
        self.disk(Job::Plan(open.read.folder.clone(), row.clone()));
        Ok(())
    }

    fn begin_row(&mut self, row: &Row, text: String, plan: Arc<Plan>) {
        let Some(open) = &self.gamedays.open else { return };
        let folder = open.read.folder.clone();
        let Some(index) = plan.experiments.iter().position(|it| it.name == row.experiment) else {
            let words = format!("not begun: {} no longer has \"{}\"", row.plan, row.experiment);
            self.publisher.say(Level::Error, words);
            return;
        };
        let path = Some(folder.join(&row.plan));
        // What is open already keeps what is typed there.
        let open = self.plan.path == path && self.plan.text == text;
        if self.running.is_none() && !open {
            self.show_plan(path, text.clone(), None);
        }
        let sealed = row.rehearsal || plan.experiments.get(index).is_some_and(|it| it.rehearsal);
        let begun = self.begin_drill(Begun {
            plan,
            text,
            experiment: index,
            credentials: self.credentials(),
            journals: folder.join(JOURNALS),
            row: Some(row.id.clone()),
            rehearsal: row.rehearsal,
        });
        let Some(run) = begun else { return };
        if let Some(open) = &mut self.gamedays.open {
            open.runs = Some((row.id.clone(), run.clone()));
        }
        let event = Event::DrillBegan {
            drill: row.id.clone(),
            run,
            sealed,
        };
        let who = self.options.who.clone();
        self.record(&who, event);
    }

    /// The drill that ran is over; was it one of the game day's?
    pub(crate) fn gameday_drill_ended(&mut self, result: Result<&Review, &String>) {
        let Some(open) = &mut self.gamedays.open else {
            return;
        };
        let Some((drill, run)) = open.runs.take() else {
            return;
        };
        let mut revealed = false;
        let found = match result {
            Ok(review) => {
                revealed = matches!(review.scene.seal, Seal::Revealed { .. });
                found(review)
            }
            Err(why) => Found {
                outcome: Outcome::Inconclusive,
                reasons: vec![why.clone()],
                fault_ms: None,
                off_ms: None,
                slis: Vec::new(),
            },
        };
        let who = self.options.who.clone();
        let ended = drill.clone();
        self.record(&who, Event::DrillEnded { drill, run, found });
        if revealed {
            // It was told while it ran; now there is something to score by.
            self.record(&who, Event::Revealed { drill: ended });
        }
    }

    /// A drill that is over was revealed; is it one of the game day's?
    pub(crate) fn gameday_revealed(&self, run: &str) {
        let Some(open) = &self.gamedays.open else { return };
        let row = open.state.rows.iter().find(|row| {
            let it = row.runs.last();
            it.is_some_and(|it| it.id == run && it.found.is_some()) && !row.revealed
        });
        if let Some(row) = row {
            let who = self.options.who.clone();
            self.record(
                &who,
                Event::Revealed {
                    drill: row.id.clone(),
                },
            );
        }
    }
}

fn scene(open: &OpenDay) -> GameDayScene {
    let checked = &open.read.checked;
    let day = checked.day.clone();
    let slis = day.iter().flat_map(|day| {
        let rows = day.drills.iter();
        rows.map(move |row| (row.id.clone(), slis(open, day, &row.id)))
    });
    GameDayScene {
        folder: open.read.folder.clone(),
        mistakes: checked
            .diagnostics
            .iter()
            .map(|it| format!("{FILE}:{it}"))
            .collect(),
        state: open.state.clone(),
        needs: checked.needs.clone(),
        slis: slis.collect(),
        day,
    }
}
