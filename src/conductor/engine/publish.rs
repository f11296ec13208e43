//! The scene that the window reads, replaced as a whole.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
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
    wake: mpsc::SyncSender<()>,
}

impl Publisher {
    /// The waker gets a thread of its own: a window that is stuck may hold it for as long as it is.
    pub(crate) fn new(waker: Waker) -> io::Result<Self> {
        let (wake, wakes) = mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name("waker".to_owned())
            .spawn(move || wakes.iter().for_each(|()| waker()))?;
        Ok(Self {
            shown: ArcSwap::from_pointee(Scene::default()),
            draft: Mutex::new(Scene::default()),
            messages: AtomicU64::new(1),
            wake,
        })
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
        // One wake that waits already serves as well.
        self.wake.try_send(()).ok();
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
