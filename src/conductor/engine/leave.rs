//! The window's process is told to end: Ctrl-C, SIGTERM, SIGHUP.

use std::{sync::Arc, time::Duration};

use firedrill_scene::Ours;

use super::{Desktop, publish::Publisher};
use crate::{abort::AbortHandle, signals::EndSignals};

/// The first signal aborts what runs or may be on; once every agent is proved clean, or at a second signal, the
/// window closes as if it had been closed by hand: what is not proved then is left to a process that goes on.
pub(crate) async fn on_signals(
    mut signals: EndSignals,
    handle: AbortHandle,
    publisher: Arc<Publisher>,
    desktop: Arc<dyn Desktop>,
) {
    let name = signals.next().await;
    if something_runs(&publisher, &handle) {
        handle.press_by_signal(name);
        tokio::select! {
            () = clean(&publisher, &handle) => {}
            _ = signals.next() => {}
        }
    }
    desktop.leave();
    loop {
        // Leaving takes a moment: another signal must not cut it short.
        signals.next().await;
    }
}

/// Where nothing runs and nothing may be on, there is nothing to abort: agents are not latched by a log-out.
fn something_runs(publisher: &Publisher, handle: &AbortHandle) -> bool {
    let on = matches!(publisher.scene().ours, Ours::On { .. } | Ours::MayBeOn { .. });
    drills(publisher) || on || handle.board().is_aborting()
}

fn drills(publisher: &Publisher) -> bool {
    let scene = publisher.scene();
    scene.drill.as_ref().is_some_and(|drill| drill.verdict.is_none())
}

/// Every agent is proved clean, and the drill has its verdict.
async fn clean(publisher: &Publisher, handle: &AbortHandle) {
    while handle.board().is_aborting() || drills(publisher) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
