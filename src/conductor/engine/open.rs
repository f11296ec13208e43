//! Drills of this account that were armed and never ended, as the window finds them at its start.

use std::{sync::Arc, time::Duration};

use firedrill_scene::{Level, OpenDrillScene};

use super::app::{App, Work};
use crate::{
    ledger::{OpenDrill, open_drills},
    recovery::{Holds, abort_open, ask, forget, watch_open},
};

/// An abort of an open drill is waited for this long; the abort card goes on by `firedrill abort`.
const ABORT_LIMIT: Duration = Duration::from_secs(30);
/// The longest lease and a little more.
const WATCH_LIMIT: Duration = Duration::from_secs(70);

impl App {
    /// Looks for drills that were never ended, and asks their agents what is still on.
    pub(crate) fn look_for_open(&self) {
        let drills = self.options.drills();
        self.spawn(async move {
            let found = tokio::task::spawn_blocking(move || open_drills(&drills))
                .await
                .ok()?;
            let mut scenes = Vec::new();
            for open in found {
                let held = ask(&open.card).await;
                if !open.runs && held.iter().all(|it| !it.may_be_on) {
                    // Every lease has ended: it is over, and nobody need be asked.
                    forget(&open);
                    continue;
                }
                scenes.push(scene(&open, held, false));
            }
            Some(Work::OpenFound(scenes))
        });
    }

    pub(crate) fn open_found(&self, found: Vec<OpenDrillScene>) {
        if !found.is_empty() || !self.publisher.scene().open.is_empty() {
            self.publisher.update(|scene| scene.open = Arc::new(found));
        }
    }

    pub(crate) fn abort_open(&mut self, drill: &str) {
        if self.running.is_some() {
            self.publisher.say(
                Level::Warning,
                "a drill of this window runs; finish it first, or: firedrill abort",
            );
            return;
        }
        let Some(open) = self.open_drill(drill) else {
            return;
        };
        let line = Arc::clone(&self.line);
        let who = self.options.who.clone();
        let work = self.work.clone();
        self.spawn(async move {
            let name = open.card.experiment.clone();
            let reason = format!("{who} aborted a drill that was found open");
            let clean = abort_open(&line, &open, &reason, ABORT_LIMIT).await;
            // How it stands now is looked at; the loop may have ended.
            work.send(Work::LookForOpen).await.ok();
            Some(if clean {
                Work::Say(
                    Level::Info,
                    format!("\"{name}\" is aborted; every agent is proved clean"),
                )
            } else {
                let words = format!(
                    "\"{name}\": not every agent is confirmed; on those hosts run: firedrill-agent abort"
                );
                Work::Say(Level::Error, words)
            })
        });
    }

    pub(crate) fn watch_open(&mut self, drill: &str) {
        let Some(open) = self.open_drill(drill) else {
            return;
        };
        let publisher = Arc::clone(&self.publisher);
        let work = self.work.clone();
        self.spawn(async move {
            let over = watch_open(&open, WATCH_LIMIT, |held| {
                let watched = scene(&open, held.to_vec(), true);
                publisher.update(|scene| {
                    let all = Arc::make_mut(&mut scene.open);
                    if let Some(row) = all.iter_mut().find(|it| it.drill == watched.drill) {
                        *row = watched;
                    }
                });
            });
            let over = over.await;
            work.send(Work::LookForOpen).await.ok();
            let name = &open.card.experiment;
            Some(if over {
                Work::Say(Level::Info, format!("nothing of \"{name}\" is on any more"))
            } else {
                Work::Say(
                    Level::Warning,
                    format!("something of \"{name}\" may still be on; abort it"),
                )
            })
        });
    }

    fn open_drill(&self, drill: &str) -> Option<OpenDrill> {
        let found = open_drills(&self.options.drills());
        let open = found.into_iter().find(|it| it.card.drill.as_str() == drill);
        if open.is_none() {
            self.publisher
                .say(Level::Info, format!("the drill {drill} is no longer open"));
            self.look_for_open();
        }
        open
    }
}

fn scene(open: &OpenDrill, held: Vec<Holds>, watched: bool) -> OpenDrillScene {
    OpenDrillScene {
        drill: open.card.drill.to_string(),
        experiment: open.card.experiment.clone(),
        armed_ms: open.card.wall_ms,
        runs: open.runs,
        agents: held
            .into_iter()
            .map(|it| (it.agent, it.words, it.may_be_on))
            .collect(),
        watched,
    }
}
