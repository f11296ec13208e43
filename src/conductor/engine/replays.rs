//! A finished drill that is looked at again: a thread of its own steps its journal to the moment that is asked for and
//! publishes the window of then. Nothing of it has a way to an agent.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use firedrill_analysis::Replay;
use firedrill_fleet::write_private;
use firedrill_scene::{
    Bookmark, Level, ReplayAsk, ReplayMoment, ReplayScene, ReplaySpeed, ReplayStage, Review,
};

use super::{app::App, publish::Publisher};

/// Jobs that wait. Of many seeks only the last one is shown.
const JOBS: usize = 256;
/// While it plays a moment is shown this often.
const FRAME: Duration = Duration::from_millis(50);
/// Bookmarks of one drill, and how long their words may be.
const MARKS: usize = 200;
const WORDS: usize = 200;
/// A file of bookmarks is no longer than this.
const MARKS_BYTES: u64 = 512 * 1024;

/// The thread, once there was something to replay.
#[derive(Default)]
pub(crate) struct Replays {
    jobs: Option<SyncSender<Job>>,
}

enum Job {
    Open(Arc<Review>),
    Ask(ReplayAsk),
}

impl App {
    pub(crate) fn replay_asked(&mut self, ask: ReplayAsk) {
        let job = match ask {
            ReplayAsk::Open(drill) => {
                let reviews = Arc::clone(&self.publisher.scene().reviews);
                let Some(review) = reviews.iter().find(|review| review.drill == drill).cloned() else {
                    self.publisher
                        .say(Level::Error, format!("there is no finished drill {drill}"));
                    return;
                };
                Job::Open(review)
            }
            ask => Job::Ask(ask),
        };
        if self.replays.jobs.is_none() {
            match self.start_replays() {
                Ok(jobs) => self.replays.jobs = Some(jobs),
                Err(why) => {
                    let words = format!("nothing can be replayed: no thread could be started: {why}");
                    self.publisher.say(Level::Error, words);
                    return;
                }
            }
        }
        let Some(jobs) = &self.replays.jobs else { return };
        if jobs.try_send(job).is_err() {
            self.publisher.say(
                Level::Warning,
                "the replay is busy and did not take that; try again",
            );
        }
    }

    fn start_replays(&self) -> io::Result<SyncSender<Job>> {
        let (jobs, queue) = sync_channel(JOBS);
        let publisher = Arc::clone(&self.publisher);
        let folder = self.options.data_dir.join("bookmarks");
        std::thread::Builder::new()
            .name("replay".to_owned())
            .spawn(move || serve(&queue, &publisher, &folder))?;
        Ok(jobs)
    }
}

/// The drill that is open.
struct Open {
    drill: String,
    replay: Replay,
    at_us: u64,
    playing: bool,
    speed: ReplaySpeed,
    marks: Marks,
}

impl Open {
    /// Shows what is asked for; the words say what went wrong.
    fn take(&mut self, ask: ReplayAsk) -> Result<(), String> {
        match ask {
            ReplayAsk::Seek(us) => self.at_us = us.min(self.replay.end_us()),
            ReplayAsk::Play(playing) => {
                // From the end there is nowhere to go but to the beginning.
                if playing && self.at_us >= self.replay.end_us() {
                    self.at_us = 0;
                }
                self.playing = playing;
            }
            ReplayAsk::Speed(speed) => self.speed = speed,
            ReplayAsk::Mark(mark) => self.marks.put(mark)?,
            ReplayAsk::Unmark(at_us) => self.marks.remove(at_us)?,
            ReplayAsk::Open(_) | ReplayAsk::Close => {}
        }
        Ok(())
    }

    fn go_on(&mut self, passed: Duration) {
        let passed_us = passed.as_micros() as u64 * self.speed.times();
        self.at_us = (self.at_us + passed_us).min(self.replay.end_us());
        self.playing &= self.at_us < self.replay.end_us();
    }

    fn show(&mut self, publisher: &Publisher) {
        let moment = ReplayMoment {
            at_us: self.at_us,
            end_us: self.replay.end_us(),
            playing: self.playing,
            speed: self.speed,
            bookmarks: Arc::clone(&self.marks.all),
            scene: Arc::new(self.replay.at(self.at_us)),
        };
        publish(publisher, &self.drill, ReplayStage::Open(moment));
    }
}

fn publish(publisher: &Publisher, drill: &str, stage: ReplayStage) {
    let replay = ReplayScene {
        drill: drill.to_owned(),
        stage,
    };
    publisher.update(|scene| scene.replay = Some(Arc::new(replay)));
}

/// The replay's thread: until the engine is gone.
fn serve(jobs: &Receiver<Job>, publisher: &Publisher, folder: &Path) {
    let mut open: Option<Open> = None;
    let mut shown = Instant::now();
    loop {
        let playing = open.as_ref().is_some_and(|it| it.playing);
        let first = if playing {
            match jobs.recv_timeout(FRAME.saturating_sub(shown.elapsed())) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        } else {
            match jobs.recv() {
                Ok(job) => Some(job),
                Err(_) => return,
            }
        };
        if let Some(open) = open.as_mut().filter(|_| playing) {
            open.go_on(shown.elapsed());
        }
        shown = Instant::now();
        // What waits is done first: a moment that nobody asks for any more is not rebuilt.
        for job in first.into_iter().chain(jobs.try_iter()) {
            done(job, &mut open, publisher, folder);
        }
        if let Some(open) = &mut open {
            open.show(publisher);
        }
    }
}

fn done(job: Job, open: &mut Option<Open>, publisher: &Publisher, folder: &Path) {
    match job {
        Job::Open(review) => {
            // The one before is given back first.
            *open = None;
            publish(publisher, &review.drill, ReplayStage::Reading);
            match opened(&review, folder) {
                Ok((it, said)) => {
                    *open = Some(it);
                    if let Some(words) = said {
                        publisher.say(Level::Warning, words);
                    }
                }
                Err(why) => publish(publisher, &review.drill, ReplayStage::Failed(why)),
            }
        }
        Job::Ask(ReplayAsk::Close) => {
            *open = None;
            publisher.update(|scene| scene.replay = None);
        }
        Job::Ask(ask) => {
            if let Some(open) = open
                && let Err(why) = open.take(ask)
            {
                publisher.say(Level::Error, why);
            }
        }
    }
}

/// A drill at its beginning; and what is wrong with its bookmarks.
fn opened(review: &Review, folder: &Path) -> Result<(Open, Option<String>), String> {
    let path = review
        .journal
        .as_ref()
        .ok_or("this drill left no journal: there is nothing to replay")?;
    let journal = firedrill_journal::read(path).map_err(|error| error.to_string())?;
    let replay = Replay::new(journal.entries).map_err(|error| format!("{}: {error}", path.display()))?;
    let (marks, said) = Marks::read(folder, &review.drill);
    let open = Open {
        drill: review.drill.clone(),
        replay,
        at_us: 0,
        playing: false,
        speed: ReplaySpeed::Once,
        marks,
    };
    Ok((open, said))
}

/// The bookmarks of one drill and their file.
struct Marks {
    /// `None`: the drill's id is no name for a file.
    file: Option<PathBuf>,
    all: Arc<Vec<Bookmark>>,
}

impl Marks {
    fn read(folder: &Path, drill: &str) -> (Self, Option<String>) {
        // The id comes from a journal, which may come from anywhere.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let named = !drill.is_empty() && drill.len() <= 100 && drill.chars().all(plain);
        let file = named.then(|| folder.join(format!("{drill}.json")));
        let (all, said) = match file.as_deref().map(read_marks) {
            None => (Vec::new(), None),
            Some(Ok(all)) => (all, None),
            Some(Err(why)) => (Vec::new(), Some(why)),
        };
        let marks = Self {
            file,
            all: Arc::new(all),
        };
        (marks, said)
    }

    fn put(&mut self, mut mark: Bookmark) -> Result<(), String> {
        mark.words = mark.words.trim().chars().take(WORDS).collect();
        let mut all = self.all.to_vec();
        all.retain(|it| it.at_us != mark.at_us);
        if all.len() >= MARKS {
            return Err(format!(
                "not marked: a drill has at most {MARKS} bookmarks; remove one first"
            ));
        }
        all.push(mark);
        all.sort_by_key(|it| it.at_us);
        self.keep(all)
    }

    fn remove(&mut self, at_us: u64) -> Result<(), String> {
        let mut all = self.all.to_vec();
        all.retain(|it| it.at_us != at_us);
        self.keep(all)
    }

    /// What cannot be written is not shown as if it were.
    fn keep(&mut self, all: Vec<Bookmark>) -> Result<(), String> {
        let file = self.file.as_ref();
        let file = file.ok_or("not marked: the drill's id in its journal is no name for a file")?;
        let text = serde_json::to_vec_pretty(&all).map_err(|error| error.to_string())?;
        write_private(file, &text)
            .map_err(|error| format!("the bookmarks cannot be kept in {}: {error}", file.display()))?;
        self.all = Arc::new(all);
        Ok(())
    }
}

fn read_marks(file: &Path) -> Result<Vec<Bookmark>, String> {
    let cannot = |why: String| format!("the bookmarks in {} cannot be read: {why}", file.display());
    match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Ok(there) if there.len() > MARKS_BYTES => return Err(cannot("the file is too long".to_owned())),
        _ => {}
    }
    let text = fs::read(file).map_err(|error| cannot(error.to_string()))?;
    let mut all: Vec<Bookmark> = serde_json::from_slice(&text).map_err(|error| cannot(error.to_string()))?;
    all.truncate(MARKS);
    all.sort_by_key(|it| it.at_us);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(at_us: u64, words: &str) -> Bookmark {
        Bookmark {
            at_us,
            words: words.to_owned(),
        }
    }

    #[test]
    fn bookmarks_are_kept_in_order_one_a_moment() {
        let folder = tempfile::tempdir().unwrap();
        let (mut marks, said) = Marks::read(folder.path(), "d-1");
        assert!(marks.all.is_empty() && said.is_none());
        marks.put(mark(9, "later")).unwrap();
        marks.put(mark(3, "sooner")).unwrap();
        marks.put(mark(9, &"x".repeat(900))).unwrap();
        marks.remove(4).unwrap();
        let (again, _) = Marks::read(folder.path(), "d-1");
        assert_eq!(*again.all, [mark(3, "sooner"), mark(9, &"x".repeat(WORDS))]);
        marks.remove(3).unwrap();
        let (again, _) = Marks::read(folder.path(), "d-1");
        assert_eq!(again.all.len(), 1);
        assert!(Marks::read(folder.path(), "d-2").0.all.is_empty());
    }

    #[test]
    fn neither_an_odd_id_nor_a_broken_file_does_harm() {
        let folder = tempfile::tempdir().unwrap();
        let (mut marks, _) = Marks::read(folder.path(), "../d");
        assert!(marks.put(mark(1, "")).unwrap_err().contains("no name for a file"));
        fs::write(folder.path().join("d.json"), "[{").unwrap();
        let (marks, said) = Marks::read(folder.path(), "d");
        assert!(marks.all.is_empty() && said.unwrap().contains("cannot be read"));
    }

    #[test]
    fn there_are_not_endlessly_many() {
        let folder = tempfile::tempdir().unwrap();
        let (mut marks, _) = Marks::read(folder.path(), "d");
        marks.all = Arc::new((0..MARKS as u64).map(|us| mark(us, "")).collect());
        assert!(marks.put(mark(999, "")).unwrap_err().contains("at most"));
        assert!(
            marks.put(mark(0, "other words")).is_ok(),
            "one that is there can be changed"
        );
    }
}
