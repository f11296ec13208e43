//! The scene that the window reads, replaced as a whole.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use firedrill_scene::{Level, Message, Scene};
use parking_lot::Mutex;

use crate::clock::wall_ms;

/// Called when there is something new to draw: a window's request to be repainted.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Messages kept.
const MESSAGES: usize = 50;

/// Keeps the newest scene. Readers never wait.
pub(crate) struct Publisher {
    shown: ArcSwap<Scene>,
    /// Held while a scene is changed, by the engine's tasks only.
    draft: Mutex<Scene>,
    messages: AtomicU64,
    waker: Waker,
}

impl Publisher {
    pub(crate) fn new(waker: Waker) -> Self {
        Self {
            shown: ArcSwap::from_pointee(Scene::default()),
            draft: Mutex::new(Scene::default()),
            messages: AtomicU64::new(1),
            waker,
        }
    }

    /// The newest scene.
    pub(crate) fn scene(&self) -> Arc<Scene> {
        self.shown.load_full()
    }

    /// Changes it and wakes the window.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Scene)) {
        {
            let mut draft = self.draft.lock();
            change(&mut draft);
            draft.wall_ms = wall_ms();
            self.shown.store(Arc::new(draft.clone()));
        }
        (self.waker)();
    }

    /// Tells the person at the console.
    pub(crate) fn say(&self, level: Level, words: impl Into<String>) {
        let message = Message {
            id: self.messages.fetch_add(1, Ordering::Relaxed),
            wall_ms: wall_ms(),
            level,
            words: words.into(),
        };
        self.update(|scene| {
            let messages = Arc::make_mut(&mut scene.messages);
            messages.push(message);
            if messages.len() > MESSAGES {
                messages.remove(0);
            }
        });
    }
}
