//! The flag that the press of ABORT closes.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

/// Open while starts, strengthenings and renewals may be sent; once closed it stays closed. One a drill.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    closed: AtomicBool,
    wake: Notify,
}

impl Gate {
    /// An open gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Closes it, and ends the sends that wait to go through. Callable from any thread; takes no lock that is
    /// held for long, needs no runtime.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
        self.0.wake.notify_waiters();
    }

    /// Whether it is closed: read immediately before a send.
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::SeqCst)
    }

    /// Ends when it is closed.
    pub async fn closed(&self) {
        let wake = self.0.wake.notified();
        tokio::pin!(wake);
        // Registered before the flag is read: a close in between is not missed.
        wake.as_mut().enable();
        if !self.is_closed() {
            wake.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_close_is_seen_before_and_after() {
        let gate = Gate::new();
        assert!(!gate.is_closed());
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.closed().await }
        });
        tokio::task::yield_now().await;
        gate.close();
        waiting.await.unwrap();
        gate.closed().await;
        assert!(gate.is_closed());
    }
}
