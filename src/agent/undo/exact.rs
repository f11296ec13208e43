//! Processes by number and start, signalled through a pidfd: never a stranger that got the number since.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::kill;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::Exactly;
use crate::faults::process;

impl Exactly {
    /// This program's own process.
    pub fn own() -> io::Result<Self> {
        Self::now(std::process::id().cast_signed())
    }

    /// The process that has this number now.
    pub fn now(pid: i32) -> io::Result<Self> {
        let start_time = process::stat(pid)?.start_time;
        Ok(Self { pid, start_time })
    }

    /// Whether it runs. A zombie does not.
    pub fn runs(&self) -> bool {
        process::stat(self.pid).is_ok_and(|found| found.start_time == self.start_time && found.state != 'Z')
    }

    /// Whether it is gone from the kernel's own table, and the words for that: a look that needs neither `/proc` nor a handle
    /// where the number is free.
    pub fn gone_from_kernel(&self) -> (bool, String) {
        match kill(nix::unistd::Pid::from_raw(self.pid), None) {
            Err(nix::errno::Errno::ESRCH) => (true, format!("the kernel knows no such process {}", self.pid)),
            _ if !self.runs() => (
                true,
                format!(
                    "process {} is another one now, or only waits for its parent",
                    self.pid
                ),
            ),
            _ => (false, format!("process {} still runs", self.pid)),
        }
    }

    /// A handle on it, or `None` when it has ended.
    pub fn handle(&self) -> io::Result<Option<Handle>> {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return Err(io::Error::other("0 is no process"));
        };
        let fd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Looked at after the handle was opened: it cannot pass to another process any more.
        Ok(self.runs().then_some(Handle(fd)))
    }

    /// SIGKILL, and waits until it has ended. Whether it had to be killed.
    pub fn kill(&self, within: Duration) -> io::Result<bool> {
        let Some(handle) = self.handle()? else {
            return Ok(false);
        };
        handle.signal(Signal::KILL)?;
        if handle.ended(within)? {
            return Ok(true);
        }
        Err(io::Error::other(format!(
            "process {} still runs {} ms after SIGKILL",
            self.pid,
            within.as_millis()
        )))
    }
}

/// A process held by a file descriptor: its number cannot pass to another one behind it.
#[derive(Debug)]
pub struct Handle(OwnedFd);

impl Handle {
    /// Sends it a signal. One that has ended since takes none, and that is no error.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.0, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for its end; whether it has come.
    pub fn ended(&self, within: Duration) -> io::Result<bool> {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(within).unwrap_or(PollTimeout::MAX);
        Ok(poll(&mut fds, timeout)? > 0)
    }
}

impl AsFd for Handle {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}
