//! The reveal of a sealed drill in the window: while it runs it is an event of the drill, after its end it is noted
//! beside its journal, which is closed then.

use std::sync::Arc;

use firedrill_drill::{Command, Seal};
use firedrill_scene::Level;

use super::app::{App, Work};
use crate::{clock::wall_ms, reveal::note_reveal};

impl App {
    /// A person reveals the drill of that id.
    pub(crate) fn reveal(&mut self, drill: &str) {
        let scene = self.publisher.scene();
        let running = scene
            .drill
            .as_ref()
            .is_some_and(|it| it.id == drill && it.verdict.is_none());
        if self.running.is_some() && running {
            self.command(Command::Reveal {
                by: self.options.who.clone(),
            });
            return;
        }
        let review = scene.reviews.iter().find(|it| it.drill == drill);
        let journal = review.and_then(|it| it.journal.clone());
        let (Some(journal), by) = (journal, self.options.who.clone()) else {
            let words = format!("not revealed: the journal of the drill {drill} is not known; open it first");
            self.publisher.say(Level::Warning, words);
            return;
        };
        let drill = drill.to_owned();
        self.spawn(async move {
            let noted = tokio::task::spawn_blocking(move || note_reveal(&journal, &by, wall_ms()));
            let result = noted.await.unwrap_or_else(|error| Err(error.to_string()));
            Some(Work::Revealed(drill, result))
        });
    }

    /// It is on disk: everybody may see it.
    pub(crate) fn revealed(&mut self, drill: &str, result: Result<(), String>) {
        if let Err(why) = result {
            self.publisher.say(Level::Error, format!("not revealed: {why}"));
            return;
        }
        let by = self.options.who.clone();
        self.publisher.update(|scene| {
            if let Some(shown) = scene.drill.as_mut().filter(|it| it.id == drill) {
                let shown = Arc::make_mut(shown);
                shown.seal = Seal::Revealed {
                    at: shown.now,
                    by: by.clone(),
                };
            }
            for review in Arc::make_mut(&mut scene.reviews) {
                if review.drill == drill {
                    let shown = Arc::make_mut(&mut Arc::make_mut(review).scene);
                    shown.seal = Seal::Revealed {
                        at: shown.now,
                        by: by.clone(),
                    };
                }
            }
        });
        self.gameday_revealed(drill);
    }
}
