//! A thread that does something again and again until it is told to stop.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// The thread; it ends with this.
#[derive(Debug)]
pub struct Repeater {
    stop: SyncSender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Repeater {
    /// Does `turn` every so often, the first time after one such while, until it says that it was the last.
    pub fn start(
        name: &str,
        every: Duration,
        mut turn: impl FnMut() -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, told) = sync_channel(1);
        let thread =
            std::thread::Builder::new()
                .name(name.to_owned())
                .stack_size(256 * 1024)
                .spawn(move || {
                    while matches!(told.recv_timeout(every), Err(RecvTimeoutError::Timeout)) && turn() {}
                })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// No more turns; one that has begun is waited for.
    pub fn stop(&mut self) {
        // Full: it has been told.
        self.stop.try_send(()).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Drop for Repeater {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_until_the_last_or_the_stop() {
        let (sender, receiver) = sync_channel(1_000);
        let mut left = 3;
        let repeater = Repeater::start("turns", Duration::from_millis(1), move || {
            left -= 1;
            sender.send(()).unwrap();
            left > 0
        });
        assert_eq!(receiver.iter().count(), 3);
        drop(repeater);
        let (sender, receiver) = sync_channel(1_000);
        let mut repeater =
            Repeater::start("turns", Duration::from_millis(1), move || sender.send(()).is_ok()).unwrap();
        receiver.recv().unwrap();
        repeater.stop();
        assert!(receiver.iter().count() < 1_000, "it has ended");
    }
}
