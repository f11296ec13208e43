//! The engine of a window that only follows another console: no drill, no agent, no disk; one connection.

use std::{io, sync::Arc};

use firedrill_broadcast::{Follower, Link};
use firedrill_scene::{Ask, Level, Scene};

use super::publish::{Publisher, Waker};
use crate::clock::wall_ms;

/// Follows a console.
pub struct WatchHandle {
    publisher: Arc<Publisher>,
    follower: Follower,
}

/// Follows by this link, as this person.
pub fn watch(link: Link, name: &str, waker: Waker) -> io::Result<WatchHandle> {
    let publisher = Arc::new(Publisher::new(waker)?);
    let shown = Arc::clone(&publisher);
    let follower = Follower::start(link, name, wall_ms, move |scene| shown.update(|it| *it = scene))?;
    Ok(WatchHandle { publisher, follower })
}

impl WatchHandle {
    /// The newest scene; never waits.
    pub fn scene(&self) -> Arc<Scene> {
        self.publisher.scene()
    }

    /// What a watcher may ask goes to the host; never waits.
    pub fn ask(&self, ask: Ask) {
        let taken = match ask {
            // It was pressed before the ask came here.
            Ask::Abort => true,
            Ask::Watcher(wish) => self.follower.wish(wish),
            Ask::Note(text) => self.follower.wish(firedrill_scene::Wish::Note { text }),
            Ask::Dismiss(id) => {
                self.follower.dismiss(id);
                true
            }
            _ => false,
        };
        if !taken {
            self.publisher.say(
                Level::Warning,
                "this window only follows another console and cannot do that; ABORT works all the same",
            );
        }
    }

    /// Presses the host's ABORT.
    pub fn press(&self) {
        self.follower.press();
    }
}
