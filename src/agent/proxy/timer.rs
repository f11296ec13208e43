//! Sleeps that end within some tens of microseconds of their time.
//!
//! tokio's own timer counts whole milliseconds and rounds up, which would add up to a millisecond to every
//! injected delay. Here one timerfd is armed for the earliest of all sleepers; a task waits on it and wakes
//! those that are due. A sleeper that is dropped takes its entry along, so that revoked delays leave nothing.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use parking_lot::Mutex;
use tokio::io::unix::AsyncFd;

/// Where a sleeper is in the queue.
type Key = (Instant, u64);

/// The queue of all sleepers of the process.
#[derive(Debug)]
pub struct Timer {
    fd: AsyncFd<Fd>,
    sleepers: Mutex<BTreeMap<Key, Waker>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Fd(TimerFd);

impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Timer {
    /// Makes the timer and starts its task. Must be called within a runtime.
    pub fn start() -> io::Result<Arc<Self>> {
        let fd = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )?;
        #[expect(
            deprecated,
            reason = "what replaces it is unsafe; this descriptor is owned and never exchanged"
        )]
        let fd = AsyncFd::new(Fd(fd))?;
        let timer = Arc::new(Self {
            fd,
            sleepers: Mutex::new(BTreeMap::new()),
            next: AtomicU64::new(0),
        });
        let running = Arc::clone(&timer);
        tokio::spawn(async move { running.run().await });
        Ok(timer)
    }

    /// A sleep of its own until then.
    pub fn sleep_until(self: &Arc<Self>, deadline: Instant) -> Sleep {
        Sleep {
            timer: Arc::clone(self),
            deadline,
            key: None,
        }
    }

    async fn run(&self) {
        loop {
            let Ok(mut ready) = self.fd.readable().await else {
                return;
            };
            // The count of expirations is of no interest; reading it re-arms the readiness.
            drop(ready.try_io(|fd| fd.get_ref().0.wait().map_err(io::Error::from)));
            self.fire();
        }
    }

    fn fire(&self) {
        let due = {
            let mut sleepers = self.sleepers.lock();
            let later = sleepers.split_off(&(Instant::now(), u64::MAX));
            let due = std::mem::replace(&mut *sleepers, later);
            self.arm(&sleepers);
            due
        };
        for waker in due.into_values() {
            waker.wake();
        }
    }

    /// Sets the timerfd for the earliest sleeper.
    fn arm(&self, sleepers: &BTreeMap<Key, Waker>) {
        let Some((deadline, _)) = sleepers.keys().next() else {
            return;
        };
        // Zero would disarm it.
        let left = deadline
            .saturating_duration_since(Instant::now())
            .max(Duration::from_nanos(1));
        let expiration = Expiration::OneShot(TimeSpec::from_duration(left));
        if let Err(error) = self.fd.get_ref().0.set(expiration, TimerSetTimeFlags::empty()) {
            tracing::error!(%error, "cannot arm the timer: delays end late");
        }
    }
}

/// A sleep until a moment. Registered at its first poll.
#[derive(Debug)]
pub struct Sleep {
    timer: Arc<Timer>,
    deadline: Instant,
    key: Option<Key>,
}

impl Sleep {
    /// Whether the moment has come; if not, the task is woken when it does.
    pub fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.deadline {
            return Poll::Ready(());
        }
        let mut sleepers = self.timer.sleepers.lock();
        if let Some(key) = self.key
            && let Some(waker) = sleepers.get_mut(&key)
        {
            waker.clone_from(cx.waker());
            return Poll::Pending;
        }
        let key = (self.deadline, self.timer.next.fetch_add(1, Ordering::Relaxed));
        sleepers.insert(key, cx.waker().clone());
        self.key = Some(key);
        if sleepers.keys().next() == Some(&key) {
            self.timer.arm(&sleepers);
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.timer.sleepers.lock().remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn wait(sleep: &mut Sleep) {
        std::future::poll_fn(|cx| sleep.poll_due(cx)).await;
    }

    #[tokio::test]
    async fn sleepers_wake_in_order_and_not_early() {
        let timer = Timer::start().unwrap();
        let start = Instant::now();
        let mut late = timer.sleep_until(start + Duration::from_millis(30));
        let mut early = timer.sleep_until(start + Duration::from_millis(10));
        tokio::join!(
            async {
                wait(&mut late).await;
                assert!(start.elapsed() >= Duration::from_millis(30));
            },
            async {
                wait(&mut early).await;
                assert!(start.elapsed() >= Duration::from_millis(10));
            }
        );
    }

    #[tokio::test]
    async fn a_dropped_sleeper_leaves_nothing() {
        let timer = Timer::start().unwrap();
        let mut sleep = timer.sleep_until(Instant::now() + Duration::from_hours(1));
        let waited = tokio::time::timeout(Duration::from_millis(1), wait(&mut sleep)).await;
        assert!(waited.is_err());
        assert_eq!(timer.sleepers.lock().len(), 1);
        drop(sleep);
        assert!(timer.sleepers.lock().is_empty());
    }

    #[tokio::test]
    async fn what_is_past_is_due_at_once() {
        let timer = Timer::start().unwrap();
        let mut sleep = timer.sleep_until(Instant::now());
        wait(&mut sleep).await;
        assert!(timer.sleepers.lock().is_empty());
    }
}
