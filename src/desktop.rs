//! What the console asks of the desktop: no sleep and no blanked screen while a fault is on, and notices.
//!
//! On a thread of its own: the desktop may take its time, or not answer at all. What fails is said once in the log,
//! and nothing else depends on it.

use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use firedrill_console::{Attention, Notice, Outgoing};

/// Waits that the desktop's thread has not taken yet.
const WAITING: usize = 16;

enum Wish {
    Awake(bool),
    Notice(Outgoing<Notice>),
}

/// Passes wishes to the desktop's thread.
pub struct Attendant {
    to: SyncSender<Wish>,
    /// What it was told last.
    awake: bool,
}

impl Attendant {
    /// Starts the thread; it ends with this value.
    pub fn start() -> io::Result<Self> {
        let (to, wishes) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("desktop".to_owned())
            .spawn(move || attend(&wishes))?;
        Ok(Self { to, awake: false })
    }

    /// Never waits. A notice that finds no room is lost; being awake is asked for again with the next scene.
    pub fn tell(&mut self, attention: Attention) {
        let Attention { awake, notices } = attention;
        if awake != self.awake && self.to.try_send(Wish::Awake(awake)).is_ok() {
            self.awake = awake;
        }
        for notice in notices {
            self.to.try_send(Wish::Notice(notice)).ok();
        }
    }
}

fn attend(wishes: &Receiver<Wish>) {
    let mut held = None;
    let mut said = Said::default();
    for wish in wishes {
        match wish {
            Wish::Awake(false) => held = None,
            Wish::Awake(true) => {
                let kept = keepawake::Builder::default()
                    .display(true)
                    .idle(true)
                    .sleep(true)
                    .app_name("Firedrill")
                    .app_reverse_domain("io.firedrill.console")
                    .reason("An exercise")
                    .create();
                match kept {
                    Ok(kept) => held = Some(kept),
                    Err(error) => said.once(
                        "this computer may sleep or blank its screen while a fault is on",
                        &error,
                    ),
                }
            }
            Wish::Notice(notice) => {
                let shown = notify_rust::Notification::new()
                    .appname("Firedrill")
                    .summary(&notice.title)
                    .body(&notice.words)
                    .show();
                if let Err(error) = shown {
                    said.once("the desktop shows no notices", &error);
                }
            }
        }
    }
    drop(held);
}

/// What was said already.
#[derive(Default)]
struct Said(Vec<&'static str>);

impl Said {
    fn once(&mut self, what: &'static str, error: &dyn std::fmt::Display) {
        if !self.0.contains(&what) {
            self.0.push(what);
            tracing::info!("{what}: {error}");
        }
    }
}
