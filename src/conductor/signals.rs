//! What a system tells a process that is to end.

use std::{future::Future, io};

use tokio::sync::oneshot;

/// Listens on a thread of its own until this is dropped.
pub(crate) struct Listening(#[expect(dead_code, reason = "dropped, it ends the thread")] oneshot::Sender<()>);

/// Catches signals, from now on, and does `work` with them: whatever keeps the main runtime busy, a signal is heard.
/// Where nothing can be caught, `work` is not begun.
pub(crate) fn listen<F>(work: impl FnOnce(EndSignals) -> F) -> io::Result<Listening>
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (listening, ended) = oneshot::channel();
    let signals = {
        let _on = runtime.enter();
        EndSignals::caught()
    };
    if let Some(signals) = signals {
        let work = work(signals);
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = work => {}
                        // Fails when nobody listens any more.
                        _ = ended => {}
                    }
                });
            })?;
    }
    Ok(Listening(listening))
}

/// Ctrl-C, SIGTERM and SIGHUP, caught from the moment this is made: none of them ends the process any more.
#[cfg(unix)]
pub(crate) struct EndSignals(Vec<(tokio::signal::unix::Signal, &'static str)>);

#[cfg(unix)]
impl EndSignals {
    /// Catches what can be caught; `None`, and an error in the log, where nothing can be. Needs a runtime.
    fn caught() -> Option<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [
            (SignalKind::interrupt(), "Ctrl-C"),
            (SignalKind::terminate(), "SIGTERM"),
            (SignalKind::hangup(), "SIGHUP"),
        ];
        let caught = kinds
            .into_iter()
            .filter_map(|(kind, name)| Some((signal(kind).ok()?, name)));
        let caught: Vec<_> = caught.collect();
        if caught.is_empty() {
            tracing::error!("signals cannot be caught: abort from another terminal with: firedrill abort");
            return None;
        }
        Some(Self(caught))
    }

    /// The name of the next one. Nothing is lost when it is dropped before.
    pub(crate) async fn next(&mut self) -> &'static str {
        let waits = self.0.iter_mut().map(|(signal, name)| {
            Box::pin(async move {
                signal.recv().await;
                *name
            })
        });
        futures_util::future::select_all(waits).await.0
    }
}

/// Ctrl-C; nothing else exists here.
#[cfg(not(unix))]
pub(crate) struct EndSignals;

#[cfg(not(unix))]
impl EndSignals {
    fn caught() -> Option<Self> {
        Some(Self)
    }

    pub(crate) async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            tracing::error!("Ctrl-C cannot be caught: abort from another terminal with: firedrill abort");
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}
