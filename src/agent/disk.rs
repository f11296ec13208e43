//! The disk's own thread: snapshots and the audit log, so that no slow disk holds a revert or its answer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use firedrill_ward::{Durable, SaveId, UndoRecord};
use firedrill_wire::Tick;
use parking_lot::{Condvar, Mutex};
use serde_json::value::RawValue;

use crate::audit::AuditLog;
use crate::state::StateFolder;
use crate::urgency;

/// How long the snapshot of an abort waits for its read-backs.
const REVERTS_FIRST: Duration = Duration::from_millis(10);

/// Lines that wait for a slow disk; beyond it they are counted and the count is written.
const MAX_LINES: usize = 8_192;

/// What waits to be written.
#[derive(Debug, Default)]
struct Waiting {
    /// The newest snapshot, and the saves it stands for, oldest first.
    snapshot: Option<(Vec<SaveId>, Box<Durable>)>,
    /// Not to be begun before.
    not_before: Option<Instant>,
    lines: VecDeque<(Tick, String)>,
    lines_lost: u64,
    busy: bool,
    ending: bool,
}

/// The queue to the disk's thread.
#[derive(Debug, Default)]
pub struct Disk {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Disk {
    /// A snapshot to write; a newer one stands for those before it. [`Self::wake`] gets it written; one that
    /// `reverts` a moment later, so that the read-backs come first and are in it.
    pub fn save(&self, save: SaveId, durable: Box<Durable>, reverts: bool) {
        let mut waiting = self.waiting.lock();
        if reverts && waiting.snapshot.is_none() {
            waiting.not_before = Some(Instant::now() + REVERTS_FIRST);
        }
        let mut saves = waiting
            .snapshot
            .take()
            .map(|(saves, _)| saves)
            .unwrap_or_default();
        saves.push(save);
        waiting.snapshot = Some((saves, durable));
    }

    /// A line for the audit log. [`Self::wake`] gets it written.
    pub fn audit(&self, tick: Tick, words: String) {
        let mut waiting = self.waiting.lock();
        if waiting.lines.len() >= MAX_LINES {
            waiting.lines_lost += 1;
            return;
        }
        waiting.lines.push_back((tick, words));
    }

    /// Wakes the disk's thread: apart from handing over, so that it is not done under the core's lock, ahead
    /// of a revert.
    pub fn wake(&self) {
        self.changed.notify_all();
    }

    /// Waits until all is written, at most this long.
    pub fn flush(&self, at_most: Duration) {
        let deadline = Instant::now() + at_most;
        self.wake();
        let mut waiting = self.waiting.lock();
        while waiting.busy || waiting.snapshot.is_some() || !waiting.lines.is_empty() {
            if self.changed.wait_until(&mut waiting, deadline).timed_out() {
                return;
            }
        }
    }

    /// Lets the thread end once all is written.
    pub fn end(&self) {
        self.waiting.lock().ending = true;
        self.changed.notify_all();
    }

    /// The thread's work: writes, and reports each save by `saved`. Returns after [`Self::end`].
    pub fn run(&self, state: &StateFolder, mut audit: AuditLog, saved: impl Fn(SaveId, bool)) {
        let mut texts = Texts::default();
        while let Some((snapshot, lines, lost)) = self.next(&mut audit) {
            if let Some((saves, durable)) = snapshot {
                let written = texts.of(*durable).and_then(|durable| state.save(&durable));
                if let Err(error) = &written {
                    tracing::error!("{error:#}");
                }
                for save in saves {
                    saved(save, written.is_ok());
                }
            }
            write_lines(&mut audit, &lines, lost);
            self.waiting.lock().busy = false;
            self.changed.notify_all();
        }
    }

    #[expect(
        clippy::type_complexity,
        reason = "what `Waiting` holds, taken out; it has one reader"
    )]
    fn next(
        &self,
        audit: &mut AuditLog,
    ) -> Option<(Option<(Vec<SaveId>, Box<Durable>)>, VecDeque<(Tick, String)>, u64)> {
        let mut waiting = self.waiting.lock();
        while waiting.snapshot.is_none() && waiting.lines.is_empty() {
            // Nobody waits for the log's fsync: it is done when there is nothing else to write.
            let sync_in = audit
                .sync_in()
                .map(|left| if waiting.ending { Duration::ZERO } else { left });
            match sync_in {
                Some(Duration::ZERO) => {
                    drop(waiting);
                    if let Err(error) = audit.sync() {
                        tracing::error!(%error, "the audit log cannot be written");
                    }
                    waiting = self.waiting.lock();
                }
                Some(left) => {
                    self.changed.wait_for(&mut waiting, left);
                }
                None if waiting.ending => return None,
                None => self.changed.wait(&mut waiting),
            }
        }
        while let Some(left) = waiting
            .not_before
            .and_then(|at| at.checked_duration_since(Instant::now()))
            && !waiting.ending
        {
            self.changed.wait_for(&mut waiting, left);
        }
        waiting.not_before = None;
        waiting.busy = true;
        Some((
            waiting.snapshot.take(),
            std::mem::take(&mut waiting.lines),
            std::mem::take(&mut waiting.lines_lost),
        ))
    }
}

/// The records of the last snapshot with their JSON. Most of a snapshot are results that have not changed since the
/// one before, and an abort on a busy host should not wait for their words to be written anew.
#[derive(Default)]
struct Texts(Vec<(Arc<UndoRecord>, Arc<RawValue>)>);

impl Texts {
    fn of(&mut self, durable: Durable) -> anyhow::Result<Durable<Arc<RawValue>>> {
        let known = std::mem::take(&mut self.0);
        durable.try_map(|record| {
            let same = known.iter().find(|(it, _)| Arc::ptr_eq(it, &record));
            let text = match same {
                Some((_, text)) => Arc::clone(text),
                None => serde_json::value::to_raw_value(&record)?.into(),
            };
            self.0.push((record, Arc::clone(&text)));
            Ok(text)
        })
    }
}

fn write_lines(audit: &mut AuditLog, lines: &VecDeque<(Tick, String)>, lost: u64) {
    let mut text = String::new();
    for (tick, words) in lines {
        text.push_str(&audit_line(*tick, words));
    }
    if lost > 0 {
        text.push_str(&audit_line(
            lines.back().map_or(Tick(0), |(tick, _)| *tick),
            &format!("{lost} lines are lost: the disk was too slow"),
        ));
    }
    if text.is_empty() {
        return;
    }
    if let Err(error) = audit.write(&text) {
        tracing::error!(%error, "the audit log cannot be written");
    }
}

/// One line of the audit log.
pub fn audit_line(tick: Tick, words: &str) -> String {
    // The date is for people who read the log; nothing is decided by it.
    let since_1970 = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    format!(
        "{}\n",
        serde_json::json!({ "unix_ms": since_1970.as_millis() as u64, "tick": tick, "what": words })
    )
}

/// A disk whose thread runs until [`Disk::end`].
pub fn start(
    state: Arc<StateFolder>,
    saved: impl Fn(SaveId, bool) + Send + 'static,
    disk: Arc<Disk>,
) -> anyhow::Result<std::thread::JoinHandle<()>> {
    let audit = AuditLog::open(&state)?;
    let thread = std::thread::Builder::new()
        .name("disk".to_owned())
        .stack_size(256 * 1024)
        .spawn(move || {
            urgency::later();
            disk.run(&state, audit, saved);
        })?;
    Ok(thread)
}
