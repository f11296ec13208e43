//! Wakes the ward when a lease, an end or a time-out is due.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use firedrill_wire::Tick;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use parking_lot::Mutex;

/// One alarm on the agent's clock. Setting it wakes the thread that waits for it, in whatever runtime.
#[derive(Debug)]
pub struct Alarm {
    fd: TimerFd,
    set_for: Mutex<Option<Tick>>,
}

impl Alarm {
    /// An alarm that is not set.
    pub fn new() -> anyhow::Result<Arc<Self>> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let fd = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?;
        Ok(Arc::new(Self {
            fd,
            set_for: Mutex::new(None),
        }))
    }

    /// Goes off at `deadline`, or not at all.
    pub fn set(&self, deadline: Option<Tick>) {
        let mut set_for = self.set_for.lock();
        if *set_for == deadline {
            return;
        }
        *set_for = deadline;
        let result = match deadline {
            Some(Tick(us)) => {
                let seconds = i64::try_from(us / 1_000_000).unwrap_or(i64::MAX);
                // Zero would disarm it.
                let at = TimeSpec::new(seconds, ((us % 1_000_000) * 1_000).max(1).cast_signed());
                self.fd
                    .set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            }
            None => self.fd.unset(),
        };
        if let Err(error) = result {
            tracing::error!(%error, "the alarm for deadlines cannot be set; they are checked once a second");
        }
    }

    /// Waits until it goes off, a second at the most: a lost alarm costs a second, not an injection.
    pub fn wait(&self) {
        let timeout = PollTimeout::from(1_000_u16);
        let polled = poll(&mut [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)], timeout);
        if polled.is_ok_and(|ready| ready > 0) {
            // Not blocking: the count of expirations is of no interest.
            self.fd.wait().ok();
            *self.set_for.lock() = None;
        }
    }
}
