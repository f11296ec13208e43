//! What sources remember of indicators, for setting their lines.

use std::sync::Arc;

use firedrill_scene::{PastScene, Remembered};

use super::app::{App, Work};

/// How far back.
const PAST_MS: u64 = 3_600_000;
/// Answers that are kept: more than a plan has indicators that people look at.
const KEPT: usize = 64;

impl App {
    /// Asks the source, beside the loop.
    pub(crate) fn remember_past(&self, of: Remembered) {
        self.show_past(PastScene {
            of: of.clone(),
            said: None,
        });
        self.spawn(async move {
            let said = firedrill_signals::past(&of.metrics, &of.sli, PAST_MS).await;
            let said = Some(said.map(Arc::new));
            Some(Work::Past(Box::new(PastScene { of, said })))
        });
    }

    pub(crate) fn show_past(&self, past: PastScene) {
        self.publisher.update(|scene| {
            let pasts = Arc::make_mut(&mut scene.pasts);
            pasts.retain(|known| !known.of.same_values(&past.of));
            if pasts.len() >= KEPT {
                pasts.remove(0);
            }
            pasts.push(past);
        });
    }
}
