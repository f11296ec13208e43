//! Sharing in the window: the listener, what it may ask of this engine, and what the window shows of it.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use firedrill_broadcast::{Desk, Share};
use firedrill_scene::{GameDayAsk, Level, Look, Scene, ShareAsk, ShareScene, Wish};

use super::{
    app::{App, Work},
    publish::Publisher,
};
use crate::{
    clock::wall_ms,
    sharing::{BY_LINK, command, in_the_way, press_once},
};

/// What is shared.
#[derive(Default)]
pub(crate) struct Shared {
    share: Option<Share>,
    /// The drill that runs, or ran last, and its journal.
    drill: Option<(String, PathBuf)>,
}

impl App {
    pub(crate) fn share_asked(&mut self, ask: ShareAsk) {
        match (ask, &self.shared.share) {
            (ShareAsk::Start(address), _) => self.start_sharing(address),
            (ShareAsk::Stop, _) => {
                self.shared.share = None;
                self.publisher.update(|scene| scene.share = None);
            }
            (_, None) => {}
            (ShareAsk::Revoke(role), Some(share)) => share.revoke(role),
            (ShareAsk::Renew(role), Some(share)) => {
                if let Err(error) = share.renew(role) {
                    let words = format!("there is no new link: {error}; the one before is as it was");
                    self.publisher.say(Level::Error, words);
                }
            }
            (ShareAsk::Try, Some(share)) => share.try_reach(),
        }
    }

    fn start_sharing(&mut self, address: SocketAddr) {
        // Its port is free again before another one is asked for.
        if let Some(before) = self.shared.share.take() {
            before.end();
        }
        match Share::start(address, self.options.console.clone(), self.desk()) {
            Ok(share) => {
                if let Some((drill, journal)) = &self.shared.drill {
                    share.drill(drill, journal);
                }
                self.shared.share = Some(share);
                self.show_share();
            }
            Err(error) => {
                let failed = ShareScene {
                    failed: Some(error.to_string()),
                    ..ShareScene::default()
                };
                self.publisher
                    .update(|scene| scene.share = Some(Arc::new(failed)));
            }
        }
    }

    fn desk(&self) -> Desk {
        let (for_wish, for_look) = (Arc::clone(&self.publisher), Arc::clone(&self.publisher));
        let (board, handle) = (self.line.handle(), self.line.handle());
        let (wished, changed) = (self.work.clone(), self.work.clone());
        let operator = self.options.who.clone();
        Desk {
            wish: Arc::new(move |who, _, wish| {
                allowed(&for_wish, &wish, who, &operator)?;
                wished
                    .try_send(Work::Wished(who.to_owned(), Box::new(wish)))
                    .map_err(|_| "the host is busy and did not take that".to_owned())
            }),
            press: Arc::new(move |who| press_once(&handle, BY_LINK, who)),
            look: Arc::new(move || {
                let scene = for_look.scene();
                let look = Look {
                    ours: scene.ours.clone(),
                    abort: board.board().scene(scene.abort.armed),
                    predicts: predicts(&scene),
                    seal: None,
                };
                look.with(scene.drill.as_deref())
            }),
            // A queue that is full is worked off soon, and the next change shows this one too.
            changed: Arc::new(move || drop(changed.try_send(Work::ShareChanged))),
            wall_ms,
        }
    }

    /// A drill begins: those who follow see it from its first record.
    pub(crate) fn share_drill(&mut self, drill: &str, journal: PathBuf) {
        if let Some(share) = &self.shared.share {
            share.drill(drill, &journal);
        }
        self.shared.drill = Some((drill.to_owned(), journal));
    }

    pub(crate) fn show_share(&self) {
        let Some(share) = &self.shared.share else { return };
        let shown = Arc::new(share.scene());
        self.publisher.update(|scene| scene.share = Some(shown));
    }

    /// Somebody who follows wished something, and nothing was in the way.
    pub(crate) fn wished(&mut self, who: &str, wish: Wish) {
        if let Some(command) = command(who, &wish) {
            self.command(command);
        }
        match wish {
            Wish::Refuse { reason } => {
                let words = format!("{who} does not approve the start: {reason}");
                self.publisher.say(Level::Warning, words);
            }
            Wish::Predict { mut prediction } => {
                let Some(drill) = predicts(&self.publisher.scene()) else {
                    return;
                };
                who.clone_into(&mut prediction.who);
                self.gameday_asked(GameDayAsk::Predict { drill, prediction });
            }
            Wish::Note { .. } | Wish::Approve => {}
        }
    }

    /// Those who follow see the end.
    pub(crate) fn end_sharing(&mut self) {
        if let Some(share) = self.shared.share.take() {
            share.end();
        }
    }
}

/// Why a wish is not taken.
fn allowed(publisher: &Publisher, wish: &Wish, who: &str, operator: &str) -> Result<(), String> {
    let scene = publisher.scene();
    if let Wish::Predict { .. } = wish {
        return match predicts(&scene) {
            Some(_) => Ok(()),
            None => Err("no game day is open on the host that takes predictions now".to_owned()),
        };
    }
    in_the_way(wish, who, operator, scene.drill.as_deref())
}

/// The row of the game day that predictions are of now: the one that runs, or the next one.
fn predicts(scene: &Scene) -> Option<String> {
    let day = scene.gameday.as_ref()?;
    let state = &day.state;
    if state.ended_ms.is_some() {
        return None;
    }
    let next = || {
        let due = |it: &&firedrill_gameday::RowState| it.skipped.is_none() && it.runs.is_empty();
        state.rows.iter().find(due)
    };
    let row = state.running().or_else(next)?;
    (!row.revealed).then(|| row.id.clone())
}
