//! The thread that reads a queue and lets each packet go when its time has come.
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

use super::delay::{Line, Packet, flow};
use super::queue::Queue;
use crate::proxy::delay;

/// Datagrams read before the packets that are due are looked for again.
const AT_ONCE: usize = 256;

/// Packets let go by one call.
const LET_GO: usize = 128;

/// How long the thread may take to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// After an error that is not the kernel's usual one.
const REST: Duration = Duration::from_millis(1);

/// What the thread and its owner share.
#[derive(Debug)]
struct Shared {
    wake: EventFd,
    delay_us: AtomicU64,
    jitter_us: AtomicU64,
    changed: AtomicBool,
    stop: AtomicBool,
    delayed: AtomicU64,
    added_us: AtomicU64,
    waiting: AtomicU64,
}

/// What was delayed until now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Delayed {
    /// Packets let go.
    pub packets: u64,
    /// How long each was held on average, in milliseconds.
    pub added_ms: f64,
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
    pub fn start(delay_us: u64, jitter_us: u64) -> std::io::Result<Self> {
        let mut queue = Queue::hold()?;
        queue.open()?;
        let number = queue.number;
        let shared = Arc::new(Shared {
            wake: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            delay_us: AtomicU64::new(delay_us),
            jitter_us: AtomicU64::new(jitter_us),
            changed: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            delayed: AtomicU64::new(0),
            added_us: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
        });
        let work = Work {
            queue,
            shared: Arc::clone(&shared),
            began: Instant::now(),
            line: Line::default(),
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

    /// Another delay, at once: packets that wait longer than it allows do not.
    pub fn set(&self, delay_us: u64, jitter_us: u64) {
        self.shared.delay_us.store(delay_us, Ordering::Relaxed);
        self.shared.jitter_us.store(jitter_us, Ordering::Relaxed);
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
}

impl Work {
    fn run(mut self) -> Queue {
        let mut buffer = Vec::new();
        while !self.shared.stop.load(Ordering::Acquire) {
            self.wait();
            if self.shared.changed.swap(false, Ordering::Acquire) {
                self.shared.wake.read().ok();
                let (delay_us, jitter_us) = self.strength();
                let latest = self.began.elapsed() + Duration::from_micros(delay_us + jitter_us);
                self.line.hasten(latest);
            }
            self.read(&mut buffer);
            self.let_go(self.began.elapsed());
        }
        // Nothing comes any more; what waits is not lost.
        self.read(&mut buffer);
        self.let_go(Duration::MAX);
        self.queue
    }

    fn strength(&self) -> (u64, u64) {
        let delay_us = self.shared.delay_us.load(Ordering::Relaxed);
        (delay_us, self.shared.jitter_us.load(Ordering::Relaxed))
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
        let (delay_us, jitter_us) = self.strength();
        let (line, began) = (&mut self.line, self.began);
        for _ in 0..AT_ONCE {
            let taken = self.queue.take(buffer, |waiting| {
                let random = if jitter_us == 0 { 0.5 } else { random() };
                let came = began.elapsed();
                let due = came + delay(delay_us, jitter_us, random);
                let id = waiting.id;
                line.push(Packet { id, came }, flow(waiting.hook, waiting.head), due);
            });
            match taken {
                // Where the buffer was full, the kernel has let packets pass.
                Ok(()) | Err(Errno::ENOBUFS) => {}
                Err(_) => return,
            }
        }
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
