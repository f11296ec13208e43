//! What the ways to pause a process have in common, and pauses that come and go.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use firedrill_wire::{Evidence, Problem};

use super::ReadBack;
use super::process::not_possible;

/// One way to make a process stand still.
pub trait Standstill {
    /// Stops it; on an error it may be half stopped.
    fn stop(&mut self) -> Result<Evidence, Problem>;

    /// Lets it go on, and reads back that it does. May be asked again.
    fn go_on(&mut self) -> ReadBack;

    /// Looks by another mechanism whether it moves.
    fn prove(&mut self) -> (bool, Evidence);

    /// What it holds now.
    fn observe(&mut self) -> Evidence;
}

/// Pauses and rests in turn, on a thread of its own: who traces must be the thread that began.
#[derive(Debug)]
pub struct Blinking {
    stop: SyncSender<()>,
    thread: Option<JoinHandle<ReadBack>>,
    seen: Arc<Mutex<Seen>>,
}

/// What the thread has done so far.
#[derive(Clone, Debug, Default)]
struct Seen {
    words: String,
    pauses: u64,
    paused: Duration,
}

impl Blinking {
    /// Returns when it stands still for the first time.
    pub fn begin(
        still: impl Standstill + Send + 'static,
        on: Duration,
        off: Duration,
    ) -> Result<(Self, Evidence), Problem> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (stop, told) = sync_channel(1);
        let (first, began) = sync_channel(1);
        let of_thread = Arc::clone(&seen);
        let thread = std::thread::Builder::new()
            .name("blink".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || blink(still, (on, off), &told, &first, &of_thread))
            .map_err(|error| {
                not_possible(format!("the kernel gives no more threads: {error}"), "try again")
            })?;
        let mut it = Self {
            stop,
            thread: Some(thread),
            seen,
        };
        match began.recv() {
            Ok(Ok(evidence)) => Ok((it, evidence)),
            Ok(Err(problem)) => {
                it.end();
                Err(problem)
            }
            Err(_) => Err(not_possible("the thread that pauses has ended", "try again")),
        }
    }

    /// No more pauses; what the thread read back at its end, once.
    pub fn end(&mut self) -> Option<ReadBack> {
        // Full: it has been told.
        self.stop.try_send(()).ok();
        self.thread.take()?.join().ok()
    }

    /// How often and how long it stood still.
    pub fn observe(&self) -> Evidence {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Evidence {
            words: format!("{} pauses so far; {}", seen.pauses, seen.words),
            counts: [
                ("pauses".to_owned(), seen.pauses as f64),
                ("paused_s".to_owned(), seen.paused.as_secs_f64()),
            ]
            .into(),
        }
    }
}

impl Drop for Blinking {
    fn drop(&mut self) {
        self.end();
    }
}

type First = SyncSender<Result<Evidence, Problem>>;

fn blink(
    mut still: impl Standstill,
    (on, off): (Duration, Duration),
    told: &Receiver<()>,
    first: &First,
    seen: &Mutex<Seen>,
) -> ReadBack {
    let edit = |change: &dyn Fn(&mut Seen)| change(&mut seen.lock().unwrap_or_else(PoisonError::into_inner));
    let waits = |time| matches!(told.recv_timeout(time), Err(RecvTimeoutError::Timeout));
    loop {
        let began = Instant::now();
        let stopped = still.stop();
        let failed = stopped.is_err();
        edit(&|seen| match &stopped {
            Ok(evidence) => {
                seen.words.clone_from(&evidence.words);
                seen.pauses += 1;
            }
            Err(problem) => seen.words = problem.to_string(),
        });
        // Heard once.
        first.try_send(stopped).ok();
        let go_on = !failed && waits(on);
        let found = still.go_on();
        edit(&|seen| seen.paused += if failed { Duration::ZERO } else { began.elapsed() });
        if !go_on || !found.clean || !waits(off) {
            return found;
        }
    }
}
