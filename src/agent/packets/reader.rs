//! The thread that reads a queue and lets each packet go when its time has come: after a delay, or over a slow link.
//!
//! When it ends, or the process does, the queue is gone and packets pass undelayed.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use parking_lot::Mutex;

use super::delay::{BACKLOG, Line, Link, Packet, flow, length};
use super::nft::Hook;
use super::queue::Queue;
use crate::proxy::delay;
use crate::urgency;

/// Datagrams read before the packets that are due are looked for again.
const AT_ONCE: usize = 256;

/// Packets let go by one call.
const LET_GO: usize = 128;

/// How long the thread may take to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// After an error that is not the kernel's usual one.
const REST: Duration = Duration::from_millis(1);

/// When a packet goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// So much later.
    Delay {
        /// How long, in microseconds.
        delay_us: u64,
        /// Plus or minus, uniform.
        jitter_us: u64,
    },
    /// Behind all others of its direction.
    Rate {
        /// Of a link for each direction.
        bytes_per_s: u64,
    },
}

impl Pace {
    /// At once.
    pub const NONE: Self = Self::Delay {
        delay_us: 0,
        jitter_us: 0,
    };

    /// How long a packet waits at most.
    fn longest(self) -> Duration {
        match self {
            Self::Delay { delay_us, jitter_us } => Duration::from_micros(delay_us + jitter_us),
            Self::Rate { .. } => BACKLOG,
        }
    }
}

/// What the thread and its owner share.
#[derive(Debug)]
struct Shared {
    wake: EventFd,
    pace: Mutex<Pace>,
    changed: AtomicBool,
    stop: AtomicBool,
    delayed: AtomicU64,
    added_us: AtomicU64,
    lost: AtomicU64,
    waiting: AtomicU64,
}

/// What was delayed until now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Delayed {
    /// Packets let go.
    pub packets: u64,
    /// How long each was held on average, in milliseconds.
    pub added_ms: f64,
    /// Packets that found too many before them.
    pub lost: u64,
    /// Packets held now.
    pub waiting: u64,
}

/// The thread, held.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    /// The queue is its result.
    thread: Option<JoinHandle<Queue>>,
    /// The queue when the thread has ended: it is closed with this value, which takes the kernel some time.
    queue: Option<Queue>,
    /// The queue's number.
    pub number: u16,
}

impl Reader {
    /// Opens a queue of its own and reads it.
    pub fn start(pace: Pace) -> std::io::Result<Self> {
        let mut queue = Queue::hold()?;
        queue.open()?;
        let number = queue.number;
        let shared = Arc::new(Shared {
            wake: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            pace: Mutex::new(pace),
            changed: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            delayed: AtomicU64::new(0),
            added_us: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
        });
        let work = Work {
            queue,
            shared: Arc::clone(&shared),
            began: Instant::now(),
            line: Line::default(),
            links: [Link::default(); 2],
        };
        let thread = std::thread::Builder::new()
            .name("packet-delay".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || work.run())?;
        Ok(Self {
            shared,
            thread: Some(thread),
            queue: None,
            number,
        })
    }

    /// Another pace, at once: packets that wait longer than it allows do not.
    pub fn set(&self, pace: Pace) {
        *self.shared.pace.lock() = pace;
        self.shared.changed.store(true, Ordering::Release);
        self.shared.wake();
    }

    /// What was delayed.
    pub fn delayed(&self) -> Delayed {
        let packets = self.shared.delayed.load(Ordering::Relaxed);
        let added_us = self.shared.added_us.load(Ordering::Relaxed);
        Delayed {
            packets,
            added_ms: added_us as f64 / 1e3 / packets.max(1) as f64,
            lost: self.shared.lost.load(Ordering::Relaxed),
            waiting: self.shared.waiting.load(Ordering::Relaxed),
        }
    }

    /// Whether the thread still runs.
    pub fn reads(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Lets everything go and ends the thread; whether that is done.
    pub fn stop(&mut self) -> bool {
        self.ask_to_stop();
        let deadline = Instant::now() + PATIENCE;
        while self.reads() {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_micros(50));
        }
        if let Some(thread) = self.thread.take() {
            // A panic has closed the queue.
            self.queue = thread.join().ok();
        }
        true
    }

    fn ask_to_stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.wake();
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.ask_to_stop();
    }
}

impl Shared {
    fn wake(&self) {
        // It fails only when it is set already.
        self.wake.write(1).ok();
    }
}

/// The thread's own part.
struct Work {
    queue: Queue,
    shared: Arc<Shared>,
    began: Instant,
    line: Line,
    /// In, out.
    links: [Link; 2],
}

impl Work {
    fn run(mut self) -> Queue {
        // On a busy host each packet would wait for a processor twice, on top of its delay: when it comes and when it
        // goes.
        urgency::first();
        let mut buffer = Vec::new();
        while !self.shared.stop.load(Ordering::Acquire) {
            self.wait();
            if self.shared.changed.swap(false, Ordering::Acquire) {
                self.shared.wake.read().ok();
                let longest = self.shared.pace.lock().longest();
                self.line.hasten(self.began.elapsed() + longest);
                self.links = Default::default();
            }
            self.read(&mut buffer);
            self.let_go(self.began.elapsed());
        }
        // Nothing comes any more; what waits is not lost.
        self.read(&mut buffer);
        self.let_go(Duration::MAX);
        self.queue
    }

    /// Until a packet comes, one is due, or the owner wants something.
    fn wait(&self) {
        let mut fds = [
            PollFd::new(self.queue.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.shared.wake.as_fd(), PollFlags::POLLIN),
        ];
        let next = self.line.next();
        let timeout = next.map(|due| TimeSpec::from(due.saturating_sub(self.began.elapsed())));
        if let Err(errno) = ppoll(&mut fds, timeout, None)
            && errno != Errno::EINTR
        {
            std::thread::sleep(REST);
        }
    }

    fn read(&mut self, buffer: &mut Vec<u8>) {
        let pace = *self.shared.pace.lock();
        let (line, links, began) = (&mut self.line, &mut self.links, self.began);
        let mut lost = Vec::new();
        for _ in 0..AT_ONCE {
            let taken = self.queue.take(buffer, |waiting| {
                let (id, came) = (waiting.id, began.elapsed());
                let due = match pace {
                    Pace::Delay { delay_us, jitter_us } => {
                        let random = if jitter_us == 0 { 0.5 } else { random() };
                        Some(came + delay(delay_us, jitter_us, random))
                    }
                    Pace::Rate { bytes_per_s } => {
                        let [arriving, leaving] = links;
                        let is_in = waiting.hook == Hook::Input as u8;
                        let link = if is_in { arriving } else { leaving };
                        link.due(came, length(waiting.head), bytes_per_s)
                    }
                };
                match due {
                    Some(due) => line.push(Packet { id, came }, flow(waiting.hook, waiting.head), due),
                    None => lost.push(id),
                }
            });
            match taken {
                // Where the buffer was full, the kernel has let packets pass.
                Ok(()) | Err(Errno::ENOBUFS) => {}
                Err(_) => break,
            }
        }
        for ids in lost.chunks(LET_GO) {
            self.queue.lose(ids).ok();
        }
        self.shared.lost.fetch_add(lost.len() as u64, Ordering::Relaxed);
    }

    fn let_go(&mut self, now: Duration) {
        let mut ids = Vec::with_capacity(LET_GO);
        loop {
            ids.clear();
            while ids.len() < LET_GO
                && let Some(packet) = self.line.take(now)
            {
                ids.push(packet.id);
                let added = self.began.elapsed().saturating_sub(packet.came);
                self.shared
                    .added_us
                    .fetch_add(added.as_micros() as u64, Ordering::Relaxed);
            }
            if ids.is_empty() {
                break;
            }
            // One that cannot be judged is gone already.
            self.queue.accept(&ids).ok();
            self.shared.delayed.fetch_add(ids.len() as u64, Ordering::Relaxed);
        }
        self.shared
            .waiting
            .store(self.line.len() as u64, Ordering::Relaxed);
    }
}

/// Within [0, 1).
fn random() -> f64 {
    let bits = getrandom::u64().unwrap_or(1 << 63);
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}
