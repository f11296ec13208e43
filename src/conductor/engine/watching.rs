//! The engine of a window that only follows another console: no drill, no agent, no disk; one connection.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use firedrill_broadcast::{Follower, Link};
use firedrill_scene::{AbortScene, Ask, Level, Scene};

use super::publish::{Publisher, Waker};
use crate::clock::wall_ms;

/// Follows a console.
pub struct WatchHandle {
    publisher: Arc<Publisher>,
    follower: Follower,
    /// The abort whose panel was closed here: when it was pressed, wall milliseconds.
    closed: Arc<AtomicI64>,
}

/// No abort was.
const NONE: i64 = i64::MIN;

/// Follows by this link, as this person.
pub fn watch(link: Link, name: &str, waker: Waker) -> io::Result<WatchHandle> {
    let publisher = Arc::new(Publisher::new(waker)?);
    let closed = Arc::new(AtomicI64::new(NONE));
    let (shown, hidden) = (Arc::clone(&publisher), Arc::clone(&closed));
    let follower = Follower::start(link, name, wall_ms, move |mut scene| {
        hide_closed(&mut scene, hidden.load(Ordering::Relaxed));
        shown.update(|it| *it = scene);
    })?;
    Ok(WatchHandle {
        publisher,
        follower,
        closed,
    })
}

/// The panel of an abort that was closed here stays closed.
fn hide_closed(scene: &mut Scene, closed: i64) {
    if scene.abort.pressed_ms == Some(closed) {
        scene.abort = AbortScene {
            armed: scene.abort.armed,
            ..AbortScene::default()
        };
    }
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
            Ask::DismissAbort => {
                let pressed = self.publisher.scene().abort.pressed_ms.unwrap_or(NONE);
                self.closed.store(pressed, Ordering::Relaxed);
                self.publisher.update(|scene| hide_closed(scene, pressed));
                true
            }
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
